package meter_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/meter"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
)

// shape is a function body of variable size that is hard to compile.
type shape struct {
	params int
	body   func(n int) []byte
}

// each repeats code for all numbers below n.
func each(n int, code func(i int) []byte) (all []byte) {
	for i := range n {
		all = append(all, code(i)...)
	}
	return all
}

// shapes returns shapes that were found by experiment.
func shapes() map[string]shape {
	repeat := bytes.Repeat
	load := []byte{0x41, 0, 0x28, 2, 0}
	block := []byte{0x02, 0x40}
	loop := []byte{0x03, 0x40}
	end := []byte{0x0b}
	drop := []byte{0x1a}
	branch := func(label int) []byte { return cat(load, []byte{0x0d}, leb(label)) }
	condition := cat(load, []byte{0x04, 0x40})
	turn := cat(loop, branch(0), end)
	table := func(labels int) []byte {
		return cat(load, []byte{0x0e}, leb(labels-1), each(labels, leb))
	}
	held := func(n int, code []byte) []byte {
		return cat(repeat(load, n), code, repeat([]byte{0x6a}, n-1), drop)
	}
	set := func(local int) []byte { return cat(load, []byte{0x21}, leb(local)) }
	used := func(params int) []byte {
		sum := each(params, func(i int) []byte { return cat([]byte{0x20}, leb(i), []byte{0x6a}) })
		return cat([]byte{0x41, 0, 0x41, 0}, sum, []byte{0x36, 2, 0})
	}
	tables := func(open []byte) func(int) []byte {
		return func(n int) []byte {
			return cat(repeat(open, n), repeat(cat(condition, table(n), end), 20_000/n), repeat(end, n))
		}
	}
	return map[string]shape{
		"loops after each other": {0, func(n int) []byte { return repeat(turn, n) }},
		"loops in each other": {0, func(n int) []byte {
			return cat(repeat(loop, n), repeat(cat(branch(0), end), n))
		}},
		"jumps to the outermost loop": {0, func(n int) []byte {
			return cat(repeat(loop, n), each(n, func(i int) []byte { return cat(branch(n-1-i), end) }))
		}},
		"jumps to the outermost block": {0, func(n int) []byte {
			return cat(each(n, func(i int) []byte { return cat(block, branch(i)) }), repeat(end, n))
		}},
		"returns":                 {0, func(n int) []byte { return repeat(cat(condition, []byte{0x0f, 0x0b}), n) }},
		"tables of loops":         {0, tables(loop)},
		"tables of blocks":        {0, tables(block)},
		"a deep stack over loops": {0, func(n int) []byte { return held(n, repeat(turn, n)) }},
		"a deep stack over deep ones": {0, func(n int) []byte {
			return held(n, cat(repeat(loop, n), repeat(cat(branch(0), end), n)))
		}},
		"copies": {0, func(n int) []byte {
			return repeat(cat(load, load, load, []byte{0xfc, 0x0a, 0, 0}), n)
		}},
		"locals over branches": {1000, func(n int) []byte {
			return cat(each(n, func(i int) []byte { return cat(condition, set(i%1000), end) }), used(1000))
		}},
		"locals through loops": {1000, func(n int) []byte {
			return cat(repeat(loop, n), each(n, func(i int) []byte { return cat(set(i%1000), branch(0), end) }),
				used(1000))
		}},
	}
}

func (s shape) module(n int) []byte {
	m := guesttest.Module{MemoryPages: 1, Exports: []guesttest.Function{{Name: "f", Params: bytes.Repeat([]byte{i32},
		s.params), Body: s.body(n)}}}
	return m.Bytes()
}

// compile compiles a rewritten module and returns the processor time.
func compile(t *testing.T, module []byte) time.Duration {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler())
	defer r.Close(ctx)
	ticking(t, r, new(int), new(int64))
	start := processorTime(t)
	_, err := r.CompileModule(ctx, module)
	require.NoError(t, err)
	return processorTime(t) - start
}

// The estimated effort is within a factor of the measured time for all shapes.
func TestEffort(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Log("the engine has no compiler here")
		return
	}
	const factor = 40
	for name, s := range shapes() {
		t.Run(name, func(t *testing.T) {
			// Find the size that takes about 0.1 s.
			var out []byte
			var report meter.Report
			n := 10
			if strings.HasPrefix(name, "tables") {
				n = 200
			}
			for ; n < 10_000; n = n*5/4 + 1 {
				var err error
				out, report, err = meter.Rewrite(context.Background(), s.module(n), meter.Options{})
				require.NoError(t, err)
				if report.MaxEffort > 100_000 {
					break
				}
			}
			elapsed := compile(t, out)
			t.Logf("%d of them in %d bytes: estimated %v, took %v", n, report.BytesIn,
				time.Duration(report.MaxEffort)*time.Microsecond, elapsed)
			if elapsed > factor*time.Duration(report.MaxEffort)*time.Microsecond {
				t.Errorf("expected at most %d times the estimated %d µs, found %v", factor, report.MaxEffort, elapsed)
			}
			// Growing code is rejected before it takes long to compile.
			for n *= 2; ; n *= 2 {
				_, report, err := meter.Rewrite(context.Background(), s.module(n), meter.Options{})
				if exceeded := new(meter.LimitError); errors.As(err, &exceeded) {
					if text := err.Error(); !strings.HasPrefix(text,
						"effort of compiling function 0 in microseconds") &&
						!strings.HasPrefix(text, "blocks in each other in function 0") {
						t.Errorf("expected the effort to be rejected, found %v", err)
					}
					break
				}
				if err != nil || report.MaxEffort > 4_000_000 {
					t.Fatalf("%d: expected the effort to be rejected, found an effort of %d and %v", n,
						report.MaxEffort,
						err)
				}
			}
		})
	}
}

// Values on the stack at branches count like locals; other values do not.
func TestStackEffort(t *testing.T) {
	effort := func(code ...[]byte) int {
		_, report, err := meter.Rewrite(context.Background(), one(bytes.Join(code, nil)...), meter.Options{})
		require.NoError(t, err)
		return report.Effort
	}
	values := func(n int) []byte { return bytes.Repeat([]byte{0x41, 0}, n) }
	drops := func(n int) []byte { return bytes.Repeat([]byte{0x1a}, n) }
	branches := bytes.Repeat([]byte{0x41, 0, 0x04, 0x40, 0x0b}, 100)
	alone := effort(branches)
	if over := effort(values(1000), branches, drops(1000)); over < alone+100*1000/5 {
		t.Errorf("expected 1000 values over 100 branches to count, found %d and %d alone", over, alone)
	}
	assert.Equal(t, alone, effort(values(1000), drops(1000), branches), "effort of popped values")
	for name, code := range map[string][]byte{
		"stores":      bytes.Repeat([]byte{0x41, 0, 0x41, 0, 0x36, 2, 0}, 1000),
		"sums":        cat(bytes.Repeat([]byte{0x41, 0, 0x41, 0, 0x6a, 0x1a}, 1000)),
		"locals":      bytes.Repeat([]byte{0x20, 0, 0x22, 1, 0x21, 2}, 1000),
		"comparisons": bytes.Repeat([]byte{0x41, 0, 0x45, 0x41, 0, 0x46, 0x1a}, 1000),
		"selects":     bytes.Repeat([]byte{0x41, 0, 0x41, 0, 0x41, 0, 0x1b, 0x1a}, 1000),
		"wide ones":   bytes.Repeat([]byte{0x42, 0, 0x42, 0, 0x7c, 0x50, 0x1a, 0x43, 0, 0, 0, 0, 0x8b, 0x1a}, 1000),
		"conversions": bytes.Repeat(binary.AppendUvarint([]byte{0x41, 0, 0xac, 0xa7}, 0x1a), 1000),
	} {
		assert.Equal(t, alone, effort(code, branches), name, "values left on the stack")
	}
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
