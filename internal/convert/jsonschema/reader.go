package jsonschema

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/convert/connectjson"
	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// schemaSource converts a JSON Schema of draft 7 to Connect schema nodes as JsonSchemaData does, which reads it with
// the library everit: keywords imply types, and a schema of several types is their allOf.
type schemaSource struct {
	ctx       context.Context
	options   options
	version   *int32               // the version in the registry. Nil means unknown.
	root      *document            // the one to convert, which may refer to the others
	documents map[string]*document // by the name that references use
	nodes     []wit.SchemaNode
	// openReferences are the references around the current schema: a reference to one of them is recursive.
	openReferences map[schemaLocation]bool
	steps          int // counts visited schemas
	unions         int // counts unions that became structs
	defaultBytes   int // the remaining size of defaults
}

type document struct {
	root    any
	anchors map[string]any // its schemas by `$id`
}

// schemaLocation is the target of a reference.
type schemaLocation struct {
	document *document
	fragment string
}

// placement is the part of a node that the place of its schema determines.
type placement struct {
	version  *int32 // the version in the registry. Nil means unknown.
	optional bool
}

// subschema is a schema in its document.
type subschema struct {
	document *document
	value    any
}

func (s subschema) keywords() map[string]any {
	words, _ := s.value.(map[string]any)
	return words
}

// withoutAnnotations removes title, description, default and connect.* keywords, which belong to the schema as a whole.
func (s subschema) withoutAnnotations() subschema {
	words := maps.Clone(s.keywords())
	for _, word := range []string{"title", "description", "default", connectVersion, connectParameters, connectType} {
		delete(words, word)
	}
	return subschema{s.document, words}
}

func (s subschema) child(word string) subschema { return subschema{s.document, s.keywords()[word]} }

// indexAnchors records the schemas of a value that have an ID.
func (d *document) indexAnchors(value any) {
	switch node := value.(type) {
	case map[string]any:
		for _, word := range []string{"$id", "id"} {
			if id, ok := node[word].(string); ok && d.anchors[id] == nil {
				d.anchors[id] = node
			}
		}
		for _, child := range node {
			d.indexAnchors(child)
		}
	case []any:
		for _, child := range node {
			d.indexAnchors(child)
		}
	}
}

func (s *schemaSource) title() string {
	title, _ := subschema{s.root, s.root.root}.keywords()["title"].(string)
	return title
}

// readNodes returns the nodes of the root document.
func (s *schemaSource) readNodes() ([]wit.SchemaNode, error) {
	_, err := s.addNode(subschema{s.root, s.root.root}, placement{version: s.version}, 1)
	return s.nodes, err
}

// typeKeywords imply the type of a schema that does not name one.
var typeKeywords = []struct {
	typ   string
	words []string
}{
	{"array", []string{"items", "additionalItems", "minItems", "maxItems", "uniqueItems", "contains"}},
	{"object", []string{"properties", "required", "minProperties", "maxProperties", "dependencies",
		"patternProperties", "additionalProperties", "propertyNames"}},
	{"number", []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}},
	{"string", []string{"minLength", "maxLength", "pattern", "format"}},
}

// typedSchema is a schema read as one type, enum or choice.
type typedSchema struct {
	subschema
	kind    string        // a JSON type, enum, const, $ref, allOf, anyOf or oneOf; "" before resolve
	choices []typedSchema // of allOf, anyOf and oneOf
}

// typedSchemas returns all types, enums and choices that a schema combines.
func (s *schemaSource) typedSchemas(schema subschema, depth int) (list []typedSchema, err error) {
	s.steps++
	if s.steps > connectdata.MaxSchemaNodes {
		return nil, fault.Data("schema: expected at most %d schemas in each other", connectdata.MaxSchemaNodes)
	}
	if depth > connectdata.MaxSchemaDepth {
		return nil, fault.Data("schema: expected at most %d nodes in each other", connectdata.MaxSchemaDepth)
	}
	if s.ctx.Err() != nil {
		return nil, context.Cause(s.ctx)
	}
	words := schema.keywords()
	if _, ok := words["$ref"].(string); ok {
		return []typedSchema{{subschema: schema, kind: "$ref"}}, nil
	}
	for _, word := range []string{"allOf", "anyOf", "oneOf"} {
		if choices, ok := words[word].([]any); ok {
			combination := typedSchema{subschema: schema, kind: word}
			for _, choice := range choices {
				combination.choices = append(combination.choices,
					typedSchema{subschema: subschema{schema.document, choice}})
			}
			// everit puts nested choices first
			slices.SortStableFunc(combination.choices, func(a, b typedSchema) int {
				return cmp.Compare(choiceRank(a.subschema), choiceRank(b.subschema))
			})
			list = append(list, combination)
		}
	}
	var types []string
	switch typ := words["type"].(type) {
	case string:
		types = []string{typ}
		list = append(list, typedSchema{subschema: schema, kind: typ})
	case []any:
		union := typedSchema{subschema: schema, kind: "anyOf"}
		for _, v := range typ {
			name, _ := v.(string)
			types = append(types, name)
			union.choices = append(union.choices, typedSchema{subschema: schema.withoutAnnotations(), kind: name})
		}
		list = append(list, union)
	}
	for _, word := range []string{"enum", "const", "not", "if"} {
		if _, ok := words[word]; ok {
			list = append(list, typedSchema{subschema: schema, kind: word})
		}
	}
	for _, implied := range typeKeywords {
		if slices.Contains(types, implied.typ) || (implied.typ == "number" && slices.Contains(types, "integer")) {
			continue
		}
		for _, word := range implied.words {
			if _, ok := words[word]; ok {
				list = append(list, typedSchema{subschema: schema, kind: implied.typ})
				break
			}
		}
	}
	return list, nil
}

// choiceRank orders choices before other schemas: it is 0 for allOf, anyOf, oneOf and a list of types, else 1.
func choiceRank(schema subschema) int {
	words := schema.keywords()
	for _, word := range []string{"allOf", "anyOf", "oneOf"} {
		if _, ok := words[word]; ok && words["$ref"] == nil {
			return 0
		}
	}
	if _, ok := words["type"].([]any); ok {
		return 0
	}
	return 1
}

// singleType returns the only type of a schema, or an allOf of all of its types.
func (s *schemaSource) singleType(schema subschema, depth int) (typedSchema, error) {
	list, err := s.typedSchemas(schema, depth)
	switch {
	case err != nil:
		return typedSchema{}, err
	case len(list) == 1:
		return list[0], nil
	case len(list) == 0:
		return typedSchema{}, fault.Data("a JSON Schema without a type: expected type, properties, items, enum, "+
			"oneOf, anyOf, allOf or $ref, found %s", quotedJSON(schema.value))
	}
	for i := range list {
		list[i].subschema = schema.withoutAnnotations()
	}
	return typedSchema{subschema: schema, kind: "allOf", choices: list}, nil
}

func quotedJSON(v any) string {
	encoded, _ := json.Marshal(v)
	return fault.Truncate(encoded)
}

// resolve returns a choice with its type.
func (s *schemaSource) resolve(choice typedSchema, depth int) (typedSchema, error) {
	if choice.kind != "" {
		return choice, nil
	}
	return s.singleType(choice.subschema, depth)
}

// addNode adds the node of a schema and returns its index.
func (s *schemaSource) addNode(schema subschema, place placement, depth int) (uint32, error) {
	typed, err := s.singleType(schema, depth)
	if err != nil {
		return 0, err
	}
	return s.addTypedNode(typed, place, depth)
}

func (s *schemaSource) addTypedNode(typed typedSchema, place placement, depth int) (uint32, error) {
	switch typed.kind {
	case "$ref":
		location, target, err := s.follow(typed.subschema)
		if err != nil {
			return 0, err
		}
		if s.openReferences[location] {
			return 0, fault.Data("a JSON Schema that contains itself, at %s: recursive schemas are not supported",
				fault.Quoted(location.fragment))
		}
		s.openReferences[location] = true
		defer delete(s.openReferences, location)
		return s.addNode(target, place, depth+1)
	case "allOf":
		if len(typed.choices) == 1 && s.options.flatten {
			return s.addSingleton(typed, depth)
		}
		return s.addAllOf(typed, place, depth)
	case "anyOf", "oneOf":
		return s.addChoice(typed, place, depth)
	}
	if len(s.nodes) >= connectdata.MaxSchemaNodes {
		return 0, fault.Data("schema: expected at most %d nodes", connectdata.MaxSchemaNodes)
	}
	id := uint32(len(s.nodes))
	s.nodes = append(s.nodes, wit.SchemaNode{})
	var n wit.SchemaNode
	if err := s.setType(&n, typed, depth); err != nil {
		return 0, err
	}
	return id, s.setAttributes(&n, id, typed.subschema, place)
}

// addSingleton reads a choice with one member as that member, ignoring other keywords, as Kafka Connect does.
func (s *schemaSource) addSingleton(composed typedSchema, depth int) (uint32, error) {
	member, err := s.resolve(composed.choices[0], depth+1)
	if err != nil {
		return 0, err
	}
	return s.addTypedNode(member, placement{}, depth+1)
}

// addChoice reads anyOf and oneOf: null and one type as optional, others as a struct that represents a union.
func (s *schemaSource) addChoice(composed typedSchema, place placement, depth int) (uint32, error) {
	if len(composed.choices) == 1 && s.options.flatten {
		return s.addSingleton(composed, depth)
	}
	hasNull := false
	var others []typedSchema
	for _, choice := range composed.choices {
		resolved, err := s.resolve(choice, depth+1)
		if err != nil {
			return 0, err
		}
		if resolved.kind == "null" {
			hasNull = true
			continue
		}
		others = append(others, resolved)
	}
	if hasNull && len(composed.choices) == 2 && len(others) == 1 { // an optional type
		place.optional = true
		return s.addTypedNode(others[0], place, depth+1)
	}
	if len(others) > conversion.MaxUnionBranches {
		return 0, fault.Data("schema: expected at most %d types of a union, found %d", conversion.MaxUnionBranches,
			len(others))
	}
	id := uint32(len(s.nodes))
	s.nodes = append(s.nodes, wit.SchemaNode{})
	name := connectjson.UnionName
	n := wit.SchemaNode{Kind: wit.Struct, Optional: hasNull}
	if s.options.sumTypes {
		name = "connect_union_" + strconv.Itoa(s.unions)
		n.Parameters = []wit.Setting{{Name: connectjson.SumUnionName, Value: name}}
	}
	s.unions++
	n.Name = &name
	for i, choice := range others {
		node, err := s.addTypedNode(choice, placement{optional: true}, depth+1)
		if err != nil {
			return 0, err
		}
		member := name + ".field." + strconv.Itoa(i)
		if s.options.sumTypes {
			member = "connect_union_field_" + strconv.Itoa(i)
		}
		n.Fields = append(n.Fields, wit.Field{Name: member, Node: node})
	}
	return id, s.setAttributes(&n, id, composed.subschema, place)
}

// addAllOf reads allOf as a struct of all properties, else as the one type that the others narrow.
func (s *schemaSource) addAllOf(composed typedSchema, place placement, depth int) (uint32, error) {
	combined := properties{index: map[string]int{}}
	lastByKind := map[string]typedSchema{}
	for _, choice := range composed.choices {
		resolved, err := s.resolve(choice, depth+1)
		if err != nil {
			return 0, err
		}
		kind := resolved.kind
		switch kind {
		case "anyOf", "oneOf", "allOf":
			kind = "choice"
		case "integer":
			kind = "number"
		}
		lastByKind[kind] = resolved
		if err := s.collect(resolved, &combined, depth+1); err != nil {
			return 0, err
		}
	}
	if len(combined.list) > 0 {
		id := uint32(len(s.nodes))
		s.nodes = append(s.nodes, wit.SchemaNode{})
		n := wit.SchemaNode{Kind: wit.Struct, Optional: place.optional}
		err := s.addFields(&n, combined.list, depth)
		s.nodes[id] = n
		return id, err
	}
	kind := decisiveKind(lastByKind)
	if kind == "" {
		return 0, fault.Data("a JSON Schema that combines several types, none of which applies alone: %s",
			quotedJSON(composed.value))
	}
	return s.addTypedNode(lastByKind[kind], place, depth+1)
}

// addFields adds properties to a struct as fields.
func (s *schemaSource) addFields(n *wit.SchemaNode, list []property, depth int) error {
	for _, p := range list {
		place := placement{optional: s.options.optionalProperties && !p.required}
		node, err := s.addNode(p.subschema, place, depth+1)
		if err != nil {
			return err
		}
		n.Fields = append(n.Fields, wit.Field{Name: p.name, Node: node})
	}
	return nil
}

// decisiveKind returns which of several combined schemas determines the type, as in JsonSchemaData, or "".
func decisiveKind(byKind map[string]typedSchema) string {
	has := func(kind string) bool { return byKind[kind].kind != "" }
	switch { // the first case that applies counts; const and enum of other types have no case
	case has("choice"):
		return "choice"
	case has("const") && has("string"):
		return "string"
	case has("const") && has("number"):
		return "number"
	case has("const"):
		return ""
	case has("enum") && has("string"):
		return "enum"
	case has("enum") && has("number"):
		return "number"
	case has("enum"):
		return ""
	case has("string") && byKind["string"].keywords()["format"] != nil && has("number"):
		return "number"
	case has("string") && byKind["string"].keywords()["format"] != nil:
		return "string"
	case has("$ref"):
		return "$ref"
	}
	return ""
}

// properties are the properties of combined schemas: of one name the last counts, at the place of the first.
type properties struct {
	list  []property
	index map[string]int
}

type property struct {
	subschema
	name     string
	required bool
	index    int64 // the position in the struct, which setType sets
}

func (p *properties) add(item property) {
	if i, ok := p.index[item.name]; ok {
		p.list[i] = item
		return
	}
	p.index[item.name] = len(p.list)
	p.list = append(p.list, item)
}

// collect adds the properties of a schema, of the schemas that it combines, and of those that it refers to.
func (s *schemaSource) collect(typed typedSchema, collected *properties, depth int) error {
	switch typed.kind {
	case "allOf":
		for _, choice := range typed.choices {
			resolved, err := s.resolve(choice, depth+1)
			if err == nil {
				err = s.collect(resolved, collected, depth+1)
			}
			if err != nil {
				return err
			}
		}
	case "object":
		for _, p := range propertiesOf(typed.subschema) {
			collected.add(p)
		}
	case "$ref":
		location, target, err := s.follow(typed.subschema)
		if err != nil || s.openReferences[location] {
			return err
		}
		s.openReferences[location] = true
		defer delete(s.openReferences, location)
		resolved, err := s.singleType(target, depth+1)
		if err != nil {
			return err
		}
		return s.collect(resolved, collected, depth+1)
	}
	return nil
}

// propertiesOf returns properties in the order of a Java hash table.
func propertiesOf(object subschema) (list []property) {
	definitions, _ := object.keywords()["properties"].(map[string]any)
	required, _ := object.keywords()["required"].([]any)
	for _, name := range java.HashMapOrder(slices.Sorted(maps.Keys(definitions)), java.Identity) {
		schema := subschema{object.document, definitions[name]}
		list = append(list, property{subschema: schema, name: name, required: slices.Contains(required, any(name))})
	}
	return list
}

// follow finds the target of a reference.
func (s *schemaSource) follow(schema subschema) (schemaLocation, subschema, error) {
	ref, _ := schema.keywords()["$ref"].(string)
	name, fragment, _ := strings.Cut(ref, "#")
	doc := schema.document
	if name != "" {
		if doc = s.documents[name]; doc == nil {
			if v := schema.document.anchors[name]; v != nil && fragment == "" {
				return schemaLocation{schema.document, ref}, subschema{schema.document, v}, nil
			}
			return schemaLocation{}, subschema{},
				fault.Data("the JSON Schema refers to %s, which is not among its references in the registry",
					fault.Quoted(ref))
		}
	}
	value := doc.root
	exists := true
	switch {
	case strings.HasPrefix(fragment, "/"):
		value, exists = atPointer(doc.root, fragment[1:])
	case fragment != "":
		value, exists = doc.anchors["#"+fragment]
	}
	if !exists {
		return schemaLocation{}, subschema{}, fault.Data("the JSON Schema refers to %s, which does not exist",
			fault.Quoted(ref))
	}
	return schemaLocation{doc, fragment}, subschema{doc, value}, nil
}

// atPointer returns the value at a JSON pointer (RFC 6901) without its first slash.
func atPointer(value any, pointer string) (any, bool) {
	for _, token := range strings.Split(pointer, "/") {
		if unescaped, err := url.PathUnescape(token); err == nil {
			token = unescaped
		}
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		exists := false
		switch container := value.(type) {
		case map[string]any:
			value, exists = container[token]
		case []any:
			i, err := strconv.Atoi(token)
			if exists = err == nil && i >= 0 && i < len(container); exists {
				value = container[i]
			}
		}
		if !exists {
			return nil, false
		}
	}
	return value, true
}

// setType sets the kind of a node, its parameters as an enum, and its children, which it adds.
func (s *schemaSource) setType(n *wit.SchemaNode, typed typedSchema, depth int) (err error) {
	connect, _ := typed.keywords()[connectType].(string)
	switch typed.kind {
	case "boolean":
		n.Kind = wit.Boolean
	case "integer", "number":
		n.Kind = wit.Int64
		if typed.kind == "number" {
			n.Kind = wit.Float64
		}
		switch connect {
		case "": // the type of the JSON Schema
		case "float32":
			n.Kind = wit.Float32
		case "float64":
			n.Kind = wit.Float64
		case "bytes": // a decimal
			n.Kind = wit.Bytes
		default:
			index := slices.Index(connectjson.TypeNames[:wit.Float32], connect) // int8 to int64
			if index < 0 {
				return fault.Data("Unsupported type %s", fault.Quoted(connect))
			}
			n.Kind = wit.Kind(index)
		}
	case "string":
		n.Kind = wit.String
		if connect == "bytes" {
			n.Kind = wit.Bytes
		}
	case "enum":
		symbols, _ := typed.keywords()["enum"].([]any)
		s.setSymbols(n, symbols)
	case "const":
		s.setSymbols(n, []any{typed.keywords()["const"]})
	case "array":
		items := typed.child("items")
		if _, ok := items.value.([]any); ok || items.value == nil {
			return fault.Data("Array schema did not specify the items type")
		}
		key := items.child("properties")
		if connect == "map" && key.keywords() != nil {
			value := key.child("value")
			key = key.child("key")
			if key.value == nil || value.value == nil {
				return fault.Data("expected the properties key and value of the entries of a map")
			}
			n.Kind = wit.Map
			if n.Key, err = s.addNode(key, placement{}, depth+1); err == nil {
				n.Element, err = s.addNode(value, placement{}, depth+1)
			}
			return err
		}
		n.Kind = wit.Array
		n.Element, err = s.addNode(items, placement{}, depth+1)
		return err
	case "object":
		if connect == "map" {
			n.Kind = wit.Map
			n.Key = uint32(len(s.nodes))
			s.nodes = append(s.nodes, wit.SchemaNode{Kind: wit.String})
			n.Element, err = s.addNode(typed.child("additionalProperties"), placement{}, depth+1)
			return err
		}
		n.Kind = wit.Struct
		list := propertiesOf(typed.subschema)
		for i := range list {
			list[i].index = int64(i)
			if number, ok := list[i].keywords()[connectIndex].(json.Number); ok {
				list[i].index, _ = number.Int64()
			}
		}
		slices.SortStableFunc(list, func(a, b property) int { return cmp.Compare(a.index, b.index) })
		return s.addFields(n, list, depth)
	default:
		err = fault.Data("Unsupported schema type %s: %s", fault.Quoted(typed.kind), quotedJSON(typed.value))
	}
	return err
}

// setSymbols turns a node into a string with a parameter for each symbol.
func (s *schemaSource) setSymbols(n *wit.SchemaNode, symbols []any) {
	name := enumName
	if s.options.sumTypes {
		name = sumEnumName
	}
	n.Kind = wit.String
	n.Parameters = []wit.Setting{{Name: name}}
	seen := map[string]bool{}
	for i, v := range symbols {
		symbol, ok := v.(string)
		switch {
		case v == nil:
			symbol = nullSymbol
		case !ok:
			encoded, _ := json.Marshal(v)
			symbol = string(encoded)
		}
		if seen[symbol] {
			continue
		}
		seen[symbol] = true
		p := wit.Setting{Name: name + "." + symbol, Value: symbol}
		if s.options.sumTypes {
			p.Value = strconv.Itoa(i)
		}
		n.Parameters = append(n.Parameters, p)
	}
}

// setAttributes sets the attributes that all schemas may have, and stores the node.
func (s *schemaSource) setAttributes(n *wit.SchemaNode, id uint32, schema subschema, place placement) error {
	words := schema.keywords()
	if title, ok := words["title"].(string); ok && n.Name == nil {
		n.Name = &title
	}
	n.Version = place.version
	if number, ok := words[connectVersion].(json.Number); ok {
		v, err := strconv.ParseInt(string(number), 10, 32)
		if err != nil {
			return fault.Data("expected a version of 32 bits, found %s", fault.Truncate(string(number)))
		}
		n.Version = wit.Ptr(int32(v))
	}
	if doc, ok := words["description"].(string); ok {
		n.Doc = &doc
	}
	if parameters, ok := words[connectParameters].(map[string]any); ok {
		for _, name := range java.HashMapOrder(slices.Sorted(maps.Keys(parameters)), java.Identity) {
			value, ok := parameters[name].(string)
			if !ok {
				return fault.Data("expected a text as the parameter %s, found %s", fault.Quoted(name),
					quotedJSON(parameters[name]))
			}
			n.Parameters = append(n.Parameters, wit.Setting{Name: name, Value: value})
		}
	}
	s.nodes[id] = *n
	if value, ok := words["default"]; ok {
		if err := s.setDefault(n, id, value); err != nil {
			return err
		}
	}
	n.Optional = n.Optional || place.optional
	s.nodes[id] = *n
	return nil
}

// setDefault sets the default of a node that is otherwise complete.
func (s *schemaSource) setDefault(n *wit.SchemaNode, id uint32, value any) error {
	r, err := connectjson.CompileReader(s.nodes, id, s.options.readForm())
	if err != nil {
		return err
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return err
	}
	var p connectjson.Parser
	p.Reset(s.ctx, text.Bytes(), s.defaultBytes)
	out := r.ReadDefault(&p)
	if p.Err != nil {
		return fault.NotJSON("", fault.ContextError(s.ctx, p.Err.InField("default")))
	}
	if s.defaultBytes -= len(out); s.defaultBytes < 0 {
		return fault.Data("schema: expected defaults of at most %d bytes", connectdata.MaxSchemaBytes)
	}
	n.DefaultValue = &out
	return nil
}
