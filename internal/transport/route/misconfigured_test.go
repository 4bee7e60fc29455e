package route_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
	"github.com/culvert-project/culvert/internal/transport/route"
)

// A misconfiguredCase has settings that are invalid together, and the setting that the error names.
type misconfiguredCase struct {
	name     string
	settings route.Settings
	setting  string // the setting's name for users
	text     string // a part of the error
}

// tokenOf returns the credentials of the subaccount's token service.
func tokenOf(s *connectivitytest.Server) btp.Credentials {
	return btp.Credentials{TokenURL: s.URL, ClientID: s.Connectivity.ID, Secret: s.Connectivity.Secret}
}

func misconfiguredProxyCases(token btp.Credentials) []misconfiguredCase {
	return []misconfiguredCase{
		{
			name:     "unknown type",
			settings: route.Settings{Type: "socks4"},
			setting:  "kafka.proxy.type",
			text:     `found "socks4"`,
		},
		{
			name:     "type of the other side",
			settings: route.Settings{Type: route.ConnectivityHTTP, Allow: []string{route.None, route.Connectivity}},
			setting:  "kafka.proxy.type",
			text:     "expected none, sap-connectivity, found",
		},
		{
			name:     "no type",
			settings: route.Settings{Address: "proxy:1"},
			setting:  "kafka.proxy.address",
			text:     "kafka.proxy.type",
		},
		{
			name:     "no type, location id",
			settings: route.Settings{Locations: []string{"EU"}},
			setting:  "kafka.proxy.location.id",
			text:     "kafka.proxy.type",
		},
		{
			name:     "SOCKS5 without address",
			settings: route.Settings{Type: route.SOCKS5},
			setting:  "kafka.proxy.address",
			text:     "found nothing",
		},
		{
			name:     "HTTP without address",
			settings: route.Settings{Type: route.HTTP},
			setting:  "kafka.proxy.address",
			text:     "found nothing",
		},
		{
			name:     "address without port",
			settings: route.Settings{Type: route.HTTP, Address: "proxy"},
			setting:  "kafka.proxy.address",
			text:     `"proxy"`,
		},
		{
			name:     "address with user and password",
			settings: route.Settings{Type: route.HTTP, Address: "http://me:secret@proxy:8080"},
			setting:  "kafka.proxy.address",
			text:     "@proxy:8080",
		},
		{
			name:     "URL",
			settings: route.Settings{Type: route.HTTP, Address: "http://proxy:8080"},
			setting:  "kafka.proxy.address",
			text:     "http://proxy:8080",
		},
		{
			name:     "port of nothing",
			settings: route.Settings{Type: route.HTTP, Address: "proxy:99999"},
			setting:  "kafka.proxy.address",
			text:     "proxy:99999",
		},
		{
			name:     "password without user",
			settings: route.Settings{Type: route.HTTP, Address: "proxy:1", Password: "secret"},
			setting:  "kafka.proxy.user",
			text:     "for the password",
		},
		{
			name:     "user of Basic with a colon",
			settings: route.Settings{Type: route.HTTP, Address: "proxy:1", User: "a:b"},
			setting:  "kafka.proxy.user",
			text:     "':'",
		},
		{
			name:     "SOCKS5, user without password",
			settings: route.Settings{Type: route.SOCKS5, Address: "proxy:1", User: "me"},
			setting:  "kafka.proxy.password",
			text:     "1 to 255",
		},
		{
			name: "SOCKS5, long password",
			settings: route.Settings{
				Type:     route.SOCKS5,
				Address:  "proxy:1",
				User:     "me",
				Password: strings.Repeat("secret", 50),
			},
			setting: "kafka.proxy.password",
			text:    "1 to 255",
		},
		{
			name:     "SOCKS5 with a location id",
			settings: route.Settings{Type: route.SOCKS5, Address: "proxy:1", Locations: []string{"EU"}},
			setting:  "kafka.proxy.location.id",
			text:     "socks5",
		},
		{
			name: "HTTP with a token service",
			settings: route.Settings{
				Type:        route.HTTP,
				Address:     "proxy:1",
				TokenSource: route.TokenSource{Token: token},
			},
			setting: "kafka.proxy.token.url",
			text:    "http",
		},
		{
			name:     "map without port",
			settings: route.Settings{Type: route.None, AddressMap: map[string]string{"a:1": "b"}},
			setting:  "kafka.proxy.address.map",
			text:     `"b"`,
		},
	}
}

func TestMisconfiguredProxy(t *testing.T) {
	s := startSubaccount(t)
	checkMisconfigured(t, misconfiguredProxyCases(tokenOf(s)))
}

func TestMisconfiguredConnectivity(t *testing.T) {
	s := startSubaccount(t)
	checkMisconfigured(t, []misconfiguredCase{
		{
			name: "Connectivity with a user",
			settings: route.Settings{
				Type:        route.Connectivity,
				TokenSource: route.TokenSource{VCAP: s.VCAP(0)},
				User:        "me",
			},
			setting: "kafka.proxy.user",
			text:    "sap-connectivity",
		},
		{
			name:     "Connectivity with nothing",
			settings: route.Settings{Type: route.Connectivity},
			setting:  "kafka.proxy.token.url",
			text:     "kafka.proxy.service.key, or VCAP_SERVICES",
		},
		{
			name:     "Connectivity with an address alone",
			settings: route.Settings{Type: route.Connectivity, Address: "proxy:1"},
			setting:  "kafka.proxy.token.url",
			text:     "VCAP_SERVICES",
		},
		{
			name:     "Connectivity with a token alone",
			settings: route.Settings{Type: route.Connectivity, TokenSource: route.TokenSource{Token: tokenOf(s)}},
			setting:  "kafka.proxy.address",
			text:     "VCAP_SERVICES",
		},
		{
			name: "Connectivity without client id",
			settings: route.Settings{
				Type:        route.Connectivity,
				Address:     "proxy:1",
				TokenSource: route.TokenSource{Token: btp.Credentials{TokenURL: s.URL, Secret: "secret"}},
			},
			setting: "kafka.proxy.token.client.id",
			text:    "missing",
		},
		{
			name: "Connectivity without secret",
			settings: route.Settings{
				Type:        route.Connectivity,
				Address:     "proxy:1",
				TokenSource: route.TokenSource{Token: btp.Credentials{TokenURL: s.URL, ClientID: "me"}},
			},
			setting: "kafka.proxy.token.client.secret",
			text:    "kafka.proxy.token.key",
		},
		{
			name: "token URL that is none",
			settings: route.Settings{
				Type:    route.Connectivity,
				Address: "proxy:1",
				TokenSource: route.TokenSource{
					Token: btp.Credentials{TokenURL: "uaa", ClientID: "me", Secret: "secret"},
				},
			},
			setting: "kafka.proxy.token.url",
			text:    "URL",
		},
		{
			name: "certificate file that is not there",
			settings: route.Settings{
				Type:    route.Connectivity,
				Address: "proxy:1",
				TokenSource: route.TokenSource{
					Token:                btp.Credentials{TokenURL: s.TLSURL, ClientID: "me"},
					TokenCertificateFile: "/nowhere/c.pem",
					TokenKeyFile:         "/nowhere/k.pem",
				},
			},
			setting: "kafka.proxy.token.certificate",
			text:    "/nowhere/c.pem",
		},
	})
}

func misconfiguredBindingCases(t *testing.T, s *connectivitytest.Server) []misconfiguredCase {
	t.Helper()
	return []misconfiguredCase{
		{
			name: "service key and token",
			settings: route.Settings{
				Type:        route.Connectivity,
				TokenSource: route.TokenSource{ServiceKey: "key.json", Token: tokenOf(s)},
			},
			setting: "kafka.proxy.service.key",
			text:    "kafka.proxy.token.url",
		},
		{
			name: "service key that is not there",
			settings: route.Settings{
				Type:        route.Connectivity,
				TokenSource: route.TokenSource{ServiceKey: "/nowhere/key.json"},
			},
			setting: "kafka.proxy.service.key",
			text:    "/nowhere/key.json",
		},
		{
			name: "service key that is none",
			settings: route.Settings{
				Type:        route.Connectivity,
				TokenSource: route.TokenSource{ServiceKey: writeFile(t, "{")},
			},
			setting: "kafka.proxy.service.key",
			text:    "JSON",
		},
		{
			name: "service key of another service",
			settings: route.Settings{
				Type:        route.Connectivity,
				TokenSource: route.TokenSource{ServiceKey: writeFile(t, s.DestinationKey(0))},
			},
			setting: "kafka.proxy.type",
			text:    "binding of the connectivity service",
		},
		{
			name: "service key without the port",
			settings: route.Settings{
				Type: route.Connectivity,
				TokenSource: route.TokenSource{
					ServiceKey: writeFile(t, strings.ReplaceAll(s.ServiceKey(0), "onpremise_socks5_proxy_port", "x")),
				},
			},
			setting: "kafka.proxy.address",
			text:    "onpremise_socks5_proxy_port",
		},
		{
			name:     "VCAP_SERVICES that is none",
			settings: route.Settings{Type: route.Connectivity, TokenSource: route.TokenSource{VCAP: "{"}},
			setting:  "kafka.proxy.type",
			text:     "VCAP_SERVICES",
		},
		{
			name: "a file of bindings that cannot be read",
			settings: route.Settings{
				Type:        route.Connectivity,
				TokenSource: route.TokenSource{VCAPErr: errors.New("/nowhere/vcap: no such file")},
			},
			setting: "kafka.proxy.type",
			text:    "/nowhere/vcap",
		},
		{
			name:     "VCAP_SERVICES without the service",
			settings: route.Settings{Type: route.Connectivity, TokenSource: route.TokenSource{VCAP: "{}"}},
			setting:  "kafka.proxy.type",
			text:     "VCAP_SERVICES has none",
		},
		{
			name: "long location id",
			settings: route.Settings{
				Type:        route.Connectivity,
				TokenSource: route.TokenSource{VCAP: s.VCAP(0)},
				Locations:   []string{strings.Repeat("l", 190)},
			},
			setting: "kafka.proxy.location.id",
			text:    "at most 189",
		},
		{
			name: "map to IPv6",
			settings: route.Settings{
				Type:        route.Connectivity,
				TokenSource: route.TokenSource{VCAP: s.VCAP(0)},
				AddressMap:  map[string]string{"a:1": "[::1]:1"},
			},
			setting: "kafka.proxy.address.map",
			text:    "[::1]:1",
		},
	}
}

// Service keys and bindings that cannot be used are rejected.
func TestMisconfiguredBindings(t *testing.T) {
	checkMisconfigured(t, misconfiguredBindingCases(t, startSubaccount(t)))
}

func checkMisconfigured(t *testing.T, cases []misconfiguredCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.settings.Name = settingName
			_, err := route.New(c.settings)
			var misconfigured *route.Misconfigured
			if !errors.As(err, &misconfigured) || !misconfigured.Permanent() || misconfigured.Setting != c.setting ||
				!strings.Contains(err.Error(), c.setting) || !strings.Contains(err.Error(), c.text) {
				t.Fatalf("expected %s with %q, found %#v %v", c.setting, c.text, misconfigured, err)
			}
			require.True(t, !strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "client.secret"),
				"expected no secret in the error, found %v", err)
		})
	}
}
