package meter

const (
	priceLoad           = 4
	priceIndirect       = 64
	priceImport         = 16
	priceCall           = 2
	priceBulk           = 24
	priceTable          = 256
	priceGrow           = 256
	leafPrice           = 64
	instructionsPerUnit = 16 // the worth of a unit of fuel
)

// body is a function's body and what [bodyReader] found in it.
type body struct {
	// from, code and to are offsets in the module: of the locals' declarations, of the instructions, and of the end.
	from, code, to int
	// groups is the number of declarations of locals, which begin at localsAt. locals includes parameters.
	groups, localsAt int
	locals           uint32
	// firstLoop and firstEdit index rewriter.loops and rewriter.edits. The first loop is the body itself.
	firstLoop, firstEdit int
	openingLoop          int32 // the loop with which the body begins, 0 for none
	// calls: the body has a call. bulk: it has a bulk operation that is charged by its size.
	calls, bulk bool
	leaf        bool // callers pay for the function
}

// loop is a loop, or a whole body. Its price is charged at its head.
type loop struct {
	at       int
	parent   int32
	targeted bool // a branch jumps back to it
	// calls: its body, without inner loops, has a call. small, known after all bodies are read, means that several
	// iterations are charged in advance.
	calls, small bool
	price        uint64
}

// edit replaces the bytes from at to to of a body.
type edit struct {
	at, to int
	kind   editKind
	// loop pays for a call. index is the index of a function, or the shift from a size to units of fuel.
	loop  int32
	index uint32
}

type editKind byte

const (
	editCall editKind = iota
	editRef
	editLoopHead
	editCopy // split if it is long
	editFill
	editSized // charged in advance by its size
)

func (m *rewriter) code(n int) {
	m.bodies = make([]body, 0, n)
	for i := range n {
		m.checkContext(m.At)
		size := m.Count()
		m.checkFunctionLimit(size, m.options.Limits.FunctionBytes, "the body of function %d in bytes")
		end := m.End
		m.End = m.At + size
		b := body{from: m.At, to: m.End, firstLoop: len(m.loops), firstEdit: len(m.edits)}
		m.locals(&b, m.params[m.types[i]])
		b.code = m.At
		m.loops = append(m.loops, loop{at: m.At})
		m.instructions(&b)
		m.bodies = append(m.bodies, b)
		m.End = end
	}
}

func (m *rewriter) inCode() bool { return m.bodies != nil && len(m.bodies) < len(m.types) }

func (m *rewriter) locals(b *body, params uint32) {
	b.groups = m.Count()
	b.localsAt = m.At
	count := uint64(params)
	for range b.groups {
		count += uint64(m.U32())
		m.valueType()
	}
	m.checkFunctionLimit(int(min(count, 1<<40)), m.options.Limits.Locals, "locals of function %d")
	b.locals = uint32(count)
}

// bodyReader reads the instructions of one body. It finds the loops, their prices, and the instructions to replace.
type bodyReader struct {
	*rewriter
	body      *body
	bodyLoops []loop
	// current is the innermost loop. price is that of the instructions since its head or since an inner loop's end.
	current int32
	price   uint64
	labels  int // of br_table
	stats   functionStats
	opening bool // no instruction so far can have jumped or called
	// smallConstant means that the previous instruction pushed a constant up to bulkFree: a copy of that size is free.
	smallConstant bool
}

func (m *rewriter) instructions(b *body) {
	results := m.results[m.types[len(m.bodies)]]
	m.blocks = append(m.blocks[:0], openBlock{loop: -1, results: int(results)})
	reader := bodyReader{rewriter: m, body: b, bodyLoops: m.loops[b.firstLoop:], opening: true,
		stats: functionStats{results: results}}
	for len(m.blocks) > 0 {
		reader.instruction()
	}
	if m.At != m.End {
		m.Malformed("the body of function %d continues after its end", m.current())
	}
	m.addEffort(b, &reader.stats, reader.bodyLoops)
	reader.bodyLoops[0].price += reader.price
	m.loops = append(m.loops[:b.firstLoop], reader.bodyLoops...)
}

func (r *bodyReader) instruction() {
	start := r.At
	op := r.Byte()
	afterSmall := r.smallConstant
	r.smallConstant = false
	// Nearly half of all instructions read a local whose index has one byte.
	if op == opLocalGet && r.At < r.End && uint32(r.Data[r.At]) < min(r.body.locals, 0x80) {
		r.At++
		r.price++
		r.stats.height++
		return
	}
	r.stats.apply(op)
	var price uint64
	if kind := kinds[op]; kind >= kindBlock && kind <= kindCallIndirect {
		price = r.control(kind, op, start)
	} else {
		price = r.operation(kind, op, start, afterSmall)
	}
	r.price += price
}

// control reads an instruction that changes the flow of control, and returns its price.
func (r *bodyReader) control(kind instructionKind, op byte, start int) (price uint64) {
	if kind == kindBlock {
		return r.openBlock(op)
	}
	r.opening = false
	switch kind {
	case kindEnd:
		r.closeBlock(op)
		return 0
	case kindBranch:
		r.branch()
		r.stats.jump(1)
		r.stats.branches++
	case kindBranchTable:
		count := r.Count() + 1
		r.labels += count
		r.checkFunctionLimit(r.labels, r.options.Limits.Targets, "labels in br_table of function %d")
		for range count {
			r.branch()
		}
		r.stats.table(count)
		return priceLoad
	case kindCall:
		r.body.calls, r.bodyLoops[r.current].calls = true, true
		function := r.Index(r.functions, "function")
		r.edits = append(r.edits, edit{at: start, to: r.At, kind: editCall, loop: r.current, index: function})
		r.stats.call(r.rewriter, r.typeOf(function))
		return priceCall
	case kindCallIndirect:
		r.body.calls, r.bodyLoops[r.current].calls = true, true
		r.stats.call(r.rewriter, r.Index(len(r.params), "type"))
		r.Index(r.tables, "table")
		return priceIndirect
	}
	return 1 // return, unreachable
}

func (r *bodyReader) openBlock(op byte) (price uint64) {
	params, results := r.blockType()
	r.stats.block(params, results)
	block := openBlock{loop: -1, height: max(0, r.stats.height-int(params)), params: int(params),
		results: int(results)}
	switch op {
	case opLoop:
		block.loop = r.openLoop()
		price = 1
	case opIf:
		r.opening = false
		price = 1
	}
	r.blocks = append(r.blocks, block)
	r.checkFunctionLimit(len(r.blocks), r.options.Limits.Nesting, "blocks in each other in function %d")
	return price
}

func (r *bodyReader) openLoop() (index int32) {
	r.stats.loops++
	r.stats.depth++
	r.stats.deepest = max(r.stats.deepest, r.stats.depth)
	index = int32(len(r.bodyLoops))
	r.bodyLoops = append(r.bodyLoops, loop{at: r.At, parent: r.current})
	r.payCurrent()
	if r.opening {
		r.body.openingLoop, r.opening = index, false
	}
	r.edits = append(r.edits, edit{at: r.At, to: r.At, kind: editLoopHead, loop: index})
	r.current = index
	return index
}

func (r *bodyReader) payCurrent() {
	r.bodyLoops[r.current].price += r.price
	r.price = 0
}

func (r *bodyReader) closeBlock(op byte) {
	top := r.blocks[len(r.blocks)-1]
	if op == opElse {
		r.stats.branches++
		r.stats.height = top.height + top.params
		return
	}
	r.blocks = r.blocks[:len(r.blocks)-1]
	r.stats.height = top.height + top.results
	if top.loop >= 0 {
		r.payCurrent()
		r.current = r.bodyLoops[top.loop].parent
		r.stats.depth--
	}
}

// branch reads a label and marks the loop that it jumps back to.
func (r *bodyReader) branch() {
	depth := r.Index(len(r.blocks), "label")
	if n := r.blocks[len(r.blocks)-1-int(depth)].loop; n >= 0 {
		r.bodyLoops[n].targeted = true
	}
}

// operation reads any other instruction, and returns its price.
func (r *bodyReader) operation(kind instructionKind, op byte, start int, afterSmall bool) (price uint64) {
	switch kind {
	case kindPlain:
	case kindSlow:
		return priceLoad
	case kindLoad:
		r.memoryArgument()
		return priceLoad
	case kindStore:
		r.memoryArgument()
	case kindLocal:
		r.Index(int(r.body.locals), "local")
	case kindGlobal:
		r.Index(r.globals, "global")
		return priceLoad
	case kindConstI32:
		r.constI32()
	case kindConstI64:
		r.Skip(10)
	case kindConstF32:
		r.Bytes(4)
	case kindConstF64:
		r.Bytes(8)
	case kindSelect:
		for range r.Count() {
			r.valueType()
		}
	case kindTable:
		r.Index(r.tables, "table")
		return priceLoad
	case kindMemory:
		r.memoryZero()
		if op == opMemoryGrow {
			return priceGrow
		}
	case kindRefNull:
		r.reference()
	case kindRefFunc:
		function := r.Index(r.functions, "function")
		r.edits = append(r.edits, edit{at: start, to: r.At, kind: editRef, index: function})
	case kindMisc:
		return r.miscellaneous(start, afterSmall)
	default:
		r.At = start
		if name := refused[kind]; name != "" {
			r.refuse(name)
		}
		r.Malformed("unknown instruction %#x", op)
	}
	return 1
}

func (m *rewriter) memoryArgument() {
	if m.U32() >= 32 {
		m.Malformed("alignment")
	}
	m.Skip(5)
}

func (m *rewriter) memoryZero() {
	if m.Byte() != 0 {
		m.refuse("several memories")
	}
}

// constI32 reads a constant. Its encoding is signed LEB128, seven bits a byte.
func (r *bodyReader) constI32() {
	at := r.At
	r.Skip(5)
	switch r.At - at {
	case 1:
		r.smallConstant = r.Data[at] < 0x40
	case 2:
		r.smallConstant = r.Data[at+1] < bulkFree>>7
	}
}

func (m *rewriter) blockType() (params, results uint32) {
	switch t := m.Signed(33); {
	case t >= 0:
		if t >= int64(len(m.params)) {
			m.Malformed("type %d: there are %d", t, len(m.params))
		}
		return m.params[t], m.results[t]
	case t == -64, t >= -4, t == -16, t == -17:
	case t == -5:
		m.refuse("SIMD")
	case t == -23:
		m.refuse("exceptions")
	default:
		m.refuse("typed references")
	}
	return 0, 1
}

// chargeBySize has the instruction charged by its size, shifted by so many bits, before it runs.
func (r *bodyReader) chargeBySize(start int, shift uint32) {
	r.body.bulk = true
	r.stats.bulk++
	r.edits = append(r.edits, edit{at: start, to: r.At, kind: editSized, index: shift})
}

// miscellaneous reads an instruction with the prefix 0xfc, and returns its price.
func (r *bodyReader) miscellaneous(start int, afterSmall bool) (price uint64) {
	op := r.U32()
	r.stats.height = max(0, r.stats.height+miscStackEffect(op))
	switch op {
	case 0, 1, 2, 3, 4, 5, 6, 7: // saturating conversions
		return 1
	case 8: // memory.init
		r.U32()
		r.memoryZero()
		r.chargeBySize(start, bytesPerUnit)
		return priceBulk
	case 9, 13: // data.drop, elem.drop
		r.U32()
		return priceBulk
	case miscCopy:
		r.memoryZero()
		r.memoryZero()
		r.bulk(start, editCopy, afterSmall)
		return priceBulk
	case miscFill:
		r.memoryZero()
		r.bulk(start, editFill, afterSmall)
		return priceBulk
	case 12, 14: // table.init, table.copy
		if op == 12 {
			r.U32()
		} else {
			r.Index(r.tables, "table")
		}
		r.Index(r.tables, "table")
		r.chargeBySize(start, elementsPerUnit)
		return priceTable
	case 15, 17: // table.grow, table.fill
		r.Index(r.tables, "table")
		r.chargeBySize(start, elementsPerUnit)
		return priceTable
	case 16: // table.size
		r.Index(r.tables, "table")
		return 1
	}
	r.At = start
	r.Malformed("unknown instruction 0xfc %d", op)
	return 0
}

// bulk records a memory.copy or memory.fill, unless its size is a constant that is free.
func (r *bodyReader) bulk(start int, kind editKind, afterSmall bool) {
	if afterSmall {
		return
	}
	r.body.bulk, r.usesBulk = true, true
	r.stats.bulk++
	r.edits = append(r.edits, edit{at: start, to: r.At, kind: kind})
}
