package meter

// What instructions cost, in instructions; see the package's documentation.
const (
	priceLoad     = 4
	priceIndirect = 64
	priceImport   = 16
	priceCall     = 2
	priceBulk     = 24
	priceTable    = 256
	priceGrow     = 256
	leafPrice     = 64
	unit          = 16
)

type body struct {
	from, code, to int
	// groups is after the count of local groups; locals includes parameters.
	groups, localsAt int
	locals           uint32
	// firstLoop and firstEdit index rewriter.loops and edits. The first loop is the body itself.
	firstLoop, firstEdit int
	opens                int32
	calls, bulk          bool
	leaf                 bool
}

type loop struct {
	at       int
	parent   int32
	targeted bool
	// calls: its body, without inner loops, has a call. small is set when all bodies are read.
	calls, small bool
	price        uint64
}

type edit struct {
	at, to int
	kind   editKind
	// loop is where a call's price goes, index the function that is named, or the shift of a charge by size.
	loop  int32
	index uint32
}

type editKind byte

const (
	editCall editKind = iota
	editRef
	editHead
	// editCopy and editFill are split if long, editSized is charged in advance.
	editCopy
	editFill
	editSized
)

func (m *rewriter) code(n int) {
	m.bodies = make([]body, 0, n)
	for i := range n {
		m.look(m.At)
		size := m.Count()
		m.ofFunction(size, m.options.Limits.FunctionBytes, "the body of function %d in bytes")
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
	all := uint64(params)
	for range b.groups {
		all += uint64(m.U32())
		m.valueType()
	}
	m.ofFunction(int(min(all, 1<<40)), m.options.Limits.Locals, "locals of function %d")
	b.locals = uint32(all)
}

func (m *rewriter) instructions(b *body) {
	loops := m.loops[b.firstLoop:]
	own := m.types[len(m.bodies)]
	m.blocks = append(m.blocks[:0], label{loop: -1, results: int(m.results[own])})
	var (
		current int32 // the loop that pays
		price   uint64
		targets int
		passed  = passage{results: m.results[own]}
		opening = true // nothing has jumped or called yet
		// small: a constant up to bulkFree was just pushed.
		small, smallNext bool
	)
	r := &m.Reader
	for len(m.blocks) > 0 {
		start := r.At
		op := r.Byte()
		small, smallNext = smallNext, false
		p := uint64(1)
		// Nearly half of all instructions: a local whose number has one byte.
		if op == 0x20 && r.At < r.End && uint32(r.Data[r.At]) < min(b.locals, 0x80) {
			r.At++
			price++
			passed.height++
			continue
		}
		if by := heights[op]; by >= 0 {
			passed.height += int(by)
		} else {
			passed.pop(-int(by))
		}
		switch kind := opcodes[op]; kind {
		case plain:
		case costly:
			p = priceLoad
		case memarg:
			if r.U32() >= 32 {
				r.Malformed("alignment")
			}
			r.Skip(5)
			p = priceLoad
		case stores:
			if r.U32() >= 32 {
				r.Malformed("alignment")
			}
			r.Skip(5)
		case localIndex:
			r.Index(int(b.locals), "local")
		case globalIndex:
			r.Index(m.globals, "global")
			p = priceLoad
		case const32:
			at := r.At
			r.Skip(5)
			switch r.At - at {
			case 1:
				smallNext = r.Data[at] < 0x40
			case 2:
				smallNext = r.Data[at+1] < bulkFree>>7
			}
		case const64:
			r.Skip(10)
		case float32:
			r.Bytes(4)
		case float64:
			r.Bytes(8)
		case blockStart:
			params, results := m.blockType()
			passed.block(params, results)
			p = 0
			opened := label{loop: -1, height: max(0, passed.height-int(params)), params: int(params),
				results: int(results)}
			switch op {
			case 0x03:
				passed.loops++
				passed.depth++
				passed.deepest = max(passed.deepest, passed.depth)
				n := int32(len(loops))
				loops = append(loops, loop{at: r.At, parent: current})
				loops[current].price += price
				price = 0
				if opening {
					b.opens, opening = n, false
				}
				m.edits = append(m.edits, edit{at: r.At, to: r.At, kind: editHead, loop: n})
				opened.loop = n
				current, p = n, 1
			case 0x04:
				opening, p = false, 1
			}
			m.blocks = append(m.blocks, opened)
			m.ofFunction(len(m.blocks), m.options.Limits.Nesting, "blocks in each other in function %d")
		case blockEnd:
			opening, p = false, 0
			top := m.blocks[len(m.blocks)-1]
			if op == 0x05 {
				passed.branches++
				passed.height = top.height + top.params
			} else {
				m.blocks = m.blocks[:len(m.blocks)-1]
				passed.height = top.height + top.results
				if top.loop >= 0 {
					loops[current].price += price
					price = 0
					current = loops[top.loop].parent
					passed.depth--
				}
			}
		case jump:
			opening = false
			m.target(loops)
			passed.jump(1)
			passed.branches++
		case jumpTable:
			opening = false
			n := m.Count()
			targets += n + 1
			m.ofFunction(targets, m.options.Limits.Targets, "labels in br_table of function %d")
			for range n + 1 {
				m.target(loops)
			}
			passed.table(n + 1)
			p = priceLoad
		case leaves:
			opening = false
		case calls:
			opening, b.calls, loops[current].calls = false, true, true
			f := r.Index(m.functions, "function")
			m.edits = append(m.edits, edit{at: start, to: r.At, kind: editCall, loop: current, index: f})
			p = priceCall
			passed.call(m, m.typeOf(f))
		case callsIndirect:
			opening, b.calls, loops[current].calls = false, true, true
			passed.call(m, r.Index(len(m.params), "type"))
			r.Index(m.tables, "table")
			p = priceIndirect
		case selects:
			for range m.Count() {
				m.valueType()
			}
		case tableIndex:
			r.Index(m.tables, "table")
			p = priceLoad
		case memoryIndex:
			if r.Byte() != 0 {
				m.refuse("several memories")
			}
			if op == 0x40 {
				p = priceGrow
			}
		case refNull:
			m.reference()
		case refFunc:
			f := r.Index(m.functions, "function")
			m.edits = append(m.edits, edit{at: start, to: r.At, kind: editRef, index: f})
		case misc:
			p = m.miscellaneous(b, start, small, &passed)
		default:
			r.At = start
			if name := refused[kind]; name != "" {
				m.refuse(name)
			}
			r.Malformed("unknown instruction %#x", op)
		}
		price += p
	}
	if r.At != r.End {
		r.Malformed("the body of function %d goes on after its end", m.current())
	}
	m.weigh(b, &passed, loops)
	loops[0].price += price
	m.loops = append(m.loops[:b.firstLoop], loops...)
}

func (m *rewriter) target(loops []loop) {
	depth := m.Index(len(m.blocks), "label")
	if n := m.blocks[len(m.blocks)-1-int(depth)].loop; n >= 0 {
		loops[n].targeted = true
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

func (m *rewriter) miscellaneous(b *body, start int, small bool, passed *passage) uint64 {
	sized := func(shift uint32) {
		b.bulk = true
		passed.bulk++
		m.edits = append(m.edits, edit{at: start, to: m.At, kind: editSized, index: shift})
	}
	zero := func() {
		if m.Byte() != 0 {
			m.refuse("several memories")
		}
	}
	op := m.U32()
	passed.height = max(0, passed.height+miscHeight(op))
	switch op {
	case 0, 1, 2, 3, 4, 5, 6, 7:
		return 1
	case 8: // memory.init
		m.U32()
		zero()
		sized(6)
		return priceBulk
	case 9, 13: // data.drop, elem.drop
		m.U32()
		return priceBulk
	case 10, 11: // memory.copy, memory.fill
		zero()
		kind := editFill
		if op == 10 {
			zero()
			kind = editCopy
		}
		if !small {
			b.bulk, m.bulk = true, true
			passed.bulk++
			m.edits = append(m.edits, edit{at: start, to: m.At, kind: kind})
		}
		return priceBulk
	case 12, 14: // table.init, table.copy
		if op == 12 {
			m.U32()
		} else {
			m.Index(m.tables, "table")
		}
		m.Index(m.tables, "table")
		sized(3)
		return priceTable
	case 15, 17: // table.grow, table.fill
		m.Index(m.tables, "table")
		sized(3)
		return priceTable
	case 16: // table.size
		m.Index(m.tables, "table")
		return 1
	default:
		m.At = start
		m.Malformed("unknown instruction 0xfc %d", op)
		return 0
	}
}
