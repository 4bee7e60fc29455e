// Package record holds what moves through the host: schemas under the host's numbers, and batches of rows with one arena of
// bytes. It does not know where rows come from or go to.
package record

import (
	"slices"
	"sync"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// Registry numbers schemas: equal structures have one number, below [wit.GuestSchemas], for as long as the process runs. It is
// safe for use by several goroutines. Id 0 is never given out: it stands for "no schema" in a datum without one.
type Registry struct {
	mu      sync.RWMutex
	schemas []*Schema
	byText  map[string]*Schema
}

// Schema is a registered schema: immutable, comparable by pointer.
type Schema struct {
	ID    uint32
	Nodes []wit.Node
	// Size is what [datum.CheckSchema] counts.
	Size int
}

// Root is node 0.
func (s *Schema) Root() *wit.Node { return &s.Nodes[0] }

// Wit is the schema as it crosses the boundary.
func (s *Schema) Wit() wit.Schema { return wit.Schema{ID: s.ID, Nodes: s.Nodes} }

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{schemas: []*Schema{nil}, byText: map[string]*Schema{}}
}

// Intern returns the registered schema with these nodes, registering it if it is new. It refuses what [datum.CheckSchema] does.
func (r *Registry) Intern(nodes []wit.Node) (*Schema, error) {
	size, err := datum.CheckSchema(nodes)
	if err != nil {
		return nil, err
	}
	text := fingerprint(nodes)
	r.mu.RLock()
	s := r.byText[text]
	r.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.byText[text]; s != nil {
		return s, nil
	}
	s = &Schema{ID: uint32(len(r.schemas)), Nodes: slices.Clone(nodes), Size: size}
	r.schemas = append(r.schemas, s)
	r.byText[text] = s
	return s, nil
}

// Get returns the schema with this id, or nil.
func (r *Registry) Get(id uint32) *Schema {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if id == 0 || int(id) >= len(r.schemas) {
		return nil
	}
	return r.schemas[id]
}

// fingerprint is equal for equal node lists only: every field is written with its length or in full.
func fingerprint(nodes []wit.Node) string {
	b := make([]byte, 0, 64*len(nodes))
	num := func(n uint64) {
		for n >= 0x80 {
			b = append(b, byte(n)|0x80)
			n >>= 7
		}
		b = append(b, byte(n))
	}
	text := func(s string) { num(uint64(len(s))); b = append(b, s...) }
	option := func(s *string) {
		if s == nil {
			b = append(b, 0)
			return
		}
		b = append(b, 1)
		text(*s)
	}
	for i := range nodes {
		n := &nodes[i]
		b = append(b, byte(n.Kind), flag(n.Optional))
		option(n.Name)
		option(n.Doc)
		if b = append(b, flag(n.Version != nil)); n.Version != nil {
			num(uint64(uint32(*n.Version)))
		}
		if b = append(b, flag(n.DefaultValue != nil)); n.DefaultValue != nil {
			text(string(*n.DefaultValue))
		}
		num(uint64(len(n.Parameters)))
		for _, p := range n.Parameters {
			text(p.Name)
			text(p.Value)
		}
		num(uint64(len(n.Members)))
		for _, m := range n.Members {
			text(m.Name)
			num(uint64(m.Node))
		}
		num(uint64(n.Key))
		num(uint64(n.Element))
	}
	return string(b)
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}
