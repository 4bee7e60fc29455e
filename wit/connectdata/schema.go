package connectdata

import (
	"math"
	"strconv"

	"github.com/culvert-project/culvert/wit"
)

// Limits of schemas. A node counts once for each reference to it, since a schema is processed as a tree: forty nodes
// that refer to the next one twice each would be 2^40 fields. The host rejects schemas that exceed the limits.
const (
	// MaxSchemaDepth is the maximum nesting of nodes, including the root and scalars. It limits the stack of recursive
	// functions over a schema or its values.
	MaxSchemaDepth = 100
	// MaxSchemaFields is the maximum number of fields of all structs. Each takes time for each row.
	MaxSchemaFields = 10_000
	MaxSchemaNodes  = 40_000 // the maximum number of nodes, including elements and keys
	// MaxSchemaBytes bounds names, docs, parameters and defaults, which some converters write with each record.
	MaxSchemaBytes = 4 << 20
	// MaxScale is the maximum absolute scale of a decimal. Arithmetic needs powers of ten with as many digits.
	MaxScale = 1000
)

// nodeBytes is the size that is counted for a node or field in addition to its strings.
const nodeBytes = 8

// CheckSchema returns an error for an invalid schema: one without nodes, with a reference to a missing or lower node,
// or above the limits. size is its size in bytes as counted for [MaxSchemaBytes]. The time is proportional to the
// nodes.
func CheckSchema(nodes []wit.SchemaNode) (size int, err error) {
	if len(nodes) == 0 {
		return 0, schemaError("expected at least one node, found none")
	}
	if len(nodes) > MaxSchemaNodes {
		return 0, tooMany(len(nodes), "nodes", MaxSchemaNodes)
	}
	total := 0
	trees := make([]subtree, len(nodes))
	for i := len(nodes) - 1; i >= 0; i-- { // children, which have higher numbers, come first
		schemaNode := &nodes[i]
		if int(schemaNode.Kind) >= schemaNode.Kind.Cases() {
			return 0, schemaError("node " + strconv.Itoa(i) + ": unknown kind " + strconv.Itoa(int(schemaNode.Kind)))
		}
		if err := checkScale(schemaNode, i); err != nil {
			return 0, err
		}
		nodeSize := textBytes(schemaNode)
		total += nodeSize
		t := subtree{depth: 1, nodes: 1, bytes: uint64(nodeSize)}
		if err := t.addChildren(nodes, trees, i); err != nil {
			return 0, err
		}
		trees[i] = t
	}
	// Unreferenced nodes need memory too.
	size = int(min(max(trees[0].bytes, uint64(total)), math.MaxInt32))
	root := &trees[0]
	switch {
	case root.depth > MaxSchemaDepth:
		return 0, tooMany(int(root.depth), "nodes in each other", MaxSchemaDepth)
	case root.fields > MaxSchemaFields:
		return 0, tooMany(int(root.fields), "fields", MaxSchemaFields)
	case root.nodes > MaxSchemaNodes:
		return 0, tooMany(int(root.nodes), "nodes", MaxSchemaNodes)
	case size > MaxSchemaBytes:
		return 0, tooMany(size, "bytes", MaxSchemaBytes)
	}
	return size, nil
}

// subtree contains the totals of a node and everything below it, at most maxTree each.
type subtree struct{ depth, fields, nodes, bytes uint64 }

// maxTree is above all limits. It prevents an overflow.
const maxTree = math.MaxInt32

// addChildren adds the totals of the children of node i, which must have higher numbers.
func (s *subtree) addChildren(nodes []wit.SchemaNode, trees []subtree, i int) error {
	schemaNode := &nodes[i]
	add := func(label, name string, child uint32) error {
		if int64(child) <= int64(i) || int64(child) >= int64(len(nodes)) {
			return schemaError("node " + strconv.Itoa(i) + ", " + label + shorten(name) + ": expected a node from " +
				strconv.Itoa(i+1) + " to " + strconv.Itoa(len(nodes)-1) + ", found " +
				strconv.FormatUint(uint64(child), 10))
		}
		c := &trees[child]
		s.depth = max(s.depth, c.depth+1)
		s.fields = min(s.fields+c.fields, maxTree)
		s.nodes = min(s.nodes+c.nodes, maxTree)
		s.bytes = min(s.bytes+c.bytes, maxTree)
		return nil
	}
	switch schemaNode.Kind {
	case wit.Array:
		return add("element", "", schemaNode.Element)
	case wit.Map:
		if err := add("key", "", schemaNode.Key); err != nil {
			return err
		}
		return add("element", "", schemaNode.Element)
	case wit.Struct:
		s.fields = uint64(len(schemaNode.Fields))
		names := make(map[string]struct{}, len(schemaNode.Fields))
		for m := range schemaNode.Fields {
			names[schemaNode.Fields[m].Name] = struct{}{}
			if isDuplicate := len(names) == m; isDuplicate {
				return schemaError("node " + strconv.Itoa(i) + ": expected members of different names, found two " +
					"named " + strconv.Quote(shorten(schemaNode.Fields[m].Name)))
			}
			if err := add("member ", schemaNode.Fields[m].Name, schemaNode.Fields[m].Node); err != nil {
				return err
			}
		}
	}
	return nil
}

// shorten returns a name for an error message.
func shorten(name string) string {
	if len(name) > 100 {
		name = name[:100] + "..."
	}
	return name
}

// textBytes returns the size of a node without its children, as counted for [MaxSchemaBytes].
func textBytes(schemaNode *wit.SchemaNode) int {
	size := nodeBytes
	for _, s := range [...]*string{schemaNode.Name, schemaNode.Doc} {
		if s != nil {
			size += len(*s)
		}
	}
	if schemaNode.DefaultValue != nil {
		size += len(*schemaNode.DefaultValue)
	}
	for i := range schemaNode.Parameters {
		size += nodeBytes + len(schemaNode.Parameters[i].Name) + len(schemaNode.Parameters[i].Value)
	}
	for i := range schemaNode.Fields {
		size += nodeBytes + len(schemaNode.Fields[i].Name)
	}
	return size
}

// checkScale rejects a decimal whose scale is above the limit. A scale that is not a number is accepted here.
func checkScale(schemaNode *wit.SchemaNode, i int) error {
	if schemaNode.Name == nil || *schemaNode.Name != wit.NameDecimal {
		return nil
	}
	for _, p := range schemaNode.Parameters {
		if p.Name != wit.ParameterScale {
			continue
		}
		scale, err := strconv.ParseInt(p.Value, 10, 64)
		if (err == nil && (scale > MaxScale || scale < -MaxScale)) || isRange(err) {
			value := p.Value
			if len(value) > 20 {
				value = value[:20] + "..."
			}
			return schemaError("node " + strconv.Itoa(i) + ": expected a scale from -1000 to 1000, found " + value)
		}
	}
	return nil
}

func isRange(err error) bool {
	e, ok := err.(*strconv.NumError)
	return ok && e.Err == strconv.ErrRange
}

// schemaError is the reason why a schema is invalid.
type schemaError string

func (e schemaError) Error() string { return "schema: " + string(e) }

func tooMany(found int, label string, limit int) error {
	return schemaError("expected at most " + strconv.Itoa(limit) + " " + label +
		", counted once for each place where they stand, found " + strconv.Itoa(found))
}
