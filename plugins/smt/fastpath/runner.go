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

// Runner sends rows of the same kind through the kernel. It stops at a row that the kernel does not support.
type Runner struct {
	call    *batch.Input
	out     *batch.Output
	buffers *object.Scratch
	// routes holds the route of each topic of the call, for chains without predicates on headers.
	routes []*route
	loop   kernel.Rows
	pieces []byte
	single [1]wit.Row
	tail   []byte
	// Rows before sameTopicEnd get the same topic, rows before sameHeadersEnd have the same headerMatches.
	sameTopicEnd, sameHeadersEnd int
	headerMatches                uint64
	// separated caches whether results may be appended in place after each value.
	separated tristate
	// Off sends all rows to the interpreter, in tests.
	Off bool
}

type tristate uint8

const (
	unknown tristate = iota
	yes
	no
)

// NewRunner returns a runner that reads in and writes out.
func NewRunner(in *batch.Input, out *batch.Output, scratch *object.Scratch) Runner {
	return Runner{call: in, out: out, buffers: scratch}
}

// Reset prepares for the rows of another call.
func (l *Runner) Reset() {
	l.routes = append(l.routes[:0], make([]*route, len(l.call.Topics))...)
	l.sameTopicEnd, l.sameHeadersEnd, l.separated = 0, 0, unknown
}

// Run processes rows from n on and returns the first row that needs the interpreter.
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
		l.canAppendInPlace() // examines all rows of the call
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
		l.out.Topics = topicsBefore // no row has the new topic
	}
	return next
}

// matchHeaders sets headerMatches and sameHeadersEnd for row n. It returns false for invalid headers.
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
		matches := c.matchHeaders(&rows[end], data)
		if end > n && matches != l.headerMatches {
			break
		}
		l.headerMatches, l.sameHeadersEnd = matches, end+1
	}
	return n < l.sameHeadersEnd
}

// runRoute is Run for rows of one route. first is the index of rows[0] in the call.
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

// copyWithRoom copies a row at the end of the data so that the kernel can read beyond its value.
func (l *Runner) copyWithRoom(in *wit.Row, data []byte) ([]wit.Row, []byte) {
	end := in.Value.Start + in.Value.Size
	l.tail = append(append(l.tail[:0], data[in.Value.Start:end]...), make([]byte, kernel.Room)...)
	l.single[0] = *in
	l.single[0].Value.Start = 0
	l.single[0].Headers.Start = uint32(len(l.tail)) // the copy has none
	l.separated = no
	return l.single[:], l.tail
}

func (l *Runner) beginLoop(first int, to uint32, rows []wit.Row, n int, data []byte) *kernel.Rows {
	o := l.out
	l.loop = kernel.Rows{In: unsafe.Pointer(unsafe.SliceData(rows)), First: first, N: n, Count: len(rows),
		Out: unsafe.Pointer(unsafe.SliceData(o.Rows)), OutCount: len(o.Rows), OutLimit: cap(o.Rows),
		Data: unsafe.Pointer(unsafe.SliceData(data)), Limit: len(data) - kernel.Room,
		Dst: unsafe.Pointer(unsafe.SliceData(o.Data)), DstEnd: len(o.Data), DstSize: cap(o.Data),
		DstFull: batch.MaxData,
		Topic:   uint64(rows[n].Topic), OutTopic: uint64(to)}
	return &l.loop
}

func (l *Runner) endLoop() int {
	s := &l.loop
	n := s.N
	l.out.Rows, l.out.Data = l.out.Rows[:s.OutCount], l.out.Data[:s.DstEnd]
	*s = kernel.Rows{} // releases the call's memory
	return n
}

func (l *Runner) grow(in *wit.Row) {
	s := &l.loop
	need := (int(in.Value.Size)+int(in.Headers.Size)+s.Edited)<<s.Program.GrowthShift + s.Program.Extra + kernel.Room
	bigger := make([]byte, s.DstEnd, max(2*cap(l.out.Data), s.DstEnd+need, 64<<10))
	copy(bigger, l.out.Data[:s.DstEnd])
	l.out.Data = bigger
	s.Dst, s.DstSize = unsafe.Pointer(unsafe.SliceData(bigger)), cap(bigger)
}

// passThrough is runRoute for a route without operations.
func (l *Runner) passThrough(r *route, to uint32, rows []wit.Row, n int) int {
	var mask, match uint64
	if in := &rows[n].Value; r.notTombstone {
		// Rows of another encoding or schema may be tombstones.
		nodes := l.buffers.Schemas.Nodes(in.Schema)
		if in.Encoding != wit.Schemaless && (in.Encoding != wit.WithSchema || nodes == nil || nodes[0].Optional) {
			return n
		}
		mask, match = compile.EncodingWord(0xff, ^uint32(0)), compile.EncodingWord(in.Encoding, in.Schema)
	}
	s := l.beginLoop(0, to, rows, n, nil)
	s.Mask, s.Value = mask, match
	s.KeepMask, s.Result = compile.EncodingWord(0, ^uint32(0)), compile.EncodingWord(wit.Unchanged, 0)
	kernel.Pass(s)
	return l.endLoop()
}

func (l *Runner) runStructs(p *compile.Program, schema uint32, first int, to uint32, rows []wit.Row, n int,
	data []byte) int {
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

// runValues runs the kernel. match and result are the encoding words of the values, see [compile.EncodingWord].
func (l *Runner) runValues(p *compile.Program, first int, to uint32, rows []wit.Row, n int, data []byte, match,
	result uint64) int {
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
	fieldCount := p.FieldCount
	if p.Layout != nil {
		fieldCount = len(p.Layout.Fields)
	}
	l.buffers.GrowEnds(fieldCount + 1)
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
			size, err := valueSize(p, s.Field-1, data[s.Position:value.Start+value.Size])
			if err != nil {
				return l.endValues(appends, n, data)
			}
			s.Position += size
		}
	}
}

// valueSize returns the size of a field or entry whose type the kernel does not support.
func valueSize(p *compile.Program, at int, in []byte) (int, error) {
	if p.Layout == nil {
		return connectdata.SkipSchemaless(in)
	}
	return p.Layout.SkipField(at, in)
}

// editRow computes the edited values of the current row. It returns false if an edit fails.
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
		l.pieces = make([]byte, 0, 2*cap(b)+kernel.Room)
		return l.editRow(p, row, data)
	}
	l.loop.Edited = 1 + len(b)
	return true
}

func (l *Runner) endValues(appended bool, n int, data []byte) int {
	if s := &l.loop; appended {
		if s.N > n {
			l.out.InPlace = data[:s.DstEnd]
		}
		s.DstEnd = len(l.out.Data)
	}
	return l.endLoop()
}

func (l *Runner) canAppendInPlace() bool {
	if l.separated == unknown {
		l.separated = no
		c := l.call
		s := &kernel.Rows{In: unsafe.Pointer(unsafe.SliceData(c.Rows)), Count: len(c.Rows),
			Limit: len(c.Data) - kernel.Room}
		if len(c.Data) <= batch.MaxData && kernel.Separated(s) == kernel.Full {
			l.separated = yes
		}
	}
	return l.separated == yes
}

// maxMisses bounds the traced rows that no later row resembled: tracing rows that all differ is a waste.
const maxMisses = 50

// Learn compiles a program for rows like row n, which the interpreter has handled.
func (l *Runner) Learn(c *Routes, n int) {
	row := &l.call.Rows[n]
	r := c.route(l.call.Topics[row.Topic], c.matchHeaders(row, l.call.Data))
	switch {
	case r.interpreted, r.drops, len(r.stages)+len(r.hoists) == 0:
	case row.Value.Encoding == wit.WithSchema:
		p, err := r.programs.Get(&l.buffers.Schemas, row.Value.Schema, func([]wit.SchemaNode) *compile.Program {
			return &compile.Program{}
		})
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
