package sink

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// partition is one assignment of a partition of a topic: a later assignment is another value.
type partition struct {
	tp          topicPartition
	items       []*item     // in offset order; the first one is unsettled
	bytes       int         // the sum of the items' bytes
	lastSettled *kgo.Record // the last record that was removed from items, nil if none was
	revoked     bool        // nothing of it is delivered or committed any more
	// startedRows counts its rows in started deliveries, inFlightRows those in deliveries that were sent.
	startedRows  int
	inFlightRows int
	nextOffset   int64 // follows the last record that was read
	maxStarted   int64 // the last offset of a started delivery, -1 for none
	commitState
	// inherited are offsets after maxStarted whose state an earlier task has stored. toCheck are still in doubt.
	inherited []stateRange
	toCheck   map[int64]bool
}

type commitState struct {
	committed              int64 // the group's offset: -1 for none, offsetUnknown until it was fetched
	baseOffset             int64 // the least offset that metadata may still be stored with, -1 if unknown
	dirty                  bool  // the next commit must include the partition
	predecessorUncommitted bool  // what an earlier assignment has settled is not stored yet
	// lastCommit was passed to the last commit, storedCommit is known to be stored.
	lastCommit   *commitEntry
	storedCommit *commitEntry
}

const offsetUnknown = -2

// commitEntry is an offset of a commit with its metadata.
type commitEntry struct {
	offset   int64
	metadata string
	current  bool // written by this assignment; an earlier one has stored, or may have stored, the others
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
		if s := p.inherited[n]; s.state == stateSettled {
			return offset <= s.last // settled ranges do not overlap: no other one can contain it
		}
	}
	return false
}

// advance removes the settled records before the first unsettled one: the next commit passes them.
func (p *partition) advance() {
	n := 0
	for ; n < len(p.items) && !p.items[n].unsettled(); n++ {
		delete(p.toCheck, p.items[n].offset)
		p.bytes -= p.items[n].bytes()
	}
	if n == 0 {
		return
	}
	p.lastSettled = p.items[n-1].record
	p.dirty = true
	clear(p.items[:n])
	p.items = p.items[n:]
}

// appendInFlight appends the offsets of all records that would be in doubt if the task ended now: partially written
// ones and those in non-repeatable deliveries. A delivery that was not sent before a revocation is never sent.
func (p *partition) appendInFlight(dst []offsetRange) []offsetRange {
	return p.appendMaybeWritten(dst, !p.revoked || p.inFlightRows > 0)
}

// appendMaybeWritten appends the offsets of partially written records and, with nonRepeatable, of those in deliveries
// that cannot be repeated.
func (p *partition) appendMaybeWritten(dst []offsetRange, nonRepeatable bool) []offsetRange {
	next := int64(-1)
	for _, item := range p.items {
		if item.offset > p.maxStarted {
			break // no delivery of it or of a later one has started
		}
		if item.remaining == 0 || (item.written == 0 && (!nonRepeatable || item.nonRepeatable == 0)) {
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

// settledSet selects the settled offsets that metadata contain.
type settledSet bool

const (
	allSettled settledSet = true
	// sentOnly leaves out records that were settled without a request, as a restart settles them, too.
	sentOnly settledSet = false
)

// appendSettled appends the settled offsets from next on: first of records that were read, then later inherited ones.
func (p *partition) appendSettled(ranges []offsetRange, next int64, set settledSet) []offsetRange {
	adjacent := false // no unsettled record is between the last range and the next settled offset
	lastRead := next - 1
	end := int64(-1) // the last inherited offset in ranges
	add := func(offsets offsetRange) {
		if adjacent {
			ranges[len(ranges)-1].last = offsets.last
		} else {
			ranges = append(ranges, offsets)
			adjacent = true
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
			adjacent = false
		case item.record.Attrs.IsControl(): // left out: it is settled at once when it is read again
		case set == allSettled || item.attempted:
			add(offsetRange{lastRead, lastRead})
		}
	}
	for _, s := range p.inherited {
		if s.state == stateSettled && s.last > max(lastRead, end) {
			ranges = append(ranges, offsetRange{max(s.first, lastRead+1, end+1), s.last})
			end = s.last
		}
	}
	return ranges
}
