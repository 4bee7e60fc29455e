package sink

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

const kafkaTransforms = "org.apache.kafka.connect.transforms."

// A setting that names a topic which no record has is a mistake: it is found before anything runs, where no transform
// gives records another topic.
func TestTopicsThatNoRecordReaches(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{})
	dir := e2etest.Plugins(t, "odata-sink", "smt")
	inserts := []string{"transforms=a", "transforms.a.type=" + kafkaTransforms + "InsertField$Value",
		"transforms.a.static.field=x", "transforms.a.static.value=1"}
	routes := []string{"transforms=r", "transforms.r.type=" + kafkaTransforms + "RegexRouter",
		"transforms.r.regex=(.*)", "transforms.r.replacement=sap.$1"}
	drops := []string{"transforms=f", "transforms.f.type=" + kafkaTransforms + "Filter", "transforms.f.predicate=b",
		"predicates=b",
		"predicates.b.type=" + kafkaTransforms + "predicates.TopicNameMatches", "predicates.b.pattern=b"}
	cases := map[string]struct {
		lines []string
		want  []string // none: nothing is wrong
	}{
		"reached":          {[]string{"topics=a"}, nil},
		"another":          {[]string{"topics=A"}, []string{`:9: sap.odata#00.topic: `, `"a"`, `:10: topics: `, `"A"`}},
		"transformed":      {append([]string{"topics=A"}, inserts...), []string{`:9: sap.odata#00.topic: `, `"a"`}},
		"routed":           {append([]string{"topics=A,b"}, routes...), nil},
		"one too many":     {[]string{"topics=a,b"}, []string{`:10: topics: `, `"b"`}},
		"dropped":          {append([]string{"topics=a,b"}, drops...), nil},
		"dropped, another": {append([]string{"topics=b"}, drops...), []string{`:9: sap.odata#00.topic: `}},
		"matched":          {[]string{"topics.regex=a|b"}, nil},
		"matched in part": {[]string{"topics.regex=.?", "sap.odata#00.topic=aa"}, []string{`sap.odata#00.topic: `,
			`"aa"`, "topics.regex"}},
		"matched elsewhere": {[]string{"topics.regex=x.*"}, []string{`:9: sap.odata#00.topic: `, "topics.regex"}},
		"matched, routed":   {append([]string{"topics.regex=x.*"}, routes...), nil},
		"of the plugin":     {[]string{"transforms="}, nil},
	}
	args := []string{"validate", "--plugins", dir}
	for name, c := range cases {
		lines := e2etest.SinkOf(name, address, "a", "OrderCopies")
		args = append(args, p.File(name+".properties", e2etest.Instead(lines[:len(lines)-1], c.lines...)...))
	}
	r := p.Run(args...).Exits(1)
	for name, c := range cases {
		var said []string
		for line := range strings.Lines(r.Stdout) {
			if strings.Contains(line, "/"+name+".properties:") {
				said = append(said, line)
			}
		}
		e2etest.Contains(t, name, strings.Join(said, ""), c.want...)
		if c.want == nil && len(said) > 0 {
			t.Errorf("%s: expected nothing, found %q", name, said)
		}
	}
}

// Where a transform may give records another topic, the first record tells.
func TestTopicsThatNoRecordReachesAfterTransforms(t *testing.T) {
	t.Parallel()
	dir := e2etest.Plugins(t, "odata-sink", "smt")
	for name, c := range map[string]struct {
		to    string // what the transform makes of the topic Orders
		pairs []string
		code  int
		want  []string // errors about topics: what stands in each
		more  []string // settings
		// skipped is how many records are left out.
		skipped int
	}{
		"elsewhere, tolerated": {to: "sap.$1", pairs: []string{"Orders", "OrderCopies"},
			want: []string{"topic=sap.Orders ", "arrived_in=sap.Orders"}, skipped: 20,
			more: []string{"errors.tolerance=all", "errors.log.enable=true"}},
		"partly": {to: "sap.$1", pairs: []string{"Orders", "ProductCopies", "sap.Orders", "OrderCopies"},
			want: []string{`setting="sap.odata#00.topic=Orders" arrived_in=sap.Orders`}},
	} {
		t.Run(name, func(t *testing.T) {
			p := e2etest.NewPlace(t)
			_, address := e2etest.Demo(t, odatatest.Options{Rows: 20})
			there := p.File("there.properties", e2etest.Source("there", address, "Orders")...)
			back := p.File("back.properties", append(e2etest.Instead(e2etest.SinkOf("back", address, c.pairs...), "topics=Orders",
				"tasks.max=3", "transforms=r",
				"transforms.r.type="+kafkaTransforms+"RegexRouter", "transforms.r.regex=(.*)",
				"transforms.r.replacement="+c.to), c.more...)...)
			p.MustOnceWith(dir, there)
			r := p.OnceWith(dir, back)
			r.Exits(c.code)
			var said []string
			for line := range strings.Lines(r.Stderr) {
				if strings.Contains(line, "nothing takes records of the topic") ||
					strings.Contains(line, "no record can reach the topic") {
					said = append(said, line)
				}
			}
			if found := strings.Count(r.Stderr, "record skipped"); found != c.skipped {
				t.Errorf("expected %d records to be skipped, found %d", c.skipped, found)
			}
			if len(said) != len(c.want) {
				t.Fatalf("expected %d errors about topics, found %q in\n%s", len(c.want), said, r.Stderr)
			}
			for n, want := range c.want {
				if !strings.Contains(said[n], want) {
					t.Errorf("expected %q in %s", want, said[n])
				}
			}
		})
	}
}
