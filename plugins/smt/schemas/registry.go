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
	byID     map[uint32][]wit.SchemaNode
	declared [][]wit.SchemaNode // the plugin's schemas, from number first on
	first    uint32
	pending  []wit.Schema // declared schemas that the host does not know yet
}

// NewRegistry returns an empty registry.
func NewRegistry() Registry {
	return Registry{byID: map[uint32][]wit.SchemaNode{}, first: wit.GuestSchemas}
}

const MaxDeclared = 1000 // declared schemas at which Forget discards them

// Forget discards the declared schemas if there are too many, and reports whether it did. Then all cached results are
// invalid, and schemas that are declared again get new numbers.
func (r *Registry) Forget() bool {
	if len(r.declared) < MaxDeclared {
		return false
	}
	for i := range r.declared {
		delete(r.byID, r.first+uint32(i))
	}
	r.first += uint32(len(r.declared))
	r.declared = nil
	return true
}

// Add adds schemas of the host.
func (r *Registry) Add(list []wit.Schema) {
	for i := range list {
		r.byID[list[i].ID] = list[i].Nodes
	}
}

// DrainPending returns the schemas that were declared since its last call, and forgets that the host needs them.
func (r *Registry) DrainPending() []wit.Schema {
	list := r.pending
	r.pending = nil
	return list
}

// Nodes returns a schema, or nil if it is unknown.
func (r *Registry) Nodes(id uint32) []wit.SchemaNode { return r.byID[id] }

// Lookup is Nodes with an error for an unknown schema.
func (r *Registry) Lookup(id uint32) ([]wit.SchemaNode, error) {
	nodes := r.byID[id]
	if nodes == nil {
		return nil, &wit.Error{Kind: wit.ErrorInternal,
			Message: "schema " + strconv.FormatUint(uint64(id), 10) + " was not declared to this instance"}
	}
	return nodes, nil
}

// Declare returns the number of a schema, which it adds if necessary.
func (r *Registry) Declare(nodes []wit.SchemaNode) uint32 {
	for i := range r.declared {
		if reflect.DeepEqual(r.declared[i], nodes) {
			return r.first + uint32(i)
		}
	}
	id := r.first + uint32(len(r.declared))
	r.declared = append(r.declared, nodes)
	r.byID[id] = nodes
	r.pending = append(r.pending, wit.Schema{ID: id, Nodes: nodes})
	return id
}

// DeclareChecked is Declare for the result of transforms, which may be invalid.
func (r *Registry) DeclareChecked(nodes []wit.SchemaNode, stage int) (uint32, *rowerror.Failure) {
	if _, err := connectdata.CheckSchema(nodes); err != nil {
		return 0, rowerror.Data(stage, "the transforms result in an invalid schema: "+err.Error())
	}
	return r.Declare(nodes), nil
}
