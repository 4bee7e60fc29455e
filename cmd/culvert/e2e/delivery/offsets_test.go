package delivery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Offsets of a source and of a sink are shown, set and reset, by REST on a worker and by the command with and without
// one; reading continues from the offsets that were set.
func TestOffsets(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	p.File("conf/reads.properties", e2etest.Source("reads", address, "Orders")...)
	p.File("conf/writes.properties", e2etest.Sink("writes", address, "Orders", "OrderCopies")...)
	f := p.StartWorker("conf", "plugin.path="+e2etest.Plugins(t, "odata-sink"), "offset.flush.interval.ms=500")
	f.Await("reads", "runs", e2etest.IsRunning)
	f.Await("writes", "runs", e2etest.IsRunning)
	f.AwaitCall(200, "GET", "/connectors/writes/offsets", "", `"kafka_offset":10`)
	f.AwaitCall(200, "GET", "/connectors/reads/offsets", "", "entityset")
	f.MustCall(200, "GET", "/connectors/writes/topics", "", `"topics":["Orders"]`) // topics that the connector has used
	f.MustCall(202, "PUT", "/connectors/writes/topics/reset", "")
	f.MustCall(200, "GET", "/connectors/writes/topics", "", `"topics":[]`)
	for _, name := range []string{"reads", "writes"} {
		for _, method := range []string{"PATCH", "DELETE"} {
			body := map[string]string{"PATCH": `{"offsets":[{"partition":{"a":1},"offset":null}]}`}[method]
			f.MustCall(400, method, "/connectors/"+name+"/offsets", body, "must be in the STOPPED state")
		}
		f.MustCall(204, "PUT", "/connectors/"+name+"/stop", "") // the next changes wait until its tasks have ended
	}
	checkOffsetsAreChangedByREST(f, address)
	show := func(name string, options ...string) string {
		t.Helper()
		r := p.Run(append([]string{"offsets", "show", name, "--json"}, options...)...)
		require.True(t, r.Code == 0 && json.Valid([]byte(r.Stdout)),
			"offsets show %s: expected JSON and exit 0, found exit %d\n%s%s", name, r.Code, r.Stdout, r.Stderr)
		var compact bytes.Buffer
		_ = json.Compact(&compact, []byte(r.Stdout))
		return compact.String()
	}
	assert.Contains(t, show("writes", "--url", f.URL), `"kafka_offset":4`)
	offline := []string{"--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data, "--config", p.Dir + "/conf"}
	p.Run(append([]string{"offsets", "show", "writes"}, offline...)...).WantCode(2).
		WantStderr("found another worker at work")
	f.Stop()
	assert.Contains(t, show("writes", offline...), `"kafka_offset":4`)
	saved := p.File("saved.json", show("reads", offline...))
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{args: []string{"reset", "reads"}, code: 0, want: "have been reset successfully"},
		{args: []string{"set", "reads", saved}, code: 0, want: "have been altered successfully"},
		{args: []string{"reset", "writes"}, code: 0, want: "have been reset successfully"},
		{args: []string{"reset", "writes"}, code: 0, want: "have been reset successfully"},
		{args: []string{"reset", "nobody"}, code: 1, want: "Connector nobody not found"},
		{args: []string{"set", "writes", saved}, code: 1, want: "must contain the keys 'kafka_topic'"},
	} {
		p.Run(append(append([]string{"offsets"}, c.args...), offline...)...).WantCode(c.code).WantOutput(c.want)
	}
	assert.Contains(t, show("reads", offline...), "skip=7")
	// The source continues from its offset and reads three of ten rows again. The sink writes all to the service again.
	p.Run(append([]string{"run", "--once"}, offline...)...)
	p.CheckRecordCount("Orders", 13)
}

// checkOffsetsAreChangedByREST checks which offsets REST accepts for the stopped connectors reads and writes.
func checkOffsetsAreChangedByREST(f *e2etest.Worker, address string) {
	base := strings.TrimSuffix(odatatest.NorthwindPath, "/")
	partition := fmt.Sprintf(`{"service":%q,"entityset":"Orders"}`, base)
	sourceOffsets := func(url string) string {
		return fmt.Sprintf(`{"offsets":[{"partition":%s,"offset":{"url":%q}}]}`, partition, url)
	}
	// The INIT connector's offset is an absolute URL.
	path := base + "/Orders?$skip=7"
	f.MustCall(200, "PATCH", "/connectors/reads/offsets", sourceOffsets("http://"+address+path))
	f.MustCall(200, "GET", "/connectors/reads/offsets", "", `"url":"`+path+`"`)
	for _, url := range []string{"http://elsewhere.example" + path, "nowhere"} {
		f.MustCall(500, "PATCH", "/connectors/reads/offsets", sourceOffsets(url), "the plugin rejects the offset: ")
	}
	f.MustCall(500, "PATCH", "/connectors/reads/offsets",
		`{"offsets":[{"partition":{"entityset":"x"},"offset":{"url":"/"}}]}`)

	sinkOffsets := func(partition, offset string) string {
		return fmt.Sprintf(`{"offsets":[{"partition":{"kafka_topic":"Orders","kafka_partition":%s},"offset":%s}]}`,
			partition, offset)
	}
	f.MustCall(200, "PATCH", "/connectors/writes/offsets", sinkOffsets("0", `{"kafka_offset":"4"}`))
	f.MustCall(400, "PATCH", "/connectors/writes/offsets", sinkOffsets("0", `{"kafka_offset":11}`))
	f.MustCall(500, "PATCH", "/connectors/writes/offsets", sinkOffsets("99", `{"kafka_offset":1}`))
	f.MustCall(500, "PATCH", "/connectors/writes/offsets", sinkOffsets("0", `{"kafka_offset":-1}`))
}

// Before offsets of a connector with exactly-once are changed, its tasks are fenced: a worker that was paused within a
// page does not commit its offset over the new one.
func TestOffsetsAreResetBehindAFence(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	servers := p.StartBroker()
	base := strings.TrimSuffix(odatatest.NorthwindPath, "/")
	files := []string{"--plugins", e2etest.Plugins(t), "--data", p.Data, p.File("worker.properties",
		"bootstrap.servers="+servers, "listeners=", "group.id=paused", "exactly.once.source.support=enabled"),
		p.File("reads.properties", e2etest.Source("reads", address, "Orders")...)}
	place := p.File("offsets.json",
		`{"offsets":[{"partition":{"service":"`+base+`","entityset":"Orders"},"offset":{"url":"`+
			base+`/Orders?$skip=7"}}]}`)
	for _, c := range []struct {
		change []string
		want   string
	}{{change: []string{"reset", "reads"}, want: "[]"}, {change: []string{"set", "reads", place}, want: "$skip=7"}} {
		p.MustRun(append([]string{"run", "--once"}, files...)...)
		paused := e2etest.NewClient(t, servers, kgo.TransactionalID("paused-reads-0"))
		require.NoError(t, paused.BeginTransaction())
		late := &kgo.Record{Topic: "connect-offsets", Key: []byte(`["reads",{"late":1}]`),
			Value: []byte(`{"url":"/late"}`)}
		require.NoError(t, paused.ProduceSync(t.Context(), late).FirstErr())
		p.MustRun(slices.Concat([]string{"offsets"}, c.change, files)...)
		if err := paused.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
			t.Errorf("%s: expected the task that was paused to be fenced", c.change[0])
		}
		p.Run(append([]string{"offsets", "show", "reads", "--json"}, files...)...).WantCode(0).WantStdout(c.want).
			WantNo("late")
	}
}
