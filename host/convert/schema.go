package convert

import (
	"context"
	"math"
	"math/big"
	"strconv"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// Decode's other half lives in json.go; this file reads the schemas that stand in JSON documents.

// schemaReader turns the JSON text of a schema into nodes. It is slow: texts are remembered.
type schemaReader struct {
	p     parser
	nodes []wit.Node
	form  form
	// left is how many bytes the defaults may still have.
	left int
}

// readSchema reads a schema; nil for null.
func readSchema(ctx context.Context, text []byte, f form) ([]wit.Node, error) {
	if len(text) > 6*datum.MaxSchemaBytes {
		// Six characters are the longest escape of one; nodes without texts have their own bound.
		return nil, dataError("schema: expected at most %d bytes, found a text of %d", datum.MaxSchemaBytes, len(text))
	}
	s := schemaReader{form: f, left: datum.MaxSchemaBytes}
	s.p.reset(ctx, text, datum.MaxSchemaBytes)
	s.p.defaults = true
	if s.p.peek() == 'n' {
		if err := s.p.word("null"); err != nil {
			return nil, err
		}
		if err := s.p.end(); err != nil {
			return nil, err
		}
		return nil, nil
	}
	if err := s.p.index(); err != nil {
		return nil, endedBy(ctx, err)
	}
	from := s.p.i
	err := s.p.skip()
	if err == nil {
		err = s.p.end()
	}
	if s.p.i = from; err != nil {
		return nil, endedBy(ctx, err)
	}
	if _, _, err := s.node(s.p.i, 1); err != nil {
		return nil, endedBy(ctx, err)
	}
	return s.nodes, nil
}

func (s *schemaReader) refuse(text string) *Error { return &Error{dataException, text} }

// object returns where the values of the members of a JSON object stand, by name, and the names' order.
func (s *schemaReader) object(at int) (members map[string]int, order []string, failed *Error) {
	p := &s.p
	p.i = at
	if err := p.open('{'); err != nil {
		return nil, nil, err
	}
	members = map[string]int{}
	for first := true; ; first = false {
		on, err := p.more(first, '}')
		if err != nil || !on {
			return members, order, err
		}
		raw, err := p.name()
		if err != nil {
			return nil, nil, err
		}
		name := string(raw)
		p.peek()
		if _, twice := members[name]; !twice {
			order = append(order, name)
		}
		members[name] = p.i
		if err := p.skip(); err != nil {
			return nil, nil, err
		}
	}
}

// text is what the JSON string that is a member says; ok is false when the member is none, or is not there.
func (s *schemaReader) text(members map[string]int, name string) (text string, ok bool) {
	at, given := members[name]
	if !given || s.p.data[at] != '"' {
		return "", false
	}
	s.p.i = at
	b, err := s.p.text()
	return string(b), err == nil
}

// is tells whether a member is there and begins like a word.
func (s *schemaReader) is(members map[string]int, name, word string) bool {
	at, given := members[name]
	if !given {
		return false
	}
	s.p.i = at
	return s.p.word(word) == nil
}

// node reads one schema and returns its number and the reader of its values. Numbers are given out from the root down,
// so nodes refer to higher ones only.
func (s *schemaReader) node(at, depth int) (uint32, *reader, *Error) {
	if depth > datum.MaxSchemaDepth {
		return 0, nil, s.refuse("schema: expected at most " + strconv.Itoa(datum.MaxSchemaDepth) +
			" nodes in each other")
	}
	if len(s.nodes) >= datum.MaxSchemaNodes {
		return 0, nil, s.refuse("schema: expected at most " + strconv.Itoa(datum.MaxSchemaNodes) + " nodes")
	}
	// Depth is that of the schema, which is bounded by itself.
	s.p.depth = 0
	var members map[string]int
	if s.p.data[at] == '{' {
		var failed *Error
		if members, _, failed = s.object(at); failed != nil {
			return 0, nil, failed.in("schema")
		}
	}
	name, ok := s.text(members, "type")
	if !ok {
		return 0, nil, s.refuse("Schema must contain 'type' field")
	}
	id := uint32(len(s.nodes))
	s.nodes = append(s.nodes, wit.Node{})
	n := wit.Node{Optional: s.is(members, "optional", "true")}
	for n.Kind = 0; jsonNames[n.Kind] != name; n.Kind++ {
		if n.Kind == wit.Structure {
			return 0, nil, s.refuse("Unknown schema type: " + cut(name))
		}
	}
	below, err := s.children(&n, members, depth)
	if err == nil {
		err = s.attributes(&n, members)
	}
	if err != nil {
		return 0, nil, err
	}
	r, bad := newNodeReader(&n, below, s.form)
	if bad != nil {
		return 0, nil, s.refuse(bad.Error())
	}
	if at, given := members["default"]; given && (!n.Optional || !s.is(members, "default", "null")) {
		if err := s.defaultValue(&n, r, at); err != nil {
			return 0, nil, err
		}
	}
	s.nodes[id] = n
	return id, r, nil
}

// defaultValue reads the default of a node and has its reader know it.
func (s *schemaReader) defaultValue(n *wit.Node, r *reader, at int) *Error {
	s.p.i, s.p.depth, s.p.most = at, 0, s.left
	bare := *r
	bare.branch = nil
	value, err := bare.read(&s.p, nil)
	if err != nil {
		return err.in("default")
	}
	if value == nil {
		value = []byte{}
	}
	if s.left -= len(value); s.left < 0 {
		return s.refuse("schema: expected defaults of at most " + strconv.Itoa(datum.MaxSchemaBytes) + " bytes")
	}
	n.DefaultValue = &value
	r.nulls(n, s.form)
	return nil
}

func (s *schemaReader) children(n *wit.Node, members map[string]int, depth int) (below children, err *Error) {
	switch n.Kind {
	case wit.Array:
		items, given := members["items"]
		if !given || s.is(members, "items", "null") {
			return below, s.refuse("Array schema did not specify the element type")
		}
		n.Element, below.element, err = s.node(items, depth+1)
	case wit.Mapping:
		keys, given := members["keys"]
		if !given {
			return below, s.refuse("Map schema did not specify the key type")
		}
		values, given := members["values"]
		if !given {
			return below, s.refuse("Map schema did not specify the value type")
		}
		if n.Key, below.key, err = s.node(keys, depth+1); err == nil {
			below.mapping = s.form.mapping(&s.nodes[n.Key])
			n.Element, below.element, err = s.node(values, depth+1)
		}
	case wit.Structure:
		at, given := members["fields"]
		if !given || s.p.data[at] != '[' {
			return below, s.refuse("Struct schema's \"fields\" argument is not an array.")
		}
		below.members, err = s.fields(n, at, depth)
	}
	return below, err
}

func (s *schemaReader) fields(n *wit.Node, at, depth int) (readers []reader, failed *Error) {
	p := &s.p
	p.i = at
	if err := p.open('['); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for first := true; ; first = false {
		on, err := p.more(first, ']')
		if err != nil || !on {
			return readers, err
		}
		if len(seen) >= datum.MaxSchemaFields {
			return nil, s.refuse("schema: expected at most " + strconv.Itoa(datum.MaxSchemaFields) + " fields")
		}
		p.peek()
		from := p.i
		if err := p.skip(); err != nil {
			return nil, err
		}
		behind := p.i
		var members map[string]int
		if p.data[from] == '{' {
			if members, _, err = s.object(from); err != nil {
				return nil, err
			}
		}
		name, ok := s.text(members, "field")
		if !ok {
			return nil, s.refuse("Struct schema's field name not specified properly")
		}
		if seen[name] {
			return nil, &Error{schemaBuilderException, "Cannot create field because of field name duplication " +
				cut(name)}
		}
		seen[name] = true
		node, r, err := s.node(from, depth+1)
		if err != nil {
			return nil, err
		}
		if name == "" {
			return nil, &Error{schemaBuilderException, "fieldName cannot be null."}
		}
		n.Members = append(n.Members, wit.Member{Name: name, Node: node})
		readers = append(readers, *r)
		p.i = behind
	}
}

// schemaBuilderException is thrown where a schema cannot be.
const schemaBuilderException = "org.apache.kafka.connect.errors.SchemaBuilderException"

func (s *schemaReader) attributes(n *wit.Node, members map[string]int) *Error {
	if name, ok := s.text(members, "name"); ok {
		n.Name = &name
	}
	if doc, ok := s.text(members, "doc"); ok {
		n.Doc = &doc
	}
	if at, given := members["version"]; given && isNumber(s.p.data[at]) {
		s.p.i = at
		if text, whole, err := s.p.number(); err == nil && whole {
			n.Version = wit.Ptr(lowBits(text))
		}
	}
	at, given := members["parameters"]
	if !given || s.p.data[at] != '{' {
		return nil
	}
	parameters, order, failed := s.object(at)
	if failed != nil {
		return failed
	}
	for _, name := range order {
		value, ok := s.text(parameters, name)
		if !ok {
			return s.refuse("Schema parameters must have string values.")
		}
		n.Parameters = append(n.Parameters, wit.Setting{Name: name, Value: value})
	}
	return nil
}

// lowBits is what Java's intValue makes of an integer of any length: its lowest 32 bits.
func lowBits(digits []byte) int32 {
	n, _ := new(big.Int).SetString(string(digits), 10)
	return int32(uint32(n.And(n, big.NewInt(math.MaxUint32)).Uint64()))
}
