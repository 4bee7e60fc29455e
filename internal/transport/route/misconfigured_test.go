package route_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/internal/transport/route"
)

// A misconfiguredCase is settings that are wrong together, and the setting that the error names.
type misconfiguredCase struct {
	name     string
	settings route.Settings
	setting  string // the setting's name for users
	text     string // a part of the error
}

func TestMisconfiguredProxy(t *testing.T) {
	s := double(t)
	token := btp.Credentials{TokenURL: s.URL, ClientID: s.Connectivity.ID, Secret: s.Connectivity.Secret}
	checkMisconfigured(t, []misconfiguredCase{
		{"unknown type", route.Settings{Type: "socks4"}, "kafka.proxy.type", `found "socks4"`},
		{"type of the other side", route.Settings{Type: route.ConnectivityHTTP, Allow: []string{route.None,
			route.Connectivity}}, "kafka.proxy.type", "expected none, sap-connectivity, found"},
		{"no type", route.Settings{Address: "proxy:1"}, "kafka.proxy.address", "kafka.proxy.type"},
		{"no type, location id", route.Settings{Locations: []string{"EU"}}, "kafka.proxy.location.id",
			"kafka.proxy.type"},
		{"SOCKS5 without address", route.Settings{Type: route.SOCKS5}, "kafka.proxy.address", "found nothing"},
		{"HTTP without address", route.Settings{Type: route.HTTP}, "kafka.proxy.address", "found nothing"},
		{"address without port", route.Settings{Type: route.HTTP, Address: "proxy"}, "kafka.proxy.address", `"proxy"`},
		{"address with user and password", route.Settings{Type: route.HTTP, Address: "http://me:secret@proxy:8080"},
			"kafka.proxy.address", "@proxy:8080"},
		{"URL", route.Settings{Type: route.HTTP, Address: "http://proxy:8080"}, "kafka.proxy.address",
			"http://proxy:8080"},
		{"port of nothing", route.Settings{Type: route.HTTP, Address: "proxy:99999"}, "kafka.proxy.address",
			"proxy:99999"},
		{"password without user", route.Settings{Type: route.HTTP, Address: "proxy:1", Password: "secret"},
			"kafka.proxy.user", "for the password"},
		{"user of Basic with a colon", route.Settings{Type: route.HTTP, Address: "proxy:1", User: "a:b"},
			"kafka.proxy.user", "':'"},
		{"SOCKS5, user without password", route.Settings{Type: route.SOCKS5, Address: "proxy:1", User: "me"},
			"kafka.proxy.password", "1 to 255"},
		{"SOCKS5, long password", route.Settings{Type: route.SOCKS5, Address: "proxy:1", User: "me",
			Password: strings.Repeat("secret", 50)}, "kafka.proxy.password", "1 to 255"},
		{"SOCKS5 with a location id", route.Settings{Type: route.SOCKS5, Address: "proxy:1", Locations: []string{"EU"}},
			"kafka.proxy.location.id", "socks5"},
		{"HTTP with a token service", route.Settings{Type: route.HTTP, Address: "proxy:1",
			TokenSource: route.TokenSource{Token: token}}, "kafka.proxy.token.url", "http"},
		{"map without port", route.Settings{Type: route.None, AddressMap: map[string]string{"a:1": "b"}},
			"kafka.proxy.address.map", `"b"`},
	})
}

func TestMisconfiguredConnectivity(t *testing.T) {
	s := double(t)
	token := btp.Credentials{TokenURL: s.URL, ClientID: s.Connectivity.ID, Secret: s.Connectivity.Secret}
	checkMisconfigured(t, []misconfiguredCase{
		{"Connectivity with a user", route.Settings{Type: route.Connectivity,
			TokenSource: route.TokenSource{VCAP: s.VCAP(0)}, User: "me"},
			"kafka.proxy.user", "sap-connectivity"},
		{"Connectivity with nothing", route.Settings{Type: route.Connectivity}, "kafka.proxy.token.url",
			"kafka.proxy.service.key, or VCAP_SERVICES"},
		{"Connectivity with an address alone", route.Settings{Type: route.Connectivity, Address: "proxy:1"},
			"kafka.proxy.token.url", "VCAP_SERVICES"},
		{"Connectivity with a token alone", route.Settings{Type: route.Connectivity,
			TokenSource: route.TokenSource{Token: token}}, "kafka.proxy.address", "VCAP_SERVICES"},
		{"Connectivity without client id", route.Settings{
			Type:        route.Connectivity,
			Address:     "proxy:1",
			TokenSource: route.TokenSource{Token: btp.Credentials{TokenURL: s.URL, Secret: "secret"}},
		}, "kafka.proxy.token.client.id", "missing"},
		{"Connectivity without secret", route.Settings{
			Type:        route.Connectivity,
			Address:     "proxy:1",
			TokenSource: route.TokenSource{Token: btp.Credentials{TokenURL: s.URL, ClientID: "me"}},
		}, "kafka.proxy.token.client.secret", "kafka.proxy.token.key"},
		{"token URL that is none", route.Settings{
			Type:        route.Connectivity,
			Address:     "proxy:1",
			TokenSource: route.TokenSource{Token: btp.Credentials{TokenURL: "uaa", ClientID: "me", Secret: "secret"}},
		}, "kafka.proxy.token.url", "URL"},
		{"certificate file that is not there", route.Settings{
			Type:    route.Connectivity,
			Address: "proxy:1",
			TokenSource: route.TokenSource{Token: btp.Credentials{TokenURL: s.TLSURL, ClientID: "me"},
				TokenCertificateFile: "/nowhere/c.pem", TokenKeyFile: "/nowhere/k.pem"},
		}, "kafka.proxy.token.certificate", "/nowhere/c.pem"},
	})
}

// Service keys and bindings that cannot be used are rejected.
func TestMisconfiguredBindings(t *testing.T) {
	s := double(t)
	token := btp.Credentials{TokenURL: s.URL, ClientID: s.Connectivity.ID, Secret: s.Connectivity.Secret}
	checkMisconfigured(t, []misconfiguredCase{
		{"service key and token", route.Settings{Type: route.Connectivity,
			TokenSource: route.TokenSource{ServiceKey: "key.json", Token: token}},
			"kafka.proxy.service.key", "kafka.proxy.token.url"},
		{"service key that is not there", route.Settings{Type: route.Connectivity,
			TokenSource: route.TokenSource{ServiceKey: "/nowhere/key.json"}},
			"kafka.proxy.service.key", "/nowhere/key.json"},
		{"service key that is none", route.Settings{Type: route.Connectivity,
			TokenSource: route.TokenSource{ServiceKey: file(t, "{")}},
			"kafka.proxy.service.key", "JSON"},
		{"service key of another service", route.Settings{
			Type:        route.Connectivity,
			TokenSource: route.TokenSource{ServiceKey: file(t, s.DestinationKey(0))},
		}, "kafka.proxy.type", "binding of the connectivity service"},
		{"service key without the port", route.Settings{
			Type: route.Connectivity,
			TokenSource: route.TokenSource{ServiceKey: file(t, strings.ReplaceAll(s.ServiceKey(0),
				"onpremise_socks5_proxy_port", "x"))},
		}, "kafka.proxy.address", "onpremise_socks5_proxy_port"},
		{"VCAP_SERVICES that is none", route.Settings{Type: route.Connectivity,
			TokenSource: route.TokenSource{VCAP: "{"}}, "kafka.proxy.type", "VCAP_SERVICES"},
		{"a file of bindings that cannot be read", route.Settings{
			Type:        route.Connectivity,
			TokenSource: route.TokenSource{VCAPErr: errors.New("/nowhere/vcap: no such file")},
		}, "kafka.proxy.type", "/nowhere/vcap"},
		{"VCAP_SERVICES without the service", route.Settings{Type: route.Connectivity,
			TokenSource: route.TokenSource{VCAP: "{}"}}, "kafka.proxy.type", "VCAP_SERVICES has none"},
		{"long location id", route.Settings{
			Type:        route.Connectivity,
			TokenSource: route.TokenSource{VCAP: s.VCAP(0)},
			Locations:   []string{strings.Repeat("l", 190)},
		}, "kafka.proxy.location.id", "at most 189"},
		{"map to IPv6", route.Settings{
			Type:        route.Connectivity,
			TokenSource: route.TokenSource{VCAP: s.VCAP(0)},
			AddressMap:  map[string]string{"a:1": "[::1]:1"},
		}, "kafka.proxy.address.map", "[::1]:1"},
	})
}

func checkMisconfigured(t *testing.T, cases []misconfiguredCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.settings.Name = named
			_, err := route.New(c.settings)
			var wrong *route.Misconfigured
			if !errors.As(err, &wrong) || !wrong.Permanent() || wrong.Setting != c.setting ||
				!strings.Contains(err.Error(), c.setting) || !strings.Contains(err.Error(), c.text) {
				t.Fatalf("expected %s with %q, found %#v %v", c.setting, c.text, wrong, err)
			}
			if strings.Contains(err.Error(), "secret") && !strings.Contains(err.Error(), "client.secret") {
				t.Fatalf("expected no secret in the error, found %v", err)
			}
		})
	}
}
