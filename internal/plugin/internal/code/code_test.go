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
	pluginbinary "github.com/culvert-project/culvert/internal/plugin/binary"
)

// A panic of the engine while it compiles rejects only that module. Without a runtime the call panics.
func TestEnginePanicRejectsModule(t *testing.T) {
	assert.Error(t, (&Compiler{}).compileInto(t.Context(), &Code{}, &Prepared{}, moduleOf(0)), "the engine failed: ")
}

func moduleOf(functions uint64) *Module {
	return &Module{Binary: &pluginbinary.Module{Functions: functions}}
}

// slowModule returns a small module that takes long to compile: its values are live at many branches.
func slowModule(functions, locals, branches int) []byte {
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

// Compiling stops at its time limit.
func TestCompileTimeIsBounded(t *testing.T) {
	prepared, err := Prepare(t.Context(), slowModule(400, 100, 300))
	require.True(t, err == nil && prepared.effort > largeEffort && len(prepared.Wasm) <= largeBytes/10,
		"expected a small module with a large effort, found %+v and %v", prepared, err)
	compiler := &Compiler{Time: 50 * time.Millisecond}
	module := moduleOf(400)
	compile := func(prepared *Prepared) error {
		ctx := context.Background()
		code := &Code{runtime: wazero.NewRuntime(ctx), returner: &compiler.returner}
		defer code.Close()
		_, err := code.runtime.NewHostModuleBuilder(meter.Module).NewFunctionBuilder().
			WithFunc(func() int64 { return 0 }).Export(meter.Name).Instantiate(ctx)
		require.NoError(t, err)
		start := time.Now()
		defer func() { t.Logf("effort %d: %v", prepared.effort, time.Since(start)) }()
		return compiler.compileInto(ctx, code, prepared, module)
	}
	err = compile(prepared)
	assert.True(t, err != nil && err.Error() == "the module takes longer to compile than the allowed 50ms",
		"expected the compilation to be stopped, found %v", err)
	compiler.processorTime = func() time.Duration { return 0 }
	assert.NoError(t, compile(prepared), "a machine that gives this process no time")
	// Compiling without a time limit returns code, however long it takes.
	compiler.processorTime = nil
	module.NoTimeLimit = true
	assert.NoError(t, compile(prepared), "a module of the program")
}
