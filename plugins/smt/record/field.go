package record

import (
	"unsafe"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Field is a field of a struct or an entry of a map.
type Field struct {
	Name     string
	Key      []byte           // of an entry, with its tag
	KeyIndex int              // entry of the input that has the key, or -1
	Nodes    []wit.SchemaNode // the schema, nil in a map
	Node     uint32           // root of the field's type in Nodes
	Bytes    []byte           // the value with its union branch, or in a map with its tag
	Source
}

// Source describes where a value comes from.
type Source struct {
	Kind      SourceKind
	Index     int       // field or entry of the input
	KeySize   int       // size of the entry's key
	Tag       byte      // of the entry's value
	Attribute Attribute // attribute of the row to insert
	Optional  bool      // the attribute has a union branch
	NeverNull bool      // nulls were replaced
	Edits     []*Edit   // applied to the value, in order
}

// SourceKind is the origin of a value: the input, a constant of the settings, or an attribute of the row.
type SourceKind uint8

const (
	FromInput SourceKind = iota
	FromConstant
	FromAttribute
)

// TextOf returns the text of a key without copying it, "" for keys of other types.
func TextOf(key []byte) string {
	if key[0] != connectdata.TagString {
		return ""
	}
	content, _ := connectdata.LengthPrefixed(key[1:])
	return unsafe.String(unsafe.SliceData(content), len(content))
}

// HasTextKey reports whether the field has a name. An entry of a map has none if its key is not a string.
func (f *Field) HasTextKey() bool { return f.Key == nil || f.Key[0] == connectdata.TagString }

// Schema returns the root of the field's schema.
func (f *Field) Schema() *wit.SchemaNode { return &f.Nodes[f.Node] }

// Subtree returns a copy of the field's schema, its root first.
func (f *Field) Subtree() []wit.SchemaNode { return AppendNode(nil, f.Nodes, f.Node) }

// NullValue is the value of an entry that does not exist.
var NullValue = Field{Bytes: []byte{connectdata.TagNull}, Source: Source{Kind: FromConstant}}

// Set replaces the value, and keeps name and key.
func (f *Field) Set(value Field) {
	value.Name = f.Name
	value.Key = f.Key
	value.KeyIndex = f.KeyIndex
	*f = value
}

// Find returns the field with a name, nil if there is none.
func (o *Object) Find(name string) *Field {
	for i := range o.Fields {
		if field := &o.Fields[i]; field.Name == name && field.HasTextKey() {
			return field
		}
	}
	return nil
}

// Put sets the value of an entry, or appends a new one.
func (o *Object) Put(name string, value Field) {
	o.Changed = true
	if field := o.Find(name); field != nil {
		field.Set(value)
		return
	}
	o.AddEntry(name, value)
}

// AddEntry appends an entry to a map without looking for its name.
func (o *Object) AddEntry(name string, value Field) {
	value.Key = connectdata.AppendString([]byte{connectdata.TagString}, name)
	value.Name = name
	value.KeyIndex = -1
	o.Fields = append(o.Fields, value)
}

// AddField appends a field to a struct, with the checks of Kafka's SchemaBuilder.
func (o *Object) AddField(field Field, stage int) *Failure {
	if field.Name == "" {
		return NewFailure(stage, SchemaBuilderException, "fieldName cannot be null.")
	}
	for i := range o.Fields {
		if o.Fields[i].Name == field.Name {
			return NewFailure(stage, SchemaBuilderException,
				"Cannot create field because of field name duplication "+field.Name)
		}
	}
	o.Fields = append(o.Fields, field)
	return nil
}
