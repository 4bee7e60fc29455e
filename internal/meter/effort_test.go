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

// concatEach concatenates the code for each number below n.
func concatEach(n int, code func(i int) []byte) (sequence []byte) {
	for i := range n {
		sequence = append(sequence, code(i)...)
	}
	return sequence
}

// shapes returns shapes that were found by experiment, by name.
func shapes() map[string]shape {
	repeat := bytes.Repeat
	load := []byte{0x41, 0, 0x28, 2, 0}
	block := []byte{0x02, 0x40}
	loop := []byte{0x03, 0x40}
	end := []byte{0x0b}
	drop := []byte{0x1a}
	branch := func(label int) []byte { return concat(load, []byte{0x0d}, leb(label)) }
	openIf := concat(load, []byte{0x04, 0x40})
	emptyLoop := concat(loop, branch(0), end)
	table := func(labels int) []byte {
		return concat(load, []byte{0x0e}, leb(labels-1), concatEach(labels, leb))
	}
	overStack := func(n int, code []byte) []byte {
		return concat(repeat(load, n), code, repeat([]byte{0x6a}, n-1), drop)
	}
	setLocal := func(local int) []byte { return concat(load, []byte{0x21}, leb(local)) }
	useLocals := func(params int) []byte {
		sum := concatEach(params, func(i int) []byte { return concat([]byte{0x20}, leb(i), []byte{0x6a}) })
		return concat([]byte{0x41, 0, 0x41, 0}, sum, []byte{0x36, 2, 0})
	}
	tables := func(open []byte) func(int) []byte {
		return func(n int) []byte {
			return concat(repeat(open, n), repeat(concat(openIf, table(n), end), 20_000/n), repeat(end, n))
		}
	}
	return map[string]shape{
		"loops after each other": {body: func(n int) []byte { return repeat(emptyLoop, n) }},
		"loops in each other": {body: func(n int) []byte {
			return concat(repeat(loop, n), repeat(concat(branch(0), end), n))
		}},
		"jumps to the outermost loop": {body: func(n int) []byte {
			return concat(repeat(loop, n), concatEach(n, func(i int) []byte { return concat(branch(n-1-i), end) }))
		}},
		"jumps to the outermost block": {body: func(n int) []byte {
			return concat(concatEach(n, func(i int) []byte { return concat(block, branch(i)) }), repeat(end, n))
		}},
		"returns":                 {body: func(n int) []byte { return repeat(concat(openIf, []byte{0x0f, 0x0b}), n) }},
		"tables of loops":         {body: tables(loop)},
		"tables of blocks":        {body: tables(block)},
		"a deep stack over loops": {body: func(n int) []byte { return overStack(n, repeat(emptyLoop, n)) }},
		"a deep stack over deep ones": {body: func(n int) []byte {
			return overStack(n, concat(repeat(loop, n), repeat(concat(branch(0), end), n)))
		}},
		"copies": {body: func(n int) []byte {
			return repeat(concat(load, load, load, []byte{0xfc, 0x0a, 0, 0}), n)
		}},
		"locals over branches": {params: 1000, body: func(n int) []byte {
			return concat(concatEach(n, func(i int) []byte { return concat(openIf, setLocal(i%1000), end) }),
				useLocals(1000))
		}},
		"locals through loops": {params: 1000, body: func(n int) []byte {
			return concat(repeat(loop, n), concatEach(n, func(i int) []byte {
				return concat(setLocal(i%1000), branch(0), end)
			}), useLocals(1000))
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
	addTick(t, r, new(int), new(int64))
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
			t.Logf("size %d in %d bytes: estimated %v, took %v", n, report.BytesIn,
				time.Duration(report.MaxEffort)*time.Microsecond, elapsed)
			assert.True(t, elapsed <= factor*time.Duration(report.MaxEffort)*time.Microsecond,
				"expected at most %d times the estimated %d µs, found %v", factor, report.MaxEffort, elapsed)
			// Growing code is rejected before it takes long to compile.
			for n *= 2; ; n *= 2 {
				_, report, err := meter.Rewrite(context.Background(), s.module(n), meter.Options{})
				if exceeded := new(meter.LimitError); errors.As(err, &exceeded) {
					assert.True(t, strings.HasPrefix(err.Error(), "effort of compiling function 0 in microseconds") ||
						strings.HasPrefix(err.Error(), "blocks in each other in function 0"),
						"expected an error about the effort or nesting, found %v", err)
					break
				}
				require.True(t, err == nil && report.MaxEffort <= 4_000_000,
					"%d: expected the effort to be rejected, found an effort of %d and %v", n, report.MaxEffort, err)
			}
		})
	}
}

// Values on the stack at branches count like locals; other values do not.
func TestStackEffort(t *testing.T) {
	effort := func(code ...[]byte) int {
		_, report, err := meter.Rewrite(context.Background(), moduleWithBody(bytes.Join(code, nil)...), meter.Options{})
		require.NoError(t, err)
		return report.Effort
	}
	values := func(n int) []byte { return bytes.Repeat([]byte{0x41, 0}, n) }
	drops := func(n int) []byte { return bytes.Repeat([]byte{0x1a}, n) }
	branches := bytes.Repeat([]byte{0x41, 0, 0x04, 0x40, 0x0b}, 100)
	withoutValues := effort(branches)
	withValues := effort(values(1000), branches, drops(1000))
	assert.True(t, withValues >= withoutValues+100*1000/5,
		"expected 1000 values over 100 branches to count, found %d, and %d without", withValues, withoutValues)
	assert.Equal(t, withoutValues, effort(values(1000), drops(1000), branches), "effort of popped values")
	for name, code := range map[string][]byte{
		"stores":      bytes.Repeat([]byte{0x41, 0, 0x41, 0, 0x36, 2, 0}, 1000),
		"sums":        concat(bytes.Repeat([]byte{0x41, 0, 0x41, 0, 0x6a, 0x1a}, 1000)),
		"locals":      bytes.Repeat([]byte{0x20, 0, 0x22, 1, 0x21, 2}, 1000),
		"comparisons": bytes.Repeat([]byte{0x41, 0, 0x45, 0x41, 0, 0x46, 0x1a}, 1000),
		"selects":     bytes.Repeat([]byte{0x41, 0, 0x41, 0, 0x41, 0, 0x1b, 0x1a}, 1000),
		"64 bits":     bytes.Repeat([]byte{0x42, 0, 0x42, 0, 0x7c, 0x50, 0x1a, 0x43, 0, 0, 0, 0, 0x8b, 0x1a}, 1000),
		"conversions": bytes.Repeat(binary.AppendUvarint([]byte{0x41, 0, 0xac, 0xa7}, 0x1a), 1000),
	} {
		assert.Equal(t, withoutValues, effort(code, branches), name, "expected no values on the stack")
	}
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
