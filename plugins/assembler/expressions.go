package main

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
)

// operandOf returns the location of a variable.
func (g *generator) operandOf(id *ast.Ident) operand {
	o := g.info.Uses[id]
	if o == nil {
		o = g.info.Defs[id]
	}
	return g.vars[o]
}

// base pushes an address as i32 and returns an offset to add.
func (g *generator) base(e ast.Expr) int64 {
	if id := variableOf(e); id != nil {
		p := g.operandOf(id)
		if p.address != "" {
			g.line("Get %s", p.address)
			return p.offset
		}
		if p.expr != nil {
			return g.base(p.expr)
		}
	}
	g.value(e)
	g.line("I32WrapI64")
	return 0
}

// variableOf returns the variable of v, or of *v for a variable of the caller; nil for other expressions.
func variableOf(e ast.Expr) *ast.Ident {
	switch e := e.(type) {
	case *ast.Ident:
		return e
	case *ast.ParenExpr:
		return variableOf(e.X)
	case *ast.StarExpr:
		return variableOf(e.X)
	}
	return nil
}

// address pushes the address of the struct around a field, as i32, and returns the field's offset.
func (g *generator) address(e ast.Expr) int64 {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		selection := g.info.Selections[e]
		if selection == nil {
			break
		}
		offset := int64(0)
		typ := selection.Recv()
		isPointer := false
		if p, ok := typ.Underlying().(*types.Pointer); ok {
			typ = p.Elem()
			isPointer = true
		}
		for _, i := range selection.Index() {
			structType := typ.Underlying().(*types.Struct)
			var fields []*types.Var
			for k := range structType.NumFields() {
				fields = append(fields, structType.Field(k))
			}
			offset += sizes.Offsetsof(fields)[i]
			typ = fields[i].Type()
		}
		if isPointer {
			return g.base(e.X) + offset
		}
		return g.address(e.X) + offset
	case *ast.IndexExpr:
		i, ok := constant.Int64Val(g.info.Types[e.Index].Value)
		if !ok {
			break
		}
		return g.address(e.X) + 8*i // all elements have 8 bytes
	}
	g.fail(e, "no address of this")
	return 0
}

// addressOperand returns the operand for the address of a variable, or of a field at a kept address, as an argument.
func (g *generator) addressOperand(e ast.Expr) (operand, bool) {
	u, ok := e.(*ast.UnaryExpr)
	if !ok || u.Op != token.AND {
		return operand{}, false
	}
	if id := variableOf(u.X); id != nil {
		return g.operandOf(id), true
	}
	field, ok := u.X.(*ast.SelectorExpr)
	if !ok || variableOf(field.X) == nil || g.operandOf(variableOf(field.X)).address == "" {
		return operand{}, false
	}
	p := g.operandOf(variableOf(field.X))
	length := g.out.Len()
	p.offset = g.address(field)
	g.out.Truncate(length) // only the offset is needed
	return p, true
}

// value pushes the value of an expression as i64.
func (g *generator) value(e ast.Expr) {
	if tv := g.info.Types[e]; tv.Value != nil {
		g.pushConstant(tv.Value)
		return
	}
	switch e := e.(type) {
	case *ast.ParenExpr:
		g.value(e.X)
	case *ast.StarExpr:
		g.value(e.X)
	case *ast.Ident:
		g.identifier(e)
	case *ast.SelectorExpr, *ast.IndexExpr:
		offset := g.address(e)
		g.line("I64Load $%d", offset)
	case *ast.UnaryExpr:
		switch e.Op {
		case token.SUB:
			g.line("I64Const $0")
			g.value(e.X)
			g.line("I64Sub")
		case token.XOR:
			g.value(e.X)
			g.line("I64Const $-1")
			g.line("I64Xor")
		case token.AND:
			offset := g.address(e.X)
			g.line("I64ExtendI32U")
			g.line("I64Const $%d", offset)
			g.line("I64Add")
		default:
			g.fail(e, "no code for %s", e.Op)
		}
	case *ast.BinaryExpr:
		g.value(e.X)
		g.operate(e, e.Op, e.X, e.Y)
	case *ast.CallExpr:
		g.callValue(e)
	default:
		g.fail(e, "no code for %T", e)
	}
}

// identifier pushes the value of a variable, or of nil.
func (g *generator) identifier(e *ast.Ident) {
	if e.Name == "nil" {
		g.line("I64Const $0")
		return
	}
	variable, ok := g.vars[g.info.Uses[e]]
	switch {
	case !ok:
		g.fail(e, "unknown variable %s", e.Name)
	case variable.constant != nil:
		g.pushConstant(variable.constant)
	case variable.expr != nil:
		g.value(variable.expr)
	case variable.address != "":
		g.line("Get %s", variable.address)
		g.line("I64ExtendI32U")
		if variable.offset != 0 {
			g.line("I64Const $%d", variable.offset)
			g.line("I64Add")
		}
	default:
		g.line("Get R%d", variable.register)
	}
}

// pushConstant pushes an integer, which may exceed int64.
func (g *generator) pushConstant(v constant.Value) {
	v = constant.ToInt(v)
	if n, ok := constant.Int64Val(v); ok {
		g.line("I64Const $%d", n)
		return
	}
	n, _ := constant.Uint64Val(v)
	g.line("I64Const $%d", int64(n))
}

func (g *generator) isSigned(e ast.Expr) bool {
	b, ok := g.info.Types[e].Type.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsUnsigned == 0
}

// operate pushes y and the instruction that combines it with x, which is already pushed.
func (g *generator) operate(n ast.Node, op token.Token, x, y ast.Expr) {
	g.value(y)
	suffix := "U"
	if g.isSigned(x) {
		suffix = "S"
	}
	switch name := instructions[op]; op {
	case token.AND_NOT:
		g.line("I64Const $-1")
		g.line("I64Xor")
		g.line("I64And")
	case token.SHR, token.QUO, token.REM:
		g.line("%s%s", name, suffix)
	default:
		if name == "" {
			g.fail(n, "no code for %s", op)
		}
		g.line("%s", name)
	}
}

var instructions = map[token.Token]string{
	token.ADD: "I64Add",
	token.SUB: "I64Sub",
	token.MUL: "I64Mul",
	token.AND: "I64And",
	token.OR:  "I64Or",
	token.XOR: "I64Xor",
	token.SHL: "I64Shl",
	// The sign of the first operand, S or U, is appended.
	token.SHR: "I64Shr",
	token.QUO: "I64Div",
	token.REM: "I64Rem",
}

// comparisons holds the instructions by operator, to which the sign of the operands is appended.
var comparisons = map[token.Token]string{token.LSS: "Lt", token.LEQ: "Le", token.GTR: "Gt", token.GEQ: "Ge"}

// condition pushes the value of a condition as i32.
func (g *generator) condition(e ast.Expr) {
	switch e := e.(type) {
	case *ast.ParenExpr:
		g.condition(e.X)
		return
	case *ast.BinaryExpr:
		switch e.Op {
		case token.LAND, token.LOR:
			g.condition(e.X)
			g.condition(e.Y)
			g.line("%s", map[token.Token]string{token.LAND: "I32And", token.LOR: "I32Or"}[e.Op])
			return
		case token.EQL, token.NEQ:
			g.value(e.X)
			if v := g.info.Types[e.Y].Value; v != nil && e.Op == token.EQL {
				if n, ok := constant.Int64Val(constant.ToInt(v)); ok && n == 0 {
					g.line("I64Eqz")
					return
				}
			}
			g.value(e.Y)
			g.line("%s", map[token.Token]string{token.EQL: "I64Eq", token.NEQ: "I64Ne"}[e.Op])
			return
		}
		if name, ok := comparisons[e.Op]; ok {
			g.value(e.X)
			g.value(e.Y)
			// A constant on the left has the sign of the other operand.
			suffix := "U"
			if g.isSigned(e.X) && (g.info.Types[e.X].Value == nil || g.isSigned(e.Y)) {
				suffix = "S"
			}
			g.line("I64%s%s", name, suffix)
			return
		}
	}
	g.fail(e, "no condition")
}

// place pushes the address p+i as i32 and returns an offset to add.
func (g *generator) place(p, i ast.Expr) int64 {
	offset := int64(0)
	if b, ok := i.(*ast.BinaryExpr); ok && b.Op == token.ADD {
		if v := g.info.Types[b.Y].Value; v != nil {
			offset, _ = constant.Int64Val(v)
			i = b.X
		}
	}
	if v := g.info.Types[i].Value; v != nil {
		n, _ := constant.Int64Val(v)
		return g.base(p) + offset + n
	}
	g.value(p)
	g.value(i)
	g.line("I64Add")
	g.line("I32WrapI64")
	return offset
}
