// Package schemas translates schema IDs between the host and one instance of a plugin: in rows, and inside dynamic
// values and headers (mentions.go).
package schemas

import (
	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// Numbers translates between the host's schema IDs and those of one instance. Outside of package plugin only the
// host's are used; a guest uses both. It is for one goroutine.
type Numbers struct {
	registry *record.Registry
	// known are the host's schemas that the instance has received and may refer to; pending ones are sent with the
	// current call.
	known                     map[uint32]*record.Schema
	pending                   []uint32
	declared                  map[uint32]*record.Schema
	own                       map[*record.Schema]struct{}
	knownBytes, declaredBytes int
	// batch receives references to the schemas of its rows.
	batch      *record.Batch
	references []schemaReference
	// callerErr returns an error to stop reading; may be nil.
	callerErr func() error
}

const (
	// maxDeclaredSchemas is how many schemas an instance may declare.
	maxDeclaredSchemas = 10_000
	// maxInstanceSchemaBytes bounds the schemas that an instance declares. An instance that has received as many, or
	// more than maxDeclaredSchemas, is replaced.
	maxInstanceSchemaBytes = 32 << 20
)

// New returns the Numbers of a new instance.
func New(registry *record.Registry, ended func() error) Numbers {
	return Numbers{registry: registry, callerErr: ended}
}

// SetBatch sets the batch that holds referenced schemas, nil for none.
func (s *Numbers) SetBatch(b *record.Batch) { s.batch = b }

// NeedsRecycling reports whether the instance has so many schemas that it should be replaced, long before it reaches a
// limit.
func (s *Numbers) NeedsRecycling() bool {
	return s.knownBytes > maxInstanceSchemaBytes || len(s.known) > maxDeclaredSchemas ||
		s.declaredBytes > maxInstanceSchemaBytes/2 || len(s.declared) > maxDeclaredSchemas/2
}

// Need adds a schema to the pending ones unless the instance has it.
func (s *Numbers) Need(id uint32) error {
	if s.known[id] != nil {
		return nil
	}
	registered := s.registry.Get(id)
	if registered == nil {
		return abi.Refused("a row names schema %d, which is not registered", id)
	}
	if s.known == nil {
		s.known = map[uint32]*record.Schema{}
	}
	s.known[id] = registered
	s.knownBytes += registered.Size
	s.pending = append(s.pending, id)
	return nil
}

// Sent clears the pending schemas; after a failed call they will be sent again.
func (s *Numbers) Sent(ok bool) {
	if !ok {
		for _, id := range s.pending {
			s.knownBytes -= s.known[id].Size
			delete(s.known, id)
		}
	}
	s.pending = s.pending[:0]
}

// Pending returns the pending schemas.
func (s *Numbers) Pending() []wit.Schema {
	list := make([]wit.Schema, len(s.pending))
	for i, id := range s.pending {
		list[i] = s.known[id].Wit()
	}
	return list
}

// Declare registers schemas of the guest.
func (s *Numbers) Declare(list []wit.Schema) error {
	for i := range list {
		if s.callerErr != nil {
			if err := s.callerErr(); err != nil {
				return err
			}
		}
		if _, err := s.declareOne(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Numbers) declareOne(w *wit.Schema) (uint32, error) {
	if w.ID < wit.GuestSchemas {
		return 0, abi.Violated("declares schema %d: expected an id of %d or above, those below are the host's", w.ID,
			uint32(wit.GuestSchemas))
	}
	before := s.declared[w.ID]
	if before == nil && len(s.declared) >= maxDeclaredSchemas {
		return 0, abi.Violated("declares more than %d schemas", maxDeclaredSchemas)
	}
	registered, err := s.registry.Intern(w.Nodes)
	switch {
	case err != nil:
		return 0, abi.Violated("declares schema %#x: %v", w.ID, err)
	case before != nil && before != registered:
		return 0, abi.Violated("declares schema %#x twice with different nodes", w.ID)
	case before != nil:
		return before.ID, nil
	case s.declared == nil:
		s.declared, s.own = map[uint32]*record.Schema{}, map[*record.Schema]struct{}{}
	}
	if _, known := s.own[registered]; !known {
		if s.declaredBytes+registered.Size > maxInstanceSchemaBytes {
			return 0, abi.Violated("declares schemas of more than %d bytes", maxInstanceSchemaBytes)
		}
		s.own[registered] = struct{}{}
		s.declaredBytes += registered.Size
	}
	s.declared[w.ID] = registered
	return registered.ID, nil
}

// Register registers a schema outside of rows, or finds a host's one, and sets its ID.
func (s *Numbers) Register(w *wit.Schema) (err error) {
	if w.ID < wit.GuestSchemas {
		w.ID, err = s.Host(w.ID)
		return err
	}
	w.ID, err = s.declareOne(w)
	return err
}

// Host returns the host's ID of a schema and adds it to the batch.
func (s *Numbers) Host(id uint32) (uint32, error) {
	found := s.declared[id]
	if id < wit.GuestSchemas {
		if found = s.known[id]; found == nil {
			return 0, abi.Violated("names schema %d, which it was not given", id)
		}
	}
	if found == nil {
		return 0, abi.Violated("names schema %#x, which it has not declared", id)
	}
	if s.batch != nil {
		s.batch.Retain(found)
	}
	return found.ID, nil
}
