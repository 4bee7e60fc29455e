package delivery

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// Group is a group of workers on brokers of the test.
type Group struct {
	*e2etest.Place
	servers string
	plugins []string // folders by worker; nil means one folder for all
	workers []*e2etest.Worker
	ids     []string // host:port of each worker
	// hasFolders means that each worker has a folder of connectors of its own, confN.
	hasFolders bool
	// lines are added to each worker's file and replace lines of the same name; %d is the worker's number.
	lines []string
}

// NewGroup starts a group of workers, with more lines in their files, see [Group].
func NewGroup(t *testing.T, p *e2etest.Place, servers string, workers int, lines ...string) *Group {
	t.Helper()
	g := &Group{Place: p, servers: servers, lines: lines}
	g.start(workers)
	return g
}

// start starts workers.
func (g *Group) start(workers int) {
	g.T.Helper()
	for range workers {
		g.addWorker()
	}
	for n := range g.workers {
		g.Join(n)
	}
}

// addWorker adds a worker without starting it.
func (g *Group) addWorker() {
	g.T.Helper()
	g.workers = append(g.workers, nil)
	g.ids = append(g.ids, porttest.Address(g.T))
}

// Join starts a worker, with more options, and waits for its REST API.
func (g *Group) Join(n int, more ...string) {
	g.T.Helper()
	// The worker has its own data folder, as on its own machine.
	machine := *g.Place
	machine.Dir = g.Machine(n)
	g.workers[n] = machine.StartWorkerAt(g.ids[n], append(g.arguments(n), more...)...)
}

// arguments returns the command line of a worker.
func (g *Group) arguments(n int) (args []string) {
	g.T.Helper()
	file := g.WriteWorkerFile(n)
	plugins := ""
	if len(g.plugins) > 0 {
		plugins = g.plugins[n]
	} else {
		plugins = e2etest.Plugins(g.T, "odata-sink")
	}
	args = []string{"--plugins", plugins, "--data", g.Subfolder(fmt.Sprintf("data%d", n))}
	if g.hasFolders {
		args = append(args, "--config")
		file = filepath.Dir(file)
	}
	return append(args, file)
}

// Machine returns the working folder of a worker.
func (g *Group) Machine(n int) string { return g.Subfolder(fmt.Sprintf("machine%d", n)) }

// WriteWorkerFile writes the file of a worker.
func (g *Group) WriteWorkerFile(n int) (file string) {
	g.T.Helper()
	name := fmt.Sprintf("worker%d.properties", n)
	if g.hasFolders {
		name = fmt.Sprintf("conf%d/worker.properties", n)
	}
	lines := []string{"bootstrap.servers=" + g.servers, "group.id=workers",
		"config.storage.topic=configs", "status.storage.topic=states", "offset.storage.topic=offsets",
		"config.storage.replication.factor=1", "status.storage.replication.factor=1",
		"offset.storage.replication.factor=1",
		"session.timeout.ms=6000", "heartbeat.interval.ms=1000", "scheduled.rebalance.max.delay.ms=1000",
		"offset.flush.interval.ms=500", "listeners=http://" + g.ids[n],
		"value.converter.schemas.enable=false", "key.converter.schemas.enable=false"}
	for _, line := range g.lines {
		lines = e2etest.WithSettings(lines, strings.ReplaceAll(line, "%d", strconv.Itoa(n)))
	}
	return g.File(name, lines...)
}

// createConnectors creates connectors with two tasks each.
func (g *Group) createConnectors(address string, connectors int) {
	g.T.Helper()
	for n := range connectors {
		name := fmt.Sprint("c", n)
		w := g.workers[n%len(g.workers)]
		w.AwaitChangeable()
		w.MustCall(201, "POST", "/connectors", e2etest.AsJSON(g.T, map[string]any{"name": name,
			"config": groupSource(address, name)}))
	}
}

// overview returns the leader's view of the group as worker by reports it, empty without a leader.
func (g *Group) overview(by int) (o groupview.Group) {
	_, answer := g.workers[by].Call("GET", "/culvert/cluster", "")
	_ = json.Unmarshal([]byte(answer), &o) // an answer without a leader leaves it empty
	return o
}

// statuses returns the status of every connector as a worker reports it; nil if the answer is something else.
func (g *Group) statuses(by int) (connectors map[string]connect.Status, answer string) {
	g.T.Helper()
	var shown map[string]struct{ Status connect.Status }
	_, answer = g.workers[by].Call("GET", "/connectors?expand=status", "")
	if json.Unmarshal([]byte(answer), &shown) != nil {
		return nil, answer
	}
	connectors = map[string]connect.Status{}
	for name, c := range shown {
		connectors[name] = c.Status
	}
	return connectors, answer
}

// countRunning counts the connectors and tasks on each worker, by its ID, as worker by reports. others describes those
// that do not run.
func (g *Group) countRunning(by int) (connectors, tasks map[string]int, others []string) {
	g.T.Helper()
	connectors = map[string]int{}
	tasks = map[string]int{}
	all, answer := g.statuses(by)
	if all == nil {
		return connectors, tasks, []string{answer}
	}
	for name, s := range all {
		if s.Connector.State != connect.Running || len(s.Tasks) == 0 {
			others = append(others, fmt.Sprintf("%s %s at %s with %d tasks", name, s.Connector.State,
				s.Connector.WorkerID, len(s.Tasks)))
		}
		connectors[s.Connector.WorkerID]++
		for _, task := range s.Tasks {
			tasks[task.WorkerID]++
			if task.State != connect.Running {
				others = append(others, fmt.Sprintf("%s-%d %s at %s: %s", name, task.ID, task.State, task.WorkerID,
					task.Trace))
			}
		}
	}
	return connectors, tasks, others
}

// AwaitSpread waits until so many connectors and tasks run evenly on the workers, as each of them reports.
func (g *Group) AwaitSpread(connectors, tasks int, workers ...int) {
	g.T.Helper()
	isShare := func(n, total int) bool { return n >= total/len(workers) && n <= (total-1)/len(workers)+1 }
	for _, by := range workers {
		var counts string
		g.workers[by].Eventually("everything runs evenly", func() bool {
			connectorsOf, tasksOf, others := g.countRunning(by)
			counts = fmt.Sprint(connectorsOf, tasksOf, others)
			isEven := len(others) == 0
			sum := 0
			for _, n := range workers {
				id := g.ids[n]
				isEven = isEven && isShare(connectorsOf[id], connectors) && isShare(tasksOf[id], tasks)
				sum += connectorsOf[id] + tasksOf[id]
			}
			return isEven && sum == connectors+tasks
		})
		require.True(g.T, !g.T.Failed(), "%v", counts)
	}
}

// groupSource returns the settings of a source with two tasks, each of which reads a set every second into its own
// topic.
func groupSource(address, name string) map[string]string {
	settings := e2etest.SettingsOf(e2etest.Source(name, address, "Orders", "Products"))
	settings["tasks.max"] = "2"
	for n, set := range []string{"Orders", "Products"} {
		entry := fmt.Sprintf("sap.odata#%02d.", n)
		settings[entry+"topic"] = name + set
		settings[entry+"exec-period"] = "1"
	}
	return settings
}

// Workers distribute connectors among themselves, continue when one of them leaves, is killed or returns, and hand over
// before they stop.
func TestWorkersOfAGroup(t *testing.T) {
	onEmbedded(t, func(t *testing.T, p *e2etest.Place, servers string) {
		WorkersOfAGroup(t, p, servers).drainAll(5, 9)
	})
}

// WorkersOfAGroup ends with three workers that run 5 connectors and 9 tasks.
func WorkersOfAGroup(t *testing.T, p *e2etest.Place, servers string) *Group {
	t.Helper()
	const connectors, tasks = 6, 12
	_, address := e2etest.StartDemo(t, odatatest.Options{Rows: 60, PageSize: 25})
	g := NewGroup(t, p, servers, 3)
	post := func(n, by, wantStatus int, message string) {
		name := fmt.Sprint("c", n)
		g.workers[by].MustCall(wantStatus, "POST", "/connectors", e2etest.AsJSON(t, map[string]any{"name": name,
			"config": groupSource(address, name)}), message)
	}
	for n := range connectors {
		g.workers[n%3].AwaitChangeable()
		post(n, n%3, 201, fmt.Sprintf(`"name":"c%d"`, n))
	}
	g.AwaitSpread(connectors, tasks, 0, 1, 2)
	post(0, 1, 409, "Connector c0 already exists")

	g.workers[0].MustCall(202, "PUT", "/connectors/c1/pause", "")
	g.workers[1].Await("c1", "is paused", e2etest.HasState(connect.Paused, 2))
	g.workers[1].MustCall(202, "PUT", "/connectors/c1/resume", "")
	g.workers[2].MustCall(204, "PUT", "/connectors/c2/stop", "")
	g.workers[0].Await("c2", "is stopped", e2etest.HasState(connect.Stopped, 0))
	g.workers[0].MustCall(202, "PUT", "/connectors/c2/resume", "")
	g.AwaitSpread(connectors, tasks, 0, 1, 2)

	g.workers[0].MustCall(202, "POST", "/connectors/c1/restart?includeTasks=true", "", `"state":"RESTARTING"`)
	g.workers[1].MustCall(404, "POST", "/connectors/none/restart?includeTasks=true", "")
	g.AwaitSpread(connectors, tasks, 0, 1, 2)
	g.workers[2].MustCall(204, "PUT", "/admin/loggers/kafka?scope=cluster", `{"level":"ERROR"}`)
	for _, w := range g.workers {
		w.AwaitCall(200, "GET", "/admin/loggers/kafka", "", `"level":"ERROR"`)
	}

	changed := groupSource(address, "c3")
	changed["tasks.max"] = "1"
	g.workers[0].MustCall(200, "PUT", "/connectors/c3/config", e2etest.AsJSON(t, changed), `"tasks.max":"1"`)
	g.workers[1].Await("c3", "has one task", e2etest.HasState(connect.Running, 1))
	g.workers[2].MustCall(204, "DELETE", "/connectors/c4", "")
	g.workers[1].AwaitCall(404, "GET", "/connectors/c4/status", "")
	g.AwaitSpread(connectors-1, tasks-3, 0, 1, 2)

	began := time.Now()
	g.workers[0].MustStop()
	g.AwaitSpread(connectors-1, tasks-3, 1, 2)
	t.Logf("a worker that stops: all runs elsewhere after %v", time.Since(began))
	g.Join(0)
	g.AwaitSpread(connectors-1, tasks-3, 0, 1, 2)

	began = time.Now()
	g.workers[1].Kill()
	g.AwaitSpread(connectors-1, tasks-3, 0, 2)
	t.Logf("a worker that is killed: all runs elsewhere after %v", time.Since(began))
	g.Join(1)
	g.AwaitSpread(connectors-1, tasks-3, 0, 1, 2)
	for _, name := range []string{"c0", "c1", "c2", "c3", "c5"} {
		for set, rows := range map[string]int{"Orders": 60, "Products": 77} {
			topic := name + set
			g.workers[0].Eventually("all rows of "+topic, func() bool { return countKeys(t, servers, topic) == rows })
		}
	}
	return g
}

// countKeys counts the keys of the records in a topic.
func countKeys(t *testing.T, servers, topic string) int {
	t.Helper()
	keys := map[string]bool{}
	for _, r := range readRecords(t, servers, topic) {
		keys[string(r.Key)] = true
	}
	return len(keys)
}

func readRecords(t *testing.T, servers, topic string) (records []*kgo.Record) {
	t.Helper()
	k := kafka.Defaults()
	k.Bootstrap = []string{servers}
	reader, err := kafka.NewReader(k)
	require.NoError(t, err)
	defer reader.Close()
	_, err = reader.Read(t.Context(), topic, kafka.ReadOptions{}, func(r *kgo.Record) error {
		records = append(records, r)
		return nil
	})
	require.NoError(t, err)
	return records
}
