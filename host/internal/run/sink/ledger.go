package sink

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/kafka"
)

// ledger keeps account of what is settled, by partition. It is a value: [ledger.apply] is the only thing that changes
// it, by events, and says what follows from them. It has no lock, waits for nothing and calls nobody.
//
// Invariants:
//
//   - Of each partition, every record that was read is settled and taken away, or in items, in the order of offsets, or
//     was dropped with its assignment. So the offset that is given to a commit is at most the first that isn't settled.
//   - Metadata with an offset says of each record from there on whether it is settled, in doubt, or sent by a request
//     that must not be sent twice; it is not longer than limit, whatever comes of the deliveries that have begun.
//   - What was announced by a number is stored when a commit that was taken after it is: stored <= announced. A commit
//     that left out a partition of this task's stores nothing of what was announced.
//   - Nothing of an assignment that is over changes what the next one of the partition knows.
type ledger struct {
	partitions map[topicPartition]*partition
	capacity
	// announced counts what was to be stored before a request goes out, and stored how much of that is; learned is the
	// number of what the plugin knows.
	pendingSeq, durableSeq, knownSeq int
}

func newLedger(d inDoubtLookup) ledger {
	return ledger{partitions: map[topicPartition]*partition{}, capacity: capacity{inDoubt: d, limit: kafka.MaxCommitText}}
}

// event is something that has happened to a sink task's records or partitions.
type event interface{ apply(l *ledger) effects }

// effects are what follows from an event. Which of them are there, its type says.
type effects struct {
	items []*item
	// offsetReset are partitions that begin again.
	resets []offsetReset
	// settled are records of which nothing is left, so that nobody need decide about them.
	settled []recordID
	// left are assignments that are over.
	revoked []*partition
	offsets kafka.Offsets
	number  int
	text    string
	ok      bool
	start   startResult
	// completed: a delivery has.
	completed bool
}

func (l *ledger) apply(e event) effects { return e.apply(l) }

// offsetReset is a partition that goes on at an offset below what was read or committed of it; dropped is how many of the
// records read before are not settled.
type offsetReset struct {
	tp      topicPartition
	offset  int64
	dropped int
}

// recordsRead: records were polled. The effect is those that are to be written, as items with one row each to begin
// with. Those of partitions that went away meanwhile are left out: they come again to their new owner. Markers of
// transactions are settled at once. A record below what was read or committed before begins its partition again: the
// log has become shorter, or the topic was made again, and auto.offset.reset says to go on.
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
		case r.Attrs.IsControl(): // the commit is to move over it, also while nothing comes after it
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

// maxItemBlock is how many items are made together at most: they are held together, with their records.
const maxItemBlock = 64

// samePartitionRun is how many of the first records are of one partition, fewItems at most: they are settled about together.
func samePartitionRun(records []*kgo.Record) (n int) {
	for n < min(len(records), maxItemBlock) && records[n].Partition == records[0].Partition &&
		records[n].Topic == records[0].Topic {
		n++
	}
	return n
}

// resetPartition begins a partition again at an offset below what was read or committed of it. What was known beyond that
// offset is of records that are gone, and so are those that are held; the group's offset is lowered before anything is
// sent.
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

// offsetFetched: the group is at an offset of a partition that is new here (-1: nowhere yet). settled is what an earlier
// task has settled from there on, in order; doubtful are the offsets of which nobody knows whether they were written.
// unstored: the metadata does not say all of that yet. text is the metadata where an assignment before this one has
// stored it, else empty: should the partition go away again before anything else is stored, what it says of requests on
// their way is known then, too.
type offsetFetched struct {
	tp        topicPartition
	committed int64
	settled   []offsetRange
	inDoubt   map[int64]bool
	unstored  bool
	text      string
}

func (e offsetFetched) apply(l *ledger) (out effects) {
	p := l.partitions[e.tp]
	if p == nil {
		return out
	}
	p.committed, p.baseOffset, p.toCheck = e.committed, e.committed, e.inDoubt
	p.storedCommit = &commitEntry{offset: e.committed, metadata: e.text}
	p.inherited = metadata{settled: mergeRanges(e.settled), inDoubt: l.inDoubt.openRanges(e.tp, e.committed)}.stateRanges(e.committed)
	p.dirty = p.dirty || e.unstored
	p.previousPending = e.unstored
	return out
}

// rowsTransformed: so many rows came of a record, and so many of them are to be written: none settles it.
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

// rowsSettled: a row of each of these records is done with; written: by a request that must not be sent twice. The
// effect is those of which nothing is left but what cannot be written.
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

// settle takes a record from the account when all of its rows are settled.
func (i *item) settle(out *effects) {
	if !i.unsettled() {
		out.settled = append(out.settled, idOf(i.record))
		delete(i.partition.toCheck, i.offset)
	}
	i.partition.advance()
	i.partition.dirty = true // out of order, it belongs into the metadata
	if i.readyForDLQ() {
		out.items = append(out.items, i)
	}
}

// rowRejected: a row of a record cannot be written, or, with [wholeRecord], no row comes of it. yes: nor can the others that
// are left.
type rowRejected struct {
	item    *item
	part    int
	failure Letter
}

func (e rowRejected) apply(*ledger) effects {
	i := e.item
	if i.rejected == nil {
		i.rejected = &rejection{failure: e.failure}
	}
	if e.part == wholeRecord {
		i.rejected.whole = true
	} else {
		i.rejected.parts = append(i.rejected.parts, uint32(e.part))
	}
	return effects{ok: i.readyForDLQ()}
}

// deadLetterStored: the letter of a record is stored, or is not to be. number is how many rows that settles.
type deadLetterStored struct{ item *item }

func (e deadLetterStored) apply(*ledger) (out effects) {
	out.number, e.item.remaining, e.item.rejected = e.item.remaining, 0, nil
	e.item.settle(&out)
	return out
}

// inDoubtChecked: records that were in doubt when the task began were checked, or cannot be.
type inDoubtChecked struct{ items []*item }

func (e inDoubtChecked) apply(*ledger) (out effects) {
	for _, i := range e.items {
		delete(i.partition.toCheck, i.offset)
	}
	return out
}

// inDoubtChanged: nobody knows whether a record was written, or somebody does now. That is noted with the next commit.
type inDoubtChanged struct{ item *item }

func (e inDoubtChanged) apply(*ledger) (out effects) {
	e.item.partition.dirty = true
	return out
}

// knownChanged: metadata are to say what the plugin knows now, before anything more is sent that must not be sent
// twice.
type knownChanged struct{}

func (knownChanged) apply(l *ledger) effects {
	for _, p := range l.partitions {
		p.dirty = p.dirty || p.committed != offsetUnknown
	}
	out := storeRequested{}.apply(l)
	l.knownSeq = out.number
	return out
}

// encodingStarted: rows of these records are about to be encoded. yes: no metadata was stored yet for a partition of
// them, and is to be, since how long it may be is known by that.
type encodingStarted struct{ items []*item }

func (e encodingStarted) apply(*ledger) (out effects) {
	for _, i := range e.items {
		if p := i.partition; p.storedCommit == nil || !p.storedCommit.own {
			p.dirty, out.ok = true, true
		}
	}
	return out
}

// deliveryAnnounced: a delivery with rows of these records is about to be sent; once: it must not be sent twice. number is what
// [ledger.isDurable] takes. When its outcome is known, outcomeKnown follows.
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

// storeRequested: what is settled by now is to be stored. number is what [ledger.isDurable] takes for that.
type storeRequested struct{}

func (storeRequested) apply(l *ledger) effects {
	l.pendingSeq++
	return effects{number: l.pendingSeq}
}

// outcomeKnown: so is that of a delivery which was announced as one that must not be sent twice.
type outcomeKnown struct{ items []*item }

func (e outcomeKnown) apply(*ledger) (out effects) {
	for _, i := range e.items {
		i.nonRepeatable--
		i.partition.dirty = true
	}
	return out
}

// isDurable tells whether the metadata that is stored says what was announced.
func (l *ledger) isDurable(seq int) bool { return seq <= l.durableSeq }

// startResult is whether a delivery may begin.
type startResult int

const (
	startOK startResult = iota
	// full: what could come of it might not fit into the metadata, before others have ended.
	startMetadataFull
	// theirs: some of its records now belong to another member, or are read again.
	startRevoked
)

// deliveryStart: a delivery with rows of these records is to be sent. alone: no other one is on its way. The effect
// says whether it may; when it does, deliveryEnded follows.
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
		// The first one that is not settled goes whatever lies after it, or nothing would get shorter.
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

// deliveryEnded: it is settled or has failed.
type deliveryEnded struct{ items []*item }

func (e deliveryEnded) apply(*ledger) effects {
	for _, i := range e.items {
		i.partition.startedRows--
	}
	return effects{}
}

// inFlightChanged: a delivery goes out, by 1, or has landed, by -1. Whoever revokes a partition waits for such deliveries
// alone. yes: it may go out. One that has begun and has not gone out is not sent once a partition of it is gone, and it
// may wait for a commit that the group takes only after the revocation.
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

// commitStarted: a commit begins. The effect is the offsets that are settled and not committed, and how much was
// announced before. offsetsStored follows, or offsetsKept.
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

// take gives the partition's offset to a commit.
func (p *partition) addToCommit(out kafka.Offsets) {
	next := kgo.EpochOffset{Epoch: -1, Offset: p.committed}
	switch {
	case p.lastSettled != nil:
		next = kgo.EpochOffset{Epoch: p.lastSettled.LeaderEpoch, Offset: p.lastSettled.Offset + 1}
	case len(p.items) > 0: // nothing but what stands in the metadata
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

// commitSucceeded: a commit has ended well, and with it what was announced before it began. yes: all of it; else the
// commit left out partitions that are this task's, so that nothing that was announced counts as stored; the next commit
// has them.
type commitSucceeded struct {
	offsets kafka.Offsets
	seq     int
}

func (e commitSucceeded) apply(l *ledger) effects {
	all := true
	for topic, partitions := range e.offsets {
		for n, at := range partitions {
			p := l.partitions[topicPartition{topic, n}]
			switch {
			case p == nil:
			case p.lastCommit != nil && p.lastCommit.own:
				p.committed, p.storedCommit, p.previousPending = max(p.committed, at.Offset), p.lastCommit, false
			default: // it has come back, or was set back, while the commit was on its way, which left it out
				p.dirty = p.committed != offsetUnknown
				all = all && !p.dirty
			}
		}
	}
	if all {
		l.durableSeq = max(l.durableSeq, e.seq)
	}
	return effects{ok: all}
}

// commitFailed: a commit has failed, and the next one is to have its partitions.
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

// metadataRequested: a commit asks what is to be stored with the offset next of a partition. Where that gets too long,
// records are left out that nothing was sent for. yes is false where the offset is not what the partition gave to a
// commit last, but of an assignment that is over, or from before the partition was set back. What is known of it now
// may lie beyond that offset or before it: settled records would be forgotten, and written twice, or others passed
// over.
type metadataRequested struct {
	tp   topicPartition
	next int64
	// revoked is the assignment of the partition that was revoked last, whose last commit may be under way.
	revoked *partition
}

func (e metadataRequested) apply(l *ledger) effects {
	p, next := l.partitions[e.tp], e.next
	if p == nil {
		p = e.revoked
	}
	if p == nil || p.committed == offsetUnknown || p.lastCommit == nil || next != p.lastCommit.offset {
		return effects{}
	}
	n := metadata{inDoubt: l.inDoubt.openRanges(p.tp, next), decided: l.inDoubt.usedDecisions(p.tp, next)}
	n.moved, n.known = l.inDoubt.movedAndKnown(p.tp, next)
	l.inFlight = p.appendInFlight(l.inFlight[:0], true)
	n.inFlight = slices.DeleteFunc(l.inFlight, func(s offsetRange) bool { return containsSorted(n.inDoubt, s) })
	l.settled = p.appendSettled(l.settled[:0], next, true)
	n.settled = l.settled
	text := n.encode(next)
	if len(text) > l.limit-reservedForNames-reservedForFirst {
		l.settled = p.appendSettled(l.settled[:0], next, false)
		n.settled = l.settled
		text = n.encode(next)
	}
	p.lastCommit.metadata, p.lastCommit.own = text, true
	return effects{text: text, ok: true}
}

// metadataLimited: metadata may have so many bytes.
type metadataLimited struct{ bytes int }

func (e metadataLimited) apply(l *ledger) (out effects) {
	l.limit = e.bytes
	return out
}

// assigned: partitions are this task's from now on. Of one that was, the assignment before is forgotten.
type assigned struct{ partitions map[string][]int32 }

func (e assigned) apply(l *ledger) (out effects) {
	for tp := range eachPartition(e.partitions) {
		l.partitions[tp] = &partition{tp: tp, committed: offsetUnknown, baseOffset: -1, maxStarted: -1}
	}
	return out
}

// revoking: partitions are about to go away. Nothing of them is sent from now on.
type revoking struct{ partitions map[string][]int32 }

func (e revoking) apply(l *ledger) (out effects) {
	for tp := range eachPartition(e.partitions) {
		if p := l.partitions[tp]; p != nil {
			p.revoked = true
		}
	}
	return out
}

// revoked: they are gone. The effect is what is settled of them, to be committed; lost: nothing can be, somebody else
// has them.
type revoked struct {
	partitions map[string][]int32
	lost       bool
}

func (e revoked) apply(l *ledger) effects {
	out := effects{offsets: kafka.Offsets{}}
	for tp := range eachPartition(e.partitions) {
		p := l.partitions[tp]
		if p == nil {
			continue
		}
		if p.revoked = true; !e.lost {
			p.addToCommit(out.offsets)
		}
		out.revoked = append(out.revoked, p)
		delete(l.partitions, tp)
	}
	return out
}

// eachPartition goes through partitions as the group names them.
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

// snapshot tells which records are settled, and of which nobody would know whether they are written if the task ended
// now.
func (l *ledger) snapshot(records []*kgo.Record) (settled, inDoubt []bool) {
	settled, inDoubt = make([]bool, len(records)), make([]bool, len(records))
	items := map[recordID]*item{}
	inDoubtRanges := map[topicPartition][]offsetRange{}
	for tp, p := range l.partitions {
		for _, i := range p.items {
			items[idOf(i.record)] = i
		}
		inDoubtRanges[tp] = slices.Concat(p.appendInFlight(nil, true), l.inDoubt.openRanges(tp, 0))
	}
	for n, r := range records {
		tp := idOf(r)
		p := l.partitions[tp.topicPartition()]
		if p == nil {
			continue
		}
		if i := items[tp]; i != nil {
			settled[n] = !i.unsettled()
		} else {
			settled[n] = p.lastSettled != nil && r.Offset <= p.lastSettled.Offset
		}
		inDoubt[n] = !settled[n] && containsRange(inDoubtRanges[tp.topicPartition()], offsetRange{r.Offset, r.Offset})
	}
	return settled, inDoubt
}
