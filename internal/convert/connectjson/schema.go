package connectjson

import (
	"bytes"
	"context"
	"math"
	"math/big"
	"strconv"

	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Decode's other half lives in json.go; this file reads the schemas that stand in JSON documents.

// schemaReader turns the JSON text of a schema into nodes. It is slow: texts are remembered.
type schemaReader struct {
	p     Parser
	nodes []wit.SchemaNode
	form  Form
	// left is how many bytes the defaults may still have.
	left int
}

// readSchema reads a schema; nil for null.
func readSchema(ctx context.Context, text []byte, f Form) ([]wit.SchemaNode, error) {
	if len(text) > 6*connectdata.MaxSchemaBytes {
		// Six characters are the longest escape of one; nodes without texts have their own bound.
		return nil, fault.Data("schema: expected at most %d bytes, found a text of %d", connectdata.MaxSchemaBytes,
			len(text))
	}
	s := schemaReader{form: f, left: connectdata.MaxSchemaBytes}
	s.p.Reset(ctx, text, connectdata.MaxSchemaBytes)
	s.p.mode = ofDefaults
	null := s.p.peek() == 'n'
	from := s.p.i
	s.p.index()
	s.p.skip()
	if s.p.End(); s.p.Err == nil && !null {
		s.node(from, 1)
	}
	if s.p.Err != nil {
		return nil, fault.EndedBy(ctx, s.p.Err)
	}
	return s.nodes, nil
}

func (s *schemaReader) refuse(text string) { s.p.fail(fault.DataException, text) }

// object returns where the values of the members of a JSON object stand, by name, and the names' order.
func (s *schemaReader) object(at int) (members map[string]int, order []string) {
	p := &s.p
	p.i = at
	p.open('{')
	members = map[string]int{}
	for first := true; p.more(first, '}'); first = false {
		name := string(p.name())
		p.peek()
		if _, twice := members[name]; !twice {
			order = append(order, name)
		}
		members[name] = p.i
		p.skip()
	}
	return members, order
}

// text is what the JSON string that is a member says; ok is false when the member is none, or is not there.
func (s *schemaReader) text(members map[string]int, name string) (text string, ok bool) {
	at, given := members[name]
	if !given || s.p.data[at] != '"' {
		return "", false
	}
	s.p.i = at
	return string(s.p.text()), true
}

// is tells whether a member is there and begins like a word.
func (s *schemaReader) is(members map[string]int, name, word string) bool {
	at, given := members[name]
	if !given {
		return false
	}
	return bytes.HasPrefix(s.p.data[at:], []byte(word))
}

// node reads one schema and returns its number and the reader of its values. Numbers are given out from the root down,
// so nodes refer to higher ones only.
func (s *schemaReader) node(at, depth int) (uint32, *Reader) {
	if depth > connectdata.MaxSchemaDepth {
		s.refuse("schema: expected at most " + strconv.Itoa(connectdata.MaxSchemaDepth) + " nodes in each other")
	}
	if len(s.nodes) >= connectdata.MaxSchemaNodes {
		s.refuse("schema: expected at most " + strconv.Itoa(connectdata.MaxSchemaNodes) + " nodes")
	}
	if s.p.Err != nil {
		return 0, nil
	}
	// Depth is that of the schema, which is bounded by itself.
	s.p.depth = 0
	var members map[string]int
	if s.p.data[at] == '{' {
		if members, _ = s.object(at); s.p.Err != nil {
			s.p.Err = s.p.Err.In("schema")
			return 0, nil
		}
	}
	name, ok := s.text(members, "type")
	if !ok {
		s.refuse("Schema must contain 'type' field")
		return 0, nil
	}
	id := uint32(len(s.nodes))
	s.nodes = append(s.nodes, wit.SchemaNode{})
	n := wit.SchemaNode{Optional: s.is(members, "optional", "true")}
	for n.Kind = 0; TypeNames[n.Kind] != name; n.Kind++ {
		if n.Kind == wit.Struct {
			s.refuse("Unknown schema type: " + fault.Cut(name))
			return 0, nil
		}
	}
	below := s.children(&n, members, depth)
	if s.attributes(&n, members); s.p.Err != nil {
		return 0, nil
	}
	r, bad := newNodeReader(&n, below, s.form)
	if bad != nil {
		s.refuse(bad.Error())
		return 0, nil
	}
	if at, given := members["default"]; given && (!n.Optional || !s.is(members, "default", "null")) {
		s.defaultValue(&n, r, at)
	}
	s.nodes[id] = n
	return id, r
}

// defaultValue reads the default of a node and has its reader know it.
func (s *schemaReader) defaultValue(n *wit.SchemaNode, r *Reader, at int) {
	s.p.i, s.p.depth, s.p.most = at, 0, s.left
	value := r.ReadDefault(&s.p)
	if s.p.Err != nil {
		s.p.Err = s.p.Err.In("default")
		return
	}
	if s.left -= len(value); s.left < 0 {
		s.refuse("schema: expected defaults of at most " + strconv.Itoa(connectdata.MaxSchemaBytes) + " bytes")
	}
	n.DefaultValue = &value
	r.nulls(n, s.form)
}

func (s *schemaReader) children(n *wit.SchemaNode, members map[string]int, depth int) (below children) {
	switch n.Kind {
	case wit.Array:
		items, given := members["items"]
		if !given || s.is(members, "items", "null") {
			s.refuse("Array schema did not specify the element type")
			break
		}
		n.Element, below.element = s.node(items, depth+1)
	case wit.Map:
		keys, given := members["keys"]
		if !given {
			s.refuse("Map schema did not specify the key type")
			break
		}
		values, given := members["values"]
		if !given {
			s.refuse("Map schema did not specify the value type")
			break
		}
		n.Key, below.key = s.node(keys, depth+1)
		below.mapping = s.form.mapping(&s.nodes[n.Key])
		n.Element, below.element = s.node(values, depth+1)
	case wit.Struct:
		at, given := members["fields"]
		if !given || s.p.data[at] != '[' {
			s.refuse("Struct schema's \"fields\" argument is not an array.")
			break
		}
		below.members = s.fields(n, at, depth)
	}
	return below
}

func (s *schemaReader) fields(n *wit.SchemaNode, at, depth int) (readers []Reader) {
	p := &s.p
	p.i = at
	p.open('[')
	seen := map[string]bool{}
	for p.more(len(seen) == 0, ']') {
		if len(seen) >= connectdata.MaxSchemaFields {
			s.refuse("schema: expected at most " + strconv.Itoa(connectdata.MaxSchemaFields) + " fields")
			break
		}
		p.peek()
		from := p.i
		p.skip()
		after := p.i
		var members map[string]int
		if p.data[from] == '{' {
			members, _ = s.object(from)
		}
		name, ok := s.text(members, "field")
		if !ok {
			s.refuse("Struct schema's field name not specified properly")
		}
		if seen[name] {
			p.fail(fault.SchemaBuilderException,
				"Cannot create field because of field name duplication "+fault.Cut(name))
		}
		seen[name] = true
		node, r := s.node(from, depth+1)
		if name == "" {
			p.fail(fault.SchemaBuilderException, "fieldName cannot be null.")
		}
		if p.Err != nil {
			break
		}
		n.Fields = append(n.Fields, wit.Field{Name: name, Node: node})
		readers = append(readers, *r)
		p.i = after
	}
	return readers
}

func (s *schemaReader) attributes(n *wit.SchemaNode, members map[string]int) {
	if name, ok := s.text(members, "name"); ok {
		n.Name = &name
	}
	if doc, ok := s.text(members, "doc"); ok {
		n.Doc = &doc
	}
	if at, given := members["version"]; given && isNumber(s.p.data[at]) {
		s.p.i = at
		if text, whole, _ := s.p.number(); whole {
			n.Version = wit.Ptr(lowBits(text))
		}
	}
	at, given := members["parameters"]
	if !given || s.p.data[at] != '{' {
		return
	}
	parameters, order := s.object(at)
	for _, name := range order {
		value, ok := s.text(parameters, name)
		if !ok {
			s.refuse("Schema parameters must have string values.")
			return
		}
		n.Parameters = append(n.Parameters, wit.Setting{Name: name, Value: value})
	}
}

// lowBits is what Java's intValue makes of an integer of any length: its lowest 32 bits.
func lowBits(digits []byte) int32 {
	n, _ := new(big.Int).SetString(string(digits), 10)
	return int32(uint32(n.And(n, big.NewInt(math.MaxUint32)).Uint64()))
}
