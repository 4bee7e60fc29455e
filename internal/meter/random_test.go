package meter_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/meter"
)

// TestRandomModules compares random modules of wasm-smith (testdata/smith/run.sh) plain and metered.
func TestRandomModules(t *testing.T) {
	file, err := os.Open("testdata/smith.gz")
	require.NoError(t, err)
	defer file.Close()
	in, err := gzip.NewReader(file)
	require.NoError(t, err)
	compareModules(t, in, 240)
}

// compareModules compares modules, each preceded by its length in four bytes, and expects at least n.
func compareModules(t *testing.T, in io.Reader, n int) {
	t.Helper()
	d := &differential{}
	d.run(t, func(yield func([]byte) bool) {
		in := bufio.NewReader(in)
		for {
			var size uint32
			err := binary.Read(in, binary.LittleEndian, &size)
			if errors.Is(err, io.EOF) {
				return
			}
			code := make([]byte, size)
			if err == nil {
				_, err = io.ReadFull(in, code)
			}
			if err != nil {
				t.Error(err)
				return
			}
			if !yield(code) {
				return
			}
		}
	})
	d.judge(t, n)
}

// differential runs modules plain and metered, and compares the results.
type differential struct {
	mu      sync.Mutex
	modules int
	calls   int
	ticks   int
	// invalid modules were rejected by the engine, before and after; refused and exceeded ones by the meter.
	invalid  int
	refused  int
	exceeded int
	// report sums the meter's charges.
	report meter.Report
	// ends counts how calls ended: `result` or the trap's text.
	ends map[string]int
}

// judge fails the test if the comparison was not meaningful.
func (d *differential) judge(t *testing.T, n int) {
	t.Helper()
	t.Logf("%d modules, %d calls, %d ticks; %d invalid for the engine, %d refused, %d beyond limits; charged: %+v; "+
		"ends: %v", d.modules, d.calls, d.ticks, d.invalid, d.refused, d.exceeded, d.report, d.ends)
	if d.modules < n || d.calls < 2*n || d.ticks < n || d.ends["result"] < n ||
		d.ends["wasm error: unreachable"] < n/10 || len(d.ends) < 6 ||
		d.report.Loops < n || d.report.Entries < n || d.report.Copies < n/5 || d.invalid+d.refused+d.exceeded > n/50 {
		t.Error("the modules cover too few cases")
	}
}

// run compares modules with half of the machine's processors or more.
func (d *differential) run(t *testing.T, modules func(yield func([]byte) bool)) {
	d.ends = map[string]int{}
	type numbered struct {
		n    int
		code []byte
	}
	work := make(chan numbered)
	var wait sync.WaitGroup
	for range 2 {
		w := newPair(t, d)
		wait.Go(func() {
			defer w.close()
			for m := range work {
				if err := w.compare(m.n, m.code); err != nil {
					t.Errorf("module %d: %v\n% x", m.n, err, m.code[:min(len(m.code), 4000)])
				}
			}
		})
	}
	n := 0
	for code := range modules {
		work <- numbered{n, code}
		n++
		if t.Failed() {
			break
		}
	}
	close(work)
	wait.Wait()
}

// pair is a runtime in which modules are next to their metered forms.
type pair struct {
	d       *differential
	runtime wazero.Runtime
	budget  int64
	ticks   int
}

// pairPages limits the memory of a module.
const pairPages = 64

func newPair(t *testing.T, d *differential) *pair {
	w := &pair{d: d, runtime: wazero.NewRuntimeWithConfig(context.Background(),
		wazero.NewRuntimeConfig().WithMemoryLimitPages(pairPages))}
	ticking(t, w.runtime, &w.ticks, &w.budget)
	return w
}

func (p *pair) close() {
	_ = p.runtime.Close(context.Background())
	p.d.mu.Lock()
	p.d.ticks += p.ticks
	p.d.mu.Unlock()
}

func (p *pair) note(f func(*differential)) {
	p.d.mu.Lock()
	f(p.d)
	p.d.mu.Unlock()
}

// compare runs one module. Every second one ticks at each charge.
func (p *pair) compare(n int, code []byte) error {
	ctx := context.Background()
	p.budget = []int64{1, 500}[n%2]
	one, before := p.runtime.CompileModule(ctx, code)
	rewritten, report, err := meter.Rewrite(context.Background(), code, meter.Options{Budget: p.budget})
	p.note(func(d *differential) {
		d.modules++
		for sum, n := range map[*int]int{&d.report.BytesIn: report.BytesIn, &d.report.BytesOut: report.BytesOut,
			&d.report.Functions: report.Functions, &d.report.Leaves: report.Leaves,
			&d.report.Entries: report.Entries, &d.report.Loops: report.Loops, &d.report.Copies: report.Copies} {
			*sum += n
		}
	})
	switch {
	case errors.As(err, new(*meter.UnsupportedError)):
		p.note(func(d *differential) { d.refused++ })
		return nil
	case errors.As(err, new(*meter.LimitError)):
		p.note(func(d *differential) { d.exceeded++ })
		return nil
	}
	var two wazero.CompiledModule
	after := err
	if err == nil {
		two, after = p.runtime.CompileModule(ctx, rewritten)
	}
	if (before == nil) != (after == nil) {
		return fmt.Errorf("plain: %v, metered: %v", before, after)
	}
	if before != nil {
		p.note(func(d *differential) { d.invalid++ })
		return nil
	}
	defer one.Close(ctx)
	defer two.Close(ctx)
	a, errA := p.runtime.InstantiateModule(ctx, one, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	b, errB := p.runtime.InstantiateModule(ctx, two, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if a != nil {
		defer a.Close(ctx)
	}
	if b != nil {
		defer b.Close(ctx)
	}
	if first(errA) != first(errB) {
		return fmt.Errorf("start: plain: %v, metered: %v", errA, errB)
	}
	if errA != nil {
		p.ended("start: " + first(errA))
		return nil
	}
	return p.both(n, one, a, b)
}

func (p *pair) ended(how string) {
	if !strings.HasPrefix(how, "wasm error: ") && how != "result" {
		how, _, _ = strings.Cut(how, ":")
	}
	p.note(func(d *differential) { d.ends[how]++; d.calls++ })
}

// noise is the initial memory: with zeros, a wrong copy would not be noticed.
var noise = sync.OnceValue(func() []byte {
	b := make([]byte, pairPages<<16)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
})

// both calls the exports of two instances, and compares their memories.
func (p *pair) both(n int, code wazero.CompiledModule, a, b api.Module) error {
	ctx := context.Background()
	random := rand.New(rand.NewPCG(11, uint64(n)))
	for name := range code.ExportedMemories() {
		for _, m := range []api.Module{a, b} {
			m.ExportedMemory(name).Write(0, noise()[:m.ExportedMemory(name).Size()])
		}
	}
	exported := code.ExportedFunctions()
	for _, name := range slices.Sorted(maps.Keys(exported)) {
		for range 3 {
			args := make([]uint64, len(exported[name].ParamTypes()))
			for i, t := range exported[name].ParamTypes() {
				args[i] = argument(random, t)
			}
			gotA, errA := a.ExportedFunction(name).Call(ctx, args...)
			gotB, errB := b.ExportedFunction(name).Call(ctx, args...)
			if first(errA) != first(errB) {
				return fmt.Errorf("%s(%x): plain: %v, metered: %v", name, args, errA, errB)
			}
			if errA != nil {
				p.ended(first(errA))
				continue
			}
			p.ended("result")
			if !same(exported[name].ResultTypes(), gotA, gotB) {
				return fmt.Errorf("%s(%x): plain: %x, metered: %x", name, args, gotA, gotB)
			}
		}
	}
	for name := range code.ExportedMemories() {
		left, _ := a.ExportedMemory(name).Read(0, a.ExportedMemory(name).Size())
		right, _ := b.ExportedMemory(name).Read(0, b.ExportedMemory(name).Size())
		if !bytes.Equal(left, right) {
			return fmt.Errorf("memory %s of %d and %d bytes differs", name, len(left), len(right))
		}
	}
	return nil
}

// argument returns a small number in half of the cases.
func argument(random *rand.Rand, t api.ValueType) uint64 {
	n := random.Uint64()
	switch {
	case t == api.ValueTypeExternref || t == 0x70:
		return 0
	case n%3 != 0:
		n >>= 50
	}
	if t == api.ValueTypeI32 || t == api.ValueTypeF32 {
		n = uint64(uint32(n))
	}
	return n
}
