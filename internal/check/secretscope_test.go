package check

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// scopeComponent returns a source whose settings are named like their roles.
func scopeComponent() *plugin.Component {
	source := wit.Component{Kind: wit.ComponentSource}
	for _, name := range []string{role.Scheme, role.Address, role.Port, role.Destination, role.User, role.Auth,
		role.OAuthTokenEndpoint, role.OAuthClientID, role.Origins, role.ProxyType,
		role.ProxyAddress, role.ProxyUser, role.ProxyLocationID, role.ProxyTokenURL, role.ProxyServiceKey,
		role.TLSTrustStoreLocation, role.TLSProtocol, role.TLSAllowLegacy, role.ReadTimeoutMS, role.ListenerPorts,
		role.ListenerAddress, role.ListenerUser, role.ListenerTLS + "keystore.location"} {
		source.Settings = append(source.Settings, resolvedtest.Declare(name, wit.KindString, "", setting.Role(name)))
	}
	for _, name := range []string{role.Password, role.OAuthClientSecret, role.ProxyPassword,
		role.ProxyTokenClientSecret, role.TLSKeyStorePassword, role.ListenerPassword,
		role.ListenerTLS + "keystore.password", role.Header + "{name}"} {
		source.Settings = append(source.Settings, resolvedtest.Declare(name, wit.KindPassword, "", setting.Role(name)))
	}
	return plugin.NewComponent(&source)
}

// scopeConnector returns the connector with the settings of these lines, as one of [scopeComponent]. The lines are
// separated by spaces.
func scopeConnector(t *testing.T, w *config.Worker, lines string) *resolved.Connector {
	t.Helper()
	c, problems := config.NewConnector("c.properties", scopeEntries(lines), w.Providers)
	require.NoError(t, problems.Err())
	return resolved.Resolver{Worker: w}.ResolveAs(c, scopeComponent())
}

func scopeEntries(lines string) (entries []config.Entry) {
	for line := range strings.FieldsSeq(lines) {
		key, value, _ := strings.Cut(line, "=")
		entries = append(entries, config.NewEntry(key, value, "", 0))
	}
	return entries
}

func isScopePassword(key string) bool { return config.IsPassword(key, scopeComponent().Table()) }

// joinSettings returns settings as [scopeConnector] reads them.
func joinSettings(settings map[string]string) string {
	var texts []string
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		texts = append(texts, key+"="+settings[key])
	}
	return strings.Join(texts, " ")
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
		{name: "nothing else", stored: scopeService, sent: "http.user=v http.read-timeout-ms=5"},
		{name: "the same origin", stored: scopeService, sent: "http.address=A http.scheme=HTTPS http.port=443"},
		{name: "port", stored: scopeService, sent: "http.port=444", want: "http.password http.proxy.password"},
		{name: "shown", stored: scopeService, sent: "http.port=444 http.password=s http.proxy.password=p"},
		{name: "scheme", stored: scopeService, sent: "http.scheme=http", want: "http.password http.proxy.password"},
		{name: "proxy", stored: scopeService, sent: "http.proxy.type=http http.proxy.address=x:1",
			want: "http.password http.proxy.password"},
		{name: "truststore", stored: scopeService, sent: "tls.truststore.location=/x",
			want: "http.password http.proxy.password"},
		{name: "old TLS", stored: scopeService, sent: "tls.allow-legacy=1", want: "http.password http.proxy.password"},
		{name: "class", stored: scopeService, sent: "connector.class=D", want: "http.password http.proxy.password"},
		{name: "further origins", stored: scopeService, sent: "http.origins=https://x",
			want: "http.password http.proxy.password"},
		{name: "Cloud Connector by header", stored: scopeService,
			sent: "http.header.SAP-Connectivity-SCC-Location_ID=x", want: "http.password http.proxy.password"},
		{name: "token service",
			stored: "connector.class=C http.oauth.token-endpoint=https://t http.oauth.client-secret=s",
			sent:   "http.oauth.token-endpoint=https://x", want: "http.oauth.client-secret"},
		{name: "key store", stored: "connector.class=C http.address=a tls.keystore.password=s", sent: "http.address=b",
			want: "tls.keystore.password"},
		{name: "header", stored: "connector.class=C http.address=a http.header.key=s", sent: "http.address=b",
			want: "http.header.key"},
		{name: "no secret", stored: "connector.class=C http.address=a http.user=u", sent: "http.address=b"},
		{name: "listener", stored: scopeService + scopeListener, sent: "listener.ports=1",
			want: "listener.password listener.tls.keystore.password"},
		{name: "service next to a listener", stored: scopeListener + "connector.class=C http.address=a",
			sent: "http.address=b"},
	})
}

// A stored secret of a transform or a registry is sent only to where it was stored for.
func TestStoredSecretsStayAtTheirRegistry(t *testing.T) {
	checkMisdirected(t, []secretCase{
		{name: "transform of another class", stored: "transforms=t transforms.t.type=T transforms.t.pwd=s",
			sent: "transforms.t.type=U", want: "transforms.t.pwd"},
		{name: "other transform", stored: "transforms=t transforms.t.type=T transforms.t.pwd=s",
			sent: "transforms.u.type=U"},
		{name: "registry", stored: scopeRegistry, sent: "value.converter.schema.registry.url=https://x",
			want: "value.converter.basic.auth.user.info"},
		{name: "registry's certificates", stored: scopeRegistry,
			sent: "value.converter.schema.registry.ssl.truststore.location=/x",
			want: "value.converter.basic.auth.user.info"},
		{name: "another converter's registry", stored: scopeRegistry,
			sent: "key.converter.schema.registry.url=https://x"},
		{name: "what the converter does", stored: scopeRegistry, sent: "value.converter.auto.register.schemas=false"},
	})
}

// A stored secret of a Kafka client is sent only to the brokers that it was stored for.
func TestStoredSecretsStayAtTheirBrokers(t *testing.T) {
	checkMisdirected(t, []secretCase{
		{name: "brokers", stored: scopeClient, sent: "producer.override.bootstrap.servers=x:1",
			want: "producer.override.sasl.jaas.config"},
		{name: "brokers' certificates", stored: scopeClient,
			sent: "producer.override.ssl.truststore.certificates=other", want: "producer.override.sasl.jaas.config"},
		{name: "mechanism", stored: scopeClient, sent: "producer.override.sasl.mechanism=PLAIN",
			want: "producer.override.sasl.jaas.config"},
		{name: "clear text", stored: scopeClient, sent: "producer.override.security.protocol=SASL_PLAINTEXT",
			want: "producer.override.sasl.jaas.config"},
		{name: "host names", stored: scopeClient, sent: "producer.override.ssl.endpoint.identification.algorithm=",
			want: "producer.override.sasl.jaas.config"},
		{name: "other producer", stored: scopeClient, sent: "producer.override.linger.ms=5"},
	})
}

// The worker's secret is never sent to brokers that only the sender names.
func TestWorkerSecretsStayAtItsBrokers(t *testing.T) {
	checkMisdirected(t, []secretCase{
		{name: "worker's secret", sent: "consumer.override.bootstrap.servers=x:1",
			want: "consumer.override.sasl.jaas.config"},
		{name: "worker's secret in clear text", sent: "admin.override.security.protocol=SASL_PLAINTEXT",
			want: "admin.override.sasl.jaas.config"},
		{name: "worker's brokers", sent: "consumer.override.bootstrap.servers=own:9092"},
		{name: "brokers without a logon",
			sent: "consumer.override.bootstrap.servers=x:1 consumer.override.security.protocol=SSL"},
		{name: "brokers with a logon of their own",
			sent: "consumer.override.bootstrap.servers=x:1 consumer.override.sasl.jaas.config=mine"},
		{name: "brokers that are stored", stored: "consumer.override.bootstrap.servers=x:1",
			sent: "consumer.override.client.id=1"},
		{name: "worker's secret in place of an own one",
			stored: "consumer.override.bootstrap.servers=x:1 consumer.override.sasl.jaas.config=mine",
			sent:   "-consumer.override.sasl.jaas.config", want: "consumer.override.sasl.jaas.config"},
		{name: "back to the worker's brokers",
			stored: "consumer.override.bootstrap.servers=x:1 consumer.override.sasl.jaas.config=mine",
			sent:   "-consumer.override.bootstrap.servers -consumer.override.sasl.jaas.config"},
		{name: "own logon at the worker's brokers", stored: "consumer.override.sasl.jaas.config=mine",
			sent: "-consumer.override.sasl.jaas.config"},
	})
}

// The secrets of SAP BTP are never sent to an endpoint that only the sender names.
func TestPlatformSecretsStayAtTheirService(t *testing.T) {
	checkMisdirected(t, []secretCase{
		{name: "destination of BTP elsewhere", sent: "http.destination=d http.address=x http.port=1",
			want: "http.address http.port"},
		{name: "destination of BTP by a proxy", stored: "connector.class=C http.destination=d",
			sent: "http.proxy.type=http http.proxy.address=x:1", want: "http.proxy.address http.proxy.type"},
		{name: "destination of BTP", sent: "http.destination=d http.user=u http.password=p http.read-timeout-ms=1"},
		{name: "destination of BTP as stored", stored: "connector.class=C http.destination=d http.address=x",
			sent: "http.user=u"},
		{name: "SAP Connectivity elsewhere",
			sent: "http.address=a http.proxy.type=sap-connectivity http.proxy.address=x:1", want: "http.proxy.address"},
		{name: "SAP Connectivity by a key elsewhere",
			sent: "http.address=a http.proxy.type=sap-connectivity-http http.proxy.service-key=/k " +
				"http.proxy.address=x:1",
			want: "http.proxy.address"},
		{name: "SAP Connectivity with a token service",
			sent: "http.address=a http.proxy.type=sap-connectivity http.proxy.address=x:1 " +
				"http.proxy.token-url=https://x http.proxy.token-client-secret=s"},
		{name: "SAP Connectivity", sent: "http.address=a http.proxy.type=sap-connectivity"},
	})
}

func checkMisdirected(t *testing.T, cases []secretCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			w, _ := config.NewWorker("worker.properties", scopeEntries(scopeWorker), nil, nil)
			change := ConfigChange{IsPassword: isScopePassword}
			settings := map[string]string{}
			sent := map[string]bool{}
			if test.stored != "" {
				change.Stored = scopeConnector(t, w, test.stored)
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
			change.New = scopeConnector(t, w, joinSettings(settings))
			change.FromStored = func(key string) bool { return !sent[key] }
			var misdirected []string
			for _, p := range change.MisdirectedSecrets() {
				assert.True(t, !p.Warning && !strings.Contains(p.Text, "theworkers"),
					"expected an error without the worker's secret, found %+v", p)
				misdirected = append(misdirected, p.Setting)
			}
			slices.Sort(misdirected)
			assert.Equal(t, test.want, strings.Join(misdirected, " "))
		})
	}
}

// A configuration has complete credentials if all of its secrets are references to config providers. A typed secret
// does not count, nor one that refers to a missing provider, even in part.
func TestHasCompleteCredentials(t *testing.T) {
	const logon = "http.address=a http.user=u "
	w, _ := config.NewWorker("worker.properties", nil, nil, nil)
	t.Setenv("K", "v")
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(path, []byte("k=v"), 0o600))
	text := strings.NewReplacer("${file:f:", "${file:"+path+":")
	for lines, want := range map[string]bool{
		logon + "http.password=${file:f:k}":                            true,
		"http.address=a":                                               true,
		logon + "http.password=${vault:f:k}":                           false,
		logon + "http.header.key=${vault:k} http.password=${file:f:k}": false,
		logon:                                                           false,
		logon + "http.password=":                                        false,
		logon + "http.header.key=${env:K}":                              false,
		logon + "http.password=s":                                       false,
		logon + "http.password=s${file:f:k}":                            false,
		logon + "http.password=${file:f:k":                              false,
		logon + "http.password=${file:f:k} http.header.key=k":           false,
		logon + "http.password=${file:f:k} http.header.key=${env:K}":    true,
		logon + "http.password=${file:f:k} producer.override.ssl.key=s": true,
		logon + "http.password=${file:f:k} http.oauth.client-secret=":   true,
		logon + "http.password=${file:f:k} http.proxy.user=p http.proxy.password=${file:f:k}": true,
		logon + "http.password=${file:f:k} http.proxy.user=p http.proxy.password=typed":       false,
		logon + "http.password=${file:f:k} http.proxy.user=p":                                 false,
		logon + "http.password=${file:f:k} http.oauth.client-secret=typed":                    false,
	} {
		connector, _ := config.NewConnector("c.properties", scopeEntries(text.Replace(lines)), w.Providers)
		s := ConfigChange{New: resolved.Resolver{Worker: w}.ResolveAs(connector, scopeComponent()),
			IsPassword: isScopePassword}
		assert.Equal(t, want, s.HasCompleteCredentials(), lines)
	}
}

// The stored credentials apply if all settings that affect the logon are as stored.
func TestHasStoredCredentials(t *testing.T) {
	const stored = "connector.class=C http.address=a http.user=u http.password=s http.header.key=k http.proxy.user=p " +
		"http.proxy.password=s"
	for sent, want := range map[string]bool{
		"http.read-timeout-ms=5":  true,
		"http.password=s":         true,
		"http.password=t":         false,
		"http.user=v":             false,
		"http.port=5":             false,
		"http.header.key=l":       false,
		"http.auth=header":        false,
		"tls.keystore.password=p": false,
		"http.proxy.password=s":   true,
		"http.proxy.password=t":   false,
		"http.proxy.user=q":       false,
	} {
		w := resolvedtest.Worker(t, "")
		s := ConfigChange{Stored: scopeConnector(t, w, stored)}
		settings := s.Stored.Raw()
		key, value, _ := strings.Cut(sent, "=")
		settings[key] = value
		s.New = scopeConnector(t, w, joinSettings(settings))
		assert.Equal(t, want, s.hasStoredCredentials(), sent)
	}
}
