package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/plugin/binary"
	"github.com/culvert-project/culvert/internal/plugin/internal/code"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Info describes a module, or a file that was refused.
type Info struct {
	// Name, Version, Documentation and Components are the plugin's own description. They are empty for a refused file.
	Name          string
	Version       string
	Documentation string
	Components    []*Component

	Hash       string // the SHA-256 of the file, in hex
	Size       int
	Path       string // the file's path, or `embedded:` and its path there
	Contract   string // the version of the contract
	Interfaces []string
	Loaded     time.Time
	BuiltIn    bool
	Waits      string // why connectors do not run the version yet; set by [Manager.Modules]
	Active     bool   // new connectors can get it. Other modules stay loaded while they are used.
	Chosen     bool   // an operator selected it with [Manager.Swap]
	Kept       bool   // [Manager.Rollback] returns to it
	Err        error  // why the file was refused. An earlier module of the same file stays active.
	Metrics    Metrics
}

// Component is a component of a plugin with the table of its settings. It is immutable.
type Component struct {
	wit.Component
	table func() *setting.Table
}

// NewComponent returns the component of a declaration, which must not change after.
func NewComponent(declaration *wit.Component) *Component {
	return &Component{Component: *declaration,
		table: sync.OnceValue(func() *setting.Table { return setting.NewComponentTable(declaration) })}
}

// Table returns the component's settings. It is built once, at the first call, and must not be changed.
func (c *Component) Table() *setting.Table { return c.table() }

// describe sets the plugin's description.
func (info *Info) describe(description *wit.Description) {
	info.Name = description.Name
	info.Version = description.Version
	info.Documentation = description.Documentation
	info.Components = make([]*Component, 0, len(description.Components))
	for i := range description.Components {
		info.Components = append(info.Components, NewComponent(&description.Components[i]))
	}
}

// Description returns the plugin's own description.
func (info *Info) Description() wit.Description {
	description := wit.Description{Name: info.Name, Version: info.Version, Documentation: info.Documentation}
	for _, component := range info.Components {
		description.Components = append(description.Components, component.Component)
	}
	return description
}

// State returns active, retired (only old connectors run it), kept (for rollback) or refused.
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

// host holds what all modules of a manager share.
type host struct {
	compiler   *code.Compiler
	cache      *code.Cache
	registry   *record.Registry
	logger     *slog.Logger
	processors *processors
	idle       time.Duration // see [Options.Idle]
	codeIdle   time.Duration // see [Options.CodeIdle]; zero means [codeIdleTime]
	memory     *memoryLimiter
}

// module is one version of a plugin. Its description is permanent; its code exists only while it is used and some time
// after.
type module struct {
	info     Info
	limits   Limits
	binary   *binary.Module
	host     *host
	counters counters
	order    int                    // see candidateFile.order
	original func() ([]byte, error) // reads the file

	mu        guard.Mutex
	pools     int         // counts the pools that use the module
	active    bool        // a source has the module, see retire
	code      *code.Code  // nil if it is not loaded
	instances int         // counts existing instances and those that are being created
	freeTimer *time.Timer // frees the code some time after the last instance
	compiling *compilation
	breakers  map[string]*breaker // by connector
}

// breaker returns the circuit breaker for a connector, which it creates at the first call.
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

func (m *module) snapshot() Info {
	info := m.info
	info.Metrics = m.counters.snapshot()
	return info
}

// component returns the component with a class name or alias, nil if there is no such component.
func (m *module) component(kind wit.ComponentKind, class string) *Component {
	for _, component := range m.info.Components {
		if component.Kind == kind && (component.Name == class || slices.Contains(component.Aliases, class)) {
			return component
		}
	}
	return nil
}

func (m *module) checkMemory() error {
	if m.binary.MemoryPages > uint64(m.limits.pages()) {
		return fmt.Errorf("the module needs at least %d bytes of memory, %d are allowed (%s)",
			m.binary.MemoryPages*binary.PageBytes, m.limits.MemoryBytes, limitSetting(m.info.Name, "memory.bytes"))
	}
	return nil
}

func (m *module) retain() {
	m.mu.Lock()
	m.pools++
	m.mu.Unlock()
}

func (m *module) release() {
	m.mu.Lock()
	m.pools--
	isRetired := !m.active // otherwise Manager.trim frees its code
	m.mu.Unlock()
	if isRetired {
		m.freeIfUnused()
	}
}

// retire is called when no source has the module any more: its code is freed with the last pool.
func (m *module) retire() {
	m.mu.Lock()
	m.active = false
	m.mu.Unlock()
	m.freeIfUnused()
}

func (m *module) activate() {
	m.mu.Lock()
	m.active = true
	m.mu.Unlock()
}

// compilation is a running compilation, for which several callers may wait.
type compilation struct {
	done chan struct{}
	code *code.Code
	err  error
}

// codeIdleTime is how long the code of a used module without instances is kept. Instances live [idleTime] longer than
// their last call, so only modules that are called less often than every 35 s load again, in 0.1 s.
const codeIdleTime = 30 * time.Second

// acquireCode returns the code for an instance and compiles the module if the code was freed. Call releaseCode when the
// instance is closed, also after an error. It returns when ctx ends, though compiling continues, since the engine
// cannot be stopped within a function.
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
	run := m.compiling
	if run == nil {
		run = &compilation{done: make(chan struct{})}
		m.compiling = run
		go m.compile(run)
	}
	m.mu.Unlock()
	select {
	case <-run.done:
		return run.code, run.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// releaseCode undoes acquireCode. Without a cache folder the code is kept while connectors use the module, since
// compiling takes seconds.
func (m *module) releaseCode() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.instances--
	if m.instances > 0 || m.host.cache == nil || m.pools == 0 {
		return
	}
	m.freeTimer = time.AfterFunc(cmp.Or(m.host.codeIdle, codeIdleTime), m.freeIdle)
}

func (m *module) freeIdle() {
	defer guard.Recover(m.host.logger, "freeing code of a plugin", nil)
	m.free()
}

func (m *module) compile(run *compilation) {
	defer close(run.done)
	run.err = errors.New("the module was not compiled")
	defer guard.Recover(m.host.logger, "compiling "+m.info.Path, &run.err)
	if run.code, run.err = m.compileCode(context.Background()); run.err != nil {
		run.err = fmt.Errorf("%s: %w", m.info.Path, run.err)
	}
	m.mu.Lock()
	m.compiling = nil
	m.code = run.code
	isUnused := m.pools == 0 && m.instances == 0
	m.mu.Unlock()
	if isUnused {
		m.freeIfUnused()
	}
}

func (m *module) compileCode(ctx context.Context) (*code.Code, error) {
	if err := m.checkMemory(); err != nil {
		return nil, err
	}
	return m.host.compiler.Compile(ctx, &code.Module{Hash: m.info.Hash, Binary: m.binary,
		Interfaces: m.info.Interfaces, Pages: m.limits.pages(), Original: m.original, NoTimeLimit: m.info.BuiltIn})
}

// freeIfUnused frees the code of a module without pools, 36 MB for a Go guest. It returns whether it did.
func (m *module) freeIfUnused() bool {
	m.mu.Lock()
	isUsed := m.pools > 0
	m.mu.Unlock()
	return !isUsed && m.free()
}

func (m *module) free() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.instances > 0 || m.code == nil {
		return false
	}
	freed := m.code
	m.code = nil
	freed.Close()
	return true
}
