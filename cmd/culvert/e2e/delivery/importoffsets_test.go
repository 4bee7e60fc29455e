package delivery

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Offsets whose fields nobody has written down are shown, and taken over when it is said which field counts.
func TestOffsetsAreImported(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	broker := e2etest.Embedded(t).Addr()
	e2etest.MakeTopics(t, e2etest.Client(t, broker), "theirs", "several", "damaged")
	base := strings.TrimSuffix(odatatest.NorthwindPath, "/")
	url := "http://" + address + base + "/Orders?$skip=7"
	key := `["reads",{"path":"` + base + `","set":"Orders"}]`
	record := func(topic, key, value string) {
		r := &kgo.Record{Topic: topic, Key: []byte(key)}
		if value != "" {
			r.Value = []byte(value)
		}
		e2etest.Produce(t, broker, r)
	}
	record("theirs", "no key of Kafka Connect", "x")
	record("theirs", `["others",{"path":"p"}]`, `{"next":"http://elsewhere.example/"}`)
	record("theirs", `["reads",{"path":"gone"}]`, `{"next":"/gone"}`)
	record("theirs", `["reads",{"path":"gone"}]`, "")
	record("theirs", key, "damaged, and overtaken")
	record("theirs", key, `{"rows":7,"next":"`+url+`"}`)
	record("several", key, `{"first":"/a","next":"`+url+`"}`)
	record("damaged", key, `{"next":{"deep":1}}`)
	worker := p.File("worker.properties", "bootstrap.servers="+broker, "listeners=")
	reads := p.File("reads.properties", e2etest.Source("reads", address, "Orders")...)
	imports := func(topic string, more ...string) e2etest.Result {
		args := append([]string{"offsets", "import", "reads", "--from-topic", topic, "-p", worker, "--plugins",
			e2etest.Plugins(t), "--data", p.Data}, more...)
		return p.Run(append(args, worker, reads)...)
	}
	shows := func() string {
		r := p.Run("offsets", "show", "reads", "--plugins", e2etest.Plugins(t), "--data", p.Data, worker, reads)
		return r.Stdout + r.Stderr
	}
	renamed := []string{"--partition", "path=service", "--partition", "set=entityset"}
	for _, c := range []struct {
		topic string
		more  []string
		code  int
		want  string
	}{
		{"theirs", []string{"--dry-run"}, 0, `"rows":7,"next":"` + url},
		{"theirs", nil, 1, "expected an answer, or --field and --yes"},
		{"several", []string{"--yes"}, 1, "several fields hold a URL (first, next)"},
		{"several", []string{"--yes", "--field", "rows"}, 1, "expected a text in the field rows"},
		{"damaged", []string{"--yes"}, 1, "topic damaged, partition 0, offset 0: the offset of"},
		{"theirs", []string{"--yes"}, 1, "found no service"},
		{"theirs", []string{"--partition", "path"}, 2, "expected THEIRS=OURS"},
		{"missing", []string{"--yes"}, 1, "missing"},
	} {
		imports(c.topic, c.more...).Exits(c.code).Tells(c.want)
	}
	if found := shows(); strings.Contains(found, "$skip") {
		t.Fatalf("something was set:\n%s", found)
	}
	imports("several", append(renamed, "--yes", "--field", "next")...).Exits(0)
	if found := shows(); !strings.Contains(found, `"url": "`+base+`/Orders?$skip=7"`) || !strings.Contains(found,
		`"entityset": "Orders"`) {
		t.Errorf("found %s", found)
	}
	p.MustOnce(worker, reads)
	e2etest.ReadTopic(t, broker, "Orders", 3)
}

// The file of a standalone worker of Kafka Connect is taken over like a topic; what is none is refused.
func TestOffsetsOfAStandaloneWorkerAreImported(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	broker := e2etest.Embedded(t).Addr()
	worker := p.File("worker.properties", "bootstrap.servers="+broker, "listeners=")
	reads := p.File("reads.properties", e2etest.Source("reads", address, "Orders")...)
	written, err := filepath.Abs("../../../../host/internal/run/offset/testdata/standalone.offsets") // by Kafka's own class
	e2etest.NoError(t, err)
	whole, err := os.ReadFile(written)
	e2etest.NoError(t, err)
	imports := func(name string, more ...string) e2etest.Result {
		args := append([]string{"offsets", "import", name, "--plugins", e2etest.Plugins(t), "--data", p.Data}, more...)
		return p.Run(append(args, worker, reads)...)
	}
	file := func(name string, content []byte) string {
		path := filepath.Join(p.Dir, name)
		e2etest.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	twice := bytes.Replace(whole, []byte(`"set":"Customers"`), []byte(`"set":"Orders"   `), 1)
	renamed := []string{"--partition", "path=service", "--partition", "set=entityset", "--yes"}
	for _, c := range []struct {
		connector string
		more      []string
		code      int
		want      string
	}{
		{"reads", nil, 2, "expected one of --from-topic and --from-file"},
		{"reads", []string{"--from-file", written, "--from-topic", "x"}, 2, "expected one of --from-topic and --from-file"},
		{"reads", []string{"--from-file", reads, "--yes"}, 1, reads + ": expected the offsets of a standalone worker: " +
			"byte 0: expected Java's serialization"},
		{"reads", []string{"--from-file", file("twice", twice), "--yes"}, 1, "expected one entry for a partition, found"},
		{"reads", []string{"--from-file", file("damaged", bytes.Replace(whole, []byte(`{"next":`), []byte(`{"next",`),
			1)), "--yes"}, 1, `: the offset of {"path":"` + odatatest.NorthwindPath[:len(odatatest.NorthwindPath)-1]},
		{"writes", []string{"--from-file", written, "--yes"}, 1, "holds no offsets of connector writes"},
		{"reads", []string{"--from-file", written, "--dry-run"}, 0, `/Orders?$skip=7`},
	} {
		imports(c.connector, c.more...).Exits(c.code).Tells(c.want).Omits("Customers")
	}
	imports("reads", append(renamed, "--from-file", written)...).Exits(0)
	p.MustOnce(worker, reads)
	e2etest.ReadTopic(t, broker, "Orders", 3)
}
