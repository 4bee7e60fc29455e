package plugin

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/wit"
)

// Binding ties a connector to a plugin: to the version that it runs with, and to a newer one that its task has yet to
// judge at a page or batch boundary. It is safe for use by several goroutines.
type Binding struct {
	manager   *Manager
	connector string
	selection selection

	mu                 guard.Mutex
	current, candidate *Pool
	// rejected holds the hashes that the task did not take, with the reason.
	rejected map[string]string
	reason   string
	closed   bool
	// settled is the manager's count of changes, plus one, up to which there was no candidate.
	checkedAt atomic.Uint64
}

// Status is what becomes of a binding's versions.
type Status struct {
	Plugin, Version, Hash string
	// File is what runs: a path, or `embedded:` and a name.
	File string
	// Removed: the module's file is gone or was replaced.
	Removed bool
	// Candidate is the newer version that waits for a boundary, "" for none.
	Candidate string
	// Rejected says why the newest other version was not taken, "" if none was.
	Rejected string
	// FileError says why the file that the module came from is refused now, or another file with a version of the
	// plugin; "" if none is.
	FileError string
	// Others are plugins of other names that have the class too.
	Others []string
}

// Bind gives a connector the plugin that has a component, under its class name or an alias: the newest version, or the
// one named. Close the binding when the connector ends.
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

// Current is the pool of the version that the connector runs with.
func (b *Binding) Current() *Pool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.current
}

// Component is the description of what was bound, as the current version has it.
func (b *Binding) Component() *wit.Component {
	return b.Current().module.component(b.selection.kind, b.selection.class)
}

// Candidate is the pool of a newer version that is loaded and not yet judged, nil if there is none: ask at each
// boundary, then [Binding.Promote] or [Binding.Reject] it. A version that came in the place of the current one's file
// counts as newer.
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

// replacement is the module that should take over from the current one, nil if none should. The manager's lock and b's
// are held.
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

// Promote makes a candidate current. The old pool closes when its last instance comes back. For some minutes the new
// version is on trial: when its calls break it is rolled back, see [Binding.ShouldRetry].
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

// Reject leaves the current version running; the candidate is not offered again. The reason stands in the status.
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
	b.manager.loader.logger.Warn("plugin version not taken, the one before goes on", "connector", b.connector, "plugin",
		p.module.info.Name,
		"version", p.module.info.Version, "reason", reason)
}

// Status says which version runs and what keeps others from it.
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

// Close lets go of the plugin.
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

// ShouldRetry reports whether a call that failed is to be made once more before the failure counts: its version is on
// trial, or was just rolled back and the one before is the [Binding.Candidate] now. It is true a few times at most,
// unless the version before cannot be opened for the moment: so ask it after each try, and give up after as many as you
// would for a service that does not answer.
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

// retired are modules that no origin offers any more, but connectors run; m.mu is held.
func (m *Manager) retired() (list []*module) {
	for b := range m.bindings {
		x := b.Current().module
		if o := m.sources[x.info.Path]; (o == nil || o.active != x) && !slices.Contains(list, x) {
			list = append(list, x)
		}
	}
	return list
}
