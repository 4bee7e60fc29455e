package operate

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// What run refuses, validate says, each at its file and line, and run says it before anything else happens.
func TestMistakesAreSaid(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	dir := e2etest.Plugins(t, "odata-sink", "smt")
	files := []string{p.File("worker.properties", "bootstrap.servers=embedded", "listeners=ftp://x",
		"rest.extension.classes=org.example.Logons", "connector.client.config.override.policy=Principal",
		"offset.storage.topic=c d")}
	good := e2etest.Source("good", address, "Orders")
	file := func(name string, lines ...string) {
		files = append(files, p.File(name+".properties", lines...))
	}
	source := func(name string, more ...string) {
		file(name, append(append([]string{"name=" + name}, good[1:8]...), append([]string{"sap.odata#00.topic=" + name},
			more...)...)...)
	}
	file("class", append([]string{"name=class", "conector.class=ODataSource"}, good[2:]...)...)
	file("snippet", good[2:]...)
	source("policy", "producer.override.linger.ms=5", "admin.override.sasl.mechanism=PLAIN")
	file("topic", append(append([]string{"name=topic"}, good[1:8]...), "sap.odata#00.topic=a b")...)
	file("topics", e2etest.SinkOf("topics", address, "a b", "OrderCopies")...)
	source("letters", "errors.tolerance=all", "errors.deadletterqueue.topic.name=letters")
	file("sink", append([]string{"connector.class=OtherSink"},
		e2etest.SinkOf("sink", address, "a", "OrderCopies")[2:]...)...)
	source("keystore", "sap.odata.keystore.location=/x")
	source("elsewhere", "transforms=i", "transforms.i.type=InsertField$Value",
		"transforms.i.static.field=x", "transforms.i.static.value=y", "transforms.i.predicate=p",
		"transforms.i.negate=true ", "predicates=p",
		"predicates.p.type=org.apache.kafka.connect.transforms.predicates.RecordIsTombstone")
	wrong := []string{
		"worker.properties:2: listeners: Invalid value ftp://x for configuration listeners: expected http://HOST:PORT",
		"worker.properties:3: rest.extension.classes: not built: Java classes cannot be run, found org.example.Logons" +
			". For users with passwords set rest.basic.auth.file, to let nobody change anything rest.",
		"worker.properties:5: offset.storage.topic: Invalid value c d for configuration offset.storage.topic: ",
		"class.properties:2: conector.class: unknown setting; the nearest known one is connector.class",
		`snippet.properties:1: connector.class: Missing required configuration "connector.class" which has no ` +
			"default value: expected org.",
		"policy.properties:10: producer.override.linger.ms: the worker does not let connectors",
		"topic.properties:9: sap.odata#00.topic: Invalid value a b for configuration sap.odata#00.topic: String must ",
		"topics.properties:10: topics: expected a topic's name, ",
		"letters.properties:11: errors.deadletterqueue.topic.name: expected a topic that no rows go to, found that " +
			"of sap.odata#00.topic",
		"sink.properties:1: connector.class: no plugin has the source or sink OtherSink; there are ",
		"keystore.properties:10: sap.odata.keystore.location: cannot be read",
	}
	p.Run(append([]string{"validate", "--plugins", dir}, files...)...).Exits(1).Prints(wrong...).Prints(
		"elsewhere.properties:11: transforms.i.type: warning: Kafka Connect takes a nested class with its package ",
		"elsewhere.properties:15: transforms.i.negate: warning: is true here; Kafka Connect takes it for false").
		Says("12 problems, 3 warnings")
	p.OnceWith(dir, files...).Exits(2).Says(wrong...)
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
