package transport

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/wit"
)

// A token service that rejects the client secret gets one request, through either proxy of SAP Connectivity. A task
// that failed for this reason continues when the secret changes, so the error must not be transient.
func TestRejectedSecretOfConnectivity(t *testing.T) {
	for _, kind := range []string{"sap-connectivity-http", "sap-connectivity-socks5"} {
		t.Run(kind, func(t *testing.T) {
			a, _ := startSubaccount(t, func(http.ResponseWriter, *http.Request) {})
			proxy := a.SOCKS5
			if kind == "sap-connectivity-http" {
				proxy = a.HTTP
			}
			log := &journal{}
			store := lockouts.New()
			configFor := func(secret string) Config {
				return configOf(t, rolesOf(t, "http://s4.virtual:8000", "http.user=me", "http.password=p",
					"http.proxy.type="+kind, "http.proxy.address="+proxy,
					"http.proxy.token-url="+a.URL, "http.proxy.token-client-id="+a.Connectivity.ID,
					"http.proxy.token-client-secret="+secret),
					Environment{Shared: Shared{Logger: log.logger(), Lockouts: store}})
			}
			config := configFor("wr0ng")
			isCorrected := false
			config.Refresh = func(_ context.Context, refused bool) (*Config, error) {
				if !refused || !isCorrected {
					return nil, nil
				}
				other := configFor(a.Connectivity.Secret)
				return &other, nil
			}
			c := newClient(t, config)
			err := wantFaultOf(t, c, get("/x"), wit.ErrorUnauthorized, "http.proxy.token-client-secret")
			assert.True(t, !strings.Contains(err.Error(), "wr0ng"), "expected no secret in the error, found %v", err)
			log.wantNone(t, "wr0ng")
			assert.Equal(t, 1, a.Count(func(e connectivitytest.Entry) bool { return e.Port == "token" }),
				"requests for a token")
			isCorrected = true
			wantStatus(t, c, get("/x"), 200)
		})
	}
}
