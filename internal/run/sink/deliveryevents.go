package sink

import (
	"slices"
)

// encodingStarted: records are encoded. Effect: ok if metadata must be stored first, because that shows their limit.
type encodingStarted struct{ items []*item }

func (e encodingStarted) apply(*ledger) (out effects) {
	for _, i := range e.items {
		if p := i.partition; p.storedCommit == nil || !p.storedCommit.current {
			p.dirty = true
			out.ok = true
		}
	}
	return out
}

// deliveryAnnounced: a delivery will be sent when number is durable. outcomeKnown follows if it is non-repeatable.
type deliveryAnnounced struct {
	items         []*item
	nonRepeatable bool
}

func (d deliveryAnnounced) apply(l *ledger) effects {
	for _, i := range d.items {
		i.partition.dirty = true
		if d.nonRepeatable {
			i.nonRepeatable++
		}
	}
	return storeRequested{}.apply(l)
}

// storeRequested: something must be stored. Effect: number, which is durable after the next commit.
type storeRequested struct{}

func (storeRequested) apply(l *ledger) effects {
	l.pendingSeq++
	return effects{number: l.pendingSeq}
}

// outcomeKnown: the outcome of a non-repeatable delivery is known.
type outcomeKnown struct{ items []*item }

func (o outcomeKnown) apply(*ledger) (out effects) {
	for _, i := range o.items {
		i.nonRepeatable--
		i.partition.dirty = true
	}
	return out
}

type startResult int

const (
	startOK startResult = iota
	startMetadataFull
	startRevoked
)

// deliveryStart counts a delivery as started if it may start. Effect: start. deliveryEnded follows.
type deliveryStart struct {
	items []*item
	idle  bool // no other delivery is in flight
}

func (d deliveryStart) apply(l *ledger) effects {
	type share struct {
		rows      int
		maxOffset int64
	}
	shares := make(map[*partition]share, 1)
	for _, i := range d.items {
		if i.revoked() {
			return effects{start: startRevoked}
		}
		total := shares[i.partition]
		shares[i.partition] = share{total.rows + 1, max(total.maxOffset, i.offset)}
	}
	for p, share := range shares {
		// The first unsettled record may always start, or the metadata would never get shorter.
		first := p.startedRows == 0 && len(p.items) > 0 && slices.Contains(d.items, p.items[0])
		if !l.fits(p, share.rows, share.maxOffset, d.idle || first) {
			return effects{start: startMetadataFull}
		}
	}
	for _, i := range d.items {
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

// inFlightChanged: a delivery is sent (delta 1) or has completed (-1); a revocation waits only for such deliveries.
// Effect: ok unless a revocation forbids to send it. A delivery that has merely started may wait for a commit that the
// group accepts only after the revocation, so a revocation cannot wait for it.
type inFlightChanged struct {
	items []*item
	delta int
}

func (f inFlightChanged) apply(*ledger) effects {
	if f.delta > 0 && slices.ContainsFunc(f.items, (*item).revoked) {
		return effects{}
	}
	for _, i := range f.items {
		i.partition.inFlightRows += f.delta
	}
	return effects{completed: f.delta < 0, ok: true}
}
