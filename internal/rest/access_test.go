package rest

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"maps"
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

// listening starts a server with one connector, a.
func listening(t *testing.T, o Options) *Server {
	t.Helper()
	return opened(t, o, slog.New(slog.DiscardHandler),
		&standIn{connectors: map[string]*standInConnector{"a": {state: "RUNNING"}}})
}

// opened starts a server for a worker, by default on a free port of this machine.
func opened(t *testing.T, o Options, log *slog.Logger, worker double) *Server {
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

// answers expects the status of a read.
func answers(t *testing.T, client *http.Client, url string, want int) {
	t.Helper()
	if a := fetched(t, client, "GET", url, ""); a.StatusCode != want {
		t.Errorf("%s: expected %d, found %d", url, want, a.StatusCode)
	}
}

// requestOf creates a request; headers are name, value, name, value, …
func requestOf(t *testing.T, method, url, body string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// exchanged sends a request and returns the response with its body.
func exchanged(t *testing.T, client *http.Client, r *http.Request) (a *http.Response, body string) {
	t.Helper()
	a, err := client.Do(r)
	require.NoError(t, err)
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	require.NoError(t, err)
	return a, string(text)
}

// fetched sends a request; logon is NAME:PASSWORD or empty.
func fetched(t *testing.T, client *http.Client, method, url, logon string, headers ...string) *http.Response {
	t.Helper()
	r := requestOf(t, method, url, "", headers...)
	if name, password, ok := strings.Cut(logon, ":"); ok {
		r.SetBasicAuth(name, password)
	}
	a, _ := exchanged(t, client, r)
	return a
}

// get sends a request as the user me with the password secret.
func get(t *testing.T, method, url string) (status int, body string) {
	t.Helper()
	a, body := exchanged(t, http.DefaultClient, requestOf(t, method, url, "", "Authorization", "Basic bWU6c2VjcmV0"))
	return a.StatusCode, body
}

func hashed(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	require.NoError(t, err)
	return string(hash)
}

// usersFile writes a users file with anna and the password geheim.
func usersFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users")
	require.NoError(t, os.WriteFile(file, []byte("anna:"+hashed(t, "geheim")+"\n"), 0o600))
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
	write("# users\nanna:" + strings.Replace(hashed(t, "geheim"), "$2a$", "$2y$", 1) + "\n\nbert:" + hashed(t,
		"p:w") + "\n")
	s := listening(t, Options{Users: file})
	url := s.URLs()[0]
	expect := func(logon, path string, want int) {
		t.Helper()
		for range 2 { // the second from memory
			a := fetched(t, http.DefaultClient, "GET", url+path, logon)
			if a.StatusCode != want {
				t.Errorf("%q %s: expected %d, found %d", logon, path, want, a.StatusCode)
			}
			if challenge := a.Header.Get("WWW-Authenticate"); (challenge != "") != (want == 401) {
				t.Errorf("%q %s: WWW-Authenticate is %q", logon, path, challenge)
			}
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
	write("anna:" + hashed(t, "neu") + "\n")
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
	of := func(name string, cost int) string {
		hash, err := bcrypt.GenerateFromPassword([]byte("geheim"), cost)
		require.NoError(t, err)
		return name + ":" + string(hash) + "\n"
	}
	for _, c := range []struct {
		text string
		want []int
	}{
		{of("anna", bcrypt.MinCost), []int{bcrypt.MinCost}}, {of("anna", 11), []int{11}},
		{of("anna", bcrypt.MinCost) + of("bert", 5), []int{bcrypt.MinCost, 5}},
	} {
		file := filepath.Join(t.TempDir(), "users")
		require.NoError(t, os.WriteFile(file, []byte(c.text), 0o600))
		u, err := readUsers(file, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		found := map[int]bool{}
		for n := range 100 {
			name := "carl" + strconv.Itoa(n)
			hash, exists := u.hashToCompare(name)
			again, _ := u.hashToCompare(name)
			cost, err := bcrypt.Cost(hash)
			if exists || err != nil || !bytes.Equal(hash, again) {
				t.Errorf("%s: found %s, %s (%v)", name, hash, again, err)
			}
			found[cost] = true
		}
		if costs := slices.Sorted(maps.Keys(found)); !slices.Equal(costs, c.want) {
			t.Errorf("expected costs %v, found %v", c.want, costs)
		}
	}
}

// Each route and each page requires a logon. With a read-only REST API changes are rejected, also if another worker of
// the group forwards them. The worker's own endpoints respond to permitted users only.
func TestAccessToEachRoute(t *testing.T) {
	file := usersFile(t)
	pages := func(p Pages) http.Handler { return p.API }
	type way struct {
		s     *Server
		query string
		logon string
		let   func(changes bool) bool
		not   int
	}
	var ways []way
	leads := &seat{url: "http://here:1", leader: "http://here:1"}
	for query, cluster := range map[string]Cluster{"": nil, "?forward=true": leads} {
		users := listening(t, Options{Users: file, Console: pages, Cluster: cluster})
		reads := listening(t, Options{ReadOnly: true, Console: pages, Cluster: cluster})
		ways = append(ways, way{users, query, "", func(bool) bool { return false }, 401},
			way{users, query, "anna:falsch", func(bool) bool { return false }, 401},
			way{users, query, "anna:geheim", func(bool) bool { return true }, 401},
			way{reads, query, "", func(changes bool) bool { return !changes }, 403})
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
		for _, way := range ways {
			a := fetched(t, http.DefaultClient, r.method, way.s.URLs()[0]+target+way.query, way.logon)
			if refused := a.StatusCode == way.not; refused == way.let(changes) {
				t.Errorf("%s %s%s by %q: status %d", r.method, target, way.query, way.logon, a.StatusCode)
			}
			checked++
		}
	}
	if checked < 8*50 {
		t.Errorf("expected at least 400 requests, found %d", checked)
	}
}

// A browser is redirected from / to the console, if there is one; other clients are not.
func TestRootRedirectsBrowsersToConsole(t *testing.T) {
	with := listening(t, Options{Console: func(p Pages) http.Handler { return p.API }}).URLs()[0]
	without := listening(t, Options{}).URLs()[0]
	stays := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, c := range []struct {
		url    string
		accept string
		to     string
	}{
		{with, "text/html,application/xhtml+xml,*/*;q=0.8", "./console/"}, {with, "*/*", ""}, {with, "", ""},
		{with, "application/json", ""}, {with, "text/htmlx", ""}, {with + "/console", "", "./console/"},
		{without, "text/html", ""}, {without + "/console", "text/html", ""},
	} {
		a := fetched(t, stays, "GET", c.url, "", "Accept", c.accept)
		if to := a.Header.Get("Location"); to != c.to || (a.StatusCode == 303) != (to != "") {
			t.Errorf("%s, Accept %q: expected %q, found %d %q", c.url, c.accept, c.to, a.StatusCode, to)
		}
	}
}

func TestAdminListeners(t *testing.T) {
	for name, c := range map[string]struct {
		o        Options
		main     int
		admin    int
		elsewere int
	}{
		"not given": {Options{}, 200, 0, 0},
		"empty":     {Options{SeparateAdmin: true}, 404, 0, 0},
		"own":       {Options{SeparateAdmin: true, Admin: []string{"http://127.0.0.1:0"}}, 404, 200, 404},
	} {
		t.Run(name, func(t *testing.T) {
			levels, _ := logging.LevelsOf(slog.New(slog.NewTextHandler(io.Discard, nil)))
			s := opened(t, c.o, slog.New(slog.DiscardHandler), &standIn{parts: Parts{Levels: levels}})
			urls := s.URLs()
			answers(t, http.DefaultClient, urls[0]+"/admin/loggers", c.main)
			answers(t, http.DefaultClient, urls[0]+"/connectors", 200)
			if len(s.Addresses()) != 1 {
				t.Errorf("expected one address, found %q", s.Addresses())
			}
			if c.admin == 0 {
				return
			}
			answers(t, http.DefaultClient, urls[1]+"/admin/loggers", c.admin)
			answers(t, http.DefaultClient, urls[1]+"/connectors", c.elsewere)
		})
	}
}

func TestCrossOrigin(t *testing.T) {
	const page = "https://ui.example.com"
	closed := listening(t, Options{}).URLs()[0]
	open := listening(t, Options{Origins: []string{page}, Methods: []string{"GET", "PUT"}}).URLs()[0]
	any := listening(t, Options{Origins: []string{"*"}, Console: func(Pages) http.Handler {
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
		{closed, "GET", "/connectors", page, 200, ""},
		{closed, "PUT", "/connectors/a/pause", page, 403, ""},
		{open, "GET", "/connectors", page, 200, page},
		{open, "GET", "/connectors", "https://other.example.com", 200, ""},
		{open, "PUT", "/connectors/a/pause", page, 202, page},
		{open, "PUT", "/connectors/a/pause", "https://other.example.com", 403, ""},
		{open, "POST", "/connectors/a/restart", page, 403, ""}, // not an allowed method
		{any, "POST", "/connectors/a/restart", "https://other.example.com", 204, "https://other.example.com"},
		{any, "PUT", "/connectors/a/pause", "https://other.example.com", 403, ""},
		{any, "POST", "/console/act", "https://other.example.com", 403, ""}, // which could be any method of REST's
		{any, "GET", "/console/", "https://other.example.com", 200, ""},
	} {
		a := fetched(t, http.DefaultClient, c.method, c.url+c.path, "", "Origin", c.origin)
		if found := a.Header.Get("Access-Control-Allow-Origin"); a.StatusCode != c.status || (c.status < 300 &&
			found != c.allowed) {
			t.Errorf("%+v: found %d, allowed %q", c, a.StatusCode, found)
		}
	}
	a := fetched(t, http.DefaultClient, "OPTIONS", open+"/connectors/a/pause", "", "Origin", page,
		"Access-Control-Request-Method", "PUT")
	if a.StatusCode != 200 || a.Header.Get("Access-Control-Allow-Methods") != "GET,PUT" ||
		a.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("found %d %v", a.StatusCode, a.Header)
	}
}

func TestAddedHeaders(t *testing.T) {
	url := listening(t, Options{Headers: `set X-Frame-Options: DENY, "add Cache-Control: no-cache, no-store", ` +
		"setDate Expires: 60000"}).URLs()[0]
	a := fetched(t, http.DefaultClient, "GET", url+"/connectors", "")
	expires, err := http.ParseTime(a.Header.Get("Expires"))
	if a.Header.Get("X-Frame-Options") != "DENY" || a.Header.Get("Cache-Control") != "no-cache, no-store" ||
		err != nil ||
		!expires.After(time.Now().Add(-time.Hour)) {
		t.Errorf("found %v %v", a.Header, err)
	}
	for _, text := range []string{"X-Frame-Options: DENY", "put X: y", "set X", "set X Y: z", "setDate X: soon"} {
		assert.Error(t, Options{Headers: text}.Check(), "expected `ACTION NAME: VALUE`", text)
	}
}

// Responses may contain passwords, rows and log lines: no browser or proxy stores a response of any route.
func TestResponsesAreNotCached(t *testing.T) {
	url := listening(t, Options{}).URLs()[0]
	for _, c := range [][2]string{{"GET", "/"}, {"GET", "/connectors"}, {"GET", "/connectors/a/config"},
		{"GET", "/connectors?expand=info"}, {"PUT", "/connector-plugins/X/config/validate"},
		{"GET", "/culvert/log?limit=x"}, {"GET", "/culvert/connectors/a/samples"},
		{"GET", "/culvert/connectors/a/errors"},
		{"GET", "/nothing"}, {"OPTIONS", "/connectors"}, {"GET", "/a//b"}} {
		a := fetched(t, http.DefaultClient, c[0], url+c[1], "")
		if found := a.Header.Values("Cache-Control"); len(found) != 1 || found[0] != "no-store" {
			t.Errorf("%s %s, %d: expected no-store, found %q", c[0], c[1], a.StatusCode, found)
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
	over := func(own ...tls.Certificate) *http.Client {
		return &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{RootCAs: authority.Pool(), Certificates: own}}}
	}
	settings := map[string]string{"ssl.keystore.location": filepath.Join(dir, "server.pem")}
	o := Options{Listeners: []string{"https://127.0.0.1:0"}, TLS: settings}
	url := listening(t, o).URLs()[0]
	answers(t, over(), url+"/connectors", 200)
	if !strings.HasPrefix(url, "https://") {
		t.Errorf("expected https, found %s", url)
	}
	settings["ssl.client.auth"] = "required"
	settings["ssl.truststore.location"] = filepath.Join(dir, "ca.pem")
	url = listening(t, o).URLs()[0]
	answers(t, over(client), url+"/connectors", 200)
	for name, own := range map[string][]tls.Certificate{"none": nil, "a stranger's": {stranger}} {
		if a, err := over(own...).Get(url + "/connectors"); err == nil {
			t.Errorf("certificate: %s: expected it to be rejected, found %d", name, a.StatusCode)
		}
	}
	for name, c := range map[string]struct{ setting, value, want string }{
		"no store":      {"ssl.keystore.location", "", "listeners.https.ssl.keystore.location: expected a store"},
		"missing file":  {"ssl.keystore.location", filepath.Join(dir, "x.pem"), "listeners.https.ssl.keystore.location"},
		"client's word": {"ssl.client.auth", "maybe", "expected none, requested or required"},
		"unknown":       {"ssl.provider", "x", "listeners.https.ssl.provider is not built"},
		"version":       {"ssl.protocol", "SSLv3", "listeners.https.ssl.protocol"},
	} {
		bad := maps.Clone(settings)
		bad[c.setting] = c.value
		_, err := Listen(Options{Listeners: []string{"https://127.0.0.1:0"}, TLS: bad}, slog.New(slog.DiscardHandler))
		assert.Error(t, err, c.want, name)
	}
}
