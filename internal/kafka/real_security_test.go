//go:build real

package kafka

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/keystore/keystoretest"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
)

// realBroker is an Apache Kafka broker whose secured listeners are advertised under names that only a Cloud Connector
// knows.
type realBroker struct {
	*connectivitytest.Server
	dir    string
	stores string
	plain  string // the port without TLS
	sasl   string // the port with SASL and TLS
	mutual string // the port that requires client certificates
	env    []string
}

func openRealBroker(t *testing.T) *realBroker {
	t.Helper()
	b := &realBroker{Server: connectivitytest.NewServer(), dir: t.TempDir(), stores: t.TempDir(), plain: freePort(t),
		sasl: freePort(t), mutual: freePort(t)}
	t.Cleanup(b.Server.Close)
	b.makeStores(t)
	properties := filepath.Join(b.stores, "broker.properties")
	write(t, properties, fmt.Sprintf(`advertised.listeners=PLAINTEXT://127.0.0.1:%s,SASL_SSL://kafka.virtual:9094,SSL://kafka.virtual:9095
ssl.keystore.location=%s/server.p12
ssl.truststore.location=%[2]s/trust.p12
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasl_ssl.oauthbearer.sasl.jaas.config=%s required unsecuredLoginStringClaim_sub="admin";
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
connections.max.reauth.ms=4000
`, b.plain, b.stores, oauthModule))
	b.env = []string{"CONTROLLER_PORT=" + freePort(t), "SASL_PORT=" + b.sasl, "SSL_PORT=" + b.mutual,
		"BROKER_PROPS=" + properties}
	b.Map("kafka.virtual:9094", "127.0.0.1:"+b.sasl)
	b.Map("kafka.virtual:9095", "127.0.0.1:"+b.mutual)
	return b
}

// makeStores uses keytool to create an authority, a server key and a client key, as PKCS12 and JKS, and exports them to
// PEM files.
func (b *realBroker) makeStores(t *testing.T) {
	t.Helper()
	keytool := func(args ...string) {
		c := exec.Command("keytool", append(args, "-storepass", "changeit")...)
		c.Dir = b.stores
		out, err := c.CombinedOutput()
		require.True(t, err == nil, "keytool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	keytool("-genkeypair", "-keystore", "ca.p12", "-alias", "ca", "-keyalg", "EC", "-groupname", "secp256r1", "-dname",
		"CN=real-ca", "-ext", "bc:c", "-ext", "ku=keyCertSign,cRLSign")
	keytool("-exportcert", "-keystore", "ca.p12", "-alias", "ca", "-rfc", "-file", "ca.pem")
	for _, trust := range []string{"trust.p12", "trust.jks"} {
		keytool("-importcert", "-noprompt", "-keystore", trust, "-storetype",
			strings.ToUpper(strings.Replace(filepath.Ext(trust)[1:], "p12", "pkcs12", 1)), "-alias", "ca", "-file",
			"ca.pem")
	}
	for name, extensions := range map[string]string{"server": "san=dns:kafka.virtual", "client": "eku=clientAuth"} {
		store := name + ".p12"
		keytool("-genkeypair", "-keystore", store, "-alias", name, "-keyalg", "EC", "-groupname", "secp256r1", "-dname",
			"CN="+name)
		keytool("-certreq", "-keystore", store, "-alias", name, "-file", name+".csr")
		keytool("-gencert", "-keystore", "ca.p12", "-alias", "ca", "-infile", name+".csr", "-outfile", name+".crt",
			"-rfc", "-ext", extensions)
		keytool("-importcert", "-noprompt", "-keystore", store, "-alias", "ca", "-file", "ca.pem")
		keytool("-importcert", "-noprompt", "-keystore", store, "-alias", name, "-file", name+".crt")
	}
	keytool("-importkeystore", "-srckeystore", "client.p12", "-srcstorepass", "changeit", "-destkeystore", "client.jks",
		"-deststoretype", "JKS")
	certificate := keystoretest.Certificate(t, keystore.Location{Path: filepath.Join(b.stores, "client.p12"),
		Password: "changeit"})
	write(t, filepath.Join(b.stores, "client.pem"), pemOfKeyPair(t, certificate))
}

func pemOfKeyPair(t *testing.T, c tls.Certificate) string {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	require.NoError(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	for _, der := range c.Certificate {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func freePort(t *testing.T) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(porttest.Address(t))
	return port
}

// start runs the broker until stop or the end of the test. The script reads our standard input, so it ends with this
// process.
func (b *realBroker) start(t *testing.T) (stop func()) {
	t.Helper()
	c := exec.Command("../../testdata/peers/kafka/start-broker.sh", b.plain, b.dir)
	c.Env = append(append(os.Environ(), "UNTIL_EOF=1"), b.env...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	stdin, _ := c.StdinPipe()
	stdout, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	ready := make(chan bool, 1)
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		lines := bufio.NewReader(stdout)
		line, _ := lines.ReadString('\n')
		ready <- strings.TrimSpace(line) == "READY"
		io.Copy(io.Discard, lines)
		c.Wait()
	}()
	isStopped := false
	stop = func() {
		if isStopped {
			return
		}
		isStopped = true
		stdin.Close()
		c.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(5 * time.Minute):
			c.Process.Kill()
			t.Error("expected the broker to exit within 5 min of SIGTERM")
		}
	}
	t.Cleanup(stop)
	select {
	case ok := <-ready:
		if !ok {
			<-exited
			t.Fatalf("the broker did not start:\n%s", stderr.String())
		}
	case <-time.After(30 * time.Minute): // the first start downloads Kafka
		t.Fatal("the broker did not start in time")
	}
	return stop
}

// properties returns the settings of a worker that reaches a port of the broker through the Cloud Connector, and more
// of the form NAME=VALUE.
func (b *realBroker) properties(port string, more ...string) map[string]string {
	return with(map[string]string{
		"bootstrap.servers":               "kafka.virtual:" + port,
		"kafka.proxy.type":                "sap-connectivity",
		"kafka.proxy.address":             b.SOCKS5,
		"kafka.proxy.token.url":           b.URL,
		"kafka.proxy.token.client.id":     b.Connectivity.ID,
		"kafka.proxy.token.client.secret": b.Connectivity.Secret,
	}, more...)
}

// TestRealSecurity uses Apache Kafka behind a Cloud Connector: every way to log on, every kind of store, every kind of
// rejection; then 30,000 records while tokens expire and the broker is restarted.
func TestRealSecurity(t *testing.T) {
	b := openRealBroker(t)
	stop := b.start(t)
	began := time.Now()
	for _, c := range b.logons() {
		t.Run(c.name, func(t *testing.T) { checkRealLogon(t, b, c) })
	}
	t.Run("TLS client, plain broker", func(t *testing.T) {
		properties := map[string]string{"bootstrap.servers": "127.0.0.1:" + b.plain, "security.protocol": "SSL"}
		config := parseConfig(t, properties)
		assert.Error(t, produceOne(t, config), "the broker speaks plain Kafka", "about plain Kafka")
	})
	t.Run("30,000 records", func(t *testing.T) {
		config := parseConfig(t, b.properties("9094", saslProperties("SCRAM-SHA-512", scramModule, realUser,
			b.trust("jks")...)...))
		checkLoadOutlivesRestart(t, b, config, stop)
	})
	t.Logf("with the broker up: %v", time.Since(began).Round(time.Second))
}

// realLogon is a client's properties at a port of the broker.
type realLogon struct {
	name       string
	port       string
	properties []string
	denial     string // a part of the error; "" means access
}

// logons returns the logons that the broker accepts and those that it denies.
func (b *realBroker) logons() []realLogon {
	mutual := func(kind, password string, more ...string) []string {
		return append(more, "security.protocol=SSL", "ssl.keystore.location="+b.stores+"/client."+kind,
			"ssl.keystore.password="+password)
	}
	const wrongPassword = `username="user" password="hush-hush"`
	const saslPort, mutualPort = "9094", "9095" // as the Cloud Connector exposes them
	return []realLogon{
		{
			name:       "PLAIN, PKCS12",
			port:       saslPort,
			properties: saslProperties("PLAIN", plainModule, realUser, b.trust("p12")...),
		},
		{
			name:       "SCRAM-SHA-256, JKS",
			port:       saslPort,
			properties: saslProperties("SCRAM-SHA-256", scramModule, realUser, b.trust("jks")...),
		},
		{
			name:       "SCRAM-SHA-512, PEM",
			port:       saslPort,
			properties: saslProperties("SCRAM-SHA-512", scramModule, realUser, b.trust("pem")...),
		},
		{
			name: "OAUTHBEARER",
			port: saslPort,
			properties: saslProperties("OAUTHBEARER", oauthModule, `unsecuredLoginStringClaim_sub="alice"`,
				b.trust("pem")...),
		},
		{
			name:       "client certificate, PKCS12",
			port:       mutualPort,
			properties: mutual("p12", "changeit", b.trust("p12")...),
		},
		{
			name:       "client certificate, JKS",
			port:       mutualPort,
			properties: mutual("jks", "changeit", b.trust("jks")...),
		},
		{name: "client certificate, PEM", port: mutualPort, properties: mutual("pem", "", b.trust("pem")...)},
		{
			name:       "wrong password",
			port:       saslPort,
			properties: saslProperties("PLAIN", plainModule, wrongPassword, b.trust("p12")...),
			denial:     "token, of sasl.jaas.config",
		},
		{
			name:       "wrong password of SCRAM",
			port:       saslPort,
			properties: saslProperties("SCRAM-SHA-512", scramModule, wrongPassword, b.trust("p12")...),
			denial:     "token, of sasl.jaas.config",
		},
		{
			name:       "no SASL",
			port:       saslPort,
			properties: append(b.trust("p12"), "security.protocol=SSL"),
			denial:     "but the broker requires it: set security.protocol to SASL_SSL",
		},
		{
			name: "no TLS",
			port: saslPort,
			properties: []string{"security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN",
				"sasl.jaas.config=" + plainModule + " required " + realUser + ";"},
			denial: "the broker speaks TLS",
		},
		{name: "nothing at all", port: saslPort, denial: "the broker speaks TLS"},
		{
			name:       "no client certificate",
			port:       mutualPort,
			properties: append(b.trust("p12"), "security.protocol=SSL"),
			denial:     "certificate",
		},
		{
			name:       "unknown authority",
			port:       saslPort,
			properties: saslProperties("PLAIN", plainModule, realUser),
			denial:     "ssl.truststore.location",
		},
		{
			name: "SASL where there is none",
			port: mutualPort,
			properties: saslProperties("PLAIN", plainModule, realUser, append(b.trust("p12"),
				"ssl.keystore.location="+b.stores+"/client.p12", "ssl.keystore.password=changeit")...),
			denial: "it accepts no SASL on this port",
		},
	}
}

// realUser is the part of sasl.jaas.config with the user whom the broker knows.
const realUser = `username="user" password="user-secret"`

// saslProperties returns more and the properties of a logon with SASL and TLS.
func saslProperties(mechanism, module, options string, more ...string) []string {
	return append(more, "security.protocol=SASL_SSL", "sasl.mechanism="+mechanism,
		"sasl.jaas.config="+module+" required "+options+";")
}

// trust returns the properties of a trust store, of the kind p12, jks or pem.
func (b *realBroker) trust(kind string) []string {
	if kind == "pem" {
		return []string{"ssl.truststore.type=PEM", "ssl.truststore.location=" + b.stores + "/ca.pem"}
	}
	return []string{"ssl.truststore.location=" + b.stores + "/trust." + kind, "ssl.truststore.password=changeit"}
}

func checkRealLogon(t *testing.T, b *realBroker, c realLogon) {
	config := parseConfig(t, b.properties(c.port, c.properties...))
	var log journal
	config.Logger = log.logger()
	err := produceOne(t, config)
	if c.denial == "" {
		if err == nil {
			err = pollOnce(t, config)
		}
		assert.NoError(t, err, "access")
	} else {
		expectDenied(t, "producer", err, c.denial)
	}
	for _, secret := range []string{"user-secret", "hush-hush", "changeit", "eyJ"} {
		assert.True(t, !strings.Contains(log.String(), secret), "expected no secret in the log, found %s", secret)
	}
}

// checkLoadOutlivesRestart checks that no record is lost while tokens expire and the broker, which stop ends, is
// restarted.
func checkLoadOutlivesRestart(t *testing.T, b *realBroker, config Config, stop func()) {
	admin, err := NewAdmin(config)
	require.NoError(t, err)
	defer admin.Close()
	ctx := longContext(t)
	_, err = admin.EnsureTopics(ctx, Topic{Name: "load", Partitions: 3})
	require.NoError(t, err)
	restarted := make(chan func(), 1)
	l := &load{topic: "load", records: 30_000, steps: []step{
		{received: 8_000, action: func() {
			b.Lifetime(2 * time.Second)
			b.ExpireTokens()
			b.DropTunnels()
		}},
		{received: 16_000, action: func() {
			stop()
			restarted <- b.start(t)
		}},
	}}
	l.run(t, ctx, config)
	<-restarted
	tunnels := b.Count(func(e connectivitytest.Entry) bool {
		return e.Port == "socks5" && e.Target == "kafka.virtual:9094" && e.Code == 0
	})
	if tokens := b.TokenCount(b.Connectivity); tunnels < 6 || tokens < 3 {
		t.Errorf("expected new tunnels and tokens after each step, found %d and %d", tunnels, tokens)
	}
}
