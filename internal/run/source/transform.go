package source

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/run/tracing"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// transformStage runs the transforms and converters of a feed. It belongs to its stage's goroutine.
type transformStage struct {
	feed     *feed
	chain    Chain
	key      convert.Converter
	value    convert.Converter
	header   convert.Headers
	topics   map[string]bool      // known to exist
	spans    []recordSpan         // the converted rows of the chunk that are not in a record yet
	headers  []headerSpan         // of spans
	parsed   []connectdata.Header // reused by convertHeaders
	dlqKey   convert.Converter
	dlqValue convert.Converter
	dlqBytes int // the size of the chunk's deadLetters
	row      splitRow
}

// splitRow is the input row whose output rows are being converted.
type splitRow struct {
	index    uint32          // in the chunk
	parts    uint32          // counts the output rows
	rejected []uint32        // output rows that failed
	stage    task.ErrorStage // of the first error
	err      error           // the first error
}

// recordSpan locates a row's key and value in chunk.converted, which may still move, and its headers in the stage's.
type recordSpan struct {
	row         int
	key         int
	keyEnd      int
	value       int
	valueEnd    int
	keyNull     bool
	valueNull   bool
	headers     int // an index in the stage's headers
	headerCount int
}

type headerSpan struct {
	name  string
	start int
	end   int
	null  bool
}

func (f *feed) newTransformStage(ctx context.Context) (*transformStage, error) {
	stage := &transformStage{feed: f, topics: map[string]bool{}}
	var err error
	if stage.key, stage.value, err = f.task.o.NewConverters(); err != nil {
		return nil, err
	}
	if stage.header, err = f.task.o.NewHeaderConverter(); err != nil {
		return nil, err
	}
	if f.task.o.NewChain != nil {
		if stage.chain, err = f.task.o.NewChain(ctx); err != nil {
			return nil, fmt.Errorf("transforms: %w", err)
		}
	}
	if dlq := f.task.o.DeadLetters; dlq != nil {
		if stage.dlqKey, stage.dlqValue, err = dlq.NewConverters(); err != nil {
			return nil, err
		}
	}
	return stage, nil
}

func (f *feed) runTransform(stage *transformStage) {
	var stageErr error
	for chunk := range f.pipeline.decoded {
		if stageErr == nil && f.pipeline.ctx.Err() == nil {
			stageErr = guard.Do(f.task.log, "feed "+f.name+", the stage of shaping",
				func() error { return stage.process(f.pipeline.ctx, chunk) })
		}
		chunk.err = stageErr // later chunks fail, too
		f.pipeline.converted <- chunk
	}
}

// process transforms and converts the rows of a chunk. It may send a part of the records early.
func (s *transformStage) process(ctx context.Context, chunk *chunk) error {
	s.spans = s.spans[:0]
	s.headers = s.headers[:0]
	for i := range chunk.batch.Rows {
		chunk.batch.Rows[i].RowIndex = uint32(i) // unique, unlike the plugin's index, to identify the input row
	}
	s.feed.task.o.Observer.Observe(s.feed.task.o.Task, s.feed.name, &chunk.batch)
	if s.chain != nil && len(chunk.batch.Rows) > 0 {
		workCtx, endTransform := s.feed.task.count.transform.Track(ctx, nil)
		span := chunk.origin.span.StartChild("transform", tracing.Internal)
		rowErrors, err := s.feed.task.o.Retry.Transform(workCtx, s.chain.Apply, &chunk.batch, func(failure error) {
			s.feed.task.count.errors.Add()
			s.feed.task.o.Metrics.Retries.Add(1)
			s.feed.log.Warn("transforms failed and are tried again", "page", chunk.origin.request, "error", failure)
		})
		endTransform()
		span.SetInt("culvert.rows", int64(len(chunk.batch.Rows)))
		span.End(err)
		if err != nil {
			return fmt.Errorf("%s: transforms: %w", chunk.origin.request, err)
		}
		for i := range rowErrors {
			rowErr := &rowErrors[i]
			err := s.rejectRow(ctx, chunk, rowErr.RowIndex, task.StageTransforms, task.RowError{Row: rowErr})
			if err != nil {
				return err
			}
		}
	}
	if err := s.checkReplayed(ctx, chunk); err != nil {
		return err
	}
	s.feed.task.count.convert.Start()
	defer s.feed.task.count.convert.Stop()
	if err := s.convert(ctx, chunk); err != nil {
		return err
	}
	s.buildRecords(chunk, chunk)
	chunk.freeLargeRows()
	return nil
}

// checkReplayed rejects a replayed row from which the transforms create another number of rows than before: then it is
// unknown which of them were delivered.
func (s *transformStage) checkReplayed(ctx context.Context, chunk *chunk) error {
	replayed := chunk.origin.replayed
	if replayed == nil || replayed.Rows.IsAll() || len(chunk.batch.Rows) == 0 {
		return nil
	}
	err := replayed.Rows.CheckTotal(uint32(len(chunk.batch.Rows)))
	if err == nil {
		return nil
	}
	if err := s.rejectRow(ctx, chunk, chunk.batch.Rows[0].RowIndex, task.StageTransforms, err); err != nil {
		return err
	}
	chunk.batch.Rows = chunk.batch.Rows[:0]
	return nil
}

// pageRow returns the index in the page of a row of the chunk.
func (c *chunk) pageRow(index uint32) uint32 {
	if int(index) < len(c.origins) {
		return c.origins[index]
	}
	return index
}

// countRowError counts a row as skipped, or returns the task's error.
func (s *transformStage) countRowError(c *chunk, index uint32, stage task.ErrorStage, err error) error {
	t := s.feed.task
	row := c.pageRow(index)
	rowErr := fmt.Errorf("%s: %w", c.origin.request, &rowError{row, fmt.Errorf("%s: %w", stage, err)})
	return t.o.HandleError(&t.count.errors, rowErr, err, func() {
		s.feed.logSkipped(c.origin.request, row, stage, err, func() []any {
			for i := range c.batch.Rows {
				if rec := &c.batch.Rows[i]; rec.RowIndex == index && int(rec.Topic) < len(c.batch.Topics) {
					return []any{"topic", c.batch.Topics[rec.Topic], "timestamp", rec.Timestamp}
				}
			}
			return nil
		})
	})
}

func (s *transformStage) rejectRow(ctx context.Context, chunk *chunk, index uint32, stage task.ErrorStage,
	err error) error {
	if err := s.countRowError(chunk, index, stage, err); err != nil {
		return err
	}
	var parts task.RowSubset
	if chunk.origin.replayed != nil {
		parts = chunk.origin.replayed.Rows
	}
	return s.rowToDLQ(ctx, chunk, index, chunk.pageRow(index), stage, parts, err)
}

// startRow starts another input row. The previous one gets a dead letter of its failed output rows.
func (s *transformStage) startRow(ctx context.Context, chunk *chunk, index uint32) error {
	previous := s.row
	s.row = splitRow{index: index}
	if len(previous.rejected) == 0 {
		return nil
	}
	rejected := task.NewRowSubset(previous.parts, previous.rejected)
	return s.rowToDLQ(ctx, chunk, previous.index, chunk.pageRow(previous.index), previous.stage, rejected, previous.err)
}

// convert converts the rows of a chunk to spans. If they get large, it sends the records so far.
func (s *transformStage) convert(ctx context.Context, chunk *chunk) error {
	s.spans = s.spans[:0]
	s.headers = s.headers[:0]
	s.row = splitRow{}
	for i := range chunk.batch.Rows {
		if i%contextCheckRows == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if len(chunk.converted) >= maxChunkOutput || len(s.spans) >= maxChunkRecords {
			if err := s.flushEarly(ctx, chunk); err != nil {
				return err
			}
		}
		if row := chunk.batch.Rows[i].RowIndex; row != s.row.index {
			if err := s.startRow(ctx, chunk, row); err != nil {
				return err
			}
		}
		part := s.row.parts
		s.row.parts++
		if letter := chunk.origin.replayed; letter != nil && !letter.Rows.Contains(part) {
			continue // delivered before
		}
		if topic := chunk.batch.Rows[i].Topic; i == 0 || topic != chunk.batch.Rows[i-1].Topic {
			if err := s.ensureTopic(ctx, chunk.batch.Topics[topic]); err != nil {
				return fmt.Errorf("%s: %w", chunk.origin.request, err)
			}
		}
		convertedSize := len(chunk.converted)
		headerCount := len(s.headers)
		span, stage, err := s.convertRow(ctx, chunk, i)
		if err == nil {
			s.spans = append(s.spans, span)
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if fault.IsFatal(err) {
			return fmt.Errorf("%s: %s: %w", chunk.origin.request, stage, err)
		}
		chunk.converted = chunk.converted[:convertedSize]
		s.headers = s.headers[:headerCount]
		if err := s.countRowError(chunk, s.row.index, stage, err); err != nil {
			return err
		}
		s.row.rejected = append(s.row.rejected, part)
		if s.row.err == nil {
			s.row.stage = stage
			s.row.err = err
		}
	}
	return s.startRow(ctx, chunk, 0) // for the dead letter of the last row
}

// flushEarly sends the records of a chunk so far, to bound their size: a few bytes of a plugin may become many, such as
// small rows with a large schema each. It gets a free chunk sooner or later, because the read stage holds two at most.
func (s *transformStage) flushEarly(ctx context.Context, chunk *chunk) error {
	early, err := s.feed.acquireChunk(ctx, chunk.origin)
	if err != nil {
		return err
	}
	sent := false
	defer func() {
		if !sent { // a panic must not take the chunk from other feeds
			s.feed.releaseChunk(early)
		}
	}()
	early.converted, chunk.converted = chunk.converted, early.converted
	early.firstOfPage, chunk.firstOfPage = chunk.firstOfPage, false
	s.buildRecords(chunk, early)
	s.spans = s.spans[:0]
	s.headers = s.headers[:0]
	sent = true
	s.feed.pipeline.converted <- early
	return nil
}

// ensureTopic makes sure once that a topic exists. Its error concerns all rows, so it is never tolerated.
func (s *transformStage) ensureTopic(ctx context.Context, topic string) error {
	if s.topics[topic] {
		return nil
	}
	if ensure := s.feed.task.o.EnsureTopic; ensure != nil {
		if err := ensure(ctx, topic); err != nil {
			return fmt.Errorf("topic %s: %w", topic, err)
		}
	}
	s.topics[topic] = true
	return nil
}

func (s *transformStage) convertRow(ctx context.Context, chunk *chunk,
	i int) (span recordSpan, stage task.ErrorStage, err error) {
	r := &chunk.batch.Rows[i]
	b := &chunk.batch
	span.row = i
	topic := b.Topics[r.Topic]
	span.key = len(chunk.converted)
	maxBytes := s.feed.task.o.MaxRecordBytes - recordOverhead
	if chunk.origin.traceHeader.Key != "" {
		maxBytes -= headerOverhead + len(chunk.origin.traceHeader.Key) + len(chunk.origin.traceHeader.Value)
	}
	if chunk.converted, span.keyNull, err = s.key.Encode(ctx, chunk.converted, maxBytes, topic, b, r.Key); err != nil {
		return span, task.StageKeyConverter, s.tooLarge(err)
	}
	span.keyEnd = len(chunk.converted)
	span.value = len(chunk.converted)
	maxBytes -= span.keyEnd - span.key
	chunk.converted, span.valueNull, err = s.value.Encode(ctx, chunk.converted, maxBytes, topic, b, r.Value)
	if err != nil {
		return span, task.StageValueConverter, s.tooLarge(err)
	}
	span.valueEnd = len(chunk.converted)
	span.headers = len(s.headers)
	maxBytes -= span.valueEnd - span.value
	if r.Headers.Encoding == wit.Raw {
		if err := s.convertHeaders(ctx, chunk, topic, r.Headers, maxBytes); err != nil {
			return span, task.StageHeaderConverter, s.tooLarge(err)
		}
	}
	span.headerCount = len(s.headers) - span.headers
	return span, "", nil
}

// tooLarge adds the limit to an error about the size of a record, and returns other errors as they are.
func (s *transformStage) tooLarge(err error) error {
	if fault.Class(err) != fault.TooLargeException {
		return err
	}
	return fmt.Errorf("the record has %w: expected at most %d for key, value and headers together, which "+
		"producer.max.request.size sets", err, s.feed.task.o.MaxRecordBytes-recordOverhead)
}

func (s *transformStage) convertHeaders(ctx context.Context, chunk *chunk, topic string, block wit.ValueSlice,
	maxBytes int) (err error) {
	if int64(block.Size) > 2*int64(maxBytes) {
		return headersTooLarge() // converted headers may be smaller, but not by half
	}
	if s.parsed, err = connectdata.Headers(s.parsed[:0], chunk.batch.Bytes(block)); err != nil {
		return err
	}
	for i := range s.parsed {
		h := headerSpan{name: s.parsed[i].Name, start: len(chunk.converted)}
		maxBytes -= len(h.name) + headerOverhead
		if chunk.converted, h.null, err = s.header.Encode(ctx, chunk.converted, maxBytes, topic, &chunk.batch,
			&s.parsed[i]); err != nil {
			return fmt.Errorf("header %s: %w", h.name, err)
		}
		h.end = len(chunk.converted)
		maxBytes -= h.end - h.start
		if maxBytes < 0 {
			return headersTooLarge()
		}
		s.headers = append(s.headers, h)
	}
	return nil
}

func headersTooLarge() error {
	return &fault.Error{Class: fault.TooLargeException, Text: "more bytes in its headers than are left for them"}
}

// buildRecords creates the records of chunk from the rows of another chunk, or of the same one.
func (s *transformStage) buildRecords(rows, chunk *chunk) {
	chunk.produced = s.feed.pipeline.output.NewBatch()
	isTraced := chunk.origin.traceHeader.Key != ""
	for i := range s.spans {
		span := &s.spans[i]
		row := &rows.batch.Rows[span.row]
		rec := chunk.produced.Add()
		rec.Topic = rows.batch.Topics[row.Topic]
		rec.Partition = row.Partition
		if row.Timestamp >= 0 {
			rec.Timestamp = time.UnixMilli(row.Timestamp)
		}
		if !span.keyNull {
			rec.Key = chunk.converted[span.key:span.keyEnd:span.keyEnd]
		}
		if !span.valueNull {
			rec.Value = chunk.converted[span.value:span.valueEnd:span.valueEnd]
		}
		if converted := rows.origin.converted; converted != nil {
			converted(rows.origin.replayed.Position, rec.Topic, rec.Key, rec.Value)
		}
		// The trace context of the page is added unless the row has one.
		headers := s.headers[span.headers : span.headers+span.headerCount]
		hasOwnTrace := slices.ContainsFunc(headers, func(h headerSpan) bool { return tracing.IsTraceHeader(h.name) })
		addTrace := isTraced && !hasOwnTrace
		count := len(headers)
		if addTrace {
			count++
		}
		if count > 0 {
			rec.Headers = chunk.produced.Headers(count)
			for n, h := range headers {
				rec.Headers[n] = kgo.RecordHeader{Key: h.name}
				if !h.null {
					rec.Headers[n].Value = chunk.converted[h.start:h.end:h.end]
				}
			}
			if addTrace {
				rec.Headers[count-1] = chunk.origin.traceHeader
			}
		}
	}
	for _, l := range rows.deadLetters {
		r := chunk.produced.Add()
		r.Topic = s.feed.task.o.DeadLetters.Topic
		r.Partition = -1
		r.Key = l.key
		r.Value = l.value
		r.Headers = l.headers
		if l.timestamp >= 0 {
			r.Timestamp = time.UnixMilli(l.timestamp)
		}
	}
	chunk.deadLetterCount += len(rows.deadLetters)
	s.feed.task.o.Metrics.DeadLetters.Add(int64(len(rows.deadLetters)))
	rows.deadLetters = nil
	s.dlqBytes = 0
}
