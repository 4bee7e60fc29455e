package fastpath

import (
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/batch"
	"github.com/culvert-project/culvert/plugins/smt/compile"
	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/plugins/smt/object"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Runner is the fast lane: it does rows that are alike by the loops of package kernel, as the plain way would have done
// them, or stops at a row that it cannot do.
type Runner struct {
	// call is the call at work, out its result; buffers has the schemas, and room for what is found in a value.
	call    *batch.Input
	out     *batch.Output
	buffers *object.Scratch
	// routes are those of the call's topics, without conditions on headers.
	routes []*route
	loop   kernel.Rows
	// pieces is what the caller of the kernel makes of values.
	pieces []byte
	// single is the row that tail holds the value of.
	single [1]wit.Row
	tail   []byte
	// sameTopicEnd is the end of the call's rows that get the same topic by their timestamps as one before them; answered is
	// that of the rows with the same answers of the conditions on headers.
	sameTopicEnd, sameHeadersEnd int
	headerMatches                uint64
	// separated tells whether the values of the call have room after them.
	separated tristate
	// Off: all rows go the plain way, in tests.
	Off bool
}

// tristate is whether something is so.
type tristate uint8

const (
	unknown tristate = iota
	yes
	no
)

// NewRunner returns a lane of an engine's call, output and buffers.
func NewRunner(in *batch.Input, out *batch.Output, b *object.Scratch) Runner {
	return Runner{call: in, out: out, buffers: b}
}

// Reset prepares for the rows of another call.
func (l *Runner) Reset() {
	l.routes = append(l.routes[:0], make([]*route, len(l.call.Topics))...)
	l.sameTopicEnd, l.sameHeadersEnd, l.separated = 0, 0, unknown
}

// Run handles rows that need nothing but what was compiled before. It returns the first row that is left; the plain
// way does that one, and compiles what the next will need.
func (l *Runner) Run(c *Routes, n int) int {
	rows, data := l.call.Rows, l.call.Data
	in := &rows[n]
	if l.Off || int(in.Topic) >= len(l.call.Topics) {
		return n
	}
	r := l.routes[in.Topic]
	if len(c.headers) > 0 {
		if !l.matchHeaders(c, n) {
			return n
		}
		r, rows = c.route(l.call.Topics[in.Topic], l.headerMatches), rows[:l.sameHeadersEnd]
	} else if r == nil {
		r = c.route(l.call.Topics[in.Topic], 0)
		l.routes[in.Topic] = r
	}
	if r.interpreted || r.notTombstone && r.drops {
		return n
	}
	if r.drops {
		for n++; n < len(rows) && rows[n].Topic == in.Topic; n++ {
		}
		return n
	}
	to, name := in.Topic, r.topic
	topicsBefore := l.out.Topics
	if r.timestampRouter != nil {
		if in.Timestamp < 0 {
			return n
		}
		if name = r.timestampRouter.TopicAt(name, in.Timestamp); name == "" {
			return n
		}
		l.canAppendInPlace() // looks at all rows of the call
		if n >= l.sameTopicEnd {
			l.sameTopicEnd = r.timestampRouter.SameTopic(l.call.Rows, n)
		}
		rows = rows[:min(len(rows), l.sameTopicEnd)]
	}
	if name != l.call.Topics[to] {
		to = l.out.Topic(name, l.call.Topics)
	}
	first := 0
	if end := uint64(in.Value.Start) + uint64(in.Value.Size) + kernel.Room; len(r.stages) > 0 &&
		end > uint64(len(data)) && end <= uint64(len(data))+kernel.Room {
		rows, data = l.copyWithRoom(in, data)
		first, n = n, 0
	}
	next := first + l.runRoute(r, first, to, rows, n, data)
	if next == first+n {
		l.out.Topics = topicsBefore // a topic that no row got is none of the result's
	}
	return next
}

// matchHeaders notes the answers of the conditions on headers for row n, and up to which row they stay the same. It is false for
// headers outside of the call's data.
func (l *Runner) matchHeaders(c *Routes, n int) bool {
	rows, data := l.call.Rows, l.call.Data
	if n < l.sameHeadersEnd {
		return true
	}
	for end := n; end < len(rows); end++ {
		d := &rows[end].Headers
		if d.Encoding == wit.Raw && uint64(d.Start)+uint64(d.Size) > uint64(len(data)) {
			break
		}
		answers := c.matchHeaders(&rows[end], data)
		if end > n && answers != l.headerMatches {
			break
		}
		l.headerMatches, l.sameHeadersEnd = answers, end+1
	}
	return n < l.sameHeadersEnd
}

// runRoute does rows of one route from n on, and returns the first that it did not do; first is the number of rows[0] in
// the call.
func (l *Runner) runRoute(r *route, first int, to uint32, rows []wit.Row, n int, data []byte) int {
	in := &rows[n].Value
	switch {
	case len(r.stages)+len(r.hoists) == 0:
		return l.passThrough(r, to, rows, n)
	case in.Encoding == wit.Schemaless && r.mapProgram != nil:
		result := compile.EncodingWord(wit.Schemaless, 0)
		if r.mapProgram.SameBytes {
			result = compile.EncodingWord(wit.Unchanged, 0)
		}
		done := l.runValues(r.mapProgram, first, to, rows, n, data, 0, result)
		r.misses = max(0, r.misses-(done-n))
		return done
	case in.Encoding == wit.WithSchema:
		if schema, p, ok := r.programs.Last(); ok && p.Usable {
			return l.runStructs(p, schema, first, to, rows, n, data)
		}
	}
	return n
}

// copyWithRoom copies a row without as much after its value as kernels read, so that it has that.
func (l *Runner) copyWithRoom(in *wit.Row, data []byte) ([]wit.Row, []byte) {
	end := in.Value.Start + in.Value.Size
	l.tail = append(append(l.tail[:0], data[in.Value.Start:end]...), make([]byte, kernel.Room)...)
	l.single[0] = *in
	l.single[0].Value.Start = 0
	l.single[0].Headers.Start = uint32(len(l.tail)) // they are not there
	l.separated = no
	return l.single[:], l.tail
}

// beginLoop makes the loop ready for rows of one route from n on; first is the number of rows[0] in the call.
func (l *Runner) beginLoop(first int, to uint32, rows []wit.Row, n int, data []byte) *kernel.Rows {
	o := l.out
	l.loop = kernel.Rows{In: unsafe.Pointer(unsafe.SliceData(rows)), First: first, N: n, Count: len(rows),
		Out: unsafe.Pointer(unsafe.SliceData(o.Rows)), Made: len(o.Rows), Most: cap(o.Rows),
		Data: unsafe.Pointer(unsafe.SliceData(data)), Limit: len(data) - kernel.Room,
		Dst: unsafe.Pointer(unsafe.SliceData(o.Data)), At: len(o.Data), Size: cap(o.Data), Full: batch.MaxData,
		Topic: uint64(rows[n].Topic), To: uint64(to)}
	return &l.loop
}

// endLoop takes what the loop has made and returns the first row that it did not do.
func (l *Runner) endLoop() int {
	s := &l.loop
	n := s.N
	l.out.Rows, l.out.Data = l.out.Rows[:s.Made], l.out.Data[:s.At]
	*s = kernel.Rows{} // it holds on to the call's memory
	return n
}

// grow makes room for the result of the row at work, for about a call's worth at once.
func (l *Runner) grow(in *wit.Row) {
	s := &l.loop
	need := (int(in.Value.Size)+int(in.Headers.Size)+s.Edited)<<s.Program.Twice + s.Program.Extra + kernel.Room
	bigger := make([]byte, s.At, max(2*cap(l.out.Data), s.At+need, 64<<10))
	copy(bigger, l.out.Data[:s.At])
	l.out.Data = bigger
	s.Dst, s.Size = unsafe.Pointer(unsafe.SliceData(bigger)), cap(bigger)
}

// passThrough handles rows of one route without steps: only the topic changes. It returns the first row that it did not do.
func (l *Runner) passThrough(r *route, to uint32, rows []wit.Row, n int) int {
	var mask, match uint64
	if in := &rows[n].Value; r.notTombstone {
		// rows of another form or schema may be tombstones
		nodes := l.buffers.Schemas.Nodes(in.Schema)
		if in.Encoding != wit.Schemaless && (in.Encoding != wit.WithSchema || nodes == nil || nodes[0].Optional) {
			return n
		}
		mask, match = compile.EncodingWord(0xff, ^uint32(0)), compile.EncodingWord(in.Encoding, in.Schema)
	}
	s := l.beginLoop(0, to, rows, n, nil)
	s.Mask, s.Value = mask, match
	s.Keep, s.Result = compile.EncodingWord(0, ^uint32(0)), compile.EncodingWord(wit.Unchanged, 0)
	kernel.Pass(s)
	return l.endLoop()
}

// runStructs handles rows whose values are structures of one schema.
func (l *Runner) runStructs(p *compile.Program, schema uint32, first int, to uint32, rows []wit.Row, n int, data []byte) int {
	match, result := compile.EncodingWord(wit.WithSchema, schema), compile.EncodingWord(wit.WithSchema, p.Schema)
	if p.SameBytes {
		result = compile.EncodingWord(wit.Unchanged, p.Schema)
	}
	if p.SameBytes && p.Key == 0 && p.Headers == 0 && p.Edits == 0 && !p.Layout.Nodes[0].Optional {
		s := l.beginLoop(first, to, rows, n, data)
		s.Value, s.Mask, s.Result = match, compile.EncodingWord(0xff, ^uint32(0)), result
		kernel.Pass(s)
		return l.endLoop()
	}
	return l.runValues(p, first, to, rows, n, data, match, result)
}

// runValues has the kernel do rows. wanted and result are the words with form and schema of values.
func (l *Runner) runValues(p *compile.Program, first int, to uint32, rows []wit.Row, n int, data []byte, match, result uint64) int {
	out := l.out
	appends := p.Tail.Appends != 0 && l.canAppendInPlace() && len(out.Data) == 0
	if !appends {
		out.MoveInPlace()
	}
	s := l.beginLoop(first, to, rows, n, data)
	s.Program, s.Value, s.Result = &p.Program, match, result
	if appends {
		s.Program, s.Dst = &p.Tail, s.Data
	}
	members := p.Members
	if p.Layout != nil {
		members = len(p.Layout.Fields)
	}
	l.buffers.GrowEnds(members + 1)
	s.Ends = unsafe.Pointer(unsafe.SliceData(l.buffers.Ends))
	for {
		switch reason := kernel.Values(s); reason {
		case kernel.Done:
			return l.endValues(appends, n, data)
		case kernel.Full:
			l.grow(&rows[s.N])
		case kernel.Edit:
			if !l.editRow(p, &rows[s.N], data) {
				return l.endValues(appends, n, data)
			}
		default:
			value := &rows[s.N].Value
			size, err := valueSize(p, s.Member-1, data[s.Place:value.Start+value.Size])
			if err != nil {
				return l.endValues(appends, n, data)
			}
			s.Place += size
		}
	}
}

// valueSize returns the size of a field or entry at the start of in, for values whose types the kernel does not know.
func valueSize(p *compile.Program, at int, in []byte) (int, error) {
	if p.Layout == nil {
		return connectdata.SkipSchemaless(in)
	}
	return p.Layout.SkipField(at, in)
}

// editRow makes the pieces of the row at work, whose members or entries l.buffers.ends notes in the call's data, and says so
// to the loop. It is false where an edit fails the row.
func (l *Runner) editRow(p *compile.Program, row *wit.Row, data []byte) bool {
	b := l.pieces[:0]
	base := unsafe.Pointer(unsafe.SliceData(b))
	for i := range p.Edited {
		from := len(b)
		var f *rowerror.Failure
		if b, f = p.Edited[i].Append(b, l.buffers.Ends, data, row); f != nil {
			return false
		}
		p.Pieces[i] = kernel.Piece{Bytes: unsafe.Add(base, from), Size: len(b) - from}
	}
	if cap(b)-len(b) < kernel.Room || unsafe.Pointer(unsafe.SliceData(b)) != base {
		// there was too little room
		l.pieces = make([]byte, 0, 2*cap(b)+kernel.Room)
		return l.editRow(p, row, data)
	}
	l.loop.Edited = 1 + len(b)
	return true
}

// endValues is endLoop, where results may have been written after the call's values.
func (l *Runner) endValues(appended bool, n int, data []byte) int {
	if s := &l.loop; appended {
		if s.N > n {
			l.out.InPlace = data[:s.At]
		}
		s.At = len(l.out.Data)
	}
	return l.endLoop()
}

// canAppendInPlace tells whether results may be written after the call's own values: those are apart.
func (l *Runner) canAppendInPlace() bool {
	if l.separated == unknown {
		l.separated = no
		c := l.call
		s := &kernel.Rows{In: unsafe.Pointer(unsafe.SliceData(c.Rows)), Count: len(c.Rows),
			Limit: len(c.Data) - kernel.Room}
		if len(c.Data) <= batch.MaxData && kernel.Apart(s) == kernel.Full {
			l.separated = yes
		}
	}
	return l.separated == yes
}

// maxMisses is how many rows more are traced than come again: records that all differ are not worth it.
const maxMisses = 50

// Learn makes the program for rows like one that has gone the plain way.
func (l *Runner) Learn(c *Routes, n int) {
	row := &l.call.Rows[n]
	r := c.route(l.call.Topics[row.Topic], c.matchHeaders(row, l.call.Data))
	switch {
	case r.interpreted, r.drops, len(r.stages)+len(r.hoists) == 0:
	case row.Value.Encoding == wit.WithSchema:
		p, err := r.programs.Get(&l.buffers.Schemas, row.Value.Schema, func([]wit.SchemaNode) *compile.Program { return &compile.Program{} })
		if err == nil && !p.Usable && p.Misses < maxMisses {
			misses := p.Misses + 1
			*p = *r.trace(l.buffers, row, l.call.Data)
			p.Misses = misses
		}
	case row.Value.Encoding == wit.Schemaless && r.misses < maxMisses:
		r.misses++
		if p := r.trace(l.buffers, row, l.call.Data); p.Usable {
			r.mapProgram = p
		}
	}
}
