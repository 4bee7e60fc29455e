package plugin_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

var (
	describeExport = wit.ExportName(wit.InterfacePlugin, "describe")
	prepareExport  = wit.ExportName(wit.InterfaceTransform, "prepare")
)

// hostile returns a plugin with pages of memory whose prepare, a function (i32 i32) -> (i32), has the body that is
// returned for its index self.
func hostile(pages int, body func(self uint64) []byte) guesttest.Module {
	m := guesttest.StaticModule(wit.Description{Name: "hostile", Version: "1.0.0",
		Components: []wit.Component{{Name: "hostile", Kind: wit.ComponentTransformation}}}, "", wit.InterfaceTransform)
	m.MemoryPages = pages
	n := m.Index(prepareExport)
	m.Exports[n].Body = body(uint64(n))
	return m
}

// endlessLoop wraps code in an endless loop.
func endlessLoop(code ...byte) []byte {
	return append(append([]byte{0x03, 0x40}, code...), 0x0c, 0x00, 0x0b, 0x00)
}

// leb appends a number in LEB128 to a copy of prefix.
func leb(prefix []byte, n uint64) []byte { return binary.AppendUvarint(bytes.Clone(prefix), n) }

// megabytes returns `i32.const` with n MiB.
func megabytes(n uint32) []byte {
	b := []byte{0x41}
	v := int32(n << 20)
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// constantBody returns a body for [hostile] that does not depend on the function's index.
func constantBody(code []byte) func(uint64) []byte { return func(uint64) []byte { return code } }

// maze returns a loop around nested blocks with branch tables between them.
func maze() []byte {
	const blocks, tables = 1000, 60
	code := bytes.Repeat([]byte{0x02, 0x40}, blocks)
	for n := range tables {
		code = append(code, 0x20, 0x00)
		code = leb(append(code, 0x0e), blocks)
		for l := range uint64(blocks + 1) {
			code = binary.AppendUvarint(code, (l*7+uint64(n))%blocks)
		}
	}
	return endlessLoop(append(code, bytes.Repeat([]byte{0x0b}, blocks)...)...)
}

// callChain returns a module of functions that call the next one; the last one loops.
func callChain(n int) guesttest.Module {
	m := hostile(2, func(uint64) []byte { return nil })
	first := len(m.Exports)
	for i := range n {
		body := leb([]byte{0x10}, uint64(first+i+1))
		if i == n-1 {
			body = []byte{0x03, 0x40, 0x0c, 0x00, 0x0b}
		}
		m.Exports = append(m.Exports, guesttest.Function{Name: fmt.Sprint("f", i), Body: body})
	}
	m.Exports[m.Index(prepareExport)].Body = append(leb([]byte{0x10}, uint64(first)), 0x00)
	return m
}

// manyBranches returns a function of many parameters that are live at many branches: 16 KB of code that take an engine
// gigabytes and minutes.
func manyBranches() guesttest.Module {
	m := hostile(2, func(uint64) []byte { return nil })
	const values, branches = 1000, 3000
	var body []byte
	for n := range uint64(branches) {
		body = append(leb(append(body, 0x41, 0, 0x04, 0x40, 0x41, 1, 0x21), n%values), 0x0b)
	}
	for n := range uint64(values) {
		body = append(leb(append(body, 0x20), n), 0x1a)
	}
	m.Exports = append(m.Exports, guesttest.Function{Name: "meeting", Params: bytes.Repeat([]byte{guesttest.I32},
		values), Body: bytes.Repeat(body, 2)})
	return m
}

// wasiLoop returns a plugin that calls a WASI function in a loop.
func wasiLoop(function string, pages int, arguments ...[]byte) guesttest.Module {
	m := hostile(pages, constantBody(endlessLoop(append(bytes.Join(arguments, nil), 0x10, 0x00, 0x1a)...)))
	m.Imports = []guesttest.Import{{Module: "wasi_snapshot_preview1", Name: function,
		Params: bytes.Repeat([]byte{guesttest.I32}, len(arguments)), Results: []byte{guesttest.I32}}}
	return m
}

const timeIsUp = "ran longer than the allowed 50ms"

const stackExceeded = "recursed too deeply: its stack has "

// hostileCase is a plugin that tries to block its host.
type hostileCase struct {
	module guesttest.Module
	want   string // the text of the expected error
}

func hostileCases() map[string]hostileCase {
	load := []byte{0x41, 0x00, 0x28, 0x02, 0x00, 0x1a}
	recursion := func(self uint64) []byte {
		recursive := append(leb([]byte{0x20, 0x00, 0x41, 0x01, 0x6b, 0x20, 0x01, 0x10}, self), 0x1a)
		code := append([]byte{0x20, 0x00, 0x45, 0x04, 0x40, 0x41, 0x00, 0x0f, 0x0b}, recursive...)
		return append(append(code, recursive...), 0x41, 0x00)
	}
	nested := func(depth int) []byte {
		return endlessLoop(append(bytes.Repeat([]byte{0x02, 0x40}, depth), bytes.Repeat([]byte{0x0b}, depth)...)...)
	}
	bulk := func(to, from uint32, instruction ...byte) []byte {
		return endlessLoop(bytes.Join([][]byte{megabytes(to), megabytes(from), megabytes(64), instruction}, nil)...)
	}
	return map[string]hostileCase{
		"empty loop":          {module: hostile(2, constantBody(endlessLoop())), want: timeIsUp},
		"loop-free recursion": {module: hostile(2, recursion), want: timeIsUp},
		"endless recursion": {
			module: hostile(2, func(self uint64) []byte {
				return leb([]byte{0x20, 0x00, 0x20, 0x01, 0x10}, self)
			}),
			want: stackExceeded,
		},
		"100,000 loads in a loop": {
			module: hostile(2, constantBody(endlessLoop(bytes.Repeat(load, 100_000)...))),
			want:   timeIsUp,
		},
		"memory.fill":      {module: hostile(1600, constantBody(bulk(0, 0, 0xfc, 0x0b, 0))), want: timeIsUp},
		"memory.copy up":   {module: hostile(1600, constantBody(bulk(1, 0, 0xfc, 0x0a, 0, 0))), want: timeIsUp},
		"memory.copy down": {module: hostile(1600, constantBody(bulk(0, 1, 0xfc, 0x0a, 0, 0))), want: timeIsUp},
		"memory.grow": {
			module: hostile(2, constantBody(endlessLoop(0x41, 0x01, 0x40, 0x00, 0x1a))),
			want:   timeIsUp,
		},
		"maze": {module: hostile(2, constantBody(maze())), want: timeIsUp},
		"maze too large": {
			module: hostile(2, constantBody(append(maze(), bytes.Repeat(maze(), 1)...))),
			want:   "labels in br_table of function",
		},
		"nesting": {module: hostile(2, constantBody(nested(10_000))), want: timeIsUp},
		"nesting too deep": {
			module: hostile(2, constantBody(nested(30_000))),
			want:   "blocks in each other in function",
		},
		"10,000 functions": {module: callChain(10_000), want: timeIsUp},
		"too many functions": {
			module: callChain(100_000),
			want:   "functions of the module: found 100006, at most 100000 are allowed",
		},
		"function too large": {
			module: hostile(2, constantBody(endlessLoop(bytes.Repeat(load, 200_000)...))),
			want:   "in bytes: found 1200008, at most 1048576 are allowed",
		},
		"much randomness": {module: wasiLoop("random_get", 1600, megabytes(0), megabytes(99)), want: timeIsUp},
		"a write of many parts": {
			module: wasiLoop("fd_write", 1600, []byte{0x41, 0x01}, megabytes(1), megabytes(12),
				megabytes(0)),
			want: timeIsUp,
		},
		"a wait for many things": {
			module: wasiLoop("poll_oneoff", 1600, megabytes(0), megabytes(50), megabytes(1),
				megabytes(0)),
			want: timeIsUp,
		},
		"many values that meet": {module: manyBranches(), want: "effort of compiling function 6 in microseconds ("},
		"vectors":               {module: hostile(2, constantBody([]byte{0xfd, 0x0c})), want: "uses SIMD at byte"},
	}
}

// loadTime limits the time to load a hostile file, rejected or not. The slowest, with 100,000 loads in one function,
// takes 2 s on an idle core and took a minute on a machine with twenty times the load.
const loadTime = 10 * time.Minute

// Every hostile file is loaded or rejected within [loadTime], its call ends soon after its time limit, and another
// connector continues.
func TestHostileGuests(t *testing.T) {
	reg := record.NewRegistry()
	_, otherPool := guest(t, plugin.Options{Registry: reg}, allGuest)
	var batches atomic.Int64
	stop := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		useInstance(t, otherPool, func(ctx context.Context, i *plugin.Instance) {
			rows := batch(t, reg, 100, 100)
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				b := &record.Batch{Registry: reg, Topics: rows.Topics, Rows: slices.Clone(rows.Rows),
					Data: slices.Clip(rows.Data)}
				if _, err := i.Apply(ctx, []byte("copy"), b); err != nil {
					t.Error("the other connector:", err)
					return
				}
				batches.Add(1)
			}
		})
	})
	defer wait.Wait()
	defer close(stop)
	for name, c := range hostileCases() {
		t.Run(name, func(t *testing.T) {
			loading, elapsed, err := loadAndCall(t, c.module)
			t.Logf("loading %v, the call %v", loading.Round(time.Millisecond), elapsed.Round(100*time.Microsecond))
			assert.Error(t, err, c.want)
			assert.AtMost(t, 20*time.Second, elapsed, "to end within 20 s")
			assert.True(t, loading <= loadTime,
				"expected it to be loaded or rejected within %v, found %v", loadTime, loading)
			if limit := map[string]string{timeIsUp: "call.ms", stackExceeded: "stack"}[c.want]; limit != "" {
				trap := assertTrap(t, err, "plugin hostile 1.0.0 (connector victim): prepare: ", "wasm stack trace")
				assert.True(t, trap == nil || trap.Limit == limit, "expected the limit %s, found %q", limit, trap.Limit)
			}
			if c.want == timeIsUp {
				assert.Error(t, err, "plugin.hostile.limits.call.ms")
			}
			for batchesBefore, tries := batches.Load(), 0; batches.Load() == batchesBefore; tries++ {
				require.True(t, tries <= 120_000, "the other connector makes no progress")
				<-time.After(time.Millisecond)
			}
		})
	}
}

// loadAndCall loads a plugin and calls its prepare.
func loadAndCall(t *testing.T, module guesttest.Module) (loading, elapsed time.Duration, err error) {
	t.Helper()
	folder := folderWith(t, "hostile.wasm", module.Bytes())
	start := time.Now()
	m := manager(t, plugin.Options{Settings: map[string]string{"plugin.hostile.limits.call.ms": "50"}}, folder)
	loading = time.Since(start)
	info := m.Modules()[0]
	if info.Err != nil {
		return loading, 0, info.Err
	}
	binding := bind(t, m, "victim", "hostile")
	useInstance(t, binding, func(ctx context.Context, i *plugin.Instance) {
		start := time.Now()
		_, err = i.Prepare(ctx, nil)
		elapsed = time.Since(start)
		_, secondErr := i.Prepare(ctx, nil)
		assert.Error(t, secondErr, "the instance was discarded")
	})
	return loading, elapsed, err
}

// A guest may recurse 60,000 frames deep, repeatedly, and its stack is freed with its instance.
func TestDeepRecursion(t *testing.T) {
	deep := hostile(2, func(self uint64) []byte {
		return bytes.Join([][]byte{
			{0x20, 0x00, 0x45, 0x04, 0x40}, // if arg0 == 0: some work at that depth, then 8, the address of zeros
			{0x41, 0x80, 0x80, 0xc0, 0x00, 0x21, 0x01, 0x03, 0x40, 0x20, 0x01, 0x41, 0x01, 0x6b, 0x22, 0x01, 0x0d, 0x00,
				0x0b},
			{0x41, 0x08, 0x0f, 0x0b},
			leb([]byte{0x20, 0x00, 0x41, 0x01, 0x6b, 0x20, 0x01, 0x10}, self), // self(arg0 - 1, arg1) + arg1 - arg1
			{0x20, 0x01, 0x6a, 0x20, 0x01, 0x6b}}, nil)
	})
	n := deep.Index(prepareExport)
	last := uint64(len(deep.Exports))
	inner := deep.Exports[n]
	inner.Name = "inner"
	inner.Body = bytes.ReplaceAll(inner.Body, leb([]byte{0x10}, uint64(n)), leb([]byte{0x10}, last))
	deep.Exports = append(deep.Exports, inner)
	deep.Exports[n].Body = leb([]byte{0x41, 0xe0, 0xd4, 0x03, 0x41, 0x07, 0x10}, last) // inner(60000, 7)
	folder := folderWith(t, "hostile.wasm", deep.Bytes())
	binding, err := manager(t, plugin.Options{}, folder).BindPlugin("deep", "hostile", "")
	require.NoError(t, err)
	defer binding.Close()
	useInstance(t, binding, func(ctx context.Context, i *plugin.Instance) {
		for range 5 {
			_, err := i.Prepare(ctx, nil)
			require.NoError(t, err)
		}
	})
	got := binding.Current().Module().Metrics
	assert.True(t, got.Ticks != 0, "expected ticks at that depth, found %+v", got)
}

// Compiled guests that loop or wait too long are ended too, and the next call gets a new instance.
func TestTimeLimit(t *testing.T) {
	binding, reg := rogueGuest(t, plugin.Options{Settings: map[string]string{"plugin.rogue.limits.call.ms": "50"}})
	for _, mode := range []string{"spin", "sleep"} {
		start := time.Now()
		assertTrap(t, misbehave(t, binding, reg, mode), timeIsUp, "(connector orders): apply: ",
			"plugin.rogue.limits.call.ms")
		elapsed := time.Since(start)
		assert.True(t, elapsed <= 20*time.Second, "%s: ended after %v", mode, elapsed)
	}
	assert.NoError(t, misbehave(t, binding, reg, "nothing"))
	got := binding.Current().Module().Metrics
	assert.True(t, got.Aborted["call.ms"] == 2 && got.Traps == 2 && got.Ticks >= 10 && got.LongestSeconds >= 0.05 &&
		got.LongestSeconds <= 20, "expected two traps by the time limit of 50 ms, found %+v", got)
}

// A call returns when its context ends, before the call's deadline, with the context's error, which is not a trap.
func TestCallsEndWithContext(t *testing.T) {
	binding, reg := rogueGuest(t, plugin.Options{Settings: map[string]string{"plugin.rogue.limits.call.ms": "60000"}})
	useInstance(t, binding, func(ctx context.Context, i *plugin.Instance) {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := i.Apply(ctx, []byte("spin"), batch(t, reg, 3, 6))
		var trap *plugin.Trap
		assert.True(t, errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &trap) && !binding.ShouldRetry(err),
			"expected the context's error and no trap, found %v", err)
		elapsed := time.Since(start)
		assert.True(t, elapsed <= 20*time.Second, "ended after %v", elapsed)
	})
	got := binding.Current().Module().Metrics
	assert.True(t, got.Traps == 0 && got.Stopped == 0, "expected no traps, found %+v", got)
}
