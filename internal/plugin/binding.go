package plugin

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/plugin/version"
	"github.com/culvert-project/culvert/wit"
)

// Binding connects a connector with the plugin version that it runs, and with a newer one that its task has yet to
// accept or reject. It is safe for concurrent use.
type Binding struct {
	manager   *Manager
	connector string
	query     componentQuery

	mu        guard.Mutex
	current   *Pool
	candidate *Pool             // nil means no candidate
	rejected  map[string]string // reasons by hash of the version
	reason    string            // why the last version was rejected or rolled back; cleared by Promote
	closed    bool
	checkedAt atomic.Uint64 // Manager.changes+1 when there was no candidate; zero means unknown
}

// Status describes the versions of a binding.
type Status struct {
	Plugin    string
	Version   string
	Hash      string
	File      string
	Removed   bool   // the module's file was removed or replaced
	Candidate string // the newer version that waits for a boundary of a page or batch, "" for no candidate
	Rejected  string // why the newest other version was rejected
	// FileError is why the module's current file, or another file with a version of the plugin, is refused.
	FileError string
	Others    []string // plugins of other names that have the class too
}

// Bind selects the plugin that has a component under its class name or an alias: the newest version in a range, see
// [version.ParseRange]. The caller closes the binding.
func (m *Manager) Bind(connector string, kind wit.ComponentKind, class, versions string) (*Binding, error) {
	query, err := newQuery(kind, class, versions)
	if err != nil {
		return nil, err
	}
	return m.bind(connector, query)
}

// BindVersion is [Manager.Bind] for exactly one version, which may be any text: a module may have any.
func (m *Manager) BindVersion(connector string, kind wit.ComponentKind, class, text string) (*Binding, error) {
	return m.bind(connector, componentQuery{kind: kind, class: class, versions: version.Only(text)})
}

func (m *Manager) bind(connector string, query componentQuery) (*Binding, error) {
	binding, err := m.newBinding(connector, query)
	if err == nil && m.history.recordRun(&binding.current.module.info) {
		m.changes.Add(1)
	}
	return binding, err
}

func (m *Manager) newBinding(connector string, query componentQuery) (*Binding, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, fmt.Errorf("plugins: %w", ErrClosed)
	}
	module, err := m.find(query)
	if err != nil {
		return nil, err
	}
	binding := &Binding{manager: m, connector: connector, query: query, rejected: map[string]string{},
		current: m.shared.acquire(module, connector, query.isTransform())}
	m.bindings[binding] = struct{}{}
	return binding, nil
}

// Current returns the pool of the version that runs.
func (b *Binding) Current() *Pool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.current
}

// Component describes the bound component, as in the current version.
func (b *Binding) Component() *Component {
	return b.Current().module.component(b.query.kind, b.query.class)
}

// Candidate returns the pool of a newer version that the task has not accepted or rejected, or nil. Call it at each
// boundary of a page or batch, then [Binding.Promote] or [Binding.Reject]. A version that replaced the current one's
// file counts as newer.
func (b *Binding) Candidate() *Pool {
	changes := b.manager.changes.Load() + 1
	query := b.query
	if b.checkedAt.Load() == changes {
		return nil
	}
	b.manager.mu.Lock()
	defer b.manager.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	best := b.replacement()
	if best == nil {
		b.checkedAt.Store(changes)
		return nil
	}
	if b.candidate != nil && b.candidate.module != best {
		b.manager.shared.release(b.candidate)
		b.candidate = nil
	}
	if b.candidate == nil {
		b.candidate = b.manager.shared.acquire(best, b.connector, query.isTransform())
	}
	return b.candidate
}

// replacement returns the module that should replace the current one, or nil. The locks of the manager and of b must be
// held.
func (b *Binding) replacement() *module {
	query := b.query
	current := b.current.module
	query.plugin = current.info.Name // never another plugin that has the class
	best, err := b.manager.find(query)
	if err != nil || b.closed || best.info.Hash == current.info.Hash {
		return nil
	}
	if _, ok := b.rejected[best.info.Hash]; ok {
		return nil
	}
	source := b.manager.sources[current.info.Path]
	_, pinned := b.manager.pinnedHash(current.info.Name, query)
	// If isReplaced, even an older version replaces the current one.
	isReplaced := pinned || (source != nil && source.active != current)
	isRejected := b.manager.rejected[current.info.Hash] != nil
	if !isRejected && !isReplaced && !b.manager.precedes(best, current) {
		return nil
	}
	return best
}

// Promote makes the candidate current; another pool is ignored. The old pool closes when its last instance is released.
// For canaryTime the new version is a canary that is rolled back if its calls break, see [Binding.ShouldRetry].
func (b *Binding) Promote(pool *Pool) {
	b.manager.mu.Lock()
	b.mu.Lock()
	old := b.current
	rollback := b.manager.rejected[old.module.info.Hash]
	isAllowed := !b.closed && pool == b.candidate
	// The pin may have changed since Candidate.
	if hash, pinned := b.manager.pinnedHash(pool.module.info.Name, b.query); pinned {
		isAllowed = isAllowed && strings.HasPrefix(pool.module.info.Hash, hash)
	}
	onSwap := b.manager.onSwap
	b.manager.mu.Unlock()
	if !isAllowed {
		b.mu.Unlock()
		return
	}
	b.current = pool
	b.candidate = nil
	b.reason = ""
	if rollback != nil { // a rollback starts no canary
		b.reason = rollback.Error()
	} else {
		pool.mu.Lock()
		pool.canary = &canary{until: time.Now().Add(canaryTime), reject: func(reason string) {
			b.manager.rejectVersion(pool.module, reason)
		}}
		pool.mu.Unlock()
	}
	b.checkedAt.Store(0)
	b.mu.Unlock()
	if b.manager.history.recordRun(&pool.module.info) {
		b.manager.changes.Add(1)
	}
	b.manager.shared.release(old)
	b.manager.scheduleTrim()
	b.manager.loader.logger.Info("plugin swapped", "connector", b.connector, "plugin", pool.module.info.Name,
		"from", old.module.info.Version, "to", pool.module.info.Version, "hash", pool.module.info.Hash[:12],
		"file", pool.module.info.Path)
	if onSwap != nil {
		onSwap(b.connector, pool.module.info.Name, old.module.info.Version, pool.module.info.Version)
	}
}

// Reject releases the candidate, which is not returned again, and keeps the current version.
func (b *Binding) Reject(pool *Pool, reason string) {
	b.mu.Lock()
	if b.closed || pool != b.candidate {
		b.mu.Unlock()
		return
	}
	b.reason = fmt.Sprintf("%s: %s", pool.module.info.Version, reason)
	b.rejected[pool.module.info.Hash] = reason
	b.candidate = nil
	b.mu.Unlock()
	b.manager.shared.release(pool)
	b.manager.scheduleTrim()
	b.manager.loader.logger.Warn("plugin version rejected; the current one continues", "connector", b.connector,
		"plugin", pool.module.info.Name, "version", pool.module.info.Version, "reason", reason)
}

// Status returns the state of the binding's versions.
func (b *Binding) Status() Status {
	manager := b.manager
	manager.mu.Lock()
	defer manager.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	current := b.current.module
	status := Status{Plugin: current.info.Name, Version: current.info.Version, Hash: current.info.Hash,
		File: current.info.Path, Rejected: b.reason, Others: manager.otherProviders(b.query, current.info.Name)}
	source := manager.sources[current.info.Path]
	status.Removed = source == nil || source.active != current
	if source != nil && source.refused != nil {
		status.FileError = source.refused.Err.Error()
	} else if moved := manager.movedRoleTexts(current.info.Name); len(moved) > 0 {
		status.FileError = moved[0]
	}
	if best := b.replacement(); best != nil {
		status.Candidate = best.info.Version
	}
	return status
}

// Close releases the binding's pools. Further calls do nothing.
func (b *Binding) Close() {
	b.manager.mu.Lock()
	delete(b.manager.bindings, b)
	b.manager.mu.Unlock()
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	b.closed = true
	current := b.current
	candidate := b.candidate
	b.mu.Unlock()
	b.manager.shared.release(current)
	if candidate != nil {
		b.manager.shared.release(candidate)
	}
	b.manager.scheduleTrim()
}

// ShouldRetry reports whether a failed call should be repeated before the failure counts: its version is a canary, or
// was just rolled back so that the [Binding.Candidate] is the earlier one. Limit the retries, since it stays true while
// the earlier version cannot be opened.
func (b *Binding) ShouldRetry(err error) bool {
	if !isA[*Trap](err) {
		return false
	}
	b.manager.mu.Lock()
	defer b.manager.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	current := b.current
	return current.isCanary() || (b.manager.rejected[current.module.info.Hash] != nil && b.replacement() != nil)
}

// Users returns the connectors whose tasks run each module, by its hash.
func (m *Manager) Users() map[string][]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	users := map[string][]string{}
	for binding := range m.bindings {
		hash := binding.Current().module.info.Hash
		users[hash] = append(users[hash], binding.connector)
	}
	return users
}

// retiredModules returns the modules that bindings use although their file was removed or replaced. m.mu must be held.
func (m *Manager) retiredModules() (modules []*module) {
	for binding := range m.bindings {
		mod := binding.Current().module
		source := m.sources[mod.info.Path]
		if (source == nil || source.active != mod) && !slices.Contains(modules, mod) {
			modules = append(modules, mod)
		}
	}
	return modules
}
