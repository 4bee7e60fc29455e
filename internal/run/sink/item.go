package sink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/run/task"
)

// item is a record that was read and is being written. Transforms make one or several rows of it, each of which must be
// settled (written, ignored, or stored as a dead letter) before the record's offset is committed.
type item struct {
	record    *kgo.Record
	partition *partition
	// offset is a copy of the record's offset: each commit scans all items without touching their records.
	offset    int64
	remaining int  // counts the unsettled rows
	attempted bool // true if a request with a row of it was sent, by this task or an earlier one
	written   int  // counts the rows that non-repeatable requests have written
	// nonRepeatable counts the non-repeatable deliveries with rows of it that are in flight or announced.
	nonRepeatable int
	rows          uint32 // counts the rows that the transforms made of it, including those written before a replay
	rejected      *rejection
}

func (i *item) String() string {
	return fmt.Sprintf("topic %s, partition %d, offset %d, key %q", i.record.Topic, i.record.Partition, i.offset,
		shortKey(i.record.Key))
}

var leadingItem = regexp.MustCompile(`^(topic \S+, partition \d+, offset \d+, key "(?:[^"\\]|\\.)*"(?: and \d+ more)?): (.+)$`)

// ReasonFirst returns the line of an error with the reason before the record that it begins with, for narrow columns.
func ReasonFirst(line string) string { return leadingItem.ReplaceAllString(line, "$2 ($1)") }

const itemOverhead = 400 // bytes of an item and its record besides key and value, about

func (i *item) bytes() int { return itemOverhead + len(i.record.Key) + len(i.record.Value) }

func (i *item) unsettled() bool { return i.remaining > 0 }

func (i *item) partiallyWritten() bool { return i.written > 0 && i.remaining > 0 }

// revoked reports whether another member owns the record, or it is read again.
func (i *item) revoked() bool { return i.partition.revoked }

func (i *item) predecessorUncommitted() bool { return i.partition.predecessorUncommitted }

func (i *item) readyForDLQ() bool {
	r := i.rejected
	return r != nil && (r.whole || len(r.parts) == i.remaining)
}

const (
	maxShownKey = 100
	longKey     = 64 << 10 // bytes; longer keys are not parsed
)

// shortKey returns a key as messages show it: without the schema envelope of JSON converters, and cut.
func shortKey(key []byte) []byte {
	var envelope struct{ Schema, Payload json.RawMessage }
	maybeJSON := len(key) < longKey && bytes.HasPrefix(bytes.TrimSpace(key), []byte("{"))
	if maybeJSON && json.Unmarshal(key, &envelope) == nil && envelope.Schema != nil && envelope.Payload != nil {
		key = envelope.Payload
	}
	if len(key) > maxShownKey {
		key = append(bytes.Clone(key[:maxShownKey]), "…"...)
	}
	return key
}

// FailedRecord is a record that cannot be written, as it was read.
type FailedRecord struct {
	Record *kgo.Record
	task.Failure
	ReplayedFrom string // the dead letter of a replayed record, else empty
}

type rejection struct {
	failure FailedRecord // of the first rejected row
	parts   []uint32     // the rejected rows, by their place in the record
	whole   bool         // the record was rejected before there were rows
}

const wholeRecord = -1 // the part of a record that was rejected before there were rows
