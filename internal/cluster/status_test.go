package cluster

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
)

// javaRecord is a record that an Apache Kafka Connect 4.3.1 worker has written. A nil value is a tombstone.
type javaRecord struct {
	statusKey
	partition int32
	key       []byte
	value     []byte
}

func javaRecords(t testing.TB) (records []javaRecord) {
	t.Helper()
	text, err := os.ReadFile("testdata/status.txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 3 {
			continue
		}
		r := javaRecord{key: []byte(f[1]), value: []byte(f[2])}
		_, err := fmt.Sscan(f[0], &r.partition)
		require.NoError(t, err)
		r.statusKey, err = parseStatusKey(f[1])
		require.NoError(t, err)
		if f[2] == "null" {
			r.value = nil
		}
		records = append(records, r)
	}
	require.AtLeast(t, 30, len(records), "the records of a worker")
	return records
}

// Statuses written by Apache Kafka are read, and written again with the same bytes.
func TestStatusMatchesJava(t *testing.T) {
	t.Parallel()
	var s Statuses
	for _, r := range javaRecords(t) {
		require.NoError(t, s.apply(r.key, r.value))
		assert.Equal(t, string(r.key), r.statusKey.String())
		switch {
		case r.value == nil: // a tombstone has no status
		case r.topic != "":
			var since int64
			_, after, _ := strings.Cut(string(r.value), `"discoverTimestamp":`)
			fmt.Sscan(after, &since)
			assert.Equal(t, string(r.value), string(encodeTopic(r.statusKey, 0, since)))
		default:
			assert.Equal(t, string(r.value), string(s.status(r.statusKey).encode()))
		}
	}
	assert.Equal(t, []string{"bad", "fk", "fs-1"}, s.Connectors())
	const worker = "127.0.0.1:18483"
	running := func(task int) Status {
		return Status{Connector: "fk", Task: task, State: connect.Running, WorkerID: worker, Generation: 13,
			Version: "4.3.1"}
	}
	got, ok := s.Connector("fk")
	assert.Equal(t, true, ok, "fk has a status")
	assert.Equal(t, running(-1), got)
	assert.Equal(t, []Status{running(0), running(1)}, s.Tasks("fk"))
	assert.Equal(t, []string{"fs-topic"}, s.Topics("fk"))
	assert.Equal(t, nil, s.Topics("fs-1"), "reset")
	_, ok = s.Connector("gone")
	assert.Equal(t, false, ok, "gone has a status")
	failed := s.Tasks("bad")[0]
	assert.Contains(t, failed.Trace, "ConnectException: Couldn't find or create file", "\n\tat org.apache.kafka")
}

// Texts are encoded as by Java, and long traces are cut.
func TestStatusTextsMatchJava(t *testing.T) {
	t.Parallel()
	s := Status{Connector: "a", State: connect.Failed, Trace: "\"quoted\" \\ \t\x01 ä 😀 </b>", WorkerID: "h:1",
		Generation: -1}
	assert.Equal(t, `{"state":"FAILED","trace":"\"quoted\" \\ \t\u0001 ä \uD83D\uDE00 </b>","worker_id":"h:1",`+
		`"generation":-1,"version":null}`, string(s.encode()))
	s.Extension = `{"plugin":"/p.wasm"}`
	assert.Contains(t, string(s.encode()), `"version":null,"culvert":{"plugin":"/p.wasm"}}`)
	s.Trace = strings.Repeat("€", maxTraceBytes)
	var statuses Statuses
	require.NoError(t, statuses.apply([]byte("status-task-a-0"), s.encode()))
	cut := statuses.Tasks("a")[0].Trace
	assert.Equal(t, s.Extension, statuses.Tasks("a")[0].Extension)
	if len(cut) > maxTraceBytes+3 || !strings.HasSuffix(cut, "€…") {
		t.Errorf("expected a cut trace, found %d bytes that end with %q", len(cut), cut[len(cut)-9:])
	}
}

// Keys are parsed as by Kafka Connect; others are errors.
func TestStatusKeysAreParsed(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]statusKey{
		"status-connector-a-1":                   {connector: "a-1", task: -1},
		"status-connector--":                     {connector: "-", task: -1},
		"status-task-a-1-12":                     {connector: "a-1", task: 12},
		"status-task--0-0":                       {connector: "-0"},
		"status-topic-a.b:connector-c:d":         {connector: "c:d", topic: "a.b"},
		"status-topic-t:connector-x:connector-y": {connector: "x:connector-y", topic: "t"},
		"status-task-ä 😀-2147483647":             {connector: "ä 😀", task: 2147483647},
	} {
		got, err := parseStatusKey(key)
		assert.NoError(t, err, key)
		assert.Equal(t, want, got, key)
	}
	for _, key := range []string{"", "status", "status-connector-", "status-task-", "status-task-0", "status-task-a",
		"status-task--0", "status-task-a-", "status-task-a-x", "status-task-a-00", "status-task-a-+1",
		"status-task-a-2147483648", "status-topic-t", "status-topic-:connector-a", "status-topic-t:connector-",
		"session-key", "status-connector-\xff", "Status-connector-a"} {
		_, err := parseStatusKey(key)
		assert.Error(t, err, "expected a key status-connector-…", key)
	}
}

// The order of members, unknown members and white space do not matter. Damaged values change nothing.
func TestStatusValues(t *testing.T) {
	t.Parallel()
	var s Statuses
	apply := func(value string) error { return s.apply([]byte("status-connector-a"), []byte(value)) }
	require.NoError(t, apply(` {"x":[{}], "generation": 7,"worker_id":"w:1" , "state":"PAUSED"}`))
	want := Status{Connector: "a", Task: -1, State: connect.Paused, WorkerID: "w:1", Generation: 7}
	for value, problem := range map[string]string{
		"":                    "JSON",
		"null":                "expected a state",
		"[]":                  "cannot unmarshal array",
		`{"state":"RUNNING"`:  "JSON",
		`{"state":"RUNNING"}`: "expected worker_id and generation",
		`{"state":"DESTROYED","worker_id":"w","generation":1}`:        "expected a state",
		`{"state":"RUNNING","worker_id":null,"generation":1}`:         "expected worker_id",
		`{"state":"RUNNING","worker_id":"w","generation":1.5}`:        "cannot unmarshal number",
		`{"state":"RUNNING","worker_id":"w","generation":2147483648}`: "cannot unmarshal number",
		`{"state":"RUNNING","worker_id":"w","generation":1} {}`:       "after top-level value",
		strings.Repeat("[", 1<<20):                                    "depth",
		`{"trace":"` + strings.Repeat("x", maxStatusBytes) +
			`","state":"RUNNING"}`: "expected a record of at most 2097152 bytes",
		`{"state":"RUNNING","worker_id":"w","generation":1,"trace":{"not":"a text, we say"}}`: "cannot unmarshal " +
			"object",
	} {
		assert.Error(t, apply(value), problem, value[:min(len(value), 80)])
		got, _ := s.Connector("a")
		assert.Equal(t, want, got)
	}
	assert.Error(t, s.apply(bytes.Repeat([]byte("status-connector-"), 1<<20), nil), "expected a record of at most")
	assert.Equal(t, []string{"a"}, s.Connectors())
	require.NoError(t, s.apply([]byte("status-connector-a"), nil))
	assert.Equal(t, nil, s.Connectors())
}

// statusWriter is one of the workers that write to one topic.
type statusWriter struct {
	id       string
	statuses Statuses // what it has read
	outbox   outbox
	read     int                  // records of the topic
	sent     map[statusKey][]byte // the values in flight
	java     map[statusKey]Status // what Kafka's own store would know of each key
}

// statusWriters write at random: statuses of two tasks, in generations that sometimes belong to an earlier life of the
// group. They read on in the topic, and receive their responses late.
func statusWriters(t *testing.T, r *rand.Rand, writesFail bool, log *[]statusWrite) []*statusWriter {
	t.Helper()
	writers := []*statusWriter{{id: "a:1", outbox: newOutbox()}, {id: "b:1", outbox: newOutbox()}}
	for _, w := range writers {
		w.sent = map[statusKey][]byte{}
		w.java = map[statusKey]Status{}
	}
	for step := range 200 {
		w := writers[r.IntN(2)]
		switch r.IntN(4) {
		case 0:
			s := Status{Connector: "c", Task: r.IntN(2), State: statusStates[r.IntN(len(statusStates))],
				Trace: fmt.Sprint(step), WorkerID: w.id, Generation: r.Int32N(5)}
			k := statusKey{connector: "c", task: s.Task}
			o := statusWrite{value: s.encode(), status: s, safe: r.IntN(2) == 0}
			if !o.isSuperseded(w.statuses.status(k)) {
				w.outbox.waiting[k] = o
			}
			if !writesFail {
				// KafkaStatusBackingStore.CacheEntry.canWriteSafely.
				last, ok := w.java[k]
				isAllowed := !ok || last.WorkerID == s.WorkerID || last.Generation <= s.Generation
				if written := slices.Contains(w.outbox.keys(), k); written != (isAllowed || !o.safe) {
					t.Fatalf("after %+v, %+v (safe %v): expected written %v", last, s, o.safe, !written)
				}
			}
		case 1:
			w.send(t)
		case 2:
			w.readOn(t, *log, w.read+1)
		}
		if !writesFail || r.IntN(4) == 0 {
			w.respond(t, r, writesFail, log)
		}
	}
	return writers
}

func (w *statusWriter) send(t *testing.T) {
	t.Helper()
	for _, k := range w.outbox.keys() {
		w.outbox.send(k, w.statuses.status(k), func(value []byte) {
			require.True(t, w.sent[k] == nil, "%v: expected one value in flight, found two", k)
			w.sent[k] = value
		})
	}
}

// readOn reads the topic up to a number of records.
func (w *statusWriter) readOn(t *testing.T, log []statusWrite, to int) {
	t.Helper()
	for ; w.read < min(to, len(log)); w.read++ {
		s := log[w.read].status
		k := statusKey{connector: s.Connector, task: s.Task}
		require.NoError(t, w.statuses.apply([]byte(k.String()), log[w.read].value))
		w.java[k] = s
	}
}

// respond completes the writes in flight. A failed write may have been stored nevertheless.
func (w *statusWriter) respond(t *testing.T, r *rand.Rand, writesFail bool, log *[]statusWrite) {
	t.Helper()
	if !writesFail {
		w.send(t)
	}
	for k, value := range w.sent {
		delete(w.sent, k)
		failed := writesFail && r.IntN(2) == 0
		if !failed || r.IntN(4) == 0 {
			s, err := decodeStatus(k, value)
			require.NoError(t, err)
			*log = append(*log, statusWrite{value: value, status: s})
		}
		w.outbox.complete(k, failed)
	}
}

// Two workers that write in any order leave what Kafka Connect's workers would have left: a safe write is skipped if a
// newer generation's status of another worker was read.
func TestSafeWritesMatchJava(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		var log []statusWrite
		statusWriters(t, rand.New(rand.NewPCG(seed, 1)), false, &log)
		assert.True(t, len(log) != 0, "seed %d: expected writes, found none", seed)
	}
}

// If writes fail or their responses are lost, each worker's values of a key are still written in order, and at the end
// the last one counts, unless it yields to a newer generation of the other worker.
func TestWritesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	superseded := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		log := []statusWrite(nil)
		writers := statusWriters(t, r, true, &log)
		type keyedWrite struct {
			statusWrite
			key statusKey
		}
		var lastWrites []keyedWrite
		for _, w := range writers {
			newest := maps.Clone(w.outbox.inFlight)
			maps.Copy(newest, w.outbox.waiting)
			for k, e := range newest {
				lastWrites = append(lastWrites, keyedWrite{e, k})
			}
			w.respond(t, r, true, &log)
			for len(w.outbox.keys()) > 0 {
				w.readOn(t, log, len(log))
				w.send(t)
				w.respond(t, r, true, &log)
			}
		}
		for _, w := range writers {
			for task := range 2 {
				lastStep := -1
				for _, o := range log {
					if o.status.WorkerID != w.id || o.status.Task != task {
						continue
					}
					step := 0
					fmt.Sscan(o.status.Trace, &step)
					require.True(t, step >= lastStep,
						"seed %d: expected writes in order: %s wrote step %d after %d", seed, w.id, step, lastStep)
					lastStep = step
				}
			}
		}
		for _, l := range lastWrites {
			if slices.ContainsFunc(log, func(o statusWrite) bool { return o.status == l.status }) {
				continue
			}
			superseded++
			if !slices.ContainsFunc(log, func(o statusWrite) bool {
				return o.status.Task == l.key.task && l.status.isSuperseded(o.status)
			}) {
				t.Fatalf("seed %d: expected %+v to be written: no newer status replaced it", seed, l.status)
			}
		}
	}
	assert.True(t, superseded != 0, "expected writes that yield to a newer generation")
}

// Arbitrary contents of the topic break nothing, and accepted values are written again with the same meaning.
func FuzzStatuses(f *testing.F) {
	for _, r := range javaRecords(f)[:12] {
		f.Add(r.key, r.value)
	}
	f.Add([]byte("status-task-a-00"), []byte(`{"state":"RUNNING","generation":1e2,"worker_id":"\ud800"}`))
	f.Add([]byte("status-topic-t:connector-a"), []byte("[[[["))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		var s, reread Statuses
		if s.apply(key, value) != nil {
			assert.Equal(t, 0, len(s.Connectors()))
			return
		}
		for _, name := range s.Connectors() {
			for _, k := range s.keys(name) {
				assert.Equal(t, string(key), k.String())
				want := s.status(k)
				if len(want.Trace) > maxTraceBytes || k.topic != "" {
					continue
				}
				require.NoError(t, reread.apply([]byte(k.String()), want.encode()))
				assert.Equal(t, want, reread.status(k))
			}
		}
	})
}
