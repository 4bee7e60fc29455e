// Package schemas translates numbers of schemas between the host and one instance of a plugin: in rows, and inside
// dynamic values and headers (mentions.go).
package schemas

import (
	"github.com/culvert-project/culvert/host/plugin/internal/abi"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// Numbers translates between the host's numbers for schemas and those of one instance. Outside of package plugin only
// the host's exist; inside a guest both do, and either side may name the other's. It is for one goroutine.
type Numbers struct {
	registry *record.Registry
	// known are the host's that the instance knows, which stay registered as long as it may name them; pending those
	// that come with the call under way.
	known   map[uint32]*record.Schema
	pending []uint32
	// declared maps the guest's ids to the host's.
	declared map[uint32]*record.Schema
	// own are those that were declared, under one number or several.
	own map[*record.Schema]struct{}
	// knownBytes and declaredBytes are what they take.
	knownBytes, declaredBytes int
	// batch is the batch whose rows are being taken over.
	batch *record.Batch
	// references is a buffer.
	references []schemaReference
	// callerErr reports whether values are to be read no further; nil: they are.
	callerErr func() error
}

const (
	// maxDeclaredSchemas is how many schemas an instance may declare.
	maxDeclaredSchemas = 10_000
	// maxInstanceSchemaBytes is how many bytes the schemas may have together that an instance declares. One that was
	// given as many, or more than maxDeclaredSchemas, is replaced by a fresh instance, which is given what it needs
	// again.
	maxInstanceSchemaBytes = 32 << 20
)

// New has the numbers of an instance that knows none yet. ended reports whether what a call returned is to be read no
// further, by an error; nil: it never is.
func New(registry *record.Registry, ended func() error) Numbers {
	return Numbers{registry: registry, callerErr: ended}
}

// Fill names the batch whose rows are being taken over, nil for none: it holds the schemas that they name.
func (s *Numbers) Fill(b *record.Batch) { s.batch = b }

// Worn reports whether the instance has so many schemas that it should be replaced: one that declares some from time to
// time, such as after changes of a service's metadata, is replaced long before it may declare no more.
func (s *Numbers) Worn() bool {
	return s.knownBytes > maxInstanceSchemaBytes || len(s.known) > maxDeclaredSchemas ||
		s.declaredBytes > maxInstanceSchemaBytes/2 || len(s.declared) > maxDeclaredSchemas/2
}

// Need puts a schema of the host's among those that go with the call, unless the instance has it.
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

// Sent settles what was pending: a call that failed may not have looked at its schemas, so they will be given again.
func (s *Numbers) Sent(ok bool) {
	if !ok {
		for _, id := range s.pending {
			s.knownBytes -= s.known[id].Size
			delete(s.known, id)
		}
	}
	s.pending = s.pending[:0]
}

// Pending is the pending schemas as they cross.
func (s *Numbers) Pending() []wit.Schema {
	list := make([]wit.Schema, len(s.pending))
	for i, id := range s.pending {
		list[i] = s.known[id].Wit()
	}
	return list
}

// Declare registers schemas that the guest made.
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

// Adopt registers a schema outside of rows and puts the host's id into it. It may also be one of the host's that the
// guest was given.
func (s *Numbers) Adopt(w *wit.Schema) (err error) {
	if w.ID < wit.GuestSchemas {
		w.ID, err = s.Host(w.ID)
		return err
	}
	w.ID, err = s.declareOne(w)
	return err
}

// Host is the host's id for one that a guest names; the batch that is being filled holds it.
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
		s.batch.Hold(found)
	}
	return found.ID, nil
}
