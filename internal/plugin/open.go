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
)

// New loads all plugins. A refused file is no error, see [Manager.Modules].
func New(ctx context.Context, o Options) (*Manager, error) {
	if o.Registry == nil {
		return nil, errors.New("plugin: Options.Registry is required")
	}
	named, err := limitsOf(o.Limits, o.Settings)
	if err != nil {
		return nil, err
	}
	before, err := readHistory(o.History, o.logger())
	if err != nil {
		return nil, err
	}
	m := &Manager{reveal: parseReveal(o.Settings, o.logger()), history: before, folders: folders{paths: o.Folders},
		trimming: trimming{after: o.CodeIdle}, sources: map[string]*moduleSource{},
		bindings: map[*Binding]struct{}{}, shared: sharedPools{pools: map[poolKey]*sharedPool{}},
		pinning: pinning{rejected: map[string]*rolledBack{}, chosen: map[string]string{}},
		loader: loader{host: newHost(&o), limits: o.Limits.filled(), namedLimits: named,
			notice: &compileNotice{report: o.compiling()}}}
	background, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.loader.cache = m.loader.compiler.Cache()
	defer m.loader.notice.stop()
	maxTick() // measured before anything competes for the processors
	if o.Watch {
		// Before the first scan, so that no change is missed.
		if err := m.openWatch(o.Debounce); err != nil {
			m.Close()
			return nil, err
		}
	}
	embedded, err := m.embeddedModules(o.Embedded, o.Needed)
	more := false
	if err == nil {
		embedded, more, err = m.loadNeeded(ctx, embedded, o.Needed)
		m.loader.cache.Tidy(time.Now()) // begin has marked the files that are needed as used
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	switch {
	case more && o.NeededOnly:
	case more:
		m.loading.Go(func() { m.loadRest(background, embedded) })
	default:
		m.warnUnusedLimits()
	}
	if o.Watch {
		m.watching.Go(func() { m.watch(background) })
	}
	return m, nil
}

func (m *Manager) loadRest(ctx context.Context, embedded []*candidateFile) {
	defer guard.Recover(m.loader.logger, "loading plugins", nil)
	if err := m.scan(ctx, embedded, nil); err != nil {
		if ctx.Err() == nil {
			m.loader.logger.Warn("reading plugin folders", "error", err)
		}
		return
	}
	m.warnUnusedLimits()
}

func (m *Manager) warnUnusedLimits() {
	m.mu.Lock()
	defer m.mu.Unlock()
	there := map[string]bool{}
	for _, o := range m.sources {
		if o.active != nil {
			there[o.active.info.Name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.loader.namedLimits)) {
		if !there[name] {
			m.loader.logger.Warn("limits are set for an unknown plugin", "plugin", name, "settings",
				limitSetting(name, "*"))
		}
	}
}

// Loaded waits until all plugins are loaded. The error is that of ctx.
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
	var all []*module
	for _, o := range m.sources {
		if o.active != nil {
			all = append(all, o.active)
		}
	}
	m.mu.Unlock()
	var errs []error
	for _, x := range all {
		_, err := x.acquireCode(ctx)
		x.releaseCode()
		x.freeIfUnused()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Close closes all bindings and modules. Instances in use are closed when they are released.
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
	var bindings []*Binding
	for b := range m.bindings {
		bindings = append(bindings, b)
	}
	origins := m.sources
	m.sources = map[string]*moduleSource{}
	m.mu.Unlock()
	for _, b := range bindings {
		b.Close()
	}
	for _, o := range origins {
		for _, x := range []*module{o.active, o.previous} {
			if x != nil {
				x.retire()
			}
		}
	}
	return nil
}

// Modules lists all modules by name, version (newest first) and file: active, refused, retired and kept ones.
func (m *Manager) Modules() []Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Info
	for _, o := range m.sources {
		if o.active != nil {
			info := o.active.snapshot()
			info.Kept = !m.canSelect(o, o.active, selection{})
			info.Active = !info.Kept && !m.overridden(o.active)
			info.Chosen = m.chosen[info.Name] == info.Hash
			if why := m.rejected[info.Hash]; why != nil {
				info.Active, info.Err = false, why
			}
			all = append(all, info)
		}
		if o.refused != nil {
			all = append(all, *o.refused)
		}
	}
	retired := m.retired()
	for _, o := range m.sources {
		if o.previous != nil && !slices.Contains(retired, o.previous) {
			retired = append(retired, o.previous)
		}
	}
	for _, x := range retired {
		info := x.snapshot()
		if o := m.sources[info.Path]; o != nil && o.previous == x {
			info.Active = m.canSelect(o, x, selection{})
			info.Kept = !info.Active && m.rejected[info.Hash] == nil
		}
		all = append(all, info)
	}
	for i := range all {
		all[i].Waits = m.pendingReason(&all[i])
	}
	slices.SortFunc(all, func(a, b Info) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), CompareVersions(b.Version, a.Version),
			strings.Compare(a.Path, b.Path))
	})
	return all
}

func (m *Manager) overridden(x *module) bool {
	for _, o := range m.sources {
		if a := o.active; a != nil && a != x && a.info.Name == x.info.Name && a.info.Version == x.info.Version &&
			a.order > x.order {
			return true
		}
	}
	return false
}
