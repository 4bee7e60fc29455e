package transport

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// memoryNetwork is a network in memory, for synctest. It is the listener of its only server.
type memoryNetwork struct {
	conns   chan net.Conn
	closing sync.Once
	closed  chan struct{}
	dials   atomic.Int64
	open    atomic.Int64 // connections
	peak    atomic.Int64 // the highest number of open connections
}

func (m *memoryNetwork) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memoryNetwork) Close() error {
	m.closing.Do(func() { close(m.closed) })
	return nil
}

func (m *memoryNetwork) Addr() net.Addr { return &net.TCPAddr{} }

func (m *memoryNetwork) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	m.dials.Add(1)
	clientConn, serverConn := net.Pipe()
	select {
	case m.conns <- serverConn:
		m.peak.Store(max(m.peak.Load(), m.open.Add(1)))
		return &countedConn{Conn: clientConn, onClose: sync.OnceFunc(func() { m.open.Add(-1) })}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-m.closed:
		return nil, errors.New("connection refused")
	}
}

// countedConn calls onClose when it is closed.
type countedConn struct {
	net.Conn
	onClose func()
}

func (c *countedConn) Close() error {
	c.onClose()
	return c.Conn.Close()
}

// service runs a test with a client of a handler, in a bubble of synctest. change, if not nil, changes the
// configuration.
func service(t *testing.T, handler http.HandlerFunc, change func(*Config), test func(t *testing.T, c *Client)) {
	t.Helper()
	serviceWithNetwork(t, handler, change, func(t *testing.T, c *Client, _ *memoryNetwork) { test(t, c) })
}

// serviceWithNetwork is service for tests that inspect the connections.
func serviceWithNetwork(t *testing.T, handler http.HandlerFunc, change func(*Config),
	test func(t *testing.T, c *Client, m *memoryNetwork)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &memoryNetwork{conns: make(chan net.Conn), closed: make(chan struct{})}
		server := &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
		go server.Serve(m)
		config := Config{
			Service: Service{Scheme: "http", Address: "sap.example", Port: 8000},
			Dial:    m.dial,
			Shared:  Shared{Lockouts: lockouts.New(), Destinations: NewOriginRegistry()},
		}
		if change != nil {
			change(&config)
		}
		c, err := New(config)
		require.NoError(t, err)
		test(t, c, m)
		c.Close()
		server.Close()
		synctest.Wait()
	})
}

// setRetries sets the maximum number of retries.
func setRetries(n int) func(*Config) { return func(c *Config) { c.Retry.Max = &n } }

// setUser sets a user and a password.
func setUser(c *Config) {
	c.User = "u"
	c.Password = "p"
}

// setClient100 sets the SAP client 100.
func setClient100(c *Config) { c.Headers = map[string]string{"sap-client": "100"} }

func get(target string) *wit.Request {
	return &wit.Request{Method: "GET", Target: target, Repeatable: true}
}

// getOnce is a GET that is not repeatable.
func getOnce(target string) *wit.Request {
	r := get(target)
	r.Repeatable = false
	return r
}

func post(target string) *wit.Request {
	return &wit.Request{Method: "POST", Target: target, Body: []byte("{}")}
}

// withToken adds a CSRF token from a path to a request.
func withToken(r *wit.Request, from string) *wit.Request {
	r.TokenPath = &from
	return r
}

// serve starts a server that runs until the test ends.
func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// runConcurrently runs a function n times concurrently.
func runConcurrently(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// readText returns the status and the body of the answer.
func readText(t *testing.T, c *Client, r *wit.Request) (uint16, string, error) {
	t.Helper()
	a, err := c.Do(context.Background(), r)
	if err != nil {
		return 0, "", err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	return a.Status, string(b), err
}

// wantFault expects a fault of a kind that contains all of these parts.
func wantFault(t *testing.T, err error, kind wit.ErrorKind, parts ...string) {
	t.Helper()
	var f *wit.Error
	require.True(t, errors.As(err, &f) && f.Kind == kind, "expected a fault of kind %v, found %v", kind, err)
	for _, part := range parts {
		assert.True(t, strings.Contains(f.Error(), part), "expected %q in the fault, found %q", part, f)
	}
}

// wantStatus expects a status.
func wantStatus(t *testing.T, c *Client, r *wit.Request, want uint16) {
	t.Helper()
	if status, _, err := readText(t, c, r); status != want || err != nil {
		t.Errorf("%s %s: expected %d, found %d, %v", r.Method, r.Target, want, status, err)
	}
}

// wantFaultOf expects a request to fail with such a fault.
func wantFaultOf(t *testing.T, c *Client, r *wit.Request, kind wit.ErrorKind, parts ...string) error {
	t.Helper()
	_, _, err := readText(t, c, r)
	wantFault(t, err, kind, parts...)
	return err
}

func TestHeadersOfPluginAndHost(t *testing.T) {
	var header http.Header
	var host, line string
	service(t, func(w http.ResponseWriter, r *http.Request) {
		header = r.Header.Clone()
		host = r.Host
		line = r.RequestURI
		w.Header()["X-Note"] = []string{"Gr\xfc\xdfe", "ü"}
		w.Header().Set("Set-Cookie", "a=b")
		io.WriteString(w, "hello")
	}, func(c *Config) {
		c.User = "u"
		c.Password = "p:q"
		c.Headers = map[string]string{"sap-client": "100", "sap-language": ""}
	}, func(t *testing.T, c *Client) {
		r := get("http://SAP.example:8000/a%2Fb/c(x='ü y')?$filter=a%20eq%20'b'&x=|#f")
		for _, name := range []string{"Authorization", "cookie", "Host", "Proxy-Authorization",
			"SAP-Connectivity-SCC-Location_ID", "x-csrf-token", "Content-Length", "Transfer-Encoding", "Connection",
			"SAP-Client", "Sap-Language", "sap-user", "SAP-Password", "X-Own"} {
			r.Headers = append(r.Headers, wit.Header{Name: name, Value: "7"})
		}
		a, err := c.Do(t.Context(), r)
		require.NoError(t, err)
		io.ReadAll(a.Body)
		a.Body.Close()
		want := http.Header{"Authorization": {"Basic dTpwOnE="}, "X-Own": {"7"}, "Sap-Client": {"100"},
			"User-Agent": {"culvert"}, "Accept-Encoding": {"gzip"}}
		assert.Equal(t, want, header)
		assert.True(t, host == "sap.example:8000" && line == "/a%2Fb/c(x='%C3%BC%20y')?$filter=a%20eq%20'b'&x=|",
			"expected the service's host and the target without fragment, found host %q, line %q", host, line)
		notes := []string{}
		for _, h := range a.Headers {
			assert.True(t, h.Name != "set-cookie", "expected no cookies in the plugin's response")
			if h.Name == "x-note" {
				notes = append(notes, h.Value)
			}
		}
		assert.Equal(t, []string{"Grüße", "ü"}, notes)
	})
}

func TestInvalidRequestsAreNotSent(t *testing.T) {
	handler := func(http.ResponseWriter, *http.Request) { t.Error("expected no request") }
	serviceWithNetwork(t, handler, nil, func(t *testing.T, c *Client, w *memoryNetwork) {
		for want, r := range map[string]*wit.Request{
			"own host only":              get("http://other.example:8000/"),
			"origin http://sap.example:": get("https://sap.example:8000/"),
			"expected the origin":        get("//other.example/x"),
			"found \"http://[hidden]@":   get("http://u:p@sap.example:8000/"),
			"begins with /":              get("relative"),
			"expected a path":            get("mailto:x"),
			"line break":                 get("/a\r\nHost: x"),
			"header X of a request":      {Method: "GET", Target: "/", Headers: []wit.Header{{Name: "X", Value: "a\nb"}}},
			"expected a name":            {Method: "GET", Target: "/", Headers: []wit.Header{{Name: "X\r\nY", Value: "a"}}},
			"method of a request":        {Method: "G T", Target: "/"},
		} {
			wantFaultOf(t, c, r, wit.ErrorData, want)
		}
		assert.Equal(t, int64(0), w.dials.Load(), "connections")
	})
}

func TestLoopbackNamesAreOneOrigin(t *testing.T) {
	o := endpoint{"http", "localhost", 8000}
	for target, want := range map[string]string{
		"http://127.0.0.1:8000/a?b": "/a?b",
		"http://[::1]:8000":         "/",
		"http://localhost:8000?x":   "/?x",
		"//127.0.0.1:8000/y":        "/y",
	} {
		got, err := o.resolve(target, "")
		assert.True(t, err == nil && got == want, "%s: expected %s, found %s, %v", target, want, got, err)
	}
	got, err := (endpoint{"https", "h", 443}).resolve("https://H/x", "")
	assert.True(t, err == nil && got == "/x", "expected /x, found %s, %v", got, err)
}

func TestConfigIsChecked(t *testing.T) {
	for want, c := range map[string]Config{
		"http or https": {Service: Service{Scheme: "ftp", Address: "a"}},
		"host name":     {Service: Service{Address: "a/b"}},
		"1 to 65535":    {Service: Service{Address: "a", Port: 70000}},
		"without line breaks": {Service: Service{Address: "a"},
			Credentials: Credentials{Headers: map[string]string{"x": "a\nb"}}},
		"expected a host name":                              {},
		"found \"erp:44300\": the port has its own setting": {Service: Service{Address: "erp:44300"}},
		"found \"[::1]:443\": the port":                     {Service: Service{Address: "[::1]:443"}},
		"found \"1.2.3.4:443\": the port":                   {Service: Service{Address: "1.2.3.4:443"}},
		"found \"erp:\": the port":                          {Service: Service{Address: "erp:"}},
		"found \"http://erp\": scheme":                      {Service: Service{Address: "http://erp"}},
	} {
		_, err := New(c)
		wantFault(t, err, wit.ErrorConfig, want)
	}
	for _, address := range []string{"erp", "erp.example.com", "1.2.3.4", "::1", "[::1]", "2001:db8::7",
		"[2001:DB8::7]", "fe80::1%eth0", "::ffff:1.2.3.4"} {
		c, err := New(Config{Service: Service{Address: address}})
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		c.Close()
	}
}

// roleMap implements [Roles] with settings that have the names of their roles.
type roleMap map[string]string

func (m roleMap) Text(role string) string { return m[role] }
func (m roleMap) Prefix(prefix string) map[string]string {
	values := map[string]string{}
	for role, value := range m {
		if name, ok := strings.CutPrefix(role, prefix); ok {
			values[name] = value
		}
	}
	return values
}

func (m roleMap) Setting(role string) string { return role }
func (m roleMap) IsSet(role string) bool     { _, ok := m[role]; return ok }

func TestConfigOfRoles(t *testing.T) {
	maxRetries := 0
	want := Config{
		Service:        Service{Scheme: "https", Address: "a", Port: 1},
		Credentials:    Credentials{User: "u", Password: "p", Headers: map[string]string{"sap-client": "1"}},
		ConnectTimeout: time.Second,
		ReadTimeout:    2 * time.Second,
		Retry: Retry{Codes: []string{"503", "SY/530"}, Max: &maxRetries, MinBackoff: 3 * time.Second,
			MaxBackoff: 4 * time.Second},
	}
	got, err := ConfigOf(roleMap{
		"http.scheme":             "HTTPS",
		"http.address":            "a",
		"http.port":               "1",
		"http.user":               "u",
		"http.password":           "p",
		"http.header.sap-client":  "1",
		"http.connect-timeout-ms": "1000",
		"http.read-timeout-ms":    "2000",
		"retry.codes":             "503, SY/530",
		"retry.max":               "0",
		"retry.min-backoff-ms":    "3000",
		"retry.max-backoff-ms":    "4000",
	}, Environment{})
	got.Route = Route{}
	got.explain = nil
	got.Logger = nil
	diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{}, TLSOptions{}, Route{}))
	assert.True(t, diff == "" && err == nil, "configuration, %v (-want +got):\n%s", err, diff)
	for role, c := range map[string]struct{ value, want string }{
		"http.port":                {"x", "Not a number of type INT"},
		"retry.max":                {"-1", "Value must be at least 0"},
		"http.read-timeout-ms":     {"9223372036854775807", "Value must be no more than 1099511627776"},
		"http.requests-per-second": {"NaN", "Not a number of type DOUBLE"},
		"http.client-in":           {"qurey", "String must be one of: header, query"},
		"tls.allow-legacy":         {"perhaps", "Expected value to be either true or false"},
	} {
		_, err = ConfigOf(roleMap{"http.address": "a", role: c.value}, Environment{})
		wantFault(t, err, wit.ErrorConfig, "Invalid value "+c.value+" for configuration "+role+": "+c.want)
	}
}

// A header that two settings name, in any spelling, is rejected, because one of the values would be sent at random, and
// so is a value that HTTP does not allow, before it is sent. Authorization is no exception.
func TestHeadersAreChecked(t *testing.T) {
	for _, name := range []string{"Authorization", "X-Api-Key"} {
		header := func(name string) string { return "http.header." + name }
		roles := roleMap{"http.address": "a", "http.auth": "header", header("X-Other-Key"): "k"}
		roles[header(name)] = "Bearer a\tb"
		_, err := ConfigOf(roles, Environment{})
		require.NoError(t, err)
		for _, value := range []string{"a\nb", "a\rb", "a\x00b", "a\x01b", "a\x1fb", "a\x7fb"} {
			roles[header(name)] = value
			_, err := ConfigOf(roles, Environment{})
			wantFault(t, err, wit.ErrorConfig, "Invalid value "+setting.Hidden+" for configuration "+header(name))
		}
		roles[header(name)] = "Bearer a"
		roles[header(strings.ToLower(name))] = "Bearer b"
		_, err = ConfigOf(roles, Environment{})
		wantFault(t, err, wit.ErrorConfig, strings.ToLower(name)+" is also set by another setting, as "+name)
	}
	for want, headers := range map[string]map[string]string{
		`header "x-api-key": expected one value`:    {"X-Api-Key": "a", "x-api-key": "b"},
		`header "x-api-key": expected a valid name`: {"x-api-key": "a\x01"},
	} {
		_, err := New(Config{Service: Service{Address: "a"}, Credentials: Credentials{Headers: headers}})
		wantFault(t, err, wit.ErrorConfig, want)
	}
}

func TestRetriesByCode(t *testing.T) {
	for name, c := range map[string]struct {
		statuses []int
		request  *wit.Request
		max      int // retries
		status   uint16
		requests int
	}{
		"until it answers": {
			statuses: []int{503, 429, 502, 504, 408, 200},
			request:  get("/"),
			max:      10,
			status:   200,
			requests: 6,
		},
		"no more than asked for": {
			statuses: []int{503, 503, 503, 200},
			request:  get("/"),
			max:      2,
			status:   503,
			requests: 3,
		},
		"not 500":         {statuses: []int{500, 200}, request: get("/"), max: 10, status: 500, requests: 1},
		"POST on 429":     {statuses: []int{429, 201}, request: post("/"), max: 10, status: 201, requests: 2},
		"POST not on 408": {statuses: []int{408, 201}, request: post("/"), max: 10, status: 408, requests: 1},
		"once on 429":     {statuses: []int{429, 200}, request: getOnce("/"), max: 10, status: 429, requests: 1},
		"once on 503":     {statuses: []int{503, 200}, request: getOnce("/"), max: 10, status: 503, requests: 1},
		"POST not on 500": {statuses: []int{500, 201}, request: post("/"), max: 10, status: 500, requests: 1},
		"POST not on 502": {statuses: []int{502, 201}, request: post("/"), max: 10, status: 502, requests: 1},
		"POST not on 503": {statuses: []int{503, 201}, request: post("/"), max: 10, status: 503, requests: 1},
		"POST not on 504": {statuses: []int{504, 201}, request: post("/"), max: 10, status: 504, requests: 1},
		"POST not on 520": {statuses: []int{520, 201}, request: post("/"), max: 10, status: 520, requests: 1},
		"POST not on 304": {statuses: []int{304, 201}, request: post("/"), max: 10, status: 304, requests: 1},
		"401 is not repeated": {
			statuses: []int{401, 200}, request: get("/"), max: 10, status: 401, requests: 1,
		},
		"304 is an answer of its own": {statuses: []int{304}, request: get("/"), max: 10, status: 304, requests: 1},
		"305 is an answer of its own": {statuses: []int{305}, request: get("/"), max: 10, status: 305, requests: 1},
	} {
		t.Run(name, func(t *testing.T) {
			requests := 0
			service(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(c.statuses[requests])
				requests++
			}, func(config *Config) {
				setRetries(c.max)(config)
				config.User = "u"
			}, func(t *testing.T, client *Client) {
				start := time.Now()
				status, _, err := readText(t, client, c.request)
				require.True(t, err == nil && status == c.status && requests == c.requests,
					"expected status %d after %d requests, found %d after %d, %v", c.status, c.requests, status,
					requests, err)
				waited := time.Since(start)
				minWait := time.Duration(requests-1) * time.Second
				if maxWait := 10 * minWait; waited < minWait || waited > maxWait {
					t.Errorf("expected to wait %v to %v, waited %v", minWait, maxWait, waited)
				}
				n := client.Counters()
				answered := int64(0)
				for _, answers := range n.Answers {
					answered += answers
				}
				assert.True(t, n.Requests == int64(requests) && n.Repeated == int64(requests-1) &&
					answered == int64(requests) && n.Answers[status/100] != 0,
					"expected %d requests and answers, all but one repeated, found %+v", requests, n)
			})
		})
	}
}

func TestRetryAfter(t *testing.T) {
	requests := 0
	service(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		switch requests {
		case 1:
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(429)
		case 2:
			w.Header().Set("Retry-After", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat))
			w.WriteHeader(503)
		}
	}, nil, func(t *testing.T, c *Client) {
		start := time.Now()
		wantStatus(t, c, get("/"), 200)
		if waited := time.Since(start); waited < 179*time.Second || waited > 181*time.Second {
			t.Errorf("expected to wait for 3 minutes, waited %v", waited)
		}
	})
}

func TestConnectionErrors(t *testing.T) {
	cut := func(w http.ResponseWriter) {
		conn, _, _ := http.NewResponseController(w).Hijack()
		conn.Close()
	}
	for name, c := range map[string]struct {
		request  *wit.Request
		status   uint16
		requests int
	}{
		"a repeatable request is sent again": {request: get("/"), status: 200, requests: 2},
		"a repeatable POST is sent again": {
			request:  &wit.Request{Method: "POST", Target: "/", Body: []byte("x"), Repeatable: true},
			status:   200,
			requests: 2,
		},
		"a POST is not":                  {request: post("/"), requests: 1},
		"a GET that starts a job is not": {request: &wit.Request{Method: "GET", Target: "/"}, requests: 1},
		"a DELETE is not, unless its plugin says it can": {
			request:  &wit.Request{Method: "DELETE", Target: "/"},
			requests: 1,
		},
		"a PUT without body is not": {request: &wit.Request{Method: "PUT", Target: "/"}, requests: 1},
		"a GET with a body is not when it must not be": {
			request:  &wit.Request{Method: "GET", Target: "/", Body: []byte("x")},
			requests: 1,
		},
		"a DELETE that is repeatable, without body, goes": {
			request:  &wit.Request{Method: "DELETE", Target: "/", Repeatable: true},
			status:   200,
			requests: 2,
		},
	} {
		// net/http treats a reused connection differently.
		for _, warm := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " warm ", warm), func(t *testing.T) {
				requests := 0
				service(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/warm" {
						return
					}
					requests++
					if requests == 1 {
						cut(w)
					}
				}, nil, func(t *testing.T, client *Client) {
					if warm {
						readText(t, client, get("/warm"))
					}
					status, _, err := readText(t, client, c.request)
					_, lost := errors.AsType[*NoResponseError](err)
					require.True(t, status == c.status && requests == c.requests && (c.status == 0) == lost,
						"expected status %d after %d requests, found %d after %d, %v", c.status, c.requests, status,
						requests, err)
				})
			})
		}
	}
}

func TestNoConnection(t *testing.T) {
	serviceWithNetwork(t, nil, setRetries(3), func(t *testing.T, c *Client, w *memoryNetwork) {
		w.Close()
		for _, r := range []*wit.Request{get("/x"), post("/x")} {
			w.dials.Store(0)
			wantFaultOf(t, c, r, wit.ErrorTransient, "connection refused", "sent 4 times",
				"/x at http://sap.example:8000")
			assert.Equal(t, int64(4), w.dials.Load(), "dials")
		}
	})
}

func TestConnectTimeout(t *testing.T) {
	service(t, nil, func(c *Config) {
		setRetries(0)(c)
		c.ConnectTimeout = 3 * time.Second
		c.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}, func(t *testing.T, c *Client) {
		start := time.Now()
		wantFaultOf(t, c, get("/"), wit.ErrorTransient, "no connection after 3s")
		assert.Equal(t, 3*time.Second, time.Since(start), "after")
	})
}

func TestIncompleteBodies(t *testing.T) {
	raw := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			io.WriteString(conn, answer)
			conn.Close()
		}
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, strings.Repeat("hello ", 1000))
	z.Close()
	cut := packed.String()[:packed.Len()-5]
	for name, c := range map[string]struct {
		handler      http.HandlerFunc
		body         string
		isIncomplete bool
	}{
		"shorter than its Content-Length": {
			handler: raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), body: "abc", isIncomplete: true,
		},
		"a chunk is missing": {
			handler: raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), body: "abc",
			isIncomplete: true,
		},
		"gzip": {
			handler: raw("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: " + strconv.Itoa(packed.Len()) +
				"\r\n\r\n" + packed.String()),
			body: strings.Repeat("hello ", 1000),
		},
		"gzip cut": {
			handler: raw("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: " +
				strconv.Itoa(len(cut)) + "\r\n\r\n" + cut),
			isIncomplete: true,
		},
		"gzip of nothing": {handler: raw("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n")},
		"whole":           {handler: raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), body: "abc"},
	} {
		t.Run(name, func(t *testing.T) {
			service(t, c.handler, setRetries(0), func(t *testing.T, client *Client) {
				_, body, err := readText(t, client, get("/page"))
				require.True(t, (err != nil) == c.isIncomplete && strings.HasPrefix(body, c.body),
					"expected %q, an error: %v, found %q, %v", c.body, c.isIncomplete, body, err)
				if err != nil {
					wantFault(t, err, wit.ErrorTransient, "GET /page: the response ended early, after",
						"unexpected EOF")
				}
			})
		})
	}
}

func TestFetchRetriesIncompleteResponses(t *testing.T) {
	requests := 0
	service(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		w.Header().Set("Content-Length", "6")
		if r.URL.Path == "/missing" {
			w.WriteHeader(404)
			io.WriteString(w, "sorry!")
			return
		}
		io.WriteString(w, "abcdef"[:min(requests*2, 6)])
	}, nil, func(t *testing.T, c *Client) {
		answers, err := c.Fetch(t.Context(), wit.RequestBatch{Requests: []wit.Request{*get("/a"), *get("/missing")}})
		require.True(t, err == nil && len(answers) == 2 && string(answers[0].Body) == "abcdef" &&
			answers[1].Status == 404 && requests == 4,
			"expected the whole body and status 404 after 4 requests, found %v, %v after %d", answers, err, requests)
		requests = 0
		_, err = c.Exchange(t.Context(), post("/a"))
		if _, lost := errors.AsType[*NoResponseError](err); !lost || requests != 1 {
			t.Fatalf("expected a POST not to be repeated, found %v after %d requests", err, requests)
		}
	})
}

// gateway issues tokens and sessions like SAP: the session id changes with the first response after the token.
type gateway struct {
	mu      sync.Mutex
	session int                                                           // ID of the current session
	tokens  int                                                           // issued so far
	fetches []string                                                      // requests for tokens
	answer  func(g *gateway, w http.ResponseWriter, r *http.Request) bool // may respond instead, and then returns true
	writes  int
	refused int // requests with another token or session
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.answer != nil && g.answer(g, w, r) {
		return
	}
	if r.Header.Get("X-Csrf-Token") == "Fetch" {
		g.fetches = append(g.fetches, r.Method+" "+r.RequestURI)
		g.tokens++
		g.session++
		http.SetCookie(w, &http.Cookie{Name: "SAP_SESSIONID", Value: strconv.Itoa(g.session), Path: "/", Secure: true})
		w.Header().Set("x-csrf-token", fmt.Sprintf("t%d", g.tokens))
		return
	}
	cookie, _ := r.Cookie("SAP_SESSIONID")
	if r.Header.Get("X-Csrf-Token") != fmt.Sprintf("t%d", g.tokens) || cookie == nil ||
		cookie.Value != strconv.Itoa(g.session) {
		g.refused++
		w.Header().Set("x-csrf-token", "Required")
		w.WriteHeader(403)
		io.WriteString(w, "CSRF token validation failed")
		return
	}
	g.writes++
	g.session++
	http.SetCookie(w, &http.Cookie{Name: "SAP_SESSIONID", Value: strconv.Itoa(g.session), Path: "/"})
	w.WriteHeader(201)
}

func writeRequest() *wit.Request { return withToken(post("/svc/Orders"), "/svc/") }

func TestTokens(t *testing.T) {
	for name, c := range map[string]struct {
		answer  func(g *gateway, w http.ResponseWriter, r *http.Request) bool
		fetches []string
	}{
		"by HEAD": {fetches: []string{"HEAD /svc/"}},
		"by GET where HEAD gives none": {answer: func(_ *gateway, w http.ResponseWriter, r *http.Request) bool {
			if r.Method == "HEAD" {
				w.WriteHeader(405)
			}
			return r.Method == "HEAD"
		}, fetches: []string{"GET /svc/"}},
		"by GET where HEAD fails": {answer: func(_ *gateway, w http.ResponseWriter, r *http.Request) bool {
			if r.Method == "HEAD" {
				w.WriteHeader(503)
			}
			return r.Method == "HEAD"
		}, fetches: []string{"GET /svc/"}},
		"by the other form of the path": {answer: func(_ *gateway, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/svc/" {
				w.WriteHeader(404)
			}
			return r.URL.Path == "/svc/"
		}, fetches: []string{"GET /svc"}},
		"services without tokens": {answer: func(_ *gateway, w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("X-Csrf-Token") == "" {
				w.WriteHeader(201)
			}
			return true
		}},
	} {
		t.Run(name, func(t *testing.T) {
			g := &gateway{answer: c.answer}
			service(t, g.ServeHTTP, nil, func(t *testing.T, client *Client) {
				for range 3 {
					wantStatus(t, client, writeRequest(), 201)
				}
				assert.Equal(t, c.fetches, g.fetches)
				assert.Equal(t, 0, g.refused)
			})
		})
	}
}

// Services may open a session with a response that rejects the request. If it is late, it must not replace the new
// session, and its token must not be sent in the new one.
func TestRejectingResponseOpensSession(t *testing.T) {
	var mu sync.Mutex
	sessions := map[string]string{} // token by session
	opened := 0
	refused := 0
	writes := 0
	handler := func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		token := ""
		if cookie, err := r.Cookie("SAP_SESSIONID"); err == nil && sessions[cookie.Value] != "" {
			token = sessions[cookie.Value]
		} else {
			opened++
			id := strconv.Itoa(opened)
			token = fmt.Sprintf("t%d", opened)
			sessions[id] = token
			http.SetCookie(w, &http.Cookie{Name: "SAP_SESSIONID", Value: id, Path: "/"})
		}
		switch r.Header.Get("X-Csrf-Token") {
		case "Fetch":
			w.Header().Set("x-csrf-token", token)
		case token:
			writes++
			if writes%50 == 0 {
				clear(sessions) // the server restarts
			}
			w.WriteHeader(201)
		default:
			refused++
			w.Header().Set("x-csrf-token", "Required")
			w.WriteHeader(403)
		}
	}
	service(t, handler, nil, func(t *testing.T, c *Client) {
		runConcurrently(8, func(int) {
			for range 50 {
				if status, _, err := readText(t, c, writeRequest()); status != 201 || err != nil {
					t.Errorf("expected status 201, found %d, %v", status, err)
					return
				}
			}
		})
		assert.True(t, writes == 400 && refused != 0,
			"expected 400 writes and some refusals, found %d and %d", writes, refused)
	})
}

func TestTokenFetchCarriesClientAndLanguage(t *testing.T) {
	service(t, func(w http.ResponseWriter, r *http.Request) {
		assert.True(t, r.Header.Get("sap-client") == "100" && r.Header.Get("sap-language") == "DE",
			"%s %s: expected client and language, found %v", r.Method, r.RequestURI, r.Header)
		w.Header().Set("x-csrf-token", "t")
	}, func(c *Config) {
		c.Headers = map[string]string{"sap-client": "100", "sap-language": "DE"}
	}, func(t *testing.T, c *Client) {
		readText(t, c, writeRequest())
		assert.Equal(t, int64(2), c.Counters().Requests, "requests")
	})
}

// sap-usercontext is understood in all forms, and compared with the configured client (P12).
func TestResponsesOfAnotherClient(t *testing.T) {
	byDestination := func(c *Config) { c.Query = url.Values{"sap-client": {"100"}} }
	for name, k := range map[string]struct {
		settings func(*Config)
		cookie   string
		isOther  bool // the response is of another client
	}{
		"alone": {
			settings: setClient100, cookie: "sap-usercontext=sap-client=200; path=/", isOther: true,
		},
		"the right one": {settings: setClient100, cookie: "sap-usercontext=sap-client=100; path=/"},
		"behind the language": {
			settings: setClient100, cookie: "sap-usercontext=sap-language=EN&sap-client=200; path=/", isOther: true,
		},
		"the right one, before another": {
			settings: setClient100, cookie: "sap-usercontext=sap-client=100&sap-language=EN",
		},
		"before the language": {
			settings: setClient100, cookie: "sap-usercontext=sap-client=200&sap-language=EN", isOther: true,
		},
		"escaped": {
			settings: setClient100, cookie: "sap-usercontext=sap-language%3DEN%26sap-client%3D200", isOther: true,
		},
		"the right one, escaped": {
			settings: setClient100, cookie: "sap-usercontext=sap-language%3dEN%26sap-client%3d100",
		},
		"in quotes": {
			settings: setClient100, cookie: `SAP-UserContext="sap-client=200"; Path=/`, isOther: true,
		},
		"the right one, in quotes": {settings: setClient100, cookie: `sap-usercontext="sap-client=100"`},
		"beside a user": {
			settings: setClient100, cookie: "sap-usercontext=sap-user=ME&sap-client=200", isOther: true,
		},
		"in capitals": {
			settings: setClient100, cookie: "sap-usercontext=SAP-CLIENT=200", isOther: true,
		},
		"none":                           {settings: setClient100, cookie: "sap-usercontext=sap-language=EN"},
		"an empty one":                   {settings: setClient100, cookie: "sap-usercontext=sap-client="},
		"of a name that only ends alike": {settings: setClient100, cookie: "sap-usercontext=my-sap-client=200"},
		"another cookie":                 {settings: setClient100, cookie: "context=sap-client=200"},
		"of a destination": {
			settings: byDestination, cookie: "sap-usercontext=sap-client=200; path=/", isOther: true,
		},
		"of a destination, the right one": {
			settings: byDestination, cookie: "sap-usercontext=sap-language=EN&sap-client=100; path=/",
		},
		"without zeros in front": {
			settings: func(c *Config) { c.Headers = map[string]string{"sap-client": "1"} },
			cookie:   "sap-usercontext=sap-client=001",
		},
		"of no settings": {cookie: "sap-usercontext=sap-client=200"},
	} {
		t.Run(name, func(t *testing.T) {
			service(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Set-Cookie", k.cookie)
			}, k.settings, func(t *testing.T, c *Client) {
				status, _, err := readText(t, c, get("/"))
				if k.isOther {
					wantFault(t, err, wit.ErrorConfig, "client 100", "client 200")
				} else if status != 200 || err != nil {
					t.Errorf("expected the response to be accepted, found %d %v", status, err)
				}
			})
		})
	}
}

func TestRejectedSecretIsSentOnce(t *testing.T) {
	var mu sync.Mutex
	requests := 0
	service(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if _, p, _ := r.BasicAuth(); p != "right" {
			requests++
			w.WriteHeader(401)
		}
	}, func(c *Config) {
		c.User = "u"
		c.Password = "wrong"
	}, func(t *testing.T, c *Client) {
		clientWith := func(password string) *Client {
			return clientNextTo(t, c, func(c *Config) {
				c.Password = password
				c.Destinations = nil
			})
		}
		clients := []*Client{c}
		for range 19 {
			clients = append(clients, clientWith("wrong"))
		}
		faults := make([]error, len(clients))
		runConcurrently(len(clients), func(i int) { _, _, faults[i] = readText(t, clients[i], get("/")) })
		refused := 0
		for _, err := range faults {
			if err != nil {
				wantFault(t, err, wit.ErrorUnauthorized, `"u"`, "not sent again", "http://sap.example:8000")
				refused++
			}
		}
		assert.True(t, requests == 1 && refused == 19,
			"expected 1 request with the wrong password and 19 rejected, found %d and %d", requests, refused)
		wantStatus(t, clientWith("right"), get("/"), 200)
	})
}

func TestRedirects(t *testing.T) {
	var line string
	service(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/here":
			w.Header().Set("Location", "there?x=%20")
			w.WriteHeader(302)
		case "/away":
			w.Header().Set("Location", "https://logon.example/saml?ticket=secret")
			w.WriteHeader(302)
		case "/loop":
			w.Header().Set("Location", "/loop")
			w.WriteHeader(301)
		default:
			line = r.RequestURI
		}
	}, nil, func(t *testing.T, c *Client) {
		err := wantFaultOf(t, c, get("/away"), wit.ErrorUnauthorized, "GET /away: status 302",
			"https://logon.example/saml", "logon page", "communication user")
		assert.True(t, !strings.Contains(err.Error(), "secret"), "expected no query of the redirect, found %v", err)
		wantFaultOf(t, c, post("/here"), wit.ErrorUnauthorized, "POST /here: status 302")
		a, err := c.Do(t.Context(), get("/here"))
		assert.True(t, err == nil && a.Status == 200 && line == "/there?x=%20" && a.Target == line,
			"expected the answer of the target, found %v, %v, line %s", a, err, line)
		a.Body.Close()
		wantFaultOf(t, c, get("/loop"), wit.ErrorData, "redirected more than 10 times")
	})
}

// A redirect to another server means a rejected logon, unless the secret is known to be right: then the service is
// unavailable, maybe for hours.
func TestRedirectOfUnavailableService(t *testing.T) {
	var isAway atomic.Bool
	requests := 0
	service(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		if isAway.Load() {
			w.Header().Set("Location", "https://sorry.example/maintenance?id=secret")
			w.WriteHeader(302)
		}
	}, func(c *Config) { setUser(c); setRetries(2)(c) }, func(t *testing.T, c *Client) {
		isAway.Store(true)
		wantFaultOf(t, c, get("/"), wit.ErrorUnauthorized, "logon page")
		// A redirect does not prove that the secret is right.
		wantFaultOf(t, c, get("/"), wit.ErrorUnauthorized, "logon page")
		isAway.Store(false)
		wantStatus(t, c, get("/"), 200)
		isAway.Store(true)
		for range 2 {
			requestsBefore := requests
			err := wantFaultOf(t, c, get("/"), wit.ErrorTransient, "status 302", "https://sorry.example/maintenance",
				"unavailable")
			assert.Equal(t, requestsBefore+3, requests, "times that the secret was sent")
			assert.True(t, !strings.Contains(err.Error(), "secret"), "expected no query of the redirect, found %v", err)
			time.Sleep(3 * time.Hour)
		}
		isAway.Store(false)
		wantStatus(t, c, get("/"), 200)
		time.Sleep(2 * recentPeriod)
		isAway.Store(true)
		wantFaultOf(t, c, get("/"), wit.ErrorTransient, "unavailable")
		another, err := New(c.target.Load().config)
		assert.NoError(t, err)
		defer another.Close()
		wantFaultOf(t, another, get("/"), wit.ErrorUnauthorized, "logon page")
	})
}

// After an outage, the request is sent again to its own address, not to the address of a redirect that was followed.
func TestRedirectedRequestIsRepeatedFromItsStart(t *testing.T) {
	var lines []string
	service(t, func(w http.ResponseWriter, r *http.Request) {
		lines = append(lines, r.RequestURI)
		switch {
		case len(lines) == 1 || len(lines) > 2*maxRedirects+1:
			return
		case r.RequestURI == "/a":
			w.Header().Set("Location", "/sorry")
		default:
			w.Header().Set("Location", "https://sorry.example/")
		}
		w.WriteHeader(302)
	}, setRetries(maxRedirects), func(t *testing.T, c *Client) {
		wantStatus(t, c, get("/a"), 200)
		wantStatus(t, c, get("/a"), 200)
		assert.Equal(t, "/a", lines[len(lines)-1], "the last request")
		assert.Equal(t, 2*maxRedirects+2, len(lines), "requests")
	})
}

// A service that has answered with another secret does not show that the changed one is right.
func TestRedirectAfterChangedSecret(t *testing.T) {
	isAway := false
	requests := 0
	service(t, func(w http.ResponseWriter, _ *http.Request) {
		requests++
		if isAway {
			w.Header().Set("Location", "https://logon.example/")
			w.WriteHeader(302)
		}
	}, func(c *Config) { setUser(c); setRetries(2)(c) }, func(t *testing.T, c *Client) {
		wantStatus(t, c, get("/"), 200)
		changed := c.target.Load().config
		changed.Password = "another"
		assert.NoError(t, c.setConfig(changed))
		isAway = true
		wantFaultOf(t, c, get("/"), wit.ErrorUnauthorized, "logon page")
		assert.Equal(t, 2, requests, "requests")
	})
}

// redirectCases are redirects that are not followed. Without a status of the rows in doubt, nothing was carried out.
var redirectCases = map[string]struct {
	request   *wit.Request
	status    int
	location  string // default is another origin
	fromStart bool   // the service has not answered before
	requests  int    // if the redirect stays; default is 1
	inDoubt   bool
	kind      wit.ErrorKind
	text      string
}{
	"POST, 301": {request: post("/"), status: 301, requests: 4, kind: wit.ErrorTransient},
	"POST, 302": {request: post("/"), status: 302, requests: 4, kind: wit.ErrorTransient},
	"POST, 303": {request: post("/"), status: 303, inDoubt: true, kind: wit.ErrorTransient},
	"POST, 307": {request: post("/"), status: 307, requests: 4, kind: wit.ErrorTransient},
	"POST, 308": {request: post("/"), status: 308, requests: 4, kind: wit.ErrorTransient},
	"POST, 300": {request: post("/"), status: 300, inDoubt: true, kind: wit.ErrorTransient},
	"POST within": {
		request:  post("/"),
		status:   302,
		location: "/sorry?q=s3cret",
		requests: 4,
		kind:     wit.ErrorTransient,
	},
	"POST without a place": {request: post("/"), status: 302, location: "-", requests: 4, kind: wit.ErrorTransient},
	"GET without a place":  {request: get("/"), status: 302, location: "-", requests: 4, kind: wit.ErrorTransient},
	"GET, 302":             {request: get("/"), status: 302, requests: 4, kind: wit.ErrorTransient},
	"GET once, 302":        {request: getOnce("/"), status: 302, requests: 4, kind: wit.ErrorTransient},
	"GET, 303":             {request: get("/"), status: 303, requests: 4, kind: wit.ErrorTransient},
	"PUT, 302":             {request: put("/"), status: 302, requests: 4, kind: wit.ErrorTransient},
	"PUT, 303":             {request: put("/"), status: 303, requests: 4, kind: wit.ErrorTransient},
	"POST at first": {
		request:   post("/"),
		status:    307,
		fromStart: true,
		kind:      wit.ErrorUnauthorized,
		text:      "logon page",
	},
	"POST at first, 303": {
		request:   post("/"),
		status:    303,
		fromStart: true,
		inDoubt:   true,
		kind:      wit.ErrorUnauthorized,
	},
	"PUT at first": {
		request:   put("/"),
		status:    302,
		fromStart: true,
		kind:      wit.ErrorUnauthorized,
		text:      "logon page",
	},
	"GET at first": {
		request:   get("/"),
		status:    302,
		fromStart: true,
		kind:      wit.ErrorUnauthorized,
		text:      "logon page",
	},
}

func put(target string) *wit.Request {
	return &wit.Request{Method: "PUT", Target: target, Repeatable: true, Body: []byte("{}")}
}

// A request whose redirect is not followed was not carried out, except after 303. If the service has answered in this
// run, with or without a secret, it is repeated as in other outages; before that the error names the place.
func TestRedirectsThatAreNotFollowed(t *testing.T) {
	for name, c := range redirectCases {
		for kind, setSecret := range map[string]func(*Config){"with a secret": setUser, "without": func(*Config) {}} {
			for outage, stays := range map[string]bool{"lasting": true, "short": false} {
				t.Run(name+" "+kind+" "+outage, func(t *testing.T) {
					requests := 0
					location := c.location
					if location == "" {
						location = "https://sorry.example/page?id=s3cret"
					}
					handler := func(w http.ResponseWriter, _ *http.Request) {
						requests++
						if requests == 2 || (requests > 2 && stays) {
							if location != "-" {
								w.Header().Set("Location", location)
							}
							w.WriteHeader(c.status)
						}
					}
					service(t, handler, func(config *Config) { setRetries(3)(config); setSecret(config) },
						func(t *testing.T, client *Client) {
							if c.fromStart {
								requests = 1
							} else {
								wantStatus(t, client, get("/"), 200)
							}
							checkRedirect(t, client, name, !stays)
							if stays {
								assert.Equal(t, max(c.requests, 1), requests-1, "requests")
							}
						})
				})
			}
		}
	}
}

func checkRedirect(t *testing.T, client *Client, name string, ends bool) {
	t.Helper()
	c := redirectCases[name]
	status, _, err := readText(t, client, c.request)
	if ends && c.requests > 1 {
		assert.True(t, err == nil && status == 200, "expected the answer after the redirect, found %d, %v", status, err)
		return
	}
	_, inDoubt := errors.AsType[*NoResponseError](err)
	assert.Equal(t, c.inDoubt, inDoubt, "in doubt")
	f, ok := errors.AsType[*wit.Error](err)
	require.True(t, ok && f.Kind == c.kind, "expected an error of kind %v, found %v", c.kind, err)
	assert.Contains(t, f.Message, c.text, fmt.Sprintf("%s /: status %d", c.request.Method, c.status))
	switch c.location {
	case "":
		assert.Contains(t, f.Message, "redirect to https://sorry.example/page,")
	case "-":
		assert.Contains(t, f.Message, "redirect to an unknown address,")
	}
	assert.True(t, !strings.Contains(err.Error(), "s3cret"), "expected no query of the redirect, found %v", err)
}

func TestCanceledRequests(t *testing.T) {
	cause := errors.New("the task stops")
	service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			time.Sleep(time.Minute)
		}
		w.WriteHeader(503)
	}, nil, func(t *testing.T, c *Client) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(100*time.Millisecond, func() { cancel(cause) })
		if _, err := c.Do(ctx, get("/")); !errors.Is(err, cause) {
			t.Errorf("expected the context's cause, found %v", err)
		}
		ctx, cancel = context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		_, err := c.Do(ctx, post("/slow"))
		if _, ok := errors.AsType[*NoResponseError](err); !ok || !errors.Is(err, cause) {
			t.Errorf("expected a NoResponseError with the context's cause, found %v", err)
		}
		time.Sleep(time.Minute)
	})
}

// A client joins the others of its origin only while it is open: not with a configuration that is rejected because of a
// further origin, nor with one that a refresh provides after Close.
func TestClosedClientLeavesItsOrigin(t *testing.T) {
	clients := NewOriginRegistry()
	config := Config{Service: Service{Scheme: "http", Address: "sap.example", Port: 8000},
		Shared: Shared{Lockouts: lockouts.New(), Destinations: clients}}
	invalid := config
	invalid.Origins = []Origin{{Scheme: "http", Address: "files.example", Port: -1}}
	_, err := New(invalid)
	assert.Error(t, err, "expected 1 to 65535")
	assert.Equal(t, 0, len(clients.origins), "after a rejected configuration")

	refreshing := make(chan struct{})
	closed := make(chan struct{})
	changed := config
	config.Refresh = func(context.Context, bool) (*Config, error) {
		close(refreshing)
		<-closed
		return &changed, nil
	}
	c, err := New(config)
	require.NoError(t, err)
	go func() {
		<-refreshing
		c.Close()
		close(closed)
	}()
	require.NoError(t, c.Refresh(t.Context()))
	c.Close()
	assert.Equal(t, 0, len(clients.origins), "after a refresh during Close")
}
