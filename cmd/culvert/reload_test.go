package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/host/rest"
)

// followed is a worker that follows a folder.
type followed struct {
	*place
	*command
	url string
}

// follows starts a worker on a folder with more lines in its own file.
func (p *place) follows(folder string, lines ...string) *followed {
	p.t.Helper()
	return p.followsWith(plugins(p.t), folder, lines...)
}

// followsWith is follows with a folder of plugins.
func (p *place) followsWith(plugins, folder string, lines ...string) *followed {
	p.t.Helper()
	at := porttest.Address(p.t)
	p.file(folder+"/worker.properties", append([]string{"bootstrap.servers=embedded", "listeners=http://" + at,
		"task.shutdown.graceful.timeout.ms=60000"}, lines...)...)
	c := p.startFor(10*time.Minute, "run", "--plugins", plugins, "--data", p.data, "--config", folder)
	f := &followed{place: p, command: c, url: "http://" + at}
	c.eventually("REST", func() bool {
		r, err := http.Get(f.url + "/health")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == 200
	})
	return f
}

// replaced writes a file beside its place and renames it.
func (f *followed) replaced(name string, lines ...string) {
	f.place.t.Helper()
	path := f.file(filepath.Join(filepath.Dir(name), "."+filepath.Base(name)), lines...)
	if err := os.Rename(path, filepath.Join(f.dir, name)); err != nil {
		f.place.t.Fatal(err)
	}
}

func (f *followed) gone(name string) {
	f.place.t.Helper()
	if err := os.Remove(filepath.Join(f.dir, name)); err != nil {
		f.place.t.Fatal(err)
	}
}

func (f *followed) names() (names []string) {
	f.place.t.Helper()
	get(f.place.t, f.url+"/connectors", &names)
	return names
}

// await waits for a status of a connector.
func (f *followed) await(name, what string, is func(connect.Status) bool) {
	f.place.t.Helper()
	f.eventually(name+" "+what, func() bool {
		var s connect.Status
		return get(f.place.t, f.url+"/connectors/"+name+"/status", &s) == 200 && is(s)
	})
}

func runs(s connect.Status) bool {
	return s.Connector.State == connect.Running && s.Connector.ConfigError == "" && len(s.Tasks) > 0 &&
		!slices.ContainsFunc(s.Tasks, func(t connect.TaskStatus) bool { return t.State != connect.Running })
}

// reload is what REST says of reloads.
func (f *followed) reload() (r rest.Reload) {
	f.place.t.Helper()
	get(f.place.t, f.url+"/culvert/reload", &r)
	return r
}

// metrics are all figures as text.
func (f *followed) metrics() string {
	f.place.t.Helper()
	r, err := http.Get(f.url + "/metrics")
	if err != nil {
		f.place.t.Fatal(err)
	}
	defer r.Body.Close()
	text, _ := io.ReadAll(r.Body)
	return string(text)
}

// Connectors come, change and go with their files. What is bad changes nothing, and log, status, REST and a metric say
// why.
func TestFilesChangeWhileTheWorkerRuns(t *testing.T) {
	p := newPlace(t)
	_, address := demo(t, service.Options{Rows: 10})
	p.subfolder("conf")
	p.file("conf/calm.properties", source("calm", address, "Customers")...)
	f := p.follows("conf")
	f.await("calm", "runs", runs)
	lives := func(name string) int {
		return strings.Count(f.stderr.String(), `msg="connector started" connector=`+name+" ")
	}

	// A new one, and another topic for it.
	lines := source("orders", address, "Orders")
	f.replaced("conf/orders.properties", lines...)
	f.await("orders", "runs", runs)
	f.replaced("conf/orders.properties", append(lines, "transforms=")...)
	f.says(`msg="reload: settings have changed, and its tasks are made anew" connector=orders`)
	f.eventually("its second life", func() bool { return lives("orders") == 2 })
	f.await("orders", "runs", runs)

	// What its client takes while it works.
	f.replaced("conf/orders.properties", append(lines, "transforms=", "sap.odata.user.name=someone",
		"sap.odata.user.pwd=other")...)
	f.says(`msg="reload: settings have changed, and its tasks go on with them" connector=orders`)
	f.says(`msg="settings of the service have changed: going on with the new ones" connector=orders`)
	good := append(lines, "transforms=", "sap.odata.user.name=someone", "sap.odata.user.pwd=other")

	// Bad ones, each with its file and line everywhere; the connector runs on.
	for bad, content := range map[string][]string{
		"conf/orders.properties:13: tasks.max: ": append(good,
			"tasks.max=many"),
		"conf/orders.properties:2: connector.class: no plugin has the source or sink NotThere": append([]string{good[0],
			"connector.class=NotThere"}, good[2:]...),
		"conf/orders.properties: the file is empty": {""},
		"conf/orders.properties:1: name: expected a name that no other connector has": append(
			[]string{"name=calm"}, good[1:]...),
	} {
		f.replaced("conf/orders.properties", content...)
		f.await("orders", "runs on beside "+bad, func(s connect.Status) bool {
			return s.Connector.State == connect.Running && strings.Contains(s.Connector.ConfigError, bad)
		})
		f.says(bad)
		f.eventually("the metric", func() bool {
			return strings.Contains(f.metrics(), `culvert_connector_config_refused{connector="orders"} 1`)
		})
		if r := f.reload(); !slices.ContainsFunc(r.Connectors, func(c rest.Reloaded) bool {
			return c.Name == "orders" &&
				strings.Contains(c.Error, bad)
		}) {
			t.Errorf("expected %q in REST's answer, found %+v", bad, r)
		}
		f.replaced("conf/orders.properties", good...)
		f.await("orders", "runs", runs)
	}
	f.eventually("no metric", func() bool {
		return !strings.Contains(f.metrics(), "culvert_connector_config_refused{")
	})
	f.replaced("conf/new.properties", append(source("new", address, "Products"), "sap.odata.host.adress=x")...)
	f.await("new", "is FAILED", func(s connect.Status) bool {
		return s.Connector.State == connect.Failed && strings.Contains(s.Connector.Trace,
			"conf/new.properties:10: sap.odata.host.adress: unknown setting")
	})

	// Renamed: one goes, and another one comes.
	f.replaced("conf/orders.properties", append([]string{"name=renamed"}, good[1:]...)...)
	f.await("renamed", "runs", runs)
	f.gone("conf/new.properties")
	f.eventually("two connectors", func() bool { return slices.Equal(f.names(), []string{"calm", "renamed"}) })
	if n := lives("orders"); n != 2 {
		t.Errorf("expected orders to have been started twice, found %d times", n)
	}
	if n := lives("calm"); n != 1 {
		t.Errorf("expected calm to have run undisturbed, found it started %d times", n)
	}

	// The folder vanishes and comes back; SIGHUP asks for a look.
	dir := filepath.Join(p.dir, "conf")
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	f.says("the folder of connectors can't be read, and all run on as they are")
	if names := f.names(); !slices.Equal(names, []string{"calm", "renamed"}) {
		t.Errorf("without the folder: expected both to run on, found %q", names)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	f.says("the folder of connectors can be read again")
	f.signal(syscall.SIGHUP)
	f.says("the folder of connectors was read again, as was asked for")

	// The last ones go, the worker stays, and what comes back goes on from its offset.
	f.gone("conf/orders.properties")
	f.gone("conf/calm.properties")
	f.eventually("no connectors", func() bool { return len(f.names()) == 0 })
	f.replaced("conf/calm.properties", source("calm", address, "Customers")...)
	f.await("calm", "runs", runs)
	f.signal(syscall.SIGTERM)
	if r := f.wait(); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	if n := len(p.records("Customers")); n != 91 {
		t.Errorf("expected each of 91 rows once, found %d records", n)
	}
	if strings.Contains(f.stderr.String(), "a mistake in culvert") {
		t.Errorf("found a mistake:\n%s", f.stderr.String())
	}
}

// What a reload would do is shown before it is done: of a folder that is a copy of the worker's, with edits.
func TestDiff(t *testing.T) {
	p := newPlace(t)
	_, address := demo(t, service.Options{Rows: 10})
	p.subfolder("conf")
	p.subfolder("copy")
	edits := map[string][2][]string{ // before and after, empty: there is none
		"calm": {source("calm", address, "Customers"), source("calm", address, "Customers")},
		"client": {append(source("client", address, "Orders"), "sap.odata.user.name=u", "sap.odata.user.pwd=0ld"),
			append(source("client", address, "Orders"), "sap.odata.user.name=u", "sap.odata.user.pwd=n3w")},
		"topic": {source("topic", address, "Products"), instead(source("topic", address, "Products"),
			"sap.odata#00.topic=Other")},
		"deleted": {source("deleted", address, "Customers"), nil},
		"added":   {nil, source("added", address, "Customers")},
		"bad":     {source("bad", address, "Customers"), append(source("bad", address, "Customers"), "tasks.max=many")},
	}
	for name, lines := range edits {
		for i, folder := range []string{"conf", "copy"} {
			if lines[i] != nil {
				p.file(folder+"/"+name+".properties", lines[i]...)
			}
		}
	}
	f := p.follows("conf")
	for name, lines := range edits {
		if lines[0] != nil {
			f.await(name, "runs", runs)
		}
	}
	// What was made by REST where its folder took nothing stands in the data folder, and no folder misses it.
	if err := os.MkdirAll(filepath.Join(p.data, "connectors"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.file("data/connectors/own.json", asJSON(t, settingsOf(source("own", address, "Suppliers"))))
	f.await("own", "runs", runs)
	diff := func(folder string, more ...string) result {
		t.Helper()
		return p.run(append([]string{"diff", "--plugins", plugins(t), "--data", p.data, "--config", folder, "--url",
			f.url}, more...)...)
	}
	if r := diff("conf"); r.code != 0 || r.stdout != "nothing would change\n" {
		t.Errorf("its own folder: found exit %d, %s%s", r.code, r.stdout, r.stderr)
	}
	want := `added: a new connector (copy/added.properties)
bad: would be refused; what runs goes on (copy/bad.properties)
  copy/bad.properties:10: tasks.max: (why)
client: goes on with other settings (copy/client.properties)
  sap.odata.user.pwd: [hidden] -> [hidden]
deleted: stops and is removed; its offsets stay
topic: its tasks are made anew (copy/topic.properties)
  sap.odata#00.topic: Products -> Other
`
	why := regexp.MustCompile("(copy/bad.properties:10: tasks.max: ).+")
	if r := diff("copy"); r.code != 1 || why.ReplaceAllString(r.stdout, "$1(why)") != want ||
		r.lastLine() != "1 connector would be refused" {
		t.Errorf("expected exit 1 and\n%s\nfound %d and\n%s\n%s", want, r.code, r.stdout, r.stderr)
	}
	if r := diff("copy", "--json"); !strings.Contains(r.stdout,
		`{"connector":"topic","effect":"restart","file":"copy/topic.properties",`+
			`"settings":[{"name":"sap.odata#00.topic","runs":"Products","file":"Other"}]}`) ||
		strings.Contains(r.stdout,
			"n3w") || strings.Contains(r.stdout, "0ld") {
		t.Errorf("as JSON: found %s", r.stdout)
	}
	if r := p.run("diff", "--plugins", plugins(t), "--config", "copy", "--url",
		"http://"+porttest.Address(t)); r.code != 2 || !strings.Contains(r.stderr, "expected a running worker") {
		t.Errorf("without a worker: found exit %d, %s", r.code, r.stderr)
	}
	if lives := strings.Count(f.stderr.String(), `msg="connector started"`); lives != 6 {
		t.Errorf("expected nothing to have been touched, found %d starts", lives)
	}
}
