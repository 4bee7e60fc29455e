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
	topics   map[string]bool // known to exist
	spans    []recordSpan
	headers  []headerSpan
	parsed   []connectdata.Header
	dlqKey   convert.Converter
	dlqValue convert.Converter
	dlqBytes int
	row      splitRow
}

// splitRow is the input row whose output rows are being converted. err is its first error.
type splitRow struct {
	at       uint32
	parts    uint32
	rejected []uint32
	stage    task.ErrorStage
	err      error
}

// recordSpan locates a row's key and value in a chunk's output, which may still move.
type recordSpan struct {
	row         int
	key         int
	keyEnd      int
	value       int
	valueEnd    int
	keyNull     bool
	valueNull   bool
	headers     int
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
	if letters := f.task.o.DeadLetters; letters != nil {
		if stage.dlqKey, stage.dlqValue, err = letters.NewConverters(); err != nil {
			return nil, err
		}
	}
	return stage, nil
}

func (f *feed) runTransform(stage *transformStage) {
	var failed error
	for chunk := range f.pipeline.decoded {
		if failed == nil && f.pipeline.ctx.Err() == nil {
			failed = guard.Do(f.task.log, "feed "+f.name+", the stage of shaping",
				func() error { return stage.process(f.pipeline.ctx, chunk) })
		}
		chunk.err = failed // nothing follows a failed chunk
		f.pipeline.converted <- chunk
	}
}

func (s *transformStage) process(ctx context.Context, chunk *chunk) error {
	s.spans = s.spans[:0]
	s.headers = s.headers[:0]
	for i := range chunk.batch.Rows {
		chunk.batch.Rows[i].RowIndex = uint32(i) // unique, unlike the plugin's: a dead letter has one row
	}
	s.feed.task.o.Observer.Observe(s.feed.task.o.Task, s.feed.name, &chunk.batch)
	if s.chain != nil && len(chunk.batch.Rows) > 0 {
		if err := s.applyChain(ctx, chunk); err != nil {
			return err
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

func (s *transformStage) applyChain(ctx context.Context, chunk *chunk) error {
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
		err := s.rejectRow(ctx, chunk, rowErrors[i].RowIndex, task.StageTransforms, task.RowError{Row: &rowErrors[i]})
		if err != nil {
			return err
		}
	}
	return nil
}

// checkReplayed rejects a replayed row of which the transforms make another number of rows than before: it is unknown
// then which of them were delivered.
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
	return t.o.HandleError(&t.count.errors, rowErr, func() {
		s.feed.logSkipped(c.origin.request, row, stage, err, func() []any { return describeRow(c, index) })
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
	w := s.row
	s.row = splitRow{at: index}
	if len(w.rejected) == 0 {
		return nil
	}
	return s.rowToDLQ(ctx, chunk, w.at, chunk.pageRow(w.at), w.stage, task.NewRowSubset(w.parts, w.rejected), w.err)
}

func (s *transformStage) convert(ctx context.Context, chunk *chunk) error {
	s.spans = s.spans[:0]
	s.headers = s.headers[:0]
	s.row = splitRow{}
	for i := range chunk.batch.Rows {
		if i%contextCheckRows == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if len(chunk.out) >= maxChunkOutput || len(s.spans) >= maxChunkRecords {
			if err := s.flushEarly(ctx, chunk); err != nil {
				return err
			}
		}
		if row := chunk.batch.Rows[i].RowIndex; row != s.row.at {
			if err := s.startRow(ctx, chunk, row); err != nil {
				return err
			}
		}
		part := s.row.parts
		s.row.parts++
		if l := chunk.origin.replayed; l != nil && !l.Rows.Contains(part) {
			continue // delivered before
		}
		if topic := chunk.batch.Rows[i].Topic; i == 0 || topic != chunk.batch.Rows[i-1].Topic {
			if err := s.ensureTopic(ctx, chunk.batch.Topics[topic]); err != nil {
				return fmt.Errorf("%s: %w", chunk.origin.request, err)
			}
		}
		size := len(chunk.out)
		headers := len(s.headers)
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
		chunk.out = chunk.out[:size]
		s.headers = s.headers[:headers]
		if err := s.countRowError(chunk, s.row.at, stage, err); err != nil {
			return err
		}
		if s.row.rejected = append(s.row.rejected, part); s.row.err == nil {
			s.row.stage = stage
			s.row.err = err
		}
	}
	return s.startRow(ctx, chunk, 0)
}

// flushEarly sends what a chunk has so far, to bound its output: a few bytes of a plugin may become many, such as small
// rows with a large schema each. There is always a free chunk, because reading needs two at most.
func (s *transformStage) flushEarly(ctx context.Context, chunk *chunk) error {
	part, err := s.feed.acquireChunk(ctx, chunk.origin)
	if err != nil {
		return err
	}
	sent := false
	defer func() {
		if !sent { // after a panic: other feeds would lose a chunk
			s.feed.releaseChunk(part)
		}
	}()
	part.out, chunk.out = chunk.out, part.out
	part.firstOfPage, chunk.firstOfPage = chunk.firstOfPage, false
	s.buildRecords(chunk, part)
	s.spans = s.spans[:0]
	s.headers = s.headers[:0]
	sent = true
	s.feed.pipeline.converted <- part
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
	span.key = len(chunk.out)
	maxBytes := s.feed.task.o.MaxRecordBytes - recordOverhead
	if chunk.origin.traceHeader.Key != "" {
		maxBytes -= headerOverhead + len(chunk.origin.traceHeader.Key) + len(chunk.origin.traceHeader.Value)
	}
	if chunk.out, span.keyNull, err = s.key.Encode(ctx, chunk.out, maxBytes, topic, b, r.Key); err != nil {
		return span, task.StageKeyConverter, s.tooLarge(err)
	}
	span.keyEnd = len(chunk.out)
	span.value = len(chunk.out)
	maxBytes -= span.keyEnd - span.key
	if chunk.out, span.valueNull, err = s.value.Encode(ctx, chunk.out, maxBytes, topic, b, r.Value); err != nil {
		return span, task.StageValueConverter, s.tooLarge(err)
	}
	span.valueEnd = len(chunk.out)
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
		return headersTooLarge() // the encoded size differs slightly
	}
	if s.parsed, err = connectdata.Headers(s.parsed[:0], chunk.batch.Bytes(block)); err != nil {
		return err
	}
	for i := range s.parsed {
		h := headerSpan{name: s.parsed[i].Name, start: len(chunk.out)}
		maxBytes -= len(h.name) + headerOverhead
		if chunk.out, h.null, err = s.header.Encode(ctx, chunk.out, maxBytes, topic, &chunk.batch,
			&s.parsed[i]); err != nil {
			return fmt.Errorf("header %s: %w", h.name, err)
		}
		h.end = len(chunk.out)
		if maxBytes -= h.end - h.start; maxBytes < 0 {
			return headersTooLarge()
		}
		s.headers = append(s.headers, h)
	}
	return nil
}

func headersTooLarge() error {
	return &fault.Error{Class: fault.TooLargeException, Text: "more bytes in its headers than are left for them"}
}

func (s *transformStage) buildRecords(rows, chunk *chunk) {
	chunk.produced = s.feed.pipeline.output.NewBatch()
	traced := chunk.origin.traceHeader.Key != ""
	for i := range s.spans {
		span := &s.spans[i]
		row := &rows.batch.Rows[span.row]
		r := chunk.produced.Add()
		r.Topic = rows.batch.Topics[row.Topic]
		r.Partition = row.Partition
		if row.Timestamp >= 0 {
			r.Timestamp = time.UnixMilli(row.Timestamp)
		}
		if !span.keyNull {
			r.Key = chunk.out[span.key:span.keyEnd:span.keyEnd]
		}
		if !span.valueNull {
			r.Value = chunk.out[span.value:span.valueEnd:span.valueEnd]
		}
		headers := s.headers[span.headers : span.headers+span.headerCount]
		hasOwnTrace := slices.ContainsFunc(headers, func(h headerSpan) bool { return tracing.IsTraceHeader(h.name) })
		addTrace := traced && !hasOwnTrace
		count := len(headers)
		if addTrace {
			count++
		}
		if count > 0 {
			r.Headers = chunk.produced.Headers(count)
			for n, h := range headers {
				r.Headers[n] = kgo.RecordHeader{Key: h.name}
				if !h.null {
					r.Headers[n].Value = chunk.out[h.start:h.end:h.end]
				}
			}
			if addTrace {
				r.Headers[count-1] = chunk.origin.traceHeader
			}
		}
	}
	s.appendDeadLetters(rows, chunk)
}

// describeRow describes the record of a row, for errors.log.include.messages.
func describeRow(chunk *chunk, index uint32) []any {
	for i := range chunk.batch.Rows {
		if r := &chunk.batch.Rows[i]; r.RowIndex == index && int(r.Topic) < len(chunk.batch.Topics) {
			return []any{"topic", chunk.batch.Topics[r.Topic], "timestamp", r.Timestamp}
		}
	}
	return nil
}
