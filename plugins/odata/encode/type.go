package encode

import (
	"cmp"
	"encoding/base64"
	"errors"
	"strconv"
	"unicode/utf8"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
)

// Type is an entity type or complex type with indexes by name.
type Type struct {
	*edm.StructuredType
	// Active is the key property that distinguishes entities from drafts, nil without drafts.
	Active      *edm.Property
	dialect     *edm.Dialect
	form        value.Form // of values in JSON
	properties  map[string]*edm.Property
	navigations map[string]*edm.Navigation
	types       map[string]*Type           // of properties and navigations that contain structs
	keys        []*edm.Property            // in the order of Key; nil for a property that is not declared
	writers     map[string]*propertyWriter // of properties and navigation properties
	// writersBySchema caches the writers for the fields of a struct, by the root node of its schema.
	writersBySchema map[*wit.SchemaNode][]*propertyWriter
	lastRoot        *wit.SchemaNode   // the schema of the row before
	lastWriters     []*propertyWriter // the writers for lastRoot
	// recentWriters has the writer of the last map entry that was read at each position, with its name.
	recentWriters []namedWriter
	emptyHead     string // the head of an Atom entry without values and links
	writable      int    // properties outside of the key that inserts and updates write
	insertDiffers bool   // inserts write other properties than updates
	hasComplex    bool   // a value may contain a part of a property
}

// namedWriter is the writer of the property with that name. The zero value is an empty entry.
type namedWriter struct {
	name   string
	writer *propertyWriter
}

// writerAt returns the writer for the entry at a position of a map, nil if the type has no property of that name. It
// remembers the writer for the next map.
func (t *Type) writerAt(position int, name string) *propertyWriter {
	if t.recentWriters == nil {
		t.recentWriters = make([]namedWriter, 64) // larger maps look their last entries up by name
	}
	if uint(position) >= uint(len(t.recentWriters)) {
		return t.writers[name]
	}
	entry := &t.recentWriters[position]
	if entry.name == name {
		return entry.writer
	}
	writer := t.writers[name]
	if writer != nil {
		*entry = namedWriter{name, writer}
	}
	return writer
}

// NewType indexes the types by name and returns the first one. The others are the types of nested structs. A nil
// dialect means [edm.V2].
func NewType(dialect *edm.Dialect, structures []*edm.StructuredType) *Type {
	dialect = cmp.Or(dialect, edm.V2)
	typesByName := map[string]*Type{}
	for _, structure := range structures {
		typesByName[structure.QualifiedName()] = &Type{StructuredType: structure, dialect: dialect,
			form:       value.JSONForm(dialect),
			properties: map[string]*edm.Property{}, navigations: map[string]*edm.Navigation{},
			types: map[string]*Type{}}
	}
	for _, typ := range typesByName {
		for i := range typ.Properties {
			property := &typ.Properties[i]
			typ.properties[property.Name] = property
			if property.Type.Primitive == edm.NotPrimitive {
				typ.types[property.Name] = typesByName[property.Type.Name]
			}
		}
		for i := range typ.Navigations {
			navigation := &typ.Navigations[i]
			typ.navigations[navigation.Name] = navigation
			typ.types[navigation.Name] = typesByName[navigation.Target]
		}
		for _, name := range typ.Key {
			typ.keys = append(typ.keys, typ.properties[name])
		}
		typ.findActive()
		typ.makeWriters()
	}
	return typesByName[structures[0].QualifiedName()]
}

// Property returns a property by its name, nil if the type has no such property.
func (t *Type) Property(name string) *edm.Property { return t.properties[name] }

const maxSchemas = 64 // in writersBySchema

// writersFor returns the writers for the fields of a struct, nil for a value without schema.
func (t *Type) writersFor(rowValue *rowvalue.Value) []*propertyWriter {
	root := rowValue.Schema()
	if root == nil || root.Kind != wit.Struct {
		return nil
	}
	if root == t.lastRoot {
		return t.lastWriters
	}
	writers, ok := t.writersBySchema[root]
	if !ok {
		if len(t.writersBySchema) == maxSchemas {
			clear(t.writersBySchema)
		}
		writers = make([]*propertyWriter, len(root.Fields))
		for i, field := range root.Fields {
			if shared := t.writers[field.Name]; shared != nil {
				writer := *shared
				node := rowValue.Node(field.Node)
				writer.setEncoding(node.Kind, node)
				writers[i] = &writer
			}
		}
		t.writersBySchema[root] = writers
	}
	t.lastRoot = root
	t.lastWriters = writers
	return writers
}

// InsertEqualsUpdate reports whether an insert of a row that overwrites an existing entity has the same result as the
// row's update: both write the same properties, and an update that merges (not a PUT) writes all of them. Nested
// entities are in inserts only.
func (t *Type) InsertEqualsUpdate(rowValue *rowvalue.Value, isPut bool) bool {
	if t.insertDiffers || (t.hasComplex && !isPut) {
		return false
	}
	count := 0
	var fields rowvalue.Cursor
	for rowValue.Fields(&fields); fields.Next(); {
		writer := t.writers[fields.Name]
		isPresent := fields.Value.Present
		switch {
		case writer == nil:
			// an unknown field, which both ignore
		case (writer.property == nil || writer.isReference) && isPresent:
			return false
		case writer.property != nil && !writer.isKey && writer.property.Updatable &&
			(isPresent || writer.property.Nullable):
			count++
		}
	}
	return isPut || count == t.writable
}

// makeWriters sets the writers of all properties, and what InsertEqualsUpdate needs to know about them.
func (t *Type) makeWriters() {
	t.writers = map[string]*propertyWriter{}
	t.writersBySchema = map[*wit.SchemaNode][]*propertyWriter{}
	t.emptyHead = string((&atomEntry{typ: t}).head())
	label := func(name string) string { return string(append(jsontext.AppendString([]byte{','}, name), ':')) }
	for name, navigation := range t.navigations {
		t.writers[name] = &propertyWriter{navigation: navigation, typ: t.types[name], label: label(name)}
		if t.dialect.Bind != "" {
			bind := name + t.dialect.Bind
			t.writers[bind] = &propertyWriter{isReference: true, isUnrestricted: true, label: label(bind),
				isCollection: navigation.Many, property: &edm.Property{Name: bind, Creatable: true, Updatable: true,
					Length: -1, Type: edm.Type{Primitive: edm.String, Collection: navigation.Many}}}
		}
	}
	for name, property := range t.properties {
		writer := &propertyWriter{property: property, typ: t.types[name], isKey: t.IsKey(name), label: label(name),
			startTag: "<d:" + name, endTag: "</d:" + name + ">",
			isCollection: property.Type.Collection && t.dialect.Collections}
		isKnown := writer.typ != nil || property.Type.Primitive != edm.NotPrimitive
		writer.isUnrestricted = isKnown && property.Updatable && (property.Creatable || writer.isKey)
		typeName := property.Type.Primitive.String()
		if writer.typ != nil {
			typeName = writer.typ.QualifiedName()
		}
		if property.Type.Primitive != edm.String {
			writer.startTag += ` m:type="` + typeName + `"`
		}
		writer.startTag += ">"
		if !writer.isKey && property.Updatable {
			t.writable++
		}
		t.insertDiffers = t.insertDiffers || (!writer.isKey && property.Creatable != property.Updatable)
		t.hasComplex = t.hasComplex || property.Type.Primitive == edm.NotPrimitive
		writer.min, writer.max, _ = property.Type.Primitive.Bounds()
		t.writers[name] = writer
	}
}

// propertyWriter is how a property, or a navigation property, is written.
type propertyWriter struct {
	property       *edm.Property   // nil for a navigation property
	navigation     *edm.Navigation // nil for a property
	typ            *Type           // the nested entity type or complex type, nil if the metadata lack it
	isKey          bool
	isCollection   bool // the value is an array
	isReference    bool // the value is the address of an entity, or an array of addresses
	isUnrestricted bool // the property is in all requests whose row has a value

	label    string        // a comma, and the name in JSON with a colon
	startTag string        // in Atom
	endTag   string        // in Atom
	min      int64         // of an integer
	max      int64         // of an integer; min and max are zero for other types
	encoding valueEncoding // constant for a writer in writersBySchema, else set for each value
	scale    int           // of a decimal, for encodeDecimal
}

// Convert sets converted to the row's value as a property has it. The settings decide whether precision may be lost.
func Convert(converted *value.Converted, config *sinkconfig.Config, property *edm.Property,
	rowValue *rowvalue.Value) (err error) {
	if rowValue.Present && (rowValue.Schema() == nil || rowValue.Schema().Name == nil) {
		low, high, isInteger := property.Type.Primitive.Bounds()
		switch kind := rowValue.Kind(); {
		case kind <= wit.Int64 && isInteger: // from int8 to int64
			if n := rowValue.Int64(); n >= low && n <= high {
				converted.Type = property.Type.Primitive
				converted.Text = strconv.FormatInt(n, 10)
				return nil
			}
		case kind == wit.String && property.Type.Primitive == edm.String:
			content := rowValue.Bytes()
			isShort := property.Length <= 0 || len(content) <= property.Length
			if isShort && utf8.Valid(content) {
				converted.Type = edm.String
				converted.Text = string(content)
				return nil
			}
		}
	}
	decoded, err := rowValue.Decode()
	if err != nil {
		return err
	}
	node := rowValue.Schema()
	if config.Lossy {
		*converted, err = value.ConvertLossy(property, node, decoded)
		return err
	}
	*converted, err = value.ConvertChecked(property, node, decoded)
	if err != nil && decoded == nil {
		if mismatch := (*value.ConversionError)(nil); errors.As(err, &mismatch) {
			err = &value.ConversionError{Expected: mismatch.Expected, Found: "null"}
		}
	}
	if err != nil && node == nil && property.Type.Primitive == edm.Decimal {
		err = withDecimalHint(err, decoded)
	}
	return err
}

// withDecimalHint explains a likely cause: JSON converters write decimals as Base64 by default, and without a schema
// the scale is lost.
func withDecimalHint(err error, v any) error {
	encoded, ok := v.(string)
	if !ok {
		return err
	}
	if b, decodeErr := base64.StdEncoding.DecodeString(encoded); decodeErr != nil || len(b) == 0 {
		return err
	}
	return errors.New(err.Error() + ", which may be a decimal as Base64, whose scale is lost without a schema: " +
		"write the topic with value.converter.decimal.format = NUMERIC")
}
