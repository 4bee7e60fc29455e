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

// plain is a batch whose operations differ in nothing but key and body, as settle knows it again. Its answer mostly is
// plain too, and is gone over without being taken apart; all others are settled as those of any batch.
type plain struct {
	at, size int
	operation
	// path is the entity set's.
	path string
	// apart: each operation has a changeset of its own, else all are in one.
	apart bool
	// bare: without If-Match, as in [hint].
	bare bool
	// count is how many operations there are; what follows are the predicates of their entities.
	count      int
	predicates *pack.Reader
}

// memo is what settle needs to know of it, without the predicates.
func (b *plain) memo(dst []byte, place string) []byte {
	dst = pack.Text(pack.Number(dst, int(severalPlain)), place)
	dst = pack.Text(pack.Number(pack.Number(pack.Number(dst, b.at), b.size), int(b.operation)), b.path)
	return pack.Number(pack.Flag(pack.Flag(dst, b.apart), b.bare), b.count)
}

func readPlain(r *pack.Reader) (b plain, ok bool) {
	b = plain{at: r.Number(), size: r.Number(), operation: operation(r.Number()), path: r.Text(), apart: r.Flag(),
		bare: r.Flag()}
	b.count = r.Count()
	b.predicates = r
	return b, !r.Bad && b.count > 0 && b.at >= 0
}

// hint is that of each operation.
func (b *plain) hint() hint { return hint{bare: b.bare} }

// together is the batch taken apart.
func (b *plain) together() (t together, ok bool) {
	t = together{at: b.at, size: b.size, operationCounts: []int{b.count}, rows: make([]sentRequest, b.count)}
	if b.apart {
		t.operationCounts = make([]int, b.count)
	}
	predicates := *b.predicates
	for i := range t.rows {
		a := sentRequest{operation: b.operation, at: b.at, path: b.path, predicate: predicates.Text(), batched: true,
			hint: b.hint()}
		if a.operation != insert && a.operation != upsertInsert {
			a.path += a.predicate
		}
		if t.rows[i] = a; b.apart {
			t.operationCounts[i] = 1
		}
	}
	t.operations = t.rows
	return t, predicates.Done()
}

// settlePlain is the verdicts on the rows of such a batch. stale: its memo can't be read.
func (p *Plugin) settlePlain(s *state, b *plain, place string, response *wit.Response) (verdicts []wit.Verdict,
	stale bool, err error) {
	if all, repeats := p.allWritten(s, b, response); all {
		s.learned[b.at].refused = 0
		if b.identified(s) {
			s.learned[b.at].repeats = repeats
		}
		if !b.inserts() {
			s.took(&sentRequest{at: b.at, path: b.path, hint: b.hint()})
		}
		say("POST "+place, response)
		for len(p.writtenRows) < b.count {
			p.writtenRows = append(p.writtenRows, written())
		}
		return p.writtenRows[:b.count:b.count], false, nil
	}
	t, ok := b.together()
	if !ok {
		return nil, true, nil
	}
	verdicts, err = s.settleTogether(t, place, response)
	return verdicts, false, err
}

// identified tells whether the operations have RequestIDs.
func (b *plain) identified(s *state) bool {
	return s.uncertain == "repeatable" && b.inserts()
}

// allWritten tells whether a plain answer says of each operation that it was done, and nothing else that there is
// something to learn from but whether the service knows their RequestIDs: what [state.settleTogether] makes of it is
// known then.
func (p *Plugin) allWritten(s *state, b *plain, response *wit.Response) (all, repeats bool) {
	if !success(response.Status) {
		return false, false
	}
	var inserted *entitySet
	if b.inserts() {
		inserted = s.setOf(&sentRequest{path: b.path, at: b.at})
	}
	identified := b.identified(s)
	d, ok := batch.NewPlain(headerOf(response, "Content-Type"), response.Body)
	if !ok {
		return false, false
	}
	predicates := *b.predicates
	said := false
	for i := range b.count {
		predicate := predicates.Text()
		if !d.Next() || d.First != (b.apart || i == 0) {
			return false, false
		}
		if said = said || i == 0 && d.ID != nil; said && d.Number != i+1 || !said && d.ID != nil {
			return false, false
		}
		if n := len(d.Location) - len(predicate); d.Location != nil &&
			(predicate == "" || n < 0 || string(d.Location[n:]) != predicate) {
			return false, false
		}
		if inserted != nil && predicate != "" && (d.Location != nil || len(d.Body) > 0) &&
			!s.numbering[inserted.same].keeps() && (s.teaches(inserted, predicate) ||
			d.Location == nil && string(p.predicateIn(inserted, d.Body)) != predicate) {
			return false, false // there is something to learn, see [state.made]
		}
		if identified {
			accepted := bytes.EqualFold(d.Repeated, []byte("accepted"))
			if i == 0 {
				repeats = accepted
			}
			if d.Repeated != nil && !accepted || repeats != accepted {
				return false, false
			}
		}
		if !opensEntity(d.Body) && (fault.IsHTML(d.Body) || fault.IsError(d.Body)) {
			return false, false
		}
	}
	return d.Complete() && predicates.Done(), repeats
}

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
	// identified: each row has a RequestID beside these.
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
	learned := s.learned[e.target.at]
	if len(rows) < 2 || !s.batches || s.lanes > maxRunLanes || learned.noBatch || s.tags ||
		s.numbering[e.target.same].gives() || !e.direct() || !e.target.flat.addressed {
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
	if err != nil || q == nil || !e.short || len(q.body) == 0 || q.alone() {
		return nil, false
	}
	p := e.p
	r := run{p: p, s: e.s, t: e.target, first: q, rows: p.run, lanes: make([]runLane, e.s.lanes),
		updates: !q.inserts(), identified: q.inserts() && e.s.uncertain == "repeatable"}
	if r.identified {
		q.headers = slices.Clip(q.headers[:len(q.headers)-len(e.identity())])
	}
	r.rows = append(r.rows[:0], make([]runRow, len(rows))...)
	p.run = r.rows
	defer func() { // what was made is kept by nothing but the deliveries
		clear(p.run)
		clear(p.operations)
		if p.content = p.content[:0]; !reused || cap(p.content) > maxChunk {
			p.content = nil
		}
	}()
	slots := 8
	for slots < 2*len(rows) {
		slots *= 2
	}
	p.slots = append(p.slots[:0], make([]uint32, slots)...)
	r.slots = p.slots
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
	p.uriKeys = p.uriKeys[:0]
	var digits [24]byte
	other := false
	for i, property := range e.target.flat.keyProperties {
		at := &p.places[i]
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
			if len(e.target.flat.keyProperties) == 1 && c.property.Type.Primitive == edm.Int32 {
				p.keyTexts = p.keyRoom()
				start := len(p.keyTexts)
				p.keyTexts = append(strconv.AppendInt(append(p.keyTexts, '('), n, 10), ')')
				return p.keyTexts[start:], p.keyTexts[start:], true
			}
			k.Literal.Text = string(strconv.AppendInt(digits[:0], n, 10))
		} else {
			text, size := datum.Block(e.data[at.From:at.To])
			if size <= 0 || c.property.Length > 0 && len(text) > c.property.Length {
				return nil, nil, false
			}
			k.Literal.Text = string(text)
			other = other || varied(keyValue{value: value.Converted{Type: edm.String, Text: k.Literal.Text}})
		}
		p.uriKeys = append(p.uriKeys, k)
	}
	p.keyTexts = p.keyRoom()
	start := len(p.keyTexts)
	p.keyTexts = slices.Grow(uri.AppendPredicate(p.keyTexts, p.uriKeys), encode.Room)
	predicate = p.keyTexts[start:]
	if !other {
		return predicate, predicate, true
	}
	for i := range p.uriKeys {
		if l := &p.uriKeys[i].Literal; l.Type == edm.String {
			l.Text = sameText(l.Text)
		}
	}
	return predicate, uri.AppendPredicate(nil, p.uriKeys), true
}

// identityOfRow is the lines of the headers by which a service knows the row's POST again, in memory of the call.
func (e *encoding) identityOfRow() []byte {
	p := e.p
	p.keyTexts = p.keyRoom()
	start := len(p.keyTexts)
	p.keyTexts = slices.Grow(e.appendIdentity(p.keyTexts), encode.Room)
	return p.keyTexts[start:]
}

// reused: memory of what a call has made is used by the next one, when the host has copied it. Outside of a host, tests
// go on looking at it.
const reused = runtime.GOARCH == "wasm"

// keyChunk is the least memory that keys are written to, several to a piece.
const keyChunk = 32 << 10

// keyRoom is memory for a key, with room behind it for one of usual length.
func (p *Plugin) keyRoom() []byte {
	if cap(p.keyTexts)-len(p.keyTexts) < 4*encode.Room {
		return make([]byte, 0, keyChunk)
	}
	return p.keyTexts
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
	if before := r.p.contents; reused && before <= maxChunk && before > cap(r.p.content) {
		r.p.content = make([]byte, 0, before) // what all batches of the call before took
	}
	r.p.contents = 0
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
	q.row, q.body, q.predicate, q.path = i, row.body, string(row.key), r.t.path
	if r.updates {
		q.path += q.predicate
	}
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
	b := plain{at: t.at, operation: q.operation, path: t.path, count: len(g.rows),
		bare: q.hint.bare, apart: !all || !r.s.allTogether && q.inserts()}
	a := batch.Alike{Method: q.method, Target: strings.TrimPrefix(t.path, service), Headers: q.headers, Apart: b.apart,
		Items: append(p.operations[:0], make([]batch.Item, len(g.rows))...)}
	p.operations = a.Items
	keys := 0
	for n, i := range g.rows {
		if a.Items[n].Body, a.Items[n].Headers = r.rows[i].body, r.rows[i].headers; r.updates {
			a.Items[n].Key = r.rows[i].key
		}
		keys += len(r.rows[i].key) + 2
	}
	from := len(p.content)
	content, boundary := batch.AppendAlike(p.content[from:], &a)
	if cap(content) == cap(p.content)-from {
		p.content = p.content[:from+len(content)]
	} else {
		p.content = content
	}
	b.size = len(content)
	p.contents += len(content) + len(content)/4
	memo := b.memo(make([]byte, 0, keys+len(service)+len(t.path)+60), t.service+"/$batch")
	for _, i := range g.rows {
		key := r.rows[i].key
		memo = append(datum.AppendNumber(memo, int64(len(key))), key...)
	}
	return wit.Delivery{Memo: memo, Rows: g.rows, Request: wit.Request{Method: "POST",
		Target: t.query.On(t.service + "/$batch"), Body: content, TokenFrom: &t.root, Repeatable: q.class() != once,
		Headers: batchHeaders(boundary)}}
}
