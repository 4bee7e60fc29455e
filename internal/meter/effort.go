package meter

import "fmt"

// Compile cost in microseconds on a core of some 3 GHz, fitted to wazero 1.12 with shapes of TestEffort. Engines
// number blocks and search them for each join, merge the values of each local at every branch, and at loop heads once
// more for each enclosing loop.
const (
	// Weights of branches, loops and added code among the blocks, whose square counts.
	weightBranch   = 4
	weightLoop     = 4
	weightCharge   = 3
	weightAhead    = 17
	weightBulk     = 12
	blocksShare    = 1000
	tableTarget    = 6
	targetShare    = 55
	heldShare      = 5
	redundantShare = 1000
)

// label is an open block: its loop (-1 for none), the stack height at its start without parameters, and its results.
type label struct {
	loop            int32
	height, results int
	params          int
}

type passage struct {
	branches, loops, values int
	// targets counts labels of tables, aimed each times its enclosing loops.
	targets, aimed int
	bulk           int
	depth, deepest int
	height, held   int
	results        uint32
}

func (p *passage) block(params, results uint32) {
	p.branches++
	p.values += int(params + results)
	p.results = max(p.results, params, results)
	p.held += p.height
}

func (p *passage) jump(n int) {
	p.values += n * int(p.results)
	p.held += p.height
}

func (p *passage) call(m *rewriter, t uint32) {
	p.values += 8 + int(m.params[t]+m.results[t])
	p.pop(int(m.params[t]))
	p.height += int(m.results[t])
}

func (p *passage) table(n int) {
	p.targets += n
	p.aimed += n * p.depth
	p.jump(n)
}

// pop may make the height negative in unreachable code, where it is unknown.
func (p *passage) pop(n int) { p.height = max(0, p.height-n) }

var heights = func() (t [256]int8) {
	set := func(by int8, from, to int) {
		for i := from; i <= to; i++ {
			t[i] = by
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
	for op, by := range map[int]int8{0x1a: -1, 0x1b: -2, 0x1c: -2, 0x20: 1, 0x21: -1, 0x23: 1, 0x24: -1, 0x26: -2,
		0x3f: 1, 0xd0: 1, 0xd2: 1,
		0x04: -1, 0x0d: -1, 0x0e: -1, 0x11: -1} {
		t[op] = by
	}
	return t
}()

func miscHeight(op uint32) int {
	switch {
	case op < 8, op == 9, op == 13:
		return 0
	case op == 15:
		return -1
	case op == 16:
		return 1
	}
	return -3
}

func (m *rewriter) typeOf(f uint32) uint32 {
	if int(f) < m.imports {
		return m.importTypes[f]
	}
	return m.types[int(f)-m.imports]
}

func (p *passage) effort(b *body, loops []loop) int {
	locals := int(b.locals) + int(p.results)
	blocks := weightBranch*p.branches + weightLoop*p.loops + weightBulk*p.bulk
	within := make([]bool, len(loops)) // something in it is charged
	for n := len(loops) - 1; n > 0; n-- {
		l := &loops[n]
		switch {
		case l.targeted && !l.calls && !within[n] && l.price <= smallPrice:
			blocks += weightAhead
		case l.targeted:
			blocks += weightCharge
		}
		within[l.parent] = within[l.parent] || l.targeted || l.calls
	}
	return blocks*blocks/blocksShare +
		p.targets*tableTarget + p.aimed/targetShare +
		locals*(p.branches+p.loops) + p.held/heldShare +
		(locals*locals*p.loops+p.values*int(p.results))/redundantShare*(1+p.deepest)
}

func (m *rewriter) weigh(b *body, p *passage, loops []loop) {
	effort := p.effort(b, loops)
	m.effort += effort
	m.report.Effort = m.effort
	m.report.MaxEffort = max(m.report.MaxEffort, effort)
	if limit := m.options.Limits.Effort; effort > limit {
		panic(failure{&Exceeded{fmt.Sprintf("effort of compiling function %d in microseconds (%d branches, %d loops, "+
			"%d deep, %d locals)",
			m.current(), p.branches, p.loops, p.deepest, b.locals), effort, limit}})
	}
	m.atMost(m.effort, m.options.Limits.TotalEffort, "effort of compiling all functions in microseconds")
	m.ofFunction(p.values, m.options.Limits.Values, "values passed by calls, blocks and jumps of function %d")
}
