//go:build real

package real

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// The group whose topics Culvert takes over. Its workers run Kafka Connect first, then Culvert.
const (
	takeoverGroup   = "left"
	takeoverWorkers = 2
)

// Connectors that differ from the others of their kind, see takeoverStates.
const (
	twoTaskSink = "sink0"
	// failedSource is a source whose task fails with its first line.
	failedSource = "failed"
	// halfSource has tasks without a commit, because the worker died when it created the connector.
	halfSource = "half"
	// compactedSource has later tasks without a commit, and compaction removed the committed ones.
	compactedSource = "compacted-1"
)

// connectorView is the part of a connector that a takeover preserves.
type connectorView struct {
	Config  map[string]string
	State   string // the connector's and its tasks' states, separated by spaces
	Offsets string // the REST API's JSON without spaces and fingerprints; "" if addOffsets did not read it
}

// takeover is a group of Kafka Connect workers, and the group of Culvert workers that takes over its topics.
type takeover struct {
	*e2etest.Place
	servers   string
	filesPort string          // of the HTTP server that Culvert's plugin reads the files from
	worker    *e2etest.Worker // any worker that runs now
	lines     int             // lines that were written to files
}

// newTakeover starts a broker whose log cleaner runs often. No worker runs yet.
func newTakeover(t *testing.T) *takeover {
	t.Helper()
	dir := t.TempDir()
	broker := e2etest.FreePort(t)
	properties := filepath.Join(dir, "more.properties")
	require.NoError(t, os.WriteFile(properties, []byte("log.cleaner.backoff.ms=200\n"), 0o600))
	e2etest.StartPeer(t, "kafka/start-broker.sh", dir, []string{"CONTROLLER_PORT=" + e2etest.FreePort(t),
		"BROKER_PROPS=" + properties}, broker, dir)
	p := e2etest.NewPlace(t)
	return &takeover{Place: p, servers: "127.0.0.1:" + broker, filesPort: filesServer(t),
		worker: &e2etest.Worker{Place: p, Command: p.Start("version")}}
}

// startConnect starts workers of Kafka Connect; stop shuts them down.
func (t *takeover) startConnect() (stop func()) {
	t.T.Helper()
	var stops []func()
	for range takeoverWorkers {
		port := e2etest.FreePort(t.T)
		dir := t.T.TempDir()
		p := e2etest.StartPeer(t.T, "kafka/start-connect.sh", dir, []string{"GROUP=" + takeoverGroup, "HEAP=192m"},
			port, t.servers, dir)
		stops = append(stops, p.Stop)
		t.worker = &e2etest.Worker{Place: t.Place, Command: t.worker.Command, URL: "http://127.0.0.1:" + port}
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

// workerArguments returns the arguments of a Culvert worker. Commands for its group need the same arguments.
func (t *takeover) workerArguments(n int, address string) (arguments []string) {
	t.T.Helper()
	plugins := t.Subfolder("plugins") // without a sink plugin
	e2etest.WriteFile(t.T, plugins, "files-source.wasm", guesttest.Bytes(t.T,
		"../../../../testdata/guests/files-source", "main.version=4.3.1"))
	file := t.File(fmt.Sprintf("worker%d.properties", n), "bootstrap.servers="+t.servers, "group.id="+takeoverGroup,
		"config.storage.topic="+takeoverGroup+"-configs", "status.storage.topic="+takeoverGroup+"-status",
		"offset.storage.topic="+takeoverGroup+"-offsets", "scheduled.rebalance.max.delay.ms=3000",
		"key.converter=org.apache.kafka.connect.json.JsonConverter",
		"value.converter=org.apache.kafka.connect.json.JsonConverter", "offset.flush.interval.ms=500",
		"listeners=http://"+address)
	return []string{"--plugins", plugins, "--data", t.Subfolder(fmt.Sprintf("data%d", n)), file}
}

// runCluster runs a command of culvert cluster and checks its exit code.
func (t *takeover) runCluster(command string, code int) e2etest.Result {
	t.T.Helper()
	arguments := t.workerArguments(takeoverWorkers, porttest.Address(t.T))
	return t.Run(append([]string{"cluster", command}, arguments...)...).WantCode(code)
}

// startCulvert starts Culvert's workers; stop shuts them down.
func (t *takeover) startCulvert() (stop func()) {
	t.T.Helper()
	var workers []*e2etest.Worker
	for n := range takeoverWorkers {
		address := porttest.Address(t.T)
		workers = append(workers, t.StartWorkerAt(address, t.workerArguments(n, address)...))
	}
	t.worker = workers[0]
	t.T.Cleanup(func() {
		for n, w := range workers {
			log := w.Stderr.String()
			if t.T.Failed() {
				t.T.Logf("worker %d:\n%s", n, log[max(0, len(log)-5000):])
			}
		}
	})
	return func() {
		for _, w := range workers {
			w.MustStop()
		}
	}
}

// settings returns the settings of a source, which reads the file of its name, or of a sink. The settings files.… are
// for Culvert's plugin; Kafka Connect ignores them.
func (t *takeover) settings(name string) map[string]string {
	if strings.HasPrefix(name, "sink") {
		return map[string]string{
			"name":            name,
			"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
			"topics":          "quiet",
			"file":            filepath.Join(t.Dir, name),
			"tasks.max":       map[bool]string{true: "2", false: "1"}[name == twoTaskSink],
		}
	}
	settings := map[string]string{
		"name":            name,
		"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
		"topic":           "lines",
		"file":            filepath.Join(t.Dir, name),
		"files.scheme":    "http",
		"files.address":   "127.0.0.1",
		"files.port":      t.filesPort,
		"tasks.max":       "1",
	}
	if name == failedSource {
		// This converter rejects strings.
		settings["value.converter"] = "org.apache.kafka.connect.converters.ByteArrayConverter"
	}
	return settings
}

// appendLines appends a line to the file of each of the connectors.
func (t *takeover) appendLines(names ...string) {
	t.T.Helper()
	for _, name := range names {
		file, err := os.OpenFile(filepath.Join(t.Dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		require.NoError(t.T, err)
		t.lines++
		_, err = fmt.Fprintln(file, "line", t.lines)
		require.NoError(t.T, err)
		require.NoError(t.T, file.Close())
	}
}

// listConnectors returns the configuration and state of all connectors as a worker's REST API reports them, without
// offsets. It returns nil if the response is an error.
func (t *takeover) listConnectors() (connectors map[string]connectorView) {
	t.T.Helper()
	var list map[string]struct {
		Info   struct{ Config map[string]string }
		Status struct {
			Connector struct{ State string }
			Tasks     []struct{ State string }
		}
	}
	_, answer := t.worker.Call("GET", "/connectors?expand=info&expand=status", "")
	if json.Unmarshal([]byte(answer), &list) != nil {
		return nil
	}
	connectors = map[string]connectorView{}
	for name, s := range list {
		state := s.Status.Connector.State
		for _, task := range s.Status.Tasks {
			state += " " + task.State
		}
		connectors[name] = connectorView{Config: s.Info.Config, State: state}
	}
	return connectors
}

// fingerprint matches a field that Culvert adds to an offset. Kafka Connect keeps it, or drops it with the next offset.
var fingerprint = regexp.MustCompile(`,"fingerprint":"[^"]*"|"fingerprint":"[^"]*",`)

// addOffsets sets the offsets, as a worker's REST API reports them, of the connectors that isWanted selects. It changes
// and returns connectors.
func (t *takeover) addOffsets(connectors map[string]connectorView,
	isWanted func(name string) bool) map[string]connectorView {
	t.T.Helper()
	for name, view := range connectors {
		if isWanted(name) {
			t.worker.Eventually("offsets of "+name, func() (ok bool) {
				status, answer := t.worker.Call("GET", "/connectors/"+name+"/offsets", "")
				if ok = status == 200; ok {
					view.Offsets = fingerprint.ReplaceAllString(strings.Join(strings.Fields(answer), ""), "")
				}
				return ok
			})
			connectors[name] = view
		}
	}
	return connectors
}

// awaitStates waits until exactly the connectors of want are in these states, and returns them. It fails after a
// minute.
func (t *takeover) awaitStates(what string, want map[string]string) map[string]connectorView {
	t.T.Helper()
	began := time.Now()
	var connectors map[string]connectorView
	var difference string
	t.worker.Eventually(what, func() bool {
		connectors = t.listConnectors()
		difference = ""
		for name, state := range want {
			if connectors[name].State != state {
				difference += fmt.Sprintf("%s is %q, ", name, connectors[name].State)
			}
		}
		if len(connectors) != len(want) {
			difference += fmt.Sprintf("%d connectors, ", len(connectors))
		}
		require.True(t.T, difference == "" || time.Since(began) <= time.Minute, "%s: %.500s", what, difference)
		return difference == ""
	})
	t.T.Logf("%s after %v", what, time.Since(began).Round(time.Millisecond))
	return connectors
}

// awaitEndOffsets waits until the offsets of connectors are at the ends of their files, and checks that every line that
// was written to any file is in the topic once.
func (t *takeover) awaitEndOffsets(names ...string) {
	t.T.Helper()
	for _, name := range names {
		info, err := os.Stat(filepath.Join(t.Dir, name))
		require.NoError(t.T, err)
		t.worker.AwaitCall(200, "GET", "/connectors/"+name+"/offsets", "", fmt.Sprintf(`"position":%d`, info.Size()))
	}
	e2etest.ReadTopic(t.T, t.servers, "lines", t.lines)
}

// writeUncommittedTasks writes the records of a worker that died before it committed tasks, of halfSource and
// compactedSource. It waits until compaction has removed the committed tasks of compactedSource.
func (t *takeover) writeUncommittedTasks() {
	t.T.Helper()
	topic := takeoverGroup + "-configs"
	client := e2etest.NewClient(t.T, t.servers)
	set := func(name, value string) kadm.AlterConfig {
		return kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value}
	}
	_, err := kadm.NewClient(client).AlterTopicConfigs(t.T.Context(), []kadm.AlterConfig{set("segment.ms", "100"),
		set("min.cleanable.dirty.ratio", "0.001"), set("min.compaction.lag.ms", "0")}, topic)
	require.NoError(t.T, err)
	write := func(records ...configtopic.Record) {
		t.T.Helper()
		for _, r := range records {
			require.NoError(t.T, client.ProduceSync(t.T.Context(), &kgo.Record{Topic: topic, Key: []byte(r.Key),
				Value: r.Value}).FirstErr())
		}
	}
	uncommitted := map[string]string{"lost": "with the worker"}
	write(configtopic.ConnectorRecord(halfSource, t.settings(halfSource)),
		configtopic.TaskRecord(halfSource, 0, uncommitted),
		configtopic.TaskRecord(compactedSource, 0, uncommitted))
	t.worker.Eventually("compaction", func() bool {
		// A record lets the broker end a segment, which it can compact then.
		write(configtopic.TargetRecord(halfSource, config.TargetStarted))
		endOffsets := e2etest.EndOffsets(t.T, t.servers, topic)
		reader := e2etest.NewClient(t.T, t.servers, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			topic: {0: kgo.NewOffset().AtStart()}}))
		defer reader.Close()
		taskRecords := 0
		for offset := int64(0); offset < endOffsets[0]; {
			for _, r := range reader.PollFetches(t.T.Context()).Records() {
				offset = r.Offset + 1
				if string(r.Key) == "task-"+compactedSource+"-0" {
					taskRecords++
				}
			}
		}
		return taskRecords == 1
	})
}

// TestRealTakeover replaces two workers of Kafka Connect, with connectors in every state, by two of Culvert, and these
// by Kafka Connect's again: names, configurations, states and offsets stay the same, and every line arrives once.
func TestRealTakeover(t *testing.T) {
	t.Parallel()
	start := time.Now()
	f := newTakeover(t)
	want := takeoverStates()
	e2etest.WriteFile(t, f.Dir, failedSource, []byte("a line\n"))

	// Kafka Connect runs connectors in all states.
	stop := f.startConnect()
	e2etest.Produce(t, f.servers, &kgo.Record{Topic: "quiet", Value: []byte(`{"schema":null,"payload":"a line"}`)})
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if isTakeoverSource(name) && name != failedSource {
			f.appendLines(name)
		}
		settings := f.settings(name)
		f.worker.AwaitCall(201, "PUT", "/connectors/"+name+"/config", e2etest.AsJSON(t, settings))
	}
	f.awaitStates("Kafka Connect runs all", want)
	f.awaitEndOffsets(slices.DeleteFunc(slices.Collect(maps.Keys(want)), func(name string) bool {
		return !isTakeoverSource(name) || name == failedSource
	})...)
	running := f.steerAll(want)
	all := func(string) bool { return true }
	original := f.addOffsets(f.awaitStates("Kafka Connect has them in all states", want), all)
	// The message may have no addresses, because members do not report them during a rebalance.
	live := "live: stop it first: "
	f.runCluster("check", 1).WantStdout(live)
	f.runCluster("release", 1).WantOutput(live)
	stop()
	f.appendLines(halfSource)
	f.writeUncommittedTasks()
	original[halfSource] = connectorView{Config: f.settings(halfSource), State: "RUNNING RUNNING"}
	want[halfSource] = "RUNNING RUNNING"
	t.Logf("%d connectors, and 2 that are deleted, after %v", len(want), time.Since(start).Round(time.Second))

	// Culvert takes the connectors over. It has no plugin for the sinks.
	culvertStates := maps.Clone(want)
	for name := range culvertStates {
		if !isTakeoverSource(name) {
			culvertStates[name] = strings.ReplaceAll(culvertStates[name], "RUNNING", "UNASSIGNED")
		}
	}
	stop = f.startCulvert()
	f.checkAllAreTakenOver(original, culvertStates)
	f.appendLines(append(running, compactedSource)...)
	f.awaitEndOffsets(append(running, halfSource, compactedSource)...)
	culvertViews := f.addOffsets(f.listConnectors(), isTakeoverSource)
	f.runCluster("check", 1).WantStdout("a Culvert worker is live: workers that start join it: ", f.worker.URL)
	f.runCluster("release", 1).WantOutput("a Culvert worker is live: stop it first, by SIGTERM (", f.worker.URL)
	stop()
	f.runCluster("release", 0)

	// Kafka Connect takes them over again.
	stop = f.startConnect()
	for name := range want {
		if takeoverKind(name) == "paused" {
			want[name] = "PAUSED" // Kafka Connect creates its tasks when it is resumed
		}
	}
	connectViews := f.addOffsets(f.awaitStates("Kafka Connect has them again", want), all)
	for name, view := range culvertViews {
		view.State = want[name]
		if !isTakeoverSource(name) {
			view.Offsets = original[name].Offsets
		}
		assert.Equal(t, view, connectViews[name], name+", given back")
	}
	assert.Equal(t, len(culvertViews), len(connectViews), "names")
	f.appendLines(append(running, halfSource, compactedSource)...)
	f.awaitEndOffsets(append(running, halfSource, compactedSource)...)
	f.checkConnectFindsOffsetsOfASource()
	stop()
	t.Logf("in all %v", time.Since(start).Round(time.Second))
}

// takeoverKind returns the name of a connector without its number.
func takeoverKind(name string) string { return strings.TrimRight(name, "0123456789") }

func isTakeoverSource(name string) bool { return takeoverKind(name) != "sink" }

// takeoverStates returns the states that the connectors have at first, by name: the connector's state and its tasks'.
func takeoverStates() map[string]string {
	want := map[string]string{}
	for kind, n := range map[string]int{"run": 4, "paused": 3, "stopped": 3, "deleted": 2, "sink": 2} {
		for i := range n {
			want[fmt.Sprint(kind, i)] = "RUNNING RUNNING"
		}
	}
	want[compactedSource] = "RUNNING RUNNING"
	want[twoTaskSink] = "RUNNING RUNNING RUNNING"
	want[failedSource] = "RUNNING FAILED"
	return want
}

// steerAll pauses, stops and deletes connectors by their kinds, and changes the expected states in want. It returns the
// sources of the kind run.
func (t *takeover) steerAll(want map[string]string) (running []string) {
	t.T.Helper()
	states := map[string]string{"paused": "PAUSED PAUSED", "stopped": "STOPPED"}
	for name := range maps.Clone(want) {
		switch takeoverKind(name) {
		case "paused":
			t.worker.AwaitCall(202, "PUT", "/connectors/"+name+"/pause", "")
		case "stopped":
			t.worker.AwaitCall(204, "PUT", "/connectors/"+name+"/stop", "")
		case "deleted":
			t.worker.AwaitCall(204, "DELETE", "/connectors/"+name, "")
			delete(want, name)
			continue
		case "run":
			running = append(running, name)
		}
		want[name] = cmp.Or(states[takeoverKind(name)], want[name])
	}
	return running
}

// checkAllAreTakenOver checks that Culvert's workers have the connectors of Kafka Connect, in the expected states.
// Sinks are UNASSIGNED, and their traces name the class.
func (t *takeover) checkAllAreTakenOver(original map[string]connectorView, states map[string]string) {
	t.T.Helper()
	current := t.addOffsets(t.awaitStates("our workers have them", states), isTakeoverSource)
	for name, view := range original {
		if !isTakeoverSource(name) {
			view.State = states[name]
			view.Offsets = ""
			t.worker.MustCall(200, "GET", "/connectors/"+name+"/status", "", "FileStreamSinkConnector", `"trace":"`)
		}
		if name == halfSource {
			view.Offsets = current[name].Offsets // Kafka Connect had none
		}
		assert.Equal(t.T, view, current[name], name)
	}
}

// checkConnectFindsOffsetsOfASource checks that Kafka Connect finds the offsets that a connector of Culvert stored. It
// compares the bytes of their keys, and a partition of this connector has several fields.
func (t *takeover) checkConnectFindsOffsetsOfASource() {
	t.T.Helper()
	_, address := e2etest.StartDemo(t.T, odatatest.Options{Rows: 5})
	t.MustRunOnce(t.File("odata-worker.properties", "bootstrap.servers="+t.servers, "listeners=",
		"offset.storage.topic="+takeoverGroup+"-offsets"), t.File("odata.properties",
		e2etest.Source("odata", address, "Orders")...))
	t.worker.AwaitCall(201, "POST", "/connectors", `{"name":"odata","initial_state":"STOPPED","config":{`+
		`"connector.class":"FileStreamSource","topic":"unused","file":"/dev/null"}}`)
	t.worker.AwaitCall(200, "GET", "/connectors/odata/offsets", "", `"entityset":"Orders"`, `"offset":{`)
}
