package abi

import (
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// function returns a function of the engine that does nothing.
func function(t testing.TB) api.Function {
	t.Helper()
	r := wazero.NewRuntime(t.Context())
	const module = "\x00asm\x01\x00\x00\x00" +
		"\x01\x04\x01\x60\x00\x00" + // one type without parameters and results
		"\x03\x02\x01\x00" + // one function of that type
		"\x07\x05\x01\x01f\x00\x00" + // exported as f
		"\x0a\x04\x01\x02\x00\x0b" // an empty body
	m, err := r.Instantiate(t.Context(), []byte(module))
	require.NoError(t, err)
	return m.ExportedFunction("f")
}

// The engine's functions have the stack field that [stackBytes] reads.
func TestStackBytes(t *testing.T) {
	g := &Guest{}
	f := function(t)
	n := stackBytes(f)
	assert.True(t, n >= 1<<10 && n <= 1<<20, "expected a stack of some KiB, found %d bytes", n)
	if err := g.run(t.Context(), f, nil); err != nil || g.StackGrowth() != 0 {
		t.Errorf("expected a stack that has not grown, found %d bytes, %v", g.StackGrowth(), err)
	}
	g.stackBefore = 100
	assert.Equal(t, stackBytes(f), g.StackGrowth(), "the whole size of a stack that has grown")
}
