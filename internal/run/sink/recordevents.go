package sink

import (
	"github.com/twmb/franz-go/pkg/kgo"
)

// recordsRead: records were polled. Effect: items, the records to write, with one row each so far. Records of revoked
// partitions are left out, transaction markers are settled at once. A record below what was read or committed resets
// its partition: the log became shorter or the topic was created again, and auto.offset.reset permits to continue.
type recordsRead struct{ records []*kgo.Record }

func (rr recordsRead) apply(l *ledger) (out effects) {
	var block []item // items are allocated in blocks
	for n, r := range rr.records {
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
			end := n // of the run of records with the same partition
			for end < min(len(rr.records), n+itemBlockSize) && rr.records[end].Partition == r.Partition &&
				rr.records[end].Topic == r.Topic {
				end++
			}
			block = make([]item, end-n)
		}
		added := &block[0]
		block = block[1:]
		*added = item{record: r, partition: p, offset: r.Offset, remaining: 1}
		p.items = append(p.items, added)
		p.bytes += added.bytes()
		if p.baseOffset < 0 {
			p.baseOffset = r.Offset
		}
		switch {
		case r.Attrs.IsControl(): // the commit must pass it even if nothing follows
			added.remaining = 0
			p.advance()
		case p.inheritedSettled(r.Offset):
			added.remaining = 0
			added.attempted = true
			p.advance()
			p.dirty = true
		default:
			out.items = append(out.items, added)
		}
	}
	return out
}

const itemBlockSize = 64

// resetPartition starts a new assignment, because everything known beyond the offset is about records that no longer
// exist. The group's offset is lowered before anything is sent.
func (l *ledger) resetPartition(prior *partition, offset int64) (p *partition, dropped int) {
	prior.revoked = true
	p = &partition{tp: prior.tp, maxStarted: -1,
		commitState: commitState{committed: offset, baseOffset: offset, dirty: true}}
	if prior.committed == offsetUnknown { // offsetFetched will follow
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

// offsetFetched: the committed offset of a new partition is known, -1 for none. settled are the offsets after it that
// are settled already, in order, inDoubt those of unknown outcome. mustStore means that the stored metadata lack some
// of that. storedText is the stored metadata if this process wrote them, so that the outcome of their requests is known
// even if the partition is revoked again before the next commit.
type offsetFetched struct {
	tp         topicPartition
	committed  int64
	settled    []offsetRange
	inDoubt    map[int64]bool
	mustStore  bool
	storedText string
}

func (o offsetFetched) apply(l *ledger) (out effects) {
	partition := l.partitions[o.tp]
	if partition == nil {
		return out
	}
	partition.toCheck = o.inDoubt
	partition.baseOffset = o.committed
	partition.committed = o.committed
	partition.storedCommit = &commitEntry{offset: o.committed, metadata: o.storedText}
	partition.inherited = metadata{settled: mergeRanges(o.settled),
		inDoubt: l.inDoubt.openRanges(o.tp, o.committed)}.stateRanges(o.committed)
	partition.dirty = partition.dirty || o.mustStore
	partition.predecessorUncommitted = o.mustStore
	return out
}

// rowsTransformed: the transforms made rows of records.
type rowsTransformed []transformedRecord

type transformedRecord struct {
	item      *item
	rows      uint32
	remaining int // of rows, must be written
}

func (r rowsTransformed) apply(*ledger) (out effects) {
	for _, transformed := range r {
		i := transformed.item
		i.rows = transformed.rows
		i.remaining = transformed.remaining
		i.partition.advance()
	}
	return out
}

// rowsSettled: a row of each item is settled, by a non-repeatable request if written. Effect: items for the DLQ.
type rowsSettled struct {
	items   []*item
	written bool
}

func (r rowsSettled) apply(*ledger) (out effects) {
	for _, i := range r.items {
		i.remaining--
		if r.written {
			i.written++
		}
		i.settle(&out)
	}
	return out
}

func (i *item) settle(out *effects) {
	if !i.unsettled() {
		out.settled = append(out.settled, i)
		delete(i.partition.toCheck, i.offset)
	}
	i.partition.advance()
	i.partition.dirty = true // out of order it is part of the metadata
	if i.readyForDLQ() {
		out.items = append(out.items, i)
	}
}

// rowRejected: a row, or the whole record, cannot be written. Effect: ok if all remaining rows are rejected.
type rowRejected struct {
	item    *item
	part    int
	failure FailedRecord
}

func (r rowRejected) apply(*ledger) effects {
	item := r.item
	if item.rejected == nil {
		item.rejected = &rejection{failure: r.failure}
	}
	if r.part == wholeRecord {
		item.rejected.whole = true
	} else {
		item.rejected.parts = append(item.rejected.parts, uint32(r.part))
	}
	return effects{ok: item.readyForDLQ()}
}

// deadLetterStored: a record's dead letter is stored, or not needed. Effect: number of rows that this settles.
type deadLetterStored struct{ item *item }

func (d deadLetterStored) apply(*ledger) (out effects) {
	out.number = d.item.remaining
	d.item.remaining = 0
	d.item.rejected = nil
	d.item.settle(&out)
	return out
}

// inDoubtChecked: inherited records in doubt need no check any more.
type inDoubtChecked struct{ items []*item }

func (d inDoubtChecked) apply(*ledger) (out effects) {
	for _, i := range d.items {
		delete(i.partition.toCheck, i.offset)
	}
	return out
}

// inDoubtChanged: a record is in doubt now, or not any more; the next commit stores that.
type inDoubtChanged struct{ item *item }

func (i inDoubtChanged) apply(*ledger) (out effects) {
	i.item.partition.dirty = true
	return out
}

// knownChanged: the plugin has learned something that must be stored before the next non-repeatable request is sent.
type knownChanged struct{}

func (knownChanged) apply(l *ledger) effects {
	for _, p := range l.partitions {
		p.dirty = p.dirty || p.committed != offsetUnknown
	}
	out := storeRequested{}.apply(l)
	l.knownSeq = out.number
	return out
}
