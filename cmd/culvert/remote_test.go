package main

import (
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/transport/connectivitytest"
)

// called is a listener of a broker that advertises itself under another name.
type called struct {
	net.Listener
	name calledName
}

func (c called) Addr() net.Addr { return c.name }

type calledName string

func (calledName) Network() string  { return "tcp" }
func (n calledName) String() string { return string(n) }

// A worker whose cluster is behind a Cloud Connector, with TLS and a logon inside the tunnel: a source, and the same
// rows back.
func TestRunThroughCloudConnector(t *testing.T) {
	t.Parallel()
	p, folder := newPlace(t), plugins(t, "odata-sink")
	double := connectivitytest.NewServer()
	t.Cleanup(double.Close)
	// Go's own test server has a certificate for example.com, which the broker calls itself.
	issuer := httptest.NewTLSServer(nil)
	issuer.Close()
	roots := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.Certificate().Raw}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "alice",
		"hush-hush"),
		kfake.TLS(&tls.Config{Certificates: issuer.TLS.Certificates}),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return called{l, "example.com:9092"}, nil }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	double.Map("kafka.virtual:9092", l.Addr().String())
	p.file("secrets.properties",
		`logon=org.apache.kafka.common.security.scram.ScramLoginModule required username="alice" password="hush-hush";`)
	lines := []string{"bootstrap.servers=example.com:9092", "kafka.proxy.type=sap-connectivity",
		"kafka.proxy.service.key=" + p.file("key.json", double.ServiceKey(0)),
		"kafka.proxy.address.map=example.com:9092=kafka.virtual:9092", "security.protocol=SASL_SSL",
		"sasl.mechanism=SCRAM-SHA-512",
		"sasl.jaas.config=${file:" + p.dir + "/secrets.properties:logon}",
		"ssl.truststore.type=PEM", "ssl.truststore.location=" + p.file("roots.pem", roots)}
	s, address := demo(t, service.Options{Rows: 300, PageSize: 100, Switches: service.Switches{CSRF: true}})
	worker := p.file("worker.properties", lines...)
	r := p.run("run", "--once", "--log-level", "debug", "--plugins", folder, "--data", p.data, worker,
		p.file("there.properties", source("there", address, "Products")...),
		p.file("back.properties", sinkOf("back", address, "Products", "ProductCopies")...))
	if r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	if got, want := s.Count("ProductCopies"), s.Count("Products"); got != want || want == 0 {
		t.Errorf("expected %d rows to be written back, found %d", want, got)
	}
	consumed := p.run("consume", "Products", "-p", worker)
	if got, want := strings.Count(consumed.stdout, "\n"), s.Count("Products"); got != want || consumed.code != 0 {
		t.Errorf("consume: expected %d records, found %d, exit %d\n%s", want, got, consumed.code, consumed.stderr)
	}
	for _, secret := range []string{"hush-hush", double.Connectivity.Secret, "eyJ"} {
		if strings.Contains(r.stderr+r.stdout+consumed.stderr, secret) {
			t.Errorf("%s is shown", secret)
		}
	}
	if double.Count(func(e connectivitytest.Entry) bool {
		return e.Target == "kafka.virtual:9092" &&
			e.Code == 0
	}) == 0 {
		t.Error("nothing went through the tunnel")
	}

	t.Run("wrong password", func(t *testing.T) {
		p.file("secrets.properties",
			`logon=org.apache.kafka.common.security.scram.ScramLoginModule required username="alice" password="quiet-quiet";`)
		for _, args := range [][]string{{"run", "--once", "--plugins", folder, "--data", p.data, worker,
			p.dir + "/there.properties"}, {"consume", "Products", "-p", worker}} {
			r := p.run(args...)
			if r.code == 0 || !strings.Contains(r.stderr, "sasl.jaas.config") || !strings.Contains(r.stderr,
				"example.com:9092") ||
				strings.Contains(r.stderr, "quiet-quiet") {
				t.Errorf("%s: expected to be told what is wrong, found exit %d\n%s", args[0], r.code, r.stderr)
			}
		}
	})
	t.Run("not exposed", func(t *testing.T) {
		double.Unmap("kafka.virtual:9092")
		for _, args := range [][]string{{"run", "--once", "--plugins", folder, "--data", p.data, worker,
			p.dir + "/there.properties"}, {"consume", "Products", "-p", worker}} {
			if r := p.run(args...); r.code == 0 || !strings.Contains(r.stderr, "add kafka.virtual:9092") {
				t.Errorf("%s: expected to be told what is wrong, found exit %d\n%s", args[0], r.code, r.stderr)
			}
		}
	})
}
