package convert

import (
	"strconv"

	"github.com/culvert-project/culvert/wit"
)

// Decode's other half lives in json.go; this file reads the schemas that stand in JSON documents.

// schemaReader turns the JSON text of a schema into nodes. It is slow: texts are remembered.
type schemaReader struct {
	nodes []wit.Node
	form  form
}

// readSchema reads a schema; nil for null.
func readSchema(text []byte, f form) ([]wit.Node, error) {
	var p parser
	p.reset(text)
	if p.peek() == 'n' {
		return nil, nil
	}
	s := schemaReader{form: f}
	if _, err := s.node(text); err != nil {
		return nil, err
	}
	return s.nodes, nil
}

// object returns the members of a JSON object by name as texts, with their order.
func object(text []byte) (members map[string][]byte, order []string, failed *Error) {
	var p parser
	p.reset(text)
	if p.peek() != '{' {
		return nil, nil, &Error{DataException, "expected a JSON object, found " + p.kind()}
	}
	if err := p.open('{'); err != nil {
		return nil, nil, err
	}
	members = map[string][]byte{}
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
		from := p.i
		if err := p.skip(); err != nil {
			return nil, nil, err
		}
		if _, twice := members[name]; !twice {
			order = append(order, name)
		}
		members[name] = text[from:p.i]
	}
}

// textOf is what a JSON string says; ok is false when the text is none.
func textOf(text []byte) (string, bool) {
	if len(text) == 0 || text[0] != '"' {
		return "", false
	}
	p := parser{data: text}
	s, err := p.text()
	return string(s), err == nil
}

// node reads one schema and returns its number. Numbers are given out from the root down, so nodes refer to higher ones only.
func (s *schemaReader) node(text []byte) (uint32, error) {
	members, _, failed := object(text)
	if failed != nil {
		return 0, within("schema", failed)
	}
	name, ok := textOf(members["type"])
	if !ok {
		return 0, dataError("Schema must contain 'type' field")
	}
	id := uint32(len(s.nodes))
	s.nodes = append(s.nodes, wit.Node{})
	n := wit.Node{Optional: string(members["optional"]) == "true"}
	for n.Kind = 0; jsonNames[n.Kind] != name; n.Kind++ {
		if n.Kind == wit.Structure {
			return 0, dataError("Unknown schema type: %s", name)
		}
	}
	if err := s.children(&n, members); err != nil {
		return 0, err
	}
	if err := attributes(&n, members); err != nil {
		return 0, err
	}
	s.nodes[id] = n
	if text, given := members["default"]; given && string(text) != "null" {
		r, err := compileReader(s.nodes, id, s.form)
		if err != nil {
			return 0, err
		}
		r.branch = nil
		var p parser
		p.reset(text)
		value, failed := r.read(&p, nil)
		if failed != nil {
			return 0, within("default", failed)
		}
		if value == nil {
			value = []byte{}
		}
		s.nodes[id].DefaultValue = &value
	}
	return id, nil
}

func (s *schemaReader) children(n *wit.Node, members map[string][]byte) (err error) {
	switch n.Kind {
	case wit.Array:
		items, given := members["items"]
		if !given || string(items) == "null" {
			return dataError("Array schema did not specify the element type")
		}
		n.Element, err = s.node(items)
	case wit.Mapping:
		if members["keys"] == nil {
			return dataError("Map schema did not specify the key type")
		}
		if members["values"] == nil {
			return dataError("Map schema did not specify the value type")
		}
		if n.Key, err = s.node(members["keys"]); err == nil {
			n.Element, err = s.node(members["values"])
		}
	case wit.Structure:
		return s.fields(n, members["fields"])
	}
	return err
}

func (s *schemaReader) fields(n *wit.Node, text []byte) error {
	var p parser
	p.reset(text)
	if p.peek() != '[' {
		return dataError("Struct schema's \"fields\" argument is not an array.")
	}
	if err := p.open('['); err != nil {
		return err
	}
	seen := map[string]bool{}
	for first := true; ; first = false {
		on, err := p.more(first, ']')
		if err != nil {
			return err
		}
		if !on {
			return nil
		}
		p.peek()
		from := p.i
		if err := p.skip(); err != nil {
			return err
		}
		field := text[from:p.i]
		members, _, failed := object(field)
		if failed != nil {
			return failed
		}
		name, ok := textOf(members["field"])
		if !ok {
			return dataError("Struct schema's field name not specified properly")
		}
		if seen[name] {
			return &Error{SchemaBuilderException, "Cannot create field because of field name duplication " + name}
		}
		seen[name] = true
		node, bad := s.node(field)
		if bad != nil {
			return bad
		}
		n.Members = append(n.Members, wit.Member{Name: name, Node: node})
	}
}

// SchemaBuilderException is thrown where a schema cannot be.
const SchemaBuilderException = "org.apache.kafka.connect.errors.SchemaBuilderException"

func attributes(n *wit.Node, members map[string][]byte) error {
	if name, ok := textOf(members["name"]); ok {
		n.Name = &name
	}
	if doc, ok := textOf(members["doc"]); ok {
		n.Doc = &doc
	}
	if v, err := strconv.ParseInt(string(members["version"]), 10, 32); err == nil {
		n.Version = wit.Ptr(int32(v))
	}
	text := members["parameters"]
	if len(text) == 0 || text[0] != '{' {
		return nil
	}
	parameters, order, failed := object(text)
	if failed != nil {
		return failed
	}
	for _, name := range order {
		value, ok := textOf(parameters[name])
		if !ok {
			return dataError("Schema parameters must have string values.")
		}
		n.Parameters = append(n.Parameters, wit.Setting{Name: name, Value: value})
	}
	return nil
}
