package plugin_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
)

// starting returns a plugin with a start function and an initialization function; nil means none.
func starting(start, initialize []byte) guesttest.Module {
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

// loaded loads a plugin's file and returns its state.
func loaded(t *testing.T, module []byte) plugin.Info {
	t.Helper()
	folder := folderWith(t, "starting.wasm", module)
	// The cache is new: a cached rejection would be the result of the next run of the test.
	m := manager(t, plugin.Options{Settings: map[string]string{"plugin.hostile.limits.call.ms": "10000"},
		CacheDir: t.TempDir()}, folder)
	return m.Modules()[0]
}

// Initialization has the same limits as a call.
func TestStartIsLimited(t *testing.T) {
	m := starting(nil, nil)
	self := leb([]byte{0x10}, uint64(len(m.Exports)))
	for name, c := range map[string]struct {
		module guesttest.Module
		limit  string
		want   string
	}{
		"start recurses":       {starting(self, nil), "stack", stackExceeded},
		"_initialize recurses": {starting(nil, self), "stack", stackExceeded},
		"start traps":          {starting([]byte{0x00}, nil), "", "unreachable"},
		"_initialize traps":    {starting(nil, []byte{0x00}), "", "unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			before := time.Now()
			err := loaded(t, c.module.Bytes()).Err
			t.Log(time.Since(before))
			if trap := assertTrap(t, err, c.want, ": _initialize: "); trap != nil && trap.Limit != c.limit {
				t.Errorf("expected the limit %q, found %q", c.limit, trap.Limit)
			}
		})
	}
}

// The start function runs once per instance, then _initialize.
func TestStartRunsBeforeInitialize(t *testing.T) {
	is := func(state byte) []byte { // traps unless this is the state, and sets the next state
		return []byte{0x41, 8, 0x28, 2, 0, 0x41, state, 0x47, 0x04, 0x40, 0x00, 0x0b, 0x41, 8, 0x41, state + 1, 0x36, 2,
			0}
	}
	m := starting(is(0), is(1))
	if info := loaded(t, m.Bytes()); info.Err != nil || info.Name != "hostile" {
		t.Error(info.Err)
	}
	m = starting(is(1), is(0))
	assertTrap(t, loaded(t, m.Bytes()).Err, "unreachable")
}

// An invalid module with a start function stays invalid.
func TestInvalidStarts(t *testing.T) {
	good := starting([]byte{0x41, 0x00, 0x1a}, nil)
	section := append([]byte{8, byte(len(good.Start))}, good.Start...)
	code := good.Bytes()
	if bytes.Count(code, section) != 1 {
		t.Fatalf("expected one section %x", section)
	}
	if info := loaded(t, code); info.Err != nil {
		t.Fatal(info.Err)
	}
	index := good.Start[0]
	with := func(sections ...byte) []byte { return bytes.Replace(code, section, sections, 1) }
	for name, c := range map[string]struct {
		module []byte
		want   string
	}{
		"parameters":            {with(8, 1, index-1), "expected a function without parameters and results, found 4 and 1"},
		"an index too high":     {with(8, 1, index+1), "there are"},
		"twice":                 {with(8, 1, index, 8, 1, index), "out of order"},
		"twice, something amid": {with(8, 1, index, 0, 1, 0, 8, 1, index), "out of order"},
		"too long a number":     {with(8, 6, index|0x80, 0x80, 0x80, 0x80, 0x80, 0), "number"},
		"too much":              {with(8, 2, index, 0), "left over"},
		"nothing":               {with(8, 0), ""},
	} {
		t.Run(name, func(t *testing.T) {
			if err := loaded(t, c.module).Err; err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("expected %q, found %v", c.want, err)
			}
		})
	}
}
