package main

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
)

// declarationOf returns the declaration of a called function, nil for an instruction.
func (g *generator) declarationOf(e *ast.CallExpr) *ast.FuncDecl {
	if id, ok := e.Fun.(*ast.Ident); ok {
		switch id.Name {
		case "Load", "Byte", "Store", "Put", "Copy", "quotient", "pointer", "touch":
			return nil
		}
		return g.funcs[g.info.Uses[id]]
	}
	return nil
}

// isInlinedBlock reports whether a call is inlined as a block with statements, not as an expression.
func (g *generator) isInlinedBlock(e *ast.CallExpr) bool {
	fn := g.declarationOf(e)
	return fn != nil && !isExpression(fn)
}

// callValue pushes the result of a call or conversion.
func (g *generator) callValue(e *ast.CallExpr) {
	if tv := g.info.Types[e.Fun]; tv.IsType() {
		g.value(e.Args[0])
		if b, ok := tv.Type.Underlying().(*types.Basic); ok && b.Kind() == types.Uint8 {
			g.line("I64Const $255")
			g.line("I64And")
		} else if ok && b.Kind() == types.Uint32 {
			g.line("I64Const $4294967295")
			g.line("I64And")
		}
		return
	}
	switch name := types.ExprString(e.Fun); name {
	case "Load", "pointer":
		offset := g.place(e.Args[0], e.Args[1])
		g.line("I64Load $%d", offset)
	case "Byte":
		offset := g.place(e.Args[0], e.Args[1])
		g.line("I64Load8U $%d", offset)
	case "unsafe.Add":
		g.value(e.Args[0])
		g.value(e.Args[1])
		g.line("I64Add")
	case "bits.TrailingZeros64":
		g.value(e.Args[0])
		g.line("I64Ctz")
	case "bits.Len64":
		g.line("I64Const $64")
		g.value(e.Args[0])
		g.line("I64Clz")
		g.line("I64Sub")
	case "quotient":
		g.value(e.Args[0])
		g.line("F64ConvertI64U")
		offset := g.place(e.Args[1], e.Args[2])
		g.line("F64Load $%d", offset)
		g.line("F64Div")
		g.line("I64ReinterpretF64")
	default:
		fn := g.declarationOf(e)
		if fn == nil {
			g.fail(e, "no code for %s", name)
		}
		if isExpression(fn) {
			g.scope(func() {
				g.bind(fn, e, nil)
				g.value(fn.Body.List[0].(*ast.ReturnStmt).Results[0])
			})
			return
		}
		g.scope(func() {
			r := g.register(e)
			g.call(e, []int{r})
			g.line("Get R%d", r)
		})
	}
}

// isExpression reports whether a function is an expression alone.
func isExpression(fn *ast.FuncDecl) bool {
	if len(fn.Body.List) != 1 {
		return false
	}
	r, ok := fn.Body.List[0].(*ast.ReturnStmt)
	return ok && len(r.Results) == 1
}

// bind assigns operands to the parameters of a function: the arguments themselves if possible, else copies in
// registers. A parameter that the function assigns to is a copy, unless a result of the call goes to the variable that
// is its argument.
func (g *generator) bind(fn *ast.FuncDecl, e *ast.CallExpr, targets []int) {
	i := 0
	type pair struct {
		parameter types.Object
		operand   operand
	}
	var pairs []pair
	for _, field := range fn.Type.Params.List {
		for _, name := range field.Names {
			arg := e.Args[i]
			parameter := g.info.Defs[name]
			i++
			if v := g.info.Types[arg].Value; v != nil && !g.isAssigned(fn, parameter) {
				pairs = append(pairs, pair{parameter: parameter, operand: operand{constant: v}})
				continue
			}
			if p, ok := g.addressOperand(arg); ok {
				pairs = append(pairs, pair{parameter: parameter, operand: p})
				continue
			}
			if id := variableOf(arg); id != nil && (!g.isAssigned(fn, parameter) ||
				g.isReplaced(g.operandOf(id), e, targets)) {
				pairs = append(pairs, pair{parameter: parameter, operand: g.operandOf(id)})
				continue
			}
			if isExpression(fn) && g.uses(fn, parameter) == 1 {
				pairs = append(pairs, pair{parameter: parameter, operand: operand{expr: arg}})
				continue
			}
			g.value(arg)
			r := g.register(arg)
			g.line("Set R%d", r)
			pairs = append(pairs, pair{parameter: parameter, operand: operand{register: r}})
		}
	}
	for _, p := range pairs {
		g.vars[p.parameter] = p.operand
	}
}

// isReplaced reports whether p is a variable that a result of the call goes to, and only one argument uses it.
func (g *generator) isReplaced(p operand, e *ast.CallExpr, targets []int) bool {
	if p.address != "" || p.constant != nil || p.expr != nil || !slices.Contains(targets, p.register) {
		return false
	}
	uses := 0
	for _, arg := range e.Args {
		ast.Inspect(arg, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				if _, ok := g.vars[g.info.Uses[id]]; ok && g.operandOf(id) == p {
					uses++
				}
			}
			return true
		})
	}
	return uses == 1
}

func (g *generator) uses(fn *ast.FuncDecl, o types.Object) int {
	count := 0
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && g.info.Uses[id] == o {
			count++
		}
		return true
	})
	return count
}

func (g *generator) isAssigned(fn *ast.FuncDecl, o types.Object) bool {
	found := false
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, e := range n.Lhs {
				if id, ok := e.(*ast.Ident); ok && g.info.Uses[id] == o {
					found = true
				}
			}
		case *ast.IncDecStmt:
			if id, ok := n.X.(*ast.Ident); ok && g.info.Uses[id] == o {
				found = true
			}
		}
		return true
	})
	return found
}

// call assembles a call whose results go to registers.
func (g *generator) call(e *ast.CallExpr, targets []int) {
	switch types.ExprString(e.Fun) {
	case "Copy":
		for arg := 0; arg < 4; arg += 2 { // destination and source, each a pointer and an offset
			g.value(e.Args[arg])
			g.value(e.Args[arg+1])
			g.line("I64Add")
			g.line("I32WrapI64")
		}
		g.value(e.Args[4])
		g.line("I32WrapI64")
		g.line("MemoryCopy")
		return
	case "touch":
		pointee := g.info.Types[e.Args[0]].Type.Underlying().(*types.Pointer).Elem()
		offset := g.base(e.Args[0])
		g.line("I64Load $%d", offset+sizes.Sizeof(pointee)-8) // the end of the struct
		g.line("Drop")
		return
	case "Store", "Put":
		offset := g.place(e.Args[0], e.Args[1])
		g.value(e.Args[2])
		op := "I64Store"
		if types.ExprString(e.Fun) == "Put" {
			op = "I64Store8"
		}
		g.line("%s $%d", op, offset)
		return
	}
	fn := g.declarationOf(e)
	if fn == nil {
		g.fail(e, "no code for %s", types.ExprString(e.Fun))
	}
	g.scope(func() {
		g.bind(fn, e, targets)
		// A target may be a parameter's variable: a return sets all results at its end.
		g.open("Block")
		g.frames = append(g.frames, &frame{results: targets, depth: g.depth, loops: len(g.loops)})
		g.chain = append(g.chain, fmt.Sprintf("%s:%d", fn.Name.Name, g.fset.Position(e.Pos()).Line))
		g.block(fn.Body)
		g.chain = g.chain[:len(g.chain)-1]
		g.frames = g.frames[:len(g.frames)-1]
		g.end()
	})
}
