package requests

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/batch"
	"github.com/culvert-project/culvert/wit"
)

// deliveries returns the deliveries in the order in which the host must send those of one ordering key.
func (p *deliveryPlan) deliveries() []wit.Delivery {
	var out []wit.Delivery
	for i := range p.ordered {
		for _, planned := range p.ordered[i].groups {
			delivery := p.encodeRequest(planned.requests[0])
			if planned.operations > 1 {
				delivery = p.encodeBatch(planned)
			}
			delivery.OrderingKey = p.ordered[i].key
			out = append(out, delivery)
		}
	}
	return out
}

// encodeRequest returns a delivery without $batch.
func (p *deliveryPlan) encodeRequest(req *request) wit.Delivery {
	target := req.Path()
	if req.query != "" {
		target += "?" + req.query
	}
	httpRequest := wit.Request{Method: req.Method(), Target: req.Set.Query.AppendTo(target), Headers: req.headers,
		Body: req.body, Repeatable: req.repeatable}
	if req.Method() == "GET" {
		httpRequest.Headers = append(httpRequest.Headers, versionHeaders[1]) // there is no body with a version
	} else {
		httpRequest.TokenPath = &req.Set.TokenPath
		httpRequest.Headers = append(httpRequest.Headers, versionHeaders...)
		if p.state.MethodTunnel && req.Method() != "POST" {
			httpRequest.Method = "POST"
			httpRequest.Headers = append(httpRequest.Headers, wit.Header{Name: "X-HTTP-Method", Value: req.Method()})
		}
	}
	capability := p.state.ServiceCapabilities[req.Set.ServiceIndex]
	return wit.Delivery{Request: httpRequest, Rows: []uint32{req.row},
		State: req.AppendState(AppendStateHead(nil, req.Set.ServiceIndex, 0, 1, capability), nil, newPart)}
}

// encodeBatch returns a delivery with a $batch request. Each row is a part of its own, unless changesets are shared.
func (p *deliveryPlan) encodeBatch(planned *group) wit.Delivery {
	set := planned.requests[0].Set
	service := set.Service + "/"
	isRead := planned.class == classReads
	parts := make([]batch.Part, 0, len(planned.requests))
	starts := make([]partStart, len(planned.requests))
	operations := make([]batch.Operation, len(planned.requests))
	rows := make([]uint32, len(planned.requests))
	stateSize := 40 // estimated: of the head, then of each target
	for i, req := range planned.requests {
		rows[i] = req.row
		operation := &operations[i]
		operation.Method = req.Method()
		operation.Target = strings.TrimPrefix(req.Set.Path, service)
		operation.Key = req.key()
		operation.Query = req.query
		operation.Headers = req.headers
		operation.Body = req.body
		stateSize += 24 + len(req.Predicate) // hints are longer
		if i > 0 && !isRead && p.sharesChangeset(req) && p.sharesChangeset(planned.requests[i-1]) {
			last := &parts[len(parts)-1]
			last.Operations = append(last.Operations, operations[i])
			continue
		}
		parts = append(parts, batch.Part{Changeset: !isRead, Operations: operations[i : i+1 : i+1]})
		part := &parts[len(parts)-1]
		for _, update := range req.updates {
			part.Operations = append(part.Operations, batch.Operation{Method: req.Method(),
				Target: strings.TrimPrefix(update.path, service), Headers: req.headers, Body: update.body})
		}
		starts[i] = newPart
	}
	content, boundary := batch.Append(nil, parts)
	state := AppendStateHead(make([]byte, 0, stateSize), planned.serviceIndex, len(content), len(planned.requests),
		p.state.ServiceCapabilities[planned.serviceIndex])
	var previous *Target
	for i, req := range planned.requests {
		state = req.AppendState(state, previous, starts[i])
		previous = &req.Target
	}
	// The preference of OData v4 (Protocol, 8.2.8.3) is for services that translate v2 to v4, such as SAP CAP's
	// adapter: otherwise they stop at the first failed operation. Other services ignore it (RFC 7240, section 2).
	headers := append([]wit.Header{{Name: "Accept", Value: "multipart/mixed"},
		{Name: "Content-Type", Value: "multipart/mixed; boundary=" + boundary},
		{Name: "Prefer", Value: "odata.continue-on-error"}}, versionHeaders...)
	return wit.Delivery{State: state, Rows: rows, Request: wit.Request{Method: "POST",
		Target: set.Query.AppendTo(set.Service + "/$batch"), Body: content, TokenPath: &set.TokenPath,
		Repeatable: planned.class != classNotRepeatable, Headers: headers}}
}

// sharesChangeset reports whether a request may share a changeset with others, which are applied as a whole.
func (p *deliveryPlan) sharesChangeset(req *request) bool {
	switch {
	case req.Hint.OwnChangeset || req.NestedUpdates > 0:
		return false
	case p.state.SharedChangesets:
		return true
	}
	isSingle := p.state.SingleChangesets || req.Set.SAP ||
		p.state.ServiceCapabilities[req.Set.ServiceIndex].SingleChangesets
	return !isSingle && !req.IsInsert()
}

var versionHeaders = []wit.Header{{Name: "DataServiceVersion", Value: "2.0"},
	{Name: "MaxDataServiceVersion", Value: "2.0"}}
