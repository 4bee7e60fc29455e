package record

import (
	"reflect"
	"strconv"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Schemas maps the numbers of schemas to schemas: the host's, and those that the plugin declares.
type Schemas struct {
	byID     map[uint32][]wit.SchemaNode
	declared [][]wit.SchemaNode // the plugin's schemas
	first    uint32             // number of declared[0]
	pending  []wit.Schema       // declared schemas that the host does not know yet
}

// NewSchemas returns an empty set of schemas.
func NewSchemas() Schemas {
	return Schemas{byID: map[uint32][]wit.SchemaNode{}, first: wit.GuestSchemas}
}

const MaxDeclared = 1000 // declared schemas at which Forget discards them

// Forget discards the declared schemas if there are too many, and reports whether it did. Then all cached results are
// invalid, and schemas that are declared again get new numbers.
func (s *Schemas) Forget() bool {
	if len(s.declared) < MaxDeclared {
		return false
	}
	for i := range s.declared {
		delete(s.byID, s.first+uint32(i))
	}
	s.first += uint32(len(s.declared))
	s.declared = nil
	return true
}

// Add adds schemas of the host.
func (s *Schemas) Add(list []wit.Schema) {
	for i := range list {
		s.byID[list[i].ID] = list[i].Nodes
	}
}

// DrainPending returns the schemas that were declared since its last call, and forgets that the host needs them.
func (s *Schemas) DrainPending() []wit.Schema {
	list := s.pending
	s.pending = nil
	return list
}

// Nodes returns a schema, or nil if it is unknown.
func (s *Schemas) Nodes(id uint32) []wit.SchemaNode { return s.byID[id] }

// lookup is Nodes with an error for an unknown schema.
func (s *Schemas) lookup(id uint32) ([]wit.SchemaNode, error) {
	nodes := s.byID[id]
	if nodes == nil {
		return nil, &wit.Error{Kind: wit.ErrorInternal,
			Message: "schema " + strconv.FormatUint(uint64(id), 10) + " was not declared to this instance"}
	}
	return nodes, nil
}

// Declare returns the number of a schema, which it adds if necessary.
func (s *Schemas) Declare(nodes []wit.SchemaNode) uint32 {
	for i := range s.declared {
		if reflect.DeepEqual(s.declared[i], nodes) {
			return s.first + uint32(i)
		}
	}
	id := s.first + uint32(len(s.declared))
	s.declared = append(s.declared, nodes)
	s.byID[id] = nodes
	s.pending = append(s.pending, wit.Schema{ID: id, Nodes: nodes})
	return id
}

// DeclareChecked is Declare for the result of transforms, which may be invalid.
func (s *Schemas) DeclareChecked(nodes []wit.SchemaNode, stage int) (uint32, *Failure) {
	if _, err := connectdata.CheckSchema(nodes); err != nil {
		return 0, DataFailure(stage, "the transforms result in an invalid schema: "+err.Error())
	}
	return s.Declare(nodes), nil
}

// MaxCached is the maximum size of each cache: chains of an engine, routes of a chain, programs.
const MaxCached = 1000

// SchemaCache holds what an operation compiled for schemas, by their numbers.
type SchemaCache[P any] struct {
	byID    map[uint32]P
	last    P      // result of the last Get, for schema lastID if hasLast is true
	lastID  uint32 // schema of the last Get
	hasLast bool
}

// Get returns the entry of a schema, which compile creates if there is none.
func (c *SchemaCache[P]) Get(s *Schemas, schema uint32, compile func([]wit.SchemaNode) P) (P, error) {
	if c.hasLast && c.lastID == schema {
		return c.last, nil
	}
	result, ok := c.byID[schema]
	if !ok {
		nodes, err := s.lookup(schema)
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
func (c *SchemaCache[P]) Last() (schema uint32, result P, ok bool) {
	return c.lastID, c.last, c.hasLast
}

// AppendNode appends a copy of a node with its children, parents first.
func AppendNode(dst, nodes []wit.SchemaNode, node uint32) []wit.SchemaNode {
	return AppendNodeFunc(dst, node, "", func(node uint32, _ string) wit.SchemaNode { return nodes[node] })
}

// AppendNodeFunc is AppendNode for nodes that nodeOf returns by number and field name, "" for items, keys and the root.
func AppendNodeFunc(dst []wit.SchemaNode, node uint32, name string,
	nodeOf func(node uint32, name string) wit.SchemaNode) []wit.SchemaNode {
	index := len(dst)
	schemaNode := nodeOf(node, name)
	dst = append(dst, schemaNode)
	copyChild := func(child uint32, name string) uint32 {
		id := uint32(len(dst))
		dst = AppendNodeFunc(dst, child, name, nodeOf)
		return id
	}
	switch schemaNode.Kind {
	case wit.Array:
		schemaNode.Element = copyChild(schemaNode.Element, "")
	case wit.Map:
		schemaNode.Key = copyChild(schemaNode.Key, "")
		schemaNode.Element = copyChild(schemaNode.Element, "")
	case wit.Struct:
		schemaNode.Fields = append([]wit.Field(nil), schemaNode.Fields...)
		for i := range schemaNode.Fields {
			schemaNode.Fields[i].Node = copyChild(schemaNode.Fields[i].Node, schemaNode.Fields[i].Name)
		}
	}
	dst[index] = schemaNode
	return dst
}

// CopyMetadata returns a required struct without fields and default that has the name, version and parameters of root.
func CopyMetadata(root *wit.SchemaNode) wit.SchemaNode {
	return wit.SchemaNode{Kind: wit.Struct, Name: root.Name, Version: root.Version, Doc: root.Doc,
		Parameters: root.Parameters}
}

// Branch returns the union branch before values that are not null, empty for required types.
func Branch(node *wit.SchemaNode) []byte { return connectdata.AppendBranch(nil, node, false) }

// NullBranch returns the encoding of a null.
func NullBranch(node *wit.SchemaNode) []byte { return connectdata.AppendBranch(nil, node, true) }
