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

// rolesOf returns the roles of a service at an address, and more roles, each as `role=value`.
func rolesOf(t *testing.T, address string, more ...string) roleMap {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	m := roleMap{"http.scheme": u.Scheme, "http.address": u.Hostname(), "http.port": u.Port(),
		"retry.min-backoff-ms": "1", "retry.max-backoff-ms": "5"}
	for _, line := range more {
		role, value, _ := strings.Cut(line, "=")
		m[role] = value
	}
	return m
}

// configOf returns the configuration of roles.
func configOf(t *testing.T, roles roleMap, environment Environment) Config {
	t.Helper()
	config, err := ConfigOf(roles, environment)
	require.NoError(t, err)
	return config
}

// newClient returns a client that is closed when the test ends.
func newClient(t *testing.T, config Config) *Client {
	t.Helper()
	c, err := New(config)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// clientOf returns a client of roles without earlier refusals. It is closed when the test ends.
func clientOf(t *testing.T, roles roleMap, environment Environment) *Client {
	t.Helper()
	environment.Lockouts = lockouts.New()
	return newClient(t, configOf(t, roles, environment))
}

// oauth2Roles adds the roles for tokens of an issuer.
func oauth2Roles(endpoint string, more ...string) []string {
	return append(more, "http.auth=oauth2", "http.oauth.token-endpoint="+endpoint, "http.oauth.client-id=id",
		"http.oauth.client-secret=c1ient-secret")
}

// proxyRoles adds the roles for an HTTP proxy.
func proxyRoles(proxy *httptest.Server, password string, more ...string) []string {
	return append(more, "http.proxy.type=http", "http.proxy.address="+proxy.Listener.Addr().String(),
		"http.proxy.user=me", "http.proxy.password="+password)
}

// journal holds what a client has logged, at all levels.
type journal struct{ logtest.Journal }

func (j *journal) logger() *slog.Logger { return j.Logger(slog.LevelDebug - 8) }

// wantOnce checks that each of the texts was logged once.
func (j *journal) wantOnce(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		assert.Equal(t, 1, strings.Count(j.String(), text), text, "in the log:", j)
	}
}

// wantNone checks that no secret was logged.
func (j *journal) wantNone(t *testing.T, secrets ...string) {
	t.Helper()
	text := j.String()
	for _, s := range secrets {
		assert.NotContains(t, text, s, "in the log")
	}
}

// issuer is a token service whose tokens are valid until revoked.
type issuer struct {
	mu      sync.Mutex
	issued  int          // number of the last token
	revoked int          // number of the last revoked token
	forms   []url.Values // of all requests
	basic   []string     // user:password of the basic authentication of all requests
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

// revokeAll revokes all tokens issued so far.
func (i *issuer) revokeAll() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.revoked = i.issued
}

// withService serves the issuer at /token, and a service that accepts its tokens at all other paths.
func (i *issuer) withService() http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			i.ServeHTTP(w, r)
		} else if !i.accepts(r) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
}

// accepts reports whether a request has a valid token.
func (i *issuer) accepts(r *http.Request) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := 0
	fmt.Sscanf(r.Header.Get("Authorization"), "Bearer t0ken-%d", &n)
	return n > i.revoked && n <= i.issued
}

// A token is requested once and used until the service refuses it. Then it is renewed once; a refusal of the new token
// is final.
func TestOAuth2(t *testing.T) {
	tokens := &issuer{}
	endpoint := serve(t, tokens.ServeHTTP)
	requests := 0
	refuseAll := false
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		if refuseAll || !tokens.accepts(r) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	log := &journal{}
	roles := rolesOf(t, server.URL, oauth2Roles(endpoint.URL+"/as/token", "http.oauth.scope=a b",
		"http.oauth.client-auth=header")...)
	c := clientOf(t, roles, Environment{Shared: Shared{Logger: log.logger()}})
	// check sends r and checks the status, the number of requests to the service, and the number of tokens so far.
	check := func(r *wit.Request, wantStatus uint16, wantRequests, wantTokens int) {
		t.Helper()
		requests = 0
		status, _, err := readText(t, c, r)
		assert.True(t, err == nil && status == wantStatus && requests == wantRequests && tokens.issued == wantTokens,
			"expected status %d after %d requests and %d tokens, found %d (%v), %d, %d", wantStatus, wantRequests,
			wantTokens, status, err, requests, tokens.issued)
	}
	check(get("/"), 200, 1, 1)
	check(post("/"), 200, 1, 1)
	tokens.revokeAll()
	check(post("/"), 200, 2, 2) // the request is repeated with a new token
	refuseAll = true
	check(get("/"), 401, 2, 3) // the new token is refused, too
	wantFaultOf(t, c, get("/"), wit.ErrorUnauthorized, "is not sent again")
	assert.True(t, len(tokens.forms[0]["client_secret"]) == 0 && tokens.basic[0] == "id:c1ient-secret" &&
		tokens.forms[0].Get("scope") == "a b",
		"expected id and secret in the header, found %v %v", tokens.forms[0], tokens.basic[0])

	// With the secret in the body and a wrong secret, one token is requested.
	roles["http.oauth.client-auth"] = "body"
	roles["http.oauth.client-secret"] = "wr0ng-secret"
	c = clientOf(t, roles, Environment{Shared: Shared{Logger: log.logger()}})
	earlier := len(tokens.forms)
	for range 3 {
		wantFaultOf(t, c, get("/"), wit.ErrorUnauthorized)
	}
	n := len(tokens.forms) - earlier
	assert.True(t, n == 1 && tokens.forms[earlier].Get("client_id") == "id" && tokens.basic[earlier] == ":",
		"expected one request for a token, with the secret in the body, found %d, the first one with %v", n,
		tokens.forms[earlier])
	log.wantNone(t, "c1ient-secret", "wr0ng-secret", "t0ken-")
}

// All kinds of credentials are sent to the configured origin only.
func TestCredentialsStayAtTheOrigin(t *testing.T) {
	tokens := &issuer{}
	endpoint := serve(t, tokens.ServeHTTP)
	foreignRequests := 0
	otherServer := serve(t, func(http.ResponseWriter, *http.Request) { foreignRequests++ })
	var header http.Header
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		http.Redirect(w, r, otherServer.URL+"/x", http.StatusFound)
	})
	for name, c := range map[string]struct {
		roles  []string
		header string
		want   string
	}{
		"basic": {roles: []string{"http.user=u", "http.password=p"}, header: "Authorization", want: "Basic dTpw"},
		// u:p
		"oauth2": {roles: oauth2Roles(endpoint.URL), header: "Authorization", want: "Bearer t0ken-1"},
		"header": {roles: []string{"http.auth=header", "http.header.APIKey=k3y"}, header: "Apikey", want: "k3y"},
		"authorization": {
			roles:  []string{"http.auth=header", "http.header.Authorization=Custom x"},
			header: "Authorization",
			want:   "Custom x",
		},
		"none": {roles: []string{"http.auth=none", "http.user=u", "http.password=p"}, header: "Authorization"},
	} {
		t.Run(name, func(t *testing.T) {
			client := clientOf(t, rolesOf(t, server.URL, c.roles...), Environment{})
			wantFaultOf(t, client, get("/"), wit.ErrorUnauthorized, "which is not followed")
			assert.Equal(t, c.want, header.Get(c.header), c.header)
			wantFaultOf(t, client, get(otherServer.URL+"/x"), wit.ErrorData, "expected the origin")
		})
	}
	assert.Equal(t, 0, foreignRequests, "requests to another server")
}

// corporateProxy is a proxy with authentication, for tunnels and absolute-form requests.
type corporateProxy struct {
	upstream string // host:port of the server to which it forwards everything
	mu       sync.Mutex
	lines    []string // method and target of each request
	headers  []string // name and value of all headers of all requests
}

func (c *corporateProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
		target.Host = c.upstream
		forwarded, _ := http.NewRequest(r.Method, target.String(), r.Body)
		forwarded.Header = r.Header.Clone()
		forwarded.Header.Del("Proxy-Authorization")
		answer, err := http.DefaultTransport.RoundTrip(forwarded)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		maps.Copy(w.Header(), answer.Header)
		w.WriteHeader(answer.StatusCode)
		io.Copy(w, answer.Body)
		return
	}
	conn, err := net.Dial("tcp", c.upstream)
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

// An HTTP proxy gets http requests in absolute form and tunnels for https. The target arrives unchanged; the service's
// credentials are not sent to the proxy of a tunnel. A 407 is an error that names the settings.
func TestCorporateProxy(t *testing.T) {
	var paths []string
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { paths = append(paths, r.RequestURI) })
	plain := httptest.NewServer(handler)
	secure := httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	const target = "/a(1)/b'x%20y'?$filter=a%20eq%20'%C3%A4'&x=a|b"
	for _, c := range []struct {
		url      string
		upstream string // the server that the proxy calls
		password string // of the proxy
		line     string // method and target that the proxy gets
		problem  string // part of the error; "" means that the request succeeds
	}{
		{
			url:      "http://sap.example:8000",
			upstream: plain.Listener.Addr().String(),
			password: "pr0xy",
			line:     "GET http://sap.example:8000" + target,
		},
		{
			url:      "https://example.com:44300",
			upstream: secure.Listener.Addr().String(),
			password: "pr0xy",
			line:     "CONNECT example.com:44300",
		},
		{
			url:      "http://sap.example:8000",
			upstream: plain.Listener.Addr().String(),
			password: "wr0ng",
			line:     "GET http://sap.example:8000" + target,
			problem:  "(407) (see ",
		},
		{
			url:      "https://example.com:44300",
			upstream: secure.Listener.Addr().String(),
			password: "wr0ng",
			line:     "CONNECT example.com:44300",
			problem:  "it requires a user and a password, or rejected them (see ",
		},
	} {
		paths = nil
		p := &corporateProxy{upstream: c.upstream}
		proxy := serve(t, p.ServeHTTP)
		roles := rolesOf(t, c.url, proxyRoles(proxy, c.password, "http.user=u", "http.password=s3cret")...)
		config := configOf(t, roles, Environment{Shared: Shared{Lockouts: lockouts.New()}})
		if strings.HasPrefix(c.url, "https") {
			config.TLS = secure.Client().Transport.(*http.Transport).TLSClientConfig
		}
		client := newClient(t, config)
		status, _, err := readText(t, client, get(target))
		assert.True(t, c.problem != "" || (err == nil && status == 200 && len(paths) == 1 && paths[0] == target),
			"%s: expected status 200 and the path %s, found %d, %v, %q", c.url, target, status, err, paths)
		if c.problem != "" {
			wantFault(t, err, wit.ErrorConfig, c.problem, roles.Setting("http.proxy.user"),
				roles.Setting("http.proxy.password"))
		}
		assert.True(t, len(p.lines) == 1 && p.lines[0] == c.line,
			"%s: expected the request %q at the proxy, found %q", c.url, c.line, p.lines)
		for _, h := range p.headers {
			assert.True(t, !strings.HasPrefix(c.url, "https") || !strings.HasPrefix(h, "Authorization"),
				"expected no such header at the proxy, found %q", h)
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
		name     string
		url      string
		upstream *httptest.Server // the server that the proxy calls
		roles    []string
	}{
		{name: "absolute form", url: "http://sap.example:8000", upstream: plain},
		{name: "tunnel", url: "https://example.com:44300", upstream: secure},
		{
			name:     "token by absolute form",
			url:      "http://sap.example:8000",
			upstream: issuer,
			roles:    oauth2Roles("http://idp.example/token"),
		},
		{
			name:     "token by tunnel",
			url:      "http://sap.example:8000",
			upstream: issuer,
			roles:    oauth2Roles("https://idp.example/token"),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &corporateProxy{upstream: c.upstream.Listener.Addr().String()}
			proxy := serve(t, p.ServeHTTP)
			store := lockouts.New()
			client := func(password, address string) *Client {
				roles := rolesOf(t, address, proxyRoles(proxy, password, append(c.roles, "http.header.x-a=b")...)...)
				config := configOf(t, roles, Environment{Shared: Shared{Lockouts: store}})
				if strings.HasPrefix(c.url, "https") {
					config.TLS = secure.Client().Transport.(*http.Transport).TLSClientConfig
				}
				return newClient(t, config)
			}
			wrong := client("wr0ng", c.url)
			_, _, err := readText(t, wrong, get("/x"))
			assert.True(t, err != nil, "expected an error of the proxy, found none")
			otherHost := strings.Replace(c.url, "example", "eexample", 1)
			for _, address := range []string{c.url, otherHost} {
				wantFaultOf(t, client("wr0ng", address), get("/x"), wit.ErrorUnauthorized,
					`the password of user "me" was refused at`, "by proxy "+proxy.Listener.Addr().String(), "not sent again")
			}
			assert.Equal(t, 1, len(p.lines), "requests to the proxy")
			refusal := wrong.Refusal()
			assert.True(t, strings.Contains(refusal, "by proxy "), "expected a refusal by the proxy, found %q", refusal)
			if c.name != "token by tunnel" { // its token service has no trusted certificate
				status, _, err := readText(t, client("pr0xy", c.url), get("/x"))
				assert.True(t, err == nil && status == http.StatusOK,
					"with the right password: expected status 200, found %d, %v", status, err)
			}
		})
	}
}

// A proxy's wrong password is sent once even if the request has ended before the proxy refuses it.
func TestLateRefusalOfProxyCounts(t *testing.T) {
	received := make(chan bool, 8) // one value for each request
	refuse := make(chan bool)      // closed when the proxy may answer
	proxy := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		received <- true
		<-refuse
		w.WriteHeader(http.StatusProxyAuthRequired)
	})
	roles := rolesOf(t, "https://example.com:44300", proxyRoles(proxy, "wr0ng")...)
	c := newClient(t, configOf(t, roles, Environment{Shared: Shared{Lockouts: lockouts.New()}}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-received
		cancel()
	}()
	_, err := c.Do(ctx, get("/x"))
	assert.True(t, err != nil, "expected the request to be cancelled")
	close(refuse)
	require.Until(t, func() bool { return c.Refusal() != "" }, func() string { return "a refusal" })
	wantFaultOf(t, c, get("/x"), wit.ErrorUnauthorized, "not sent again")
	assert.Equal(t, 0, len(received), "further requests to the proxy")
}

// A proxy's password that is sent only with requests for tokens is sent once, too, and a token shows that it was
// accepted.
func TestProxyPasswordOfTokensOnly(t *testing.T) {
	t.Setenv("NO_PROXY", "127.0.0.1")
	service := serve(t, (&issuer{}).withService())
	p := &corporateProxy{upstream: service.Listener.Addr().String()}
	proxy := serve(t, p.ServeHTTP)
	for _, password := range []string{"wr0ng", "pr0xy"} {
		p.lines = nil
		store := lockouts.New()
		roles := rolesOf(t, service.URL, proxyRoles(proxy, password, oauth2Roles("http://idp.example/token")...)...)
		config := configOf(t, roles, Environment{Shared: Shared{Lockouts: store}})
		logon, err := LogonOf(config)
		require.NoError(t, err)
		c := newClient(t, config)
		_, _, firstErr := readText(t, c, get("/x"))
		_, _, secondErr := readText(t, c, get("/x"))
		assert.Equal(t, []string{"POST http://idp.example/token"}, p.lines, "requests to the proxy")
		if isWrong := password == "wr0ng"; isWrong != (firstErr != nil) || isWrong != (secondErr != nil) {
			t.Errorf("%s: expected errors: %v, found %v and %v", password, isWrong, firstErr, secondErr)
		}
		role, ok := logon.Untried()
		assert.True(t, !ok, "%s: expected no untried secret, found %q", password, role)
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
			// The greeting has a version, the number of methods, and the methods.
			head := make([]byte, 2)
			_, err = io.ReadFull(conn, head)
			methods := make([]byte, head[1])
			if err == nil {
				_, err = io.ReadFull(conn, methods)
			}
			if err == nil {
				conn.Write([]byte{5, 2}) // SOCKS version 5, user and password
				_, err = io.ReadFull(conn, head)
			}
			if err == nil {
				logons.Add(1)
				conn.Write([]byte{1, 1}) // version 1 of the logon, refused
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

// A 401 to a request in absolute form may come from the proxy or the service, and counts as the service's. The error
// names the user of the service and the settings of the proxy.
func TestProxyResponseTakenForService(t *testing.T) {
	requests := 0
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		w.WriteHeader(http.StatusUnauthorized)
	})
	roles := rolesOf(t, "http://sap.example:8000", proxyRoles(proxy, "wr0ng", "http.user=u", "http.password=s3cret")...)
	c := clientOf(t, roles, Environment{Shared: Shared{Lockouts: lockouts.New()}})
	wantStatus(t, c, get("/x"), 401)
	wantFaultOf(t, c, get("/x"), wit.ErrorUnauthorized, `user "u"`, "by the service or by the proxy (see ",
		roles.Setting("http.proxy.user"), roles.Setting("http.proxy.password"), "lockouts resume")
	refusal := c.Refusal()
	assert.True(t, strings.Contains(refusal, roles.Setting("http.proxy.password")) && requests == 1,
		"expected one request and a refusal that names the proxy's password, found %d and %q", requests, refusal)
}

// Requests for tokens use the proxy of the service.
func TestTokensThroughCorporateProxy(t *testing.T) {
	p := &corporateProxy{upstream: serve(t, (&issuer{}).withService()).Listener.Addr().String()}
	c := clientOf(t, rolesOf(t, "http://sap.example:8000", proxyRoles(serve(t, p.ServeHTTP), "pr0xy",
		oauth2Roles("http://idp.example/token")...)...), Environment{})
	status, _, err := readText(t, c, get("/x"))
	assert.True(t, err == nil && status == 200 && len(p.lines) == 2 && p.lines[0] == "POST http://idp.example/token",
		"expected status 200 and a request for a token at the proxy, found %d, %v, %q", status, err, p.lines)
}

// Without a proxy in the settings, HTTP_PROXY and NO_PROXY of the environment apply.
func TestProxyOfTheEnvironment(t *testing.T) {
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	p := &corporateProxy{upstream: server.Listener.Addr().String()}
	proxy := serve(t, p.ServeHTTP)
	t.Setenv("HTTP_PROXY", "http://me:pr0xy@"+proxy.Listener.Addr().String())
	t.Setenv("NO_PROXY", "inside.example")
	for _, c := range []struct {
		url       string
		roles     []string
		usesProxy bool
	}{
		{url: "http://outside.example", usesProxy: true},
		{url: "http://inside.example"},
		{url: "http://outside.example", roles: []string{"http.proxy.type=none"}},
	} {
		config, err := ConfigOf(rolesOf(t, c.url, append(c.roles, "http.port=")...), Environment{})
		assert.True(t, err == nil && config.Route.AbsoluteForm == c.usesProxy,
			"%s %v: expected a proxy: %v, found %v, %v", c.url, c.roles, c.usesProxy, config.Route.AbsoluteForm, err)
	}
	c := clientOf(t, rolesOf(t, "http://outside.example:80"), Environment{})
	if status, _, err := readText(t, c, get("/x")); err != nil || status != 200 || len(p.lines) != 1 {
		t.Errorf("expected status 200 and one request at the proxy, found %d, %v, %q", status, err, p.lines)
	}
}

// startSubaccount starts a subaccount of SAP BTP with a system behind a Cloud Connector, s4.virtual:8000, for which it
// also returns the server.
func startSubaccount(t *testing.T, handler http.HandlerFunc) (*connectivitytest.Server, *httptest.Server) {
	t.Helper()
	a := connectivitytest.NewServer()
	t.Cleanup(a.Close)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	a.Map("s4.virtual:8000", server.Listener.Addr().String())
	return a, server
}

// The HTTP proxy of SAP Connectivity gets a new token after a 407. Requests wait for a missing Cloud Connector.
func TestConnectivityHTTP(t *testing.T) {
	var requests atomic.Int64
	a, _ := startSubaccount(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		for name := range r.Header {
			assert.True(t, !strings.HasPrefix(name, "Proxy-"), "expected no header %s at the service", name)
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
	// check sends r and checks the number of tokens so far.
	check := func(r *wit.Request, tokens int) {
		t.Helper()
		status, body, err := readText(t, c, r)
		if n := a.TokenCount(a.Connectivity); err != nil || status != 200 || n != tokens {
			t.Errorf("expected status 200 and %d tokens, found %d %s, %v, %d", tokens, status, body, err, n)
		}
	}
	check(get("/x"), 1)
	check(post("/x"), 1)
	a.ExpireTokens()
	check(post("/x"), 2) // the proxy answered 407, so that the service did not get the request before
	a.ExpireTokens()
	check(&wit.Request{Method: "GET", Target: "/once"}, 3)

	// Requests wait for a missing Cloud Connector.
	a.Detach("DE-Berlin")
	done := make(chan error, 2)
	for range 2 {
		go func() {
			_, _, err := readText(t, c, get("/away"))
			done <- err
		}()
	}
	require.NoError(t, a.Wait(t.Context(), 6, func(e connectivitytest.Entry) bool {
		return e.Port == "http" && e.Code == http.StatusServiceUnavailable
	}))
	a.Attach("DE-Berlin")
	for range 2 {
		assert.NoError(t, <-done)
	}
	assert.Equal(t, int64(6), requests.Load(), "requests at the service")
	log.wantOnce(t, "level=WARN msg=\"no Cloud Connector is connected, or the service is unavailable; waiting",
		"responds again")
	log.wantNone(t, "s3cret", "eyJ", a.Connectivity.Secret, "bWU6")
}

// A new token after a 407 does not depend on waiting for a missing Cloud Connector, also for a request that is sent
// once.
func TestConnectivityTokenWithoutOutage(t *testing.T) {
	a, _ := startSubaccount(t, func(http.ResponseWriter, *http.Request) {})
	a.Attach("")
	c := clientOf(t, rolesOf(t, "http://s4.virtual:8000", "http.proxy.type=sap-connectivity-http",
		"http.proxy.outage-ms=0"), Environment{VCAP: a.VCAP(0)})
	for range 2 {
		status, _, err := readText(t, c, &wit.Request{Method: "GET", Target: "/once"})
		assert.True(t, err == nil && status == 200, "expected status 200, found %d, %v", status, err)
		a.ExpireTokens()
	}
}

// Requests wait for a missing Cloud Connector as long as http.proxy.outage-ms specifies.
func TestConnectivityOutageEnds(t *testing.T) {
	a, _ := startSubaccount(t, func(http.ResponseWriter, *http.Request) {})
	a.Detach("")
	for _, kind := range []string{"sap-connectivity-http", "sap-connectivity-socks5"} {
		c := clientOf(t, rolesOf(t, "http://s4.virtual:8000", "http.proxy.type="+kind, "http.proxy.outage-ms=1500"),
			Environment{VCAP: a.VCAP(0)})
		began := time.Now()
		status, _, err := readText(t, c, get("/x"))
		assert.True(t, kind != "sap-connectivity-http" || (err == nil && status == 503),
			"%s: expected status 503, found %d, %v", kind, status, err)
		if kind != "sap-connectivity-http" {
			wantFault(t, err, wit.ErrorTransient, "no Cloud Connector is connected")
		}
		assert.AtLeast(t, 1500*time.Millisecond, time.Since(began), kind, "a failure after 1.5 s")
	}
}

// The SOCKS5 proxy of SAP Connectivity is called again after a reply that reports an outage, but not for a virtual host
// that no Cloud Connector exposes.
func TestConnectivitySOCKS5(t *testing.T) {
	requests := 0
	a, _ := startSubaccount(t, func(http.ResponseWriter, *http.Request) { requests++ })
	clientFor := func(address string) *Client {
		return clientOf(t, rolesOf(t, address, "http.proxy.type=sap-connectivity", "http.proxy.outage-ms=3600000"),
			Environment{VCAP: a.VCAP(0)})
	}
	c := clientFor("http://s4.virtual:8000")
	wantStatus(t, c, post("/x"), 200)
	stopAnswers := a.Answer(3, 2) // the next two connections get reply 3, network unreachable
	defer stopAnswers()
	c.Close()
	if status, _, err := readText(t, c, post("/x")); err != nil || status != 200 || requests != 2 {
		t.Errorf("after an outage: expected status 200 and two requests, found %d, %v, %d", status, err, requests)
	}
	_, _, err := readText(t, clientFor("http://other.virtual:1"), post("/x")) // does not wait for an hour
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

// The error of a certificate for another host names the setting of the address or of the destination, since there is no
// setting for the host check.
func TestCertificateOfAnotherHost(t *testing.T) {
	// The certificate is for example.com and 127.0.0.1.
	server := selfSigned(t, func(http.ResponseWriter, *http.Request) {})
	address := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	store := &btp.Store{Name: "roots.pem", Type: "PEM", Content: certificateOf(server)}
	for _, trust := range []*btp.Store{nil, store} {
		c := clientOf(t, rolesOf(t, address), Environment{Trust: trust})
		err := wantFaultOf(t, c, get("/"), wit.ErrorConfig, "http.address: "+address, "is for example.com, ",
			"not for localhost")
		assert.True(t, !strings.Contains(err.Error(), "host-check"), "expected a setting that exists, found %v", err)
	}
	byDestination := roleMap{"http.destination": "D"}
	assert.Equal(t, "http.destination", tlsSetting(byDestination, keystore.FieldHostCheck))
}

// After a rejected request the settings are refreshed: the request is repeated, and later requests use the new secret.
func TestChangedSecretIsUsedByAllRequests(t *testing.T) {
	var mu sync.Mutex
	sent := map[string]int{} // number of requests by password
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		mu.Lock()
		sent[password]++
		mu.Unlock()
		if password != "new" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	config := configOf(t, rolesOf(t, server.URL, "http.user=u", "http.password=old"),
		Environment{Shared: Shared{Lockouts: lockouts.New()}})
	next := config
	next.Password = "new"
	isChanged := false
	config.Refresh = func(_ context.Context, refused bool) (*Config, error) {
		if !refused || isChanged {
			return nil, nil
		}
		isChanged = true // needs no lock: refreshes are sequential
		return &next, nil
	}
	next.Refresh = config.Refresh
	c := newClient(t, config)
	runConcurrently(20, func(int) { wantStatus(t, c, post("/"), 200) })
	assert.True(t, sent["old"] == 1 && sent["new"] == 20,
		"expected the old secret once and the new one 20 times, found %v", sent)
}
