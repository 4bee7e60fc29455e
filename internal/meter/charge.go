package meter

import "github.com/culvert-project/culvert/internal/base/wasm"

const (
	emptyBlock      = 0x40 // the type of a block without parameters and results
	bytesPerUnit    = 6    // the shift from bytes of a copy to units of fuel: 64 bytes cost one
	elementsPerUnit = 3    // the shift for elements of tables: eight cost one
	pageBytesBits   = 16   // a page of memory has 64 KiB
)

// bodyWriter writes the instructions of a rewritten body.
type bodyWriter struct {
	module *rewriter
	out    []byte
	// Indices of the locals that are added to the function.
	fuelLocal    uint32
	sizeLocal    uint32 // the size of a copy
	prepaidLocal uint32 // the paid iterations of small loops
	weight       uint64 // the price of such an iteration in units of fuel
}

func (w *bodyWriter) op(op byte, index uint32) { w.out = wasm.AppendU32(append(w.out, op), index) }
func (w *bodyWriter) ops(ops ...byte)          { w.out = append(w.out, ops...) }
func (w *bodyWriter) i32(n int64)              { w.out = wasm.AppendSigned(append(w.out, opI32Const), n) }
func (w *bodyWriter) i64(n int64)              { w.out = wasm.AppendSigned(append(w.out, opI64Const), n) }

func (w *bodyWriter) charge(n uint64) {
	w.op(opGlobalGet, w.module.fuelIndex())
	w.i64(int64(n))
	w.spend()
}

func (w *bodyWriter) chargeSize(local, shift uint32) {
	w.op(opGlobalGet, w.module.fuelIndex())
	w.op(opLocalGet, local)
	w.ops(opI64ExtendU)
	w.i64(int64(shift))
	w.ops(opI64ShrU)
	w.spend()
}

// spend subtracts the price on the stack from the fuel. The local saves a second read of the global; the call of tick
// is in the else branch because engines lay out the first branch as the likely one (3 % of decoding).
func (w *bodyWriter) spend() {
	w.ops(opI64Sub)
	w.op(opLocalTee, w.fuelLocal)
	w.op(opGlobalSet, w.module.fuelIndex())
	w.op(opLocalGet, w.fuelLocal)
	w.i64(-1)
	w.ops(opI64GtS, opIf, emptyBlock, opElse)
	w.op(opCall, uint32(w.module.imports)) // tick, the last import
	w.op(opGlobalSet, w.module.fuelIndex())
	w.ops(opEnd)
}

func (w *bodyWriter) applyEdit(e *edit, loops []loop) {
	switch e.kind {
	case editCall:
		w.op(opCall, w.module.newIndex(e.index))
	case editRef:
		w.op(opRefFunc, w.module.newIndex(e.index))
	case editLoopHead:
		if l := &loops[e.loop]; l.small {
			// Several iterations of a small loop are charged in advance and counted in a local.
			w.op(opLocalGet, w.prepaidLocal)
			w.ops(opIf, emptyBlock)
			w.op(opLocalGet, w.prepaidLocal)
			w.i32(1)
			w.ops(opI32Sub)
			w.op(opLocalSet, w.prepaidLocal)
			w.ops(opElse)
			w.charge(w.weight * paidAhead)
			w.i32(paidAhead - 1)
			w.op(opLocalSet, w.prepaidLocal)
			w.ops(opEnd)
			w.module.report.Loops++
		} else if l.targeted {
			w.charge(l.price/instructionsPerUnit + 1)
			w.module.report.Loops++
		}
	case editCopy:
		w.replaceBulk(e, uint32(w.module.functions)+1) // functions are appended: copy, then fill
	case editFill:
		w.replaceBulk(e, uint32(w.module.functions)+2)
	case editSized:
		w.op(opLocalTee, w.sizeLocal)
		w.chargeSize(w.sizeLocal, e.index)
		w.ops(w.module.Data[e.from:e.to]...)
		w.module.report.Copies++
	}
}

// replaceBulk calls a function instead of the original instruction if the size exceeds bulkFree.
func (w *bodyWriter) replaceBulk(e *edit, function uint32) {
	w.op(opLocalTee, w.sizeLocal)
	w.op(opLocalGet, w.sizeLocal)
	w.i32(bulkFree)
	w.ops(opI32GtU, opIf)
	w.out = wasm.AppendSigned(w.out, int64(w.module.bulkType()))
	w.op(opCall, function)
	w.ops(opElse)
	w.ops(w.module.Data[e.from:e.to]...)
	w.ops(opEnd)
	w.module.report.Copies++
}

// Locals of the functions that copy and fill; the first three are parameters.
const (
	localTo = iota
	localFrom
	localSize
	localPiece
	localFuel
)

func (r *rewriter) beginFunction(out []byte) (writer bodyWriter, sizeAt int) {
	sizeAt = len(out)
	out = append(out, 0, 0, 0, 0, 0)             // room for the length
	out = append(out, 2, 1, typeI32, 1, typeI64) // two declarations of one local each: localPiece, localFuel
	return bodyWriter{module: r, out: out, fuelLocal: localFuel}, sizeAt
}

// pushOutOfBounds pushes whether an area of localSize bytes exceeds the memory.
func (w *bodyWriter) pushOutOfBounds(local uint32) {
	w.op(opLocalGet, local)
	w.ops(opI64ExtendU)
	w.op(opLocalGet, localSize)
	w.ops(opI64ExtendU, opI64Add, opMemorySize, 0, opI64ExtendU)
	w.i64(pageBytesBits)
	w.ops(opI64Shl, opI64GtU)
}

// startPiece sets localPiece to what is left, at most pieceBytes, and charges it.
func (w *bodyWriter) startPiece() {
	w.i32(pieceBytes)
	w.op(opLocalGet, localSize)
	w.i32(pieceBytes)
	w.op(opLocalGet, localSize)
	w.ops(opI32LeU, opSelect)
	w.op(opLocalSet, localPiece)
	w.chargeSize(localPiece, bytesPerUnit)
}

// advance adds localPiece to a local, or subtracts it.
func (w *bodyWriter) advance(local uint32, op byte) {
	w.op(opLocalGet, local)
	w.op(opLocalGet, localPiece)
	w.ops(op)
	w.op(opLocalSet, local)
}

func (w *bodyWriter) repeatWhileRemaining() {
	w.op(opLocalGet, localSize)
	w.op(opBrIf, 0)
	w.ops(opEnd)
}

// runOriginalIf executes the original instruction, which traps, if the condition on the stack is true. Zeros after the
// opcode are indices of memories.
func (w *bodyWriter) runOriginalIf(instruction ...byte) {
	w.ops(opIf, emptyBlock)
	w.op(opLocalGet, localTo)
	w.op(opLocalGet, localFrom)
	w.op(opLocalGet, localSize)
	w.ops(instruction...)
	w.ops(opEnd)
}

// copyFunction copies backwards if the target is after the source, so that overlapping pieces are correct.
func (r *rewriter) copyFunction(out []byte) []byte {
	writer, sizeAt := r.beginFunction(out)
	writer.pushOutOfBounds(localTo)
	writer.pushOutOfBounds(localFrom)
	writer.ops(opI32Or)
	writer.runOriginalIf(opMisc, miscCopy, 0, 0)
	writer.op(opLocalGet, localTo)
	writer.op(opLocalGet, localFrom)
	writer.ops(opI32LeU, opIf, emptyBlock, opLoop, emptyBlock)
	writer.startPiece()
	writer.op(opLocalGet, localTo)
	writer.op(opLocalGet, localFrom)
	writer.op(opLocalGet, localPiece)
	writer.ops(opMisc, miscCopy, 0, 0)
	writer.advance(localTo, opI32Add)
	writer.advance(localFrom, opI32Add)
	writer.advance(localSize, opI32Sub)
	writer.repeatWhileRemaining()
	writer.ops(opElse, opLoop, emptyBlock)
	writer.startPiece()
	writer.advance(localSize, opI32Sub)
	for _, local := range []uint32{localTo, localFrom} {
		writer.op(opLocalGet, local)
		writer.op(opLocalGet, localSize)
		writer.ops(opI32Add)
	}
	writer.op(opLocalGet, localPiece)
	writer.ops(opMisc, miscCopy, 0, 0)
	writer.repeatWhileRemaining()
	writer.ops(opEnd, opEnd)
	return setLength(writer.out, sizeAt)
}

func (r *rewriter) fillFunction(out []byte) []byte {
	writer, sizeAt := r.beginFunction(out)
	writer.pushOutOfBounds(localTo)
	writer.runOriginalIf(opMisc, miscFill, 0)
	writer.ops(opLoop, emptyBlock)
	writer.startPiece()
	writer.op(opLocalGet, localTo)
	writer.op(opLocalGet, localFrom)
	writer.op(opLocalGet, localPiece)
	writer.ops(opMisc, miscFill, 0)
	writer.advance(localTo, opI32Add)
	writer.advance(localSize, opI32Sub)
	writer.repeatWhileRemaining()
	writer.ops(opEnd)
	return setLength(writer.out, sizeAt)
}
