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
	provideImports func(context.Context, wazero.Runtime, *binary.Module) error
	logger  *slog.Logger
	// memory holds the code of modules for which there is no folder.
	memory wazero.CompilationCache
	cache  *Cache
}

// NewCompiler creates a compiler that keeps code in the folder dir; "" keeps it in memory only. A folder to which other
// users can write is not used, since it holds code that is run. provide adds the module's imports to a runtime.
func NewCompiler(dir string, provide func(context.Context, wazero.Runtime, *binary.Module) error,
	logger *slog.Logger) *Compiler {
	compiler := &Compiler{provideImports: provide, logger: logger, memory: wazero.NewCompilationCache()}
	if dir == "" {
		return compiler
	}
	if err := preparePrivateFolder(dir, os.Geteuid()); err != nil {
		logger.Warn("plugins are compiled again: the cache is not used", "folder", dir, "error", err)
		return compiler
	}
	compiler.cache = &Cache{dir, logger}
	return compiler
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
func (l *Compiler) Compile(ctx context.Context, module *Module) (code *Code, err error) {
	prepared, err := l.cache.prepared(ctx, module)
	if err != nil {
		return nil, err
	}
	var cacheErr error
	if l.cache != nil {
		code, cacheErr = l.compileCached(ctx, module, prepared)
	}
	if code == nil {
		if _, slow := errors.AsType[*TooSlowError](cacheErr); slow || ctx.Err() != nil {
			return nil, cacheErr
		}
		if code, err = l.compile(ctx, module, prepared, l.memory); err != nil {
			return nil, err
		}
	}
	if cacheErr != nil {
		l.logger.Warn("the compiled code of a plugin cannot be kept", "folder", l.cache.dir, "error", cacheErr)
	}
	if wrong := binary.CheckSignatures(code.compiled, module.Binary.Contract, module.Interfaces); wrong != nil {
		code.Close()
		return nil, &UnusableError{wrong}
	}
	return code, nil
}

// compileCached compiles a module with its folder. wazero fails if a file there is damaged or cannot be written; if the
// folder was not empty, kept removes it and tries once more.
func (l *Compiler) compileCached(ctx context.Context, module *Module, prepared *Prepared) (*Code, error) {
	dir, hasFiles := l.cache.codeFolder(module.Hash)
	code, err := l.compileIn(ctx, module, prepared, dir)
	if err != nil && hasFiles && ctx.Err() == nil {
		l.logger.Warn("the compiled code of a plugin is damaged: it is compiled again", "folder", dir, "error", err)
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
		code, err = l.compileIn(ctx, module, prepared, dir)
	}
	if err == nil {
		l.cache.touch(module.Hash)
	}
	return code, err
}

func (l *Compiler) compileIn(ctx context.Context, module *Module, prepared *Prepared, dir string) (*Code, error) {
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, err
	}
	code, err := l.compile(ctx, module, prepared, cache)
	if err != nil {
		return nil, errors.Join(err, cache.Close(ctx))
	}
	code.cache = cache
	return code, nil
}

func (l *Compiler) compile(ctx context.Context, module *Module, prepared *Prepared, cache wazero.CompilationCache) (*Code, error) {
	config := wazero.NewRuntimeConfig().WithCompilationCache(cache).WithMemoryLimitPages(module.Pages)
	code := &Code{runtime: wazero.NewRuntimeWithConfig(ctx, config)}
	err := l.provideImports(ctx, code.runtime, module.Binary)
	if err == nil {
		err = l.compileInto(ctx, code, prepared, module.Binary.Functions)
	}
	if err != nil {
		code.Close()
		return nil, err
	}
	return code, nil
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
func (l *Compiler) compileInto(ctx context.Context, code *Code, prepared *Prepared, functions uint64) (err error) {
	allowed := cmp.Or(l.Time, CompileTime*compileTimeFactor)
	compileCtx, cancel := context.WithTimeout(ctx, allowed)
	if len(prepared.Wasm) > largeBytes || functions > largeFunctions || prepared.effort > largeEffort {
		// The engine looks at the context between functions only where several goroutines compile.
		compileCtx = experimental.WithCompilationWorkers(compileCtx, 2)
	}
	type result struct {
		compiled wazero.CompiledModule
		err      error
	}
	done := make(chan result, 1)
	go func() {
		var outcome result
		defer cancel()
		defer func() { done <- outcome }()
		// An engine that loses its way over one module must not take the others along.
		defer func() {
			if r := recover(); r != nil {
				outcome = result{nil, fmt.Errorf("the engine failed: %v", r)}
			}
		}()
		outcome.compiled, outcome.err = code.runtime.CompileModule(compileCtx, prepared.Wasm)
	}()
	var outcome result
	select {
	case outcome = <-done:
	case <-compileCtx.Done():
		select {
		case outcome = <-done:
		default:
			outcome.err = compileCtx.Err()
		}
	}
	switch {
	case outcome.err == nil:
		code.compiled = outcome.compiled
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(compileCtx.Err(), context.DeadlineExceeded):
		return &TooSlowError{allowed}
	}
	return &UnusableError{fmt.Errorf("the module does not compile: %w", outcome.err)}
}

// Slow is the error of a module that took too long: on another day it may not.
type TooSlowError struct{ limit time.Duration }

func (s *TooSlowError) Error() string {
	return fmt.Sprintf("the module takes longer than the %v that are allowed to compile", s.limit)
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
