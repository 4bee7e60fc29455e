package binary

import (
	"bytes"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
)

// FuzzExportStart checks that the engine accepts a module with a moved start function if it accepts the original; the
// host checks the signature.
func FuzzExportStart(f *testing.F) {
	m := guesttest.Module{MemoryPages: 1, Data: []byte("data"), Start: []byte{1}, Exports: []guesttest.Function{
		{Name: "a", Results: []byte{guesttest.I32}, Body: []byte{0x41, 0}}, {Name: "b", Body: []byte{0x41, 0, 0x1a}}}}
	f.Add(m.Bytes())
	m.Start = []byte{0}
	f.Add(m.Bytes())
	m.Start = []byte{0x81, 0x80, 0x80, 0x80, 0x80, 0}
	f.Add(m.Bytes())
	f.Fuzz(func(t *testing.T, module []byte) {
		moved := exportStart(module)
		if bytes.Equal(moved, module) || bytes.Contains(module, []byte(StartExport)) {
			return
		}
		r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
		defer r.Close(t.Context())
		_, originalErr := r.CompileModule(t.Context(), module)
		compiled, err := r.CompileModule(t.Context(), moved)
		if err == nil {
			definition := compiled.ExportedFunctions()[StartExport]
			require.True(t, definition != nil, "%x: the export is missing", moved)
			if len(definition.ParamTypes())+len(definition.ResultTypes()) > 0 {
				return // Guest.Begin rejects it
			}
		}
		assert.True(t, (originalErr == nil) == (err == nil), "%x: %v, moved %v", module, originalErr, err)
	})
}
