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
	sequences map[uint32]*orderedGroups
	order     []uint32
	rows      int
}

func newDeliveryPlan(state *capabilities.State, rows int) *deliveryPlan {
	return &deliveryPlan{state: state, sequences: map[uint32]*orderedGroups{}, rows: rows}
}

func (p *deliveryPlan) add(req *request) {
	key := p.orderingKey(req)
	seq := p.sequences[key]
	if seq == nil {
		entities := 1 // an estimate
		if p.state.Batch {
			entities = p.rows / p.state.OrderingKeys
		}
		seq = &orderedGroups{last: make(map[uint32]int, entities), open: map[[2]int]int{}}
		p.sequences[key] = seq
		p.order = append(p.order, key)
	}
	learned := p.state.ServiceCapabilities[req.Set.ServiceIndex]
	last := seq.last[req.entityHash]
	for i := range req.updates {
		last = max(last, seq.last[req.updates[i].entityHash])
	}
	if p.state.Batch && !learned.NoBatch && !req.isUnbatched() {
		kind := [2]int{int(req.class()), req.Set.ServiceIndex}
		if n := seq.open[kind]; n > last && p.fits(seq.groups[n-1], req) {
			current := seq.groups[n-1]
			current.requests = append(current.requests, req)
			current.operations, current.size = current.operations+req.operations(), current.size+req.size()
			seq.setLast(req, n)
			return
		}
		seq.open[kind] = len(seq.groups) + 1
	}
	seq.groups = append(seq.groups, &group{class: req.class(), serviceIndex: req.Set.ServiceIndex,
		requests:   []*request{req},
		operations: req.operations(), size: req.size()})
	seq.setLast(req, len(seq.groups))
}

func (p *deliveryPlan) orderingKey(req *request) uint32 {
	if !p.state.Batch {
		return req.entityHash
	}
	return req.entityHash % uint32(p.state.OrderingKeys)
}

func (p *deliveryPlan) fits(current *group, req *request) bool {
	maxOperations, maxSize := p.state.MaxBatchSize, maxBytes
	for _, hint := range []Hint{req.Hint, current.requests[0].Hint} {
		if hint.MaxBatchSize > 0 {
			maxOperations = min(maxOperations, hint.MaxBatchSize)
		}
	}
	if limit := p.state.ServiceCapabilities[req.Set.ServiceIndex].MaxBatchBytes; limit > 0 {
		maxSize = min(maxSize, limit)
	}
	return current.operations+req.operations() <= maxOperations && current.size+req.size() <= maxSize
}

func (p *deliveryPlan) deliveries() []wit.Delivery {
	var out []wit.Delivery
	for _, key := range p.order {
		for _, current := range p.sequences[key].groups {
			delivery := p.single(current.requests[0])
			if current.operations > 1 {
				delivery = p.batch(current)
			}
			delivery.OrderingKey = key
			out = append(out, delivery)
		}
	}
	return out
}

func (p *deliveryPlan) single(req *request) wit.Delivery {
	target := req.Path()
	if req.query != "" {
		target += "?" + req.query
	}
	httpRequest := wit.Request{Method: req.method, Target: req.Set.Query.AppendTo(target), Headers: req.headers,
		Body:       req.body,
		Repeatable: req.repeatable}
	if req.method == "GET" {
		httpRequest.Headers = append(httpRequest.Headers, versionHeaders[1])
	} else {
		httpRequest.TokenPath = &req.Set.TokenPath
		httpRequest.Headers = append(httpRequest.Headers, versionHeaders...)
		if p.state.MethodTunnel && req.method != "POST" {
			httpRequest.Method, httpRequest.Headers = "POST", append(httpRequest.Headers,
				wit.Header{Name: "X-HTTP-Method", Value: req.method})
		}
	}
	return wit.Delivery{Request: httpRequest, Rows: []uint32{req.row},
		State: req.AppendState(AppendStateHead(nil, req.Set.ServiceIndex, 0, 1), nil, true)}
}

func (p *deliveryPlan) batch(current *group) wit.Delivery {
	set := current.requests[0].Set
	all := p.state.SharedChangesets || !p.state.SingleChangesets && !set.SAP &&
		!p.state.ServiceCapabilities[current.serviceIndex].SingleChangesets
	shares := func(req *request) bool {
		return all && !req.hasOwnChangeset() && (p.state.SharedChangesets || !req.IsInsert())
	}
	service := set.Service + "/"
	parts := make([]batch.Part, 0, len(current.requests))
	startsPart := make([]bool, len(current.requests))
	operations := make([]batch.Operation, len(current.requests))
	rows := make([]uint32, len(current.requests))
	size := 40
	for i, req := range current.requests {
		operation := func(path string, body []byte) batch.Operation {
			return batch.Operation{Method: req.method, Target: strings.TrimPrefix(path, service), Headers: req.headers,
				Body: body}
		}
		operations[i], rows[i] = operation(req.Path(), req.body), req.row
		size += 24 + len(req.Predicate) // hints are longer
		if last := len(parts) - 1; i > 0 && current.class != classReads && shares(req) &&
			shares(current.requests[i-1]) {
			parts[last].Operations = append(parts[last].Operations, operations[i])
			continue
		}
		part := batch.Part{Changeset: current.class != classReads, Operations: operations[i : i+1 : i+1]}
		for _, update := range req.updates {
			part.Operations = append(part.Operations, operation(update.path, update.body))
		}
		parts, startsPart[i] = append(parts, part), true
	}
	content, boundary := batch.Append(nil, parts)
	state := AppendStateHead(make([]byte, 0, size), current.serviceIndex, len(content), len(current.requests))
	var previous *Target
	for i, req := range current.requests {
		state = req.AppendState(state, previous, startsPart[i])
		previous = &req.Target
	}
	return wit.Delivery{State: state, Rows: rows, Request: wit.Request{Method: "POST",
		Target: set.Query.AppendTo(set.Service + "/$batch"), Body: content, TokenPath: &set.TokenPath,
		Repeatable: current.class != classNotRepeatable, Headers: batchHeaders(boundary)}}
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

// orderedGroups holds the groups of one ordering key. last is the latest group of each entity, by the hash of the
// entity. Entities with equal hashes are treated as one.
type orderedGroups struct {
	groups []*group
	last   map[uint32]int
	open   map[[2]int]int
}

func (s *orderedGroups) setLast(req *request, n int) {
	s.last[req.entityHash] = n
	for i := range req.updates {
		s.last[req.updates[i].entityHash] = n
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
	classNotRepeatable batchClass = iota
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
	return classNotRepeatable
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
