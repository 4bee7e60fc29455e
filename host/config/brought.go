package config

import (
	"maps"
	"slices"
)

// NewRESTConnector is the connector of settings that REST brings, in the order of their names; at says what they are.
// Of its references only those to providers of `config.providers` are resolved, but for settings that a file has as
// they are sent: stored is the connector of that name that is stored, nil if there is none.
func NewRESTConnector(at string, settings map[string]string, stored *Connector, providers *Providers) *Connector {
	var entries []Entry
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		e := NewEntry(key, settings[key], at, 0)
		e.FromREST = true
		if stored != nil {
			if before, ok := stored.Entry(key); ok && before.Raw == e.Raw {
				e.FromREST = before.FromREST
			}
		}
		entries = append(entries, e)
	}
	c, problems := NewConnector(at, entries, providers)
	c.Problems = problems
	return c
}
