package plugin

import (
	"github.com/culvert-project/culvert/host/abi"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// schemas translates between the host's numbers for schemas and those of one instance. Outside this package only the host's
// exist; inside a guest both do, and either side may name the other's.
type schemas struct {
	registry *record.Registry
	// given is the set of the host's ids that the instance knows, pending those that come with the call under way.
	given   []uint64
	pending []uint32
	// declared maps the guest's ids to the host's.
	declared map[uint32]uint32
	// mentions is a buffer.
	mentions []mention
}

// maxDeclared is how many schemas an instance may declare: the registry keeps them for as long as the process runs.
const maxDeclared = 10_000

func (s *schemas) has(id uint32) bool {
	return int(id/64) < len(s.given) && s.given[id/64]&(1<<(id%64)) != 0
}

// need puts a schema of the host's among those that go with the call, unless the instance has it.
func (s *schemas) need(id uint32) error {
	if s.has(id) {
		return nil
	}
	if s.registry.Get(id) == nil {
		return abi.Refused("a row names schema %d, which is not registered", id)
	}
	for int(id/64) >= len(s.given) {
		s.given = append(s.given, 0)
	}
	s.given[id/64] |= 1 << (id % 64)
	s.pending = append(s.pending, id)
	return nil
}

// sent settles what was pending: a call that failed may not have looked at its schemas, so they will be given again.
func (s *schemas) sent(ok bool) {
	if !ok {
		for _, id := range s.pending {
			s.given[id/64] &^= 1 << (id % 64)
		}
	}
	s.pending = s.pending[:0]
}

// list is the pending schemas as they cross.
func (s *schemas) list() []wit.Schema {
	list := make([]wit.Schema, len(s.pending))
	for i, id := range s.pending {
		list[i] = s.registry.Get(id).Wit()
	}
	return list
}

// declare registers schemas that the guest made.
func (s *schemas) declare(list []wit.Schema) error {
	for i := range list {
		if _, err := s.declareOne(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *schemas) declareOne(w *wit.Schema) (uint32, error) {
	if w.ID < wit.GuestSchemas {
		return 0, abi.Violated("declares schema %d: expected an id of %d or above, those below are the host's", w.ID, uint32(wit.GuestSchemas))
	}
	before, known := s.declared[w.ID]
	if !known && len(s.declared) >= maxDeclared {
		return 0, abi.Violated("declares more than %d schemas", maxDeclared)
	}
	registered, err := s.registry.Intern(w.Nodes)
	switch {
	case err != nil:
		return 0, abi.Violated("declares schema %#x: %v", w.ID, err)
	case known && before != registered.ID:
		return 0, abi.Violated("declares schema %#x twice with different nodes", w.ID)
	case s.declared == nil:
		s.declared = map[uint32]uint32{}
	}
	s.declared[w.ID] = registered.ID
	return registered.ID, nil
}

// adopt registers a schema outside of rows and puts the host's id into it. It may also be one of the host's that the guest was
// given.
func (s *schemas) adopt(w *wit.Schema) (err error) {
	if w.ID < wit.GuestSchemas {
		w.ID, err = s.host(w.ID)
		return err
	}
	w.ID, err = s.declareOne(w)
	return err
}

// host is the host's id for one that a guest names.
func (s *schemas) host(id uint32) (uint32, error) {
	if id >= wit.GuestSchemas {
		if h, ok := s.declared[id]; ok {
			return h, nil
		}
		return 0, abi.Violated("names schema %#x, which it has not declared", id)
	}
	if !s.has(id) {
		return 0, abi.Violated("names schema %d, which it was not given", id)
	}
	return id, nil
}
