package transport

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/http/httpproxy"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/internal/transport/route"
	"github.com/culvert-project/culvert/wit"
)

// certificateOf returns a server's certificate as PEM.
func certificateOf(server *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

// selfSigned starts a server with a certificate of an unknown CA.
func selfSigned(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// The TrustAll and the trust store of a BTP destination apply to its own server only, and not to the connector's token
// service, which gets the client secret.
func TestTrustAllAppliesToServiceOnly(t *testing.T) {
	requests := 0
	tokens := selfSigned(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"access_token":"t","expires_in":600}`))
	})
	server := selfSigned(t, func(http.ResponseWriter, *http.Request) {})
	for name, environment := range map[string]Environment{
		"TrustAll":    {TrustAll: true},
		"trust store": {Trust: &btp.Store{Name: "roots.pem", Type: "PEM", Content: certificateOf(tokens)}},
	} {
		t.Run(name, func(t *testing.T) {
			c := clientOf(t, rolesOf(t, server.URL, oauth2Roles(tokens.URL+"/token")...), environment)
			wantFaultOf(t, c, get("/"), wit.ErrorConfig, tokens.URL)
			assert.Equal(t, 0, requests, "requests with the client secret to an untrusted server")
		})
	}
	c := clientOf(t, rolesOf(t, server.URL), Environment{TrustAll: true})
	wantStatus(t, c, get("/"), 200)
}

// An https proxy is not part of the destination either: its user and password are sent to no other server.
func TestTrustAllDoesNotApplyToProxies(t *testing.T) {
	var authorizations []string // of the requests to the proxy
	proxy := selfSigned(t, func(w http.ResponseWriter, r *http.Request) {
		authorizations = append(authorizations, r.Header.Get("Proxy-Authorization"))
		w.WriteHeader(http.StatusForbidden)
	})
	proxyURL := strings.Replace(proxy.URL, "https://", "https://me:pr0xy@", 1)
	environment := &httpproxy.Config{HTTPProxy: proxyURL, HTTPSProxy: proxyURL}
	// clientWith returns a client of c that uses the proxy.
	clientWith := func(t *testing.T, c Config) *Client {
		t.Helper()
		r, err := route.New(route.Settings{Environment: environment})
		require.NoError(t, err)
		c.Route = Route{RoundTripper: r.RoundTripper}
		c.Lockouts = lockouts.New()
		return newClient(t, c)
	}
	for _, scheme := range []string{"https", "http"} {
		c := clientWith(t, Config{Service: Service{Scheme: scheme, Address: "sap.example"},
			TLSOptions: TLSOptions{TrustAll: true}})
		_, _, err := readText(t, c, get("/"))
		assert.True(t, err != nil && len(authorizations) == 0,
			"%s: expected the proxy's certificate to be checked, found %v; the proxy got %q", scheme, err,
			authorizations)
	}

	// A proxy that the connector's own trust store verifies is used, by its own name.
	pool := proxy.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	c := clientWith(t, Config{Service: Service{Scheme: "https", Address: "sap.example"},
		TLSOptions: TLSOptions{settingsTLS: &tls.Config{RootCAs: pool}, TrustAll: true}})
	_, _, err := readText(t, c, get("/"))
	u, _ := url.Parse(proxyURL)
	password, _ := u.User.Password()
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password))
	assert.True(t, len(authorizations) != 0 && authorizations[0] == want,
		"expected the proxy to be used, found %q, %v", authorizations, err)
}
