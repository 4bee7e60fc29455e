package meter_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/meter"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
)

const i32 = guesttest.I32

// moduleWithBody returns a module with one function f (i32 i32 i32) -> () with a body.
func moduleWithBody(body ...byte) []byte {
	m := guesttest.Module{MemoryPages: 40, Exports: []guesttest.Function{{Name: "f", Params: []byte{i32, i32, i32},
		Body: append([]byte{0x01}, body...)}}}
	return m.Bytes()
}

var magic = []byte("\x00asm\x01\x00\x00\x00")

// section returns a section with its ID and length.
func section(id byte, content ...[]byte) []byte {
	return concat([]byte{id}, withLength(concat(content...)))
}

// moduleOf returns a module of sections, each beginning with its ID but without a length.
func moduleOf(sections ...[]byte) []byte {
	out := bytes.Clone(magic)
	for _, s := range sections {
		out = append(out, section(s[0], s[1:])...)
	}
	return out
}

// Unsupported features, indices of what the meter adds, and malformed modules are rejected with an error that names
// them.
func TestRefusals(t *testing.T) {
	emptyType := []byte{1, 1, 0x60, 0, 0}
	for name, c := range map[string]struct {
		module  []byte
		feature string // of an UnsupportedError
		want    string // a part of another error
	}{
		"vectors":             {module: moduleWithBody(0xfd, 0x0c), feature: "SIMD"},
		"vector parameter":    {module: moduleOf([]byte{1, 1, 0x60, 1, 0x7b, 0}), feature: "SIMD"},
		"vector block":        {module: moduleWithBody(0x02, 0x7b, 0x0b), feature: "SIMD"},
		"atomics":             {module: moduleWithBody(0xfe, 0x10, 2, 0), feature: "threads"},
		"shared memory":       {module: moduleOf([]byte{5, 1, 3, 1, 2}), feature: "threads"},
		"tail call":           {module: moduleWithBody(0x12, 0), feature: "tail calls"},
		"indirect tail call":  {module: moduleWithBody(0x13, 0, 0), feature: "tail calls"},
		"throw":               {module: moduleWithBody(0x08, 0), feature: "exceptions"},
		"try":                 {module: moduleWithBody(0x1f, 0x40, 0, 0x0b), feature: "exceptions"},
		"tags":                {module: moduleOf([]byte{13, 0}), feature: "exceptions"},
		"call of a reference": {module: moduleWithBody(0x14, 0), feature: "typed references"},
		"typed reference":     {module: moduleOf([]byte{1, 1, 0x60, 1, 0x64, 0, 0}), feature: "typed references"},
		"struct":              {module: moduleOf([]byte{1, 1, 0x5f, 0}), feature: "types of garbage collection"},
		"memory of 64 bits":   {module: moduleOf([]byte{5, 1, 4, 1}), feature: "memories of 64 bits"},
		"two memories":        {module: moduleOf([]byte{5, 2, 0, 1, 0, 1}), feature: "several memories"},
		"another memory":      {module: moduleWithBody(0x3f, 1, 0x1a), feature: "several memories"},
		"fuel read":           {module: moduleWithBody(0x23, 0, 0x1a), want: "global 0: there are 0"},
		"fuel written":        {module: moduleWithBody(0x42, 0, 0x24, 0), want: "global 0: there are 0"},
		"fuel exported":       {module: moduleOf([]byte{7, 1, 1, 'x', 3, 0}), want: "global 0: there are 0"},
		"fuel as an offset": {module: moduleOf([]byte{5, 1, 0, 1}, []byte{11, 1, 0, 0x23, 0, 0x0b, 0}),
			want: "global 0: there are 0"},
		"tick called": {module: moduleWithBody(0x10, 1), want: "function 1: there are 1"},
		"tick called, padded": {module: moduleWithBody(0x10, 0x81, 0x80, 0x80, 0x80, 0x00),
			want: "function 1: there are 1"},
		"tick referred to": {module: moduleWithBody(0xd2, 1, 0x1a), want: "function 1: there are 1"},
		"tick in a table": {module: moduleOf(emptyType, []byte{3, 1, 0}, []byte{4, 1, 0x70, 0, 1},
			[]byte{9, 1, 0, 0x41, 0, 0x0b, 1, 1}), want: "function 1: there are 1"},
		"tick in an expression": {module: moduleOf(emptyType, []byte{3, 1, 0}, []byte{9, 1, 5, 0x70, 1, 0xd2, 1, 0x0b}),
			want: "function 1: there are 1"},
		"tick exported": {module: moduleOf(emptyType, []byte{3, 1, 0}, []byte{7, 1, 1, 'x', 0, 1}),
			want: "function 1: there are 1"},
		"tick as the start": {module: moduleOf(emptyType, []byte{3, 1, 0}, []byte{8, 1}),
			want: "function 1: there are 1"},
		"tick imported": {module: moduleOf(emptyType, append([]byte{2, 1, 13}, "culvert:meter\x04tick\x00\x00"...)),
			want: `imports from "culvert:meter", which is the meter's`},
		"tick's type":            {module: moduleWithBody(0x41, 0, 0x11, 1, 0), want: "type 1: there are 1"},
		"tick's type of a block": {module: moduleWithBody(0x02, 1, 0x0b), want: "type 1: there are 1"},
		"the meter's local":      {module: moduleWithBody(0x20, 3, 0x1a), want: "local 3: there are 3"},
		"label":                  {module: moduleWithBody(0x0c, 1), want: "label 1: there are 1"},
		"code after the end":     {module: moduleWithBody(0x0b, 0x01), want: "continues after its end"},
		"locals": {module: moduleOf(emptyType, []byte{3, 1, 0}, []byte{10, 1, 8, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f,
			0x0b}), want: "locals of function 0: found 4294967295, at most 50000"},
		"table": {module: moduleOf([]byte{4, 1, 0x70, 0, 0x80, 0x80, 0x80, 0x01}),
			want: "elements of all tables: found 2097152"},
		"tables in all": {module: moduleOf([]byte{4, 2, 0x70, 0, 0x80, 0x80, 0x30, 0x70, 0, 0x80, 0x80, 0x30}),
			want: "elements of all tables: found 1572864"},
		"claimed functions": {module: moduleOf([]byte{3, 0xff, 0xff, 0xff, 0xff, 0x0f}),
			want: "4294967295 elements in 0 bytes"},
		"long number": {module: moduleWithBody(0x20, 0x80, 0x80, 0x80, 0x80, 0x80, 0),
			want: "a number of more than five bytes"},
		"number beyond 32 bits": {module: moduleWithBody(0x10, 0x80, 0x80, 0x80, 0x80, 0x10), want: "beyond 32 bits"},
		"order":                 {module: moduleOf([]byte{3, 0}, []byte{1, 0}), want: "section 1 is out of order"},
		"twice":                 {module: moduleOf([]byte{1, 0}, []byte{1, 0}), want: "section 1 is out of order"},
		"bodies missing":        {module: moduleOf(emptyType, []byte{3, 1, 0}), want: "1 functions, 0 bodies"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := meter.Rewrite(context.Background(), c.module, meter.Options{})
			var refusal *meter.UnsupportedError
			switch {
			case c.feature != "" && (!errors.As(err, &refusal) || refusal.Feature != c.feature || refusal.Offset < 8 ||
				refusal.Offset > len(c.module)):
				t.Errorf("expected an error about %s, found %v", c.feature, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("expected %q, found %v", c.want, err)
			}
		})
	}
}

// Each limit rejects a module that exceeds it.
func TestLimits(t *testing.T) {
	module := append(moduleWithBody(0x02, 0x40, 0x20, 0, 0x0e, 1, 0, 0, 0x0b), 11, 7, 2, 1, 1, 0, 1, 1, 0)
	size := len(module) - 1
	for want, limits := range map[string]meter.Limits{
		"the module in bytes: found":                                                              {ModuleBytes: size},
		"the body of function 0 in bytes: found":                                                  {FunctionBytes: 3},
		"locals of function 0: found 3, at most 2 are allowed":                                    {Locals: 2},
		"segments: found 2":                                                                       {Segments: 1},
		"blocks in each other in function 0: found 2":                                             {Nesting: 1},
		"labels in br_table of function 0: found 2":                                               {Targets: 1},
		"effort of compiling function 0 in microseconds (1 branches, 0 loops, 0 deep, 3 locals):": {Effort: 2},
		"effort of compiling all functions in microseconds: found ":                               {TotalEffort: 2},
		"values passed by calls, blocks and jumps of function 0: found 3, at most 2 are allowed":  {Values: 2},
		"imports, globals or exports: found 2":                                                    {Items: 1},
	} {
		_, _, err := meter.Rewrite(context.Background(), module, meter.Options{Limits: limits})
		var exceeded *meter.LimitError
		want = strings.Replace(want, "found 2", "found", 1)
		assert.True(t, errors.As(err, &exceeded) && strings.Contains(err.Error(), want),
			"expected %q, found %v", want, err)
	}
}

// Small modules that take engines gigabytes and minutes are rejected: values of many locals that are live at many
// branches; many branches, blocks and calls that pass many values; many tables; many elements.
func TestModulesThatExpandAreRejected(t *testing.T) {
	const n = 1000
	wideType := concat([]byte{0x60}, leb(n), bytes.Repeat([]byte{i32}, n), []byte{0}) // has a thousand parameters
	module := func(function []byte, sections ...[]byte) []byte {
		return concat(magic, section(1, []byte{1}, wideType), section(3, []byte{1, 0}), concat(sections...),
			section(10, []byte{1}, withLength(concat([]byte{0}, function, []byte{0x0b}))))
	}
	numbers := bytes.Repeat([]byte{0x41, 0}, n)
	blocks := concat([]byte{0}, bytes.Repeat([]byte{0x02, 0x40, 0x0b}, 100), []byte{0x0b})
	for want, m := range map[string][]byte{
		"effort of compiling function 0": module(bytes.Repeat([]byte{0x20, 0, 0x04, 0x40, 0x41, 1, 0x21, 1, 0x0b},
			8*n)),
		"effort of compiling all functions": concat(magic, section(1, []byte{1}, wideType),
			section(3, leb(n), make([]byte, n)), section(10, leb(n), bytes.Repeat(withLength(blocks), n))),
		"values passed by calls": module(bytes.Repeat(concat(numbers, []byte{0x10, 0}), 500)),
		"values passed by calls, ": module(concat(bytes.Repeat(concat(numbers, []byte{0x02, 0}), 300),
			bytes.Repeat([]byte{0x0d, 0}, 300), bytes.Repeat([]byte{0x0b}, 300))),
		"elements of all tables":   module(nil, section(4, []byte{2, 0x70, 0}, leb(1<<20), []byte{0x70, 0, 1})),
		"elements of all segments": module(nil, section(9, []byte{1, 1, 0}, leb(1<<20+1), make([]byte, 1<<20+1))),
		"imports, globals or exports": module(nil, section(6, leb(100_001), bytes.Repeat([]byte{i32, 0, 0x41, 0, 0x0b},
			100_001))),
		"parameters or results of a": concat(magic, section(1, []byte{1, 0x60}, leb(n+1), make([]byte, n+2))),
	} {
		var limits meter.Limits
		if strings.HasPrefix(want, "values") {
			limits.Effort = 1 << 40
			limits.TotalEffort = 1 << 40
		}
		_, _, err := meter.Rewrite(context.Background(), m, meter.Options{Limits: limits})
		var exceeded *meter.LimitError
		assert.True(t, errors.As(err, &exceeded) && strings.HasPrefix(err.Error(), want),
			"%d bytes: expected %q, found %v", len(m), want, err)
	}
	types := concat(magic, section(1, leb(2001), bytes.Repeat([]byte{0x60, 0, 0}, 2001)), section(3, []byte{1, 0}))
	if _, _, err := meter.Rewrite(context.Background(), types, meter.Options{}); err == nil ||
		err.Error() != "types of functions: found 2001, at most 2000 are allowed" {
		t.Errorf("expected an error for 2001 types, found %v", err)
	}
	// Tables share one limit.
	twoTables := section(4, []byte{2, 0x70, 0, 1, 0x70, 0, 1})
	out, _, err := meter.Rewrite(context.Background(), module(nil, twoTables), meter.Options{})
	if half := append([]byte{0x70, 1, 1}, leb(1<<19)...); err != nil || bytes.Count(out, half) != 2 {
		t.Errorf("expected two tables of at most %d elements, found %v %x", 1<<19, err, out)
	}
}

// leb encodes a number as LEB128.
func leb(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// withLength returns a vector: its length, then its bytes.
func withLength(b []byte) []byte { return append(leb(len(b)), b...) }

// addTick adds the meter's tick, which counts and grants the budget, to a runtime.
func addTick(t testing.TB, r wazero.Runtime, ticks *int, budget *int64) {
	t.Helper()
	_, err := r.NewHostModuleBuilder(meter.Module).NewFunctionBuilder().WithGoModuleFunction(
		api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) {
			*ticks++
			stack[0] = uint64(*budget)
		}), nil, []api.ValueType{api.ValueTypeI64}).Export(meter.Name).Instantiate(context.Background())
	require.NoError(t, err)
}

// instantiateBoth instantiates a module plain and metered, and checks that rewriting is deterministic. ticks counts the
// calls of tick.
func instantiateBoth(t testing.TB, module []byte, o meter.Options) (plain, metered api.Module, ticks *int) {
	t.Helper()
	ctx := context.Background()
	rewritten, _, err := meter.Rewrite(context.Background(), module, o)
	require.NoError(t, err)
	repeated, _, _ := meter.Rewrite(context.Background(), module, o)
	assert.True(t, bytes.Equal(rewritten, repeated), "expected the same bytes for the same module")
	ticks = new(int)
	r := wazero.NewRuntime(ctx)
	t.Cleanup(func() { _ = r.Close(ctx) })
	budget := o.Budget
	if budget == 0 {
		budget = meter.DefaultBudget
	}
	addTick(t, r, ticks, &budget)
	env := r.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func() {}).Export("nothing")
	_, err = env.Instantiate(ctx)
	require.NoError(t, err)
	for _, m := range []*struct {
		instance *api.Module
		code     []byte
	}{{&plain, module}, {&metered, rewritten}} {
		*m.instance, err = r.InstantiateWithConfig(ctx, m.code, wazero.NewModuleConfig().WithName(""))
		require.NoError(t, err)
	}
	return plain, metered, ticks
}

// Copies and fills of every size change memory, and trap, as without metering, and long ones tick.
func TestCopies(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	operands := []byte{0x20, 0, 0x20, 1, 0x20, 2}
	const memory = 40 * 65536
	for name, code := range map[string][]byte{"copy": {0xfc, 0x0a, 0, 0}, "fill": {0xfc, 0x0b, 0}} {
		plain, metered, ticks := instantiateBoth(t, moduleWithBody(append(operands, code...)...),
			meter.Options{Budget: 2000})
		for n := range 400 {
			size := random.Uint32N(2048)
			if n%2 == 0 {
				size = random.Uint32N(memory)
			}
			to := random.Uint32N(memory)
			from := random.Uint32N(memory)
			if n%3 == 0 {
				from = to + random.Uint32N(4096) - 2048
			}
			if n%7 == 0 {
				size = -random.Uint32N(100)
			}
			var errs [2]error
			for i, m := range []api.Module{plain, metered} {
				content, _ := m.Memory().Read(0, memory)
				for pos := 0; pos < memory; pos += 61 {
					content[pos] = byte(n) ^ byte(pos>>3)
				}
				_, errs[i] = m.ExportedFunction("f").Call(t.Context(), uint64(to), uint64(from), uint64(size))
			}
			plainMemory, _ := plain.Memory().Read(0, memory)
			meteredMemory, _ := metered.Memory().Read(0, memory)
			if firstLine(errs[0]) != firstLine(errs[1]) || !bytes.Equal(plainMemory, meteredMemory) {
				t.Fatalf("%s to %#x from %#x size %#x: plain: %v, metered: %v, same memory: %t", name, to, from, size,
					errs[0], errs[1], bytes.Equal(plainMemory, meteredMemory))
			}
		}
		assert.AtLeast(t, 100, *ticks, name, "ticks")
	}
}

// Loops that jump back, bodies and calls consume fuel by their price; code that cannot run for long does not.
func TestCharges(t *testing.T) {
	// while --p0: code
	whileLoop := func(code ...byte) []byte {
		return bytes.Join([][]byte{{0x03, 0x40}, code, {0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b}}, nil)
	}
	// while --p0: nop * n
	nopLoop := func(n int) []byte {
		return moduleWithBody(whileLoop(bytes.Repeat([]byte{0x01, 0x41, 0, 0x1a}, n)...)...)
	}
	function := func(code ...byte) []byte { return withLength(concat([]byte{0}, code, []byte{0x0b})) }
	// whileLoop in a module with two tables of 8,000 and a segment of elements
	tables := func(code ...byte) []byte {
		return moduleOf([]byte{1, 1, 0x60, 3, i32, i32, i32, 0}, []byte{3, 1, 0},
			[]byte{4, 2, 0x70, 0, 0xc0, 0x3e, 0x70, 0, 0xc0, 0x3e}, []byte{7, 1, 1, 'f', 0, 0},
			concat([]byte{9, 1, 1, 0, 20}, make([]byte, 20)), concat([]byte{10, 1}, function(whileLoop(code...)...)))
	}
	// a loop that calls a function through a table
	indirect := func(leaf ...byte) []byte {
		return moduleOf([]byte{1, 2, 0x60, 3, i32, i32, i32, 0, 0x60, 0, 0}, []byte{3, 2, 0, 1},
			[]byte{4, 1, 0x70, 0, 1}, []byte{5, 1, 0, 1}, []byte{7, 1, 1, 'f', 0, 0},
			[]byte{9, 1, 0, 0x41, 0, 0x0b, 1, 1}, concat([]byte{10, 2}, function(whileLoop(0x41, 0, 0x11, 1, 0)...),
				function(leaf...)))
	}
	// a loop that calls an imported function
	imported := moduleOf([]byte{1, 2, 0x60, 3, i32, i32, i32, 0, 0x60, 0, 0},
		[]byte("\x02\x01\x03env\x07nothing\x00\x01"), []byte{3, 1, 0}, []byte{7, 1, 1, 'f', 0, 1},
		concat([]byte{10, 1}, function(whileLoop(0x10, 0)...)))
	for _, c := range []struct {
		name   string
		module []byte
		rounds int
		min    int // ticks
		max    int // ticks
	}{
		{name: "small leaf through a table", module: indirect(0x01), rounds: 10_000, min: 49, max: 50},
		{name: "large leaf through a table", module: indirect(0x41, 0, 0x40, 0, 0x1a), rounds: 1000, min: 21, max: 23},
		{name: "import", module: imported, rounds: 10_000, min: 19, max: 20},
		{name: "fill of 1,000 bytes", module: moduleWithBody(whileLoop(0x41, 0, 0x41, 0, 0x41, 0xe8, 0x07, 0xfc, 0x0b,
			0)...), rounds: 1000, min: 2, max: 3},
		{name: "fill of 8,000 bytes", module: moduleWithBody(whileLoop(0x41, 0, 0x41, 0, 0x41, 0xc0, 0x3e, 0xfc, 0x0b,
			0)...), rounds: 1000, min: 125, max: 130},
		{name: "copy of 8,000 bytes", module: moduleWithBody(whileLoop(0x41, 0, 0x41, 0, 0x41, 0xc0, 0x3e, 0xfc, 0x0a,
			0, 0)...), rounds: 1000, min: 125, max: 130},
		{name: "table.fill", module: tables(0x41, 0, 0xd0, 0x70, 0x41, 0xc0, 0x3e, 0xfc, 0x11, 0), rounds: 100,
			min: 100, max: 104},
		{name: "table.grow", module: tables(0xd0, 0x70, 0x41, 0xc0, 0x3e, 0xfc, 0x0f, 0, 0x1a), rounds: 100, min: 100,
			max: 104},
		{name: "table.copy", module: tables(0x41, 0, 0x41, 0, 0x41, 0xc0, 0x3e, 0xfc, 0x0e, 0, 1), rounds: 100,
			min: 100, max: 104},
		{name: "table.init", module: tables(0x41, 0, 0x41, 0, 0x41, 20, 0xfc, 0x0c, 0, 0), rounds: 1000, min: 18,
			max: 24},
		{name: "memory.grow by zero pages", module: moduleWithBody(whileLoop(0x41, 0, 0x40, 0, 0x1a)...), rounds: 1000,
			min: 16, max: 19},
		{name: "short loop", module: nopLoop(0), rounds: 100_000, min: 99, max: 101},
		{name: "long body", module: nopLoop(800), rounds: 10_000, min: 1400, max: 1511},
		{name: "loop without a jump back", module: moduleWithBody(0x03, 0x40, 0x01, 0x0b), rounds: 100_000, min: 0,
			max: 0},
		{name: "small loop of three iterations", module: moduleWithBody(bytes.Join([][]byte{{0x03, 0x40, 0x41, 3, 0x21,
			1, 0x03, 0x40}, bytes.Repeat([]byte{0x01, 0x41, 0, 0x1a}, 10),
			{0x20, 1, 0x41, 1, 0x6b, 0x22, 1, 0x0d, 0, 0x0b, 0x20, 0,
				0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b}}, nil)...), rounds: 10_000, min: 97, max: 103},
		{name: "recursion", module: moduleWithBody(0x20, 0, 0x04, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x20, 0, 0x20, 0, 0x10,
			0, 0x0b), rounds: 10_000, min: 9, max: 11},
	} {
		plain, metered, ticks := instantiateBoth(t, c.module, meter.Options{Budget: 1000})
		for _, m := range []api.Module{plain, metered} {
			_, err := m.ExportedFunction("f").Call(t.Context(), uint64(c.rounds), 0, 0)
			require.True(t, err == nil, "%v %v", c.name, err)
		}
		assert.True(t, *ticks >= c.min && *ticks <= c.max,
			"%s: expected %d to %d ticks, found %d", c.name, c.min, c.max, *ticks)
	}
}

// Padded numbers, as LLVM writes them, are read, and names move with their functions.
func TestPaddedNumbersAndNames(t *testing.T) {
	names := []byte("\x04name\x00\x02\x01m\x01\x06\x01\x00\x03abc\x02\x06\x01\x00\x01\x00\x01x\x07\x03\x01\x00\x00")
	module := moduleOf([]byte{1, 1, 0x60, 0, 0}, []byte{3, 1, 0},
		[]byte{10, 1, 8, 0, 0x10, 0x80, 0x80, 0x80, 0x80, 0x00, 0x0b}, append([]byte{0}, names...))
	out, report, err := meter.Rewrite(context.Background(), module, meter.Options{})
	require.NoError(t, err)
	want := "\x04name\x00\x02\x01m\x01\x06\x01\x01\x03abc\x02\x06\x01\x01\x01\x00\x01x"
	assert.True(t, bytes.Contains(out, []byte(want)), "expected the names %q in %q", want, out)
	assert.True(t, bytes.Contains(out, []byte{0x10, 1, 0x0b}), "expected a call of function 1 in % x", out)
	if report.Functions != 1 || report.Entries != 1 || report.BytesOut != len(out) || report.BytesIn != len(module) {
		t.Errorf("expected one function with a charged entry and the sizes of both modules, found %+v", report)
	}
}

// Sections that name functions by index are dropped; others are copied.
func TestCustomSections(t *testing.T) {
	m := guesttest.Module{MemoryPages: -1, Exports: []guesttest.Function{{Name: "f"}},
		Custom: map[string]string{".debug_line": "1", "linking": "2", "reloc.CODE": "3",
			"metadata.code.branch_hint": "4", "producers": "kept"}}
	out, report, err := meter.Rewrite(context.Background(), m.Bytes(), meter.Options{})
	require.NoError(t, err)
	assert.True(t, len(report.Dropped) == 4 && bytes.Contains(out, []byte("producerskept")) &&
		!bytes.Contains(out, []byte("debug")),
		"expected 4 dropped sections and a copy of the producers, found %+v", report)
}

// countdown is a context that is canceled after a number of checks.
type countdown struct {
	context.Context
	allowed int
	checks  int
}

func (c *countdown) Err() error {
	c.checks++
	if c.checks > c.allowed {
		return context.Canceled
	}
	return nil
}

// Rewriting checks its context at least once per 128 KiB that it reads or writes, and ends with it.
func TestRewriteChecksContext(t *testing.T) {
	const size = 2 << 20
	moduleOfItems := func(id byte, count int, items ...[]byte) []byte {
		return concat(magic, section(id, leb(count), concat(items...)))
	}
	thousand := concat(leb(1000), make([]byte, 1000))
	functions := guesttest.Module{MemoryPages: -1}
	for n := range 100 {
		functions.Exports = append(functions.Exports, guesttest.Function{Name: fmt.Sprint("f", n),
			Body: bytes.Repeat([]byte{0x01}, size/100)})
	}
	entries := concat(leb(2000), bytes.Repeat(concat([]byte{0}, thousand), 2000))
	for name, module := range map[string][]byte{
		"names":     concat(magic, section(0, []byte("\x04name\x01"), withLength(entries))),
		"bodies":    functions.Bytes(),
		"exports":   moduleOfItems(7, 2000, bytes.Repeat(concat(thousand, []byte{2, 0}), 2000)),
		"imports":   moduleOfItems(2, 2000, bytes.Repeat(concat(thousand, []byte{0, 3, 0x7f, 0}), 2000)),
		"constants": moduleOfItems(6, 1, []byte{0x7f, 0}, bytes.Repeat([]byte{0x41, 0}, size/2), []byte{0x0b}),
		"elements": moduleOfItems(9, 1, []byte{0x05, 0x70}, leb(size/3),
			bytes.Repeat([]byte{0xd0, 0x70, 0x0b}, size/3)),
		"segments": moduleOfItems(11, 2000, bytes.Repeat(concat([]byte{1}, thousand), 2000)),
	} {
		t.Run(name, func(t *testing.T) {
			unlimited := &countdown{Context: context.Background(), allowed: 1 << 30}
			_, _, err := meter.Rewrite(unlimited, module, meter.Options{})
			require.NoError(t, err)
			want := len(module) / (128 << 10)
			assert.AtLeast(t, want, unlimited.checks, "checks of the context within", len(module), "bytes")
			for _, allowed := range []int{0, unlimited.checks / 2, unlimited.checks - 1} {
				ctx := &countdown{Context: context.Background(), allowed: allowed}
				out, _, err := meter.Rewrite(ctx, module, meter.Options{})
				// One more check is for the cause.
				assert.True(t, errors.Is(err, context.Canceled) && out == nil && ctx.checks == allowed+2,
					"expected to end at check %d, found %v at %d", allowed+1, err, ctx.checks)
			}
		})
	}
}

// FuzzRewrite checks that no input panics, and that the engine accepts the metered form of each module that it accepts.
func FuzzRewrite(f *testing.F) {
	f.Add(moduleWithBody())
	f.Add(moduleWithBody(0x03, 0x40, 0x0c, 0, 0x0b))
	f.Add(moduleWithBody(0x20, 0, 0x20, 1, 0x20, 2, 0xfc, 0x0a, 0, 0))
	f.Add(moduleWithBody(0x20, 0, 0x04, 0x40, 0x20, 0, 0x20, 0, 0x20, 0, 0x10, 0, 0x05, 0x0b))
	f.Add(moduleWithBody(0x02, 0x40, 0x20, 0, 0x0e, 1, 0, 0, 0x0b))
	f.Add(moduleWithBody(0xd2, 0, 0x1a, 0x41, 0x80, 0x10, 0x40, 0, 0x1a))
	f.Add(moduleOf([]byte{1, 1, 0x60, 0, 0}, []byte{3, 1, 0}, []byte{4, 1, 0x70, 0, 1}, []byte{6, 1, 0x7f, 0, 0x41, 0,
		0x0b}, []byte{8, 0},
		[]byte{9, 1, 0, 0x41, 0, 0x0b, 1, 0}, []byte{10, 1, 2, 0, 0x0b}, []byte("\x00\x04name\x01\x04\x01\x00\x01a")))
	files, _ := filepath.Glob(filepath.Join(specFolder(f), "*.0.wasm"))
	for _, file := range files {
		if module, err := os.ReadFile(file); err == nil && len(module) < 2000 {
			f.Add(module)
		}
	}
	ctx := context.Background()
	config := wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(16)
	f.Fuzz(func(t *testing.T, module []byte) {
		out, _, err := meter.Rewrite(context.Background(), module,
			meter.Options{Limits: meter.Limits{ModuleBytes: 1 << 16, Locals: 1000}})
		if err != nil {
			return
		}
		// Only modules that the rewriter accepts are passed to the engine, which trusts what a module declares.
		r := wazero.NewRuntimeWithConfig(ctx, config)
		defer r.Close(ctx)
		_, plainErr := r.CompileModule(ctx, module)
		_, meteredErr := r.CompileModule(ctx, out)
		assert.True(t, (plainErr == nil) == (meteredErr == nil),
			"plain: %v, metered: %v, % x", plainErr, meteredErr, module)
	})
}
