package schemas

import (
	"github.com/culvert-project/culvert/wit"
)

// MaxCached is how many chains of an engine, routes of a chain, and programs of a stage or route are kept.
const MaxCached = 1000

// Cache are what an operation compiled, by schema.
type Cache[P any] struct {
	known  map[uint32]P
	last   P
	lastID uint32
	filled bool
}

// Get returns what was compiled for a schema; compile makes it.
func (p *Cache[P]) Get(s *Registry, schema uint32, compile func([]wit.SchemaNode) P) (P, error) {
	if p.filled && p.lastID == schema {
		return p.last, nil
	}
	result, ok := p.known[schema]
	if !ok {
		nodes, err := s.Lookup(schema)
		if err != nil {
			return result, err
		}
		if p.known == nil || len(p.known) >= MaxCached {
			p.known = map[uint32]P{}
		}
		result = compile(nodes)
		p.known[schema] = result
	}
	p.last, p.lastID, p.filled = result, schema, true
	return result, nil
}

// Last returns what the last call of of returned, and its schema; ok is false before the first call.
func (p *Cache[P]) Last() (schema uint32, result P, ok bool) { return p.lastID, p.last, p.filled }
