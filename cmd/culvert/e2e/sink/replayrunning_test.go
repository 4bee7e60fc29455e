package sink

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/rest"
)

// writePositions returns the position of each document in the order of writing. A second document fails the test.
func (d *documents) writePositions(t *testing.T) map[string]int {
	t.Helper()
	positions := map[string]int{}
	d.service.Each("Inbox", func(_ string, fields map[string]string) {
		topic := fields["Topic"]
		_, ok := positions[topic]
		assert.True(t, !ok, "document %s was written twice", topic)
		positions[topic] = len(positions)
	})
	return positions
}

// letterGate is a service that holds two dead letters, after a number of others, until open is called. Then it writes
// one of them and drops the other. Requests for later records pass.
type letterGate struct {
	inner   http.Handler
	first   int64        // letters before the first one that is held
	letters atomic.Int64 // letters so far
	later   atomic.Int64 // later records that were written
	held    atomic.Int64 // letters that wait
	opened  chan struct{}
	open    func()

	mu   sync.Mutex
	keys []string // of the letters that were held
}

func newLetterGate(t *testing.T, inner http.Handler, first int64) (g *letterGate, address string) {
	t.Helper()
	g = &letterGate{inner: inner, first: first, opened: make(chan struct{})}
	g.open = sync.OnceFunc(func() { close(g.opened) })
	address = e2etest.Serve(t, g)
	t.Cleanup(g.open) // before the server ends, which waits for its responses
	return g, address
}

// document finds whether a document is of a later record, and its key.
var document = regexp.MustCompile(`Topic\W+(later )?(\d+)`)

func (g *letterGate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	match := document.FindSubmatch(body)
	switch {
	case r.Method != http.MethodPost || match == nil:
		// a token or a check
	case len(match[1]) > 0:
		defer g.later.Add(1)
	default:
		if n := g.letters.Add(1) - g.first; n == 1 || n == 2 {
			g.hold(string(match[2]))
			defer g.held.Add(-1)
			if n == 1 {
				return
			}
		}
	}
	g.inner.ServeHTTP(w, r)
}

func (g *letterGate) hold(key string) {
	g.mu.Lock()
	g.keys = append(g.keys, key)
	g.mu.Unlock()
	g.held.Add(1)
	<-g.opened
}

func (g *letterGate) heldKeys() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.keys)
}

const replayPath = "/culvert/connectors/inbox/deadletters/replay"

// startReplay replays the dead letters by REST. The channel receives the status of the response, 0 without a response.
func startReplay(f *e2etest.Worker) <-chan int {
	ended := make(chan int, 1)
	go func() {
		a, err := http.Post(f.URL+replayPath, "application/json", nil)
		if err != nil { // the worker was killed
			ended <- 0
			return
		}
		a.Body.Close()
		ended <- a.StatusCode
	}()
	return ended
}

// laterRecords are the records that were produced after the dead letters of their keys.
type laterRecords struct {
	t      *testing.T
	client *kgo.Client
	gate   *letterGate
	keys   map[string]bool
}

// produce produces a later record of each of the keys that has none.
func (l *laterRecords) produce(keys ...string) {
	l.t.Helper()
	var records []*kgo.Record
	for _, key := range keys {
		if !l.keys[key] {
			records = append(records, &kgo.Record{Topic: "said", Key: []byte(key),
				Value: fmt.Appendf(nil, `{"Topic":"later %s"}`, key)})
		}
		l.keys[key] = true
	}
	require.NoError(l.t, l.client.ProduceSync(l.t.Context(), records...).FirstErr())
}

// await waits until the sink has written all of them.
func (l *laterRecords) await(f *e2etest.Worker) {
	l.t.Helper()
	f.Eventually("the later records", func() bool { return l.gate.later.Load() >= int64(len(l.keys)) })
}

// Many dead letters, 25,000 in the long form, are replayed while the task of the sink writes later records of their
// keys, and the worker is killed in the middle. Each record is written once, no dead letter is written after a later
// record of its key, and only dead letters of such keys remain.
func TestReplayOfManyLettersNextToTheRunningTask(t *testing.T) {
	t.Parallel()
	letters := e2etest.LongOrShort(25_000, 1_000)
	chosen := letters / 50
	d := newDocuments(t, 3, newRecords(letters), "sap.odata.enable.batch=0", "sap.odata.insert.uncertain=check",
		"sap.odata.check.filter=Topic", "sap.odata.max.in.flight=4", e2etest.NoReadTimeout)
	// The middle letter is in partition 1, since partitions are replayed in order.
	gate, address := newLetterGate(t, d.service, int64(letters/2))
	_, port, _ := net.SplitHostPort(address)
	d.lines = e2etest.WithSettings(d.lines, "sap.odata.host.port="+port)
	d.writeSink("transforms=date", "transforms.date.type=org.apache.kafka.connect.transforms.TimestampConverter$Value",
		"transforms.date.field=Topic", "transforms.date.target.type=Timestamp", "transforms.date.format=yyyy-MM-dd")
	d.MustRunOnceWith(e2etest.Plugins(t, "odata-sink", "smt"), d.worker, d.sink)
	keys := map[int32][]string{} // by partition of the letter
	for _, r := range e2etest.ReadTopic(t, d.broker, "refused", letters) {
		keys[r.Partition] = append(keys[r.Partition], string(r.Key))
	}
	startWorker := func() *e2etest.Worker {
		return d.StartWorkerWith(e2etest.Plugins(t, "odata-sink", "smt"), "conf", "bootstrap.servers="+d.broker,
			"consumer.session.timeout.ms=6000", "consumer.heartbeat.interval.ms=1000",
			"key.converter=org.apache.kafka.connect.storage.StringConverter",
			"value.converter=org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable=false")
	}
	later := &laterRecords{t: t, client: e2etest.NewClient(t, d.broker), gate: gate, keys: map[string]bool{}}
	f := startWorker()
	f.Create(d.lines...)
	f.Await("inbox", "runs", e2etest.IsRunning)
	killed := startReplay(f)
	f.Eventually("letters that are held", func() bool { return gate.held.Load() == 2 })
	later.produce(keys[0][:chosen]...) // whose letters were written
	later.produce(keys[2][:chosen]...) // whose letters are kept
	later.await(f)
	later.produce(gate.heldKeys()...) // whose letters are in doubt
	f.Kill()
	gate.open()
	assert.Equal(t, 0, <-killed, "the status of the killed replay")
	f.Eventually("the end of the held requests", func() bool { return gate.held.Load() == 0 })
	f = startWorker()
	f.Await("inbox", "runs", e2etest.IsRunning)
	random := rand.New(rand.NewPCG(42, 8))
	for second, isOver := startReplay(f), false; !isOver; {
		var keys []string
		for range 200 {
			keys = append(keys, strconv.Itoa(random.IntN(letters)))
		}
		later.produce(keys...)
		later.await(f)
		select {
		case status := <-second:
			assert.Equal(t, 200, status, "the status of the second replay")
			isOver = true
		default:
		}
	}
	last := e2etest.Decode[rest.ReplayResult](t, f.MustCall(200, "POST", replayPath, ""))
	remaining := 0
	for _, n := range last.Kept {
		remaining += n
	}
	assert.True(t, last.Sent == 0 && last.Refused == 0, "expected that the second replay had sent all, found %+v", last)
	f.MustStop()
	d.checkOrderOfKeys(t, letters, remaining, later.keys, chosen)
}

// checkOrderOfKeys checks that each letter was written once, and before the later record of its key. Letters whose
// later record was written first are left. later has the keys with a later record. At least chosen letters were written
// before the later record, and at least as many are left.
func (d *documents) checkOrderOfKeys(t *testing.T, letters, remaining int, later map[string]bool, chosen int) {
	t.Helper()
	positions := d.writePositions(t)
	kept := 0    // letters that were not written
	ordered := 0 // letters that were written before the later record of their key
	wrong := 0   // letters that were written after it
	for i := range letters {
		key := strconv.Itoa(i)
		letter, isWritten := positions[key]
		newer, isSuperseded := positions["later "+key]
		switch {
		case isSuperseded != later[key] || (!isWritten && !isSuperseded):
			t.Errorf("key %s: written %t, later record written %t, expected %t", key, isWritten, isSuperseded,
				later[key])
		case !isWritten:
			kept++
		case isSuperseded && newer < letter:
			wrong++
		case isSuperseded:
			ordered++
		}
	}
	// A dead letter in doubt after the kill may remain although it was written.
	if wrong > 0 || kept < chosen || kept > remaining || kept < remaining-500 || ordered < chosen ||
		len(positions) != letters-kept+len(later) {
		t.Errorf("expected no letter after a later record of its key, and %d or more before it and not written; found "+
			"%d, %d and %d, %d letters left, %d documents", chosen, wrong, ordered, kept, remaining, len(positions))
	}
	t.Logf("%d later records: of their keys %d letters were written before, %d not written, %d left", len(later),
		ordered, kept, remaining)
}
