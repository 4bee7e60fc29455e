package meter

// opcode says what follows the first byte of an instruction.
type opcode byte

const (
	unknown opcode = iota
	plain
	// costly ones have nothing after them, but take longer.
	costly
	memarg
	stores
	localIndex
	globalIndex
	const32
	const64
	float32
	float64
	blockStart
	blockEnd
	jump
	jumpTable
	leaves
	calls
	callsIndirect
	selects
	tableIndex
	memoryIndex
	refNull
	refFunc
	misc
	// From here on they are refused.
	isVector
	isThread
	isTail
	isException
	isTyped
)

var refused = map[opcode]string{isVector: "SIMD", isThread: "threads", isTail: "tail calls", isException: "exceptions",
	isTyped: "typed references"}

var opcodes = func() (t [256]opcode) {
	set := func(o opcode, from, to int) {
		for i := from; i <= to; i++ {
			t[i] = o
		}
	}
	set(plain, 0x45, 0xc4)
	for _, op := range []int{0x6d, 0x6e, 0x6f, 0x70, 0x7f, 0x80, 0x81, 0x82, 0x91, 0x95, 0x9f, 0xa3} {
		t[op] = costly // divisions, remainders, square roots
	}
	set(memarg, 0x28, 0x35)
	set(stores, 0x36, 0x3e)
	set(memoryIndex, 0x3f, 0x40)
	set(localIndex, 0x20, 0x22)
	set(globalIndex, 0x23, 0x24)
	set(tableIndex, 0x25, 0x26)
	set(blockStart, 0x02, 0x04)
	set(jump, 0x0c, 0x0d)
	set(isException, 0x06, 0x0a)
	set(isTail, 0x12, 0x13)
	set(isTyped, 0x14, 0x15)
	set(isTyped, 0xd3, 0xd6)
	for op, o := range map[int]opcode{0x00: leaves, 0x01: plain, 0x05: blockEnd, 0x0b: blockEnd, 0x0e: jumpTable,
		0x0f: leaves, 0x10: calls,
		0x11: callsIndirect, 0x18: isException, 0x19: isException, 0x1f: isException, 0x1a: plain, 0x1b: plain,
		0x1c: selects, 0x41: const32,
		0x42: const64, 0x43: float32, 0x44: float64, 0xd0: refNull, 0xd1: plain, 0xd2: refFunc, 0xfb: isTyped,
		0xfc: misc, 0xfd: isVector,
		0xfe: isThread} {
		t[op] = o
	}
	return t
}()
