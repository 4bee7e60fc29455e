package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// Offsets of a source and of a sink are shown, set and reset, by REST under a worker and by the command with and
// without one; what is set is what is gone on from.
func TestOffsets(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, address := demo(t, service.Options{Rows: 10})
	p.subfolder("conf")
	p.file("conf/reads.properties", source("reads", address, "Orders")...)
	p.file("conf/writes.properties", sinkOf("writes", address, "Orders", "OrderCopies")...)
	f := p.follows("conf", "plugin.path="+plugins(t, "odata-sink"))
	f.await("reads", "runs", runs)
	f.await("writes", "runs", runs)
	f.eventually("both have got to the end", func() bool {
		_, sink := f.call("GET", "/connectors/writes/offsets", "")
		_, source := f.call("GET", "/connectors/reads/offsets", "")
		return strings.Contains(sink, `"kafka_offset":10`) && strings.Contains(source, "entityset")
	})
	for _, name := range []string{"reads", "writes"} {
		for _, method := range []string{"PATCH", "DELETE"} {
			answer := f.must(400, method, "/connectors/"+name+"/offsets", map[string]string{
				"PATCH": `{"offsets":[{"partition":{"a":1},"offset":null}]}`}[method])
			if !strings.Contains(answer, "must be in the STOPPED state") {
				t.Errorf("%s %s: found %s", method, name, answer)
			}
		}
		f.must(204, "PUT", "/connectors/"+name+"/stop", "") // its tasks still end: what follows waits for that
	}

	base := strings.TrimSuffix(service.NorthwindPath, "/")
	partition := fmt.Sprintf(`{"service":%q,"entityset":"Orders"}`, base)
	set := func(url string) string {
		return fmt.Sprintf(`{"offsets":[{"partition":%s,"offset":{"url":%q}}]}`, partition, url)
	}
	// The original connector's offset is an absolute URL.
	path := base + "/Orders?$skip=7"
	f.must(200, "PATCH", "/connectors/reads/offsets", set("http://"+address+path))
	if found := f.must(200, "GET", "/connectors/reads/offsets", ""); !strings.Contains(found, `"url":"`+path+`"`) {
		t.Errorf("expected the path of the URL, found %s", found)
	}
	for _, url := range []string{"http://elsewhere.example" + path, "nowhere"} {
		if found := f.must(500, "PATCH", "/connectors/reads/offsets", set(url)); !strings.Contains(found,
			"the plugin refuses the offset: ") {
			t.Errorf("%s: found %s", url, found)
		}
	}
	f.must(500, "PATCH", "/connectors/reads/offsets",
		`{"offsets":[{"partition":{"entityset":"x"},"offset":{"url":"/"}}]}`)

	place := func(partition, at string) string {
		return fmt.Sprintf(`{"offsets":[{"partition":{"kafka_topic":"Orders","kafka_partition":%s},"offset":%s}]}`,
			partition, at)
	}
	f.must(200, "PATCH", "/connectors/writes/offsets", place("0", `{"kafka_offset":"4"}`))
	f.must(400, "PATCH", "/connectors/writes/offsets", place("0", `{"kafka_offset":11}`))
	f.must(500, "PATCH", "/connectors/writes/offsets", place("99", `{"kafka_offset":1}`))
	f.must(500, "PATCH", "/connectors/writes/offsets", place("0", `{"kafka_offset":-1}`))

	// The command, with the worker and without.
	shows := func(name string, where ...string) string {
		t.Helper()
		r := p.run(append([]string{"offsets", "show", name}, where...)...)
		if r.code != 0 || !json.Valid([]byte(r.stdout)) {
			t.Fatalf("offsets show %s: exit %d\n%s%s", name, r.code, r.stdout, r.stderr)
		}
		var compact bytes.Buffer
		_ = json.Compact(&compact, []byte(r.stdout))
		return compact.String()
	}
	if found := shows("writes", "--url", f.url); !strings.Contains(found, `"kafka_offset":4`) {
		t.Errorf("found %s", found)
	}
	offline := []string{"--plugins", plugins(t, "odata-sink"), "--data", p.data, "--config", p.dir + "/conf"}
	if r := p.run(append([]string{"offsets", "show", "writes"}, offline...)...); r.code != 2 ||
		!strings.Contains(r.stderr, "found another worker at work") {
		t.Errorf("beside a worker: exit %d %s", r.code, r.stderr)
	}
	f.signal(syscall.SIGTERM)
	f.wait()
	if found := shows("writes", offline...); !strings.Contains(found, `"kafka_offset":4`) {
		t.Errorf("offline: found %s", found)
	}
	saved := p.dir + "/saved.json"
	if err := os.WriteFile(saved, []byte(shows("reads", offline...)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"reset", "reads"}, 0, "have been reset successfully"},
		{[]string{"set", "reads", saved}, 0, "have been altered successfully"},
		{[]string{"reset", "writes"}, 0, "have been reset successfully"},
		{[]string{"reset", "writes"}, 0, "have been reset successfully"},
		{[]string{"reset", "nobody"}, 1, "Connector nobody not found"},
		{[]string{"set", "writes", saved}, 1, "must contain the keys 'kafka_topic'"},
	} {
		r := p.run(append(append([]string{"offsets"}, c.args...), offline...)...)
		if r.code != c.code || !strings.Contains(r.stdout+r.stderr, c.want) {
			t.Errorf("offsets %v: expected exit %d with %q, found %d %s%s", c.args, c.code, c.want, r.code, r.stdout,
				r.stderr)
		}
	}
	if found := shows("reads", offline...); !strings.Contains(found, "skip=7") {
		t.Errorf("found %s", found)
	}
	// It goes on from there: three of ten rows come again, and all of them go to the service once more.
	r := p.run(append([]string{"run", "--once"}, offline...)...)
	if n := len(p.records("Orders")); n != 13 {
		t.Errorf("expected 13 records, found %d\n%s", n, r.stderr)
	}
}

// Before offsets of a connector with exactly-once are changed, its tasks are fenced: one of a worker that was paused
// within a page does not commit its offset over them.
func TestOffsetsAreResetBehindAFence(t *testing.T) {
	t.Parallel()
	base := strings.TrimSuffix(service.NorthwindPath, "/")
	for change, want := range map[string]string{"reset": "[]", "set": "$skip=7"} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			changedBehindAFence(t, change, want, `{"offsets":[{"partition":{"service":"`+base+
				`","entityset":"Orders"},"offset":{"url":"`+
				base+`/Orders?$skip=7"}}]}`)
		})
	}
}

func changedBehindAFence(t *testing.T, change, want, offsets string) {
	p := newPlace(t)
	_, address := demo(t, service.Options{Rows: 10})
	servers := p.broker()
	files := []string{"--plugins", plugins(t), "--data", p.data, p.file("worker.properties",
		"bootstrap.servers="+servers,
		"listeners=", "group.id=paused", "exactly.once.source.support=enabled"),
		p.file("reads.properties", source("reads", address, "Orders")...)}
	if r := p.run(append([]string{"run", "--once"}, files...)...); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	paused, err := kgo.NewClient(kgo.SeedBrokers(servers), kgo.TransactionalID("paused-reads-0"))
	if err != nil {
		t.Fatal(err)
	}
	defer paused.Close()
	if err := paused.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := paused.ProduceSync(t.Context(), &kgo.Record{Topic: "connect-offsets", Key: []byte(`["reads",{"late":1}]`),
		Value: []byte(`{"url":"/late"}`)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	args := []string{"offsets", change, "reads"}
	if change == "set" {
		args = append(args, put(t, p.dir, "offsets.json", []byte(offsets)))
	}
	if r := p.run(append(args, files...)...); r.code != 0 {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if err := paused.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
		t.Error("expected the task that was paused to be fenced")
	}
	r := p.run(append([]string{"offsets", "show", "reads"}, files...)...)
	if r.code != 0 || !strings.Contains(r.stdout, want) || strings.Contains(r.stdout, "late") {
		t.Errorf("expected %s, found exit %d\n%s%s", want, r.code, r.stdout, r.stderr)
	}
}
