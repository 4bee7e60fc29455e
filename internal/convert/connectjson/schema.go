package connectjson

import (
	"bytes"
	"context"
	"math"
	"math/big"
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// schemaReader parses the JSON text of a schema in a document into nodes. It is slow, so the results are cached.
type schemaReader struct {
	p            Parser
	nodes        []wit.SchemaNode
	form         Form
	defaultBytes int // the remaining size of defaults
}

// readSchema parses a schema into nodes, nil for null.
func readSchema(ctx context.Context, text []byte, f Form) ([]wit.SchemaNode, error) {
	if len(text) > 6*connectdata.MaxSchemaBytes {
		// An escape has up to six characters; the number of nodes has its own limit.
		return nil, fault.Data("schema: expected at most %d bytes, found a text of %d", connectdata.MaxSchemaBytes,
			len(text))
	}
	s := schemaReader{form: f, defaultBytes: connectdata.MaxSchemaBytes}
	s.p.Reset(ctx, text, connectdata.MaxSchemaBytes)
	s.p.mode = modeDefaults
	isNull := s.p.peek() == 'n'
	from := s.p.i
	// The first pass checks the syntax of the whole text; node relies on valid positions and values.
	s.p.index()
	s.p.skip()
	s.p.End()
	if s.p.Err == nil && !isNull {
		s.node(from, 1)
	}
	if s.p.Err != nil {
		return nil, fault.ContextError(ctx, s.p.Err)
	}
	return s.nodes, nil
}

func (s *schemaReader) reject(text string) { s.p.fail(fault.DataException, text) }

// object returns the positions of an object's members by name, and the order of the names.
func (s *schemaReader) object(pos int) (members map[string]int, order []string) {
	p := &s.p
	p.i = pos
	p.open('{')
	members = map[string]int{}
	for first := true; p.more(first, '}'); first = false {
		name := string(p.name())
		p.peek()
		if _, ok := members[name]; !ok {
			order = append(order, name)
		}
		members[name] = p.i
		p.skip()
	}
	return members, order
}

// text returns a member that is a string; ok is false if it is missing or not a string.
func (s *schemaReader) text(members map[string]int, name string) (text string, ok bool) {
	pos, exists := members[name]
	if !exists || s.p.data[pos] != '"' {
		return "", false
	}
	s.p.i = pos
	return string(s.p.text()), true
}

// hasValue reports whether a member exists and its value begins with word.
func (s *schemaReader) hasValue(members map[string]int, name, word string) bool {
	pos, ok := members[name]
	return ok && bytes.HasPrefix(s.p.data[pos:], []byte(word))
}

// node reads a schema and returns its number, which is lower than its children's, and the reader of its values.
func (s *schemaReader) node(pos, depth int) (uint32, *Reader) {
	if depth > connectdata.MaxSchemaDepth {
		s.reject("schema: expected at most " + strconv.Itoa(connectdata.MaxSchemaDepth) + " nodes in each other")
	}
	if len(s.nodes) >= connectdata.MaxSchemaNodes {
		s.reject("schema: expected at most " + strconv.Itoa(connectdata.MaxSchemaNodes) + " nodes")
	}
	if s.p.Err != nil {
		return 0, nil
	}
	// Only MaxSchemaDepth limits the depth of a schema.
	s.p.depth = 0
	var members map[string]int
	if s.p.data[pos] == '{' {
		members, _ = s.object(pos)
		if s.p.Err != nil {
			s.p.Err = s.p.Err.InField("schema")
			return 0, nil
		}
	}
	name, ok := s.text(members, "type")
	if !ok {
		s.reject("Schema must contain 'type' field")
		return 0, nil
	}
	id := uint32(len(s.nodes))
	s.nodes = append(s.nodes, wit.SchemaNode{})
	kind := slices.Index(TypeNames[:], name)
	if kind < 0 {
		s.reject("Unknown schema type: " + fault.Truncate(name))
		return 0, nil
	}
	n := wit.SchemaNode{Kind: wit.Kind(kind), Optional: s.hasValue(members, "optional", "true")}
	nested := s.children(&n, members, depth)
	s.attributes(&n, members)
	if s.p.Err != nil {
		return 0, nil
	}
	r, err := newNodeReader(&n, nested, s.form)
	if err != nil {
		s.reject(err.Error())
		return 0, nil
	}
	if defaultPos, ok := members["default"]; ok && (!n.Optional || !s.hasValue(members, "default", "null")) {
		s.p.i = defaultPos
		s.p.depth = 0
		s.p.maxLen = s.defaultBytes
		value := r.ReadDefault(&s.p)
		if s.p.Err != nil {
			s.p.Err = s.p.Err.InField("default")
		} else {
			if s.defaultBytes -= len(value); s.defaultBytes < 0 {
				s.reject("schema: expected defaults of at most " + strconv.Itoa(connectdata.MaxSchemaBytes) + " bytes")
			}
			n.DefaultValue = &value
			r.setNull(&n, s.form)
		}
	}
	s.nodes[id] = n
	return id, r
}

// children reads the schemas that a schema contains, adds their numbers to n, and returns the readers of their values.
func (s *schemaReader) children(n *wit.SchemaNode, members map[string]int, depth int) (nested children) {
	switch n.Kind {
	case wit.Array:
		items, ok := members["items"]
		if !ok || s.hasValue(members, "items", "null") {
			s.reject("Array schema did not specify the element type")
			break
		}
		n.Element, nested.element = s.node(items, depth+1)
	case wit.Map:
		keys, ok := members["keys"]
		if !ok {
			s.reject("Map schema did not specify the key type")
			break
		}
		values, ok := members["values"]
		if !ok {
			s.reject("Map schema did not specify the value type")
			break
		}
		n.Key, nested.key = s.node(keys, depth+1)
		nested.mapping = s.form.mapping(&s.nodes[n.Key]) // node 0 after an error
		n.Element, nested.element = s.node(values, depth+1)
	case wit.Struct:
		pos, ok := members["fields"]
		if !ok || s.p.data[pos] != '[' {
			s.reject("Struct schema's \"fields\" argument is not an array.")
			break
		}
		nested.members = s.fields(n, pos, depth)
	}
	return nested
}

// fields reads the fields of a struct, adds them to n, and returns the readers of their values.
func (s *schemaReader) fields(n *wit.SchemaNode, pos, depth int) (readers []Reader) {
	p := &s.p
	p.i = pos
	p.open('[')
	names := map[string]bool{}
	for p.more(len(names) == 0, ']') {
		if len(names) >= connectdata.MaxSchemaFields {
			s.reject("schema: expected at most " + strconv.Itoa(connectdata.MaxSchemaFields) + " fields")
			break
		}
		p.peek()
		from := p.i
		p.skip()
		end := p.i
		var members map[string]int
		if p.data[from] == '{' {
			members, _ = s.object(from)
		}
		name, ok := s.text(members, "field")
		if !ok {
			s.reject("Struct schema's field name not specified properly")
		}
		if names[name] {
			p.fail(fault.SchemaBuilderException,
				"Cannot create field because of field name duplication "+fault.Truncate(name))
		}
		names[name] = true
		node, r := s.node(from, depth+1)
		if name == "" {
			p.fail(fault.SchemaBuilderException, "fieldName cannot be null.")
		}
		if p.Err != nil {
			break
		}
		n.Fields = append(n.Fields, wit.Field{Name: name, Node: node})
		readers = append(readers, *r)
		p.i = end
	}
	return readers
}

// attributes reads the attributes of a schema other than its type, optionality and default into n.
func (s *schemaReader) attributes(n *wit.SchemaNode, members map[string]int) {
	if name, ok := s.text(members, "name"); ok {
		n.Name = &name
	}
	if doc, ok := s.text(members, "doc"); ok {
		n.Doc = &doc
	}
	if pos, ok := members["version"]; ok && isNumber(s.p.data[pos]) {
		s.p.i = pos
		if digits, isInteger, _ := s.p.number(); isInteger {
			// The lowest 32 bits, like Java's intValue.
			version, _ := new(big.Int).SetString(string(digits), 10)
			n.Version = wit.Ptr(int32(uint32(version.And(version, big.NewInt(math.MaxUint32)).Uint64())))
		}
	}
	pos, ok := members["parameters"]
	if !ok || s.p.data[pos] != '{' {
		return
	}
	parameters, order := s.object(pos)
	for _, name := range order {
		value, ok := s.text(parameters, name)
		if !ok {
			s.reject("Schema parameters must have string values.")
			return
		}
		n.Parameters = append(n.Parameters, wit.Setting{Name: name, Value: value})
	}
}
