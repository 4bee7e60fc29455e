// Command assembler generates kernel_wasm.s, Wasm assembly, from kernel.go of each plugin kernel. Run it in the root of
// the repository, as `make guests` does. Go's own Wasm code runs through a jump table at every jump; assembly has real
// loops and blocks. The Go source is authoritative: other machines run it, and tests compare the assembly with it.
//
// It supports a small part of Go: variables of 8 bytes (int, uint64, int64, pointers), fields of structs through
// pointers, if, for, return, and calls, which are inlined. A called function may take the address of a variable of its
// caller (&e, used as *e) or of a field (&e.Prefix): both stand for the variable or the field itself. Functions whose
// comment begins with "kernel" get a body in assembly. && and || evaluate both sides, and shifts must be below 64.
// Functions named Load, Byte, Store, Put, Copy, quotient, pointer and touch are instructions: they must work as in
// plugins/odata/decode/fast and plugins/smt/kernel.
//
// A guest contains the assembly with the build tag kernels. Without it the same Go is compiled, so a fresh clone also
// builds. `make bench` compares both.
//
// The comment of a kernel may name up to two pointers that are kept as 32-bit addresses: "kernel(e, s): …". The engine
// (wazero) checks the bounds of accesses through the same address once, up to what was checked before: touch checks a
// whole struct. All other addresses are computed and checked for each access, which costs a jump over some 50 bytes of
// code. There are two such registers: PC_B, which is unused in a function without calls, and SP, which is restored
// before the function returns.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	for _, k := range kernels {
		if err := k.write("."); err != nil {
			fmt.Fprintln(os.Stderr, "assembler:", err)
			os.Exit(1)
		}
	}
}

// kernel is a package with functions to assemble: its folder in the repository, and the files with functions to
// assemble or inline.
type kernel struct {
	folder string
	files  []string
}

var kernels = []kernel{
	{"plugins/odata/decode/fast", []string{"kernel.go", "word.go", "row.go", "template.go"}},
	{"plugins/smt/kernel", []string{"kernel.go", "find.go", "write.go", "convert.go", "word.go", "rows.go"}},
}

// write writes a kernel's assembly if it changed. Tests that build guests call it concurrently.
func (k kernel) write(root string) error {
	folder := filepath.Join(root, k.folder)
	text, err := generate(folder, k.files)
	if err != nil {
		return fmt.Errorf("%s: %w", k.folder, err)
	}
	path := filepath.Join(folder, "kernel_wasm.s")
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
		return nil
	}
	// A rename keeps a compiler that reads the file from seeing half of it.
	whole, err := os.CreateTemp(folder, "kernel_wasm.*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(whole.Name())
	if _, err = whole.Write(text); err == nil {
		err = whole.Chmod(0o644)
	}
	if err = errors.Join(err, whole.Close()); err != nil {
		return err
	}
	return os.Rename(whole.Name(), path)
}

type generator struct {
	fset  *token.FileSet
	info  *types.Info
	funcs map[types.Object]*ast.FuncDecl
	out   bytes.Buffer

	indent int
	vars   map[types.Object]operand
	free   []int
	// frames are the functions being assembled: the outermost, then the inlined ones.
	frames []*frame
	// depth is the number of open blocks.
	depth int
	loops []loop
	// chain are the positions of the inlined calls, for messages.
	chain []string
	// addresses are the registers of pointers kept as addresses, by name. stack is the register that saves the stack
	// pointer, or -1.
	addresses map[string]string
	stack     int
}

// operand is the location of a variable: a register, or another expression.
type operand struct {
	register int
	// address, if not empty, is a 32-bit register; offset is added to it.
	address  string
	offset   int64
	constant constant.Value
	expr     ast.Expr
}

// loop has the targets of break and continue.
type loop struct{ breakDepth, continueTo int }

type frame struct {
	results []int
	depth   int
	outer   bool
	loops   int
}

func generate(folder string, files []string) (text []byte, err error) {
	g := &generator{fset: token.NewFileSet(), funcs: map[types.Object]*ast.FuncDecl{}}
	var parsed []*ast.File
	for _, name := range files {
		f, err := parser.ParseFile(g.fset, folder+"/"+name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, f)
	}
	g.info = &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{},
		Uses:       map[*ast.Ident]types.Object{},
		Selections: map[*ast.SelectorExpr]*types.Selection{}}
	if build.Default.GOROOT == "" { // in a program that was built with -trimpath
		root, err := exec.Command("go", "env", "GOROOT").Output()
		if err != nil {
			return nil, fmt.Errorf("go env GOROOT: %w", err)
		}
		build.Default.GOROOT = strings.TrimSpace(string(root))
	}
	config := types.Config{Importer: importer.ForCompiler(g.fset, "source", nil), Sizes: sizes, Error: func(error) {}}
	config.Check("kernel", g.fset, parsed, g.info)
	defer func() {
		if e := recover(); e != nil {
			failure, ok := e.(failure)
			if !ok {
				panic(e)
			}
			err = failure
		}
	}()
	g.line("// Made by plugins/assembler from kernel.go. DO NOT EDIT.")
	g.line("")
	g.line("//go:build kernels")
	g.line("")
	g.line("#include \"textflag.h\"")
	var kernels []*ast.FuncDecl
	for _, f := range parsed {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				g.funcs[g.info.Defs[fn.Name]] = fn
				if strings.HasPrefix(fn.Doc.Text(), "kernel") {
					kernels = append(kernels, fn)
				}
			}
		}
	}
	for _, fn := range kernels {
		g.function(fn)
	}
	return g.out.Bytes(), nil
}

var sizes = types.SizesFor("gc", "wasm")

type failure struct{ error }

func (g *generator) fail(n ast.Node, format string, args ...any) {
	panic(failure{fmt.Errorf("%s: %s", g.fset.Position(n.Pos()), fmt.Sprintf(format, args...))})
}

func (g *generator) line(format string, args ...any) {
	line := strings.Repeat("\t", g.indent) + fmt.Sprintf(format, args...) + "\n"
	// A value that is set and read at once stays on the stack.
	if set := strings.Replace(line, "Get R", "Set R", 1); set != line &&
		bytes.HasSuffix(g.out.Bytes(), []byte("\n"+set)) {
		g.out.Truncate(g.out.Len() - len(set))
		line = strings.Replace(line, "Get R", "Tee R", 1)
	}
	g.out.WriteString(line)
}

// function assembles a kernel: goX becomes ·X, as declared in kernel_wasm.go.
func (g *generator) function(fn *ast.FuncDecl) {
	g.vars, g.free, g.loops, g.depth = map[types.Object]operand{}, nil, nil, 0
	for r := 15; r >= 0; r-- {
		g.free = append(g.free, r)
	}
	g.addressed(fn)
	offset := 0
	var loads, last []string
	for _, field := range fn.Type.Params.List {
		for _, name := range field.Names {
			load := fmt.Sprintf("\tI64Load %s+%d(FP)\n", name.Name, offset)
			offset += 8
			if to := g.addresses[name.Name]; to != "" {
				g.vars[g.info.Defs[name]] = operand{address: to}
				load += fmt.Sprintf("\tI32WrapI64\n\tSet %s\n", to)
				if to == "SP" { // by which the others are loaded
					last = append(last, load)
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
	if g.stack >= 0 {
		loads = append(loads, fmt.Sprintf("\tGet SP\n\tI64ExtendI32U\n\tSet R%d\n", g.stack))
	}
	loads = append(loads, last...)
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
	g.line("Unreachable")
	g.line("RET")
	g.indent = 0
}

// addressed assigns registers to the pointers that a kernel's comment names.
func (g *generator) addressed(fn *ast.FuncDecl) {
	g.addresses, g.stack = map[string]string{}, -1
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
			g.addresses[strings.TrimSpace(name)], g.stack = "SP", g.register(fn)
		default:
			g.fail(fn, "more than two addresses")
		}
	}
}

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
		g.loop(s)
	case *ast.BranchStmt:
		g.branch(s)
	case *ast.ReturnStmt:
		g.result(s)
	default:
		g.fail(s, "no code for %T", s)
	}
}

func (g *generator) loop(s *ast.ForStmt) {
	g.scope(func() {
		if s.Init != nil {
			g.statement(s.Init)
		}
		g.open("Block")
		l := loop{breakDepth: g.depth}
		g.open("Loop")
		top := g.depth
		if s.Cond != nil {
			g.condition(s.Cond)
			g.line("I32Eqz")
			g.jump("BrIf", l.breakDepth)
		}
		l.continueTo = top
		if s.Post != nil {
			g.open("Block")
			l.continueTo = g.depth
		}
		g.loops = append(g.loops, l)
		g.block(s.Body)
		g.loops = g.loops[:len(g.loops)-1]
		if s.Post != nil {
			g.end()
			g.statement(s.Post)
		}
		g.jump("Br", top)
		g.end()
		g.end()
	})
}

func (g *generator) branch(s *ast.BranchStmt) {
	if len(g.loops) == g.frames[len(g.frames)-1].loops {
		g.fail(s, "no loop to leave")
	}
	l := g.loops[len(g.loops)-1]
	switch {
	case s.Label == nil && s.Tok == token.BREAK:
		g.jump("Br", l.breakDepth)
	case s.Label == nil && s.Tok == token.CONTINUE:
		g.jump("Br", l.continueTo)
	default:
		g.fail(s, "no code for %s", s.Tok)
	}
}

func (g *generator) result(s *ast.ReturnStmt) {
	f := g.frames[len(g.frames)-1]
	if len(s.Results) == 1 && !f.outer {
		if call, ok := s.Results[0].(*ast.CallExpr); ok && g.inlined(call) != nil && !single(g.inlined(call)) {
			g.call(call, f.results)
			g.jump("Br", f.depth)
			return
		}
	}
	if len(s.Results) != len(f.results) {
		g.fail(s, "expected %d results", len(f.results))
	}
	if f.outer && g.stack >= 0 {
		r := g.register(s)
		g.value(s.Results[0])
		g.line("Set R%d", r)
		g.line("Get R%d", g.stack)
		g.line("I32WrapI64")
		g.line("Set SP")
		g.line("Get SP")
		g.line("Get R%d", r)
		g.line("I64Store ret+%d(FP)", f.results[0])
		g.line("RET")
		g.free = append(g.free, r)
		return
	}
	if f.outer {
		g.line("Get SP")
		g.value(s.Results[0])
		g.line("I64Store ret+%d(FP)", f.results[0])
		g.line("RET")
		return
	}
	for _, e := range s.Results {
		g.value(e)
	}
	for i := len(f.results) - 1; i >= 0; i-- {
		g.line("Set R%d", f.results[i])
	}
	g.jump("Br", f.depth)
}

var operations = map[token.Token]token.Token{token.ADD_ASSIGN: token.ADD, token.SUB_ASSIGN: token.SUB,
	token.MUL_ASSIGN: token.MUL,
	token.OR_ASSIGN:  token.OR, token.AND_ASSIGN: token.AND, token.XOR_ASSIGN: token.XOR, token.SHL_ASSIGN: token.SHL,
	token.SHR_ASSIGN: token.SHR, token.QUO_ASSIGN: token.QUO, token.REM_ASSIGN: token.REM,
	token.AND_NOT_ASSIGN: token.AND_NOT}

func (g *generator) assign(s *ast.AssignStmt) {
	if op, ok := operations[s.Tok]; ok {
		g.store(s.Lhs[0], func() {
			g.value(s.Lhs[0])
			g.operate(s, op, s.Lhs[0], s.Rhs[0])
		})
		return
	}
	_, field := s.Lhs[0].(*ast.SelectorExpr)
	if call, ok := s.Rhs[0].(*ast.CallExpr); ok && len(s.Rhs) == 1 && !field && g.inlined(call) != nil &&
		!single(g.inlined(call)) {
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
		if to := g.operand(id).address; to != "" {
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

func (g *generator) operand(id *ast.Ident) operand {
	o := g.info.Uses[id]
	if o == nil {
		o = g.info.Defs[id]
	}
	return g.vars[o]
}

// base pushes an address as i32 and returns an offset to add.
func (g *generator) base(e ast.Expr) int64 {
	if id := variableOf(e); id != nil {
		p := g.operand(id)
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

// variableOf returns the variable that an expression refers to, as v, or as *v for a variable of the caller; nil for
// other expressions.
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
		offset, at := int64(0), selection.Recv()
		pointer := false
		if p, ok := at.Underlying().(*types.Pointer); ok {
			at, pointer = p.Elem(), true
		}
		for _, i := range selection.Index() {
			st := at.Underlying().(*types.Struct)
			var fields []*types.Var
			for k := range st.NumFields() {
				fields = append(fields, st.Field(k))
			}
			offset += sizes.Offsetsof(fields)[i]
			at = fields[i].Type()
		}
		if pointer {
			return g.base(e.X) + offset
		}
		return g.address(e.X) + offset
	case *ast.IndexExpr:
		i, ok := constant.Int64Val(g.info.Types[e.Index].Value)
		if !ok {
			break
		}
		return g.address(e.X) + 8*i
	}
	g.fail(e, "no address of this")
	return 0
}

// fixed returns the operand for the address of a variable, or of a field at a kept address, as an argument.
func (g *generator) fixed(e ast.Expr) (operand, bool) {
	u, ok := e.(*ast.UnaryExpr)
	if !ok || u.Op != token.AND {
		return operand{}, false
	}
	if id := variableOf(u.X); id != nil {
		return g.operand(id), true
	}
	field, ok := u.X.(*ast.SelectorExpr)
	if !ok || variableOf(field.X) == nil || g.operand(variableOf(field.X)).address == "" {
		return operand{}, false
	}
	p := g.operand(variableOf(field.X))
	written := g.out.Len()
	p.offset = g.address(field)
	g.out.Truncate(written)
	return p, true
}

func (g *generator) value(e ast.Expr) {
	if tv := g.info.Types[e]; tv.Value != nil {
		g.constant(tv.Value)
		return
	}
	switch e := e.(type) {
	case *ast.ParenExpr:
		g.value(e.X)
	case *ast.StarExpr:
		g.value(e.X)
	case *ast.Ident:
		if e.Name == "nil" {
			g.line("I64Const $0")
			return
		}
		p, ok := g.vars[g.info.Uses[e]]
		if !ok {
			g.fail(e, "unknown variable %s", e.Name)
		}
		if p.constant != nil {
			g.constant(p.constant)
			return
		}
		if p.expr != nil {
			g.value(p.expr)
			return
		}
		if p.address != "" {
			g.line("Get %s", p.address)
			g.line("I64ExtendI32U")
			if p.offset != 0 {
				g.line("I64Const $%d", p.offset)
				g.line("I64Add")
			}
			return
		}
		g.line("Get R%d", p.register)
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

func (g *generator) constant(v constant.Value) {
	v = constant.ToInt(v)
	if n, ok := constant.Int64Val(v); ok {
		g.line("I64Const $%d", n)
		return
	}
	n, _ := constant.Uint64Val(v)
	g.line("I64Const $%d", int64(n))
}

func (g *generator) signed(e ast.Expr) bool {
	b, ok := g.info.Types[e].Type.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsUnsigned == 0
}

func (g *generator) operate(n ast.Node, op token.Token, x, y ast.Expr) {
	g.value(y)
	suffix := "U"
	if g.signed(x) {
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

// instructions by operator. The last three are followed by the sign of their first operand.
var instructions = map[token.Token]string{token.ADD: "I64Add", token.SUB: "I64Sub", token.MUL: "I64Mul",
	token.AND: "I64And", token.OR: "I64Or", token.XOR: "I64Xor", token.SHL: "I64Shl",
	token.SHR: "I64Shr", token.QUO: "I64Div", token.REM: "I64Rem"}

var comparisons = map[token.Token]string{token.LSS: "Lt", token.LEQ: "Le", token.GTR: "Gt", token.GEQ: "Ge"}

// condition pushes an i32.
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
			suffix := "U"
			if g.signed(e.X) && (g.info.Types[e.X].Value == nil || g.signed(e.Y)) {
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

func (g *generator) inlined(e *ast.CallExpr) *ast.FuncDecl {
	if id, ok := e.Fun.(*ast.Ident); ok {
		switch id.Name {
		case "Load", "Byte", "Store", "Put", "Copy", "quotient", "pointer", "touch":
			return nil
		}
		return g.funcs[g.info.Uses[id]]
	}
	return nil
}

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
		fn := g.inlined(e)
		if fn == nil {
			g.fail(e, "no code for %s", name)
		}
		if single(fn) {
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

// single reports whether a function is an expression alone.
func single(fn *ast.FuncDecl) bool {
	if len(fn.Body.List) != 1 {
		return false
	}
	r, ok := fn.Body.List[0].(*ast.ReturnStmt)
	return ok && len(r.Results) == 1
}

// bind gives the parameters of a function their arguments. A parameter that the function assigns to is a copy, unless a
// result of the call goes to the variable that is its argument.
func (g *generator) bind(fn *ast.FuncDecl, e *ast.CallExpr, targets []int) {
	i := 0
	type pair struct {
		o types.Object
		p operand
	}
	var pairs []pair
	for _, field := range fn.Type.Params.List {
		for _, name := range field.Names {
			arg, o := e.Args[i], g.info.Defs[name]
			i++
			if v := g.info.Types[arg].Value; v != nil && !g.assigned(fn, o) {
				pairs = append(pairs, pair{o, operand{constant: v}})
				continue
			}
			if p, ok := g.fixed(arg); ok {
				pairs = append(pairs, pair{o, p})
				continue
			}
			if id := variableOf(arg); id != nil && (!g.assigned(fn, o) || g.replaced(g.operand(id), e, targets)) {
				pairs = append(pairs, pair{o, g.operand(id)})
				continue
			}
			if single(fn) && g.uses(fn, o) == 1 {
				pairs = append(pairs, pair{o, operand{expr: arg}})
				continue
			}
			g.value(arg)
			r := g.register(arg)
			g.line("Set R%d", r)
			pairs = append(pairs, pair{o, operand{register: r}})
		}
	}
	for _, p := range pairs {
		g.vars[p.o] = p.p
	}
}

// replaced reports whether exactly one argument is a variable that a result of the call goes to.
func (g *generator) replaced(p operand, e *ast.CallExpr, targets []int) bool {
	if p.address != "" || p.constant != nil || p.expr != nil || !slices.Contains(targets, p.register) {
		return false
	}
	uses := 0
	for _, arg := range e.Args {
		ast.Inspect(arg, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				if _, known := g.vars[g.info.Uses[id]]; known && g.operand(id) == p {
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

func (g *generator) assigned(fn *ast.FuncDecl, o types.Object) bool {
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
		for at := 0; at < 4; at += 2 {
			g.value(e.Args[at])
			g.value(e.Args[at+1])
			g.line("I64Add")
			g.line("I32WrapI64")
		}
		g.value(e.Args[4])
		g.line("I32WrapI64")
		g.line("MemoryCopy")
		return
	case "touch":
		at := g.info.Types[e.Args[0]].Type.Underlying().(*types.Pointer).Elem()
		offset := g.base(e.Args[0])
		g.line("I64Load $%d", offset+sizes.Sizeof(at)-8)
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
	fn := g.inlined(e)
	if fn == nil {
		g.fail(e, "no code for %s", types.ExprString(e.Fun))
	}
	g.scope(func() {
		g.bind(fn, e, targets)
		// a target may be a parameter's variable: results are set last, all at once
		g.open("Block")
		g.frames = append(g.frames, &frame{results: targets, depth: g.depth, loops: len(g.loops)})
		g.chain = append(g.chain, fmt.Sprintf("%s:%d", fn.Name.Name, g.fset.Position(e.Pos()).Line))
		g.block(fn.Body)
		g.chain = g.chain[:len(g.chain)-1]
		g.frames = g.frames[:len(g.frames)-1]
		g.end()
	})
}
