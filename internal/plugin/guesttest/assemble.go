package guesttest

import (
	"bytes"
	"slices"

	"github.com/culvert-project/culvert/internal/base/wasm"
)

// Module is a core module to assemble, for files that no compiler writes.
type Module struct {
	Imports     []Import
	Exports     []Function
	Start       []byte // content of the start section, nil for none
	MemoryPages int    // minimum of the exported memory; negative means no memory
	Data        []byte // initial memory at DataAt
	DataAt      int
	Custom      map[string]string // sections by name
}

// Import is an imported function.
type Import struct {
	Module  string
	Name    string
	Params  []byte
	Results []byte
}

// Function is an exported function. An empty body means `unreachable`.
type Function struct {
	Name    string
	Params  []byte
	Results []byte
	Body    []byte
}

// Core value types.
const (
	I32 = 0x7f
	I64 = 0x7e
)

// Index returns the index of an exported function. It panics if the export is missing.
func (m *Module) Index(export string) int {
	n := slices.IndexFunc(m.Exports, func(f Function) bool { return f.Name == export })
	if n < 0 {
		panic("the module does not export " + export)
	}
	return n
}

// Bytes returns the module's binary form.
func (m *Module) Bytes() []byte {
	var types, imports, functions, exports, bodies [][]byte
	seen := map[string]int{}
	signature := func(params, results []byte) []byte {
		const functionType = 0x60
		t := join([]byte{functionType}, number(len(params)), params, number(len(results)), results)
		n, ok := seen[string(t)]
		if !ok {
			n = len(types)
			seen[string(t)] = n
			types = append(types, t)
		}
		return number(n)
	}
	for _, i := range m.Imports {
		imports = append(imports, join(text(i.Module), text(i.Name), []byte{0}, signature(i.Params, i.Results)))
	}
	for n, f := range m.Exports {
		functions = append(functions, signature(f.Params, f.Results))
		exports = append(exports, join(text(f.Name), []byte{0}, number(len(m.Imports)+n)))
		body := f.Body
		if body == nil {
			body = []byte{0x00} // unreachable
		}
		bodies = append(bodies, wasm.AppendSized(nil, join([]byte{0}, body, []byte{0x0b}))) // no locals; end
	}
	if m.MemoryPages >= 0 {
		exports = append(exports, join(text("memory"), []byte{2, 0})) // kind memory, index 0
	}
	out := []byte("\x00asm\x01\x00\x00\x00")
	out = wasm.AppendSection(out, wasm.Types, vector(types))
	out = wasm.AppendSection(out, wasm.Imports, vector(imports))
	out = wasm.AppendSection(out, wasm.Functions, vector(functions))
	if m.MemoryPages >= 0 {
		out = wasm.AppendSection(out, wasm.Memories, join([]byte{1, 0}, number(m.MemoryPages)))
	}
	out = wasm.AppendSection(out, wasm.Exports, vector(exports))
	if m.Start != nil {
		out = wasm.AppendSection(out, wasm.Start, m.Start)
	}
	out = wasm.AppendSection(out, wasm.Code, vector(bodies))
	if len(m.Data) > 0 {
		// One active segment of memory 0.
		out = wasm.AppendSection(out, wasm.Data, join([]byte{1, 0}, constant(m.DataAt), []byte{0x0b},
			wasm.AppendSized(nil, m.Data)))
	}
	for name, content := range m.Custom {
		out = wasm.AppendSection(out, wasm.Custom, join(text(name), []byte(content)))
	}
	return out
}

func vector(items [][]byte) []byte { return join(number(len(items)), bytes.Join(items, nil)) }

func text(s string) []byte { return wasm.AppendSized(nil, []byte(s)) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func number(n int) []byte { return wasm.AppendU32(nil, uint32(n)) }
