package chain

import (
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// runner sends rows of the same kind through the kernel. It stops at a row that the kernel does not support.
type runner struct {
	call    *input
	out     *output
	scratch *record.Scratch
	routes  []*route // the route of each topic of the call, for chains without header tests
	loop    kernel.Rows
	pieces  []byte // the edited values of one row
	// copiedRow and copiedData hold a copy of the last row, see [runner.copyWithRoom].
	copiedRow      [1]wit.Row
	copiedData     []byte
	sameTopicEnd   int      // the current row and all rows before this index get the same topic
	sameHeadersEnd int      // the current row and all rows before this index have the same headerResults
	headerResults  uint64   // see [routeTable.testHeaders]
	separated      tristate // caches whether results may be appended in place after each value
	// off sends all rows to the interpreter, in tests.
	off bool
}

type tristate uint8

const (
	unknown tristate = iota
	yes
	no
)

// reset prepares for the rows of another call.
func (r *runner) reset() {
	r.routes = append(r.routes[:0], make([]*route, len(r.call.topics))...)
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

// run processes rows from start on and returns the index of the first row that needs the interpreter.
func (r *runner) run(routes *routeTable, start int) (next int) {
	row := &r.call.rows[start]
	if r.off || int(row.Topic) >= len(r.call.topics) {
		return start
	}
	topic := r.call.topics[row.Topic]
	seg := segment{rows: r.call.rows, data: r.call.data, start: start, outTopic: row.Topic}
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
		return start // for a route that drops rows, the interpreter must look for tombstones
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
			r.sameTopicEnd = router.SameTopic(r.call.rows, start)
		}
		seg.rows = seg.rows[:min(len(seg.rows), r.sameTopicEnd)]
	}
	topicsBefore := r.out.topics
	if name != topic {
		seg.outTopic = r.out.topic(name, r.call.topics)
	}
	if len(current.stages) > 0 && isLast(&row.Value, seg.data) {
		seg = r.copyWithRoom(row, seg)
	}
	next = seg.first + r.runRoute(current, seg)
	if next == start {
		r.out.topics = topicsBefore // no row has the new topic
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
func (r *runner) copyWithRoom(row *wit.Row, seg segment) segment {
	end := row.Value.Start + row.Value.Size
	r.copiedData = append(append(r.copiedData[:0], seg.data[row.Value.Start:end]...), make([]byte, kernel.Room)...)
	r.copiedRow[0] = *row
	r.copiedRow[0].Value.Start = 0
	r.copiedRow[0].Headers.Start = uint32(len(r.copiedData)) // the copy has none
	r.separated = no
	return segment{rows: r.copiedRow[:], data: r.copiedData, first: seg.start, outTopic: seg.outTopic}
}

// loadHeaderResults sets headerResults and sameHeadersEnd for a row. It returns false for invalid headers.
func (r *runner) loadHeaderResults(routes *routeTable, start int) bool {
	rows := r.call.rows
	data := r.call.data
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
func (r *runner) runRoute(current *route, seg segment) int {
	value := &seg.rows[seg.start].Value
	switch {
	case len(current.stages)+len(current.hoists) == 0:
		return r.passThrough(current, seg)
	case value.Encoding == wit.Schemaless && current.mapProgram != nil:
		result := encodingWord(wit.Schemaless, 0)
		if current.mapProgram.sameBytes {
			result = encodingWord(wit.Unchanged, 0)
		}
		next := r.runValues(current.mapProgram, seg, kernel.EncodingWords{Result: result})
		current.misses = max(0, current.misses-(next-seg.start))
		return next
	case value.Encoding == wit.WithSchema:
		if schema, program, ok := current.programs.Last(); ok && program.usable {
			return r.runStructs(program, schema, seg)
		}
	}
	return seg.start
}

// beginLoop prepares the kernel's state for a segment. The caller must call endLoop.
func (r *runner) beginLoop(seg segment, words kernel.EncodingWords) *kernel.Rows {
	out := r.out
	r.loop = kernel.Rows{
		Input: kernel.Input{In: unsafe.Pointer(unsafe.SliceData(seg.rows)), Count: len(seg.rows), First: seg.first,
			Topic: uint64(seg.rows[seg.start].Topic), Data: unsafe.Pointer(unsafe.SliceData(seg.data)),
			Limit: len(seg.data) - kernel.Room},
		EncodingWords: words,
		Output: kernel.Output{Out: unsafe.Pointer(unsafe.SliceData(out.rows)), OutCount: len(out.rows),
			OutLimit: cap(out.rows), OutTopic: uint64(seg.outTopic), Dst: unsafe.Pointer(unsafe.SliceData(out.data)),
			DstEnd: len(out.data), DstSize: cap(out.data), DstFull: maxData},
		Progress: kernel.Progress{N: seg.start},
	}
	return &r.loop
}

// endLoop adds what the kernel has written to the output, and returns the index of the first row that is left.
func (r *runner) endLoop() int {
	loop := &r.loop
	next := loop.N
	r.out.rows = r.out.rows[:loop.OutCount]
	r.out.data = r.out.data[:loop.DstEnd]
	*loop = kernel.Rows{} // releases the call's memory
	return next
}

// grow ensures space for the result of a row.
func (r *runner) grow(row *wit.Row) {
	loop := &r.loop
	need := (int(row.Value.Size)+int(row.Headers.Size)+loop.Edited)<<loop.Program.GrowthShift + loop.Program.Extra +
		kernel.Room
	bigger := make([]byte, loop.DstEnd, max(2*cap(r.out.data), loop.DstEnd+need, 64<<10))
	copy(bigger, r.out.data[:loop.DstEnd])
	r.out.data = bigger
	loop.Dst = unsafe.Pointer(unsafe.SliceData(bigger))
	loop.DstSize = cap(bigger)
}

// passThrough processes rows to which no operation applies.
func (r *runner) passThrough(current *route, seg segment) int {
	words := kernel.EncodingWords{KeepMask: encodingWord(0, ^uint32(0)), Result: encodingWord(wit.Unchanged, 0)}
	value := &seg.rows[seg.start].Value
	if current.excludesTombstones {
		// Rows of another encoding or schema may be tombstones.
		nodes := r.scratch.Schemas.Nodes(value.Schema)
		if value.Encoding != wit.Schemaless && (value.Encoding != wit.WithSchema || nodes == nil || nodes[0].Optional) {
			return seg.start
		}
		words.Mask = encodingWord(0xff, ^uint32(0)) // compares encoding and schema
		words.Value = encodingWord(value.Encoding, value.Schema)
	}
	seg.data = nil
	kernel.Pass(r.beginLoop(seg, words))
	return r.endLoop()
}

func (r *runner) runStructs(program *compiledProgram, schema uint32, seg segment) int {
	words := kernel.EncodingWords{Value: encodingWord(wit.WithSchema, schema),
		Result: encodingWord(wit.WithSchema, program.schema)}
	if program.sameBytes {
		words.Result = encodingWord(wit.Unchanged, program.schema)
	}
	changesOnlySchema := program.sameBytes && program.Key == 0 && program.Headers == 0 && program.Edits == 0
	if changesOnlySchema && !program.reader.Nodes[0].Optional {
		words.Mask = encodingWord(0xff, ^uint32(0)) // compares encoding and schema
		kernel.Pass(r.beginLoop(seg, words))
		return r.endLoop()
	}
	return r.runValues(program, seg, words)
}

func (r *runner) runValues(program *compiledProgram, seg segment, words kernel.EncodingWords) int {
	isInPlace := program.tail.Appends != 0 && r.canAppendInPlace() && len(r.out.data) == 0
	if !isInPlace {
		r.out.moveInPlace()
	}
	loop := r.beginLoop(seg, words)
	loop.Program = &program.Program
	if isInPlace {
		loop.Program = &program.tail
		loop.Dst = loop.Data
	}
	fieldCount := program.FieldCount
	if program.reader != nil {
		fieldCount = len(program.reader.Fields)
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
func (r *runner) endValues(seg segment, isInPlace bool) int {
	loop := &r.loop
	if isInPlace {
		if loop.N > seg.start {
			r.out.inPlace = seg.data[:loop.DstEnd]
		}
		loop.DstEnd = len(r.out.data)
	}
	return r.endLoop()
}

// valueSize returns the size of a field or entry whose type the kernel does not support.
func valueSize(program *compiledProgram, index int, input []byte) (int, error) {
	if program.reader == nil {
		return connectdata.SkipSchemaless(input)
	}
	return program.reader.SkipField(index, input)
}

// editRow computes the edited values of the current row. It returns false if an edit fails.
func (r *runner) editRow(program *compiledProgram, row *wit.Row, data []byte) bool {
	b := r.pieces[:0]
	base := unsafe.Pointer(unsafe.SliceData(b)) // pieces refer to it, so b must not move while it grows
	for i := range program.edited {
		from := len(b)
		var failure *record.Failure
		if b, failure = program.edited[i].append(b, r.scratch.Ends, data, row); failure != nil {
			return false
		}
		program.pieces[i] = kernel.Piece{Bytes: unsafe.Add(base, from), Size: len(b) - from}
	}
	if cap(b)-len(b) < kernel.Room || unsafe.Pointer(unsafe.SliceData(b)) != base {
		r.pieces = make([]byte, 0, 2*cap(b)+kernel.Room)
		return r.editRow(program, row, data)
	}
	r.loop.Edited = 1 + len(b) // not 0: the kernel continues with the row
	return true
}

// canAppendInPlace reports whether results may be appended to the values in the call's data. It examines all rows.
func (r *runner) canAppendInPlace() bool {
	if r.separated == unknown {
		r.separated = no
		call := r.call
		input := kernel.Input{In: unsafe.Pointer(unsafe.SliceData(call.rows)), Count: len(call.rows),
			Limit: len(call.data) - kernel.Room}
		if len(call.data) <= maxData && kernel.Separated(&kernel.Rows{Input: input}) == 1 {
			r.separated = yes
		}
	}
	return r.separated == yes
}

// maxMisses limits how many rows are traced for programs that no later row could use.
const maxMisses = 50

// learn compiles a program for rows like this one, which the interpreter has handled.
func (r *runner) learn(routes *routeTable, rowIndex int) {
	row := &r.call.rows[rowIndex]
	results := r.headerResults
	if rowIndex >= r.sameHeadersEnd {
		results = routes.testHeaders(row, r.call.data)
	}
	current := routes.route(r.call.topics[row.Topic], results)
	switch {
	case current.needsInterpreter, current.dropsRows, len(current.stages)+len(current.hoists) == 0:
		// nothing to compile: the rows need the interpreter, or no program
	case row.Value.Encoding == wit.WithSchema:
		program, err := current.programs.Get(&r.scratch.Schemas, row.Value.Schema,
			func([]wit.SchemaNode) *compiledProgram { return &compiledProgram{} })
		if err == nil && !program.usable && program.misses < maxMisses {
			misses := program.misses + 1
			*program = *current.trace(r.scratch, row, r.call.data)
			program.misses = misses
		}
	case row.Value.Encoding == wit.Schemaless && current.misses < maxMisses:
		current.misses++
		if program := current.trace(r.scratch, row, r.call.data); program.usable {
			current.mapProgram = program
		}
	}
}
