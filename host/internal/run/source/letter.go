package source

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

// DeadLetters is where rows go that cannot be handled, where such rows are tolerated: into a topic, in the page's
// transaction where there is one.
type DeadLetters struct {
	Topic string
	// NewConverters makes what a feed writes rows with as they came, before the transforms.
	NewConverters func() (key, value convert.Converter, err error)
	// Headers say what happened. It is called by several goroutines.
	Headers func(FailedRow) []kgo.RecordHeader
}

// FailedRow is a row that could not be handled.
type FailedRow struct {
	// Topic is that of the row and Feed its feed, Page the request that it came with, Row its number there.
	Feed, Topic, Page string
	Row               uint32
	// Partition is that which the plugin wants the row in, -1 for none; Timestamp the row's in milliseconds since 1970,
	// -1 for none.
	Partition int32
	Timestamp int64
	task.Failure
	// ReplayedFrom is where the dead letter is that the row was read from, "" for one that came from the service.
	ReplayedFrom string
}

// outgoing is a dead letter on its way to its topic.
type outgoing struct {
	key, value []byte
	headers    []kgo.RecordHeader
	timestamp  int64 // negative: none
}

// buryRaw makes a dead letter of a row that the plugin could not read: of its document, which the plugin adds.
func (p *page) buryRaw(f *wit.RowError) {
	letters, b := p.feed.task.o.DeadLetters, &p.chunk.batch
	if letters == nil {
		return
	}
	raw := bytes.Clone(b.Data[f.RawStart:][:f.RawSize])
	why := task.Failure{Stage: task.StageDecode, Class: f.ErrorClass, Err: &f.Error}
	p.chunk.letters = append(p.chunk.letters, outgoing{value: raw, timestamp: -1, headers: letters.Headers(
		goesBack(p.of.refused, FailedRow{Feed: p.feed.name, Topic: b.Topics[0], Page: p.of.what, Row: f.RowIndex,
			Partition: -1, Timestamp: -1, Failure: why}))})
}

// bury makes a dead letter of a row of which no record, or not all of the records, could be made: of the row as it was
// before the transforms, by its place in the chunk and its number in the page.
func (s *shaper) bury(ctx context.Context, c *chunk, at, number uint32, stage task.ErrorStage, parts task.RowSubset,
	cause error) error {
	t := s.feed.task
	if t.o.DeadLetters == nil {
		return nil
	}
	var row wit.Row
	if s.chain != nil {
		row = s.chain.Input(at)
	} else {
		row = c.batch.Rows[at]
	}
	l := outgoing{timestamp: row.Timestamp}
	most := t.o.MaxRecordBytes - recordOverhead
	failed := func(err error) error {
		return fmt.Errorf("%s: row %d: %w; it is not left out, because its dead letter cannot be written: %w",
			c.of.what, number, cause, err)
	}
	topic := t.o.DeadLetters.Topic
	key, null, err := s.letterKey.Encode(ctx, nil, most, topic, &c.batch, row.Key)
	if err != nil {
		return failed(err)
	}
	if !null {
		l.key = key
	}
	value, null, err := s.letterValue.Encode(ctx, nil, most-len(key), topic, &c.batch, row.Value)
	if err != nil {
		return failed(err)
	}
	if !null {
		l.value = value
	}
	what := FailedRow{Feed: s.feed.name, Topic: c.batch.Topics[row.Topic], Page: c.of.what, Row: number,
		Partition: row.Partition, Timestamp: row.Timestamp, Failure: task.NewFailure(stage, cause)}
	what.Rows = parts
	l.headers = t.o.DeadLetters.Headers(goesBack(c.of.refused, what))
	c.letters = append(c.letters, l)
	if s.lettersBytes += len(key) + len(value) + recordOverhead; s.lettersBytes < maxChunkOutput {
		return nil
	}
	return s.ahead(ctx, c)
}

// post adds the dead letters of a chunk to the records of another or the same.
func (s *shaper) post(from, c *chunk) {
	for _, l := range from.letters {
		r := c.produced.Add()
		r.Topic, r.Partition = s.feed.task.o.DeadLetters.Topic, -1
		r.Key, r.Value, r.Headers = l.key, l.value, l.headers
		if l.timestamp >= 0 {
			r.Timestamp = time.UnixMilli(l.timestamp)
		}
	}
	c.posted += len(from.letters)
	s.feed.task.o.Metrics.DeadLetters.Add(int64(len(from.letters)))
	from.letters, s.lettersBytes = nil, 0
}
