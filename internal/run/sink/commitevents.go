package sink

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/kafka"
)

// commitStarted: a commit begins. Effects: offsets, number. commitSucceeded or commitFailed follows.
type commitStarted struct{}

func (commitStarted) apply(l *ledger) effects {
	out := effects{offsets: kafka.Offsets{}, number: l.pendingSeq}
	for _, p := range l.partitions {
		if p.dirty {
			p.dirty = false
			p.addToCommit(out.offsets)
		}
	}
	return out
}

// addToCommit adds the partition's offset to a commit. lastCommit keeps the previous text until metadataRequested.
func (p *partition) addToCommit(out kafka.Offsets) {
	next := kgo.EpochOffset{Epoch: -1, Offset: p.committed}
	switch {
	case p.lastSettled != nil:
		next = kgo.EpochOffset{Epoch: p.lastSettled.LeaderEpoch, Offset: p.lastSettled.Offset + 1}
	case len(p.items) > 0: // only the metadata have changed
		next.Offset = p.items[0].offset
	}
	stored := p.lastCommit.text()
	p.lastCommit = nil
	if next.Offset < 0 { // nothing was committed or read
		return
	}
	p.lastCommit = &commitEntry{offset: next.Offset, metadata: stored}
	p.baseOffset = next.Offset
	if out[p.tp.topic] == nil {
		out[p.tp.topic] = map[int32]kgo.EpochOffset{}
	}
	out[p.tp.topic][p.tp.partition] = next
}

// commitSucceeded: what was announced before the commit began is durable. Effect: ok unless the commit has left out
// partitions of this task: then nothing becomes durable, and the next commit includes them.
type commitSucceeded struct {
	offsets kafka.Offsets
	seq     int
}

func (c commitSucceeded) apply(l *ledger) effects {
	complete := true
	for topic, partitions := range c.offsets {
		for n, committed := range partitions {
			partition := l.partitions[topicPartition{topic, n}]
			switch {
			case partition == nil: // revoked during the commit
			case partition.lastCommit != nil && partition.lastCommit.current:
				partition.committed = max(partition.committed, committed.Offset)
				partition.storedCommit = partition.lastCommit
				partition.predecessorUncommitted = false
			default: // it was assigned again or reset during the commit, which left it out
				partition.dirty = partition.committed != offsetUnknown
				complete = complete && !partition.dirty
			}
		}
	}
	if complete {
		l.durableSeq = max(l.durableSeq, c.seq)
	}
	return effects{ok: complete}
}

// commitFailed: the next commit includes the partitions again.
type commitFailed struct{ offsets kafka.Offsets }

func (c commitFailed) apply(l *ledger) (out effects) {
	for topic, partitions := range c.offsets {
		for n := range partitions {
			if p := l.partitions[topicPartition{topic, n}]; p != nil {
				p.dirty = true
			}
		}
	}
	return out
}

// metadataRequested: a commit needs the metadata of an offset. Effects: text, and ok. If the text gets too long,
// records that were settled without a request are left out. ok is false if an earlier assignment passed this offset to
// the commit, or the partition was reset since: the current state may not match the offset.
type metadataRequested struct {
	tp      topicPartition
	next    int64
	revoked *partition // the last revoked assignment, whose last commit may be in progress
}

func (m metadataRequested) apply(l *ledger) effects {
	partition := l.partitions[m.tp]
	next := m.next
	if partition == nil {
		partition = m.revoked
	}
	if partition == nil || partition.committed == offsetUnknown || partition.lastCommit == nil ||
		next != partition.lastCommit.offset {
		return effects{}
	}
	meta := metadata{inDoubt: l.inDoubt.openRanges(partition.tp, next),
		usedDecisions: l.inDoubt.usedDecisions(partition.tp, next)}
	meta.relocated, meta.known = l.inDoubt.relocatedAndKnown(partition.tp, next)
	l.inFlight = partition.appendInFlight(l.inFlight[:0])
	meta.inFlight = slices.DeleteFunc(l.inFlight, func(s offsetRange) bool { return containsSorted(meta.inDoubt, s) })
	l.settled = partition.appendSettled(l.settled[:0], next, allSettled)
	meta.settled = l.settled
	encoded := meta.encode(next)
	if len(encoded) > l.limit-reservedForNames-reservedForFirst {
		l.settled = partition.appendSettled(l.settled[:0], next, sentOnly)
		meta.settled = l.settled
		encoded = meta.encode(next)
	}
	partition.lastCommit.metadata = encoded
	partition.lastCommit.current = true
	return effects{text: encoded, ok: true}
}

// metadataLimited: the broker accepts at most so many bytes of metadata.
type metadataLimited struct{ bytes int }

func (m metadataLimited) apply(l *ledger) (out effects) {
	l.limit = m.bytes
	return out
}
