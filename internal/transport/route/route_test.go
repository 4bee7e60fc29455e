package route_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
	"github.com/culvert-project/culvert/internal/transport/route"
	"github.com/culvert-project/culvert/internal/transport/socks"
)

func boundedContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// serve starts a server that runs until the test ends.
func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// startSubaccount starts a simulated subaccount of BTP.
func startSubaccount(t *testing.T) *connectivitytest.Server {
	s := connectivitytest.NewServer()
	t.Cleanup(s.Close)
	return s
}

func routeOf(t *testing.T, s route.Settings) *route.Route {
	t.Helper()
	r, err := route.New(s)
	require.NoError(t, err)
	return r
}

// startEcho starts a server that echoes, and returns its address.
func startEcho(t *testing.T) string { return porttest.Serve(t, func(c net.Conn) { io.Copy(c, c) }) }

// checkEcho dials an address and checks that it echoes.
func checkEcho(t *testing.T, r *route.Route, address string) net.Conn {
	t.Helper()
	conn, err := r.DialContext(boundedContext(t), "tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(5 * time.Minute))
	got := make([]byte, 3)
	_, err = io.WriteString(conn, "abc")
	require.NoError(t, err)
	_, err = io.ReadFull(conn, got)
	require.True(t, err == nil && string(got) == "abc", "expected the echo, found %q, %v", got, err)
	conn.SetDeadline(time.Time{})
	return conn
}

// settingName returns the name of a setting for users.
func settingName(short string) string { return "kafka.proxy." + strings.ReplaceAll(short, "-", ".") }

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestDirectRoute(t *testing.T) {
	address := startEcho(t)
	for _, kind := range []string{route.Unset, route.None} {
		r := routeOf(t, route.Settings{Type: kind, AddressMap: map[string]string{"kafka.Corp:9092": address}})
		checkEcho(t, r, address)
		checkEcho(t, r, "Kafka.corp:9092")
		assert.Equal(t, "", r.Address(), "proxy")
	}
}

// The settings of SAP Connectivity may come from each of these sources.
func TestConnectivity(t *testing.T) {
	s := startSubaccount(t)
	s.Map("kafka.virtual:9092", startEcho(t))
	trustedTLS := btp.TokenOptions{}
	trustedTLS.TLS = tlsConfig(s)
	certificate, key := s.Certificate(s.Connectivity)
	for name, settings := range map[string]route.Settings{
		"VCAP_SERVICES":                   {TokenSource: route.TokenSource{VCAP: s.VCAP(0)}},
		"VCAP_SERVICES, deprecated names": {TokenSource: route.TokenSource{VCAP: s.VCAP(connectivitytest.Deprecated)}},
		"VCAP_SERVICES, X.509": {TokenSource: route.TokenSource{VCAP: s.VCAP(connectivitytest.X509),
			TokenOptions: trustedTLS}},
		"service key": {TokenSource: route.TokenSource{ServiceKey: writeFile(t, s.ServiceKey(0)),
			VCAP: "none of this is read"}},
		"service key, wrapped, X.509": {
			TokenSource: route.TokenSource{ServiceKey: writeFile(t,
				s.ServiceKey(connectivitytest.X509|connectivitytest.Wrapped)), TokenOptions: trustedTLS},
		},
		"settings": {
			Address: s.SOCKS5,
			TokenSource: route.TokenSource{Token: btp.Credentials{TokenURL: s.URL,
				ClientID: s.Connectivity.ID, Secret: s.Connectivity.Secret}},
		},
		"settings, files": {
			Address: s.SOCKS5,
			TokenSource: route.TokenSource{
				Token:                btp.Credentials{TokenURL: s.TLSURL, ClientID: s.Connectivity.ID},
				TokenCertificateFile: writeFile(t, certificate),
				TokenKeyFile:         writeFile(t, key),
				TokenOptions:         trustedTLS,
			},
		},
		"token from settings, proxy by VCAP": {
			TokenSource: route.TokenSource{VCAP: s.VCAP(0), Token: btp.Credentials{TokenURL: s.URL,
				ClientID: s.Connectivity.ID, Secret: s.Connectivity.Secret}},
		},
		"proxy from settings, token by VCAP": {
			TokenSource: route.TokenSource{VCAP: strings.ReplaceAll(s.VCAP(0), "onpremise_socks5_proxy_port", "x")},
			Address:     s.SOCKS5,
		},
		"proxy from settings, token by a key": {
			TokenSource: route.TokenSource{ServiceKey: writeFile(t, strings.ReplaceAll(s.ServiceKey(0),
				"onpremise_socks5_proxy_port", "x"))},
			Address: s.SOCKS5,
		},
	} {
		for _, kind := range []string{route.Connectivity, route.ConnectivitySOCKS5} {
			t.Run(name, func(t *testing.T) {
				settings.Type = kind
				settings.Name = settingName
				r := routeOf(t, settings)
				checkEcho(t, r, "kafka.virtual:9092")
				assert.True(t, r.Address() == s.SOCKS5 && r.Type() == route.Connectivity,
					"expected type %s and the proxy %s, found %s, %s", route.Connectivity, s.SOCKS5, r.Type(),
					r.Address())
				assert.Equal(t, r.ConnectivityAPI() != nil, strings.Contains(name, "VCAP"),
					"the list of Cloud Connectors")
			})
		}
	}
}

func TestAddressMap(t *testing.T) {
	s := startSubaccount(t)
	s.Map("Kafka.virtual:19093", startEcho(t))
	mapping, err := route.ParseAddressMap("broker.corp:9092-9094=Kafka.virtual:19092-19094")
	require.NoError(t, err)
	r := routeOf(t, route.Settings{Type: route.Connectivity, TokenSource: route.TokenSource{VCAP: s.VCAP(0)},
		AddressMap: mapping, Outage: -1})
	checkEcho(t, r, "Broker.corp:9093")
	if e := s.Ledger(); e[len(e)-1].Target != "Kafka.virtual:19093" {
		t.Errorf("expected the virtual host as it was written, found %+v", e[len(e)-1])
	}
	_, err = r.DialContext(boundedContext(t), "tcp", "broker.corp:9094")
	var refused *socks.Refused
	assert.True(t, errors.As(err, &refused) && refused.Permanent() && refused.Target == "Kafka.virtual:19094" &&
		strings.Contains(err.Error(), "broker.corp:9094 (mapped to"), "expected both names, found %v", err)
	assert.Equal(t, "other:1", r.MapAddress("other:1"), "not in the map")
}

func TestParseAddressMap(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"":                         {},
		" , ":                      {},
		"a:1=b:2":                  {"a:1": "b:2"},
		" A.b:1 = V.w:2 ,c:3=d:4,": {"a.b:1": "V.w:2", "c:3": "d:4"},
		"[::1]:1=b:2":              {"[::1]:1": "b:2"},
		"a:1-3=b:11-13":            {"a:1": "b:11", "a:2": "b:12", "a:3": "b:13"},
		"a:1=b:2,a:1=b:2":          {"a:1": "b:2"},
	} {
		got, err := route.ParseAddressMap(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
	for text, want := range map[string]string{
		"a:1":               "advertised:port=virtual:port",
		"a=b":               `found "a"`,
		"a:1=b":             `found "b"`,
		":1=b:2":            `found ":1"`,
		"a:0=b:2":           `found "0"`,
		"a:1=b:65536":       `found "65536"`,
		"a:3-1=b:3-1":       `range of ports`,
		"a:1-3=b:1-2":       "found 3 and 2",
		"a:1=b:1,a:1=b:2":   "found b:1 and b:2",
		"a:1=b:1;c:1=d:1":   `found "b:1;c:1=d:1"`,
		"a:1-=b:1":          `found ""`,
		"::1:9092=b:1":      `found "::1:9092"`,
		"a:1=b:1,c:1=d:1=e": `found "1=e"`,
	} {
		if got, err := route.ParseAddressMap(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: expected an error with %q, found %v, %v", text, want, got, err)
		}
	}
}

// No failure logs or returns a secret or token.
func TestSecretsAreNotLogged(t *testing.T) {
	s := startSubaccount(t)
	s.Map("kafka.virtual:9092", startEcho(t))
	var output strings.Builder
	routeWithOutage := func(outage time.Duration) *route.Route {
		r, err := route.New(route.Settings{
			Type:        route.Connectivity,
			TokenSource: route.TokenSource{VCAP: s.VCAP(0)},
			Outage:      outage,
			Logger:      slog.New(slog.NewTextHandler(&output, &slog.HandlerOptions{Level: slog.LevelDebug - 10})),
		})
		require.NoError(t, err)
		return r
	}
	r := routeWithOutage(5 * time.Minute)
	first, err := r.Token(boundedContext(t), "")
	require.NoError(t, err)
	checkEcho(t, r, "kafka.virtual:9092")
	s.ExpireTokens()
	checkEcho(t, r, "kafka.virtual:9092")
	second, err := r.Token(boundedContext(t), "")
	require.NoError(t, err)
	r = routeWithOutage(300 * time.Millisecond)
	for _, rep := range []byte{1, 2, 3, 4, 5, 6, 7, 8} {
		clearFault := s.Answer(rep, 0)
		_, err := r.DialContext(boundedContext(t), "tcp", "kafka.virtual:9092")
		output.WriteString(err.Error())
		clearFault()
	}
	s.ExpireTokens()
	s.TokenServiceDown(401)
	_, err = r.DialContext(boundedContext(t), "tcp", "kafka.virtual:9092")
	require.True(t, err != nil, "expected an error")
	output.WriteString(err.Error())
	require.True(t, first != second, "expected another token after expiry")
	for _, secret := range []string{first, second, s.Connectivity.Secret, "eyJ"} {
		require.NotContains(t, output.String(), secret, "in the log")
	}
	require.True(t, strings.Contains(output.String(), "tunnel could not be opened"),
		"expected a log, found\n%s", output.String())
}
