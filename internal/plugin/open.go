package plugin

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/plugin/version"
)

// New loads all plugins, or the needed ones. A refused file is not an error, see [Manager.Modules]. The caller closes
// the manager.
func New(ctx context.Context, options Options) (*Manager, error) {
	if options.Registry == nil {
		return nil, errors.New("plugin: Options.Registry is required")
	}
	named, err := limitsOf(options.Limits, options.Settings)
	if err != nil {
		return nil, err
	}
	replace, err := parseReplace(options.Settings)
	if err != nil {
		return nil, err
	}
	history, err := readHistory(options.History, options.logger())
	if err != nil {
		return nil, err
	}
	manager := &Manager{
		trusted:  trust{reveal: parseReveal(options.Settings), replace: replace},
		history:  history,
		folders:  folders{paths: options.Folders},
		trimming: trimming{after: options.CodeIdle},
		sources:  map[string]*moduleSource{},
		bindings: map[*Binding]struct{}{},
		shared:   sharedPools{pools: map[poolKey]*sharedPool{}},
		pinning:  pinning{rejected: map[string]*rollbackError{}, chosen: map[string]string{}},
		loader: loader{host: newHost(&options), limits: options.Limits.withDefaults(), namedLimits: named,
			notice: &compileNotice{report: options.compiling()}, compilation: cmp.Or(options.Compilation,
				new(Compilation))},
	}
	background, stop := context.WithCancel(context.Background())
	manager.stop = stop
	manager.loader.cache = manager.loader.compiler.Cache()
	defer manager.loader.notice.stop()
	maxTick() // measured before anything competes for the processors
	if options.Watch {
		// Before the first scan, so that no change is missed.
		if err := manager.openWatch(options.Debounce); err != nil {
			manager.Close()
			return nil, err
		}
	}
	embedded, err := manager.embeddedModules(options.Embedded, options.Needed)
	hasMore := false
	if err == nil {
		embedded, hasMore, err = manager.loadNeeded(ctx, embedded, options.Needed)
		manager.loader.cache.RemoveUnused(time.Now()) // after loadNeeded has marked files as used
	}
	if err != nil {
		manager.Close()
		return nil, err
	}
	switch {
	case hasMore && options.NeededOnly: // the other modules are not needed
	case hasMore:
		manager.loading.Go(func() {
			defer guard.Recover(manager.loader.logger, "loading plugins", nil)
			if err := manager.scan(background, embedded, nil); err == nil {
				manager.warnUnusedLimits()
			} else if background.Err() == nil {
				manager.loader.logger.Warn("plugin folders cannot be read", "error", err)
			}
		})
	default:
		manager.warnUnusedLimits()
	}
	if options.Watch {
		manager.watching.Go(func() { manager.watch(background) })
	}
	return manager, nil
}

func (m *Manager) warnUnusedLimits() {
	m.mu.Lock()
	defer m.mu.Unlock()
	active := map[string]bool{}
	for _, source := range m.sources {
		if source.active != nil {
			active[source.active.info.Name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.loader.namedLimits)) {
		if !active[name] {
			m.loader.logger.Warn("limits are set for an unknown plugin", "plugin", name,
				"settings", limitSetting(name, "*"))
		}
	}
}

// Loaded waits until all plugins are loaded. It returns an error only if ctx ends.
func (m *Manager) Loaded(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		m.loading.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Warm compiles the active modules, so that a later start finds their code in [Options.CacheDir].
func (m *Manager) Warm(ctx context.Context) error {
	if m.loader.cache == nil {
		return errors.New("there is no usable cache folder for compiled code")
	}
	m.mu.Lock()
	var modules []*module
	for _, source := range m.sources {
		if source.active != nil {
			modules = append(modules, source.active)
		}
	}
	m.mu.Unlock()
	var errs []error
	for _, mod := range modules {
		_, err := mod.acquireCode(ctx)
		mod.releaseCode()
		mod.freeIfUnused()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Close closes all bindings and modules, and waits for the manager's goroutines. Instances in use are closed when they
// are released.
func (m *Manager) Close() error {
	m.stop()
	m.watching.Wait()
	m.loading.Wait()
	m.folders.changes.Close()
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	if m.trimming.timer != nil {
		m.trimming.timer.Stop()
	}
	bindings := slices.Collect(maps.Keys(m.bindings))
	sources := m.sources
	m.sources = map[string]*moduleSource{}
	m.mu.Unlock()
	for _, binding := range bindings {
		binding.Close()
	}
	for _, source := range sources {
		for _, mod := range []*module{source.active, source.previous} {
			if mod != nil {
				mod.retire()
			}
		}
	}
	return nil
}

// Modules lists all modules by name, version (newest first) and file: active, refused, retired and kept ones.
func (m *Manager) Modules() []Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	var infos []Info
	for _, source := range m.sources {
		if source.active != nil {
			info := source.active.snapshot()
			info.Kept = !m.canSelect(source, source.active, componentQuery{})
			info.Active = !info.Kept && !m.isOverridden(source.active)
			info.Chosen = m.chosen[info.Name] == info.Hash
			if rejection := m.rejected[info.Hash]; rejection != nil {
				info.Active = false
				info.Err = rejection
			}
			infos = append(infos, info)
		}
		if source.refused != nil {
			infos = append(infos, *source.refused)
		}
	}
	inactive := m.retiredModules()
	for _, source := range m.sources {
		if source.previous != nil && !slices.Contains(inactive, source.previous) {
			inactive = append(inactive, source.previous)
		}
	}
	for _, mod := range inactive {
		info := mod.snapshot()
		if source := m.sources[info.Path]; source != nil && source.previous == mod {
			info.Active = m.canSelect(source, mod, componentQuery{})
			info.Kept = !info.Active && m.rejected[info.Hash] == nil
		}
		infos = append(infos, info)
	}
	for i := range infos {
		infos[i].Waits = m.pendingReason(&infos[i])
	}
	slices.SortFunc(infos, func(a, b Info) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), version.Compare(b.Version, a.Version),
			strings.Compare(a.Path, b.Path))
	})
	return infos
}

// isOverridden reports whether a file that was loaded later has the same version of the plugin.
func (m *Manager) isOverridden(mod *module) bool {
	for _, source := range m.sources {
		if other := source.active; other != nil && other != mod && other.info.Name == mod.info.Name &&
			other.info.Version == mod.info.Version && other.order > mod.order {
			return true
		}
	}
	return false
}
