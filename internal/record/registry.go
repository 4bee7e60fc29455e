// Package record holds what moves through the host: schemas under the host's numbers, and batches of rows with one
// arena of bytes. It does not know where rows come from or go to.
package record

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
	"weak"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// maxRegistryBytes is how many bytes the schemas of one connector may have together that are in use at the same time,
// as
// [connectdata.CheckSchema] counts them. Every page of a source and every record of a sink can bring new ones.
const maxRegistryBytes = 64 << 20

// Registry numbers schemas: equal structures have one number, below [wit.GuestSchemas], for as long as somebody names
// them: an instance of a plugin that has declared them or was given them, a batch with rows of them ([Batch.Retain]), a
// converter that has compiled them. What nobody names is forgotten, and its number is not used again. A registry is
// safe for use by several goroutines. Id 0 is never given out: it stands for "no schema" in a datum without one.
type Registry struct {
	*store
	owner *account
}

// store is what all registries of a process share.
type store struct {
	mu     guard.RWMutex
	last   uint32
	byID   map[uint32]weak.Pointer[Schema]
	byText map[[sha256.Size]byte]registration
	owners map[string]*account
}

type registration struct {
	id     uint32
	schema weak.Pointer[Schema]
}

// account is what one connector has registered.
type account struct {
	// kept are held for good: those of the registry that belongs to nobody.
	permanent bool
	retained  []*Schema
	bytes     int
	entries   map[uint32]entry
	// lastGC is when it was last full and the collector was asked.
	lastGC time.Time
}

// entry is what has to go when a schema does.
type entry struct {
	text   [sha256.Size]byte
	size   int
	schema weak.Pointer[Schema]
}

// Schema is a registered schema: immutable, comparable by pointer.
type Schema struct {
	ID    uint32
	Nodes []wit.SchemaNode
	// Size is what [connectdata.CheckSchema] counts.
	Size int
}

// Root is node 0.
func (s *Schema) Root() *wit.SchemaNode { return &s.Nodes[0] }

// Wit is the schema as it crosses the boundary.
func (s *Schema) Wit() wit.Schema { return wit.Schema{ID: s.ID, Nodes: s.Nodes} }

// NewRegistry returns an empty registry. What is registered through itself, and not through one made by
// [Registry.ForConnector], it never forgets.
func NewRegistry() *Registry {
	return &Registry{&store{byID: map[uint32]weak.Pointer[Schema]{}, byText: map[[sha256.Size]byte]registration{},
		owners: map[string]*account{}},
		&account{permanent: true, entries: map[uint32]entry{}}}
}

// ForConnector is the registry with the same schemas and numbers in which what is new counts for a connector, up to
// [maxRegistryBytes].
func (r *Registry) ForConnector(connector string) *Registry {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.owners[connector]
	if a == nil {
		a = &account{entries: map[uint32]entry{}}
		r.owners[connector] = a
	}
	return &Registry{r.store, a}
}

// Intern returns the registered schema with these nodes, registering it if it is new. It refuses what
// [connectdata.CheckSchema] does, and what is too much for the connector.
func (r *Registry) Intern(nodes []wit.SchemaNode) (*Schema, error) {
	size, err := connectdata.CheckSchema(nodes)
	if err != nil {
		return nil, err
	}
	text := sha256.Sum256(fingerprint(nodes))
	r.mu.RLock()
	schema := r.byText[text].schema.Value()
	r.mu.RUnlock()
	if schema != nil && !r.owner.permanent {
		return schema, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if schema := r.byText[text].schema.Value(); schema != nil {
		r.retainForever(schema)
		return schema, nil
	}
	if err := r.ensureCapacity(size); err != nil {
		return nil, err
	}
	if r.last == wit.GuestSchemas-1 {
		return nil, errors.New("schema: all numbers are used up: restart the worker")
	}
	r.last++
	schema = &Schema{ID: r.last, Nodes: slices.Clone(nodes), Size: size}
	p := weak.Make(schema)
	r.byID[schema.ID], r.byText[text] = p, registration{schema.ID, p}
	r.owner.entries[schema.ID] = entry{text, size, p}
	r.owner.bytes += size
	r.retainForever(schema)
	store, owner := r.store, r.owner
	runtime.AddCleanup(schema, func(id uint32) {
		store.mu.Lock()
		defer store.mu.Unlock()
		store.remove(owner, id)
	}, schema.ID)
	return schema, nil
}

func (r *Registry) retainForever(s *Schema) {
	if r.owner.permanent {
		r.owner.retained = append(r.owner.retained, s)
	}
}

// ensureCapacity sees to room for a schema of that size; r.mu is held. What nobody names is known for certain only
// after the collector has run, so it is asked where there is too much, at most once a second.
func (r *Registry) ensureCapacity(size int) error {
	account := r.owner
	if account.permanent || account.bytes+size <= maxRegistryBytes {
		return nil
	}
	if now := time.Now(); now.Sub(account.lastGC) >= time.Second {
		runtime.GC()
		for id, e := range account.entries {
			if e.schema.Value() == nil {
				r.remove(account, id)
			}
		}
		account.lastGC = time.Now()
	}
	if account.bytes+size > maxRegistryBytes {
		return fmt.Errorf("schema: expected at most %d bytes of schemas of one connector that are in use, found %d",
			maxRegistryBytes, account.bytes+size)
	}
	return nil
}

// remove takes a schema out that nobody names; s.mu is held.
func (s *store) remove(account *account, id uint32) {
	e, ok := account.entries[id]
	if !ok {
		return
	}
	delete(account.entries, id)
	delete(s.byID, id)
	if s.byText[e.text].id == id {
		delete(s.byText, e.text)
	}
	account.bytes -= e.size
}

// Get returns the schema with this id, or nil.
func (r *Registry) Get(id uint32) *Schema {
	r.mu.RLock()
	p := r.byID[id]
	r.mu.RUnlock()
	return p.Value()
}

// fingerprint is equal for equal node lists only: every field is written with its length or in full.
func fingerprint(nodes []wit.SchemaNode) []byte {
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
		b = append(b, byte(n.Kind), boolByte(n.Optional))
		option(n.Name)
		option(n.Doc)
		if b = append(b, boolByte(n.Version != nil)); n.Version != nil {
			num(uint64(uint32(*n.Version)))
		}
		if b = append(b, boolByte(n.DefaultValue != nil)); n.DefaultValue != nil {
			text(string(*n.DefaultValue))
		}
		num(uint64(len(n.Parameters)))
		for _, p := range n.Parameters {
			text(p.Name)
			text(p.Value)
		}
		num(uint64(len(n.Fields)))
		for _, m := range n.Fields {
			text(m.Name)
			num(uint64(m.Node))
		}
		num(uint64(n.Key))
		num(uint64(n.Element))
	}
	return b
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}
