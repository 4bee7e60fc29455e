package sink

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/internal/run/task"
)

// item is a consumed record until it is settled.
type item struct {
	record    *kgo.Record
	partition *partition
	// offset is the record's: each commit goes through all items, and does not reach for their records.
	offset int64
	// left is how many of the rows that came of it are not settled.
	remaining int
	// sent: a request with a row of it has gone out, by this task or an earlier one.
	attempted bool
	// written is how many of its rows are written by requests that must not be sent twice.
	written int
	// nonRepeatable is how many deliveries with rows of it are on their way, or about to be, that must not be sent twice.
	nonRepeatable int
	// rows is how many the transforms made of it, those included that were written before it was replayed.
	rows uint32
	// rejected are those that cannot be written, which are not settled before the record's dead letter is stored; nil:
	// none.
	rejected *rejection
}

// String names the record as an operator finds it.
func (i *item) String() string {
	return fmt.Sprintf("topic %s, partition %d, offset %d, key %q", i.record.Topic, i.record.Partition, i.offset,
		shortKey(i.record.Key))
}

// bytes are those of the record, with what it costs besides, about.
func (i *item) bytes() int { return 400 + len(i.record.Key) + len(i.record.Value) }

// unsettled tells whether rows of the record are not settled; halfWritten whether besides these some are written by
// requests that must not be sent twice.
func (i *item) unsettled() bool { return i.remaining > 0 }

func (i *item) partiallyWritten() bool { return i.written > 0 && i.remaining > 0 }

// revoked tells whether the record is another member's by now, or comes again.
func (i *item) revoked() bool { return i.partition.revoked }

// previousPending tells whether something that the record's partition had settled before it came back is not stored yet.
func (i *item) previousPending() bool { return i.partition.previousPending }

// due tells whether all rows of the record that are left cannot be written.
func (i *item) readyForDLQ() bool {
	r := i.rejected
	return r != nil && (r.whole || len(r.parts) == i.remaining)
}

// maxShownKey is how much of a key stands in messages, in bytes.
const maxShownKey = 100

// shortKey is a key as messages show it: without the schema that JSON converters put around the value, and not all of a
// long one.
func shortKey(key []byte) []byte {
	var envelope struct{ Schema, Payload json.RawMessage }
	if len(key) < 64<<10 && bytes.HasPrefix(bytes.TrimSpace(key), []byte("{")) && json.Unmarshal(key,
		&envelope) == nil &&
		envelope.Schema != nil && envelope.Payload != nil {
		key = envelope.Payload
	}
	if len(key) > maxShownKey {
		key = append(bytes.Clone(key[:maxShownKey]), "…"...)
	}
	return key
}

// Letter is a record that cannot be written, as it was read.
type Letter struct {
	Record *kgo.Record
	task.Failure
	// Place is where the dead letter is that the record was read from, "" for one that came from its topic.
	Place string
}

// rejection is what is known of a record of which rows cannot be written, its letter, about the
// first of them, and which they are. whole: no row came of the record.
type rejection struct {
	failure Letter
	parts   []uint32
	whole   bool
}

// wholeRecord: a record is refused, not one of its rows.
const wholeRecord = -1

// letter returns the dead letter of a due record, which may itself have been read from a dead letter.
func (i *item) failedRecord(replayed task.DeadLetter) Letter {
	l := i.rejected.failure
	if l.Parts, l.Times, l.Place = replayed.Parts, replayed.Times, replayed.Place; !i.rejected.whole {
		l.Parts = task.PartsOf(i.rows, i.rejected.parts)
	}
	return l
}

// partition is one assignment of a partition of a topic: when it is revoked and assigned again, there is another one.
type partition struct {
	tp topicPartition
	// items in the order of their offsets. The first one is not settled: settled ones at the front are taken away.
	items []*item
	// bytes are those of the items together: a task asks for them at each step.
	bytes int
	// lastSettled is the last of those that were taken away, nil while none was.
	lastSettled *kgo.Record
	// revoked: not this member's any more; nothing of it is delivered or committed.
	revoked bool
	// startedRows is how many rows of it are in deliveries that have begun and not ended; underWay is how many of these
	// are in deliveries that have gone out.
	startedRows, inFlightRows int
	// nextOffset is the offset after the last record that was read.
	nextOffset int64
	// committed is the offset that the group has: -1 for none, notKnown until the group has said it.
	committed int64
	// uncommitted: the next commit is to have the partition, since its offset or metadata is another one.
	dirty bool
	// previousPending: what an assignment before this one has settled is not stored yet.
	previousPending bool
	// lastCommit is what was given to a commit last, stored what is known to be stored; nil: nothing.
	lastCommit, storedCommit *commitEntry
	// baseOffset is the least offset that metadata may still be stored with, -1 where none is known yet.
	baseOffset int64
	// reach is the last offset for which a delivery has begun, -1 for none. earlier is what lies beyond that of what
	// was known of the partition when it was assigned, in order.
	maxStarted int64
	inherited  []stateRange
	// doubtful are the offsets of which nobody knew when the task began whether they were written, and which are still
	// to be checked.
	toCheck map[int64]bool
}

// offsetUnknown is [partition.restorePartition] until the group has said it.
const offsetUnknown = -2

// commitEntry is an offset with its metadata.
type commitEntry struct {
	offset   int64
	metadata string
	// asked: the metadata is this assignment's. Else it is what an assignment before had stored, or may have.
	own bool
}

// said is the text, "" of no commit.
func (c *commitEntry) text() string {
	if c == nil {
		return ""
	}
	return c.metadata
}

// inheritedSettled tells whether an earlier task has settled the record at an offset, beyond which nothing was read.
func (p *partition) inheritedSettled(offset int64) bool {
	n, _ := slices.BinarySearchFunc(p.inherited, offset+1, func(s stateRange, first int64) int {
		return cmp.Compare(s.first, first)
	})
	for n--; n >= 0; n-- {
		if s := p.inherited[n]; s.state == stateSettled { // of these none overlap
			return offset <= s.last
		}
	}
	return false
}

// advance takes settled items from the front.
func (p *partition) advance() {
	n := 0
	for ; n < len(p.items) && !p.items[n].unsettled(); n++ {
		delete(p.toCheck, p.items[n].offset)
		p.bytes -= p.items[n].bytes()
	}
	if n == 0 {
		return
	}
	p.lastSettled, p.dirty = p.items[n-1].record, true
	clear(p.items[:n])
	p.items = p.items[n:]
}

// appendInFlight appends the offsets of records that would be in doubt if the task ended now: a request that must not be
// sent twice is on its way with rows of them, or has written some of their rows and others are to come. Without
// underWay these last alone. A delivery that was announced but not sent when its partition was revoked is never sent.
func (p *partition) appendInFlight(dst []offsetRange, inFlight bool) []offsetRange {
	inFlight = inFlight && (!p.revoked || p.inFlightRows > 0)
	next := int64(-1)
	for _, i := range p.items {
		if !i.unsettled() || i.written == 0 && (!inFlight || i.nonRepeatable == 0) {
			continue
		}
		if i.offset == next {
			dst[len(dst)-1].last = next
		} else {
			dst = append(dst, offsetRange{i.offset, i.offset})
		}
		next = i.offset + 1
	}
	return dst
}

// appendSettled appends the settled offsets from next on. Without all it leaves out, at the end of a run, records that
// were settled without a request: a restart settles them in the same way.
func (p *partition) appendSettled(spans []offsetRange, next int64, all bool) []offsetRange {
	together := false // with the record before, whatever lies between: there are no records there
	lastRead, end := next-1, int64(-1)
	add := func(s offsetRange) {
		if together {
			spans[len(spans)-1].last = s.last
		} else {
			spans, together = append(spans, s), true
		}
	}
	if p.lastSettled != nil && p.lastSettled.Offset >= next { // settled while the commit was on its way
		add(offsetRange{next, p.lastSettled.Offset})
		lastRead = p.lastSettled.Offset
	}
	for _, i := range p.items {
		lastRead = i.offset
		switch {
		case i.unsettled():
			together = false
		case i.record.Attrs.IsControl(): // it comes to nothing once more
		case all || i.attempted:
			add(offsetRange{lastRead, lastRead})
		}
	}
	for _, s := range p.inherited {
		if s.state == stateSettled && s.last > max(lastRead, end) {
			spans = append(spans, offsetRange{max(s.first, lastRead+1, end+1), s.last})
			end = s.last
		}
	}
	return spans
}
