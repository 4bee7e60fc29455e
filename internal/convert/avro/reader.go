package avro

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/avro"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// schemaReader makes nodes of an Avro schema, as AvroData's toConnectSchema does, and the steps from the one's bytes to
// the other's.
type schemaReader struct {
	o     Options
	nodes []wit.SchemaNode
	// named are the types that were defined so far, by full name; open those around the present one.
	named map[string]*avro.SchemaNode
	open  map[string]bool
	// namespace is the namespace of the type around the present one, in which names without a dot are looked for first.
	namespace string
}

// placement is what the place of a schema adds to it.
type placement struct {
	optional   bool
	value      any // the field's default
	hasDefault bool
	version    *int32
}

// read returns the nodes for an Avro schema and the step that reads its values.
func read(root *avro.SchemaNode, version *int32, o Options) ([]wit.SchemaNode, *step, error) {
	r := schemaReader{o: o, named: map[string]*avro.SchemaNode{}, open: map[string]bool{}}
	_, s, err := r.node(root, placement{version: version}, 1)
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

// property is one of a schema's own.
func property(n *avro.SchemaNode, name string) any { return n.Props[name] }

func textProperty(n *avro.SchemaNode, name string) string {
	text, _ := n.Props[name].(string)
	return text
}

// logicalPrefix stands in front of the names of logical types and their attributes while a schema is parsed: the
// specification has readers pass over a logical type that makes no sense, a decimal with a negative scale for example,
// and AvroData reads it.
const logicalPrefix = "culvert."

// normalizeSchema is the text of a schema as Avro's Java library takes it: with logicalPrefix, without aliases, which
// are for readers with a schema of their own and need not differ there, and with a name that begins with its only dot
// (.x) as one without a namespace.
func normalizeSchema(text string) (string, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	if err := normalizeNode(v, 0); err != nil {
		return "", err
	}
	out, err := json.Marshal(v)
	return string(out), err
}

// normalizeNode does it in a value that lies so deep in others. A node is four of them at most: itself, its fields, one
// of them, and a union.
func normalizeNode(v any, depth int) error {
	if depth > 4*connectdata.MaxSchemaDepth {
		return fmt.Errorf("expected at most %d nodes in each other", connectdata.MaxSchemaDepth)
	}
	switch x := v.(type) {
	case []any: // a union, or fields
		for _, item := range x {
			if err := normalizeNode(item, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, name := range []string{"logicalType", "scale", "precision"} {
			if value, given := x[name]; given {
				x[logicalPrefix+name] = value
				delete(x, name)
			}
		}
		delete(x, "aliases")
		switch x["type"] {
		case "record", "error", "enum", "fixed":
			if name, _ := x["name"].(string); trimEmptyNamespace(name) != name {
				x["name"], x["namespace"] = trimEmptyNamespace(name), ""
			}
		}
		for _, name := range []string{"type", "items", "values", "fields"} {
			if err := normalizeNode(x[name], depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// trimEmptyNamespace is a name without the dot at its beginning, if that is its only one: its namespace is the empty
// one.
func trimEmptyNamespace(name string) string {
	if strings.LastIndexByte(name, '.') == 0 {
		return name[1:]
	}
	return name
}

func logicalType(n *avro.SchemaNode) string {
	return textProperty(n, logicalPrefix+"logicalType")
}

// resolve is the definition that a name refers to.
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

// enterNamespace makes the namespace of a full name that of what follows, until the function that it returns is called.
func (r *schemaReader) enterNamespace(name string) (leave func()) {
	before := r.namespace
	r.namespace = name[:max(0, strings.LastIndexByte(name, '.'))]
	return func() { r.namespace = before }
}

// node makes the node of a schema. The step includes the branch numbers of its union.
func (r *schemaReader) node(n *avro.SchemaNode, place placement, depth int) (uint32, step, error) {
	n = r.resolve(n)
	if depth > connectdata.MaxSchemaDepth {
		return 0, step{}, fault.Data("schema: expected at most %d nodes in each other", connectdata.MaxSchemaDepth)
	}
	if len(r.nodes) >= connectdata.MaxSchemaNodes {
		return 0, step{}, fault.Data("schema: expected at most %d nodes", connectdata.MaxSchemaNodes)
	}
	if n.Type != "union" {
		return r.value(n, place, depth)
	}
	null := slices.IndexFunc(n.Branches, func(b avro.SchemaNode) bool { return b.Type == "null" })
	if len(n.Branches) == 1 && r.o.flatten {
		id, s, err := r.node(&n.Branches[0], placement{optional: place.optional}, depth)
		if err != nil {
			return id, s, err
		}
		return id, step{op: unionStep, branches: []branch{{step: &s}}}, nil
	}
	if len(n.Branches) == 2 && null >= 0 {
		// The field's default is not the value's: a union's default belongs to its first branch, and AvroData drops it.
		id, s, err := r.node(&n.Branches[1-null], placement{optional: true}, depth)
		if err != nil {
			return id, s, err
		}
		return id, r.optionalStep(id, s, null), nil
	}
	return r.unionStruct(n, place, depth)
}

// value makes the node of a type that is no union. The caller sees to the branch numbers of an optional one.
func (r *schemaReader) value(n *avro.SchemaNode, place placement, depth int) (uint32, step, error) {
	id := uint32(len(r.nodes))
	r.nodes = append(r.nodes, wit.SchemaNode{})
	var w wit.SchemaNode
	result, err := r.kind(&w, n, depth)
	if err == nil {
		err = r.attributes(&w, n, place)
	}
	if err != nil {
		return id, result, err
	}
	w.Optional = place.optional
	r.nodes[id] = w
	r.setDefault(id, n, place)
	return id, result, nil
}

// optionalStep is the step of an optional value; null says which branch null is.
func (r *schemaReader) optionalStep(id uint32, s step, null int) step {
	n := &r.nodes[id]
	branches := make([]branch, 2)
	branches[null] = branch{prefix: connectdata.AppendBranch(nil, n, true)}
	branches[1-null] = branch{prefix: connectdata.AppendBranch(nil, n, false), step: &s}
	return step{op: unionStep, branches: branches, identity: s.identity && (null == 0) == (n.DefaultValue == nil)}
}

// unionStruct makes a structure of a union of several types, one optional member for each.
func (r *schemaReader) unionStruct(n *avro.SchemaNode, place placement, depth int) (uint32, step, error) {
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
		node, inner, err := r.node(member, placement{optional: true}, depth+1)
		if err != nil {
			return id, result, err
		}
		steps[i] = inner
		w.Fields = append(w.Fields, wit.Field{Name: name, Node: node})
	}
	r.nodes[id] = w
	r.setDefault(id, n, place)
	w = r.nodes[id] // with its default, which decides what a branch of it begins with
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

// memberName is how a union's structure names the member for a type.
func (r *schemaReader) memberName(n *avro.SchemaNode) string {
	switch n.Type {
	case "record", "error", "enum", "fixed":
		if r.o.enhanced {
			return fullName(n)
		}
		return conversion.LastPart(n.Name)
	}
	return n.Type
}

// kind fills in what the type says.
func (r *schemaReader) kind(w *wit.SchemaNode, n *avro.SchemaNode, depth int) (step, error) {
	switch n.Type {
	case "boolean":
		w.Kind = wit.Boolean
		return step{op: booleanStep, identity: true}, nil
	case "int":
		return r.integer(w, n)
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
		if r.decimal(w, n) {
			return step{op: decimalStep}, nil
		}
		return step{op: bytesStep, identity: true}, nil
	case "fixed":
		w.Kind = wit.Bytes
		r.named[fullName(n)] = n
		s := step{op: fixedStep, size: n.Size}
		if r.decimal(w, n) {
			s.op = fixedDecimalStep
		}
		w.Parameters = append(w.Parameters, wit.Setting{Name: fixedSize, Value: strconv.Itoa(n.Size)})
		return s, nil
	case "enum":
		return r.enum(w, n)
	case "array":
		return r.array(w, n, depth)
	case "map":
		w.Kind = wit.Map
		w.Key = uint32(len(r.nodes))
		r.nodes = append(r.nodes, wit.SchemaNode{Kind: wit.String})
		id, s, err := r.node(n.Values, placement{}, depth+1)
		w.Element = id
		return step{op: mapStep, key: &step{op: textStep, identity: true}, element: &s, identity: s.identity}, err
	case "record", "error":
		return r.record(w, n, depth)
	case "null":
		return step{}, fault.Data("Standalone null schemas are not supported by this converter")
	}
	return step{}, fault.Data("Couldn't translate unsupported schema type %s.", fault.Cut(n.Type))
}

// timesUnknownToConnect are logical types of a long that Kafka Connect has no type for. AvroData drops them; they
// become names here, since what the numbers count is lost otherwise.
var timesUnknownToConnect = []string{"time-micros", "timestamp-micros", "timestamp-nanos", "local-timestamp-millis",
	"local-timestamp-micros", "local-timestamp-nanos"}

// setLogical makes a node one of Kafka Connect's logical types.
func setLogical(w *wit.SchemaNode, name string) { w.Name, w.Version = wit.Ptr(name), wit.Ptr(int32(1)) }

func (r *schemaReader) integer(w *wit.SchemaNode, n *avro.SchemaNode) (step, error) {
	w.Kind = wit.Int32
	switch kind, logicalName := textProperty(n, "connect.type"), logicalType(n); {
	case strings.EqualFold(logicalName, "date"):
		setLogical(w, wit.NameDate)
	case strings.EqualFold(logicalName, "time-millis"):
		setLogical(w, wit.NameTime)
	case logicalName != "" || kind == "":
	case kind == "int8":
		w.Kind = wit.Int8
	case kind == "int16":
		w.Kind = wit.Int16
	default:
		return step{}, fault.Data("Connect type annotation for Avro int field is null")
	}
	return step{op: numberStep, size: 8 << w.Kind, identity: true}, nil
}

// decimal tells whether a schema of bytes is one of decimals, and notes its scale.
func (r *schemaReader) decimal(w *wit.SchemaNode, n *avro.SchemaNode) bool {
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

func (r *schemaReader) enum(w *wit.SchemaNode, n *avro.SchemaNode) (step, error) {
	w.Kind = wit.String
	r.named[fullName(n)] = n
	result := step{op: enumStep}
	if r.o.Meta && n.Doc != "" {
		w.Parameters = append(w.Parameters, wit.Setting{Name: enumDoc + conversion.LastPart(n.Name), Value: n.Doc})
	}
	if r.o.Meta && n.HasEnumDefault {
		w.Parameters = append(w.Parameters, wit.Setting{Name: enumDefault + conversion.LastPart(n.Name),
			Value: n.EnumDefault})
	}
	w.Parameters = append(w.Parameters, wit.Setting{Name: enumName, Value: fullName(n)})
	for _, symbol := range n.Symbols {
		result.symbols = append(result.symbols, connectdata.AppendString(nil, symbol))
		w.Parameters = append(w.Parameters, wit.Setting{Name: enumName + "." + symbol, Value: symbol})
	}
	return result, nil
}

// array makes an array, or a map of an array of the entries that AvroData writes.
func (r *schemaReader) array(w *wit.SchemaNode, n *avro.SchemaNode, depth int) (step, error) {
	item := r.resolve(n.Items)
	entry := item.Type == "record" && (fullName(item) == namespace+"."+mapEntry || property(item,
		"connect.internal.type") == mapEntry)
	if !entry {
		w.Kind = wit.Array
		id, s, err := r.node(item, placement{}, depth+1)
		w.Element = id
		return step{op: arrayStep, element: &s, identity: s.identity}, err
	}
	fields := map[string]*avro.SchemaField{}
	for i := range item.Fields {
		fields[item.Fields[i].Name] = &item.Fields[i]
	}
	key, value := fields["key"], fields["value"]
	if len(item.Fields) != 2 || key == nil || value == nil {
		return step{},
			fault.Data("Found map encoded as array of key-value pairs, but array elements do not match the " +
				"expected format.")
	}
	name := fullName(item)
	if r.open[name] {
		return step{}, recursive(name)
	}
	r.named[name], r.open[name] = item, true
	defer delete(r.open, name)
	defer r.enterNamespace(name)()
	w.Kind = wit.Map
	var keyStep, valueStep step
	var err error
	if w.Key, keyStep, err = r.node(&key.Type, placement{}, depth+1); err != nil {
		return step{}, err
	}
	if w.Element, valueStep, err = r.node(&value.Type, placement{}, depth+1); err != nil {
		return step{}, err
	}
	s := step{op: mapStep, key: &keyStep, element: &valueStep, identity: keyStep.identity && valueStep.identity}
	if item.Fields[0].Name == "value" {
		s.op, s.identity = swappedStep, false
	}
	return s, nil
}

func recursive(name string) error {
	return fault.Data("the Avro type %s contains itself, and schemas here are trees", fault.Quoted(name))
}

func (r *schemaReader) record(w *wit.SchemaNode, n *avro.SchemaNode, depth int) (step, error) {
	name := fullName(n)
	if r.open[name] {
		return step{}, recursive(name)
	}
	r.named[name], r.open[name] = n, true
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
		id, member, err := r.node(&field.Type, placement{value: field.Default, hasDefault: field.HasDefault}, depth+1)
		if err != nil {
			return result, fmt.Errorf("field %s: %w", fault.Quoted(field.Name), err)
		}
		w.Fields = append(w.Fields, wit.Field{Name: field.Name, Node: id})
		result.members[i], result.names[i] = member, field.Name
		result.identity = result.identity && member.identity
	}
	return result, nil
}

// attributes fills in what Confluent's properties say.
func (r *schemaReader) attributes(w *wit.SchemaNode, n *avro.SchemaNode, place placement) error {
	if doc := textProperty(n, "connect.doc"); r.o.Meta && doc != "" {
		w.Doc = wit.Ptr(doc)
	}
	version := place.version
	if given := property(n, "connect.version"); given != nil {
		v, ok := asNumber(given, 32)
		if !ok {
			return fault.Data("Invalid Connect version found: %s", fault.Cut(fmt.Sprint(given)))
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
	if given := property(n, "connect.parameters"); r.o.Meta && given != nil {
		parameters, ok := given.(map[string]any)
		if !ok {
			return fault.Data("Expected JSON object for schema parameters but found: %s", fault.Cut(fmt.Sprint(given)))
		}
		for _, name := range slices.Sorted(maps.Keys(parameters)) {
			value, ok := parameters[name].(string)
			if !ok {
				return fault.Data("Expected schema parameter values to be strings but found: %s",
					fault.Cut(fmt.Sprint(parameters[name])))
			}
			setParameter(w, name, value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.Props)) {
		if strings.HasPrefix(name, "avro") {
			setParameter(w, name, fmt.Sprint(n.Props[name]))
		}
	}
	if err := r.name(w, n); err != nil {
		return err
	}
	return logicalKind(w)
}

// logicalKind refuses the name of a logical type on another type than its own. Kafka Connect's class refuses each value
// but nulls, and Avro the schema that would be written of it.
func logicalKind(w *wit.SchemaNode) error {
	kind, logical := conversion.KindOfName(w)
	switch {
	case !logical:
		return nil
	case kind != w.Kind:
		return fault.Data("Invalid type for %s, underlying representation should be %s but was %s",
			conversion.LastPart(conversion.NameOf(w)), strings.ToLower(conversion.TypeName(kind)),
			strings.ToLower(conversion.TypeName(w.Kind)))
	case kind == wit.Bytes:
		_, err := conversion.ScaleOf(w)
		return err
	}
	return nil
}

func setParameter(w *wit.SchemaNode, name, value string) {
	for i := range w.Parameters {
		if w.Parameters[i].Name == name {
			w.Parameters[i].Value = value
			return
		}
	}
	w.Parameters = append(w.Parameters, wit.Setting{Name: name, Value: value})
}

func (r *schemaReader) name(w *wit.SchemaNode, n *avro.SchemaNode) error {
	name := ""
	switch given := property(n, "connect.name"); {
	case given != nil:
		text, ok := given.(string)
		if !ok {
			return fault.Data("Invalid schema name: %s", fault.Cut(fmt.Sprint(given)))
		}
		name = text
	case n.Type == "record" || n.Type == "error" || n.Type == "enum" || n.Type == "fixed" &&
		conversion.NameOf(w) != wit.NameDecimal:
		name = fullName(n)
	case n.Type == "long" && slices.Contains(timesUnknownToConnect, strings.ToLower(logicalType(n))):
		name = strings.ToLower(logicalType(n))
	}
	if name == "" || strings.HasPrefix(name, namespace+"."+defaultName) {
		return nil
	}
	if w.Name != nil && *w.Name != name {
		return fault.Data("Mismatched names: name already added to SchemaBuilder (%s) differs from name in source "+
			"schema (%s)", *w.Name, fault.Cut(name))
	}
	w.Name = wit.Ptr(name)
	return nil
}

// setDefault notes the default of a node, whose children are there. One that does not fit is ignored, as by AvroData.
func (r *schemaReader) setDefault(id uint32, n *avro.SchemaNode, place placement) {
	value := place.value
	given, annotated := n.Props["connect.default"]
	switch {
	case !place.hasDefault:
		value = given
	case r.o.Meta && !annotated:
		setParameter(&r.nodes[id], fieldDefault, "true")
	}
	if value == nil {
		return
	}
	v, ok := r.defaultValue(id, value)
	if !ok {
		return
	}
	b, err := connectdata.AppendDefault(nil, r.nodes, id, v)
	if err == nil {
		r.nodes[id].DefaultValue = &b
	}
}

// jsonInteger is a number of a JSON document without a fraction.
func jsonInteger(v any) (int64, bool) {
	switch x := v.(type) {
	case int:
		return int64(x), true
	case int32:
		return int64(x), true
	case int64:
		return x, true
	case float32:
		return int64(x), float32(int64(x)) == x
	case float64:
		return int64(x), float64(int64(x)) == x
	case json.Number:
		n, err := x.Int64()
		return n, err == nil
	}
	return 0, false
}

// asNumber is a number as Java's intValue (32 bits) or longValue (64) has it: of a whole literal the lowest bits, of
// one with a fraction the nearest number that there is, without the fraction. A literal with an exponent (3e9), of
// which Java has the nearest number too, comes from the parser like the whole one that it is equal to.
func asNumber(v any, bits int) (int64, bool) {
	n, ok := jsonInteger(v)
	switch x := v.(type) {
	case float32:
		return nearest(float64(x), bits), true
	case float64:
		return nearest(x, bits), true
	case json.Number:
		if strings.ContainsAny(string(x), ".eE") {
			f, err := x.Float64()
			if err != nil && !math.IsInf(f, 0) {
				return 0, false
			}
			return nearest(f, bits), true
		}
		digits, negative := strings.CutPrefix(string(x), "-")
		n, ok = 0, digits != ""
		for _, c := range []byte(digits) {
			if c < '0' || c > '9' {
				return 0, false
			}
			n = n*10 + int64(c-'0') // wraps around, which keeps the lowest bits
		}
		if negative {
			n = -n
		}
	}
	return n << (64 - bits) >> (64 - bits), ok
}

// nearest is Java's (int) or (long) of a double.
func nearest(f float64, bits int) int64 {
	switch limit := math.Ldexp(1, bits-1); {
	case f >= limit:
		return 1<<(bits-1) - 1
	case f <= -limit:
		return -1 << (bits - 1)
	case math.IsNaN(f):
		return 0
	}
	return int64(f)
}

// asText is what Jackson's asText makes of a JSON value: nothing of arrays and objects.
func asText(value any) string {
	switch x := value.(type) {
	case []any, map[string]any:
		return ""
	case float32:
		return string(java.AppendFloat(nil, float64(x), 32))
	case float64:
		return string(java.AppendFloat(nil, x, 64))
	}
	return fmt.Sprint(value)
}

// defaultValue makes the value of a JSON document, or of an Avro default, one of a node. What is of another type
// becomes what Jackson makes of it, as in AvroData: a text is the number 0, for example.
func (r *schemaReader) defaultValue(id uint32, value any) (any, bool) {
	n := &r.nodes[id]
	if value == nil {
		return nil, n.Optional
	}
	switch n.Kind {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		bits := 32
		if n.Kind == wit.Int64 {
			bits = 64
		}
		converted, _ := asNumber(value, bits)
		return [...]any{int8(converted), int16(converted), int32(converted), converted}[n.Kind], true
	case wit.Float32, wit.Float64:
		converted, _ := realNumber(value)
		if n.Kind == wit.Float32 {
			return float32(converted), true
		}
		return converted, true
	case wit.Boolean:
		converted, is := value.(bool)
		if number, ok := jsonInteger(value); ok && !is {
			converted = number != 0
		}
		return converted || value == "true", true
	case wit.String:
		return asText(value), true
	case wit.Bytes:
		return bytesDefault(n, value)
	case wit.Array:
		items, ok := value.([]any)
		if !ok {
			return nil, false
		}
		list := make(connectdata.List, len(items))
		for i := range items {
			if list[i], ok = r.defaultValue(n.Element, items[i]); !ok {
				return nil, false
			}
		}
		return list, true
	case wit.Map:
		return r.mapDefault(n, value)
	}
	if conversion.NameOf(n) == unionName {
		return r.unionDefault(n, value)
	}
	members, ok := value.(map[string]any)
	if !ok {
		return nil, false
	}
	record := make(connectdata.Struct, len(n.Fields))
	for i, m := range n.Fields {
		if record[i], ok = r.defaultValue(m.Node, members[m.Name]); !ok {
			return nil, false
		}
	}
	return record, true
}

// unionDefault makes the default of a union a structure with the first member that is of the default's type.
func (r *schemaReader) unionDefault(n *wit.SchemaNode, v any) (any, bool) {
	record := make(connectdata.Struct, len(n.Fields))
	for i, m := range n.Fields {
		if !acceptsDefault(&r.nodes[m.Node], v) {
			continue
		}
		if x, ok := r.defaultValue(m.Node, v); ok {
			record[i] = x
			return record, true
		}
	}
	return nil, false
}

// acceptsDefault tells whether the value of an Avro default is of a union's member, without a change of its type.
func acceptsDefault(n *wit.SchemaNode, value any) (ok bool) {
	_, real32 := value.(float32)
	_, real64 := value.(float64)
	text, isText := value.(string)
	switch n.Kind {
	case wit.Boolean:
		_, ok = value.(bool)
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		bits := 32
		if n.Kind == wit.Int64 {
			bits = 64
		}
		whole, is := jsonInteger(value)
		narrow, _ := asNumber(value, bits)
		ok = is && whole == narrow && !real32 && !real64
	case wit.Float32, wit.Float64:
		_, ok = realNumber(value)
		ok = ok && !isText
	case wit.String:
		ok = isText
		if _, enum := conversion.Parameter(n, enumName); ok && enum {
			_, ok = conversion.Parameter(n, enumName+"."+text)
		}
	case wit.Bytes:
		var b any
		b, ok = bytesDefault(&wit.SchemaNode{}, value)
		if size, fixed := conversion.Parameter(n, fixedSize); ok && fixed {
			ok = size == strconv.Itoa(len(b.([]byte)))
		}
	case wit.Array:
		_, ok = value.([]any)
	case wit.Map:
		// A default of entries is an array, and an empty one alone is read.
		_, array := value.([]any)
		_, object := value.(map[string]any)
		ok = array || object
	case wit.Struct:
		_, ok = value.(map[string]any)
	}
	return ok
}

func realNumber(value any) (float64, bool) {
	switch x := value.(type) {
	case float64:
		return x, true
	case float32:
		return float64(x), true
	case string:
		switch x {
		case "NaN":
			return math.NaN(), true
		case "Infinity":
			return math.Inf(1), true
		case "-Infinity":
			return math.Inf(-1), true
		}
		return 0, false
	case json.Number:
		f, err := x.Float64()
		return f, err == nil
	}
	n, ok := jsonInteger(value)
	return float64(n), ok
}

// bytesDefault takes bytes, or the text that stands for them in JSON, a character for each.
func bytesDefault(n *wit.SchemaNode, v any) (any, bool) {
	b, ok := v.([]byte)
	if text, isText := v.(string); isText {
		ok = true
		for _, c := range text {
			if c > 0xff {
				return nil, false
			}
			b = append(b, byte(c))
		}
	}
	if !ok || conversion.NameOf(n) != wit.NameDecimal {
		return append([]byte{}, b...), ok
	}
	return connectdata.Unscaled(b), len(b) > 0 && len(b) <= connectdata.MaxDecimalBytes
}

func (r *schemaReader) mapDefault(n *wit.SchemaNode, v any) (any, bool) {
	// Of maps with other keys AvroData writes a default that it does not read, unless it is empty.
	members, ok := v.(map[string]any)
	if items, empty := v.([]any); !ok && (!empty || len(items) > 0) {
		return nil, false
	}
	var entries connectdata.Map
	for _, name := range slices.Sorted(maps.Keys(members)) {
		key, fits := r.defaultValue(n.Key, name)
		value, ok := r.defaultValue(n.Element, members[name])
		if !ok || !fits {
			return nil, false
		}
		entries = append(entries, connectdata.Entry{Key: key, Value: value})
	}
	return entries, true
}
