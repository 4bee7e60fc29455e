package kafka

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/certtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/clientconfig"
)

// securityCase is a property next to others, and its effect.
type securityCase struct {
	name      string
	value     string
	others    map[string]string
	wantError string // a part of the error; "" means no error
	warning   string // a part of the warning; "" means no warning
}

// Every security property of Kafka's clients has a case, or is known to have no effect.
func TestSecuritySettings(t *testing.T) {
	c := newClientCertificate(t)
	covered := map[string]bool{}
	for _, test := range slices.Concat(protocolCases(), tlsCases(), keystoreCases(c), truststoreCases(c), saslCases(),
		tokenCases()) {
		covered[test.name] = true
		t.Run(test.name+"="+firstLine(test.value), func(t *testing.T) { checkSecurity(t, c, test) })
	}
	for _, p := range clientconfig.Properties() {
		if covered[p.Name] {
			continue
		}
		if !p.NoEffect && p.Unsupported == "" {
			t.Errorf("expected a case for %s", p.Name)
			continue
		}
		_, warnings, err := Parse(t.Context(), map[string]string{"bootstrap.servers": "a:1", p.Name: "x"})
		isRejected := err != nil
		isOnlyWarning := cmp.Equal(warningTexts(warnings), []string{p.Name + ": has no effect here"})
		assert.True(t, isRejected == (p.Unsupported != "") && (!p.NoEffect || isOnlyWarning),
			"%s: expected a rejection, or a warning that it has no effect, found %v, %v", p.Name, warnings, err)
	}
}

func checkSecurity(t *testing.T, c clientCertificate, test securityCase) {
	properties := with(test.others, test.name+"="+test.value, "bootstrap.servers=kafka.example.com:9092")
	config, warnings, err := Parse(t.Context(), properties)
	text := strings.Join(warningTexts(warnings), "\n")
	switch {
	case test.wantError == "" && err != nil:
		t.Errorf("expected no error, found %v", err)
	case test.wantError != "" && (err == nil || !strings.Contains(err.Error(), test.wantError)):
		t.Errorf("expected an error that contains %q, found %v", test.wantError, err)
	case test.warning == "" && test.wantError == "" && text != "":
		t.Errorf("expected no warning, found %s", text)
	case !strings.Contains(text, test.warning), test.warning != "" && !strings.Contains(text, test.name+": "):
		t.Errorf("expected a warning about %s that contains %q, found %q", test.name, test.warning, text)
	}
	output := fmt.Sprint(err) + text + fmt.Sprintf("%v %+v %#v", config.Security, config, config.Producer.Security)
	assert.True(t, !strings.Contains(output, "hush-hush") && !strings.Contains(output, c.key[40:80]),
		"expected no secret, found one in %s", output)
}

// keystores is the folder of sample stores.
const keystores = "../../testdata/samples/keystores/"

// clientCertificate is a client's certificate and key, and the authority that issued it, as PEM texts.
type clientCertificate struct {
	authority string
	chain     string
	key       string
	store     string // the path of a file with chain and key
}

func newClientCertificate(t *testing.T) clientCertificate {
	t.Helper()
	a := certtest.Issue(t, "authority", nil, nil)
	chain, key := clientOf(t, a)
	store := filepath.Join(t.TempDir(), "client.pem")
	require.NoError(t, os.WriteFile(store, []byte(chain+key), 0o600))
	return clientCertificate{authority: string(a.PEM()), chain: chain, key: key, store: store}
}

// tlsWith returns the properties of TLS, and others of the form NAME=VALUE.
func tlsWith(properties ...string) map[string]string {
	return with(map[string]string{"security.protocol": "SSL"}, properties...)
}

// saslWith returns properties of a logon by SASL.
func saslWith(mechanism, logon string) map[string]string {
	return map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": mechanism, "sasl.jaas.config": logon}
}

// tokenLogon returns properties of a logon with a token of a token service.
func tokenLogon() map[string]string {
	return with(saslWith("OAUTHBEARER", oauthLogon), "sasl.login.callback.handler.class="+tokenHandler,
		"sasl.oauthbearer.token.endpoint.url=https://t.example.com/token")
}

func protocolCases() []securityCase {
	return []securityCase{
		{name: "security.protocol", value: "PLAINTEXT"},
		{name: "security.protocol", value: "ssl"},
		{
			name:  "security.protocol",
			value: "TLS",
			wantError: "Invalid value TLS for configuration security.protocol: " +
				"String must be one of: PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL",
		},
		{
			name:    "security.protocol",
			value:   "SASL_PLAINTEXT",
			others:  saslWith("PLAIN", plainLogon),
			warning: "sends the password or token to kafka.example.com:9092 in clear",
		},
		{name: "security.protocol", value: "SASL_PLAINTEXT", others: saslWith("SCRAM-SHA-256", scramLogon)},
		{name: "security.protocol", value: "SASL_SSL", wantError: "sasl.mechanism: expected PLAIN"},
		{name: "security.providers", value: "x", wantError: "not built: there are no Java security providers"},
		{name: "security.providers", value: ""},
	}
}

func tlsCases() []securityCase {
	tlsOn := tlsWith()
	return []securityCase{
		{name: "ssl.protocol", value: "TLSv1.2", others: tlsOn},
		{name: "ssl.protocol", value: "SSLv3", others: tlsOn, wantError: "SSLv3"},
		{name: "ssl.protocol", value: "TLSv1.3", warning: "has no effect: security.protocol is PLAINTEXT"},
		{name: "ssl.provider", value: "SunJSSE", others: tlsOn, wantError: "not built"},
		{name: "ssl.enabled.protocols", value: "TLSv1.3,TLSv1.2", others: tlsOn},
		{name: "ssl.enabled.protocols", value: "TLSv1.1", others: tlsOn, wantError: "TLSv1.1 is insecure"},
		{name: "ssl.enabled.protocols", value: "TLSv9", others: tlsOn, wantError: `found "TLSv9"`},
		{
			name:   "ssl.cipher.suites",
			value:  "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
			others: tlsOn,
		},
		{
			name:    "ssl.cipher.suites",
			value:   "TLS_AES_128_GCM_SHA256",
			others:  tlsOn,
			warning: "suites of TLS 1.3 cannot be selected",
		},
		{name: "ssl.cipher.suites", value: "TLS_RSA_WITH_3DES_EDE_CBC_SHA", others: tlsOn, warning: "is insecure"},
		{
			name:      "ssl.cipher.suites",
			value:     "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
			others:    tlsOn,
			wantError: "is not built",
		},
		{name: "ssl.endpoint.identification.algorithm", value: "https", others: tlsOn},
		{name: "ssl.endpoint.identification.algorithm", value: "", others: tlsOn, warning: "is accepted for any host"},
		{
			name:   "ssl.endpoint.identification.algorithm",
			value:  "none",
			others: tlsOn,
			wantError: "Invalid value none for configuration ssl.endpoint.identification.algorithm: " +
				"expected https, or nothing",
		},
		{name: "ssl.engine.factory.class", value: "a.B", others: tlsOn, wantError: "Java classes cannot be run"},
		{name: "ssl.keymanager.algorithm", value: "PKIX", others: tlsOn, warning: "has no effect here"},
		{name: "ssl.trustmanager.algorithm", value: "PKIX", others: tlsOn, warning: "has no effect here"},
		{name: "ssl.secure.random.implementation", value: "x", others: tlsOn, warning: "has no effect here"},
		{
			name:    "ssl.keystor.location",
			value:   "x",
			others:  tlsOn,
			warning: "the nearest known one is ssl.keystore.location",
		},
	}
}

func keystoreCases(c clientCertificate) []securityCase {
	tlsOn := tlsWith()
	keyPassword := tlsWith("ssl.keystore.password=changeit")
	keyAt := func(file string) map[string]string { return with(keyPassword, "ssl.keystore.location="+keystores+file) }
	keyText := tlsWith("ssl.keystore.key="+c.key, "ssl.keystore.certificate.chain="+c.chain)
	return []securityCase{
		{name: "ssl.keystore.location", value: keystores + "client.jks", others: keyPassword},
		{name: "ssl.keystore.location", value: keystores + "client.p12", others: keyPassword},
		{name: "ssl.keystore.location", value: c.store, others: with(tlsOn, "ssl.keystore.type=PEM")},
		{name: "ssl.keystore.location", value: "/nowhere/x.jks", others: keyPassword, wantError: "/nowhere/x.jks"},
		{
			name:      "ssl.keystore.location",
			value:     c.store,
			others:    keyText,
			wantError: "expected nothing in addition to ssl.keystore.key",
		},
		{name: "ssl.keystore.password", value: "hush-hush", others: keyAt("client.jks"), wantError: "password"},
		{name: "ssl.keystore.type", value: "JKS", others: keyAt("client.jks")},
		{name: "ssl.keystore.type", value: "PKCS12", others: keyAt("client.p12")},
		{name: "ssl.keystore.type", value: "BKS", others: keyAt("client.p12"), wantError: "BKS"},
		{name: "ssl.keystore.type", value: "JKS", others: keyText, wantError: "expected PEM"},
		{name: "ssl.key.password", value: "changeit2", others: keyAt("keypass.jks")},
		{name: "ssl.key.password", value: "hush-hush", others: keyAt("keypass.jks"), wantError: "password"},
		{name: "ssl.keystore.key", value: c.key, others: keyText},
		{
			name:   "ssl.keystore.key",
			value:  strings.ReplaceAll(c.key, "\n", " "),
			others: with(tlsOn, "ssl.keystore.certificate.chain="+strings.ReplaceAll(c.chain, "\n", " ")),
		},
		{name: "ssl.keystore.key", value: c.key, others: tlsOn, wantError: "ssl.keystore.certificate.chain: expected"},
		{name: "ssl.keystore.key", value: "hush-hush", others: tlsOn, wantError: "expected PEM text"},
		{
			name:      "ssl.keystore.certificate.chain",
			value:     c.chain,
			others:    tlsOn,
			wantError: "ssl.keystore.key: expected",
		},
		{name: "ssl.keystore.certificate.chain", value: "x", others: tlsOn, wantError: "-----BEGIN CERTIFICATE-----"},
	}
}

func truststoreCases(c clientCertificate) []securityCase {
	tlsOn := tlsWith()
	trustPassword := tlsWith("ssl.truststore.password=changeit")
	trustAt := with(trustPassword, "ssl.truststore.location="+keystores+"trust.p12")
	trustText := tlsWith("ssl.truststore.certificates=" + c.authority)
	return []securityCase{
		{name: "ssl.truststore.location", value: keystores + "trust.jks", others: trustPassword},
		{name: "ssl.truststore.location", value: keystores + "trust.p12", others: trustPassword},
		{
			name:      "ssl.truststore.location",
			value:     "x",
			others:    trustText,
			wantError: "expected nothing in addition to ssl.truststore.certificates",
		},
		{name: "ssl.truststore.location", value: keystores + "trust.jks", warning: "has no effect"},
		{name: "ssl.truststore.password", value: "hush-hush", others: trustAt, wantError: "password"},
		{name: "ssl.truststore.type", value: "PKCS12", others: trustAt},
		{name: "ssl.truststore.type", value: "PKCS12", others: trustText, wantError: "expected PEM"},
		{name: "ssl.truststore.certificates", value: c.authority, others: tlsOn},
		{
			name:      "ssl.truststore.certificates",
			value:     "-----BEGIN CERTIFICATE----- AAAA -----END CERTIFICATE-----",
			others:    tlsOn,
			wantError: "ssl.truststore.certificates",
		},
	}
}

func saslCases() []securityCase {
	tokens := tokenLogon()
	return []securityCase{
		{name: "sasl.mechanism", value: "PLAIN", others: saslWith("", plainLogon)},
		{name: "sasl.mechanism", value: "SCRAM-SHA-256", others: saslWith("", scramLogon)},
		{name: "sasl.mechanism", value: "SCRAM-SHA-512", others: saslWith("", scramLogon)},
		{
			name:      "sasl.mechanism",
			value:     "SCRAM-SHA-512",
			others:    saslWith("", plainLogon),
			wantError: "expected " + scramModule,
		},
		{
			name:      "sasl.mechanism",
			value:     "GSSAPI",
			others:    saslWith("", plainLogon),
			wantError: "GSSAPI (Kerberos) is not built",
		},
		{
			name:   "sasl.mechanism",
			value:  "SCRAM-SHA-1",
			others: saslWith("", scramLogon),
			wantError: "Invalid value SCRAM-SHA-1 for configuration sasl.mechanism: " +
				"String must be one of: PLAIN, SCRAM-SHA-256",
		},
		{name: "sasl.mechanism", value: "PLAIN", warning: "has no effect: security.protocol is PLAINTEXT"},
		{name: "sasl.jaas.config", value: plainLogon, others: saslWith("PLAIN", "")},
		{
			name:      "sasl.jaas.config",
			value:     plainModule + ` required username="alice";`,
			others:    saslWith("PLAIN", ""),
			wantError: `expected password="…"`,
		},
		{
			name:      "sasl.jaas.config",
			value:     plainModule + ` required username="alice" passwort="hush-hush" password="x";`,
			others:    saslWith("PLAIN", ""),
			wantError: "option passwort of the login module: unknown setting; the nearest known one is password",
		},
		{
			name:   "sasl.jaas.config",
			value:  scramModule + ` required username="alice" password="x" tokenauth="perhaps";`,
			others: saslWith("SCRAM-SHA-256", ""),
			wantError: "option tokenauth of the login module: Invalid value " +
				"[hidden] for configuration tokenauth: Expected value to be either true or false",
		},
		{
			name:      "sasl.jaas.config",
			value:     plainModule + ` required username="alice" password="hush-hush"`,
			others:    saslWith("PLAIN", ""),
			wantError: "semicolon",
		},
		{
			name:      "sasl.jaas.config",
			value:     "com.sun.security.auth.module.Krb5LoginModule required;",
			others:    saslWith("PLAIN", ""),
			wantError: "expected " + plainModule,
		},
		{
			name:   "sasl.jaas.config",
			value:  scramModule + ` required username="alice" password="hush-hush" tokenauth="true";`,
			others: saslWith("SCRAM-SHA-256", ""),
		},
		{
			name:   "sasl.jaas.config",
			value:  oauthModule + ` required unsecuredLoginStringClaim_sub="alice";`,
			others: saslWith("OAUTHBEARER", ""),
		},
		{
			name:      "sasl.jaas.config",
			value:     oauthModule + ` required;`,
			others:    saslWith("OAUTHBEARER", ""),
			wantError: "unsecuredLoginStringClaim_sub",
		},
		{
			name:      "sasl.jaas.config",
			value:     oauthModule + ` required clientId="id";`,
			others:    tokens,
			wantError: "clientSecret",
		},
		{
			name:      "sasl.jaas.config",
			value:     oauthModule + ` required clientId="id" clientSecret="hush-hush" extension_auth="x";`,
			others:    tokens,
			wantError: "extension_auth",
		},
		{
			name: "sasl.jaas.config",
			value: oauthModule +
				` required clientId="id" clientSecret="hush-hush" ssl.truststore.location="` + keystores +
				`trust.p12" ssl.truststore.password="changeit";`,
			others: tokens,
		},
		{
			name:      "sasl.jaas.config",
			value:     oauthModule + ` required clientId="id" clientSecret="hush-hush" ssl.truststore.location="/nowhere";`,
			others:    tokens,
			wantError: "/nowhere",
		},
	}
}

func tokenCases() []securityCase {
	tokens := tokenLogon()
	return []securityCase{
		{
			name:      "sasl.client.callback.handler.class",
			value:     "a.B",
			others:    saslWith("PLAIN", plainLogon),
			wantError: "Java classes cannot be run",
		},
		{name: "sasl.login.callback.handler.class", value: tokenHandler, others: tokens},
		{
			name:   "sasl.login.callback.handler.class",
			value:  oauthHandlers + "secured.OAuthBearerLoginCallbackHandler",
			others: tokens,
		},
		{
			name:      "sasl.login.callback.handler.class",
			value:     "a.B",
			others:    tokens,
			wantError: "expected " + tokenHandler,
		},
		{
			name:      "sasl.login.callback.handler.class",
			value:     "a.B",
			others:    saslWith("PLAIN", plainLogon),
			wantError: "not built for PLAIN",
		},
		{name: "sasl.login.class", value: "a.B", others: saslWith("PLAIN", plainLogon), wantError: "not built"},
		{name: "sasl.login.connect.timeout.ms", value: "1000", others: tokens},
		{name: "sasl.login.read.timeout.ms", value: "soon", others: tokens, wantError: "Not a number of type INT"},
		{name: "sasl.oauthbearer.token.endpoint.url", value: "https://t.example.com/token", others: tokens},
		{name: "sasl.oauthbearer.token.endpoint.url", value: "file:///tmp/token", others: tokens},
		{
			name:      "sasl.oauthbearer.token.endpoint.url",
			value:     "ftp://x",
			others:    tokens,
			wantError: "URL of a token service",
		},
		{name: "sasl.oauthbearer.scope", value: "a b", others: tokens},
		{name: "sasl.oauthbearer.client.credentials.client.id", value: "other", others: tokens},
		{name: "sasl.oauthbearer.client.credentials.client.secret", value: "hush-hush", others: tokens},
		{
			name:   "sasl.oauthbearer.jwt.retriever.class",
			value:  oauthHandlers + "ClientCredentialsJwtRetriever",
			others: tokens,
		},
		{
			name:      "sasl.oauthbearer.jwt.retriever.class",
			value:     oauthHandlers + "JwtBearerJwtRetriever",
			others:    tokens,
			wantError: "not built",
		},
	}
}
