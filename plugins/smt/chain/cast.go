package chain

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
	"github.com/culvert-project/culvert/wit/java"
	"github.com/culvert-project/culvert/wit/java/values"
)

var castSpecs = []wit.ConfigKey{
	needsList("spec", "List of fields and the type to cast them to of the form field1:type,field2:type to cast "+
		"fields of Maps or Structs. A single type to cast the entire value. Valid types are int8, int16, int32, "+
		"int64, float32, float64, boolean, and string. Note that binary fields can only be cast to string."),
	replaceNullSpec,
}

// cast is Kafka's Cast: it converts fields, or the whole key or value, to another type.
type cast struct {
	target
	// to is the type of the whole key or value.
	to     wit.Kind
	fields []castField
	// order is the names in the order in which Kafka comes to them in maps, names those of the settings; edits are the
	// casts of entries in that order, nil until a map came.
	order, names []string
	edits        []edit
}

// castField is a field with the type that it gets.
type castField struct {
	name string
	to   wit.Kind
}

func newCast(at side, s settings) (operation, *wit.Error) {
	if _, err := s.needed("spec"); err != nil {
		return nil, err
	}
	o, list := &cast{target: target{at: at, purpose: "cast types", looks: "list", listing: true}}, s.list("spec")
	if len(list) == 0 {
		return nil, fail("spec", "Must specify at least one field to cast.")
	}
	var whole *wit.Kind
	for _, item := range list {
		if err := o.add(item, list, &whole); err != nil {
			return nil, err
		}
	}
	if whole != nil && len(list) > 1 {
		return nil, fail("spec", "Cast transformations that specify a type to cast the entire value to may only "+
			"specify a single cast in their spec")
	}
	if err := o.configure(s); err != nil {
		return nil, err
	}
	if whole != nil {
		o.whole, o.to = true, *whole
		return o, nil
	}
	for _, f := range o.fields {
		o.names = append(o.names, f.name)
	}
	o.order = java.InHashMap(o.names, java.Itself)
	return o, nil
}

// add reads one item of the list: a field with a type, or the type of the whole.
func (o *cast) add(item string, list []string, whole **wit.Kind) *wit.Error {
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
	at := slices.Index(kindNames, strings.ToUpper(name))
	switch {
	case at < 0:
		return fail("spec", "Invalid value java.lang.IllegalArgumentException: No enum constant "+
			"org.apache.kafka.connect.data.Schema.Type."+
			strings.ToUpper(name)+" for configuration Invalid type found in casting spec: "+name)
	case wit.Kind(at) >= wit.Bytes:
		return fail("spec", "Cast transformation does not support casting to "+kindNames[at]+"; supported types are "+
			kindList(wit.Bytes))
	}
	to := wit.Kind(at)
	if len(parts) == 1 {
		*whole = &to
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
func kindList(below wit.Kind) string { return "[" + strings.Join(kindNames[:below], ", ") + "]" }

func (o *cast) apply(x *object, s step) *failure {
	if o.whole {
		return o.applyWhole(x, s.stage)
	}
	if x.isMap {
		if o.edits == nil { // an operation has one stage
			for _, name := range o.order {
				o.edits = append(o.edits, castEntry(o.fields[slices.Index(o.names, name)].to, s.stage))
			}
		}
		return x.editEntries(o.order, o.names, func(n int) edit { return o.edits[n] }, s.stage)
	}
	if o.replaceNull {
		x.replaceNulls(s.stage)
	}
	x.stays = false
	for i := range x.fields {
		f := &x.fields[i]
		at := slices.Index(o.names, f.name)
		if at < 0 {
			continue
		}
		from, to := f.schema(), o.fields[at].to
		made, wrong := castNode(from, wit.SchemaNode{Kind: to}, s.stage)
		if wrong != nil {
			return wrong
		}
		by := castOf(from, to, s.stage)
		if from.Kind == to && to >= wit.Int64 && to < wit.String && !misnamedTime(from) {
			by = edit{} // the bytes are the same, and any are a value
		}
		x.retype(f, made, by, s.stage)
	}
	if x.root.DefaultValue != nil {
		return castFrom(wit.Struct, s.stage)
	}
	return nil
}

// castNode is the schema of a value that was cast: of what it was it keeps whether it is optional, and its default.
func castNode(n *wit.SchemaNode, made wit.SchemaNode, stage int) (wit.SchemaNode, *failure) {
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

// applyWhole casts a key or value.
func (o *cast) applyWhole(x *object, stage int) *failure {
	f, class := &x.fields[0], x.class
	if x.class = ""; x.isMap {
		x.edit(f, edit{make: func(dst, in []byte) ([]byte, *failure) { return castDynamic(dst, in, o.to, stage) }},
			stage)
		return nil
	}
	from := f.schema()
	made := basics(from)
	made.Kind = o.to
	made, wrong := castNode(from, made, stage)
	by := castOf(from, o.to, stage)
	switch {
	case wrong != nil:
		return wrong
	case made.DefaultValue != nil && logicalClass(&made) != "":
		// The name stays, and Kafka's class for it is not that of the default any more.
		return &failure{stage, schemaBuilderException, "Invalid default value"}
	case class != "" && o.to != wit.String:
		return noDate(class, stage)
	case class != "": // the text is that of the number
		by = castOf(&wit.SchemaNode{Kind: from.Kind}, wit.String, stage)
	}
	if plain := (wit.SchemaNode{Kind: made.Kind}); javaClass(&made) != javaClass(&plain) {
		x.class = javaClass(&plain)
	}
	x.retype(f, made, by, stage)
	return nil
}

// castEntry casts values without schema that may be null.
func castEntry(to wit.Kind, stage int) edit {
	return edit{
		make: func(dst, in []byte) ([]byte, *failure) {
			if in[0] == connectdata.TagNull {
				return append(dst, connectdata.TagNull), nil
			}
			return castDynamic(dst, in, to, stage)
		},
		conversion: func(tag byte) (c conversion) {
			if tag >= connectdata.TagInt8 && tag <= connectdata.TagFloat64 {
				by := castOf(&wit.SchemaNode{Kind: wit.Int8 + wit.Kind(tag-connectdata.TagInt8)}, to, stage)
				if by.conversion != nil {
					c = by.conversion(0).tagged(tag, dynamicTag(to, &scalar{}))
				}
			}
			return c
		},
	}
}

func castFrom(kind wit.Kind, stage int) *failure {
	return &failure{stage, dataException, "Cast transformation does not support casting from " + kindNames[kind] +
		"; supported types are " + kindList(wit.Array)}
}

// noDate is the failure of a value under the name of a logical type of times, which an earlier Cast made another of.
func noDate(class string, stage int) *failure {
	return &failure{stage, classCastException, "class " + class + " cannot be cast to class java.util.Date (" + class +
		" and java.util.Date are in module java.base of loader 'bootstrap')"}
}

// castOf is castStructured for values of one schema.
func castOf(n *wit.SchemaNode, to wit.Kind, stage int) edit {
	by := edit{make: func(dst, in []byte) ([]byte, *failure) { return castStructured(dst, in, n, to, stage) }}
	c := kernel.Conversion{Unused: (64 - 8<<n.Kind) & 63, Lost: (64 - 8<<to) & 63}
	switch {
	case n.Kind <= wit.Int64 && to == wit.String && n.Name == nil:
		c.Kind = kernel.Digits
	case n.Kind <= wit.Int64 && to <= wit.Int64 && n.Name == nil:
		c.Kind = kernel.Integer
	case n.Kind == wit.Float64 && to == wit.Float32:
		c.Kind = kernel.Single
	default:
		return by
	}
	by.conversion = always(conversion{Conversion: c})
	return by
}

// misnamedTime tells whether a schema has the name of a logical type of times, and another type than that.
func misnamedTime(n *wit.SchemaNode) bool {
	return logicalClass(n) == "java.util.Date" && javaClass(n) != "java.util.Date"
}

// castStructured appends a value of a type, made of one of a schema, given without its branch.
func castStructured(dst, in []byte, n *wit.SchemaNode, to wit.Kind, stage int) ([]byte, *failure) {
	if n.Kind >= wit.Array {
		return dst, castFrom(n.Kind, stage)
	}
	if to != wit.String && misnamedTime(n) {
		return dst, noDate(javaClass(n), stage)
	}
	if n.Name == nil || n.Kind == wit.Int8 || n.Kind == wit.Int16 {
		if x, ok := numberOf(n.Kind, in); ok {
			return x.append(dst, to), nil
		}
	}
	bare := *n
	bare.Optional, bare.DefaultValue = false, nil
	v, _, err := connectdata.Read([]wit.SchemaNode{bare}, 0, in)
	if err != nil {
		return dst, broken(stage, 0)
	}
	switch javaClass(n) {
	case "java.util.Date":
		if to != wit.String {
			break
		}
		switch x := v.(type) {
		case int32:
			v = connectdata.Instant(x)
			if *n.Name == wit.NameDate {
				v = connectdata.Instant(int64(x) * msPerDay)
			}
		case int64:
			v = connectdata.Instant(x)
		}
	case "java.math.BigDecimal":
		if b, ok := v.([]byte); ok {
			scale, _ := values.ScaleOf(n)
			v = connectdata.Decimal{Scale: int32(scale), Unscaled: connectdata.Unscaled(b)}
		}
	}
	return appendCast(dst, v, to, stage, false)
}

// castDynamic appends a value without schema of a type, made of one that was checked.
func castDynamic(dst, in []byte, to wit.Kind, stage int) ([]byte, *failure) {
	switch in[0] {
	case connectdata.TagArray:
		return dst, castFrom(wit.Array, stage)
	case connectdata.TagMap:
		return dst, castFrom(wit.Map, stage)
	case connectdata.TagStruct:
		return dst, castFrom(wit.Struct, stage)
	case connectdata.TagInstant:
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
	v, _, err := connectdata.ReadSchemaless(in)
	if err != nil {
		return dst, brokenDynamic(stage)
	}
	return appendCast(dst, v, to, stage, true)
}
