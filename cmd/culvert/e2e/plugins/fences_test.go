package plugins

import (
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/wit"
)

// A source that loops in decode and a transform that loops in apply are dropped into the folder in the middle of a
// load: the running connector tries them, goes back to the versions before, and no record is lost or repeated.
func TestVersionsThatLoopAreRolledBack(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	dir := e2etest.Folder(t, "smt")
	const rows, page = 60, 10
	g, s, address := e2etest.Gated(t, odatatest.Options{Rows: rows, PageSize: page}, "/Orders", 10*rows)
	listen := porttest.Address(t)
	file := p.File("orders.properties", append(e2etest.Source("orders", address, "Orders"),
		e2etest.Silent, "transforms=note", "transforms.note.type=org.apache.kafka.connect.transforms.InsertField$Value",
		"transforms.note.static.field=Note", "transforms.note.static.value=x")...)
	c := p.Start("run", "--set", "listeners=http://"+listen, "--set", "plugin.odata-source.limits.call.ms=400", "--set",
		"plugin.smt.limits.call.ms=400",
		"--plugins", dir, "--data", p.Data, file)
	g.Let(1)
	c.Eventually("the second page", g.Held)
	e2etest.Replace(t, dir, "odata-source.wasm", guesttest.Looping(t, guesttest.Bytes(t, "../../../../plugins/odata-source",
		"main.version=0.2.0"),
		wit.ExportName(wit.InterfaceSource, "decode")))
	c.Awaits(`msg="plugin loaded" plugin=odata-source version=0.2.0`)
	c.Awaits("a newer version of the plugin is open, and takes over at a boundary") // so at the next one
	// the page that waits, three times one that breaks the new version, and again by the old one
	g.Let(6)
	c.Awaits("plugin=odata-source from=0.1.0 to=0.2.0")
	e2etest.Contains(t, "the reason",
		c.Awaits(`msg="plugin version rolled back, the one before takes over" plugin=odata-source version=0.2.0`),
		"3 calls broke soon after it took over for connector orders, at last decode by call.ms")
	c.Awaits("plugin=odata-source from=0.2.0 to=0.1.0")
	c.Eventually("the next page", g.Held)

	e2etest.Replace(t, dir, "smt.wasm", guesttest.Looping(t, guesttest.Bytes(t, "../../../../plugins/smt", "main.version=0.2.0"),
		wit.ExportName(wit.InterfaceTransform, "apply")))
	c.Awaits(`msg="plugin loaded" plugin=smt version=0.2.0`)
	g.Let(rows)
	c.Awaits("plugin=smt from=0.1.0 to=0.2.0")
	c.Awaits("at last apply by call.ms")
	c.Awaits("plugin=smt from=0.2.0 to=0.1.0")
	c.Eventually("all rows", func() bool { return s.Ledger().Rows >= rows+3*page })
	c.Arrives(p, "Orders", rows)

	var status connect.Status
	e2etest.Get(t, "http://"+listen+"/connectors/orders/status", &status)
	task := status.Tasks[0]
	if task.State != connect.Running || task.Version != "0.1.0" || len(task.Plugins) != 2 {
		t.Fatalf("expected 0.1.0 RUNNING and a word about two plugins, found %+v", task)
	}
	for n, name := range []string{"odata-source", "smt"} {
		if want := name + " 0.1.0 runs: version 0.2.0 was rolled back: 3 calls broke soon after"; !strings.HasPrefix(
			task.Plugins[n], want) {
			t.Errorf("expected %q, found %q", want, task.Plugins[n])
		}
	}
	broken := 0.0
	for series, value := range e2etest.Scrape(t, listen) {
		if strings.HasPrefix(series, "culvert_plugin_aborted_calls_total{") && strings.Contains(series,
			`limit="call.ms"`) && strings.Contains(series, `version="0.2.0"`) {
			broken += value
		}
	}
	if broken != 6 {
		t.Errorf("expected 3 broken calls of each version in the figures, found %v of both", broken)
	}
	c.MustStop()
	p.Orders(rows, func(int) bool { return false })
}

// A panic of a transform in Go is its row's fault alone, with its stack in the log and in the dead letter. Where no
// fault is tolerated it fails the task, whose trace names no other plugin.
func TestRowThatPanics(t *testing.T) {
	t.Parallel()
	const rows = 100
	stack := []string{"plugin odd 1.0.0 (connector orders): apply: ", "panic: order 10249 is not in the table",
		"main.missing(", "odd/main.go:"}
	for tolerance, code := range map[string]int{"all": 0, "none": 1} {
		t.Run(tolerance, func(t *testing.T) {
			p := e2etest.NewPlace(t)
			dir := e2etest.Folder(t)
			e2etest.Put(t, dir, "odd.wasm", guesttest.Bytes(t, "../../testdata/guests/odd"))
			_, address := e2etest.Demo(t, odatatest.Options{Rows: rows, PageSize: rows})
			servers := p.Broker()
			r := p.Run("run", "--once", "--plugins", dir, p.Plain(servers),
				p.File("orders.properties", append(e2etest.Source("orders", address, "Orders"), "errors.tolerance="+tolerance,
					"errors.deadletterqueue.topic.name=refused", "errors.deadletterqueue.context.headers.enable=true",
					"transforms=panics", "transforms.panics.type=example.Panics", "transforms.panics.field=OrderID")...))
			r.Exits(code).Says(stack...)
			if tolerance == "none" {
				return
			}
			came := strings.Count(p.Run("consume", "Orders", "--bootstrap-servers", servers).Stdout, "\n")
			letters := p.Run("consume", "refused", "--bootstrap-servers", servers).Stdout
			if n := strings.Count(letters, "\n"); n != 3 || came != rows-n {
				t.Errorf("expected %d rows and 3 dead letters, found %d and\n%s", rows-3, came, letters)
			}
			for _, want := range stack {
				if !regexp.MustCompile(`exception.stacktrace","value":".*` + regexp.QuoteMeta(want)).MatchString(letters) {
					t.Errorf("expected a dead letter with %q in its stack, found\n%s", want, letters)
				}
			}
		})
	}
}

// The figures of plugins move while they work.
func TestMetrics(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	g, _, address := e2etest.Gated(t, odatatest.Options{Rows: 40, PageSize: 10}, "/Orders", 100)
	listen := porttest.Address(t)
	c := p.Start("run", "--set", "listeners=http://"+listen, "--plugins", e2etest.Plugins(t), "--data", p.Data,
		p.File("orders.properties", append(e2etest.Source("orders", address, "Orders"),
			e2etest.Silent)...))
	// of is a figure of the source, whatever the hash of its file.
	of := func(figures map[string]float64, name, labels string) (value float64) {
		found := false
		for series, v := range figures {
			if strings.HasPrefix(series, "culvert_plugin_"+name+"{") && strings.Contains(series,
				`plugin="odata-source"`) && strings.Contains(series, labels) {
				value, found = value+v, true
			}
		}
		if !found {
			t.Errorf("no figure %s %s", name, labels)
		}
		return value
	}
	g.Let(1)
	c.Eventually("the second page", g.Held)
	before := e2etest.Scrape(t, listen)
	g.Let(2)
	c.Eventually("the fourth page", g.Held)
	after := e2etest.Scrape(t, listen)
	for _, name := range []string{"calls_total", "call_seconds_total", "bytes_in_total", "bytes_out_total"} {
		if a, b := of(before, name, ""), of(after, name, ""); a <= 0 || b <= a {
			t.Errorf("%s: expected a figure that rises, found %v and %v", name, a, b)
		}
	}
	for name, least := range map[string]float64{"memory_high_water_bytes": 1 << 20, "longest_call_seconds": 1e-6,
		"instances": 1, "instances_started_total": 1,
		"ticks_total": 0, "faults_total": 0, "traps_total": 0, "stopped_total": 0, "instances_recycled_total": 0} {
		if v := of(after, name, `version="0.1.0"`); v < least {
			t.Errorf("%s: expected at least %v, found %v", name, least, v)
		}
	}
	for _, limit := range []string{"call.ms", "memory.bytes", "result.bytes", "log.lines.per.second", "stack"} {
		if v := of(after, "aborted_calls_total", `limit="`+limit+`"`); v != 0 {
			t.Errorf("%s: expected no broken calls, found %v", limit, v)
		}
	}
	if v := of(after, "info", `state="active"`); v != 1 {
		t.Errorf("expected one active version, found %v", v)
	}
}
