package sampling

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/memory"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/chaintest"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/run/transform"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// batch returns rows of schemaless values.
func batch(t testing.TB, reg *record.Registry, values ...any) *record.Batch {
	t.Helper()
	b := &record.Batch{Registry: reg, Topics: []string{"orders"}}
	for i, v := range values {
		start := len(b.Data)
		var err error
		b.Data, err = connectdata.AppendSchemaless(b.Data, v)
		require.NoError(t, err)
		value := wit.ValueSlice{Encoding: wit.Schemaless, Start: uint32(start), Size: uint32(len(b.Data) - start)}
		b.Rows = append(b.Rows, wit.Row{RowIndex: uint32(i), Partition: 2, Offset: int64(100 + i),
			Timestamp: 1700000000000, Value: value})
	}
	return b
}

// orderValue returns a value of three fields.
func orderValue(id int, state string) connectdata.Map {
	return connectdata.Map{
		{Key: "id", Value: int64(id)},
		{Key: "state", Value: state},
		{Key: "iban", Value: "DE00 1234"},
	}
}

// isRefusal reports whether an error is a [rest.Refusal] with a status and a part of a message.
func isRefusal(err error, status int, message string) bool {
	var r *rest.Refusal
	return errors.As(err, &r) && r.Status == status && strings.Contains(r.Message, message)
}

// startSample starts a sample of a number of rows and returns its ID.
func startSample(t *testing.T, s *Sampler, connector string, rows int) string {
	t.Helper()
	k, err := s.Start(connector, rest.SampleRequest{Rows: rows, Show: rest.RecordsFull})
	require.NoError(t, err)
	return k.ID
}

// observe passes a batch to the observer as a task does, and reports whether a sample took rows of it.
func observe(s *Sampler, connector string, b *record.Batch) bool {
	rows := func() (n int) {
		for _, k := range s.samples {
			n += len(k.rows)
		}
		return n
	}
	previousRows := rows()
	s.Observer(connector).Observe(0, "", b)
	return rows() > previousRows
}

// A sample gets the next rows and no more. Without a waiting sample rows are not inspected. A sample is removed after
// ten minutes.
func TestSampleLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := record.NewRegistry()
		s := New(reg, func(text string) string { return text }, nil)
		b := batch(t, reg, orderValue(1, "a"), orderValue(2, "b"), orderValue(3, "c"))
		assert.True(t, !observe(s, "orders", b), "expected no inspected rows without a sample")
		id := startSample(t, s, "orders", 4)
		assert.True(t, !observe(s, "others", b) && observe(s, "orders", b),
			"expected the rows of one connector to be inspected")
		k, err := s.Read(t.Context(), "orders", id, chaintest.Chain{})
		assert.True(t, err == nil && k.State == waiting && len(k.Rows) == 3 && k.Rows[2].Offset == 102 &&
			k.Rows[0].Partition == 2 && strings.Contains(k.Rows[1].Input.Value, `"state": "b"`) &&
			k.Rows[0].Problem == "", "expected three rows of a waiting sample, found %+v, %v", k, err)
		clear(b.Data) // the memory belongs to the task
		cached, err := s.Read(t.Context(), "orders", id, chaintest.Chain{})
		assert.True(t, err == nil && &cached.Rows[0] == &k.Rows[0],
			"expected cached rows, since there are no new ones: %v", err)
		observe(s, "orders", batch(t, reg, orderValue(4, "d"), orderValue(5, "e")))
		assert.True(t, !observe(s, "orders", b), "expected no inspected rows after the sample was complete")
		k, err = s.Read(t.Context(), "orders", id, chaintest.Chain{})
		assert.True(t, err == nil && k.State == done && len(k.Rows) == 4 &&
			strings.Contains(k.Rows[3].Input.Value, `"id": 4`) && strings.Contains(k.Rows[0].Input.Value, `"id": 1`),
			"expected four rows of a complete sample, found %+v, %v", k, err)
		_, err = s.Read(t.Context(), "others", id, chaintest.Chain{})
		assert.True(t, isRefusal(err, 404, "no such sample"), "another connector's sample: expected 404, found %v", err)
		startSample(t, s, "orders", 1)
		time.Sleep(lifetime + time.Second)
		synctest.Wait()
		_, err = s.Read(t.Context(), "orders", id, chaintest.Chain{})
		assert.True(t, isRefusal(err, 404, "no such sample"), "after ten minutes: expected 404, found %v", err)
		assert.True(t, len(s.samples) == 0 && !observe(s, "orders", b),
			"expected no inspected rows after the sample has expired")
	})
}

// The number of samples is bounded: a new one replaces the oldest, whose memory is freed.
func TestNumberOfSamplesIsBounded(t *testing.T) {
	reg := record.NewRegistry()
	s := New(reg, func(text string) string { return text }, nil)
	for _, n := range []int{-1, 101} {
		_, err := s.Start("a", rest.SampleRequest{Rows: n})
		assert.True(t, isRefusal(err, 400, "from 1 to 100"), "%d rows: expected 400, found %v", n, err)
	}
	first := startSample(t, s, "a", 1)
	s.Observer("a")
	observe(s, "a", batch(t, reg, orderValue(1, "a")))
	oldest := weak.Make(s.samples[0])
	otherConnectors := startSample(t, s, "b", 1)
	second := startSample(t, s, "a", 1)
	list := s.List("a") // the newest first
	assert.True(t, len(list) == 2 && list[0].ID == second && list[1].ID == first &&
		list[0].State+list[1].State == waiting+done, "expected %s and %s, found %+v", second, first, list)
	for range maxSamples - 2 {
		startSample(t, s, "a", 1)
	}
	_, err := s.Read(t.Context(), "a", first, chaintest.Chain{})
	assert.True(t, isRefusal(err, 404, "keeps the last 16 samples"), "the oldest sample: expected 404, found %v", err)
	runtime.GC()
	assert.True(t, oldest.Value() == nil, "expected the oldest sample's memory to be freed")
	if k, err := s.Read(t.Context(), "b", otherConnectors, chaintest.Chain{}); err != nil || k.State != waiting {
		t.Errorf("another connector's sample: expected that it waits, found %+v, %v", k, err)
	}
	startSample(t, s, "a", 1)
	assert.True(t, !observe(s, "b", batch(t, reg, orderValue(1, "a"))),
		"expected no inspected rows for a replaced sample")
}

// A row that is too large to copy is reported as such, and does not count against the space of others.
func TestRowTooLargeForSample(t *testing.T) {
	reg := record.NewRegistry()
	s := New(reg, func(text string) string { return text }, nil)
	id := startSample(t, s, "a", 3)
	b := batch(t, reg, strings.Repeat("x", 20<<20), orderValue(1, "a"), strings.Repeat("y", 5<<20))
	observe(s, "a", b)
	k, err := s.Read(t.Context(), "a", id, chaintest.Chain{})
	require.NoError(t, err)
	if large := k.Rows[0]; !large.Input.Cut || large.Input.Topic != "orders" || large.Offset != 100 ||
		!strings.Contains(large.Problem, "it is not shown: the row has 2097") {
		t.Errorf("expected a problem instead of a large row, found %+v", large)
	}
	assert.True(t, !k.Rows[1].Input.Cut && k.Rows[1].Problem == "" && k.Rows[2].Input.Cut && k.Rows[2].Problem == "",
		"expected a whole row and one whose text is cut, found the problems %q and %.100q, cut %t and %t",
		k.Rows[1].Problem, k.Rows[2].Problem, k.Rows[1].Input.Cut, k.Rows[2].Input.Cut)
}

// Tasks may read while samples are started, read and removed.
func TestConcurrentSamples(t *testing.T) {
	reg := record.NewRegistry()
	s := New(reg, func(text string) string { return text }, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var tasks sync.WaitGroup
	for n := range 3 {
		tasks.Go(func() {
			for ctx.Err() == nil {
				b := batch(t, reg, orderValue(1, "a"), orderValue(2, "b"))
				s.Observer("a").Observe(n, "f", b)
			}
		})
	}
	for range 20 {
		id := startSample(t, s, "a", 7)
		for state := ""; state != done; {
			k, err := s.Read(ctx, "a", id, chaintest.Chain{})
			require.NoError(t, err)
			state = k.State
		}
	}
	cancel()
	tasks.Wait()
}

// A panic in an observer does not affect the task.
func TestPanicInObserver(t *testing.T) {
	var observer task.Observer
	observer.Set(func(int, string, *record.Batch) { panic("a mistake") })
	b := batch(t, record.NewRegistry(), orderValue(1, "a"))
	observer.Observe(0, "", b)
	(*task.Observer)(nil).Observe(0, "", b)
}

// testWorker has a worker's plugins with the built-in transforms.
type testWorker struct {
	*Sampler
	plugins *plugin.Manager
	reg     *record.Registry
	worker  *config.Worker
}

// newTestWorker returns a worker with the built-in transforms and modules, by file name.
func newTestWorker(t testing.TB, modules map[string][]byte) *testWorker {
	t.Helper()
	w := &testWorker{reg: record.NewRegistry()}
	dir := guesttest.Folder(t, "smt")
	for name, module := range modules {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), module, 0o600))
	}
	var err error
	w.plugins, err = plugin.New(t.Context(), plugin.Options{Folders: []string{dir}, Registry: w.reg,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), CacheDir: guesttest.Code(t)})
	require.NoError(t, err)
	t.Cleanup(func() { w.plugins.Close() })
	var problems config.Problems
	w.worker, problems = config.NewWorker("", nil, nil, nil)
	require.NoError(t, problems.Err())
	w.Sampler = New(w.reg, w.worker.Redact, nil)
	return w
}

// chain returns the transform chain of a connector with these settings.
func (w *testWorker) chain(t testing.TB, settings map[string]string) chaintest.Chain {
	t.Helper()
	var entries []config.Entry
	for key, value := range settings {
		entries = append(entries, config.NewEntry(key, value, "orders.properties", 1))
	}
	c, problems := config.NewConnector("orders.properties", entries, w.worker.Providers)
	require.NoError(t, problems.Err())
	return chaintest.ChainOf(resolved.Resolver{Worker: w.worker, Plugins: w.plugins}.Resolve(c))
}

// runTask runs a connector's own chain on an observed batch.
func (w *testWorker) runTask(t *testing.T, connector string, c chaintest.Chain, b *record.Batch) {
	t.Helper()
	chain, err := transform.New(t.Context(), transform.Options{Manager: c.Plugins, Connector: connector,
		Stages: c.Stages})
	require.NoError(t, err)
	defer chain.Close()
	w.Observer(connector).Observe(1, "Orders", b)
	_, err = chain.Apply(t.Context(), b)
	require.NoError(t, err)
}

const transforms = "org.apache.kafka.connect.transforms."

// ordersChain drops tombstones, masks a field and sets a key. Its last transform applies to no row.
var ordersChain = map[string]string{
	"transforms":                   "drop,mask,key,route",
	"transforms.drop.type":         transforms + "Filter",
	"transforms.drop.predicate":    "deleted",
	"transforms.mask.type":         transforms + "MaskField$Value",
	"transforms.mask.fields":       "iban",
	"transforms.key.type":          transforms + "ValueToKey",
	"transforms.key.fields":        "id",
	"transforms.route.type":        transforms + "RegexRouter",
	"transforms.route.regex":       "archive",
	"transforms.route.replacement": "x",
	"transforms.route.predicate":   "mine",
	"transforms.route.negate":      "true",
	"predicates":                   "deleted,mine",
	"predicates.deleted.type":      transforms + "predicates.RecordIsTombstone",
	"predicates.mine.type":         transforms + "predicates.TopicNameMatches",
	"predicates.mine.pattern":      "orders",
}

// Each step shows its result for each row, of the connector's chain and of others.
func TestSampleShowsEachStep(t *testing.T) {
	w := newTestWorker(t, nil)
	c := w.chain(t, ordersChain)
	id := startSample(t, w.Sampler, "orders", 3)
	w.Observer("orders")
	b := batch(t, w.reg, orderValue(1, "a"), "no map", orderValue(2, "b"))
	b.Rows[2].Value = wit.ValueSlice{} // a tombstone, which matches the predicate
	w.runTask(t, "orders", c, b)
	k, err := w.Read(t.Context(), "orders", id, c)
	require.NoError(t, err)
	var steps []string
	for _, row := range k.Rows {
		for i, step := range row.Steps {
			text := strings.TrimSpace(k.Steps[i].Alias + ": " + step.Outcome + " " + step.Error)
			for _, r := range step.Records {
				text += " " + strings.Join(strings.Fields(r.Topic+" "+r.Key+r.Value), "")
			}
			steps = append(steps, text)
		}
	}
	if d := cmp.Diff([]string{
		"drop: skipped",
		`mask: changed ordersnull{"id":1,"state":"a","iban":""}`,
		`key: changed orders{"id":1}{"id":1,"state":"a","iban":""}`,
		"route: skipped",
		"drop: skipped",
		"mask: failed mask: Only Map objects supported in absence of schema for [mask fields], " +
			"found: java.lang.String",
		"drop: dropped",
	}, steps); d != "" {
		t.Error("(-want +got)", d)
	}
	assert.True(t, k.State == done && k.Problem == "" && k.Rows[0].Task == 1 && k.Rows[0].Feed == "Orders" &&
		k.Rows[0].Offset == 0, "expected a complete sample of task 1 and feed Orders, found %+v", k)
	if d := cmp.Diff([]rest.SampleStep{
		{Alias: "drop", Class: transforms + "Filter", Predicate: "deleted"},
		{Alias: "mask", Class: transforms + "MaskField"},
		{Alias: "key", Class: transforms + "ValueToKey"},
		{Alias: "route", Class: transforms + "RegexRouter", Predicate: "mine", Negate: true},
	}, k.Steps,
		cmp.Transformer("class", func(s string) string { return strings.TrimSuffix(s, "$Value") })); d != "" {
		t.Error("(-want +got)", d)
	}

	// The same rows are shown with another chain, and with one that cannot be created.
	hoist := w.chain(t, map[string]string{"transforms": "in", "transforms.in.type": transforms + "HoistField$Value",
		"transforms.in.field": "row"})
	shown, err := w.ReadWithChain(t.Context(), "orders", id, hoist)
	assert.True(t, err == nil && len(shown.Steps) == 1 &&
		strings.Contains(shown.Rows[0].Steps[0].Records[0].Value, `"row": {`) && shown.Rows[0].Problem == "",
		"expected a hoisted row, found %+v, %v", shown, err)
	incomplete := w.chain(t, map[string]string{"transforms": "in",
		"transforms.in.type": transforms + "HoistField$Value"})
	shown, err = w.ReadWithChain(t.Context(), "orders", id, incomplete)
	assert.True(t, err == nil && strings.Contains(shown.Problem, "transforms.in") && len(shown.Rows) == 3 &&
		strings.Contains(shown.Rows[0].Input.Value, `"id": 1`) && len(shown.Rows[0].Steps) == 0,
		"expected a problem and rows without steps, found %+v, %v", shown, err)
	checkTestFile(t, w, id, c)
}

// checkTestFile checks that the test file of a sample's rows passes, and fails if the chain does something else. No
// test file is created of a row with a secret.
func checkTestFile(t *testing.T, w *testWorker, id string, c chaintest.Chain) {
	t.Helper()
	text, err := w.TestFile(t.Context(), "orders", id, c, ordersChain)
	require.NoError(t, err)
	w.redact = func(text string) string { return strings.ReplaceAll(text, "1234", "[hidden]") }
	_, err = w.TestFile(t.Context(), "orders", id, c, ordersChain)
	assert.True(t, isRefusal(err, 409, "row 1: it holds what a config"),
		"a row with a secret: expected 409, found %v", err)
	for _, isChanged := range []bool{false, true} {
		file := filepath.Join(t.TempDir(), "orders_test.yaml")
		if isChanged {
			text = []byte(strings.Replace(string(text), "fields: iban", "fields: state", 1))
		}
		require.NoError(t, os.WriteFile(file, text, 0o600))
		results, err := chaintest.Run(t.Context(), chaintest.Options{
			Plugins:  w.plugins,
			Worker:   w.worker,
			Registry: w.reg,
			Logger:   discardLog,
		}, []string{file})
		require.NoError(t, err)
		assert.True(t, len(results) == 1 && (len(results[0].Failures) > 0) == isChanged,
			"changed %t: found %+v of\n%s", isChanged, results, text)
	}
}

// With shapes no value is shown, not even in errors.
func TestShapesHideValues(t *testing.T) {
	w := newTestWorker(t, nil)
	k, err := w.Start("orders", rest.SampleRequest{Rows: 2, Show: rest.RecordsShape})
	require.NoError(t, err)
	c := w.chain(t, map[string]string{"transforms": "cast", "transforms.cast.type": transforms + "Cast$Value",
		"transforms.cast.spec": "state:int32"})
	w.runTask(t, "orders", c, batch(t, w.reg, orderValue(4711, "confidential"), orderValue(4711, "12")))
	k, err = w.Read(t.Context(), "orders", k.ID, c)
	require.NoError(t, err)
	text := strings.Join(strings.Fields(k.Rows[0].Input.Value), "")
	assert.True(t, text == `{"id":"number","state":"string(12)","iban":"string(9)"}` &&
		k.Rows[0].Steps[0].Error == "cast: org.apache.kafka.connect.errors.DataException" &&
		strings.Contains(k.Rows[1].Steps[0].Records[0].Value, `"state": "number"`),
		"expected types, sizes and error classes, found %+v", k.Rows)
	_, err = w.TestFile(t.Context(), "orders", k.ID, c, nil)
	assert.True(t, isRefusal(err, 403, "has no values"), "a test file of shapes: expected 403, found %v", err)
}

// The rows of all samples share the worker's memory, which a removed sample releases.
func TestSamplesShareTheQuota(t *testing.T) {
	reg := record.NewRegistry()
	b := batch(t, reg, orderValue(1, "a"))
	quota := memory.NewQuota(int64(2 * b.RowBytes(0)))
	s := New(reg, func(text string) string { return text }, quota)
	isKept := func(id string) bool {
		observe(s, "orders", b)
		_, rows, err := s.find("orders", id)
		require.NoError(t, err)
		assert.True(t, rows[0].batch != nil || strings.Contains(rows[0].Problem, "a 32nd of its limit, is used up"),
			"found the problem %q", rows[0].Problem)
		return rows[0].batch != nil
	}
	first := startSample(t, s, "orders", 1)
	assert.True(t, isKept(first) && isKept(startSample(t, s, "orders", 1)) && !isKept(startSample(t, s, "orders", 1)),
		"expected the rows of two samples to be kept")
	s.remove(first)
	last := startSample(t, s, "orders", 1)
	assert.True(t, isKept(last), "expected memory after a sample was removed")
	sample, _, _ := s.find("orders", last)
	assert.True(t, !s.reserveText(sample, 1), "expected no memory for results")
	for _, sample := range slices.Clone(s.samples) {
		s.remove(sample.ID)
	}
	assert.True(t, quota.TryReserve(2*b.RowBytes(0)) && !s.reserveText(sample, 0),
		"expected removed samples to release all memory and to reserve none")
}
