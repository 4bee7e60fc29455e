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

// deliveryAnnounced: a delivery will be sent when number is durable. Its outcome is open if it is non-repeatable.
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

// outcomeKnown: the outcome of a non-repeatable delivery is known, before it ends.
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

// deliverySent: a delivery is sent; a revocation waits until it has ended. Effect: ok unless a revocation forbids to
// send it. A delivery that has merely started may wait for a commit that the group accepts only after the revocation,
// so a revocation cannot wait for it.
type deliverySent struct{ items []*item }

func (s deliverySent) apply(*ledger) effects {
	if slices.ContainsFunc(s.items, (*item).revoked) {
		return effects{}
	}
	for _, i := range s.items {
		i.partition.inFlightRows++
	}
	return effects{ok: true}
}

// deliveryEnded: a started delivery has ended.
type deliveryEnded struct {
	items       []*item
	sent        bool
	outcomeOpen bool // it was announced as non-repeatable, and outcomeKnown was not applied
}

func (e deliveryEnded) apply(l *ledger) effects {
	if e.outcomeOpen {
		outcomeKnown{e.items}.apply(l)
	}
	for _, i := range e.items {
		i.partition.startedRows--
		if e.sent {
			i.partition.inFlightRows--
		}
	}
	return effects{completed: e.sent}
}
