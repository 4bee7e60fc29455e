package binary

import (
	"bytes"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/internal/base/wasm"
)

// A stub has everything of its module but what functions do, and the engine takes it for a module: each function traps.
func TestStubs(t *testing.T) {
	const functions = 300 // more than a byte counts
	module := functionsOf(functions, 3)
	stub, err := Stub(module)
	require.NoError(t, err)
	bodies := func(m []byte) int { _, code, _ := bytes.Cut(m, []byte{10}); return len(code) }
	if least := functions * len(stubBody); bodies(stub) < least || bodies(stub) > least+100 {
		t.Errorf("expected about %d bytes of code, found %d", least, bodies(stub))
	}
	other, err := Stub(functionsOf(functions, 4))
	if err != nil || bytes.Equal(other, stub) {
		t.Errorf("a module that differs in bodies alone has the same stub: %v", err)
	}
	runtime := wazero.NewRuntime(t.Context())
	defer runtime.Close(t.Context())
	whole, err := runtime.CompileModule(t.Context(), module)
	require.NoError(t, err)
	compiled, err := runtime.CompileModule(t.Context(), stub)
	require.NoError(t, err)
	if found, want := len(compiled.ExportedFunctions()), len(whole.ExportedFunctions()); found != want {
		t.Errorf("expected %d exported functions, found %d", want, found)
	}
	for name, module := range map[string][]byte{
		"a section that is cut off":      module[:len(module)-1],
		"more functions than bytes":      append(bytes.Clone(module[:8]), 10, 2, 0xff, 0x7f),
		"a section longer than the file": append(bytes.Clone(module[:8]), 10, 0xff, 0xff, 0xff, 0xff, 0x7f),
	} {
		if _, err := Stub(module); err == nil {
			t.Errorf("%s: expected an error", name)
		}
	}
	none := module[:8]
	if stub, err := Stub(none); err != nil || !bytes.HasPrefix(stub, none) {
		t.Errorf("a module without functions: expected it with a mark, found %x, %v", stub, err)
	}
}

// functionsOf is a module of so many functions that push a number and drop it.
func functionsOf(n int, number byte) []byte {
	count := wasm.AppendU32(nil, uint32(n))
	body := []byte{6, 0, 0x41, number, 0x1a, 0x01, 0x0b}
	module := wasm.AppendSection([]byte("\x00asm\x01\x00\x00\x00"), 1, []byte{1, 0x60, 0, 0})
	module = wasm.AppendSection(module, wasm.Functions, append(bytes.Clone(count), make([]byte, n)...))
	return wasm.AppendSection(module, wasm.Code, append(count, bytes.Repeat(body, n)...))
}
