package plugin

import (
	"slices"
	"strings"
)

// PinnedVersion is the version of a plugin that the workers of a group have agreed on, for connectors whose version
// range contains it. Hash and Previous are prefixes of a file's hash.
type PinnedVersion struct {
	Version  string
	Hash     string // of the agreed version
	Previous string `json:"Before"` // replaces Hash on a worker that rejected it because its calls broke
}

// Offer is a version of a plugin that this worker has. Workers of a group send it to each other as JSON. The names in
// JSON do not change, since a group may have workers of several versions.
type Offer struct {
	Name     string
	Version  string
	Hash     string
	Rejected bool `json:"Left"`
}

// pinning holds decisions about versions, guarded by Manager.mu. A pin overrides an operator's choice.
type pinning struct {
	rejected map[string]*rollbackError // by the hash of the file
	// chosen are hashes by plugin, selected by an operator until another file of the plugin is found.
	chosen map[string]string
	pins   map[string]PinnedVersion // by plugin
}

// Pin sets the agreed versions by plugin name. A newly agreed version is used even if this worker rejected it before.
func (m *Manager) Pin(pins map[string]PinnedVersion) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, pin := range pins {
		previous := m.pins[name]
		for hash, rejection := range m.rejected {
			if previous.Hash != pin.Hash && rejection.plugin == name && strings.HasPrefix(hash, pin.Hash) {
				delete(m.rejected, hash)
			}
		}
	}
	m.pins = pins
	m.changes.Add(1)
}

// pinnedHash returns the start of the hash of the version that a pin prescribes for the query. m.mu must be held.
func (m *Manager) pinnedHash(name string, query componentQuery) (hash string, ok bool) {
	pin, ok := m.pins[name]
	switch {
	case !ok || !query.versions.Contains(pin.Version):
		return "", false
	case pin.Previous != "" && m.isRejected(pin.Hash):
		return pin.Previous, true
	}
	return pin.Hash, true
}

func (m *Manager) isRejected(hashPrefix string) bool {
	for hash := range m.rejected {
		if strings.HasPrefix(hash, hashPrefix) {
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

// moduleFor returns the module of a source that a query gets, or nil. m.mu must be held.
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
	pin, ok := m.pins[mod.info.Name]
	return ok && strings.HasPrefix(mod.info.Hash, pin.Hash)
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
	newestFirst := func(a, b *module) int {
		if a.isNewer(b) {
			return -1
		}
		return 1
	}
	for _, modules := range [][]*module{active, kept} {
		modules = slices.DeleteFunc(modules, func(mod *module) bool { return mod == nil })
		slices.SortFunc(modules, newestFirst)
		for _, mod := range modules {
			info := &mod.info
			offers = append(offers, Offer{Name: info.Name, Version: info.Version, Hash: info.Hash,
				Rejected: m.rejected[info.Hash] != nil})
		}
	}
	return offers
}
