package sink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// orderChange is a record of the stream: the change of an order, and a reference that identifies its row.
type orderChange struct {
	key       int
	operation string // I, U, M, D or upsert; "" is a tombstone
	reference string
	isBad     bool // the service rejects its value
}

// randomChanges returns n random changes of few keys. With numbered they are only inserts, since the service numbers
// the rows; with upserts they are upserts and tombstones.
func randomChanges(r *rand.Rand, n int, numbered, upserts bool) []*orderChange {
	changes := make([]*orderChange, n)
	for i := range changes {
		c := &orderChange{key: 1 + r.IntN(8), operation: "I", reference: "r" + strconv.Itoa(i), isBad: r.IntN(15) == 0}
		switch {
		case upserts:
			c.operation = []string{"upsert", "upsert", ""}[r.IntN(3)]
		case !numbered:
			c.operation = []string{"I", "I", "U", "M", "M", "D", ""}[r.IntN(7)]
		}
		c.isBad = c.isBad && c.operation != "" && c.operation != "D"
		changes[i] = c
	}
	return changes
}

// record returns the change as a record. The city of a bad one is longer than the service allows.
func (c *orderChange) record(numbered bool) *kgo.Record {
	key := fmt.Appendf(nil, `{"OrderID":%d}`, c.key)
	if c.operation == "" {
		return &kgo.Record{Topic: "Changes", Partition: 0, Key: key}
	}
	value := map[string]any{"ShipName": c.reference, "ShipCity": "Ulm", "Does": c.operation}
	if numbered || c.operation == "upsert" {
		delete(value, "Does")
	}
	if !numbered {
		value["OrderID"] = c.key
	}
	if c.isBad {
		value["ShipCity"] = strings.Repeat("x", 16)
	}
	encoded, _ := json.Marshal(value)
	return &kgo.Record{Topic: "Changes", Partition: 0, Key: key, Value: encoded}
}

// fold returns the rows of the service after all changes, by key, and the references of those that it rejects: inserts
// of existing rows, updates of missing rows, and bad ones.
func fold(changes []*orderChange) (rows map[string]string, isRefused map[string]bool) {
	rows = map[string]string{}
	isRefused = map[string]bool{}
	for _, c := range changes {
		key := fmt.Sprintf("(%d)", c.key)
		_, ok := rows[key]
		switch {
		case c.operation == "" || c.operation == "D":
			delete(rows, key)
		case c.isBad, c.operation == "I" && ok, (c.operation == "U" || c.operation == "M") && !ok:
			isRefused[c.reference] = true
		default:
			rows[key] = c.reference
		}
	}
	return rows, isRefused
}

// references returns the references in an entity set, by key.
func references(s *odatatest.Service, set string) map[string]string {
	byKey := map[string]string{}
	s.Each(set, func(key string, fields map[string]string) { byKey[key] = fields["ShipName"] })
	return byKey
}

// Random streams of inserts, updates and deletes of few keys go to a service that fails before and after it has applied
// a request, and that reports locks. The worker is killed at random. In the end the service has the fold of the topic
// by key, or each numbered document once, except for rejected records, which are in the dead letter queue. An operator
// looks at the service and decides about records whose outcome the worker does not know.
func TestSinkFoldsTheTopic(t *testing.T) {
	t.Parallel()
	streams := e2etest.LongOrShort(20, 1)
	kills := e2etest.LongOrShort(10, 2)
	for name, c := range map[string]struct {
		settings []string
		numbered bool // the service numbers the rows; all changes are inserts
		upserts  bool // all changes are upserts and deletes
	}{
		"dynamic": {settings: []string{"sap.odata.operation.mode=dynamic",
			"sap.odata.operation.mode.property=Does", "sap.odata.enable.delete=1", "sap.odata.insert.uncertain=check"}},
		"upserts": {upserts: true, settings: []string{"sap.odata.operation.mode=upsert",
			"sap.odata.enable.delete=1", "sap.odata.insert.uncertain=check"}},
		"single upserts": {upserts: true, settings: []string{"sap.odata.operation.mode=upsert",
			"sap.odata.enable.batch=0",
			"sap.odata.enable.delete=1", "sap.odata.insert.uncertain=check"}},
		"numbered repeatable": {numbered: true, settings: []string{"sap.odata.insert.uncertain=repeatable"}},
		"numbered check": {numbered: true, settings: []string{"sap.odata.insert.uncertain=check",
			"sap.odata.check.filter=ShipName"}},
		"numbered fail": {numbered: true, settings: []string{"sap.odata.insert.uncertain=fail"}},
	} {
		for seed := range streams {
			t.Run(fmt.Sprintf("%s %d", name, seed), func(t *testing.T) {
				t.Parallel()
				random := rand.New(rand.NewPCG(uint64(seed), uint64(len(name))))
				newFoldTest(t, random, c.numbered, c.upserts, c.settings).run(kills)
			})
		}
	}
}

// foldTest is one such stream with its service and its connector.
type foldTest struct {
	*e2etest.Place
	random   *rand.Rand
	numbered bool
	set      string
	service  *odatatest.Service
	writes   atomic.Int64 // requests that may write
	locks    atomic.Int64 // responses that report a locked entity
	runs     int          // runs of the worker
	changes  []*orderChange
	lines    []string // settings of the connector
	sent     []string // records in doubt that the operator decided to send
	skipped  []string // records in doubt that the operator decided to skip
}

func newFoldTest(t *testing.T, r *rand.Rand, numbered, upserts bool, settings []string) *foldTest {
	f := &foldTest{Place: e2etest.NewPlace(t), random: r, numbered: numbered, set: "OrderCopies",
		changes: randomChanges(r, 120, numbered, upserts)}
	if numbered {
		f.set = "Orders"
	}
	f.service = odatatest.New(odatatest.Options{Rows: 1, Switches: odatatest.Switches{CSRF: true, Repeatability: true,
		EnqueueLocks: 15, FailBefore: 4, FailAfter: 4}})
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			f.writes.Add(1)
		}
		f.service.ServeHTTP(lockCounter{ResponseWriter: w, locks: &f.locks}, r)
	}))
	f.lines = append(e2etest.WithSettings(e2etest.Sink("fold", address, "Changes", f.set), "sap.odata.max.retries=30",
		"sap.odata.min.retry.backoff.ms=1", "sap.odata.max.retry.backoff.ms=5", "errors.tolerance=all",
		"errors.deadletterqueue.topic.name=letters",
		"sap.odata.max.batch.size="+strconv.Itoa(1+r.IntN(20)),
		"sap.odata.flush.trigger.size="+strconv.Itoa(1+r.IntN(40)),
		"sap.odata.max.in.flight="+strconv.Itoa(1+r.IntN(8)), "sap.odata.flush.interval.ms=50"), settings...)
	return f
}

// lockCounter counts responses that report a locked entity, also inside batches.
type lockCounter struct {
	http.ResponseWriter
	locks *atomic.Int64
}

func (c lockCounter) Write(answer []byte) (int, error) {
	c.locks.Add(int64(bytes.Count(answer, []byte(" is locked by user "))))
	return c.ResponseWriter.Write(answer)
}

// Unwrap lets the service reach the connection, which it resets.
func (c lockCounter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// withBroker runs a broker on the place's folder while do runs.
func (f *foldTest) withBroker(do func(address string)) {
	b, address := f.StartBrokerCommand()
	do(address)
	b.Signal(syscall.SIGTERM)
	b.Wait()
}

// run writes the changes to the topic and starts the worker again until a run succeeds. It kills the first runs.
func (f *foldTest) run(kills int) {
	byPosition := map[string]*orderChange{}
	f.withBroker(func(address string) {
		client := e2etest.NewClient(f.T, address, kgo.AllowAutoTopicCreation())
		for _, c := range f.changes {
			r := c.record(f.numbered)
			require.NoError(f.T, client.ProduceSync(f.T.Context(), r).FirstErr())
			byPosition[fmt.Sprintf("%s-%d@%d", r.Topic, r.Partition, r.Offset)] = c
		}
	})
	worker := f.WritePlainWorker("embedded")
	killed := 0
	reported := 0
	for {
		f.runs++
		require.True(f.T, f.runs <= 20*kills+40, "expected an end, found none after %d runs", f.runs)
		lines := slices.Clone(f.lines)
		for setting, names := range map[string][]string{"send": f.sent, "skip": f.skipped} {
			if len(names) > 0 {
				lines = append(lines, "errors.uncertain."+setting+"="+strings.Join(names, ","))
			}
		}
		c := f.StartOnce(e2etest.Plugins(f.T, "odata-sink"), worker, f.File("fold.properties", lines...))
		ended := make(chan e2etest.Result, 1)
		go func() { ended <- c.Wait() }()
		if killed < kills {
			until := f.writes.Load() + 1 + f.random.Int64N(8)
			c.Eventually("requests, or an end", func() bool { return f.writes.Load() >= until || len(ended) > 0 })
			if c.Process.Process.Kill() == nil {
				killed++
			}
		}
		r := <-ended
		if r.Code == 0 {
			break
		}
		reported += f.decide(r, byPosition)
	}
	f.T.Logf("%d runs, killed %d times, %d records left to an operator", f.runs, killed, reported)
	assert.True(f.T, f.locks.Load() != 0, "expected the service to report locks, found none")
	f.check()
}

// decide acts as the operator: of the records in doubt that a run names, it adds those that the service has to skipped,
// and the others to sent. It returns their number.
func (f *foldTest) decide(r e2etest.Result, byPosition map[string]*orderChange) (n int) {
	skips := skipAdvice.FindAllStringSubmatch(r.Stderr, -1)
	if len(skips) == 0 {
		require.True(f.T, r.Code != 1, "expected records to be named, found exit %d: %s", r.Code, r.LastLine())
		return 0 // killed
	}
	isStored := map[string]bool{}
	for _, reference := range references(f.service, f.set) {
		isStored[reference] = true
	}
	for _, name := range strings.Split(skips[len(skips)-1][1], ",") {
		c := byPosition[name]
		require.True(f.T, c != nil, "expected records of the topic, found %s", name)
		if isStored[c.reference] {
			f.skipped = append(f.skipped, name)
		} else {
			f.sent = append(f.sent, name)
		}
		n++
	}
	return n
}

// check compares the service and the dead letters with the topic.
func (f *foldTest) check() {
	rows, refused := fold(f.changes)
	stored := references(f.service, f.set)
	if f.numbered {
		counted := map[string]int{}
		want := map[string]int{}
		for _, reference := range stored {
			if strings.HasPrefix(reference, "r") { // the others are rows of the demo service
				counted[reference]++
			}
		}
		refused = map[string]bool{}
		for _, c := range f.changes {
			if c.isBad {
				refused[c.reference] = true
			} else {
				want[c.reference] = 1
			}
		}
		assert.Equal(f.T, want, counted, "documents by their reference")
	} else {
		assert.Equal(f.T, rows, stored, "rows of the service")
	}
	letters := map[string]bool{}
	repeated := 0
	f.withBroker(func(address string) {
		n := 0
		for _, end := range e2etest.EndOffsets(f.T, address, "letters") {
			n += int(end)
		}
		for _, l := range e2etest.ReadTopic(f.T, address, "letters", n) {
			var value struct{ ShipName string }
			err := json.Unmarshal(l.Value, &value)
			assert.True(f.T, err == nil, "%v in the letter %s", err, l.Value)
			if letters[value.ShipName] {
				repeated++
			}
			letters[value.ShipName] = true
		}
	})
	// A run that is killed between a dead letter and its commit writes the dead letter again.
	assert.True(f.T, repeated <= 0 || f.runs != 1,
		"expected each dead letter once in a single run, found %d twice", repeated)
	assert.Equal(f.T, refused, letters, "dead letters")
}
