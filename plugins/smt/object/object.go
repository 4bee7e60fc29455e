package object

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/smt/javaclass"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// NotTraceable is returned for rows that cannot be traced. It never fails a row.
var NotTraceable = rowerror.Data(0, "the kernel does not support this")

// Object is a struct, or a map without schema, split into fields with encoded values.
type Object struct {
	Scratch *Scratch
	IsMap   bool
	// Layout is the schema of the input, Root the result's without fields. KeepsSchema reports whether both are equal.
	Reader      *ValueReader
	Root        wit.SchemaNode
	KeepsSchema bool
	Fields      []Field
	// Input is the encoded value. The fields begin at start, after the branch.
	Input []byte
	start int
	// loaded reports whether the fields have their bytes. Fields of a struct get them on first use.
	loaded bool
	// Changed reports whether a value, or the set of a map's entries, was changed.
	Changed bool
	// IsNull reports whether the value is null. Then only its schema matters.
	IsNull  bool
	Pending *rowerror.Failure
	// Key is the key that an operation created. Whole reports whether the object was replaced by its only field.
	Key   *Object
	Whole bool
	// Class is the Java class of the value if it is not that of its schema, see [record.Part].
	Class   string
	Headers []AddedHeader
	// Trace, if not nil, records what a program must check.
	Trace *Trace
}

// Trace records what a program must check of a row.
type Trace struct {
	// Edited holds the sources of all edited values: an edit may fail the row even if its result is removed.
	Edited   []Source
	Required []Attribute
	// Allowed restricts the tags of entries.
	Allowed []AllowedTags
}

// AllowedTags is the set of tags, one bit each, that the value of an entry may have.
type AllowedTags struct {
	Source
	Tags uint64
}

// Allow restricts the program to rows in which an entry has one of the tags. It returns false for edited values.
func (x *Object) Allow(field *Field, tags uint64) bool {
	if field.Kind == FromInput {
		x.Trace.Allowed = append(x.Trace.Allowed, AllowedTags{field.Source, tags})
	}
	return len(field.Edits) == 0
}

// Open opens a struct.
func (x *Object) Open(scratch *Scratch, reader *ValueReader, input []byte, start int) {
	root := reader.Nodes[0]
	root.Fields = nil
	*x = Object{Scratch: scratch, Reader: reader, Root: root, KeepsSchema: true,
		Fields: append(x.Fields[:0], reader.Fields...),
		Input:  input,
		start:  start, Headers: x.Headers[:0]}
}

// OpenWhole opens a key or value as the only field. l is nil if there is no schema.
func (x *Object) OpenWhole(scratch *Scratch, reader *ValueReader, input []byte, class string) {
	*x = Object{Scratch: scratch, IsMap: reader == nil, Reader: reader, Whole: true, Class: class, loaded: true,
		Fields: append(x.Fields[:0], Field{Bytes: input}), Headers: x.Headers[:0]}
	if reader != nil {
		x.Root, x.Fields[0].Nodes = reader.Nodes[0], reader.Nodes
	}
}

// OpenMap opens a map without schema.
func (x *Object) OpenMap(scratch *Scratch, input []byte, stage int, purpose string) *rowerror.Failure {
	class, invalid := x.ReadMap(scratch, input)
	if invalid {
		return rowerror.BadSchemaless(stage)
	}
	if class != "" {
		return rowerror.OnlyMap(stage, purpose, class)
	}
	return nil
}

// ReadMap opens a value without schema. class is its class in Java if it is not a map.
func (x *Object) ReadMap(scratch *Scratch, input []byte) (class string, invalid bool) {
	*x = Object{Scratch: scratch, IsMap: true, loaded: true, Fields: x.Fields[:0], Input: input, Headers: x.Headers[:0]}
	if len(input) == 0 || input[0] > connectdata.TagStruct {
		return "", true
	}
	if input[0] != connectdata.TagMap {
		return javaclass.OfTag[input[0]], false
	}
	count, i := connectdata.Number(input[1:])
	if i <= 0 || count < 0 || count > int64(len(input)) {
		return "", true
	}
	x.Fields = slices.Grow(x.Fields, int(min(count, 32)))
	for i++; count > 0; count-- {
		key := skipValue(input[i:])
		if key <= 0 {
			return "", true
		}
		value := skipValue(input[i+key:])
		if value <= 0 {
			return "", true
		}
		at := len(x.Fields)
		x.Fields = append(x.Fields, Field{Name: TextOf(input[i : i+key]), Key: input[i : i+key], KeyIndex: at,
			Bytes: input[i+key : i+key+value], Source: Source{Index: at, KeySize: key, Tag: input[i+key]}})
		i += key + value
	}
	return "", i != len(input)
}

func skipValue(input []byte) int {
	size, err := connectdata.SkipSchemaless(input)
	if err != nil {
		return -1
	}
	return size
}

// Fail records a failure of a value. The first one counts.
func (x *Object) Fail(failure *rowerror.Failure) {
	if x.Pending == nil {
		x.Pending = failure
	}
}

// Load reads the values of the fields. It returns false if they are invalid.
func (x *Object) Load(stage int) bool {
	if x.loaded || x.IsNull {
		return true
	}
	x.loaded = true
	n := len(x.Reader.Fields)
	x.Scratch.GrowEnds(n + 1)
	ends := x.Scratch.Ends[:n+1]
	if invalid := x.Reader.Offsets(x.Input, x.start, ends); invalid >= 0 {
		x.loaded = false
		x.Fail(rowerror.BadValue(stage, invalid))
		return false
	}
	for i := range x.Fields {
		if field := &x.Fields[i]; field.Kind == FromInput {
			field.Bytes = x.Input[ends[field.Index]:ends[field.Index+1]]
		}
	}
	return true
}

// Find returns the field with a name, or nil.
func (x *Object) Find(name string) *Field {
	for i := range x.Fields {
		if field := &x.Fields[i]; field.Name == name && field.HasTextKey() {
			return field
		}
	}
	return nil
}

// Put sets the value of an entry, or appends a new one.
func (x *Object) Put(name string, value Field) {
	x.Changed = true
	if field := x.Find(name); field != nil {
		field.Set(value)
		return
	}
	x.AddEntry(name, value)
}

// AddEntry appends an entry to a map.
func (x *Object) AddEntry(name string, value Field) {
	value.Name, value.Key, value.KeyIndex = name, connectdata.AppendString([]byte{connectdata.TagString}, name), -1
	x.Fields = append(x.Fields, value)
}

// AddField appends a field to a struct, with the checks of Kafka's SchemaBuilder.
func (x *Object) AddField(field Field, stage int) *rowerror.Failure {
	if field.Name == "" {
		return rowerror.New(stage, rowerror.SchemaBuilderException, "fieldName cannot be null.")
	}
	for i := range x.Fields {
		if x.Fields[i].Name == field.Name {
			return rowerror.New(stage, rowerror.SchemaBuilderException,
				"Cannot create field because of field name duplication "+
					field.Name)
		}
	}
	x.Fields = append(x.Fields, field)
	return nil
}

// NewStruct makes the result a new, required struct without default.
func (x *Object) NewStruct() { x.Root, x.KeepsSchema = schemas.CopyMetadata(&x.Root), false }

// Edit applies an edit to the value of a field.
func (x *Object) Edit(field *Field, edit Edit, stage int) {
	if x.IsNull || !x.Load(stage) {
		return
	}
	scratch := x.Scratch
	from := len(scratch.Buf)
	b, failure := edit.Apply(scratch.Buf, field.Bytes)
	if failure != nil {
		x.Fail(failure)
		return
	}
	scratch.Buf, x.Changed = b, true
	field.Bytes = b[from:len(b):len(b)]
	if x.Trace != nil && field.Kind != FromConstant {
		field.Edits = append(slices.Clip(field.Edits), &edit)
		x.Trace.Edited = append(x.Trace.Edited, field.Source)
	}
}

// EditEntries edits entries of a map in the order of Kafka's loop. Missing entries are added as nulls in the order of
// the settings.
func (x *Object) EditEntries(order, names []string, edit func(n int) Edit, stage int) *rowerror.Failure {
	for i, name := range order {
		if field := x.Find(name); field != nil {
			x.Edit(field, edit(i), stage)
		}
	}
	for _, name := range names {
		if x.Find(name) == nil {
			x.Put(name, NullValue)
		}
	}
	return nil
}

// ChangeType changes the schema of a struct's field and edits its value.
func (x *Object) ChangeType(field *Field, to wit.SchemaNode, edit Edit, stage int) {
	from := field.Schema()
	field.Nodes, field.Node = []wit.SchemaNode{to}, 0
	if edit.Apply != nil {
		x.Edit(field, OfField(from, field.Schema(), edit), stage)
	}
}

// ReplaceNulls replaces nulls by defaults in all fields of a struct.
func (x *Object) ReplaceNulls(stage int) {
	for i := range x.Fields {
		field := &x.Fields[i]
		node := field.Schema()
		if field.Kind != FromInput || field.NeverNull || !node.Optional || node.DefaultValue == nil || !x.Load(stage) {
			continue
		}
		if edit := OrDefault(node); x.Trace != nil || !x.IsNull && field.Bytes[0] == edit.NullByte {
			x.Edit(field, edit, stage)
		}
		field.NeverNull = true
	}
}

// NewKey returns an empty key for fields of the object.
func (x *Object) NewKey() *Object {
	return &Object{Scratch: x.Scratch, IsMap: x.IsMap, Root: wit.SchemaNode{Kind: wit.Struct}, loaded: true,
		Changed: true,
		Trace:   x.Trace}
}
