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
	double  *connectivitytest.Server
	brokers []string // the advertised addresses
	kafka   Kafka
}

func newSite(t *testing.T, opts ...kfake.Opt) *site {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(2)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	s := &site{double: connectivitytest.NewServer(), brokers: c.ListenAddrs()}
	t.Cleanup(s.double.Close)
	addresses := map[string]string{}
	for i, b := range s.brokers {
		addresses[b] = virtual(i)
		s.double.Map(virtual(i), b)
	}
	s.kafka = Kafka{Bootstrap: s.brokers[:1], Timeout: 5 * time.Minute, Route: route.Settings{
		Type:        route.Connectivity,
		TokenSource: route.TokenSource{VCAP: s.double.VCAP(0)},
		AddressMap:  addresses,
		Name:        func(short string) string { return "kafka.proxy." + short },
	}}
	return s
}

func virtual(i int) string { return fmt.Sprintf("kafka-%d.virtual:9092", i) }

// visit runs the steps and returns them with names in place of addresses.
func (s *site) visit(t *testing.T) (steps []Step) {
	v := NewDiagnosis(func(step Step) {
		step.Ms = 0
		for i, b := range s.brokers {
			step.Step = strings.ReplaceAll(step.Step, b, fmt.Sprint("broker-", i))
			step.Message = strings.ReplaceAll(step.Message, b, fmt.Sprint("broker-", i))
		}
		step.Step = strings.ReplaceAll(step.Step, s.double.SOCKS5, "PROXY")
		steps = append(steps, step)
	})
	v.Kafka(t.Context(), s.kafka)
	return steps
}

func names(steps []Step) (names []string) {
	for _, s := range steps {
		names = append(names, s.Step)
		if !s.OK {
			names[len(names)-1] += " FAIL"
		}
	}
	return names
}

func TestStepsToKafka(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	s := newSite(t, kfake.TLS(server.TLS), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "u", "p"))
	s.kafka.TLS = &tls.Config{RootCAs: roots}
	s.kafka.SASL = scram.Auth{User: "u", Pass: "p"}.AsSha256Mechanism()
	steps := s.visit(t)
	want := []string{"token", "cloud connectors", "proxy PROXY", "greeting", "authentication", "connect broker-0",
		"tls broker-0", "sasl broker-0",
		"metadata broker-0", "connect broker-1", "tls broker-1"}
	if d := cmp.Diff(want, names(steps)); d != "" {
		t.Fatalf("%s\n%+v", d, steps)
	}
	if m := steps[5].Message; m != "as kafka-0.virtual:9092" {
		t.Errorf("connect: found %s", m)
	}
	if m := steps[8].Message; m != "2 brokers: 0 broker-0 -> kafka-0.virtual:9092, 1 broker-1 -> kafka-1.virtual:9092" {
		t.Errorf("metadata: found %s", m)
	}
}

func TestStepsEndWithTheError(t *testing.T) {
	for _, c := range []struct {
		name    string
		opts    []kfake.Opt
		spoil   func(*site)
		step    string
		setting string
		says    string
	}{
		{"token refused", nil, func(s *site) { s.double.TokenServiceDown(401) }, "token", "clientid", "401"},
		{"no Cloud Connector", nil, func(s *site) { s.double.Detach("") }, "cloud connectors", "", "HTTP 417"},
		{"another location", nil,
			func(s *site) { s.double.Attach("DE-Ulm"); s.kafka.Route.Locations = []string{"DE-Berlin"} },
			"cloud connectors", "kafka.proxy.location-id", "DE-Berlin"},
		{"a location where none is told", nil, func(s *site) { s.kafka.Route.Locations = []string{"DE-Berlin"} },
			"connect broker-0", "kafka.proxy.location-id", "DE-Berlin"},
		{"method refused", nil, func(s *site) {
			s.double.Inject(connectivitytest.Fault{At: connectivitytest.Greeting, Code: 0xff})
		}, "greeting", "kafka.proxy.address", "method 80"},
		{"logon refused", nil, func(s *site) { s.double.Refuse(1, 0) }, "authentication", "kafka.proxy.service-key",
			"Instances and Subscriptions"},
		{"not exposed", nil, func(s *site) { s.double.Unmap(virtual(0)) }, "connect broker-0",
			"kafka.proxy.address-map", "Access Control"},
		{"no Cloud Connector at the proxy", nil, func(s *site) { s.double.Answer(3, 0) }, "connect broker-0",
			"kafka.proxy.location-id", "Cloud Connectors"},
		{"backend away", nil, func(s *site) { s.double.Map(virtual(0), "127.0.0.1:1") }, "connect broker-0", "",
			"Reachable"},
		{"second not exposed", nil, func(s *site) { s.double.Unmap(virtual(1)) }, "connect broker-1",
			"kafka.proxy.address-map", "kafka-1.virtual:9092"},
		{"TLS to a plain broker", nil, func(s *site) {
			s.kafka.TLS = &tls.Config{}
			s.kafka.Timeout = 3 * time.Second
		},
			"tls broker-0", "security.protocol", "answers with TLS"},
		{"unknown authority", []kfake.Opt{kfake.TLS(throwAway())}, func(s *site) {
			o := keystore.Options{Name: func(field string) string { return "ssl." + field }}
			s.kafka.TLS, _ = keystore.ClientTLS(o)
			s.kafka.Explain = func(err error) error { return keystore.Explain(err, o) }
		}, "tls broker-0", "ssl.truststore.location", "not trusted"},
		{"SASL not asked for", []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "p")}, func(*site) {},
			"metadata broker-0", "security.protocol", "closed the connection"},
		{"wrong password", []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "p")},
			func(s *site) { s.kafka.SASL = plain.Auth{User: "u", Pass: "wrong"}.AsMechanism() },
			"sasl broker-0", "sasl.jaas.config", "are wrong"},
		{"wrong mechanism", []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "p")},
			func(s *site) { s.kafka.SASL = scram.Auth{User: "u", Pass: "p"}.AsSha512Mechanism() },
			"sasl broker-0", "sasl.jaas.config", "sasl.mechanism"},
		{"nobody listens", nil, func(s *site) {
			s.kafka.Route = route.Settings{}
			s.kafka.Bootstrap = []string{"127.0.0.1:1"}
		}, "connect 127.0.0.1:1", "bootstrap.servers", "refused"},
		{"proxy away", nil, func(s *site) { s.kafka.Route.Address = "127.0.0.1:1" }, "proxy 127.0.0.1:1",
			"kafka.proxy.address", "only applications on BTP"},
		{"no such type", nil, func(s *site) { s.kafka.Route.Type = "carrier-pigeon" }, "settings", "kafka.proxy.type",
			"carrier-pigeon"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.opts...)
			c.spoil(s)
			steps := s.visit(t)
			last := steps[len(steps)-1]
			if last.OK || last.Step != c.step || last.Setting != c.setting || !strings.Contains(last.Message, c.says) {
				t.Errorf("ended with %+v\nexpected a failure of %q, setting %q, with %q\nafter %q", last, c.step,
					c.setting, c.says, names(steps))
			}
			for _, s := range steps[:len(steps)-1] {
				if !s.OK {
					t.Errorf("expected no step after %+v", s)
				}
			}
		})
	}
}

func throwAway() *tls.Config {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	return server.TLS
}

func TestStepsWithoutProxy(t *testing.T) {
	s := newSite(t)
	s.kafka.Route = route.Settings{}
	assert.Equal(t, []string{"connect broker-0", "metadata broker-0", "connect broker-1"}, names(s.visit(t)))
	s.kafka.Bootstrap = []string{"127.0.0.1:1"}
	steps := s.visit(t)
	if len(steps) != 1 || steps[0].OK || !strings.Contains(steps[0].Message, "refused") {
		t.Errorf("%+v", steps)
	}
}

// Without the right to list Cloud Connectors the check continues: workers do not list them either.
func TestStepsWithoutCloudConnectorList(t *testing.T) {
	s := newSite(t)
	s.kafka.Route.VCAP = strings.Replace(s.kafka.Route.VCAP, `"scc_info_path": "`, `"scc_info_path": "/nowhere`, 1)
	steps := s.visit(t)
	if last := steps[len(steps)-1]; !last.OK || last.Step != "connect broker-1" || !strings.HasPrefix(steps[1].Message,
		"unknown") || !strings.Contains(steps[1].Message, "404") {
		t.Errorf("%+v", steps)
	}
}
