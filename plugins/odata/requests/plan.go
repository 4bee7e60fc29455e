package requests

import "github.com/culvert-project/culvert/plugins/odata/capabilities"

// deliveryPlan groups the requests of a call into deliveries. Requests for one entity get the same ordering key and
// different deliveries, so that an older update never overwrites a newer one (RATIONALE.md P20).
type deliveryPlan struct {
	state *capabilities.State
	byKey map[uint32]*orderedGroups
	keys  []uint32 // the ordering keys in the order of their first rows
	rows  int
}

func newDeliveryPlan(state *capabilities.State, rows int) *deliveryPlan {
	return &deliveryPlan{state: state, byKey: map[uint32]*orderedGroups{}, rows: rows}
}

// add adds a request to the group that is open for its kind, or to a new one.
func (p *deliveryPlan) add(req *request) {
	ordered := p.orderedGroups(req)
	last := ordered.last[req.entityHash]
	for i := range req.updates {
		last = max(last, ordered.last[req.updates[i].entityHash])
	}
	noBatch := p.state.ServiceCapabilities[req.Set.ServiceIndex].NoBatch
	if p.state.Batch && !noBatch && !req.isUnbatched() {
		kind := batchKind{req.class(), req.Set.ServiceIndex}
		number := ordered.openFor(kind)
		if *number > last && p.fits(ordered.groups[*number-1], req) {
			open := ordered.groups[*number-1]
			open.requests = append(open.requests, req)
			open.operations, open.size = open.operations+req.operations(), open.size+req.size()
			ordered.setLast(req, *number)
			return
		}
		*number = len(ordered.groups) + 1
	}
	ordered.groups = append(ordered.groups, &group{class: req.class(), serviceIndex: req.Set.ServiceIndex,
		requests: []*request{req}, operations: req.operations(), size: req.size()})
	ordered.setLast(req, len(ordered.groups))
}

// orderedGroups returns the groups of the request's ordering key.
func (p *deliveryPlan) orderedGroups(req *request) *orderedGroups {
	key, entities := req.entityHash, 1 // entities is an estimate
	if p.state.Batch {
		key, entities = key%uint32(p.state.OrderingKeys), p.rows/p.state.OrderingKeys
	}
	ordered := p.byKey[key]
	if ordered == nil {
		ordered = &orderedGroups{last: make(map[uint32]int, entities)}
		p.byKey[key] = ordered
		p.keys = append(p.keys, key)
	}
	return ordered
}

const maxBytes = 8 << 20 // of a batch

func (p *deliveryPlan) fits(open *group, req *request) bool {
	maxOperations, maxSize := p.state.MaxBatchSize, maxBytes
	for _, limit := range [...]int{req.Hint.MaxBatchSize, open.requests[0].Hint.MaxBatchSize} {
		if limit > 0 {
			maxOperations = min(maxOperations, limit)
		}
	}
	learned := &p.state.ServiceCapabilities[req.Set.ServiceIndex]
	if learned.MaxBatchBytes > 0 {
		maxSize = min(maxSize, learned.MaxBatchBytes)
	}
	if learned.MaxOperations > 0 {
		maxOperations = min(maxOperations, learned.MaxOperations)
	}
	return open.operations+req.operations() <= maxOperations && open.size+req.size() <= maxSize
}

// orderedGroups holds the groups of one ordering key, which are numbered from 1. Entities with equal hashes are treated
// as one.
type orderedGroups struct {
	groups []*group
	last   map[uint32]int // number of the last group of an entity, by its hash
	open   []openGroup    // one for each kind of requests
}

// openGroup is the number of the group to which requests of a kind are added. Zero means none.
type openGroup struct {
	kind   batchKind
	number int
}

func (s *orderedGroups) openFor(kind batchKind) *int {
	for i := range s.open {
		if s.open[i].kind == kind {
			return &s.open[i].number
		}
	}
	s.open = append(s.open, openGroup{kind: kind})
	return &s.open[len(s.open)-1].number
}

func (s *orderedGroups) setLast(req *request, number int) {
	s.last[req.entityHash] = number
	for i := range req.updates {
		s.last[req.updates[i].entityHash] = number
	}
}

// group is the requests of one delivery.
type group struct {
	class            batchClass
	serviceIndex     int
	requests         []*request
	operations, size int
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
	classReads
)

func (q *request) class() batchClass {
	switch {
	case q.IsETagRead():
		return classReads
	case q.repeatable:
		return classRepeatable
	}
	return classNotRepeatable
}

func (q *request) isUnbatched() bool {
	return q.Hint.NoBatch || q.Operation == ConfirmDelete || q.Operation >= LookUp
}

func (q *request) hasOwnChangeset() bool { return q.Hint.OwnChangeset || q.NestedUpdates > 0 }

func (q *request) size() int {
	const head = 400 // estimated size of headers and boundaries
	n := len(q.body) + len(q.Set.Path) + len(q.Predicate) + head
	for i := range q.updates {
		n += len(q.updates[i].body) + len(q.updates[i].path) + head
	}
	return n
}

func (q *request) operations() int { return 1 + q.NestedUpdates }
