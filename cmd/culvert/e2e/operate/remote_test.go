package operate

import (
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/culvert-project/culvert/host/transport/connectivitytest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A worker whose cluster is behind a Cloud Connector, with TLS and a logon inside the tunnel: a source, and the same
// rows back.
func TestRunThroughCloudConnector(t *testing.T) {
	t.Parallel()
	p, folder := e2etest.NewPlace(t), e2etest.Plugins(t, "odata-sink")
	double := connectivitytest.NewServer()
	t.Cleanup(double.Close)
	// Go's own test server has a certificate for example.com, which the broker calls itself.
	issuer := httptest.NewTLSServer(nil)
	issuer.Close()
	roots := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.Certificate().Raw}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	e2etest.NoError(t, err)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "alice",
		"hush-hush"),
		kfake.TLS(&tls.Config{Certificates: issuer.TLS.Certificates}),
		kfake.ListenFn(func(string, string) (net.Listener, error) {
			return e2etest.Named{Listener: l, Name: "example.com:9092"}, nil
		}))
	e2etest.NoError(t, err)
	t.Cleanup(cluster.Close)
	double.Map("kafka.virtual:9092", l.Addr().String())
	p.File("secrets.properties",
		`logon=org.apache.kafka.common.security.scram.ScramLoginModule required username="alice" password="hush-hush";`)
	lines := []string{"bootstrap.servers=example.com:9092", "kafka.proxy.type=sap-connectivity",
		"kafka.proxy.service.key=" + p.File("key.json", double.ServiceKey(0)),
		"kafka.proxy.address.map=example.com:9092=kafka.virtual:9092", "security.protocol=SASL_SSL",
		"sasl.mechanism=SCRAM-SHA-512",
		"sasl.jaas.config=${file:" + p.Dir + "/secrets.properties:logon}",
		"ssl.truststore.type=PEM", "ssl.truststore.location=" + p.File("roots.pem", roots)}
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 300, PageSize: 100, Switches: odatatest.Switches{CSRF: true}})
	worker := p.File("worker.properties", lines...)
	r := p.MustRun("run", "--once", "--log-level", "debug", "--plugins", folder, "--data", p.Data, worker,
		p.File("there.properties", e2etest.Source("there", address, "Products")...),
		p.File("back.properties", e2etest.SinkOf("back", address, "Products", "ProductCopies")...))
	if got, want := s.Count("ProductCopies"), s.Count("Products"); got != want || want == 0 {
		t.Errorf("expected %d rows to be written back, found %d", want, got)
	}
	consumed := p.Run("consume", "Products", "-p", worker)
	if got, want := strings.Count(consumed.Stdout, "\n"), s.Count("Products"); got != want || consumed.Code != 0 {
		t.Errorf("consume: expected %d records, found %d, exit %d\n%s", want, got, consumed.Code, consumed.Stderr)
	}
	e2etest.Lacks(t, "what is shown", r.Stderr+r.Stdout+consumed.Stderr, "hush-hush", double.Connectivity.Secret, "eyJ")
	through := func(e connectivitytest.Entry) bool { return e.Target == "kafka.virtual:9092" && e.Code == 0 }
	if double.Count(through) == 0 {
		t.Error("nothing went through the tunnel")
	}

	commands := [][]string{{"run", "--once", "--plugins", folder, "--data", p.Data, worker, p.Dir + "/there.properties"},
		{"consume", "Products", "-p", worker}}
	t.Run("wrong password", func(t *testing.T) {
		p.File("secrets.properties",
			`logon=org.apache.kafka.common.security.scram.ScramLoginModule required username="alice" password="quiet-quiet";`)
		for _, args := range commands {
			p.Run(args...).Fails().Says("sasl.jaas.config", "example.com:9092").Omits("quiet-quiet")
		}
	})
	t.Run("not exposed", func(t *testing.T) {
		double.Unmap("kafka.virtual:9092")
		for _, args := range commands {
			p.Run(args...).Fails().Says("add kafka.virtual:9092")
		}
	})
}
