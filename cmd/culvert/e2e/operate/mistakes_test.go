package operate

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// What run refuses, validate says, and run says it before anything else happens.
func TestMistakesAreSaid(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	dir := e2etest.Plugins(t, "odata-sink")
	good := e2etest.Source("good", address, "Orders")
	misspelt := append([]string{"name=good", "conector.class=ODataSource"}, good[2:]...)
	cases := []struct {
		name   string
		worker []string // none: there is no worker's file
		lines  []string
		want   string
		never  string
		count  string
	}{
		{"class", nil, misspelt, "class.properties:2: conector.class: unknown setting; the nearest " +
			"known one is connector.class", "bootstrap.servers", "1 problem, 0 warnings"},
		{"snippet", nil, good[2:],
			`snippet.properties:1: connector.class: Missing required configuration "connector.class" which has no default value: expected org.`, "unknown", "1 problem, 0 warnings"},
		{"listeners", []string{"listeners=ftp://x"}, good,
			`worker.properties:2: listeners: Invalid value ftp://x for configuration listeners: expected http://HOST:PORT`, "", "1 problem, 0 warnings"},
		{"extensions", []string{"rest.extension.classes=org.example.Logons"}, good,
			"worker.properties:2: rest.extension.classes: not built: Java classes cannot be run, " +
				"found org.example.Logons. " +
				"For users with passwords set rest.basic.auth.file, to let nobody change " +
				"anything rest.read.only=true", "",
			"1 problem, 0 warnings"},
		{"policy", []string{"connector.client.config.override.policy=Principal"}, append(good[:9:9],
			"producer.override.linger.ms=5", "admin.override.sasl.mechanism=PLAIN"),
			"policy.properties:10: producer.override.linger.ms: the worker does not let connectors",
			"admin.override.sasl.mechanism: the worker", "1 problem, 1 warning"},
		{"offsets", []string{"offset.storage.topic=a b"}, good,
			`worker.properties:2: offset.storage.topic: Invalid value a b for configuration offset.storage.topic: expected a topic's name, `, "", "1 problem, 0 warnings"},
		{"topic", nil, append(good[:8:8], "sap.odata#00.topic=a b"), "topic.properties:9: sap.odata#00.topic: " +
			"Invalid value a b for configuration sap.odata#00.topic: String must match", "", "1 problem, 0 warnings"},
		{"topics", nil, e2etest.SinkOf("sink", address, "a b", "OrderCopies"),
			`topics.properties:10: topics: expected a topic's name, `, "", "2 problems, 0 warnings"},
		{"letters", nil, append(good[:9:9], "errors.tolerance=all", "errors.deadletterqueue.topic.name=Orders"),
			"letters.properties:11: errors.deadletterqueue.topic.name: expected a topic that no rows go to, " +
				"found that of sap.odata#00.topic", "", "1 problem, 0 warnings"},
		{"sink", nil, append([]string{"connector.class=OtherSink"}, e2etest.SinkOf("sink", address, "a", "OrderCopies")[2:]...),
			"sink.properties:1: connector.class: no plugin has the source or sink OtherSink; there are ", "",
			"1 problem, 0 warnings"},
		{"keystore", nil, append(good[:9:9], "sap.odata.keystore.location=/x"),
			"keystore.properties:10: sap.odata.keystore.location: cannot be read", "the host does nothing about",
			"1 problem, 0 warnings"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var files []string
			if c.worker != nil {
				files = append(files, p.File("worker.properties", append([]string{"bootstrap.servers=embedded"},
					c.worker...)...))
			}
			files = append(files, p.File(c.name+".properties", c.lines...))
			check := p.Run(append([]string{"validate", "--plugins", dir}, files...)...)
			if check.Code != 1 || !strings.Contains(check.Stdout, c.want) || c.never != "" &&
				strings.Contains(check.Stdout, c.never) ||
				!strings.Contains(check.Stderr, c.count) {
				t.Errorf("validate: expected exit 1 and %q alone, found %d\n%s%s", c.want, check.Code, check.Stdout,
					check.Stderr)
			}
			p.Run(append([]string{"run", "--once", "--plugins", dir, "--data", p.Data}, files...)...).
				Exits(2).Says(c.want)
		})
	}
	snippet := p.File("snippet.properties", good[2:]...)
	p.Run("ping", "--plugins", dir, "-p", snippet, "-s", "/x").Exits(2).Says(snippet +
		`:1: connector.class: Missing required configuration "connector.class" which has no default value: expected org.`)
	variable := p.File("variable.properties", append(good[:9:9], "sap.odata.user.name=me",
		"sap.odata.user.pwd=$SAP_PWD")...)
	p.Run("validate", "--plugins", dir, variable).Exits(0).Prints(
		":11: sap.odata.user.pwd: warning: looks like a variable")
	elsewhere := p.File("elsewhere.properties", append(good[:9:9], "transforms=i", "transforms.i.type=InsertField$Value",
		"transforms.i.static.field=x", "transforms.i.static.value=y", "transforms.i.predicate=p",
		"transforms.i.negate=true ", "predicates=p",
		"predicates.p.type=org.apache.kafka.connect.transforms.predicates.RecordIsTombstone")...)
	p.Run("validate", "--plugins", e2etest.Plugins(t, "smt"), elsewhere).Exits(0).Prints(
		":11: transforms.i.type: warning: Kafka Connect takes a nested class with its package alone: org.apache.",
		":15: transforms.i.negate: warning: is true here; Kafka Connect takes it for false")
	if n := s.Ledger().Total; n != 0 {
		t.Errorf("expected no request, the service saw %d", n)
	}
}

func TestFoldersWithoutConnectors(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	empty := filepath.Join(p.Dir, "empty")
	e2etest.NoError(t, os.Mkdir(empty, 0o700))
	p.Run("validate", "--plugins", e2etest.Plugins(t), empty).Exits(1).Prints(empty + ": no connector file found")
	p.Once("--config", empty).Exits(0).Says("no connector file found")
	e2etest.Put(t, empty, "worker.properties", []byte("bootstrap.servers=embedded\n"))
	p.Run("validate", "--plugins", e2etest.Plugins(t), empty).Exits(0).Prints(empty + ": warning: no connector file found")
}

func TestVersionFlag(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	flag, command := p.Run("--version").Exits(0), p.Run("version").Exits(0)
	if flag.Stdout == "" || flag.Stdout != command.Stdout || flag.Stderr != command.Stderr {
		t.Errorf("expected the same, found %+v and %+v", flag, command)
	}
}

// A run that is stopped has failed all the same if one of its tasks had.
func TestOnceStoppedBehindAFailure(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	never := e2etest.Serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	bad := p.File("bad.properties", e2etest.Source("bad", porttest.Address(t), "Orders")...)
	slow := p.File("slow.properties", e2etest.Source("slow", never, "Orders")...)
	c := p.Start("run", "--once", "--plugins", e2etest.Plugins(t), "--data", p.Data, bad, slow)
	c.Awaits("task FAILED")
	c.Stop().Exits(1).LastLineBegins("connector bad, task 0: FAILED: ")
}

// A stop is no failure, wherever it meets a task: while the plugin is opened, in a page, or while a row is written.
func TestOnceStoppedInMidRequest(t *testing.T) {
	t.Parallel()
	for name, what := range map[string]struct {
		set  string
		sink bool
	}{"open": {"$metadata", false}, "page": {"/Orders", false}, "write": {"/OrderCopies", true}} {
		t.Run(name, func(t *testing.T) {
			p := e2etest.NewPlace(t)
			g, _, address := e2etest.Gated(t, odatatest.Options{Rows: 10}, what.set, 0)
			t.Cleanup(func() { close(g.Turns) }) // a server does not notice that who posts is gone
			files := []string{p.File("orders.properties", e2etest.Source("orders", address, "Orders")...)}
			if what.sink {
				files = append(files, p.File("back.properties", append(e2etest.SinkOf("back", address, "Orders", "OrderCopies"),
					"sap.odata.enable.batch=0")...))
			}
			c := p.Start(append([]string{"run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data},
				files...)...)
			c.Eventually("a request", func() bool { return g.Waiting.Load() > 0 })
			if r := c.Stop(); what.sink {
				// Nobody knows whether the row was written: that is for an operator, and no success.
				r.Exits(1).LastLineHas("it may have been written or not")
			} else {
				r.Exits(0)
			}
		})
	}
}
