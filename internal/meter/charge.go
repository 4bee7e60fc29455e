package meter

import "github.com/culvert-project/culvert/internal/base/wasm"

// Instructions that are written.
const (
	opIf          = 0x04
	opElse        = 0x05
	opEnd         = 0x0b
	opLoop        = 0x03
	opBrIf        = 0x0d
	opCall        = 0x10
	opLocalGet    = 0x20
	opLocalSet    = 0x21
	opLocalTee    = 0x22
	opGlobalGet   = 0x23
	opGlobalSet   = 0x24
	opMemorySize  = 0x3f
	opI32Const    = 0x41
	opI64Const    = 0x42
	opI32GtU      = 0x4b
	opI32LeU      = 0x4d
	opI64GtS      = 0x55
	opI64GtU      = 0x56
	opI32Add      = 0x6a
	opI32Sub      = 0x6b
	opI32Or       = 0x72
	opSelect      = 0x1b
	opI64Add      = 0x7c
	opI64Sub      = 0x7d
	opI64Shl      = 0x86
	opI64ShrU     = 0x88
	opI64ExtendU  = 0xad
	opMisc        = 0xfc
	miscCopy      = 10
	miscFill      = 11
	empty         = 0x40
	bytesPerUnit  = 6 // as a shift
	pageBytesBits = 16
)

type bodyWriter struct {
	m   *rewriter
	out []byte
	// left, size and count are locals: fuel, size of a copy, prepaid turns of small loops, each with weight.
	left, size, count uint32
	weight            uint64
}

func (w *bodyWriter) op(op byte, index uint32) { w.out = wasm.AppendU32(append(w.out, op), index) }
func (w *bodyWriter) ops(ops ...byte)          { w.out = append(w.out, ops...) }
func (w *bodyWriter) i32(n int64)              { w.out = wasm.AppendSigned(append(w.out, opI32Const), n) }
func (w *bodyWriter) i64(n int64)              { w.out = wasm.AppendSigned(append(w.out, opI64Const), n) }

func (w *bodyWriter) charge(n uint64) {
	w.op(opGlobalGet, w.m.fuel())
	w.i64(int64(n))
	w.spend()
}

// chargeSome charges several turns of a small loop in advance and counts them in a local, which is cheaper than fuel
// in memory: 3 to 5 % of decoding.
func (w *bodyWriter) chargeSome() {
	w.op(opLocalGet, w.count)
	w.ops(opIf, empty)
	w.op(opLocalGet, w.count)
	w.i32(1)
	w.ops(opI32Sub)
	w.op(opLocalSet, w.count)
	w.ops(opElse)
	w.charge(w.weight * paidAhead)
	w.i32(paidAhead - 1)
	w.op(opLocalSet, w.count)
	w.ops(opEnd)
}

func (w *bodyWriter) chargeSize(local, shift uint32) {
	w.op(opGlobalGet, w.m.fuel())
	w.op(opLocalGet, local)
	w.ops(opI64ExtendU)
	w.i64(int64(shift))
	w.ops(opI64ShrU)
	w.spend()
}

// spend subtracts the price on the stack from the fuel. The local saves a second read of the global; tick is in the
// else branch because engines lay out the first branch as the likely one (3 % of decoding).
func (w *bodyWriter) spend() {
	w.ops(opI64Sub)
	w.op(opLocalTee, w.left)
	w.op(opGlobalSet, w.m.fuel())
	w.op(opLocalGet, w.left)
	w.i64(-1)
	w.ops(opI64GtS, opIf, empty, opElse)
	w.op(opCall, w.m.tick())
	w.op(opGlobalSet, w.m.fuel())
	w.ops(opEnd)
}

func (w *bodyWriter) edit(e *edit, loops []loop) {
	switch e.kind {
	case editCall:
		w.op(opCall, w.m.moved(e.index))
	case editRef:
		w.op(0xd2, w.m.moved(e.index))
	case editHead:
		if l := &loops[e.loop]; l.small {
			w.chargeSome()
			w.m.report.Loops++
		} else if l.targeted {
			w.charge(l.price/unit + 1)
			w.m.report.Loops++
		}
	case editCopy:
		w.bulk(e, w.m.copier())
	case editFill:
		w.bulk(e, w.m.filler())
	case editSized:
		w.op(opLocalTee, w.size)
		w.chargeSize(w.size, e.index)
		w.ops(w.m.Data[e.at:e.to]...)
		w.m.report.Copies++
	}
}

func (w *bodyWriter) bulk(e *edit, function uint32) {
	w.op(opLocalTee, w.size)
	w.op(opLocalGet, w.size)
	w.i32(bulkFree)
	w.ops(opI32GtU, opIf)
	w.out = wasm.AppendSigned(w.out, int64(w.m.bulkType()))
	w.op(opCall, function)
	w.ops(opElse)
	w.ops(w.m.Data[e.at:e.to]...)
	w.ops(opEnd)
	w.m.report.Copies++
}

const (
	localTo = iota
	localFrom
	localSize
	localPiece
	localFuel
)

func (m *rewriter) function(out []byte) (w bodyWriter, sizeAt int) {
	sizeAt = len(out)
	return bodyWriter{m: m, out: append(out, 0, 0, 0, 0, 0, 2, 1, 0x7f, 1, 0x7e), left: localFuel}, sizeAt
}

func (w *bodyWriter) outside(local uint32) {
	w.op(opLocalGet, local)
	w.ops(opI64ExtendU)
	w.op(opLocalGet, localSize)
	w.ops(opI64ExtendU, opI64Add, opMemorySize, 0, opI64ExtendU)
	w.i64(pageBytesBits)
	w.ops(opI64Shl, opI64GtU)
}

func (w *bodyWriter) piece() {
	w.i32(pieceBytes)
	w.op(opLocalGet, localSize)
	w.i32(pieceBytes)
	w.op(opLocalGet, localSize)
	w.ops(opI32LeU, opSelect)
	w.op(opLocalSet, localPiece)
	w.chargeSize(localPiece, bytesPerUnit)
}

func (w *bodyWriter) move(local uint32, op byte) {
	w.op(opLocalGet, local)
	w.op(opLocalGet, localPiece)
	w.ops(op)
	w.op(opLocalSet, local)
}

func (w *bodyWriter) again() {
	w.op(opLocalGet, localSize)
	w.op(opBrIf, 0)
	w.ops(opEnd)
}

func (w *bodyWriter) whole(instruction ...byte) {
	w.ops(opIf, empty)
	w.op(opLocalGet, localTo)
	w.op(opLocalGet, localFrom)
	w.op(opLocalGet, localSize)
	w.ops(instruction...)
	w.ops(opEnd)
}

// copyFunction copies backwards if the target is after the source, so that overlapping pieces are correct.
func (m *rewriter) copyFunction(out []byte) []byte {
	w, sizeAt := m.function(out)
	w.outside(localTo)
	w.outside(localFrom)
	w.ops(opI32Or)
	w.whole(opMisc, miscCopy, 0, 0)
	w.op(opLocalGet, localTo)
	w.op(opLocalGet, localFrom)
	w.ops(opI32LeU, opIf, empty, opLoop, empty)
	w.piece()
	w.op(opLocalGet, localTo)
	w.op(opLocalGet, localFrom)
	w.op(opLocalGet, localPiece)
	w.ops(opMisc, miscCopy, 0, 0)
	w.move(localTo, opI32Add)
	w.move(localFrom, opI32Add)
	w.move(localSize, opI32Sub)
	w.again()
	w.ops(opElse, opLoop, empty)
	w.piece()
	w.move(localSize, opI32Sub)
	for _, local := range []uint32{localTo, localFrom} {
		w.op(opLocalGet, local)
		w.op(opLocalGet, localSize)
		w.ops(opI32Add)
	}
	w.op(opLocalGet, localPiece)
	w.ops(opMisc, miscCopy, 0, 0)
	w.again()
	w.ops(opEnd, opEnd)
	return shorten(w.out, sizeAt)
}

func (m *rewriter) fillFunction(out []byte) []byte {
	w, sizeAt := m.function(out)
	w.outside(localTo)
	w.whole(opMisc, miscFill, 0)
	w.ops(opLoop, empty)
	w.piece()
	w.op(opLocalGet, localTo)
	w.op(opLocalGet, localFrom)
	w.op(opLocalGet, localPiece)
	w.ops(opMisc, miscFill, 0)
	w.move(localTo, opI32Add)
	w.move(localSize, opI32Sub)
	w.again()
	w.ops(opEnd)
	return shorten(w.out, sizeAt)
}
