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

	"github.com/culvert-project/culvert/internal/base/assert"
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
	d.checkCoverage(t, n)
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

// checkCoverage fails the test if the comparison was not meaningful.
func (d *differential) checkCoverage(t *testing.T, n int) {
	t.Helper()
	t.Logf("%d modules, %d calls, %d ticks; %d invalid for the engine, %d refused, %d beyond limits; charged: %+v; "+
		"ends: %v", d.modules, d.calls, d.ticks, d.invalid, d.refused, d.exceeded, d.report, d.ends)
	assert.True(t, d.modules >= n && d.calls >= 2*n && d.ticks >= n && d.ends["result"] >= n &&
		d.ends["wasm error: unreachable"] >= n/10 && len(d.ends) >= 6 && d.report.Loops >= n && d.report.Entries >= n &&
		d.report.Copies >= n/5 && d.invalid+d.refused+d.exceeded <= n/50, "the modules cover too few cases")
}

// run compares modules in two workers until the test has failed.
func (d *differential) run(t *testing.T, modules func(yield func([]byte) bool)) {
	d.ends = map[string]int{}
	type numberedModule struct {
		n    int
		code []byte
	}
	queue := make(chan numberedModule)
	var workers sync.WaitGroup
	for range 2 {
		p := newPair(t, d)
		workers.Go(func() {
			defer p.close()
			for m := range queue {
				if err := p.compare(m.n, m.code); err != nil {
					t.Errorf("module %d: %v\n% x", m.n, err, m.code[:min(len(m.code), 4000)])
				}
			}
		})
	}
	n := 0
	for code := range modules {
		queue <- numberedModule{n, code}
		n++
		if t.Failed() {
			break
		}
	}
	close(queue)
	workers.Wait()
}

// pair is a runtime for modules and their metered forms.
type pair struct {
	d       *differential
	runtime wazero.Runtime
	budget  int64
	ticks   int
}

// pairPages limits the memory of a module.
const pairPages = 64

func newPair(t *testing.T, d *differential) *pair {
	p := &pair{d: d, runtime: wazero.NewRuntimeWithConfig(context.Background(),
		wazero.NewRuntimeConfig().WithMemoryLimitPages(pairPages))}
	addTick(t, p.runtime, &p.ticks, &p.budget)
	return p
}

func (p *pair) close() {
	_ = p.runtime.Close(context.Background())
	p.d.mu.Lock()
	p.d.ticks += p.ticks
	p.d.mu.Unlock()
}

func (p *pair) update(change func(*differential)) {
	p.d.mu.Lock()
	change(p.d)
	p.d.mu.Unlock()
}

// compare runs one module. Every second one ticks at each charge.
func (p *pair) compare(n int, code []byte) error {
	ctx := context.Background()
	p.budget = []int64{1, 500}[n%2]
	plain, plainErr := p.runtime.CompileModule(ctx, code)
	rewritten, report, err := meter.Rewrite(context.Background(), code, meter.Options{Budget: p.budget})
	p.update(func(d *differential) {
		d.modules++
		for sum, n := range map[*int]int{&d.report.BytesIn: report.BytesIn, &d.report.BytesOut: report.BytesOut,
			&d.report.Functions: report.Functions, &d.report.Leaves: report.Leaves,
			&d.report.Entries: report.Entries, &d.report.Loops: report.Loops, &d.report.Copies: report.Copies} {
			*sum += n
		}
	})
	switch {
	case errors.As(err, new(*meter.UnsupportedError)):
		p.update(func(d *differential) { d.refused++ })
		return nil
	case errors.As(err, new(*meter.LimitError)):
		p.update(func(d *differential) { d.exceeded++ })
		return nil
	}
	var metered wazero.CompiledModule
	meteredErr := err
	if err == nil {
		metered, meteredErr = p.runtime.CompileModule(ctx, rewritten)
	}
	if (plainErr == nil) != (meteredErr == nil) {
		return fmt.Errorf("plain: %v, metered: %v", plainErr, meteredErr)
	}
	if plainErr != nil {
		p.update(func(d *differential) { d.invalid++ })
		return nil
	}
	defer plain.Close(ctx)
	defer metered.Close(ctx)
	a, errA := p.runtime.InstantiateModule(ctx, plain, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	b, errB := p.runtime.InstantiateModule(ctx, metered, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if a != nil {
		defer a.Close(ctx)
	}
	if b != nil {
		defer b.Close(ctx)
	}
	if firstLine(errA) != firstLine(errB) {
		return fmt.Errorf("start: plain: %v, metered: %v", errA, errB)
	}
	if errA != nil {
		p.countEnd("start: " + firstLine(errA))
		return nil
	}
	return p.compareExports(n, plain, a, b)
}

// countEnd counts a call by how it ended: `result`, or the first line of its error.
func (p *pair) countEnd(end string) {
	if !strings.HasPrefix(end, "wasm error: ") && end != "result" {
		end, _, _ = strings.Cut(end, ":")
	}
	p.update(func(d *differential) {
		d.ends[end]++
		d.calls++
	})
}

// noise is the initial memory, because a wrong copy of zeros would not be noticed.
var noise = sync.OnceValue(func() []byte {
	content := make([]byte, pairPages<<16)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content)
	return content
})

// compareExports calls the exports of two instances, and compares their memories.
func (p *pair) compareExports(n int, code wazero.CompiledModule, a, b api.Module) error {
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
			if firstLine(errA) != firstLine(errB) {
				return fmt.Errorf("%s(%x): plain: %v, metered: %v", name, args, errA, errB)
			}
			if errA != nil {
				p.countEnd(firstLine(errA))
				continue
			}
			p.countEnd("result")
			if !equalResults(exported[name].ResultTypes(), gotA, gotB) {
				return fmt.Errorf("%s(%x): plain: %x, metered: %x", name, args, gotA, gotB)
			}
		}
	}
	for name := range code.ExportedMemories() {
		memoryA, _ := a.ExportedMemory(name).Read(0, a.ExportedMemory(name).Size())
		memoryB, _ := b.ExportedMemory(name).Read(0, b.ExportedMemory(name).Size())
		if !bytes.Equal(memoryA, memoryB) {
			return fmt.Errorf("memory %s of %d and %d bytes differs", name, len(memoryA), len(memoryB))
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
