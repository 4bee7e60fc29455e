package sink

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/run/task"
)

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

func (i *item) bytes() int { return 400 + len(i.record.Key) + len(i.record.Value) }

func (i *item) unsettled() bool { return i.remaining > 0 }

func (i *item) partiallyWritten() bool { return i.written > 0 && i.remaining > 0 }

// revoked reports whether another member owns the record, or it is read again.
func (i *item) revoked() bool { return i.partition.revoked }

func (i *item) predecessorUncommitted() bool { return i.partition.predecessorUncommitted }

func (i *item) readyForDLQ() bool {
	r := i.rejected
	return r != nil && (r.whole || len(r.parts) == i.remaining)
}

const maxShownKey = 100

// shortKey returns a key as messages show it: without the schema envelope of JSON converters, and cut.
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

// FailedRecord is a record that cannot be written, as it was read.
type FailedRecord struct {
	Record *kgo.Record
	task.Failure
	// ReplayedFrom is the dead letter that the record was replayed from, empty if it came from its topic.
	ReplayedFrom string
}

type rejection struct {
	failure FailedRecord
	parts   []uint32
	whole   bool
}

const wholeRecord = -1

func (i *item) failedRecord(replayed task.DeadLetter) FailedRecord {
	l := i.rejected.failure
	if l.Rows, l.Replays, l.ReplayedFrom = replayed.Rows, replayed.Replays, replayed.Position; !i.rejected.whole {
		l.Rows = task.NewRowSubset(i.rows, i.rejected.parts)
	}
	return l
}

// partition is one assignment of a partition of a topic: a later assignment is another value.
type partition struct {
	tp          topicPartition
	items       []*item     // in offset order; the first one is unsettled
	bytes       int         // the sum of the items' bytes
	lastSettled *kgo.Record // the last record that was removed from items, nil if none was
	revoked     bool        // nothing of it is delivered or committed any more
	// startedRows counts its rows in deliveries that have started and not ended, inFlightRows those in deliveries that
	// were sent.
	startedRows, inFlightRows int
	nextOffset                int64 // follows the last record that was read
	committed                 int64 // the group's offset: -1 for none, offsetUnknown until it was fetched
	dirty                     bool  // the next commit must include the partition
	predecessorUncommitted    bool  // what an earlier assignment has settled is not stored yet
	// lastCommit was given to the last commit, storedCommit is known to be stored.
	lastCommit, storedCommit *commitEntry
	baseOffset               int64 // the least offset that metadata may still be stored with, -1 if unknown
	// maxStarted is the last offset of a started delivery, -1 for none. inherited is what an earlier task's metadata
	// state of offsets after it, in order.
	maxStarted int64
	inherited  []stateRange
	toCheck    map[int64]bool // the inherited offsets in doubt that are still to be checked
}

const offsetUnknown = -2

type commitEntry struct {
	offset   int64
	metadata string
	current  bool // true for metadata of this assignment, false for what an earlier one has stored or may have
}

func (c *commitEntry) text() string {
	if c == nil {
		return ""
	}
	return c.metadata
}

func (p *partition) inheritedSettled(offset int64) bool {
	n, _ := slices.BinarySearchFunc(p.inherited, offset+1, func(s stateRange, first int64) int {
		return cmp.Compare(s.first, first)
	})
	for n--; n >= 0; n-- {
		if s := p.inherited[n]; s.state == stateSettled { // these do not overlap
			return offset <= s.last
		}
	}
	return false
}

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

// appendInFlight appends the offsets of records that would be in doubt if the task ended now: partially written ones
// and, if inFlight is set, those in non-repeatable deliveries. A delivery that was announced but not sent before the
// revocation is never sent.
func (p *partition) appendInFlight(dst []offsetRange, inFlight bool) []offsetRange {
	inFlight = inFlight && (!p.revoked || p.inFlightRows > 0)
	next := int64(-1)
	for _, item := range p.items {
		if !item.unsettled() || item.written == 0 && (!inFlight || item.nonRepeatable == 0) {
			continue
		}
		if item.offset == next {
			dst[len(dst)-1].last = next
		} else {
			dst = append(dst, offsetRange{item.offset, item.offset})
		}
		next = item.offset + 1
	}
	return dst
}

// appendSettled appends the settled offsets from next on. Unless all is set, it leaves out records at the end of a run
// that were settled without a request: a restart settles them in the same way.
func (p *partition) appendSettled(spans []offsetRange, next int64, all bool) []offsetRange {
	together := false // with the record before: there are no records between them
	lastRead, end := next-1, int64(-1)
	add := func(s offsetRange) {
		if together {
			spans[len(spans)-1].last = s.last
		} else {
			spans, together = append(spans, s), true
		}
	}
	if p.lastSettled != nil && p.lastSettled.Offset >= next { // settled during the commit
		add(offsetRange{next, p.lastSettled.Offset})
		lastRead = p.lastSettled.Offset
	}
	for _, item := range p.items {
		lastRead = item.offset
		switch {
		case item.unsettled():
			together = false
		case item.record.Attrs.IsControl(): // settled at once when it is read again
		case all || item.attempted:
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
