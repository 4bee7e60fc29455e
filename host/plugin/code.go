package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/culvert-project/culvert/host/plugin/binary"
)

// code is a compiled module. Each has a runtime of its own, because a limit of memory is a runtime's in wazero; those
// of the same bytes share what the cache has of them.
type code struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	// image is what the memories of its instances begin with.
	image image
}

// fits reports whether the memory that a module begins with is within its limit.
func (m *module) fits() error {
	if m.binary.MemoryPages > uint64(m.limits.pages()) {
		return fmt.Errorf("the module asks for at least %d bytes of memory, %d are allowed (%s)",
			m.binary.MemoryPages*binary.PageBytes,
			m.limits.MemoryBytes, limitSetting(m.info.Name, "memory.bytes"))
	}
	return nil
}

// compile compiles a module under its limits; from the cache where the same bytes were compiled before, else what
// prepare returns.
func (l *loader) compile(ctx context.Context, m *module, prepare func() (*prepared, error)) (*code, error) {
	if err := m.fits(); err != nil {
		return nil, err
	}
	c, err := l.known(ctx, m)
	if c == nil && err == nil {
		c, err = l.fresh(ctx, m, prepare)
	}
	if err != nil {
		return nil, err
	}
	if wrong := binary.JudgeSignatures(c.compiled, m.binary.Contract, m.info.Interfaces); wrong != nil {
		c.close()
		return nil, &unfit{wrong}
	}
	return c, nil
}

// known makes code of what is kept of a module's, nil where nothing is.
func (l *loader) known(ctx context.Context, m *module) (c *code, err error) {
	if l.codes == nil {
		return nil, nil
	}
	if c, err = newCode(ctx, m, l.codes.cache); err != nil {
		return nil, err
	}
	if c.compiled = l.codes.compiled(ctx, m.info.Hash, c.runtime); c.compiled == nil {
		c.close()
		return nil, context.Cause(ctx)
	}
	return c, nil
}

// fresh compiles a module, and keeps what comes of it where there is a folder for that.
func (l *loader) fresh(ctx context.Context, m *module, prepare func() (*prepared, error)) (c *code, err error) {
	p, err := prepare()
	if err != nil {
		return nil, err
	}
	cache, dir := l.cache, ""
	if l.codes != nil {
		if dir, err = os.MkdirTemp(l.codes.descriptions.dir, "culvert-*.new"); err == nil {
			defer os.RemoveAll(dir)
			cache, _, err = engineCache(dir)
		}
		if err != nil {
			l.logger.Warn("the plugin cache cannot be written", "folder", l.codes.descriptions.dir, "error", err)
			cache, dir = wazero.NewCompilationCache(), ""
		}
	}
	if c, err = newCode(ctx, m, cache); err != nil {
		return nil, err
	}
	if err := l.compileInto(ctx, c, p, m.binary.Functions); err != nil {
		c.close()
		return nil, err
	}
	if dir != "" {
		l.codes.keep(ctx, m.info.Hash, dir, p.wasm, m.limits.pages())
	}
	return c, nil
}

// newCode has a runtime over a cache of the engine, with all that the host provides for a module.
func newCode(ctx context.Context, m *module, cache wazero.CompilationCache) (*code, error) {
	c := &code{runtime: wazero.NewRuntimeWithConfig(ctx, runtimeConfig(cache, m.limits.pages()))}
	if err := provide(ctx, c.runtime, m.binary); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func runtimeConfig(cache wazero.CompilationCache, pages uint32) wazero.RuntimeConfig {
	return wazero.NewRuntimeConfig().WithCompilationCache(cache).WithMemoryLimitPages(pages).WithDebugInfoEnabled(true)
}

// compileTime is the most that a module may take to be compiled: guests of the size of a language's whole runtime take
// 2 to 5 s on an idle core. Those that are not large are bounded by their size and effort, large ones are stopped
// between two functions.
const (
	compileTime    = 2 * time.Minute
	largeBytes     = 16 << 20
	largeFunctions = 20_000
	// largeEffort is what one function may have, within which nothing is stopped anyway; guests of Go have 1.5 million
	// in all.
	largeEffort = 4_000_000
)

// turn waits for a place among those that are compiled because they were found. At the start there is one for each
// processor, later they leave half of them to the connectors that run; what a connector needs has no turn to wait for.
func (l *loader) turn(ctx context.Context) error {
	if l.turns == nil {
		return nil
	}
	select {
	case l.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *loader) done() {
	if l.turns != nil {
		<-l.turns
	}
}

// compileInto compiles a module. It returns when ctx ends, or the time is up, though the engine may go on for as long
// as one function takes it: nothing stops it there but the end of the process, and [meter.Limits.Effort] bounds it.
func (l *loader) compileInto(ctx context.Context, c *code, p *prepared, functions uint64) (err error) {
	allowed := cmp.Or(l.compileTime, compileTime*slower)
	within, cancel := context.WithTimeout(ctx, allowed)
	if len(p.wasm) > largeBytes || functions > largeFunctions || p.effort > largeEffort {
		// The engine looks at the context between functions only where several goroutines compile.
		within = experimental.WithCompilationWorkers(within, 2)
	}
	type result struct {
		compiled wazero.CompiledModule
		err      error
	}
	done := make(chan result, 1)
	go func() {
		var o result
		defer cancel()
		defer func() { done <- o }()
		// An engine that loses its way over one module must not take the others along.
		defer func() {
			if r := recover(); r != nil {
				o = result{nil, fmt.Errorf("the engine failed: %v", r)}
			}
		}()
		o.compiled, o.err = c.runtime.CompileModule(within, p.wasm)
	}()
	var o result
	select {
	case o = <-done:
	case <-within.Done():
		select {
		case o = <-done:
		default:
			o.err = within.Err()
		}
	}
	switch {
	case o.err == nil:
		c.compiled = o.compiled
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(within.Err(), context.DeadlineExceeded):
		return &slow{allowed}
	}
	return &unfit{fmt.Errorf("the module does not compile: %w", o.err)}
}

// slow is the error of a module that took too long: on another day it may not.
type slow struct{ allowed time.Duration }

func (s *slow) Error() string {
	return fmt.Sprintf("the module takes longer than the %v that are allowed to compile", s.allowed)
}

// close frees the runtime and the compiled code.
func (c *code) close() {
	ctx := context.Background()
	c.image.close()
	if c.compiled != nil {
		_ = c.compiled.Close(ctx)
	}
	_ = c.runtime.Close(ctx)
}
