package meter_test

import "math/rand/v2"

// Types of values that generated code has. Floats are left out of what is compared bit by bit: their NaNs may differ.
const (
	tI32 = 0x7f
	tI64 = 0x7e
)

// generator makes valid modules at random. Every loop's head and function's entry takes one from a global, and traps
// where it is used up, so that all of them end.
type generator struct {
	rand *rand.Rand
	// counted are the instructions, over several modules.
	counted map[string]int

	functions []signature
	large     bool
	// Of the function that is written:
	index  int
	out    []byte
	locals []byte
	self   signature
	labels []byte // result type of each open block, 0 for none and for loops, innermost last
	room   int    // instructions that may still come
}

type signature struct {
	params []byte
	result byte
}

// Globals: the fuel, exported so that each call gets some, an i32, an i64. Types of the module: one for each function,
// in the order of functions.
const (
	globalFuel = iota
	globalI32
	globalI64
)

func (g *generator) module() []byte {
	g.large = g.rand.IntN(16) == 0
	types := [][]byte{{tI32}, {tI32, tI64}, {tI64, tI32, tI32}, {}}
	for range 2 + g.rand.IntN(6) {
		g.functions = append(g.functions, signature{types[g.rand.IntN(len(types))], []byte{tI32, tI64}[g.rand.IntN(2)]})
	}
	var typeItems, functionItems, exportItems, bodies [][]byte
	for i, f := range g.functions {
		typeItems = append(typeItems, cat([]byte{0x60}, vec(f.params), []byte{1, f.result}))
		functionItems = append(functionItems, leb(i))
		exportItems = append(exportItems, cat(vec([]byte{'f', byte('0' + i)}), []byte{0}, leb(i)))
		g.index = i
		body := g.body(f)
		bodies = append(bodies, vec(body))
	}
	pages := byte(2)
	if g.large {
		pages = 40
	}
	exportItems = append(exportItems, cat(vec([]byte("m")), []byte{2, 0}))
	elements := cat([]byte{0, 0x41, 1, 0x0b}, leb(len(g.functions)))
	for i := range g.functions {
		elements = append(elements, byte(i))
	}
	exportItems = append(exportItems, cat(vec([]byte("fuel")), []byte{3, globalFuel}))
	return cat(magic, sec(1, typeItems...), sec(3, functionItems...),
		sec(4, []byte{0x70, 1, 20, 30}), sec(5, []byte{1, pages, pages + 3}),
		sec(6, []byte{tI32, 1, 0x41, 0, 0x0b}, []byte{tI32, 1, 0x41, 5, 0x0b}, []byte{tI64, 1, 0x42, 7, 0x0b}),
		sec(7, exportItems...), sec(9, elements), []byte{12, 1, 1}, sec(10, bodies...),
		sec(11, cat([]byte{1},
			vec([]byte("some bytes that memory.init takes, in a segment that is dropped at times")))))
}

func cat(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func vec(b []byte) []byte { return append(leb(len(b)), b...) }

func sec(id byte, items ...[]byte) []byte {
	return append([]byte{id}, vec(append(leb(len(items)), cat(items...)...))...)
}

func signed(n int64) (b []byte) {
	for {
		c := byte(n & 0x7f)
		n >>= 7
		if n == 0 && c&0x40 == 0 || n == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// body writes a function with its locals, without its length.
func (g *generator) body(f signature) []byte {
	g.self, g.out, g.labels, g.room = f, nil, []byte{f.result}, 20+g.rand.IntN(300)
	g.locals = append(append([]byte{}, f.params...), tI32, tI32, tI64)
	if g.rand.IntN(3) == 0 { // a body that opens with a loop
		g.loop(0, true)
	}
	g.burn()
	for range 1 + g.rand.IntN(8) {
		g.statement(0)
	}
	g.value(f.result, 0)
	return cat([]byte{2, 2, tI32, 1, tI64}, g.out, []byte{0x0b})
}

func (g *generator) op(name string, bytes ...byte) {
	g.counted[name]++
	g.room--
	g.out = append(g.out, bytes...)
}

// burn takes one from the fuel and traps without any.
func (g *generator) burn() {
	g.out = append(g.out, 0x23, globalFuel, 0x45, 0x04, 0x40, 0x00, 0x0b, 0x23, globalFuel, 0x41, 1, 0x6b, 0x24,
		globalFuel)
}

func (g *generator) constant(t byte) {
	n := g.rand.Int64()
	if g.rand.IntN(2) == 0 {
		n >>= 48
	}
	if t == tI32 {
		g.op("const", append([]byte{0x41}, signed(int64(int32(n)))...)...)
	} else {
		g.op("const", append([]byte{0x42}, signed(n)...)...)
	}
}

// small pushes an i32 below a limit that is a power of two.
func (g *generator) small(limit int64, depth int) {
	g.value(tI32, depth)
	g.op("and", append(append([]byte{0x41}, signed(limit-1)...), 0x71)...)
}

func (g *generator) local(t byte) byte {
	for {
		if i := g.rand.IntN(len(g.locals)); g.locals[i] == t {
			return byte(i)
		}
	}
}

// value pushes a value of a type.
func (g *generator) value(t byte, depth int) {
	if depth > 5 || g.room <= 0 {
		g.op("local.get", 0x20, g.local(t))
		return
	}
	wide := byte(0)
	if t == tI64 {
		wide = 0x7c - 0x6a
	}
	switch g.rand.IntN(15) {
	case 0, 1:
		g.constant(t)
	case 2, 3:
		g.op("local.get", 0x20, g.local(t))
	case 4, 5: // add to rotr, division among them
		g.value(t, depth+1)
		g.value(t, depth+1)
		op := 0x6a + byte(g.rand.IntN(15))
		if op >= 0x6d && op <= 0x70 && g.rand.IntN(20) > 0 { // a division: hardly ever by zero
			g.out = append(g.out, []byte{0x41, 0x42}[t&1^1], 1, 0x72+wide)
		}
		g.op("arithmetic", op+wide)
	case 6:
		g.address(depth)
		g.op("load", []byte{0x28, 0x29}[t&1^1], byte(g.rand.IntN(3)), byte(g.rand.IntN(100)))
	case 7:
		g.op("global.get", 0x23, globalI32+(t&1^1))
	case 8: // conversions
		if t == tI32 {
			g.value(tI64, depth+1)
			g.op("convert", 0xa7)
		} else {
			g.value(tI32, depth+1)
			g.op("convert", []byte{0xac, 0xad}[g.rand.IntN(2)])
		}
	case 9:
		g.value(t, depth+1)
		g.value(t, depth+1)
		g.value(tI32, depth+1)
		g.op("select", 0x1b)
	case 10:
		g.value(tI32, depth+1)
		g.op("if", 0x04, t)
		g.labels = append(g.labels, t)
		g.value(t, depth+1)
		g.out = append(g.out, 0x05)
		g.value(t, depth+1)
		g.close()
	case 11:
		g.op("block", 0x02, t)
		g.labels = append(g.labels, t)
		g.value(t, depth+1)
		g.value(tI32, depth+1)
		g.op("br_if", 0x0d, 0)
		g.close()
	case 12, 13:
		g.call(t, depth)
	case 14:
		if t == tI64 {
			g.value(t, depth+1)
			g.op("test", 0x50, 0xad)
		} else if g.rand.IntN(2) == 0 {
			g.op("memory.size", 0x3f, 0)
		} else {
			g.op("ref.func", 0xd2, byte(g.rand.IntN(len(g.functions))), 0xd1)
		}
	}
}

func (g *generator) close() {
	g.out = append(g.out, 0x0b)
	g.labels = g.labels[:len(g.labels)-1]
}

// address pushes one, at times outside of memory.
func (g *generator) address(depth int) {
	if g.rand.IntN(60) == 0 {
		g.value(tI32, depth+1)
		return
	}
	g.small(1<<16, depth+1)
}

// call calls a function of that result, directly or by the table, at times with another type than it has.
func (g *generator) call(t byte, depth int) {
	n := g.rand.IntN(len(g.functions))
	// mostly those that come later: recursion eats all fuel
	if g.functions[n].result != t || n <= g.index && g.rand.IntN(8) > 0 {
		g.op("local.get", 0x20, g.local(t))
		return
	}
	for _, p := range g.functions[n].params {
		g.value(p, depth+2)
	}
	if g.rand.IntN(3) > 0 {
		g.op("call", 0x10, byte(n))
		return
	}
	if g.rand.IntN(8) == 0 {
		g.small(32, depth+1)
	} else {
		g.op("const", 0x41, byte(n+1))
	}
	g.op("call_indirect", 0x11, byte(n), 0)
}

// loop is one that goes on while a condition holds and there is fuel; without again nothing jumps back: it is one in
// name only.
func (g *generator) loop(depth int, again bool) {
	g.op("loop", 0x03, 0x40)
	g.labels = append(g.labels, 0)
	if again {
		g.burn()
		for range 1 + g.rand.IntN(3) {
			g.statement(depth + 1)
		}
		g.value(tI32, depth+1)
		if g.rand.IntN(3) > 0 {
			g.out = append(g.out, 0x41, 7, 0x71, 0x45) // once in eight times
		}
		g.op("br_if", 0x0d, 0)
	} else {
		g.statement(depth + 1)
	}
	g.close()
}

// statement writes something that leaves the stack as it was.
func (g *generator) statement(depth int) {
	if depth > 5 || g.room <= 0 {
		g.op("nop", 0x01)
		return
	}
	switch g.rand.IntN(19) {
	case 0, 1:
		t := []byte{tI32, tI64}[g.rand.IntN(2)]
		g.value(t, depth+1)
		g.op("local.set", 0x21, g.local(t))
	case 2:
		g.value(tI32, depth+1)
		g.op("global.set", 0x24, globalI32)
	case 3, 4:
		t := byte(g.rand.IntN(2))
		g.address(depth)
		g.value([]byte{tI32, tI64}[t], depth+1)
		g.op("store", 0x36+t, 0, byte(g.rand.IntN(100)))
	case 5, 6, 7:
		g.loop(depth, g.rand.IntN(4) > 0)
	case 8:
		g.value(tI32, depth+1)
		g.op("if", 0x04, 0x40)
		g.labels = append(g.labels, 0)
		g.statement(depth + 1)
		if g.rand.IntN(2) == 0 {
			g.out = append(g.out, 0x05)
			g.statement(depth + 1)
		}
		g.close()
	case 9:
		g.table(depth)
	case 10:
		g.bulk("memory.fill", depth, 0xfc, 11, 0)
	case 11:
		g.bulk("memory.copy", depth, 0xfc, 10, 0, 0)
	case 12:
		g.small(1<<16, depth+1)
		g.small(32, depth+1)
		g.small(64, depth+1)
		g.op("memory.init", 0xfc, 8, 0, 0)
		if g.rand.IntN(12) == 0 {
			g.op("data.drop", 0xfc, 9, 0)
		}
	case 13:
		g.small(2, depth+1)
		g.op("memory.grow", 0x40, 0, 0x1a)
	case 14:
		g.small(16, depth+1)
		g.op("ref.func", 0xd2, byte(g.rand.IntN(len(g.functions))))
		g.small(4, depth+1)
		g.op("table.fill", 0xfc, 17, 0)
	case 15, 16:
		t := []byte{tI32, tI64}[g.rand.IntN(2)]
		g.call(t, depth)
		g.op("drop", 0x1a)
	case 17:
		if g.rand.IntN(25) == 0 {
			g.op("unreachable", 0x00)
		} else {
			g.value(tI32, depth+1)
			g.out = append(g.out, 0x04, 0x40)
			g.value(g.self.result, depth+1)
			g.op("return", 0x0f, 0x0b)
		}
	case 18:
		g.small(8, depth+1)
		g.small(8, depth+1)
		g.small(4, depth+1)
		g.op("table.copy", 0xfc, 14, 0, 0)
	}
}

// table is blocks in each other with a br_table inside.
func (g *generator) table(depth int) {
	n := 1 + g.rand.IntN(5)
	for range n {
		g.out = append(g.out, 0x02, 0x40)
		g.labels = append(g.labels, 0)
	}
	g.value(tI32, depth+1)
	targets := []byte{byte(n)}
	for range n + 1 { // the default is the last
		targets = append(targets, byte(g.rand.IntN(n)))
	}
	g.op("br_table", append([]byte{0x0e}, targets...)...)
	for range n {
		g.close()
		g.statement(depth + 1)
	}
}

// bulk fills or copies, in a large memory sizes that are cut into pieces.
func (g *generator) bulk(name string, depth int, instruction ...byte) {
	g.address(depth)
	g.address(depth)
	switch {
	case g.large && g.rand.IntN(2) == 0:
		g.small(1<<21, depth+1)
	case g.rand.IntN(3) == 0:
		g.op("const", append([]byte{0x41}, signed(int64(g.rand.IntN(3000)))...)...)
	default:
		g.small(1<<12, depth+1)
	}
	g.op(name, instruction...)
}
