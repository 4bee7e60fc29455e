package requests

import (
	"math/bits"

	"github.com/culvert-project/culvert/plugins/odata/capabilities"
)

// deliveryPlan groups the requests of a call into deliveries. Requests for one entity get the same ordering key and
// different deliveries, so that an older update never overwrites a newer one (RATIONALE.md P20).
type deliveryPlan struct {
	state          *capabilities.State
	orderedIndexes numberMap // ordering key to index in ordered, from 1
	ordered        []orderedGroups
	lastGroups     numberMap // hash of an entity to the number of its last group within its ordering key
}

// add adds a request to the group that is open for its kind, or to a new one.
func (p *deliveryPlan) add(req *request) {
	ordered := p.orderedGroups(req)
	last := *p.lastGroups.slot(req.entityHash)
	for i := range req.updates {
		last = max(last, *p.lastGroups.slot(req.updates[i].entityHash))
	}
	size := req.size()
	operations := req.operations()
	service := &p.state.ServiceCapabilities[req.Set.ServiceIndex]
	if p.state.Batch && !service.NoBatch && !req.isUnbatched() {
		kind := batchKind{req.class(), req.Set.ServiceIndex}
		number := ordered.openFor(kind)
		if *number > last { // the group follows the last one with the same entity
			if candidate := ordered.groups[*number-1]; candidate.fits(req, operations, size, service) {
				candidate.requests = append(candidate.requests, req)
				candidate.operations += operations
				candidate.size += size
				p.setLast(req, *number)
				return
			}
		}
		*number = int32(len(ordered.groups) + 1)
	}
	ordered.groups = append(ordered.groups, &group{class: req.class(), serviceIndex: req.Set.ServiceIndex,
		requests: []*request{req}, operations: operations, size: size,
		maxOperations: smallest(p.state.MaxBatchSize, service.MaxOperations, int(service.BatchLimit),
			req.Hint.MaxBatchSize)})
	p.setLast(req, int32(len(ordered.groups)))
}

// orderedGroups returns the groups of the request's ordering key.
func (p *deliveryPlan) orderedGroups(req *request) *orderedGroups {
	key := req.entityHash
	if p.state.Batch {
		key %= uint32(p.state.OrderingKeyCount())
	}
	number := p.orderedIndexes.slot(key)
	if *number == 0 {
		p.ordered = append(p.ordered, orderedGroups{key: key})
		*number = int32(len(p.ordered))
	}
	return &p.ordered[*number-1]
}

// setLast records that a group is the last one with the entities of a request.
func (p *deliveryPlan) setLast(req *request, number int32) {
	*p.lastGroups.slot(req.entityHash) = number
	for i := range req.updates {
		*p.lastGroups.slot(req.updates[i].entityHash) = number
	}
}

const maxBytes = 8 << 20 // of a batch

// fits reports whether a request can be added within all limits.
func (g *group) fits(req *request, operations, size int, service *capabilities.Service) bool {
	return g.operations+operations <= smallest(g.maxOperations, req.Hint.MaxBatchSize) &&
		g.size+size <= smallest(maxBytes, service.MaxBatchBytes)
}

// smallest returns the smallest limit. Zero means no limit, except for the first one.
func smallest(limit int, others ...int) int {
	for _, other := range others {
		if other > 0 {
			limit = min(limit, other)
		}
	}
	return limit
}

// numberMap maps hashes to numbers. Zero means that a hash has no number. It is faster than a map.
type numberMap struct {
	slots []hashSlot // a power of 2, at least half of them without a number
	used  int        // slots that may have a number
	shift int        // from a mixed hash to the index of a slot
}

type hashSlot struct {
	hash   uint32
	number int32
}

func newNumberMap(count int) numberMap {
	bitCount := bits.Len(uint(2 * count))
	return numberMap{slots: make([]hashSlot, 1<<bitCount), shift: 32 - bitCount}
}

// slot returns the number of a hash, for reading and writing. It adds the hash, and may grow the map: the pointer is
// valid until the next call.
func (m *numberMap) slot(hash uint32) *int32 {
	if 2*m.used >= len(m.slots) {
		larger := newNumberMap(len(m.slots))
		for _, slot := range m.slots {
			if slot.number != 0 {
				*larger.slot(slot.hash) = slot.number
			}
		}
		*m = larger
	}
	const mix = 0x9e3779b1 // a prime near 2^32 divided by the golden ratio: spreads similar hashes
	for i := int(hash * mix >> m.shift); ; i = (i + 1) & (len(m.slots) - 1) {
		slot := &m.slots[i]
		if slot.number == 0 {
			slot.hash = hash
			m.used++
		}
		if slot.hash == hash {
			return &slot.number
		}
	}
}

// orderedGroups holds the groups of one ordering key, which are numbered from 1. Entities with equal hashes are treated
// as one.
type orderedGroups struct {
	key    uint32
	groups []*group
	open   []openGroup // one for each kind of requests
}

// openGroup is the number of the group to which requests of a kind are added. Zero means none.
type openGroup struct {
	kind   batchKind
	number int32
}

// openFor returns the number of the group that is open for a kind, for reading and writing.
func (o *orderedGroups) openFor(kind batchKind) *int32 {
	for i := range o.open {
		if o.open[i].kind == kind {
			return &o.open[i].number
		}
	}
	o.open = append(o.open, openGroup{kind: kind})
	return &o.open[len(o.open)-1].number
}

// group is the requests of one delivery.
type group struct {
	class         batchClass
	serviceIndex  int
	requests      []*request
	operations    int // number of operations, nested updates included
	size          int // estimated bytes
	maxOperations int // limit of operations
}

// batchKind separates requests that cannot share a batch.
type batchKind struct {
	class        batchClass
	serviceIndex int
}

type batchClass int

const (
	classNotRepeatable batchClass = iota // a batch with such a request must not be sent twice
	classRepeatable
	classReads // of ETags
)

func (r *request) class() batchClass {
	switch {
	case r.IsETagRead():
		return classReads
	case r.repeatable:
		return classRepeatable
	}
	return classNotRepeatable
}

// isUnbatched reports whether the request is sent without $batch: LookUp and the operations after it always are.
func (r *request) isUnbatched() bool {
	return r.Hint.NoBatch || r.Operation == ConfirmDelete || r.Operation >= LookUp
}

func (r *request) size() int {
	const head = 400 // estimated size of headers and boundaries
	total := len(r.body) + len(r.Set.Path) + len(r.Predicate) + head
	for i := range r.updates {
		total += len(r.updates[i].body) + len(r.updates[i].path) + head
	}
	return total
}

func (r *request) operations() int { return 1 + r.NestedUpdates }
