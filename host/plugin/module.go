package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/plugin/binary"
	"github.com/culvert-project/culvert/host/plugin/internal/code"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// Info is what is known of a module, or of a file that was refused.
type Info struct {
	// Name, Version and Documentation are the plugin's own words, "" for a refused file.
	Name, Version, Documentation string
	// Hash is the SHA-256 of the file, in hex; Size its size in bytes.
	Hash string
	Size int
	// Path is the file's path, or `embedded:` and its path there.
	Path string
	// Contract is the version of the contract that the module's exports name.
	Contract   string
	Components []wit.Component
	// Interfaces of the contract that the module exports.
	Interfaces []string
	Loaded     time.Time
	// BuiltIn: it comes with the program; others are from folders.
	BuiltIn bool
	// Waits is what [Manager.Modules] says of a version that connectors do not run yet, and why; "" for nothing.
	Waits string
	// Active: new connectors can get it. A module that a newer file replaced, or whose file is gone, lives on while it
	// is used.
	Active bool
	// Chosen: an operator has named it, so that it goes before newer ones, see [Manager.Swap]. Kept: it is what was
	// there before the present version of its file, which [Manager.Rollback] comes back to.
	Chosen, Kept bool
	// Err says why a file was refused, nil for a module that runs. What an origin held before stays active next to it.
	Err     error
	Metrics Metrics
}

// State is active (new connectors get it), retired (only old ones run it), kept (a rollback comes back to it) or
// refused.
func (info *Info) State() string {
	switch {
	case info.Err != nil:
		return "refused"
	case info.Active:
		return "active"
	case info.Kept:
		return "kept"
	}
	return "retired"
}

// Has reports whether the module exports an interface of the contract, such as [wit.InterfaceTools].
func (info *Info) Has(iface string) bool { return slices.Contains(info.Interfaces, iface) }

// host is what the modules of a manager share.
type host struct {
	compiler *code.Compiler
	// kept keeps what loading finds out; nil: nothing is kept.
	cache    *code.Cache
	registry *record.Registry
	logger   *slog.Logger
	// processors are what running calls share, of all connectors. idle is how long an instance is kept that nobody
	// uses.
	processors *processors
	idle       time.Duration
	// doze is how long code is kept that has no instances. Default [codeIdleTime].
	codeIdle time.Duration
	// memory bounds the memory of all guests together.
	memory *memoryLimiter
}

// module is one version of a plugin. What it says of itself is kept; its code only while pools use it, and some time
// after.
type module struct {
	info     Info
	limits   Limits
	binary   *binary.Module
	host     *host
	counters counters
	// order is the sequence of loading: of equal versions the later one is newer.
	order int
	// original returns the file's bytes as they were loaded.
	original func() ([]byte, error)

	mu guard.Mutex
	// users are the pools, offered whether an origin has the module.
	users   int
	offered bool
	code    *code.Code
	// instances are the instances that there are, or are made: the code stays as long as there are any. dozing lets it
	// rest some time after the last one.
	instances int
	freeTimer *time.Timer
	// compiling is the compilation that is under way, for which all calls wait; nil: none is.
	compiling *compilation
	// breakers are those of connectors, by name.
	breakers map[string]*breaker
}

// breaker is a connector's, which lives as long as the module.
func (m *module) breaker(connector string) *breaker {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.breakers[connector]
	if b == nil {
		if m.breakers == nil {
			m.breakers = map[string]*breaker{}
		}
		b = &breaker{}
		m.breakers[connector] = b
	}
	return b
}

// snapshot is the module's Info with its counters.
func (m *module) snapshot() Info {
	info := m.info
	info.Metrics = m.counters.snapshot()
	return info
}

// component returns the component of that kind and class name or alias, nil if the module has none.
func (m *module) component(kind wit.ComponentKind, class string) *wit.Component {
	for i := range m.info.Components {
		c := &m.info.Components[i]
		if c.Kind == kind && (c.Name == class || slices.Contains(c.Aliases, class)) {
			return c
		}
	}
	return nil
}

// checkMemory reports whether the memory that a module begins with is within its limit.
func (m *module) checkMemory() error {
	if m.binary.MemoryPages > uint64(m.limits.pages()) {
		return fmt.Errorf("the module asks for at least %d bytes of memory, %d are allowed (%s)",
			m.binary.MemoryPages*binary.PageBytes, m.limits.MemoryBytes,
			limitSetting(m.info.Name, "memory.bytes"))
	}
	return nil
}

// retain counts a pool that needs the module, release lets go of it.
func (m *module) retain() {
	m.mu.Lock()
	m.users++
	m.mu.Unlock()
}

func (m *module) release() {
	m.mu.Lock()
	m.users--
	retired := !m.offered
	m.mu.Unlock()
	if retired {
		m.freeIfUnused()
	}
}

// retire is called when no origin offers the module any more: its code goes with the last pool.
func (m *module) retire() {
	m.mu.Lock()
	m.offered = false
	m.mu.Unlock()
	m.freeIfUnused()
}

// offer makes the module one that its origin offers.
func (m *module) offer() {
	m.mu.Lock()
	m.offered = true
	m.mu.Unlock()
}

// compilation is the compiling of a module's code, with what came of it.
type compilation struct {
	done chan struct{}
	code *code.Code
	err  error
}

// codeIdleTime is how long code without instances is kept while connectors use the module. Instances live [idleTime]
// longer than their last call, so only modules that are called less than once a minute need 0.1 s to load again.
const codeIdleTime = time.Minute

// acquireCode returns the module's code for an instance. It compiles the module if the code was freed, which takes 0.1
// s with a cache folder. Call gone when the instance is closed, and at once if there is none because of an error. ready
// returns when ctx ends, though the compilation continues: the engine cannot be stopped within a function.
func (m *module) acquireCode(ctx context.Context) (*code.Code, error) {
	m.mu.Lock()
	m.instances++
	if m.freeTimer != nil {
		m.freeTimer.Stop()
		m.freeTimer = nil
	}
	if m.code != nil {
		defer m.mu.Unlock()
		return m.code, nil
	}
	c := m.compiling
	if c == nil {
		c = &compilation{done: make(chan struct{})}
		m.compiling = c
		go m.compile(c)
	}
	m.mu.Unlock()
	select {
	case <-c.done:
		return c.code, c.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// gone undoes ready. Without a cache folder the code stays while connectors use the module: compiling again takes
// seconds.
func (m *module) releaseCode() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.instances--; m.instances > 0 || m.host.cache == nil || m.users == 0 {
		return
	}
	m.freeTimer = time.AfterFunc(cmp.Or(m.host.codeIdle, codeIdleTime), m.freeIdle)
}

// freeIdle frees the code while connectors use the module, but none has an instance.
func (m *module) freeIdle() {
	defer guard.Recover(m.host.logger, "letting a plugin rest", nil)
	m.free()
}

// compile makes the code for all who wait for it.
func (m *module) compile(c *compilation) {
	defer close(c.done)
	c.err = errors.New("the module was not compiled")
	defer guard.Recover(m.host.logger, "compiling "+m.info.Path, &c.err)
	if c.code, c.err = m.compileCode(context.Background()); c.err != nil {
		c.err = fmt.Errorf("%s: %w", m.info.Path, c.err)
	}
	m.mu.Lock()
	m.compiling, m.code = nil, c.code
	abandoned := m.users == 0 && m.instances == 0
	m.mu.Unlock()
	if abandoned {
		m.freeIfUnused()
	}
}

// compileCode returns the module's code, within its limits.
func (m *module) compileCode(ctx context.Context) (*code.Code, error) {
	if err := m.checkMemory(); err != nil {
		return nil, err
	}
	return m.host.compiler.Compile(ctx, &code.Module{Hash: m.info.Hash, Binary: m.binary,
		Interfaces: m.info.Interfaces, Pages: m.limits.pages(), Original: m.original})
}

// rest frees the code of a module that no pool uses: 15 to 20 MB for a Go guest. It reports whether there was anything
// to free.
func (m *module) freeIfUnused() bool {
	m.mu.Lock()
	used := m.users > 0
	m.mu.Unlock()
	return !used && m.free()
}

// free closes the code if no instance needs it, and reports whether it did.
func (m *module) free() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.instances > 0 || m.code == nil {
		return false
	}
	m.code.Close()
	m.code = nil
	return true
}
