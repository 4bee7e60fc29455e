package delivery

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// inFolders writes a file into the folders of some workers of a group.
func (g *Group) inFolders(name string, lines []string, of ...int) {
	g.T.Helper()
	for _, n := range of {
		path := g.File(fmt.Sprintf("conf%d/.%s", n, name), lines...)
		e2etest.NoError(g.T, os.Rename(path, filepath.Join(g.Dir, fmt.Sprintf("conf%d", n), name)))
	}
}

// digests returns the number of workers in the group and of distinct digests of their folders.
func (g *Group) digests(by int) (workers int, digests map[string]int) {
	g.T.Helper()
	digests = map[string]int{}
	for _, m := range g.overview(by).Members {
		workers++
		digests[m.Digest]++
	}
	return workers, digests
}

// written returns how often the configuration of a connector was written to the config topic.
func (g *Group) written(name string) (n int) { return g.keyed("connector-" + name) }

// keyed counts the records of the config topic with a key.
func (g *Group) keyed(key string) (n int) {
	g.T.Helper()
	for _, r := range records(g.T, g.servers, "configs") {
		if string(r.Key) == key {
			n++
		}
	}
	return n
}

// lines returns the lines of a file with these settings.
func lines(settings map[string]string) (settingLines []string) {
	for key, value := range settings {
		settingLines = append(settingLines, key+"="+value)
	}
	slices.Sort(settingLines)
	return settingLines
}

// Workers of a group follow folders: a file that all folders have is applied once, a file of one folder alone is not.
// The folders do not change connectors that were created by REST, and REST does not change connectors of the folders.
func TestFolderOfAGroup(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 60, PageSize: 25})
	g := &Group{Place: p, servers: p.StartBroker(), folders: true, lines: []string{"config.storage.secrets=refuse"}}
	source := groupSource(address, "orders")
	g.inFolders("orders.properties", lines(source), 0, 1, 2)
	g.start(3)
	g.Spreads(1, 2, 0, 1, 2)
	any := g.workers[1]
	any.AwaitChangeable()
	any.Eventually("one digest of three workers", func() bool {
		workers, digests := g.digests(1)
		return workers == 3 && len(digests) == 1 && digests[""] == 0
	})
	checkRESTKeepsConnectorsOfFolders(any, source)
	made := groupSource(address, "made")
	made["sap.odata.user.name"] = "me"
	made["sap.odata.user.pwd"] = "in clear text"
	any.MustCall(400, "PUT", "/connectors/made/config", e2etest.AsJSON(t, made),
		"sap.odata.user.pwd: expected a reference to a config provider, since config.storage.secrets=refuse")
	delete(made, "sap.odata.user.name")
	delete(made, "sap.odata.user.pwd")
	any.MustCall(201, "PUT", "/connectors/made/config", e2etest.AsJSON(t, made))

	// A file changes on one worker only, the leader.
	led := slices.Index(g.ids, g.overview(1).Leader)
	source["tasks.max"] = "1"
	g.inFolders("orders.properties", lines(source), led)
	any.Eventually("two digests", func() bool { _, digests := g.digests(1); return len(digests) == 2 })
	any.AwaitCall(200, "GET", "/culvert/reload", "", "the folders of other workers differ from the leader's")
	any.Eventually("a line that names who differs", func() bool {
		return slices.ContainsFunc(g.workers, func(w *e2etest.Worker) bool {
			return strings.Contains(w.Stderr.String(),
				`the folders of other workers differ from the leader's" workers=`)
		})
	})
	if n := g.written("orders"); n != 1 {
		t.Errorf("expected orders as it was, found it written %d times", n)
	}
	g.inFolders("orders.properties", lines(source), (led+1)%3, (led+2)%3)
	any.Await("orders", "has one task", e2etest.HasState(connect.Running, 1))
	if n := g.written("orders"); n != 2 {
		t.Errorf("expected that a change is applied once, found orders written %d times", n)
	}
	p.MustRun("diff", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--config",
		filepath.Join(p.Dir, "conf2")).WantStdout("nothing would change")
	checkRejectedFilesBlockNoOther(g, any, address, made)
	checkFilesAreFollowedWithoutTheLeader(g, source)
}

// checkRESTKeepsConnectorsOfFolders checks that REST pauses and resumes the connector orders, which comes from folders,
// and does not change or delete it.
func checkRESTKeepsConnectorsOfFolders(any *e2etest.Worker, source map[string]string) {
	const kept = "Connector orders is kept in orders.properties, in the folder of connectors that workers of the " +
		"group have (--config): change it there"
	any.MustCall(409, "PUT", "/connectors/orders/config", e2etest.AsJSON(any.Place.T, source), kept)
	any.MustCall(409, "PATCH", "/connectors/orders/config", `{"tasks.max":"1"}`, kept)
	any.MustCall(409, "DELETE", "/connectors/orders", "", kept)
	any.MustCall(202, "PUT", "/connectors/orders/pause", "")
	any.Await("orders", "is paused", e2etest.HasState(connect.Paused, 2))
	any.MustCall(202, "PUT", "/connectors/orders/resume", "")
}

// checkRejectedFilesBlockNoOther checks that a rejected file is reported, and blocks no other. made has the settings of
// a connector that REST has created.
func checkRejectedFilesBlockNoOther(g *Group, any *e2etest.Worker, address string, made map[string]string) {
	g.inFolders("made.properties", lines(made), 0, 1, 2)
	secret := groupSource(address, "secret")
	secret["sap.odata.user.name"] = "me"
	secret["sap.odata.user.pwd"] = "${env:HOME}"
	g.inFolders("secret.properties", lines(secret), 0, 1, 2)
	g.inFolders("more.properties", lines(groupSource(address, "more")), 0, 1, 2)
	any.Await("more", "runs", e2etest.HasState(connect.Running, 2))
	any.AwaitCall(200, "GET", "/culvert/reload", "", "created by REST in the group has, found made",
		"These lines declare this one", "config.providers=env")
	any.MustCall(404, "GET", "/connectors/secret", "")
}

// checkFilesAreFollowedWithoutTheLeader checks that a connector from the folders is deleted with its file, whoever
// leads by then, and that connectors from REST and from other files stay. A worker without a folder does not disturb
// the others.
func checkFilesAreFollowedWithoutTheLeader(g *Group, source map[string]string) {
	led := slices.Index(g.ids, g.overview(1).Leader)
	g.workers[led].MustStop()
	for n := range 3 {
		e2etest.NoError(g.T, os.Remove(filepath.Join(g.Dir, fmt.Sprintf("conf%d", n), "orders.properties")))
	}
	stays := g.workers[(led+1)%3]
	stays.AwaitCall(404, "GET", "/connectors/orders", "")
	stays.Await("made", "runs", e2etest.HasState(connect.Running, 2))
	stays.Await("more", "runs", e2etest.HasState(connect.Running, 2))

	g.folders = false
	g.Join(led)
	g.Spreads(2, 4, 0, 1, 2)
	g.inFolders("orders.properties", lines(source), (led+1)%3, (led+2)%3)
	g.workers[led].Await("orders", "runs again", e2etest.HasState(connect.Running, 1))
}

// A standalone worker joins a group and brings its connectors, their target states and their offsets.
func TestAdoptedByAGroup(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 60, PageSize: 25})
	servers := p.StartBroker()
	g := &Group{Place: p, servers: servers, ids: []string{porttest.Address(t)}, workers: make([]*e2etest.Worker, 1)}
	data := g.Subfolder("data0")
	of := func(more ...string) []string {
		return append(e2etest.PlainWorker(servers, "offset.storage.topic=offsets", "offset.flush.interval.ms=50",
			"listeners=http://"+g.ids[0]), more...)
	}
	alone := g.StartWorkerAt(g.ids[0], "--plugins", e2etest.Plugins(t), "--data", data, g.File("alone.properties",
		of()...))
	alone.AwaitChangeable()
	alone.MustCall(201, "PUT", "/connectors/feed/config",
		e2etest.AsJSON(t, e2etest.SettingsOf(e2etest.DeltaSource("feed", address, odatatest.SAPPath, "Products"))))
	alone.MustCall(201, "PUT", "/connectors/halted/config", e2etest.AsJSON(t, groupSource(address, "halted")))
	ended := func(topic string) (n int64) {
		for _, end := range e2etest.EndOffsets(t, servers, topic) {
			n += end
		}
		return n
	}
	alone.Eventually("rows of both", func() bool { return s.Ledger().Deltas > 1 && ended("haltedOrders") > 0 })
	alone.Steer("halted", "stop")
	rows := ended("feed")
	worker := g.Configured(0)
	adopt := func(file string, more ...string) e2etest.Result {
		args := append([]string{"cluster", "adopt", "--plugins", e2etest.Plugins(t), "--data", data}, more...)
		return p.Run(append(args, file)...)
	}
	adopt(worker).WantCode(2).WantStderr("found another worker at work in it")
	alone.MustStop()
	p.Run("run", "--plugins", e2etest.Plugins(t), "--data", data,
		worker).WantCode(2).WantStderr("found STOPPED halted, feed, halted",
		"culvert cluster adopt --data "+data)
	adopt(g.File("other.properties", of()...)).WantCode(2).
		WantStderr("expected the file of a worker that forms a group")
	elsewhere := strings.ReplaceAll(Content(t, worker), "offset.storage.topic=offsets", "offset.storage.topic=others")
	adopt(g.File("elsewhere.properties", elsewhere)).WantCode(1).
		WantStderr("found none of feed, halted", "--start-over")
	adopt(worker).WantCode(0).WantStdout("feed was moved", "halted was moved")
	adopt(worker).WantCode(0).WantStdout("no connectors to move")
	// The worker is killed before it has moved the file.
	aside := filepath.Join(data, "connectors.adopted")
	back := func() {
		for _, name := range []string{"connectors.json", "connectors.states.json"} {
			e2etest.NoError(t, os.Rename(filepath.Join(aside, name), filepath.Join(data, name)))
		}
		e2etest.NoError(t, os.Remove(aside))
	}
	back()
	adopt(worker).WantCode(0).WantStdout("no connectors to move")
	back()
	e2etest.NoError(t, os.Mkdir(aside, 0o700)) // a kill after this folder was made
	file := filepath.Join(data, "connectors.json")
	content := Content(t, file)
	halted := func(from, to string) []byte {
		pos := strings.Index(content, `"halted"`)
		return []byte(content[:pos] + strings.Replace(content[pos:], from, to, 1))
	}
	e2etest.NoError(t, os.WriteFile(file, halted(`"2"`, `"1"`), 0o600))
	adopt(worker).WantCode(1).WantStderr("same names and other settings in topic configs, found halted")
	e2etest.NoError(t, os.WriteFile(file, halted(`"ODataSource"`, `"${env:HOME}"`), 0o600))
	adopt(worker).WantCode(2).WantStderr("config.providers=env")
	e2etest.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	adopt(worker).WantCode(0).WantStdout("no connectors to move")

	g.Join(0)
	g.workers[0].Await("feed", "runs", e2etest.IsRunning)
	g.workers[0].Await("halted", "is stopped", e2etest.HasState(connect.Stopped, 0))
	if !(e2etest.Writer{S: s}).Send("MERGE", "Products(3)", map[string]any{"ProductName": "Changed"}) {
		t.Fatal("the service refused a change")
	}
	g.workers[0].Eventually("the change", func() bool { return ended("feed") > rows })
	if n := ended("feed"); n != rows+1 {
		t.Errorf("expected one row after those %d of before, found %d", rows, n-rows)
	}
	adopt(worker).WantCode(2).WantStderr("found another worker at work in it")
	p.Run("cluster", "adopt", "--data", g.Subfolder("empty"),
		worker).WantCode(1).WantStderr("expected no workers in group workers")
}

// Content returns a file as text.
func Content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	e2etest.NoError(t, err)
	return string(data)
}
