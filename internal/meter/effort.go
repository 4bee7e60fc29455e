package meter

import "fmt"

// Compile cost in microseconds on a core of some 3 GHz, fitted to wazero 1.12 with the shapes of TestEffort. Engines
// number blocks and search them for each join, merge the values of each local at every branch, and at loop heads again.
const (
	// Weights of branches, loops and added code among the blocks, whose square counts.
	weightBranch      = 4
	weightLoop        = 4
	weightCharge      = 3
	weightChargeAhead = 17
	weightBulk        = 12
	// The shares are divisors: so many units cost a microsecond. tableTarget is the cost of a label in microseconds.
	blocksShare    = 1000
	tableTarget    = 6
	targetShare    = 55
	heldShare      = 5
	redundantShare = 1000
)

// openBlock is a block whose end was not read yet.
type openBlock struct {
	loop    int32 // the block's loop, -1 for no loop
	height  int   // of the stack at the block's start, without parameters
	params  int
	results int
}

// functionStats counts what determines the compile cost of a function.
type functionStats struct {
	branches int
	loops    int
	values   int // of all calls, blocks and jumps, see [Limits.Values]
	bulk     int // counts operations that are charged by their size
	// targets counts labels of tables; targetsInLoops counts each of them once for each enclosing loop.
	targets        int
	targetsInLoops int
	// depth is the number of enclosing loops, deepest its maximum.
	depth   int
	deepest int
	// height is the stack's height, heldValues the sum of heights at all branches.
	height     int
	heldValues int
	results    uint32 // the maximum of parameters and results of a block
}

// apply changes the height as an opcode does without its immediates. In unreachable code the height is unknown.
func (s *functionStats) apply(op byte) { s.height = max(0, s.height+int(stackEffects[op])) }

func (s *functionStats) addJump(n int) {
	s.values += n * int(s.results)
	s.heldValues += s.height
}

func (s *functionStats) addCall(r *rewriter, callType uint32) {
	s.values += 8 + int(r.params[callType]+r.results[callType])
	s.pop(int(r.params[callType]))
	s.height += int(r.results[callType])
}

func (s *functionStats) pop(n int) { s.height = max(0, s.height-n) }

var stackEffects = func() (table [256]int8) {
	set := func(effect int8, from, to int) {
		for op := from; op <= to; op++ {
			table[op] = effect
		}
	}
	set(-1, 0x46, 0x4f) // comparisons of two
	set(-1, 0x51, 0x66)
	set(-1, 0x6a, 0x78) // arithmetic
	set(-1, 0x7c, 0x8a)
	set(-1, 0x92, 0x98)
	set(-1, 0xa0, 0xa6)
	set(-2, 0x36, 0x3e) // stores
	set(1, 0x41, 0x44)  // constants
	// drop, select, locals, globals, table.set, memory.size, references, if, branches, call_indirect
	for op, effect := range map[int]int8{0x1a: -1, 0x1b: -2, 0x1c: -2, 0x20: 1, 0x21: -1, 0x23: 1, 0x24: -1, 0x26: -2,
		0x3f: 1, 0xd0: 1, 0xd2: 1, 0x04: -1, 0x0d: -1, 0x0e: -1, 0x11: -1} {
		table[op] = effect
	}
	return table
}()

func miscStackEffect(op uint32) int {
	switch {
	case op < 8, op == 9, op == 13: // conversions, data.drop, elem.drop
		return 0
	case op == 15: // table.grow
		return -1
	case op == 16: // table.size
		return 1
	}
	return -3 // bulk operations
}

func (r *rewriter) typeOf(f uint32) uint32 {
	if int(f) < r.imports {
		return r.importTypes[f]
	}
	return r.types[int(f)-r.imports]
}

// effort estimates the compile cost in microseconds. The parts are, in order: joins of blocks, tables, merges of
// locals, values on the stack at branches, and merges at loop heads.
func (s *functionStats) effort(b *body, loops []loop) int {
	locals := int(b.locals) + int(s.results)
	blocks := weightBranch*s.branches + weightLoop*s.loops + weightBulk*s.bulk
	chargedInside := make([]bool, len(loops)) // whether the loop has a charged loop or a call in it
	for n := len(loops) - 1; n > 0; n-- {
		l := &loops[n]
		switch {
		case l.targeted && !l.hasCall && !chargedInside[n] && l.price <= smallPrice:
			blocks += weightChargeAhead
		case l.targeted:
			blocks += weightCharge
		}
		chargedInside[l.parent] = chargedInside[l.parent] || l.targeted || l.hasCall
	}
	return blocks*blocks/blocksShare + s.targets*tableTarget + s.targetsInLoops/targetShare +
		locals*(s.branches+s.loops) + s.heldValues/heldShare +
		(locals*locals*s.loops+s.values*int(s.results))/redundantShare*(1+s.deepest)
}

func (r *rewriter) addEffort(b *body, s *functionStats, loops []loop) {
	effort := s.effort(b, loops)
	r.effort += effort
	r.report.Effort = r.effort
	r.report.MaxEffort = max(r.report.MaxEffort, effort)
	if limit := r.options.Limits.Effort; effort > limit {
		panic(abort{&LimitError{fmt.Sprintf("effort of compiling function %d in microseconds (%d branches, %d loops, "+
			"%d deep, %d locals)", r.currentFunction(), s.branches, s.loops, s.deepest, b.locals), effort, limit}})
	}
	r.checkLimit(r.effort, r.options.Limits.TotalEffort, "effort of compiling all functions in microseconds")
	r.checkFunctionLimit(s.values, r.options.Limits.Values, "values passed by calls, blocks and jumps of function %d")
}
