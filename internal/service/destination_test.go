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

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/keystore/keystoretest"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/wit"
)

// roleComponent returns a component with a setting for each role, named `x.` and the role.
func roleComponent() *plugin.Component {
	c := wit.Component{Name: "X", Kind: wit.ComponentSource, Prefixes: []string{"x."}}
	for _, role := range []string{
		"http.scheme",
		"http.address",
		"http.port",
		"http.user",
		"http.auth",
		"http.destination",
		"http.proxy.type",
		"http.proxy.location-id",
		"http.header.sap-client",
		"http.header.{name}",
		"tls.truststore.location",
		"tls.truststore.type",
	} {
		c.Settings = append(c.Settings, wit.ConfigKey{Name: "x." + role, Kind: wit.KindString,
			Rules: []wit.Rule{{Role: wit.Ptr(role)}}})
	}
	for _, role := range []string{"http.password", "tls.truststore.password"} {
		c.Settings = append(c.Settings, wit.ConfigKey{Name: "x." + role, Kind: wit.KindPassword,
			Rules: []wit.Rule{{Role: wit.Ptr(role)}}})
	}
	return plugin.NewComponent(&c)
}

// openService returns the service and the client of a connector with the settings of a properties file.
func openService(t *testing.T, log *logtest.Journal, lines ...string) (*Service, *transport.Client) {
	t.Helper()
	w, problems, err := config.LoadWorker("", nil, nil)
	require.True(t, err == nil && problems.Err() == nil, "%v %v", err, problems)
	entries, problems := config.Read("c.properties", []byte(strings.Join(lines, "\n")))
	require.True(t, problems.Err() == nil, "%v", problems)
	c, problems := config.NewConnector("c.properties", entries, w.Providers)
	require.True(t, problems.Err() == nil, "%v", problems)
	connector := resolved.Resolver{Worker: w}.ResolveAs(c, roleComponent())
	s, err := New(connector, lockouts.New(), log.Logger(slog.LevelDebug))
	require.NoError(t, err)
	client, err := s.Open(t.Context())
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return s, client
}

// get sends a request and returns the status of the response.
func get(client *transport.Client, target string) (uint16, error) {
	a, err := client.Exchange(context.Background(), &wit.Request{Method: "GET", Target: target, Repeatable: true})
	return a.Status, err
}

// newSubaccount starts a BTP subaccount and binds its services in VCAP_SERVICES.
func newSubaccount(t *testing.T) *connectivitytest.Server {
	t.Helper()
	subaccount := connectivitytest.NewServer()
	t.Cleanup(subaccount.Close)
	t.Setenv("VCAP_SERVICES", subaccount.VCAP(0))
	return subaccount
}

// setDestination adds the destination D to a subaccount, or replaces it. It sets Name and Type of the configuration.
// more has further members of the destination service's response.
func setDestination(t *testing.T, subaccount *connectivitytest.Server, configuration map[string]string,
	more map[string]any) {
	t.Helper()
	configuration["Name"] = "D"
	configuration["Type"] = "HTTP"
	answer := map[string]any{"owner": map[string]any{"SubaccountId": "s"}, "destinationConfiguration": configuration}
	for k, v := range more {
		answer[k] = v
	}
	text, err := json.Marshal(answer)
	require.NoError(t, err)
	subaccount.SetDestination("D", string(text))
}

// tokenResponse returns a member of the destination service's response: a token, which expires after some seconds.
func tokenResponse(token string, seconds int) map[string]any {
	return map[string]any{"authTokens": []any{map[string]any{
		"type":        "Bearer",
		"value":       token,
		"expires_in":  fmt.Sprint(seconds),
		"http_header": map[string]string{"key": "Authorization", "value": "Bearer " + token},
	}}}
}

// requestLog keeps the last request that a server has received.
type requestLog struct {
	mu   sync.Mutex
	last *http.Request // nil before the first request
}

// server starts a server that responds with a status.
func (r *requestLog) server(t *testing.T, status func(*http.Request) int) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		r.last = request
		r.mu.Unlock()
		w.WriteHeader(status(request))
	}))
	t.Cleanup(server.Close)
	return server
}

// statusOK is a server's status for every request.
func statusOK(*http.Request) int { return http.StatusOK }

// The client uses the destination's settings, but the connector's own settings have priority.
func TestDestinationFillsIn(t *testing.T) {
	subaccount := newSubaccount(t)
	var requests requestLog
	server := requests.server(t, statusOK)
	setDestination(t, subaccount, map[string]string{
		"URL":                server.URL + "/gateway",
		"Authentication":     "BasicAuthentication",
		"User":               "u",
		"Password":           "s3cret",
		"ProxyType":          "Internet",
		"sap-client":         "100",
		"URL.headers.apikey": "k3y",
	}, nil)
	log := &logtest.Journal{}
	_, client := openService(t, log, "x.http.destination=D", "x.http.header.sap-client=200", "x.http.header.Extra=e")
	for target, want := range map[string]string{
		"/sap/x?$top=1":               "/gateway/sap/x?$top=1",
		"/gateway/sap/x?$skiptoken=1": "/gateway/sap/x?$skiptoken=1",
	} {
		status, err := get(client, target)
		require.True(t, err == nil && status == 200, "expected 200, found %d, %v", status, err)
		h := requests.last.Header
		user, password, _ := requests.last.BasicAuth()
		assert.True(t, requests.last.RequestURI == want && user == "u" && password == "s3cret" &&
			h.Get("sap-client") == "200" && h.Get("apikey") == "k3y" && h.Get("extra") == "e",
			"%s: expected the request %s with user u, client 200 and both headers, found %s with %v", target, want,
			requests.last.RequestURI, h)
	}
	if text := log.String(); !strings.Contains(text, "x.http.header.sap-client") || strings.Contains(text, "s3cret") ||
		strings.Contains(text, "k3y") {
		t.Errorf("expected the setting that overrides the destination, and no secret, found\n%s", text)
	}
	_, client = openService(t, log, "x.http.destination=D", "x.http.user=own", "x.http.password=0wn")
	status, err := get(client, "/")
	require.True(t, err == nil && status == 200, "expected 200, found %d, %v", status, err)
	user, password, _ := requests.last.BasicAuth()
	assert.True(t, user == "own" && password == "0wn", "expected the connector's own user, found %s", user)
}

// Tokens of the destination service are renewed when the service rejects them, and so are the other properties of the
// destination.
func TestDestinationTokensAreRenewed(t *testing.T) {
	subaccount := newSubaccount(t)
	var requests, otherRequests requestLog
	acceptedToken := "t0ken-1"
	var mu sync.Mutex
	status := func(r *http.Request) int {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer "+acceptedToken {
			return http.StatusUnauthorized
		}
		return http.StatusOK
	}
	server := requests.server(t, status)
	otherServer := otherRequests.server(t, statusOK)
	configuration := map[string]string{
		"URL":            server.URL,
		"Authentication": "OAuth2ClientCredentials",
		"ProxyType":      "Internet",
	}
	setDestination(t, subaccount, configuration, tokenResponse("t0ken-1", 3600))
	log := &logtest.Journal{}
	_, client := openService(t, log, "x.http.destination=D")
	if status, err := get(client, "/"); err != nil || status != 200 {
		t.Fatalf("expected 200, found %d, %v", status, err)
	}
	mu.Lock()
	acceptedToken = "t0ken-2"
	mu.Unlock()
	setDestination(t, subaccount, configuration, tokenResponse("t0ken-2", 3600))
	if status, err := get(client, "/"); err != nil || status != 200 {
		t.Errorf("with another token: expected 200, found %d, %v", status, err)
	}
	mu.Lock()
	acceptedToken = "t0ken-3"
	mu.Unlock()
	configuration["URL"] = otherServer.URL
	setDestination(t, subaccount, configuration, tokenResponse("t0ken-3", 3600))
	// After the rejection the destination is read again. All of its properties apply from the next request on.
	get(client, "/")
	if status, err := get(client, "/"); err != nil || status != 200 || otherRequests.last == nil {
		t.Errorf("after a change of the destination's address: expected 200 of the other server, found %d, %v", status,
			err)
	}
	assert.NotContains(t, log.String(), "t0ken", "token in the log")
}

// After a change of the password in the destination, the old password is sent once, then the new one is used.
func TestDestinationPasswordChange(t *testing.T) {
	subaccount := newSubaccount(t)
	var requests requestLog
	var mu sync.Mutex
	acceptedPassword := "0ne"
	rejections := 0
	server := requests.server(t, func(r *http.Request) int {
		mu.Lock()
		defer mu.Unlock()
		if _, password, _ := r.BasicAuth(); password != acceptedPassword {
			rejections++
			return http.StatusUnauthorized
		}
		return http.StatusOK
	})
	setPassword := func(p string) {
		setDestination(t, subaccount, map[string]string{
			"URL":            server.URL,
			"Authentication": "BasicAuthentication",
			"User":           "u",
			"Password":       p,
			"ProxyType":      "Internet",
		}, nil)
	}
	setPassword("0ne")
	_, client := openService(t, &logtest.Journal{}, "x.http.destination=D")
	status, err := get(client, "/")
	require.True(t, err == nil && status == 200, "expected 200, found %d, %v", status, err)
	mu.Lock()
	acceptedPassword = "tw0"
	mu.Unlock()
	setPassword("tw0")
	if status, err := get(client, "/"); err != nil || status != 200 || rejections != 1 {
		t.Errorf("expected 200 after one rejection, found %d, %v, %d rejections", status, err, rejections)
	}
}

// Key and trust stores of the destination service are used.
func TestDestinationWithCertificates(t *testing.T) {
	subaccount := newSubaccount(t)
	sample := func(name string) string {
		data, err := os.ReadFile(filepath.Join("../../testdata/samples/keystores", name))
		require.NoError(t, err)
		return base64.StdEncoding.EncodeToString(data)
	}
	serverCertificate := keystoretest.Certificate(t, keystore.Location{
		Path:     "../../testdata/samples/keystores/client.jks",
		Password: "changeit",
	})
	var clientCertificates []*x509.Certificate
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		clientCertificates = r.TLS.PeerCertificates
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{serverCertificate}, ClientAuth: tls.RequireAnyClientCert}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	defer server.Close()
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	setDestination(t, subaccount, map[string]string{
		"URL":                "https://localhost:" + port,
		"Authentication":     "ClientCertificateAuthentication",
		"ProxyType":          "Internet",
		"KeyStoreLocation":   "client-ec.p12",
		"KeyStorePassword":   "changeit",
		"TrustStoreLocation": "root.pem",
	}, map[string]any{"certificates": []any{
		map[string]string{"Name": "client-ec.p12", "Content": sample("client-ec.p12"), "Type": "CERTIFICATE"},
		map[string]string{"Name": "root.pem", "Content": sample("client.crt.pem"), "Type": "CERTIFICATE"},
	}})
	_, client := openService(t, &logtest.Journal{}, "x.http.destination=D")
	if status, err := get(client, "/"); err != nil || status != 200 || len(clientCertificates) == 0 ||
		clientCertificates[0].Subject.CommonName != "clientec" {
		t.Errorf("expected 200 with a certificate, found %d, %v, certificate %v", status, err, clientCertificates)
	}
}

// The error of a missing destination names it.
func TestMissingDestination(t *testing.T) {
	newSubaccount(t)
	w, _, _ := config.LoadWorker("", nil, nil)
	c, _ := config.NewConnector("c.properties", []config.Entry{config.NewEntry("x.http.destination", "D", "", 0)},
		w.Providers)
	s, err := New(resolved.Resolver{Worker: w}.ResolveAs(c, roleComponent()), nil, nil)
	require.NoError(t, err)
	if _, err = s.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "destination D: ") {
		t.Errorf("expected the destination's name, found %v", err)
	}
}

// A secret in a referenced file is reloaded when the file is replaced.
func TestSecretFilesAreReloaded(t *testing.T) {
	t.Setenv("VCAP_SERVICES", "")
	var requests requestLog
	server := requests.server(t, statusOK)
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "new"), []byte(text), 0o600))
		require.NoError(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, name)))
	}
	write("password", "first\n")
	host, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	s, client := openService(t, &logtest.Journal{}, "x.http.scheme=http", "x.http.address="+host, "x.http.port="+port,
		"x.http.user=u", "x.http.password=${dir:"+dir+":password}")
	defer s.Watch(client)()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	version := s.version.Load()
	write("password", "second\n")
	require.True(t, s.waitForVersion(ctx, version), "expected the change to be detected within five minutes")
	_, err := get(client, "/")
	require.NoError(t, err)
	_, password, _ := requests.last.BasicAuth()
	assert.True(t, password == "second", "expected the second password, found %q", password)
}

// A replaced trust store applies from the next request on.
func TestTrustStoresAreReloaded(t *testing.T) {
	t.Setenv("VCAP_SERVICES", "")
	serverCertificate := keystoretest.Certificate(t, keystore.Location{
		Path:     "../../testdata/samples/keystores/client.jks",
		Password: "changeit",
	})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{serverCertificate}}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	defer server.Close()
	untrustedServer := httptest.NewTLSServer(nil)
	untrustedServer.Close()
	root := func(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}) }
	path := filepath.Join(t.TempDir(), "roots.pem")
	require.NoError(t, os.WriteFile(path, root(untrustedServer.Certificate().Raw), 0o600))
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	s, client := openService(t, &logtest.Journal{}, "x.http.scheme=https", "x.http.address=localhost",
		"x.http.port="+port, "x.tls.truststore.location="+path)
	defer s.Watch(client)()
	_, err := get(client, "/")
	assert.Error(t, err, "x.tls.truststore.location", "of the trust store")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	version := s.version.Load()
	require.NoError(t, os.WriteFile(path, root(serverCertificate.Certificate[0]), 0o600))
	require.True(t, s.waitForVersion(ctx, version), "expected the change to be detected within five minutes")
	if status, err := get(client, "/"); err != nil || status != 200 {
		t.Errorf("with the replaced trust store: expected 200, found %d, %v", status, err)
	}
}
