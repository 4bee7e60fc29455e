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
	left int
	// sent: a request with a row of it has gone out, by this task or an earlier one.
	sent bool
	// written is how many of its rows are written by requests that must not be sent twice.
	written int
	// once is how many deliveries with rows of it are on their way, or about to be, that must not be sent twice.
	once int
	// rows is how many the transforms made of it, those included that were written before it was replayed.
	rows uint32
	// refused are those that cannot be written, which are not settled before the record's dead letter is stored; nil:
	// none.
	refused *refusal
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
func (i *item) unsettled() bool { return i.left > 0 }

func (i *item) halfWritten() bool { return i.written > 0 && i.left > 0 }

// theirs tells whether the record is another member's by now, or comes again.
func (i *item) theirs() bool { return i.partition.gone }

// pending tells whether something that the record's partition had settled before it came back is not stored yet.
func (i *item) pending() bool { return i.partition.previousPending }

// due tells whether all rows of the record that are left cannot be written.
func (i *item) due() bool {
	r := i.refused
	return r != nil && (r.whole || len(r.parts) == i.left)
}

// maxKey is how much of a key stands in messages, in bytes.
const maxKey = 100

// shortKey is a key as messages show it: without the schema that JSON converters put around the value, and not all of a
// long one.
func shortKey(key []byte) []byte {
	var envelope struct{ Schema, Payload json.RawMessage }
	if len(key) < 64<<10 && bytes.HasPrefix(bytes.TrimSpace(key), []byte("{")) && json.Unmarshal(key,
		&envelope) == nil &&
		envelope.Schema != nil && envelope.Payload != nil {
		key = envelope.Payload
	}
	if len(key) > maxKey {
		key = append(bytes.Clone(key[:maxKey]), "…"...)
	}
	return key
}

// FailedRecord is a record that cannot be written, as it was read.
type FailedRecord struct {
	Record *kgo.Record
	task.Failure
	// ReplayedFrom is where the dead letter is that the record was read from, "" for one that came from its topic.
	ReplayedFrom string
}

// refusal is what is known of a record of which rows cannot be written, its letter, about the
// first of them, and which they are. whole: no row came of the record.
type refusal struct {
	letter FailedRecord
	parts  []uint32
	whole  bool
}

// allOfIt: a record is refused, not one of its rows.
const allOfIt = -1

// letter returns the dead letter of a due record, which may itself have been read from a dead letter.
func (i *item) letter(replayed task.DeadLetter) FailedRecord {
	l := i.refused.letter
	if l.Rows, l.Replays, l.ReplayedFrom = replayed.Rows, replayed.Replays, replayed.Position; !i.refused.whole {
		l.Rows = task.NewRowSubset(i.rows, i.refused.parts)
	}
	return l
}

// partition is one assignment of a partition of a topic: when it is revoked and assigned again, there is another one.
type partition struct {
	at topicPartition
	// items in the order of their offsets. The first one is not settled: settled ones at the front are taken away.
	items []*item
	// bytes are those of the items together: a task asks for them at each step.
	bytes int
	// front is the last of those that were taken away, nil while none was.
	front *kgo.Record
	// gone: not this member's any more; nothing of it is delivered or committed.
	gone bool
	// delivering is how many rows of it are in deliveries that have begun and not ended; underWay is how many of these
	// are in deliveries that have gone out.
	delivering, underWay int
	// next is the offset after the last record that was read.
	next int64
	// committed is the offset that the group has: -1 for none, notKnown until the group has said it.
	committed int64
	// uncommitted: the next commit is to have the partition, since its offset or metadata is another one.
	uncommitted bool
	// previousPending: what an assignment before this one has settled is not stored yet.
	previousPending bool
	// taken is what was given to a commit last, stored what is known to be stored; nil: nothing.
	taken, stored *commit
	// base is the least offset that metadata may still be stored with, -1 where none is known yet.
	base int64
	// reach is the last offset for which a delivery has begun, -1 for none. earlier is what lies beyond that of what
	// was known of the partition when it was assigned, in order.
	reach   int64
	earlier []stated
	// doubtful are the offsets of which nobody knew when the task began whether they were written, and which are still
	// to be checked.
	doubtful map[int64]bool
}

// notKnown is [partition.committed] until the group has said it.
const notKnown = -2

// commit is an offset with its metadata.
type commit struct {
	offset int64
	text   string
	// asked: the metadata is this assignment's. Else it is what an assignment before had stored, or may have.
	asked bool
}

// said is the text, "" of no commit.
func (c *commit) said() string {
	if c == nil {
		return ""
	}
	return c.text
}

// knows tells whether an earlier task has settled the record at an offset, beyond which nothing was read.
func (p *partition) knows(offset int64) bool {
	n, _ := slices.BinarySearchFunc(p.earlier, offset+1, func(s stated, first int64) int {
		return cmp.Compare(s.first, first)
	})
	for n--; n >= 0; n-- {
		if s := p.earlier[n]; s.state == stateSettled { // of these none overlap
			return offset <= s.last
		}
	}
	return false
}

// advance takes settled items from the front.
func (p *partition) advance() {
	n := 0
	for ; n < len(p.items) && !p.items[n].unsettled(); n++ {
		delete(p.doubtful, p.items[n].offset)
		p.bytes -= p.items[n].bytes()
	}
	if n == 0 {
		return
	}
	p.front, p.uncommitted = p.items[n-1].record, true
	clear(p.items[:n])
	p.items = p.items[n:]
}

// appendSent appends the offsets of records that would be in doubt if the task ended now: a request that must not be
// sent twice is on its way with rows of them, or has written some of their rows and others are to come. Without
// underWay these last alone. A delivery that was announced but not sent when its partition was revoked is never sent.
func (p *partition) appendSent(dst []offsetRange, underWay bool) []offsetRange {
	underWay = underWay && (!p.gone || p.underWay > 0)
	next := int64(-1)
	for _, i := range p.items {
		if !i.unsettled() || i.written == 0 && (!underWay || i.once == 0) {
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

// appendAhead appends the settled offsets from next on. Without all it leaves out, at the end of a run, records that
// were settled without a request: a restart settles them in the same way.
func (p *partition) appendAhead(spans []offsetRange, next int64, all bool) []offsetRange {
	together := false // with the record before, whatever lies between: there are no records there
	read, end := next-1, int64(-1)
	put := func(s offsetRange) {
		if together {
			spans[len(spans)-1].last = s.last
		} else {
			spans, together = append(spans, s), true
		}
	}
	if p.front != nil && p.front.Offset >= next { // settled while the commit was on its way
		put(offsetRange{next, p.front.Offset})
		read = p.front.Offset
	}
	for _, i := range p.items {
		read = i.offset
		switch {
		case i.unsettled():
			together = false
		case i.record.Attrs.IsControl(): // it comes to nothing once more
		case all || i.sent:
			put(offsetRange{read, read})
		}
	}
	for _, s := range p.earlier {
		if s.state == stateSettled && s.last > max(read, end) {
			spans = append(spans, offsetRange{max(s.first, read+1, end+1), s.last})
			end = s.last
		}
	}
	return spans
}
