package sink

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/kafka"
)

// ledger records, by partition, which records are settled, so that the task knows what to commit. It has no locks and
// no side effects: only [ledger.apply] changes it, by events, and returns their effects.
//
// Invariants:
//
// - A record that was read is settled and removed, or is in items in offset order, or was dropped with its assignment.
// So a committed offset is at most the first unsettled one.
// - The metadata that are stored with an offset list the later records that are settled, in doubt, or in flight by a
// non-repeatable request. They never exceed the limit, whatever the outcome of the started deliveries.
// - What was announced under a sequence number is durable after a successful commit that began later: durableSeq <=
// pendingSeq. A commit that left out a partition of this task makes nothing durable.
// - An assignment that has ended never changes the next one of its partition.
type ledger struct {
	partitions map[topicPartition]*partition
	capacity
	// Requests wait until what they depend on is stored. pendingSeq numbers the requests to store something, durableSeq
	// is the last one that a commit has stored, knownSeq that of the plugin's knowledge.
	pendingSeq int
	durableSeq int
	knownSeq   int
}

func newLedger(d inDoubtLookup) ledger {
	return ledger{partitions: map[topicPartition]*partition{},
		capacity: capacity{inDoubt: d, limit: kafka.MaxCommitText}}
}

func (l *ledger) apply(e event) effects { return e.apply(l) }

func (l *ledger) isDurable(seq int) bool { return seq <= l.durableSeq }

// event changes records or partitions. More are in recordevents.go, deliveryevents.go and commitevents.go.
type event interface{ apply(l *ledger) effects }

// effects are the consequences of an event; the event's type documents which fields it sets.
type effects struct {
	items     []*item
	resets    []offsetReset
	settled   []*item      // records without unsettled rows
	revoked   []*partition // partitions that have ended
	offsets   kafka.Offsets
	number    int // a sequence number, or a number of rows
	text      string
	ok        bool
	start     startResult
	completed bool // wakes those that wait for deliveries in flight
}

type offsetReset struct {
	tp      topicPartition
	offset  int64
	dropped int
}

// snapshot reports whether each record is settled, and whether it would be in doubt if the task ended now.
func (l *ledger) snapshot(records []*kgo.Record) (settled, inDoubt []bool) {
	settled = make([]bool, len(records))
	inDoubt = make([]bool, len(records))
	items := map[recordID]*item{}
	inDoubtRanges := map[topicPartition][]offsetRange{}
	for tp, partition := range l.partitions {
		for _, i := range partition.items {
			items[idOf(i.record)] = i
		}
		inDoubtRanges[tp] = slices.Concat(partition.appendInFlight(nil), l.inDoubt.openRanges(tp, 0))
	}
	for n, r := range records {
		id := idOf(r)
		partition := l.partitions[id.topicPartition()]
		if partition == nil {
			continue
		}
		if i := items[id]; i != nil {
			settled[n] = !i.unsettled()
		} else {
			settled[n] = partition.lastSettled != nil && r.Offset <= partition.lastSettled.Offset
		}
		inDoubt[n] = !settled[n] && containsRange(inDoubtRanges[id.topicPartition()], offsetRange{r.Offset, r.Offset})
	}
	return settled, inDoubt
}

// assigned starts partitions; offsetFetched follows for each.
type assigned struct{ partitions map[string][]int32 }

func (a assigned) apply(l *ledger) (out effects) {
	for tp := range eachPartition(a.partitions) {
		l.partitions[tp] = &partition{tp: tp, maxStarted: -1,
			commitState: commitState{committed: offsetUnknown, baseOffset: -1}}
	}
	return out
}

// revoking stops new deliveries of partitions; revoked follows.
type revoking struct{ partitions map[string][]int32 }

func (r revoking) apply(l *ledger) (out effects) {
	for tp := range eachPartition(r.partitions) {
		if p := l.partitions[tp]; p != nil {
			p.revoked = true
		}
	}
	return out
}

// revoked ends partitions. Effect: offsets to commit, unless another member may own them already (lost).
type revoked struct {
	partitions map[string][]int32
	lost       bool
}

func (r revoked) apply(l *ledger) effects {
	out := effects{offsets: kafka.Offsets{}}
	for tp := range eachPartition(r.partitions) {
		partition := l.partitions[tp]
		if partition == nil {
			continue
		}
		partition.revoked = true
		if !r.lost {
			partition.addToCommit(out.offsets)
		}
		out.revoked = append(out.revoked, partition)
		delete(l.partitions, tp)
	}
	return out
}

func eachPartition(partitions map[string][]int32) func(yield func(topicPartition) bool) {
	return func(yield func(topicPartition) bool) {
		for topic, list := range partitions {
			for _, n := range list {
				if !yield(topicPartition{topic, n}) {
					return
				}
			}
		}
	}
}
