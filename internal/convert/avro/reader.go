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

// schemaReader converts an Avro schema to nodes like AvroData.toConnectSchema, and to the steps that convert its
// values.
type schemaReader struct {
	o     Options
	nodes []wit.SchemaNode
	// named has the types defined so far, by full name; open those that enclose the current one.
	named map[string]*avro.SchemaNode
	open  map[string]bool
	// space is the namespace of the enclosing type, in which names without a dot are looked up first.
	space string
}

// placement is what the place of a schema adds to it.
type placement struct {
	optional   bool
	value      any // the field's default
	hasDefault bool
	version    *int32
}

// read returns the nodes for an Avro schema and the step that converts its values.
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

func property(n *avro.SchemaNode, name string) any { return n.Props[name] }

func textProperty(n *avro.SchemaNode, name string) string {
	text, _ := n.Props[name].(string)
	return text
}

// logicalPrefix precedes the names of logical types and their attributes while a schema is parsed: the parser would
// ignore an invalid logical type, such as a decimal with a negative scale, as the specification demands, but AvroData
// reads it.
const logicalPrefix = "culvert."

// relaxedText returns the text of a schema as Avro's Java library accepts it: with logicalPrefix, without aliases,
// which only concern readers with another schema, and with a leading dot as the only one of a name (.x) removed.
func relaxedText(text string) (string, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	if err := relax(v, 0); err != nil {
		return "", err
	}
	out, err := json.Marshal(v)
	return string(out), err
}

// relax is relaxed for a nested value. A node takes four levels at most: itself, its fields, one of these, and a union.
func relax(v any, depth int) error {
	if depth > 4*connectdata.MaxSchemaDepth {
		return fmt.Errorf("expected at most %d nodes in each other", connectdata.MaxSchemaDepth)
	}
	switch x := v.(type) {
	case []any: // a union, or fields
		for _, item := range x {
			if err := relax(item, depth+1); err != nil {
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
			if name, _ := x["name"].(string); withoutSpace(name) != name {
				x["name"], x["namespace"] = withoutSpace(name), ""
			}
		}
		for _, name := range []string{"type", "items", "values", "fields"} {
			if err := relax(x[name], depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// withoutSpace removes the leading dot of a name if it is the only one: the empty namespace.
func withoutSpace(name string) string {
	if strings.LastIndexByte(name, '.') == 0 {
		return name[1:]
	}
	return name
}

func logicalType(n *avro.SchemaNode) string {
	return textProperty(n, logicalPrefix+"logicalType")
}

// resolved returns the definition that a name refers to.
func (r *schemaReader) resolved(n *avro.SchemaNode) *avro.SchemaNode {
	switch n.Type {
	case "null", "boolean", "int", "long", "float", "double", "string", "bytes", "fixed", "enum", "array", "map",
		"record", "error", "union":
		return n
	}
	if !strings.Contains(n.Type, ".") && r.space != "" {
		if d := r.named[r.space+"."+n.Type]; d != nil {
			return d
		}
	}
	if d := r.named[n.Type]; d != nil {
		return d
	}
	return n
}

// within enters the namespace of a full name until leave is called.
func (r *schemaReader) within(name string) (leave func()) {
	before := r.space
	r.space = name[:max(0, strings.LastIndexByte(name, '.'))]
	return func() { r.space = before }
}

// node converts a schema. The step includes the branch numbers of its union.
func (r *schemaReader) node(n *avro.SchemaNode, f placement, depth int) (uint32, step, error) {
	n = r.resolved(n)
	if depth > connectdata.MaxSchemaDepth {
		return 0, step{}, fault.Data("schema: expected at most %d nodes in each other", connectdata.MaxSchemaDepth)
	}
	if len(r.nodes) >= connectdata.MaxSchemaNodes {
		return 0, step{}, fault.Data("schema: expected at most %d nodes", connectdata.MaxSchemaNodes)
	}
	if n.Type != "union" {
		return r.value(n, f, depth)
	}
	null := slices.IndexFunc(n.Branches, func(b avro.SchemaNode) bool { return b.Type == "null" })
	if len(n.Branches) == 1 && r.o.flatten {
		id, s, err := r.node(&n.Branches[0], placement{optional: f.optional}, depth)
		if err != nil {
			return id, s, err
		}
		return id, step{op: unionStep, branches: []branch{{step: &s}}}, nil
	}
	if len(n.Branches) == 2 && null >= 0 {
		// A union's default belongs to its first branch, and AvroData drops it.
		id, s, err := r.node(&n.Branches[1-null], placement{optional: true}, depth)
		if err != nil {
			return id, s, err
		}
		return id, r.union(id, s, null), nil
	}
	return r.unionStruct(n, f, depth)
}

// value converts a type that is not a union. The caller adds the branch numbers of an optional one.
func (r *schemaReader) value(n *avro.SchemaNode, f placement, depth int) (uint32, step, error) {
	id := uint32(len(r.nodes))
	r.nodes = append(r.nodes, wit.SchemaNode{})
	var w wit.SchemaNode
	s, err := r.kind(&w, n, depth)
	if err == nil {
		err = r.attributes(&w, n, f)
	}
	if err != nil {
		return id, s, err
	}
	w.Optional = f.optional
	r.nodes[id] = w
	r.defaultOf(id, n, f)
	return id, s, nil
}

// union returns the step of an optional value; null is the branch of null.
func (r *schemaReader) union(id uint32, s step, null int) step {
	n := &r.nodes[id]
	branches := make([]branch, 2)
	branches[null] = branch{lead: connectdata.AppendBranch(nil, n, true)}
	branches[1-null] = branch{lead: connectdata.AppendBranch(nil, n, false), step: &s}
	return step{op: unionStep, branches: branches, same: s.same && (null == 0) == (n.DefaultValue == nil)}
}

// unionStruct converts a union of several types to a struct with an optional field for each.
func (r *schemaReader) unionStruct(n *avro.SchemaNode, f placement, depth int) (uint32, step, error) {
	if len(n.Branches) > conversion.MaxUnionBranches {
		return 0, step{}, fault.Data("a union of %d types, expected at most %d", len(n.Branches),
			conversion.MaxUnionBranches)
	}
	id := uint32(len(r.nodes))
	r.nodes = append(r.nodes, wit.SchemaNode{})
	w := wit.SchemaNode{Kind: wit.Struct, Name: wit.Ptr(unionName), Optional: f.optional, Version: f.version}
	s := step{op: unionStep, branches: make([]branch, len(n.Branches))}
	steps := make([]step, len(n.Branches))
	seen := map[string]bool{}
	for i := range n.Branches {
		member := r.resolved(&n.Branches[i])
		if member.Type == "null" {
			w.Optional = true
			continue
		}
		name := r.memberName(member)
		if seen[name] {
			return id, s, fault.Data("Multiple union schemas map to the Connect union field name")
		}
		seen[name] = true
		node, inner, err := r.node(member, placement{optional: true}, depth+1)
		if err != nil {
			return id, s, err
		}
		steps[i] = inner
		w.Fields = append(w.Fields, wit.Field{Name: name, Node: node})
	}
	r.nodes[id] = w
	r.defaultOf(id, n, f)
	w = r.nodes[id] // with its default, which decides what a branch of it begins with
	var nulls [][]byte
	for _, m := range w.Fields {
		nulls = append(nulls, connectdata.AppendBranch(nil, &r.nodes[m.Node], true))
	}
	at := 0
	for i := range n.Branches {
		b := &s.branches[i]
		if r.resolved(&n.Branches[i]).Type == "null" {
			b.lead = connectdata.AppendBranch(nil, &w, true)
			continue
		}
		b.lead = slices.Concat(connectdata.AppendBranch(nil, &w, false), slices.Concat(nulls[:at]...),
			connectdata.AppendBranch(nil, &r.nodes[w.Fields[at].Node], false))
		b.tail = slices.Concat(nulls[at+1:]...)
		b.step = &steps[i]
		at++
	}
	return id, s, nil
}

// memberName returns the field name for a type in the struct of a union.
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

// kind sets the type.
func (r *schemaReader) kind(w *wit.SchemaNode, n *avro.SchemaNode, depth int) (step, error) {
	switch n.Type {
	case "boolean":
		w.Kind = wit.Boolean
		return step{op: booleanStep, same: true}, nil
	case "int":
		return r.integer(w, n)
	case "long":
		w.Kind = wit.Int64
		if strings.EqualFold(logicalType(n), "timestamp-millis") {
			setLogical(w, wit.NameTimestamp)
		}
		return step{op: numberStep, size: 64, same: true}, nil
	case "float":
		w.Kind = wit.Float32
		return step{op: floatStep, size: 4, same: true}, nil
	case "double":
		w.Kind = wit.Float64
		return step{op: floatStep, size: 8, same: true}, nil
	case "string":
		w.Kind = wit.String
		return step{op: textStep, same: true}, nil
	case "bytes":
		w.Kind = wit.Bytes
		if r.decimal(w, n) {
			return step{op: decimalStep}, nil
		}
		return step{op: bytesStep, same: true}, nil
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
		return step{op: mapStep, key: &step{op: textStep, same: true}, element: &s, same: s.same}, err
	case "record", "error":
		return r.record(w, n, depth)
	case "null":
		return step{}, fault.Data("Standalone null schemas are not supported by this converter")
	}
	return step{}, fault.Data("Couldn't translate unsupported schema type %s.", fault.Truncate(n.Type))
}

// timesUnknownToConnect are logical types that Kafka Connect has no type for. AvroData drops them; here they become
// names, because the unit of the numbers would be lost otherwise.
var timesUnknownToConnect = []string{"time-micros", "timestamp-micros", "timestamp-nanos", "local-timestamp-millis",
	"local-timestamp-micros", "local-timestamp-nanos"}

// setLogical gives a node a logical type of Kafka Connect.
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
	return step{op: numberStep, size: 8 << w.Kind, same: true}, nil
}

// decimal reports whether a schema is a valid decimal, and sets its scale.
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
	s := step{op: enumStep}
	if r.o.Meta && n.Doc != "" {
		w.Parameters = append(w.Parameters, wit.Setting{Name: enumDoc + conversion.SimpleName(n.Name), Value: n.Doc})
	}
	if r.o.Meta && n.HasEnumDefault {
		w.Parameters = append(w.Parameters, wit.Setting{Name: enumDefault + conversion.SimpleName(n.Name),
			Value: n.EnumDefault})
	}
	w.Parameters = append(w.Parameters, wit.Setting{Name: enumName, Value: fullName(n)})
	for _, symbol := range n.Symbols {
		s.symbols = append(s.symbols, connectdata.AppendString(nil, symbol))
		w.Parameters = append(w.Parameters, wit.Setting{Name: enumName + "." + symbol, Value: symbol})
	}
	return s, nil
}

// array converts an array, or an array of AvroData's map entries to a map.
func (r *schemaReader) array(w *wit.SchemaNode, n *avro.SchemaNode, depth int) (step, error) {
	item := r.resolved(n.Items)
	entry := item.Type == "record" && (fullName(item) == namespace+"."+mapEntry || property(item,
		"connect.internal.type") == mapEntry)
	if !entry {
		w.Kind = wit.Array
		id, s, err := r.node(item, placement{}, depth+1)
		w.Element = id
		return step{op: arrayStep, element: &s, same: s.same}, err
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
	defer r.within(name)()
	w.Kind = wit.Map
	var keyStep, valueStep step
	var err error
	if w.Key, keyStep, err = r.node(&key.Type, placement{}, depth+1); err != nil {
		return step{}, err
	}
	if w.Element, valueStep, err = r.node(&value.Type, placement{}, depth+1); err != nil {
		return step{}, err
	}
	s := step{op: mapStep, key: &keyStep, element: &valueStep, same: keyStep.same && valueStep.same}
	if item.Fields[0].Name == "value" {
		s.op, s.same = swappedStep, false
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
	defer r.within(name)()
	w.Kind = wit.Struct
	s := step{op: recordStep, same: true, members: make([]step, len(n.Fields)), names: make([]string, len(n.Fields))}
	if r.o.Meta && n.Doc != "" {
		w.Parameters = append(w.Parameters, wit.Setting{Name: recordDoc, Value: n.Doc})
	}
	for i := range n.Fields {
		f := &n.Fields[i]
		if r.o.Meta && f.Doc != "" {
			w.Parameters = append(w.Parameters, wit.Setting{Name: fieldDoc + f.Name, Value: f.Doc})
		}
		id, member, err := r.node(&f.Type, placement{value: f.Default, hasDefault: f.HasDefault}, depth+1)
		if err != nil {
			return s, fmt.Errorf("field %s: %w", fault.Quoted(f.Name), err)
		}
		w.Fields = append(w.Fields, wit.Field{Name: f.Name, Node: id})
		s.members[i], s.names[i] = member, f.Name
		s.same = s.same && member.same
	}
	return s, nil
}

// attributes sets what Confluent's properties contain.
func (r *schemaReader) attributes(w *wit.SchemaNode, n *avro.SchemaNode, f placement) error {
	if doc := textProperty(n, "connect.doc"); r.o.Meta && doc != "" {
		w.Doc = wit.Ptr(doc)
	}
	version := f.version
	if given := property(n, "connect.version"); given != nil {
		v, ok := asNumber(given, 32)
		if !ok {
			return fault.Data("Invalid Connect version found: %s", fault.Truncate(fmt.Sprint(given)))
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
			return fault.Data("Expected JSON object for schema parameters but found: %s",
				fault.Truncate(fmt.Sprint(given)))
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
		if strings.HasPrefix(name, "avro") {
			setParameter(w, name, fmt.Sprint(n.Props[name]))
		}
	}
	if err := r.name(w, n); err != nil {
		return err
	}
	return logicalKind(w)
}

// logicalKind rejects the name of a logical type on another type. Kafka Connect rejects all of its values but nulls,
// and Avro the schema that would be written.
func logicalKind(w *wit.SchemaNode) error {
	kind, logical := conversion.LogicalKind(w)
	switch {
	case !logical:
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
			return fault.Data("Invalid schema name: %s", fault.Truncate(fmt.Sprint(given)))
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
			"schema (%s)", *w.Name, fault.Truncate(name))
	}
	w.Name = wit.Ptr(name)
	return nil
}

// defaultOf sets the default of a node, after its children. An invalid one is ignored, as by AvroData.
func (r *schemaReader) defaultOf(id uint32, n *avro.SchemaNode, f placement) {
	value := f.value
	given, annotated := n.Props["connect.default"]
	switch {
	case !f.hasDefault:
		value = given
	case r.o.Meta && !annotated:
		setParameter(&r.nodes[id], fieldDefault, "true")
	}
	if value == nil {
		return
	}
	v, ok := r.fitting(id, value)
	if !ok {
		return
	}
	b, err := connectdata.AppendDefault(nil, r.nodes, id, v)
	if err == nil {
		r.nodes[id].DefaultValue = &b
	}
}

// jsonInteger returns a JSON number without a fraction.
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

// asNumber converts like Java's intValue (32 bits) or longValue (64): of an integer the lowest bits, of others the
// nearest number, truncated. The parser has converted literals with an exponent (3e9) to integers, for which Java uses
// the nearest number, too.
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

// nearest is Java's cast of a double to int or long.
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

// asText is Jackson's asText: "" for arrays and objects.
func asText(v any) string {
	switch x := v.(type) {
	case []any, map[string]any:
		return ""
	case float32:
		return string(java.AppendFloat(nil, float64(x), 32))
	case float64:
		return string(java.AppendFloat(nil, x, 64))
	}
	return fmt.Sprint(v)
}

// fitting converts a JSON value, or an Avro default, to a node's type. Values of other types are converted like Jackson
// does for AvroData: a string becomes the number 0, for example.
func (r *schemaReader) fitting(id uint32, v any) (any, bool) {
	n := &r.nodes[id]
	if v == nil {
		return nil, n.Optional
	}
	switch n.Kind {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		bits := 32
		if n.Kind == wit.Int64 {
			bits = 64
		}
		x, _ := asNumber(v, bits)
		return [...]any{int8(x), int16(x), int32(x), x}[n.Kind], true
	case wit.Float32, wit.Float64:
		x, _ := realNumber(v)
		if n.Kind == wit.Float32 {
			return float32(x), true
		}
		return x, true
	case wit.Boolean:
		x, is := v.(bool)
		if number, ok := jsonInteger(v); ok && !is {
			x = number != 0
		}
		return x || v == "true", true
	case wit.String:
		return asText(v), true
	case wit.Bytes:
		return fittingBytes(n, v)
	case wit.Array:
		items, ok := v.([]any)
		if !ok {
			return nil, false
		}
		list := make(connectdata.List, len(items))
		for i := range items {
			if list[i], ok = r.fitting(n.Element, items[i]); !ok {
				return nil, false
			}
		}
		return list, true
	case wit.Map:
		return r.fittingMap(n, v)
	}
	if conversion.NameOf(n) == unionName {
		return r.fittingMember(n, v)
	}
	members, ok := v.(map[string]any)
	if !ok {
		return nil, false
	}
	record := make(connectdata.Struct, len(n.Fields))
	for i, m := range n.Fields {
		if record[i], ok = r.fitting(m.Node, members[m.Name]); !ok {
			return nil, false
		}
	}
	return record, true
}

// fittingMember converts the default of a union to a struct with the first member of its type.
func (r *schemaReader) fittingMember(n *wit.SchemaNode, v any) (any, bool) {
	record := make(connectdata.Struct, len(n.Fields))
	for i, m := range n.Fields {
		if !matchesDefault(&r.nodes[m.Node], v) {
			continue
		}
		if x, ok := r.fitting(m.Node, v); ok {
			record[i] = x
			return record, true
		}
	}
	return nil, false
}

// matchesDefault reports whether an Avro default has the type of a union's member.
func matchesDefault(n *wit.SchemaNode, v any) (ok bool) {
	_, real32 := v.(float32)
	_, real64 := v.(float64)
	text, isText := v.(string)
	switch n.Kind {
	case wit.Boolean:
		_, ok = v.(bool)
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		bits := 32
		if n.Kind == wit.Int64 {
			bits = 64
		}
		whole, is := jsonInteger(v)
		narrow, _ := asNumber(v, bits)
		ok = is && whole == narrow && !real32 && !real64
	case wit.Float32, wit.Float64:
		_, ok = realNumber(v)
		ok = ok && !isText
	case wit.String:
		ok = isText
		if _, enum := conversion.Parameter(n, enumName); ok && enum {
			_, ok = conversion.Parameter(n, enumName+"."+text)
		}
	case wit.Bytes:
		var b any
		b, ok = fittingBytes(&wit.SchemaNode{}, v)
		if size, fixed := conversion.Parameter(n, fixedSize); ok && fixed {
			ok = size == strconv.Itoa(len(b.([]byte)))
		}
	case wit.Array:
		_, ok = v.([]any)
	case wit.Map:
		// A default of map entries is an array, of which AvroData reads only an empty one.
		_, array := v.([]any)
		_, object := v.(map[string]any)
		ok = array || object
	case wit.Struct:
		_, ok = v.(map[string]any)
	}
	return ok
}

func realNumber(v any) (float64, bool) {
	switch x := v.(type) {
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
	n, ok := jsonInteger(v)
	return float64(n), ok
}

// fittingBytes converts bytes, or the string that represents them in JSON with a character for each.
func fittingBytes(n *wit.SchemaNode, v any) (any, bool) {
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

func (r *schemaReader) fittingMap(n *wit.SchemaNode, v any) (any, bool) {
	// For maps with other keys, AvroData writes a default that it cannot read unless it is empty.
	members, ok := v.(map[string]any)
	if items, empty := v.([]any); !ok && (!empty || len(items) > 0) {
		return nil, false
	}
	var entries connectdata.Map
	for _, name := range slices.Sorted(maps.Keys(members)) {
		key, fits := r.fitting(n.Key, name)
		value, ok := r.fitting(n.Element, members[name])
		if !ok || !fits {
			return nil, false
		}
		entries = append(entries, connectdata.Entry{Key: key, Value: value})
	}
	return entries, true
}
