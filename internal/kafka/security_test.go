package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/certtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/security"
)

// serverOf returns a certificate for these hosts and 127.0.0.1.
func serverOf(t *testing.T, ca *certtest.Issued, hosts ...string) *tls.Config {
	t.Helper()
	broker := certtest.Issue(t, "broker", ca, func(c *x509.Certificate) {
		c.DNSNames, c.ExtKeyUsage = hosts, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	return &tls.Config{Certificates: []tls.Certificate{broker.TLS()}}
}

// clientOf returns a certificate and its key as PEM texts.
func clientOf(t *testing.T, ca *certtest.Issued) (chain, key string) {
	t.Helper()
	client := certtest.Issue(t, "client", ca, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
	chain = string(client.PEM())
	return chain, strings.TrimSuffix(string(client.KeyPEM(t)), chain)
}

const (
	plainModule = "org.apache.kafka.common.security.plain.PlainLoginModule"
	scramModule = "org.apache.kafka.common.security.scram.ScramLoginModule"

	oauthHandlers = "org.apache.kafka.common.security.oauthbearer."
	oauthModule   = oauthHandlers + "OAuthBearerLoginModule"
	tokenHandler  = oauthHandlers + "OAuthBearerLoginCallbackHandler"

	plainLogon = plainModule + ` required username="alice" password="hush-hush";`
	scramLogon = scramModule + ` required username="alice" password="hush-hush";`
	oauthLogon = oauthModule + ` required clientId="id" clientSecret="hush-hush" scope="kafka";`
)

// verdict is the effect of a property: no problem, a warning, or an error.
type verdict struct{ wrong, warns string }

// Every security property of Kafka's clients has cases in this table.
func TestSecuritySettings(t *testing.T) {
	a := certtest.Issue(t, "authority", nil, nil)
	chain, key := clientOf(t, a)
	store := filepath.Join(t.TempDir(), "client.pem")
	require.NoError(t, os.WriteFile(store, []byte(chain+key), 0o600))
	samples := "../../testdata/samples/keystores/"
	tlsOn := map[string]string{"security.protocol": "SSL"}
	keyPassword := with(tlsOn, "ssl.keystore.password=changeit")
	keyAt := func(file string) map[string]string { return with(keyPassword, "ssl.keystore.location="+samples+file) }
	keyText := with(tlsOn, "ssl.keystore.key="+key, "ssl.keystore.certificate.chain="+chain)
	trustPassword := with(tlsOn, "ssl.truststore.password=changeit")
	trustAt := with(trustPassword, "ssl.truststore.location="+samples+"trust.p12")
	trustText := with(tlsOn, "ssl.truststore.certificates="+string(a.PEM()))
	saslOn := func(mechanism, logon string) map[string]string {
		return map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": mechanism,
			"sasl.jaas.config": logon}
	}
	tokens := with(saslOn("OAUTHBEARER", oauthLogon), "sasl.login.callback.handler.class="+tokenHandler,
		"sasl.oauthbearer.token.endpoint.url=https://t.example.com/token")
	cases := []struct {
		name, value string
		extra       map[string]string
		verdict
	}{
		{"security.protocol", "PLAINTEXT", nil, verdict{}},
		{"security.protocol", "ssl", nil, verdict{}},
		{"security.protocol", "TLS", nil, verdict{wrong: "Invalid value TLS for configuration security.protocol: " +
			"String must be one of: PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"}},
		{"security.protocol", "SASL_PLAINTEXT", saslOn("PLAIN", plainLogon),
			verdict{warns: "sends the password or token to kafka.example.com:9092 in clear"}},
		{"security.protocol", "SASL_PLAINTEXT", saslOn("SCRAM-SHA-256", scramLogon), verdict{}},
		{"security.protocol", "SASL_SSL", nil, verdict{wrong: "sasl.mechanism: expected PLAIN"}},
		{"security.providers", "x", nil, verdict{wrong: "not built: there are no Java security providers"}},
		{"security.providers", "", nil, verdict{}},

		{"ssl.protocol", "TLSv1.2", tlsOn, verdict{}},
		{"ssl.protocol", "SSLv3", tlsOn, verdict{wrong: "SSLv3"}},
		{"ssl.protocol", "TLSv1.3", nil, verdict{warns: "has no effect: security.protocol is PLAINTEXT"}},
		{"ssl.provider", "SunJSSE", tlsOn, verdict{wrong: "not built"}},
		{"ssl.enabled.protocols", "TLSv1.3,TLSv1.2", tlsOn, verdict{}},
		{"ssl.enabled.protocols", "TLSv1.1", tlsOn, verdict{wrong: "TLSv1.1 is insecure"}},
		{"ssl.enabled.protocols", "TLSv9", tlsOn, verdict{wrong: `found "TLSv9"`}},
		{"ssl.cipher.suites", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", tlsOn,
			verdict{}},
		{"ssl.cipher.suites", "TLS_AES_128_GCM_SHA256", tlsOn, verdict{warns: "suites of TLS 1.3 cannot be selected"}},
		{"ssl.cipher.suites", "TLS_RSA_WITH_3DES_EDE_CBC_SHA", tlsOn, verdict{warns: "is insecure"}},
		{"ssl.cipher.suites", "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", tlsOn, verdict{wrong: "is not built"}},
		{"ssl.keystore.location", samples + "client.jks", keyPassword, verdict{}},
		{"ssl.keystore.location", samples + "client.p12", keyPassword, verdict{}},
		{"ssl.keystore.location", store, with(tlsOn, "ssl.keystore.type=PEM"), verdict{}},
		{"ssl.keystore.location", "/nowhere/x.jks", keyPassword, verdict{wrong: "/nowhere/x.jks"}},
		{"ssl.keystore.location", store, keyText, verdict{wrong: "expected nothing in addition to ssl.keystore.key"}},
		{"ssl.keystore.password", "hush-hush", keyAt("client.jks"), verdict{wrong: "password"}},
		{"ssl.keystore.type", "JKS", keyAt("client.jks"), verdict{}},
		{"ssl.keystore.type", "PKCS12", keyAt("client.p12"), verdict{}},
		{"ssl.keystore.type", "BKS", keyAt("client.p12"), verdict{wrong: "BKS"}},
		{"ssl.keystore.type", "JKS", keyText, verdict{wrong: "expected PEM"}},
		{"ssl.key.password", "changeit2", keyAt("keypass.jks"), verdict{}},
		{"ssl.key.password", "hush-hush", keyAt("keypass.jks"), verdict{wrong: "password"}},
		{"ssl.keystore.key", key, keyText, verdict{}},
		{"ssl.keystore.key", strings.ReplaceAll(key, "\n", " "), with(tlsOn, "ssl.keystore.certificate.chain="+
			strings.ReplaceAll(chain, "\n", " ")), verdict{}},
		{"ssl.keystore.key", key, tlsOn, verdict{wrong: "ssl.keystore.certificate.chain: expected"}},
		{"ssl.keystore.key", "hush-hush", tlsOn, verdict{wrong: "expected PEM text"}},
		{"ssl.keystore.certificate.chain", chain, tlsOn, verdict{wrong: "ssl.keystore.key: expected"}},
		{"ssl.keystore.certificate.chain", "x", tlsOn, verdict{wrong: "-----BEGIN CERTIFICATE-----"}},
		{"ssl.truststore.location", samples + "trust.jks", trustPassword, verdict{}},
		{"ssl.truststore.location", samples + "trust.p12", trustPassword, verdict{}},
		{"ssl.truststore.location", "x", trustText,
			verdict{wrong: "expected nothing in addition to ssl.truststore.certificates"}},
		{"ssl.truststore.location", samples + "trust.jks", nil, verdict{warns: "has no effect"}},
		{"ssl.truststore.password", "hush-hush", trustAt, verdict{wrong: "password"}},
		{"ssl.truststore.type", "PKCS12", trustAt, verdict{}},
		{"ssl.truststore.type", "PKCS12", trustText, verdict{wrong: "expected PEM"}},
		{"ssl.truststore.certificates", string(a.PEM()), tlsOn, verdict{}},
		{"ssl.truststore.certificates", "-----BEGIN CERTIFICATE----- AAAA -----END CERTIFICATE-----", tlsOn,
			verdict{wrong: "ssl.truststore.certificates"}},
		{"ssl.endpoint.identification.algorithm", "https", tlsOn, verdict{}},
		{"ssl.endpoint.identification.algorithm", "", tlsOn, verdict{warns: "is accepted for any host"}},
		{"ssl.endpoint.identification.algorithm", "none", tlsOn,
			verdict{wrong: `Invalid value none for configuration ssl.endpoint.identification.algorithm: expected https, or nothing`}},
		{"ssl.engine.factory.class", "a.B", tlsOn, verdict{wrong: "Java classes cannot be run"}},
		{"ssl.keymanager.algorithm", "PKIX", tlsOn, verdict{warns: "has no effect here"}},
		{"ssl.trustmanager.algorithm", "PKIX", tlsOn, verdict{warns: "has no effect here"}},
		{"ssl.secure.random.implementation", "x", tlsOn, verdict{warns: "has no effect here"}},
		{"ssl.keystor.location", "x", tlsOn, verdict{warns: "the nearest known one is ssl.keystore.location"}},

		{"sasl.mechanism", "PLAIN", saslOn("", plainLogon), verdict{}},
		{"sasl.mechanism", "SCRAM-SHA-256", saslOn("", scramLogon), verdict{}},
		{"sasl.mechanism", "SCRAM-SHA-512", saslOn("", scramLogon), verdict{}},
		{"sasl.mechanism", "SCRAM-SHA-512", saslOn("", plainLogon),
			verdict{wrong: "expected " + scramModule}},
		{"sasl.mechanism", "GSSAPI", saslOn("", plainLogon), verdict{wrong: "GSSAPI (Kerberos) is not built"}},
		{"sasl.mechanism", "SCRAM-SHA-1", saslOn("", scramLogon),
			verdict{wrong: `Invalid value SCRAM-SHA-1 for configuration sasl.mechanism: String must be one of: PLAIN, SCRAM-SHA-256`}},
		{"sasl.mechanism", "PLAIN", nil, verdict{warns: "has no effect: security.protocol is PLAINTEXT"}},
		{"sasl.jaas.config", plainLogon, saslOn("PLAIN", ""), verdict{}},
		{"sasl.jaas.config", plainModule + ` required username="alice";`, saslOn("PLAIN", ""),
			verdict{wrong: `expected password="…"`}},
		{"sasl.jaas.config", plainModule + ` required username="alice" passwort="hush-hush" password="x";`,
			saslOn("PLAIN", ""), verdict{wrong: "option passwort of the login module: unknown setting; the " +
				"nearest known one is password"}},
		{"sasl.jaas.config", scramModule + ` required username="alice" password="x" tokenauth="perhaps";`,
			saslOn("SCRAM-SHA-256", ""), verdict{wrong: "option tokenauth of the login module: Invalid value " +
				"[hidden] for configuration tokenauth: Expected value to be either true or false"}},
		{"sasl.jaas.config", plainModule + ` required username="alice" password="hush-hush"`, saslOn("PLAIN", ""),
			verdict{wrong: "semicolon"}},
		{"sasl.jaas.config", "com.sun.security.auth.module.Krb5LoginModule required;", saslOn("PLAIN", ""),
			verdict{wrong: "expected " + plainModule}},
		{"sasl.jaas.config", scramModule + ` required username="alice" password="hush-hush" tokenauth="true";`,
			saslOn("SCRAM-SHA-256", ""), verdict{}},
		{"sasl.jaas.config", oauthModule + ` required unsecuredLoginStringClaim_sub="alice";`,
			saslOn("OAUTHBEARER", ""),
			verdict{}},
		{"sasl.jaas.config", oauthModule + ` required;`, saslOn("OAUTHBEARER", ""),
			verdict{wrong: "unsecuredLoginStringClaim_sub"}},
		{"sasl.jaas.config", oauthModule + ` required clientId="id";`, tokens, verdict{wrong: "clientSecret"}},
		{"sasl.jaas.config", oauthModule + ` required clientId="id" clientSecret="hush-hush" extension_auth="x";`,
			tokens, verdict{wrong: "extension_auth"}},
		{"sasl.jaas.config", oauthModule +
			` required clientId="id" clientSecret="hush-hush" ssl.truststore.location="` + samples +
			`trust.p12" ssl.truststore.password="changeit";`, tokens, verdict{}},
		{"sasl.jaas.config", oauthModule +
			` required clientId="id" clientSecret="hush-hush" ssl.truststore.location="/nowhere";`,
			tokens, verdict{wrong: "/nowhere"}},
		{"sasl.client.callback.handler.class", "a.B", saslOn("PLAIN", plainLogon),
			verdict{wrong: "Java classes cannot be run"}},
		{"sasl.login.callback.handler.class", tokenHandler, tokens, verdict{}},
		{"sasl.login.callback.handler.class", oauthHandlers + "secured.OAuthBearerLoginCallbackHandler", tokens,
			verdict{}},
		{"sasl.login.callback.handler.class", "a.B", tokens, verdict{wrong: "expected " + tokenHandler}},
		{"sasl.login.callback.handler.class", "a.B", saslOn("PLAIN", plainLogon),
			verdict{wrong: "not built for PLAIN"}},
		{"sasl.login.class", "a.B", saslOn("PLAIN", plainLogon), verdict{wrong: "not built"}},
		{"sasl.login.connect.timeout.ms", "1000", tokens, verdict{}},
		{"sasl.login.read.timeout.ms", "soon", tokens, verdict{wrong: "Not a number of type INT"}},
		{"sasl.oauthbearer.token.endpoint.url", "https://t.example.com/token", tokens, verdict{}},
		{"sasl.oauthbearer.token.endpoint.url", "file:///tmp/token", tokens, verdict{}},
		{"sasl.oauthbearer.token.endpoint.url", "ftp://x", tokens, verdict{wrong: "URL of a token service"}},
		{"sasl.oauthbearer.scope", "a b", tokens, verdict{}},
		{"sasl.oauthbearer.client.credentials.client.id", "other", tokens, verdict{}},
		{"sasl.oauthbearer.client.credentials.client.secret", "hush-hush", tokens, verdict{}},
		{"sasl.oauthbearer.jwt.retriever.class", oauthHandlers + "ClientCredentialsJwtRetriever", tokens, verdict{}},
		{"sasl.oauthbearer.jwt.retriever.class", oauthHandlers + "JwtBearerJwtRetriever", tokens,
			verdict{wrong: "not built"}},
	}
	covered := map[string]bool{}
	for _, c := range cases {
		covered[c.name] = true
		t.Run(c.name+"="+firstLine(c.value), func(t *testing.T) {
			properties := with(c.extra, c.name+"="+c.value, "bootstrap.servers=kafka.example.com:9092")
			parsed, warnings, err := Parse(t.Context(), properties)
			text := strings.Join(warningTexts(warnings), "\n")
			switch {
			case c.wrong == "" && err != nil:
				t.Errorf("expected no error, found %v", err)
			case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
				t.Errorf("expected an error that contains %q, found %v", c.wrong, err)
			case c.warns == "" && c.wrong == "" && text != "":
				t.Errorf("expected no warning, found %s", text)
			case !strings.Contains(text, c.warns), c.warns != "" && !strings.Contains(text, c.name+": "):
				t.Errorf("expected a warning about %s that contains %q, found %q", c.name, c.warns, text)
			}
			if shown := fmt.Sprint(err) + text + fmt.Sprintf("%v %+v %#v", parsed.Security, parsed,
				parsed.Producer.Security); strings.Contains(shown, "hush-hush") || strings.Contains(shown, key[40:80]) {
				t.Errorf("expected no secret, found one in %s", shown)
			}
		})
	}
	for _, p := range security.Properties() {
		name := p.Name
		switch {
		case covered[name]:
		case p.NoEffect, p.Unsupported != "":
			_, warnings, err := Parse(t.Context(), map[string]string{"bootstrap.servers": "a:1", name: "x"})
			if (err == nil) == (p.Unsupported != "") || p.NoEffect && !cmp.Equal(warningTexts(warnings),
				[]string{name + ": has no effect here"}) {
				t.Errorf("%s: expected a rejection, or a warning that it has no effect, found %v, %v", name, warnings,
					err)
			}
		default:
			t.Errorf("expected a case for %s", name)
		}
	}
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s[:min(len(s), 60)]
}

// Kinds of clients inherit the common settings property by property. A client of another cluster inherits none of them.
func TestSecurityByClientKind(t *testing.T) {
	a := certtest.Issue(t, "authority", nil, nil)
	worker, _, err := Parse(t.Context(), map[string]string{
		"bootstrap.servers": "kafka:9092", "security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN",
		"sasl.jaas.config":            plainLogon,
		"ssl.truststore.certificates": string(a.PEM()),
		"consumer.sasl.mechanism":     "SCRAM-SHA-512", "consumer.sasl.jaas.config": scramLogon,
		"admin.bootstrap.servers": "elsewhere:9092",
	})
	require.NoError(t, err)
	mechanism := func(c ClientConfig) string {
		secure, _ := c.access.TLS()
		logon := c.access.SASL()
		switch {
		case logon == nil && secure == nil:
			return "PLAINTEXT"
		case secure == nil:
			return logon.Name()
		case logon == nil:
			return "TLS"
		}
		return "TLS " + logon.Name()
	}
	sides := func(c Config) []string {
		return []string{mechanism(c.Producer.ClientConfig), mechanism(c.Consumer.ClientConfig), mechanism(c.Admin)}
	}
	assert.Equal(t, []string{"TLS PLAIN", "TLS SCRAM-SHA-512", "PLAINTEXT"}, sides(worker), "worker")
	connector, _, err := worker.Override(t.Context(), map[string]string{
		"producer.override.sasl.mechanism": "SCRAM-SHA-256", "producer.override.sasl.jaas.config": scramLogon,
		"consumer.override.security.protocol": "SSL",
		"admin.override.bootstrap.servers":    "kafka:9092", "admin.override.security.protocol": "SASL_PLAINTEXT",
		"admin.override.sasl.mechanism": "PLAIN", "admin.override.sasl.jaas.config": plainLogon,
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"TLS SCRAM-SHA-256", "TLS", "PLAIN"}, sides(connector), "connector")
	if diff := cmp.Diff([]string{"TLS PLAIN", "TLS SCRAM-SHA-512", "PLAINTEXT"}, sides(worker)); diff != "" {
		t.Errorf("expected the worker's configuration not to change (-want +got):\n%s", diff)
	}
	_, _, err = worker.Override(t.Context(), map[string]string{"producer.override.sasl.jaas.config": scramLogon})
	if err == nil || !strings.HasPrefix(err.Error(), "producer.override.sasl.jaas.config: expected "+plainModule+
		" for sasl.mechanism PLAIN") {
		t.Errorf("expected the names as specified, found %v", err)
	}
}

// Reading a key store is bounded work, and stops when its caller's context ends.
func TestKeyStoreReadStopsWithContext(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	for _, store := range []string{"client.p12", "client.jceks"} {
		properties := map[string]string{"bootstrap.servers": "a:1", "security.protocol": "SSL",
			"ssl.keystore.location": "../../testdata/samples/keystores/" + store, "ssl.keystore.password": "changeit"}
		if _, _, err := Parse(t.Context(), properties); err != nil {
			t.Errorf("%s: %v", store, err)
		}
		if _, _, err := Parse(ended, properties); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: expected the read to stop, found %v", store, err)
		}
	}
}
