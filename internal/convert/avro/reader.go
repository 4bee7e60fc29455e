package avro

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/avro"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// schemaReader converts an Avro schema to Connect nodes as AvroData.toConnectSchema does, and to steps for values. In
// its methods n is an Avro schema, and w the node that is created for it. A step's n is a Connect node.
type schemaReader struct {
	o         Options
	nodes     []wit.SchemaNode
	named     map[string]*avro.SchemaNode // the types that are defined so far, by full name
	open      map[string]bool             // the types around the current one, by full name
	namespace string                      // of the surrounding type; names without a dot are looked up there first
}

// placement is the part of a node that the place of its schema determines: a field, a union, or the root.
type placement struct {
	optional   bool
	value      any // the field's default, if hasDefault is set
	hasDefault bool
	version    *int32 // the version in the registry. Nil means unknown.
}

// readSchema returns the nodes for an Avro schema and the step that reads its values.
func readSchema(root *avro.SchemaNode, version *int32, o Options) ([]wit.SchemaNode, *step, error) {
	r := schemaReader{o: o, named: map[string]*avro.SchemaNode{}, open: map[string]bool{}}
	_, s, err := r.addNode(root, placement{version: version}, 1)
	if err != nil {
		return nil, nil, err
	}
	return r.nodes, &s, nil
}

func fullName(n *avro.SchemaNode) string {
	if n.Namespace == "" || strings.Contains(n.Name, ".") {
		return n.Name
	}
	return n.Namespace + "." + n.Name
}

func property(n *avro.SchemaNode, name string) any { return n.Props[name] }

func textProperty(n *avro.SchemaNode, name string) string {
	s, _ := n.Props[name].(string)
	return s
}

// logicalPrefix hides logical types and their attributes from the parser, which ignores invalid ones as the
// specification demands, such as a decimal with a negative scale. AvroData reads them.
const logicalPrefix = "culvert."

// normalizeNode changes the JSON of a schema so that the parser accepts what Avro's Java library accepts: it hides
// logical types, see logicalPrefix, and removes empty namespaces (.x), and aliases, which do not matter here. depth
// counts levels of JSON, of which a node has up to four.
func normalizeNode(v any, depth int) error {
	if depth > 4*connectdata.MaxSchemaDepth {
		return fmt.Errorf("expected at most %d nodes in each other", connectdata.MaxSchemaDepth)
	}
	switch node := v.(type) {
	case []any: // a union, or fields
		for _, item := range node {
			if err := normalizeNode(item, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, name := range []string{"logicalType", "scale", "precision"} {
			if value, ok := node[name]; ok {
				node[logicalPrefix+name] = value
				delete(node, name)
			}
		}
		delete(node, "aliases")
		switch node["type"] {
		case "record", "error", "enum", "fixed":
			if name, _ := node["name"].(string); trimEmptyNamespace(name) != name {
				node["name"] = trimEmptyNamespace(name)
				node["namespace"] = ""
			}
		}
		for _, name := range []string{"type", "items", "values", "fields"} {
			if err := normalizeNode(node[name], depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// trimEmptyNamespace removes a dot at the beginning of a name if it is the only one.
func trimEmptyNamespace(name string) string {
	if strings.LastIndexByte(name, '.') == 0 {
		return name[1:]
	}
	return name
}

func logicalType(n *avro.SchemaNode) string { return textProperty(n, logicalPrefix+"logicalType") }

// resolve returns the definition of a name.
func (r *schemaReader) resolve(n *avro.SchemaNode) *avro.SchemaNode {
	switch n.Type {
	case "null", "boolean", "int", "long", "float", "double", "string", "bytes", "fixed", "enum", "array", "map",
		"record", "error", "union":
		return n
	}
	if !strings.Contains(n.Type, ".") && r.namespace != "" {
		if d := r.named[r.namespace+"."+n.Type]; d != nil {
			return d
		}
	}
	if d := r.named[n.Type]; d != nil {
		return d
	}
	return n
}

// enterNamespace sets the namespace for names until leave is called.
func (r *schemaReader) enterNamespace(name string) (leave func()) {
	outer := r.namespace
	r.namespace = name[:max(0, strings.LastIndexByte(name, '.'))]
	return func() { r.namespace = outer }
}

// addNode adds the node of a schema. The step includes the branches of its union.
func (r *schemaReader) addNode(n *avro.SchemaNode, place placement, depth int) (uint32, step, error) {
	n = r.resolve(n)
	if depth > connectdata.MaxSchemaDepth {
		return 0, step{}, fault.Data("schema: expected at most %d nodes in each other", connectdata.MaxSchemaDepth)
	}
	if len(r.nodes) >= connectdata.MaxSchemaNodes {
		return 0, step{}, fault.Data("schema: expected at most %d nodes", connectdata.MaxSchemaNodes)
	}
	if n.Type != "union" {
		return r.addValue(n, place, depth)
	}
	null := slices.IndexFunc(n.Branches, func(b avro.SchemaNode) bool { return b.Type == "null" })
	if len(n.Branches) == 1 && r.o.flatten {
		id, s, err := r.addNode(&n.Branches[0], placement{optional: place.optional}, depth)
		if err != nil {
			return id, s, err
		}
		return id, step{op: unionStep, branches: []branch{{step: &s}}}, nil
	}
	if len(n.Branches) == 2 && null >= 0 {
		// AvroData drops the field's default: the default of a union belongs to its first branch.
		id, s, err := r.addNode(&n.Branches[1-null], placement{optional: true}, depth)
		if err != nil {
			return id, s, err
		}
		return id, r.optionalStep(id, s, null), nil
	}
	return r.addUnionStruct(n, place, depth)
}

// addValue adds the node of a type that is no union. The caller adds the branches of an optional one.
func (r *schemaReader) addValue(n *avro.SchemaNode, place placement, depth int) (uint32, step, error) {
	id := uint32(len(r.nodes))
	r.nodes = append(r.nodes, wit.SchemaNode{})
	var w wit.SchemaNode
	result, err := r.setKind(&w, n, depth)
	if err == nil {
		err = r.setAttributes(&w, n, place)
	}
	if err != nil {
		return id, result, err
	}
	w.Optional = place.optional
	r.nodes[id] = w
	r.setDefault(id, n, place)
	return id, result, nil
}

// optionalStep returns the step of an optional value; null is the index of the null branch.
func (r *schemaReader) optionalStep(id uint32, s step, null int) step {
	n := &r.nodes[id]
	branches := make([]branch, 2)
	branches[null] = branch{prefix: connectdata.AppendBranch(nil, n, true)}
	branches[1-null] = branch{prefix: connectdata.AppendBranch(nil, n, false), step: &s}
	// Connect's branches begin with null, or with the value if the node has a default.
	isSameOrder := (null == 0) == (n.DefaultValue == nil)
	return step{op: unionStep, branches: branches, identity: s.identity && isSameOrder}
}

// addUnionStruct converts a union of several types to a struct with an optional member for each.
func (r *schemaReader) addUnionStruct(n *avro.SchemaNode, place placement, depth int) (uint32, step, error) {
	if len(n.Branches) > conversion.MaxUnionBranches {
		return 0, step{}, fault.Data("a union of %d types, expected at most %d", len(n.Branches),
			conversion.MaxUnionBranches)
	}
	id := uint32(len(r.nodes))
	r.nodes = append(r.nodes, wit.SchemaNode{})
	w := wit.SchemaNode{Kind: wit.Struct, Name: wit.Ptr(unionName), Optional: place.optional, Version: place.version}
	result := step{op: unionStep, branches: make([]branch, len(n.Branches))}
	steps := make([]step, len(n.Branches))
	seen := map[string]bool{}
	for i := range n.Branches {
		member := r.resolve(&n.Branches[i])
		if member.Type == "null" {
			w.Optional = true
			continue
		}
		name := r.memberName(member)
		if seen[name] {
			return id, result, fault.Data("Multiple union schemas map to the Connect union field name")
		}
		seen[name] = true
		node, inner, err := r.addNode(member, placement{optional: true}, depth+1)
		if err != nil {
			return id, result, err
		}
		steps[i] = inner
		w.Fields = append(w.Fields, wit.Field{Name: name, Node: node})
	}
	r.nodes[id] = w
	r.setDefault(id, n, place)
	w = r.nodes[id] // with its default, which determines the branch numbers
	// The output of a branch is its value and, before and after it, a null for each other member.
	var nulls [][]byte
	for _, m := range w.Fields {
		nulls = append(nulls, connectdata.AppendBranch(nil, &r.nodes[m.Node], true))
	}
	next := 0
	for i := range n.Branches {
		b := &result.branches[i]
		if r.resolve(&n.Branches[i]).Type == "null" {
			b.prefix = connectdata.AppendBranch(nil, &w, true)
			continue
		}
		b.prefix = slices.Concat(connectdata.AppendBranch(nil, &w, false), slices.Concat(nulls[:next]...),
			connectdata.AppendBranch(nil, &r.nodes[w.Fields[next].Node], false))
		b.suffix = slices.Concat(nulls[next+1:]...)
		b.step = &steps[i]
		next++
	}
	return id, result, nil
}

func (r *schemaReader) memberName(n *avro.SchemaNode) string {
	switch n.Type {
	case "record", "error", "enum", "fixed":
		if r.o.enhanced {
			return fullName(n)
		}
		return conversion.SimpleName(n.Name)
	}
	return n.Type
}

// setKind sets the attributes of a node that the Avro type determines, and returns the step of its values.
func (r *schemaReader) setKind(w *wit.SchemaNode, n *avro.SchemaNode, depth int) (step, error) {
	switch n.Type {
	case "boolean":
		w.Kind = wit.Boolean
		return step{op: booleanStep, identity: true}, nil
	case "int":
		w.Kind = wit.Int32
		kind := textProperty(n, "connect.type")
		switch logicalName := logicalType(n); {
		case strings.EqualFold(logicalName, "date"):
			setLogical(w, wit.NameDate)
		case strings.EqualFold(logicalName, "time-millis"):
			setLogical(w, wit.NameTime)
		case logicalName != "" || kind == "": // an int32; a connect.type beside a logical type has no effect
		case kind == "int8":
			w.Kind = wit.Int8
		case kind == "int16":
			w.Kind = wit.Int16
		default:
			return step{}, fault.Data("Connect type annotation for Avro int field is null")
		}
		return step{op: numberStep, size: 8 << w.Kind, identity: true}, nil // 8, 16 or 32 bits
	case "long":
		w.Kind = wit.Int64
		if strings.EqualFold(logicalType(n), "timestamp-millis") {
			setLogical(w, wit.NameTimestamp)
		}
		return step{op: numberStep, size: 64, identity: true}, nil
	case "float":
		w.Kind = wit.Float32
		return step{op: floatStep, size: 4, identity: true}, nil
	case "double":
		w.Kind = wit.Float64
		return step{op: floatStep, size: 8, identity: true}, nil
	case "string":
		w.Kind = wit.String
		return step{op: textStep, identity: true}, nil
	case "bytes":
		w.Kind = wit.Bytes
		if r.setDecimal(w, n) {
			return step{op: decimalStep}, nil
		}
		return step{op: bytesStep, identity: true}, nil
	case "fixed":
		w.Kind = wit.Bytes
		r.named[fullName(n)] = n
		s := step{op: fixedStep, size: n.Size}
		if r.setDecimal(w, n) {
			s.op = fixedDecimalStep
		}
		w.Parameters = append(w.Parameters, wit.Setting{Name: fixedSize, Value: strconv.Itoa(n.Size)})
		return s, nil
	case "enum":
		w.Kind = wit.String
		r.named[fullName(n)] = n
		result := step{op: enumStep}
		if r.o.Meta && n.Doc != "" {
			w.Parameters = append(w.Parameters, wit.Setting{Name: enumDoc + conversion.SimpleName(n.Name),
				Value: n.Doc})
		}
		if r.o.Meta && n.HasEnumDefault {
			w.Parameters = append(w.Parameters, wit.Setting{Name: enumDefault + conversion.SimpleName(n.Name),
				Value: n.EnumDefault})
		}
		w.Parameters = append(w.Parameters, wit.Setting{Name: enumName, Value: fullName(n)})
		for _, symbol := range n.Symbols {
			result.symbols = append(result.symbols, connectdata.AppendString(nil, symbol))
			w.Parameters = append(w.Parameters, wit.Setting{Name: enumName + "." + symbol, Value: symbol})
		}
		return result, nil
	case "array":
		return r.setArray(w, n, depth)
	case "map":
		w.Kind = wit.Map
		w.Key = uint32(len(r.nodes))
		r.nodes = append(r.nodes, wit.SchemaNode{Kind: wit.String})
		id, s, err := r.addNode(n.Values, placement{}, depth+1)
		w.Element = id
		return step{op: mapStep, key: &step{op: textStep, identity: true}, element: &s, identity: s.identity}, err
	case "record", "error":
		return r.setRecord(w, n, depth)
	case "null":
		return step{}, fault.Data("Standalone null schemas are not supported by this converter")
	}
	return step{}, fault.Data("Couldn't translate unsupported schema type %s.", fault.Truncate(n.Type))
}

// timesUnknownToConnect are logical types of long without a Connect type. AvroData drops them; here they become names,
// so that the unit is not lost.
var timesUnknownToConnect = []string{"time-micros", "timestamp-micros", "timestamp-nanos", "local-timestamp-millis",
	"local-timestamp-micros", "local-timestamp-nanos"}

// setLogical makes a node a logical type of Kafka Connect, whose versions are all 1.
func setLogical(w *wit.SchemaNode, name string) {
	w.Name = wit.Ptr(name)
	w.Version = wit.Ptr(int32(1))
}

// setDecimal turns bytes into a Decimal with its scale if that is their logical type, which it reports.
func (r *schemaReader) setDecimal(w *wit.SchemaNode, n *avro.SchemaNode) bool {
	if !strings.EqualFold(logicalType(n), "decimal") {
		return false
	}
	setLogical(w, wit.NameDecimal)
	scale, _ := jsonInteger(property(n, logicalPrefix+"scale"))
	precision, _ := jsonInteger(property(n, logicalPrefix+"precision"))
	w.Parameters = append(w.Parameters, wit.Setting{Name: wit.ParameterScale, Value: strconv.FormatInt(scale, 10)})
	if precision != defaultPrecision && precision != 0 {
		w.Parameters = append(w.Parameters, wit.Setting{Name: wit.ParameterPrecision,
			Value: strconv.FormatInt(precision, 10)})
	}
	return true
}

// setArray converts an array, or a map that AvroData has written as an array of entries.
func (r *schemaReader) setArray(w *wit.SchemaNode, n *avro.SchemaNode, depth int) (step, error) {
	item := r.resolve(n.Items)
	isEntry := item.Type == "record" && (fullName(item) == namespace+"."+mapEntry || property(item,
		"connect.internal.type") == mapEntry)
	if !isEntry {
		w.Kind = wit.Array
		id, s, err := r.addNode(item, placement{}, depth+1)
		w.Element = id
		return step{op: arrayStep, element: &s, identity: s.identity}, err
	}
	fields := map[string]*avro.SchemaField{}
	for i := range item.Fields {
		fields[item.Fields[i].Name] = &item.Fields[i]
	}
	key := fields["key"]
	value := fields["value"]
	if len(item.Fields) != 2 || key == nil || value == nil {
		return step{}, fault.Data("Found map encoded as array of key-value pairs, but array elements do not match " +
			"the expected format.")
	}
	name := fullName(item)
	if r.open[name] {
		return step{}, recursiveError(name)
	}
	r.named[name] = item
	r.open[name] = true
	defer delete(r.open, name)
	defer r.enterNamespace(name)()
	w.Kind = wit.Map
	var keyStep, valueStep step
	var err error
	if w.Key, keyStep, err = r.addNode(&key.Type, placement{}, depth+1); err != nil {
		return step{}, err
	}
	if w.Element, valueStep, err = r.addNode(&value.Type, placement{}, depth+1); err != nil {
		return step{}, err
	}
	s := step{op: mapStep, key: &keyStep, element: &valueStep, identity: keyStep.identity && valueStep.identity}
	if item.Fields[0].Name == "value" { // the value precedes the key
		s.op = swappedStep
		s.identity = false
	}
	return s, nil
}

func recursiveError(name string) error {
	return fault.Data("the Avro type %s contains itself, and schemas here are trees", fault.Quoted(name))
}

func (r *schemaReader) setRecord(w *wit.SchemaNode, n *avro.SchemaNode, depth int) (step, error) {
	name := fullName(n)
	if r.open[name] {
		return step{}, recursiveError(name)
	}
	r.named[name] = n
	r.open[name] = true
	defer delete(r.open, name)
	defer r.enterNamespace(name)()
	w.Kind = wit.Struct
	result := step{op: recordStep, identity: true, members: make([]step, len(n.Fields)),
		names: make([]string, len(n.Fields))}
	if r.o.Meta && n.Doc != "" {
		w.Parameters = append(w.Parameters, wit.Setting{Name: recordDoc, Value: n.Doc})
	}
	for i := range n.Fields {
		field := &n.Fields[i]
		if r.o.Meta && field.Doc != "" {
			w.Parameters = append(w.Parameters, wit.Setting{Name: fieldDoc + field.Name, Value: field.Doc})
		}
		place := placement{value: field.Default, hasDefault: field.HasDefault}
		id, member, err := r.addNode(&field.Type, place, depth+1)
		if err != nil {
			return result, fmt.Errorf("field %s: %w", fault.Quoted(field.Name), err)
		}
		w.Fields = append(w.Fields, wit.Field{Name: field.Name, Node: id})
		result.members[i] = member
		result.names[i] = field.Name
		result.identity = result.identity && member.identity
	}
	return result, nil
}

// setAttributes sets the attributes of a node that Confluent's properties determine.
func (r *schemaReader) setAttributes(w *wit.SchemaNode, n *avro.SchemaNode, place placement) error {
	if doc := textProperty(n, "connect.doc"); r.o.Meta && doc != "" {
		w.Doc = wit.Ptr(doc)
	}
	version := place.version
	if attribute := property(n, "connect.version"); attribute != nil {
		v, ok := asNumber(attribute, 32)
		if !ok {
			return fault.Data("Invalid Connect version found: %s", fault.Truncate(fmt.Sprint(attribute)))
		}
		version = wit.Ptr(int32(v))
	}
	if version != nil && *version >= 0 {
		if w.Version != nil && *w.Version != *version {
			return fault.Data("Mismatched versions: version already added to SchemaBuilder (%d) differs from version "+
				"in source schema (%d)", *w.Version, *version)
		}
		w.Version = version
	}
	if attribute := property(n, "connect.parameters"); r.o.Meta && attribute != nil {
		parameters, ok := attribute.(map[string]any)
		if !ok {
			return fault.Data("Expected JSON object for schema parameters but found: %s",
				fault.Truncate(fmt.Sprint(attribute)))
		}
		for _, name := range slices.Sorted(maps.Keys(parameters)) {
			value, ok := parameters[name].(string)
			if !ok {
				return fault.Data("Expected schema parameter values to be strings but found: %s",
					fault.Truncate(fmt.Sprint(parameters[name])))
			}
			setParameter(w, name, value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.Props)) {
		if strings.HasPrefix(name, "avro") { // AvroData keeps these as parameters
			setParameter(w, name, fmt.Sprint(n.Props[name]))
		}
	}
	if err := r.setName(w, n); err != nil {
		return err
	}
	return checkLogicalKind(w)
}

// checkLogicalKind rejects the name of a logical type on another type: Kafka Connect would reject each value but null,
// and Avro the schema.
func checkLogicalKind(w *wit.SchemaNode) error {
	kind, isLogical := conversion.LogicalKind(w)
	switch {
	case !isLogical:
		return nil
	case kind != w.Kind:
		return fault.Data("Invalid type for %s, underlying representation should be %s but was %s",
			conversion.SimpleName(conversion.NameOf(w)), strings.ToLower(conversion.TypeName(kind)),
			strings.ToLower(conversion.TypeName(w.Kind)))
	case kind == wit.Bytes:
		_, err := conversion.ScaleOf(w)
		return err
	}
	return nil
}

// setParameter sets a parameter of a node, and replaces one of the same name.
func setParameter(w *wit.SchemaNode, name, value string) {
	for i := range w.Parameters {
		if w.Parameters[i].Name == name {
			w.Parameters[i].Value = value
			return
		}
	}
	w.Parameters = append(w.Parameters, wit.Setting{Name: name, Value: value})
}

// setName sets the name of a node by Confluent's property or by the Avro type.
func (r *schemaReader) setName(w *wit.SchemaNode, n *avro.SchemaNode) error {
	name := ""
	switch attribute := property(n, "connect.name"); {
	case attribute != nil:
		s, ok := attribute.(string)
		if !ok {
			return fault.Data("Invalid schema name: %s", fault.Truncate(fmt.Sprint(attribute)))
		}
		name = s
	case n.Type == "record" || n.Type == "error" || n.Type == "enum" || (n.Type == "fixed" &&
		conversion.NameOf(w) != wit.NameDecimal):
		name = fullName(n)
	case n.Type == "long" && slices.Contains(timesUnknownToConnect, strings.ToLower(logicalType(n))):
		name = strings.ToLower(logicalType(n))
	}
	if name == "" || strings.HasPrefix(name, namespace+"."+defaultName) {
		return nil // nameOf invents such names
	}
	if w.Name != nil && *w.Name != name {
		return fault.Data("Mismatched names: name already added to SchemaBuilder (%s) differs from name in source "+
			"schema (%s)", *w.Name, fault.Truncate(name))
	}
	w.Name = wit.Ptr(name)
	return nil
}
