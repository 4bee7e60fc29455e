package plugin

import (
	"slices"
	"strings"
)

// Pin is which versions of a plugin connectors get that name none, as the workers of a group have agreed: no others,
// whatever files there are. A version is the first digits of its file's hash, "" none.
type Pin struct {
	// Hash is what runs, Before what runs in its place where this worker has left it because its calls broke.
	Hash, Before string
}

// Offer is a version of a plugin that connectors can get here, or that this worker has left.
type Offer struct {
	Name, Version, Hash string
	// Left: its calls broke.
	Left bool
}

// pinning is what was decided about versions: by operators, by the workers of a group, and here. It is under
// Manager.mu. With a pin what was chosen does not count.
type pinning struct {
	// rejected holds, by hash, the versions that were tried and left.
	rejected map[string]*rolledBack
	// chosen are the hashes of the versions that an operator has named, by the names of plugins, until a file of the
	// plugin comes.
	chosen map[string]string
	pins   map[string]Pin
}

// Pin has connectors get the versions that are named, by the names of plugins, and leaves other plugins alone. A
// version that becomes the one that runs is taken although this worker has left it before.
func (m *Manager) Pin(pins map[string]Pin) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, p := range pins {
		before := m.pins[name]
		for hash, why := range m.rejected {
			if before.Hash != p.Hash && why.plugin == name && strings.HasPrefix(hash, p.Hash) {
				delete(m.rejected, hash)
			}
		}
	}
	m.pins = pins
	m.changes.Add(1)
}

// pinnedHash is the version of a plugin that a selection gets, where the workers of a group have agreed on one; m.mu is
// held.
func (m *Manager) pinnedHash(name string, s selection) (hash string, ok bool) {
	p, ok := m.pins[name]
	switch {
	case !ok || s.version != "":
		return "", false
	case p.Before != "" && m.isRejected(p.Hash):
		return p.Before, true
	}
	return p.Hash, true
}

func (m *Manager) isRejected(short string) bool {
	for hash := range m.rejected {
		if strings.HasPrefix(hash, short) {
			return true
		}
	}
	return false
}

// canSelect reports whether a selection may get a module of an origin: the active one, unless a pin names another; m.mu
// is held.
func (m *Manager) canSelect(o *moduleSource, x *module, s selection) bool {
	if hash, ok := m.pinnedHash(x.info.Name, s); ok {
		return strings.HasPrefix(x.info.Hash, hash)
	}
	return x == o.active
}

// selected is the module of an origin that a selection may get, nil: none; m.mu is held.
func (m *Manager) selected(o *moduleSource, s selection) *module {
	for _, x := range []*module{o.active, o.previous} {
		if x != nil && m.canSelect(o, x, s) {
			return x
		}
	}
	return nil
}

// isPinned reports whether connectors are to get a module as long as the pin stands, whatever becomes of its file; m.mu
// is held.
func (m *Manager) isPinned(x *module) bool {
	p, ok := m.pins[x.info.Name]
	return ok && strings.HasPrefix(x.info.Hash, p.Hash)
}

// Offers are the versions of plugins, of each plugin those first that connectors would get here if there were no pins.
func (m *Manager) Offers() (all []Offer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var active, kept []*module
	for _, o := range m.sources {
		active, kept = append(active, o.active), append(kept, o.previous)
	}
	newest := func(a, b *module) int {
		if a.newer(b) {
			return -1
		}
		return 1
	}
	for _, some := range [][]*module{active, kept} {
		some = slices.DeleteFunc(some, func(x *module) bool { return x == nil })
		slices.SortFunc(some, newest)
		for _, x := range some {
			all = append(all, Offer{x.info.Name, x.info.Version, x.info.Hash, m.rejected[x.info.Hash] != nil})
		}
	}
	return all
}
