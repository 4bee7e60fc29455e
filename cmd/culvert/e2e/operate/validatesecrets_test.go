package operate

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// With --without-secrets references are taken as present, whole values and parts of them, of every kind of setting, of
// connectors and of the worker: all else is checked as ever. Nothing is sent in their place.
func TestValidateWithoutSecrets(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	secrets := []string{"sap.odata.host.port=${env:CULVERT_TEST_NO_SUCH_PORT}",
		"sap.odata.user.name=${dir:/run/secrets/none:user}", "sap.odata.user.pwd=${dir:/run/secrets/none:password}",
		"sap.odata.header.x-key=Bearer ${file:/run/secrets/none.properties:key}",
		"sap.odata.keystore.location=${env:CULVERT_TEST_NO_SUCH_STORE}", "sap.odata.keystore.password=${dir:/none:x}",
		"sap.odata.truststore.location=${env:CULVERT_TEST_NO_SUCH_STORE}", "sap.odata.max.retries=${env:CULVERT_NONE}",
		"value.converter=io.confluent.connect.avro.AvroConverter",
		"value.converter.schema.registry.url=${env:CULVERT_TEST_NO_SUCH_REGISTRY}",
		"producer.override.sasl.jaas.config=${dir:/none:jaas}"}
	worker := p.File("worker.properties", "bootstrap.servers=kafka:9092", "security.protocol=SASL_SSL",
		"sasl.mechanism=PLAIN", "sasl.jaas.config=${dir:/run/secrets/none:jaas}",
		"ssl.truststore.location=${env:CULVERT_TEST_NO_SUCH_STORE}", "offset.flush.interval.ms=${env:CULVERT_NONE}")
	good := p.File("good.properties", e2etest.Instead(e2etest.Source("good", "sap.example.com:443", "Orders"), secrets...)...)
	bad := p.File("bad.properties", append(e2etest.Instead(e2etest.Source("bad", "sap.example.com:443", "Customers"), secrets...),
		"sap.odata#00.selct=Name", "sap.odata.min.retry.backoff.ms=soon")...)
	args := []string{"validate", "--plugins", e2etest.Plugins(t), "--data", p.Data}
	if r := p.Run(append(args, worker, good)...); r.Code != 1 ||
		strings.Count(r.Stdout, "nothing there by that name") < 5 {
		t.Errorf("without the secrets: exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	args = append(args, "--without-secrets")
	p.Run(append(args, worker, good)...).Exits(0).PrintsNothing().Says(": ok: good")
	r := p.Run(append(args, worker, good, bad)...)
	if r.Code != 1 || strings.Count(r.Stdout, "\n") != 2 || !strings.Contains(r.Stdout, "sap.odata#00.selct: ") ||
		!strings.Contains(r.Stdout, "sap.odata.min.retry.backoff.ms: Invalid value soon") {
		t.Errorf("what is wrong besides: exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	p.Run(append(args, "--online", good)...).Exits(2).Says("online")
}

// With --without-secrets nothing is said either of settings that are wrong only because one that they go with has a
// reference: of a converter without its password, of what belongs to the broker's proxy, or to a chain.
func TestValidateWithoutWhatBelongsTogether(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	worker := []string{"bootstrap.servers=kafka:9092", "group.id=g", "exactly.once.source.support=enabled",
		"kafka.proxy.type=http", "kafka.proxy.address=proxy.example.com:3128", "kafka.proxy.user=x",
		"kafka.proxy.password=x", "value.converter=AvroConverter",
		"value.converter.schema.registry.url=http://registry.example.com:8081",
		"value.converter.basic.auth.credentials.source=USER_INFO", "value.converter.basic.auth.user.info=a:b"}
	chain := []string{"transforms=a", "transforms.a.type=org.apache.kafka.connect.transforms.Cast$Value",
		"transforms.a.spec=OrderID:string", "transforms.a.predicate=p", "predicates=p",
		"predicates.p.type=org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"}
	one := append(e2etest.Source("one", "sap.example.com:443", "Orders"), chain...)
	two := append(e2etest.Source("two", "sap.example.com:443", "Customers"), "key.converter=AvroConverter",
		"key.converter.schema.registry.url=http://registry.example.com:8081",
		"key.converter.basic.auth.credentials.source=USER_INFO", "key.converter.basic.auth.user.info=a:b")
	absent := func(lines []string, key string) []string {
		if key == "" {
			return lines
		}
		return e2etest.Instead(lines, key+"=${env:CULVERT_TEST_NONE}")
	}
	for _, c := range []struct{ ofWorker, ofOne, ofTwo string }{
		{"bootstrap.servers", "", "key.converter.basic.auth.user.info"}, {"kafka.proxy.type", "transforms", ""},
		{"kafka.proxy.address", "predicates", ""}, {"kafka.proxy.user", "transforms.a.type", ""}, {"value.converter", "", ""},
		{"value.converter.basic.auth.user.info", "", "key.converter.basic.auth.credentials.source"}, {"group.id", "", ""},
	} {
		r := p.Run("validate", "--without-secrets", "--plugins", e2etest.Plugins(t, "smt"), "--data", p.Data,
			p.File("worker.properties", absent(worker, c.ofWorker)...), p.File("one.properties", absent(one, c.ofOne)...),
			p.File("two.properties", absent(two, c.ofTwo)...))
		if r.Code != 0 || r.Stdout != "" || strings.Count(r.Stderr, ": ok: ") != 2 {
			t.Errorf("without %v: exit %d\n%s%s", c, r.Code, r.Stdout, r.Stderr)
		}
	}
}
