package keystore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/certtest"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
)

// startServer starts a server that responds with the client's name.
func startServer(t testing.TB, config *tls.Config) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if certs := r.TLS.PeerCertificates; len(certs) > 0 {
			name = certs[0].Subject.CommonName
		}
		io.WriteString(w, name)
	}))
	s.TLS = config
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// ask makes a request to a server by a host name, and returns the client's name as the server sees it.
func ask(t testing.TB, s *httptest.Server, config *tls.Config, host string) (string, error) {
	t.Helper()
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	transport := &http.Transport{
		TLSClientConfig: ForHost(config, host), DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, u.Host)
		},
	}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport, Timeout: 5 * time.Minute}).Get("https://" +
		net.JoinHostPort(host, u.Port()))
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

func clientConfig(t testing.TB, o Options) *tls.Config {
	t.Helper()
	config, err := ClientTLS(o)
	require.NoError(t, err)
	return config
}

func fromPEM(text ...[]byte) *Location {
	l := &Location{PEM: []byte{}}
	for _, part := range text {
		l.PEM = append(l.PEM, part...)
	}
	return l
}

// expire changes a certificate to one that is no longer valid.
func expire(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }

// postpone changes a certificate to one that is not valid yet.
func postpone(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }

// removeHosts removes all subject alternative names from a certificate.
func removeHosts(c *x509.Certificate) {
	c.DNSNames = nil
	c.IPAddresses = nil
}

// startIssuedServer starts a server whose certificate a CA has issued.
func startIssuedServer(t testing.TB, ca *certtest.Issued, config *tls.Config) *httptest.Server {
	t.Helper()
	config.Certificates = []tls.Certificate{certtest.Issue(t, "server", ca, nil).TLS()}
	return startServer(t, config)
}

// Servers accept each sample with a key, and each sample trust store verifies them.
func TestMutualTLS(t *testing.T) {
	own, err := mustOpen(t, sampleAt(t, "client.jks", Location{})).Certificate()
	require.NoError(t, err)
	clients := x509.NewCertPool()
	for name, l := range clientStores {
		c, err := mustOpen(t, sampleAt(t, name, l)).Certificate()
		require.NoError(t, err)
		clients.AddCert(c.Leaf)
	}
	s := startServer(t, &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert,
		ClientCAs: clients})
	for key, keyAt := range clientStores {
		for trust, trustAt := range trustStores {
			k := sampleAt(t, key, keyAt)
			r := sampleAt(t, trust, trustAt)
			got, err := ask(t, s, clientConfig(t, Options{Key: &k, Trust: &r}), "localhost")
			assert.True(t, err == nil && got == ownerOf(key),
				"%s with %s: found the client name %q, %v", key, trust, got, err)
		}
	}
}

func TestErrorsNameTheSettings(t *testing.T) {
	name := func(field string) string { return "sap.odata." + field }
	l := Location{Path: sample("client.jks"), Password: "x"}
	_, err := ClientTLS(Options{Key: &l, Name: name})
	expectFault(t, err, "sap.odata.keystore.password", "wrong password")
	_, err = ClientTLS(Options{Trust: &l, Name: name})
	expectFault(t, err, "sap.odata.truststore.password", "wrong password")
	_, err = ClientTLS(Options{Protocol: "TLSv1", Name: name})
	expectFault(t, err, "sap.odata.protocol", "sap.odata.allow-legacy = true")
}

func TestProtocols(t *testing.T) {
	ca := certtest.Issue(t, "ca", nil, nil)
	cases := []struct {
		protocol string
		legacy   bool
		min      uint16
		max      uint16
		refused  string
	}{
		{min: tls.VersionTLS12, max: tls.VersionTLS13},
		{protocol: "SSL", min: tls.VersionTLS12, max: tls.VersionTLS13},
		{protocol: "TLS", min: tls.VersionTLS12, max: tls.VersionTLS13},
		{protocol: "TLS", legacy: true, min: tls.VersionTLS12, max: tls.VersionTLS13},
		{protocol: "TLSv1.3", min: tls.VersionTLS12, max: tls.VersionTLS13},
		{protocol: "TLSv1.2", min: tls.VersionTLS12, max: tls.VersionTLS12},
		{protocol: "TLSv1.1", legacy: true, min: tls.VersionTLS11, max: tls.VersionTLS11},
		{protocol: "TLSv1", legacy: true, min: tls.VersionTLS10, max: tls.VersionTLS10},
		{protocol: "TLSv1.1", refused: "RFC 8996"},
		{protocol: "TLSv1", refused: "RFC 8996"},
		{protocol: "SSLv3", legacy: true, refused: "RFC 7568"},
		{protocol: "SSLv2", legacy: true, refused: "RFC 6176"},
		{protocol: "tls", legacy: true, refused: "case-sensitive"},
	}
	for _, c := range cases {
		o := Options{Protocol: c.protocol, AllowLegacy: c.legacy, Trust: fromPEM(ca.PEM())}
		config, err := ClientTLS(o)
		if c.refused != "" {
			expectFault(t, err, "protocol", c.refused)
			continue
		}
		require.NoError(t, err)
		for v := uint16(tls.VersionTLS10); v <= tls.VersionTLS13; v++ {
			suites := []uint16(nil)
			if v < tls.VersionTLS12 {
				suites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
			}
			s := startIssuedServer(t, ca, &tls.Config{MinVersion: v, MaxVersion: v, CipherSuites: suites})
			_, err := ask(t, s, config, "localhost")
			if fits := v >= c.min && v <= c.max; fits != (err == nil) {
				t.Errorf("%q, legacy %v, server with %s: %v", c.protocol, c.legacy, tls.VersionName(v), err)
			} else if !fits {
				expectFault(t, Explain(err, o), "protocol", "the server does not support the configured TLS versions")
			}
		}
	}
}

// explainCase is a handshake of a client with a server, and the error that the client explains.
type explainCase struct {
	server  *certtest.Issued
	config  *tls.Config
	options Options  // of the client
	host    string   // to which the client connects
	setting string   // in the error; "" means that the handshake succeeds
	texts   []string // in the error
}

func explainCases(t *testing.T) map[string]explainCase {
	t.Helper()
	ca := certtest.Issue(t, "ca", nil, nil)
	stranger := certtest.Issue(t, "stranger", nil, nil)
	clientOnly := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
	oldCA := certtest.Issue(t, "old ca", nil, expire)
	validServer := certtest.Issue(t, "server", ca, nil)
	trustCA := Options{Trust: fromPEM(ca.PEM())}
	me := fromPEM(certtest.Issue(t, "me", ca, nil).KeyPEM(t))
	rejectAll := func([][]byte, [][]*x509.Certificate) error { return errors.New("no") }
	return map[string]explainCase{
		"fits": {
			server:  validServer,
			config:  &tls.Config{ClientAuth: tls.RequestClientCert},
			options: trustCA,
			host:    "localhost",
		},
		"fits by address": {server: validServer, config: &tls.Config{}, options: trustCA, host: "127.0.0.1"},
		"other host": {
			server:  validServer,
			config:  &tls.Config{},
			options: trustCA,
			host:    "sap.example",
			setting: "host-check",
			texts:   []string{"CN=server", "is for localhost, 127.0.0.1", "not for sap.example"},
		},
		"other address": {
			server:  validServer,
			config:  &tls.Config{},
			options: trustCA,
			host:    "10.0.0.1",
			setting: "host-check",
			texts:   []string{"not for 10.0.0.1"},
		},
		"any host": {
			server:  validServer,
			config:  &tls.Config{},
			options: Options{Trust: fromPEM(ca.PEM()), SkipHostCheck: true},
			host:    "sap.example",
		},
		"any host, system": {
			server:  validServer,
			config:  &tls.Config{},
			options: Options{SkipHostCheck: true},
			host:    "sap.example",
			setting: "truststore.location",
			texts:   []string{"issued by CN=ca", "operating system"},
		},
		"any host, issuer": {
			server:  validServer,
			config:  &tls.Config{},
			options: Options{Trust: fromPEM(stranger.PEM()), SkipHostCheck: true},
			host:    "sap.example",
			setting: "truststore.location",
			texts:   []string{"issued by CN=ca"},
		},
		"issuer": {
			server:  validServer,
			config:  &tls.Config{},
			options: Options{Trust: fromPEM(stranger.PEM())},
			host:    "localhost",
			setting: "truststore.location",
			texts:   []string{"CN=server is issued by CN=ca", "not among the 1 trusted certificates of the PEM text"},
		},
		"issuer of an intermediate": {
			server:  certtest.Issue(t, "server", certtest.Issue(t, "intermediate", ca, nil), nil),
			config:  &tls.Config{},
			options: Options{Trust: fromPEM(stranger.PEM())},
			host:    "localhost",
			setting: "truststore.location",
			texts:   []string{"CN=server depends on CN=ca", "not among"},
		},
		"issuer, system": {
			server:  validServer,
			config:  &tls.Config{},
			options: Options{},
			host:    "localhost",
			setting: "truststore.location",
			texts:   []string{"issued by CN=ca", "operating system", "truststore.password"},
		},
		"expired": {
			server:  certtest.Issue(t, "server", ca, expire),
			config:  &tls.Config{},
			options: trustCA,
			host:    "localhost",
			setting: "truststore.location",
			texts:   []string{"CN=server has expired on", "renewed on the server"},
		},
		"not yet": {
			server:  certtest.Issue(t, "server", ca, postpone),
			config:  &tls.Config{},
			options: trustCA,
			host:    "localhost",
			setting: "truststore.location",
			texts:   []string{"not valid before", "clock"},
		},
		"expired CA": {
			server:  certtest.Issue(t, "server", oldCA, nil),
			config:  &tls.Config{},
			options: Options{Trust: fromPEM(oldCA.PEM())},
			host:    "localhost",
			setting: "truststore.location",
			texts:   []string{"CN=old ca", "has expired", "add its successor to the trust store"},
		},
		"wrong use": {
			server:  certtest.Issue(t, "server", ca, clientOnly),
			config:  &tls.Config{},
			options: trustCA,
			host:    "localhost",
			setting: "truststore.location",
			texts:   []string{"cannot be verified", "usage"},
		},
		"no certificate": {
			server:  validServer,
			config:  &tls.Config{ClientAuth: tls.RequireAnyClientCert},
			options: trustCA,
			host:    "localhost",
			setting: "keystore.location",
			texts:   []string{"is not set", "the server requires a certificate"},
		},
		"no certificate 2": {
			server:  validServer,
			config:  &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12},
			options: trustCA,
			host:    "localhost",
			setting: "keystore.location",
			texts:   []string{"is not set"},
		},
		"refused client": {
			server:  validServer,
			config:  &tls.Config{ClientAuth: tls.RequireAnyClientCert, VerifyPeerCertificate: rejectAll},
			options: Options{Trust: fromPEM(ca.PEM()), Key: me},
			host:    "localhost",
			setting: "keystore.location",
			texts:   []string{"the server rejected the certificate"},
		},
		"no subject alternative name": {
			server:  certtest.Issue(t, "localhost", ca, removeHosts),
			config:  &tls.Config{},
			options: trustCA,
			host:    "localhost",
			setting: "host-check",
			texts:   []string{"CN=localhost is for no host", "RFC 9525 forbids): renew the server's certificate"},
		},
		"unknown client": {
			server:  validServer,
			config:  &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: stranger.Pool()},
			options: Options{Trust: fromPEM(ca.PEM()), Key: me, Logger: slog.New(slog.DiscardHandler)},
			host:    "localhost",
			setting: "keystore.location",
			texts:   []string{"certificates of other issuers"},
		},
	}
}

// Handshake errors name the setting to correct.
func TestExplain(t *testing.T) {
	t.Setenv("JAVA_HOME", "")
	for name, c := range explainCases(t) {
		t.Run(name, func(t *testing.T) {
			c.config.Certificates = []tls.Certificate{c.server.TLS()}
			got, err := ask(t, startServer(t, c.config), clientConfig(t, c.options), c.host)
			if c.setting == "" {
				assert.NoError(t, err)
				assert.Equal(t, "nobody", got, "a trust store alone presents no certificate")
				return
			}
			expectFault(t, Explain(err, c.options), c.setting, c.texts...)
		})
	}
}

// Without a trust store the error names Java's.
func TestExplainJava(t *testing.T) {
	ca := certtest.Issue(t, "ca", nil, nil)
	s := startIssuedServer(t, ca, &tls.Config{})
	for _, lib := range []string{"lib", "jre/lib"} {
		home := t.TempDir()
		t.Setenv("JAVA_HOME", home)
		cacerts := filepath.Join(home, lib, "security", "cacerts")
		require.NoError(t, os.MkdirAll(filepath.Dir(cacerts), 0o700))
		replaceFile(t, cacerts, []byte("x"))
		_, err := ask(t, s, clientConfig(t, Options{}), "localhost")
		expectFault(t, Explain(err, Options{}), "truststore.location", cacerts,
			"set truststore.location to it and truststore.password to its password")
	}
}

func TestExplainServerWithoutTLS(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	conn, err := tls.Dial("tcp", plain.Listener.Addr().String(), clientConfig(t, Options{SkipHostCheck: true}))
	if err == nil {
		conn.Close()
	}
	expectFault(t, Explain(err, Options{}), "protocol", "does not use TLS on this port", `"HTTP/"`)
	_, err = ask(t, plain, clientConfig(t, Options{SkipHostCheck: true}), "localhost")
	expectFault(t, Explain(err, Options{}), "protocol", "uses plain HTTP on this port")
}

// A configuration without a host rejects the server.
func TestNoHost(t *testing.T) {
	ca := certtest.Issue(t, "ca", nil, nil)
	s := startIssuedServer(t, ca, &tls.Config{})
	conn, err := tls.Dial("tcp", s.Listener.Addr().String(), clientConfig(t, Options{Trust: fromPEM(ca.PEM())}))
	if err == nil {
		conn.Close()
	}
	assert.True(t, err != nil && strings.Contains(err.Error(), "ForHost"),
		"expected the server to be rejected, found %v", err)
}

// Changed files are reloaded; an unusable file is logged once and ignored.
func TestReload(t *testing.T) {
	oldCA := certtest.Issue(t, "old ca", nil, nil)
	newCA := certtest.Issue(t, "new ca", nil, nil)
	folder := t.TempDir()
	key := filepath.Join(folder, "key.pem")
	trust := filepath.Join(folder, "trust.pem")
	replaceFile(t, key, certtest.Issue(t, "before", oldCA, nil).KeyPEM(t))
	replaceFile(t, trust, oldCA.PEM())
	var logs logtest.Journal
	config := clientConfig(t, Options{Key: &Location{Path: key}, Trust: &Location{Path: trust},
		Logger: logs.Logger(slog.LevelDebug)})
	before := startIssuedServer(t, oldCA, &tls.Config{ClientAuth: tls.RequestClientCert})
	after := startIssuedServer(t, newCA, &tls.Config{ClientAuth: tls.RequestClientCert})
	expect := func(s *httptest.Server, want string) {
		t.Helper()
		got, err := ask(t, s, config, "127.0.0.1")
		assert.True(t, err == nil && got == want, "%q, %v; expected %q", got, err, want)
	}
	expect(before, "before")
	replaceFile(t, key, []byte("-----BEGIN half a file"))
	replaceFile(t, trust, []byte("-----BEGIN half a file"))
	for range 3 {
		expect(before, "before")
	}
	got := strings.Count(logs.String(), "level=ERROR")
	assert.True(t, got == 2, "%d errors logged, expected one for each file", got)
	replaceFile(t, key, certtest.Issue(t, "after", newCA, nil).KeyPEM(t))
	replaceFile(t, trust, newCA.PEM())
	expect(after, "after")
	_, err := ask(t, before, config, "localhost")
	assert.True(t, err != nil, "expected a removed CA not to be trusted")
	got = strings.Count(logs.String(), "level=INFO")
	assert.True(t, got == 2, "found %d lines about reloaded stores, expected one for each file", got)
}

// A certificate that the server does not accept is logged once, and again if its issuer has changed.
func TestForeignIssuerIsLogged(t *testing.T) {
	accepted := certtest.Issue(t, "accepted", nil, nil)
	key := filepath.Join(t.TempDir(), "key.pem")
	var logs logtest.Journal
	replaceFile(t, key, certtest.Issue(t, "me", certtest.Issue(t, "first", nil, nil), nil).KeyPEM(t))
	config := clientConfig(t, Options{Key: &Location{Path: key}, Logger: logs.Logger(slog.LevelWarn)})
	for _, issuer := range []string{"first", "second"} {
		replaceFile(t, key, certtest.Issue(t, "me", certtest.Issue(t, issuer, nil, nil), nil).KeyPEM(t))
		for range 2 {
			c, err := config.GetClientCertificate(&tls.CertificateRequestInfo{Version: tls.VersionTLS13,
				SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
				AcceptableCAs:    [][]byte{accepted.Cert.RawSubject}})
			assert.True(t, err == nil && c.Leaf == nil, "expected no certificate, found %v, %v", c, err)
		}
		assert.Equal(t, 1, strings.Count(logs.String(), "CN="+issuer), "lines about the issuer", issuer)
	}
}

// The stores of a DKS domain are reloaded, too.
func TestReloadDomain(t *testing.T) {
	folder := t.TempDir()
	replaceFile(t, filepath.Join(folder, "a.dks"), []byte(`domain d { keystore k keystoreURI="`+folder+`/k.pem"; };`))
	replaceFile(t, filepath.Join(folder, "k.pem"), certtest.Issue(t, "before", nil, nil).KeyPEM(t))
	config := clientConfig(t, Options{Key: &Location{Path: folder + "/a.dks#d"}, Logger: slog.New(slog.DiscardHandler)})
	clientName := func() string {
		c, err := config.GetClientCertificate(&tls.CertificateRequestInfo{Version: tls.VersionTLS13,
			SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}})
		require.NoError(t, err)
		return c.Leaf.Subject.CommonName
	}
	names := []string{clientName()}
	replaceFile(t, filepath.Join(folder, "k.pem"), certtest.Issue(t, "after", nil, nil).KeyPEM(t))
	names = append(names, clientName())
	replaceFile(t, filepath.Join(folder, "l.pem"), certtest.Issue(t, "elsewhere", nil, nil).KeyPEM(t))
	replaceFile(t, filepath.Join(folder, "a.dks"), []byte(`domain d { keystore k keystoreURI="`+folder+`/l.pem"; };`))
	names = append(names, clientName())
	replaceFile(t, filepath.Join(folder, "l.pem"), certtest.Issue(t, "again", nil, nil).KeyPEM(t))
	names = append(names, clientName())
	assert.Equal(t, []string{"before", "after", "elsewhere", "again"}, names)
}

// A certificate that has expired is not sent, and the error says so.
func TestExpiryWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := clientConfig(t, Options{Key: fromPEM(certtest.Issue(t, "me", nil, nil).KeyPEM(t))})
		request := &tls.CertificateRequestInfo{Version: tls.VersionTLS13,
			SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}}
		if _, err := config.GetClientCertificate(request); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour + time.Second) // of the bubble's clock
		_, err := config.GetClientCertificate(request)
		expectFault(t, err, "keystore.location", "CN=me", `entry "1"`, "expired on")
	})
}

// A server with a trust store requires client certificates of its authorities.
func TestServerAsksForCertificates(t *testing.T) {
	ca := certtest.Issue(t, "ca", nil, nil)
	other := certtest.Issue(t, "another ca", nil, nil)
	own := certtest.Issue(t, "server", ca, nil)
	trust := filepath.Join(t.TempDir(), "trust.pem")
	replaceFile(t, trust, ca.PEM())
	o := Options{Key: fromPEM(own.KeyPEM(t)), Trust: &Location{Path: trust, Type: "pem"}}
	config, err := ServerTLS(o, tls.RequireAndVerifyClientCert)
	require.NoError(t, err)
	s := startServer(t, config)
	requestAs := func(i *certtest.Issued) string {
		o := Options{Trust: fromPEM(ca.PEM())}
		if i != nil {
			o.Key = fromPEM(i.KeyPEM(t))
		}
		name, err := ask(t, s, clientConfig(t, o), "localhost")
		if err != nil {
			return "refused"
		}
		return name
	}
	forServers := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	for _, c := range []struct {
		name        string
		certificate *certtest.Issued
		want        string // the client's name, or "refused"
	}{
		{name: "no certificate", want: "refused"},
		{name: "of the ca", certificate: certtest.Issue(t, "one", ca, nil), want: "one"},
		{name: "of another ca", certificate: certtest.Issue(t, "stranger", other, nil), want: "refused"},
		{name: "self-signed", certificate: certtest.Issue(t, "self", nil, nil), want: "refused"},
		{name: "for servers", certificate: certtest.Issue(t, "a server", ca, forServers), want: "refused"},
	} {
		assert.Equal(t, c.want, requestAs(c.certificate), c.name)
	}
	open, err := ServerTLS(Options{Key: fromPEM(own.KeyPEM(t))}, tls.NoClientCert)
	require.NoError(t, err)
	s = startServer(t, open)
	assert.Equal(t, "nobody", requestAs(nil), "without a trust store")
	o.Trust.Path += ".missing"
	_, err = ServerTLS(o, tls.RequireAndVerifyClientCert)
	assert.True(t, err != nil, "expected an error for a missing trust store")
}
