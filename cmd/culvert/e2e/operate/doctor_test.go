package operate

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/host/transport/connectivitytest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

var northwind = strings.TrimSuffix(odatatest.NorthwindPath, "/")

// behind is a broker that is reachable through the double alone, and the lines of a worker's file for it.
func behind(t *testing.T, p *e2etest.Place) (double *connectivitytest.Server, worker []string) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "rows"))
	e2etest.NoError(t, err)
	t.Cleanup(c.Close)
	double = connectivitytest.NewServer()
	t.Cleanup(double.Close)
	broker := c.ListenAddrs()[0]
	double.Map("kafka.virtual:9092", broker)
	key := p.File("key.json", double.ServiceKey(0))
	return double, []string{"bootstrap.servers=" + broker, "kafka.proxy.type=sap-connectivity",
		"kafka.proxy.service.key=" + key,
		"kafka.proxy.address.map=" + broker + "=kafka.virtual:9092"}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	folder := e2etest.Plugins(t, "odata-sink")
	double, lines := behind(t, p)
	worker := p.File("worker.properties", lines...)
	_, address := e2etest.Demo(t, odatatest.Options{Switches: odatatest.Switches{CSRF: true}})
	connector := p.File("orders.properties", append(e2etest.Source("orders", address, "Products"), "sap.odata.user.name=u",
		"sap.odata.user.pwd=p")...)
	viaKafka := []string{"token", "cloud connectors", "proxy HOST", "greeting", "authentication", "connect HOST",
		"metadata HOST"}
	viaService := []string{"settings of the service", "connect HOST", "service " + northwind, "metadata " + northwind,
		"entityset " + northwind + "/Products", "catalogue", "settings", "topic Products"}

	r := p.Run("doctor", "-p", worker, "-p", connector, "--json", "--plugins", folder, "--data", p.Data)
	if d := cmp.Diff(slices.Concat(viaKafka, viaService), e2etest.Steps(t, r)); r.Code != 0 || d != "" {
		t.Errorf("exit %d\n%s%s\n%s", r.Code, d, r.Stdout, r.Stderr)
	}

	host, port, _ := strings.Cut(address, ":")
	writer := p.File("writer.properties", "name=w", "connector.class=ODataSink", "topics=T",
		"sap.odata.host.protocol=http", "sap.odata.host.address="+host,
		"sap.odata.host.port="+port, "sap.odata#00.service="+odatatest.NorthwindPath, "sap.odata#00.entityset=Products",
		"sap.odata#00.topic=T")
	p.Run("doctor", "-p", writer, "--plugins", folder, "--data", p.Data).
		Exits(0).Prints("csrf "+northwind, "the service gives tokens for writing")

	double.Unmap("kafka.virtual:9092")
	r = p.Run("doctor", "-p", worker, "-p", connector, "--json", "--plugins", folder, "--data", p.Data).Exits(1)
	if d := cmp.Diff(append(viaKafka[:5:5], "connect HOST FAIL kafka.proxy.address.map"), e2etest.Steps(t, r)); d != "" {
		t.Error(d)
	}
	r = p.Run("doctor", "-p", worker).Exits(1)
	last := r.Stdout[strings.LastIndex(strings.TrimSpace(r.Stdout), "\n")+1:]
	e2etest.Contains(t, "the last line", last, "FAIL", "ms", "kafka.proxy.address.map:", "kafka.virtual:9092", "Access Control")
	if r.Stderr != "" {
		t.Errorf("stderr %q", r.Stderr)
	}
}

// What a connector needs of Kafka besides brokers that answer: rights on its topics, for the user that its clients
// have, and a schema registry that takes its user.
func TestDoctorChecksRightsAndTheRegistry(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	folder := e2etest.Plugins(t, "odata-sink")
	may := func(topic string, operation kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: topic, Pattern: kmsg.ACLResourcePatternTypeLiteral,
			Operation: operation, Allow: true}
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "written", "seen", "closed", "read"),
		kfake.EnableSASL(), kfake.EnableACLs(), kfake.User("PLAIN", "u", "p", may("written", kmsg.ACLOperationWrite),
			may("written", kmsg.ACLOperationDescribe), may("new", kmsg.ACLOperationDescribe),
			may("seen", kmsg.ACLOperationDescribe), may("read", kmsg.ACLOperationDescribe),
			may("read", kmsg.ACLOperationRead)))
	e2etest.NoError(t, err)
	t.Cleanup(c.Close)
	worker := p.File("worker.properties", "bootstrap.servers="+c.ListenAddrs()[0], "security.protocol=SASL_PLAINTEXT",
		"sasl.mechanism=PLAIN", "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required "+
			`username="u" password="p";`)
	_, address := e2etest.Demo(t, odatatest.Options{})
	registry := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("[]")) }))
	gone := porttest.Address(t)
	source := func(topic string, more ...string) []string {
		return append(e2etest.Instead(e2etest.Source("orders", address, "Products"), "sap.odata#00.topic="+topic), more...)
	}
	avro := []string{"value.converter=io.confluent.connect.avro.AvroConverter", "value.converter.schema.registry.url="}
	for name, c := range map[string]struct {
		lines []string
		last  string
		says  string
	}{
		"may write":     {source("written"), "topic written", "DESCRIBE, WRITE"},
		"not there yet": {source("new"), "topic new", "is not there"},
		"may not write": {source("seen"), "topic seen FAIL sap.odata#00.topic", "the right WRITE on the resource Topic"},
		"may not see":   {source("closed"), "topic closed FAIL sap.odata#00.topic", "DESCRIBE"},
		"may read":      {e2etest.SinkOf("s", address, "read", "OrderCopies"), "topic read", "DESCRIBE, READ"},
		"may not read":  {e2etest.SinkOf("s", address, "seen", "OrderCopies"), "topic seen FAIL topics", "the right READ"},
		"no dead letters": {append(e2etest.SinkOf("s", address, "read", "OrderCopies"), "errors.tolerance=all",
			"errors.deadletterqueue.topic.name=seen"), "topic seen FAIL errors.deadletterqueue.topic.name", "WRITE"},
		"registry": {source("written", avro[0], avro[1]+"http://"+registry), "schema registry http://HOST", ""},
		"no registry": {source("written", avro[0], avro[1]+"http://"+gone),
			"schema registry http://HOST FAIL value.converter.schema.registry.url", gone},
	} {
		t.Run(name, func(t *testing.T) {
			file := p.File("c.properties", c.lines...)
			r := p.Run("doctor", "-p", worker, "-p", file, "--json", "--plugins", folder, "--data", e2etest.NewPlace(t).Data)
			got := e2etest.Steps(t, r)
			if last := got[len(got)-1]; last != c.last || !strings.Contains(r.Stdout, c.says) ||
				(r.Code != 0) != strings.Contains(c.last, "FAIL") {
				t.Errorf("exit %d, expected %q with %q, found\n%s%s", r.Code, c.last, c.says, r.Stdout, r.Stderr)
			}
		})
	}
}

// A doctor who waits for the end of an outage, or asks again and again, shows nothing.
func TestDoctorAsksOnce(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	folder := e2etest.Plugins(t)
	s, address := e2etest.Demo(t, odatatest.Options{Switches: odatatest.Switches{Status: 503, StatusCount: 1000}})
	double := connectivitytest.NewServer()
	t.Cleanup(double.Close)
	key := "sap.odata.proxy.service.key=" + p.File("key.json", double.ServiceKey(0))
	away := append(e2etest.Source("away", "s4.virtual:8000", "Products"), "sap.odata.proxy.type=sap-connectivity-http",
		"sap.odata.proxy.location.id=DE-Berlin", key)
	for name, lines := range map[string][]string{"busy": e2etest.Source("busy", address, "Products"), "away": away} {
		p.Run("doctor", "-p", p.File(name+".properties", lines...), "--json", "--plugins", folder, "--data", p.Data).
			Exits(1).Prints("HTTP 503")
	}
	if n := s.Ledger().Total; n != 1 {
		t.Errorf("the service was asked %d times: %+v", n, s.Ledger().Requests)
	}
	if n := double.Count(func(e connectivitytest.Entry) bool { return e.Port == "http" }); n != 1 {
		t.Errorf("the proxy was asked %d times", n)
	}
}
