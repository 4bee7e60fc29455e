package meter

// Opcodes that the rewriter treats separately or writes.
const (
	opUnreachable = 0x00
	opLoop        = 0x03
	opIf          = 0x04
	opElse        = 0x05
	opEnd         = 0x0b
	opBrIf        = 0x0d
	opCall        = 0x10
	opSelect      = 0x1b
	opLocalGet    = 0x20
	opLocalSet    = 0x21
	opLocalTee    = 0x22
	opGlobalGet   = 0x23
	opGlobalSet   = 0x24
	opMemorySize  = 0x3f
	opMemoryGrow  = 0x40
	opI32Const    = 0x41
	opI64Const    = 0x42
	opI32GtU      = 0x4b
	opI32LeU      = 0x4d
	opI64GtS      = 0x55
	opI64GtU      = 0x56
	opI32Add      = 0x6a
	opI32Sub      = 0x6b
	opI32Or       = 0x72
	opI64Add      = 0x7c
	opI64Sub      = 0x7d
	opI64Shl      = 0x86
	opI64ShrU     = 0x88
	opI64ExtendU  = 0xad
	opRefFunc     = 0xd2
	opMisc        = 0xfc
	miscCopy      = 10
	miscFill      = 11
)

// instructionKind classifies opcodes by what follows the opcode in a body (its immediates) and by their price.
type instructionKind byte

const (
	_ instructionKind = iota // opcodes that do not exist
	// kindPlain and kindSlow have no immediates. Slow instructions are divisions, remainders and square roots.
	kindPlain
	kindSlow
	kindLoad
	kindStore
	kindLocal
	kindGlobal
	kindConstI32
	kindConstI64
	kindConstF32
	kindConstF64
	kindBlock  // block, loop and if
	kindEnd    // else and end
	kindBranch // br and br_if
	kindBranchTable
	kindExit // return and unreachable
	kindCall
	kindCallIndirect
	kindSelect
	kindTable
	kindMemory // memory.size and memory.grow
	kindRefNull
	kindRefFunc
	// kindMisc is the prefix 0xfc, followed by a second opcode: saturating conversions and bulk operations.
	kindMisc

	kindVector
	kindThread
	kindTailCall
	kindException
	kindTypedReference
)

var unsupportedKinds = map[instructionKind]string{
	kindVector:         "SIMD",
	kindThread:         "threads",
	kindTailCall:       "tail calls",
	kindException:      "exceptions",
	kindTypedReference: "typed references",
}

var kinds = func() (table [256]instructionKind) {
	set := func(kind instructionKind, from, to int) {
		for op := from; op <= to; op++ {
			table[op] = kind
		}
	}
	set(kindExit, opUnreachable, opUnreachable)
	set(kindPlain, 0x01, 0x01) // nop
	set(kindBlock, 0x02, opIf)
	set(kindEnd, opElse, opElse)
	set(kindException, 0x06, 0x0a)
	set(kindEnd, opEnd, opEnd)
	set(kindBranch, 0x0c, opBrIf)
	set(kindBranchTable, 0x0e, 0x0e)
	set(kindExit, 0x0f, 0x0f) // return
	set(kindCall, opCall, opCall)
	set(kindCallIndirect, 0x11, 0x11)
	set(kindTailCall, 0x12, 0x13)
	set(kindTypedReference, 0x14, 0x15)
	set(kindException, 0x18, 0x19)
	set(kindPlain, 0x1a, opSelect) // drop, select
	set(kindSelect, 0x1c, 0x1c)    // select with types
	set(kindException, 0x1f, 0x1f)
	set(kindLocal, opLocalGet, opLocalTee)
	set(kindGlobal, opGlobalGet, opGlobalSet)
	set(kindTable, 0x25, 0x26)
	set(kindLoad, 0x28, 0x35)
	set(kindStore, 0x36, 0x3e)
	set(kindMemory, opMemorySize, opMemoryGrow)
	set(kindConstI32, opI32Const, opI32Const)
	set(kindConstI64, opI64Const, opI64Const)
	set(kindConstF32, 0x43, 0x43)
	set(kindConstF64, 0x44, 0x44)
	set(kindPlain, 0x45, 0xc4)
	set(kindSlow, 0x6d, 0x70)                          // i32.div and rem
	set(kindSlow, 0x7f, 0x82)                          // i64.div and rem
	for _, op := range []int{0x91, 0x95, 0x9f, 0xa3} { // f32 and f64: sqrt, div
		table[op] = kindSlow
	}
	set(kindRefNull, 0xd0, 0xd0)
	set(kindPlain, 0xd1, 0xd1) // ref.is_null
	set(kindRefFunc, opRefFunc, opRefFunc)
	set(kindTypedReference, 0xd3, 0xd6)
	set(kindTypedReference, 0xfb, 0xfb)
	set(kindMisc, opMisc, opMisc)
	set(kindVector, 0xfd, 0xfd)
	set(kindThread, 0xfe, 0xfe)
	return table
}()
