// Package code compiles modules with wazero, and caches the results of loading them.
package code

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/culvert-project/culvert/internal/plugin/binary"
)

// Code is a compiled module. Each has its own runtime, because wazero limits memory per runtime.
type Code struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	cache    wazero.CompilationCache // closed with the code; nil if the code is in the compiler's own cache
	returner *memoryReturner
}

// Instantiate creates an instance.
func (c *Code) Instantiate(ctx context.Context, config wazero.ModuleConfig) (api.Module, error) {
	allocator := experimental.MemoryAllocatorFunc(allocateMemory)
	return c.runtime.InstantiateModule(experimental.WithMemoryAllocator(ctx, allocator), c.compiled, config)
}

// Compiler compiles modules, and stores their code in a folder if it has one. It is safe for concurrent use.
type Compiler struct {
	// Time limits compiling. A module is too slow if both the clock and the processor time of this process have
	// advanced by it, since other processes may keep the processors busy. Default [CompileTime].
	Time           time.Duration
	processorTime  func() time.Duration // nil means the function processorTime; tests replace it
	provideImports func(context.Context, wazero.Runtime, *binary.Module) error
	logger         *slog.Logger
	memory         wazero.CompilationCache // holds the code of modules for which there is no folder
	cache          *Cache
	returner       memoryReturner
}

// NewCompiler creates a compiler with the cache folder dir; "" caches in memory only. provide adds the module's
// imports.
func NewCompiler(dir string, provide func(context.Context, wazero.Runtime, *binary.Module) error,
	logger *slog.Logger) *Compiler {
	compiler := &Compiler{provideImports: provide, logger: logger, memory: wazero.NewCompilationCache()}
	if dir == "" {
		return compiler
	}
	if err := preparePrivateFolder(dir, os.Geteuid()); err != nil {
		logger.Warn("the plugin cache is not used: plugins are compiled again at each start", "folder", dir,
			"error", err)
		return compiler
	}
	compiler.cache = &Cache{dir: dir, logger: logger}
	return compiler
}

// Cache returns the cache, nil without a usable folder.
func (c *Compiler) Cache() *Cache { return c.cache }

// Module is a module to compile.
type Module struct {
	Hash       string // the SHA-256 of the file, in hex
	Binary     *binary.Module
	Interfaces []string // the contract's interfaces that the module exports
	Pages      uint32   // bounds the memory of an instance, in pages of 64 KiB
	Original   func() ([]byte, error)
	// NoTimeLimit is set for modules of this program: without them a worker on a busy machine would have no plugin.
	NoTimeLimit bool
}

// Compile returns a module's code, from the folder if it has it. The error of a module that cannot be used is an
// [*UnusableError], also for signatures that differ from the contract's, or a [*TooSlowError].
func (c *Compiler) Compile(ctx context.Context, module *Module) (code *Code, err error) {
	prepared, err := c.cache.prepare(ctx, module)
	if err != nil {
		return nil, err
	}
	var cacheErr error
	if c.cache != nil {
		code, cacheErr = c.compileCached(ctx, module, prepared)
	}
	if code == nil {
		if _, isTooSlow := errors.AsType[*TooSlowError](cacheErr); isTooSlow || ctx.Err() != nil {
			return nil, cacheErr
		}
		defer c.returner.schedule()
		if code, err = c.compile(ctx, module, prepared, c.memory); err != nil {
			return nil, err
		}
	}
	if cacheErr != nil {
		c.logger.Warn("the compiled code of a plugin cannot be stored", "folder", c.cache.dir, "error", cacheErr)
	}
	if err := binary.CheckSignatures(code.compiled, module.Binary.Contract, module.Interfaces); err != nil {
		code.Close()
		return nil, &UnusableError{Reason: err}
	}
	return code, nil
}

// compileCached compiles with the module's folder, and again without its files if one is damaged.
func (c *Compiler) compileCached(ctx context.Context, module *Module, prepared *Prepared) (*Code, error) {
	dir, hasFiles := c.cache.codeFolder(module.Hash)
	if !hasFiles {
		defer c.returner.schedule()
	}
	code, err := c.compileIn(ctx, module, prepared, dir)
	if err != nil && hasFiles && ctx.Err() == nil {
		c.logger.Warn("the compiled code of a plugin is damaged; the plugin is compiled again", "folder", dir,
			"error", err)
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
		code, err = c.compileIn(ctx, module, prepared, dir)
	}
	if err == nil {
		c.cache.touch(module.Hash)
	}
	return code, err
}

func (c *Compiler) compileIn(ctx context.Context, module *Module, prepared *Prepared, dir string) (*Code, error) {
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, err
	}
	code, err := c.compile(ctx, module, prepared, cache)
	if err != nil {
		return nil, errors.Join(err, cache.Close(ctx))
	}
	code.cache = cache
	return code, nil
}

func (c *Compiler) compile(ctx context.Context, module *Module, prepared *Prepared,
	cache wazero.CompilationCache) (*Code, error) {
	config := wazero.NewRuntimeConfig().WithCompilationCache(cache).WithMemoryLimitPages(module.Pages)
	code := &Code{runtime: wazero.NewRuntimeWithConfig(ctx, config), returner: &c.returner}
	err := c.provideImports(ctx, code.runtime, module.Binary)
	if err == nil {
		err = c.compileInto(ctx, code, prepared, module)
	}
	if err != nil {
		code.Close()
		return nil, err
	}
	return code, nil
}

// CompileTime bounds compiling, see [Compiler] and [Module.NoTimeLimit]. The largest guests take 2 to 5 s. Effort
// bounds the functions of small modules; compiling of large modules is stopped between two functions.
const (
	CompileTime    = 2 * time.Minute
	largeBytes     = 16 << 20
	largeFunctions = 20_000
	// largeEffort is the maximum of one function, which cannot be stopped; Go guests have 1.5 million in total.
	largeEffort = 4_000_000
)

// compileInto compiles a module. When ctx ends or the time is up, it returns, though the engine may continue until the
// end of a function: only [meter.Limits.Effort] bounds that.
func (c *Compiler) compileInto(ctx context.Context, code *Code, prepared *Prepared, module *Module) (err error) {
	allowed := cmp.Or(c.Time, CompileTime*compileTimeFactor)
	if module.NoTimeLimit {
		allowed = math.MaxInt64
	}
	compileCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	if len(prepared.Wasm) > largeBytes || module.Binary.Functions > largeFunctions || prepared.effort > largeEffort {
		// The engine checks the context between functions only with several workers.
		compileCtx = experimental.WithCompilationWorkers(compileCtx, 2)
	}
	done := make(chan engineResult, 1)
	engine := code.runtime // code may be closed while the engine continues
	go func() {
		var result engineResult
		defer func() { done <- result }()
		defer func() {
			if r := recover(); r != nil { // of the engine
				result = engineResult{err: fmt.Errorf("the engine failed: %v", r)}
			}
		}()
		result.compiled, result.err = engine.CompileModule(compileCtx, prepared.Wasm)
	}()
	code.compiled, err = c.await(ctx, done, allowed)
	return err
}

type engineResult struct {
	compiled wazero.CompiledModule
	err      error
}

// await returns the engine's result. It returns an error when ctx has ended, or when both the clock and the processor
// time of this process have advanced by allowed.
func (c *Compiler) await(ctx context.Context, done <-chan engineResult,
	allowed time.Duration) (wazero.CompiledModule, error) {
	used := c.processorTime
	if used == nil {
		used = processorTime
	}
	start := used()
	// A result that is available counts, even after the time.
	for remaining := allowed; remaining > 0 || len(done) > 0; remaining = allowed - (used() - start) {
		select {
		case result := <-done:
			if result.err != nil && ctx.Err() == nil {
				return nil, &UnusableError{fmt.Errorf("the module does not compile: %w", result.err)}
			}
			return result.compiled, context.Cause(ctx)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(max(remaining, time.Millisecond)):
		}
	}
	return nil, &TooSlowError{allowed}
}

// TooSlowError is the error of a module that took too long to compile, maybe because the process also did other work.
type TooSlowError struct{ limit time.Duration }

func (s *TooSlowError) Error() string {
	return fmt.Sprintf("the module takes longer to compile than the allowed %v", s.limit)
}

// Close frees the runtime and the code. The code cannot be used after that.
func (c *Code) Close() {
	ctx := context.Background()
	if c.compiled != nil {
		_ = c.compiled.Close(ctx)
	}
	_ = c.runtime.Close(ctx)
	if c.cache != nil {
		_ = c.cache.Close(ctx)
	}
	c.returner.schedule()
	*c = Code{} // the engine unmaps the code when nothing refers to it
}
