package source

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

// DeadLetters is the topic for rows that were skipped because of an error. They are part of the page's transaction.
type DeadLetters struct {
	Topic string
	// NewConverters returns the converters for rows as they were before the transforms.
	NewConverters func() (key, value convert.Converter, err error)
	// Headers describe the failure. Several goroutines call it.
	Headers func(FailedRow) []kgo.RecordHeader
}

// FailedRow is a row that could not be handled.
type FailedRow struct {
	// Page is the request that returned the row, Row its index there.
	Feed  string
	Topic string
	Page  string
	Row   uint32
	// Partition is the one that the plugin requested, -1 for none. Timestamp is in milliseconds since 1970, -1 for
	// none.
	Partition int32
	Timestamp int64
	task.Failure
	// ReplayedFrom is the dead letter that the row was replayed from, empty if it came from the service.
	ReplayedFrom string
}

type outgoingLetter struct {
	key       []byte
	value     []byte
	headers   []kgo.RecordHeader
	timestamp int64 // in Unix milliseconds; negative means none
}

// rowToDLQ adds a dead letter of a row that failed in whole or in part, as it was before the transforms. index is its
// index in the chunk, pageRow its index in the page, and rows are the failed ones of the rows made from it. If there
// are many bytes of dead letters, it sends the chunk early.
func (s *transformStage) rowToDLQ(ctx context.Context, chunk *chunk, index, pageRow uint32, stage task.ErrorStage,
	rows task.RowSubset, cause error) error {
	t := s.feed.task
	if t.o.DeadLetters == nil {
		return nil
	}
	var row wit.Row
	if s.chain != nil {
		row = s.chain.Input(index)
	} else {
		row = chunk.batch.Rows[index]
	}
	letter := outgoingLetter{timestamp: row.Timestamp}
	maxBytes := t.o.MaxRecordBytes - recordOverhead
	wrapError := func(err error) error {
		return fmt.Errorf("%s: row %d: %w; it is not skipped, because its dead letter cannot be written: %w",
			chunk.origin.request, pageRow, cause, err)
	}
	topic := t.o.DeadLetters.Topic
	key, null, err := s.dlqKey.Encode(ctx, nil, maxBytes, topic, &chunk.batch, row.Key)
	if err != nil {
		return wrapError(err)
	}
	if !null {
		letter.key = key
	}
	value, null, err := s.dlqValue.Encode(ctx, nil, maxBytes-len(key), topic, &chunk.batch, row.Value)
	if err != nil {
		return wrapError(err)
	}
	if !null {
		letter.value = value
	}
	failedRow := FailedRow{Feed: s.feed.name, Topic: chunk.batch.Topics[row.Topic], Page: chunk.origin.request,
		Row: pageRow, Partition: row.Partition, Timestamp: row.Timestamp, Failure: task.NewFailure(stage, cause)}
	failedRow.Rows = rows
	letter.headers = t.o.DeadLetters.Headers(withReplayOrigin(chunk.origin.replayed, failedRow))
	chunk.deadLetters = append(chunk.deadLetters, letter)
	s.dlqBytes += len(key) + len(value) + recordOverhead
	if s.dlqBytes < maxChunkOutput {
		return nil
	}
	return s.flushEarly(ctx, chunk)
}
