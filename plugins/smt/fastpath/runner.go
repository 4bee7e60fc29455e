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
	scratch *object.Scratch
	// routes holds the route of each topic of the call, for chains without header tests.
	routes []*route
	loop   kernel.Rows
	pieces []byte // the edited values of one row
	// copiedRow and copiedData hold a copy of the last row, see [Runner.copyWithRoom].
	copiedRow  [1]wit.Row
	copiedData []byte
	// Rows before sameTopicEnd get the same topic, rows before sameHeadersEnd have the same headerResults.
	sameTopicEnd, sameHeadersEnd int
	headerResults                uint64
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

// NewRunner returns a runner that reads call and writes out.
func NewRunner(call *batch.Input, out *batch.Output, scratch *object.Scratch) Runner {
	return Runner{call: call, out: out, scratch: scratch}
}

// Reset prepares for the rows of another call.
func (l *Runner) Reset() {
	l.routes = append(l.routes[:0], make([]*route, len(l.call.Topics))...)
	l.sameTopicEnd, l.sameHeadersEnd, l.separated = 0, 0, unknown
}

// segment is a range of rows that get the same topic: rows[start:], and the data that they refer to.
type segment struct {
	rows     []wit.Row
	data     []byte
	start    int
	first    int // index of rows[0] in the call
	outTopic uint32
}

// Run processes rows from start on and returns the index of the first row that needs the interpreter.
func (l *Runner) Run(routes *Routes, start int) (next int) {
	row := &l.call.Rows[start]
	if l.Off || int(row.Topic) >= len(l.call.Topics) {
		return start
	}
	topic := l.call.Topics[row.Topic]
	seg := segment{rows: l.call.Rows, data: l.call.Data, start: start, outTopic: row.Topic}
	current := l.routes[row.Topic]
	if len(routes.headerTests) > 0 {
		if !l.testHeaders(routes, start) {
			return start
		}
		current, seg.rows = routes.route(topic, l.headerResults), seg.rows[:l.sameHeadersEnd]
	} else if current == nil {
		current = routes.route(topic, 0)
		l.routes[row.Topic] = current
	}
	if current.interpreted || current.notTombstone && current.drops {
		return start
	}
	if current.drops {
		return sameTopicEnd(seg.rows, start)
	}
	name := current.topic
	if router := current.timestampRouter; router != nil {
		if row.Timestamp < 0 {
			return start
		}
		if name = router.TopicAt(name, row.Timestamp); name == "" {
			return start
		}
		l.canAppendInPlace() // examines all rows of the call
		if start >= l.sameTopicEnd {
			l.sameTopicEnd = router.SameTopic(l.call.Rows, start)
		}
		seg.rows = seg.rows[:min(len(seg.rows), l.sameTopicEnd)]
	}
	topicsBefore := l.out.Topics
	if name != topic {
		seg.outTopic = l.out.Topic(name, l.call.Topics)
	}
	if len(current.stages) > 0 && isLast(&row.Value, seg.data) {
		seg = l.copyWithRoom(row, seg)
	}
	next = seg.first + l.runRoute(current, seg)
	if next == start {
		l.out.Topics = topicsBefore // no row has the new topic
	}
	return next
}

// sameTopicEnd returns the end of the rows from start on that have the topic of the first one.
func sameTopicEnd(rows []wit.Row, start int) int {
	end := start + 1
	for end < len(rows) && rows[end].Topic == rows[start].Topic {
		end++
	}
	return end
}

// isLast reports whether a value ends so close to the end of the data that the kernel cannot read beyond it.
func isLast(value *wit.ValueSlice, data []byte) bool {
	end := uint64(value.Start) + uint64(value.Size)
	return end <= uint64(len(data)) && end+kernel.Room > uint64(len(data))
}

// copyWithRoom returns a copy of a row at the end of the data, so that the kernel can read beyond its value.
func (l *Runner) copyWithRoom(row *wit.Row, seg segment) segment {
	end := row.Value.Start + row.Value.Size
	l.copiedData = append(append(l.copiedData[:0], seg.data[row.Value.Start:end]...), make([]byte, kernel.Room)...)
	l.copiedRow[0] = *row
	l.copiedRow[0].Value.Start = 0
	l.copiedRow[0].Headers.Start = uint32(len(l.copiedData)) // the copy has none
	l.separated = no
	return segment{rows: l.copiedRow[:], data: l.copiedData, first: seg.start, outTopic: seg.outTopic}
}

// testHeaders sets headerResults and sameHeadersEnd for a row. It returns false for invalid headers.
func (l *Runner) testHeaders(routes *Routes, start int) bool {
	rows, data := l.call.Rows, l.call.Data
	if start < l.sameHeadersEnd {
		return true
	}
	for end := start; end < len(rows); end++ {
		slice := &rows[end].Headers
		if slice.Encoding == wit.Raw && uint64(slice.Start)+uint64(slice.Size) > uint64(len(data)) {
			break
		}
		results := routes.testHeaders(&rows[end], data)
		if end > start && results != l.headerResults {
			break
		}
		l.headerResults, l.sameHeadersEnd = results, end+1
	}
	return start < l.sameHeadersEnd
}

// runRoute processes the rows of one route. Like all functions below, it returns the index in seg.rows of the first row
// that it has not processed.
func (l *Runner) runRoute(current *route, seg segment) int {
	value := &seg.rows[seg.start].Value
	switch {
	case len(current.stages)+len(current.hoists) == 0:
		return l.passThrough(current, seg)
	case value.Encoding == wit.Schemaless && current.mapProgram != nil:
		result := compile.EncodingWord(wit.Schemaless, 0)
		if current.mapProgram.SameBytes {
			result = compile.EncodingWord(wit.Unchanged, 0)
		}
		next := l.runValues(current.mapProgram, seg, kernel.EncodingWords{Result: result})
		current.misses = max(0, current.misses-(next-seg.start))
		return next
	case value.Encoding == wit.WithSchema:
		if schema, program, ok := current.programs.Last(); ok && program.Usable {
			return l.runStructs(program, schema, seg)
		}
	}
	return seg.start
}

func (l *Runner) beginLoop(seg segment, words kernel.EncodingWords) *kernel.Rows {
	out := l.out
	l.loop = kernel.Rows{
		Input: kernel.Input{In: unsafe.Pointer(unsafe.SliceData(seg.rows)), Count: len(seg.rows), First: seg.first,
			Topic: uint64(seg.rows[seg.start].Topic), Data: unsafe.Pointer(unsafe.SliceData(seg.data)),
			Limit: len(seg.data) - kernel.Room},
		EncodingWords: words,
		Output: kernel.Output{Out: unsafe.Pointer(unsafe.SliceData(out.Rows)), OutCount: len(out.Rows),
			OutLimit: cap(out.Rows), OutTopic: uint64(seg.outTopic), Dst: unsafe.Pointer(unsafe.SliceData(out.Data)),
			DstEnd: len(out.Data), DstSize: cap(out.Data), DstFull: batch.MaxData},
		Progress: kernel.Progress{N: seg.start},
	}
	return &l.loop
}

// endLoop adds what the kernel has written to the output.
func (l *Runner) endLoop() int {
	loop := &l.loop
	next := loop.N
	l.out.Rows, l.out.Data = l.out.Rows[:loop.OutCount], l.out.Data[:loop.DstEnd]
	*loop = kernel.Rows{} // releases the call's memory
	return next
}

// grow ensures space for the result of a row.
func (l *Runner) grow(row *wit.Row) {
	loop := &l.loop
	need := (int(row.Value.Size)+int(row.Headers.Size)+loop.Edited)<<loop.Program.GrowthShift + loop.Program.Extra +
		kernel.Room
	bigger := make([]byte, loop.DstEnd, max(2*cap(l.out.Data), loop.DstEnd+need, 64<<10))
	copy(bigger, l.out.Data[:loop.DstEnd])
	l.out.Data = bigger
	loop.Dst, loop.DstSize = unsafe.Pointer(unsafe.SliceData(bigger)), cap(bigger)
}

// passThrough processes rows to which no operation applies.
func (l *Runner) passThrough(current *route, seg segment) int {
	words := kernel.EncodingWords{KeepMask: compile.EncodingWord(0, ^uint32(0)),
		Result: compile.EncodingWord(wit.Unchanged, 0)}
	if value := &seg.rows[seg.start].Value; current.notTombstone {
		// Rows of another encoding or schema may be tombstones.
		nodes := l.scratch.Schemas.Nodes(value.Schema)
		if value.Encoding != wit.Schemaless &&
			(value.Encoding != wit.WithSchema || nodes == nil || nodes[0].Optional) {
			return seg.start
		}
		words.Mask = compile.EncodingWord(0xff, ^uint32(0))
		words.Value = compile.EncodingWord(value.Encoding, value.Schema)
	}
	seg.data = nil
	kernel.Pass(l.beginLoop(seg, words))
	return l.endLoop()
}

func (l *Runner) runStructs(program *compile.Program, schema uint32, seg segment) int {
	words := kernel.EncodingWords{Value: compile.EncodingWord(wit.WithSchema, schema),
		Result: compile.EncodingWord(wit.WithSchema, program.Schema)}
	if program.SameBytes {
		words.Result = compile.EncodingWord(wit.Unchanged, program.Schema)
	}
	onlySchema := program.SameBytes && program.Key == 0 && program.Headers == 0 && program.Edits == 0
	if onlySchema && !program.Reader.Nodes[0].Optional {
		words.Mask = compile.EncodingWord(0xff, ^uint32(0))
		kernel.Pass(l.beginLoop(seg, words))
		return l.endLoop()
	}
	return l.runValues(program, seg, words)
}

func (l *Runner) runValues(program *compile.Program, seg segment, words kernel.EncodingWords) int {
	appends := program.Tail.Appends != 0 && l.canAppendInPlace() && len(l.out.Data) == 0
	if !appends {
		l.out.MoveInPlace()
	}
	loop := l.beginLoop(seg, words)
	loop.Program = &program.Program
	if appends {
		loop.Program, loop.Dst = &program.Tail, loop.Data
	}
	fieldCount := program.FieldCount
	if program.Reader != nil {
		fieldCount = len(program.Reader.Fields)
	}
	l.scratch.GrowEnds(fieldCount + 1)
	loop.Ends = unsafe.Pointer(unsafe.SliceData(l.scratch.Ends))
	for {
		switch kernel.Values(loop) {
		case kernel.Done:
			return l.endValues(seg, appends)
		case kernel.Full:
			l.grow(&seg.rows[loop.N])
		case kernel.Edit:
			if !l.editRow(program, &seg.rows[loop.N], seg.data) {
				return l.endValues(seg, appends)
			}
		case kernel.Skip:
			value := &seg.rows[loop.N].Value
			size, err := valueSize(program, loop.Field-1, seg.data[loop.Position:value.Start+value.Size])
			if err != nil {
				return l.endValues(seg, appends)
			}
			loop.Position += size
		}
	}
}

// endValues ends the loop. If results were appended in place, the data up to the last one is the output.
func (l *Runner) endValues(seg segment, appended bool) int {
	if loop := &l.loop; appended {
		if loop.N > seg.start {
			l.out.InPlace = seg.data[:loop.DstEnd]
		}
		loop.DstEnd = len(l.out.Data)
	}
	return l.endLoop()
}

// valueSize returns the size of a field or entry whose type the kernel does not support.
func valueSize(program *compile.Program, index int, input []byte) (int, error) {
	if program.Reader == nil {
		return connectdata.SkipSchemaless(input)
	}
	return program.Reader.SkipField(index, input)
}

// editRow computes the edited values of the current row. It returns false if an edit fails.
func (l *Runner) editRow(program *compile.Program, row *wit.Row, data []byte) bool {
	b := l.pieces[:0]
	base := unsafe.Pointer(unsafe.SliceData(b)) // pieces refer to it, so b must not move while it grows
	for i := range program.Edited {
		from := len(b)
		var failure *rowerror.Failure
		if b, failure = program.Edited[i].Append(b, l.scratch.Ends, data, row); failure != nil {
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

func (l *Runner) canAppendInPlace() bool {
	if l.separated == unknown {
		l.separated = no
		call := l.call
		input := kernel.Input{In: unsafe.Pointer(unsafe.SliceData(call.Rows)), Count: len(call.Rows),
			Limit: len(call.Data) - kernel.Room}
		if len(call.Data) <= batch.MaxData && kernel.Separated(&kernel.Rows{Input: input}) == 1 {
			l.separated = yes
		}
	}
	return l.separated == yes
}

// maxMisses limits how many rows are traced for programs that no later row could use.
const maxMisses = 50

// Learn compiles a program for rows like a given one, which the interpreter has handled.
func (l *Runner) Learn(routes *Routes, rowIndex int) {
	row := &l.call.Rows[rowIndex]
	results := l.headerResults
	if rowIndex >= l.sameHeadersEnd {
		results = routes.testHeaders(row, l.call.Data)
	}
	current := routes.route(l.call.Topics[row.Topic], results)
	switch {
	case current.interpreted, current.drops, len(current.stages)+len(current.hoists) == 0:
	case row.Value.Encoding == wit.WithSchema:
		program, err := current.programs.Get(&l.scratch.Schemas, row.Value.Schema,
			func([]wit.SchemaNode) *compile.Program { return &compile.Program{} })
		if err == nil && !program.Usable && program.Misses < maxMisses {
			misses := program.Misses + 1
			*program = *current.trace(l.scratch, row, l.call.Data)
			program.Misses = misses
		}
	case row.Value.Encoding == wit.Schemaless && current.misses < maxMisses:
		current.misses++
		if program := current.trace(l.scratch, row, l.call.Data); program.Usable {
			current.mapProgram = program
		}
	}
}
