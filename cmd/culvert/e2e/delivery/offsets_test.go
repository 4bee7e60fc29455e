package delivery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/cmd/culvert/e2e"
	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// Offsets of a source and of a sink are shown, set and reset, by REST under a worker and by the command with and
// without one; what is set is what is gone on from.
func TestOffsets(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	_, address := e2e.Demo(t, service.Options{Rows: 10})
	p.File("conf/reads.properties", e2e.Source("reads", address, "Orders")...)
	p.File("conf/writes.properties", e2e.SinkOf("writes", address, "Orders", "OrderCopies")...)
	f := p.Follows("conf", "plugin.path="+e2e.Plugins(t, "odata-sink"))
	f.Await("reads", "runs", e2e.Runs)
	f.Await("writes", "runs", e2e.Runs)
	f.Eventually("both have got to the end", func() bool {
		_, sink := f.Call("GET", "/connectors/writes/offsets", "")
		_, source := f.Call("GET", "/connectors/reads/offsets", "")
		return strings.Contains(sink, `"kafka_offset":10`) && strings.Contains(source, "entityset")
	})
	for _, name := range []string{"reads", "writes"} {
		for _, method := range []string{"PATCH", "DELETE"} {
			answer := f.Must(400, method, "/connectors/"+name+"/offsets", map[string]string{
				"PATCH": `{"offsets":[{"partition":{"a":1},"offset":null}]}`}[method])
			if !strings.Contains(answer, "must be in the STOPPED state") {
				t.Errorf("%s %s: found %s", method, name, answer)
			}
		}
		f.Must(204, "PUT", "/connectors/"+name+"/stop", "") // its tasks still end: what follows waits for that
	}

	base := strings.TrimSuffix(service.NorthwindPath, "/")
	partition := fmt.Sprintf(`{"service":%q,"entityset":"Orders"}`, base)
	set := func(url string) string {
		return fmt.Sprintf(`{"offsets":[{"partition":%s,"offset":{"url":%q}}]}`, partition, url)
	}
	// The original connector's offset is an absolute URL.
	path := base + "/Orders?$skip=7"
	f.Must(200, "PATCH", "/connectors/reads/offsets", set("http://"+address+path))
	if found := f.Must(200, "GET", "/connectors/reads/offsets", ""); !strings.Contains(found, `"url":"`+path+`"`) {
		t.Errorf("expected the path of the URL, found %s", found)
	}
	for _, url := range []string{"http://elsewhere.example" + path, "nowhere"} {
		if found := f.Must(500, "PATCH", "/connectors/reads/offsets", set(url)); !strings.Contains(found,
			"the plugin refuses the offset: ") {
			t.Errorf("%s: found %s", url, found)
		}
	}
	f.Must(500, "PATCH", "/connectors/reads/offsets",
		`{"offsets":[{"partition":{"entityset":"x"},"offset":{"url":"/"}}]}`)

	place := func(partition, at string) string {
		return fmt.Sprintf(`{"offsets":[{"partition":{"kafka_topic":"Orders","kafka_partition":%s},"offset":%s}]}`,
			partition, at)
	}
	f.Must(200, "PATCH", "/connectors/writes/offsets", place("0", `{"kafka_offset":"4"}`))
	f.Must(400, "PATCH", "/connectors/writes/offsets", place("0", `{"kafka_offset":11}`))
	f.Must(500, "PATCH", "/connectors/writes/offsets", place("99", `{"kafka_offset":1}`))
	f.Must(500, "PATCH", "/connectors/writes/offsets", place("0", `{"kafka_offset":-1}`))

	// The command, with the worker and without.
	shows := func(name string, where ...string) string {
		t.Helper()
		r := p.Run(append([]string{"offsets", "show", name}, where...)...)
		if r.Code != 0 || !json.Valid([]byte(r.Stdout)) {
			t.Fatalf("offsets show %s: exit %d\n%s%s", name, r.Code, r.Stdout, r.Stderr)
		}
		var compact bytes.Buffer
		_ = json.Compact(&compact, []byte(r.Stdout))
		return compact.String()
	}
	if found := shows("writes", "--url", f.Url); !strings.Contains(found, `"kafka_offset":4`) {
		t.Errorf("found %s", found)
	}
	offline := []string{"--plugins", e2e.Plugins(t, "odata-sink"), "--data", p.Data, "--config", p.Dir + "/conf"}
	if r := p.Run(append([]string{"offsets", "show", "writes"}, offline...)...); r.Code != 2 ||
		!strings.Contains(r.Stderr, "found another worker at work") {
		t.Errorf("beside a worker: exit %d %s", r.Code, r.Stderr)
	}
	f.Signal(syscall.SIGTERM)
	f.Wait()
	if found := shows("writes", offline...); !strings.Contains(found, `"kafka_offset":4`) {
		t.Errorf("offline: found %s", found)
	}
	saved := p.Dir + "/saved.json"
	e2e.NoError(t, os.WriteFile(saved, []byte(shows("reads", offline...)), 0o600))
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
		r := p.Run(append(append([]string{"offsets"}, c.args...), offline...)...)
		if r.Code != c.code || !strings.Contains(r.Stdout+r.Stderr, c.want) {
			t.Errorf("offsets %v: expected exit %d with %q, found %d %s%s", c.args, c.code, c.want, r.Code, r.Stdout,
				r.Stderr)
		}
	}
	if found := shows("reads", offline...); !strings.Contains(found, "skip=7") {
		t.Errorf("found %s", found)
	}
	// It goes on from there: three of ten rows come again, and all of them go to the service once more.
	r := p.Run(append([]string{"run", "--once"}, offline...)...)
	if n := len(p.Records("Orders")); n != 13 {
		t.Errorf("expected 13 records, found %d\n%s", n, r.Stderr)
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
	p := e2e.NewPlace(t)
	_, address := e2e.Demo(t, service.Options{Rows: 10})
	servers := p.Broker()
	files := []string{"--plugins", e2e.Plugins(t), "--data", p.Data, p.File("worker.properties",
		"bootstrap.servers="+servers,
		"listeners=", "group.id=paused", "exactly.once.source.support=enabled"),
		p.File("reads.properties", e2e.Source("reads", address, "Orders")...)}
	p.MustRun(append([]string{"run", "--once"}, files...)...)
	paused, err := kgo.NewClient(kgo.SeedBrokers(servers), kgo.TransactionalID("paused-reads-0"))
	e2e.NoError(t, err)
	defer paused.Close()
	e2e.NoError(t, paused.BeginTransaction())
	if err := paused.ProduceSync(t.Context(), &kgo.Record{Topic: "connect-offsets", Key: []byte(`["reads",{"late":1}]`),
		Value: []byte(`{"url":"/late"}`)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	args := []string{"offsets", change, "reads"}
	if change == "set" {
		args = append(args, e2e.Put(t, p.Dir, "offsets.json", []byte(offsets)))
	}
	p.MustRun(append(args, files...)...)
	if err := paused.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
		t.Error("expected the task that was paused to be fenced")
	}
	r := p.Run(append([]string{"offsets", "show", "reads"}, files...)...)
	if r.Code != 0 || !strings.Contains(r.Stdout, want) || strings.Contains(r.Stdout, "late") {
		t.Errorf("expected %s, found exit %d\n%s%s", want, r.Code, r.Stdout, r.Stderr)
	}
}
