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

func (g *deliveryPlan) add(q *request) {
	number := g.orderingKey(q)
	l := g.sequences[number]
	if l == nil {
		entities := 1 // an estimate
		if g.state.Batch {
			entities = g.rows / g.state.OrderingKeys
		}
		l = &sequence{last: make(map[uint32]int, entities), open: map[[2]int]int{}}
		g.sequences[number] = l
		g.order = append(g.order, number)
	}
	learned := g.state.ServiceCapabilities[q.Set.ServiceIndex]
	last := l.last[q.entityHash]
	for i := range q.updates {
		last = max(last, l.last[q.updates[i].entityHash])
	}
	if g.state.Batch && !learned.NoBatch && !q.isUnbatched() {
		kind := [2]int{int(q.class()), q.Set.ServiceIndex}
		if n := l.open[kind]; n > last && g.fits(l.groups[n-1], q) {
			gr := l.groups[n-1]
			gr.requests = append(gr.requests, q)
			gr.operations, gr.size = gr.operations+q.operations(), gr.size+q.size()
			l.setLast(q, n)
			return
		}
		l.open[kind] = len(l.groups) + 1
	}
	l.groups = append(l.groups, &group{class: q.class(), serviceIndex: q.Set.ServiceIndex, requests: []*request{q},
		operations: q.operations(), size: q.size()})
	l.setLast(q, len(l.groups))
}

func (g *deliveryPlan) orderingKey(q *request) uint32 {
	if !g.state.Batch {
		return q.entityHash
	}
	return q.entityHash % uint32(g.state.OrderingKeys)
}

func (g *deliveryPlan) fits(gr *group, q *request) bool {
	maxOperations, maxSize := g.state.MaxBatchSize, maxBytes
	for _, h := range []Hint{q.Hint, gr.requests[0].Hint} {
		if h.MaxBatchSize > 0 {
			maxOperations = min(maxOperations, h.MaxBatchSize)
		}
	}
	if limit := g.state.ServiceCapabilities[q.Set.ServiceIndex].MaxBatchBytes; limit > 0 {
		maxSize = min(maxSize, limit)
	}
	return gr.operations+q.operations() <= maxOperations && gr.size+q.size() <= maxSize
}

func (g *deliveryPlan) deliveries() []wit.Delivery {
	var out []wit.Delivery
	for _, number := range g.order {
		for _, gr := range g.sequences[number].groups {
			d := g.single(gr.requests[0])
			if gr.operations > 1 {
				d = g.batch(gr)
			}
			d.OrderingKey = number
			out = append(out, d)
		}
	}
	return out
}

func (g *deliveryPlan) single(q *request) wit.Delivery {
	target := q.Path()
	if q.query != "" {
		target += "?" + q.query
	}
	r := wit.Request{Method: q.method, Target: q.Set.Query.On(target), Headers: q.headers, Body: q.body,
		Repeatable: q.repeatable}
	if q.method == "GET" {
		r.Headers = append(r.Headers, versionHeaders[1])
	} else {
		r.TokenPath = &q.Set.TokenPath
		r.Headers = append(r.Headers, versionHeaders...)
		if g.state.MethodTunnel && q.method != "POST" {
			r.Method, r.Headers = "POST", append(r.Headers, wit.Header{Name: "X-HTTP-Method", Value: q.method})
		}
	}
	return wit.Delivery{Request: r, Rows: []uint32{q.row},
		State: q.AppendState(AppendStateHead(nil, q.Set.ServiceIndex, 0, 1), nil, true)}
}

func (g *deliveryPlan) batch(gr *group) wit.Delivery {
	to := gr.requests[0].Set
	all := g.state.SharedChangesets || !g.state.SingleChangesets && !to.SAP &&
		!g.state.ServiceCapabilities[gr.serviceIndex].SingleChangesets
	shares := func(q *request) bool {
		return all && !q.hasOwnChangeset() && (g.state.SharedChangesets || !q.IsInsert())
	}
	service := to.Service + "/"
	parts := make([]batch.Part, 0, len(gr.requests))
	startsPart := make([]bool, len(gr.requests))
	operations := make([]batch.Operation, len(gr.requests))
	rows := make([]uint32, len(gr.requests))
	size := 40
	for i, q := range gr.requests {
		operation := func(place string, body []byte) batch.Operation {
			return batch.Operation{Method: q.method, Target: strings.TrimPrefix(place, service), Headers: q.headers,
				Body: body}
		}
		operations[i], rows[i] = operation(q.Path(), q.body), q.row
		size += 24 + len(q.Predicate) // hints are longer
		if last := len(parts) - 1; i > 0 && gr.class != classReads && shares(q) && shares(gr.requests[i-1]) {
			parts[last].Operations = append(parts[last].Operations, operations[i])
			continue
		}
		p := batch.Part{Changeset: gr.class != classReads, Operations: operations[i : i+1 : i+1]}
		for _, u := range q.updates {
			p.Operations = append(p.Operations, operation(u.path, u.body))
		}
		parts, startsPart[i] = append(parts, p), true
	}
	content, boundary := batch.Append(nil, parts)
	state := AppendStateHead(make([]byte, 0, size), gr.serviceIndex, len(content), len(gr.requests))
	var before *Target
	for i, q := range gr.requests {
		state = q.AppendState(state, before, startsPart[i])
		before = &q.Target
	}
	return wit.Delivery{State: state, Rows: rows, Request: wit.Request{Method: "POST",
		Target: to.Query.On(to.Service + "/$batch"), Body: content, TokenPath: &to.TokenPath,
		Repeatable: gr.class != classOnce, Headers: batchHeaders(boundary)}}
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

func (l *sequence) setLast(q *request, n int) {
	l.last[q.entityHash] = n
	for i := range q.updates {
		l.last[q.updates[i].entityHash] = n
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
