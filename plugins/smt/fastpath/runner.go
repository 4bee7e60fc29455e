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
	routes  []*route // the route of each topic of the call, for chains without header tests
	loop    kernel.Rows
	pieces  []byte // the edited values of one row
	// copiedRow and copiedData hold a copy of the last row, see [Runner.copyWithRoom].
	copiedRow      [1]wit.Row
	copiedData     []byte
	sameTopicEnd   int      // the current row and all rows before this index get the same topic
	sameHeadersEnd int      // the current row and all rows before this index have the same headerResults
	headerResults  uint64   // see [Routes.testHeaders]
	separated      tristate // caches whether results may be appended in place after each value
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
func (r *Runner) Reset() {
	r.routes = append(r.routes[:0], make([]*route, len(r.call.Topics))...)
	r.sameTopicEnd = 0
	r.sameHeadersEnd = 0
	r.separated = unknown
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
func (r *Runner) Run(routes *Routes, start int) (next int) {
	row := &r.call.Rows[start]
	if r.Off || int(row.Topic) >= len(r.call.Topics) {
		return start
	}
	topic := r.call.Topics[row.Topic]
	seg := segment{rows: r.call.Rows, data: r.call.Data, start: start, outTopic: row.Topic}
	current := r.routes[row.Topic]
	if len(routes.headerTests) > 0 {
		if !r.loadHeaderResults(routes, start) {
			return start
		}
		current = routes.route(topic, r.headerResults)
		seg.rows = seg.rows[:r.sameHeadersEnd]
	} else if current == nil {
		current = routes.route(topic, 0)
		r.routes[row.Topic] = current
	}
	if current.needsInterpreter || (current.excludesTombstones && current.dropsRows) {
		return start
	}
	if current.dropsRows {
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
		r.canAppendInPlace() // examines all rows of the call
		if start >= r.sameTopicEnd {
			r.sameTopicEnd = router.SameTopic(r.call.Rows, start)
		}
		seg.rows = seg.rows[:min(len(seg.rows), r.sameTopicEnd)]
	}
	topicsBefore := r.out.Topics
	if name != topic {
		seg.outTopic = r.out.Topic(name, r.call.Topics)
	}
	if len(current.stages) > 0 && isLast(&row.Value, seg.data) {
		seg = r.copyWithRoom(row, seg)
	}
	next = seg.first + r.runRoute(current, seg)
	if next == start {
		r.out.Topics = topicsBefore // no row has the new topic
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
func (r *Runner) copyWithRoom(row *wit.Row, seg segment) segment {
	end := row.Value.Start + row.Value.Size
	r.copiedData = append(append(r.copiedData[:0], seg.data[row.Value.Start:end]...), make([]byte, kernel.Room)...)
	r.copiedRow[0] = *row
	r.copiedRow[0].Value.Start = 0
	r.copiedRow[0].Headers.Start = uint32(len(r.copiedData)) // the copy has none
	r.separated = no
	return segment{rows: r.copiedRow[:], data: r.copiedData, first: seg.start, outTopic: seg.outTopic}
}

// loadHeaderResults sets headerResults and sameHeadersEnd for a row. It returns false for invalid headers.
func (r *Runner) loadHeaderResults(routes *Routes, start int) bool {
	rows := r.call.Rows
	data := r.call.Data
	if start < r.sameHeadersEnd {
		return true
	}
	for end := start; end < len(rows); end++ {
		slice := &rows[end].Headers
		if slice.Encoding == wit.Raw && uint64(slice.Start)+uint64(slice.Size) > uint64(len(data)) {
			break
		}
		results := routes.testHeaders(&rows[end], data)
		if end > start && results != r.headerResults {
			break
		}
		r.headerResults = results
		r.sameHeadersEnd = end + 1
	}
	return start < r.sameHeadersEnd
}

// runRoute processes the rows of one route. Like all functions below, it returns the index in seg.rows of the first row
// that it has not processed.
func (r *Runner) runRoute(current *route, seg segment) int {
	value := &seg.rows[seg.start].Value
	switch {
	case len(current.stages)+len(current.hoists) == 0:
		return r.passThrough(current, seg)
	case value.Encoding == wit.Schemaless && current.mapProgram != nil:
		result := compile.EncodingWord(wit.Schemaless, 0)
		if current.mapProgram.SameBytes {
			result = compile.EncodingWord(wit.Unchanged, 0)
		}
		next := r.runValues(current.mapProgram, seg, kernel.EncodingWords{Result: result})
		current.misses = max(0, current.misses-(next-seg.start))
		return next
	case value.Encoding == wit.WithSchema:
		if schema, program, ok := current.programs.Last(); ok && program.Usable {
			return r.runStructs(program, schema, seg)
		}
	}
	return seg.start
}

// beginLoop prepares the kernel's state for a segment. The caller must call endLoop.
func (r *Runner) beginLoop(seg segment, words kernel.EncodingWords) *kernel.Rows {
	out := r.out
	r.loop = kernel.Rows{
		Input: kernel.Input{In: unsafe.Pointer(unsafe.SliceData(seg.rows)), Count: len(seg.rows), First: seg.first,
			Topic: uint64(seg.rows[seg.start].Topic), Data: unsafe.Pointer(unsafe.SliceData(seg.data)),
			Limit: len(seg.data) - kernel.Room},
		EncodingWords: words,
		Output: kernel.Output{Out: unsafe.Pointer(unsafe.SliceData(out.Rows)), OutCount: len(out.Rows),
			OutLimit: cap(out.Rows), OutTopic: uint64(seg.outTopic), Dst: unsafe.Pointer(unsafe.SliceData(out.Data)),
			DstEnd: len(out.Data), DstSize: cap(out.Data), DstFull: batch.MaxData},
		Progress: kernel.Progress{N: seg.start},
	}
	return &r.loop
}

// endLoop adds what the kernel has written to the output, and returns the index of the first row that is left.
func (r *Runner) endLoop() int {
	loop := &r.loop
	next := loop.N
	r.out.Rows = r.out.Rows[:loop.OutCount]
	r.out.Data = r.out.Data[:loop.DstEnd]
	*loop = kernel.Rows{} // releases the call's memory
	return next
}

// grow ensures space for the result of a row.
func (r *Runner) grow(row *wit.Row) {
	loop := &r.loop
	need := (int(row.Value.Size)+int(row.Headers.Size)+loop.Edited)<<loop.Program.GrowthShift + loop.Program.Extra +
		kernel.Room
	bigger := make([]byte, loop.DstEnd, max(2*cap(r.out.Data), loop.DstEnd+need, 64<<10))
	copy(bigger, r.out.Data[:loop.DstEnd])
	r.out.Data = bigger
	loop.Dst = unsafe.Pointer(unsafe.SliceData(bigger))
	loop.DstSize = cap(bigger)
}

// passThrough processes rows to which no operation applies.
func (r *Runner) passThrough(current *route, seg segment) int {
	words := kernel.EncodingWords{KeepMask: compile.EncodingWord(0, ^uint32(0)),
		Result: compile.EncodingWord(wit.Unchanged, 0)}
	value := &seg.rows[seg.start].Value
	if current.excludesTombstones {
		// Rows of another encoding or schema may be tombstones.
		nodes := r.scratch.Schemas.Nodes(value.Schema)
		if value.Encoding != wit.Schemaless && (value.Encoding != wit.WithSchema || nodes == nil || nodes[0].Optional) {
			return seg.start
		}
		words.Mask = compile.EncodingWord(0xff, ^uint32(0))
		words.Value = compile.EncodingWord(value.Encoding, value.Schema)
	}
	seg.data = nil
	kernel.Pass(r.beginLoop(seg, words))
	return r.endLoop()
}

func (r *Runner) runStructs(program *compile.Program, schema uint32, seg segment) int {
	words := kernel.EncodingWords{Value: compile.EncodingWord(wit.WithSchema, schema),
		Result: compile.EncodingWord(wit.WithSchema, program.Schema)}
	if program.SameBytes {
		words.Result = compile.EncodingWord(wit.Unchanged, program.Schema)
	}
	changesOnlySchema := program.SameBytes && program.Key == 0 && program.Headers == 0 && program.Edits == 0
	if changesOnlySchema && !program.Reader.Nodes[0].Optional {
		words.Mask = compile.EncodingWord(0xff, ^uint32(0))
		kernel.Pass(r.beginLoop(seg, words))
		return r.endLoop()
	}
	return r.runValues(program, seg, words)
}

func (r *Runner) runValues(program *compile.Program, seg segment, words kernel.EncodingWords) int {
	isInPlace := program.Tail.Appends != 0 && r.canAppendInPlace() && len(r.out.Data) == 0
	if !isInPlace {
		r.out.MoveInPlace()
	}
	loop := r.beginLoop(seg, words)
	loop.Program = &program.Program
	if isInPlace {
		loop.Program = &program.Tail
		loop.Dst = loop.Data
	}
	fieldCount := program.FieldCount
	if program.Reader != nil {
		fieldCount = len(program.Reader.Fields)
	}
	r.scratch.GrowEnds(fieldCount + 1)
	loop.Ends = unsafe.Pointer(unsafe.SliceData(r.scratch.Ends))
	for {
		switch kernel.Values(loop) {
		case kernel.Done:
			return r.endValues(seg, isInPlace)
		case kernel.Full:
			r.grow(&seg.rows[loop.N])
		case kernel.Edit:
			if !r.editRow(program, &seg.rows[loop.N], seg.data) {
				return r.endValues(seg, isInPlace)
			}
		case kernel.Skip:
			value := &seg.rows[loop.N].Value
			size, err := valueSize(program, loop.Field-1, seg.data[loop.Position:value.Start+value.Size])
			if err != nil {
				return r.endValues(seg, isInPlace)
			}
			loop.Position += size
		}
	}
}

// endValues ends the loop. If results were appended in place, the data up to the last one is the output.
func (r *Runner) endValues(seg segment, isInPlace bool) int {
	loop := &r.loop
	if isInPlace {
		if loop.N > seg.start {
			r.out.InPlace = seg.data[:loop.DstEnd]
		}
		loop.DstEnd = len(r.out.Data)
	}
	return r.endLoop()
}

// valueSize returns the size of a field or entry whose type the kernel does not support.
func valueSize(program *compile.Program, index int, input []byte) (int, error) {
	if program.Reader == nil {
		return connectdata.SkipSchemaless(input)
	}
	return program.Reader.SkipField(index, input)
}

// editRow computes the edited values of the current row. It returns false if an edit fails.
func (r *Runner) editRow(program *compile.Program, row *wit.Row, data []byte) bool {
	b := r.pieces[:0]
	base := unsafe.Pointer(unsafe.SliceData(b)) // pieces refer to it, so b must not move while it grows
	for i := range program.Edited {
		from := len(b)
		var failure *rowerror.Failure
		if b, failure = program.Edited[i].Append(b, r.scratch.Ends, data, row); failure != nil {
			return false
		}
		program.Pieces[i] = kernel.Piece{Bytes: unsafe.Add(base, from), Size: len(b) - from}
	}
	if cap(b)-len(b) < kernel.Room || unsafe.Pointer(unsafe.SliceData(b)) != base {
		r.pieces = make([]byte, 0, 2*cap(b)+kernel.Room)
		return r.editRow(program, row, data)
	}
	r.loop.Edited = 1 + len(b)
	return true
}

// canAppendInPlace reports whether results may be appended to the values in the call's data. It examines all rows.
func (r *Runner) canAppendInPlace() bool {
	if r.separated == unknown {
		r.separated = no
		call := r.call
		input := kernel.Input{In: unsafe.Pointer(unsafe.SliceData(call.Rows)), Count: len(call.Rows),
			Limit: len(call.Data) - kernel.Room}
		if len(call.Data) <= batch.MaxData && kernel.Separated(&kernel.Rows{Input: input}) == 1 {
			r.separated = yes
		}
	}
	return r.separated == yes
}

// maxMisses limits how many rows are traced for programs that no later row could use.
const maxMisses = 50

// Learn compiles a program for rows like this one, which the interpreter has handled.
func (r *Runner) Learn(routes *Routes, rowIndex int) {
	row := &r.call.Rows[rowIndex]
	results := r.headerResults
	if rowIndex >= r.sameHeadersEnd {
		results = routes.testHeaders(row, r.call.Data)
	}
	current := routes.route(r.call.Topics[row.Topic], results)
	switch {
	case current.needsInterpreter, current.dropsRows, len(current.stages)+len(current.hoists) == 0:
		// nothing to compile: the rows need the interpreter, or no program
	case row.Value.Encoding == wit.WithSchema:
		program, err := current.programs.Get(&r.scratch.Schemas, row.Value.Schema,
			func([]wit.SchemaNode) *compile.Program { return &compile.Program{} })
		if err == nil && !program.Usable && program.Misses < maxMisses {
			misses := program.Misses + 1
			*program = *current.trace(r.scratch, row, r.call.Data)
			program.Misses = misses
		}
	case row.Value.Encoding == wit.Schemaless && current.misses < maxMisses:
		current.misses++
		if program := current.trace(r.scratch, row, r.call.Data); program.Usable {
			current.mapProgram = program
		}
	}
}
