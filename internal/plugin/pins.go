package plugin

import (
	"slices"
	"strings"
)

// PinnedVersion is the version of a plugin that the workers of a group have agreed on, for connectors that specify
// none. Versions are prefixes of a file's hash.
type PinnedVersion struct {
	// Hash is the agreed version. Previous replaces it on a worker that rejected it because its calls broke.
	Hash     string
	Previous string `json:"Before"`
}

// Offer is a version of a plugin that this worker has. Workers of a group send it to each other as JSON.
type Offer struct {
	Name     string
	Version  string
	Hash     string
	Rejected bool `json:"Left"`
}

// pinning holds decisions about versions, guarded by Manager.mu. A pin overrides an operator's choice.
type pinning struct {
	rejected map[string]*rollbackError
	// chosen are hashes by plugin, selected by an operator until another file of the plugin is found.
	chosen map[string]string
	pins   map[string]PinnedVersion
}

// Pin sets the agreed versions by plugin name. A newly agreed version is used even if this worker rejected it before.
func (m *Manager) Pin(pins map[string]PinnedVersion) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, p := range pins {
		previous := m.pins[name]
		for hash, why := range m.rejected {
			if previous.Hash != p.Hash && why.plugin == name && strings.HasPrefix(hash, p.Hash) {
				delete(m.rejected, hash)
			}
		}
	}
	m.pins = pins
	m.changes.Add(1)
}

func (m *Manager) pinnedHash(name string, query componentQuery) (hash string, ok bool) {
	p, ok := m.pins[name]
	switch {
	case !ok || query.version != "":
		return "", false
	case p.Previous != "" && m.isRejected(p.Hash):
		return p.Previous, true
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

// canSelect reports whether a query may get a module of a source: the active one, unless a pin specifies another. m.mu
// must be locked.
func (m *Manager) canSelect(source *moduleSource, mod *module, query componentQuery) bool {
	if hash, ok := m.pinnedHash(mod.info.Name, query); ok {
		return strings.HasPrefix(mod.info.Hash, hash)
	}
	return mod == source.active
}

func (m *Manager) moduleFor(source *moduleSource, query componentQuery) *module {
	for _, mod := range []*module{source.active, source.previous} {
		if mod != nil && m.canSelect(source, mod, query) {
			return mod
		}
	}
	return nil
}

// isPinned reports whether a pin requires the module, even without its file. m.mu must be locked.
func (m *Manager) isPinned(mod *module) bool {
	p, ok := m.pins[mod.info.Name]
	return ok && strings.HasPrefix(mod.info.Hash, p.Hash)
}

// Versions returns the versions of plugins, in the order in which connectors would get them without pins.
func (m *Manager) Versions() (offers []Offer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var active, kept []*module
	for _, source := range m.sources {
		active = append(active, source.active)
		kept = append(kept, source.previous)
	}
	newest := func(a, b *module) int {
		if a.newer(b) {
			return -1
		}
		return 1
	}
	for _, some := range [][]*module{active, kept} {
		some = slices.DeleteFunc(some, func(mod *module) bool { return mod == nil })
		slices.SortFunc(some, newest)
		for _, mod := range some {
			info := &mod.info
			offers = append(offers, Offer{info.Name, info.Version, info.Hash, m.rejected[info.Hash] != nil})
		}
	}
	return offers
}
