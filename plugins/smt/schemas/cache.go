package schemas

import (
	"github.com/culvert-project/culvert/wit"
)

// MaxCached is the maximum size of each cache: chains of an engine, routes of a chain, programs.
const MaxCached = 1000

// Cache holds what an operation compiled for schemas, by their numbers.
type Cache[P any] struct {
	byID    map[uint32]P
	last    P      // result of the last Get, for schema lastID if hasLast is true
	lastID  uint32 // schema of the last Get
	hasLast bool
}

// Get returns the entry of a schema, which compile creates if there is none.
func (c *Cache[P]) Get(s *Registry, schema uint32, compile func([]wit.SchemaNode) P) (P, error) {
	if c.hasLast && c.lastID == schema {
		return c.last, nil
	}
	result, ok := c.byID[schema]
	if !ok {
		nodes, err := s.Lookup(schema)
		if err != nil {
			return result, err
		}
		if c.byID == nil || len(c.byID) >= MaxCached {
			c.byID = map[uint32]P{}
		}
		result = compile(nodes)
		c.byID[schema] = result
	}
	c.last = result
	c.lastID = schema
	c.hasLast = true
	return result, nil
}

// Last returns the result of the last Get and its schema. ok is false before the first Get.
func (c *Cache[P]) Last() (schema uint32, result P, ok bool) { return c.lastID, c.last, c.hasLast }
