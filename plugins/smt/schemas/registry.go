package schemas

import (
	"reflect"
	"strconv"

	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Registry maps the numbers of schemas to schemas: the host's, and those that the plugin declares.
type Registry struct {
	known    map[uint32][]wit.SchemaNode
	declared [][]wit.SchemaNode // the plugin's schemas, from number first on
	first    uint32
	pending  []wit.Schema // declared ones that the host does not know yet
}

func NewRegistry() Registry {
	return Registry{known: map[uint32][]wit.SchemaNode{}, first: wit.GuestSchemas}
}

const MaxDeclared = 1000 // declared schemas at which Forget discards them

// Forget discards the declared schemas if there are too many, and reports whether it did. Then all cached results are
// invalid, and schemas that are declared again get new numbers.
func (s *Registry) Forget() bool {
	if len(s.declared) < MaxDeclared {
		return false
	}
	for i := range s.declared {
		delete(s.known, s.first+uint32(i))
	}
	s.first += uint32(len(s.declared))
	s.declared = nil
	return true
}

func (s *Registry) Add(list []wit.Schema) {
	for i := range list {
		s.known[list[i].ID] = list[i].Nodes
	}
}

// DrainPending returns the schemas that were declared since the last call.
func (s *Registry) DrainPending() []wit.Schema {
	list := s.pending
	s.pending = nil
	return list
}

func (s *Registry) Nodes(id uint32) []wit.SchemaNode { return s.known[id] }

// Lookup is Nodes with an error for an unknown schema.
func (s *Registry) Lookup(id uint32) ([]wit.SchemaNode, error) {
	nodes := s.known[id]
	if nodes == nil {
		return nil, &wit.Error{Kind: wit.ErrorInternal,
			Message: "schema " + strconv.FormatUint(uint64(id), 10) + " was not declared to this instance"}
	}
	return nodes, nil
}

// Declare returns the number of a schema, which it adds if necessary.
func (s *Registry) Declare(nodes []wit.SchemaNode) uint32 {
	for i := range s.declared {
		if reflect.DeepEqual(s.declared[i], nodes) {
			return s.first + uint32(i)
		}
	}
	id := s.first + uint32(len(s.declared))
	s.declared = append(s.declared, nodes)
	s.known[id] = nodes
	s.pending = append(s.pending, wit.Schema{ID: id, Nodes: nodes})
	return id
}

// DeclareChecked is Declare for the result of transforms, which may be invalid.
func (s *Registry) DeclareChecked(nodes []wit.SchemaNode, stage int) (uint32, *rowerror.Failure) {
	if _, err := connectdata.CheckSchema(nodes); err != nil {
		return 0, rowerror.Data(stage, "the transforms result in an invalid schema: "+err.Error())
	}
	return s.Declare(nodes), nil
}
