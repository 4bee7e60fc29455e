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
	space
	// announced counts what was to be stored before a request goes out, and stored how much of that is; learned is the
	// number of what the plugin knows.
	announced, stored, learned int
}

func newLedger(d doubts) ledger {
	return ledger{partitions: map[topicPartition]*partition{}, space: space{doubts: d, limit: kafka.MaxCommitText}}
}

// event is something that has happened to a sink task's records or partitions.
type event interface{ apply(l *ledger) effects }

// effects are what follows from an event. Which of them are there, its type says.
type effects struct {
	items []*item
	// setBack are partitions that begin again.
	setBack []setBack
	// settled are records of which nothing is left, so that nobody need decide about them.
	settled []recordID
	// left are assignments that are over.
	left    []*partition
	offsets kafka.Offsets
	number  int
	text    string
	yes     bool
	begins  beginning
	// landed: a delivery has.
	landed bool
}

func (l *ledger) apply(e event) effects { return e.apply(l) }

// setBack is a partition that goes on at an offset below what was read or committed of it; dropped is how many of the
// records read before are not settled.
type setBack struct {
	at      topicPartition
	offset  int64
	dropped int
}

// recordsRead: records were polled. The effect is those that are to be written, as items with one row each to begin
// with. Those of partitions that went away meanwhile are left out: they come again to their new owner. Markers of
// transactions are settled at once. A record below what was read or committed before begins its partition again: the
// log has become shorter, or the topic was made again, and auto.offset.reset says to go on.
type recordsRead struct{ records []*kgo.Record }

func (e recordsRead) apply(l *ledger) (out effects) {
	var made []item
	for n, r := range e.records {
		at := topicPartition{r.Topic, r.Partition}
		p := l.partitions[at]
		if p == nil || p.gone {
			continue
		}
		if r.Offset < max(p.next, p.committed) {
			var dropped int
			p, dropped = l.restart(p, r.Offset)
			out.setBack = append(out.setBack, setBack{at, r.Offset, dropped})
		}
		p.next = r.Offset + 1
		if len(made) == 0 {
			made = make([]item, neighbours(e.records[n:]))
		}
		i := &made[0]
		made = made[1:]
		*i = item{record: r, partition: p, offset: r.Offset, left: 1}
		p.items, p.bytes = append(p.items, i), p.bytes+i.bytes()
		if p.base < 0 {
			p.base = r.Offset
		}
		switch {
		case r.Attrs.IsControl(): // the commit is to move over it, also while nothing comes after it
			i.left = 0
			p.advance()
		case p.knows(r.Offset):
			i.left, i.sent = 0, true
			p.advance()
			p.uncommitted = true
		default:
			out.items = append(out.items, i)
		}
	}
	return out
}

// fewItems is how many items are made together at most: they are held together, with their records.
const fewItems = 64

// neighbours is how many of the first records are of one partition, fewItems at most: they are settled about together.
func neighbours(records []*kgo.Record) (n int) {
	for n < min(len(records), fewItems) && records[n].Partition == records[0].Partition &&
		records[n].Topic == records[0].Topic {
		n++
	}
	return n
}

// restart begins a partition again at an offset below what was read or committed of it. What was known beyond that
// offset is of records that are gone, and so are those that are held; the group's offset is lowered before anything is
// sent.
func (l *ledger) restart(was *partition, offset int64) (p *partition, dropped int) {
	was.gone = true
	p = &partition{at: was.at, committed: offset, base: offset, reach: -1, uncommitted: true}
	if was.committed == notKnown {
		p.committed = notKnown
	}
	p.earlier = metadata{uncertain: l.doubts.of(was.at, offset)}.ranges(offset)
	l.partitions[was.at] = p
	for _, i := range was.items {
		if i.unsettled() {
			dropped++
		}
	}
	return p, dropped
}

// offsetKnown: the group is at an offset of a partition that is new here (-1: nowhere yet). settled is what an earlier
// task has settled from there on, in order; doubtful are the offsets of which nobody knows whether they were written.
// unstored: the metadata does not say all of that yet. text is the metadata where an assignment before this one has
// stored it, else empty: should the partition go away again before anything else is stored, what it says of requests on
// their way is known then, too.
type offsetKnown struct {
	at        topicPartition
	committed int64
	settled   []offsetRange
	doubtful  map[int64]bool
	unstored  bool
	text      string
}

func (e offsetKnown) apply(l *ledger) (out effects) {
	p := l.partitions[e.at]
	if p == nil {
		return out
	}
	p.committed, p.base, p.doubtful = e.committed, e.committed, e.doubtful
	p.stored = &commit{offset: e.committed, text: e.text}
	p.earlier = metadata{settled: joined(e.settled), uncertain: l.doubts.of(e.at, e.committed)}.ranges(e.committed)
	p.uncommitted = p.uncommitted || e.unstored
	p.previousPending = e.unstored
	return out
}

// rowsMade: so many rows came of a record, and so many of them are to be written: none settles it.
type rowsMade struct {
	item *item
	rows uint32
	left int
}

func (e rowsMade) apply(*ledger) (out effects) {
	e.item.rows, e.item.left = e.rows, e.left
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
		if i.left--; e.written {
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
		delete(i.partition.doubtful, i.offset)
	}
	i.partition.advance()
	i.partition.uncommitted = true // out of order, it belongs into the metadata
	if i.due() {
		out.items = append(out.items, i)
	}
}

// rowRefused: a row of a record cannot be written, or, with [allOfIt], no row comes of it. yes: nor can the others that
// are left.
type rowRefused struct {
	item   *item
	part   int
	letter FailedRecord
}

func (e rowRefused) apply(*ledger) effects {
	i := e.item
	if i.refused == nil {
		i.refused = &refusal{letter: e.letter}
	}
	if e.part == allOfIt {
		i.refused.whole = true
	} else {
		i.refused.parts = append(i.refused.parts, uint32(e.part))
	}
	return effects{yes: i.due()}
}

// letterStored: the letter of a record is stored, or is not to be. number is how many rows that settles.
type letterStored struct{ item *item }

func (e letterStored) apply(*ledger) (out effects) {
	out.number, e.item.left, e.item.refused = e.item.left, 0, nil
	e.item.settle(&out)
	return out
}

// doubtLookedAt: records that were in doubt when the task began were checked, or cannot be.
type doubtLookedAt struct{ items []*item }

func (e doubtLookedAt) apply(*ledger) (out effects) {
	for _, i := range e.items {
		delete(i.partition.doubtful, i.offset)
	}
	return out
}

// doubtChanged: nobody knows whether a record was written, or somebody does now. That is noted with the next commit.
type doubtChanged struct{ item *item }

func (e doubtChanged) apply(*ledger) (out effects) {
	e.item.partition.uncommitted = true
	return out
}

// pluginLearned: metadata are to say what the plugin knows now, before anything more is sent that must not be sent
// twice.
type pluginLearned struct{}

func (pluginLearned) apply(l *ledger) effects {
	for _, p := range l.partitions {
		p.uncommitted = p.uncommitted || p.committed != notKnown
	}
	out := marked{}.apply(l)
	l.learned = out.number
	return out
}

// encodingBegins: rows of these records are about to be encoded. yes: no metadata was stored yet for a partition of
// them, and is to be, since how long it may be is known by that.
type encodingBegins struct{ items []*item }

func (e encodingBegins) apply(*ledger) (out effects) {
	for _, i := range e.items {
		if p := i.partition; p.stored == nil || !p.stored.asked {
			p.uncommitted, out.yes = true, true
		}
	}
	return out
}

// announced: a delivery with rows of these records is about to be sent; once: it must not be sent twice. number is what
// [ledger.holds] takes. When its outcome is known, outcomeKnown follows.
type announced struct {
	items []*item
	once  bool
}

func (e announced) apply(l *ledger) effects {
	for _, i := range e.items {
		i.partition.uncommitted = true
		if e.once {
			i.once++
		}
	}
	return marked{}.apply(l)
}

// marked: what is settled by now is to be stored. number is what [ledger.holds] takes for that.
type marked struct{}

func (marked) apply(l *ledger) effects {
	l.announced++
	return effects{number: l.announced}
}

// outcomeKnown: so is that of a delivery which was announced as one that must not be sent twice.
type outcomeKnown struct{ items []*item }

func (e outcomeKnown) apply(*ledger) (out effects) {
	for _, i := range e.items {
		i.once--
		i.partition.uncommitted = true
	}
	return out
}

// holds tells whether the metadata that is stored says what was announced.
func (l *ledger) holds(number int) bool { return number <= l.stored }

// beginning is whether a delivery may begin.
type beginning int

const (
	begun beginning = iota
	// full: what could come of it might not fit into the metadata, before others have ended.
	full
	// theirs: some of its records now belong to another member, or are read again.
	theirs
)

// deliveryBegins: a delivery with rows of these records is to be sent. alone: no other one is on its way. The effect
// says whether it may; when it does, deliveryEnded follows.
type deliveryBegins struct {
	items []*item
	alone bool
}

func (e deliveryBegins) apply(l *ledger) effects {
	type part struct {
		rows  int
		reach int64
	}
	parts := make(map[*partition]part, 1)
	for _, i := range e.items {
		if i.theirs() {
			return effects{begins: theirs}
		}
		of := parts[i.partition]
		parts[i.partition] = part{of.rows + 1, max(of.reach, i.offset)}
	}
	for p, of := range parts {
		// The first one that is not settled goes whatever lies after it, or nothing would get shorter.
		first := p.delivering == 0 && len(p.items) > 0 && slices.Contains(e.items, p.items[0])
		if !l.room(p, of.rows, of.reach, e.alone || first) {
			return effects{begins: full}
		}
	}
	for _, i := range e.items {
		i.partition.delivering++
		i.partition.reach = max(i.partition.reach, i.offset)
		i.sent = true
	}
	return effects{begins: begun}
}

// deliveryEnded: it is settled or has failed.
type deliveryEnded struct{ items []*item }

func (e deliveryEnded) apply(*ledger) effects {
	for _, i := range e.items {
		i.partition.delivering--
	}
	return effects{}
}

// underWay: a delivery goes out, by 1, or has landed, by -1. Whoever revokes a partition waits for such deliveries
// alone. yes: it may go out. One that has begun and has not gone out is not sent once a partition of it is gone, and it
// may wait for a commit that the group takes only after the revocation.
type underWay struct {
	items []*item
	by    int
}

func (e underWay) apply(*ledger) effects {
	if e.by > 0 && slices.ContainsFunc(e.items, (*item).theirs) {
		return effects{}
	}
	for _, i := range e.items {
		i.partition.underWay += e.by
	}
	return effects{landed: e.by < 0, yes: true}
}

// offsetsTaken: a commit begins. The effect is the offsets that are settled and not committed, and how much was
// announced before. offsetsStored follows, or offsetsKept.
type offsetsTaken struct{}

func (offsetsTaken) apply(l *ledger) effects {
	out := effects{offsets: kafka.Offsets{}, number: l.announced}
	for _, p := range l.partitions {
		if p.uncommitted {
			p.uncommitted = false
			p.take(out.offsets)
		}
	}
	return out
}

// take gives the partition's offset to a commit.
func (p *partition) take(out kafka.Offsets) {
	at := kgo.EpochOffset{Epoch: -1, Offset: p.committed}
	switch {
	case p.front != nil:
		at = kgo.EpochOffset{Epoch: p.front.LeaderEpoch, Offset: p.front.Offset + 1}
	case len(p.items) > 0: // nothing but what stands in the metadata
		at.Offset = p.items[0].offset
	}
	before := p.taken.said()
	if p.taken = nil; at.Offset < 0 {
		return
	}
	p.taken, p.base = &commit{offset: at.Offset, text: before}, at.Offset
	if out[p.at.topic] == nil {
		out[p.at.topic] = map[int32]kgo.EpochOffset{}
	}
	out[p.at.topic][p.at.partition] = at
}

// offsetsStored: a commit has ended well, and with it what was announced before it began. yes: all of it; else the
// commit left out partitions that are this task's, so that nothing that was announced counts as stored; the next commit
// has them.
type offsetsStored struct {
	offsets   kafka.Offsets
	announced int
}

func (e offsetsStored) apply(l *ledger) effects {
	all := true
	for topic, partitions := range e.offsets {
		for n, at := range partitions {
			p := l.partitions[topicPartition{topic, n}]
			switch {
			case p == nil:
			case p.taken != nil && p.taken.asked:
				p.committed, p.stored, p.previousPending = max(p.committed, at.Offset), p.taken, false
			default: // it has come back, or was set back, while the commit was on its way, which left it out
				p.uncommitted = p.committed != notKnown
				all = all && !p.uncommitted
			}
		}
	}
	if all {
		l.stored = max(l.stored, e.announced)
	}
	return effects{yes: all}
}

// offsetsKept: a commit has failed, and the next one is to have its partitions.
type offsetsKept struct{ offsets kafka.Offsets }

func (e offsetsKept) apply(l *ledger) (out effects) {
	for topic, partitions := range e.offsets {
		for n := range partitions {
			if p := l.partitions[topicPartition{topic, n}]; p != nil {
				p.uncommitted = true
			}
		}
	}
	return out
}

// metadataAsked: a commit asks what is to be stored with the offset next of a partition. Where that gets too long,
// records are left out that nothing was sent for. yes is false where the offset is not what the partition gave to a
// commit last, but of an assignment that is over, or from before the partition was set back. What is known of it now
// may lie beyond that offset or before it: settled records would be forgotten, and written twice, or others passed
// over.
type metadataAsked struct {
	at   topicPartition
	next int64
	// gone is the assignment of the partition that was revoked last, whose last commit may be under way.
	gone *partition
}

func (e metadataAsked) apply(l *ledger) effects {
	p, next := l.partitions[e.at], e.next
	if p == nil {
		p = e.gone
	}
	if p == nil || p.committed == notKnown || p.taken == nil || next != p.taken.offset {
		return effects{}
	}
	n := metadata{uncertain: l.doubts.of(p.at, next), decided: l.doubts.used(p.at, next)}
	n.moved, n.known = l.doubts.rest(p.at, next)
	l.sent = p.appendSent(l.sent[:0], true)
	n.sent = slices.DeleteFunc(l.sent, func(s offsetRange) bool { return covered(n.uncertain, s) })
	l.settled = p.appendAhead(l.settled[:0], next, true)
	n.settled = l.settled
	text := n.text(next)
	if len(text) > l.limit-namesRoom-firstRoom {
		l.settled = p.appendAhead(l.settled[:0], next, false)
		n.settled = l.settled
		text = n.text(next)
	}
	p.taken.text, p.taken.asked = text, true
	return effects{text: text, yes: true}
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
	for at := range listed(e.partitions) {
		l.partitions[at] = &partition{at: at, committed: notKnown, base: -1, reach: -1}
	}
	return out
}

// revoking: partitions are about to go away. Nothing of them is sent from now on.
type revoking struct{ partitions map[string][]int32 }

func (e revoking) apply(l *ledger) (out effects) {
	for at := range listed(e.partitions) {
		if p := l.partitions[at]; p != nil {
			p.gone = true
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
	for at := range listed(e.partitions) {
		p := l.partitions[at]
		if p == nil {
			continue
		}
		if p.gone = true; !e.lost {
			p.take(out.offsets)
		}
		out.left = append(out.left, p)
		delete(l.partitions, at)
	}
	return out
}

// listed goes through partitions as the group names them.
func listed(partitions map[string][]int32) func(yield func(topicPartition) bool) {
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

// standing tells which records are settled, and of which nobody would know whether they are written if the task ended
// now.
func (l *ledger) standing(records []*kgo.Record) (settled, sent []bool) {
	settled, sent = make([]bool, len(records)), make([]bool, len(records))
	items := map[recordID]*item{}
	unknown := map[topicPartition][]offsetRange{}
	for at, p := range l.partitions {
		for _, i := range p.items {
			items[idOf(i.record)] = i
		}
		unknown[at] = slices.Concat(p.appendSent(nil, true), l.doubts.of(at, 0))
	}
	for n, r := range records {
		at := idOf(r)
		p := l.partitions[at.topicPartition()]
		if p == nil {
			continue
		}
		if i := items[at]; i != nil {
			settled[n] = !i.unsettled()
		} else {
			settled[n] = p.front != nil && r.Offset <= p.front.Offset
		}
		sent[n] = !settled[n] && within(unknown[at.topicPartition()], offsetRange{r.Offset, r.Offset})
	}
	return settled, sent
}
