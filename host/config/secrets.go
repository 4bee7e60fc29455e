package config

import (
	"path/filepath"
	"slices"
)

// Again is the connector with its references resolved anew: a secret behind a file may be another one by now. What was
// given in place is as it was.
func (c *Connector) Again(p *Providers) (*Connector, error) {
	entries, problems := p.resolveAll(c.Entries)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return &Connector{Name: c.Name, File: c.File, Entries: entries}, nil
}

// Differing are the keys whose values differ between two readings of one connector.
func (c *Connector) Differing(other *Connector) []string {
	var keys []string
	for _, e := range c.Entries {
		if v, ok := other.Get(e.Key); !ok || v != e.Value.Reveal() {
			keys = append(keys, e.Key)
		}
	}
	return keys
}

// Files are those that references of a connector lead to.
func (p *Providers) Files(c *Connector) []string {
	var files []string
	for _, e := range c.Entries {
		for _, parts := range reference.FindAllStringSubmatch(e.Raw, -1) {
			path := ""
			switch provider := p.byName[parts[1]]; {
			case provider.kind == ofFile:
				path = parts[3]
			case provider.kind == ofFolder:
				path = filepath.Join(parts[3], parts[4])
			}
			if path != "" && !slices.Contains(files, path) {
				files = append(files, path)
			}
		}
	}
	return files
}
