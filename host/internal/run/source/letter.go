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
	Headers func(Letter) []kgo.RecordHeader
}

// Letter is a row that could not be handled.
type Letter struct {
	// Topic is that of the row and Feed its feed, Page the request that it came with, Row its number there.
	Feed, Topic, Page string
	Row               uint32
	// Partition is that which the plugin wants the row in, -1 for none; Timestamp the row's in milliseconds since 1970,
	// -1 for none.
	Partition int32
	Timestamp int64
	task.Failure
	// Place is where the dead letter is that the row was read from, "" for one that came from the service.
	Place string
}

// outgoingLetter is a dead letter on its way to its topic.
type outgoingLetter struct {
	key, value []byte
	headers    []kgo.RecordHeader
	timestamp  int64 // negative: none
}

// rawToDLQ makes a dead letter of a row that the plugin could not read: of its document, which the plugin adds.
func (p *page) rawToDLQ(f *wit.RowFault) {
	letters, b := p.feed.task.o.DeadLetters, &p.chunk.batch
	if letters == nil {
		return
	}
	raw := bytes.Clone(b.Data[f.RawStart:][:f.RawSize])
	failure := task.Failure{Stage: task.AtDecode, Class: f.ErrorClass, Err: &f.Fault}
	p.chunk.deadLetters = append(p.chunk.deadLetters, outgoingLetter{value: raw, timestamp: -1, headers: letters.Headers(
		withReplayOrigin(p.origin.replayed, Letter{Feed: p.feed.name, Topic: b.Topics[0], Page: p.origin.request, Row: f.Origin,
			Partition: -1, Timestamp: -1, Failure: failure}))})
}

// rowToDLQ makes a dead letter of a row of which no record, or not all of the records, could be made: of the row as it was
// before the transforms, by its place in the chunk and its number in the page.
func (s *transformStage) rowToDLQ(ctx context.Context, c *chunk, at, number uint32, stage task.ErrorStage, parts task.Parts,
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
	l := outgoingLetter{timestamp: row.Timestamp}
	maxBytes := t.o.MaxRecordBytes - recordOverhead
	failed := func(err error) error {
		return fmt.Errorf("%s: row %d: %w; it is not left out, because its dead letter cannot be written: %w",
			c.origin.request, number, cause, err)
	}
	topic := t.o.DeadLetters.Topic
	key, null, err := s.dlqKey.Encode(ctx, nil, maxBytes, topic, &c.batch, row.Key)
	if err != nil {
		return failed(err)
	}
	if !null {
		l.key = key
	}
	value, null, err := s.dlqValue.Encode(ctx, nil, maxBytes-len(key), topic, &c.batch, row.Value)
	if err != nil {
		return failed(err)
	}
	if !null {
		l.value = value
	}
	letter := Letter{Feed: s.feed.name, Topic: c.batch.Topics[row.Topic], Page: c.origin.request, Row: number,
		Partition: row.Partition, Timestamp: row.Timestamp, Failure: task.FailureOf(stage, cause)}
	letter.Parts = parts
	l.headers = t.o.DeadLetters.Headers(withReplayOrigin(c.origin.replayed, letter))
	c.deadLetters = append(c.deadLetters, l)
	if s.dlqBytes += len(key) + len(value) + recordOverhead; s.dlqBytes < maxChunkOutput {
		return nil
	}
	return s.flushEarly(ctx, c)
}

// appendDeadLetters adds the dead letters of a chunk to the records of another or the same.
func (s *transformStage) appendDeadLetters(from, c *chunk) {
	for _, l := range from.deadLetters {
		r := c.produced.Add()
		r.Topic, r.Partition = s.feed.task.o.DeadLetters.Topic, -1
		r.Key, r.Value, r.Headers = l.key, l.value, l.headers
		if l.timestamp >= 0 {
			r.Timestamp = time.UnixMilli(l.timestamp)
		}
	}
	c.deadLetterCount += len(from.deadLetters)
	s.feed.task.o.Tally.Letters.Add(int64(len(from.deadLetters)))
	from.deadLetters, s.dlqBytes = nil, 0
}
