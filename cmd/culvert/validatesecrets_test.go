package main

import (
	"strings"
	"testing"
)

// With --without-secrets references are taken as present, whole values and parts of them, of every kind of setting, of
// connectors and of the worker: all else is checked as ever. Nothing is sent in their place.
func TestValidateWithoutSecrets(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	secrets := []string{"sap.odata.host.port=${env:CULVERT_TEST_NO_SUCH_PORT}",
		"sap.odata.user.name=${dir:/run/secrets/none:user}", "sap.odata.user.pwd=${dir:/run/secrets/none:password}",
		"sap.odata.header.x-key=Bearer ${file:/run/secrets/none.properties:key}",
		"sap.odata.keystore.location=${env:CULVERT_TEST_NO_SUCH_STORE}", "sap.odata.keystore.password=${dir:/none:x}",
		"sap.odata.truststore.location=${env:CULVERT_TEST_NO_SUCH_STORE}", "sap.odata.max.retries=${env:CULVERT_NONE}",
		"value.converter=io.confluent.connect.avro.AvroConverter",
		"value.converter.schema.registry.url=${env:CULVERT_TEST_NO_SUCH_REGISTRY}",
		"producer.override.sasl.jaas.config=${dir:/none:jaas}"}
	worker := p.file("worker.properties", "bootstrap.servers=kafka:9092", "security.protocol=SASL_SSL",
		"sasl.mechanism=PLAIN", "sasl.jaas.config=${dir:/run/secrets/none:jaas}",
		"ssl.truststore.location=${env:CULVERT_TEST_NO_SUCH_STORE}", "offset.flush.interval.ms=${env:CULVERT_NONE}")
	good := p.file("good.properties", instead(source("good", "sap.example.com:443", "Orders"), secrets...)...)
	bad := p.file("bad.properties", append(instead(source("bad", "sap.example.com:443", "Customers"), secrets...),
		"sap.odata#00.selct=Name", "sap.odata.min.retry.backoff.ms=soon")...)
	args := []string{"validate", "--plugins", plugins(t), "--data", p.data}
	if r := p.run(append(args, worker, good)...); r.code != exitFailed ||
		strings.Count(r.stdout, "nothing there by that name") < 5 {
		t.Errorf("without the secrets: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	args = append(args, "--without-secrets")
	if r := p.run(append(args, worker, good)...); r.code != exitDone || r.stdout != "" ||
		!strings.Contains(r.stderr, ": ok: good, ") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	r := p.run(append(args, worker, good, bad)...)
	if r.code != exitFailed || strings.Count(r.stdout, "\n") != 2 || !strings.Contains(r.stdout, "sap.odata#00.selct: ") ||
		!strings.Contains(r.stdout, "sap.odata.min.retry.backoff.ms: Invalid value soon") {
		t.Errorf("what is wrong besides: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := p.run(append(args, "--online", good)...); r.code != exitWrong || !strings.Contains(r.stderr, "online") {
		t.Errorf("nothing is sent in the place of a secret: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// With --without-secrets nothing is said either of settings that are wrong only because one that they go with has a
// reference: of a converter without its password, of what belongs to the broker's proxy, or to a chain.
func TestValidateWithoutWhatBelongsTogether(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	worker := []string{"bootstrap.servers=kafka:9092", "group.id=g", "exactly.once.source.support=enabled",
		"kafka.proxy.type=http", "kafka.proxy.address=proxy.example.com:3128", "kafka.proxy.user=x",
		"kafka.proxy.password=x", "value.converter=AvroConverter",
		"value.converter.schema.registry.url=http://registry.example.com:8081",
		"value.converter.basic.auth.credentials.source=USER_INFO", "value.converter.basic.auth.user.info=a:b"}
	chain := []string{"transforms=a", "transforms.a.type=org.apache.kafka.connect.transforms.Cast$Value",
		"transforms.a.spec=OrderID:string", "transforms.a.predicate=p", "predicates=p",
		"predicates.p.type=org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
		"transaction.boundary=interval", "transaction.boundary.interval.ms=1000"}
	one := append(source("one", "sap.example.com:443", "Orders"), chain...)
	two := append(source("two", "sap.example.com:443", "Customers"), "key.converter=AvroConverter",
		"key.converter.schema.registry.url=http://registry.example.com:8081",
		"key.converter.basic.auth.credentials.source=USER_INFO", "key.converter.basic.auth.user.info=a:b")
	absent := func(lines []string, key string) []string {
		if key == "" {
			return lines
		}
		return instead(lines, key+"=${env:CULVERT_TEST_NONE}")
	}
	for _, c := range []struct{ ofWorker, ofOne, ofTwo string }{
		{"", "", ""}, {"bootstrap.servers", "", ""}, {"group.id", "", ""},
		{"kafka.proxy.type", "", ""}, {"kafka.proxy.address", "", ""}, {"kafka.proxy.user", "", ""},
		{"value.converter", "", ""}, {"value.converter.basic.auth.user.info", "", ""}, {"", "transforms", ""},
		{"", "predicates", "key.converter.basic.auth.user.info"},
		{"", "transforms.a.type", "key.converter.basic.auth.credentials.source"},
	} {
		r := p.run("validate", "--without-secrets", "--plugins", plugins(t, "smt"), "--data", p.data,
			p.file("worker.properties", absent(worker, c.ofWorker)...), p.file("one.properties", absent(one, c.ofOne)...),
			p.file("two.properties", absent(two, c.ofTwo)...))
		if r.code != exitDone || r.stdout != "" || strings.Count(r.stderr, ": ok: ") != 2 {
			t.Errorf("without %v: exit %d\n%s%s", c, r.code, r.stdout, r.stderr)
		}
	}
}
