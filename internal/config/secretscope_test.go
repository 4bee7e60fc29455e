package config

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// roleDeclarations declares a plugin's settings by role, each named like its role.
func roleDeclarations() *Declarations {
	declarations := Declare()
	for _, name := range []string{role.Scheme, role.Address, role.Port, role.Destination, role.User, role.Auth,
		role.OAuthTokenEndpoint, role.OAuthClientID, role.LoginTarget, role.LoginBody, role.Origins, role.ProxyType,
		role.ProxyAddress, role.ProxyUser, role.ProxyLocationID, role.ProxyTokenURL, role.ProxyServiceKey,
		role.TLSTrustStoreLocation, role.TLSProtocol, role.TLSAllowLegacy, role.ReadTimeoutMS, role.ListenerPorts,
		role.ListenerAddress, role.ListenerUser, role.ListenerTLS + "keystore.location"} {
		declarations.Declare(declared(name, wit.KindString, "", "", wit.Rule{Role: wit.Ptr(name)}))
	}
	for _, name := range []string{role.Password, role.OAuthClientSecret, role.ProxyPassword,
		role.ProxyTokenClientSecret, role.TLSKeyStorePassword, role.ListenerPassword,
		role.ListenerTLS + "keystore.password"} {
		declarations.Declare(declared(name, wit.KindPassword, "", "", wit.Rule{Role: wit.Ptr(name)}))
	}
	declarations.Declare(declared("http.header.{name}", wit.KindPassword, "", "",
		wit.Rule{Role: wit.Ptr("http.header.{name}")}))
	return declarations
}

func connectorOf(t *testing.T, lines string) *Connector {
	t.Helper()
	connector, problems := NewConnector("c.properties", connectorEntries(lines), &Providers{})
	require.NoError(t, problems.Err())
	return connector
}

func connectorEntries(lines string) (entries []Entry) {
	for line := range strings.FieldsSeq(lines) {
		key, value, _ := strings.Cut(line, "=")
		entries = append(entries, NewEntry(key, value, "", 0))
	}
	return entries
}

// joined returns settings as [connectorOf] reads them.
func joined(settings map[string]string) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		all = append(all, key+"="+settings[key])
	}
	return strings.Join(all, " ")
}

// Stored settings with secrets, separated by spaces.
const (
	scopeWorker = "bootstrap.servers=own:9092 security.protocol=SASL_SSL sasl.mechanism=SCRAM-SHA-512 " +
		"sasl.jaas.config=theworkers"
	scopeService  = "connector.class=C http.address=a http.user=u http.password=s http.proxy.password=p "
	scopeRegistry = "value.converter=Avro value.converter.schema.registry.url=https://r:8081 " +
		"value.converter.basic.auth.user.info=u:s value.converter.auto.register.schemas=true "
	scopeClient = "producer.override.bootstrap.servers=b:9092 producer.override.security.protocol=SASL_SSL " +
		"producer.override.sasl.jaas.config=s producer.override.ssl.truststore.certificates=pem "
	scopeListener = "listener.user=u listener.password=s listener.tls.keystore.password=k "
)

// A secretCase is a change of a stored connector, and the secrets that would be sent to an endpoint that they were not
// stored for. sent contains the settings that replace stored ones; -NAME removes one.
type secretCase struct {
	name   string
	stored string
	sent   string
	want   string
}

// A stored secret of a service or listener is sent only to where it was stored for.
func TestStoredSecretsStayAtTheirService(t *testing.T) {
	checkMisdirected(t, []secretCase{
		{"nothing else", scopeService, "http.user=v http.read-timeout-ms=5", ""},
		{"the same origin", scopeService, "http.address=A http.scheme=HTTPS http.port=443", ""},
		{"port", scopeService, "http.port=444", "http.password http.proxy.password"},
		{"shown", scopeService, "http.port=444 http.password=s http.proxy.password=p", ""},
		{"scheme", scopeService, "http.scheme=http", "http.password http.proxy.password"},
		{"proxy", scopeService, "http.proxy.type=http http.proxy.address=x:1", "http.password http.proxy.password"},
		{"truststore", scopeService, "tls.truststore.location=/x", "http.password http.proxy.password"},
		{"old TLS", scopeService, "tls.allow-legacy=1", "http.password http.proxy.password"},
		{"class", scopeService, "connector.class=D", "http.password http.proxy.password"},
		{"further origins", scopeService, "http.origins=https://x", "http.password http.proxy.password"},
		{"login", scopeService, "http.login.target=https://x", "http.password http.proxy.password"},
		{"Cloud Connector by header", scopeService, "http.header.SAP-Connectivity-SCC-Location_ID=x",
			"http.password http.proxy.password"},
		{"token service", "connector.class=C http.oauth.token-endpoint=https://t http.oauth.client-secret=s",
			"http.oauth.token-endpoint=https://x", "http.oauth.client-secret"},
		{"key store", "connector.class=C http.address=a tls.keystore.password=s", "http.address=b",
			"tls.keystore.password"},
		{"header", "connector.class=C http.address=a http.header.key=s", "http.address=b", "http.header.key"},
		{"no secret", "connector.class=C http.address=a http.user=u", "http.address=b", ""},
		{"listener", scopeService + scopeListener, "listener.ports=1",
			"listener.password listener.tls.keystore.password"},
		{"service beside a listener", scopeListener + "connector.class=C http.address=a", "http.address=b", ""},
	})
}

// A stored secret of a transform or a registry is sent only to where it was stored for.
func TestStoredSecretsStayAtTheirRegistry(t *testing.T) {
	checkMisdirected(t, []secretCase{
		{"transform of another class", "transforms=t transforms.t.type=T transforms.t.pwd=s", "transforms.t.type=U",
			"transforms.t.pwd"},
		{"other transform", "transforms=t transforms.t.type=T transforms.t.pwd=s", "transforms.u.type=U", ""},
		{"registry", scopeRegistry, "value.converter.schema.registry.url=https://x",
			"value.converter.basic.auth.user.info"},
		{"registry's certificates", scopeRegistry, "value.converter.schema.registry.ssl.truststore.location=/x",
			"value.converter.basic.auth.user.info"},
		{"another converter's registry", scopeRegistry, "key.converter.schema.registry.url=https://x", ""},
		{"what the converter does", scopeRegistry, "value.converter.auto.register.schemas=false", ""},
	})
}

// A stored secret of a Kafka client is sent only to the brokers that it was stored for.
func TestStoredSecretsStayAtTheirBrokers(t *testing.T) {
	checkMisdirected(t, []secretCase{
		{"brokers", scopeClient, "producer.override.bootstrap.servers=x:1", "producer.override.sasl.jaas.config"},
		{"brokers' certificates", scopeClient, "producer.override.ssl.truststore.certificates=other",
			"producer.override.sasl.jaas.config"},
		{"mechanism", scopeClient, "producer.override.sasl.mechanism=PLAIN", "producer.override.sasl.jaas.config"},
		{"clear text", scopeClient, "producer.override.security.protocol=SASL_PLAINTEXT",
			"producer.override.sasl.jaas.config"},
		{"host names", scopeClient, "producer.override.ssl.endpoint.identification.algorithm=",
			"producer.override.sasl.jaas.config"},
		{"other producer", scopeClient, "producer.override.linger.ms=5", ""},
	})
}

// The worker's secret is never sent to brokers that only the sender names.
func TestWorkerSecretsStayAtItsBrokers(t *testing.T) {
	checkMisdirected(t, []secretCase{
		{"worker's secret", "", "consumer.override.bootstrap.servers=x:1", "consumer.override.sasl.jaas.config"},
		{"worker's secret in clear text", "", "admin.override.security.protocol=SASL_PLAINTEXT",
			"admin.override.sasl.jaas.config"},
		{"worker's brokers", "", "consumer.override.bootstrap.servers=own:9092", ""},
		{"brokers without a logon", "", "consumer.override.bootstrap.servers=x:1 " +
			"consumer.override.security.protocol=SSL", ""},
		{"brokers with a logon of their own", "", "consumer.override.bootstrap.servers=x:1 " +
			"consumer.override.sasl.jaas.config=mine", ""},
		{"brokers that are stored", "consumer.override.bootstrap.servers=x:1", "consumer.override.client.id=1", ""},
		{"worker's secret in place of an own one", "consumer.override.bootstrap.servers=x:1 " +
			"consumer.override.sasl.jaas.config=mine", "-consumer.override.sasl.jaas.config",
			"consumer.override.sasl.jaas.config"},
		{"back to the worker's brokers", "consumer.override.bootstrap.servers=x:1 " +
			"consumer.override.sasl.jaas.config=mine", "-consumer.override.bootstrap.servers " +
			"-consumer.override.sasl.jaas.config", ""},
		{"own logon at the worker's brokers", "consumer.override.sasl.jaas.config=mine",
			"-consumer.override.sasl.jaas.config", ""},
	})
}

// The secrets of SAP BTP are never sent to an endpoint that only the sender names.
func TestPlatformSecretsStayAtTheirService(t *testing.T) {
	checkMisdirected(t, []secretCase{
		{"destination of BTP elsewhere", "", "http.destination=d http.address=x http.port=1", "http.address http.port"},
		{"destination of BTP by a proxy", "connector.class=C http.destination=d",
			"http.proxy.type=http http.proxy.address=x:1", "http.proxy.address http.proxy.type"},
		{"destination of BTP", "", "http.destination=d http.user=u http.password=p http.read-timeout-ms=1", ""},
		{"destination of BTP as stored", "connector.class=C http.destination=d http.address=x", "http.user=u", ""},
		{"SAP Connectivity elsewhere", "", "http.address=a http.proxy.type=sap-connectivity http.proxy.address=x:1",
			"http.proxy.address"},
		{"SAP Connectivity by a key elsewhere", "", "http.address=a http.proxy.type=sap-connectivity-http " +
			"http.proxy.service-key=/k http.proxy.address=x:1", "http.proxy.address"},
		{"SAP Connectivity with a token service", "", "http.address=a http.proxy.type=sap-connectivity " +
			"http.proxy.address=x:1 http.proxy.token-url=https://x http.proxy.token-client-secret=s", ""},
		{"SAP Connectivity", "", "http.address=a http.proxy.type=sap-connectivity", ""},
	})
}

func checkMisdirected(t *testing.T, cases []secretCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			declarations := roleDeclarations()
			w, _ := NewWorker("worker.properties", connectorOf(t, scopeWorker).Entries, nil, nil)
			change := ConfigChange{Declarations: declarations, Worker: w,
				IsPassword: func(key string) bool { return IsPassword(key, declarations) }}
			settings := map[string]string{}
			sent := map[string]bool{}
			if test.stored != "" {
				change.Stored = connectorOf(t, test.stored)
				settings = change.Stored.Raw()
			}
			for line := range strings.FieldsSeq(test.sent) {
				key, value, _ := strings.Cut(line, "=")
				if key, ok := strings.CutPrefix(key, "-"); ok {
					delete(settings, key)
					continue
				}
				settings[key] = value
				sent[key] = true
			}
			change.New = connectorOf(t, joined(settings))
			change.FromStored = func(key string) bool { return !sent[key] }
			var misdirected []string
			for _, p := range change.MisdirectedSecrets() {
				if p.Warning || strings.Contains(p.Text, "theworkers") {
					t.Errorf("%+v", p)
				}
				misdirected = append(misdirected, p.Setting)
			}
			slices.Sort(misdirected)
			if got := strings.Join(misdirected, " "); got != test.want {
				t.Errorf("expected %q, found %q", test.want, got)
			}
		})
	}
}

// A configuration has complete credentials if all of its secrets are references to config providers. A typed secret
// does not count, nor one that refers to a missing provider, even in part.
func TestHasCompleteCredentials(t *testing.T) {
	const to = "http.address=a http.user=u "
	w, _ := NewWorker("worker.properties", nil, nil, nil)
	t.Setenv("K", "v")
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(path, []byte("k=v"), 0o600))
	text := strings.NewReplacer("${file:f:", "${file:"+path+":")
	for lines, want := range map[string]bool{to + "http.password=${file:f:k}": true, "http.address=a": true,
		to + "http.password=${vault:f:k}": false, to + "http.header.key=${vault:k} http.password=${file:f:k}": false,
		to: false, to + "http.password=": false, to + "http.header.key=${env:K}": false,
		to + "http.password=s": false, to + "http.password=s${file:f:k}": false, to + "http.password=${file:f:k": false,
		to + "http.password=${file:f:k} http.header.key=k":                                 false,
		to + "http.password=${file:f:k} http.header.key=${env:K}":                          true,
		to + "http.password=${file:f:k} producer.override.ssl.key=s":                       true,
		to + "http.password=${file:f:k} http.oauth.client-secret=":                         true,
		to + "http.password=${file:f:k} http.proxy.user=p http.proxy.password=${file:f:k}": true,
		to + "http.password=${file:f:k} http.proxy.user=p http.proxy.password=typed":       false,
		to + "http.password=${file:f:k} http.proxy.user=p":                                 false,
		to + "http.password=${file:f:k} http.oauth.client-secret=typed":                    false} {
		declarations := roleDeclarations()
		connector, _ := NewConnector("c.properties", connectorEntries(text.Replace(lines)), w.Providers)
		s := ConfigChange{Declarations: declarations, Worker: w, New: connector,
			IsPassword: func(key string) bool { return IsPassword(key, declarations) }}
		if got := s.HasCompleteCredentials(); got != want {
			t.Errorf("%s: expected %t, found %t", lines, want, got)
		}
	}
}

// The stored credentials apply if all settings that affect the logon are as stored.
func TestHasStoredCredentials(t *testing.T) {
	const stored = "connector.class=C http.address=a http.user=u http.password=s http.header.key=k " +
		"http.proxy.user=p http.proxy.password=s"
	for sent, want := range map[string]bool{"http.read-timeout-ms=5": true, "http.password=s": true,
		"http.password=t": false, "http.user=v": false, "http.port=5": false, "http.header.key=l": false,
		"http.auth=header": false, "tls.keystore.password=p": false, "http.proxy.password=s": true,
		"http.proxy.password=t": false, "http.proxy.user=q": false} {
		s := ConfigChange{Declarations: roleDeclarations(), Worker: &Worker{}, Stored: connectorOf(t, stored)}
		all := s.Stored.Raw()
		key, value, _ := strings.Cut(sent, "=")
		all[key] = value
		s.New = connectorOf(t, joined(all))
		if got := s.hasStoredCredentials(); got != want {
			t.Errorf("%s: expected %t, found %t", sent, want, got)
		}
	}
}
