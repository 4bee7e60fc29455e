package rest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/logging"
)

// listening is a server for one connector, a.
func listening(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Listeners == nil {
		o.Listeners = []string{"http://127.0.0.1:0"}
	}
	s, err := Listen(o, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	s.Serve(&standIn{connectors: map[string]*standInConnector{"a": {state: "RUNNING"}}})
	return s
}

// fetched sends a request; with NAME:PASSWORD as logon.
func fetched(t *testing.T, client *http.Client, method, url, logon string, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	require.NoError(t, err)
	if name, password, ok := strings.Cut(logon, ":"); ok {
		r.SetBasicAuth(name, password)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	a, err := client.Do(r)
	require.NoError(t, err)
	body, err := io.ReadAll(a.Body)
	a.Body.Close()
	require.NoError(t, err)
	a.Body = io.NopCloser(strings.NewReader(string(body)))
	return a
}

func hashed(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	require.NoError(t, err)
	return string(hash)
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
			if told := a.Header.Get("WWW-Authenticate"); (told != "") != (want == 401) {
				t.Errorf("%q %s: WWW-Authenticate is %q", logon, path, told)
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

	// What a user's password was counts no longer; a file that is broken changes nothing.
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
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(),
			"rest.basic.auth.file") {
			t.Errorf("%.40q: expected %q, found %v", text, want, err)
		}
	}

	// A pipe need never end.
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	_, err := Listen(Options{Listeners: []string{"http://127.0.0.1:0"}, Users: pipe}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "found a pipe") {
		t.Errorf("expected that a pipe is not opened, found %v", err)
	}
}

func TestReadOnly(t *testing.T) {
	url := listening(t, Options{ReadOnly: true}).URLs()[0]
	for call, want := range map[string]int{
		"GET /connectors": 200, "HEAD /connectors": 200, "OPTIONS /connectors": 200, "POST /connectors": 403,
		"PUT /connectors/a/config": 403, "PATCH /connectors/a/config": 403, "DELETE /connectors/a": 403,
		"PUT /connectors/a/pause": 403, "POST /connectors/a/restart": 403, "DELETE /connectors/a/offsets": 403,
		"PUT /admin/loggers/root": 403, "PUT /connectors/a/topics/reset": 403,
		// which has no body here, and changes nothing with one
		"PUT /connector-plugins/X/config/validate": 500, "PUT /connector-plugins/X/config/%76alidate": 500,
		"PUT /connector-plugins/X/config/validate/": 500, "PUT /connector-plugins/../connectors/a/pause": 403,
	} {
		method, path, _ := strings.Cut(call, " ")
		if a := fetched(t, http.DefaultClient, method, url+path, ""); a.StatusCode != want {
			t.Errorf("%s: expected %d, found %d", call, want, a.StatusCode)
		}
	}
}

func TestAdminListeners(t *testing.T) {
	for name, c := range map[string]struct {
		o                     Options
		main, admin, elsewere int
	}{
		"not given": {Options{}, 200, 0, 0},
		"empty":     {Options{Apart: true}, 404, 0, 0},
		"own":       {Options{Apart: true, Admin: []string{"http://127.0.0.1:0"}}, 404, 200, 404},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Listeners = []string{"http://127.0.0.1:0"}
			s, err := Listen(c.o, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			defer s.Close()
			levels, _ := logging.Of(slog.New(slog.NewTextHandler(io.Discard, nil)))
			s.Serve(&standIn{levels: levels})
			urls := s.URLs()
			if a := fetched(t, http.DefaultClient, "GET", urls[0]+"/admin/loggers", ""); a.StatusCode != c.main {
				t.Errorf("expected %d, found %d", c.main, a.StatusCode)
			}
			if a := fetched(t, http.DefaultClient, "GET", urls[0]+"/connectors", ""); a.StatusCode != 200 {
				t.Errorf("expected 200, found %d", a.StatusCode)
			}
			if len(s.Addresses()) != 1 {
				t.Errorf("expected one address, found %q", s.Addresses())
			}
			if c.admin == 0 {
				return
			}
			if a := fetched(t, http.DefaultClient, "GET", urls[1]+"/admin/loggers", ""); a.StatusCode != c.admin {
				t.Errorf("expected %d, found %d", c.admin, a.StatusCode)
			}
			if a := fetched(t, http.DefaultClient, "GET", urls[1]+"/connectors", ""); a.StatusCode != c.elsewere {
				t.Errorf("expected %d, found %d", c.elsewere, a.StatusCode)
			}
		})
	}
}

func TestCrossOrigin(t *testing.T) {
	const page = "https://ui.example.com"
	closed := listening(t, Options{}).URLs()[0]
	open := listening(t, Options{Origins: []string{page}, Methods: []string{"GET", "PUT"}}).URLs()[0]
	any := listening(t, Options{Origins: []string{"*"}}).URLs()[0]
	for _, c := range []struct {
		url, method, path, origin string
		status                    int
		allowed                   string
	}{
		{closed, "GET", "/connectors", page, 200, ""},
		{closed, "PUT", "/connectors/a/pause", page, 403, ""},
		{open, "GET", "/connectors", page, 200, page},
		{open, "GET", "/connectors", "https://other.example.com", 200, ""},
		{open, "PUT", "/connectors/a/pause", page, 202, page},
		{open, "PUT", "/connectors/a/pause", "https://other.example.com", 403, ""},
		{open, "POST", "/connectors/a/restart", page, 403, ""}, // no method of its
		{any, "POST", "/connectors/a/restart", "https://other.example.com", 204, "https://other.example.com"},
		{any, "PUT", "/connectors/a/pause", "https://other.example.com", 403, ""},
	} {
		a := fetched(t, http.DefaultClient, c.method, c.url+c.path, "", "Origin", c.origin)
		if found := a.Header.Get("Access-Control-Allow-Origin"); a.StatusCode != c.status || c.status < 300 &&
			found != c.allowed {
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
		if err := (Options{Headers: text}).Check(); err == nil ||
			!strings.Contains(err.Error(), "expected `ACTION NAME: VALUE`") {
			t.Errorf("%s: found %v", text, err)
		}
	}
}

// made makes a certificate and its key as PEM text, signed by another one, or by itself.
func made(t *testing.T, name string, signer *tls.Certificate) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: signer == nil, BasicConstraintsValid: true}
	parent, by := template, any(key)
	if signer != nil {
		if parent, err = x509.ParseCertificate(signer.Certificate[0]); err != nil {
			t.Fatal(err)
		}
		by = signer.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, text
}

func TestListenersWithTLS(t *testing.T) {
	dir := t.TempDir()
	authority, authorityText := made(t, "authority", nil)
	_, server := made(t, "server", &authority)
	client, _ := made(t, "client", &authority)
	stranger, _ := made(t, "stranger", nil)
	for name, text := range map[string]string{"server.pem": server, "ca.pem": authorityText[strings.Index(authorityText,
		"-----BEGIN CERT"):]} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(authorityText))
	over := func(own ...tls.Certificate) *http.Client {
		return &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: own}}}
	}
	settings := map[string]string{"ssl.keystore.location": filepath.Join(dir, "server.pem")}
	o := Options{Listeners: []string{"https://127.0.0.1:0"}, TLS: settings}
	url := listening(t, o).URLs()[0]
	if a := fetched(t, over(), "GET", url+"/connectors", ""); !strings.HasPrefix(url, "https://") ||
		a.StatusCode != 200 {
		t.Errorf("%s: found %d", url, a.StatusCode)
	}
	settings["ssl.client.auth"], settings["ssl.truststore.location"] = "required", filepath.Join(dir, "ca.pem")
	url = listening(t, o).URLs()[0]
	if a := fetched(t, over(client), "GET", url+"/connectors", ""); a.StatusCode != 200 {
		t.Errorf("found %d", a.StatusCode)
	}
	for name, own := range map[string][]tls.Certificate{"none": nil, "a stranger's": {stranger}} {
		if a, err := over(own...).Get(url + "/connectors"); err == nil {
			t.Errorf("certificate: %s: expected it to be refused, found %d", name, a.StatusCode)
		}
	}
	for name, c := range map[string]struct{ setting, value, want string }{
		"no store": {"ssl.keystore.location", "", "listeners.https.ssl.keystore.location: expected a store"},
		"none there": {"ssl.keystore.location", filepath.Join(dir, "x.pem"),
			"listeners.https.ssl.keystore.location"},
		"client's word": {"ssl.client.auth", "maybe", "expected none, requested or required"},
		"unknown":       {"ssl.provider", "x", "listeners.https.ssl.provider is not built"},
		"version":       {"ssl.protocol", "SSLv3", "listeners.https.ssl.protocol"},
	} {
		bad := map[string]string{}
		for k, v := range settings {
			bad[k] = v
		}
		bad[c.setting] = c.value
		_, err := Listen(Options{Listeners: []string{"https://127.0.0.1:0"}, TLS: bad}, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: expected %q, found %v", name, c.want, err)
		}
	}
}
