package source

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
)

// A service that requires a client certificate receives the one of the key store and is verified with the trust store.
func TestStoresEndToEnd(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	certificate := e2etest.LocalhostCertificate(t)
	shown := atomic.Int64{} // handshakes with the certificate
	s := odatatest.New(odatatest.Options{Rows: 20})
	server := httptest.NewUnstartedServer(s)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAnyClientCert,
		VerifyConnection: func(state tls.ConnectionState) error {
			if !bytes.Equal(state.PeerCertificates[0].Raw, certificate.Certificate[0]) {
				return errors.New("another certificate")
			}
			shown.Add(1)
			return nil
		}}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	p.MustRunOnce(p.File("java.properties", e2etest.WithSettings(e2etest.Source("java", "localhost:"+port, "Orders"),
		"sap.odata.keystore.location="+filepath.Join(e2etest.KeyStoreFolder(t), "client.jks"),
		"sap.odata.keystore.type=jks",
		"sap.odata.keystore.password="+e2etest.StorePassword, "sap.odata.auth.type=certificate",
		"sap.odata.truststore.location="+filepath.Join(e2etest.KeyStoreFolder(t), "trust.jks"),
		"sap.odata.truststore.password="+e2etest.StorePassword, "sap.odata.host.protocol=https")...))
	assert.Equal(t, s.Count("Orders"), len(p.Records("Orders")), "records")
	assert.True(t, shown.Load() != 0, "expected the certificate to be shown")
}

// validate reports errors of connection settings with file and line.
func TestConnectionsAreChecked(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	p.Environ = []string{"VCAP_SERVICES="}
	good := e2etest.Source("x", "sap.example:443", "Orders")
	cases := connectionCases(t)
	args := []string{"validate", "--plugins", e2etest.Plugins(t)}
	for name, c := range cases {
		lines := e2etest.WithSettings(good, c.lines...)
		lines[0] = "name=" + name
		args = append(args, p.File(name+".properties", lines...))
	}
	r := p.Run(args...).WantCode(1).WantNo("other-secret", "s3cr3t")
	for name, c := range cases {
		var problems []string
		for line := range strings.Lines(r.Stdout + r.Stderr) {
			if strings.Contains(line, "/"+name+".properties") {
				problems = append(problems, line)
			}
		}
		assert.True(t, strings.Contains(strings.Join(problems, ""), c.want),
			"%s: expected %q, found %q", name, c.want, problems)
	}
	p.MustRun("validate", "--plugins", e2etest.Plugins(t), p.File("y.properties",
		append(good, "sap.odata.header.APIKey=k", "sap.odata.auth.type=header")...))
}

// connectionCase is the settings of a connection and their error.
type connectionCase struct {
	lines []string
	want  string // a part of the error's line
}

func connectionCases(t *testing.T) map[string]connectionCase {
	t.Helper()
	store := func(name string) string { return filepath.Join(e2etest.KeyStoreFolder(t), name) }
	return map[string]connectionCase{
		"secret keys alone": {
			lines: []string{"sap.odata.keystore.location=" + store("secret.p12"),
				"sap.odata.keystore.password=changeit", "sap.odata.host.protocol=https"},
			want: ":9: sap.odata.keystore.location: PKCS12 file ",
		},
		"no password": {
			lines: []string{"sap.odata.truststore.location=" + store("trust.jks")},
			want:  ": sap.odata.truststore.password: is not set",
		},
		"wrong password": {
			lines: []string{"sap.odata.truststore.location=" + store("trust.jks"),
				"sap.odata.truststore.password=other-secret"},
			want: ":11: sap.odata.truststore.password: ",
		},
		"SSLv3": {
			lines: []string{"sap.odata.sslcontext.protocol=SSLv3"},
			want:  ":10: sap.odata.sslcontext.protocol: SSLv3 is forbidden",
		},
		"TLSv1":  {lines: []string{"sap.odata.sslcontext.protocol=TLSv1"}, want: "sap.odata.tls.allow.legacy = true"},
		"oauth2": {lines: []string{"sap.odata.auth.type=oauth2"}, want: "sap.odata.oauth.token.endpoint"},
		"oauth2 by basic": {
			lines: []string{"sap.odata.oauth.client.id=x"},
			want:  ":10: sap.odata.oauth.client.id: expected sap.odata.auth.type = oauth2 with it",
		},
		"basic": {
			lines: []string{"sap.odata.auth.type=BASIC"},
			want:  "sap.odata.user.name: expected a user for sap.odata.auth.type = basic",
		},
		"certificate": {
			lines: []string{"sap.odata.auth.type=certificate"},
			want:  ":10: sap.odata.auth.type: expected sap.odata.keystore.location for certificate",
		},
		"header": {
			lines: []string{"sap.odata.auth.type=header"},
			want:  ":10: sap.odata.auth.type: expected a header with credentials",
		},
		"authorization": {
			lines: []string{"sap.odata.header.Authorization=x"},
			want:  ":10: sap.odata.header.Authorization: expected sap.odata.auth.type = header with it",
		},
		"cookie": {
			lines: []string{"sap.odata.header.Cookie=x"},
			want:  ":10: sap.odata.header.Cookie: Cookie is set by Culvert and cannot be configured",
		},
		"connectivity https": {
			lines: []string{"sap.odata.host.protocol=https", "sap.odata.proxy.type=sap-connectivity-http",
				"sap.odata.proxy.address=p:1", "sap.odata.proxy.token.url=https://t",
				"sap.odata.proxy.token.client.id=i", "sap.odata.proxy.token.client.secret=s3cr3t"},
			want: "sap.odata.host.protocol: expected http for sap.odata.proxy.type = sap-connectivity-http, " +
				"found https",
		},
		"no binding": {
			lines: []string{"sap.odata.proxy.type=sap-connectivity"},
			want:  "sap.odata.proxy.token.url: expected a token service, sap.odata.proxy.service.key, or VCAP_SERVICES",
		},
		"destination": {
			lines: []string{"sap.odata.destination=D"},
			want:  ":10: sap.odata.destination: expected a binding of the destination service in VCAP_SERVICES",
		},
		"proxy": {lines: []string{"sap.odata.proxy.address=p:1"}, want: ":10: sap.odata.proxy.address: "},
		"map": {
			lines: []string{"sap.odata.proxy.type=none", "sap.odata.proxy.address.map=a"},
			want:  ":11: sap.odata.proxy.address.map: Invalid value a for configuration ",
		},
		"headers": {
			lines: []string{"sap.odata.headr.X=1"},
			want:  "unknown setting; the nearest known one is sap.odata.header.X",
		},
	}
}

// A password that changes behind its reference is used without a restart. A rejected password is sent once, and the
// tasks that it stopped continue with the next one.
func TestSecretsRotate(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	g := e2etest.NewPasswordService(odatatest.New(odatatest.Options{Rows: 20}), "first-secret")
	p.File("secrets/odata.properties", "password=first-secret")
	secrets := filepath.Join(p.Dir, "secrets")
	listen := porttest.Address(t)
	worker := p.File("worker.properties", "bootstrap.servers=embedded", "listeners=http://"+listen)
	lines := append(e2etest.Source("rotating", e2etest.Serve(t, g), "Orders"),
		"sap.odata#00.exec-period=1", "sap.odata.user.name=me",
		"sap.odata.user.pwd=${file:"+filepath.Join(secrets, "odata.properties")+":password}")
	file := p.File("rotating.properties", lines...)
	// The first command compiles the plugins, which takes time.
	p.MustRun("validate", "--plugins", e2etest.Plugins(t), "--data", p.Data, file)
	c := p.Start("run", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--log-level", "debug", worker, file)
	state := func() connect.State { return e2etest.TaskOf(t, listen, "rotating").State }
	c.Eventually("the first password", func() bool {
		return g.IsLastPassword("first-secret") && state() == connect.Running
	})

	g.Accept("first-secret", "second-secret")
	p.File("secrets/odata.properties", "password=second-secret")
	c.Eventually("the second password", func() bool { return g.IsLastPassword("second-secret") })
	g.Accept("second-secret")
	if n := g.Refusals("first-secret") + g.Refusals("second-secret"); n != 0 || state() != connect.Running {
		t.Errorf("expected no refusals and a task that is RUNNING, found %d and %s", n, state())
	}

	p.File("secrets/odata.properties", "password=wrong-secret")
	c.Eventually("the task's failure", func() bool { return state() == connect.Failed })
	p.File("secrets/odata.properties", "password=wrong-secret", "# touched")
	p.File("secrets/new", "password=third-secret")
	g.Accept("third-secret")
	require.NoError(t, os.Rename(filepath.Join(secrets, "new"), filepath.Join(secrets, "odata.properties")))
	c.Eventually("the third password", func() bool {
		return g.IsLastPassword("third-secret") && state() == connect.Running
	})
	n := g.Refusals("wrong-secret")
	assert.True(t, n == 1, "expected the wrong password once, found it %d times", n)
	r := c.MustStop()
	for _, secret := range []string{"first-secret", "second-secret", "wrong-secret", "third-secret"} {
		assert.True(t, !strings.Contains(r.Stderr+r.Stdout, secret), "expected no secret in the log, found %s", secret)
	}
}

// A service behind a Cloud Connector is reached by a BTP destination and service bindings: through the HTTP proxy, and
// with TLS through SOCKS5. With TLS no proxy sees the password, and no log has a secret or a token.
func TestThroughCloudConnector(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	account := connectivitytest.NewServer()
	t.Cleanup(account.Close)
	p.Environ = []string{"VCAP_SERVICES=" + account.VCAP(0), "NO_PROXY="}
	const password = "s3cret-of-the-service"
	s, address := e2etest.StartDemo(t, odatatest.Options{Rows: 600, PageSize: 10, User: "technical",
		Password: password})
	// A tunnel that breaks while pages are read costs a retry only: every fourth request finds its tunnel broken.
	var requests, dropped atomic.Int64
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1)%4 == 0 {
			dropped.Add(int64(account.DropTunnels()))
		}
		s.ServeHTTP(w, r)
	}))
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{e2etest.LocalhostCertificate(t)}}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	account.Attach("DE-Berlin")
	account.MapAt("DE-Berlin", "s4.virtual:8000", address)
	account.MapAt("DE-Berlin", "localhost:44300", secure.Listener.Addr().String())
	setDestination := func(name, url string) {
		account.SetDestination(name, `{"owner":{"SubaccountId":"x","InstanceId":null},"destinationConfiguration":{"Name":"`+name+`","Type":"HTTP","URL":"`+url+`",
			"Authentication":"BasicAuthentication","User":"technical","Password":"`+password+`","ProxyType":"OnPremise","CloudConnectorLocationId":"DE-Berlin"}}`)
	}
	setDestination("S4", "http://s4.virtual:8000")
	setDestination("S4TLS", "https://localhost:44300")
	account.Lifetime(10 * time.Second)
	// connector writes the file of a connector with a destination and without an address.
	connector := func(name, destination string, more ...string) string {
		var lines []string
		for _, line := range e2etest.Source(name, "x:1", "Orders") {
			if !strings.HasPrefix(line, "sap.odata.host.") {
				lines = append(lines, line)
			}
		}
		return p.File(name+".properties", e2etest.WithSettings(lines, append(more, "sap.odata#00.topic="+name,
			"sap.odata.destination="+destination)...)...)
	}
	plain := connector("plain", "S4")
	tunnelled := connector("tunnelled", "S4TLS",
		"sap.odata.truststore.location="+filepath.Join(e2etest.KeyStoreFolder(t),
			"trust.jks"), "sap.odata.truststore.password="+e2etest.StorePassword, "sap.odata.max.retries=100",
		"sap.odata.min.retry.backoff.ms=1", "sap.odata.max.retry.backoff.ms=20")
	p.MustRun("validate", "--plugins", e2etest.Plugins(t), plain, tunnelled)
	account.Record(true)
	account.Detach("DE-Berlin") // the worker waits for it: no task fails (P26)
	c := p.Start("run", "--once", "--log-level", "debug", "--plugins", e2etest.Plugins(t), "--data", p.Data, plain,
		tunnelled)
	c.Eventually("attempts without a Cloud Connector", func() bool {
		wasRefused := func(port string, code int) bool {
			return account.Count(func(e connectivitytest.Entry) bool { return e.Port == port && e.Code == code }) > 1
		}
		return wasRefused("http", http.StatusServiceUnavailable) && wasRefused("socks5", 3)
	})
	account.Attach("DE-Berlin")
	r := c.Wait()
	assert.True(t, dropped.Load() != 0, "expected that tunnels are dropped, found none")
	r.WantCode(0)
	for _, topic := range []string{"plain", "tunnelled"} {
		keys := map[string]bool{}
		for _, r := range p.Records(topic) {
			keys[fmt.Sprint(r["key"])] = true
		}
		assert.Equal(t, s.Count("Orders"), len(keys), topic, "orders")
	}
	checkTunnelHidesSecrets(t, account, password, r)
}

// checkTunnelHidesSecrets checks that the connections went through both ports of the Cloud Connector, and that neither
// the traffic nor the output of the worker has a secret.
func checkTunnelHidesSecrets(t *testing.T, account *connectivitytest.Server, password string, r e2etest.Result) {
	t.Helper()
	ports := map[string]int{}
	for _, e := range account.Ledger() {
		ports[e.Port]++
		assert.True(t, (e.Port != "http" && e.Port != "socks5") || e.Location == "DE-Berlin",
			"%s: expected the location DE-Berlin, found %q", e.Port, e.Location)
	}
	assert.True(t, ports["http"] >= 6 && ports["socks5"] != 0 && ports["destination"] != 0,
		"expected both ports to be used, found %v", ports)
	traffic := string(account.Recorded())
	assert.AtLeast(t, 1000, len(traffic), "bytes through the tunnel")
	// The start of a token is long here, because encrypted bytes may contain its first three letters by chance.
	for _, secret := range []string{password, "Authorization", "dGVjaG5pY2Fs", "eyJhbGciOi"} {
		assert.True(t, !strings.Contains(traffic, secret), "expected encrypted traffic, found %q in it", secret)
	}
	for _, secret := range []string{password, "dGVjaG5pY2Fs", "eyJ", account.Connectivity.Secret,
		account.Destination.Secret, e2etest.StorePassword} {
		assert.True(t, !strings.Contains(r.Stderr+r.Stdout, secret),
			"expected no secret in the log, found %q in\n%s", secret, r.Stderr)
	}
}

// OAuth 2.0 and further headers are set by the names of the file's settings.
func TestTokensAndHeadersEndToEnd(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	tokenRequests := make(chan string, 10)
	s := odatatest.New(odatatest.Options{Rows: 20})
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/as/token":
			r.ParseForm()
			tokenRequests <- r.PostForm.Encode()
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"access_token":"t0ken-1","token_type":"bearer","expires_in":3600}`)
		case r.Header.Get("Authorization") != "Bearer t0ken-1" || r.Header.Get("X-Api-Key") != "k3y" ||
			r.Header.Get("sap-client") != "100":
			w.WriteHeader(http.StatusUnauthorized)
		default:
			s.ServeHTTP(w, r)
		}
	}))
	r := p.MustRunOnce("--log-level", "debug", p.File("tokens.properties",
		append(e2etest.Source("tokens", address, "Orders"),
			"sap.odata.auth.type=OAuth2", "sap.odata.oauth.token.endpoint=http://"+address+"/as/token",
			"sap.odata.oauth.client.id=me", "sap.odata.oauth.client.secret=c1ient-secret",
			"sap.odata.oauth.scope=read write", "sap.odata.oauth.client.auth=body",
			"sap.odata.header.X-Api-Key=k3y", "sap.odata.sap.client=100")...))
	assert.Equal(t, s.Count("Orders"), len(p.Records("Orders")), "records")
	assert.Equal(t, 1, len(tokenRequests), "requests to the token service")
	assert.Equal(t, "client_id=me&client_secret=c1ient-secret&grant_type=client_credentials&scope=read+write",
		<-tokenRequests, "the request to the token service")
	r.WantNo("c1ient-secret", "t0ken", "k3y")
}
