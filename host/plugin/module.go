package plugin

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"

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
	// Origin is the file's path, or `embedded:` and its path there.
	Origin string
	// Contract is the version of the contract that the module's exports name.
	Contract   string
	Components []wit.Component
	// Interfaces of the contract that the module exports.
	Interfaces []string
	Loaded     time.Time
	// Active: new connectors can get it. A module that a newer file replaced, or whose file is gone, lives on while it is used.
	Active bool
	// Err says why a file was refused, nil for a module that runs. What an origin held before stays active beside it.
	Err     error
	Metrics Metrics
}

// Has tells whether the module exports an interface of the contract, such as [wit.InterfaceTools].
func (i *Info) Has(iface string) bool { return slices.Contains(i.Interfaces, iface) }

// module is one version of a plugin, compiled. Each has a runtime of its own, because a limit of memory is a runtime's in
// wazero; they share the compiled code by the manager's cache. It is closed when its last user lets go.
type module struct {
	info     Info
	limits   Limits
	binary   *Binary
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	registry *record.Registry
	logger   *slog.Logger
	counters counters
	// order is the sequence of loading: of equal versions the later one is newer.
	order int

	mu     sync.Mutex
	users  int
	closed bool
}

// compile makes the runtime and compiles into it; from the cache where the same bytes were compiled before.
func (m *module) compile(ctx context.Context, l *loader, prepared []byte) error {
	if pages := m.limits.pages(); m.binary.MemoryPages > uint64(pages) {
		return fmt.Errorf("the module asks for at least %d bytes of memory, %d are allowed (%s)", m.binary.MemoryPages*pageBytes,
			m.limits.MemoryBytes, limitSetting(cmpOr(m.info.Name, "NAME"), "memory.bytes"))
	}
	config := wazero.NewRuntimeConfig().WithCompilationCache(l.cache).WithMemoryLimitPages(m.limits.pages()).WithDebugInfoEnabled(true)
	m.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	m.closed = false
	if err := provide(ctx, m.runtime, m.binary); err != nil {
		m.close()
		return err
	}
	compiled, err := m.runtime.CompileModule(ctx, prepared)
	if err != nil && strings.HasPrefix(err.Error(), "compilationcache:") && l.dir != "" {
		// A damaged file must cost time, not the plugin.
		m.logger.Warn("compile cache is damaged: it is made anew", "error", err, "folder", l.dir)
		l.purge()
		compiled, err = m.runtime.CompileModule(ctx, prepared)
	}
	if err != nil {
		m.close()
		return fmt.Errorf("the module does not compile: %w", err)
	}
	m.compiled = compiled
	if err := judgeSignatures(compiled, m.binary.Contract, m.info.Interfaces); err != nil {
		m.close()
		return err
	}
	return nil
}

// describe asks the module what it is.
func (m *module) describe(ctx context.Context) error {
	i, err := m.instantiate(ctx, "")
	if err != nil {
		return err
	}
	defer i.close()
	d, err := i.Describe(ctx)
	if err != nil {
		return err
	}
	if err := m.judgeDescription(&d); err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	m.info.Name, m.info.Version, m.info.Documentation, m.info.Components = d.Name, d.Version, d.Documentation, d.Components
	return nil
}

func (m *module) judgeDescription(d *wit.Description) error {
	if d.Name == "" || d.Version == "" {
		return fmt.Errorf("expected a name and a version, found %q and %q", d.Name, d.Version)
	}
	needs := [...]string{wit.ComponentSource: wit.InterfaceSource, wit.ComponentSink: wit.InterfaceSink,
		wit.ComponentTransformation: wit.InterfaceTransform, wit.ComponentPredicate: wit.InterfaceTransform}
	seen := map[string]bool{}
	for _, c := range d.Components {
		for _, name := range append([]string{c.Name}, c.Aliases...) {
			key := c.Kind.String() + " " + name
			if name == "" || seen[key] {
				return fmt.Errorf("component %q: expected names that are not empty and stand once, found %q", c.Name, name)
			}
			seen[key] = true
		}
		if !m.info.Has(needs[c.Kind]) {
			return fmt.Errorf("component %q is a %s: expected the interface %s among the exports, found %v", c.Name, c.Kind,
				needs[c.Kind], m.info.Interfaces)
		}
	}
	return nil
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

// hold and release count who needs the module: its origin's entry, and each pool.
func (m *module) hold() {
	m.mu.Lock()
	m.users++
	m.mu.Unlock()
}

func (m *module) release() {
	m.mu.Lock()
	m.users--
	last := m.users == 0
	m.mu.Unlock()
	if last {
		m.close()
	}
}

// close frees the runtime and the compiled code.
func (m *module) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.runtime == nil {
		return
	}
	m.closed = true
	ctx := context.Background()
	if m.compiled != nil {
		_ = m.compiled.Close(ctx)
		m.compiled = nil
	}
	_ = m.runtime.Close(ctx)
}
