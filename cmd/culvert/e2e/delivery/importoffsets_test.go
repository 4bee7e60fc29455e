package delivery

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Offsets with undocumented fields, from a topic and from a standalone worker's file, are listed, and imported once the
// user names the relevant field. Records that contain no offset are rejected.
func TestOffsetsAreImported(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	broker := e2etest.StartEmbeddedBroker(t).Addr()
	e2etest.CreateTopics(t, e2etest.NewClient(t, broker), "theirs", "several", "damaged")
	base := strings.TrimSuffix(odatatest.NorthwindPath, "/")
	url := "http://" + address + base + "/Orders?$skip=7"
	key := `["reads",{"path":"` + base + `","set":"Orders"}]`
	for _, r := range []struct{ topic, key, value string }{
		{"theirs", "no key of Kafka Connect", "x"},
		{"theirs", `["others",{"path":"p"}]`, `{"next":"http://elsewhere.example/"}`},
		{"theirs", `["reads",{"path":"gone"}]`, `{"next":"/gone"}`},
		{"theirs", `["reads",{"path":"gone"}]`, ""},
		{"theirs", key, "damaged, and overtaken"},
		{"theirs", key, `{"rows":7,"next":"` + url + `"}`},
		{"several", key, `{"first":"/a","next":"` + url + `"}`},
		{"damaged", key, `{"next":{"deep":1}}`},
	} {
		record := &kgo.Record{Topic: r.topic, Key: []byte(r.key)}
		if r.value != "" { // else a tombstone
			record.Value = []byte(r.value)
		}
		e2etest.Produce(t, broker, record)
	}
	// Kafka's own class wrote the file.
	standalone, err := filepath.Abs("../../../../internal/run/offset/testdata/standalone.offsets")
	e2etest.NoError(t, err)
	content, err := os.ReadFile(standalone)
	e2etest.NoError(t, err)
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
		{[]string{topic, "theirs", "--dry-run"}, 0, `"rows":7,"next":"` + url},
		{[]string{topic, "theirs"}, 1, "expected an answer, or --field and --yes"},
		{[]string{topic, "several", "--yes"}, 1, "several fields have a URL (first, next)"},
		{[]string{topic, "several", "--yes", "--field", "rows"}, 1, "expected a string in the field rows"},
		{[]string{topic, "damaged", "--yes"}, 1, "topic damaged, partition 0, offset 0: the offset of"},
		{[]string{topic, "theirs", "--yes"}, 1, "found no service"},
		{[]string{topic, "theirs", "--partition", "path"}, 2, "expected THEIRS=OURS"},
		{[]string{topic, "missing", "--yes"}, 1, "missing"},
		{nil, 2, "expected one of --from-topic and --from-file"},
		{[]string{path, standalone, topic, "x"}, 2, "expected one of --from-topic and --from-file"},
		{[]string{path, reads, "--yes"}, 1, reads +
			": expected the offsets of a standalone worker: byte 0: expected Java's " +
			"serialization"},
		{[]string{path, file("twice", `"set":"Customers"`, `"set":"Orders"   `), "--yes"}, 1,
			"expected one entry for a partition, found"},
		{[]string{path, file("damaged", `{"next":`, `{"next",`), "--yes"}, 1, `: the offset of {"path":"` + base},
		{[]string{path, standalone, "--dry-run"}, 0, `/Orders?$skip=7`},
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
