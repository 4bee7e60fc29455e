package transport

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/wit"
)

// rolesOf returns the roles of a service at a URL, and more as `role=value`.
func rolesOf(t *testing.T, at string, more ...string) roleMap {
	t.Helper()
	u, err := url.Parse(at)
	require.NoError(t, err)
	m := roleMap{"http.scheme": u.Scheme, "http.address": u.Hostname(), "http.port": u.Port(),
		"retry.min-backoff-ms": "1", "retry.max-backoff-ms": "5"}
	for _, line := range more {
		role, value, _ := strings.Cut(line, "=")
		m[role] = value
	}
	return m
}

func configOf(t *testing.T, roles roleMap, s Environment) Config {
	t.Helper()
	config, err := ConfigOf(roles, s)
	require.NoError(t, err)
	return config
}

// opened returns a client that is closed when the test ends.
func opened(t *testing.T, config Config) *Client {
	t.Helper()
	c, err := New(config)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func clientOf(t *testing.T, roles roleMap, s Environment) *Client {
	t.Helper()
	s.Lockouts = lockouts.New()
	return opened(t, configOf(t, roles, s))
}

// byOAuth2 returns the roles for tokens of an issuer.
func byOAuth2(endpoint string, more ...string) []string {
	return append(more, "http.auth=oauth2", "http.oauth.token-endpoint="+endpoint, "http.oauth.client-id=id",
		"http.oauth.client-secret=c1ient-secret")
}

// byProxy returns the roles for an HTTP proxy.
func byProxy(proxy *httptest.Server, password string, more ...string) []string {
	return append(more, "http.proxy.type=http", "http.proxy.address="+proxy.Listener.Addr().String(),
		"http.proxy.user=me", "http.proxy.password="+password)
}

// journal is what a client has logged.
type journal struct{ logtest.Journal }

func (j *journal) logger() *slog.Logger { return j.Logger(slog.LevelDebug - 8) }

func (j *journal) once(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		assert.Equal(t, 1, strings.Count(j.String(), text), text, "in the log:", j)
	}
}

func (j *journal) without(t *testing.T, secrets ...string) {
	t.Helper()
	text := j.String()
	for _, s := range secrets {
		if strings.Contains(text, s) {
			t.Errorf("expected no %q in the log, found\n%s", s, text)
		}
	}
}

// issuer is a token service whose tokens are valid until revoked.
type issuer struct {
	mu     sync.Mutex
	issued int
	ended  int
	forms  []url.Values
	basic  []string
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.ParseForm()
	i.mu.Lock()
	defer i.mu.Unlock()
	user, password, _ := r.BasicAuth()
	i.forms = append(i.forms, r.PostForm)
	i.basic = append(i.basic, user+":"+password)
	if password != "c1ient-secret" && r.PostForm.Get("client_secret") != "c1ient-secret" {
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"error":"invalid_client"}`)
		return
	}
	i.issued++
	json.NewEncoder(w).Encode(map[string]any{"access_token": fmt.Sprintf("t0ken-%d", i.issued), "token_type": "bearer",
		"expires_in": 3600})
}

func (i *issuer) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = i.issued
}

// withService serves the issuer at /token, and a service that accepts its tokens.
func (i *issuer) withService() http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			i.ServeHTTP(w, r)
		} else if !i.good(r) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
}

func (i *issuer) good(r *http.Request) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := 0
	fmt.Sscanf(r.Header.Get("Authorization"), "Bearer t0ken-%d", &n)
	return n > i.ended && n <= i.issued
}

func TestOAuth2(t *testing.T) {
	tokens := &issuer{}
	endpoint := serve(t, tokens.ServeHTTP)
	requests := 0
	refuseAll := false
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		if refuseAll || !tokens.good(r) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	log := &journal{}
	roles := rolesOf(t, server.URL, byOAuth2(endpoint.URL+"/as/token", "http.oauth.scope=a b",
		"http.oauth.client-auth=header")...)
	c := clientOf(t, roles, Environment{Shared: Shared{Logger: log.logger()}})
	expect := func(r *wit.Request, status uint16, sent, issued int) {
		t.Helper()
		requests = 0
		got, _, err := text(t, c, r)
		if err != nil || got != status || requests != sent || tokens.issued != issued {
			t.Errorf("status %d (%v) after %d requests and %d tokens, expected %d, %d, %d", got, err, requests,
				tokens.issued, status, sent, issued)
		}
	}
	expect(get("/"), 200, 1, 1)
	expect(post("/"), 200, 1, 1)
	tokens.end()
	expect(post("/"), 200, 2, 2) // a 401 has not led to a renewal yet
	refuseAll = true
	expect(get("/"), 401, 2, 3) // one renewal
	wantFaultOf(t, c, get("/"), wit.ErrorUnauthorized, "is not sent again")
	if len(tokens.forms[0]["client_secret"]) != 0 || tokens.basic[0] != "id:c1ient-secret" ||
		tokens.forms[0].Get("scope") != "a b" {
		t.Errorf("expected id and secret in the header, found %v %v", tokens.forms[0], tokens.basic[0])
	}

	// With the secret in the body and a wrong secret, one token is requested.
	roles["http.oauth.client-auth"] = "body"
	roles["http.oauth.client-secret"] = "wr0ng-secret"
	c = clientOf(t, roles, Environment{Shared: Shared{Logger: log.logger()}})
	before := len(tokens.forms)
	for range 3 {
		wantFaultOf(t, c, get("/"), wit.ErrorUnauthorized)
	}
	if n := len(tokens.forms) - before; n != 1 || tokens.forms[before].Get("client_id") != "id" ||
		tokens.basic[before] != ":" {
		t.Errorf("found %d token requests, the last one with %v; expected one, with the secret in the body", n,
			tokens.forms[before])
	}
	log.without(t, "c1ient-secret", "wr0ng-secret", "t0ken-")
}

// All kinds of credentials are sent to the configured origin only.
func TestCredentialsStayAtTheOrigin(t *testing.T) {
	tokens := &issuer{}
	endpoint := serve(t, tokens.ServeHTTP)
	foreign := 0
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { foreign++ })
	var seen http.Header
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header
		http.Redirect(w, r, elsewhere.URL+"/x", http.StatusFound)
	})
	for name, c := range map[string]struct {
		roles  []string
		header string
		want   string
	}{
		"basic":  {[]string{"http.user=u", "http.password=p"}, "Authorization", "Basic dTpw"},
		"oauth2": {byOAuth2(endpoint.URL), "Authorization", "Bearer t0ken-1"},
		"header": {[]string{"http.auth=header", "http.header.APIKey=k3y"}, "Apikey", "k3y"},
		"authorization": {[]string{"http.auth=header", "http.header.Authorization=Custom x"}, "Authorization",
			"Custom x"},
		"none": {[]string{"http.auth=none", "http.user=u", "http.password=p"}, "Authorization", ""},
	} {
		t.Run(name, func(t *testing.T) {
			client := clientOf(t, rolesOf(t, server.URL, c.roles...), Environment{})
			wantFaultOf(t, client, get("/"), wit.ErrorUnauthorized, "which is not followed")
			assert.Equal(t, c.want, seen.Get(c.header), c.header)
			wantFaultOf(t, client, get(elsewhere.URL+"/x"), wit.ErrorData, "expected the origin")
		})
	}
	assert.Equal(t, 0, foreign, "requests to another server")
}

// corporate is a proxy with authentication, for tunnels and absolute-form requests.
type corporate struct {
	to      string // the server to which it forwards everything
	mu      sync.Mutex
	lines   []string
	headers []string
}

func (c *corporate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.lines = append(c.lines, r.Method+" "+r.RequestURI)
	for name, values := range r.Header {
		c.headers = append(c.headers, name+": "+strings.Join(values, ","))
	}
	c.mu.Unlock()
	if r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("me:pr0xy")) {
		w.Header().Set("Proxy-Authenticate", "Basic")
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if r.Method != http.MethodConnect {
		target := *r.URL
		target.Host = c.to
		q, _ := http.NewRequest(r.Method, target.String(), r.Body)
		q.Header = r.Header.Clone()
		q.Header.Del("Proxy-Authorization")
		a, err := http.DefaultTransport.RoundTrip(q)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer a.Body.Close()
		maps.Copy(w.Header(), a.Header)
		w.WriteHeader(a.StatusCode)
		io.Copy(w, a.Body)
		return
	}
	conn, err := net.Dial("tcp", c.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer conn.Close()
	client, buffered, _ := w.(http.Hijacker).Hijack()
	defer client.Close()
	io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	go io.Copy(conn, buffered)
	io.Copy(client, conn)
}

func TestCorporateProxy(t *testing.T) {
	var paths []string
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { paths = append(paths, r.RequestURI) })
	plain := httptest.NewServer(handler)
	secure := httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	const target = "/a(1)/b'x%20y'?$filter=a%20eq%20'%C3%A4'&x=a|b"
	for _, c := range []struct{ at, to, password, line, problem string }{
		{"http://sap.example:8000", plain.Listener.Addr().String(), "pr0xy", "GET http://sap.example:8000" + target,
			""},
		{"https://example.com:44300", secure.Listener.Addr().String(), "pr0xy", "CONNECT example.com:44300", ""},
		{"http://sap.example:8000", plain.Listener.Addr().String(), "wr0ng", "GET http://sap.example:8000" + target,
			"(407) (see "},
		{"https://example.com:44300", secure.Listener.Addr().String(), "wr0ng", "CONNECT example.com:44300",
			"it requires a user and a password, or rejected them (see "},
	} {
		paths = nil
		p := &corporate{to: c.to}
		roles := rolesOf(t, c.at, byProxy(serve(t, p.ServeHTTP), c.password, "http.user=u", "http.password=s3cret")...)
		config := configOf(t, roles, Environment{Shared: Shared{Lockouts: lockouts.New()}})
		if strings.HasPrefix(c.at, "https") {
			config.TLS = secure.Client().Transport.(*http.Transport).TLSClientConfig
		}
		client := opened(t, config)
		status, _, err := text(t, client, get(target))
		if c.problem == "" && (err != nil || status != 200 || len(paths) != 1 || paths[0] != target) {
			t.Errorf("%s: status %d, %v, paths %q", c.at, status, err, paths)
		}
		if c.problem != "" {
			wantFault(t, err, wit.ErrorConfig, c.problem, roles.Setting("http.proxy.user"),
				roles.Setting("http.proxy.password"))
		}
		if len(p.lines) != 1 || p.lines[0] != c.line {
			t.Errorf("%s: the proxy saw %q, expected %q", c.at, p.lines, c.line)
		}
		for _, h := range p.headers {
			if strings.HasPrefix(c.at, "https") && strings.HasPrefix(h, "Authorization") {
				t.Errorf("expected no such header at the proxy, found %q", h)
			}
		}
		client.Close()
	}
}

// A proxy's wrong password is sent once, by all clients together and also for tokens, until it changes. A service
// that is reached through the proxy with the right one keeps its own logon.
func TestWrongProxyPasswordIsSentOnce(t *testing.T) {
	answer := func(http.ResponseWriter, *http.Request) {}
	secure := httptest.NewTLSServer(http.HandlerFunc(answer))
	defer secure.Close()
	plain := serve(t, answer)
	issuer := serve(t, (&issuer{}).withService())
	for _, c := range []struct {
		name  string
		at    string
		to    *httptest.Server
		roles []string
	}{
		{"absolute form", "http://sap.example:8000", plain, nil},
		{"tunnel", "https://example.com:44300", secure, nil},
		{"token by absolute form", "http://sap.example:8000", issuer, byOAuth2("http://idp.example/token")},
		{"token by tunnel", "http://sap.example:8000", issuer, byOAuth2("https://idp.example/token")},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &corporate{to: c.to.Listener.Addr().String()}
			proxy := serve(t, p.ServeHTTP)
			store := lockouts.New()
			client := func(password, address string) *Client {
				roles := rolesOf(t, address, byProxy(proxy, password, append(c.roles, "http.header.x-a=b")...)...)
				config := configOf(t, roles, Environment{Shared: Shared{Lockouts: store}})
				if strings.HasPrefix(c.at, "https") {
					config.TLS = secure.Client().Transport.(*http.Transport).TLSClientConfig
				}
				return opened(t, config)
			}
			wrong := client("wr0ng", c.at)
			if _, _, err := text(t, wrong, get("/x")); err == nil {
				t.Error("expected an error of the proxy, found none")
			}
			for _, address := range []string{c.at, strings.Replace(c.at, "e", "ee", 1)} {
				wantFaultOf(t, client("wr0ng", address), get("/x"), wit.ErrorUnauthorized,
					`the password of user "me" was refused at`, "by proxy "+proxy.Listener.Addr().String(), "not sent again")
			}
			assert.Equal(t, 1, len(p.lines), "requests to the proxy")
			if why := wrong.Refusal(); !strings.Contains(why, "by proxy ") {
				t.Errorf("expected the reason of the proxy, found %q", why)
			}
			if c.name != "token by tunnel" { // of which the test's certificate is not trusted
				status, _, err := text(t, client("pr0xy", c.at), get("/x"))
				if err != nil || status != http.StatusOK {
					t.Errorf("with the right password: status %d, %v", status, err)
				}
			}
		})
	}
}

// A proxy's wrong password is sent once even if the request has ended before the proxy refuses it.
func TestLateRefusalOfProxyCounts(t *testing.T) {
	received := make(chan bool, 8)
	refuse := make(chan bool)
	proxy := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		received <- true
		<-refuse
		w.WriteHeader(http.StatusProxyAuthRequired)
	})
	roles := rolesOf(t, "https://example.com:44300", byProxy(proxy, "wr0ng")...)
	c := opened(t, configOf(t, roles, Environment{Shared: Shared{Lockouts: lockouts.New()}}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-received
		cancel()
	}()
	if _, err := c.Do(ctx, get("/x")); err == nil {
		t.Error("expected the request to be cancelled")
	}
	close(refuse)
	require.Until(t, func() bool { return c.Refusal() != "" }, func() string { return "a refusal" })
	wantFaultOf(t, c, get("/x"), wit.ErrorUnauthorized, "not sent again")
	assert.Equal(t, 0, len(received), "further requests to the proxy")
}

// A proxy's password that only the requests for tokens carry is sent once, too, and counts as accepted with a token.
func TestProxyPasswordOfTokensOnly(t *testing.T) {
	t.Setenv("NO_PROXY", "127.0.0.1")
	service := serve(t, (&issuer{}).withService())
	p := &corporate{to: service.Listener.Addr().String()}
	proxy := serve(t, p.ServeHTTP)
	for _, password := range []string{"wr0ng", "pr0xy"} {
		p.lines = nil
		store := lockouts.New()
		roles := rolesOf(t, service.URL, byProxy(proxy, password, byOAuth2("http://idp.example/token")...)...)
		config := configOf(t, roles, Environment{Shared: Shared{Lockouts: store}})
		logon, err := LogonOf(config)
		require.NoError(t, err)
		c := opened(t, config)
		_, _, first := text(t, c, get("/x"))
		_, _, second := text(t, c, get("/x"))
		assert.Equal(t, []string{"POST http://idp.example/token"}, p.lines, "requests to the proxy")
		if isWrong := password == "wr0ng"; isWrong != (first != nil) || isWrong != (second != nil) {
			t.Errorf("%s: found %v and %v", password, first, second)
		}
		if role, ok := logon.Untried(); ok {
			t.Errorf("%s: expected no untried secret, found %q", password, role)
		}
	}
}

// A SOCKS5 proxy's wrong password is sent once.
func TestWrongPasswordOfSOCKSIsSentOnce(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	var logons atomic.Int64
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			head := make([]byte, 2)
			_, err = io.ReadFull(conn, head)
			methods := make([]byte, head[1])
			if err == nil {
				_, err = io.ReadFull(conn, methods)
			}
			if err == nil {
				conn.Write([]byte{5, 2}) // user and password
				_, err = io.ReadFull(conn, head)
			}
			if err == nil {
				logons.Add(1)
				conn.Write([]byte{1, 1}) // refused
			}
			conn.Close()
		}
	}()
	roles := rolesOf(t, "http://sap.example:8000", "http.proxy.type=socks5",
		"http.proxy.address="+listener.Addr().String(), "http.proxy.user=me", "http.proxy.password=wr0ng")
	c := clientOf(t, roles, Environment{})
	wantFaultOf(t, c, get("/x"), wit.ErrorConfig, "username/password authentication failed")
	wantFaultOf(t, c, get("/x"), wit.ErrorUnauthorized, `the password of user "me" was refused at`, "not sent again")
	assert.Equal(t, int64(1), logons.Load(), "times that the password was sent")
}

// A proxy's own 401 to an absolute-form request counts as the service's. The error names the settings of both.
func TestProxyResponseTakenForService(t *testing.T) {
	requests := 0
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		w.WriteHeader(http.StatusUnauthorized)
	})
	roles := rolesOf(t, "http://sap.example:8000", byProxy(proxy, "wr0ng", "http.user=u", "http.password=s3cret")...)
	c := clientOf(t, roles, Environment{Shared: Shared{Lockouts: lockouts.New()}})
	wantStatus(t, c, get("/x"), 401)
	wantFaultOf(t, c, get("/x"), wit.ErrorUnauthorized, `user "u"`, "by the service or by the proxy (see ",
		roles.Setting("http.proxy.user"), roles.Setting("http.proxy.password"), "--resume-logons")
	if why := c.Refusal(); !strings.Contains(why, roles.Setting("http.proxy.password")) || requests != 1 {
		t.Errorf("found %d requests and the reason %q", requests, why)
	}
}

// Token requests use the same proxy.
func TestTokensThroughCorporateProxy(t *testing.T) {
	p := &corporate{to: serve(t, (&issuer{}).withService()).Listener.Addr().String()}
	c := clientOf(t, rolesOf(t, "http://sap.example:8000", byProxy(serve(t, p.ServeHTTP), "pr0xy",
		byOAuth2("http://idp.example/token")...)...), Environment{})
	if status, _, err := text(t, c, get("/x")); err != nil || status != 200 || len(p.lines) != 2 ||
		p.lines[0] != "POST http://idp.example/token" {
		t.Errorf("status %d, %v, the proxy saw %q", status, err, p.lines)
	}
}

func TestProxyOfTheEnvironment(t *testing.T) {
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	p := &corporate{to: server.Listener.Addr().String()}
	proxy := serve(t, p.ServeHTTP)
	t.Setenv("HTTP_PROXY", "http://me:pr0xy@"+proxy.Listener.Addr().String())
	t.Setenv("NO_PROXY", "inside.example")
	for _, c := range []struct {
		url     string
		roles   []string
		byProxy bool
	}{
		{url: "http://outside.example", byProxy: true},
		{url: "http://inside.example"},
		{url: "http://outside.example", roles: []string{"http.proxy.type=none"}},
	} {
		config, err := ConfigOf(rolesOf(t, c.url, append(c.roles, "http.port=")...), Environment{})
		if err != nil || config.Route.AbsoluteForm != c.byProxy {
			t.Errorf("%s %v: by proxy %v, %v; expected %v", c.url, c.roles, config.Route.AbsoluteForm, err, c.byProxy)
		}
	}
	c := clientOf(t, rolesOf(t, "http://outside.example:80"), Environment{})
	if status, _, err := text(t, c, get("/x")); err != nil || status != 200 || len(p.lines) != 1 {
		t.Errorf("status %d, %v, the proxy saw %q", status, err, p.lines)
	}
}

// account starts a subaccount of BTP with a system behind a Cloud Connector.
func account(t *testing.T, handler http.HandlerFunc) (*connectivitytest.Server, *httptest.Server) {
	t.Helper()
	a := connectivitytest.NewServer()
	t.Cleanup(a.Close)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	a.Map("s4.virtual:8000", server.Listener.Addr().String())
	return a, server
}

func TestConnectivityHTTP(t *testing.T) {
	var requests atomic.Int64
	a, _ := account(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		for name := range r.Header {
			if strings.HasPrefix(name, "Proxy-") {
				t.Errorf("expected no header %s at the service", name)
			}
		}
		if u, p, _ := r.BasicAuth(); u != "me" || p != "s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	a.Attach("DE-Berlin")
	log := &journal{}
	roles := rolesOf(t, "http://s4.virtual:8000", "http.user=me", "http.password=s3cret",
		"http.proxy.type=sap-connectivity-http",
		"http.proxy.location-id=DE-Berlin", "http.proxy.outage-ms=20000")
	c := clientOf(t, roles, Environment{VCAP: a.VCAP(0), Shared: Shared{Logger: log.logger()}})
	expect := func(r *wit.Request, tokens int) {
		t.Helper()
		if status, body, err := text(t, c, r); err != nil || status != 200 || a.TokenCount(a.Connectivity) != tokens {
			t.Errorf("status %d %s, %v, %d tokens; expected %d", status, body, err, a.TokenCount(a.Connectivity),
				tokens)
		}
	}
	expect(get("/x"), 1)
	expect(post("/x"), 1)
	a.ExpireTokens()
	expect(post("/x"), 2) // 407 is answered by the proxy, the service has seen nothing
	a.ExpireTokens()
	expect(&wit.Request{Method: "GET", Target: "/once"}, 3)

	// Requests wait for a missing Cloud Connector.
	a.Detach("DE-Berlin")
	done := make(chan error, 2)
	for range 2 {
		go func() { _, _, err := text(t, c, get("/away")); done <- err }()
	}
	require.NoError(t, a.Wait(t.Context(), 6, func(e connectivitytest.Entry) bool {
		return e.Port == "http" && e.Code == http.StatusServiceUnavailable
	}))
	a.Attach("DE-Berlin")
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	assert.Equal(t, int64(6), requests.Load(), "requests arrived")
	log.once(t, "level=WARN msg=\"no Cloud Connector is connected, or the service is unavailable; waiting",
		"responds again")
	log.without(t, "s3cret", "eyJ", a.Connectivity.Secret, "bWU6")
}

func TestConnectivityOutageEnds(t *testing.T) {
	a, _ := account(t, func(http.ResponseWriter, *http.Request) {})
	a.Detach("")
	for _, kind := range []string{"sap-connectivity-http", "sap-connectivity-socks5"} {
		c := clientOf(t, rolesOf(t, "http://s4.virtual:8000", "http.proxy.type="+kind, "http.proxy.outage-ms=1500"),
			Environment{VCAP: a.VCAP(0)})
		start := time.Now()
		status, _, err := text(t, c, get("/x"))
		if kind == "sap-connectivity-http" && (err != nil || status != 503) {
			t.Errorf("%s: status %d, %v", kind, status, err)
		}
		if kind != "sap-connectivity-http" {
			wantFault(t, err, wit.ErrorTransient, "no Cloud Connector is connected")
		}
		if elapsed := time.Since(start); elapsed < 1500*time.Millisecond {
			t.Errorf("%s: found a failure after %v", kind, elapsed)
		}
	}
}

func TestConnectivitySOCKS5(t *testing.T) {
	requests := 0
	a, _ := account(t, func(http.ResponseWriter, *http.Request) { requests++ })
	with := func(at string) *Client {
		return clientOf(t, rolesOf(t, at, "http.proxy.type=sap-connectivity", "http.proxy.outage-ms=3600000"),
			Environment{VCAP: a.VCAP(0)})
	}
	c := with("http://s4.virtual:8000")
	wantStatus(t, c, post("/x"), 200)
	clear := a.Answer(3, 2)
	defer clear()
	c.Close()
	if status, _, err := text(t, c, post("/x")); err != nil || status != 200 || requests != 2 {
		t.Errorf("status %d, %v after an outage", status, err)
	}
	_, _, err := text(t, with("http://other.virtual:1"), post("/x")) // for which nobody waits an hour
	wantFault(t, err, wit.ErrorConfig, "other.virtual:1", "does not expose this virtual host and port")
}

// With JAVA_HOME, the error of an untrusted certificate names Java's trust store and the settings.
func TestUntrustedNamesJava(t *testing.T) {
	server := selfSigned(t, func(http.ResponseWriter, *http.Request) {})
	home := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(home, "lib", "security"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(home, "lib", "security", "cacerts"), nil, 0o600))
	t.Setenv("JAVA_HOME", home)
	c := clientOf(t, rolesOf(t, server.URL), Environment{})
	wantFaultOf(t, c, post("/x"), wit.ErrorConfig, filepath.Join(home, "lib", "security", "cacerts"),
		"tls.truststore.location", "tls.truststore.password")
}

// The error of a certificate for another host names the setting of the address or destination. Each field of package
// keystore has a setting.
func TestCertificateOfAnotherHost(t *testing.T) {
	// for example.com and 127.0.0.1
	server := selfSigned(t, func(http.ResponseWriter, *http.Request) {})
	at := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	trust := &btp.Store{Name: "roots.pem", Type: "PEM", Content: certificateOf(server)}
	for _, trust := range []*btp.Store{nil, trust} {
		c := clientOf(t, rolesOf(t, at), Environment{Trust: trust})
		err := wantFaultOf(t, c, get("/"), wit.ErrorConfig, "http.address: "+at, "is for example.com, ",
			"not for localhost")
		if strings.Contains(err.Error(), "host-check") {
			t.Errorf("expected a setting that exists, found %v", err)
		}
	}
	byDestination := roleMap{"http.destination": "D"}
	assert.Equal(t, "http.destination", tlsSetting(byDestination, keystore.FieldHostCheck))
}

// After a rejected request the settings are refreshed: the request is repeated, and later requests use the new secret.
func TestChangedSecretIsUsedByAllRequests(t *testing.T) {
	var mu sync.Mutex
	sent := map[string]int{}
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, p, _ := r.BasicAuth()
		mu.Lock()
		sent[p]++
		mu.Unlock()
		if p != "new" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	config := configOf(t, rolesOf(t, server.URL, "http.user=u", "http.password=old"),
		Environment{Shared: Shared{Lockouts: lockouts.New()}})
	next := config
	next.Password = "new"
	logged := false
	config.Refresh = func(_ context.Context, refused bool) (*Config, error) {
		if !refused || logged {
			return nil, nil
		}
		logged = true // refreshes are sequential
		return &next, nil
	}
	next.Refresh = config.Refresh
	c := opened(t, config)
	together(20, func(int) { wantStatus(t, c, post("/"), 200) })
	if sent["old"] != 1 || sent["new"] != 20 {
		t.Errorf("sent %v, expected the old secret once and the new one 20 times", sent)
	}
}
