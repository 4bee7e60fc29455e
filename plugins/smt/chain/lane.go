package chain

import (
	"slices"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// call is what an engine was called with.
type call struct {
	topics []string
	rows   []wit.Row
	data   []byte
}

// callResult is what a call has come to so far.
type callResult struct {
	wit.ApplyResult
	rows []wit.Row
	data []byte
	// here, where it is not nil, is what of the call's data the result has, and nothing else: what is appended to
	// values stands after them. That begins with the call's first byte, so keys, headers and the room between values go
	// back to the host, too.
	here []byte
}

// put writes a column as the result has it.
func (o *callResult) put(d *wit.ValueSlice, c *column) {
	switch {
	case !c.changed:
		*d = wit.ValueSlice{Encoding: wit.Unchanged, Schema: c.schema}
	case c.form == wit.Absent:
		*d = wit.ValueSlice{Encoding: wit.Absent}
	default:
		*d = wit.ValueSlice{Encoding: c.form, Schema: c.schema, Start: uint32(len(o.data)), Size: uint32(len(c.bytes))}
		o.data = append(o.data, c.bytes...)
	}
}

// topic returns the index of a topic in the result's list, which begins with the call's.
func (o *callResult) topic(name string, topics []string) uint32 {
	if o.Topics == nil {
		o.Topics = slices.Clone(topics)
	}
	at := slices.Index(o.Topics, name)
	if at < 0 {
		at = len(o.Topics)
		o.Topics = append(o.Topics, name)
	}
	return uint32(at)
}

// settle moves what was written after the call's values to where other results are written.
func (o *callResult) settle() {
	if o.here != nil {
		o.data = append(o.data, o.here...)
		o.here = nil
	}
}

// maxData is how much Apply writes before it stops early, in bytes.
const maxData = 1 << 20

// lane is the fast lane: it does rows that are alike by the loops of package kernel, as the plain way would have done
// them, or stops at a row that it cannot do.
type lane struct {
	// call is the call at work, out its result; work has the schemas, and room for what is found in a value.
	call *call
	out  *callResult
	work *work
	// routes are those of the call's topics, without conditions on headers.
	routes []*route
	loop   kernel.Rows
	// pieces is what the caller of the kernel makes of values.
	pieces []byte
	// single is the row that tail holds the value of.
	single [1]wit.Row
	tail   []byte
	// stamped is the end of the call's rows that get the same topic by their timestamps as one before them; answered is
	// that of the rows with the same answers of the conditions on headers.
	stamped, answered int
	answers           uint64
	// apart tells whether the values of the call have room after them.
	apart answer
	// off: all rows go the plain way, in tests.
	off bool
}

// answer is whether something is so.
type answer uint8

const (
	notAsked answer = iota
	isApart
	isMixed
)

func (l *lane) begin() {
	l.routes = append(l.routes[:0], make([]*route, len(l.call.topics))...)
	l.stamped, l.answered, l.apart = 0, 0, notAsked
}

// alike handles rows that need nothing but what was compiled before. It returns the first row that is left; the plain
// way does that one, and compiles what the next will need.
func (l *lane) alike(c *transformationChain, n int) int {
	rows, data := l.call.rows, l.call.data
	in := &rows[n]
	if l.off || int(in.Topic) >= len(l.call.topics) {
		return n
	}
	r := l.routes[in.Topic]
	if len(c.headers) > 0 {
		if !l.ask(c, n) {
			return n
		}
		r, rows = c.route(l.call.topics[in.Topic], l.answers), rows[:l.answered]
	} else if r == nil {
		r = c.route(l.call.topics[in.Topic], 0)
		l.routes[in.Topic] = r
	}
	if r.slow || r.live && r.drops {
		return n
	}
	if r.drops {
		for n++; n < len(rows) && rows[n].Topic == in.Topic; n++ {
		}
		return n
	}
	to, name := in.Topic, r.topic
	named := l.out.Topics
	if r.stamp != nil {
		if in.Timestamp < 0 {
			return n
		}
		if name = r.stamp.topicOf(name, in.Timestamp); name == "" {
			return n
		}
		l.mayAppend() // looks at all rows of the call
		if n >= l.stamped {
			l.stamped = r.stamp.alike(l.call.rows, n)
		}
		rows = rows[:min(len(rows), l.stamped)]
	}
	if name != l.call.topics[to] {
		to = l.out.topic(name, l.call.topics)
	}
	first := 0
	if end := uint64(in.Value.Start) + uint64(in.Value.Size) + kernel.Room; len(r.stages) > 0 &&
		end > uint64(len(data)) && end <= uint64(len(data))+kernel.Room {
		rows, data = l.alone(in, data)
		first, n = n, 0
	}
	next := first + l.handle(r, first, to, rows, n, data)
	if next == first+n {
		l.out.Topics = named // a topic that no row got is none of the result's
	}
	return next
}

// ask notes the answers of the conditions on headers for row n, and up to which row they stay the same. It is false for
// headers outside of the call's data.
func (l *lane) ask(c *transformationChain, n int) bool {
	rows, data := l.call.rows, l.call.data
	if n < l.answered {
		return true
	}
	for end := n; end < len(rows); end++ {
		d := &rows[end].Headers
		if d.Encoding == wit.Raw && uint64(d.Start)+uint64(d.Size) > uint64(len(data)) {
			break
		}
		answers := c.answers(&rows[end], data)
		if end > n && answers != l.answers {
			break
		}
		l.answers, l.answered = answers, end+1
	}
	return n < l.answered
}

// handle does rows of one route from n on, and returns the first that it did not do; first is the number of rows[0] in
// the call.
func (l *lane) handle(r *route, first int, to uint32, rows []wit.Row, n int, data []byte) int {
	in, p := &rows[n].Value, r.programs.last
	switch {
	case len(r.stages)+len(r.hoists) == 0:
		return l.pass(r, to, rows, n)
	case in.Encoding == wit.Schemaless && r.shape != nil:
		result := datumWord(wit.Schemaless, 0)
		if r.shape.same {
			result = datumWord(wit.Unchanged, 0)
		}
		done := l.values(r.shape, first, to, rows, n, data, 0, result)
		r.misses = max(0, r.misses-(done-n))
		return done
	case in.Encoding == wit.WithSchema && r.programs.any && p.usable:
		return l.structures(r, p, first, to, rows, n, data)
	}
	return n
}

// alone copies a row without as much after its value as kernels read, so that it has that.
func (l *lane) alone(in *wit.Row, data []byte) ([]wit.Row, []byte) {
	end := in.Value.Start + in.Value.Size
	l.tail = append(append(l.tail[:0], data[in.Value.Start:end]...), make([]byte, kernel.Room)...)
	l.single[0] = *in
	l.single[0].Value.Start = 0
	l.single[0].Headers.Start = uint32(len(l.tail)) // they are not there
	l.apart = isMixed
	return l.single[:], l.tail
}

// beginLoop makes the loop ready for rows of one route from n on; first is the number of rows[0] in the call.
func (l *lane) beginLoop(first int, to uint32, rows []wit.Row, n int, data []byte) *kernel.Rows {
	o := l.out
	l.loop = kernel.Rows{In: unsafe.Pointer(unsafe.SliceData(rows)), First: first, N: n, Count: len(rows),
		Out: unsafe.Pointer(unsafe.SliceData(o.rows)), Made: len(o.rows), Most: cap(o.rows),
		Data: unsafe.Pointer(unsafe.SliceData(data)), Limit: len(data) - kernel.Room,
		Dst: unsafe.Pointer(unsafe.SliceData(o.data)), At: len(o.data), Size: cap(o.data), Full: maxData,
		Topic: uint64(rows[n].Topic), To: uint64(to)}
	return &l.loop
}

// endLoop takes what the loop has made and returns the first row that it did not do.
func (l *lane) endLoop() int {
	s := &l.loop
	n := s.N
	l.out.rows, l.out.data = l.out.rows[:s.Made], l.out.data[:s.At]
	*s = kernel.Rows{} // it holds on to the call's memory
	return n
}

// grow makes room for the result of the row at work, for about a call's worth at once.
func (l *lane) grow(in *wit.Row) {
	s := &l.loop
	need := (int(in.Value.Size)+int(in.Headers.Size)+s.Edited)<<s.Program.Twice + s.Program.Extra + kernel.Room
	bigger := make([]byte, s.At, max(2*cap(l.out.data), s.At+need, 64<<10))
	copy(bigger, l.out.data[:s.At])
	l.out.data = bigger
	s.Dst, s.Size = unsafe.Pointer(unsafe.SliceData(bigger)), cap(bigger)
}

// pass handles rows of one route without steps: only the topic changes. It returns the first row that it did not do.
func (l *lane) pass(r *route, to uint32, rows []wit.Row, n int) int {
	var mask, wanted uint64
	if in := &rows[n].Value; r.live {
		// rows of another form or schema may be tombstones
		nodes := l.work.schemas.known[in.Schema]
		if in.Encoding != wit.Schemaless && (in.Encoding != wit.WithSchema || nodes == nil || nodes[0].Optional) {
			return n
		}
		mask, wanted = datumWord(0xff, ^uint32(0)), datumWord(in.Encoding, in.Schema)
	}
	s := l.beginLoop(0, to, rows, n, nil)
	s.Mask, s.Value = mask, wanted
	s.Keep, s.Result = datumWord(0, ^uint32(0)), datumWord(wit.Unchanged, 0)
	kernel.Pass(s)
	return l.endLoop()
}

// structures handles rows whose values are structures of one schema.
func (l *lane) structures(r *route, p *program, first int, to uint32, rows []wit.Row, n int, data []byte) int {
	wanted, result := datumWord(wit.WithSchema, r.programs.lastID), datumWord(wit.WithSchema, p.schema)
	if p.same {
		result = datumWord(wit.Unchanged, p.schema)
	}
	if p.same && p.Key == 0 && p.Headers == 0 && p.Edits == 0 && !p.layout.optional {
		s := l.beginLoop(first, to, rows, n, data)
		s.Value, s.Mask, s.Result = wanted, datumWord(0xff, ^uint32(0)), result
		kernel.Pass(s)
		return l.endLoop()
	}
	return l.values(p, first, to, rows, n, data, wanted, result)
}

// values has the kernel do rows. wanted and result are the words with form and schema of values.
func (l *lane) values(p *program, first int, to uint32, rows []wit.Row, n int, data []byte, wanted, result uint64) int {
	out := l.out
	appends := p.tail.Appends != 0 && l.mayAppend() && len(out.data) == 0
	if !appends {
		out.settle()
	}
	s := l.beginLoop(first, to, rows, n, data)
	s.Program, s.Value, s.Result = &p.Program, wanted, result
	if appends {
		s.Program, s.Dst = &p.tail, s.Data
	}
	members := p.Members
	if p.layout != nil {
		members = len(p.layout.skips)
	}
	l.work.room(members + 1)
	s.Ends = unsafe.Pointer(unsafe.SliceData(l.work.ends))
	for {
		switch why := kernel.Values(s); why {
		case kernel.Done:
			return l.endValues(appends, n, data)
		case kernel.Full:
			l.grow(&rows[s.N])
		case kernel.Edit:
			if !l.edit(p, &rows[s.N], data) {
				return l.endValues(appends, n, data)
			}
		default:
			value := &rows[s.N].Value
			size, err := p.skipped(s.Member-1, data[s.Place:value.Start+value.Size])
			if err != nil {
				return l.endValues(appends, n, data)
			}
			s.Place += size
		}
	}
}

// skipped is the size of a value that the kernel does not know.
func (p *program) skipped(at int, in []byte) (int, error) {
	if p.layout == nil {
		return connectdata.SkipSchemaless(in)
	}
	return connectdata.Skip(p.layout.skips[at].nodes, p.layout.skips[at].node, in)
}

// edit makes the pieces of the row at work, whose members or entries l.work.ends notes in the call's data, and says so
// to the loop. It is false where an edit fails the row.
func (l *lane) edit(p *program, row *wit.Row, data []byte) bool {
	b := l.pieces[:0]
	base := unsafe.Pointer(unsafe.SliceData(b))
	for i := range p.edited {
		from := len(b)
		var f *failure
		if b, f = p.edited[i].append(b, l.work.ends, data, row); f != nil {
			return false
		}
		p.pieces[i] = kernel.Piece{Bytes: unsafe.Add(base, from), Size: len(b) - from}
	}
	if cap(b)-len(b) < kernel.Room || unsafe.Pointer(unsafe.SliceData(b)) != base {
		// there was too little room
		l.pieces = make([]byte, 0, 2*cap(b)+kernel.Room)
		return l.edit(p, row, data)
	}
	l.loop.Edited = 1 + len(b)
	return true
}

// endValues is endLoop, where results may have been written after the call's values.
func (l *lane) endValues(appended bool, n int, data []byte) int {
	if s := &l.loop; appended {
		if s.N > n {
			l.out.here = data[:s.At]
		}
		s.At = len(l.out.data)
	}
	return l.endLoop()
}

// mayAppend tells whether results may be written after the call's own values: those are apart.
func (l *lane) mayAppend() bool {
	if l.apart == notAsked {
		l.apart = isMixed
		c := l.call
		s := &kernel.Rows{In: unsafe.Pointer(unsafe.SliceData(c.rows)), Count: len(c.rows),
			Limit: len(c.data) - kernel.Room}
		if len(c.data) <= maxData && kernel.Apart(s) == kernel.Full {
			l.apart = isApart
		}
	}
	return l.apart == isApart
}

// maxMisses is how many rows more are traced than come again: records that all differ are not worth it.
const maxMisses = 50

// learn makes the program for rows like one that has gone the plain way.
func (l *lane) learn(c *transformationChain, n int) {
	row := &l.call.rows[n]
	r := c.route(l.call.topics[row.Topic], c.answers(row, l.call.data))
	switch {
	case r.slow, r.drops, len(r.stages)+len(r.hoists) == 0:
	case row.Value.Encoding == wit.WithSchema:
		p, err := r.programs.of(&l.work.schemas, row.Value.Schema,
			func([]wit.SchemaNode) *program { return &program{} })
		if err == nil && !p.usable && p.misses < maxMisses {
			made := &program{}
			r.trace(l.work, made, row, l.call.data)
			made.misses = p.misses + 1
			*p = *made
		}
	case row.Value.Encoding == wit.Schemaless && r.misses < maxMisses:
		r.misses++
		p := &program{}
		if r.trace(l.work, p, row, l.call.data); p.usable {
			r.shape = p
		}
	}
}
