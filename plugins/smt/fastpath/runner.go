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
func (l *Runner) Run(routes *Routes, rowIndex int) int {
	rows, data := l.call.Rows, l.call.Data
	row := &rows[rowIndex]
	if l.Off || int(row.Topic) >= len(l.call.Topics) {
		return rowIndex
	}
	current := l.routes[row.Topic]
	if len(routes.headers) > 0 {
		if !l.matchHeaders(routes, rowIndex) {
			return rowIndex
		}
		current, rows = routes.route(l.call.Topics[row.Topic], l.headerMatches), rows[:l.sameHeadersEnd]
	} else if current == nil {
		current = routes.route(l.call.Topics[row.Topic], 0)
		l.routes[row.Topic] = current
	}
	if current.interpreted || current.notTombstone && current.drops {
		return rowIndex
	}
	if current.drops {
		for rowIndex++; rowIndex < len(rows) && rows[rowIndex].Topic == row.Topic; rowIndex++ {
		}
		return rowIndex
	}
	outTopic, name := row.Topic, current.topic
	topicsBefore := l.out.Topics
	if current.timestampRouter != nil {
		if row.Timestamp < 0 {
			return rowIndex
		}
		if name = current.timestampRouter.TopicAt(name, row.Timestamp); name == "" {
			return rowIndex
		}
		l.canAppendInPlace() // examines all rows of the call
		if rowIndex >= l.sameTopicEnd {
			l.sameTopicEnd = current.timestampRouter.SameTopic(l.call.Rows, rowIndex)
		}
		rows = rows[:min(len(rows), l.sameTopicEnd)]
	}
	if name != l.call.Topics[outTopic] {
		outTopic = l.out.Topic(name, l.call.Topics)
	}
	first := 0
	if end := uint64(row.Value.Start) + uint64(row.Value.Size) + kernel.Room; len(current.stages) > 0 &&
		end > uint64(len(data)) && end <= uint64(len(data))+kernel.Room {
		rows, data = l.copyWithRoom(row, data)
		first, rowIndex = rowIndex, 0
	}
	next := first + l.runRoute(current, first, outTopic, rows, rowIndex, data)
	if next == first+rowIndex {
		l.out.Topics = topicsBefore // no row has the new topic
	}
	return next
}

// matchHeaders sets headerMatches and sameHeadersEnd for row n. It returns false for invalid headers.
func (l *Runner) matchHeaders(routes *Routes, rowIndex int) bool {
	rows, data := l.call.Rows, l.call.Data
	if rowIndex < l.sameHeadersEnd {
		return true
	}
	for end := rowIndex; end < len(rows); end++ {
		slice := &rows[end].Headers
		if slice.Encoding == wit.Raw && uint64(slice.Start)+uint64(slice.Size) > uint64(len(data)) {
			break
		}
		matches := routes.matchHeaders(&rows[end], data)
		if end > rowIndex && matches != l.headerMatches {
			break
		}
		l.headerMatches, l.sameHeadersEnd = matches, end+1
	}
	return rowIndex < l.sameHeadersEnd
}

// runRoute is Run for rows of one route. first is the index of rows[0] in the call.
func (l *Runner) runRoute(current *route, first int, outTopic uint32, rows []wit.Row, rowIndex int, data []byte) int {
	slice := &rows[rowIndex].Value
	switch {
	case len(current.stages)+len(current.hoists) == 0:
		return l.passThrough(current, outTopic, rows, rowIndex)
	case slice.Encoding == wit.Schemaless && current.mapProgram != nil:
		result := compile.EncodingWord(wit.Schemaless, 0)
		if current.mapProgram.SameBytes {
			result = compile.EncodingWord(wit.Unchanged, 0)
		}
		done := l.runValues(current.mapProgram, first, outTopic, rows, rowIndex, data, 0, result)
		current.misses = max(0, current.misses-(done-rowIndex))
		return done
	case slice.Encoding == wit.WithSchema:
		if schema, program, ok := current.programs.Last(); ok && program.Usable {
			return l.runStructs(program, schema, first, outTopic, rows, rowIndex, data)
		}
	}
	return rowIndex
}

// copyWithRoom copies a row at the end of the data so that the kernel can read beyond its value.
func (l *Runner) copyWithRoom(row *wit.Row, data []byte) ([]wit.Row, []byte) {
	end := row.Value.Start + row.Value.Size
	l.tail = append(append(l.tail[:0], data[row.Value.Start:end]...), make([]byte, kernel.Room)...)
	l.single[0] = *row
	l.single[0].Value.Start = 0
	l.single[0].Headers.Start = uint32(len(l.tail)) // the copy has none
	l.separated = no
	return l.single[:], l.tail
}

func (l *Runner) beginLoop(first int, outTopic uint32, rows []wit.Row, rowIndex int, data []byte) *kernel.Rows {
	out := l.out
	l.loop = kernel.Rows{In: unsafe.Pointer(unsafe.SliceData(rows)), First: first, N: rowIndex, Count: len(rows),
		Out: unsafe.Pointer(unsafe.SliceData(out.Rows)), OutCount: len(out.Rows), OutLimit: cap(out.Rows),
		Data: unsafe.Pointer(unsafe.SliceData(data)), Limit: len(data) - kernel.Room,
		Dst: unsafe.Pointer(unsafe.SliceData(out.Data)), DstEnd: len(out.Data), DstSize: cap(out.Data),
		DstFull: batch.MaxData,
		Topic:   uint64(rows[rowIndex].Topic), OutTopic: uint64(outTopic)}
	return &l.loop
}

func (l *Runner) endLoop() int {
	loop := &l.loop
	rowIndex := loop.N
	l.out.Rows, l.out.Data = l.out.Rows[:loop.OutCount], l.out.Data[:loop.DstEnd]
	*loop = kernel.Rows{} // releases the call's memory
	return rowIndex
}

func (l *Runner) grow(row *wit.Row) {
	loop := &l.loop
	need := (int(row.Value.Size)+int(row.Headers.Size)+loop.Edited)<<loop.Program.GrowthShift + loop.Program.Extra +
		kernel.Room
	bigger := make([]byte, loop.DstEnd, max(2*cap(l.out.Data), loop.DstEnd+need, 64<<10))
	copy(bigger, l.out.Data[:loop.DstEnd])
	l.out.Data = bigger
	loop.Dst, loop.DstSize = unsafe.Pointer(unsafe.SliceData(bigger)), cap(bigger)
}

// passThrough is runRoute for a route without operations.
func (l *Runner) passThrough(current *route, outTopic uint32, rows []wit.Row, rowIndex int) int {
	var mask, match uint64
	if slice := &rows[rowIndex].Value; current.notTombstone {
		// Rows of another encoding or schema may be tombstones.
		nodes := l.buffers.Schemas.Nodes(slice.Schema)
		if slice.Encoding != wit.Schemaless && (slice.Encoding != wit.WithSchema || nodes == nil || nodes[0].Optional) {
			return rowIndex
		}
		mask, match = compile.EncodingWord(0xff, ^uint32(0)), compile.EncodingWord(slice.Encoding, slice.Schema)
	}
	loop := l.beginLoop(0, outTopic, rows, rowIndex, nil)
	loop.Mask, loop.Value = mask, match
	loop.KeepMask, loop.Result = compile.EncodingWord(0, ^uint32(0)), compile.EncodingWord(wit.Unchanged, 0)
	kernel.Pass(loop)
	return l.endLoop()
}

func (l *Runner) runStructs(program *compile.Program, schema uint32, first int, outTopic uint32, rows []wit.Row,
	rowIndex int,
	data []byte) int {
	match, result := compile.EncodingWord(wit.WithSchema, schema), compile.EncodingWord(wit.WithSchema, program.Schema)
	if program.SameBytes {
		result = compile.EncodingWord(wit.Unchanged, program.Schema)
	}
	if program.SameBytes && program.Key == 0 && program.Headers == 0 && program.Edits == 0 &&
		!program.Layout.Nodes[0].Optional {
		loop := l.beginLoop(first, outTopic, rows, rowIndex, data)
		loop.Value, loop.Mask, loop.Result = match, compile.EncodingWord(0xff, ^uint32(0)), result
		kernel.Pass(loop)
		return l.endLoop()
	}
	return l.runValues(program, first, outTopic, rows, rowIndex, data, match, result)
}

// runValues runs the kernel. match and result are the encoding words of the values, see [compile.EncodingWord].
func (l *Runner) runValues(program *compile.Program, first int, outTopic uint32, rows []wit.Row, rowIndex int,
	data []byte, match,
	result uint64) int {
	out := l.out
	appends := program.Tail.Appends != 0 && l.canAppendInPlace() && len(out.Data) == 0
	if !appends {
		out.MoveInPlace()
	}
	loop := l.beginLoop(first, outTopic, rows, rowIndex, data)
	loop.Program, loop.Value, loop.Result = &program.Program, match, result
	if appends {
		loop.Program, loop.Dst = &program.Tail, loop.Data
	}
	fieldCount := program.FieldCount
	if program.Layout != nil {
		fieldCount = len(program.Layout.Fields)
	}
	l.buffers.GrowEnds(fieldCount + 1)
	loop.Ends = unsafe.Pointer(unsafe.SliceData(l.buffers.Ends))
	for {
		switch reason := kernel.Values(loop); reason {
		case kernel.Done:
			return l.endValues(appends, rowIndex, data)
		case kernel.Full:
			l.grow(&rows[loop.N])
		case kernel.Edit:
			if !l.editRow(program, &rows[loop.N], data) {
				return l.endValues(appends, rowIndex, data)
			}
		default:
			value := &rows[loop.N].Value
			size, err := valueSize(program, loop.Field-1, data[loop.Position:value.Start+value.Size])
			if err != nil {
				return l.endValues(appends, rowIndex, data)
			}
			loop.Position += size
		}
	}
}

// valueSize returns the size of a field or entry whose type the kernel does not support.
func valueSize(program *compile.Program, index int, input []byte) (int, error) {
	if program.Layout == nil {
		return connectdata.SkipSchemaless(input)
	}
	return program.Layout.SkipField(index, input)
}

// editRow computes the edited values of the current row. It returns false if an edit fails.
func (l *Runner) editRow(program *compile.Program, row *wit.Row, data []byte) bool {
	b := l.pieces[:0]
	base := unsafe.Pointer(unsafe.SliceData(b))
	for i := range program.Edited {
		from := len(b)
		var failure *rowerror.Failure
		if b, failure = program.Edited[i].Append(b, l.buffers.Ends, data, row); failure != nil {
			return false
		}
		program.Pieces[i] = kernel.Piece{Bytes: unsafe.Add(base, from), Size: len(b) - from}
	}
	if cap(b)-len(b) < kernel.Room || unsafe.Pointer(unsafe.SliceData(b)) != base {
		l.pieces = make([]byte, 0, 2*cap(b)+kernel.Room)
		return l.editRow(program, row, data)
	}
	l.loop.Edited = 1 + len(b)
	return true
}

func (l *Runner) endValues(appended bool, rowIndex int, data []byte) int {
	if loop := &l.loop; appended {
		if loop.N > rowIndex {
			l.out.InPlace = data[:loop.DstEnd]
		}
		loop.DstEnd = len(l.out.Data)
	}
	return l.endLoop()
}

func (l *Runner) canAppendInPlace() bool {
	if l.separated == unknown {
		l.separated = no
		c := l.call
		loop := &kernel.Rows{In: unsafe.Pointer(unsafe.SliceData(c.Rows)), Count: len(c.Rows),
			Limit: len(c.Data) - kernel.Room}
		if len(c.Data) <= batch.MaxData && kernel.Separated(loop) == kernel.Full {
			l.separated = yes
		}
	}
	return l.separated == yes
}

// maxMisses bounds the traced rows that no later row resembled: tracing rows that all differ is a waste.
const maxMisses = 50

// Learn compiles a program for rows like row n, which the interpreter has handled.
func (l *Runner) Learn(routes *Routes, rowIndex int) {
	row := &l.call.Rows[rowIndex]
	current := routes.route(l.call.Topics[row.Topic], routes.matchHeaders(row, l.call.Data))
	switch {
	case current.interpreted, current.drops, len(current.stages)+len(current.hoists) == 0:
	case row.Value.Encoding == wit.WithSchema:
		program, err := current.programs.Get(&l.buffers.Schemas, row.Value.Schema,
			func([]wit.SchemaNode) *compile.Program {
				return &compile.Program{}
			})
		if err == nil && !program.Usable && program.Misses < maxMisses {
			misses := program.Misses + 1
			*program = *current.trace(l.buffers, row, l.call.Data)
			program.Misses = misses
		}
	case row.Value.Encoding == wit.Schemaless && current.misses < maxMisses:
		current.misses++
		if program := current.trace(l.buffers, row, l.call.Data); program.Usable {
			current.mapProgram = program
		}
	}
}
