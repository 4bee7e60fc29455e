package guesttest

import (
	"bytes"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/base/wasm"
)

// Looping returns a module in which an exported function loops forever.
func Looping(t testing.TB, module []byte, export string) []byte {
	t.Helper()
	out := bytes.Clone(module[:wasm.HeaderBytes])
	imports := 0
	function := -1
	for section := range wasm.Sections(module) {
		reader := section.Content(module)
		content := module[section.From:section.To]
		switch section.ID {
		case wasm.Imports:
			for range reader.Count() {
				reader.Name()
				reader.Name()
				if kind := reader.Byte(); kind != 0 {
					t.Fatalf("expected a module that imports functions only, found an import of kind %d", kind)
				}
				reader.U32()
				imports++
			}
		case wasm.Exports:
			for range reader.Count() {
				if name, kind, index := reader.Name(), reader.Byte(), reader.U32(); kind == 0 && name == export {
					function = int(index)
				}
			}
		case wasm.Code:
			bodies := make([][]byte, reader.Count())
			for n := range bodies {
				body := reader.Bytes(reader.Count())
				if n == function-imports {
					// no locals; loop, br 0, end, unreachable, end
					body = []byte{0x00, 0x03, 0x40, 0x0c, 0x00, 0x0b, 0x00, 0x0b}
				}
				bodies[n] = wasm.AppendSized(nil, body)
			}
			content = vector(bodies)
		}
		out = wasm.AppendSection(out, section.ID, content)
	}
	require.True(t, function >= 0, "no function %q is exported", export)
	return out
}
