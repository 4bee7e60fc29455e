package source

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// heavyProducer creates a new batch for each chunk.
type heavyProducer struct{ Output }

func (p *heavyProducer) NewBatch() Batch { return &keptBatch{} }

// newHeavy returns a shaper with JSON converters, and a goroutine that consumes its chunks as the producer does.
func newHeavy(t *testing.T, registry *record.Registry, o Options, taken func(*chunk)) (s *transformStage, stop func()) {
	t.Helper()
	o.Registry = registry
	f := emptyFeed(NewTask(o), &openedVersion{feeds: []wit.Feed{{Topic: "t"}}})
	f.pipeline.output = &heavyProducer{}
	f.log = f.task.log
	f.pipeline.free = make(chan *chunk, chunks)
	f.pipeline.converted = make(chan *chunk, 1)
	for range chunks - 1 {
		f.pipeline.free <- newChunk(registry)
	}
	s = &transformStage{feed: f, topics: map[string]bool{}}
	var err error
	if s.key, err = convert.New(convert.ClassString, nil, convert.Options{IsKey: true, Schemas: registry}); err != nil {
		t.Fatal(err)
	}
	if s.value, err = convert.New(convert.ClassJSON, nil, convert.Options{Schemas: registry}); err != nil {
		t.Fatal(err)
	}
	if s.header, err = f.task.o.NewHeaderConverter(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for c := range f.pipeline.converted {
			taken(c)
			f.pipeline.free <- c
		}
	}()
	return s, func() { close(f.pipeline.converted); <-ended }
}

// Rows of one byte whose schema is in each record are emitted in chunks of limited size, all of them and in order.
func TestOutputOfAChunkIsBounded(t *testing.T) {
	const rows, doc = 200, 900_000
	registry := record.NewRegistry()
	schema, err := registry.Intern([]wit.SchemaNode{{Kind: wit.Struct, Doc: wit.Ptr(strings.Repeat("d", doc)),
		Fields: []wit.Field{{Name: "n", Node: 1}}}, {Kind: wit.Int16}})
	require.NoError(t, err)
	var total, next int
	take := func(c *chunk) {
		if cap(c.out) > 2*(maxChunkOutput+1<<20) {
			t.Errorf("a chunk contains %d bytes", cap(c.out))
		}
		b := c.produced.(*keptBatch)
		for _, r := range b.records[:b.n] {
			total += len(r.Value)
			if want := `"payload":{"n":` + strconv.Itoa(next) + `}}`; !strings.HasSuffix(string(r.Value), want) {
				t.Errorf("expected %s, found %s", want, r.Value[len(r.Value)-30:])
			}
			next++
		}
	}
	s, stop := newHeavy(t, registry, Options{}, take)
	c := newChunk(registry)
	c.reset("t", &origin{request: "GET /x"})
	for i := range rows {
		start := uint32(len(c.batch.Data))
		c.batch.Data = connectdata.AppendNumber(c.batch.Data, int64(i))
		c.batch.Rows = append(c.batch.Rows, wit.Row{RowIndex: uint32(i), Partition: -1, Timestamp: -1,
			Value: wit.ValueSlice{Encoding: wit.WithSchema, Schema: schema.ID, Start: start,
				Size: uint32(len(c.batch.Data)) - start}})
	}
	require.NoError(t, s.process(t.Context(), c))
	stop()
	take(c)
	if next != rows || total < rows*doc {
		t.Errorf("expected %d rows, found %d with %d bytes", rows, next, total)
	}
}

// A row whose single record exceeds the producer's limit is that row's fault: 300 KB of control characters are 1.8 MB
// of JSON.
func TestTooLargeRowFails(t *testing.T) {
	registry := record.NewRegistry()
	schema, err := registry.Intern([]wit.SchemaNode{{Kind: wit.String}})
	require.NoError(t, err)
	fill := func(c *chunk) {
		c.reset("t", &origin{request: "GET /x"})
		for i, size := range []int{10, 300_000, 20} {
			start := uint32(len(c.batch.Data))
			c.batch.Data = connectdata.AppendBytes(c.batch.Data, make([]byte, size))
			c.batch.Rows = append(c.batch.Rows, wit.Row{RowIndex: uint32(i), Partition: -1, Timestamp: -1,
				Value: wit.ValueSlice{Encoding: wit.WithSchema, Schema: schema.ID, Start: start,
					Size: uint32(len(c.batch.Data)) - start}})
		}
	}
	s, stop := newHeavy(t, registry, Options{}, func(*chunk) {})
	defer stop()
	c := newChunk(registry)
	fill(c)
	err = s.process(t.Context(), c)
	var row *rowError
	if !errors.As(err, &row) || row.row != 1 || fault.Class(err) != fault.TooLargeException ||
		!strings.Contains(err.Error(), "producer.max.request.size") {
		t.Errorf("expected the second row, found %v", err)
	}
	tolerant, stopTolerant := newHeavy(t, registry,
		Options{ErrorHandling: ErrorHandling{Tolerance: task.Tolerance{TolerateAll: true}}},
		func(*chunk) {})
	defer stopTolerant()
	fill(c)
	if err := tolerant.process(t.Context(), c); err != nil || c.produced.Len() != 2 ||
		tolerant.feed.task.count.errors.Skipped.Load() != 1 {
		t.Errorf("expected two of three rows, found %d, %v", c.produced.Len(), err)
	}
	// Headers count, too, whatever their number.
	for name, headers := range map[string][]connectdata.Header{"one": {{Name: "h", Encoding: wit.Raw,
		Value: make([]byte, 2<<20)}}, "many": make([]connectdata.Header, 10_000)} {
		for i := range headers {
			headers[i].Encoding = wit.Raw
			if name == "many" {
				headers[i].Name = strings.Repeat("n", 200)
			}
		}
		fill(c)
		c.batch.Rows = c.batch.Rows[:1]
		start := uint32(len(c.batch.Data))
		c.batch.Data = connectdata.AppendHeaders(c.batch.Data, headers)
		c.batch.Rows[0].Headers = wit.ValueSlice{Encoding: wit.Raw, Start: start,
			Size: uint32(len(c.batch.Data)) - start}
		if err := s.process(t.Context(), c); fault.Class(err) != fault.TooLargeException {
			t.Errorf("%s: expected %s, found %v", name, fault.TooLargeException, err)
		}
	}
}

// Feeds are identified by their partitions, in time that grows linearly with their number.
func TestFeedPartitionsAreDistinct(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	feeds := make([]wit.Feed, 10_000)
	for i := range feeds {
		feeds[i] = wit.Feed{Name: strconv.Itoa(i),
			Partition: []wit.OffsetEntry{wit.StringEntry("service", strings.Repeat("s",
				1000)), wit.IntegerEntry("n", int64(i))}}
	}
	if err := checkFeeds(feeds); err != nil || ctx.Err() != nil {
		t.Error(err, ctx.Err())
	}
	// The order of fields does not distinguish them, like in the offset topic.
	last := &feeds[len(feeds)-1]
	last.Partition = []wit.OffsetEntry{wit.IntegerEntry("n", 5), wit.StringEntry("service", strings.Repeat("s", 1000))}
	runtest.Fails(t, checkFeeds(feeds), "feeds 5 and 9999 have the same offset partition")
}

// Conversions end with the feed, which is no row's fault.
func TestShapingEndsWithItsContext(t *testing.T) {
	registry := record.NewRegistry()
	s, stop := newHeavy(t, registry,
		Options{ErrorHandling: ErrorHandling{Tolerance: task.Tolerance{TolerateAll: true}}}, func(*chunk) {})
	defer stop()
	c := newChunk(registry)
	c.reset("t", &origin{request: "GET /x"})
	c.batch.Rows = make([]wit.Row, 1000)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.process(ended, c); !errors.Is(err, context.Canceled) || s.feed.task.count.errors.All.Load() != 0 {
		t.Errorf("expected %v, found %v and %d faults", context.Canceled, err, s.feed.task.count.errors.All.Load())
	}
}

// stillProducer sends nothing.
type stillProducer struct {
	Output
	batch Batch
}

func (p *stillProducer) NewBatch() Batch { return p.batch }

// keptBatch reuses its records, as kafka's batches do.
type keptBatch struct {
	records []kgo.Record
	n       int
}

func (b *keptBatch) Add() *kgo.Record {
	if b.n == len(b.records) {
		b.records = append(b.records, kgo.Record{})
	}
	b.n++
	return &b.records[b.n-1]
}
func (b *keptBatch) Headers(n int) []kgo.RecordHeader { return make([]kgo.RecordHeader, n) }
func (b *keptBatch) Len() int                         { return b.n }

// A row needs no allocation on its way through the stages once they are warm.
func TestNoAllocationForARow(t *testing.T) {
	registry := record.NewRegistry()
	nodes := []wit.SchemaNode{{Kind: wit.Struct, Name: wit.Ptr("N.Order"), Fields: []wit.Field{{Name: "Id", Node: 1},
		{Name: "Name", Node: 2}}}, {Kind: wit.Int32}, {Kind: wit.String, Optional: true}}
	schema, err := registry.Intern(nodes)
	require.NoError(t, err)
	f := emptyFeed(NewTask(Options{Registry: registry}), nil)
	batch := &keptBatch{}
	f.pipeline.output = &stillProducer{batch: batch}
	f.opened = &openedVersion{feeds: []wit.Feed{{Topic: "t"}}}
	s := &transformStage{feed: f, topics: map[string]bool{}}
	json := map[string]string{"schemas.enable": "false"}
	if s.key, err = convert.New(convert.ClassJSON, json, convert.Options{IsKey: true, Schemas: registry}); err != nil {
		t.Fatal(err)
	}
	if s.value, err = convert.New(convert.ClassJSON, json, convert.Options{Schemas: registry}); err != nil {
		t.Fatal(err)
	}
	c := newChunk(registry)
	position := []wit.OffsetEntry{wit.StringEntry("url", "/x")}
	p := &page{feed: f, fetch: &wit.Fetch{Position: &position, RepeatsExactly: true}, chunk: c,
		cursor: cursor{lastRow: -1, keys: emptyDigest}}
	values := make([]any, targetRows)
	for i := range values {
		values[i] = connectdata.Struct{int32(i), fmt.Sprint("name ", i)}
	}
	through := func() {
		c.reset("t", &origin{request: "GET /x"})
		batch.n = 0
		p.cursor.lastRow = -1
		for i := range values {
			start := uint32(len(c.batch.Data))
			c.batch.Data, err = connectdata.Append(c.batch.Data, nodes, 0, values[i])
			require.NoError(t, err)
			d := wit.ValueSlice{Encoding: wit.WithSchema, Schema: schema.ID, Start: start,
				Size: uint32(len(c.batch.Data)) - start}
			c.batch.Rows = append(c.batch.Rows, wit.Row{RowIndex: uint32(i), Partition: -1, Timestamp: -1, Key: d,
				Value: d})
		}
		require.NoError(t, p.acceptRows(0))
		require.NoError(t, s.process(context.Background(), c))
	}
	through()
	if batch.n != targetRows || string(batch.records[3].Value) != `{"Id":3,"Name":"name 3"}` {
		t.Fatalf("%d records, %s", batch.n, batch.records[3].Value)
	}
	// The test's connectdata.Append boxes nothing here: its values are boxed above.
	if allocations := testing.AllocsPerRun(20, through); allocations > 5 {
		t.Errorf("expected no allocation for a row, found %.0f for %d rows", allocations, targetRows)
	}
}
