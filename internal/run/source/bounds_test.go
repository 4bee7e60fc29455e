package source

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// batchPerChunkOutput creates a new batch for each chunk.
type batchPerChunkOutput struct{ Output }

func (o *batchPerChunkOutput) NewBatch() Batch { return &reusedBatch{} }

// newTestStage returns a transform stage with JSON converters. A goroutine passes its chunks to onChunk and frees them,
// until stop.
func newTestStage(t *testing.T, registry *record.Registry, o Options,
	onChunk func(*chunk)) (s *transformStage, stop func()) {
	t.Helper()
	o.Registry = registry
	f := emptyFeed(NewTask(o), &openedVersion{feeds: []wit.Feed{{Topic: "t"}}})
	f.pipeline.output = &batchPerChunkOutput{}
	f.log = f.task.log
	f.pipeline.free = make(chan *chunk, chunks)
	f.pipeline.converted = make(chan *chunk, 1)
	for range chunks - 1 {
		f.pipeline.free <- newChunk(registry)
	}
	s = &transformStage{feed: f, topics: map[string]bool{}}
	var err error
	s.key, err = convert.New(convert.ClassString, nil, convert.Options{IsKey: true, Schemas: registry})
	require.NoError(t, err)
	s.value, err = convert.New(convert.ClassJSON, nil, convert.Options{Schemas: registry})
	require.NoError(t, err)
	s.header, err = f.task.o.NewHeaderConverter()
	require.NoError(t, err)
	var consumer sync.WaitGroup
	consumer.Go(func() {
		for c := range f.pipeline.converted {
			onChunk(c)
			f.pipeline.free <- c
		}
	})
	return s, func() {
		close(f.pipeline.converted)
		consumer.Wait()
	}
}

// Small rows whose large schema is in each record are emitted in chunks of limited size, all of them and in order.
func TestOutputOfAChunkIsBounded(t *testing.T) {
	const (
		rows     = 200
		docBytes = 900_000
	)
	registry := record.NewRegistry()
	schema, err := registry.Intern([]wit.SchemaNode{{Kind: wit.Struct, Doc: wit.Ptr(strings.Repeat("d", docBytes)),
		Fields: []wit.Field{{Name: "n", Node: 1}}}, {Kind: wit.Int16}})
	require.NoError(t, err)
	totalBytes := 0
	nextRow := 0
	check := func(c *chunk) {
		assert.AtMost(t, 2*(maxChunkOutput+1<<20), cap(c.converted), "bytes in a chunk")
		b := c.produced.(*reusedBatch)
		for _, r := range b.records[:b.n] {
			totalBytes += len(r.Value)
			if want := `"payload":{"n":` + strconv.Itoa(nextRow) + `}}`; !strings.HasSuffix(string(r.Value), want) {
				t.Errorf("expected %s, found %s", want, r.Value[len(r.Value)-30:])
			}
			nextRow++
		}
	}
	s, stop := newTestStage(t, registry, Options{}, check)
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
	check(c)
	assert.True(t, nextRow == rows && totalBytes >= rows*docBytes,
		"expected %d rows, found %d with %d bytes", rows, nextRow, totalBytes)
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
	s, stop := newTestStage(t, registry, Options{}, func(*chunk) {})
	defer stop()
	c := newChunk(registry)
	fill(c)
	err = s.process(t.Context(), c)
	var rowErr *rowError
	assert.True(t, errors.As(err, &rowErr) && rowErr.row == 1 && fault.Class(err) == fault.TooLargeException &&
		strings.Contains(err.Error(), "producer.max.request.size"), "expected the second row, found %v", err)
	tolerantStage, stopTolerant := newTestStage(t, registry,
		Options{ErrorHandling: ErrorHandling{Tolerance: task.Tolerance{TolerateAll: true}}},
		func(*chunk) {})
	defer stopTolerant()
	fill(c)
	err = tolerantStage.process(t.Context(), c)
	assert.True(t, err == nil && c.produced.Len() == 2 && tolerantStage.feed.task.count.errors.Skipped.Load() == 1,
		"expected two of three rows, found %d, %v", c.produced.Len(), err)
	// Headers count, too, whatever their number.
	for name, headers := range map[string][]connectdata.Header{
		"one":  {{Name: "h", Encoding: wit.Raw, Value: make([]byte, 2<<20)}},
		"many": make([]connectdata.Header, 10_000),
	} {
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
			Partition: []wit.OffsetEntry{
				wit.StringEntry("service", strings.Repeat("s", 1000)),
				wit.IntegerEntry("n", int64(i)),
			}}
	}
	require.NoError(t, checkFeeds(feeds, time.Now()))
	require.NoError(t, ctx.Err())
	// The order of fields does not distinguish them, like in the offset topic.
	last := &feeds[len(feeds)-1]
	last.Partition = []wit.OffsetEntry{wit.IntegerEntry("n", 5), wit.StringEntry("service", strings.Repeat("s", 1000))}
	runtest.Fails(t, checkFeeds(feeds, time.Now()), "feeds 5 and 9999 have the same offset partition")
}

// Conversions end with their context. That counts as no row's error.
func TestShapingEndsWithItsContext(t *testing.T) {
	registry := record.NewRegistry()
	s, stop := newTestStage(t, registry,
		Options{ErrorHandling: ErrorHandling{Tolerance: task.Tolerance{TolerateAll: true}}}, func(*chunk) {})
	defer stop()
	c := newChunk(registry)
	c.reset("t", &origin{request: "GET /x"})
	c.batch.Rows = make([]wit.Row, 1000)
	endedCtx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.process(endedCtx, c); !errors.Is(err, context.Canceled) || s.feed.task.count.errors.All.Load() != 0 {
		t.Errorf("expected %v, found %v and %d errors", context.Canceled, err, s.feed.task.count.errors.All.Load())
	}
}

// discardOutput has one batch for all chunks and sends nothing.
type discardOutput struct {
	Output
	batch Batch
}

func (o *discardOutput) NewBatch() Batch { return o.batch }

// reusedBatch reuses its records, as kafka's batches do.
type reusedBatch struct {
	records []kgo.Record
	n       int
}

func (b *reusedBatch) Add() *kgo.Record {
	if b.n == len(b.records) {
		b.records = append(b.records, kgo.Record{})
	}
	b.n++
	return &b.records[b.n-1]
}
func (b *reusedBatch) Headers(n int) []kgo.RecordHeader { return make([]kgo.RecordHeader, n) }
func (b *reusedBatch) Len() int                         { return b.n }

// After the first chunk, a row needs no allocation in the read and transform stages.
func TestNoAllocationForARow(t *testing.T) {
	registry := record.NewRegistry()
	nodes := []wit.SchemaNode{{Kind: wit.Struct, Name: wit.Ptr("N.Order"), Fields: []wit.Field{{Name: "Id", Node: 1},
		{Name: "Name", Node: 2}}}, {Kind: wit.Int32}, {Kind: wit.String, Optional: true}}
	schema, err := registry.Intern(nodes)
	require.NoError(t, err)
	f := emptyFeed(NewTask(Options{Registry: registry}), nil)
	batch := &reusedBatch{}
	f.pipeline.output = &discardOutput{batch: batch}
	f.opened = &openedVersion{feeds: []wit.Feed{{Topic: "t"}}}
	s := &transformStage{feed: f, topics: map[string]bool{}}
	json := map[string]string{"schemas.enable": "false"}
	s.key, err = convert.New(convert.ClassJSON, json, convert.Options{IsKey: true, Schemas: registry})
	require.NoError(t, err)
	s.value, err = convert.New(convert.ClassJSON, json, convert.Options{Schemas: registry})
	require.NoError(t, err)
	c := newChunk(registry)
	position := []wit.OffsetEntry{wit.StringEntry("url", "/x")}
	p := &page{feed: f, fetch: &wit.Fetch{Position: &position, RepeatsExactly: true}, chunk: c,
		cursor: cursor{lastRow: -1, keys: emptyDigest}}
	values := make([]any, targetRows)
	for i := range values {
		values[i] = connectdata.Struct{int32(i), fmt.Sprint("name ", i)}
	}
	processChunk := func() {
		c.reset("t", &origin{request: "GET /x"})
		batch.n = 0
		p.cursor.lastRow = -1
		for i := range values {
			start := uint32(len(c.batch.Data))
			c.batch.Data, err = connectdata.Append(c.batch.Data, nodes, 0, values[i])
			require.NoError(t, err)
			slice := wit.ValueSlice{Encoding: wit.WithSchema, Schema: schema.ID, Start: start,
				Size: uint32(len(c.batch.Data)) - start}
			c.batch.Rows = append(c.batch.Rows, wit.Row{RowIndex: uint32(i), Partition: -1, Timestamp: -1, Key: slice,
				Value: slice})
		}
		require.NoError(t, p.acceptRows(0))
		require.NoError(t, s.process(context.Background(), c))
	}
	processChunk()
	require.True(t, batch.n == targetRows && string(batch.records[3].Value) == `{"Id":3,"Name":"name 3"}`,
		"expected %d records, found %d with the fourth value %s", targetRows, batch.n, batch.records[3].Value)
	// A chunk may need some allocations, but a row none. The values are boxed above, so connectdata.Append needs none.
	if allocations := testing.AllocsPerRun(20, processChunk); allocations > 5 {
		t.Errorf("expected no allocation for a row, found %.0f for %d rows", allocations, targetRows)
	}
}
