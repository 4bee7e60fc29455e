package operate

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/rest"
)

// The offsets of a source belong to its user, who may see other rows than the next. A changed user therefore restarts
// the tasks, which compare the stored offset at their start. Running tasks would continue a delta link of the old user.
func TestChangedUserIsComparedWithOffsets(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10,
		Switches: odatatest.Switches{Delta: "links"}})
	lines := append(e2etest.Source("orders", address, "Orders"), "sap.odata#00.track-changes=1",
		"sap.odata#00.exec-period=3600")
	p.File("conf/orders.properties", append(lines, "sap.odata.user.name=first")...)
	client := restClient{Worker: p.StartWorker("conf", "offset.flush.interval.ms=100"), t: t}
	client.AwaitCall(200, "GET", "/connectors/orders/offsets", "", "user=first")

	lines = append(lines, "sap.odata.user.name=second")
	client.ReplaceFile("conf/orders.properties", lines...)
	client.Await("orders", "names the user", func(s connect.Status) bool {
		return len(s.Tasks) == 1 && s.Tasks[0].State == connect.Failed && strings.Contains(s.Tasks[0].Trace, "user") &&
			strings.Contains(s.Tasks[0].Trace, "query.change=keep")
	})
	client.ReplaceFile("conf/orders.properties", append(lines, "sap.odata#00.query.change=keep")...)
	client.Await("orders", "runs", e2etest.IsRunning)
}

// Connectors start, change and stop with their files. An invalid file changes nothing, and log, status, REST and a
// metric have the reason.
func TestFilesChangeWhileTheWorkerRuns(t *testing.T) {
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	p.File("conf/calm.properties", e2etest.Source("calm", address, "Customers")...)
	f := p.StartWorker("conf")
	f.Await("calm", "runs", e2etest.IsRunning)

	// A new connector, then another setting for it.
	lines := e2etest.Source("orders", address, "Orders")
	f.ReplaceFile("conf/orders.properties", lines...)
	f.Await("orders", "runs", e2etest.IsRunning)
	f.ReplaceFile("conf/orders.properties", append(lines, "transforms=")...)
	f.AwaitStderr(`msg="reload: settings have changed; the tasks are restarted" connector=orders`)
	f.AwaitStarts("orders", 2)
	f.Await("orders", "runs", e2etest.IsRunning)

	// A password changes in running tasks.
	f.ReplaceFile("conf/orders.properties", append(lines, "transforms=", "sap.odata.user.pwd=other")...)
	f.AwaitStderr(`msg="reload: settings have changed; the tasks continue with them" connector=orders`)
	f.AwaitStderr(`msg="changed settings of the service were applied" connector=orders`)
	good := append(lines, "transforms=", "sap.odata.user.pwd=other")
	checkInvalidFilesAreReported(f, good)
	f.ReplaceFile("conf/new.properties", append(e2etest.Source("new", address, "Products"),
		"sap.odata.host.adress=x")...)
	f.Await("new", "is FAILED", func(s connect.Status) bool {
		return s.Connector.State == connect.Failed && strings.Contains(s.Connector.Trace,
			"conf/new.properties:10: sap.odata.host.adress: unknown setting")
	})

	// A new name stops one connector and starts another.
	f.ReplaceFile("conf/orders.properties", append([]string{"name=renamed"}, good[1:]...)...)
	f.Await("renamed", "runs", e2etest.IsRunning)
	f.DeleteFile("conf/new.properties")
	f.Eventually("two connectors", func() bool { return slices.Equal(f.ConnectorNames(), []string{"calm", "renamed"}) })
	n := f.StartCount("orders")
	assert.True(t, n == 2, "expected orders to have been started twice, found %d times", n)
	n = f.StartCount("calm")
	assert.True(t, n == 1, "expected calm to have run undisturbed, found it started %d times", n)
	changes := f.Events("orders")
	assert.Equal(t, []string{"created by conf/orders.properties", "changed transforms by conf/orders.properties",
		"changed sap.odata.user.pwd by conf/orders.properties"}, changes[:3], "events")
	assert.Equal(t, []string{"rejected", "rejected", "rejected", "deleted"}, kinds(changes[3:]),
		"the rejected files and the end")
	checkFolderMayGoAway(f, "calm", "renamed")
	// The worker keeps running without connectors, and a restored file continues from its offset.
	f.DeleteFile("conf/orders.properties")
	f.DeleteFile("conf/calm.properties")
	f.Eventually("no connectors", func() bool { return len(f.ConnectorNames()) == 0 })
	f.ReplaceFile("conf/calm.properties", e2etest.Source("calm", address, "Customers")...)
	f.Await("calm", "runs", e2etest.IsRunning)
	f.MustStop()
	p.CheckRecordCount("Customers", 91)
	assert.NotContains(t, f.Stderr.String(), "an internal error of culvert", "internal error")
}

// kinds returns the first word of each event.
func kinds(changes []string) (words []string) {
	for _, change := range changes {
		word, _, _ := strings.Cut(change, " ")
		words = append(words, word)
	}
	return words
}

// checkInvalidFilesAreReported checks that invalid files of the connector orders are reported everywhere with file and
// line, and that the connector keeps running. good has the lines of its valid file.
func checkInvalidFilesAreReported(f *e2etest.Worker, good []string) {
	t := f.Place.T
	for bad, content := range map[string][]string{
		"conf/orders.properties:12: tasks.max: ":    append(good, "tasks.max=many"),
		"conf/orders.properties: the file is empty": {""},
		"conf/orders.properties:1: name: expected a name that no other connector has": append(
			[]string{"name=calm"}, good[1:]...),
	} {
		f.ReplaceFile("conf/orders.properties", content...)
		f.Await("orders", "runs despite "+bad, func(s connect.Status) bool {
			return s.Connector.State == connect.Running && strings.Contains(s.Connector.ConfigError, bad)
		})
		f.AwaitStderr(bad)
		f.Eventually("the metric", func() bool {
			return strings.Contains(f.Metrics(), `culvert_connector_config_refused{connector="orders"} 1`)
		})
		r := f.ReloadReport()
		isReported := func(c rest.ReloadedConnector) bool {
			return c.Name == "orders" && strings.Contains(c.Error, bad)
		}
		assert.True(t, slices.ContainsFunc(r.Connectors, isReported), "expected %q in REST's answer, found %+v", bad, r)
		f.ReplaceFile("conf/orders.properties", good...)
		f.Await("orders", "runs", e2etest.IsRunning)
	}
	f.Eventually("no metric", func() bool {
		return !strings.Contains(f.Metrics(), "culvert_connector_config_refused{")
	})
}

// checkFolderMayGoAway deletes the folder of connectors and creates it again. The connectors keep running. SIGHUP
// triggers a scan.
func checkFolderMayGoAway(f *e2etest.Worker, connectors ...string) {
	t := f.Place.T
	dir := filepath.Join(f.Dir, "conf")
	require.NoError(t, os.Rename(dir, dir+".away"))
	f.AwaitStderr("the folder of connectors cannot be read; all connectors continue unchanged")
	names := f.ConnectorNames()
	assert.True(t, slices.Equal(names, connectors), "without the folder: expected both to run on, found %q", names)
	require.NoError(t, os.Rename(dir+".away", dir))
	f.AwaitStderr("the folder of connectors can be read again")
	f.Signal(syscall.SIGHUP)
	f.AwaitStderr("the folder of connectors was read again on request")
}

// Errors that only the service knows, such as a misspelt entity set, stop no running connector, whether the change
// comes from a file or REST. A service that does not answer blocks no change.
func TestServiceJudgesChangesOfWhatRuns(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{User: "me", Password: "geheim"})
	lines := e2etest.WithSettings(e2etest.Source("orders", address, "Orders"), "sap.odata.user.name=me",
		"sap.odata.user.pwd=geheim")
	p.File("conf/orders.properties", lines...)
	f := p.StartWorker("conf")
	f.Await("orders", "runs", e2etest.IsRunning)
	f.Eventually("rows", func() bool { return f.Rows("orders") == s.Count("Orders") })
	made := e2etest.WithSettings(lines, "name=made", "sap.odata#00.topic=made")
	f.Create(made...)
	f.Eventually("rows", func() bool { return f.Rows("made") == s.Count("Orders") })

	const wrong = "the nearest name is Orders"
	f.ReplaceFile("conf/orders.properties", e2etest.WithSettings(lines, "sap.odata#00.entityset=Ordres")...)
	f.Await("orders", "runs on", func(s connect.Status) bool {
		return strings.Contains(s.Connector.ConfigError, "sap.odata#00.entityset") &&
			strings.Contains(s.Connector.ConfigError, wrong) && len(s.Tasks) == 1 && s.Tasks[0].State == connect.Running
	})
	f.AwaitStderr("reload: a change was rejected, the previous configuration continues: ")
	f.AwaitStarts("orders", 1)
	f.ReplaceFile("conf/orders.properties", lines...)
	f.Await("orders", "runs without a word", func(s connect.Status) bool {
		return s.Connector.ConfigError == "" && e2etest.IsRunning(s)
	})
	settings := e2etest.SettingsOf(e2etest.WithSettings(made, "sap.odata#00.entityset=Ordres"))
	assert.Contains(t, f.MustCall(400, "PUT", "/connectors/made/config", e2etest.AsJSON(t, settings)), wrong)
	f.AwaitStarts("made", 1)

	// A failed task does not let a wrong set stop the other tasks.
	half := append(e2etest.WithSettings(lines, "name=half", "tasks.max=2", "sap.odata#00.topic=half"),
		"sap.odata#01.service="+odatatest.NorthwindPath,
		"sap.odata#01.entityset=Nope", "sap.odata#01.topic=nope")
	f.Create(half...)
	f.Await("half", "runs by half", func(s connect.Status) bool {
		return len(s.Tasks) == 2 && s.Tasks[0].State == connect.Running && s.Tasks[1].State == connect.Failed
	})
	settings = e2etest.SettingsOf(e2etest.WithSettings(half, "sap.odata#00.entityset=Ordres"))
	assert.Contains(t, f.MustCall(400, "PUT", "/connectors/half/config", e2etest.AsJSON(t, settings)), wrong)

	// A secret that is not proven is not tried by validation; the tasks try it.
	ledger := s.Ledger()
	if answer := f.MustCall(200, "POST", "/culvert/diff", e2etest.AsJSON(t,
		map[string]string{"name": "orders", "text": strings.Join(
			e2etest.WithSettings(lines, "sap.odata.user.pwd=other", "tasks.max=1"), "\n")})); !strings.Contains(answer,
		"logon not tried") {
		t.Errorf("expected that the logon was not tried, found %s", answer)
	}
	if n := s.Ledger().FailedLogons; n != ledger.FailedLogons {
		t.Errorf("expected that a comparison sends no secret, found %d refused logons", n-ledger.FailedLogons)
	}

	// If the service does not answer, nothing is reported as wrong.
	settings = e2etest.SettingsOf(append(made, "transforms="))
	s.Set("status", "503")
	s.Set("status-count", "1000")
	f.MustCall(200, "PUT", "/connectors/made/config", e2etest.AsJSON(t, settings))
	f.AwaitStarts("made", 2)
	f.AwaitStderr("not checked with the service: ")
	f.Stop()
}

// A reload checks changes with their services for five seconds; here the services do not answer. A change that was not
// checked in that time is not applied, and is checked again later. A change of a stopped connector is not checked. If
// the connector was resumed while its change waited for the reload to end, the change is checked then.
func TestServiceJudgesChangesOfWhatRunsByNow(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{})
	var requests atomic.Int32
	silent := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		<-r.Context().Done()
	})
	lines := map[string][]string{"z": e2etest.Source("z", address, "Orders")}
	for _, name := range []string{"a", "b", "c"} {
		lines[name] = append(e2etest.Source(name, e2etest.Serve(t, silent), "Orders"), e2etest.NoReadTimeout)
	}
	for name, l := range lines {
		p.File("conf/"+name+".properties", l...)
	}
	f := p.StartWorker("conf")
	f.Eventually("tasks that wait for their services", func() bool { return requests.Load() == 3 })
	made := e2etest.WithSettings(e2etest.Source("made", address, "Orders"), "sap.odata#00.topic=made")
	f.Create(made...)
	for _, name := range []string{"z", "made"} {
		f.Eventually("rows", func() bool { return f.Rows(name) == s.Count("Orders") })
	}
	f.Steer("made", "stop")
	const wrong = "sap.odata#00.entityset=Ordres"
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		p.File("conf/"+name+".properties", e2etest.WithSettings(lines[name], wrong)...)
	}
	f.Eventually("a reload that asks services", func() bool { return requests.Load() > 3 })
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		status, answer := f.Call("PUT", "/connectors/made/config",
			e2etest.AsJSON(t, e2etest.SettingsOf(e2etest.WithSettings(made, wrong))))
		assert.True(t, status == 400 && strings.Contains(answer, "the nearest name is Orders"),
			"expected 400, found %d %s", status, answer)
	}()
	time.Sleep(300 * time.Millisecond) // for it to wait for its turn
	f.Steer("made", "resume")
	select {
	case <-answered:
		t.Error("expected the change to be answered after the reload")
	default:
	}
	<-answered
	f.AwaitStarts("made", 2)
	f.AwaitStderr("the change was not checked with the service")
	f.Await("z", "runs on", func(s connect.Status) bool {
		return strings.Contains(s.Connector.ConfigError, "the nearest name is Orders") &&
			s.Tasks[0].State == connect.Running
	})
	f.AwaitStarts("z", 1)
	f.Stop()
}

// diff shows what a reload would do, for an edited copy of the worker's folder.
func TestDiff(t *testing.T) {
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	p.Subfolder("conf")
	p.Subfolder("copy")
	edits := map[string][2][]string{ // before and after; nil means no file
		"calm": {e2etest.Source("calm", address, "Customers"), e2etest.Source("calm", address, "Customers")},
		"client": {append(e2etest.Source("client", address, "Orders"), "sap.odata.user.name=u",
			"sap.odata.user.pwd=0ld"),
			append(e2etest.Source("client", address, "Orders"), "sap.odata.user.name=u", "sap.odata.user.pwd=n3w")},
		"topic": {e2etest.Source("topic", address, "Products"),
			e2etest.WithSettings(e2etest.Source("topic", address, "Products"), "sap.odata#00.topic=Other")},
		"deleted": {e2etest.Source("deleted", address, "Customers"), nil},
		"added":   {nil, e2etest.Source("added", address, "Customers")},
		"bad": {e2etest.Source("bad", address, "Customers"), append(e2etest.Source("bad", address, "Customers"),
			"tasks.max=many")},
	}
	for name, lines := range edits {
		for i, folder := range []string{"conf", "copy"} {
			if lines[i] != nil {
				p.File(folder+"/"+name+".properties", lines[i]...)
			}
		}
	}
	f := p.StartWorker("conf")
	for name, lines := range edits {
		if lines[0] != nil {
			f.Await(name, "runs", e2etest.IsRunning)
		}
	}
	// A connector from REST is stored in the data folder, so diff does not report it as deleted.
	f.Create(e2etest.Source("own", address, "Suppliers")...)
	f.Await("own", "runs", e2etest.IsRunning)
	diff := func(folder string, more ...string) e2etest.Result {
		t.Helper()
		return p.Run(append([]string{"diff", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--config", folder,
			"--url",
			f.URL}, more...)...)
	}
	if r := diff("conf"); r.Code != 0 || r.Stdout != "nothing would change\n" {
		t.Errorf("its own folder: found exit %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
	want := `added: a new connector (copy/added.properties)
bad: would be refused; the running configuration continues (copy/bad.properties)
  copy/bad.properties:10: tasks.max: (why)
client: continues with the new settings (copy/client.properties)
  sap.odata.user.pwd: [hidden] -> [hidden]
deleted: stops and is removed; its offsets are kept
topic: its tasks are created again (copy/topic.properties)
  sap.odata#00.topic: Products -> Other
`
	why := regexp.MustCompile("(copy/bad.properties:10: tasks.max: ).+")
	if r := diff("copy"); r.Code != 1 || why.ReplaceAllString(r.Stdout, "$1(why)") != want ||
		r.LastLine() != "1 connector would be refused" {
		t.Errorf("expected exit 1 and\n%s\nfound %d and\n%s\n%s", want, r.Code, r.Stdout, r.Stderr)
	}
	diff("copy", "--json").WantNo("n3w", "0ld").WantStdout(
		`{"connector":"topic","effect":"restart","file":"copy/topic.properties",` +
			`"settings":["sap.odata#00.topic"],"differences":[{"setting":"sap.odata#00.topic","before":"Products",` +
			`"after":"Other"}]}`)
	p.Run("diff", "--plugins", e2etest.Plugins(t), "--config", "copy", "--url", "http://"+porttest.Address(t)).
		WantCode(2).WantStderr("expected a running worker")
	assert.Equal(t, 6, strings.Count(f.Stderr.String(), `msg="connector started"`), "starts")
}

// fileEditor edits the file of a connector at random.
type fileEditor struct {
	f        *e2etest.Worker
	name     string
	lines    []string // of a valid file
	file     string   // path below the place; "" means no file
	edits    int
	settings map[string]string // of the file; nil if it is invalid or missing
	rng      *rand.Rand
}

// writeValid writes a valid file that differs from the last one: in a setting that changes in place, in one that
// restarts the tasks, or in a comment.
func (e *fileEditor) writeValid() {
	e.edits++
	lines := append(slices.Clone(e.lines), pick(e.rng, []string{fmt.Sprintf("sap.odata.max.retries=%d", 1+e.edits)},
		[]string{fmt.Sprintf("tasks.max=%d", 1+e.edits), "sap.odata.max.retries=1"},
		[]string{fmt.Sprintf("# edited %d times", e.edits), "sap.odata.max.retries=1"})...)
	e.write(lines)
	e.settings = e2etest.SettingsOf(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "#") }))
}

// write writes the file by a rename, over the old content, or in two pieces.
func (e *fileEditor) write(lines []string) {
	if e.file == "" {
		e.file = fmt.Sprintf("conf/%s-%d.properties", e.name, e.edits)
	}
	switch e.rng.IntN(3) {
	case 0:
		e.f.ReplaceFile(e.file, lines...)
	case 1:
		e.f.File(e.file, lines...)
	default:
		e.f.File(e.file, lines[:len(lines)/2]...)
		e.f.File(e.file, lines...)
	}
}

// writeInvalid writes an invalid file, in one of several ways.
func (e *fileEditor) writeInvalid() {
	e.edits++
	e.settings = nil
	e.write(pick(e.rng, append(slices.Clone(e.lines), "sap.odata.max.retries=often"),
		append(slices.Clone(e.lines), "transforms=x", "transforms.x.type=NotThere"), []string{"", ""},
		[]string{"{", `"name": "` + e.name + `"`}))
}

// delete deletes the file, if any.
func (e *fileEditor) delete() {
	if e.file != "" {
		e.f.DeleteFile(e.file)
		e.file = ""
		e.settings = nil
	}
}

// rename renames the file; the connector keeps its name.
func (e *fileEditor) rename() {
	e.edits++
	to := fmt.Sprintf("conf/%s-%d.properties", e.name, e.edits)
	require.NoError(e.f.Place.T, os.Rename(filepath.Join(e.f.Dir, e.file), filepath.Join(e.f.Dir, to)))
	e.file = to
}

// Random edits under load: files are created, changed, broken, deleted and renamed while their connectors read. Nothing
// is lost or repeated, the worker ends in the state of the files, and a connector whose file does not change is not
// disturbed. CULVERT_SOAK=1 makes 500 edits in 60 s.
func TestSoakReloadStorm(t *testing.T) {
	edits := 60
	interval := 60 * time.Millisecond
	if e2etest.IsSoak() {
		edits = 500
		interval = 120 * time.Millisecond
	}
	const count, rows, page = 5, 600, 10
	p := e2etest.NewPlace(t)
	// Pages are released during the storm so that all connectors read until its end.
	g, _, address := e2etest.StartGated(t, odatatest.Options{Rows: rows, PageSize: page}, "/Orders", 100*count*rows)
	seed := uint64(1)
	if e2etest.IsSoak() {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	worker := []string{"offset.flush.interval.ms=500"}
	if rng.IntN(2) == 0 {
		t.Log("connectors take turns for memory")
		worker = append(worker, "plugins.memory.bytes=1")
	}
	f := p.StartWorker("conf", worker...)
	var connectors []*fileEditor
	for n := range count {
		name := fmt.Sprintf("c%d", n)
		e := &fileEditor{f: f, name: name, lines: e2etest.WithSettings(e2etest.Source(name, address, "Orders"),
			"sap.odata#00.topic="+name), rng: rng}
		e.lines = slices.DeleteFunc(e.lines, func(l string) bool {
			return strings.HasPrefix(l, "sap.odata.max.retries=")
		})
		e.writeValid()
		if n == 0 { // before the others: no page may pass yet, and a connector that takes turns with it would wait
			f.Await(e.name, "runs", e2etest.IsRunning)
		}
		connectors = append(connectors, e)
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for range edits {
		<-ticker.C
		e := connectors[1+rng.IntN(count-1)]
		switch do := rng.IntN(10); {
		case e.file == "" || do < 4:
			e.writeValid()
		case do < 6:
			e.writeInvalid()
		case do < 8:
			e.delete()
		default:
			e.rename()
		}
		g.Allow(max(1, count*rows/page/edits))
	}
	g.Allow(count * rows)
	checkStormEndsInTheStateOfItsFiles(f, connectors)
	f.MustStop()
	checkStormLosesNothing(p, connectors, rows, g)
}

// checkStormLosesNothing checks that stopped connectors continue from their offsets, and that each row arrives once.
func checkStormLosesNothing(p *e2etest.Place, connectors []*fileEditor, rows int, g *e2etest.Gate) {
	t := p.T
	for _, e := range connectors[1:3] {
		e.writeValid()
	}
	close(g.Turns)
	run := p.StartFor(10*time.Minute, "run", "--once", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--config",
		"conf").Wait()
	require.Equal(t, 0, run.Code, "exit", run.Stderr)
	for _, e := range connectors {
		counts := map[any]int{}
		records := p.Records(e.name)
		for _, r := range records {
			counts[r["value"].(map[string]any)["payload"].(map[string]any)["OrderID"]]++
		}
		assert.True(t, len(counts) == rows && len(records) == rows,
			"%s: expected each of %d rows once, found %d rows in %d records", e.name, rows, len(counts), len(records))
	}
}

// checkStormEndsInTheStateOfItsFiles deletes one of five connectors, makes the file of one invalid, and checks that the
// worker has the state of the files. The first connector, whose file did not change, was not disturbed.
func checkStormEndsInTheStateOfItsFiles(f *e2etest.Worker, connectors []*fileEditor) {
	t := f.Place.T
	connectors[1].delete()
	for _, e := range connectors[2:] {
		e.writeValid()
	}
	bad := connectors[2]
	for _, e := range connectors[2:] {
		f.Await(e.name, "runs as its file says", func(s connect.Status) bool {
			var info connect.Info
			e2etest.Get(t, f.URL+"/connectors/"+e.name, &info)
			return e2etest.IsRunning(s) && fmt.Sprint(info.Config) == fmt.Sprint(e.settings) &&
				s.Connector.File == e.file
		})
	}
	bad.write(append(slices.Clone(bad.lines), "sap.odata.max.retries=often"))
	f.Await(bad.name, "runs despite its bad file", func(s connect.Status) bool {
		return s.Connector.State == connect.Running && strings.Contains(s.Connector.ConfigError, bad.file)
	})
	f.Eventually("the connectors of the files", func() bool {
		return slices.Equal(f.ConnectorNames(), []string{"c0", "c2", "c3", "c4"})
	})
	assert.Equal(t, 1, f.StartCount("c0"), "start of the connector whose file did not change")
	log := f.Stderr.String()
	assert.True(t, !strings.Contains(log, "an internal error of culvert") && !strings.Contains(log, "task failed"),
		"expected no internal error and no failed task, found\n%s", log)
}
