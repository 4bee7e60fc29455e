package code

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/meter"
)

// A panic of the engine while it compiles is one module's error. Without a runtime the call panics.
func TestEngineThatPanics(t *testing.T) {
	assert.Error(t, (&Compiler{}).compileInto(t.Context(), &Code{}, &Prepared{}, 0), "the engine failed: ")
}

// hard is a module of few bytes and functions whose values meet at many branches.
func hard(functions, locals, branches int) []byte {
	section := func(id byte, content []byte) []byte {
		return append(binary.AppendUvarint([]byte{id}, uint64(len(content))), content...)
	}
	body := append(binary.AppendUvarint([]byte{1}, uint64(locals)), 0x7f)
	for n := range branches {
		body = append(binary.AppendUvarint(append(body, 0x20, 0, 0x04, 0x40, 0x41, 1, 0x21), uint64(n%locals)), 0x0b)
	}
	body = append(body, 0x0b)
	body = append(binary.AppendUvarint(nil, uint64(len(body))), body...)
	count := binary.AppendUvarint(nil, uint64(functions))
	module := append([]byte("\x00asm\x01\x00\x00\x00"), section(1, []byte{1, 0x60, 0, 0})...)
	module = append(module, section(3, append(bytes.Clone(count), make([]byte, functions)...))...)
	return append(module, section(10, append(count, bytes.Repeat(body, functions)...))...)
}

// Compiling a small module that is hard is stopped when its time is up.
func TestHardModulesAreStopped(t *testing.T) {
	p, err := Prepare(t.Context(), hard(400, 100, 300))
	if err != nil || p.effort <= largeEffort || len(p.Wasm) > largeBytes/10 {
		t.Fatalf("expected a small module of a large effort, found %+v and %v", p, err)
	}
	l := &Compiler{Time: 50 * time.Millisecond}
	compile := func(p *Prepared) error {
		ctx := context.Background()
		c := &Code{runtime: wazero.NewRuntime(ctx)}
		defer c.Close()
		_, err := c.runtime.NewHostModuleBuilder(meter.Module).NewFunctionBuilder().
			WithFunc(func() int64 { return 0 }).Export(meter.Name).Instantiate(ctx)
		require.NoError(t, err)
		start := time.Now()
		defer func() { t.Logf("effort %d: %v", p.effort, time.Since(start)) }()
		return l.compileInto(ctx, c, p, 400)
	}
	// An engine that is not stopped returns code, however long it took.
	if err := compile(p); err == nil ||
		err.Error() != "the module takes longer than the 50ms that are allowed to compile" {
		t.Errorf("expected that it is stopped, found %v", err)
	}
	l.Time = 0
	assert.NoError(t, compile(p), "with all of its time")
}
