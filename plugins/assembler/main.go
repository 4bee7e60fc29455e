// Command assembler generates kernel_wasm.s, Wasm assembly, from kernel.go of each plugin kernel. Run it in the root of
// the repository, as `make guests` does. Go's own Wasm code runs through a jump table at every jump; assembly has real
// loops and blocks. The Go source is authoritative: other machines run it, and tests compare the assembly with it.
//
// It supports a small part of Go: variables of 8 bytes (int, uint64, int64, pointers), fields of structs through
// pointers, if, for, return, and calls, which are inlined. A called function may take the address of a variable of its
// caller (&e, used as *e) or of a field (&e.Prefix): both stand for the variable or the field itself. Functions whose
// comment begins with "kernel" get a body in assembly. && and || evaluate both sides, and shifts must be below 64.
// Functions named Load, Byte, Store, Put, Copy, quotient, pointer and touch are instructions: they must work as in
// plugins/odata/decode/kernel and plugins/smt/kernel.
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

// kernel is a package to assemble: its folder, and the files with functions to assemble or inline.
type kernel struct {
	folder string
	files  []string
}

var kernels = []kernel{
	{
		folder: "plugins/odata/decode/kernel",
		files:  []string{"kernel.go", "skip.go", "text.go", "scalar.go", "word.go", "struct.go"},
	},
	{
		folder: "plugins/smt/kernel",
		files:  []string{"kernel.go", "find.go", "write.go", "convert.go", "word.go", "rows.go"},
	},
}

// write writes a kernel's assembly if it changed. Tests that build guests call it concurrently.
func (k kernel) write(root string) error {
	folder := filepath.Join(root, k.folder)
	assembly, err := generate(folder, k.files)
	if err != nil {
		return fmt.Errorf("%s: %w", k.folder, err)
	}
	path := filepath.Join(folder, "kernel_wasm.s")
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, assembly) {
		return nil
	}
	// A rename keeps a compiler that reads the file from seeing half of it.
	file, err := os.CreateTemp(folder, "kernel_wasm.*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if _, err = file.Write(assembly); err == nil {
		err = file.Chmod(0o644)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// generator writes the assembly of a package's kernels.
type generator struct {
	fset  *token.FileSet
	info  *types.Info
	funcs map[types.Object]*ast.FuncDecl
	out   bytes.Buffer

	indent    int
	vars      map[types.Object]operand // the locations of the variables in scope
	free      []int                    // the unused registers
	frames    []*frame                 // the functions being assembled: the outermost, then the inlined ones
	depth     int                      // the number of open blocks
	loops     []loop
	chain     []string          // the positions of the inlined calls, for messages
	addresses map[string]string // the registers of pointers that are kept as addresses, by name
	stack     int               // the register that saves the stack pointer, or -1
}

// operand is the location of a variable: a register, or another expression.
type operand struct {
	register int
	// address, if not empty, is a 32-bit register; offset is added to it.
	address string
	offset  int64
	// constant or expr, if not nil, is a value that no register holds.
	constant constant.Value
	expr     ast.Expr
}

// loop has the targets of break and continue.
type loop struct{ breakDepth, continueTo int }

// frame is a function that is being assembled: the kernel (outer) or an inlined one.
type frame struct {
	results []int // registers of the results; of the kernel the offset of its result
	depth   int   // of the block that a return leaves
	outer   bool
	loops   int // the number of open loops around the function
}

// generate returns the assembly for the files of a kernel.
func generate(folder string, files []string) (assembly []byte, err error) {
	g := &generator{fset: token.NewFileSet(), funcs: map[types.Object]*ast.FuncDecl{}}
	var parsed []*ast.File
	for _, name := range files {
		f, err := parser.ParseFile(g.fset, folder+"/"+name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, f)
	}
	// Find out the types of all expressions.
	g.info = &types.Info{
		Types:      map[ast.Expr]types.TypeAndValue{},
		Defs:       map[*ast.Ident]types.Object{},
		Uses:       map[*ast.Ident]types.Object{},
		Selections: map[*ast.SelectorExpr]*types.Selection{},
	}
	if build.Default.GOROOT == "" { // in a program that was built with -trimpath
		root, err := exec.Command("go", "env", "GOROOT").Output()
		if err != nil {
			return nil, fmt.Errorf("go env GOROOT: %w", err)
		}
		build.Default.GOROOT = strings.TrimSpace(string(root))
	}
	config := types.Config{
		Importer: importer.ForCompiler(g.fset, "source", nil),
		Sizes:    sizes,
		Error:    func(error) {}, // the compiler reports errors
	}
	config.Check("kernel", g.fset, parsed, g.info)
	defer func() {
		if e := recover(); e != nil {
			problem, ok := e.(failure)
			if !ok {
				panic(e)
			}
			err = problem
		}
	}()
	// Write the file.
	g.line("// Made by plugins/assembler from kernel.go. DO NOT EDIT.")
	g.line("")
	g.line("//go:build kernels")
	g.line("")
	g.line("#include \"textflag.h\"")
	var kernelFuncs []*ast.FuncDecl
	for _, f := range parsed {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				g.funcs[g.info.Defs[fn.Name]] = fn
				if strings.HasPrefix(fn.Doc.Text(), "kernel") {
					kernelFuncs = append(kernelFuncs, fn)
				}
			}
		}
	}
	for _, fn := range kernelFuncs {
		g.function(fn)
	}
	return g.out.Bytes(), nil
}

var sizes = types.SizesFor("gc", "wasm")

type failure struct{ error }

// fail ends generate with an error at the position of a node.
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
