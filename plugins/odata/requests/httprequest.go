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
		httpRequest.Headers = append(httpRequest.Headers, p.state.Dialect.MaxVersion) // there is no body with a version
	} else {
		httpRequest.TokenPath = &req.Set.TokenPath
		httpRequest.Headers = append(httpRequest.Headers, p.state.Dialect.BodyVersion, p.state.Dialect.MaxVersion)
		if p.state.MethodTunnel && req.Method() != "POST" {
			httpRequest.Method = "POST"
			httpRequest.Headers = append(httpRequest.Headers, wit.Header{Name: "X-HTTP-Method", Value: req.Method()})
		}
	}
	capability := p.state.ServiceCapabilities[req.Set.ServiceIndex]
	return wit.Delivery{Request: httpRequest, Rows: []uint32{req.row},
		State: req.AppendState(AppendStateHead(nil, req.Set.ServiceIndex, 0, 1, capability, false), nil, newPart)}
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
	capability := p.state.ServiceCapabilities[planned.serviceIndex]
	mediaType := "application/json"
	accept := mediaType
	var content []byte
	inJSON := p.state.InJSON(capability.RefusesJSON)
	if inJSON {
		content = batch.AppendJSON(nil, parts)
	} else {
		var boundary string
		content, boundary = batch.Append(nil, parts)
		accept = "multipart/mixed"
		mediaType = accept + "; boundary=" + boundary
	}
	state := AppendStateHead(make([]byte, 0, stateSize), planned.serviceIndex, len(content), len(planned.requests),
		capability, inJSON)
	var previous *Target
	for i, req := range planned.requests {
		state = req.AppendState(state, previous, starts[i])
		previous = &req.Target
	}
	// The preference of OData v4 (Protocol, 8.2.8.3) is for services that translate v2 to v4, such as SAP CAP's
	// adapter: otherwise they stop at the first failed operation. Other services ignore it (RFC 7240, section 2).
	headers := []wit.Header{{Name: "Accept", Value: accept}, {Name: "Content-Type", Value: mediaType},
		{Name: "Prefer", Value: "odata.continue-on-error"}, p.state.Dialect.BodyVersion, p.state.Dialect.MaxVersion}
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
