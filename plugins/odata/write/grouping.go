package write

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/batch"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// operation is what a request does. Those of an upsert go on with the other one.
type operation int

const (
	insert operation = iota
	remove
	// confirm reads an entity that was to be deleted.
	confirm
	put
	merge
	patch
	upsertPut
	upsertMerge
	upsertPatch
	upsertInsert
	// readTag reads an entity for its ETag.
	readTag
	readTagOfUpsert
	readTagOfRemoval
	// look and find read whether an insert was applied, probe whether the service is there.
	look
	lookOfUpsert
	find
	probe
	// lookAtStored reads an entity that an insert has found there already, after a changeset with it failed.
	lookAtStored
	// readSet asks for an entity of the set, whichever, since the address of the row's is refused.
	readSet
	// several is a batch, severalPlain one of a [plain] run of rows.
	several
	severalPlain
)

// class tells which requests may share a batch: a batch with an insert must not be sent twice, one without can be.
type class int

const (
	once class = iota
	often
	reads
	classes
)

func (q *request) class() class {
	switch {
	case q.operation == readTag || q.operation == readTagOfUpsert || q.operation == readTagOfRemoval:
		return reads
	case q.repeatable:
		return often
	}
	return once
}

// alone tells whether a request shares no batch.
func (q *request) alone() bool {
	return q.hint.single || q.operation == confirm || q.operation >= look
}

// inserts tells whether an operation makes an entity. It shares a changeset only where the settings want it: of a
// service that stores a part of one that fails, it would be made twice.
func (o operation) inserts() bool { return o == insert || o == upsertInsert }

// size is about what a request adds to a batch, in bytes.
func (q *request) size() int {
	n := len(q.body) + len(q.path) + 400
	for i := range q.nested {
		n += len(q.nested[i].body) + len(q.nested[i].path) + 400
	}
	return n
}

// operations is how many a request is in a batch.
func (q *request) operations() int { return 1 + len(q.nested) }

// group is requests of one delivery, of different entities.
type group struct {
	class    class
	at       int
	requests []*request
	// operations are those of the requests, size is about their bytes.
	operations, size int
}

// line is the groups of a lane, one after another, and the one in which each entity stands last.
type line struct {
	groups []*group
	last   map[entity]int
	// open are the groups that take more, by class and service, as positions among all plus one.
	open map[[2]int]int
}

// entity tells entities apart: by the path of their set, and the key as [Plugin.laneOf] writes it.
type entity struct{ set, lane string }

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
	h := mixed(q.to.lane, q.lane)
	if !g.s.batches {
		return h
	}
	return h % uint32(g.s.lanes)
}

const laneSeed, laneFactor = 2166136261, 16777619

// mixed goes on with the hash FNV-1a.
func mixed(h uint32, text string) uint32 {
	for i := range len(text) {
		h = (h ^ uint32(text[i])) * laneFactor
	}
	return h
}

// apart tells whether a request has a changeset of its own.
func (q *request) apart() bool { return q.hint.alone || len(q.nested) > 0 }

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
		l = &line{last: make(map[entity]int, each), open: map[[2]int]int{}}
		g.lines[number] = l
		g.order = append(g.order, number)
	}
	learned := g.s.learned[q.to.at]
	last := l.last[entity{q.to.path, q.lane}]
	for i := range q.nested {
		last = max(last, l.last[q.nested[i].entity])
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
	l.groups = append(l.groups, &group{class: q.class(), at: q.to.at, requests: []*request{q},
		operations: q.operations(), size: q.size()})
	l.stands(q, len(l.groups))
}

// stands notes in which group the entities of a request stand last.
func (l *line) stands(q *request, n int) {
	l.last[entity{q.to.path, q.lane}] = n
	for i := range q.nested {
		l.last[q.nested[i].entity] = n
	}
}

// fits tells whether a group takes one more.
func (g *grouping) fits(into *group, q *request) bool {
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
			d := g.s.single(one.requests[0])
			if one.operations > 1 {
				d = g.s.together(one)
			}
			d.Lane = number
			out = append(out, d)
		}
	}
	return out
}

var versions = []wit.Header{{Name: "DataServiceVersion", Value: "2.0"}, {Name: "MaxDataServiceVersion", Value: "2.0"}}

// single is the delivery of one request.
func (s *state) single(q *request) wit.Delivery {
	target := q.path
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
		if s.tunnel && q.method != "POST" {
			r.Method, r.Headers = "POST", append(r.Headers, wit.Header{Name: "X-HTTP-Method", Value: q.method})
		}
	}
	return wit.Delivery{Request: r, Rows: []uint32{q.row}, Memo: q.memo()}
}

// memo is what settle needs to know of a delivery.
func memo(op operation, target string) []byte { return pack.Text(pack.Number(nil, int(op)), target) }

func (q *request) memo() []byte {
	b := pack.Text(pack.Number(memo(q.operation, q.path), q.to.at), q.hint.text())
	return pack.Text(pack.Text(b, string(q.sent)), q.predicate)
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
func (s *state) together(g *group) wit.Delivery {
	d := wit.Delivery{}
	to := g.requests[0].to
	all := s.allTogether || !s.oneByOne && !to.sap && !s.learned[g.at].one
	shares := func(q *request) bool { return all && !q.apart() && (s.allTogether || !q.inserts()) }
	service := to.service + "/"
	parts := make([]batch.Part, 0, len(g.requests))
	layout := make([]int, 0, len(g.requests)) // how many operations each part has
	own := make([]batch.Operation, len(g.requests))
	d.Rows = make([]uint32, 0, len(g.requests))
	for i, q := range g.requests {
		within := func(place string, body []byte) batch.Operation {
			return batch.Operation{Method: q.method, Target: strings.TrimPrefix(place, service), Headers: q.headers,
				Body: body}
		}
		own[i] = within(q.path, q.body)
		switch last := len(parts) - 1; {
		case g.class == reads:
			parts, layout = append(parts, batch.Part{Operations: own[i : i+1 : i+1]}), append(layout, 1)
		case len(q.nested) > 0: // which are done with the row's own, and with no other row's
			all := []batch.Operation{own[i]}
			for _, u := range q.nested {
				all = append(all, within(u.path, u.body))
			}
			parts, layout = append(parts, batch.Part{Changeset: true, Operations: all}), append(layout, len(all))
		case i > 0 && shares(q) && shares(g.requests[i-1]):
			parts[last].Operations = append(parts[last].Operations, own[i])
			layout[last]++
		default:
			parts, layout = append(parts, batch.Part{Changeset: true, Operations: own[i : i+1 : i+1]}),
				append(layout, 1)
		}
		d.Rows = append(d.Rows, q.row)
	}
	content, boundary := batch.Append(nil, parts)
	d.Request = wit.Request{Method: "POST", Target: to.query.On(to.service + "/$batch"), Body: content,
		TokenFrom:  &to.root,
		Repeatable: g.class != once,
		Headers:    batchHeaders(boundary)}
	size := 40 + len(service) + 2*len(layout)
	for _, q := range g.requests {
		size += 24 + len(q.path) + len(q.predicate) // a hint makes it longer
	}
	m := pack.Number(append(make([]byte, 0, size), memo(several, to.service+"/$batch")...), g.at)
	m = pack.Flag(pack.Number(m, len(content)), g.class == reads)
	m = pack.Number(m, len(layout))
	for _, n := range layout {
		m = pack.Number(m, n)
	}
	for _, q := range g.requests {
		m = pack.Text(pack.Text(pack.Text(pack.Number(m, int(q.operation)), q.path), q.predicate), q.hint.text())
		m = pack.Number(m, len(q.nested))
	}
	d.Memo = m
	return d
}
