package rest

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/certtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/logging"
)

// startServer starts a server with one connector, a.
func startServer(t *testing.T, o Options) *Server {
	t.Helper()
	return startServerFor(t, o, slog.New(slog.DiscardHandler),
		&standIn{connectors: map[string]*standInConnector{"a": {state: "RUNNING"}}})
}

// startServerFor starts a server for a worker, by default on a free port of this machine.
func startServerFor(t *testing.T, o Options, log *slog.Logger, worker testWorker) *Server {
	t.Helper()
	if o.Listeners == nil {
		o.Listeners = []string{"http://127.0.0.1:0"}
	}
	s, err := Listen(o, log)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	s.Serve(worker.worker())
	return s
}

// assertStatus checks the status of a read.
func assertStatus(t *testing.T, client *http.Client, url string, want int) {
	t.Helper()
	assert.Equal(t, want, fetch(t, client, "GET", url, "").StatusCode, url)
}

// newRequest creates a request; headers are name, value, name, value, …
func newRequest(t *testing.T, method, url, body string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// exchange sends a request and returns the response with its body.
func exchange(t *testing.T, client *http.Client, r *http.Request) (a *http.Response, body string) {
	t.Helper()
	a, err := client.Do(r)
	require.NoError(t, err)
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	require.NoError(t, err)
	return a, string(text)
}

// fetch sends a request; logon is NAME:PASSWORD or empty.
func fetch(t *testing.T, client *http.Client, method, url, logon string, headers ...string) *http.Response {
	t.Helper()
	r := newRequest(t, method, url, "", headers...)
	if name, password, ok := strings.Cut(logon, ":"); ok {
		r.SetBasicAuth(name, password)
	}
	a, _ := exchange(t, client, r)
	return a
}

// get sends a request as the user me with the password secret.
func get(t *testing.T, method, url string) (status int, body string) {
	t.Helper()
	a, body := exchange(t, http.DefaultClient, newRequest(t, method, url, "", "Authorization", "Basic bWU6c2VjcmV0"))
	return a.StatusCode, body
}

// hashOf returns a cheap bcrypt hash.
func hashOf(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	require.NoError(t, err)
	return string(hash)
}

// usersFile writes a users file with anna and the password geheim.
func usersFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users")
	require.NoError(t, os.WriteFile(file, []byte("anna:"+hashOf(t, "geheim")+"\n"), 0o600))
	return file
}

func TestUsers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	write := func(text string) {
		t.Helper()
		require.NoError(t, os.WriteFile(file+".new", []byte(text), 0o600))
		require.NoError(t, os.Rename(file+".new", file))
	}
	// htpasswd writes $2y$, which is Go's $2a$.
	write("# users\nanna:" + strings.Replace(hashOf(t, "geheim"), "$2a$", "$2y$", 1) + "\n\n" +
		"bert:" + hashOf(t, "p:w") + "\n")
	s := startServer(t, Options{Users: file})
	url := s.URLs()[0]
	expect := func(logon, path string, want int) {
		t.Helper()
		for range 2 { // the second from memory
			a := fetch(t, http.DefaultClient, "GET", url+path, logon)
			assert.Equal(t, want, a.StatusCode, logon, path)
			challenge := a.Header.Get("WWW-Authenticate")
			assert.True(t, (challenge != "") == (want == 401), "%q %s: WWW-Authenticate is %q", logon, path, challenge)
		}
	}
	expect("", "/connectors", 401)
	expect("anna:geheim", "/connectors", 200)
	expect("anna:falsch", "/connectors", 401)
	expect("bert:p:w", "/connectors/a/status", 200)
	expect("carl:geheim", "/connectors", 401)
	expect("", "/metrics", 401)
	expect("", "/health", 200)

	// An old password is rejected at once. A broken file changes nothing.
	write("anna:" + hashOf(t, "neu") + "\n")
	expect("anna:geheim", "/connectors", 401)
	expect("anna:neu", "/connectors", 200)
	expect("bert:p:w", "/connectors", 401)
	write("anna:{SHA}x\n")
	expect("anna:neu", "/connectors", 200)

	for text, want := range map[string]string{
		"anna:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=": ":1: user anna: expected a hash of bcrypt",
		"\nanna":                                 ":2: expected NAME:HASH",
		"# nobody":                               "expected at least one user",
		"anna:$2a$31$" + strings.Repeat("x", 53): "expected a hash that costs at most 14, found 31",
		strings.Repeat("# nobody\n", 200_000):    "expected at most 1048576 bytes",
	} {
		write(text)
		_, err := Listen(Options{Listeners: []string{"http://127.0.0.1:0"}, Users: file}, slog.New(slog.DiscardHandler))
		assert.Error(t, err, want, text[:min(len(text), 40)])
		assert.Error(t, err, "rest.basic.auth.file")
	}

	// A pipe may never end.
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	_, err := Listen(Options{Listeners: []string{"http://127.0.0.1:0"}, Users: pipe}, slog.New(slog.DiscardHandler))
	assert.Error(t, err, "found a pipe")
}

// An unknown user takes as long as a known one: the password is compared with a hash of the file, for each name with
// the same one, whatever the costs of the hashes.
func TestUnknownUserTakesAsLongAsKnownUser(t *testing.T) {
	userLine := func(name string, cost int) string {
		hash, err := bcrypt.GenerateFromPassword([]byte("geheim"), cost)
		require.NoError(t, err)
		return name + ":" + string(hash) + "\n"
	}
	for _, c := range []struct {
		text string
		want []int
	}{
		{text: userLine("anna", bcrypt.MinCost), want: []int{bcrypt.MinCost}},
		{text: userLine("anna", 11), want: []int{11}},
		{text: userLine("anna", bcrypt.MinCost) + userLine("bert", 5), want: []int{bcrypt.MinCost, 5}},
	} {
		file := filepath.Join(t.TempDir(), "users")
		require.NoError(t, os.WriteFile(file, []byte(c.text), 0o600))
		u, err := readUsers(file, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		costsFound := map[int]bool{}
		for n := range 100 {
			name := "carl" + strconv.Itoa(n)
			hash, isKnown := u.hashToCompare(name)
			secondHash, _ := u.hashToCompare(name)
			cost, err := bcrypt.Cost(hash)
			assert.True(t, !isKnown && err == nil && bytes.Equal(hash, secondHash),
				"%s: found %s, %s (%v)", name, hash, secondHash, err)
			costsFound[cost] = true
		}
		costs := slices.Sorted(maps.Keys(costsFound))
		assert.True(t, slices.Equal(costs, c.want), "expected costs %v, found %v", c.want, costs)
	}
}

// Each route and each page requires a logon. With a read-only REST API changes are rejected, also if another worker of
// the group forwards them. The worker's own endpoints respond to permitted users only.
func TestAccessToEachRoute(t *testing.T) {
	file := usersFile(t)
	pages := func(p Pages) http.Handler { return p.API }
	type visitor struct {
		server         *Server
		query          string
		logon          string
		allows         func(isChange bool) bool
		rejectedStatus int
	}
	nothing := func(bool) bool { return false }
	everything := func(bool) bool { return true }
	onlyReads := func(isChange bool) bool { return !isChange }
	var visitors []visitor
	leaderSeat := &seat{url: "http://here:1", leader: "http://here:1"}
	for query, cluster := range map[string]Cluster{"": nil, "?forward=true": leaderSeat} {
		withLogon := startServer(t, Options{Users: file, Console: pages, Cluster: cluster})
		readOnly := startServer(t, Options{ReadOnly: true, Console: pages, Cluster: cluster})
		visitors = append(visitors,
			visitor{server: withLogon, query: query, allows: nothing, rejectedStatus: 401},
			visitor{server: withLogon, query: query, logon: "anna:falsch", allows: nothing, rejectedStatus: 401},
			visitor{server: withLogon, query: query, logon: "anna:geheim", allows: everything, rejectedStatus: 401},
			visitor{server: readOnly, query: query, allows: onlyReads, rejectedStatus: 403})
	}
	checked := 0
	for _, r := range append(slices.Clone(routes), route{method: "GET", path: "/console/form"},
		route{method: "POST", path: "/console/act"}) {
		if (r.serve == nil && !strings.HasPrefix(r.path, consolePath)) || r.path == "/health" {
			continue
		}
		target := strings.NewReplacer("{name}", "a", "{task}", "0", "{feed}", "f", "{id}", "1", "{command}",
			"ping").Replace(r.path)
		changes := r.method != http.MethodGet && !r.readOnly
		for _, visitor := range visitors {
			a := fetch(t, http.DefaultClient, r.method, visitor.server.URLs()[0]+target+visitor.query, visitor.logon)
			if isRejected := a.StatusCode == visitor.rejectedStatus; isRejected == visitor.allows(changes) {
				t.Errorf("%s %s%s by %q: status %d", r.method, target, visitor.query, visitor.logon, a.StatusCode)
			}
			checked++
		}
	}
	assert.AtLeast(t, 8*50, checked, "requests")
}

// A browser is redirected from / to the console, if there is one; other clients are not.
func TestRootRedirectsBrowsersToConsole(t *testing.T) {
	withConsole := startServer(t, Options{Console: func(p Pages) http.Handler { return p.API }}).URLs()[0]
	withoutConsole := startServer(t, Options{}).URLs()[0]
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, c := range []struct {
		url    string
		accept string
		to     string
	}{
		{url: withConsole, accept: "text/html,application/xhtml+xml,*/*;q=0.8", to: "./console/"},
		{url: withConsole, accept: "*/*"},
		{url: withConsole},
		{url: withConsole, accept: "application/json"},
		{url: withConsole, accept: "text/htmlx"},
		{url: withConsole + "/console", to: "./console/"},
		{url: withoutConsole, accept: "text/html"},
		{url: withoutConsole + "/console", accept: "text/html"},
	} {
		a := fetch(t, client, "GET", c.url, "", "Accept", c.accept)
		if to := a.Header.Get("Location"); to != c.to || (a.StatusCode == 303) != (to != "") {
			t.Errorf("%s, Accept %q: expected %q, found %d %q", c.url, c.accept, c.to, a.StatusCode, to)
		}
	}
}

func TestAdminListeners(t *testing.T) {
	for name, c := range map[string]struct {
		o          Options
		main       int // status of /admin/loggers on the main listener
		admin      int // status of /admin/loggers on the admin listener, 0 without one
		connectors int // status of /connectors on the admin listener
	}{
		"not set": {o: Options{}, main: 200},
		"empty":   {o: Options{SeparateAdmin: true}, main: 404},
		"its own": {o: Options{SeparateAdmin: true, Admin: []string{"http://127.0.0.1:0"}}, main: 404, admin: 200,
			connectors: 404},
	} {
		t.Run(name, func(t *testing.T) {
			levels, _ := logging.LevelsOf(slog.New(slog.NewTextHandler(io.Discard, nil)))
			s := startServerFor(t, c.o, slog.New(slog.DiscardHandler), &standIn{parts: Parts{Levels: levels}})
			urls := s.URLs()
			assertStatus(t, http.DefaultClient, urls[0]+"/admin/loggers", c.main)
			assertStatus(t, http.DefaultClient, urls[0]+"/connectors", 200)
			assert.Len(t, 1, s.Addresses(), "address")
			if c.admin == 0 {
				return
			}
			assertStatus(t, http.DefaultClient, urls[1]+"/admin/loggers", c.admin)
			assertStatus(t, http.DefaultClient, urls[1]+"/connectors", c.connectors)
		})
	}
}

func TestCrossOrigin(t *testing.T) {
	const page = "https://ui.example.com"
	withoutOrigins := startServer(t, Options{}).URLs()[0]
	oneOrigin := startServer(t, Options{Origins: []string{page}, Methods: []string{"GET", "PUT"}}).URLs()[0]
	anyOrigin := startServer(t, Options{Origins: []string{"*"}, Console: func(Pages) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	}}).URLs()[0]
	for _, c := range []struct {
		url     string
		method  string
		path    string
		origin  string
		status  int
		allowed string
	}{
		{url: withoutOrigins, method: "GET", path: "/connectors", origin: page, status: 200},
		{url: withoutOrigins, method: "PUT", path: "/connectors/a/pause", origin: page, status: 403},
		{url: oneOrigin, method: "GET", path: "/connectors", origin: page, status: 200, allowed: page},
		{url: oneOrigin, method: "GET", path: "/connectors", origin: "https://other.example.com", status: 200},
		{url: oneOrigin, method: "PUT", path: "/connectors/a/pause", origin: page, status: 202, allowed: page},
		{url: oneOrigin, method: "PUT", path: "/connectors/a/pause", origin: "https://other.example.com", status: 403},
		// Not an allowed method.
		{url: oneOrigin, method: "POST", path: "/connectors/a/restart", origin: page, status: 403},
		{
			url:     anyOrigin,
			method:  "POST",
			path:    "/connectors/a/restart",
			origin:  "https://other.example.com",
			status:  204,
			allowed: "https://other.example.com",
		},
		{url: anyOrigin, method: "PUT", path: "/connectors/a/pause", origin: "https://other.example.com", status: 403},
		// A request of the console could be any change.
		{url: anyOrigin, method: "POST", path: "/console/act", origin: "https://other.example.com", status: 403},
		{url: anyOrigin, method: "GET", path: "/console/", origin: "https://other.example.com", status: 200},
	} {
		a := fetch(t, http.DefaultClient, c.method, c.url+c.path, "", "Origin", c.origin)
		allowed := a.Header.Get("Access-Control-Allow-Origin")
		assert.True(t, a.StatusCode == c.status && (c.status >= 300 || allowed == c.allowed),
			"%+v: found %d, allowed %q", c, a.StatusCode, allowed)
	}
	a := fetch(t, http.DefaultClient, "OPTIONS", oneOrigin+"/connectors/a/pause", "", "Origin", page,
		"Access-Control-Request-Method", "PUT")
	assert.True(t, a.StatusCode == 200 && a.Header.Get("Access-Control-Allow-Methods") == "GET,PUT" &&
		a.Header.Get("Access-Control-Allow-Credentials") == "",
		"expected 200 with the methods GET,PUT and without credentials, found %d %v", a.StatusCode, a.Header)
}

func TestAddedHeaders(t *testing.T) {
	url := startServer(t, Options{Headers: `set X-Frame-Options: DENY, "add Cache-Control: no-cache, no-store", ` +
		"setDate Expires: 60000"}).URLs()[0]
	a := fetch(t, http.DefaultClient, "GET", url+"/connectors", "")
	expires, err := http.ParseTime(a.Header.Get("Expires"))
	assert.True(t, a.Header.Get("X-Frame-Options") == "DENY" && a.Header.Get("Cache-Control") == "no-cache, no-store" &&
		err == nil && expires.After(time.Now().Add(-time.Hour)),
		"expected the three configured headers, found %v %v", a.Header, err)
	for _, text := range []string{"X-Frame-Options: DENY", "put X: y", "set X", "set X Y: z", "setDate X: soon"} {
		assert.Error(t, Options{Headers: text}.Check(), "expected `ACTION NAME: VALUE`", text)
	}
}

// Responses may contain passwords, rows and log lines: no browser or proxy stores a response of any route.
func TestResponsesAreNotCached(t *testing.T) {
	url := startServer(t, Options{}).URLs()[0]
	for _, call := range []string{
		"GET /",
		"GET /connectors",
		"GET /connectors/a/config",
		"GET /connectors?expand=info",
		"PUT /connector-plugins/X/config/validate",
		"GET /culvert/log?limit=x",
		"GET /culvert/connectors/a/samples",
		"GET /culvert/connectors/a/errors",
		"GET /nothing",
		"OPTIONS /connectors",
		"GET /a//b",
	} {
		method, target, _ := strings.Cut(call, " ")
		a := fetch(t, http.DefaultClient, method, url+target, "")
		if got := a.Header.Values("Cache-Control"); len(got) != 1 || got[0] != "no-store" {
			t.Errorf("%s, %d: expected no-store, found %q", call, a.StatusCode, got)
		}
	}
}

func TestListenersWithTLS(t *testing.T) {
	dir := t.TempDir()
	authority := certtest.Issue(t, "authority", nil, nil)
	server := certtest.Issue(t, "server", authority, nil)
	client := certtest.Issue(t, "client", authority, nil).TLS()
	stranger := certtest.Issue(t, "stranger", nil, nil).TLS()
	for name, text := range map[string][]byte{"server.pem": server.KeyPEM(t), "ca.pem": authority.PEM()} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	clientWith := func(certificates ...tls.Certificate) *http.Client {
		return &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{RootCAs: authority.Pool(), Certificates: certificates}}}
	}
	settings := map[string]string{"ssl.keystore.location": filepath.Join(dir, "server.pem")}
	o := Options{Listeners: []string{"https://127.0.0.1:0"}, TLS: settings}
	url := startServer(t, o).URLs()[0]
	assertStatus(t, clientWith(), url+"/connectors", 200)
	assert.True(t, strings.HasPrefix(url, "https://"), "expected https, found %s", url)
	settings["ssl.client.auth"] = "required"
	settings["ssl.truststore.location"] = filepath.Join(dir, "ca.pem")
	url = startServer(t, o).URLs()[0]
	assertStatus(t, clientWith(client), url+"/connectors", 200)
	for name, certificates := range map[string][]tls.Certificate{"none": nil, "a stranger's": {stranger}} {
		if a, err := clientWith(certificates...).Get(url + "/connectors"); err == nil {
			t.Errorf("certificate: %s: expected it to be rejected, found %d", name, a.StatusCode)
		}
	}
	for name, c := range map[string]struct{ setting, value, want string }{
		"no store": {
			setting: "ssl.keystore.location",
			want:    "listeners.https.ssl.keystore.location: expected a store",
		},
		"missing file": {
			setting: "ssl.keystore.location",
			value:   filepath.Join(dir, "x.pem"),
			want:    "listeners.https.ssl.keystore.location",
		},
		"unknown choice": {setting: "ssl.client.auth", value: "maybe", want: "expected none, requested or required"},
		"unknown":        {setting: "ssl.provider", value: "x", want: "listeners.https.ssl.provider is not built"},
		"version":        {setting: "ssl.protocol", value: "SSLv3", want: "listeners.https.ssl.protocol"},
	} {
		invalid := maps.Clone(settings)
		invalid[c.setting] = c.value
		options := Options{Listeners: []string{"https://127.0.0.1:0"}, TLS: invalid}
		_, err := Listen(options, slog.New(slog.DiscardHandler))
		assert.Error(t, err, c.want, name)
	}
}

// The rights of a page distinguish what REST shows on different listeners and for different hosts, although each of
// them may only read for the same reason.
func TestRightsOfPages(t *testing.T) {
	s := startServer(t, Options{ReadOnly: true, Listeners: []string{"http://127.0.0.1:0", "http://0.0.0.0:0"},
		Console: func(p Pages) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, "%+v", p.Rights(r))
			})
		}})
	rights := func(listener int, host string) string {
		_, port, _ := net.SplitHostPort(s.Addresses()[listener])
		r, err := http.NewRequest("GET", "http://127.0.0.1:"+port+"/console/", nil)
		require.NoError(t, err)
		r.Host = host
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return string(text)
	}
	assert.Equal(t, "{ReadOnlyReason:rest.read.only=true ShapeOnlyReason: HidesSecrets:false}", rights(0, "localhost"))
	assert.Contains(t, rights(1, "localhost"), "{ReadOnlyReason:rest.read.only=true ShapeOnlyReason:this listener requires",
		"HidesSecrets:false")
	assert.Contains(t, rights(1, "example.com"), "ReadOnlyReason:rest.read.only=true ShapeOnlyReason:this request sees no",
		"HidesSecrets:true")
}
