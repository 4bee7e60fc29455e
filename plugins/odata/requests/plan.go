package requests

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/batch"
	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/wit"
)

// deliveryPlan groups requests. Requests for one entity have the same ordering key and different deliveries (P20).
type deliveryPlan struct {
	state     *capabilities.State
	sequences map[uint32]*sequence
	order     []uint32
	rows      int
}

func newDeliveryPlan(s *capabilities.State, rows int) *deliveryPlan {
	return &deliveryPlan{state: s, sequences: map[uint32]*sequence{}, rows: rows}
}

func (p *deliveryPlan) add(q *request) {
	key := p.orderingKey(q)
	seq := p.sequences[key]
	if seq == nil {
		entities := 1 // an estimate
		if p.state.Batch {
			entities = p.rows / p.state.OrderingKeys
		}
		seq = &sequence{last: make(map[uint32]int, entities), open: map[[2]int]int{}}
		p.sequences[key] = seq
		p.order = append(p.order, key)
	}
	learned := p.state.ServiceCapabilities[q.Set.ServiceIndex]
	last := seq.last[q.entityHash]
	for i := range q.updates {
		last = max(last, seq.last[q.updates[i].entityHash])
	}
	if p.state.Batch && !learned.NoBatch && !q.isUnbatched() {
		kind := [2]int{int(q.class()), q.Set.ServiceIndex}
		if n := seq.open[kind]; n > last && p.fits(seq.groups[n-1], q) {
			g := seq.groups[n-1]
			g.requests = append(g.requests, q)
			g.operations, g.size = g.operations+q.operations(), g.size+q.size()
			seq.setLast(q, n)
			return
		}
		seq.open[kind] = len(seq.groups) + 1
	}
	seq.groups = append(seq.groups, &group{class: q.class(), serviceIndex: q.Set.ServiceIndex, requests: []*request{q},
		operations: q.operations(), size: q.size()})
	seq.setLast(q, len(seq.groups))
}

func (p *deliveryPlan) orderingKey(q *request) uint32 {
	if !p.state.Batch {
		return q.entityHash
	}
	return q.entityHash % uint32(p.state.OrderingKeys)
}

func (p *deliveryPlan) fits(g *group, q *request) bool {
	maxOperations, maxSize := p.state.MaxBatchSize, maxBytes
	for _, h := range []Hint{q.Hint, g.requests[0].Hint} {
		if h.MaxBatchSize > 0 {
			maxOperations = min(maxOperations, h.MaxBatchSize)
		}
	}
	if limit := p.state.ServiceCapabilities[q.Set.ServiceIndex].MaxBatchBytes; limit > 0 {
		maxSize = min(maxSize, limit)
	}
	return g.operations+q.operations() <= maxOperations && g.size+q.size() <= maxSize
}

func (p *deliveryPlan) deliveries() []wit.Delivery {
	var out []wit.Delivery
	for _, key := range p.order {
		for _, g := range p.sequences[key].groups {
			d := p.single(g.requests[0])
			if g.operations > 1 {
				d = p.batch(g)
			}
			d.OrderingKey = key
			out = append(out, d)
		}
	}
	return out
}

func (p *deliveryPlan) single(q *request) wit.Delivery {
	target := q.Path()
	if q.query != "" {
		target += "?" + q.query
	}
	r := wit.Request{Method: q.method, Target: q.Set.Query.AppendTo(target), Headers: q.headers, Body: q.body,
		Repeatable: q.repeatable}
	if q.method == "GET" {
		r.Headers = append(r.Headers, versionHeaders[1])
	} else {
		r.TokenPath = &q.Set.TokenPath
		r.Headers = append(r.Headers, versionHeaders...)
		if p.state.MethodTunnel && q.method != "POST" {
			r.Method, r.Headers = "POST", append(r.Headers, wit.Header{Name: "X-HTTP-Method", Value: q.method})
		}
	}
	return wit.Delivery{Request: r, Rows: []uint32{q.row},
		State: q.AppendState(AppendStateHead(nil, q.Set.ServiceIndex, 0, 1), nil, true)}
}

func (p *deliveryPlan) batch(g *group) wit.Delivery {
	set := g.requests[0].Set
	all := p.state.SharedChangesets || !p.state.SingleChangesets && !set.SAP &&
		!p.state.ServiceCapabilities[g.serviceIndex].SingleChangesets
	shares := func(q *request) bool {
		return all && !q.hasOwnChangeset() && (p.state.SharedChangesets || !q.IsInsert())
	}
	service := set.Service + "/"
	parts := make([]batch.Part, 0, len(g.requests))
	startsPart := make([]bool, len(g.requests))
	operations := make([]batch.Operation, len(g.requests))
	rows := make([]uint32, len(g.requests))
	size := 40
	for i, q := range g.requests {
		operation := func(path string, body []byte) batch.Operation {
			return batch.Operation{Method: q.method, Target: strings.TrimPrefix(path, service), Headers: q.headers,
				Body: body}
		}
		operations[i], rows[i] = operation(q.Path(), q.body), q.row
		size += 24 + len(q.Predicate) // hints are longer
		if last := len(parts) - 1; i > 0 && g.class != classReads && shares(q) && shares(g.requests[i-1]) {
			parts[last].Operations = append(parts[last].Operations, operations[i])
			continue
		}
		part := batch.Part{Changeset: g.class != classReads, Operations: operations[i : i+1 : i+1]}
		for _, u := range q.updates {
			part.Operations = append(part.Operations, operation(u.path, u.body))
		}
		parts, startsPart[i] = append(parts, part), true
	}
	content, boundary := batch.Append(nil, parts)
	state := AppendStateHead(make([]byte, 0, size), g.serviceIndex, len(content), len(g.requests))
	var previous *Target
	for i, q := range g.requests {
		state = q.AppendState(state, previous, startsPart[i])
		previous = &q.Target
	}
	return wit.Delivery{State: state, Rows: rows, Request: wit.Request{Method: "POST",
		Target: set.Query.AppendTo(set.Service + "/$batch"), Body: content, TokenPath: &set.TokenPath,
		Repeatable: g.class != classOnce, Headers: batchHeaders(boundary)}}
}

var versionHeaders = []wit.Header{{Name: "DataServiceVersion", Value: "2.0"}, {Name: "MaxDataServiceVersion",
	Value: "2.0"}}

// batchHeaders includes a preference of OData v4 (Protocol, 8.2.8.3): services that translate v2 to v4, such as SAP
// CAP's adapter, otherwise stop at the first failed operation. Other services ignore it (RFC 7240, section 2).
func batchHeaders(boundary string) []wit.Header {
	return append([]wit.Header{{Name: "Accept", Value: "multipart/mixed"},
		{Name: "Content-Type", Value: "multipart/mixed; boundary=" + boundary},
		{Name: "Prefer", Value: "odata.continue-on-error"}}, versionHeaders...)
}

const maxBytes = 8 << 20

// sequence holds the groups of one ordering key. last is the latest group of each entity, by the hash of the entity.
// Entities with equal hashes are treated as one.
type sequence struct {
	groups []*group
	last   map[uint32]int
	open   map[[2]int]int
}

func (s *sequence) setLast(q *request, n int) {
	s.last[q.entityHash] = n
	for i := range q.updates {
		s.last[q.updates[i].entityHash] = n
	}
}

type group struct {
	class            batchClass
	serviceIndex     int
	requests         []*request
	operations, size int
}

// batchClass separates requests that cannot share a batch. A batch with an insert must not be sent twice.
type batchClass int

const (
	classOnce batchClass = iota
	classRepeatable
	classReads
	classes
)

func (q *request) class() batchClass {
	switch {
	case q.IsETagRead():
		return classReads
	case q.repeatable:
		return classRepeatable
	}
	return classOnce
}

func (q *request) isUnbatched() bool {
	return q.Hint.NoBatch || q.Operation == ConfirmDelete || q.Operation >= LookUp
}

func (q *request) hasOwnChangeset() bool { return q.Hint.OwnChangeset || q.NestedUpdates > 0 }

func (q *request) size() int {
	n := len(q.body) + len(q.Set.Path) + len(q.Predicate) + 400
	for i := range q.updates {
		n += len(q.updates[i].body) + len(q.updates[i].path) + 400
	}
	return n
}

func (q *request) operations() int { return 1 + q.NestedUpdates }
