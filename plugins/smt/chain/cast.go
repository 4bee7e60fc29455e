package chain

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
	"github.com/culvert-project/culvert/wit/java"
	"github.com/culvert-project/culvert/wit/java/values"
)

var castSpecs = []wit.SettingSpec{
	needsList("spec", "List of fields and the type to cast them to of the form field1:type,field2:type to cast "+
		"fields of Maps or Structs. A single type to cast the entire value. Valid types are int8, int16, int32, "+
		"int64, float32, float64, boolean, and string. Note that binary fields can only be cast to string."),
	replaceNullSpec,
}

// cast is Cast: fields, or a key or value as a whole, get another type.
type cast struct {
	at     side
	fields []castField
	// order is the fields in the order in which Kafka comes to them, values what they become in the map at work.
	order       []castField
	values      []entry
	whole       *wit.Kind
	replaceNull bool
	programs    programs[*edits]
}

// castField is a field with the type that it gets.
type castField struct {
	name string
	to   wit.Kind
	// at is its index in the list of fields.
	at int
	// edit is the cast of a value without schema, nil until one came.
	edit edit
}

const castPurpose = "cast types"

// castKinds are the names of types in the order of [wit.Kind]; what stands before BYTES can be cast to.
var castKinds = []string{"INT8", "INT16", "INT32", "INT64", "FLOAT32", "FLOAT64", "BOOLEAN", "STRING", "BYTES", "ARRAY",
	"MAP", "STRUCT"}

func newCast(at side) func(settings) (operation, *wit.Fault) {
	return func(s settings) (operation, *wit.Fault) {
		if _, err := s.needed("spec"); err != nil {
			return nil, err
		}
		o, list := &cast{at: at}, s.list("spec")
		if len(list) == 0 {
			return nil, fail("spec", "Must specify at least one field to cast.")
		}
		for _, item := range list {
			if err := o.add(item, list); err != nil {
				return nil, err
			}
		}
		if o.whole != nil && len(list) > 1 {
			return nil, fail("spec", "Cast transformations that specify a type to cast the entire value to may only "+
				"specify a single cast in their spec")
		}
		for i := range o.fields {
			o.fields[i].at = i
		}
		o.order = java.InHashMap(o.fields, func(f castField) string { return f.name })
		o.values = make([]entry, len(o.fields))
		var err *wit.Fault
		o.replaceNull, err = s.boolean(replaceNullSpec.Name)
		return o, err
	}
}

// add reads one item of the list.
func (o *cast) add(item string, list []string) *wit.Fault {
	parts := strings.Split(item, ":")
	for len(parts) > 0 && parts[len(parts)-1] == "" && item != "" {
		parts = parts[:len(parts)-1] // Java's split drops them
	}
	if len(parts) == 0 {
		return fail("spec", "expected a type, or a field and its type with a colon between, found "+strconv.Quote(item))
	}
	if len(parts) > 2 {
		return fail("spec", "Invalid value ["+strings.Join(list,
			", ")+"] for configuration renames: Invalid rename mapping: "+item)
	}
	name := setting.Trim(parts[len(parts)-1])
	at := slices.Index(castKinds, strings.ToUpper(name))
	switch {
	case at < 0:
		return fail("spec", "Invalid value java.lang.IllegalArgumentException: No enum constant "+
			"org.apache.kafka.connect.data.Schema.Type."+
			strings.ToUpper(name)+" for configuration Invalid type found in casting spec: "+name)
	case wit.Kind(at) >= wit.Bytes:
		return fail("spec", "Cast transformation does not support casting to "+castKinds[at]+"; supported types are "+
			kindList(wit.Bytes))
	}
	to := wit.Kind(at)
	if len(parts) == 1 {
		o.whole = &to
		return nil
	}
	field := castField{name: setting.Trim(parts[0]), to: to}
	if i := slices.IndexFunc(o.fields, func(f castField) bool { return f.name == field.name }); i >= 0 {
		o.fields[i] = field
		return nil
	}
	o.fields = append(o.fields, field)
	return nil
}

// kindList is the types below one, as Java writes a set.
func kindList(below wit.Kind) string { return "[" + strings.Join(castKinds[:below], ", ") + "]" }

func (o *cast) route(r *route, stage int) { r.add(o.at, stage, o) }

func (o *cast) purpose() string { return castPurpose }

// layout has fields of a structure cast.
func (o *cast) layout(l *structDraft, s step) *failure {
	if o.replaceNull {
		l.replaceNulls()
	}
	for i := range l.fields {
		f := &l.fields[i]
		at := slices.IndexFunc(o.fields, func(c castField) bool { return c.name == f.name })
		if at < 0 {
			continue
		}
		from, to := &f.nodes[f.node], o.fields[at].to
		made, wrong := castNode(from, wit.Node{Kind: to}, s.stage)
		if wrong != nil {
			return wrong
		}
		by := castOf(from, to, s.stage)
		if from.Kind == to && to >= wit.Int64 && to < wit.Text && !misnamedTime(from) {
			by = nil // the bytes are the same, and any are a value
		}
		if wrong := l.edit(f, made, by); wrong != nil {
			return wrong
		}
	}
	return nil
}

// schemaless casts entries; one that is not there becomes a null.
func (o *cast) schemaless(m *entries, s step, _ *wit.Row) (f *failure) {
	if o.order[0].edit == nil { // an operation stands at one stage
		for i := range o.order {
			o.order[i].edit = castEntry(o.order[i].to, s.stage)
		}
	}
	for _, field := range o.order {
		if o.values[field.at], f = m.edit(field.name, field.edit); f != nil {
			return f
		}
	}
	for i := range o.fields {
		m.put(o.fields[i].name, o.values[i])
	}
	return nil
}

// castNode is the schema of a value that was cast: of what it was it keeps whether it is optional, and its default.
func castNode(n *wit.Node, made wit.Node, stage int) (wit.Node, *failure) {
	made.Optional = n.Optional
	if n.DefaultValue != nil {
		b, f := castStructured(nil, *n.DefaultValue, n, made.Kind, stage)
		if f != nil {
			return made, f
		}
		made.DefaultValue = &b
	}
	return made, nil
}

func (o *cast) compile(e *Engine, nodes []wit.Node, stage int) *edits {
	if o.whole != nil {
		return o.compileWhole(e, nodes, stage)
	}
	x, l := beginEdits(e, nodes, o.replaceNull)
	if l == nil {
		x.failure = &failure{stage, dataException, "Cannot list fields on non-struct type"}
		return x
	}
	for i := range l.fields {
		f, m := &l.fields[i], &x.members[i]
		at := slices.IndexFunc(o.fields, func(c castField) bool { return c.name == f.name })
		if at < 0 {
			continue
		}
		to := o.fields[at].to
		made, wrong := castNode(m.from, wit.Node{Kind: to}, stage)
		if wrong != nil {
			x.failure = wrong
			return x
		}
		f.nodes, f.node, f.orDefault = []wit.Node{made}, 0, false
		m.to = &made
		m.edit = func(dst, in []byte) ([]byte, *failure) { return castStructured(dst, in, m.from, to, stage) }
	}
	if x.root.DefaultValue != nil {
		x.failure = castFrom(wit.Structure, stage)
		return x
	}
	for i := range l.fields {
		l.fields[i].orDefault = false
	}
	result, root := &program{}, basics(&nodes[0])
	root.Optional = nodes[0].Optional
	result.finish(l, root, stage, e.declare)
	x.out, x.failure = result.out, result.failure
	return x
}

func (o *cast) compileWhole(e *Engine, nodes []wit.Node, stage int) *edits {
	p, _ := beginProgram(nodes)
	x := &edits{program: p}
	made := basics(&nodes[0])
	made.Kind = *o.whole
	if made, p.failure = castNode(&nodes[0], made, stage); p.failure != nil {
		return x
	}
	if made.DefaultValue != nil && logicalClass(&made) != "" {
		// The name stays, and Kafka's class for it is not that of the default any more.
		p.failure = &failure{stage, schemaBuilderException, "Invalid default value"}
		return x
	}
	from, to := &nodes[0], *o.whole
	x.root = &made
	x.members = []memberEdit{{from: from, to: x.root,
		edit: func(dst, in []byte) ([]byte, *failure) { return castStructured(dst, in, from, to, stage) }}}
	if _, err := datum.CheckSchema([]wit.Node{made}); err != nil {
		p.failure = &failure{stage, dataException, "what the transforms make of the schema is none: " + err.Error()}
		return x
	}
	x.out = e.declare([]wit.Node{made})
	return x
}

func (o *cast) apply(e *Engine, v *view, stage int) (*failure, error) {
	c := &v.columns[o.at]
	switch c.form {
	case wit.Absent:
		return nil, nil
	case wit.Dynamic:
		return o.column(e, c, stage), nil
	}
	x, err := o.programs.of(e, c.schema, func(nodes []wit.Node) *edits { return o.compile(e, nodes, stage) })
	if err != nil {
		return nil, err
	}
	start, done, f := x.opened(c, stage)
	switch {
	case done:
		return f, nil
	case c.class != "" && o.whole != nil && *o.whole != wit.Text:
		return noDate(c.class, stage), nil
	case c.class != "" && o.whole != nil: // the text is that of the number
		from, begin := wit.Node{Kind: x.members[0].from.Kind}, len(e.scratch)
		b, f := castStructured(datum.AppendBranch(e.scratch, x.root, false), c.bytes[start:], &from, wit.Text, stage)
		if f == nil {
			e.scratch = b
			c.set(wit.Structured, x.out, b[begin:], -1)
		}
		return f, nil
	case o.whole != nil:
		f := x.applyWhole(e, c, start)
		if plain := (wit.Node{Kind: x.root.Kind}); f == nil && javaClass(x.root) != javaClass(&plain) {
			c.class = javaClass(&plain)
		}
		return f, nil
	}
	return x.applyFields(e, c, start, stage), nil
}

// column casts a column without schema.
func (o *cast) column(e *Engine, c *column, stage int) *failure {
	if o.whole != nil {
		from := len(e.scratch)
		if err := datum.CheckDynamic(c.bytes); err != nil {
			return &failure{stage, dataException, "bytes that are no dynamic value"}
		}
		b, f := castDynamic(e.scratch, c.bytes, *o.whole, stage)
		if f == nil {
			e.scratch = b
			c.set(wit.Dynamic, 0, b[from:], -1)
		}
		return f
	}
	return e.schemaless(o, c, stage, nil)
}

// castEntry casts values without schema that may be null. Numbers are those of a schema but for their tags.
func castEntry(to wit.Kind, stage int) edit {
	numbers := [...]edit{datum.TagStruct: nil}
	for tag, kind := range map[byte]wit.Kind{datum.TagInt8: wit.Int8, datum.TagInt16: wit.Int16,
		datum.TagInt32: wit.Int32, datum.TagInt64: wit.Int64, datum.TagFloat32: wit.Float32,
		datum.TagFloat64: wit.Float64} {
		if to != wit.Boolean { // of which the tag is all
			numbers[tag] = castOf(&wit.Node{Kind: kind}, to, stage)
		}
	}
	tag := dynamicTag(to, &scalar{})
	return func(dst, in []byte) ([]byte, *failure) {
		switch cast := numbers[in[0]]; {
		case in[0] == datum.TagNull:
			return append(dst, datum.TagNull), nil
		case cast != nil:
			return cast(append(dst, tag), in[1:])
		}
		return castDynamic(dst, in, to, stage)
	}
}

func castFrom(kind wit.Kind, stage int) *failure {
	return &failure{stage, dataException, "Cast transformation does not support casting from " + castKinds[kind] +
		"; supported types are " + kindList(wit.Array)}
}

// noDate is the failure of a value under the name of a logical type of times, which an earlier Cast made another of.
func noDate(class string, stage int) *failure {
	return &failure{stage, classCastException, "class " + class + " cannot be cast to class java.util.Date (" + class +
		" and java.util.Date are in module java.base of loader 'bootstrap')"}
}

// castOf is castStructured for values of one schema: the common casts take the short way, which saves more in the guest
// than anywhere else.
func castOf(n *wit.Node, to wit.Kind, stage int) edit {
	other := func(dst, in []byte) ([]byte, *failure) { return castStructured(dst, in, n, to, stage) }
	switch {
	case n.Kind <= wit.Int64 && to == wit.Text && n.Name == nil:
		unused := 64 - 8<<n.Kind
		return func(dst, in []byte) ([]byte, *failure) {
			whole, size := datum.Number(in)
			if size != len(in) || whole<<unused>>unused != whole {
				return other(dst, in)
			}
			from := len(dst)
			dst = strconv.AppendInt(append(dst, 0), whole, 10)
			dst[from] = byte((len(dst) - from - 1) << 1) // of no number it is longer
			return dst, nil
		}
	case n.Kind <= wit.Int64 && to <= wit.Int64 && n.Name == nil:
		unused, lost := 64-8<<n.Kind, 64-8<<to
		return func(dst, in []byte) ([]byte, *failure) {
			whole, size := datum.Number(in)
			if size != len(in) || whole<<unused>>unused != whole {
				return other(dst, in)
			}
			return datum.AppendNumber(dst, whole<<lost>>lost), nil
		}
	case n.Kind == wit.Float64 && to == wit.Float32:
		return func(dst, in []byte) ([]byte, *failure) {
			if len(in) != 8 {
				return other(dst, in)
			}
			return datum.AppendFloat32(dst, float32(math.Float64frombits(binary.LittleEndian.Uint64(in)))), nil
		}
	}
	return other
}

// misnamedTime tells whether a schema has the name of a logical type of times, and another type than that.
func misnamedTime(n *wit.Node) bool {
	return logicalClass(n) == "java.util.Date" && javaClass(n) != "java.util.Date"
}

// castStructured appends a value of a type, made of one of a schema, given without its branch.
func castStructured(dst, in []byte, n *wit.Node, to wit.Kind, stage int) ([]byte, *failure) {
	if n.Kind >= wit.Array {
		return dst, castFrom(n.Kind, stage)
	}
	if to != wit.Text && misnamedTime(n) {
		return dst, noDate(javaClass(n), stage)
	}
	if n.Name == nil || n.Kind == wit.Int8 || n.Kind == wit.Int16 {
		if x, ok := numberOf(n.Kind, in); ok {
			return x.append(dst, to), nil
		}
	}
	bare := *n
	bare.Optional, bare.DefaultValue = false, nil
	v, _, err := datum.Read([]wit.Node{bare}, 0, in)
	if err != nil {
		return dst, broken(stage, 0)
	}
	switch javaClass(n) {
	case "java.util.Date":
		if to != wit.Text {
			break
		}
		switch x := v.(type) {
		case int32:
			v = datum.Instant(x)
			if *n.Name == wit.NameDate {
				v = datum.Instant(int64(x) * msPerDay)
			}
		case int64:
			v = datum.Instant(x)
		}
	case "java.math.BigDecimal":
		if b, ok := v.([]byte); ok {
			scale, _ := values.ScaleOf(n)
			v = datum.Decimal{Scale: int32(scale), Unscaled: datum.Unscaled(b)}
		}
	}
	made, f := castValue(v, to, stage)
	if f != nil {
		return dst, f
	}
	dst, err = datum.Append(dst, []wit.Node{{Kind: to}}, 0, made)
	if err != nil {
		return dst, &failure{stage, dataException, err.Error()}
	}
	return dst, nil
}

// castDynamic appends a value without schema of a type, made of one that was checked.
func castDynamic(dst, in []byte, to wit.Kind, stage int) ([]byte, *failure) {
	switch in[0] {
	case datum.TagArray:
		return dst, castFrom(wit.Array, stage)
	case datum.TagMap:
		return dst, castFrom(wit.Mapping, stage)
	case datum.TagStruct:
		return dst, castFrom(wit.Structure, stage)
	case datum.TagDecimal, datum.TagInstant:
		return dst, &failure{stage, dataException, "Cast transformation was passed a value of type class " +
			dynamicClasses[in[0]] +
			" which is not supported by Connect's data API"}
	}
	if x, ok := dynamicNumber(in); ok {
		if dst = append(dst, dynamicTag(to, &x)); to != wit.Boolean { // of which the tag is all
			dst = x.append(dst, to)
		}
		return dst, nil
	}
	v, _, err := datum.ReadDynamic(in)
	if err != nil {
		return dst, &failure{stage, dataException, "bytes that are no dynamic value"}
	}
	made, f := castValue(v, to, stage)
	if f != nil {
		return dst, f
	}
	if dst, err = datum.AppendDynamic(dst, made); err != nil {
		return dst, &failure{stage, dataException, err.Error()}
	}
	return dst, nil
}

// scalar is a number or a boolean: the common values, which are cast without an allocation.
type scalar struct {
	whole int64
	real  float64
	// bits are those of real, 0: it is whole that counts. isBoolean: whole is 1 for true.
	bits      int
	isBoolean bool
}

// numberOf reads a number or a boolean of a kind, of which in holds nothing more. Bytes that are none are left to
// others.
func numberOf(kind wit.Kind, in []byte) (x scalar, ok bool) {
	switch kind {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		n, size := datum.Number(in)
		unused := 64 - 8<<kind
		return scalar{whole: n}, size == len(in) && n<<unused>>unused == n
	case wit.Float32:
		if len(in) == 4 {
			f := math.Float32frombits(binary.LittleEndian.Uint32(in))
			return scalar{real: float64(f), bits: 32}, true
		}
	case wit.Float64:
		if len(in) == 8 {
			return scalar{real: math.Float64frombits(binary.LittleEndian.Uint64(in)), bits: 64}, true
		}
	case wit.Boolean:
		if len(in) == 1 && in[0] <= 1 {
			return scalar{whole: int64(in[0]), isBoolean: true}, true
		}
	}
	return x, false
}

// dynamicNumber is numberOf for a value without schema.
func dynamicNumber(in []byte) (x scalar, ok bool) {
	switch tag := in[0]; tag {
	case datum.TagFalse:
		return scalar{isBoolean: true}, true
	case datum.TagTrue:
		return scalar{whole: 1, isBoolean: true}, true
	case datum.TagInt8, datum.TagInt16, datum.TagInt32, datum.TagInt64:
		return numberOf(wit.Int8+wit.Kind(tag-datum.TagInt8), in[1:])
	case datum.TagFloat32:
		return numberOf(wit.Float32, in[1:])
	case datum.TagFloat64:
		return numberOf(wit.Float64, in[1:])
	}
	return x, false
}

// dynamicTag is the tag of what a value is cast to.
func dynamicTag(to wit.Kind, x *scalar) byte {
	switch to {
	case wit.Boolean:
		if x.integer(to) != 0 {
			return datum.TagTrue
		}
		return datum.TagFalse
	case wit.Float32:
		return datum.TagFloat32
	case wit.Float64:
		return datum.TagFloat64
	case wit.Text:
		return datum.TagText
	}
	return datum.TagInt8 + byte(to-wit.Int8)
}

// integer is the value as a whole number, on its way to a kind.
func (x *scalar) integer(to wit.Kind) int64 {
	switch {
	case x.bits == 0:
		return x.whole
	case to == wit.Int8, to == wit.Int16, to == wit.Int32:
		return saturated(x.real, math.MinInt32, math.MaxInt32)
	}
	return saturated(x.real, math.MinInt64, math.MaxInt64)
}

// append appends the value of another kind, without a tag.
func (x *scalar) append(dst []byte, to wit.Kind) []byte {
	switch to {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		unused := 64 - 8<<to
		return datum.AppendNumber(dst, x.integer(to)<<unused>>unused)
	case wit.Boolean:
		return datum.AppendBoolean(dst, x.integer(to) != 0)
	case wit.Float32:
		if x.bits == 0 {
			return datum.AppendFloat32(dst, float32(x.whole))
		}
		return datum.AppendFloat32(dst, float32(x.real))
	case wit.Float64:
		if x.bits == 0 {
			return datum.AppendFloat64(dst, float64(x.whole))
		}
		return datum.AppendFloat64(dst, x.real)
	}
	var text [32]byte // of no number it is longer
	switch {
	case x.isBoolean:
		return datum.AppendBytes(dst, strconv.AppendBool(text[:0], x.whole == 1))
	case x.bits == 0:
		return datum.AppendBytes(dst, strconv.AppendInt(text[:0], x.whole, 10))
	}
	return datum.AppendBytes(dst, java.AppendReal(text[:0], x.real, x.bits))
}

// castValue is the value of another type.
func castValue(v any, to wit.Kind, stage int) (any, *failure) {
	if to == wit.Text {
		text, err := (&values.Writer{}).Append(nil, v)
		if err != nil {
			return nil, &failure{stage, dataException, err.Error()}
		}
		return string(text), nil
	}
	whole, real, isReal := int64(0), 0.0, false
	switch x := v.(type) {
	case int8:
		whole = int64(x)
	case int16:
		whole = int64(x)
	case int32:
		whole = int64(x)
	case int64:
		whole = x
	case float32:
		real, isReal = float64(x), true
	case float64:
		real, isReal = x, true
	case bool:
		if x {
			whole = 1
		}
	case datum.Decimal:
		d := values.DecimalOf(x)
		if to == wit.Float32 {
			return float32(d.Float(32)), nil
		}
		if whole = d.Long(); to == wit.Float64 {
			return d.Float(64), nil
		}
	case string:
		return castParsed(x, to, stage)
	default:
		return nil, &failure{stage, dataException, "Unexpected type in Cast transformation: class [B"}
	}
	if isReal {
		switch to {
		case wit.Int8, wit.Int16, wit.Int32:
			whole = saturated(real, math.MinInt32, math.MaxInt32)
		default:
			whole = saturated(real, math.MinInt64, math.MaxInt64)
		}
	}
	switch to {
	case wit.Int8:
		return int8(whole), nil
	case wit.Int16:
		return int16(whole), nil
	case wit.Int32:
		return int32(whole), nil
	case wit.Int64:
		return whole, nil
	case wit.Boolean:
		return whole != 0, nil
	case wit.Float32:
		if isReal {
			return float32(real), nil
		}
		return float32(whole), nil
	}
	if isReal {
		return real, nil
	}
	return float64(whole), nil
}

// saturated is Java's way from a float to an integer.
func saturated(f float64, low, high int64) int64 {
	switch {
	case f != f:
		return 0
	case f <= float64(low):
		return low
	case f >= float64(high):
		return high
	}
	return int64(f)
}

// castParsed is the value that a text says.
func castParsed(text string, to wit.Kind, stage int) (any, *failure) {
	var n int64
	var f float64
	ok := true
	var err error
	switch to {
	case wit.Boolean:
		return strings.EqualFold(text, "true"), nil
	case wit.Float32:
		f, ok = javaReal(text, 32)
	case wit.Float64:
		f, ok = javaReal(text, 64)
	default:
		n, err = strconv.ParseInt(java.ASCIIDigits(text), 10, 8<<to)
	}
	if !ok || err != nil {
		return nil, &failure{stage, dataException, "Value (" + text + ") was out of range for requested data type"}
	}
	switch to {
	case wit.Int8:
		return int8(n), nil
	case wit.Int16:
		return int16(n), nil
	case wit.Int32:
		return int32(n), nil
	case wit.Int64:
		return n, nil
	case wit.Float32:
		return float32(f), nil
	}
	return f, nil
}

// javaReal reads what Double.parseDouble takes.
func javaReal(text string, bits int) (float64, bool) {
	text = setting.Trim(text)
	bare := strings.TrimLeft(text[:min(1, len(text))], "+-") + text[min(1, len(text)):]
	switch bare {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(map[bool]int{true: -1, false: 1}[text[0] == '-']), true
	}
	hex := strings.HasPrefix(bare, "0x") || strings.HasPrefix(bare, "0X")
	if !hex || strings.ContainsAny(text, "pP") {
		if n := len(text); n > 1 && strings.ContainsAny(text[n-1:], "fFdD") {
			text = text[:n-1]
		}
	}
	if strings.ContainsAny(text, "_iInN") {
		return 0, false
	}
	f, err := strconv.ParseFloat(text, bits)
	if err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}
