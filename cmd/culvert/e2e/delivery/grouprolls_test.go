package delivery

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// Newer versions of a plugin are put into the folders of three workers, one after the other, while sources read: they
// run once all workers have them; one that cannot be opened runs nowhere; a request to one worker by REST applies to
// all. No row is lost or repeated. The plugin of a sink is replaced last.
func TestPluginsOfAGroup(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	servers := p.StartBroker()
	const connectors, tasks = 3, 6
	old := guesttest.Bytes(t, filepath.Join(e2etest.Bench.Root, "plugins", "odata-source"))
	newer := guesttest.Bytes(t, filepath.Join(e2etest.Bench.Root, "plugins", "odata-source"), "main.version=0.2.0")
	bad := guesttest.Static(wit.Description{Name: "odata-source", Version: "0.3.0",
		Components: components(t, "odata-source")}, "", wit.InterfaceSource)
	folders := []string{e2etest.CopyPlugins(t, "odata-sink"), e2etest.CopyPlugins(t, "odata-sink"),
		e2etest.CopyPlugins(t, "odata-sink")}
	_, address := e2etest.StartDemo(t, odatatest.Options{Rows: 60, PageSize: 25})
	g := &Group{Place: p, servers: servers, plugins: folders}
	g.start(3)
	g.createConnectors(address, connectors)
	g.AwaitSpread(connectors, tasks, 0, 1, 2)
	began := time.Now()
	put := func(n int, data []byte) { g.installPlugin(n, "odata-source", data) }

	g.awaitVersion("0.1.0", tasks)
	put(0, newer)
	put(1, newer)
	g.workers[0].Eventually("the worker without the version is named", func() bool {
		return strings.Contains(g.overview(0).Waits["odata-source"], shortDigest(newer)+": missing on http://"+g.ids[2])
	})
	if pin := g.overview(2).Plugins["odata-source"]; pin.Hash != shortDigest(old) {
		t.Errorf("expected the first version while a worker does not have the second, found %+v", pin)
	}
	g.awaitVersion("0.1.0", tasks)
	put(2, newer)
	complete := time.Now()
	g.awaitVersion("0.2.0", tasks)
	t.Logf("all workers have a newer version: all tasks run it after %v", time.Since(complete))
	g.workers[1].MustCall(204, "PUT", "/culvert/plugins/odata-source/rollback", "")
	g.awaitVersion("0.1.0", tasks)
	g.workers[2].MustCall(404, "PUT", "/culvert/plugins/odata-source/swap", `{"hash":"nothing"}`,
		"any worker of the group")
	g.workers[2].MustCall(204, "PUT", "/culvert/plugins/odata-source/swap", `{"hash":"`+hexDigest(newer)+`"}`)
	g.awaitVersion("0.2.0", tasks)

	for n := range folders {
		put(n, bad)
	}
	g.workers[0].Eventually("tasks say why they do not run the bad version", func() bool {
		_, answer := g.statuses(0)
		return strings.Count(answer, "runs: 0.3.0: ") == tasks
	})
	g.awaitVersion("0.2.0", tasks)
	g.workers[1].MustCall(204, "PUT", "/culvert/plugins/odata-source/swap", `{"hash":"`+hexDigest(newer)+`"}`)

	// The kill comes last, because without exactly-once it repeats a page whose offset was not stored.
	for n := range connectors {
		for set, rows := range map[string]int{"Orders": 60, "Products": 77} {
			checkOrder(t, servers, fmt.Sprint("c", n, set), rows, began)
		}
	}
	g.workers[0].Kill() // after its restart its folder has only the bad version of the plugin
	g.Join(0)
	g.awaitVersion("0.2.0", tasks)
	g.rollSink(address)
}

// rollSink replaces the plugin of a sink that writes records now and then.
func (g *Group) rollSink(address string) {
	g.T.Helper()
	newer := guesttest.Bytes(g.T, filepath.Join(e2etest.Bench.Root, "plugins", "odata-sink"), "main.version=0.2.0")
	client := e2etest.NewClient(g.T, g.servers)
	e2etest.CreateTopics(g.T, client, "back")
	sink := e2etest.SettingsOf(e2etest.Sink("back", address, "back", "OrderCopies"))
	// The answer is 409 before worker 0 is a member.
	g.workers[1].AwaitCall(201, "PUT", "/connectors/back/config", e2etest.AsJSON(g.T, sink))
	rows := 0
	produceUntil := func(what, version string) {
		g.T.Helper()
		g.workers[1].Eventually(what, func() bool {
			rows++
			require.NoError(g.T, client.ProduceSync(g.T.Context(), &kgo.Record{Topic: "back",
				Key:   fmt.Appendf(nil, `{"OrderID":%d}`, 50_000+rows),
				Value: fmt.Appendf(nil, `{"OrderID":%d,"ShipName":"x"}`, 50_000+rows)}).FirstErr())
			var s connect.Status
			_, answer := g.workers[1].Call("GET", "/connectors/back/status", "")
			return json.Unmarshal([]byte(answer), &s) == nil && len(s.Tasks) == 1 &&
				s.Tasks[0].State == connect.Running && s.Tasks[0].Version == version
		})
	}
	produceUntil("the sink runs", "0.1.0")
	for n := range g.workers {
		g.installPlugin(n, "odata-sink", newer)
	}
	produceUntil("the sink runs the newer version", "0.2.0")
	g.workers[1].Eventually("all run it", func() bool {
		pin := g.overview(1).Plugins["odata-sink"]
		return pin.Hash == shortDigest(newer)
	})
}

// installPlugin puts a version of a plugin into a worker's folder, and waits until the group knows it.
func (g *Group) installPlugin(n int, name string, data []byte) {
	g.T.Helper()
	e2etest.ReplaceFile(g.T, g.plugins[n], name+".wasm", data)
	g.workers[n].Eventually("the group hears of it", func() bool {
		group := g.overview(n)
		member := slices.IndexFunc(group.Members, func(m groupview.Member) bool { return m.WorkerID == g.ids[n] })
		return member >= 0 && slices.ContainsFunc(group.Members[member].Plugins, func(plugin groupview.Plugin) bool {
			return plugin.Hash == shortDigest(data)
		})
	})
}

func hexDigest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func shortDigest(data []byte) string { return hexDigest(data)[:12] }

// components returns the components of one of this repository's plugins.
func components(t *testing.T, name string) []wit.Component {
	t.Helper()
	m, err := plugin.New(t.Context(), plugin.Options{Folders: []string{e2etest.Plugins(t)}, CacheDir: guesttest.Code(t),
		Registry: record.NewRegistry()})
	require.NoError(t, err)
	defer m.Close()
	for _, info := range m.Modules() {
		if info.Name == name {
			return info.Description().Components
		}
	}
	t.Fatalf("no plugin %s", name)
	return nil
}

// awaitVersion waits until every worker reports that number of tasks with a version.
func (g *Group) awaitVersion(version string, tasks int) {
	g.T.Helper()
	for by, w := range g.workers {
		w.Eventually("all tasks run version "+version, func() bool {
			n := 0
			connectors, _ := g.statuses(by)
			for _, s := range connectors {
				for _, task := range s.Tasks {
					if task.State == connect.Running && task.Version == version {
						n++
					}
				}
			}
			return n == tasks
		})
	}
}

// checkOrder checks that the records of a topic after a moment are repeated complete reads of a set, each row in its
// order.
func checkOrder(t *testing.T, servers, topic string, rows int, after time.Time) {
	t.Helper()
	var keys, rowKeys []string // rowKeys has each key once, in the order of the first read
	position := map[string]int{}
	for _, r := range readRecords(t, servers, topic) {
		key := string(r.Key)
		if r.Timestamp.After(after) {
			if _, ok := position[key]; !ok {
				position[key] = len(rowKeys)
				rowKeys = append(rowKeys, key)
			}
			keys = append(keys, key)
		}
	}
	require.Equal(t, rows, len(rowKeys), topic, "rows")
	wrong := 0
	for i := 1; i < len(keys) && wrong < 5; i++ {
		if want := rowKeys[(position[keys[i-1]]+1)%rows]; keys[i] != want {
			wrong++
			t.Errorf("%s: record %d of %d: expected %s after %s, found %s", topic, i, len(keys), want, keys[i-1],
				keys[i])
		}
	}
	t.Logf("%s: %d records in order", topic, len(keys))
}
