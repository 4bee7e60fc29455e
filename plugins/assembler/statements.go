package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

// function assembles a kernel: goX becomes ·X, as declared in kernel_wasm.go.
func (g *generator) function(fn *ast.FuncDecl) {
	g.vars = map[types.Object]operand{}
	g.free = nil
	g.loops = nil
	g.depth = 0
	for r := 15; r >= 0; r-- { // Go's assembler has R0 to R15
		g.free = append(g.free, r)
	}
	g.assignAddresses(fn)
	// Load the parameters, of 8 bytes each, into registers.
	offset := 0
	var loads, stackLoads []string
	for _, field := range fn.Type.Params.List {
		for _, name := range field.Names {
			load := fmt.Sprintf("\tI64Load %s+%d(FP)\n", name.Name, offset)
			offset += 8
			if to := g.addresses[name.Name]; to != "" {
				g.vars[g.info.Defs[name]] = operand{address: to}
				load += fmt.Sprintf("\tI32WrapI64\n\tSet %s\n", to)
				if to == "SP" { // the other parameters are loaded from the stack that it points to
					stackLoads = append(stackLoads, load)
					continue
				}
			} else {
				r := g.register(name)
				g.vars[g.info.Defs[name]] = operand{register: r}
				load += fmt.Sprintf("\tSet R%d\n", r)
			}
			loads = append(loads, load)
		}
	}
	if g.stack >= 0 { // SP is saved before it becomes an address
		loads = append(loads, fmt.Sprintf("\tGet SP\n\tI64ExtendI32U\n\tSet R%d\n", g.stack))
	}
	loads = append(loads, stackLoads...)
	if fn.Type.Results.NumFields() != 1 {
		g.fail(fn, "expected one result")
	}
	g.line("")
	name := strings.TrimPrefix(fn.Name.Name, "go")
	g.line("TEXT ·%s(SB), NOSPLIT, $0-%d", name, offset+8)
	g.out.WriteString(strings.Join(loads, ""))
	g.indent = 1
	g.frames = []*frame{{outer: true, results: []int{offset}}}
	g.block(fn.Body)
	g.line("Unreachable") // every path of the body returns
	g.line("RET")
	g.indent = 0
}

// assignAddresses sets addresses and stack: it assigns registers to the pointers that a kernel's comment names.
func (g *generator) assignAddresses(fn *ast.FuncDecl) {
	g.addresses = map[string]string{}
	g.stack = -1
	names, ok := strings.CutPrefix(fn.Doc.Text(), "kernel(")
	if !ok {
		return
	}
	names, _, _ = strings.Cut(names, ")")
	for i, name := range strings.Split(names, ",") {
		switch i {
		case 0:
			g.addresses[strings.TrimSpace(name)] = "PC_B"
		case 1:
			g.stack = g.register(fn)
			g.addresses[strings.TrimSpace(name)] = "SP"
		default:
			g.fail(fn, "more than two addresses")
		}
	}
}

// register allocates a register. It is free again at the end of the current scope.
func (g *generator) register(n ast.Node) int {
	if len(g.free) == 0 {
		g.fail(n, "more than 16 variables alive, in %v", g.chain)
	}
	r := g.free[len(g.free)-1]
	g.free = g.free[:len(g.free)-1]
	return r
}

// scope runs f and frees the registers that it allocated.
func (g *generator) scope(f func()) {
	free := append([]int{}, g.free...)
	f()
	g.free = free
}

func (g *generator) block(b *ast.BlockStmt) {
	g.scope(func() {
		for _, s := range b.List {
			g.statement(s)
		}
	})
}

// open begins a block, loop or if.
func (g *generator) open(op string) {
	g.line("%s", op)
	g.indent++
	g.depth++
}

func (g *generator) end() {
	g.indent--
	g.depth--
	g.line("End")
}

// jump writes a branch instruction to the block with a depth.
func (g *generator) jump(op string, to int) { g.line("%s $%d", op, g.depth-to) }

func (g *generator) statement(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.BlockStmt:
		g.block(s)
	case *ast.AssignStmt:
		g.assign(s)
	case *ast.IncDecStmt:
		op := "I64Add"
		if s.Tok == token.DEC {
			op = "I64Sub"
		}
		g.store(s.X, func() {
			g.value(s.X)
			g.line("I64Const $1")
			g.line("%s", op)
		})
	case *ast.ExprStmt:
		g.call(s.X.(*ast.CallExpr), nil)
	case *ast.IfStmt:
		g.scope(func() {
			if s.Init != nil {
				g.statement(s.Init)
			}
			g.condition(s.Cond)
			g.open("If")
			g.block(s.Body)
			if s.Else != nil {
				g.indent--
				g.line("Else")
				g.indent++
				g.statement(s.Else)
			}
			g.end()
		})
	case *ast.ForStmt:
		g.forLoop(s)
	case *ast.BranchStmt:
		g.branch(s)
	case *ast.ReturnStmt:
		g.result(s)
	default:
		g.fail(s, "no code for %T", s)
	}
}

// forLoop assembles a for statement. With a post statement, continue leaves a block before it.
func (g *generator) forLoop(s *ast.ForStmt) {
	g.scope(func() {
		if s.Init != nil {
			g.statement(s.Init)
		}
		g.open("Block")
		targets := loop{breakDepth: g.depth}
		g.open("Loop")
		loopDepth := g.depth
		if s.Cond != nil {
			g.condition(s.Cond)
			g.line("I32Eqz")
			g.jump("BrIf", targets.breakDepth)
		}
		targets.continueTo = loopDepth
		if s.Post != nil {
			g.open("Block")
			targets.continueTo = g.depth
		}
		g.loops = append(g.loops, targets)
		g.block(s.Body)
		g.loops = g.loops[:len(g.loops)-1]
		if s.Post != nil {
			g.end()
			g.statement(s.Post)
		}
		g.jump("Br", loopDepth)
		g.end()
		g.end()
	})
}

// branch assembles break and continue of the innermost loop.
func (g *generator) branch(s *ast.BranchStmt) {
	if len(g.loops) == g.frames[len(g.frames)-1].loops {
		g.fail(s, "no loop to leave")
	}
	targets := g.loops[len(g.loops)-1]
	switch {
	case s.Label == nil && s.Tok == token.BREAK:
		g.jump("Br", targets.breakDepth)
	case s.Label == nil && s.Tok == token.CONTINUE:
		g.jump("Br", targets.continueTo)
	default:
		g.fail(s, "no code for %s", s.Tok)
	}
}

func (g *generator) result(s *ast.ReturnStmt) {
	frame := g.frames[len(g.frames)-1]
	if len(s.Results) == 1 && !frame.outer {
		if call, ok := s.Results[0].(*ast.CallExpr); ok && g.isInlinedBlock(call) {
			g.call(call, frame.results) // the same results
			g.jump("Br", frame.depth)
			return
		}
	}
	if len(s.Results) != len(frame.results) {
		g.fail(s, "expected %d results", len(frame.results))
	}
	if frame.outer && g.stack >= 0 {
		// The result may be computed from SP, which is restored after that.
		r := g.register(s)
		g.value(s.Results[0])
		g.line("Set R%d", r)
		g.line("Get R%d", g.stack)
		g.line("I32WrapI64")
		g.line("Set SP")
		g.line("Get SP")
		g.line("Get R%d", r)
		g.line("I64Store ret+%d(FP)", frame.results[0])
		g.line("RET")
		g.free = append(g.free, r)
		return
	}
	if frame.outer {
		g.line("Get SP")
		g.value(s.Results[0])
		g.line("I64Store ret+%d(FP)", frame.results[0])
		g.line("RET")
		return
	}
	for _, e := range s.Results {
		g.value(e)
	}
	for i := len(frame.results) - 1; i >= 0; i-- {
		g.line("Set R%d", frame.results[i])
	}
	g.jump("Br", frame.depth)
}

var operations = map[token.Token]token.Token{
	token.ADD_ASSIGN:     token.ADD,
	token.SUB_ASSIGN:     token.SUB,
	token.MUL_ASSIGN:     token.MUL,
	token.QUO_ASSIGN:     token.QUO,
	token.REM_ASSIGN:     token.REM,
	token.AND_ASSIGN:     token.AND,
	token.OR_ASSIGN:      token.OR,
	token.XOR_ASSIGN:     token.XOR,
	token.SHL_ASSIGN:     token.SHL,
	token.SHR_ASSIGN:     token.SHR,
	token.AND_NOT_ASSIGN: token.AND_NOT,
}

func (g *generator) assign(s *ast.AssignStmt) {
	if op, ok := operations[s.Tok]; ok {
		g.store(s.Lhs[0], func() {
			g.value(s.Lhs[0])
			g.operate(s, op, s.Lhs[0], s.Rhs[0])
		})
		return
	}
	_, isField := s.Lhs[0].(*ast.SelectorExpr)
	if call, ok := s.Rhs[0].(*ast.CallExpr); ok && len(s.Rhs) == 1 && !isField && g.isInlinedBlock(call) {
		var targets []int
		for _, e := range s.Lhs {
			id, ok := e.(*ast.Ident)
			if !ok {
				g.fail(e, "results of calls go to variables")
			}
			targets = append(targets, g.variable(id))
		}
		g.call(call, targets)
		return
	}
	if len(s.Lhs) != 1 {
		g.fail(s, "several values assigned at once")
	}
	id, ok := s.Lhs[0].(*ast.Ident)
	if !ok || s.Tok != token.DEFINE {
		g.store(s.Lhs[0], func() { g.value(s.Rhs[0]) })
		return
	}
	if to := g.addresses[id.Name]; to != "" && len(g.frames) == 1 {
		g.vars[g.info.Defs[id]] = operand{address: to}
		g.store(id, func() { g.value(s.Rhs[0]) })
		return
	}
	g.value(s.Rhs[0])
	g.line("Set R%d", g.variable(id))
}

// variable returns a variable's register, a new one if it is declared here.
func (g *generator) variable(id *ast.Ident) int {
	if o := g.info.Defs[id]; o != nil {
		r := g.register(id)
		g.vars[o] = operand{register: r}
		return r
	}
	p, ok := g.vars[g.info.Uses[id]]
	if !ok {
		g.fail(id, "unknown variable %s", id.Name)
	}
	if p.address != "" {
		g.fail(id, "no result of a call, nor one of several assigned at once, goes to the address %s", id.Name)
	}
	return p.register
}

// store assigns what value pushes to a variable or a field.
func (g *generator) store(e ast.Expr, value func()) {
	if id := variableOf(e); id != nil {
		value()
		if to := g.operandOf(id).address; to != "" {
			g.line("I32WrapI64")
			g.line("Set %s", to)
			return
		}
		g.line("Set R%d", g.variable(id))
		return
	}
	offset := g.address(e)
	value()
	g.line("I64Store $%d", offset)
}
