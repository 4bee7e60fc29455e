package plugin

import (
	"context"
	"errors"
	"fmt"
)

// rejectVersion rolls a version back: bindings get the earlier version as their candidate. Without another version it
// does nothing.
func (m *Manager) rejectVersion(mod *module, reason string) {
	m.mu.Lock()
	if m.rejected[mod.info.Hash] != nil || !m.hasAlternative(mod) {
		m.mu.Unlock()
		return
	}
	rejection := &rollbackError{Version: mod.info.Version, Reason: reason, plugin: mod.info.Name}
	m.rejected[mod.info.Hash] = rejection
	_, hasPin := m.pins[mod.info.Name] // then the pin decides which version replaces it
	for path, source := range m.sources {
		if hasPin || source.active != mod || source.previous == nil || m.rejected[source.previous.info.Hash] != nil {
			continue
		}
		info := mod.snapshot()
		info.Err = withPath(path, rejection)
		m.restorePrevious(source)
		source.previous = nil
		source.refused = &info
		mod.mu.Lock()
		mod.active = false
		mod.mu.Unlock()
	}
	m.changes.Add(1)
	m.mu.Unlock()
	m.loader.logger.Error("plugin version rolled back; the previous version takes over", "plugin", mod.info.Name,
		"version", mod.info.Version, "hash", mod.info.Hash[:12], "file", mod.info.Path, "reason", reason)
}

// hasAlternative reports whether another version of the plugin could be used instead. m.mu must be held.
func (m *Manager) hasAlternative(mod *module) bool {
	for _, source := range m.sources {
		for _, other := range []*module{source.active, source.previous} {
			if other != nil && other != mod && other.info.Name == mod.info.Name && m.rejected[other.info.Hash] == nil &&
				(other == source.active || source.active == mod) { // the previous version only if mod replaced it
				return true
			}
		}
	}
	return false
}

// Rollback activates the previous version of a plugin's file until the file changes, unless that version was rejected.
func (m *Manager) Rollback(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var newest *moduleSource
	for _, source := range m.sources {
		if source.active != nil && source.active.info.Name == name && source.previous != nil &&
			m.rejected[source.previous.info.Hash] == nil &&
			(newest == nil || source.active.order > newest.active.order) {
			newest = source
		}
	}
	if newest == nil {
		return fmt.Errorf("plugin %s: none of its files has a previous version that connectors could use", name)
	}
	m.restorePrevious(newest)
	m.chosen[name] = newest.active.info.Hash
	m.loader.logger.Info("plugin version rolled back on request", "plugin", name, "to", newest.active.info.Version,
		"hash", newest.active.info.Hash[:12], "file", newest.active.info.Path)
	return nil
}

// restorePrevious swaps a file's active and previous versions. m.mu must be held.
func (m *Manager) restorePrevious(source *moduleSource) {
	source.active, source.previous = source.previous, source.active
	m.loads++ // the restored version counts as loaded last, see isNewer
	source.active.order = m.loads
	m.changes.Add(1)
}

// Swap selects the version of a plugin with this hash until another file of the plugin is found, even if it was rolled
// back. Connectors that specify a version keep theirs, and tasks can still reject it.
func (m *Manager) Swap(ctx context.Context, name, hash string) error {
	m.mu.Lock()
	rejection := m.rejected[hash]
	wasRejected := rejection != nil && rejection.plugin == name
	if wasRejected {
		delete(m.rejected, hash)
		for _, source := range m.sources {
			if source.refused != nil && source.refused.Hash == hash {
				source.hash = "" // its file is read again
			}
		}
	}
	m.mu.Unlock()
	if wasRejected {
		if err := m.scan(ctx, nil, nil); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for path, source := range m.sources {
		matches := func(mod *module) bool { return mod != nil && mod.info.Name == name && mod.info.Hash == hash }
		switch {
		case matches(source.previous):
			m.restorePrevious(source)
		case !matches(source.active):
			continue // another plugin's file, or neither version of the file
		}
		m.chosen[name] = hash
		m.changes.Add(1)
		m.loader.logger.Info("plugin version selected on request", "plugin", name,
			"version", source.active.info.Version, "hash", hash[:12], "file", path)
		return nil
	}
	if wasRejected {
		m.rejected[hash] = rejection // no file has it; a later one needs another request
	}
	return fmt.Errorf("%w %s with the hash %q", ErrUnknownVersion, name, hash)
}

// ErrUnknownVersion is the error for a plugin or hash that no file has.
var ErrUnknownVersion = errors.New("there is no version of plugin")
