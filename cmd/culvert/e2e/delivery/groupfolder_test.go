package delivery

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/setup"
)

// writeToFolders writes a file into the folders of some workers of a group.
func (g *Group) writeToFolders(name string, lines []string, workers ...int) {
	g.T.Helper()
	for _, n := range workers {
		path := g.File(fmt.Sprintf("conf%d/.%s", n, name), lines...)
		require.NoError(g.T, os.Rename(path, filepath.Join(g.Dir, fmt.Sprintf("conf%d", n), name)))
	}
}

// digests returns the number of workers in the group, and how many of them have each digest of their folders.
func (g *Group) digests(by int) (workers int, digests map[string]int) {
	g.T.Helper()
	digests = map[string]int{}
	for _, m := range g.overview(by).Members {
		workers++
		digests[m.Digest]++
	}
	return workers, digests
}

// countConfigs returns how often the configuration of a connector was written to the config topic.
func (g *Group) countConfigs(name string) (n int) { return g.countRecords("connector-" + name) }

// countRecords counts the records of the config topic with a key.
func (g *Group) countRecords(key string) (n int) {
	g.T.Helper()
	for _, r := range readRecords(g.T, g.servers, "configs") {
		if string(r.Key) == key {
			n++
		}
	}
	return n
}

// linesOf returns the lines of a file with these settings.
func linesOf(settings map[string]string) (settingLines []string) {
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
	g := &Group{Place: p, servers: p.StartBroker(), hasFolders: true, lines: []string{"config.storage.secrets=refuse"}}
	source := groupSource(address, "orders")
	g.writeToFolders("orders.properties", linesOf(source), 0, 1, 2)
	g.start(3)
	g.AwaitSpread(1, 2, 0, 1, 2)
	follower := g.workers[1]
	follower.AwaitChangeable()
	follower.Eventually("one digest of three workers", func() bool {
		workers, digests := g.digests(1)
		return workers == 3 && len(digests) == 1 && digests[""] == 0
	})
	checkRESTKeepsConnectorsOfFolders(follower, source)
	restConnector := groupSource(address, "made")
	restConnector["sap.odata.user.name"] = "me"
	restConnector["sap.odata.user.pwd"] = "in clear text"
	follower.MustCall(400, "PUT", "/connectors/made/config", e2etest.AsJSON(t, restConnector),
		"sap.odata.user.pwd: expected a reference to a config provider, since config.storage.secrets=refuse")
	delete(restConnector, "sap.odata.user.name")
	delete(restConnector, "sap.odata.user.pwd")
	follower.MustCall(201, "PUT", "/connectors/made/config", e2etest.AsJSON(t, restConnector))

	// A file changes on one worker only, the leader.
	leader := slices.Index(g.ids, g.overview(1).Leader)
	source["tasks.max"] = "1"
	g.writeToFolders("orders.properties", linesOf(source), leader)
	follower.Eventually("two digests", func() bool { _, digests := g.digests(1); return len(digests) == 2 })
	follower.AwaitCall(200, "GET", "/culvert/reload", "", "the folders of other workers differ from the leader's")
	follower.Eventually("a line that names who differs", func() bool {
		return slices.ContainsFunc(g.workers, func(w *e2etest.Worker) bool {
			return strings.Contains(w.Stderr.String(),
				`the folders of other workers differ from the leader's" workers=`)
		})
	})
	n := g.countConfigs("orders")
	assert.True(t, n == 1, "expected that the change is not applied, found orders written %d times", n)
	g.writeToFolders("orders.properties", linesOf(source), (leader+1)%3, (leader+2)%3)
	follower.Await("orders", "has one task", e2etest.HasState(connect.Running, 1))
	n = g.countConfigs("orders")
	assert.True(t, n == 2, "expected that a change is applied once, found orders written %d times", n)
	p.MustRun("diff", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--config",
		filepath.Join(p.Dir, "conf2")).WantStdout("nothing would change")
	checkRejectedFilesBlockNoOther(g, follower, address, restConnector)
	checkFilesAreFollowedWithoutTheLeader(g, source)
}

// checkRESTKeepsConnectorsOfFolders checks that REST pauses and resumes the connector orders, which comes from folders,
// and does not change or delete it.
func checkRESTKeepsConnectorsOfFolders(follower *e2etest.Worker, source map[string]string) {
	const kept = "Connector orders is kept in orders.properties, in the folder of connectors that workers of the " +
		"group have (--config): change it there"
	follower.MustCall(409, "PUT", "/connectors/orders/config", e2etest.AsJSON(follower.Place.T, source), kept)
	follower.MustCall(409, "PATCH", "/connectors/orders/config", `{"tasks.max":"1"}`, kept)
	follower.MustCall(409, "DELETE", "/connectors/orders", "", kept)
	follower.MustCall(202, "PUT", "/connectors/orders/pause", "")
	follower.Await("orders", "is paused", e2etest.HasState(connect.Paused, 2))
	follower.MustCall(202, "PUT", "/connectors/orders/resume", "")
}

// checkRejectedFilesBlockNoOther checks that a rejected file is reported, and blocks no other file. restConnector has
// the settings of a connector that REST has created.
func checkRejectedFilesBlockNoOther(g *Group, follower *e2etest.Worker, address string,
	restConnector map[string]string) {
	g.writeToFolders("made.properties", linesOf(restConnector), 0, 1, 2)
	secret := groupSource(address, "secret")
	secret["sap.odata.user.name"] = "me"
	secret["sap.odata.user.pwd"] = "${env:HOME}"
	g.writeToFolders("secret.properties", linesOf(secret), 0, 1, 2)
	g.writeToFolders("more.properties", linesOf(groupSource(address, "more")), 0, 1, 2)
	follower.Await("more", "runs", e2etest.HasState(connect.Running, 2))
	follower.AwaitCall(200, "GET", "/culvert/reload", "", "created by REST in the group has, found made",
		"These lines declare this one", "config.providers=env")
	follower.MustCall(404, "GET", "/connectors/secret", "")
}

// checkFilesAreFollowedWithoutTheLeader checks that a connector from the folders is deleted with its file, whoever
// leads by then, and that connectors from REST and from other files stay. A worker without a folder does not disturb
// the others.
func checkFilesAreFollowedWithoutTheLeader(g *Group, source map[string]string) {
	leader := slices.Index(g.ids, g.overview(1).Leader)
	g.workers[leader].MustStop()
	for n := range 3 {
		require.NoError(g.T, os.Remove(filepath.Join(g.Dir, fmt.Sprintf("conf%d", n), "orders.properties")))
	}
	stays := g.workers[(leader+1)%3]
	stays.AwaitCall(404, "GET", "/connectors/orders", "")
	stays.Await("made", "runs", e2etest.HasState(connect.Running, 2))
	stays.Await("more", "runs", e2etest.HasState(connect.Running, 2))

	g.hasFolders = false
	g.Join(leader)
	g.AwaitSpread(2, 4, 0, 1, 2)
	g.writeToFolders("orders.properties", linesOf(source), (leader+1)%3, (leader+2)%3)
	g.workers[leader].Await("orders", "runs again", e2etest.HasState(connect.Running, 1))
}

// A group writes the connectors of a large folder in batches, each in one transaction, so that the first ones run while
// others are checked.
func TestLargeFolderOfAGroupIsWrittenInBatches(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 1})
	g := &Group{Place: p, servers: p.StartBroker(), hasFolders: true}
	const connectors = 40 // with the records of their initial states more than a batch, which has 100 records
	for n := range connectors {
		name := fmt.Sprintf("c%02d", n)
		g.writeToFolders(name+".json", []string{e2etest.AsJSON(t, map[string]any{"name": name,
			"config": groupSource(address, name), "initial_state": "STOPPED"})}, 0)
	}
	g.start(1)
	g.workers[0].AwaitCall(200, "GET", "/connectors/c39/status", "", "STOPPED")
	offsets := map[string]int64{}
	for _, r := range readRecords(t, g.servers, "configs") {
		offsets[string(r.Key)] = r.Offset
	}
	gaps := 0 // the end of a transaction has an offset, too
	for n := range connectors {
		record := offsets[fmt.Sprintf("connector-c%02d", n)]
		if next, ok := offsets[fmt.Sprintf("culvert-folder-c%02d", n+1)]; ok && next != record+2 {
			gaps++
		}
	}
	assert.True(t, len(offsets) >= 3*connectors && gaps == 1,
		"expected two transactions with the records of %d connectors, found %d records with %d gaps", connectors,
		len(offsets), gaps)
}

// A standalone worker joins a group and brings its connectors, their target states and their offsets.
func TestAdoptedByAGroup(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 60, PageSize: 25})
	servers := p.StartBroker()
	g := &Group{Place: p, servers: servers, ids: []string{porttest.Address(t)}, workers: make([]*e2etest.Worker, 1)}
	data := g.Subfolder("data0")
	workerLines := func(more ...string) []string {
		return append(e2etest.PlainWorker(servers, "offset.storage.topic=offsets", "offset.flush.interval.ms=50",
			"listeners=http://"+g.ids[0]), more...)
	}
	standalone := g.StartWorkerAt(g.ids[0], "--plugins", e2etest.Plugins(t), "--data", data, g.File("alone.properties",
		workerLines()...))
	standalone.AwaitChangeable()
	standalone.MustCall(201, "PUT", "/connectors/feed/config",
		e2etest.AsJSON(t, e2etest.SettingsOf(e2etest.DeltaSource("feed", address, odatatest.SAPPath, "Products"))))
	standalone.MustCall(201, "PUT", "/connectors/halted/config", e2etest.AsJSON(t, groupSource(address, "halted")))
	countRecords := func(topic string) (n int64) {
		for _, end := range e2etest.EndOffsets(t, servers, topic) {
			n += end
		}
		return n
	}
	standalone.Eventually("rows of both", func() bool {
		return s.Ledger().Deltas > 1 && countRecords("haltedOrders") > 0
	})
	standalone.Steer("halted", "stop")
	rows := countRecords("feed")
	worker := g.WriteWorkerFile(0)
	adopt := func(file string, more ...string) e2etest.Result {
		args := append([]string{"cluster", "adopt", "--plugins", e2etest.Plugins(t), "--data", data}, more...)
		return p.Run(append(args, file)...)
	}
	adopt(worker).WantCode(2).WantStderr("found another worker at work in it")
	standalone.MustStop()
	p.Run("run", "--plugins", e2etest.Plugins(t), "--data", data,
		worker).WantCode(2).WantStderr("found STOPPED halted, feed, halted",
		"culvert cluster adopt --data "+data)
	adopt(g.File("other.properties", workerLines()...)).WantCode(2).
		WantStderr("expected the file of a worker that forms a group")
	elsewhere := strings.ReplaceAll(ReadFile(t, worker), "offset.storage.topic=offsets", "offset.storage.topic=others")
	adopt(g.File("elsewhere.properties", elsewhere)).WantCode(1).
		WantStderr("found none of feed, halted", "--start-over")
	adopt(worker).WantCode(0).WantStdout("feed was moved", "halted was moved")
	adopt(worker).WantCode(0).WantStdout("no connectors to move")
	checkAdoptAfterKill(t, data, func() e2etest.Result { return adopt(worker) })

	g.Join(0)
	g.workers[0].Await("feed", "runs", e2etest.IsRunning)
	g.workers[0].Await("halted", "is stopped", e2etest.HasState(connect.Stopped, 0))
	require.True(t, (e2etest.Writer{S: s}).Send("MERGE", "Products(3)", map[string]any{"ProductName": "Changed"}),
		"expected the service to apply a change, found that it did not")
	g.workers[0].Eventually("the change", func() bool { return countRecords("feed") > rows })
	n := countRecords("feed")
	assert.True(t, n == rows+1, "expected one row after the %d earlier ones, found %d", rows, n-rows)
	adopt(worker).WantCode(2).WantStderr("found another worker at work in it")
	p.Run("cluster", "adopt", "--data", g.Subfolder("empty"),
		worker).WantCode(1).WantStderr("expected no workers in group workers")
}

// checkAdoptAfterKill checks that the command adopts connectors again if it was killed before it had moved their files
// from the data folder, and that it rejects files with other settings than those in the config topic.
func checkAdoptAfterKill(t *testing.T, data string, adopt func() e2etest.Result) {
	t.Helper()
	adoptedFolder := filepath.Join(data, "connectors.adopted")
	file := filepath.Join(data, setup.StoredFile)
	require.NoError(t, os.Rename(filepath.Join(adoptedFolder, setup.StoredFile), file))
	require.NoError(t, os.Remove(adoptedFolder))
	content := ReadFile(t, file)
	adopt().WantCode(0).WantStdout("no connectors to move")
	require.NoError(t, os.Remove(filepath.Join(adoptedFolder, setup.StoredFile))) // a kill after this folder was made
	writeWithHalted := func(key, value string) {
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		worker, _ := config.NewWorker("", nil, nil, nil)
		store, err := configtopic.OpenFileStore(file, worker, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		snapshot, _ := store.Snapshot()
		i := slices.IndexFunc(snapshot.Connectors, func(c *config.Connector) bool { return c.Name == "halted" })
		settings := snapshot.Connectors[i].Raw()
		settings[key] = value
		require.NoError(t, store.Put(t.Context(), "halted",
			config.Stored{Connector: config.NewRESTConnector("", settings, nil, worker.Providers)}))
	}
	writeWithHalted("tasks.max", "7")
	adopt().WantCode(1).WantStderr("same names and other settings in topic configs, found halted")
	writeWithHalted("connector.class", "${env:HOME}")
	adopt().WantCode(2).WantStderr("config.providers=env")
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	adopt().WantCode(0).WantStdout("no connectors to move")
}

// ReadFile returns a file as text.
func ReadFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}
