package plugin

import (
	"context"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero"
)

// code is a compiled module. Each has a runtime of its own, because a limit of memory is a runtime's in wazero; they share what
// was compiled by the loader's cache.
type code struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
}

// fits tells whether the memory that a module begins with is within its limit.
func (m *module) fits() error {
	if m.binary.MemoryPages > uint64(m.limits.pages()) {
		return fmt.Errorf("the module asks for at least %d bytes of memory, %d are allowed (%s)", m.binary.MemoryPages*pageBytes,
			m.limits.MemoryBytes, limitSetting(cmpOr(m.info.Name, "NAME"), "memory.bytes"))
	}
	return nil
}

// compile compiles a module under its limits; from the cache where the same bytes were compiled before.
func (l *loader) compile(ctx context.Context, m *module, prepared []byte) (*code, error) {
	if err := m.fits(); err != nil {
		return nil, err
	}
	config := wazero.NewRuntimeConfig().WithCompilationCache(l.cache).WithMemoryLimitPages(m.limits.pages()).WithDebugInfoEnabled(true)
	c := &code{runtime: wazero.NewRuntimeWithConfig(ctx, config)}
	err := provide(ctx, c.runtime, m.binary)
	if err == nil {
		err = l.compileInto(ctx, c, prepared)
	}
	if err == nil {
		err = judgeSignatures(c.compiled, m.binary.Contract, m.info.Interfaces)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (l *loader) compileInto(ctx context.Context, c *code, prepared []byte) (err error) {
	c.compiled, err = c.runtime.CompileModule(ctx, prepared)
	if err != nil && strings.HasPrefix(err.Error(), "compilationcache:") && l.dir != "" {
		// A damaged file must cost time, not the plugin.
		l.logger.Warn("compile cache is damaged: it is made anew", "error", err, "folder", l.dir)
		l.purge()
		c.compiled, err = c.runtime.CompileModule(ctx, prepared)
	}
	if err != nil {
		c.compiled = nil
		return fmt.Errorf("the module does not compile: %w", err)
	}
	return nil
}

// close frees the runtime and the compiled code.
func (c *code) close() {
	ctx := context.Background()
	if c.compiled != nil {
		_ = c.compiled.Close(ctx)
	}
	_ = c.runtime.Close(ctx)
}
