package plugin

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/wit"
)

// Binding ties a connector to the plugin version that it runs with, and to a newer one that its task has yet to
// accept or reject. It is safe for concurrent use.
type Binding struct {
	manager   *Manager
	connector string
	selection selection

	mu                 guard.Mutex
	current, candidate *Pool
	rejected           map[string]string
	reason             string
	closed             bool
	// checkedAt is Manager.changes+1 when there was no candidate.
	checkedAt atomic.Uint64
}

// Status describes the versions of a binding.
type Status struct {
	Plugin, Version, Hash string
	File                  string
	// Removed: the module's file was removed or replaced.
	Removed bool
	// Candidate is the newer version that waits for a boundary, "" if there is none.
	Candidate string
	// Rejected says why the newest other version was rejected.
	Rejected string
	// FileError says why the module's current file, or another file with a version of the plugin, is refused.
	FileError string
	// Others are plugins of other names that have the class too.
	Others []string
}

// Bind selects the plugin that has a component under its class name or an alias: the newest version, or the specified
// one. The caller closes the binding.
func (m *Manager) Bind(connector string, kind wit.ComponentKind, class, version string) (*Binding, error) {
	return m.bind(connector, selection{kind: kind, class: class, version: version})
}

func (m *Manager) bind(connector string, s selection) (*Binding, error) {
	b, err := m.newBinding(connector, s)
	if err == nil {
		m.history.recordRun(&b.current.module.info)
	}
	return b, err
}

func (m *Manager) newBinding(connector string, s selection) (*Binding, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, fmt.Errorf("plugins: %w", ErrClosed)
	}
	found, err := m.find(s)
	if err != nil {
		return nil, err
	}
	b := &Binding{manager: m, connector: connector, selection: s, rejected: map[string]string{},
		current: m.shared.acquire(found, connector, s.transforms())}
	m.bindings[b] = struct{}{}
	return b, nil
}

// Current returns the pool of the version that runs.
func (b *Binding) Current() *Pool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.current
}

// Component describes the bound component, as in the current version.
func (b *Binding) Component() *wit.Component {
	return b.Current().module.component(b.selection.kind, b.selection.class)
}

// Candidate returns the pool of a newer version that the task has not judged, or nil. Ask at each boundary, then call
// [Binding.Promote] or [Binding.Reject]. A version that replaced the current one's file counts as newer.
func (b *Binding) Candidate() *Pool {
	changes, s := b.manager.changes.Load()+1, b.selection
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
		b.candidate = b.manager.shared.acquire(best, b.connector, s.transforms())
	}
	return b.candidate
}

// replacement returns the module that should replace the current one, or nil. The locks of the manager and of b are
// held.
func (b *Binding) replacement() *module {
	s, current := b.selection, b.current.module
	s.plugin = current.info.Name
	found, err := b.manager.find(s)
	if err != nil || b.closed || found.info.Hash == current.info.Hash {
		return nil
	}
	if _, no := b.rejected[found.info.Hash]; no {
		return nil
	}
	o := b.manager.sources[current.info.Path]
	_, pinned := b.manager.pinnedHash(current.info.Name, s)
	replaced := pinned || o != nil && o.active != current
	if left := b.manager.rejected[current.info.Hash] != nil; !left && !replaced && !b.manager.precedes(found, current) {
		return nil
	}
	return found
}

// Promote makes a candidate current. The old pool closes when its last instance is released. For canaryTime the new
// version is a canary that is rolled back if its calls break, see [Binding.ShouldRetry].
func (b *Binding) Promote(p *Pool) {
	b.manager.mu.Lock()
	b.mu.Lock()
	old := b.current
	left := b.manager.rejected[old.module.info.Hash]
	ok := !b.closed && p == b.candidate
	if hash, pinned := b.manager.pinnedHash(p.module.info.Name, b.selection); pinned {
		ok = ok && strings.HasPrefix(p.module.info.Hash, hash)
	}
	b.manager.mu.Unlock()
	if !ok {
		b.mu.Unlock()
		return
	}
	b.current, b.candidate, b.reason = p, nil, ""
	if left != nil {
		b.reason = left.Error()
	} else {
		p.mu.Lock()
		p.canary = &canary{until: time.Now().Add(canaryTime), reject: func(reason string) {
			b.manager.rejectVersion(p.module, reason)
		}}
		p.mu.Unlock()
	}
	b.checkedAt.Store(0)
	b.mu.Unlock()
	b.manager.history.recordRun(&p.module.info)
	b.manager.shared.release(old)
	b.manager.scheduleTrim()
	b.manager.loader.logger.Info("plugin swapped", "connector", b.connector, "plugin", p.module.info.Name, "from",
		old.module.info.Version,
		"to", p.module.info.Version, "hash", p.module.info.Hash[:12], "file", p.module.info.Path)
}

// Reject keeps the current version; the candidate is not offered again.
func (b *Binding) Reject(p *Pool, reason string) {
	b.mu.Lock()
	if b.closed || p != b.candidate {
		b.mu.Unlock()
		return
	}
	b.reason = fmt.Sprintf("%s: %s", p.module.info.Version, reason)
	b.rejected[p.module.info.Hash] = reason
	b.candidate = nil
	b.mu.Unlock()
	b.manager.shared.release(p)
	b.manager.scheduleTrim()
	b.manager.loader.logger.Warn("plugin version rejected; the current one keeps running", "connector", b.connector,
		"plugin",
		p.module.info.Name,
		"version", p.module.info.Version, "reason", reason)
}

// Status returns the state of the binding's versions.
func (b *Binding) Status() Status {
	m := b.manager
	m.mu.Lock()
	defer m.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	current := b.current.module
	s := Status{Plugin: current.info.Name, Version: current.info.Version, Hash: current.info.Hash,
		File: current.info.Path, Rejected: b.reason, Others: m.otherProviders(b.selection, current.info.Name)}
	o := m.sources[current.info.Path]
	s.Removed = o == nil || o.active != current
	if o != nil && o.refused != nil {
		s.FileError = o.refused.Err.Error()
	} else if moved := m.roleMoves(current.info.Name); len(moved) > 0 {
		s.FileError = moved[0]
	}
	if best := b.replacement(); best != nil {
		s.Candidate = best.info.Version
	}
	return s
}

// Close releases the plugin.
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
	current, candidate := b.current, b.candidate
	b.mu.Unlock()
	b.manager.shared.release(current)
	if candidate != nil {
		b.manager.shared.release(candidate)
	}
	b.manager.scheduleTrim()
}

// ShouldRetry reports whether a failed call should be repeated before the failure counts: its version is a canary, or
// was just rolled back so that the [Binding.Candidate] is the earlier one. Ask after each try and limit the tries,
// since it stays true while the earlier version cannot be opened.
func (b *Binding) ShouldRetry(err error) bool {
	if !isA[*Trap](err) {
		return false
	}
	b.manager.mu.Lock()
	defer b.manager.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	current := b.current
	return current.isCanary() || b.manager.rejected[current.module.info.Hash] != nil && b.replacement() != nil
}

func (m *Manager) retired() (list []*module) {
	for b := range m.bindings {
		x := b.Current().module
		if o := m.sources[x.info.Path]; (o == nil || o.active != x) && !slices.Contains(list, x) {
			list = append(list, x)
		}
	}
	return list
}
