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

	"github.com/culvert-project/culvert/internal/cluster/configtopic"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// leftGroup is the group whose topics are taken over. It has leftWorkers workers, first of Kafka Connect, then of
// Culvert.
const leftGroup, leftWorkers = "left", 2

// wide is a connector of two tasks. The task of failed fails with its first line.
const wide, failed = "sink0", "failed"

// kept is the part of a connector that a takeover preserves.
type kept struct {
	Config  map[string]string
	State   string // of the connector and its tasks
	Offsets string
}

// takeover is a group of Kafka Connect workers, and the group of Culvert workers that takes over its topics.
type takeover struct {
	*e2etest.Place
	servers   string
	filesPort string
	followed  *e2etest.Followed // any worker that runs now
	lines     int               // lines that were written to files
}

// java starts workers of Kafka Connect; stop shuts them down.
func (t *takeover) java() (stop func()) {
	t.T.Helper()
	var stops []func()
	for range leftWorkers {
		port := e2etest.FreePort(t.T)
		dir := t.T.TempDir()
		p := e2etest.StartPeer(t.T, "kafka/start-connect.sh", dir, []string{"GROUP=" + leftGroup, "HEAP=192m"}, port,
			t.servers, dir)
		stops = append(stops, p.Stop)
		t.followed = &e2etest.Followed{Place: t.Place, Command: t.followed.Command, Url: "http://127.0.0.1:" + port}
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

// worker returns the arguments of a Culvert worker. Commands for its group need the same arguments.
func (t *takeover) worker(n int, address string) (arguments []string) {
	t.T.Helper()
	plugins := t.Subfolder("plugins") // no sink among them
	e2etest.Put(t.T, plugins, "files-source.wasm", guesttest.Bytes(t.T, "../../../../testdata/guests/files-source",
		"main.version=4.3.1"))
	file := t.File(fmt.Sprintf("worker%d.properties", n), "bootstrap.servers="+t.servers, "group.id="+leftGroup,
		"config.storage.topic="+leftGroup+"-configs", "status.storage.topic="+leftGroup+"-status",
		"offset.storage.topic="+leftGroup+"-offsets", "scheduled.rebalance.max.delay.ms=3000",
		"key.converter=org.apache.kafka.connect.json.JsonConverter",
		"value.converter=org.apache.kafka.connect.json.JsonConverter", "offset.flush.interval.ms=500",
		"listeners=http://"+address)
	return []string{"--plugins", plugins, "--data", t.Subfolder(fmt.Sprintf("data%d", n)), file}
}

// cluster runs a command of culvert cluster.
func (t *takeover) cluster(command string, code int) e2etest.Result {
	t.T.Helper()
	return t.Run(append([]string{"cluster", command}, t.worker(leftWorkers, porttest.Address(t.T))...)...).Exits(code)
}

// ours starts Culvert's workers; stop shuts them down.
func (t *takeover) ours() (stop func()) {
	t.T.Helper()
	var workers []*e2etest.Followed
	for n := range leftWorkers {
		address := porttest.Address(t.T)
		workers = append(workers, t.Serves(address, t.worker(n, address)...))
	}
	t.followed = workers[0]
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

// settings returns the settings of a source, which reads a file of its own, or of a sink.
func (t *takeover) settings(name string) map[string]string {
	if strings.HasPrefix(name, "sink") {
		return map[string]string{"name": name, "topics": "quiet", "file": filepath.Join(t.Dir, name),
			"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
			"tasks.max":       map[bool]string{true: "2", false: "1"}[name == wide]}
	}
	settings := map[string]string{"name": name,
		"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
		"topic":           "lines", "file": filepath.Join(t.Dir, name), "files.scheme": "http",
		"files.address": "127.0.0.1",
		"files.port":    t.filesPort, "tasks.max": "1"}
	if name == failed {
		settings["value.converter"] = "org.apache.kafka.connect.converters.ByteArrayConverter" // which fails on texts
	}
	return settings
}

// writes adds a line to files of connectors.
func (t *takeover) writes(names ...string) {
	t.T.Helper()
	for _, name := range names {
		file, err := os.OpenFile(filepath.Join(t.Dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		e2etest.NoError(t.T, err)
		t.lines++
		_, err = fmt.Fprintln(file, "line", t.lines)
		e2etest.NoError(t.T, err)
		e2etest.NoError(t.T, file.Close())
	}
}

// shows returns the configuration and state of all connectors as a worker's REST API reports them, without offsets.
func (t *takeover) shows() (connectors map[string]kept) {
	t.T.Helper()
	var shown map[string]struct {
		Info   struct{ Config map[string]string }
		Status struct {
			Connector struct{ State string }
			Tasks     []struct{ State string }
		}
	}
	_, answer := t.followed.Call("GET", "/connectors?expand=info&expand=status", "")
	if json.Unmarshal([]byte(answer), &shown) != nil {
		return nil // an error, which has other fields
	}
	connectors = map[string]kept{}
	for name, s := range shown {
		state := s.Status.Connector.State
		for _, task := range s.Status.Tasks {
			state += " " + task.State
		}
		connectors[name] = kept{Config: s.Info.Config, State: state}
	}
	return connectors
}

// fingerprint is a field that Culvert adds to an offset. Kafka Connect keeps it, or drops it with the next offset.
var fingerprint = regexp.MustCompile(`,"fingerprint":"[^"]*"|"fingerprint":"[^"]*",`)

// offsets adds the offsets of connectors, as a worker's REST API reports them, and returns all.
func (t *takeover) offsets(connectors map[string]kept, of func(name string) bool) map[string]kept {
	t.T.Helper()
	for name, k := range connectors {
		if of(name) {
			t.followed.Eventually("offsets of "+name, func() (ok bool) {
				status, answer := t.followed.Call("GET", "/connectors/"+name+"/offsets", "")
				if ok = status == 200; ok {
					k.Offsets = fingerprint.ReplaceAllString(strings.Join(strings.Fields(answer), ""), "")
				}
				return ok
			})
			connectors[name] = k
		}
	}
	return connectors
}

// awaits waits until all connectors are in the expected states, and returns all.
func (t *takeover) awaits(what string, want map[string]string) map[string]kept {
	t.T.Helper()
	began := time.Now()
	var connectors map[string]kept
	var differ string
	t.followed.Eventually(what, func() bool {
		connectors = t.shows()
		differ = ""
		for name, state := range want {
			if connectors[name].State != state {
				differ += fmt.Sprintf("%s is %q, ", name, connectors[name].State)
			}
		}
		if len(connectors) != len(want) {
			differ += fmt.Sprintf("%d connectors, ", len(connectors))
		}
		if differ != "" && time.Since(began) > time.Minute {
			t.T.Fatalf("%s: %.500s", what, differ)
		}
		return differ == ""
	})
	t.T.Logf("%s after %v", what, time.Since(began).Round(time.Millisecond))
	return connectors
}

// reaches waits until the offsets of connectors are at the ends of their files, and expects every line once.
func (t *takeover) reaches(names ...string) {
	t.T.Helper()
	for _, name := range names {
		info, err := os.Stat(filepath.Join(t.Dir, name))
		e2etest.NoError(t.T, err)
		t.followed.Until(200, "GET", "/connectors/"+name+"/offsets", "", fmt.Sprintf(`"position":%d`, info.Size()))
	}
	e2etest.ReadTopic(t.T, t.servers, "lines", t.lines)
}

// breaks leaves two connectors in the state after a worker's death: half has tasks without a commit; compacted has
// later tasks without a commit, and compaction removes the committed ones.
func (t *takeover) breaks() {
	t.T.Helper()
	topic := leftGroup + "-configs"
	client := e2etest.Client(t.T, t.servers)
	set := func(name, value string) kadm.AlterConfig {
		return kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value}
	}
	_, err := kadm.NewClient(client).AlterTopicConfigs(t.T.Context(), []kadm.AlterConfig{set("segment.ms", "100"),
		set("min.cleanable.dirty.ratio", "0.001"), set("min.compaction.lag.ms", "0")}, topic)
	e2etest.NoError(t.T, err)
	write := func(records ...configtopic.Record) {
		t.T.Helper()
		for _, r := range records {
			e2etest.NoError(t.T, client.ProduceSync(t.T.Context(), &kgo.Record{Topic: topic, Key: []byte(r.Key),
				Value: r.Value}).FirstErr())
		}
	}
	other := map[string]string{"lost": "with the worker"}
	write(configtopic.ConnectorRecord(half, t.settings(half)), configtopic.TaskRecord(half, 0, other),
		configtopic.TaskRecord(compacted, 0, other))
	t.followed.Eventually("compaction", func() bool {
		write(configtopic.TargetRecord(half, config.TargetStarted)) // a record ends a segment
		ends := e2etest.EndsOn(t.T, t.servers, topic)
		reader := e2etest.Client(t.T, t.servers, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			topic: {0: kgo.NewOffset().AtStart()}}))
		defer reader.Close()
		tasks := 0
		for offset := int64(0); offset < ends[0]; {
			for _, r := range reader.PollFetches(t.T.Context()).Records() {
				offset = r.Offset + 1
				if string(r.Key) == "task-"+compacted+"-0" {
					tasks++
				}
			}
		}
		return tasks == 1
	})
}

// TestRealTakeover replaces two workers of Kafka Connect, with connectors in every state, by two of Culvert, and these
// by Kafka Connect's again: names, configurations, states and offsets stay the same, and every line arrives once.
func TestRealTakeover(t *testing.T) {
	t.Parallel()
	began := time.Now()
	dir := t.TempDir()
	broker := e2etest.FreePort(t)
	more := filepath.Join(dir, "more.properties")
	e2etest.NoError(t, os.WriteFile(more, []byte("log.cleaner.backoff.ms=200\n"), 0o600))
	e2etest.StartPeer(t, "kafka/start-broker.sh", dir, []string{"CONTROLLER_PORT=" + e2etest.FreePort(t),
		"BROKER_PROPS=" + more},
		broker, dir)
	p := e2etest.NewPlace(t)
	f := &takeover{Place: p, servers: "127.0.0.1:" + broker, filesPort: filesServer(t),
		followed: &e2etest.Followed{Place: p, Command: p.Start("version")}}
	want := takeoverStates()
	e2etest.Put(t, p.Dir, failed, []byte("a line\n"))

	stop := f.java()
	e2etest.Produce(t, f.servers, &kgo.Record{Topic: "quiet", Value: []byte(`{"schema":null,"payload":"a line"}`)})
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if isTakeoverSource(name) && name != failed {
			f.writes(name)
		}
		settings := f.settings(name)
		f.followed.Until(201, "PUT", "/connectors/"+name+"/config", e2etest.AsJSON(t, settings))
	}
	f.awaits("Kafka Connect runs all", want)
	f.reaches(slices.DeleteFunc(slices.Collect(maps.Keys(want)), func(name string) bool {
		return !isTakeoverSource(name) || name == failed
	})...)
	running := f.steerAll(want)
	everyone := func(string) bool { return true }
	original := f.offsets(f.awaits("Kafka Connect has them in all states", want), everyone)
	live := "live: stop it first: " // in a rebalance, which may still go on, members do not say their addresses
	f.cluster("check", 1).Prints(live)
	f.cluster("release", 1).Reports(live)
	stop()
	f.writes(half)
	f.breaks()
	original[half] = kept{Config: f.settings(half), State: "RUNNING RUNNING"}
	want[half] = "RUNNING RUNNING"
	t.Logf("%d connectors, and 2 that are deleted, after %v", len(want), time.Since(began).Round(time.Second))

	ours := maps.Clone(want)
	for name := range ours {
		if !isTakeoverSource(name) {
			ours[name] = strings.ReplaceAll(ours[name], "RUNNING", "UNASSIGNED")
		}
	}
	stop = f.ours()
	f.checkAllAreTakenOver(original, ours)
	f.writes(append(running, compacted)...)
	f.reaches(append(running, half, compacted)...)
	last := f.offsets(f.shows(), isTakeoverSource)
	f.cluster("check", 1).Prints("a Culvert worker is live: workers that start join it: ", f.followed.Url)
	f.cluster("release", 1).Reports("a Culvert worker is live: stop it first, by SIGTERM (", f.followed.Url)
	stop()
	f.cluster("release", 0)

	stop = f.java()
	for name := range want {
		if takeoverKind(name) == "paused" {
			want[name] = "PAUSED" // its tasks are planned when it goes on
		}
	}
	again := f.offsets(f.awaits("Kafka Connect has them again", want), everyone)
	for name, k := range last {
		k.State = want[name]
		if !isTakeoverSource(name) {
			k.Offsets = original[name].Offsets
		}
		e2etest.Equal(t, name+", given back", k, again[name])
	}
	e2etest.Equal(t, "names", len(last), len(again))
	f.writes(append(running, half, compacted)...)
	f.reaches(append(running, half, compacted)...)
	f.checkConnectFindsOffsetsOfASource()
	stop()
	t.Logf("in all %v", time.Since(began).Round(time.Second))
}

// half and compacted are connectors in the state after a worker's death, see breaks.
const half, compacted = "half", "compacted-1"

// takeoverKind returns the name of a connector without its number.
func takeoverKind(name string) string { return strings.TrimRight(name, "0123456789") }

func isTakeoverSource(name string) bool { return takeoverKind(name) != "sink" }

// takeoverStates returns the connectors with the states that they have at first.
func takeoverStates() map[string]string {
	want := map[string]string{}
	for kind, n := range map[string]int{"run": 4, "paused": 3, "stopped": 3, "deleted": 2, "sink": 2} {
		for i := range n {
			want[fmt.Sprint(kind, i)] = "RUNNING RUNNING"
		}
	}
	want[compacted] = "RUNNING RUNNING"
	want[wide] = "RUNNING RUNNING RUNNING"
	want[failed] = "RUNNING FAILED"
	return want
}

// steerAll pauses, stops and deletes connectors by their kinds, and changes the expected states. It returns the ones
// that keep running.
func (t *takeover) steerAll(want map[string]string) (running []string) {
	t.T.Helper()
	states := map[string]string{"paused": "PAUSED PAUSED", "stopped": "STOPPED"}
	for name := range maps.Clone(want) {
		switch takeoverKind(name) {
		case "paused":
			t.followed.Until(202, "PUT", "/connectors/"+name+"/pause", "")
		case "stopped":
			t.followed.Until(204, "PUT", "/connectors/"+name+"/stop", "")
		case "deleted":
			t.followed.Until(204, "DELETE", "/connectors/"+name, "")
			delete(want, name)
			continue
		case "run":
			running = append(running, name)
		}
		want[name] = cmp.Or(states[takeoverKind(name)], want[name])
	}
	return running
}

// checkAllAreTakenOver checks that our workers have what Kafka Connect had. Sinks are UNASSIGNED, and their
// traces name the class.
func (t *takeover) checkAllAreTakenOver(original map[string]kept, ours map[string]string) {
	t.T.Helper()
	current := t.offsets(t.awaits("our workers have them", ours), isTakeoverSource)
	for name, k := range original {
		taken := current[name]
		if !isTakeoverSource(name) {
			k.State = ours[name]
			k.Offsets = ""
			t.followed.Must(200, "GET", "/connectors/"+name+"/status", "", "FileStreamSinkConnector", `"trace":"`)
		}
		if name == half {
			k.Offsets = taken.Offsets // it had none
		}
		e2etest.Equal(t.T, name, k, taken)
	}
}

// checkConnectFindsOffsetsOfASource checks that Kafka Connect finds offsets by the bytes of their keys, also if a
// partition has several fields.
func (t *takeover) checkConnectFindsOffsetsOfASource() {
	t.T.Helper()
	_, address := e2etest.Demo(t.T, odatatest.Options{Rows: 5})
	t.MustOnce(t.File("odata-worker.properties", "bootstrap.servers="+t.servers, "listeners=",
		"offset.storage.topic="+leftGroup+"-offsets"), t.File("odata.properties",
		e2etest.Source("odata", address, "Orders")...))
	t.followed.Until(201, "POST", "/connectors", `{"name":"odata","initial_state":"STOPPED","config":{`+
		`"connector.class":"FileStreamSource","topic":"unused","file":"/dev/null"}}`)
	t.followed.Until(200, "GET", "/connectors/odata/offsets", "", `"entityset":"Orders"`, `"offset":{`)
}
