package main

import (
	"context"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// Offsets whose fields nobody has written down are shown, and taken over when it is said which field counts.
func TestOffsetsAreImported(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, address := demo(t, service.Options{Rows: 10})
	broker := embedded(t).Addr()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, topic := range []string{"theirs", "several", "damaged"} {
		if _, err := kadm.NewClient(client).CreateTopic(context.Background(), 1, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
	}
	base := strings.TrimSuffix(service.NorthwindPath, "/")
	url := "http://" + address + base + "/Orders?$skip=7"
	key := `["reads",{"path":"` + base + `","set":"Orders"}]`
	record := func(topic, key, value string) {
		r := &kgo.Record{Topic: topic, Key: []byte(key)}
		if value != "" {
			r.Value = []byte(value)
		}
		produce(t, broker, r)
	}
	record("theirs", "no key of Kafka Connect", "x")
	record("theirs", `["others",{"path":"p"}]`, `{"next":"http://elsewhere.example/"}`)
	record("theirs", `["reads",{"path":"gone"}]`, `{"next":"/gone"}`)
	record("theirs", `["reads",{"path":"gone"}]`, "")
	record("theirs", key, "damaged, and overtaken")
	record("theirs", key, `{"rows":7,"next":"`+url+`"}`)
	record("several", key, `{"first":"/a","next":"`+url+`"}`)
	record("damaged", key, `{"next":{"deep":1}}`)
	worker := p.file("worker.properties", "bootstrap.servers="+broker, "listeners=")
	reads := p.file("reads.properties", source("reads", address, "Orders")...)
	imports := func(topic string, more ...string) result {
		args := append([]string{"offsets", "import", "reads", "--from-topic", topic, "-p", worker, "--plugins",
			plugins(t), "--data", p.data}, more...)
		return p.run(append(args, worker, reads)...)
	}
	shows := func() string {
		r := p.run("offsets", "show", "reads", "--plugins", plugins(t), "--data", p.data, worker, reads)
		return r.stdout + r.stderr
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
		if r := imports(c.topic, c.more...); r.code != c.code || !strings.Contains(r.stdout+r.stderr, c.want) {
			t.Errorf("%s %v: expected exit %d with %s, found %d\n%s%s", c.topic, c.more, c.code, c.want, r.code,
				r.stdout, r.stderr)
		}
	}
	if found := shows(); strings.Contains(found, "$skip") {
		t.Fatalf("something was set:\n%s", found)
	}
	if r := imports("several", append(renamed, "--yes", "--field", "next")...); r.code != 0 {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if found := shows(); !strings.Contains(found, `"url": "`+base+`/Orders?$skip=7"`) || !strings.Contains(found,
		`"entityset": "Orders"`) {
		t.Errorf("found %s", found)
	}
	if r := p.run("run", "--once", "--plugins", plugins(t), "--data", p.data, worker, reads); r.code != 0 {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	readTopic(t, broker, "Orders", 3)
}
