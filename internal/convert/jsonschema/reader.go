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
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// schemaSource converts a JSON Schema of draft 7 to nodes like JsonSchemaData, which uses the library everit: a schema
// has all types that its keywords imply, and several are a combination.
type schemaSource struct {
	ctx     context.Context
	o       options
	version *int32
	root    *document
	// named has the schemas that others refer to, by name.
	named map[string]*document
	nodes []wit.SchemaNode
	// open has the references around the current schema, to detect a cycle.
	open map[schemaLocation]bool
	// steps counts visited schemas, unions those that became structs; left is how many bytes defaults may still use.
	steps, unions, left int
}

// document is the text of one schema.
type document struct {
	root any
	// anchors has its schemas with an `$id`.
	anchors map[string]any
}

// schemaLocation is the target of a reference.
type schemaLocation struct {
	in *document
	at string
}

// part is a schema and its document.
type part struct {
	in     *document
	schema any
}

func (p part) words() map[string]any {
	words, _ := p.schema.(map[string]any)
	return words
}

// bare returns a copy without title, description, default and connect.* keywords, which describe the whole schema.
func (p part) bare() part {
	words := maps.Clone(p.words())
	for _, word := range []string{"title", "description", "default", connectVersion, connectParameters, connectType} {
		delete(words, word)
	}
	return part{p.in, words}
}

// below returns the schema of a keyword.
func (p part) below(word string) part { return part{p.in, p.words()[word]} }

func newSchemaSource(ctx context.Context, texts []registry.Text, o options) (*schemaSource, error) {
	s := &schemaSource{ctx: ctx, o: o, named: map[string]*document{}, open: map[schemaLocation]bool{},
		left: connectdata.MaxSchemaBytes}
	for _, one := range texts {
		if len(one.Text) > 6*connectdata.MaxSchemaBytes {
			return nil, fault.Data("schema: expected at most %d bytes, found a text of %d", connectdata.MaxSchemaBytes,
				len(one.Text))
		}
		d := json.NewDecoder(strings.NewReader(one.Text))
		d.UseNumber()
		doc := &document{anchors: map[string]any{}}
		if err := d.Decode(&doc.root); err != nil {
			return nil, fault.Data("the JSON Schema: %v", err)
		}
		doc.addAnchors(doc.root)
		s.root, s.named[one.Name] = doc, doc
	}
	return s, nil
}

// addAnchors records the schemas that have an `$id`.
func (d *document) addAnchors(v any) {
	switch x := v.(type) {
	case map[string]any:
		for _, word := range []string{"$id", "id"} {
			if id, ok := x[word].(string); ok && d.anchors[id] == nil {
				d.anchors[id] = x
			}
		}
		for _, below := range x {
			d.addAnchors(below)
		}
	case []any:
		for _, below := range x {
			d.addAnchors(below)
		}
	}
}

func (s *schemaSource) title() string {
	title, _ := part{s.root, s.root.root}.words()["title"].(string)
	return title
}

// read returns the nodes of the last document.
func (s *schemaSource) read() ([]wit.SchemaNode, error) {
	_, err := s.node(part{s.root, s.root.root}, s.version, false, 1)
	return s.nodes, err
}

// typeWords are the keywords that imply a type.
var typeWords = []struct {
	typ   string
	words []string
}{
	{"array", []string{"items", "additionalItems", "minItems", "maxItems", "uniqueItems", "contains"}},
	{"object", []string{"properties", "required", "minProperties", "maxProperties", "dependencies",
		"patternProperties", "additionalProperties", "propertyNames"}},
	{"number", []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}},
	{"string", []string{"minLength", "maxLength", "pattern", "format"}},
}

// facet is an aspect of a schema: a type, an enumeration, or a choice.
type facet struct {
	part
	// kind is a type of JSON, enum, const, $ref, allOf, anyOf or oneOf.
	kind    string
	choices []facet
}

// facets returns the aspects of a schema.
func (s *schemaSource) facets(p part, depth int) (list []facet, err error) {
	if s.steps++; s.steps > connectdata.MaxSchemaNodes {
		return nil, fault.Data("schema: expected at most %d schemas in each other", connectdata.MaxSchemaNodes)
	}
	if depth > connectdata.MaxSchemaDepth {
		return nil, fault.Data("schema: expected at most %d nodes in each other", connectdata.MaxSchemaDepth)
	}
	if s.ctx.Err() != nil {
		return nil, context.Cause(s.ctx)
	}
	words := p.words()
	if _, refers := words["$ref"].(string); refers {
		return []facet{{part: p, kind: "$ref"}}, nil
	}
	for _, word := range []string{"allOf", "anyOf", "oneOf"} {
		if choices, ok := words[word].([]any); ok {
			one := facet{part: p, kind: word}
			for _, c := range choices {
				one.choices = append(one.choices, facet{part: part{p.in, c}})
			}
			// nested choices precede others
			slices.SortStableFunc(one.choices, func(a, b facet) int { return cmp.Compare(rank(a.part), rank(b.part)) })
			list = append(list, one)
		}
	}
	var types []string
	switch typ := words["type"].(type) {
	case string:
		types = []string{typ}
		list = append(list, facet{part: p, kind: typ})
	case []any:
		one := facet{part: p, kind: "anyOf"}
		for _, v := range typ {
			name, _ := v.(string)
			types = append(types, name)
			one.choices = append(one.choices, facet{part: p.bare(), kind: name})
		}
		list = append(list, one)
	}
	for _, word := range []string{"enum", "const", "not", "if"} {
		if _, given := words[word]; given {
			list = append(list, facet{part: p, kind: word})
		}
	}
	for _, t := range typeWords {
		if slices.Contains(types, t.typ) || t.typ == "number" && slices.Contains(types, "integer") {
			continue
		}
		for _, word := range t.words {
			if _, given := words[word]; given {
				list = append(list, facet{part: p, kind: t.typ})
				break
			}
		}
	}
	return list, nil
}

func rank(p part) int {
	words := p.words()
	for _, word := range []string{"allOf", "anyOf", "oneOf"} {
		if _, given := words[word]; given && words["$ref"] == nil {
			return 0
		}
	}
	if _, several := words["type"].([]any); several {
		return 0
	}
	return 1
}

// singleFacet returns the single facet of a schema; several become allOf.
func (s *schemaSource) singleFacet(p part, depth int) (facet, error) {
	list, err := s.facets(p, depth)
	switch {
	case err != nil:
		return facet{}, err
	case len(list) == 1:
		return list[0], nil
	case len(list) == 0:
		return facet{}, fault.Data("a JSON Schema that says no type: expected type, properties, items, enum, oneOf, "+
			"anyOf, allOf or $ref, found %s", shownJSON(p.schema))
	}
	for i := range list {
		list[i].part = p.bare()
	}
	return facet{part: p, kind: "allOf", choices: list}, nil
}

func shownJSON(v any) string {
	text, _ := json.Marshal(v)
	return fault.Truncate(text)
}

// resolved returns the facet of a choice, which was not visited yet.
func (s *schemaSource) resolved(f facet, depth int) (facet, error) {
	if f.kind != "" {
		return f, nil
	}
	return s.singleFacet(f.part, depth)
}

// node converts a schema and returns its number.
func (s *schemaSource) node(p part, version *int32, optional bool, depth int) (uint32, error) {
	f, err := s.singleFacet(p, depth)
	if err != nil {
		return 0, err
	}
	return s.facet(f, version, optional, depth)
}

func (s *schemaSource) facet(f facet, version *int32, optional bool, depth int) (uint32, error) {
	switch f.kind {
	case "$ref":
		return s.reference(f, version, optional, depth)
	case "allOf":
		if len(f.choices) == 1 && s.o.flatten {
			return s.singleton(f, depth)
		}
		return s.all(f, version, optional, depth)
	case "anyOf", "oneOf":
		return s.choice(f, version, optional, depth)
	}
	if len(s.nodes) >= connectdata.MaxSchemaNodes {
		return 0, fault.Data("schema: expected at most %d nodes", connectdata.MaxSchemaNodes)
	}
	id := uint32(len(s.nodes))
	s.nodes = append(s.nodes, wit.SchemaNode{})
	var n wit.SchemaNode
	if err := s.typed(&n, f, depth); err != nil {
		return 0, err
	}
	return id, s.attributes(&n, id, f.part, version, optional)
}

// singleton converts a choice with one member: like Kafka Connect, it ignores the other keywords of the schema.
func (s *schemaSource) singleton(f facet, depth int) (uint32, error) {
	one, err := s.resolved(f.choices[0], depth+1)
	if err != nil {
		return 0, err
	}
	return s.facet(one, nil, false, depth+1)
}

// choice converts anyOf and oneOf: null and one type to an optional type, others to a struct that represents a union.
func (s *schemaSource) choice(f facet, version *int32, optional bool, depth int) (uint32, error) {
	if len(f.choices) == 1 && s.o.flatten {
		return s.singleton(f, depth)
	}
	null := false
	var others []facet
	for _, one := range f.choices {
		one, err := s.resolved(one, depth+1)
		if err != nil {
			return 0, err
		}
		if one.kind == "null" {
			null = true
			continue
		}
		others = append(others, one)
	}
	if null && len(f.choices) == 2 && len(others) == 1 {
		return s.facet(others[0], version, true, depth+1)
	}
	if len(others) > conversion.MaxUnionBranches {
		return 0, fault.Data("schema: expected at most %d types of a union, found %d", conversion.MaxUnionBranches,
			len(others))
	}
	id := uint32(len(s.nodes))
	s.nodes = append(s.nodes, wit.SchemaNode{})
	name := connectjson.UnionName
	n := wit.SchemaNode{Kind: wit.Struct, Optional: null}
	if s.o.sums {
		name = "connect_union_" + strconv.Itoa(s.unions)
		n.Parameters = []wit.Setting{{Name: connectjson.SumUnionName, Value: name}}
	}
	s.unions++
	n.Name = &name
	for i, one := range others {
		node, err := s.facet(one, nil, true, depth+1)
		if err != nil {
			return 0, err
		}
		member := name + ".field." + strconv.Itoa(i)
		if s.o.sums {
			member = "connect_union_field_" + strconv.Itoa(i)
		}
		n.Fields = append(n.Fields, wit.Field{Name: member, Node: node})
	}
	return id, s.attributes(&n, id, f.part, version, optional)
}

// all converts allOf: to a struct of all properties, or the type that the other schemas restrict.
func (s *schemaSource) all(f facet, version *int32, optional bool, depth int) (uint32, error) {
	properties := properties{places: map[string]int{}}
	last := map[string]facet{}
	for _, one := range f.choices {
		one, err := s.resolved(one, depth+1)
		if err != nil {
			return 0, err
		}
		kind := one.kind
		switch kind {
		case "anyOf", "oneOf", "allOf":
			kind = "choice"
		case "integer":
			kind = "number"
		}
		last[kind] = one
		if err := s.collect(one, &properties, depth+1); err != nil {
			return 0, err
		}
	}
	if len(properties.list) > 0 {
		id := uint32(len(s.nodes))
		s.nodes = append(s.nodes, wit.SchemaNode{})
		n := wit.SchemaNode{Kind: wit.Struct, Optional: optional}
		for _, p := range properties.list {
			node, err := s.node(p.part, nil, s.o.optional && !p.required, depth+1)
			if err != nil {
				return 0, err
			}
			n.Fields = append(n.Fields, wit.Field{Name: p.name, Node: node})
		}
		s.nodes[id] = n
		return id, nil
	}
	has := func(kind string) bool { return last[kind].kind != "" }
	pick := ""
	switch {
	case has("choice"):
		pick = "choice"
	case has("const") && has("string"):
		pick = "string"
	case has("const") && has("number"):
		pick = "number"
	case has("const"):
	case has("enum") && has("string"):
		pick = "enum"
	case has("enum") && has("number"):
		pick = "number"
	case has("enum"):
	case has("string") && last["string"].words()["format"] != nil:
		if pick = "string"; has("number") {
			pick = "number"
		}
	case has("$ref"):
		pick = "$ref"
	}
	if pick == "" {
		return 0, fault.Data("a JSON Schema that is several at once, of which none says what it is: %s",
			shownJSON(f.schema))
	}
	return s.facet(last[pick], version, optional, depth+1)
}

// properties are the properties of several schemas, each once: the last one counts, at the place of the first.
type properties struct {
	list   []property7
	places map[string]int
}

type property7 struct {
	name string
	part
	required bool
}

func (p *properties) add(one property7) {
	if at, known := p.places[one.name]; known {
		p.list[at] = one
		return
	}
	p.places[one.name] = len(p.list)
	p.list = append(p.list, one)
}

// collect adds the properties of a facet.
func (s *schemaSource) collect(f facet, all *properties, depth int) error {
	switch f.kind {
	case "allOf":
		for _, one := range f.choices {
			one, err := s.resolved(one, depth+1)
			if err == nil {
				err = s.collect(one, all, depth+1)
			}
			if err != nil {
				return err
			}
		}
	case "object":
		for _, p := range propertiesOf(f.part) {
			all.add(p)
		}
	case "$ref":
		at, to, err := s.follow(f.part)
		if err != nil || s.open[at] {
			return err
		}
		s.open[at] = true
		defer delete(s.open, at)
		one, err := s.singleFacet(to, depth+1)
		if err != nil {
			return err
		}
		return s.collect(one, all, depth+1)
	}
	return nil
}

// propertiesOf returns the properties of an object in the order of a Java hash table.
func propertiesOf(p part) (list []property7) {
	given, _ := p.words()["properties"].(map[string]any)
	required, _ := p.words()["required"].([]any)
	for _, name := range java.HashMapOrder(slices.Sorted(maps.Keys(given)), java.Identity) {
		list = append(list, property7{name, part{p.in, given[name]}, slices.Contains(required, any(name))})
	}
	return list
}

// reference converts the target of a reference.
func (s *schemaSource) reference(f facet, version *int32, optional bool, depth int) (uint32, error) {
	at, to, err := s.follow(f.part)
	if err != nil {
		return 0, err
	}
	if s.open[at] {
		return 0, fault.Data("a JSON Schema that contains itself, at %s: schemas of records end somewhere",
			fault.Quoted(at.at))
	}
	s.open[at] = true
	defer delete(s.open, at)
	return s.node(to, version, optional, depth+1)
}

// follow finds the target of a reference.
func (s *schemaSource) follow(p part) (schemaLocation, part, error) {
	text, _ := p.words()["$ref"].(string)
	name, fragment, _ := strings.Cut(text, "#")
	doc := p.in
	if name != "" {
		if doc = s.named[name]; doc == nil {
			if v := p.in.anchors[name]; v != nil && fragment == "" {
				return schemaLocation{p.in, text}, part{p.in, v}, nil
			}
			return schemaLocation{}, part{},
				fault.Data("the JSON Schema refers to %s, which the registry does not name as one of "+
					"its references", fault.Quoted(text))
		}
	}
	v, found := doc.root, true
	switch {
	case strings.HasPrefix(fragment, "/"):
		for _, token := range strings.Split(fragment[1:], "/") {
			if plain, err := url.PathUnescape(token); err == nil {
				token = plain
			}
			token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
			switch x := v.(type) {
			case map[string]any:
				v, found = x[token]
			case []any:
				i, err := strconv.Atoi(token)
				if found = err == nil && i >= 0 && i < len(x); found {
					v = x[i]
				}
			default:
				found = false
			}
			if !found {
				break
			}
		}
	case fragment != "":
		v, found = doc.anchors["#"+fragment]
	}
	if !found {
		return schemaLocation{}, part{}, fault.Data("the JSON Schema refers to %s, which is not there",
			fault.Quoted(text))
	}
	return schemaLocation{doc, fragment}, part{doc, v}, nil
}

// typed converts a schema of one type.
func (s *schemaSource) typed(n *wit.SchemaNode, f facet, depth int) (err error) {
	connect, _ := f.words()[connectType].(string)
	switch f.kind {
	case "boolean":
		n.Kind = wit.Boolean
	case "integer", "number":
		if n.Kind = wit.Int64; f.kind == "number" {
			n.Kind = wit.Float64
		}
		switch connect {
		case "":
		case "float32":
			n.Kind = wit.Float32
		case "float64":
			n.Kind = wit.Float64
		case "bytes": // a decimal
			n.Kind = wit.Bytes
		default:
			at := slices.Index(connectjson.TypeNames[:wit.Float32], connect)
			if at < 0 {
				return fault.Data("Unsupported type %s", fault.Quoted(connect))
			}
			n.Kind = wit.Kind(at)
		}
	case "string":
		if n.Kind = wit.String; connect == "bytes" {
			n.Kind = wit.Bytes
		}
	case "enum":
		symbols, _ := f.words()["enum"].([]any)
		s.enumeration(n, symbols)
	case "const":
		s.enumeration(n, []any{f.words()["const"]})
	case "array":
		return s.array(n, f, connect == "map", depth)
	case "object":
		return s.object(n, f, connect == "map", depth)
	default:
		err = fault.Data("Unsupported schema type %s: %s", fault.Quoted(f.kind), shownJSON(f.schema))
	}
	return err
}

// enumeration converts an enumeration to a string, with a parameter for each symbol.
func (s *schemaSource) enumeration(n *wit.SchemaNode, symbols []any) {
	name := enumName
	if s.o.sums {
		name = sumEnumName
	}
	n.Kind = wit.String
	n.Parameters = []wit.Setting{{Name: name}}
	seen := map[string]bool{}
	for i, v := range symbols {
		symbol, isText := v.(string)
		switch {
		case v == nil:
			symbol = nullSymbol
		case !isText:
			text, _ := json.Marshal(v)
			symbol = string(text)
		}
		if seen[symbol] {
			continue
		}
		seen[symbol] = true
		p := wit.Setting{Name: name + "." + symbol, Value: symbol}
		if s.o.sums {
			p.Value = strconv.Itoa(i)
		}
		n.Parameters = append(n.Parameters, p)
	}
}

func (s *schemaSource) array(n *wit.SchemaNode, f facet, entries bool, depth int) (err error) {
	items := f.below("items")
	if _, several := items.schema.([]any); several || items.schema == nil {
		return fault.Data("Array schema did not specify the items type")
	}
	key, value := items.below("properties"), part{}
	if entries && key.words() != nil {
		if key, value = key.below("key"), key.below("value"); key.schema == nil || value.schema == nil {
			return fault.Data("expected the properties key and value of the entries of a map")
		}
		n.Kind = wit.Map
		if n.Key, err = s.node(key, nil, false, depth+1); err == nil {
			n.Element, err = s.node(value, nil, false, depth+1)
		}
		return err
	}
	n.Kind = wit.Array
	n.Element, err = s.node(items, nil, false, depth+1)
	return err
}

func (s *schemaSource) object(n *wit.SchemaNode, f facet, mapping bool, depth int) (err error) {
	if mapping {
		n.Kind = wit.Map
		n.Key = uint32(len(s.nodes))
		s.nodes = append(s.nodes, wit.SchemaNode{Kind: wit.String})
		n.Element, err = s.node(f.below("additionalProperties"), nil, false, depth+1)
		return err
	}
	n.Kind = wit.Struct
	type placed struct {
		property7
		at int64
	}
	var list []placed
	for i, p := range propertiesOf(f.part) {
		at := int64(i)
		if number, ok := p.words()[connectIndex].(json.Number); ok {
			at, _ = number.Int64()
		}
		list = append(list, placed{p, at})
	}
	slices.SortStableFunc(list, func(a, b placed) int { return cmp.Compare(a.at, b.at) })
	for _, p := range list {
		node, err := s.node(p.part, nil, s.o.optional && !p.required, depth+1)
		if err != nil {
			return err
		}
		n.Fields = append(n.Fields, wit.Field{Name: p.name, Node: node})
	}
	return nil
}

// attributes sets the attributes of a node and adds it.
func (s *schemaSource) attributes(n *wit.SchemaNode, id uint32, p part, version *int32, optional bool) error {
	words := p.words()
	if title, ok := words["title"].(string); ok && n.Name == nil {
		n.Name = &title
	}
	n.Version = version
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
					shownJSON(parameters[name]))
			}
			n.Parameters = append(n.Parameters, wit.Setting{Name: name, Value: value})
		}
	}
	s.nodes[id] = *n
	if value, given := words["default"]; given {
		if err := s.defaultValue(n, id, value); err != nil {
			return err
		}
	}
	n.Optional = n.Optional || optional
	s.nodes[id] = *n
	return nil
}

// defaultValue sets the default of a complete node.
func (s *schemaSource) defaultValue(n *wit.SchemaNode, id uint32, value any) error {
	r, err := connectjson.CompileReader(s.nodes, id, s.o.readForm())
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
	p.Reset(s.ctx, text.Bytes(), s.left)
	out := r.ReadDefault(&p)
	if p.Err != nil {
		return fault.NotJSON("", fault.ContextError(s.ctx, p.Err.InField("default")))
	}
	if s.left -= len(out); s.left < 0 {
		return fault.Data("schema: expected defaults of at most %d bytes", connectdata.MaxSchemaBytes)
	}
	n.DefaultValue = &out
	return nil
}
