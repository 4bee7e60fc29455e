package write

import (
	"bytes"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/batch"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// allWritten tells whether a plain answer to a batch says of each of its rows, which differ in nothing but their keys,
// that it was written, and nothing else that there is to learn from but whether the service knows RequestIDs and
// If-Match. What [sentBatch.settle] makes of it is known then.
func (s *state) allWritten(m memo, response *wit.Response) bool {
	if !success(response.Status) {
		return false
	}
	d, ok := batch.NewPlain(headerOf(response, "Content-Type"), response.Body)
	if !ok {
		return false
	}
	said, repeats := false, false
	for i := range m.count {
		if !m.next() || !d.Next() || d.First != m.part || m.like != (i > 0) || m.nested > 0 || m.reads() ||
			m.hint != (hint{bare: m.hint.bare}) {
			return false
		}
		if said = said || i == 0 && d.ID != nil; said && d.Number != i+1 || !said && d.ID != nil {
			return false
		}
		if n := len(d.Location) - len(m.predicate); d.Location != nil &&
			(m.predicate == "" || n < 0 || string(d.Location[n:]) != m.predicate) {
			return false // there is something to learn, see [state.made]
		}
		if s.identifies(m.operation) {
			accepted := bytes.EqualFold(d.Repeated, []byte("accepted"))
			if i == 0 {
				repeats = accepted
			}
			if d.Repeated != nil && !accepted || repeats != accepted {
				return false
			}
		}
		if !opensEntity(d.Body) && (fault.IsHTML(d.Body) || fault.IsError(d.Body)) {
			return false
		}
	}
	if !d.Complete() || !m.r.Done() {
		return false
	}
	if s.identifies(m.operation) {
		s.learned[m.at].repeats = repeats
	}
	if !m.inserts() {
		s.took(&m.target)
	}
	say("POST "+s.services[m.at]+"/$batch", response)
	return true
}

// identifies tells whether an operation has a RequestID.
func (m *manner) identifies(o operation) bool { return m.uncertain == "repeatable" && o.inserts() }

// opensEntity tells of the start of a body, as far as it is the usual one, that it is no page and no error.
func opensEntity(body []byte) bool {
	return len(body) == 0 || len(body) > 4 && body[0] == '{' && body[1] == '"' && body[2] == 'd' && body[3] == '"' ||
		opensEntry(body)
}

// opensEntry is opensEntity for bodies in XML.
func opensEntry(body []byte) bool {
	if len(body) == 0 || body[0] != '<' {
		return false
	}
	start := body[:min(len(body), 300)]
	if entry, declared := bytes.CutPrefix(start, []byte("<?xml ")); declared {
		end := bytes.Index(entry, []byte("?>"))
		if end < 0 || bytes.Contains(start, []byte("<h")) || bytes.Contains(start, []byte("<H")) {
			return false
		}
		start = bytes.TrimLeft(entry[end+2:], "\r\n")
	}
	return bytes.HasPrefix(start, []byte("<entry "))
}

// run is rows of one call that become batches of operations which differ in nothing but key and body.
type run struct {
	p *Plugin
	s *state
	t *entitySet
	// first is the request of the first row, which says what all have in common: its headers are those of all.
	first   *request
	updates bool
	// identified: each row has a RequestID in addition to these.
	identified bool
	rows       []runRow
	// slots are the rows by the hash of their entity, as numbers counted from 1; 0: none.
	slots []uint32
	lanes []runLane
	order []uint32
}

// runRow is a row of a run. group is that of its lane which the row is in, counted from 1.
type runRow struct {
	key, body []byte
	// headers are lines of its own.
	headers []byte
	// lane is the key as all are written that services take for the same.
	lane  []byte
	group int
}

// runLane is a lane with its groups of rows, of which the last one takes more.
type runLane struct{ groups []runGroup }

type runGroup struct {
	rows []uint32
	size int
}

// maxRunLanes is how many lanes a run may have.
const maxRunLanes = 1 << 10

// isRun tells whether rows can be a run.
func (e *encoding) isRun(rows []wit.Row) bool {
	s := e.s
	learned, shown := s.learned[e.to.at], s.evidence[e.to.same]
	if len(rows) < 2 || !s.batches || s.lanes > maxRunLanes || learned.noBatch || s.tags ||
		shown.numbers || shown.fills || !e.mayGoDirect() || !e.to.flat.addressed {
		return false
	}
	for i := range rows {
		if rows[i].Topic != rows[0].Topic || rows[i].Value.Form != rows[0].Value.Form ||
			rows[i].Value.Schema != rows[0].Value.Schema {
			return false
		}
	}
	return true
}

// encodeRun makes deliveries of rows that are a run, as [grouping] does of others. ok is false where they are none.
func (e *encoding) encodeRun(topic string, rows []wit.Row, origins []wit.RecordID,
	originTopics []string) (ready []wit.Delivery, ok bool) {
	e.row = &rows[0]
	if !e.isRun(rows) {
		return nil, false
	}
	e.came(0, origins, originTopics)
	q, err := e.request(topic)
	if err != nil || q == nil || !e.direct || len(q.body) == 0 || q.alone() {
		return nil, false
	}
	p := e.p
	r := run{p: p, s: e.s, t: e.to, first: q, rows: p.runs.rows, lanes: make([]runLane, e.s.lanes),
		updates: !q.inserts(), identified: e.s.identifies(q.operation)}
	if r.identified {
		q.headers = slices.Clip(q.headers[:len(q.headers)-len(e.identity())])
	}
	r.rows = append(r.rows[:0], make([]runRow, len(rows))...)
	p.runs.rows = r.rows
	defer func() { // what was made is kept by nothing but the deliveries
		clear(p.runs.rows)
		clear(p.runs.items)
		if p.runs.content = p.runs.content[:0]; !reused || cap(p.runs.content) > maxChunk {
			p.runs.content = nil
		}
	}()
	slots := 8
	for slots < 2*len(rows) {
		slots *= 2
	}
	p.runs.slots = append(p.runs.slots[:0], make([]uint32, slots)...)
	r.slots = p.runs.slots
	w, ok := e.walk()
	if !ok {
		return nil, false
	}
	from := w.at
	for i := range rows {
		e.row = &rows[i]
		row := &r.rows[i]
		if w.k == nil || i == 0 {
			if w, ok = e.walk(); !ok {
				return nil, false
			}
		} else {
			// Of one schema, whose rows begin with the same byte.
			d := &e.row.Value
			w.b, w.at, w.next = e.data[d.Start:d.Start+d.Size], from, 0
			if from > 0 && (len(w.b) == 0 || w.b[0] != e.data[rows[0].Value.Start]) {
				return nil, false
			}
		}
		if row.body, ok = e.object(&w, r.updates); !ok {
			return nil, false
		}
		if row.key, row.lane, ok = e.predicateOfRow(); !ok {
			return nil, false
		}
		if r.identified {
			e.came(i, origins, originTopics)
			row.headers = e.identityOfRow()
		}
		if !r.add(uint32(i)) {
			return nil, false
		}
	}
	return r.deliveries(), true
}

// predicateOfRow writes the predicate of the row, whose key properties [encoding.object] has met just before, and the
// text from which its lane is made. ok is false for a key that a run doesn't take: one that lacks a property, or holds
// a value out of its range or too long. Both texts are memory of the call.
func (e *encoding) predicateOfRow() (predicate, lane []byte, ok bool) {
	p := e.p
	p.ofKey.uri = p.ofKey.uri[:0]
	var digits [24]byte
	other := false
	for i, property := range e.to.flat.keyProperties {
		at := &p.body.places[i]
		if at.To == 0 {
			return nil, nil, false
		}
		c := property
		k := uri.Key{Name: c.property.Name, Literal: uri.Literal{Type: c.property.Type.Primitive}}
		if c.bounded {
			n, size := datum.Number(e.data[at.From:at.To])
			if size <= 0 || n < c.least || n > c.most {
				return nil, nil, false
			}
			if len(e.to.flat.keyProperties) == 1 && c.property.Type.Primitive == edm.Int32 {
				p.ofKey.texts = p.keyRoom()
				start := len(p.ofKey.texts)
				p.ofKey.texts = append(strconv.AppendInt(append(p.ofKey.texts, '('), n, 10), ')')
				return p.ofKey.texts[start:], p.ofKey.texts[start:], true
			}
			k.Literal.Text = string(strconv.AppendInt(digits[:0], n, 10))
		} else {
			text, size := datum.Block(e.data[at.From:at.To])
			if size <= 0 || c.property.Length > 0 && len(text) > c.property.Length {
				return nil, nil, false
			}
			k.Literal.Text = string(text)
			other = other || hasSpellings(keyValue{value: value.Converted{Type: edm.String, Text: k.Literal.Text}})
		}
		p.ofKey.uri = append(p.ofKey.uri, k)
	}
	p.ofKey.texts = p.keyRoom()
	start := len(p.ofKey.texts)
	p.ofKey.texts = slices.Grow(uri.AppendPredicate(p.ofKey.texts, p.ofKey.uri), encode.Room)
	predicate = p.ofKey.texts[start:]
	if !other {
		return predicate, predicate, true
	}
	for i := range p.ofKey.uri {
		if l := &p.ofKey.uri[i].Literal; l.Type == edm.String {
			l.Text = canonicalText(l.Text)
		}
	}
	return predicate, uri.AppendPredicate(nil, p.ofKey.uri), true
}

// identityOfRow is the lines of the headers by which a service knows the row's POST again, in memory of the call.
func (e *encoding) identityOfRow() []byte {
	p := e.p
	p.ofKey.texts = p.keyRoom()
	start := len(p.ofKey.texts)
	p.ofKey.texts = slices.Grow(e.appendIdentity(p.ofKey.texts), encode.Room)
	return p.ofKey.texts[start:]
}

// reused: memory of what a call has made is used by the next one, when the host has copied it. Outside of a host, tests
// go on looking at it.
const reused = runtime.GOARCH == "wasm"

// keyChunk is the least memory that keys are written to, several to a piece.
const keyChunk = 32 << 10

// keyRoom is memory for a key, with room after it for one of usual length.
func (p *Plugin) keyRoom() []byte {
	if cap(p.ofKey.texts)-len(p.ofKey.texts) < 4*encode.Room {
		return make([]byte, 0, keyChunk)
	}
	return p.ofKey.texts
}

// add puts a row into a group of its lane: the last one, unless that is full or an earlier row of the same entity is in
// it (P20). ok is false where the hashes of too many entities meet, which those of ordinary keys don't.
func (r *run) add(i uint32) (ok bool) {
	row := &r.rows[i]
	h := r.t.lane
	for _, c := range row.lane {
		h = (h ^ uint32(c)) * laneFactor
	}
	last := 0
	mask := uint32(len(r.slots) - 1)
	at := (h ^ h>>15) & mask
	for met := 0; r.slots[at] != 0; at = (at + 1) & mask {
		if met++; met > maxMet {
			return false
		}
		if other := &r.rows[r.slots[at]-1]; string(other.lane) == string(row.lane) {
			last = other.group
			break
		}
	}
	r.slots[at] = i + 1
	number := h % uint32(r.s.lanes)
	l := &r.lanes[number]
	if len(l.groups) == 0 {
		r.order = append(r.order, number)
	}
	size := len(row.body) + len(r.t.path) + 400
	if r.updates {
		size += len(row.key)
	}
	if n := len(l.groups); n > last && r.fits(&l.groups[n-1], size) {
		g := &l.groups[n-1]
		g.rows, g.size, row.group = append(g.rows, i), g.size+size, n
		return true
	}
	most := min(r.s.most, len(r.rows)/len(r.lanes)+len(r.rows)/8+8)
	l.groups = append(l.groups, runGroup{append(make([]uint32, 0, most), i), size})
	row.group = len(l.groups)
	return true
}

// maxMet is how many entities with hashes next to each other are looked at. Hashes are not secret: who chooses keys
// could else make all of a batch meet.
const maxMet = 128

// fits tells whether a group takes one more.
func (r *run) fits(g *runGroup, size int) bool {
	bytes := maxBytes
	if limit := r.s.learned[r.t.at].most; limit > 0 {
		bytes = min(bytes, limit)
	}
	return len(g.rows) < r.s.most && g.size+size <= bytes
}

func (r *run) deliveries() []wit.Delivery {
	var out []wit.Delivery
	if before := r.p.runs.wanted; reused && before <= maxChunk && before > cap(r.p.runs.content) {
		r.p.runs.content = make([]byte, 0, before) // what all batches of the call before took
	}
	r.p.runs.wanted = 0
	for _, number := range r.order {
		groups := r.lanes[number].groups
		for n := range groups {
			var d wit.Delivery
			if g := &groups[n]; len(g.rows) == 1 {
				d = r.single(g.rows[0])
			} else {
				d = r.together(g)
			}
			d.Lane = number
			out = append(out, d)
		}
	}
	return out
}

// single is the delivery of one row.
func (r *run) single(i uint32) wit.Delivery {
	q, row := *r.first, &r.rows[i]
	q.row, q.body, q.predicate = i, row.body, string(row.key)
	for line := range strings.Lines(string(row.headers)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\r\n"), ": ")
		q.headers = append(q.headers, wit.Header{Name: name, Value: value})
	}
	return r.s.single(&q)
}

// together is the delivery of several rows in a batch.
func (r *run) together(g *runGroup) wit.Delivery {
	t, q, p := r.t, r.first, r.p
	all := r.s.allTogether || !r.s.oneByOne && !t.sap && !r.s.learned[t.at].one
	service := t.service + "/"
	a := batch.Alike{Method: q.method, Target: strings.TrimPrefix(t.path, service), Headers: q.headers,
		Apart: !all || !r.s.allTogether && q.inserts(),
		Items: append(p.runs.items[:0], make([]batch.Item, len(g.rows))...)}
	p.runs.items = a.Items
	keys := 0
	for n, i := range g.rows {
		if a.Items[n].Body, a.Items[n].Headers = r.rows[i].body, r.rows[i].headers; r.updates {
			a.Items[n].Key = r.rows[i].key
		}
		keys += len(r.rows[i].key) + 2
	}
	from := len(p.runs.content)
	content, boundary := batch.AppendAlike(p.runs.content[from:], &a)
	if cap(content) == cap(p.runs.content)-from {
		p.runs.content = p.runs.content[:from+len(content)]
	} else {
		p.runs.content = content
	}
	p.runs.wanted += len(content) + len(content)/4
	first := q.target
	first.predicate = string(r.rows[g.rows[0]].key)
	memo := first.append(appendHead(make([]byte, 0, keys+60), t.at, len(content), len(g.rows)), nil, true)
	says := memoLike
	if a.Apart {
		says |= memoPart
	}
	for _, i := range g.rows[1:] {
		key := r.rows[i].key
		memo = append(pack.Number(pack.Number(memo, says), len(key)), key...)
	}
	return t.batched(content, boundary, memo, g.rows, q.class() != once)
}
