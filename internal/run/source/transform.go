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

// transformStage belongs to its stage's goroutine.
type transformStage struct {
	feed             *feed
	chain            Chain
	key, value       convert.Converter
	header           convert.Headers
	topics           map[string]bool // known to exist
	spans            []recordSpan
	headers          []headerSpan
	parsed           []connectdata.Header
	dlqKey, dlqValue convert.Converter
	dlqBytes         int
	row              splitRow
}

// splitRow is the input row whose output rows are being converted; err is the first error.
type splitRow struct {
	at       uint32
	parts    uint32
	rejected []uint32
	stage    task.ErrorStage
	err      error
}

// recordSpan locates a row's key and value in a chunk's output, which may still move.
type recordSpan struct {
	row                  int
	key, keyEnd          int
	value, valueEnd      int
	keyNull, valueNull   bool
	headers, headerCount int
}

type headerSpan struct {
	name       string
	start, end int
	null       bool
}

func (f *feed) newTransformStage(ctx context.Context) (*transformStage, error) {
	s := &transformStage{feed: f, topics: map[string]bool{}}
	var err error
	if s.key, s.value, err = f.task.o.NewConverters(); err != nil {
		return nil, err
	}
	if s.header, err = f.task.o.NewHeaderConverter(); err != nil {
		return nil, err
	}
	if f.task.o.NewChain != nil {
		if s.chain, err = f.task.o.NewChain(ctx); err != nil {
			return nil, fmt.Errorf("transforms: %w", err)
		}
	}
	if letters := f.task.o.DeadLetters; letters != nil {
		if s.dlqKey, s.dlqValue, err = letters.NewConverters(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (f *feed) runTransform(s *transformStage) {
	var failed error
	for c := range f.pipeline.decoded {
		if failed == nil && f.pipeline.ctx.Err() == nil {
			failed = guard.Do(f.task.log, "feed "+f.name+", the stage of shaping",
				func() error { return s.process(f.pipeline.ctx, c) })
		}
		c.err = failed // nothing follows a failed chunk
		f.pipeline.converted <- c
	}
}

func (s *transformStage) process(ctx context.Context, c *chunk) error {
	s.spans, s.headers = s.spans[:0], s.headers[:0]
	for i := range c.batch.Rows {
		c.batch.Rows[i].RowIndex = uint32(i) // unique, unlike the plugin's: a dead letter is of one row
	}
	s.feed.task.o.Observer.Observe(s.feed.task.o.Task, s.feed.name, &c.batch)
	if s.chain != nil && len(c.batch.Rows) > 0 {
		workCtx, endTransform := s.feed.task.count.transform.Track(ctx)
		span := c.origin.span.StartChild("transform", tracing.Internal)
		rowErrors, err := s.feed.task.o.Retry.Transform(workCtx, s.chain.Apply, &c.batch, func(failure error) {
			s.feed.task.count.errors.Add()
			s.feed.task.o.Metrics.Retries.Add(1)
			s.feed.log.Warn("transforms failed and are tried again", "page", c.origin.request, "error", failure)
		})
		endTransform()
		span.SetInt("culvert.rows", int64(len(c.batch.Rows)))
		span.End(err)
		if err != nil {
			return fmt.Errorf("%s: transforms: %w", c.origin.request, err)
		}
		for i := range rowErrors {
			err := s.rejectRow(ctx, c, rowErrors[i].RowIndex, task.StageTransforms, task.RowError{Row: &rowErrors[i]})
			if err != nil {
				return err
			}
		}
	}
	if l := c.origin.replayed; l != nil && !l.Rows.IsAll() && len(c.batch.Rows) > 0 {
		if err := l.Rows.CheckTotal(uint32(len(c.batch.Rows))); err != nil {
			if err := s.rejectRow(ctx, c, c.batch.Rows[0].RowIndex, task.StageTransforms, err); err != nil {
				return err
			}
			c.batch.Rows = c.batch.Rows[:0]
		}
	}
	s.feed.task.count.convert.Start()
	defer s.feed.task.count.convert.Stop()
	if err := s.convert(ctx, c); err != nil {
		return err
	}
	s.buildRecords(c, c)
	c.freeLargeRows()
	return nil
}

func (c *chunk) pageRow(at uint32) uint32 {
	if int(at) < len(c.origins) {
		return c.origins[at]
	}
	return at
}

// countRowError fails the task for a row or counts it as skipped.
func (s *transformStage) countRowError(c *chunk, at uint32, stage task.ErrorStage, err error) error {
	t, row := s.feed.task, c.pageRow(at)
	rowErr := fmt.Errorf("%s: %w", c.origin.request, &rowError{row, fmt.Errorf("%s: %w", stage, err)})
	return t.o.HandleError(&t.count.errors, rowErr, func() {
		s.feed.logSkipped(c.origin.request, row, stage, err, func() []any { return about(c, at) })
	})
}

func (s *transformStage) rejectRow(ctx context.Context, c *chunk, at uint32, stage task.ErrorStage, err error) error {
	if err := s.countRowError(c, at, stage, err); err != nil {
		return err
	}
	var parts task.RowSubset
	if c.origin.replayed != nil {
		parts = c.origin.replayed.Rows
	}
	return s.rowToDLQ(ctx, c, at, c.pageRow(at), stage, parts, err)
}

// startRow ends the previous input row, with a dead letter of its failed output rows, and starts another one.
func (s *transformStage) startRow(ctx context.Context, c *chunk, at uint32) error {
	w := s.row
	s.row = splitRow{at: at}
	if len(w.rejected) == 0 {
		return nil
	}
	return s.rowToDLQ(ctx, c, w.at, c.pageRow(w.at), w.stage, task.NewRowSubset(w.parts, w.rejected), w.err)
}

func (s *transformStage) convert(ctx context.Context, c *chunk) error {
	s.spans, s.headers, s.row = s.spans[:0], s.headers[:0], splitRow{}
	for i := range c.batch.Rows {
		if i%contextCheckRows == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if len(c.out) >= maxChunkOutput || len(s.spans) >= maxChunkRecords {
			if err := s.flushEarly(ctx, c); err != nil {
				return err
			}
		}
		if at := c.batch.Rows[i].RowIndex; at != s.row.at {
			if err := s.startRow(ctx, c, at); err != nil {
				return err
			}
		}
		part := s.row.parts
		s.row.parts++
		if l := c.origin.replayed; l != nil && !l.Rows.Contains(part) {
			continue // delivered before
		}
		if topic := c.batch.Rows[i].Topic; i == 0 || topic != c.batch.Rows[i-1].Topic {
			if err := s.ensureTopic(ctx, c.batch.Topics[topic]); err != nil {
				return fmt.Errorf("%s: %w", c.origin.request, err)
			}
		}
		before, headers := len(c.out), len(s.headers)
		sp, stage, err := s.convertRow(ctx, c, i)
		if err == nil {
			s.spans = append(s.spans, sp)
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if fault.Stops(err) {
			return fmt.Errorf("%s: %s: %w", c.origin.request, stage, err)
		}
		c.out, s.headers = c.out[:before], s.headers[:headers]
		if err := s.countRowError(c, s.row.at, stage, err); err != nil {
			return err
		}
		if s.row.rejected = append(s.row.rejected, part); s.row.err == nil {
			s.row.stage, s.row.err = stage, err
		}
	}
	return s.startRow(ctx, c, 0)
}

// flushEarly bounds the output of a chunk: a few bytes of a plugin may become any amount, such as small rows with a
// large schema each. Chunks always become free again, because reading holds two at most.
func (s *transformStage) flushEarly(ctx context.Context, c *chunk) error {
	part, err := s.feed.acquireChunk(ctx, c.origin)
	if err != nil {
		return err
	}
	sent := false
	defer func() {
		if !sent { // after a panic: other feeds would lose a chunk
			s.feed.releaseChunk(part)
		}
	}()
	part.out, c.out = c.out, part.out
	part.firstOfPage, c.firstOfPage = c.firstOfPage, false
	s.buildRecords(c, part)
	s.spans, s.headers = s.spans[:0], s.headers[:0]
	sent = true
	s.feed.pipeline.converted <- part
	return nil
}

// ensureTopic checks a topic once. Its error is not the row's, so it is never tolerated.
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

func (s *transformStage) convertRow(ctx context.Context, c *chunk, i int) (sp recordSpan, stage task.ErrorStage,
	err error) {
	r, b := &c.batch.Rows[i], &c.batch
	sp.row = i
	topic := b.Topics[r.Topic]
	sp.key = len(c.out)
	maxBytes := s.feed.task.o.MaxRecordBytes - recordOverhead
	if c.origin.traceHeader.Key != "" {
		maxBytes -= headerOverhead + len(c.origin.traceHeader.Key) + len(c.origin.traceHeader.Value)
	}
	if c.out, sp.keyNull, err = s.key.Encode(ctx, c.out, maxBytes, topic, b, r.Key); err != nil {
		return sp, task.StageKeyConverter, s.tooLarge(err)
	}
	sp.keyEnd, sp.value = len(c.out), len(c.out)
	maxBytes -= sp.keyEnd - sp.key
	if c.out, sp.valueNull, err = s.value.Encode(ctx, c.out, maxBytes, topic, b, r.Value); err != nil {
		return sp, task.StageValueConverter, s.tooLarge(err)
	}
	sp.valueEnd, sp.headers = len(c.out), len(s.headers)
	maxBytes -= sp.valueEnd - sp.value
	if r.Headers.Encoding == wit.Raw {
		if err := s.convertHeaders(ctx, c, topic, r.Headers, maxBytes); err != nil {
			return sp, task.StageHeaderConverter, s.tooLarge(err)
		}
	}
	sp.headerCount = len(s.headers) - sp.headers
	return sp, "", nil
}

func (s *transformStage) tooLarge(err error) error {
	if fault.Class(err) != fault.TooLargeException {
		return err
	}
	return fmt.Errorf("the record has %w: expected at most %d for key, value and headers together, which "+
		"producer.max.request.size sets", err, s.feed.task.o.MaxRecordBytes-recordOverhead)
}

func (s *transformStage) convertHeaders(ctx context.Context, c *chunk, topic string, block wit.ValueSlice,
	maxBytes int) (err error) {
	if int64(block.Size) > 2*int64(maxBytes) {
		return headersTooLarge() // the encoded size differs slightly
	}
	if s.parsed, err = connectdata.Headers(s.parsed[:0], c.batch.Bytes(block)); err != nil {
		return err
	}
	for i := range s.parsed {
		h := headerSpan{name: s.parsed[i].Name, start: len(c.out)}
		maxBytes -= len(h.name) + headerOverhead
		if c.out, h.null, err = s.header.Encode(ctx, c.out, maxBytes, topic, &c.batch,
			&s.parsed[i]); err != nil {
			return fmt.Errorf("header %s: %w", h.name, err)
		}
		h.end = len(c.out)
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

func (s *transformStage) buildRecords(rows, c *chunk) {
	c.produced = s.feed.pipeline.output.NewBatch()
	carries := c.origin.traceHeader.Key != "" // a row's own header takes precedence
	for i := range s.spans {
		sp := &s.spans[i]
		row := &rows.batch.Rows[sp.row]
		r := c.produced.Add()
		r.Topic, r.Partition = rows.batch.Topics[row.Topic], row.Partition
		if row.Timestamp >= 0 {
			r.Timestamp = time.UnixMilli(row.Timestamp)
		}
		if !sp.keyNull {
			r.Key = c.out[sp.key:sp.keyEnd:sp.keyEnd]
		}
		if !sp.valueNull {
			r.Value = c.out[sp.value:sp.valueEnd:sp.valueEnd]
		}
		headers := s.headers[sp.headers : sp.headers+sp.headerCount]
		carries := carries && !slices.ContainsFunc(headers,
			func(h headerSpan) bool { return tracing.IsTraceHeader(h.name) })
		count := len(headers)
		if carries {
			count++
		}
		if count > 0 {
			r.Headers = c.produced.Headers(count)
			for n, h := range headers {
				r.Headers[n] = kgo.RecordHeader{Key: h.name}
				if !h.null {
					r.Headers[n].Value = c.out[h.start:h.end:h.end]
				}
			}
			if carries {
				r.Headers[count-1] = c.origin.traceHeader
			}
		}
	}
	s.appendDeadLetters(rows, c)
}

// about describes the record of a row, for errors.log.include.messages.
func about(c *chunk, at uint32) []any {
	for i := range c.batch.Rows {
		if r := &c.batch.Rows[i]; r.RowIndex == at && int(r.Topic) < len(c.batch.Topics) {
			return []any{"topic", c.batch.Topics[r.Topic], "timestamp", r.Timestamp}
		}
	}
	return nil
}
