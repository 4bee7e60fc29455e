// Package code compiles modules with wazero, and caches the results of loading them.
//
//   - code.go: [Compiler] and [Code]; prepare.go: the one place where a module's bytes change before they are compiled;
//     race.go, norace.go: how much longer that takes with the race detector.
//   - cache.go: files about modules on the disk, and folders for their compiled code. owner_unix.go, owner_other.go:
//     whether only the user can write to a folder.
//   - memory_mapped.go, memory_heap.go, memory_other.go: the memories of instances.
//   - file.go: reading files of modules.
package code

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/culvert-project/culvert/internal/plugin/binary"
)

// Code is a compiled module. Each has a runtime of its own, because wazero limits memory per runtime.
type Code struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	// cache is closed with the code. Nil means that the compiler's own cache is used.
	cache wazero.CompilationCache
}

// Instantiate creates an instance.
func (c *Code) Instantiate(ctx context.Context, config wazero.ModuleConfig) (api.Module, error) {
	allocator := experimental.MemoryAllocatorFunc(allocateMemory)
	return c.runtime.InstantiateModule(experimental.WithMemoryAllocator(ctx, allocator), c.compiled, config)
}

// Compiler compiles modules, and keeps their code in a folder if it has one. It is safe for concurrent use.
type Compiler struct {
	// Time is how long compiling a module may take. Default [CompileTime].
	Time    time.Duration
	provide func(context.Context, wazero.Runtime, *binary.Module) error
	logger  *slog.Logger
	// memory holds the code of modules for which there is no folder.
	memory wazero.CompilationCache
	cache  *Cache
}

// NewCompiler creates a compiler that keeps code in the folder dir; "" keeps it in memory only. A folder to which other
// users can write is not used, since it holds code that is run. provide adds the module's imports to a runtime.
func NewCompiler(dir string, provide func(context.Context, wazero.Runtime, *binary.Module) error,
	logger *slog.Logger) *Compiler {
	l := &Compiler{provide: provide, logger: logger, memory: wazero.NewCompilationCache()}
	if dir == "" {
		return l
	}
	if err := private(dir, os.Geteuid()); err != nil {
		logger.Warn("plugins are compiled again: the cache is not used", "folder", dir, "error", err)
		return l
	}
	l.cache = &Cache{dir, logger}
	return l
}

// Cache returns the cache in the compiler's folder, nil without a usable folder.
func (l *Compiler) Cache() *Cache { return l.cache }

// Module is a module to compile.
type Module struct {
	// Hash is the SHA-256 of the file, in hex.
	Hash   string
	Binary *binary.Module
	// Interfaces are the contract's interfaces that the module exports.
	Interfaces []string
	// Pages bounds the memory of an instance, in pages of 64 KiB.
	Pages uint32
	// Original returns the file's bytes.
	Original func() ([]byte, error)
}

// Compile returns the code of a module, from the folder if it is there. The errors of modules that cannot be used are
// [*Unfit] (also for signatures that differ from the contract's) and [*Slow].
func (l *Compiler) Compile(ctx context.Context, m *Module) (c *Code, err error) {
	p, err := l.cache.prepared(ctx, m)
	if err != nil {
		return nil, err
	}
	var unkept error
	if l.cache != nil {
		c, unkept = l.compileCached(ctx, m, p)
	}
	if c == nil {
		if _, slow := errors.AsType[*Slow](unkept); slow || ctx.Err() != nil {
			return nil, unkept
		}
		if c, err = l.compile(ctx, m, p, l.memory); err != nil {
			return nil, err
		}
	}
	if unkept != nil {
		l.logger.Warn("the compiled code of a plugin cannot be kept", "folder", l.cache.dir, "error", unkept)
	}
	if wrong := binary.JudgeSignatures(c.compiled, m.Binary.Contract, m.Interfaces); wrong != nil {
		c.Close()
		return nil, &Unfit{wrong}
	}
	return c, nil
}

// compileCached compiles a module with its folder. wazero fails if a file there is damaged or cannot be written; if the
// folder was not empty, kept removes it and tries once more.
func (l *Compiler) compileCached(ctx context.Context, m *Module, p *Prepared) (*Code, error) {
	dir, held := l.cache.codeFolder(m.Hash)
	c, err := l.compileIn(ctx, m, p, dir)
	if err != nil && held && ctx.Err() == nil {
		l.logger.Warn("the compiled code of a plugin is damaged: it is compiled again", "folder", dir, "error", err)
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
		c, err = l.compileIn(ctx, m, p, dir)
	}
	if err == nil {
		l.cache.touch(m.Hash)
	}
	return c, err
}

func (l *Compiler) compileIn(ctx context.Context, m *Module, p *Prepared, dir string) (*Code, error) {
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, err
	}
	c, err := l.compile(ctx, m, p, cache)
	if err != nil {
		return nil, errors.Join(err, cache.Close(ctx))
	}
	c.cache = cache
	return c, nil
}

func (l *Compiler) compile(ctx context.Context, m *Module, p *Prepared, cache wazero.CompilationCache) (*Code, error) {
	config := wazero.NewRuntimeConfig().WithCompilationCache(cache).WithMemoryLimitPages(m.Pages)
	c := &Code{runtime: wazero.NewRuntimeWithConfig(ctx, config)}
	err := l.provide(ctx, c.runtime, m.Binary)
	if err == nil {
		err = l.compileInto(ctx, c, p, m.Binary.Functions)
	}
	if err != nil {
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
	if c.cache != nil {
		_ = c.cache.Close(ctx)
	}
}
