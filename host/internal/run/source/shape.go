package source

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/convert/fault"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/internal/run/tracing"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// shaper makes records of rows: transforms, then converters. It belongs to its stage's goroutine.
type shaper struct {
	feed       *feed
	chain      Chain
	key, value convert.Converter
	header     convert.Headers
	topics     map[string]bool // known to exist
	spans      []recordSpan
	headers    []headerSpan
	parsed     []connectdata.Header
	// letterKey and letterValue write dead letters, of which those that wait have so many bytes.
	letterKey, letterValue convert.Converter
	lettersBytes           int
	row                    splitRow
}

// splitRow is the row of a chunk, by its place, of which records are being made: how many so far, and which of them
// could not be, by the first fault.
type splitRow struct {
	at      uint32
	parts   uint32
	refused []uint32
	stage   task.ErrorStage
	fault   error
}

// recordSpan is where a row's key and value stand in a chunk's output; the output may still move. A null has no place.
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

func (f *feed) newShaper(ctx context.Context) (*shaper, error) {
	s := &shaper{feed: f, topics: map[string]bool{}}
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
		if s.letterKey, s.letterValue, err = letters.NewConverters(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// shape is the second stage.
func (f *feed) shape(s *shaper) {
	var failed error
	for c := range f.pipe.decoded {
		if failed == nil && f.pipe.failed.Err() == nil {
			failed = guard.Do(f.task.log, "feed "+f.name+", the stage of shaping",
				func() error { return s.work(f.pipe.failed, c) })
		}
		c.err = failed // nothing goes past a chunk that failed
		f.pipe.shaped <- c
	}
}

func (s *shaper) work(ctx context.Context, c *chunk) error {
	s.spans, s.headers = s.spans[:0], s.headers[:0] // for dead letters that go ahead
	for i := range c.batch.Rows {
		c.batch.Rows[i].RowIndex = uint32(i) // several may be of one number, and a letter is of one of them
	}
	s.feed.task.o.Observer.Observe(s.feed.task.o.Task, s.feed.name, &c.batch)
	if s.chain != nil && len(c.batch.Rows) > 0 {
		working, transformed := s.feed.task.count.transform.Track(ctx)
		span := c.of.span.StartChild("transform", tracing.Internal)
		faults, err := s.feed.task.o.Retry.Transform(working, s.chain.Apply, &c.batch, func(failure error) {
			s.feed.task.count.faults.Add()
			s.feed.task.o.Metrics.Retries.Add(1)
			s.feed.log.Warn("transforms failed and are tried again", "page", c.of.what, "error", failure)
		})
		transformed()
		span.SetInt("culvert.rows", int64(len(c.batch.Rows)))
		span.End(err)
		if err != nil {
			return fmt.Errorf("%s: transforms: %w", c.of.what, err)
		}
		for i := range faults {
			err := s.failed(ctx, c, faults[i].RowIndex, task.StageTransforms, task.RowError{Row: &faults[i]})
			if err != nil {
				return err
			}
		}
	}
	if l := c.of.refused; l != nil && !l.Rows.IsAll() && len(c.batch.Rows) > 0 {
		if err := l.Rows.CheckTotal(uint32(len(c.batch.Rows))); err != nil {
			if err := s.failed(ctx, c, c.batch.Rows[0].RowIndex, task.StageTransforms, err); err != nil {
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
	s.records(c, c)
	c.spare()
	return nil
}

// number is that of a row in its page, by its place in the chunk as it was read.
func (c *chunk) number(at uint32) uint32 {
	if int(at) < len(c.origins) {
		return c.origins[at]
	}
	return at
}

// fault fails the task for a row, or counts it; at is the row's place in the chunk as it was read.
func (s *shaper) fault(c *chunk, at uint32, stage task.ErrorStage, err error) error {
	t, row := s.feed.task, c.number(at)
	fault := fmt.Errorf("%s: %w", c.of.what, &rowError{row, fmt.Errorf("%s: %w", stage, err)})
	return t.o.HandleError(&t.count.faults, fault, func() {
		s.feed.skipped(c.of.what, row, stage, err, func() []any { return about(c, at) })
	})
}

// failed is fault of a row of which nothing comes, with its dead letter.
func (s *shaper) failed(ctx context.Context, c *chunk, at uint32, stage task.ErrorStage, err error) error {
	if err := s.fault(c, at, stage, err); err != nil {
		return err
	}
	var parts task.RowSubset
	if c.of.refused != nil {
		parts = c.of.refused.Rows
	}
	return s.bury(ctx, c, at, c.number(at), stage, parts, err)
}

// begin ends the row of which records were made, with a dead letter of those that could not be, and begins the one at
// another place.
func (s *shaper) begin(ctx context.Context, c *chunk, at uint32) error {
	w := s.row
	s.row = splitRow{at: at}
	if len(w.refused) == 0 {
		return nil
	}
	return s.bury(ctx, c, w.at, c.number(w.at), w.stage, task.NewRowSubset(w.parts, w.refused), w.fault)
}

// convert writes keys, values and headers to the chunk's output. What is enough for a chunk of its own goes ahead.
func (s *shaper) convert(ctx context.Context, c *chunk) error {
	s.spans, s.headers, s.row = s.spans[:0], s.headers[:0], splitRow{}
	for i := range c.batch.Rows {
		if i%watchRows == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if len(c.out) >= maxChunkOutput || len(s.spans) >= maxChunkRecords {
			if err := s.ahead(ctx, c); err != nil {
				return err
			}
		}
		if at := c.batch.Rows[i].RowIndex; at != s.row.at {
			if err := s.begin(ctx, c, at); err != nil {
				return err
			}
		}
		part := s.row.parts
		s.row.parts++
		if l := c.of.refused; l != nil && !l.Rows.Contains(part) {
			continue // it is delivered
		}
		if topic := c.batch.Rows[i].Topic; i == 0 || topic != c.batch.Rows[i-1].Topic {
			if err := s.ensure(ctx, c.batch.Topics[topic]); err != nil {
				return fmt.Errorf("%s: %w", c.of.what, err)
			}
		}
		before, headers := len(c.out), len(s.headers)
		sp, stage, err := s.record(ctx, c, i)
		if err == nil {
			s.spans = append(s.spans, sp)
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if fault.Stops(err) {
			return fmt.Errorf("%s: %s: %w", c.of.what, stage, err)
		}
		c.out, s.headers = c.out[:before], s.headers[:headers]
		if err := s.fault(c, s.row.at, stage, err); err != nil {
			return err
		}
		if s.row.refused = append(s.row.refused, part); s.row.fault == nil {
			s.row.stage, s.row.fault = stage, err
		}
	}
	return s.begin(ctx, c, 0)
}

// ahead sends what was converted so far on in a chunk of its own: few bytes of a plugin can become any amount of
// output, such as rows of one byte under a schema that stands in each of them. There are always chunks to come back:
// reading holds two at most.
func (s *shaper) ahead(ctx context.Context, c *chunk) error {
	part, err := s.feed.take(ctx, c.of)
	if err != nil {
		return err
	}
	sent := false
	defer func() {
		if !sent { // a mistake in what comes: other feeds would have a chunk less for ever
			s.feed.give(part)
		}
	}()
	part.out, c.out = c.out, part.out
	part.begins, c.begins = c.begins, false
	s.records(c, part)
	s.spans, s.headers = s.spans[:0], s.headers[:0]
	sent = true
	s.feed.pipe.shaped <- part
	return nil
}

// ensure sees to a topic once. That it cannot be had is no fault of the row's, so it is never tolerated.
func (s *shaper) ensure(ctx context.Context, topic string) error {
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

// record converts a row.
func (s *shaper) record(ctx context.Context, c *chunk, i int) (sp recordSpan, stage task.ErrorStage, err error) {
	r, b := &c.batch.Rows[i], &c.batch
	sp.row = i
	topic := b.Topics[r.Topic]
	sp.key = len(c.out)
	most := s.feed.task.o.MaxRecordBytes - recordOverhead
	if c.of.carries.Key != "" {
		most -= headerOverhead + len(c.of.carries.Key) + len(c.of.carries.Value)
	}
	if c.out, sp.keyNull, err = s.key.Encode(ctx, c.out, most, topic, b, r.Key); err != nil {
		return sp, task.StageKeyConverter, s.tooLarge(err)
	}
	sp.keyEnd, sp.value = len(c.out), len(c.out)
	most -= sp.keyEnd - sp.key
	if c.out, sp.valueNull, err = s.value.Encode(ctx, c.out, most, topic, b, r.Value); err != nil {
		return sp, task.StageValueConverter, s.tooLarge(err)
	}
	sp.valueEnd, sp.headers = len(c.out), len(s.headers)
	most -= sp.valueEnd - sp.value
	if r.Headers.Encoding == wit.Raw {
		if err := s.rowHeaders(ctx, c, topic, r.Headers, most); err != nil {
			return sp, task.StageHeaderConverter, s.tooLarge(err)
		}
	}
	sp.headerCount = len(s.headers) - sp.headers
	return sp, "", nil
}

// tooLarge adds to the error of a record that is larger than a producer's request which setting the bound comes from.
func (s *shaper) tooLarge(err error) error {
	if fault.Class(err) != fault.TooLargeException {
		return err
	}
	return fmt.Errorf("the record has %w: expected at most %d for key, value and headers together, which "+
		"producer.max.request.size sets", err, s.feed.task.o.MaxRecordBytes-recordOverhead)
}

func (s *shaper) rowHeaders(ctx context.Context, c *chunk, topic string, block wit.ValueSlice, most int) (err error) {
	if int64(block.Size) > 2*int64(most) {
		return headersTooLarge() // in a block a header takes some bytes less or more
	}
	if s.parsed, err = connectdata.Headers(s.parsed[:0], c.batch.Bytes(block)); err != nil {
		return err
	}
	for i := range s.parsed {
		h := headerSpan{name: s.parsed[i].Name, start: len(c.out)}
		most -= len(h.name) + headerOverhead
		if c.out, h.null, err = s.header.Encode(ctx, c.out, most, topic, &c.batch,
			&s.parsed[i]); err != nil {
			return fmt.Errorf("header %s: %w", h.name, err)
		}
		h.end = len(c.out)
		if most -= h.end - h.start; most < 0 {
			return headersTooLarge()
		}
		s.headers = append(s.headers, h)
	}
	return nil
}

func headersTooLarge() error {
	return &fault.Error{Class: fault.TooLargeException, Text: "more bytes in its headers than are left for them"}
}

// records cuts the output of a chunk, which stands still now, into records of rows of another or the same.
func (s *shaper) records(rows, c *chunk) {
	c.produced = s.feed.pipe.output.NewBatch()
	carries := c.of.carries.Key != "" // a row's own header goes before it
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
				r.Headers[count-1] = c.of.carries
			}
		}
	}
	s.post(rows, c)
}

// about is what a row is that becomes a record, for errors.log.include.messages.
func about(c *chunk, at uint32) []any {
	for i := range c.batch.Rows {
		if r := &c.batch.Rows[i]; r.RowIndex == at && int(r.Topic) < len(c.batch.Topics) {
			return []any{"topic", c.batch.Topics[r.Topic], "timestamp", r.Timestamp}
		}
	}
	return nil
}
