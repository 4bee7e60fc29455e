//go:build real

package main

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// Rows go through a topic of Avro with a real registry, Apicurio's; and a schema that it refuses stops the source
// before its first row, until the registry takes it.
func TestRealRegistry(t *testing.T) {
	port := freePort(t)
	startPeer(t, "registry/start.sh", t.TempDir(), nil, port, t.TempDir())
	url := "http://127.0.0.1:" + port + "/apis/ccompat/v7"
	throughAvro(t, url)

	client, err := sr.NewClient(sr.URLs(url))
	if err != nil {
		t.Fatal(err)
	}
	const subject = "Products-value"
	if _, err := client.RegisterSchema(t.Context(), subject, sr.Schema{Schema: `{"type":"record","name":"Other","fields":[{"name":"x","type":"int"}]}`}, -1, -1); err != nil {
		t.Fatal(err)
	}
	level := func(c sr.CompatibilityLevel) {
		t.Helper()
		for _, result := range client.SetCompatibility(t.Context(), sr.SetCompatibility{Level: c}, subject) {
			if result.Err != nil {
				t.Fatal(result.Err)
			}
		}
	}
	level(sr.CompatBackward)
	broker := embedded(t)
	p := newPlace(t)
	demo, address := demo(t, service.Options{})
	run := []string{"run", "--once", "--plugins", plugins(t), "--data", p.data, p.file("worker.properties", avroWorker(broker.Addr(), url)...),
		p.file("from.properties", append(source("from", address, "Products"), "errors.tolerance=all")...)}
	r := p.run(run...)
	if r.code != 1 || !strings.Contains(r.stderr, "register the schema of "+subject+": status 409") {
		t.Fatalf("expected exit 1 for a schema that the registry refuses, found %d\n%s", r.code, r.stderr)
	}
	records := func() (n int64) {
		for _, end := range endsOn(t, broker.Addr(), "Products") {
			n += end
		}
		return n
	}
	if n := records(); n != 0 {
		t.Errorf("expected no record, found %d", n)
	}
	level(sr.CompatNone)
	if r := p.run(run...); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	if n := records(); n != int64(demo.Count("Products")) {
		t.Errorf("expected all products, found %d", n)
	}
}
