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

	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/run/tracing"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

const (
	maxBatchBytes     = 8 << 20
	maxConvertedBytes = 32 << 20               // of the rows of a batch, about: one row may have 64 MiB
	quietPeriod       = 200 * time.Millisecond // without records, before a finishing task checks its lag
)

// batchReader polls records and makes batches of rows of them, with converters and transforms. It belongs to one
// goroutine, which is at most two batches ahead of the deliveries.
type batchReader struct {
	task        *Task
	consumer    Consumer
	key         convert.Converter
	value       convert.Converter
	header      convert.Headers
	chain       Chain
	headers     []connectdata.Header // reused by convertRecord
	leftover    []*item              // items that did not fit into the last batch
	stopErr     error                // why nothing follows the last batch and leftover
	growth      float64              // the ratio of the last batch's rows to its records, in bytes
	firstReadAt time.Time            // zero for a batch that begins with leftover
}

func (t *Task) newBatchReader(ctx context.Context) (*batchReader, error) {
	reader := &batchReader{task: t}
	var err error
	if reader.key, reader.value, err = t.o.NewConverters(); err != nil {
		return nil, err
	}
	reader.header = convert.SimpleHeaders{Registry: t.o.Registry}
	if t.o.NewHeaderConverter != nil {
		if reader.header, err = t.o.NewHeaderConverter(); err != nil {
			return nil, err
		}
	}
	if t.o.NewChain != nil {
		if reader.chain, err = t.o.NewChain(ctx); err != nil {
			return nil, fmt.Errorf("transforms: %w", err)
		}
	}
	return reader, nil
}

// run sends batches until ctx ends or one has an error.
func (br *batchReader) run(ctx context.Context, out chan<- *batch) {
	for {
		var b *batch
		err := guard.Do(br.task.log, "a sink task, the stage of gathering", func() (err error) {
			b, err = br.nextBatch(ctx)
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

// nextBatch returns the next batch: what did not fit into the last one, or records that are polled now.
func (br *batchReader) nextBatch(ctx context.Context) (*batch, error) {
	t := br.task
	br.firstReadAt = time.Time{}
	if items := br.leftover; len(items) > 0 {
		br.leftover = nil
		return br.buildBatch(ctx, items)
	}
	if br.stopErr != nil {
		return nil, br.stopErr
	}
	var items []*item
	var due time.Time
	bytes := 0
	maxBytes := t.o.memoryLimits().batch
	for len(items) < t.o.BatchRows && bytes < maxBytes {
		records, err := br.poll(ctx, due, len(items) == 0)
		if err != nil {
			br.stopErr = err
			break
		}
		if len(records) == 0 {
			break
		}
		t.count.consume.Start()
		bytesBefore := bytes
		for _, r := range records {
			if !r.Attrs.IsControl() {
				bytes += len(r.Key) + len(r.Value)
				t.count.read.Add(1)
			}
		}
		items = append(items, t.tracker.apply(recordsRead{records}).items...)
		t.count.bytes.Add(int64(bytes - bytesBefore))
		t.count.consume.Stop()
		if t.o.AwaitWritable != nil {
			if err := t.o.AwaitWritable(ctx, records); err != nil {
				return nil, err
			}
		}
		if len(items) == 0 { // only transaction markers, or records that were settled before
			continue
		}
		if due.IsZero() {
			br.firstReadAt = time.Now()
			due = br.firstReadAt.Add(t.o.Linger)
			select {
			case <-t.finishing: // hardly any record follows
				due = br.firstReadAt.Add(min(t.o.Linger, quietPeriod))
			default:
			}
		}
		if t.o.Linger <= 0 {
			break
		}
	}
	switch {
	case len(items) > 0:
		return br.buildBatch(ctx, items)
	case br.stopErr != nil:
		return nil, br.stopErr
	}
	return &batch{idle: true}, nil
}

// poll waits for records until due. For the first ones it waits without limit, or until a finishing task is quiet.
func (br *batchReader) poll(ctx context.Context, due time.Time, first bool) ([]*kgo.Record, error) {
	pollCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	if first {
		stop := make(chan struct{})
		defer close(stop)
		go func() {
			defer guard.Recover(br.task.log, "a sink task, its wait for the end", nil)
			select {
			case <-br.task.finishing:
			case <-stop:
				return
			}
			timer := time.NewTimer(quietPeriod)
			defer timer.Stop()
			select {
			case <-timer.C:
				cancel()
			case <-stop:
			}
		}()
	} else {
		pollCtx, cancel = context.WithDeadline(ctx, due)
		defer cancel()
	}
	for {
		records, err := br.consumer.Poll(pollCtx)
		switch {
		case len(records) > 0:
			return records, nil
		case ctx.Err() == nil && pollCtx.Err() != nil && (err == nil || errors.Is(err, context.Canceled) ||
			errors.Is(err, context.DeadlineExceeded)):
			return nil, nil // due, or quiet
		case err != nil:
			return nil, err
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		}
	}
}

// buildBatch converts and transforms records. It ends before one that cannot be written and must not be skipped.
func (br *batchReader) buildBatch(ctx context.Context, items []*item) (*batch, error) {
	maxBytes := br.task.o.memoryLimits().converted
	b := br.newBatch(items, maxBytes)
	inputs := make([]*item, 0, len(items))
	br.startSpan(b, items, time.Now())
	br.task.count.convert.Start()
	stopConvert := sync.OnceFunc(br.task.count.convert.Stop)
	defer stopConvert()
	convertSpan := b.span.StartChild("convert", tracing.Internal)
	// Convert the records, as many as fit.
	for n, i := range items {
		if len(b.rows.Data) >= maxBytes {
			br.leftover = items[n:]
			break
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		dataSize := len(b.rows.Data)
		row, stage, err := br.convertRecord(ctx, &b.rows, i.record)
		if err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			b.rows.Data = b.rows.Data[:dataSize]
			if fault.IsFatal(err) {
				br.stopErr = fmt.Errorf("%s: %w", stage, err)
			} else {
				br.stopErr = br.task.reject(&b.outcome, i, wholeRecord, stage, err)
			}
			if br.stopErr == nil {
				continue
			}
			break
		}
		row.RowIndex = uint32(len(inputs))
		b.rows.Rows = append(b.rows.Rows, row)
		inputs = append(inputs, i)
	}
	stopConvert()
	convertSpan.End(nil)
	if size := sizeOf(inputs); size > 0 {
		br.growth = float64(len(b.rows.Data)) / float64(size)
	}
	br.task.o.Observer.Observe(br.task.o.Task, "", &b.rows)
	// Transform their rows.
	var rowErrs []wit.RowError
	if br.chain != nil && len(inputs) > 0 {
		var err error
		workCtx, endTransform := br.task.count.transform.Track(ctx, nil)
		span := b.span.StartChild("transform", tracing.Internal)
		rowErrs, err = br.transform(workCtx, &b.rows)
		endTransform()
		span.End(err)
		if err != nil {
			return nil, fmt.Errorf("transforms: %w", err)
		}
	}
	err := br.matchRows(b, inputs, rowErrs)
	br.task.o.Unmatched.observe(br.task.log, b.items, &b.rows, br.task.plugin.Opened().topics)
	return b, err
}

func (br *batchReader) newBatch(items []*item, maxBytes int) *batch {
	size := int(float64(sizeOf(items))*br.growth*1.125) + 1<<10 // with some room, so that Data seldom grows
	return &batch{
		rows: record.Batch{Registry: br.task.o.Registry, Rows: make([]wit.Row, 0, len(items)),
			Data: make([]byte, 0, min(size, maxBytes))},
		recordIDs: record.RecordIDs{IDs: make([]wit.RecordID, 0, len(items))},
	}
}

func sizeOf(items []*item) (size int) {
	for _, i := range items {
		size += len(i.record.Key) + len(i.record.Value)
	}
	return size
}

func (br *batchReader) startSpan(b *batch, items []*item, now time.Time) {
	t := br.task
	if t.o.Tracer == nil {
		return
	}
	since := br.firstReadAt
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

func (br *batchReader) transform(ctx context.Context, rows *record.Batch) ([]wit.RowError, error) {
	return br.task.o.Retry.Transform(ctx, br.chain.Apply, rows, func(failure error) {
		br.task.count.errors.Add()
		br.task.o.Metrics.Retries.Add(1)
		br.task.log.Warn("transforms failed and are tried again", "error", failure)
	})
}

// matchRows assigns the transformed rows to inputs, the records that they were made of, and rejects records that
// failed. The rows after a record that must not be skipped are dropped.
func (br *batchReader) matchRows(b *batch, inputs []*item, rowErrs []wit.RowError) error {
	t := br.task
	rowCounts := make([]uint32, len(inputs))
	for i := range b.rows.Rows {
		index := b.rows.Rows[i].RowIndex
		if int(index) >= len(inputs) {
			return fmt.Errorf("transforms: a row of record %d of %d", index, len(inputs))
		}
		rowCounts[index]++
	}
	rejected := make([]error, len(inputs)) // the first error of each
	for i := range rowErrs {
		if f := &rowErrs[i]; int(f.RowIndex) < len(inputs) {
			rejected[f.RowIndex] = cmp.Or(rejected[f.RowIndex], error(task.RowError{Row: f}))
		}
	}
	for n, i := range inputs {
		if rejected[n] == nil && t.o.deadLetterOf != nil {
			rejected[n] = t.o.deadLetterOf[idOf(i.record)].Rows.CheckTotal(rowCounts[n])
		}
		if rejected[n] == nil {
			continue
		}
		if err := t.reject(&b.outcome, i, wholeRecord, task.StageTransforms, rejected[n]); err != nil {
			br.stopErr = err
			br.leftover = nil
			inputs = inputs[:n]
			break
		}
	}
	// Keep the rows of the other records; of a replayed one only those that are still to be written.
	nextPart := make([]uint32, len(rowCounts))
	remaining := make([]int, len(rowCounts))
	kept := b.rows.Rows[:0]
	for _, row := range b.rows.Rows {
		n := int(row.RowIndex)
		index := nextPart[n]
		nextPart[n]++
		if n >= len(inputs) || rejected[n] != nil || (t.o.deadLetterOf != nil &&
			!t.o.deadLetterOf[idOf(inputs[n].record)].Rows.Contains(index)) {
			continue
		}
		remaining[n]++
		r := inputs[n].record
		topic := slices.Index(b.recordIDs.Topics, r.Topic)
		if topic < 0 {
			topic = len(b.recordIDs.Topics)
			b.recordIDs.Topics = append(b.recordIDs.Topics, r.Topic)
		}
		b.recordIDs.IDs = append(b.recordIDs.IDs, wit.RecordID{Topic: uint32(topic), Partition: r.Partition,
			Offset: r.Offset, Part: index})
		b.items = append(b.items, inputs[n])
		row.RowIndex = uint32(len(kept))
		kept = append(kept, row)
	}
	b.rows.Rows = kept
	transformed := make(rowsTransformed, 0, len(inputs))
	for n, i := range inputs {
		if rejected[n] == nil {
			transformed = append(transformed, transformedRecord{i, rowCounts[n], remaining[n]})
		}
	}
	t.tracker.apply(transformed)
	return nil
}

func (br *batchReader) convertRecord(ctx context.Context, b *record.Batch,
	r *kgo.Record) (row wit.Row, stage task.ErrorStage, err error) {
	row = wit.Row{Topic: b.TopicIndex(r.Topic), Partition: r.Partition, Offset: r.Offset, Timestamp: timestampOf(r)}
	if row.Key, err = decodeValue(ctx, br.key, true, r, r.Key, b); err != nil {
		return row, task.StageKeyConverter, err
	}
	if row.Value, err = decodeValue(ctx, br.value, false, r, r.Value, b); err != nil {
		return row, task.StageValueConverter, err
	}
	if len(r.Headers) > connectdata.MaxHeaders {
		return row, task.StageHeaderConverter,
			fmt.Errorf("expected at most %d headers, found %d", connectdata.MaxHeaders, len(r.Headers))
	}
	if len(r.Headers) > 0 {
		br.headers = br.headers[:0]
		for _, h := range r.Headers {
			header, err := br.header.Decode(ctx, r.Topic, h.Key, h.Value, b)
			if err != nil {
				return row, task.StageHeaderConverter, fmt.Errorf("header %s: %w", h.Key, err)
			}
			br.headers = append(br.headers, header)
		}
		start := len(b.Data)
		b.Data = connectdata.AppendHeaders(b.Data, br.headers)
		row.Headers = wit.ValueSlice{Encoding: wit.Raw, Start: uint32(start), Size: uint32(len(b.Data) - start)}
	}
	return row, "", nil
}

// decodeValue decodes a key or a value, with the last header that names its schema if the converter supports that.
func decodeValue(ctx context.Context, c convert.Converter, isKey bool, r *kgo.Record, data []byte,
	b *record.Batch) (wit.ValueSlice, error) {
	if headerDecoder, ok := c.(convert.HeaderDecoder); ok {
		name := convert.SchemaHeader(isKey)
		for i := range slices.Backward(r.Headers) {
			if h := &r.Headers[i]; h.Key == name {
				return headerDecoder.DecodeBy(ctx, r.Topic, h.Value, data, b)
			}
		}
	}
	return c.Decode(ctx, r.Topic, data, b)
}
