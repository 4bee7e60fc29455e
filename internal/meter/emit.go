package meter

import (
	"encoding/binary"

	"github.com/culvert-project/culvert/internal/base/wasm"
)

const (
	// bulkFree is the size up to which a copy is not charged by size; longer ones are split into pieceBytes.
	bulkFree   = 1024
	pieceBytes = 256 << 10
	// paidAhead iterations of a small loop are paid in advance. smallPrice is its maximum price in instructions.
	paidAhead  = 8
	smallPrice = 64
)

func (r *rewriter) emit() []byte {
	out := append(make([]byte, 0, len(r.Data)+len(r.Data)/3), r.Data[:8]...)
	types := []byte{0x60, 0, 1, 0x7e}
	added := map[byte][][]byte{
		wasm.Imports: {wasm.AppendU32(append(wasm.AppendSized(wasm.AppendSized(nil, []byte(Module)),
			[]byte(Name)), 0), r.tickType())},
		wasm.Globals: {append(wasm.AppendSigned([]byte{0x7e, 1, 0x42}, r.options.Budget), 0x0b)},
	}
	added[wasm.Types] = [][]byte{types}
	if r.usesBulk {
		added[wasm.Types] = append(added[wasm.Types], []byte{0x60, 3, 0x7f, 0x7f, 0x7f, 0})
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
	for _, item := range added {
		content = append(content, item...)
	}
	return wasm.AppendSized(out, content)
}

func (r *rewriter) emitCode(out []byte, s *section) []byte {
	r.report.Functions = len(r.bodies)
	for i := range r.bodies {
		b := &r.bodies[i]
		b.leaf = r.isLeaf(i)
		r.report.Leaves += btoi(b.leaf)
	}
	out = append(out, s.ID)
	sizeAt := len(out)
	out = append(out, 0, 0, 0, 0, 0)
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
	putPadded(out[sizeAt:sizeAt+5], uint32(len(out)-sizeAt-5))
	return out
}

// putPadded writes a number in five bytes.
func putPadded(dst []byte, n uint32) {
	for i := range 5 {
		dst[i] = byte(n&0x7f) | 0x80
		n >>= 7
	}
	dst[4] &^= 0x80
}

func (r *rewriter) loopsAndEdits(i int) ([]loop, []edit) {
	loops := r.loops[r.bodies[i].firstLoop:]
	edits := r.edits[r.bodies[i].firstEdit:]
	if i+1 < len(r.bodies) {
		next := &r.bodies[i+1]
		loops = loops[:next.firstLoop-r.bodies[i].firstLoop]
		edits = edits[:next.firstEdit-r.bodies[i].firstEdit]
	}
	return loops, edits
}

// isLeaf reports whether callers pay for a function. It also adds the prices of loops without jumps to their parents.
func (r *rewriter) isLeaf(i int) bool {
	loops, _ := r.loopsAndEdits(i)
	targeted := false
	for n := len(loops) - 1; n > 0; n-- {
		if loops[n].targeted {
			targeted = true
		} else {
			loops[loops[n].parent].price += loops[n].price
			loops[n].price = 0
		}
	}
	return !targeted && !r.bodies[i].hasCall && loops[0].price <= leafPrice
}

// priceCalls adds the price of calls to their loops, and returns the price of the entry in units of fuel.
func (r *rewriter) priceCalls(i int, loops []loop, edits []edit) (entry uint64) {
	for n := range edits {
		if e := &edits[n]; e.kind == editCall {
			target := e.loop
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
	if n := b.openingLoop; n > 0 && loops[n].targeted && loops[0].price <= max(256, loops[n].price) {
		loops[n].price += loops[0].price
		return 0
	}
	return loops[0].price/instructionsPerUnit + 1
}

// smallLoops marks loops that are charged in advance, overwrites hasCall of outer loops, and returns the highest price.
func smallLoops(loops []loop) (weight uint64) {
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
	return weight
}

func (r *rewriter) emitBody(out []byte, i int) []byte {
	b := &r.bodies[i]
	loops, edits := r.loopsAndEdits(i)
	entry := r.priceCalls(i, loops, edits)
	weight := smallLoops(loops)
	sizeAt := len(out)
	out = append(out, 0, 0, 0, 0, 0)
	usesFuel := entry > 0 || b.hasBulk
	for n := range loops {
		usesFuel = usesFuel || loops[n].targeted
	}
	out = wasm.AppendU32(out, uint32(b.groups+btoi(usesFuel)+btoi(b.hasBulk)+btoi(weight > 0)))
	out = append(out, r.Data[b.localsAt:b.code]...)
	if usesFuel {
		out = append(out, 1, 0x7e)
	}
	if b.hasBulk {
		out = append(out, 1, 0x7f)
	}
	if weight > 0 {
		out = append(out, 1, 0x7f)
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
	size := len(out) - sizeAt - 5
	var head [5]byte
	n := binary.PutUvarint(head[:], uint64(size))
	if n < 5 {
		copy(out[sizeAt+n:], out[sizeAt+5:])
	}
	copy(out[sizeAt:], head[:n])
	return out[:len(out)-5+n]
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
