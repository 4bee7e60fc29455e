package kafka

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/certtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/security"
)

// verdict is the effect of a property: no problem, a warning, or an error.
type verdict struct{ wrong, warns string }

// A securityCase is a property next to others, and its effect.
type securityCase struct {
	name   string
	value  string
	others map[string]string
	verdict
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
	for _, p := range security.Properties() {
		if covered[p.Name] {
			continue
		}
		if !p.NoEffect && p.Unsupported == "" {
			t.Errorf("expected a case for %s", p.Name)
			continue
		}
		_, warnings, err := Parse(t.Context(), map[string]string{"bootstrap.servers": "a:1", p.Name: "x"})
		isRejected := err != nil
		warnsAlone := cmp.Equal(warningTexts(warnings), []string{p.Name + ": has no effect here"})
		if isRejected != (p.Unsupported != "") || (p.NoEffect && !warnsAlone) {
			t.Errorf("%s: expected a rejection, or a warning that it has no effect, found %v, %v", p.Name, warnings,
				err)
		}
	}
}

func checkSecurity(t *testing.T, c clientCertificate, test securityCase) {
	properties := with(test.others, test.name+"="+test.value, "bootstrap.servers=kafka.example.com:9092")
	parsed, warnings, err := Parse(t.Context(), properties)
	text := strings.Join(warningTexts(warnings), "\n")
	switch {
	case test.wrong == "" && err != nil:
		t.Errorf("expected no error, found %v", err)
	case test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong)):
		t.Errorf("expected an error that contains %q, found %v", test.wrong, err)
	case test.warns == "" && test.wrong == "" && text != "":
		t.Errorf("expected no warning, found %s", text)
	case !strings.Contains(text, test.warns), test.warns != "" && !strings.Contains(text, test.name+": "):
		t.Errorf("expected a warning about %s that contains %q, found %q", test.name, test.warns, text)
	}
	shown := fmt.Sprint(err) + text + fmt.Sprintf("%v %+v %#v", parsed.Security, parsed, parsed.Producer.Security)
	if strings.Contains(shown, "hush-hush") || strings.Contains(shown, c.key[40:80]) {
		t.Errorf("expected no secret, found one in %s", shown)
	}
}

// keystores is the folder of sample stores.
const keystores = "../../testdata/samples/keystores/"

// A clientCertificate is a client's certificate and key, and the authority that issued it, as PEM texts. store is a
// file with both.
type clientCertificate struct{ authority, chain, key, store string }

func newClientCertificate(t *testing.T) clientCertificate {
	t.Helper()
	a := certtest.Issue(t, "authority", nil, nil)
	chain, key := clientOf(t, a)
	store := filepath.Join(t.TempDir(), "client.pem")
	require.NoError(t, os.WriteFile(store, []byte(chain+key), 0o600))
	return clientCertificate{authority: string(a.PEM()), chain: chain, key: key, store: store}
}

// tlsWith returns properties of TLS and the given ones.
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
		{"security.protocol", "PLAINTEXT", nil, verdict{}},
		{"security.protocol", "ssl", nil, verdict{}},
		{"security.protocol", "TLS", nil, verdict{wrong: "Invalid value TLS for configuration security.protocol: " +
			"String must be one of: PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"}},
		{"security.protocol", "SASL_PLAINTEXT", saslWith("PLAIN", plainLogon),
			verdict{warns: "sends the password or token to kafka.example.com:9092 in clear"}},
		{"security.protocol", "SASL_PLAINTEXT", saslWith("SCRAM-SHA-256", scramLogon), verdict{}},
		{"security.protocol", "SASL_SSL", nil, verdict{wrong: "sasl.mechanism: expected PLAIN"}},
		{"security.providers", "x", nil, verdict{wrong: "not built: there are no Java security providers"}},
		{"security.providers", "", nil, verdict{}},
	}
}

func tlsCases() []securityCase {
	tlsOn := tlsWith()
	return []securityCase{
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
		{"ssl.endpoint.identification.algorithm", "https", tlsOn, verdict{}},
		{"ssl.endpoint.identification.algorithm", "", tlsOn, verdict{warns: "is accepted for any host"}},
		{"ssl.endpoint.identification.algorithm", "none", tlsOn,
			verdict{wrong: "Invalid value none for configuration ssl.endpoint.identification.algorithm: " +
				"expected https, or nothing"}},
		{"ssl.engine.factory.class", "a.B", tlsOn, verdict{wrong: "Java classes cannot be run"}},
		{"ssl.keymanager.algorithm", "PKIX", tlsOn, verdict{warns: "has no effect here"}},
		{"ssl.trustmanager.algorithm", "PKIX", tlsOn, verdict{warns: "has no effect here"}},
		{"ssl.secure.random.implementation", "x", tlsOn, verdict{warns: "has no effect here"}},
		{"ssl.keystor.location", "x", tlsOn, verdict{warns: "the nearest known one is ssl.keystore.location"}},
	}
}

func keystoreCases(c clientCertificate) []securityCase {
	tlsOn := tlsWith()
	keyPassword := tlsWith("ssl.keystore.password=changeit")
	keyAt := func(file string) map[string]string { return with(keyPassword, "ssl.keystore.location="+keystores+file) }
	keyText := tlsWith("ssl.keystore.key="+c.key, "ssl.keystore.certificate.chain="+c.chain)
	return []securityCase{
		{"ssl.keystore.location", keystores + "client.jks", keyPassword, verdict{}},
		{"ssl.keystore.location", keystores + "client.p12", keyPassword, verdict{}},
		{"ssl.keystore.location", c.store, with(tlsOn, "ssl.keystore.type=PEM"), verdict{}},
		{"ssl.keystore.location", "/nowhere/x.jks", keyPassword, verdict{wrong: "/nowhere/x.jks"}},
		{"ssl.keystore.location", c.store, keyText, verdict{wrong: "expected nothing in addition to ssl.keystore.key"}},
		{"ssl.keystore.password", "hush-hush", keyAt("client.jks"), verdict{wrong: "password"}},
		{"ssl.keystore.type", "JKS", keyAt("client.jks"), verdict{}},
		{"ssl.keystore.type", "PKCS12", keyAt("client.p12"), verdict{}},
		{"ssl.keystore.type", "BKS", keyAt("client.p12"), verdict{wrong: "BKS"}},
		{"ssl.keystore.type", "JKS", keyText, verdict{wrong: "expected PEM"}},
		{"ssl.key.password", "changeit2", keyAt("keypass.jks"), verdict{}},
		{"ssl.key.password", "hush-hush", keyAt("keypass.jks"), verdict{wrong: "password"}},
		{"ssl.keystore.key", c.key, keyText, verdict{}},
		{"ssl.keystore.key", strings.ReplaceAll(c.key, "\n", " "), with(tlsOn, "ssl.keystore.certificate.chain="+
			strings.ReplaceAll(c.chain, "\n", " ")), verdict{}},
		{"ssl.keystore.key", c.key, tlsOn, verdict{wrong: "ssl.keystore.certificate.chain: expected"}},
		{"ssl.keystore.key", "hush-hush", tlsOn, verdict{wrong: "expected PEM text"}},
		{"ssl.keystore.certificate.chain", c.chain, tlsOn, verdict{wrong: "ssl.keystore.key: expected"}},
		{"ssl.keystore.certificate.chain", "x", tlsOn, verdict{wrong: "-----BEGIN CERTIFICATE-----"}},
	}
}

func truststoreCases(c clientCertificate) []securityCase {
	tlsOn := tlsWith()
	trustPassword := tlsWith("ssl.truststore.password=changeit")
	trustAt := with(trustPassword, "ssl.truststore.location="+keystores+"trust.p12")
	trustText := tlsWith("ssl.truststore.certificates=" + c.authority)
	return []securityCase{
		{"ssl.truststore.location", keystores + "trust.jks", trustPassword, verdict{}},
		{"ssl.truststore.location", keystores + "trust.p12", trustPassword, verdict{}},
		{"ssl.truststore.location", "x", trustText,
			verdict{wrong: "expected nothing in addition to ssl.truststore.certificates"}},
		{"ssl.truststore.location", keystores + "trust.jks", nil, verdict{warns: "has no effect"}},
		{"ssl.truststore.password", "hush-hush", trustAt, verdict{wrong: "password"}},
		{"ssl.truststore.type", "PKCS12", trustAt, verdict{}},
		{"ssl.truststore.type", "PKCS12", trustText, verdict{wrong: "expected PEM"}},
		{"ssl.truststore.certificates", c.authority, tlsOn, verdict{}},
		{"ssl.truststore.certificates", "-----BEGIN CERTIFICATE----- AAAA -----END CERTIFICATE-----", tlsOn,
			verdict{wrong: "ssl.truststore.certificates"}},
	}
}

func saslCases() []securityCase {
	tokens := tokenLogon()
	return []securityCase{
		{"sasl.mechanism", "PLAIN", saslWith("", plainLogon), verdict{}},
		{"sasl.mechanism", "SCRAM-SHA-256", saslWith("", scramLogon), verdict{}},
		{"sasl.mechanism", "SCRAM-SHA-512", saslWith("", scramLogon), verdict{}},
		{"sasl.mechanism", "SCRAM-SHA-512", saslWith("", plainLogon), verdict{wrong: "expected " + scramModule}},
		{"sasl.mechanism", "GSSAPI", saslWith("", plainLogon), verdict{wrong: "GSSAPI (Kerberos) is not built"}},
		{"sasl.mechanism", "SCRAM-SHA-1", saslWith("", scramLogon),
			verdict{wrong: "Invalid value SCRAM-SHA-1 for configuration sasl.mechanism: " +
				"String must be one of: PLAIN, SCRAM-SHA-256"}},
		{"sasl.mechanism", "PLAIN", nil, verdict{warns: "has no effect: security.protocol is PLAINTEXT"}},
		{"sasl.jaas.config", plainLogon, saslWith("PLAIN", ""), verdict{}},
		{"sasl.jaas.config", plainModule + ` required username="alice";`, saslWith("PLAIN", ""),
			verdict{wrong: `expected password="…"`}},
		{"sasl.jaas.config", plainModule + ` required username="alice" passwort="hush-hush" password="x";`,
			saslWith("PLAIN", ""), verdict{wrong: "option passwort of the login module: unknown setting; the " +
				"nearest known one is password"}},
		{"sasl.jaas.config", scramModule + ` required username="alice" password="x" tokenauth="perhaps";`,
			saslWith("SCRAM-SHA-256", ""), verdict{wrong: "option tokenauth of the login module: Invalid value " +
				"[hidden] for configuration tokenauth: Expected value to be either true or false"}},
		{"sasl.jaas.config", plainModule + ` required username="alice" password="hush-hush"`, saslWith("PLAIN", ""),
			verdict{wrong: "semicolon"}},
		{"sasl.jaas.config", "com.sun.security.auth.module.Krb5LoginModule required;", saslWith("PLAIN", ""),
			verdict{wrong: "expected " + plainModule}},
		{"sasl.jaas.config", scramModule + ` required username="alice" password="hush-hush" tokenauth="true";`,
			saslWith("SCRAM-SHA-256", ""), verdict{}},
		{"sasl.jaas.config", oauthModule + ` required unsecuredLoginStringClaim_sub="alice";`,
			saslWith("OAUTHBEARER", ""),
			verdict{}},
		{"sasl.jaas.config", oauthModule + ` required;`, saslWith("OAUTHBEARER", ""),
			verdict{wrong: "unsecuredLoginStringClaim_sub"}},
		{"sasl.jaas.config", oauthModule + ` required clientId="id";`, tokens, verdict{wrong: "clientSecret"}},
		{"sasl.jaas.config", oauthModule + ` required clientId="id" clientSecret="hush-hush" extension_auth="x";`,
			tokens, verdict{wrong: "extension_auth"}},
		{"sasl.jaas.config", oauthModule +
			` required clientId="id" clientSecret="hush-hush" ssl.truststore.location="` + keystores +
			`trust.p12" ssl.truststore.password="changeit";`, tokens, verdict{}},
		{"sasl.jaas.config", oauthModule +
			` required clientId="id" clientSecret="hush-hush" ssl.truststore.location="/nowhere";`,
			tokens, verdict{wrong: "/nowhere"}},
	}
}

func tokenCases() []securityCase {
	tokens := tokenLogon()
	return []securityCase{
		{"sasl.client.callback.handler.class", "a.B", saslWith("PLAIN", plainLogon),
			verdict{wrong: "Java classes cannot be run"}},
		{"sasl.login.callback.handler.class", tokenHandler, tokens, verdict{}},
		{"sasl.login.callback.handler.class", oauthHandlers + "secured.OAuthBearerLoginCallbackHandler", tokens,
			verdict{}},
		{"sasl.login.callback.handler.class", "a.B", tokens, verdict{wrong: "expected " + tokenHandler}},
		{"sasl.login.callback.handler.class", "a.B", saslWith("PLAIN", plainLogon),
			verdict{wrong: "not built for PLAIN"}},
		{"sasl.login.class", "a.B", saslWith("PLAIN", plainLogon), verdict{wrong: "not built"}},
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
}
