package meter

import (
	"encoding/binary"
	"slices"

	"github.com/culvert-project/culvert/internal/base/wasm"
)

const (
	// bulkFree is the size up to which a copy is not charged by size; longer ones are split into pieceBytes.
	bulkFree   = 1024
	pieceBytes = 256 << 10
	// paidAhead iterations of a small loop are paid in advance. smallPrice is its maximum price in instructions.
	paidAhead  = 8
	smallPrice = 64
	entryPrice = 256 // the price of an entry in instructions that any opening loop may pay in each iteration

	typeFunction = 0x60
	typeI32      = 0x7f
	typeI64      = 0x7e
)

// emit returns the rewritten module, which must have code. Sections that get items are inserted, in the order of the
// format, if the original lacks them. None of them remains pending, since the code section follows them.
func (r *rewriter) emit() []byte {
	out := append(make([]byte, 0, len(r.Data)+len(r.Data)/3), r.Data[:wasm.HeaderBytes]...)
	added := map[byte][][]byte{
		wasm.Types: {{typeFunction, 0, 1, typeI64}}, // tick: no parameters, one result
		wasm.Imports: {wasm.AppendU32(append(wasm.AppendSized(wasm.AppendSized(nil, []byte(Module)),
			[]byte(Name)), 0), uint32(len(r.params)))}, // the kind 0 is a function, tick's type is appended
		// The fuel: global (mut i64) (i64.const budget).
		wasm.Globals: {append(wasm.AppendSigned([]byte{typeI64, 1, opI64Const}, r.options.Budget), opEnd)},
	}
	if r.usesBulk { // functions of three parameters without results
		added[wasm.Types] = append(added[wasm.Types], []byte{typeFunction, 3, typeI32, typeI32, typeI32, 0})
		added[wasm.Functions] = [][]byte{wasm.AppendU32(nil, r.bulkType()), wasm.AppendU32(nil, r.bulkType())}
	}
	pending := []byte{wasm.Types, wasm.Imports, wasm.Globals}
	for i := range r.sections {
		s := &r.sections[i]
		for s.ID != wasm.Custom && len(pending) > 0 && sectionOrder[pending[0]] <= sectionOrder[s.ID] {
			if pending[0] != s.ID {
				out = r.appendSection(out, &section{Section: wasm.Section{ID: pending[0]}}, added[pending[0]])
			}
			pending = pending[1:]
		}
		if s.ID == wasm.Code {
			out = r.emitCode(out, s)
			continue
		}
		out = r.appendSection(out, s, added[s.ID])
	}
	return out
}

func (r *rewriter) appendSection(out []byte, s *section, added [][]byte) []byte {
	out = append(out, s.ID)
	if s.rewritten {
		return wasm.AppendSized(out, s.items)
	}
	content := append(wasm.AppendU32(make([]byte, 0, len(s.items)+64), uint32(s.count+len(added))), s.items...)
	return wasm.AppendSized(out, append(content, slices.Concat(added...)...))
}

// emitCode decides which functions are leaves before it emits any: priceCalls reads the leaves that a function calls.
func (r *rewriter) emitCode(out []byte, s *section) []byte {
	r.report.Functions = len(r.bodies)
	for i := range r.bodies {
		loops, _ := r.loopsAndEdits(i)
		// Parents get the prices of loops that no branch jumps back to.
		for n := len(loops) - 1; n > 0; n-- {
			if l := &loops[n]; !l.targeted {
				loops[l.parent].price += l.price
				l.price = 0
			}
		}
		b := &r.bodies[i]
		b.leaf = !b.hasCall && loops[0].price <= leafPrice && !slices.ContainsFunc(loops, isTargeted)
		r.report.Leaves += btoi(b.leaf)
	}
	out = append(out, s.ID)
	sizeAt := len(out)
	out = append(out, 0, 0, 0, 0, 0) // room for the length
	out = wasm.AppendU32(out, uint32(s.count+2*btoi(r.usesBulk)))
	r.checkedAt = len(out)
	for i := range r.bodies {
		r.checkContext(len(out))
		out = r.emitBody(out, i)
	}
	if r.usesBulk {
		out = r.copyFunction(out)
		out = r.fillFunction(out)
	}
	// LEB128 padded to five bytes: the code section stays padded, since setLength would move all bodies.
	dst := out[sizeAt : sizeAt+5]
	n := uint32(len(out) - sizeAt - 5)
	for i := range 5 {
		dst[i] = byte(n&0x7f) | 0x80
		n >>= 7
	}
	dst[4] &^= 0x80
	return out
}

// loopsAndEdits returns parts of r.loops and r.edits. The loop at index 0 is the function itself.
func (r *rewriter) loopsAndEdits(i int) ([]loop, []edit) {
	b := &r.bodies[i]
	next := body{firstLoop: len(r.loops), firstEdit: len(r.edits)}
	if i+1 < len(r.bodies) {
		next = r.bodies[i+1]
	}
	return r.loops[b.firstLoop:next.firstLoop], r.edits[b.firstEdit:next.firstEdit]
}

func isTargeted(l loop) bool { return l.targeted }

// priceCalls adds the price of calls to their loops, and returns the price of the entry in units of fuel.
func (r *rewriter) priceCalls(i int, loops []loop, edits []edit) (entry uint64) {
	for n := range edits {
		if e := &edits[n]; e.kind == editCall {
			target := e.loop // only loops that are jumped back to, and the function's entry, are charged
			for target > 0 && !loops[target].targeted {
				target = loops[target].parent
			}
			if int(e.index) < r.imports {
				loops[target].price += priceImport
			} else if callee := &r.bodies[int(e.index)-r.imports]; callee.leaf {
				loops[target].price += r.loops[callee.firstLoop].price
			}
		}
	}
	b := &r.bodies[i]
	if b.leaf {
		return 0
	}
	// Each call executes the head of the opening loop, so this loop can pay for the entry. But each iteration pays too,
	// so the entry must be cheap or cost no more than the loop.
	if n := b.openingLoop; n > 0 && loops[n].targeted && loops[0].price <= max(entryPrice, loops[n].price) {
		loops[n].price += loops[0].price
		return 0
	}
	return loops[0].price/instructionsPerUnit + 1
}

func (r *rewriter) emitBody(out []byte, i int) []byte {
	b := &r.bodies[i]
	loops, edits := r.loopsAndEdits(i)
	entry := r.priceCalls(i, loops, edits)
	// Small loops are charged in advance. hasCall is also set for loops around calls or loops that are jumped back to.
	var weight uint64 // the charge of an iteration of the most expensive one, in units of fuel
	for n := len(loops) - 1; n > 0; n-- {
		l := &loops[n]
		l.small = l.targeted && !l.hasCall && l.price <= smallPrice
		if l.targeted || l.hasCall {
			loops[l.parent].hasCall = true
		}
		if l.small {
			weight = max(weight, l.price/instructionsPerUnit+1)
		}
	}
	sizeAt := len(out)
	out = append(out, 0, 0, 0, 0, 0) // room for the length
	usesFuel := entry > 0 || b.hasBulk || slices.ContainsFunc(loops, isTargeted)
	out = wasm.AppendU32(out, uint32(b.groups+btoi(usesFuel)+btoi(b.hasBulk)+btoi(weight > 0)))
	out = append(out, r.Data[b.localsAt:b.code]...)
	// The order of the added locals gives them their indices: fuel (always there if another one is), size, prepaid.
	if usesFuel {
		out = append(out, 1, typeI64)
	}
	if b.hasBulk {
		out = append(out, 1, typeI32)
	}
	if weight > 0 {
		out = append(out, 1, typeI32)
	}
	writer := bodyWriter{module: r, out: out, fuelLocal: b.locals, sizeLocal: b.locals + 1,
		prepaidLocal: b.locals + 1 + uint32(btoi(b.hasBulk)), weight: weight}
	if entry > 0 {
		writer.charge(entry)
		r.report.Entries++
	}
	pos := b.code
	for n := range edits {
		e := &edits[n]
		writer.out = append(writer.out, r.Data[pos:e.from]...)
		pos = e.to
		writer.applyEdit(e, loops)
	}
	writer.out = append(writer.out, r.Data[pos:b.to]...)
	return setLength(writer.out, sizeAt)
}

// setLength replaces the five bytes at sizeAt by the length of what follows, in as few bytes as possible.
func setLength(out []byte, sizeAt int) []byte {
	n := binary.PutUvarint(out[sizeAt:sizeAt+5], uint64(len(out)-sizeAt-5))
	copy(out[sizeAt+n:], out[sizeAt+5:])
	return out[:len(out)-5+n]
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
