package delivery

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Offsets with undocumented fields, from a topic and from a standalone worker's file, are listed, and imported once the
// user names the relevant field. Records that contain no offset are rejected.
func TestOffsetsAreImported(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	broker := e2etest.StartEmbeddedBroker(t).Addr()
	base := strings.TrimSuffix(odatatest.NorthwindPath, "/")
	url := "http://" + address + base + "/Orders?$skip=7"
	key := `["reads",{"path":"` + base + `","set":"Orders"}]`
	produceForeignOffsets(t, broker, key, url)
	// Kafka's own class wrote the file.
	standalone, err := filepath.Abs("../../../../internal/run/offset/testdata/standalone.offsets")
	require.NoError(t, err)
	content, err := os.ReadFile(standalone)
	require.NoError(t, err)
	file := func(name, from, to string) string {
		return e2etest.WriteFile(t, p.Dir, name, bytes.Replace(content, []byte(from), []byte(to), 1))
	}
	worker := p.File("worker.properties", "bootstrap.servers="+broker, "listeners=")
	reads := p.File("reads.properties", e2etest.Source("reads", address, "Orders")...)
	files := []string{"--plugins", e2etest.Plugins(t), "--data", p.Data, worker, reads}
	runImport := func(name string, args ...string) e2etest.Result {
		return p.Run(slices.Concat([]string{"offsets", "import", name, "-p", worker}, args, files)...)
	}
	show := func() e2etest.Result {
		return p.Run(append([]string{"offsets", "show", "reads", "--json"}, files...)...)
	}
	const topic, path = "--from-topic", "--from-file"
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{args: []string{topic, "theirs", "--dry-run"}, code: 0, want: `"rows":7,"next":"` + url},
		{args: []string{topic, "theirs"}, code: 1, want: "expected an answer, or --field and --yes"},
		{args: []string{topic, "several", "--yes"}, code: 1, want: "several fields have a URL (first, next)"},
		{
			args: []string{topic, "several", "--yes", "--field", "rows"},
			code: 1,
			want: "expected a string in the field rows",
		},
		{
			args: []string{topic, "damaged", "--yes"},
			code: 1,
			want: "topic damaged, partition 0, offset 0: the offset of",
		},
		{args: []string{topic, "theirs", "--yes"}, code: 1, want: "found no service"},
		{args: []string{topic, "theirs", "--partition", "path"}, code: 2, want: "expected THEIRS=OURS"},
		{args: []string{topic, "missing", "--yes"}, code: 1, want: "missing"},
		{code: 2, want: "expected one of --from-topic and --from-file"},
		{args: []string{path, standalone, topic, "x"}, code: 2, want: "expected one of --from-topic and --from-file"},
		{
			args: []string{path, reads, "--yes"},
			code: 1,
			want: reads + ": expected the offsets of a standalone worker: byte 0: expected Java's serialization",
		},
		{
			args: []string{path, file("twice", `"set":"Customers"`, `"set":"Orders"   `), "--yes"},
			code: 1,
			want: "expected one entry for a partition, found",
		},
		{
			args: []string{path, file("damaged", `{"next":`, `{"next",`), "--yes"},
			code: 1,
			want: `: the offset of {"path":"` + base,
		},
		{args: []string{path, standalone, "--dry-run"}, want: `/Orders?$skip=7`},
	} {
		runImport("reads", c.args...).WantCode(c.code).WantOutput(c.want).WantNo("Customers")
	}
	runImport("writes", path, standalone, "--yes").WantCode(1).WantOutput("holds no offsets of connector writes")
	show().WantNo("$skip") // nothing was set
	renamed := []string{"--partition", "path=service", "--partition", "set=entityset", "--yes"}
	for _, from := range [][]string{{topic, "several", "--field", "next"}, {path, standalone}} {
		p.MustRun(append([]string{"offsets", "reset", "reads"}, files...)...)
		runImport("reads", append(from, renamed...)...).WantCode(0)
		show().WantStdout(`"url": "`+base+`/Orders?$skip=7"`, `"entityset": "Orders"`)
	}
	p.MustRunOnce(worker, reads)
	e2etest.ReadTopic(t, broker, "Orders", 3)
}

// produceForeignOffsets creates topics with offsets of another connector, for the partition that key names, and with
// records that contain no offset. url is the next link in the offsets.
func produceForeignOffsets(t *testing.T, broker, key, url string) {
	t.Helper()
	e2etest.CreateTopics(t, e2etest.NewClient(t, broker), "theirs", "several", "damaged")
	for _, r := range []struct{ topic, key, value string }{
		{topic: "theirs", key: "no key of Kafka Connect", value: "x"},
		{topic: "theirs", key: `["others",{"path":"p"}]`, value: `{"next":"http://elsewhere.example/"}`},
		{topic: "theirs", key: `["reads",{"path":"gone"}]`, value: `{"next":"/gone"}`},
		{topic: "theirs", key: `["reads",{"path":"gone"}]`, value: ""},
		{topic: "theirs", key: key, value: "damaged, and overtaken"},
		{topic: "theirs", key: key, value: `{"rows":7,"next":"` + url + `"}`},
		{topic: "several", key: key, value: `{"first":"/a","next":"` + url + `"}`},
		{topic: "damaged", key: key, value: `{"next":{"deep":1}}`},
	} {
		record := &kgo.Record{Topic: r.topic, Key: []byte(r.key)}
		if r.value != "" { // else a tombstone
			record.Value = []byte(r.value)
		}
		e2etest.Produce(t, broker, record)
	}
}
