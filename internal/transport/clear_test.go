package transport

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/keystore/keystoretest"
	"github.com/culvert-project/culvert/internal/porttest"
)

const samples = "../../testdata/samples/keystores/"

// tapURL returns a tap's URL with the host name of the sample certificate.
func tapURL(p *porttest.Tap) string {
	return "https://" + strings.Replace(p.At, "127.0.0.1", "localhost", 1)
}

// serveTLS starts a service with the sample certificate. The caller must close it.
func serveTLS(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	certificate := keystoretest.Certificate(t, keystore.Location{Path: samples + "client.jks", Password: "changeit"})
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	return server
}

// With TLS, no secret or token is sent in clear text or logged.
func TestNoSecretIsSentInClearText(t *testing.T) {
	tokens := &issuer{}
	endpoint := serveTLS(t, tokens)
	tokenTap := porttest.NewTap(t, endpoint.Listener.Addr().String())
	server := serveTLS(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "SAP_SESSIONID", Value: "s3ssion"})
		w.Header().Set("X-CSRF-Token", "c5rf")
	}))
	serviceTap := porttest.NewTap(t, server.Listener.Addr().String())
	defer endpoint.Close()
	defer server.Close()
	trust := []string{"tls.truststore.location=" + samples + "trust.jks", "tls.truststore.password=changeit"}
	log := &journal{}
	for _, roles := range [][]string{
		{"http.user=me", "http.password=p4ssword"},
		{"http.auth=header", "http.header.APIKey=4pikey"},
		oauth2Roles(tapURL(tokenTap) + "/token"),
	} {
		c := clientOf(t, rolesOf(t, tapURL(serviceTap), append(roles, trust...)...),
			Environment{Shared: Shared{Logger: log.logger()}})
		r := withToken(post("/Orders"), "/")
		for range 2 {
			wantStatus(t, c, r, 200)
		}
		c.Close()
	}
	secrets := []string{"p4ssword", "bWU6", "4pikey", "c1ient-secret", "aWQ6", "t0ken-", "s3ssion", "c5rf", "changeit"}
	for _, p := range []*porttest.Tap{serviceTap, tokenTap} {
		seen := p.Seen()
		assert.True(t, len(seen) >= 2000, "expected 2000 bytes or more through the tap, found %d", len(seen))
		for _, secret := range append(secrets, "Authorization", "POST ") {
			assert.True(t, !strings.Contains(p.Seen(), secret), "expected no %q in clear text", secret)
		}
	}
	log.wantNone(t, secrets...)
}
