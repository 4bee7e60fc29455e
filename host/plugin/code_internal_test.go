package plugin

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
)

// A panic of the engine while it compiles is one module's error. Without a runtime the call panics.
func TestEngineThatPanics(t *testing.T) {
	if err := (&loader{}).compileInto(t.Context(), &code{}, &prepared{}, 0); err == nil ||
		!strings.Contains(err.Error(), "the engine failed: ") {
		t.Errorf("expected an error, found %v", err)
	}
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
	p, err := prepareModule(t.Context(), hard(400, 100, 300))
	if err != nil || p.effort <= largeEffort || len(p.wasm) > largeBytes/10 {
		t.Fatalf("expected a small module of a large effort, found %+v and %v", p, err)
	}
	l := &loader{compileTime: 50 * time.Millisecond}
	compile := func(p *prepared) error {
		ctx := context.Background()
		c := &code{runtime: wazero.NewRuntime(ctx)}
		defer c.close()
		if err := provideTick(ctx, c.runtime); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		defer func() { t.Logf("effort %d: %v", p.effort, time.Since(start)) }()
		return l.compileInto(ctx, c, p, 400)
	}
	// An engine that is not stopped returns code, however long it took.
	if err := compile(p); err == nil ||
		err.Error() != "the module takes longer than the 50ms that are allowed to compile" {
		t.Errorf("expected that it is stopped, found %v", err)
	}
	l.compileTime = 0
	if err := compile(p); err != nil {
		t.Errorf("with all of its time: %v", err)
	}
}

// A plugin with long calls does not give any file as much time to say what it is.
func TestWidestLimits(t *testing.T) {
	hour := Limits{CallMs: time.Hour.Milliseconds()}
	for name, c := range map[string]struct {
		loader loader
		want   time.Duration
	}{
		"nothing set": {loader{}, 10 * time.Second},
		"one plugin's, longer": {loader{named: map[string]Limits{"a": {CallMs: 30_000}, "b": {CallMs: 5}}},
			30 * time.Second},
		"one plugin's, long": {loader{named: map[string]Limits{"a": hour}}, time.Minute},
		"everybody's":        {loader{limits: hour}, time.Minute},
	} {
		w := c.loader.widest()
		if got := w.call("describe"); got != c.want {
			t.Errorf("%s: expected %v, found %v", name, c.want, got)
		}
	}
}
