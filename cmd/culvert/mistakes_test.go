package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/porttest"
)

// What run refuses, validate says, and run says it before anything else happens.
func TestMistakesAreSaid(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 10})
	dir := plugins(t, "odata-sink")
	good := source("good", address, "Orders")
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
		{"prefix", nil, append(good[:9:9], "track-changes=1", "exec-period=5"),
			"prefix.properties:11: exec-period: unknown setting; the nearest known one is sap.odata#00.exec-period; " +
				"with unknown.settings=warn this is a warning\n",
			"warning:", "2 problems, 0 warnings"},
		{"anything", nil, append(good[:9:9], "sap.odata.colour=red"),
			"anything.properties:10: sap.odata.colour: unknown setting; with unknown.settings=warn this is a warning\n",
			"header", "1 problem, 0 warnings"},
		{"exactly", nil, append(good[:9:9], "exactly.once.support=required"), "exactly-once needs a worker's file " +
			"with bootstrap.servers of a Kafka, group.id and exactly.once.source.support=enabled; " +
			"there is no worker's file", "", "1 problem, 0 warnings"},
		{"listeners", []string{"listeners=ftp://x"}, good,
			`worker.properties:2: listeners: Invalid value ftp://x for configuration listeners: expected http://HOST:PORT`, "", "1 problem, 0 warnings"},
		{"extensions", []string{"rest.extension.classes=org.example.Logons"}, good,
			"worker.properties:2: rest.extension.classes: not built: Java classes cannot be run, " +
				"found org.example.Logons. " +
				"For users with passwords set rest.basic.auth.file, to let nobody change " +
				"anything rest.read.only=true", "",
			"1 problem, 0 warnings"},
		{"offsets", []string{"offset.storage.topic=a b"}, good,
			`worker.properties:2: offset.storage.topic: Invalid value a b for configuration offset.storage.topic: expected a topic's name, `, "", "1 problem, 0 warnings"},
		{"topic", nil, append(good[:8:8], "sap.odata#00.topic=a b"), "topic.properties:9: sap.odata#00.topic: " +
			"Invalid value a b for configuration sap.odata#00.topic: String must match", "", "1 problem, 0 warnings"},
		{"topics", nil, sinkOf("sink", address, "a b", "OrderCopies"),
			`topics.properties:10: topics: expected a topic's name, `, "", "2 problems, 0 warnings"},
		{"sink", nil, append([]string{"connector.class=OtherSink"}, sinkOf("sink", address, "a", "OrderCopies")[2:]...),
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
				files = append(files, p.file("worker.properties", append([]string{"bootstrap.servers=embedded"},
					c.worker...)...))
			}
			files = append(files, p.file(c.name+".properties", c.lines...))
			check := p.run(append([]string{"validate", "--plugins", dir}, files...)...)
			if check.code != 1 || !strings.Contains(check.stdout, c.want) || c.never != "" &&
				strings.Contains(check.stdout, c.never) ||
				!strings.Contains(check.stderr, c.count) {
				t.Errorf("validate: expected exit 1 and %q alone, found %d\n%s%s", c.want, check.code, check.stdout,
					check.stderr)
			}
			run := p.run(append([]string{"run", "--once", "--plugins", dir, "--data", p.data}, files...)...)
			if run.code != 2 || !strings.Contains(run.stderr, c.want) {
				t.Errorf("run: expected exit 2 and %q, found %d\n%s", c.want, run.code, run.stderr)
			}
		})
	}
	snippet := p.file("snippet.properties", good[2:]...)
	if r := p.run("ping", "--plugins", dir, "-p", snippet, "-s", "/x"); r.code != 2 || !strings.Contains(r.stderr,
		snippet+
			`:1: connector.class: Missing required configuration "connector.class" which has no default value: expected org.`) {
		t.Errorf("ping: expected exit 2 and what is missing, found %d\n%s", r.code, r.stderr)
	}
	variable := p.file("variable.properties", append(good[:9:9], "sap.odata.user.name=me",
		"sap.odata.user.pwd=$SAP_PWD", "sap.odata.header.APIKey=${vault:sap:key}")...)
	if r := p.run("validate", "--plugins", dir, variable); r.code != 0 || !strings.Contains(r.stdout,
		":11: sap.odata.user.pwd: warning: looks like a variable") ||
		!strings.Contains(r.stdout, ":12: sap.odata.header.APIKey: warning: looks like a reference to a config "+
			"provider that there is not") {
		t.Errorf("expected exit 0 and two warnings, found %d\n%s", r.code, r.stdout)
	}
	elsewhere := p.file("elsewhere.properties", append(good[:9:9], "transforms=i", "transforms.i.type=InsertField$Value",
		"transforms.i.static.field=x", "transforms.i.static.value=y", "transforms.i.predicate=p",
		"transforms.i.negate=true ", "predicates=p",
		"predicates.p.type=org.apache.kafka.connect.transforms.predicates.RecordIsTombstone")...)
	if r := p.run("validate", "--plugins", plugins(t, "smt"), elsewhere); r.code != 0 || !strings.Contains(r.stdout,
		":11: transforms.i.type: warning: Kafka Connect takes a nested class with its package alone: org.apache.") ||
		!strings.Contains(r.stdout, ":15: transforms.i.negate: warning: is true here; Kafka Connect takes it for "+
			"false") {
		t.Errorf("expected exit 0 and two warnings, found %d\n%s", r.code, r.stdout)
	}
	if n := s.Ledger().Total; n != 0 {
		t.Errorf("expected no request, the service saw %d", n)
	}
}

func TestFoldersWithoutConnectors(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	empty := filepath.Join(p.dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	if r := p.run("validate", "--plugins", plugins(t), empty); r.code != 1 || !strings.Contains(r.stdout,
		empty+": no connector file found") {
		t.Errorf("expected exit 1 and what is missing, found %d, %q", r.code, r.stdout)
	}
	if r := p.run("run", "--once", "--plugins", plugins(t), "--data", p.data, "--config", empty); r.code != 0 ||
		!strings.Contains(r.stderr, "no connector file found") {
		t.Errorf("expected exit 0 and a warning, found %d\n%s", r.code, r.stderr)
	}
	put(t, empty, "worker.properties", []byte("bootstrap.servers=embedded\n"))
	if r := p.run("validate", "--plugins", plugins(t), empty); r.code != 0 || !strings.Contains(r.stdout,
		empty+": warning: no connector file found") {
		t.Errorf("expected exit 0 and a warning, found %d, %q", r.code, r.stdout)
	}
}

func TestVersionFlag(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	if flag, command := p.run("--version"), p.run("version"); flag.code != 0 || flag.stdout == "" || flag != command {
		t.Errorf("expected the same, found %+v and %+v", flag, command)
	}
}

// A run that is stopped has failed all the same if one of its tasks had.
func TestOnceStoppedBehindAFailure(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	never := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(never.Close)
	bad := p.file("bad.properties", source("bad", porttest.Address(t), "Orders")...)
	slow := p.file("slow.properties", source("slow", strings.TrimPrefix(never.URL, "http://"), "Orders")...)
	c := p.start("run", "--once", "--plugins", plugins(t), "--data", p.data, bad, slow)
	c.says("task FAILED")
	c.signal(syscall.SIGTERM)
	r := c.wait()
	if want := "connector bad, task 0: FAILED: "; r.code != 1 || !strings.HasPrefix(r.lastLine(), want) {
		t.Errorf("expected exit 1 and a last line with %q, found %d and\n%s", want, r.code, r.stderr)
	}
}

// A stop is no failure, wherever it meets a task: while the plugin is opened, in a page, or while a row is written.
func TestOnceStoppedInMidRequest(t *testing.T) {
	t.Parallel()
	for name, what := range map[string]struct {
		set  string
		sink bool
	}{"open": {"$metadata", false}, "page": {"/Orders", false}, "write": {"/OrderCopies", true}} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			g := &gate{inner: service.New(service.Options{Rows: 10}), set: what.set, turns: make(chan struct{})}
			server := httptest.NewServer(g)
			t.Cleanup(server.Close)
			t.Cleanup(func() { close(g.turns) }) // a server does not notice that who posts is gone
			address := strings.TrimPrefix(server.URL, "http://")
			files := []string{p.file("orders.properties", source("orders", address, "Orders")...)}
			if what.sink {
				files = append(files, p.file("back.properties", append(sinkOf("back", address, "Orders", "OrderCopies"),
					"sap.odata.enable.batch=0")...))
			}
			c := p.start(append([]string{"run", "--once", "--plugins", plugins(t, "odata-sink"), "--data", p.data},
				files...)...)
			c.eventually("a request", func() bool { return g.waiting.Load() > 0 })
			c.signal(syscall.SIGTERM)
			r := c.wait()
			if what.sink {
				// Nobody knows whether the row was written: that is for an operator, and no success.
				if r.code != 1 || !strings.Contains(r.lastLine(), "it may have been written or not") {
					t.Errorf("expected exit 1 and the uncertain record, found %d\n%s", r.code, r.stderr)
				}
			} else if r.code != 0 {
				t.Errorf("expected exit 0, found %d\n%s", r.code, r.stderr)
			}
		})
	}
}
