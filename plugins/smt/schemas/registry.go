package schemas

import (
	"reflect"
	"strconv"

	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Registry holds the schemas that the plugin knows by their numbers.
type Registry struct {
	// known holds the schemas of the host, which declares each once per instance, and the plugin's own.
	known map[uint32][]wit.SchemaNode
	// own holds the plugin's own schemas by their number minus first; pending those that the host does not know yet.
	own     [][]wit.SchemaNode
	first   uint32
	pending []wit.Schema
}

// NewRegistry returns an empty registry.
func NewRegistry() Registry {
	return Registry{known: map[uint32][]wit.SchemaNode{}, first: wit.GuestSchemas}
}

// MaxOwn is the number of own schemas from which on forget discards them.
const MaxOwn = 1000

// Forget discards the plugin's own schemas if there are too many, and reports whether it did. All that was compiled
// with their numbers is invalid then. A schema that is made again gets a new number; the host translates both.
func (s *Registry) Forget() bool {
	if len(s.own) < MaxOwn {
		return false
	}
	for i := range s.own {
		delete(s.known, s.first+uint32(i))
	}
	s.first += uint32(len(s.own))
	s.own = nil
	return true
}

// Add adds schemas that the host declared.
func (s *Registry) Add(list []wit.Schema) {
	for i := range list {
		s.known[list[i].ID] = list[i].Nodes
	}
}

// TakePending returns the schemas that the host does not know yet; it knows them afterwards.
func (s *Registry) TakePending() []wit.Schema {
	list := s.pending
	s.pending = nil
	return list
}

// Nodes returns a schema, nil if it is unknown.
func (s *Registry) Nodes(id uint32) []wit.SchemaNode { return s.known[id] }

// Lookup returns a schema.
func (s *Registry) Lookup(id uint32) ([]wit.SchemaNode, error) {
	nodes := s.known[id]
	if nodes == nil {
		return nil, &wit.Error{Kind: wit.ErrorInternal,
			Message: "schema " + strconv.FormatUint(uint64(id), 10) + " was never given to this instance"}
	}
	return nodes, nil
}

// Declare gives a schema of ours its number: that of an equal one where there is one.
func (s *Registry) Declare(nodes []wit.SchemaNode) uint32 {
	for i := range s.own {
		if reflect.DeepEqual(s.own[i], nodes) {
			return s.first + uint32(i)
		}
	}
	id := s.first + uint32(len(s.own))
	s.own = append(s.own, nodes)
	s.known[id] = nodes
	s.pending = append(s.pending, wit.Schema{ID: id, Nodes: nodes})
	return id
}

// DeclareChecked is declare for a schema that transforms have made, which may be none.
func (s *Registry) DeclareChecked(nodes []wit.SchemaNode, stage int) (uint32, *rowerror.Failure) {
	if _, err := connectdata.CheckSchema(nodes); err != nil {
		return 0, rowerror.Data(stage, "the transforms result in an invalid schema: "+err.Error())
	}
	return s.Declare(nodes), nil
}
