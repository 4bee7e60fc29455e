package write

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/batch"
	"github.com/culvert-project/culvert/wit"
)

// class tells which requests may share a batch: a batch with an insert must not be sent twice, one without can be.
type class int

const (
	classOnce class = iota
	classOften
	classReads
	classes
)

func (q *request) class() class {
	switch {
	case q.reads():
		return classReads
	case q.repeatable:
		return classOften
	}
	return classOnce
}

// alone tells whether a request shares no batch.
func (q *request) alone() bool {
	return q.hint.single || q.operation == confirm || q.operation >= look
}

// size is about what a request adds to a batch, in bytes.
func (q *request) size() int {
	n := len(q.body) + len(q.to.path) + len(q.predicate) + 400
	for i := range q.updates {
		n += len(q.updates[i].body) + len(q.updates[i].path) + 400
	}
	return n
}

// operations is how many a request is in a batch.
func (q *request) operations() int { return 1 + q.nested }

// requestGroup is requests of one delivery, of different entities.
type requestGroup struct {
	class    class
	at       int
	requests []*request
	// operations are those of the requests, size is about their bytes.
	operations, size int
}

// line is the groups of a lane, one after another, and the one in which each entity stands last, by the entity's hash:
// two entities of one hash are kept apart as if they were one.
type line struct {
	groups []*requestGroup
	last   map[uint32]int
	// open are the groups that take more, by class and service, as positions among all plus one.
	open map[[2]int]int
}

// grouping puts requests into deliveries: those of one entity into one lane, and never two into one delivery (P20).
type grouping struct {
	s     *state
	lines map[uint32]*line
	order []uint32
	// rows is how many there are in all.
	rows int
}

func newGrouping(s *state, rows int) *grouping {
	return &grouping{s: s, lines: map[uint32]*line{}, rows: rows}
}

// laneNumber is a stable hash of an entity. With batches there are few lanes, so that a delivery of one can hold many
// rows; where rows update entities nested in them, there is one, since several rows may update the same.
func (g *grouping) laneNumber(q *request) uint32 {
	if !g.s.batches {
		return q.entity
	}
	return q.entity % uint32(g.s.lanes)
}

// apart tells whether a request has a changeset of its own.
func (q *request) apart() bool { return q.hint.alone || q.nested > 0 }

// maxBytes is how large a batch gets, whatever the service takes.
const maxBytes = 8 << 20

func (g *grouping) add(q *request) {
	number := g.laneNumber(q)
	l := g.lines[number]
	if l == nil {
		each := 1 // entities in a lane, about
		if g.s.batches {
			each = g.rows / g.s.lanes
		}
		l = &line{last: make(map[uint32]int, each), open: map[[2]int]int{}}
		g.lines[number] = l
		g.order = append(g.order, number)
	}
	learned := g.s.learned[q.to.at]
	last := l.last[q.entity]
	for i := range q.updates {
		last = max(last, l.last[q.updates[i].entity])
	}
	if g.s.batches && !learned.noBatch && !q.alone() {
		kind := [2]int{int(q.class()), q.to.at}
		if n := l.open[kind]; n > last && g.fits(l.groups[n-1], q) {
			into := l.groups[n-1]
			into.requests = append(into.requests, q)
			into.operations, into.size = into.operations+q.operations(), into.size+q.size()
			l.stands(q, n)
			return
		}
		l.open[kind] = len(l.groups) + 1
	}
	l.groups = append(l.groups, &requestGroup{class: q.class(), at: q.to.at, requests: []*request{q},
		operations: q.operations(), size: q.size()})
	l.stands(q, len(l.groups))
}

// stands notes in which group the entities of a request stand last.
func (l *line) stands(q *request, n int) {
	l.last[q.entity] = n
	for i := range q.updates {
		l.last[q.updates[i].entity] = n
	}
}

// fits tells whether a group takes one more.
func (g *grouping) fits(into *requestGroup, q *request) bool {
	most, bytes := g.s.most, maxBytes
	for _, h := range []hint{q.hint, into.requests[0].hint} {
		if h.most > 0 {
			most = min(most, h.most)
		}
	}
	if limit := g.s.learned[q.to.at].most; limit > 0 {
		bytes = min(bytes, limit)
	}
	return into.operations+q.operations() <= most && into.size+q.size() <= bytes
}

func (g *grouping) deliveries() []wit.Delivery {
	var out []wit.Delivery
	for _, number := range g.order {
		for _, one := range g.lines[number].groups {
			d := g.single(one.requests[0])
			if one.operations > 1 {
				d = g.together(one)
			}
			d.Lane = number
			out = append(out, d)
		}
	}
	return out
}

var versions = []wit.Header{{Name: "DataServiceVersion", Value: "2.0"}, {Name: "MaxDataServiceVersion", Value: "2.0"}}

// single is the delivery of one request.
func (g *grouping) single(q *request) wit.Delivery {
	target := q.path()
	if q.query != "" {
		target += "?" + q.query
	}
	r := wit.Request{Method: q.method, Target: q.to.query.On(target), Headers: q.headers, Body: q.body,
		Repeatable: q.repeatable}
	if q.method == "GET" {
		r.Headers = append(r.Headers, versions[1])
	} else {
		r.TokenFrom = &q.to.root
		r.Headers = append(r.Headers, versions...)
		if g.s.tunnel && q.method != "POST" {
			r.Method, r.Headers = "POST", append(r.Headers, wit.Header{Name: "X-HTTP-Method", Value: q.method})
		}
	}
	return wit.Delivery{Request: r, Rows: []uint32{q.row}, Memo: q.append(appendHead(nil, q.to.at, 0, 1), nil, true)}
}

// batchHeaders are those of the request with a batch. The preference is OData v4's (Protocol, 8.2.8.3): services that
// translate v2 into v4, as SAP CAP's adapter does, else end a batch at the first operation that fails. Others take no
// notice of a preference that they don't know (RFC 7240, section 2).
func batchHeaders(boundary string) []wit.Header {
	return append([]wit.Header{{Name: "Accept", Value: "multipart/mixed"},
		{Name: "Content-Type", Value: "multipart/mixed; boundary=" + boundary},
		{Name: "Prefer", Value: "odata.continue-on-error"}}, versions...)
}

// together is the delivery of several requests in a batch.
func (g *grouping) together(one *requestGroup) wit.Delivery {
	to := one.requests[0].to
	all := g.s.allTogether || !g.s.oneByOne && !to.sap && !g.s.learned[one.at].one
	shares := func(q *request) bool { return all && !q.apart() && (g.s.allTogether || !q.inserts()) }
	service := to.service + "/"
	parts := make([]batch.Part, 0, len(one.requests))
	begins := make([]bool, len(one.requests)) // which of the requests begin a part
	own := make([]batch.Operation, len(one.requests))
	rows := make([]uint32, len(one.requests))
	size := 40
	for i, q := range one.requests {
		within := func(place string, body []byte) batch.Operation {
			return batch.Operation{Method: q.method, Target: strings.TrimPrefix(place, service), Headers: q.headers,
				Body: body}
		}
		own[i], rows[i] = within(q.path(), q.body), q.row
		size += 24 + len(q.predicate) // a hint makes it longer
		if last := len(parts) - 1; i > 0 && one.class != classReads && shares(q) && shares(one.requests[i-1]) {
			parts[last].Operations = append(parts[last].Operations, own[i])
			continue
		}
		p := batch.Part{Changeset: one.class != classReads, Operations: own[i : i+1 : i+1]}
		for _, u := range q.updates { // which are done with the row's own, and with no other row's
			p.Operations = append(p.Operations, within(u.path, u.body))
		}
		parts, begins[i] = append(parts, p), true
	}
	content, boundary := batch.Append(nil, parts)
	memo := appendHead(make([]byte, 0, size), one.at, len(content), len(one.requests))
	var before *target
	for i, q := range one.requests {
		memo = q.append(memo, before, begins[i])
		before = &q.target
	}
	return wit.Delivery{Memo: memo, Rows: rows, Request: wit.Request{Method: "POST",
		Target: to.query.On(to.service + "/$batch"), Body: content, TokenFrom: &to.root,
		Repeatable: one.class != classOnce, Headers: batchHeaders(boundary)}}
}
