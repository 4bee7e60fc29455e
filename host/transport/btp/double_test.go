package btp_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/transport/btp"
	"github.com/culvert-project/culvert/host/transport/connectivitytest"
)

// Against a subaccount that was written to SAP's pages by somebody else: every shape of binding, from the environment
// and from files, to a token that the Connectivity proxy takes, a destination and the list of Cloud Connectors.
func TestSubaccount(t *testing.T) {
	const tlsToo, x509Too = connectivitytest.TLS, connectivitytest.X509
	const old, wrapped = connectivitytest.Deprecated, connectivitytest.Wrapped
	for name, shape := range map[string]connectivitytest.Shape{
		"plain": 0, "TLS": tlsToo, "certificate": x509Too, "older names": old, "older names, TLS": old | tlsToo,
		"wrapped": wrapped, "certificate, wrapped": x509Too | wrapped,
	} {
		t.Run(name, func(t *testing.T) {
			s := connectivitytest.NewServer()
			t.Cleanup(s.Close)
			s.Map("kafka:9092", "127.0.0.1:1")
			s.Attach("DE-Berlin")
			s.SetDestination("S4",
				`{"destinationConfiguration":{"Name":"S4","Type":"HTTP","URL":"http://s4:80","Authentication":"NoAuthentication"}}`)
			o := btp.TokenOptions{TLS: &tls.Config{RootCAs: s.Roots()}, Logger: logs(t)}

			bound, err := btp.Bound(s.VCAP(shape))
			require.NoError(t, err)
			if len(bound.Warnings) > 0 {
				t.Errorf("expected no warnings, found %q", bound.Warnings)
			}
			for _, c := range []struct {
				credentials btp.Credentials
				client      connectivitytest.Client
			}{{bound.Connectivity.Credentials, s.Connectivity}, {*bound.XSUAA, s.XSUAA}, {key(t,
				s.ServiceKey(shape)).Connectivity.Credentials, s.Connectivity}} {
				before := s.TokenCount(c.client)
				if token, err := newTokens(t, c.credentials, o).Token(t.Context(), ""); err != nil ||
					!strings.HasPrefix(token, "eyJ") || s.TokenCount(c.client) != before+1 {
					t.Errorf("%s: expected a token of the client %s, found %d characters, %v", c.credentials.Origin,
						c.client.ID, len(token), err)
				}
			}
			socks, err := bound.Connectivity.SOCKS5Address()
			web, err2 := bound.Connectivity.HTTPAddress()
			if err != nil || err2 != nil || socks != s.SOCKS5 || web != s.HTTP {
				t.Errorf("expected %s and %s, found %s and %s, %v, %v", s.SOCKS5, s.HTTP, socks, web, err, err2)
			}

			for _, d := range []*btp.DestinationService{bound.Destination, key(t,
				s.DestinationKey(shape)).Destination} {
				destinations, err := btp.NewDestinations(*d, o)
				require.NoError(t, err)
				wantTarget(t, destinations)
				s.ExpireTokens()
				destinations.Forget("S4")
				wantTarget(t, destinations)
			}

			attached, err := btp.Attached(t.Context(), *bound.Connectivity.Info, o)
			require.NoError(t, err)
			assert.Equal(t, []string{"", "DE-Berlin"}, attached)
		})
	}
}

func wantTarget(t *testing.T, d *btp.Destinations) {
	t.Helper()
	if got, err := d.Find(t.Context(), "S4"); err != nil || got.URL != "http://s4:80" {
		t.Errorf("expected http://s4:80, found %q, %v", got.URL, err)
	}
}

func key(t *testing.T, text string) btp.Services {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.json")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	s, err := btp.ReadKey(path)
	require.NoError(t, err)
	return s
}
