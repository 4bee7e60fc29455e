package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/convert/fault"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/internal/run/tracing"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// maxBatchBytes is how many bytes of records make a batch full, whatever their number.
const maxBatchBytes = 8 << 20

// maxConvertedBytes is how many bytes the rows of a batch have, about, when it is full whatever the records are: a row
// may have 64 MiB where defaults stand for what is absent.
const maxConvertedBytes = 32 << 20

// quiet is how long nothing must come before a finishing task looks whether it has caught up.
const quiet = 200 * time.Millisecond

// gatherer makes batches: consumer, converters, transforms. It belongs to one goroutine, which runs ahead of the
// deliveries by two batches.
type gatherer struct {
	task       *Task
	consumer   Consumer
	key, value convert.Converter
	header     convert.Headers
	chain      Chain
	headers    []connectdata.Header
	// rest are items that did not fit into the batch before.
	rest []*item
	// over is why nothing comes after the batch before and rest: a record that cannot be read or written.
	over error
	// growth is how many times as large as its records the rows of the batch before were.
	growth float64
	// came is when the first records of the batch did, zero of one that begins with the rest.
	came time.Time
}

func (t *Task) newGatherer(ctx context.Context) (*gatherer, error) {
	g := &gatherer{task: t}
	var err error
	if g.key, g.value, err = t.o.NewConverters(); err != nil {
		return nil, err
	}
	if g.header = (convert.SimpleHeaders{Registry: t.o.Registry}); t.o.NewHeaderConverter != nil {
		if g.header, err = t.o.NewHeaderConverter(); err != nil {
			return nil, err
		}
	}
	if t.o.NewChain != nil {
		if g.chain, err = t.o.NewChain(ctx); err != nil {
			return nil, fmt.Errorf("transforms: %w", err)
		}
	}
	return g, nil
}

func (g *gatherer) run(ctx context.Context, out chan<- *batch) {
	for {
		var b *batch
		err := guard.Do(g.task.log, "a sink task, the stage of gathering", func() (err error) {
			b, err = g.batch(ctx)
			return err
		})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			b = &batch{err: err}
		}
		select {
		case out <- b:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// batch polls until there are rows enough or time is up.
func (g *gatherer) batch(ctx context.Context) (*batch, error) {
	t := g.task
	g.came = time.Time{}
	if items := g.rest; len(items) > 0 {
		g.rest = nil
		return g.shape(ctx, items)
	}
	if g.over != nil {
		return nil, g.over
	}
	var items []*item
	var due time.Time
	bytes := 0
	for len(items) < t.o.BatchRows && bytes < maxBatchBytes {
		records, err := g.poll(ctx, due, len(items) == 0)
		if err != nil {
			g.over = err
			break
		}
		if len(records) == 0 {
			break
		}
		t.count.consume.Start()
		before := bytes
		for _, r := range records {
			if !r.Attrs.IsControl() {
				bytes += len(r.Key) + len(r.Value)
				t.count.read.Add(1)
			}
		}
		items = append(items, t.account.apply(recordsRead{records}).items...)
		t.count.bytes.Add(int64(bytes - before))
		t.count.consume.Stop()
		if t.o.AwaitWritable != nil {
			if err := t.o.AwaitWritable(ctx, records); err != nil {
				return nil, err
			}
		}
		if len(items) == 0 { // nothing but markers of transactions, or records that were settled before
			continue
		}
		if due.IsZero() {
			g.came = time.Now()
			due = g.came.Add(t.every())
		}
		if t.o.Linger <= 0 {
			break
		}
	}
	switch {
	case len(items) > 0:
		return g.shape(ctx, items)
	case g.over != nil:
		return nil, g.over
	}
	return &batch{caughtUp: true}, nil
}

// every is how long a batch waits for more: not long when the task is about to end.
func (t *Task) every() time.Duration {
	select {
	case <-t.finishing:
		return min(t.o.Linger, quiet)
	default:
		return t.o.Linger
	}
}

// poll waits for records until `due`; without a time for ever, or, when the task finishes, until nothing has come for a
// while.
func (g *gatherer) poll(ctx context.Context, due time.Time, first bool) ([]*kgo.Record, error) {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	if first {
		// The end of the wait is not the end of ctx, see below.
		stop := make(chan struct{})
		defer close(stop)
		go func() {
			defer guard.Recover(g.task.log, "a sink task, its wait for the end", nil)
			select {
			case <-g.task.finishing:
			case <-stop:
				return
			}
			timer := time.NewTimer(quiet)
			defer timer.Stop()
			select {
			case <-timer.C:
				cancel()
			case <-stop:
			}
		}()
	} else {
		waiting, cancel = context.WithDeadline(ctx, due)
		defer cancel()
	}
	for {
		records, err := g.consumer.Poll(waiting)
		switch {
		case len(records) > 0:
			return records, nil
		case ctx.Err() == nil && waiting.Err() != nil && (err == nil || errors.Is(err, context.Canceled) ||
			errors.Is(err, context.DeadlineExceeded)):
			return nil, nil
		case err != nil:
			return nil, err
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		}
	}
}

// shape makes rows of records. A batch holds the rows of all its records, which are settled with it. It ends before a
// record that cannot be written where none may be skipped: what was read before is written first.
func (g *gatherer) shape(ctx context.Context, items []*item) (*batch, error) {
	b := g.room(items)
	read := make([]*item, 0, len(items))
	g.trace(b, items, time.Now())
	g.task.count.convert.Start()
	converted := sync.OnceFunc(g.task.count.convert.Stop)
	defer converted()
	converting := b.span.StartChild("convert", tracing.Internal)
	for n, i := range items {
		if len(b.rows.Data) >= maxConvertedBytes {
			g.rest = items[n:]
			break
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		before := len(b.rows.Data)
		row, stage, err := g.row(ctx, &b.rows, i.record)
		if err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			b.rows.Data = b.rows.Data[:before] // what came before of the record
			if fault.Stops(err) {
				g.over = fmt.Errorf("%s: %w", stage, err)
			} else {
				g.over = g.task.refuse(&b.outcome, i, allOfIt, stage, err)
			}
			if g.over == nil {
				continue
			}
			break
		}
		row.RowIndex = uint32(len(read))
		b.rows.Rows = append(b.rows.Rows, row)
		read = append(read, i)
	}
	converted()
	converting.End(nil)
	g.converted(b, read)
	g.task.o.Observer.Observe(g.task.o.Task, "", &b.rows)
	if g.chain == nil || len(read) == 0 {
		err := g.transformed(b, read, nil)
		g.task.arrived(b)
		return b, err
	}
	working, ended := g.task.count.transform.Track(ctx)
	transforming := b.span.StartChild("transform", tracing.Internal)
	faults, err := g.transform(working, &b.rows)
	ended()
	transforming.End(err)
	if err != nil {
		return nil, fmt.Errorf("transforms: %w", err)
	}
	err = g.transformed(b, read, faults)
	g.task.arrived(b)
	return b, err
}

// room makes a batch with memory for the rows of these records: what grows bit by bit is copied, and thrown away,
// several times over. Their size is guessed by what became of the records of the batch before.
func (g *gatherer) room(items []*item) *batch {
	size := int(float64(sizeOf(items))*g.growth*1.125) + 1<<10
	return &batch{rows: record.Batch{Registry: g.task.o.Registry, Rows: make([]wit.Row, 0, len(items)),
		Data: make([]byte, 0, min(size, maxConvertedBytes))},
		origins: record.Origins{IDs: make([]wit.RecordID, 0, len(items))}}
}

// converted learns how much larger rows are than the records that they were made of.
func (g *gatherer) converted(b *batch, read []*item) {
	if size := sizeOf(read); size > 0 {
		g.growth = float64(len(b.rows.Data)) / float64(size)
	}
}

// sizeOf is how many bytes keys and values of records have.
func sizeOf(items []*item) (size int) {
	for _, i := range items {
		size += len(i.record.Key) + len(i.record.Value)
	}
	return size
}

// trace begins the span of a batch of these records, which goes back to the spans that they come of.
func (g *gatherer) trace(b *batch, items []*item, now time.Time) {
	t := g.task
	if t.o.Tracer == nil {
		return
	}
	since := g.came
	if since.IsZero() {
		since = now
	}
	b.span = t.o.Tracer.StartBatch(since, func(each func(*kgo.Record) bool) {
		for _, i := range items {
			if !each(i.record) {
				return
			}
		}
	})
	b.span.SetTask(t.o.Connector, t.o.Task)
	b.span.SetInt("culvert.records", int64(len(items)))
	b.span.AddPastChild("consume", since, now, now.Sub(since))
}

// transform sends rows through the chain, again while the settings allow it and some fail that may do better.
func (g *gatherer) transform(ctx context.Context, rows *record.Batch) ([]wit.RowError, error) {
	return g.task.o.Retry.Transform(ctx, g.chain.Apply, rows, func(failure error) {
		g.task.count.faults.Add()
		g.task.o.Metrics.Retries.Add(1)
		g.task.log.Warn("transforms failed and are tried again", "error", failure)
	})
}

// arrived says what does not fit of the topics that rows have.
func (t *Task) arrived(b *batch) {
	t.o.Unmatched.arrived(t.log, b.items, &b.rows, t.plugin.Opened().topics)
}

// transformed finds out which rows came of which record. Where it is known that others are written, those stay that are
// left. Rows of the first record that cannot be written where none may be skipped, and of those read after it, are left
// out.
func (g *gatherer) transformed(b *batch, read []*item, faults []wit.RowError) error {
	t := g.task
	rows := make([]uint32, len(read))
	for i := range b.rows.Rows {
		origin := b.rows.Rows[i].RowIndex
		if int(origin) >= len(read) {
			return fmt.Errorf("transforms: a row of record %d of %d", origin, len(read))
		}
		rows[origin]++
	}
	refused := make([]error, len(read)) // of the record as a whole
	for i := range faults {
		if f := &faults[i]; int(f.RowIndex) < len(read) {
			refused[f.RowIndex] = cmp.Or(refused[f.RowIndex], error(task.RowError{Row: f}))
		}
	}
	for n, i := range read {
		if refused[n] == nil {
			refused[n] = t.o.replayed[idOf(i.record)].Rows.CheckTotal(rows[n])
		}
		if refused[n] == nil {
			continue
		}
		if err := t.refuse(&b.outcome, i, allOfIt, task.StageTransforms, refused[n]); err != nil {
			g.over, g.rest, read = err, nil, read[:n]
			break
		}
	}
	part, left := make([]uint32, len(rows)), make([]int, len(rows))
	kept := b.rows.Rows[:0]
	for _, r := range b.rows.Rows {
		n := int(r.RowIndex)
		at := part[n]
		part[n]++
		if n >= len(read) || refused[n] != nil || !t.o.replayed[idOf(read[n].record)].Rows.Contains(at) {
			continue
		}
		left[n]++
		b.originate(read[n], at)
		b.items = append(b.items, read[n])
		r.RowIndex = uint32(len(kept))
		kept = append(kept, r)
	}
	b.rows.Rows = kept
	for n, i := range read {
		if refused[n] == nil {
			t.account.apply(rowsMade{i, rows[n], left[n]})
		}
	}
	return nil
}

func (g *gatherer) row(ctx context.Context, b *record.Batch, r *kgo.Record) (row wit.Row, stage task.ErrorStage,
	err error) {
	row = wit.Row{Topic: b.Topic(r.Topic), Partition: r.Partition, Offset: r.Offset, Timestamp: timestampOf(r)}
	if row.Key, err = decode(ctx, g.key, true, r, r.Key, b); err != nil {
		return row, task.StageKeyConverter, err
	}
	if row.Value, err = decode(ctx, g.value, false, r, r.Value, b); err != nil {
		return row, task.StageValueConverter, err
	}
	if len(r.Headers) > connectdata.MaxHeaders {
		return row, task.StageHeaderConverter,
			fmt.Errorf("expected at most %d headers, found %d", connectdata.MaxHeaders, len(r.Headers))
	}
	if len(r.Headers) > 0 {
		g.headers = g.headers[:0]
		for _, h := range r.Headers {
			header, err := g.header.Decode(ctx, r.Topic, h.Key, h.Value, b)
			if err != nil {
				return row, task.StageHeaderConverter, fmt.Errorf("header %s: %w", h.Key, err)
			}
			g.headers = append(g.headers, header)
		}
		start := len(b.Data)
		b.Data = connectdata.AppendHeaders(b.Data, g.headers)
		row.Headers = wit.ValueSlice{Encoding: wit.Raw, Start: uint32(start), Size: uint32(len(b.Data) - start)}
	}
	return row, "", nil
}

// decode has a converter read a key or value, by the header that says its schema where the converter knows such headers
// and the record has it.
func decode(ctx context.Context, c convert.Converter, key bool, r *kgo.Record, data []byte,
	b *record.Batch) (wit.ValueSlice,
	error) {
	if with, reads := c.(convert.HeaderDecoder); reads {
		name := convert.SchemaHeader(key)
		for i := range slices.Backward(r.Headers) {
			if h := &r.Headers[i]; h.Key == name {
				return with.DecodeBy(ctx, r.Topic, h.Value, data, b)
			}
		}
	}
	return c.Decode(ctx, r.Topic, data, b)
}
