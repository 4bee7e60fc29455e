package sink

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/kafka"
)

// ledger records what is settled, by partition. It is a value without locks or side effects: only [ledger.apply]
// changes it, by events, and returns their effects.
//
// Invariants:
//
//   - Every record of a partition that was read is settled and removed, or is in items in offset order, or was dropped
//     with its assignment. So an offset that is committed is at most the first unsettled one.
//   - The metadata with an offset state for each record from there on whether it is settled, in doubt, or in flight by
//     a non-repeatable request; they never exceed the limit, whatever the outcome of the deliveries that have started.
//   - What was announced under a sequence number is durable when a commit that started after it succeeds: durableSeq <=
//     pendingSeq. A commit that left out a partition of this task makes nothing durable.
//   - An assignment that has ended never changes what the next one of its partition knows.
type ledger struct {
	partitions map[topicPartition]*partition
	capacity
	// pendingSeq counts what has to be stored before a request is sent, durableSeq is how much of it is stored;
	// knownSeq is the number of the plugin's knowledge.
	pendingSeq, durableSeq, knownSeq int
}

func newLedger(d inDoubtLookup) ledger {
	return ledger{partitions: map[topicPartition]*partition{},
		capacity: capacity{inDoubt: d, limit: kafka.MaxCommitText}}
}

// event is something that happened to a task's records or partitions.
type event interface{ apply(l *ledger) effects }

// effects are the consequences of an event; the event's type documents which fields it sets.
type effects struct {
	items     []*item
	resets    []offsetReset
	settled   []recordID // records without unsettled rows
	revoked   []*partition
	offsets   kafka.Offsets
	number    int
	text      string
	ok        bool
	start     startResult
	completed bool
}

func (l *ledger) apply(e event) effects { return e.apply(l) }

type offsetReset struct {
	tp      topicPartition
	offset  int64
	dropped int
}

// recordsRead: records were polled. Its effect is the items to write, one row each so far. Records of revoked
// partitions are left out, transaction markers are settled at once. A record below what was read or committed resets
// its partition: the log became shorter or the topic was created again, and auto.offset.reset allows to continue.
type recordsRead struct{ records []*kgo.Record }

func (e recordsRead) apply(l *ledger) (out effects) {
	var block []item
	for n, r := range e.records {
		tp := topicPartition{r.Topic, r.Partition}
		p := l.partitions[tp]
		if p == nil || p.revoked {
			continue
		}
		if r.Offset < max(p.nextOffset, p.committed) {
			var dropped int
			p, dropped = l.resetPartition(p, r.Offset)
			out.resets = append(out.resets, offsetReset{tp, r.Offset, dropped})
		}
		p.nextOffset = r.Offset + 1
		if len(block) == 0 {
			block = make([]item, samePartitionRun(e.records[n:]))
		}
		i := &block[0]
		block = block[1:]
		*i = item{record: r, partition: p, offset: r.Offset, remaining: 1}
		p.items, p.bytes = append(p.items, i), p.bytes+i.bytes()
		if p.baseOffset < 0 {
			p.baseOffset = r.Offset
		}
		switch {
		case r.Attrs.IsControl(): // the commit must pass it even if nothing follows
			i.remaining = 0
			p.advance()
		case p.inheritedSettled(r.Offset):
			i.remaining, i.attempted = 0, true
			p.advance()
			p.dirty = true
		default:
			out.items = append(out.items, i)
		}
	}
	return out
}

const itemBlockSize = 64

func samePartitionRun(records []*kgo.Record) (n int) {
	for n < min(len(records), itemBlockSize) && records[n].Partition == records[0].Partition &&
		records[n].Topic == records[0].Topic {
		n++
	}
	return n
}

// resetPartition replaces the assignment: what was known or held beyond the offset belongs to records that no longer
// exist. The group's offset is lowered before anything is sent.
func (l *ledger) resetPartition(prior *partition, offset int64) (p *partition, dropped int) {
	prior.revoked = true
	p = &partition{tp: prior.tp, committed: offset, baseOffset: offset, maxStarted: -1, dirty: true}
	if prior.committed == offsetUnknown {
		p.committed = offsetUnknown
	}
	p.inherited = metadata{inDoubt: l.inDoubt.openRanges(prior.tp, offset)}.stateRanges(offset)
	l.partitions[prior.tp] = p
	for _, i := range prior.items {
		if i.unsettled() {
			dropped++
		}
	}
	return p, dropped
}

// offsetFetched: the group's offset of a new partition is known (-1 for none). settled has the offsets that an earlier
// task has settled, in order, inDoubt those of unknown outcome. unstored reports that the metadata do not contain all
// of it yet. text is the metadata if an earlier assignment of this process stored it: should the partition be revoked
// again before anything else is stored, the outcome of its requests is known then.
type offsetFetched struct {
	tp          topicPartition
	committed   int64
	settled     []offsetRange
	inDoubt     map[int64]bool
	uncommitted bool
	storedText  string
}

func (e offsetFetched) apply(l *ledger) (out effects) {
	partition := l.partitions[e.tp]
	if partition == nil {
		return out
	}
	partition.committed, partition.baseOffset, partition.toCheck = e.committed, e.committed, e.inDoubt
	partition.storedCommit = &commitEntry{offset: e.committed, metadata: e.storedText}
	partition.inherited = metadata{settled: mergeRanges(e.settled),
		inDoubt: l.inDoubt.openRanges(e.tp, e.committed)}.stateRanges(e.committed)
	partition.dirty = partition.dirty || e.uncommitted
	partition.predecessorUncommitted = e.uncommitted
	return out
}

type rowsTransformed struct {
	item      *item
	rows      uint32
	remaining int
}

func (e rowsTransformed) apply(*ledger) (out effects) {
	e.item.rows, e.item.remaining = e.rows, e.remaining
	e.item.partition.advance()
	return out
}

type rowsSettled struct {
	items   []*item
	written bool
}

func (e rowsSettled) apply(*ledger) (out effects) {
	for _, i := range e.items {
		if i.remaining--; e.written {
			i.written++
		}
		i.settle(&out)
	}
	return out
}

func (i *item) settle(out *effects) {
	if !i.unsettled() {
		out.settled = append(out.settled, idOf(i.record))
		delete(i.partition.toCheck, i.offset)
	}
	i.partition.advance()
	i.partition.dirty = true // out of order it is part of the metadata
	if i.readyForDLQ() {
		out.items = append(out.items, i)
	}
}

type rowRejected struct {
	item    *item
	part    int
	failure FailedRecord
}

func (e rowRejected) apply(*ledger) effects {
	item := e.item
	if item.rejected == nil {
		item.rejected = &rejection{failure: e.failure}
	}
	if e.part == wholeRecord {
		item.rejected.whole = true
	} else {
		item.rejected.parts = append(item.rejected.parts, uint32(e.part))
	}
	return effects{ok: item.readyForDLQ()}
}

// deadLetterStored: the dead letter of a record is stored, or not needed. number is how many rows that settles.
type deadLetterStored struct{ item *item }

func (e deadLetterStored) apply(*ledger) (out effects) {
	out.number, e.item.remaining, e.item.rejected = e.item.remaining, 0, nil
	e.item.settle(&out)
	return out
}

type inDoubtChecked struct{ items []*item }

func (e inDoubtChecked) apply(*ledger) (out effects) {
	for _, i := range e.items {
		delete(i.partition.toCheck, i.offset)
	}
	return out
}

// inDoubtChanged: a record came into doubt, or its outcome is known now; the next commit stores it.
type inDoubtChanged struct{ item *item }

func (e inDoubtChanged) apply(*ledger) (out effects) {
	e.item.partition.dirty = true
	return out
}

// knownChanged: the metadata must contain the plugin's new knowledge before the next non-repeatable request is sent.
type knownChanged struct{}

func (knownChanged) apply(l *ledger) effects {
	for _, p := range l.partitions {
		p.dirty = p.dirty || p.committed != offsetUnknown
	}
	out := storeRequested{}.apply(l)
	l.knownSeq = out.number
	return out
}

// encodingStarted has the effect ok if metadata must be stored first: only then their maximum length is known.
type encodingStarted struct{ items []*item }

func (e encodingStarted) apply(*ledger) (out effects) {
	for _, i := range e.items {
		if p := i.partition; p.storedCommit == nil || !p.storedCommit.current {
			p.dirty, out.ok = true, true
		}
	}
	return out
}

// deliveryAnnounced has the effect number for [ledger.isDurable]. outcomeKnown follows if it is non-repeatable.
type deliveryAnnounced struct {
	items         []*item
	nonRepeatable bool
}

func (e deliveryAnnounced) apply(l *ledger) effects {
	for _, i := range e.items {
		i.partition.dirty = true
		if e.nonRepeatable {
			i.nonRepeatable++
		}
	}
	return storeRequested{}.apply(l)
}

type storeRequested struct{}

func (storeRequested) apply(l *ledger) effects {
	l.pendingSeq++
	return effects{number: l.pendingSeq}
}

type outcomeKnown struct{ items []*item }

func (e outcomeKnown) apply(*ledger) (out effects) {
	for _, i := range e.items {
		i.nonRepeatable--
		i.partition.dirty = true
	}
	return out
}

func (l *ledger) isDurable(seq int) bool { return seq <= l.durableSeq }

type startResult int

const (
	startOK startResult = iota
	startMetadataFull
	startRevoked
)

// deliveryStart wants to send a delivery; idle means that none is in flight. deliveryEnded follows if it may.
type deliveryStart struct {
	items []*item
	idle  bool
}

func (e deliveryStart) apply(l *ledger) effects {
	type part struct {
		rows  int
		reach int64
	}
	parts := make(map[*partition]part, 1)
	for _, i := range e.items {
		if i.revoked() {
			return effects{start: startRevoked}
		}
		total := parts[i.partition]
		parts[i.partition] = part{total.rows + 1, max(total.reach, i.offset)}
	}
	for p, total := range parts {
		// The first unsettled record may always start, or the metadata would never get shorter.
		first := p.startedRows == 0 && len(p.items) > 0 && slices.Contains(e.items, p.items[0])
		if !l.fits(p, total.rows, total.reach, e.idle || first) {
			return effects{start: startMetadataFull}
		}
	}
	for _, i := range e.items {
		i.partition.startedRows++
		i.partition.maxStarted = max(i.partition.maxStarted, i.offset)
		i.attempted = true
	}
	return effects{start: startOK}
}

type deliveryEnded struct{ items []*item }

func (e deliveryEnded) apply(*ledger) effects {
	for _, i := range e.items {
		i.partition.startedRows--
	}
	return effects{}
}

// inFlightChanged: a delivery is sent (delta 1) or has completed (-1); a revocation waits for such deliveries only. ok
// reports whether it may be sent: a delivery that has started is not sent after a revocation, and may wait for a commit
// that the group accepts only after the revocation.
type inFlightChanged struct {
	items []*item
	delta int
}

func (e inFlightChanged) apply(*ledger) effects {
	if e.delta > 0 && slices.ContainsFunc(e.items, (*item).revoked) {
		return effects{}
	}
	for _, i := range e.items {
		i.partition.inFlightRows += e.delta
	}
	return effects{completed: e.delta < 0, ok: true}
}

// commitStarted has the effects offsets and number; commitSucceeded or commitFailed follows.
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

func (p *partition) addToCommit(out kafka.Offsets) {
	next := kgo.EpochOffset{Epoch: -1, Offset: p.committed}
	switch {
	case p.lastSettled != nil:
		next = kgo.EpochOffset{Epoch: p.lastSettled.LeaderEpoch, Offset: p.lastSettled.Offset + 1}
	case len(p.items) > 0: // only the metadata have changed
		next.Offset = p.items[0].offset
	}
	before := p.lastCommit.text()
	if p.lastCommit = nil; next.Offset < 0 {
		return
	}
	p.lastCommit, p.baseOffset = &commitEntry{offset: next.Offset, metadata: before}, next.Offset
	if out[p.tp.topic] == nil {
		out[p.tp.topic] = map[int32]kgo.EpochOffset{}
	}
	out[p.tp.topic][p.tp.partition] = next
}

// commitSucceeded: a commit has succeeded, and what was announced before it began is durable. ok is false if the commit
// left out partitions of this task: then nothing becomes durable, and the next commit includes them.
type commitSucceeded struct {
	offsets kafka.Offsets
	seq     int
}

func (e commitSucceeded) apply(l *ledger) effects {
	all := true
	for topic, partitions := range e.offsets {
		for n, at := range partitions {
			partition := l.partitions[topicPartition{topic, n}]
			switch {
			case partition == nil:
			case partition.lastCommit != nil && partition.lastCommit.current:
				partition.committed, partition.storedCommit,
					partition.predecessorUncommitted = max(partition.committed, at.Offset), partition.lastCommit, false
			default: // it was assigned again or reset during the commit, which left it out
				partition.dirty = partition.committed != offsetUnknown
				all = all && !partition.dirty
			}
		}
	}
	if all {
		l.durableSeq = max(l.durableSeq, e.seq)
	}
	return effects{ok: all}
}

type commitFailed struct{ offsets kafka.Offsets }

func (e commitFailed) apply(l *ledger) (out effects) {
	for topic, partitions := range e.offsets {
		for n := range partitions {
			if p := l.partitions[topicPartition{topic, n}]; p != nil {
				p.dirty = true
			}
		}
	}
	return out
}

// metadataRequested: a commit needs the metadata of a partition's offset. If they get too long, records that were
// settled without a request are left out. ok is false if the partition did not give this offset to the last commit, but
// an earlier assignment did, or it was before a reset: what is known now may not match that offset, and records would
// be written twice or skipped.
type metadataRequested struct {
	tp      topicPartition
	next    int64
	revoked *partition // the last revoked assignment, whose last commit may be in progress
}

func (e metadataRequested) apply(l *ledger) effects {
	partition, next := l.partitions[e.tp], e.next
	if partition == nil {
		partition = e.revoked
	}
	if partition == nil || partition.committed == offsetUnknown || partition.lastCommit == nil ||
		next != partition.lastCommit.offset {
		return effects{}
	}
	meta := metadata{inDoubt: l.inDoubt.openRanges(partition.tp, next),
		usedDecisions: l.inDoubt.usedDecisions(partition.tp, next)}
	meta.relocated, meta.known = l.inDoubt.relocatedAndKnown(partition.tp, next)
	l.inFlight = partition.appendInFlight(l.inFlight[:0], true)
	meta.inFlight = slices.DeleteFunc(l.inFlight, func(s offsetRange) bool { return containsSorted(meta.inDoubt, s) })
	l.settled = partition.appendSettled(l.settled[:0], next, true)
	meta.settled = l.settled
	text := meta.encode(next)
	if len(text) > l.limit-reservedForNames-reservedForFirst {
		l.settled = partition.appendSettled(l.settled[:0], next, false)
		meta.settled = l.settled
		text = meta.encode(next)
	}
	partition.lastCommit.metadata, partition.lastCommit.current = text, true
	return effects{text: text, ok: true}
}

type metadataLimited struct{ bytes int }

func (e metadataLimited) apply(l *ledger) (out effects) {
	l.limit = e.bytes
	return out
}

type assigned struct{ partitions map[string][]int32 }

func (e assigned) apply(l *ledger) (out effects) {
	for tp := range eachPartition(e.partitions) {
		l.partitions[tp] = &partition{tp: tp, committed: offsetUnknown, baseOffset: -1, maxStarted: -1}
	}
	return out
}

type revoking struct{ partitions map[string][]int32 }

func (e revoking) apply(l *ledger) (out effects) {
	for tp := range eachPartition(e.partitions) {
		if p := l.partitions[tp]; p != nil {
			p.revoked = true
		}
	}
	return out
}

// revoked has the settled offsets as effect, unless another member may own the partitions (lost).
type revoked struct {
	partitions map[string][]int32
	lost       bool
}

func (e revoked) apply(l *ledger) effects {
	out := effects{offsets: kafka.Offsets{}}
	for tp := range eachPartition(e.partitions) {
		partition := l.partitions[tp]
		if partition == nil {
			continue
		}
		if partition.revoked = true; !e.lost {
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

func (l *ledger) snapshot(records []*kgo.Record) (settled, inDoubt []bool) {
	settled, inDoubt = make([]bool, len(records)), make([]bool, len(records))
	items := map[recordID]*item{}
	inDoubtRanges := map[topicPartition][]offsetRange{}
	for id, partition := range l.partitions {
		for _, i := range partition.items {
			items[idOf(i.record)] = i
		}
		inDoubtRanges[id] = slices.Concat(partition.appendInFlight(nil, true), l.inDoubt.openRanges(id, 0))
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
