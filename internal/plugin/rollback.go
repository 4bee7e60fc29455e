package plugin

import (
	"context"
	"errors"
	"fmt"
)

// rejectVersion rolls a version back: it is not offered any more, and bindings get the earlier version as their
// candidate. Without another version nothing happens.
func (m *Manager) rejectVersion(x *module, reason string) {
	m.mu.Lock()
	if m.rejected[x.info.Hash] != nil || !m.hasAlternative(x) {
		m.mu.Unlock()
		return
	}
	why := &rolledBack{Version: x.info.Version, Reason: reason, plugin: x.info.Name}
	m.rejected[x.info.Hash] = why
	_, pinned := m.pins[x.info.Name] // which says what takes over
	for path, o := range m.sources {
		if pinned || o.active != x || o.previous == nil || m.rejected[o.previous.info.Hash] != nil {
			continue
		}
		info := x.snapshot()
		info.Err = fmt.Errorf("%s: %w", path, why)
		m.restorePrevious(o)
		o.previous, o.refused = nil, &info
		x.mu.Lock()
		x.offered = false
		x.mu.Unlock()
	}
	m.changes.Add(1)
	m.mu.Unlock()
	m.loader.logger.Error("plugin version rolled back; the previous version takes over", "plugin", x.info.Name,
		"version",
		x.info.Version, "hash", x.info.Hash[:12],
		"file", x.info.Path, "reason", reason)
}

func (m *Manager) hasAlternative(x *module) bool {
	for _, o := range m.sources {
		for _, other := range []*module{o.active, o.previous} {
			if other != nil && other != x && other.info.Name == x.info.Name && m.rejected[other.info.Hash] == nil &&
				(other == o.active || o.active == x) {
				return true
			}
		}
	}
	return false
}

// Rollback activates the previous version of a plugin's file until the file changes, unless that version was
// rejected.
func (m *Manager) Rollback(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var newest *moduleSource
	for _, o := range m.sources {
		if o.active != nil && o.active.info.Name == name && o.previous != nil &&
			m.rejected[o.previous.info.Hash] == nil && (newest == nil || o.active.order > newest.active.order) {
			newest = o
		}
	}
	if newest == nil {
		return fmt.Errorf("plugin %s: no version before the present one is kept of any of its files "+
			"that connectors would take", name)
	}
	m.restorePrevious(newest)
	m.chosen[name] = newest.active.info.Hash
	m.loader.logger.Info("plugin version rolled back, as was asked for", "plugin", name, "to",
		newest.active.info.Version,
		"hash", newest.active.info.Hash[:12], "file", newest.active.info.Path)
	return nil
}

func (m *Manager) restorePrevious(o *moduleSource) {
	o.active, o.previous = o.previous, o.active
	m.loads++
	o.active.order = m.loads
	m.changes.Add(1)
}

// Swap selects the version of a plugin with this hash until another file of the plugin is found, even if it was
// rolled back. Connectors that specify a version keep theirs, and tasks judge it at a boundary as usual.
func (m *Manager) Swap(ctx context.Context, name, hash string) error {
	m.mu.Lock()
	why := m.rejected[hash]
	again := why != nil && why.plugin == name
	if again {
		delete(m.rejected, hash)
		for _, o := range m.sources {
			if o.refused != nil && o.refused.Hash == hash {
				o.hash = "" // its file is read again
			}
		}
	}
	m.mu.Unlock()
	if again {
		if err := m.scan(ctx, nil, nil); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for path, o := range m.sources {
		is := func(x *module) bool { return x != nil && x.info.Name == name && x.info.Hash == hash }
		switch {
		case is(o.previous):
			m.restorePrevious(o)
		case !is(o.active):
			continue
		}
		m.chosen[name] = hash
		m.changes.Add(1)
		m.loader.logger.Info("plugin version chosen, as was asked for", "plugin", name, "version",
			o.active.info.Version,
			"hash",
			hash[:12], "file", path)
		return nil
	}
	if again {
		m.rejected[hash] = why // no file has it now: one that comes is not taken unasked
	}
	return fmt.Errorf("%w %s with the hash %q", ErrUnknownVersion, name, hash)
}

// ErrUnknownVersion is the error for an unknown version.
var ErrUnknownVersion = errors.New("there is no version of plugin")
