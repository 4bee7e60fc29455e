package write

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/batch"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// run is rows of one call that become batches of operations which differ in nothing but key and body.
type run struct {
	runs *runMemory
	s    *state
	t    *entitySet
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

// runMemory is memory for the runs of one call. wanted is how much of content the call before took, about.
type runMemory struct {
	rows    []runRow
	slots   []uint32
	items   []batch.Item
	content []byte
	wanted  int
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
func (e *encoding) encodeRun(runs *runMemory, topic string, rows []wit.Row, origins []wit.RecordID,
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
	r := run{runs: runs, s: e.s, t: e.to, first: q, rows: runs.rows, lanes: make([]runLane, e.s.lanes),
		updates: !q.inserts(), identified: e.s.identifies(q.operation)}
	if r.identified {
		q.headers = slices.Clip(q.headers[:len(q.headers)-len(e.identities.headers(e.identity()))])
	}
	r.rows = append(r.rows[:0], make([]runRow, len(rows))...)
	runs.rows = r.rows
	defer func() { // what was made is kept by nothing but the deliveries
		clear(runs.rows)
		clear(runs.items)
		if runs.content = runs.content[:0]; !reused || cap(runs.content) > maxChunk {
			runs.content = nil
		}
	}()
	slots := 8
	for slots < 2*len(rows) {
		slots *= 2
	}
	runs.slots = append(runs.slots[:0], make([]uint32, slots)...)
	r.slots = runs.slots
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
			w.row(d)
			w.at, w.next = from, 0
			if from > 0 && (len(w.b) == 0 || w.b[0] != e.data[rows[0].Value.Start]) {
				return nil, false
			}
		}
		if row.body, ok = e.bodies.write(&w, r.updates); !ok {
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

// predicateOfRow writes the predicate of the row, whose key properties [bodyMemory.write] has met just before, and the
// text from which its lane is made. ok is false for a key that a run doesn't take: one that lacks a property, or holds
// a value out of its range or too long. Both texts are memory of the call.
func (e *encoding) predicateOfRow() (predicate, lane []byte, ok bool) {
	e.ofKey.uri = e.ofKey.uri[:0]
	var digits [24]byte
	other := false
	for i, property := range e.to.flat.keyProperties {
		at := &e.bodies.places[i]
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
				e.ofKey.texts = e.ofKey.room()
				start := len(e.ofKey.texts)
				e.ofKey.texts = append(strconv.AppendInt(append(e.ofKey.texts, '('), n, 10), ')')
				return e.ofKey.texts[start:], e.ofKey.texts[start:], true
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
		e.ofKey.uri = append(e.ofKey.uri, k)
	}
	e.ofKey.texts = e.ofKey.room()
	start := len(e.ofKey.texts)
	e.ofKey.texts = slices.Grow(uri.AppendPredicate(e.ofKey.texts, e.ofKey.uri), encode.Room)
	predicate = e.ofKey.texts[start:]
	if !other {
		return predicate, predicate, true
	}
	for i := range e.ofKey.uri {
		if l := &e.ofKey.uri[i].Literal; l.Type == edm.String {
			l.Text = canonicalText(l.Text)
		}
	}
	return predicate, uri.AppendPredicate(nil, e.ofKey.uri), true
}

// identityOfRow is the lines of the headers by which a service knows the row's POST again, in memory of the call.
func (e *encoding) identityOfRow() []byte {
	e.ofKey.texts = e.ofKey.room()
	start := len(e.ofKey.texts)
	e.ofKey.texts = slices.Grow(e.identities.appendLines(e.ofKey.texts, e.identity()), encode.Room)
	return e.ofKey.texts[start:]
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
	if before := r.runs.wanted; reused && before <= maxChunk && before > cap(r.runs.content) {
		r.runs.content = make([]byte, 0, before) // what all batches of the call before took
	}
	r.runs.wanted = 0
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
	t, q, runs := r.t, r.first, r.runs
	all := r.s.allTogether || !r.s.oneByOne && !t.sap && !r.s.learned[t.at].one
	service := t.service + "/"
	a := batch.Alike{Method: q.method, Target: strings.TrimPrefix(t.path, service), Headers: q.headers,
		Apart: !all || !r.s.allTogether && q.inserts(),
		Items: append(runs.items[:0], make([]batch.Item, len(g.rows))...)}
	runs.items = a.Items
	keys := 0
	for n, i := range g.rows {
		if a.Items[n].Body, a.Items[n].Headers = r.rows[i].body, r.rows[i].headers; r.updates {
			a.Items[n].Key = r.rows[i].key
		}
		keys += len(r.rows[i].key) + 2
	}
	from := len(runs.content)
	content, boundary := batch.AppendAlike(runs.content[from:], &a)
	if cap(content) == cap(runs.content)-from {
		runs.content = runs.content[:from+len(content)]
	} else {
		runs.content = content
	}
	runs.wanted += len(content) + len(content)/4
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
	return t.batched(content, boundary, memo, g.rows, q.class() != classOnce)
}
