package connectdata

import (
	"math"
	"strconv"

	"github.com/culvert-project/culvert/wit"
)

// What a schema may be. Nodes that several others name count once for each of them, since whoever works with a schema
// walks it as a tree: forty nodes that each name the next one twice would be 2^40 fields. Hosts refuse schemas beyond
// these.
const (
	// MaxSchemaDepth is how many nodes may lie in each other, the root and a scalar included: more would let a walk
	// over a schema, or over a value of it, need a stack of the writer's choice.
	MaxSchemaDepth = 100
	// MaxSchemaFields is how many members all structures of a schema may have together: every one costs work for every
	// row.
	MaxSchemaFields = 10_000
	// MaxSchemaNodes is how many nodes a schema may have, elements and keys included, so that what has no members is
	// bounded too.
	MaxSchemaNodes = 40_000
	// MaxSchemaBytes is how many bytes the names, texts, parameters and defaults of a schema may have together: they
	// stand in every record that a converter writes with its schema.
	MaxSchemaBytes = 4 << 20
	// MaxScale is how far from 0 the scale of a decimal may lie: arithmetic with it takes a power of ten of as many
	// digits.
	MaxScale = 1000
)

// nodeBytes is what a node or a member counts besides its texts.
const nodeBytes = 8

// CheckSchema refuses what is no schema: no nodes, a reference to a node that is missing or not higher than the node
// itself, and more than the bounds above allow. size is the number of bytes that it counts for. It takes time in
// proportion to the nodes, whatever they name.
func CheckSchema(nodes []wit.SchemaNode) (size int, err error) {
	if len(nodes) == 0 {
		return 0, schemaError("expected at least one node, found none")
	}
	if len(nodes) > MaxSchemaNodes {
		return 0, tooMany(len(nodes), "nodes", MaxSchemaNodes)
	}
	total := 0
	trees := make([]subtree, len(nodes))
	for i := len(nodes) - 1; i >= 0; i-- {
		n := &nodes[i]
		if int(n.Kind) >= n.Kind.Cases() {
			return 0, schemaError("node " + strconv.Itoa(i) + ": unknown kind " + strconv.Itoa(int(n.Kind)))
		}
		if err := checkScale(n, i); err != nil {
			return 0, err
		}
		own := textBytes(n)
		total += own
		t := subtree{depth: 1, nodes: 1, bytes: uint64(own)}
		if err := t.children(nodes, trees, i); err != nil {
			return 0, err
		}
		trees[i] = t
	}
	// Nodes that nobody names lie in memory all the same.
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

// subtree is what a node is with everything below it; numbers stop at maxTree.
type subtree struct{ depth, fields, nodes, bytes uint64 }

const maxTree = math.MaxInt32

func (t *subtree) children(nodes []wit.SchemaNode, trees []subtree, i int) error {
	n := &nodes[i]
	add := func(label, name string, child uint32) error {
		if int64(child) <= int64(i) || int64(child) >= int64(len(nodes)) {
			return schemaError("node " + strconv.Itoa(i) + ", " + label + shorten(name) + ": expected a node from " +
				strconv.Itoa(i+1) + " to " +
				strconv.Itoa(len(nodes)-1) + ", found " + strconv.FormatUint(uint64(child), 10))
		}
		c := &trees[child]
		t.depth = max(t.depth, c.depth+1)
		t.fields = min(t.fields+c.fields, maxTree)
		t.nodes = min(t.nodes+c.nodes, maxTree)
		t.bytes = min(t.bytes+c.bytes, maxTree)
		return nil
	}
	switch n.Kind {
	case wit.Array:
		return add("element", "", n.Element)
	case wit.Map:
		if err := add("key", "", n.Key); err != nil {
			return err
		}
		return add("element", "", n.Element)
	case wit.Struct:
		t.fields = uint64(len(n.Fields))
		names := make(map[string]struct{}, len(n.Fields))
		for m := range n.Fields {
			names[n.Fields[m].Name] = struct{}{}
			if len(names) == m {
				return schemaError("node " + strconv.Itoa(i) + ": expected members of different names, found two " +
					"named " + strconv.Quote(shorten(n.Fields[m].Name)))
			}
			if err := add("member ", n.Fields[m].Name, n.Fields[m].Node); err != nil {
				return err
			}
		}
	}
	return nil
}

// short is a name as an error shows it.
func shorten(name string) string {
	if len(name) > 100 {
		name = name[:100] + "..."
	}
	return name
}

// textBytes is what a node itself counts.
func textBytes(n *wit.SchemaNode) int {
	size := nodeBytes
	for _, s := range [...]*string{n.Name, n.Doc} {
		if s != nil {
			size += len(*s)
		}
	}
	if n.DefaultValue != nil {
		size += len(*n.DefaultValue)
	}
	for i := range n.Parameters {
		size += nodeBytes + len(n.Parameters[i].Name) + len(n.Parameters[i].Value)
	}
	for i := range n.Fields {
		size += nodeBytes + len(n.Fields[i].Name)
	}
	return size
}

// checkScale refuses a decimal whose scale is out of bounds; one that is no number is the business of who works with
// it.
func checkScale(n *wit.SchemaNode, i int) error {
	if n.Name == nil || *n.Name != wit.NameDecimal {
		return nil
	}
	for _, p := range n.Parameters {
		if p.Name != wit.ParameterScale {
			continue
		}
		scale, err := strconv.ParseInt(p.Value, 10, 64)
		if err == nil && (scale > MaxScale || scale < -MaxScale) || isRange(err) {
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

// schemaError says why nodes are no schema.
type schemaError string

func (e schemaError) Error() string { return "schema: " + string(e) }

func tooMany(found int, label string, most int) error {
	return schemaError("expected at most " + strconv.Itoa(most) + " " + label +
		", counted once for each place where they stand, found " + strconv.Itoa(found))
}
