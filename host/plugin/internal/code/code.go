// Package code makes compiled code of the bytes of a module, and keeps it.
//
//   - code.go: [Compiler] and [Code]; prepare.go: the one place where a module's bytes change before they are compiled;
//     race.go, norace.go: how much longer that takes with the race detector.
//   - cache.go, owner_unix.go, owner_other.go: what is kept on the disk about modules, and whether a folder is the
//     user's own; codecache.go: their code; native.go: code that comes with the program.
//   - memory_mapped.go, memory_heap.go, memory_other.go: where the memories of instances are.
//   - file.go: reading files of modules.
package code

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	goruntime "runtime"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/culvert-project/culvert/host/plugin/binary"
)

// Code is a compiled module. Each has a runtime of its own, because a limit of memory is a runtime's in wazero; those
// of the same bytes share what the cache has of them.
type Code struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
}

// Instantiate makes an instance.
func (c *Code) Instantiate(ctx context.Context, config wazero.ModuleConfig) (api.Module, error) {
	allocator := experimental.MemoryAllocatorFunc(allocateMemory)
	return c.runtime.InstantiateModule(experimental.WithMemoryAllocator(ctx, allocator), c.compiled, config)
}

// Compiler compiles modules, and keeps what came of it on the disk where it has a folder. It is safe for use by several
// goroutines.
type Compiler struct {
	// Time is how long compiling a module may take. Default [CompileTime].
	Time    time.Duration
	provide func(context.Context, wazero.Runtime, *binary.Module) error
	logger  *slog.Logger
	// memory is the engine's cache in memory, where there is no folder.
	memory wazero.CompilationCache
	// codes keeps native code; nil: nothing is kept.
	codes *codeCache
	// turns holds a token for each module that is being compiled; nil: as many as there are.
	turns chan struct{}
}

// NewCompiler opens what is kept in a folder, "" for memory only. One in which others can write is not used, since it
// holds what is run, and neither is one in which nothing can be written. provide makes available in a runtime what a
// module imports.
func NewCompiler(dir string, provide func(context.Context, wazero.Runtime, *binary.Module) error,
	logger *slog.Logger) *Compiler {
	l := &Compiler{provide: provide, logger: logger, memory: wazero.NewCompilationCache()}
	if dir == "" {
		return l
	}
	err := private(dir, os.Geteuid())
	if err == nil {
		l.codes, err = openCodeCache(&Cache{dir, logger})
	}
	if err != nil {
		logger.Warn("plugins are compiled again: the cache is not used", "folder", dir, "error", err)
	}
	return l
}

// Cache is what keeps other things about modules next to their code, nil where nothing is kept.
func (l *Compiler) Cache() *Cache {
	if l.codes == nil {
		return nil
	}
	return l.codes.facts
}

// Module is what compiling depends on, in addition to the bytes.
type Module struct {
	// Hash is that of the file.
	Hash   string
	Binary *binary.Module
	// Interfaces of the contract that it exports.
	Interfaces []string
	// Pages is the most memory of an instance, in pages of 64 KiB.
	Pages uint32
}

// Compile compiles a module; from the cache where the same bytes were compiled before, else what prepare returns. Its
// signatures are those of the contract.
func (l *Compiler) Compile(ctx context.Context, m *Module, prepare func() (*Prepared, error)) (*Code, error) {
	c, err := l.known(ctx, m)
	if c == nil && err == nil {
		c, err = l.fresh(ctx, m, prepare)
	}
	if err != nil {
		return nil, err
	}
	if wrong := binary.JudgeSignatures(c.compiled, m.Binary.Contract, m.Interfaces); wrong != nil {
		c.Close()
		return nil, &Unfit{wrong}
	}
	return c, nil
}

// known makes code of what is kept of a module's, nil where nothing is.
func (l *Compiler) known(ctx context.Context, m *Module) (c *Code, err error) {
	if l.codes == nil {
		return nil, nil
	}
	if c, err = l.newCode(ctx, m, l.codes.cache); err != nil {
		return nil, err
	}
	if c.compiled = l.codes.compiled(ctx, m.Hash, c.runtime); c.compiled == nil {
		c.Close()
		return nil, context.Cause(ctx)
	}
	return c, nil
}

// fresh compiles a module, and keeps what comes of it where there is a folder for that.
func (l *Compiler) fresh(ctx context.Context, m *Module, prepare func() (*Prepared, error)) (c *Code, err error) {
	p, err := prepare()
	if err != nil {
		return nil, err
	}
	cache, dir := l.memory, ""
	if l.codes != nil {
		if dir, err = os.MkdirTemp(l.codes.facts.dir, "culvert-*.new"); err == nil {
			defer os.RemoveAll(dir)
			cache, _, err = engineCache(dir)
		}
		if err != nil {
			l.logger.Warn("the plugin cache cannot be written", "folder", l.codes.facts.dir, "error", err)
			cache, dir = wazero.NewCompilationCache(), ""
		}
	}
	if c, err = l.newCode(ctx, m, cache); err != nil {
		return nil, err
	}
	if err := l.compileInto(ctx, c, p, m.Binary.Functions); err != nil {
		c.Close()
		return nil, err
	}
	if dir != "" {
		l.codes.keep(ctx, m.Hash, dir, p.Wasm, m.Pages)
	}
	return c, nil
}

// newCode has a runtime over a cache of the engine, with all that the host provides for a module.
func (l *Compiler) newCode(ctx context.Context, m *Module, cache wazero.CompilationCache) (*Code, error) {
	c := &Code{runtime: wazero.NewRuntimeWithConfig(ctx, runtimeConfig(cache, m.Pages))}
	if err := l.provide(ctx, c.runtime, m.Binary); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// CompileTime is the most that a module may take to be compiled: guests of the size of a language's whole runtime take
// 2 to 5 s on an idle core. Those that are not large are bounded by their size and effort, large ones are stopped
// between two functions.
const (
	CompileTime    = 2 * time.Minute
	largeBytes     = 16 << 20
	largeFunctions = 20_000
	// largeEffort is what one function may have, within which nothing is stopped anyway; guests of Go have 1.5 million
	// in all.
	largeEffort = 4_000_000
)

// LimitTurns leaves half of the processors to the connectors that run, from now on. Nothing is being compiled.
func (l *Compiler) LimitTurns() { l.turns = make(chan struct{}, max(1, goruntime.GOMAXPROCS(0)/2)) }

// Turn waits for a place among those that are compiled because they were found. At the start there is one for each
// processor, later they leave half of them to the connectors that run; what a connector needs has no turn to wait for.
func (l *Compiler) Turn(ctx context.Context) error {
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

// Done ends a turn.
func (l *Compiler) Done() {
	if l.turns != nil {
		<-l.turns
	}
}

// compileInto compiles a module. It returns when ctx ends, or the time is up, though the engine may go on for as long
// as one function takes it: nothing stops it there but the end of the process, and [meter.Limits.Effort] bounds it.
func (l *Compiler) compileInto(ctx context.Context, c *Code, p *Prepared, functions uint64) (err error) {
	allowed := cmp.Or(l.Time, CompileTime*slower)
	within, cancel := context.WithTimeout(ctx, allowed)
	if len(p.Wasm) > largeBytes || functions > largeFunctions || p.effort > largeEffort {
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
		o.compiled, o.err = c.runtime.CompileModule(within, p.Wasm)
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
		return &Slow{allowed}
	}
	return &Unfit{fmt.Errorf("the module does not compile: %w", o.err)}
}

// Slow is the error of a module that took too long: on another day it may not.
type Slow struct{ allowed time.Duration }

func (s *Slow) Error() string {
	return fmt.Sprintf("the module takes longer than the %v that are allowed to compile", s.allowed)
}

// Close frees the runtime and the compiled code.
func (c *Code) Close() {
	ctx := context.Background()
	if c.compiled != nil {
		_ = c.compiled.Close(ctx)
	}
	_ = c.runtime.Close(ctx)
}
