package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
	"github.com/culvert-project/culvert/internal/transport/route"
)

// site is a cluster of two brokers that is reachable only through the simulated proxy, by virtual names.
type site struct {
	proxy   *connectivitytest.Server
	brokers []string // the advertised addresses
	kafka   Kafka
}

func newSite(t *testing.T, opts ...kfake.Opt) *site {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(2)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	s := &site{proxy: connectivitytest.NewServer(), brokers: cluster.ListenAddrs()}
	t.Cleanup(s.proxy.Close)
	addresses := map[string]string{}
	for i, b := range s.brokers {
		addresses[b] = virtualAddress(i)
		s.proxy.Map(virtualAddress(i), b)
	}
	s.kafka = Kafka{Bootstrap: s.brokers[:1], Timeout: 5 * time.Minute, Route: route.Settings{
		Type:        route.Connectivity,
		TokenSource: route.TokenSource{VCAP: s.proxy.VCAP(0)},
		AddressMap:  addresses,
		Name:        func(short string) string { return "kafka.proxy." + short },
	}}
	return s
}

func virtualAddress(broker int) string { return fmt.Sprintf("kafka-%d.virtual:9092", broker) }

// diagnose runs the steps and returns them with names in place of addresses.
func (s *site) diagnose(t *testing.T) (steps []Step) {
	d := NewDiagnosis(func(step Step) {
		step.Ms = 0
		for i, b := range s.brokers {
			step.Step = strings.ReplaceAll(step.Step, b, fmt.Sprint("broker-", i))
			step.Message = strings.ReplaceAll(step.Message, b, fmt.Sprint("broker-", i))
		}
		step.Step = strings.ReplaceAll(step.Step, s.proxy.SOCKS5, "PROXY")
		steps = append(steps, step)
	})
	d.Kafka(t.Context(), s.kafka)
	return steps
}

// names returns the names of steps, with FAIL after a failed one.
func names(steps []Step) (names []string) {
	for _, s := range steps {
		names = append(names, s.Step)
		if !s.OK {
			names[len(names)-1] += " FAIL"
		}
	}
	return names
}

// All steps to a cluster behind the proxy are reported, with the addresses that replace advertised ones.
func TestStepsToKafka(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	s := newSite(t, kfake.TLS(server.TLS), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "u", "p"))
	s.kafka.TLS = &tls.Config{RootCAs: roots}
	s.kafka.SASL = scram.Auth{User: "u", Pass: "p"}.AsSha256Mechanism()
	steps := s.diagnose(t)
	want := []string{
		"token",
		"cloud connectors",
		"proxy PROXY",
		"greeting",
		"authentication",
		"connect broker-0",
		"tls broker-0",
		"sasl broker-0",
		"metadata broker-0",
		"connect broker-1",
		"tls broker-1",
	}
	diff := cmp.Diff(want, names(steps))
	require.True(t, diff == "", "steps (-want +got): %s\n%+v", diff, steps)
	assert.Equal(t, "as kafka-0.virtual:9092", steps[5].Message)
	assert.Equal(t, "2 brokers: 0 broker-0 -> kafka-0.virtual:9092, 1 broker-1 -> kafka-1.virtual:9092",
		steps[8].Message)
}

func TestStepsEndWithTheError(t *testing.T) {
	for name, test := range stepErrorCases() {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, test.opts...)
			test.spoil(s)
			steps := s.diagnose(t)
			last := steps[len(steps)-1]
			if last.OK || last.Step != test.step || last.Setting != test.setting ||
				!strings.Contains(last.Message, test.wantMessage) {
				t.Errorf("expected a failure of %q, setting %q, with %q, found %+v\nafter %q", test.step, test.setting,
					test.wantMessage, last, names(steps))
			}
			for _, step := range steps[:len(steps)-1] {
				assert.True(t, step.OK, "expected no step after %+v", step)
			}
		})
	}
}

// stepErrorCase is a site with a fault, and the step that fails.
type stepErrorCase struct {
	opts        []kfake.Opt
	spoil       func(*site)
	step        string
	setting     string
	wantMessage string // a part of the message
}

func stepErrorCases() map[string]stepErrorCase {
	plainLogon := []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "p")}
	return map[string]stepErrorCase{
		"token refused": {
			spoil:       func(s *site) { s.proxy.TokenServiceDown(401) },
			step:        "token",
			setting:     "clientid",
			wantMessage: "401",
		},
		"no Cloud Connector": {
			spoil:       func(s *site) { s.proxy.Detach("") },
			step:        "cloud connectors",
			wantMessage: "HTTP 417",
		},
		"another location": {
			spoil: func(s *site) {
				s.proxy.Attach("DE-Ulm")
				s.kafka.Route.Locations = []string{"DE-Berlin"}
			},
			step:        "cloud connectors",
			setting:     "kafka.proxy.location-id",
			wantMessage: "DE-Berlin",
		},
		"a location, and a list without locations": {
			spoil:       func(s *site) { s.kafka.Route.Locations = []string{"DE-Berlin"} },
			step:        "connect broker-0",
			setting:     "kafka.proxy.location-id",
			wantMessage: "DE-Berlin",
		},
		"method refused": {
			spoil: func(s *site) {
				s.proxy.Inject(connectivitytest.Fault{At: connectivitytest.Greeting, Code: 0xff})
			},
			step:        "greeting",
			setting:     "kafka.proxy.address",
			wantMessage: "method 80",
		},
		"logon refused": {
			spoil:       func(s *site) { s.proxy.Refuse(1, 0) },
			step:        "authentication",
			setting:     "kafka.proxy.service-key",
			wantMessage: "Instances and Subscriptions",
		},
		"not exposed": {
			spoil:       func(s *site) { s.proxy.Unmap(virtualAddress(0)) },
			step:        "connect broker-0",
			setting:     "kafka.proxy.address-map",
			wantMessage: "Access Control",
		},
		"no Cloud Connector at the proxy": {
			spoil:       func(s *site) { s.proxy.Answer(3, 0) },
			step:        "connect broker-0",
			setting:     "kafka.proxy.location-id",
			wantMessage: "Cloud Connectors",
		},
		"backend away": {
			spoil:       func(s *site) { s.proxy.Map(virtualAddress(0), "127.0.0.1:1") },
			step:        "connect broker-0",
			wantMessage: "Reachable",
		},
		"second broker not exposed": {
			spoil:       func(s *site) { s.proxy.Unmap(virtualAddress(1)) },
			step:        "connect broker-1",
			setting:     "kafka.proxy.address-map",
			wantMessage: "kafka-1.virtual:9092",
		},
		"TLS to a plain broker": {
			spoil: func(s *site) {
				s.kafka.TLS = &tls.Config{}
				s.kafka.Timeout = 3 * time.Second
			},
			step:        "tls broker-0",
			setting:     "security.protocol",
			wantMessage: "answers with TLS",
		},
		"unknown authority": {
			opts: []kfake.Opt{kfake.TLS(newServerTLS())},
			spoil: func(s *site) {
				o := keystore.Options{Name: func(field string) string { return "ssl." + field }}
				s.kafka.TLS, _ = keystore.ClientTLS(o)
				s.kafka.Explain = func(err error) error { return keystore.Explain(err, o) }
			},
			step:        "tls broker-0",
			setting:     "ssl.truststore.location",
			wantMessage: "not trusted",
		},
		"SASL not configured": {
			opts:        plainLogon,
			spoil:       func(*site) {},
			step:        "metadata broker-0",
			setting:     "security.protocol",
			wantMessage: "closed the connection",
		},
		"wrong password": {
			opts:        plainLogon,
			spoil:       func(s *site) { s.kafka.SASL = plain.Auth{User: "u", Pass: "wrong"}.AsMechanism() },
			step:        "sasl broker-0",
			setting:     "sasl.jaas.config",
			wantMessage: "are wrong",
		},
		"wrong mechanism": {
			opts:        plainLogon,
			spoil:       func(s *site) { s.kafka.SASL = scram.Auth{User: "u", Pass: "p"}.AsSha512Mechanism() },
			step:        "sasl broker-0",
			setting:     "sasl.jaas.config",
			wantMessage: "sasl.mechanism",
		},
		"nobody listens": {
			spoil: func(s *site) {
				s.kafka.Route = route.Settings{}
				s.kafka.Bootstrap = []string{"127.0.0.1:1"}
			},
			step:        "connect 127.0.0.1:1",
			setting:     "bootstrap.servers",
			wantMessage: "refused",
		},
		"proxy away": {
			spoil:       func(s *site) { s.kafka.Route.Address = "127.0.0.1:1" },
			step:        "proxy 127.0.0.1:1",
			setting:     "kafka.proxy.address",
			wantMessage: "only applications on BTP",
		},
		"unknown type": {
			spoil:       func(s *site) { s.kafka.Route.Type = "carrier-pigeon" },
			step:        "settings",
			setting:     "kafka.proxy.type",
			wantMessage: "carrier-pigeon",
		},
	}
}

// newServerTLS returns the configuration of a server whose certificate nobody trusts.
func newServerTLS() *tls.Config {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	return server.TLS
}

func TestStepsWithoutProxy(t *testing.T) {
	s := newSite(t)
	s.kafka.Route = route.Settings{}
	assert.Equal(t, []string{"connect broker-0", "metadata broker-0", "connect broker-1"}, names(s.diagnose(t)))
	s.kafka.Bootstrap = []string{"127.0.0.1:1"}
	steps := s.diagnose(t)
	assert.Equal(t, []string{"connect 127.0.0.1:1 FAIL"}, names(steps))
	assert.Contains(t, steps[0].Message, "refused")
}

// Without the right to list Cloud Connectors the check continues: workers do not list them either.
func TestStepsWithoutCloudConnectorList(t *testing.T) {
	s := newSite(t)
	s.kafka.Route.VCAP = strings.Replace(s.kafka.Route.VCAP, `"scc_info_path": "`, `"scc_info_path": "/nowhere`, 1)
	steps := s.diagnose(t)
	stepNames := names(steps)
	assert.Equal(t, "connect broker-1", stepNames[len(stepNames)-1])
	assert.Equal(t, true, strings.HasPrefix(steps[1].Message, "unknown"), steps[1].Message)
	assert.Contains(t, steps[1].Message, "404")
}
