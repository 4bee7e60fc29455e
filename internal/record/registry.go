// Package record has schemas with process-wide numbers, and batches of rows with their bytes in one buffer.
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

// maxRegistryBytes bounds the schemas of one connector that are in use, as [connectdata.CheckSchema] counts them: each
// page of a source and each record of a sink can bring new ones.
const maxRegistryBytes = 64 << 20

// Registry numbers schemas: equal schemas have one number, below [wit.GuestSchemas], as long as something references
// them: a plugin instance, a batch ([Batch.Retain]) or a converter. Other schemas are forgotten, and their numbers are
// not used again. Number 0 means no schema. A registry is safe for concurrent use.
type Registry struct {
	*store
	owner *account
}

// store is shared by all registries of a process.
type store struct {
	mu     guard.RWMutex
	last   uint32
	byID   map[uint32]weak.Pointer[Schema]
	byText map[[sha256.Size]byte]registration
	owners map[string]*account
}

// registration is the last schema with a text. The schema may be unused: then its pointer is nil.
type registration struct {
	id     uint32
	schema weak.Pointer[Schema]
}

// account has the schemas that one connector has registered.
type account struct {
	permanent bool // whether retained keeps all schemas for ever: no connector owns them
	retained  []*Schema
	bytes     int
	entries   map[uint32]entry // by the schema's number
	lastGC    time.Time        // the last garbage collection because the registry was full
}

// entry has what is deleted together with a schema.
type entry struct {
	text   [sha256.Size]byte
	size   int
	schema weak.Pointer[Schema]
}

// Schema is a registered schema. It is not modified and can be compared by its pointer.
type Schema struct {
	ID    uint32
	Nodes []wit.SchemaNode
	Size  int // as [connectdata.CheckSchema] counts
}

// Root returns node 0.
func (s *Schema) Root() *wit.SchemaNode { return &s.Nodes[0] }

// Wit returns the schema for a plugin.
func (s *Schema) Wit() wit.Schema { return wit.Schema{ID: s.ID, Nodes: s.Nodes} }

// NewRegistry returns an empty registry. It keeps schemas for ever, except through [Registry.ForConnector].
func NewRegistry() *Registry {
	return &Registry{
		store: &store{
			byID:   map[uint32]weak.Pointer[Schema]{},
			byText: map[[sha256.Size]byte]registration{},
			owners: map[string]*account{},
		},
		owner: &account{permanent: true, entries: map[uint32]entry{}},
	}
}

// ForConnector returns a registry with the same schemas, in which new ones count for a connector.
func (r *Registry) ForConnector(connector string) *Registry {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.owners[connector]
	if a == nil {
		a = &account{entries: map[uint32]entry{}}
		r.owners[connector] = a
	}
	return &Registry{store: r.store, owner: a}
}

// Intern returns the registered schema with these nodes, and registers it if it is new. It returns an error if
// [connectdata.CheckSchema] does, or the connector has too many.
func (r *Registry) Intern(nodes []wit.SchemaNode) (*Schema, error) {
	size, err := connectdata.CheckSchema(nodes)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(fingerprint(nodes))
	r.mu.RLock()
	schema := r.byText[digest].schema.Value()
	r.mu.RUnlock()
	if schema != nil && !r.owner.permanent { // a permanent owner must retain it
		return schema, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if schema := r.byText[digest].schema.Value(); schema != nil {
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
	r.byID[schema.ID] = p
	r.byText[digest] = registration{id: schema.ID, schema: p}
	r.owner.entries[schema.ID] = entry{text: digest, size: size, schema: p}
	r.owner.bytes += size
	r.retainForever(schema)
	store := r.store
	owner := r.owner
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

// ensureCapacity returns an error if the connector has no room for a schema. If the registry is full it runs a garbage
// collection, at most once a second, to find and remove unused schemas. r.mu is locked.
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

// remove deletes an unused schema; s.mu is locked.
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

// Get returns a schema by its number, or nil.
func (r *Registry) Get(id uint32) *Schema {
	r.mu.RLock()
	p := r.byID[id]
	r.mu.RUnlock()
	return p.Value()
}

// fingerprint is equal for equal node lists only: every field has its length, or is complete.
func fingerprint(nodes []wit.SchemaNode) []byte {
	b := make([]byte, 0, 64*len(nodes))
	num := func(n uint64) { // as LEB128
		for n >= 0x80 {
			b = append(b, byte(n)|0x80)
			n >>= 7
		}
		b = append(b, byte(n))
	}
	str := func(s string) { num(uint64(len(s))); b = append(b, s...) }
	option := func(s *string) {
		if s == nil {
			b = append(b, 0)
			return
		}
		b = append(b, 1)
		str(*s)
	}
	for i := range nodes {
		n := &nodes[i]
		b = append(b, byte(n.Kind), boolByte(n.Optional))
		option(n.Name)
		option(n.Doc)
		b = append(b, boolByte(n.Version != nil))
		if n.Version != nil {
			num(uint64(uint32(*n.Version)))
		}
		b = append(b, boolByte(n.DefaultValue != nil))
		if n.DefaultValue != nil {
			str(string(*n.DefaultValue))
		}
		num(uint64(len(n.Parameters)))
		for _, p := range n.Parameters {
			str(p.Name)
			str(p.Value)
		}
		num(uint64(len(n.Fields)))
		for _, m := range n.Fields {
			str(m.Name)
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
