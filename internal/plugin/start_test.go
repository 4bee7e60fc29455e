package plugin_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
)

// startModule returns a plugin with a start function and an initialization function; nil means no function.
func startModule(start, initialize []byte) guesttest.Module {
	m := hostile(2, constantBody([]byte{0x41, 0x00}))
	if start != nil {
		m.Start = leb(nil, uint64(len(m.Exports)))
		m.Exports = append(m.Exports, guesttest.Function{Name: "start", Body: start})
	}
	if initialize != nil {
		m.Exports = append(m.Exports, guesttest.Function{Name: "_initialize", Body: initialize})
	}
	return m
}

// loadModule loads a plugin's file and returns its state.
func loadModule(t *testing.T, module []byte) plugin.Info {
	t.Helper()
	folder := folderWith(t, "starting.wasm", module)
	// The cache is new: a cached rejection would be the result of the next run of the test.
	m := manager(t, plugin.Options{Settings: map[string]string{"plugin.hostile.limits.call.ms": "10000"},
		CacheDir: t.TempDir()}, folder)
	return m.Modules()[0]
}

// Initialization has the same limits as a call.
func TestStartIsLimited(t *testing.T) {
	m := startModule(nil, nil)
	self := leb([]byte{0x10}, uint64(len(m.Exports)))
	for name, c := range map[string]struct {
		module guesttest.Module
		limit  string
		want   string
	}{
		"start recurses":       {module: startModule(self, nil), limit: "stack", want: stackExceeded},
		"_initialize recurses": {module: startModule(nil, self), limit: "stack", want: stackExceeded},
		"start traps":          {module: startModule([]byte{0x00}, nil), want: "unreachable"},
		"_initialize traps":    {module: startModule(nil, []byte{0x00}), want: "unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			err := loadModule(t, c.module.Bytes()).Err
			t.Log(time.Since(start))
			trap := assertTrap(t, err, c.want, ": _initialize: ")
			assert.True(t, trap == nil || trap.Limit == c.limit, "expected the limit %q, found %q", c.limit, trap.Limit)
		})
	}
}

// The start function runs once per instance, then _initialize.
func TestStartRunsBeforeInitialize(t *testing.T) {
	// nextState returns code that traps unless the byte at address 8 is state, and increments it.
	nextState := func(state byte) []byte {
		return []byte{0x41, 8, 0x28, 2, 0, 0x41, state, 0x47, 0x04, 0x40, 0x00, 0x0b, 0x41, 8, 0x41, state + 1, 0x36, 2,
			0}
	}
	m := startModule(nextState(0), nextState(1))
	info := loadModule(t, m.Bytes())
	assert.True(t, info.Err == nil && info.Name == "hostile", "%v", info.Err)
	m = startModule(nextState(1), nextState(0)) // both trap: the start function runs first
	assertTrap(t, loadModule(t, m.Bytes()).Err, "unreachable")
}

// An invalid module with a start function stays invalid.
func TestInvalidStarts(t *testing.T) {
	valid := startModule([]byte{0x41, 0x00, 0x1a}, nil)
	section := append([]byte{8, byte(len(valid.Start))}, valid.Start...)
	code := valid.Bytes()
	require.True(t, bytes.Count(code, section) == 1, "expected one section %x", section)
	require.NoError(t, loadModule(t, code).Err)
	index := valid.Start[0]
	withSections := func(sections ...byte) []byte { return bytes.Replace(code, section, sections, 1) }
	for name, c := range map[string]struct {
		module []byte
		want   string
	}{
		"parameters": {
			module: withSections(8, 1, index-1),
			want:   "expected a function without parameters and results, found 4 and 1",
		},
		"an index too high": {module: withSections(8, 1, index+1), want: "there are"},
		"twice":             {module: withSections(8, 1, index, 8, 1, index), want: "out of order"},
		"twice, with a section between": {
			module: withSections(8, 1, index, 0, 1, 0, 8, 1, index),
			want:   "out of order",
		},
		"too long a number": {
			module: withSections(8, 6, index|0x80, 0x80, 0x80, 0x80, 0x80, 0),
			want:   "number",
		},
		"too much": {module: withSections(8, 2, index, 0), want: "left over"},
		"nothing":  {module: withSections(8, 0), want: "truncated"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Error(t, loadModule(t, c.module).Err, c.want)
		})
	}
}
