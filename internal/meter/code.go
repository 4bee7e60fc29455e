package meter

// Prices in instructions, see the package's documentation.
const (
	priceLoad           = 4
	priceIndirect       = 64
	priceImport         = 16
	priceCall           = 2
	priceBulk           = 24
	priceTable          = 256
	priceGrow           = 256
	leafPrice           = 64
	instructionsPerUnit = 16 // of fuel
)

// body is a function that the module defines.
type body struct {
	// from, code and to are offsets in the module: of the locals' declarations, of the instructions, and of the end.
	from int
	code int
	to   int
	// groups is the number of declarations of locals, which begin at localsAt. locals includes parameters.
	groups   int
	localsAt int
	locals   uint32
	// firstLoop and firstEdit index rewriter.loops and rewriter.edits. The first loop is the body itself.
	firstLoop   int
	firstEdit   int
	openingLoop int32 // the loop with which the body begins, 0 for none
	hasCall     bool
	hasBulk     bool // it has a bulk operation that is charged by its size
	leaf        bool // callers pay for the function
}

// loop is a loop, or a whole body. Its price is charged at its head.
type loop struct {
	parent   int32
	targeted bool // a branch jumps back to it
	hasCall  bool // its body, without inner loops, has a call; emitBody includes them
	small    bool // several iterations are charged in advance; set by emitBody
	price    uint64
}

// edit replaces the bytes of a module between two offsets.
type edit struct {
	from  int
	to    int
	kind  editKind
	loop  int32  // the loop of editLoopHead, or the loop that pays for a call
	index uint32 // the index of a function, or the shift from a size to units of fuel
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

func (r *rewriter) readCode(n int) {
	r.bodies = make([]body, 0, n)
	for i := range n {
		r.checkContext(r.At)
		size := r.Count()
		r.checkFunctionLimit(size, r.options.Limits.FunctionBytes, "the body of function %d in bytes")
		end := r.End
		r.End = r.At + size
		b := body{from: r.At, to: r.End, firstLoop: len(r.loops), firstEdit: len(r.edits)}
		b.groups = r.Count()
		b.localsAt = r.At
		count := uint64(r.params[r.types[i]])
		for range b.groups {
			count += uint64(r.U32())
			r.readValueType()
		}
		r.checkFunctionLimit(int(min(count, 1<<40)), r.options.Limits.Locals, "locals of function %d")
		b.locals = uint32(count)
		b.code = r.At
		r.loops = append(r.loops, loop{})
		results := r.results[r.types[len(r.bodies)]]
		r.blocks = append(r.blocks[:0], openBlock{loop: -1, results: int(results)}) // the body itself
		reader := bodyReader{rewriter: r, body: &b, bodyLoops: r.loops[b.firstLoop:], opening: true,
			stats: functionStats{results: results}}
		for len(r.blocks) > 0 {
			reader.readInstruction()
		}
		if r.At != r.End {
			r.Malformed("the body of function %d continues after its end", r.currentFunction())
		}
		r.addEffort(&b, &reader.stats, reader.bodyLoops)
		reader.bodyLoops[0].price += reader.price
		r.loops = append(r.loops[:b.firstLoop], reader.bodyLoops...)
		r.bodies = append(r.bodies, b)
		r.End = end
	}
}

// bodyReader reads the instructions of one body. It finds the loops, their prices, and the instructions to replace.
type bodyReader struct {
	*rewriter
	body      *body
	bodyLoops []loop
	// currentLoop is the innermost loop. price is the sum for the instructions since its head or an inner loop's end.
	currentLoop int32
	price       uint64
	labels      int // of br_table
	stats       functionStats
	opening     bool // no instruction so far can have jumped or called
	// smallConstant means that the previous instruction pushed a constant up to bulkFree: a copy of that size is free.
	smallConstant bool
}

func (r *bodyReader) readInstruction() {
	start := r.At
	op := r.Byte()
	isAfterSmall := r.smallConstant
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
		price = r.readControl(kind, op, start)
	} else {
		price = r.readOperation(kind, op, start, isAfterSmall)
	}
	r.price += price
}

// readControl reads an instruction that changes the flow of control, and returns its price.
func (r *bodyReader) readControl(kind instructionKind, op byte, start int) (price uint64) {
	if kind == kindBlock {
		return r.openBlock(op)
	}
	r.opening = false
	switch kind {
	case kindEnd:
		top := r.blocks[len(r.blocks)-1]
		if op == opElse {
			r.stats.branches++
			r.stats.height = top.height + top.params
		} else {
			r.blocks = r.blocks[:len(r.blocks)-1]
			r.stats.height = top.height + top.results
			if top.loop >= 0 {
				r.payCurrent()
				r.currentLoop = r.bodyLoops[top.loop].parent
				r.stats.depth--
			}
		}
		return 0
	case kindBranch:
		r.readBranch()
		r.stats.addJump(1)
		r.stats.branches++
	case kindBranchTable:
		count := r.Count() + 1
		r.labels += count
		r.checkFunctionLimit(r.labels, r.options.Limits.Targets, "labels in br_table of function %d")
		for range count {
			r.readBranch()
		}
		r.stats.targets += count
		r.stats.targetsInLoops += count * r.stats.depth
		r.stats.addJump(count)
		return priceLoad
	case kindCall:
		r.body.hasCall = true
		r.bodyLoops[r.currentLoop].hasCall = true
		function := r.Index(r.functions, "function")
		r.edits = append(r.edits, edit{from: start, to: r.At, kind: editCall, loop: r.currentLoop, index: function})
		r.stats.addCall(r.rewriter, r.typeOf(function))
		return priceCall
	case kindCallIndirect:
		r.body.hasCall = true
		r.bodyLoops[r.currentLoop].hasCall = true
		r.stats.addCall(r.rewriter, r.Index(len(r.params), "type"))
		r.Index(r.tables, "table")
		return priceIndirect
	}
	return 1 // return, unreachable
}

func (r *bodyReader) openBlock(op byte) (price uint64) {
	params, results := r.readBlockType()
	r.stats.branches++
	r.stats.values += int(params + results)
	r.stats.results = max(r.stats.results, params, results)
	r.stats.heldValues += r.stats.height
	block := openBlock{loop: -1, height: max(0, r.stats.height-int(params)), params: int(params), results: int(results)}
	switch op {
	case opLoop:
		r.stats.loops++
		r.stats.depth++
		r.stats.deepest = max(r.stats.deepest, r.stats.depth)
		index := int32(len(r.bodyLoops))
		r.bodyLoops = append(r.bodyLoops, loop{parent: r.currentLoop})
		r.payCurrent()
		if r.opening {
			r.body.openingLoop = index
			r.opening = false
		}
		r.edits = append(r.edits, edit{from: r.At, to: r.At, kind: editLoopHead, loop: index})
		r.currentLoop = index
		block.loop = index
		price = 1
	case opIf:
		r.opening = false
		price = 1
	}
	r.blocks = append(r.blocks, block)
	r.checkFunctionLimit(len(r.blocks), r.options.Limits.Nesting, "blocks in each other in function %d")
	return price
}

// payCurrent adds the price of the instructions so far to the current loop.
func (r *bodyReader) payCurrent() {
	r.bodyLoops[r.currentLoop].price += r.price
	r.price = 0
}

// readBranch reads a label and marks the loop that it jumps back to.
func (r *bodyReader) readBranch() {
	depth := r.Index(len(r.blocks), "label")
	if n := r.blocks[len(r.blocks)-1-int(depth)].loop; n >= 0 {
		r.bodyLoops[n].targeted = true
	}
}

// readOperation reads any other instruction, and returns its price.
func (r *bodyReader) readOperation(kind instructionKind, op byte, start int, isAfterSmall bool) (price uint64) {
	switch kind {
	case kindPlain: // has no operands and the default price
	case kindSlow:
		return priceLoad
	case kindLoad:
		r.readMemoryArgument()
		return priceLoad
	case kindStore:
		r.readMemoryArgument()
	case kindLocal:
		r.Index(int(r.body.locals), "local")
	case kindGlobal:
		r.Index(r.globals, "global")
		return priceLoad
	case kindConstI32:
		// A constant is signed LEB128, seven bits a byte.
		start := r.At
		r.Skip(5)
		switch r.At - start {
		case 1:
			r.smallConstant = r.Data[start] < 0x40 // not negative
		case 2:
			r.smallConstant = r.Data[start+1] < bulkFree>>7 // less than bulkFree, and not negative
		}
	case kindConstI64:
		r.Skip(10)
	case kindConstF32:
		r.Bytes(4)
	case kindConstF64:
		r.Bytes(8)
	case kindSelect:
		for range r.Count() {
			r.readValueType()
		}
	case kindTable:
		r.Index(r.tables, "table")
		return priceLoad
	case kindMemory:
		r.readMemoryIndex()
		if op == opMemoryGrow {
			return priceGrow
		}
	case kindRefNull:
		r.readReference()
	case kindRefFunc:
		function := r.Index(r.functions, "function")
		r.edits = append(r.edits, edit{from: start, to: r.At, kind: editRef, index: function})
	case kindMisc:
		return r.readMiscellaneous(start, isAfterSmall)
	default:
		r.At = start
		if name := unsupportedKinds[kind]; name != "" {
			r.refuse(name)
		}
		r.Malformed("unknown instruction %#x", op)
	}
	return 1
}

func (r *rewriter) readMemoryArgument() {
	if r.U32() >= 32 {
		r.Malformed("alignment")
	}
	r.Skip(5)
}

func (r *rewriter) readMemoryIndex() {
	if r.Byte() != 0 {
		r.refuse("several memories")
	}
}

// readBlockType reads the index of a type, or the byte of a type as a negative number: 0x7f is -1, 0x40 -64.
func (r *rewriter) readBlockType() (params, results uint32) {
	switch t := r.Signed(33); {
	case t >= 0:
		if t >= int64(len(r.params)) {
			r.Malformed("type %d: there are %d", t, len(r.params))
		}
		return r.params[t], r.results[t]
	case t == -64, t >= -4, t == -16, t == -17: // no result, a number or a reference
	case t == -5:
		r.refuse("SIMD")
	case t == -23:
		r.refuse("exceptions")
	default:
		r.refuse("typed references")
	}
	return 0, 1
}

// chargeBySize records an instruction that is charged by its size before it runs.
func (r *bodyReader) chargeBySize(start int, shift uint32) {
	r.body.hasBulk = true
	r.stats.bulk++
	r.edits = append(r.edits, edit{from: start, to: r.At, kind: editSized, index: shift})
}

// readMiscellaneous reads an instruction with the prefix 0xfc, and returns its price.
func (r *bodyReader) readMiscellaneous(start int, isAfterSmall bool) (price uint64) {
	op := r.U32()
	r.stats.height = max(0, r.stats.height+miscStackEffect(op))
	switch op {
	case 0, 1, 2, 3, 4, 5, 6, 7: // saturating conversions
		return 1
	case 8: // memory.init
		r.U32()
		r.readMemoryIndex()
		r.chargeBySize(start, bytesPerUnit)
		return priceBulk
	case 9, 13: // data.drop, elem.drop
		r.U32()
		return priceBulk
	case miscCopy:
		r.readMemoryIndex()
		r.readMemoryIndex()
		r.recordBulk(start, editCopy, isAfterSmall)
		return priceBulk
	case miscFill:
		r.readMemoryIndex()
		r.recordBulk(start, editFill, isAfterSmall)
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

// recordBulk records a copy or fill that is replaced, unless its size is a small constant.
func (r *bodyReader) recordBulk(start int, kind editKind, isAfterSmall bool) {
	if isAfterSmall {
		return
	}
	r.body.hasBulk = true
	r.usesBulk = true
	r.stats.bulk++
	r.edits = append(r.edits, edit{from: start, to: r.At, kind: kind})
}
