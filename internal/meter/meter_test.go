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

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/meter"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
)

const i32 = guesttest.I32

// one returns a module with one function f (i32 i32 i32) -> () with that body.
func one(body ...byte) []byte {
	m := guesttest.Module{MemoryPages: 40, Exports: []guesttest.Function{{Name: "f", Params: []byte{i32, i32, i32},
		Body: append([]byte{0x01}, body...)}}}
	return m.Bytes()
}

var magic = []byte("\x00asm\x01\x00\x00\x00")

// section returns a section with its length.
func section(id byte, content ...[]byte) []byte { return cat([]byte{id}, vec(cat(content...))) }

// with appends sections, each beginning with its id, to a module.
func with(sections ...[]byte) []byte {
	out := bytes.Clone(magic)
	for _, s := range sections {
		out = append(out, section(s[0], s[1:])...)
	}
	return out
}

func TestRefusals(t *testing.T) {
	unit := []byte{1, 1, 0x60, 0, 0}
	for name, c := range map[string]struct {
		module  []byte
		feature string
		want    string
	}{
		"vectors":             {one(0xfd, 0x0c), "SIMD", ""},
		"vector parameter":    {with([]byte{1, 1, 0x60, 1, 0x7b, 0}), "SIMD", ""},
		"vector block":        {one(0x02, 0x7b, 0x0b), "SIMD", ""},
		"atomics":             {one(0xfe, 0x10, 2, 0), "threads", ""},
		"shared memory":       {with([]byte{5, 1, 3, 1, 2}), "threads", ""},
		"tail call":           {one(0x12, 0), "tail calls", ""},
		"indirect tail call":  {one(0x13, 0, 0), "tail calls", ""},
		"throw":               {one(0x08, 0), "exceptions", ""},
		"try":                 {one(0x1f, 0x40, 0, 0x0b), "exceptions", ""},
		"tags":                {with([]byte{13, 0}), "exceptions", ""},
		"call of a reference": {one(0x14, 0), "typed references", ""},
		"typed reference":     {with([]byte{1, 1, 0x60, 1, 0x64, 0, 0}), "typed references", ""},
		"struct":              {with([]byte{1, 1, 0x5f, 0}), "types of garbage collection", ""},
		"memory of 64 bits":   {with([]byte{5, 1, 4, 1}), "memories of 64 bits", ""},
		"two memories":        {with([]byte{5, 2, 0, 1, 0, 1}), "several memories", ""},
		"another memory":      {one(0x3f, 1, 0x1a), "several memories", ""},
		"fuel read":           {one(0x23, 0, 0x1a), "", "global 0: there are 0"},
		"fuel written":        {one(0x42, 0, 0x24, 0), "", "global 0: there are 0"},
		"fuel exported":       {with([]byte{7, 1, 1, 'x', 3, 0}), "", "global 0: there are 0"},
		"fuel as an offset": {with([]byte{5, 1, 0, 1}, []byte{11, 1, 0, 0x23, 0, 0x0b, 0}), "",
			"global 0: there are 0"},
		"tick called":         {one(0x10, 1), "", "function 1: there are 1"},
		"tick called, padded": {one(0x10, 0x81, 0x80, 0x80, 0x80, 0x00), "", "function 1: there are 1"},
		"tick referred to":    {one(0xd2, 1, 0x1a), "", "function 1: there are 1"},
		"tick in a table": {with(unit, []byte{3, 1, 0}, []byte{4, 1, 0x70, 0, 1}, []byte{9, 1, 0, 0x41, 0, 0x0b,
			1, 1}), "", "function 1: there are 1"},
		"tick in an expression": {with(unit, []byte{3, 1, 0}, []byte{9, 1, 5, 0x70, 1, 0xd2, 1, 0x0b}), "",
			"function 1: there are 1"},
		"tick exported":     {with(unit, []byte{3, 1, 0}, []byte{7, 1, 1, 'x', 0, 1}), "", "function 1: there are 1"},
		"tick as the start": {with(unit, []byte{3, 1, 0}, []byte{8, 1}), "", "function 1: there are 1"},
		"tick imported": {with(unit, append([]byte{2, 1, 13}, "culvert:meter\x04tick\x00\x00"...)), "",
			`imports from "culvert:meter", which is the meter's`},
		"tick's type":            {one(0x41, 0, 0x11, 1, 0), "", "type 1: there are 1"},
		"tick's type of a block": {one(0x02, 1, 0x0b), "", "type 1: there are 1"},
		"the meter's local":      {one(0x20, 3, 0x1a), "", "local 3: there are 3"},
		"label":                  {one(0x0c, 1), "", "label 1: there are 1"},
		"code after the end":     {one(0x0b, 0x01), "", "continues after its end"},
		"locals": {with(unit, []byte{3, 1, 0}, []byte{10, 1, 8, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f,
			0x0b}), "", "locals of function 0: found 4294967295, at most 50000"},
		"table": {with([]byte{4, 1, 0x70, 0, 0x80, 0x80, 0x80, 0x01}), "", "elements of all tables: found 2097152"},
		"tables in all": {with([]byte{4, 2, 0x70, 0, 0x80, 0x80, 0x30, 0x70, 0, 0x80, 0x80, 0x30}), "",
			"elements of all tables: found 1572864"},
		"claimed functions":     {with([]byte{3, 0xff, 0xff, 0xff, 0xff, 0x0f}), "", "4294967295 elements in 0 bytes"},
		"long number":           {one(0x20, 0x80, 0x80, 0x80, 0x80, 0x80, 0), "", "a number of more than five bytes"},
		"number beyond 32 bits": {one(0x10, 0x80, 0x80, 0x80, 0x80, 0x10), "", "beyond 32 bits"},
		"order":                 {with([]byte{3, 0}, []byte{1, 0}), "", "section 1 is out of order"},
		"twice":                 {with([]byte{1, 0}, []byte{1, 0}), "", "section 1 is out of order"},
		"bodies missing":        {with(unit, []byte{3, 1, 0}), "", "1 functions, 0 bodies"},
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

func TestLimits(t *testing.T) {
	module := append(one(0x02, 0x40, 0x20, 0, 0x0e, 1, 0, 0, 0x0b), 11, 7, 2, 1, 1, 0, 1, 1, 0)
	size := len(module) - 1
	for want, l := range map[string]meter.Limits{
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
		_, _, err := meter.Rewrite(context.Background(), module, meter.Options{Limits: l})
		var exceeded *meter.LimitError
		if want = strings.Replace(want, "found 2", "found", 1); !errors.As(err, &exceeded) ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("expected %q, found %v", want, err)
		}
	}
}

// Small modules that take engines gigabytes and minutes are rejected: values of many locals that are live at many
// branches; many branches, blocks and calls that pass many values; many tables; many elements.
func TestModulesThatExpandAreRejected(t *testing.T) {
	const n = 1000
	// a type with a thousand parameters
	many := cat([]byte{0x60}, leb(n), bytes.Repeat([]byte{i32}, n), []byte{0})
	module := func(function []byte, sections ...[]byte) []byte {
		return cat(magic, section(1, []byte{1}, many), section(3, []byte{1, 0}), cat(sections...),
			section(10, []byte{1}, vec(cat([]byte{0}, function, []byte{0x0b}))))
	}
	numbers := bytes.Repeat([]byte{0x41, 0}, n)
	blocks := cat([]byte{0}, bytes.Repeat([]byte{0x02, 0x40, 0x0b}, 100), []byte{0x0b})
	for want, m := range map[string][]byte{
		"effort of compiling function 0": module(bytes.Repeat([]byte{0x20, 0, 0x04, 0x40, 0x41, 1, 0x21, 1, 0x0b},
			8*n)),
		"effort of compiling all functions": cat(magic, section(1, []byte{1}, many),
			section(3, leb(n), make([]byte, n)), section(10, leb(n), bytes.Repeat(vec(blocks), n))),
		"values passed by calls": module(bytes.Repeat(cat(numbers, []byte{0x10, 0}), 500)),
		"values passed by calls, ": module(cat(bytes.Repeat(cat(numbers, []byte{0x02, 0}), 300),
			bytes.Repeat([]byte{0x0d, 0}, 300), bytes.Repeat([]byte{0x0b}, 300))),
		"elements of all tables":   module(nil, section(4, []byte{2, 0x70, 0}, leb(1<<20), []byte{0x70, 0, 1})),
		"elements of all segments": module(nil, section(9, []byte{1, 1, 0}, leb(1<<20+1), make([]byte, 1<<20+1))),
		"imports, globals or exports": module(nil, section(6, leb(100_001), bytes.Repeat([]byte{i32, 0, 0x41, 0, 0x0b},
			100_001))),
		"parameters or results of a": cat(magic, section(1, []byte{1, 0x60}, leb(n+1), make([]byte, n+2))),
	} {
		var limits meter.Limits
		if strings.HasPrefix(want, "values") {
			limits.Effort = 1 << 40
			limits.TotalEffort = 1 << 40
		}
		_, _, err := meter.Rewrite(context.Background(), m, meter.Options{Limits: limits})
		var exceeded *meter.LimitError
		if !errors.As(err, &exceeded) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%d bytes: expected %q, found %v", len(m), want, err)
		}
	}
	types := cat(magic, section(1, leb(2001), bytes.Repeat([]byte{0x60, 0, 0}, 2001)), section(3, []byte{1, 0}))
	if _, _, err := meter.Rewrite(context.Background(), types, meter.Options{}); err == nil ||
		err.Error() != "types of functions: found 2001, at most 2000 are allowed" {
		t.Error(err)
	}
	// Tables share one limit.
	two := section(4, []byte{2, 0x70, 0, 1, 0x70, 0, 1})
	out, _, err := meter.Rewrite(context.Background(), module(nil, two), meter.Options{})
	if half := append([]byte{0x70, 1, 1}, leb(1<<19)...); err != nil || bytes.Count(out, half) != 2 {
		t.Errorf("expected two tables of at most %d elements, found %v %x", 1<<19, err, out)
	}
}

func leb(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func vec(b []byte) []byte { return append(leb(len(b)), b...) }

// ticking adds the meter's tick, which counts and grants the budget, to a runtime.
func ticking(t testing.TB, r wazero.Runtime, ticks *int, budget *int64) {
	t.Helper()
	_, err := r.NewHostModuleBuilder(meter.Module).NewFunctionBuilder().WithGoModuleFunction(
		api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) {
			*ticks++
			stack[0] = uint64(*budget)
		}), nil, []api.ValueType{api.ValueTypeI64}).Export(meter.Name).Instantiate(context.Background())
	require.NoError(t, err)
}

// run instantiates a module metered and plain, with a tick that counts.
func run(t testing.TB, module []byte, o meter.Options) (plain, metered api.Module, ticks *int) {
	t.Helper()
	ctx := context.Background()
	rewritten, _, err := meter.Rewrite(context.Background(), module, o)
	require.NoError(t, err)
	again, _, _ := meter.Rewrite(context.Background(), module, o)
	if !bytes.Equal(rewritten, again) {
		t.Error("expected the same bytes for the same module")
	}
	ticks = new(int)
	r := wazero.NewRuntime(ctx)
	t.Cleanup(func() { _ = r.Close(ctx) })
	budget := o.Budget
	if budget == 0 {
		budget = meter.DefaultBudget
	}
	ticking(t, r, ticks, &budget)
	env := r.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func() {}).Export("nothing")
	_, err = env.Instantiate(ctx)
	require.NoError(t, err)
	for _, m := range []*struct {
		to   *api.Module
		code []byte
	}{{&plain, module}, {&metered, rewritten}} {
		*m.to, err = r.InstantiateWithConfig(ctx, m.code, wazero.NewModuleConfig().WithName(""))
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
		plain, metered, ticks := run(t, one(append(operands, code...)...), meter.Options{Budget: 2000})
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
			seed := byte(n)
			var errs [2]error
			for i, m := range []api.Module{plain, metered} {
				mem, _ := m.Memory().Read(0, memory)
				for at := 0; at < memory; at += 61 {
					mem[at] = seed ^ byte(at>>3)
				}
				_, errs[i] = m.ExportedFunction("f").Call(t.Context(), uint64(to), uint64(from), uint64(size))
			}
			one, _ := plain.Memory().Read(0, memory)
			two, _ := metered.Memory().Read(0, memory)
			if first(errs[0]) != first(errs[1]) || !bytes.Equal(one, two) {
				t.Fatalf("%s %#x %#x %#x: %v, %v, same memory: %v", name, to, from, size, errs[0], errs[1],
					bytes.Equal(one, two))
			}
		}
		if *ticks < 100 {
			t.Errorf("%s: expected ticks, found %d", name, *ticks)
		}
	}
}

// Loops that jump back, bodies and calls consume fuel by their price; code that cannot run for long does not.
func TestCharges(t *testing.T) {
	// while --p0: code
	turns := func(code ...byte) []byte {
		return bytes.Join([][]byte{{0x03, 0x40}, code, {0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b}}, nil)
	}
	// while --p0: nop * n
	counting := func(n int) []byte {
		return one(turns(bytes.Repeat([]byte{0x01, 0x41, 0, 0x1a}, n)...)...)
	}
	function := func(code ...byte) []byte { return vec(cat([]byte{0}, code, []byte{0x0b})) }
	// the same in a module with two tables of 8,000 and a segment of elements
	tables := func(code ...byte) []byte {
		return with([]byte{1, 1, 0x60, 3, i32, i32, i32, 0}, []byte{3, 1, 0},
			[]byte{4, 2, 0x70, 0, 0xc0, 0x3e, 0x70, 0, 0xc0, 0x3e}, []byte{7, 1, 1, 'f', 0, 0},
			cat([]byte{9, 1, 1, 0, 20}, make([]byte, 20)), cat([]byte{10, 1}, function(turns(code...)...)))
	}
	// a call through a table of a function without loops and calls
	indirect := func(leaf ...byte) []byte {
		return with([]byte{1, 2, 0x60, 3, i32, i32, i32, 0, 0x60, 0, 0}, []byte{3, 2, 0, 1}, []byte{4, 1, 0x70, 0, 1},
			[]byte{5, 1, 0, 1}, []byte{7, 1, 1, 'f', 0, 0}, []byte{9, 1, 0, 0x41, 0, 0x0b, 1, 1},
			cat([]byte{10, 2}, function(turns(0x41, 0, 0x11, 1, 0)...), function(leaf...)))
	}
	// of an imported function
	imported := with([]byte{1, 2, 0x60, 3, i32, i32, i32, 0, 0x60, 0, 0}, []byte("\x02\x01\x03env\x07nothing\x00\x01"),
		[]byte{3, 1, 0}, []byte{7, 1, 1, 'f', 0, 1}, cat([]byte{10, 1}, function(turns(0x10, 0)...)))
	for _, c := range []struct {
		name   string
		module []byte
		rounds int
		from   int
		upTo   int
	}{
		{"small leaf through a table", indirect(0x01), 10_000, 49, 50},
		{"large leaf through a table", indirect(0x41, 0, 0x40, 0, 0x1a), 1000, 21, 23},
		{"import", imported, 10_000, 19, 20},
		{"fill of 1,000 bytes", one(turns(0x41, 0, 0x41, 0, 0x41, 0xe8, 0x07, 0xfc, 0x0b, 0)...), 1000, 2, 3},
		{"fill of 8,000 bytes", one(turns(0x41, 0, 0x41, 0, 0x41, 0xc0, 0x3e, 0xfc, 0x0b, 0)...), 1000, 125, 130},
		{"copy of 8,000 bytes", one(turns(0x41, 0, 0x41, 0, 0x41, 0xc0, 0x3e, 0xfc, 0x0a, 0, 0)...), 1000, 125, 130},
		{"table.fill", tables(0x41, 0, 0xd0, 0x70, 0x41, 0xc0, 0x3e, 0xfc, 0x11, 0), 100, 100, 104},
		{"table.grow", tables(0xd0, 0x70, 0x41, 0xc0, 0x3e, 0xfc, 0x0f, 0, 0x1a), 100, 100, 104},
		{"table.copy", tables(0x41, 0, 0x41, 0, 0x41, 0xc0, 0x3e, 0xfc, 0x0e, 0, 1), 100, 100, 104},
		{"table.init", tables(0x41, 0, 0x41, 0, 0x41, 20, 0xfc, 0x0c, 0, 0), 1000, 18, 24},
		{"memory.grow by nothing", one(turns(0x41, 0, 0x40, 0, 0x1a)...), 1000, 16, 19},
		{"short loop", counting(0), 100_000, 99, 101},
		{"long body", counting(800), 10_000, 1400, 1511},
		{"loop that is none", one(0x03, 0x40, 0x01, 0x0b), 100_000, 0, 0},
		{"small loop, three turns", one(bytes.Join([][]byte{{0x03, 0x40, 0x41, 3, 0x21, 1, 0x03, 0x40},
			bytes.Repeat([]byte{0x01, 0x41, 0, 0x1a}, 10), {0x20, 1, 0x41, 1, 0x6b, 0x22, 1, 0x0d, 0, 0x0b, 0x20, 0,
				0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b}}, nil)...), 10_000, 97, 103},
		{"recursion", one(0x20, 0, 0x04, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x20, 0, 0x20, 0, 0x10, 0, 0x0b), 10_000, 9, 11},
	} {
		plain, metered, ticks := run(t, c.module, meter.Options{Budget: 1000})
		for _, m := range []api.Module{plain, metered} {
			if _, err := m.ExportedFunction("f").Call(t.Context(), uint64(c.rounds), 0, 0); err != nil {
				t.Fatal(c.name, err)
			}
		}
		if *ticks < c.from || *ticks > c.upTo {
			t.Errorf("%s: expected %d to %d ticks, found %d", c.name, c.from, c.upTo, *ticks)
		}
	}
}

// Padded numbers, as LLVM writes them, are read, and names move with their functions.
func TestPaddedNumbersAndNames(t *testing.T) {
	names := []byte("\x04name\x00\x02\x01m\x01\x06\x01\x00\x03abc\x02\x06\x01\x00\x01\x00\x01x\x07\x03\x01\x00\x00")
	module := with([]byte{1, 1, 0x60, 0, 0}, []byte{3, 1, 0}, []byte{10, 1, 8, 0, 0x10, 0x80, 0x80, 0x80, 0x80, 0x00,
		0x0b}, append([]byte{0}, names...))
	out, report, err := meter.Rewrite(context.Background(), module, meter.Options{})
	require.NoError(t, err)
	if want := "\x04name\x00\x02\x01m\x01\x06\x01\x01\x03abc\x02\x06\x01\x01\x01\x00\x01x"; !bytes.Contains(out,
		[]byte(want)) {
		t.Errorf("expected the names %q in %q", want, out)
	}
	if !bytes.Contains(out, []byte{0x10, 1, 0x0b}) {
		t.Errorf("expected a call of function 1 in % x", out)
	}
	if report.Functions != 1 || report.Entries != 1 || report.BytesOut != len(out) || report.BytesIn != len(module) {
		t.Errorf("%+v", report)
	}
}

// Sections that name functions by index are dropped; others are copied.
func TestCustomSections(t *testing.T) {
	m := guesttest.Module{MemoryPages: -1, Exports: []guesttest.Function{{Name: "f"}},
		Custom: map[string]string{".debug_line": "1", "linking": "2", "reloc.CODE": "3",
			"metadata.code.branch_hint": "4", "producers": "kept"}}
	out, report, err := meter.Rewrite(context.Background(), m.Bytes(), meter.Options{})
	require.NoError(t, err)
	if len(report.Dropped) != 4 || !bytes.Contains(out, []byte("producerskept")) || bytes.Contains(out,
		[]byte("debug")) {
		t.Errorf("%+v", report)
	}
}

// countdown is a context that is canceled after a number of checks.
type countdown struct {
	context.Context
	left  int
	count int
}

func (c *countdown) Err() error {
	c.count++
	if c.count > c.left {
		return context.Canceled
	}
	return nil
}

// Rewriting checks its context at least once per 128 KiB that it reads or writes, and ends with it.
func TestRewriteChecksContext(t *testing.T) {
	const size = 2 << 20
	of := func(id byte, count int, items ...[]byte) []byte {
		return cat(magic, section(id, leb(count), cat(items...)))
	}
	thousand := cat(leb(1000), make([]byte, 1000))
	functions := guesttest.Module{MemoryPages: -1}
	for n := range 100 {
		functions.Exports = append(functions.Exports, guesttest.Function{Name: fmt.Sprint("f", n),
			Body: bytes.Repeat([]byte{0x01}, size/100)})
	}
	entries := cat(leb(2000), bytes.Repeat(cat([]byte{0}, thousand), 2000))
	for name, module := range map[string][]byte{
		"names":     cat(magic, section(0, []byte("\x04name\x01"), vec(entries))),
		"bodies":    functions.Bytes(),
		"exports":   of(7, 2000, bytes.Repeat(cat(thousand, []byte{2, 0}), 2000)),
		"imports":   of(2, 2000, bytes.Repeat(cat(thousand, []byte{0, 3, 0x7f, 0}), 2000)),
		"constants": of(6, 1, []byte{0x7f, 0}, bytes.Repeat([]byte{0x41, 0}, size/2), []byte{0x0b}),
		"elements":  of(9, 1, []byte{0x05, 0x70}, leb(size/3), bytes.Repeat([]byte{0xd0, 0x70, 0x0b}, size/3)),
		"segments":  of(11, 2000, bytes.Repeat(cat([]byte{1}, thousand), 2000)),
	} {
		t.Run(name, func(t *testing.T) {
			whole := &countdown{Context: context.Background(), left: 1 << 30}
			_, _, err := meter.Rewrite(whole, module, meter.Options{})
			require.NoError(t, err)
			if least := len(module) / (128 << 10); whole.count < least {
				t.Errorf("expected at least %d checks of the context within %d bytes, found %d", least, len(module),
					whole.count)
			}
			for _, left := range []int{0, whole.count / 2, whole.count - 1} {
				ctx := &countdown{Context: context.Background(), left: left}
				out, _, err := meter.Rewrite(ctx, module, meter.Options{})
				// The last check is for the cause.
				if !errors.Is(err, context.Canceled) || out != nil || ctx.count != left+2 {
					t.Errorf("expected to end at check %d, found %v at %d", left+1, err, ctx.count)
				}
			}
		})
	}
}

// FuzzRewrite checks that no input panics, and that the engine accepts the metered form of each module that it accepts.
func FuzzRewrite(f *testing.F) {
	f.Add(one())
	f.Add(one(0x03, 0x40, 0x0c, 0, 0x0b))
	f.Add(one(0x20, 0, 0x20, 1, 0x20, 2, 0xfc, 0x0a, 0, 0))
	f.Add(one(0x20, 0, 0x04, 0x40, 0x20, 0, 0x20, 0, 0x20, 0, 0x10, 0, 0x05, 0x0b))
	f.Add(one(0x02, 0x40, 0x20, 0, 0x0e, 1, 0, 0, 0x0b))
	f.Add(one(0xd2, 0, 0x1a, 0x41, 0x80, 0x10, 0x40, 0, 0x1a))
	f.Add(with([]byte{1, 1, 0x60, 0, 0}, []byte{3, 1, 0}, []byte{4, 1, 0x70, 0, 1}, []byte{6, 1, 0x7f, 0, 0x41, 0,
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
		_, before := r.CompileModule(ctx, module)
		_, after := r.CompileModule(ctx, out)
		if (before == nil) != (after == nil) {
			t.Errorf("plain: %v, metered: %v, % x", before, after, module)
		}
	})
}
