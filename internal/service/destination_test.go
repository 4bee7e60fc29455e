package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/keystore/keystoretest"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/wit"
)

// byRole returns a component with a setting for each role, named `x.` and the role.
func byRole() wit.Component {
	c := wit.Component{Name: "X", Kind: wit.ComponentSource, Prefixes: []string{"x."}}
	for _, role := range []string{"http.scheme", "http.address", "http.port", "http.user", "http.auth",
		"http.destination", "http.proxy.type", "http.proxy.location-id",
		"http.header.sap-client", "http.header.{name}", "tls.truststore.location", "tls.truststore.type"} {
		c.Settings = append(c.Settings, wit.ConfigKey{Name: "x." + role, Kind: wit.KindString,
			Rules: []wit.Rule{{Role: wit.Ptr(role)}}})
	}
	for _, role := range []string{"http.password", "tls.truststore.password"} {
		c.Settings = append(c.Settings, wit.ConfigKey{Name: "x." + role, Kind: wit.KindPassword,
			Rules: []wit.Rule{{Role: wit.Ptr(role)}}})
	}
	return c
}

// opened returns the client of a connector with these settings.
func opened(t *testing.T, log *logtest.Journal, lines ...string) (*Service, *transport.Client) {
	t.Helper()
	w, problems, err := config.LoadWorker("", nil, nil)
	if err != nil || problems.Err() != nil {
		t.Fatal(err, problems)
	}
	entries, problems := config.Read("c.properties", []byte(strings.Join(lines, "\n")))
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	c, problems := config.NewConnector("c.properties", entries, w.Providers)
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	s, err := New(byRole(), c, w.Providers, lockouts.New(), log.Logger(slog.LevelDebug))
	require.NoError(t, err)
	client, err := s.Open(t.Context())
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return s, client
}

func ask(client *transport.Client, target string) (uint16, error) {
	a, err := client.Exchange(context.Background(), &wit.Request{Method: "GET", Target: target, Repeatable: true})
	return a.Status, err
}

// destinations starts a subaccount whose services are bound.
func destinations(t *testing.T) *connectivitytest.Server {
	t.Helper()
	a := connectivitytest.NewServer()
	t.Cleanup(a.Close)
	t.Setenv("VCAP_SERVICES", a.VCAP(0))
	return a
}

func define(t *testing.T, a *connectivitytest.Server, configuration map[string]string, more map[string]any) {
	t.Helper()
	configuration["Name"] = "D"
	configuration["Type"] = "HTTP"
	answer := map[string]any{"owner": map[string]any{"SubaccountId": "s"}, "destinationConfiguration": configuration}
	for k, v := range more {
		answer[k] = v
	}
	text, err := json.Marshal(answer)
	require.NoError(t, err)
	a.SetDestination("D", string(text))
}

func delivered(token string, seconds int) map[string]any {
	return map[string]any{"authTokens": []any{map[string]any{"type": "Bearer", "value": token,
		"expires_in":  fmt.Sprint(seconds),
		"http_header": map[string]string{"key": "Authorization", "value": "Bearer " + token}}}}
}

// seenRequests are the requests that a service has received.
type seenRequests struct {
	mu   sync.Mutex
	last *http.Request
}

func (s *seenRequests) server(t *testing.T, status func(*http.Request) int) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.last = r
		s.mu.Unlock()
		w.WriteHeader(status(r))
	}))
	t.Cleanup(server.Close)
	return server
}

func ok(*http.Request) int { return http.StatusOK }

// The client uses the destination's settings, but the connector's own settings have priority.
func TestDestinationFillsIn(t *testing.T) {
	a := destinations(t)
	var seen seenRequests
	server := seen.server(t, ok)
	define(t, a, map[string]string{"URL": server.URL + "/gateway", "Authentication": "BasicAuthentication", "User": "u",
		"Password": "s3cret", "ProxyType": "Internet",
		"sap-client": "100", "URL.headers.apikey": "k3y"}, nil)
	log := &logtest.Journal{}
	_, client := opened(t, log, "x.http.destination=D", "x.http.header.sap-client=200", "x.http.header.Extra=e")
	for target, want := range map[string]string{"/sap/x?$top=1": "/gateway/sap/x?$top=1",
		"/gateway/sap/x?$skiptoken=1": "/gateway/sap/x?$skiptoken=1"} {
		if status, err := ask(client, target); err != nil || status != 200 {
			t.Fatal(status, err)
		}
		h := seen.last.Header
		if user, password, _ := seen.last.BasicAuth(); seen.last.RequestURI != want || user != "u" ||
			password != "s3cret" ||
			h.Get("sap-client") != "200" || h.Get("apikey") != "k3y" || h.Get("extra") != "e" {
			t.Errorf("%s: found the request %s with %v", target, seen.last.RequestURI, h)
		}
	}
	if text := log.String(); !strings.Contains(text, "x.http.header.sap-client") || strings.Contains(text, "s3cret") ||
		strings.Contains(text, "k3y") {
		t.Errorf("expected the setting that overrides the destination, and no secret, found\n%s", text)
	}
	_, client = opened(t, log, "x.http.destination=D", "x.http.user=own", "x.http.password=0wn")
	if status, err := ask(client, "/"); err != nil || status != 200 {
		t.Fatal(status, err)
	}
	if user, password, _ := seen.last.BasicAuth(); user != "own" || password != "0wn" {
		t.Errorf("expected the connector's own user, found %s", user)
	}
}

// Tokens of the destination service are renewed when the service rejects them, and so are the other properties of the
// destination.
func TestDestinationTokensAreRenewed(t *testing.T) {
	a := destinations(t)
	var seen, elsewhere seenRequests
	good := "t0ken-1"
	var mu sync.Mutex
	status := func(r *http.Request) int {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer "+good {
			return http.StatusUnauthorized
		}
		return http.StatusOK
	}
	one := seen.server(t, status)
	other := elsewhere.server(t, ok)
	configuration := map[string]string{"URL": one.URL, "Authentication": "OAuth2ClientCredentials",
		"ProxyType": "Internet"}
	define(t, a, configuration, delivered("t0ken-1", 3600))
	log := &logtest.Journal{}
	_, client := opened(t, log, "x.http.destination=D")
	if status, err := ask(client, "/"); err != nil || status != 200 {
		t.Fatal(status, err)
	}
	mu.Lock()
	good = "t0ken-2"
	mu.Unlock()
	define(t, a, configuration, delivered("t0ken-2", 3600))
	if status, err := ask(client, "/"); err != nil || status != 200 {
		t.Errorf("with another token: found %d, %v", status, err)
	}
	mu.Lock()
	good = "t0ken-3"
	mu.Unlock()
	configuration["URL"] = other.URL
	define(t, a, configuration, delivered("t0ken-3", 3600))
	// After the rejection the destination is read again. All of its properties apply from the next request on.
	ask(client, "/")
	if status, err := ask(client, "/"); err != nil || status != 200 || elsewhere.last == nil {
		t.Errorf("after a change of the destination's address: found %d, %v", status, err)
	}
	if strings.Contains(log.String(), "t0ken") {
		t.Errorf("expected no token in the log, found\n%s", log.String())
	}
}

// After a change of the password in the destination the rejected old password was sent once, and the new one is used.
func TestDestinationPasswordChange(t *testing.T) {
	a := destinations(t)
	var seen seenRequests
	var mu sync.Mutex
	good := "0ne"
	refusals := 0
	server := seen.server(t, func(r *http.Request) int {
		mu.Lock()
		defer mu.Unlock()
		if _, password, _ := r.BasicAuth(); password != good {
			refusals++
			return http.StatusUnauthorized
		}
		return http.StatusOK
	})
	password := func(p string) {
		define(t, a, map[string]string{"URL": server.URL, "Authentication": "BasicAuthentication", "User": "u",
			"Password": p, "ProxyType": "Internet"}, nil)
	}
	password("0ne")
	_, client := opened(t, &logtest.Journal{}, "x.http.destination=D")
	if status, err := ask(client, "/"); err != nil || status != 200 {
		t.Fatal(status, err)
	}
	mu.Lock()
	good = "tw0"
	mu.Unlock()
	password("tw0")
	if status, err := ask(client, "/"); err != nil || status != 200 || refusals != 1 {
		t.Errorf("expected 200 after one rejection, found %d, %v, %d rejections", status, err, refusals)
	}
}

// Key and trust stores of the destination service are used.
func TestDestinationWithCertificates(t *testing.T) {
	a := destinations(t)
	sample := func(name string) string {
		data, err := os.ReadFile(filepath.Join("../../testdata/samples/keystores", name))
		require.NoError(t, err)
		return base64.StdEncoding.EncodeToString(data)
	}
	own := keystoretest.Certificate(t, keystore.Location{Path: "../../testdata/samples/keystores/client.jks",
		Password: "changeit"})
	var shown []*x509.Certificate
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		shown = r.TLS.PeerCertificates
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAnyClientCert}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	defer server.Close()
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	define(t, a, map[string]string{"URL": "https://localhost:" + port,
		"Authentication": "ClientCertificateAuthentication", "ProxyType": "Internet",
		"KeyStoreLocation": "client-ec.p12", "KeyStorePassword": "changeit", "TrustStoreLocation": "root.pem"},
		map[string]any{"certificates": []any{map[string]string{"Name": "client-ec.p12",
			"Content": sample("client-ec.p12"), "Type": "CERTIFICATE"},
			map[string]string{"Name": "root.pem", "Content": sample("client.crt.pem"), "Type": "CERTIFICATE"}}})
	_, client := opened(t, &logtest.Journal{}, "x.http.destination=D")
	if status, err := ask(client, "/"); err != nil || status != 200 || len(shown) == 0 ||
		shown[0].Subject.CommonName != "clientec" {
		t.Errorf("expected 200 with a certificate, found %d, %v, certificate %v", status, err, shown)
	}
}

// The error of a missing destination names it.
func TestMissingDestination(t *testing.T) {
	destinations(t)
	w, _, _ := config.LoadWorker("", nil, nil)
	c, _ := config.NewConnector("c.properties", []config.Entry{config.NewEntry("x.http.destination", "D", "", 0)},
		w.Providers)
	s, err := New(byRole(), c, w.Providers, nil, nil)
	require.NoError(t, err)
	if _, err = s.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "destination D: ") {
		t.Errorf("expected the destination's name, found %v", err)
	}
}

// A secret in a referenced file is reloaded when the file is replaced.
func TestSecretFilesAreReloaded(t *testing.T) {
	t.Setenv("VCAP_SERVICES", "")
	var seen seenRequests
	server := seen.server(t, ok)
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "new"), []byte(text), 0o600))
		require.NoError(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, name)))
	}
	write("password", "first\n")
	host, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	s, client := opened(t, &logtest.Journal{}, "x.http.scheme=http", "x.http.address="+host, "x.http.port="+port,
		"x.http.user=u", "x.http.password=${dir:"+dir+":password}")
	defer s.Watch(client)()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	version := s.version.Load()
	write("password", "second\n")
	if !s.waitForVersion(ctx, version) {
		t.Fatal("the change was not seen")
	}
	if _, err := ask(client, "/"); err != nil {
		t.Fatal(err)
	}
	if _, password, _ := seen.last.BasicAuth(); password != "second" {
		t.Errorf("expected the second password, found %q", password)
	}
}

// A replaced trust store applies from the next request on.
func TestTrustStoresAreReloaded(t *testing.T) {
	t.Setenv("VCAP_SERVICES", "")
	own := keystoretest.Certificate(t, keystore.Location{Path: "../../testdata/samples/keystores/client.jks",
		Password: "changeit"})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{own}}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	defer server.Close()
	other := httptest.NewTLSServer(nil)
	other.Close()
	root := func(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}) }
	path := filepath.Join(t.TempDir(), "roots.pem")
	require.NoError(t, os.WriteFile(path, root(other.Certificate().Raw), 0o600))
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	s, client := opened(t, &logtest.Journal{}, "x.http.scheme=https", "x.http.address=localhost", "x.http.port="+port,
		"x.tls.truststore.location="+path)
	defer s.Watch(client)()
	if _, err := ask(client, "/"); err == nil || !strings.Contains(err.Error(), "x.tls.truststore.location") {
		t.Errorf("expected a server that is not trusted, found %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	version := s.version.Load()
	require.NoError(t, os.WriteFile(path, root(own.Certificate[0]), 0o600))
	if !s.waitForVersion(ctx, version) {
		t.Fatal("the change was not seen")
	}
	if status, err := ask(client, "/"); err != nil || status != 200 {
		t.Error(status, err)
	}
}
