package object

import (
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Field is a field of a struct or an entry of a map.
type Field struct {
	Name string
	// Key is the key of an entry with its tag. KeyIndex is the entry of the input that has the key, or -1.
	Key      []byte
	KeyIndex int
	// Nodes and Node are the schema, nil in a map.
	Nodes []wit.SchemaNode
	Node  uint32
	// Bytes is the value with its branch or tag.
	Bytes []byte
	Source
}

// Source describes where a value comes from.
type Source struct {
	Kind SourceKind
	// Index is the field or entry of the input, KeySize the size of the entry's key, Tag the first byte of its value.
	Index, KeySize int
	Tag            byte
	// Attribute is the attribute of the row to insert. It has a branch if it is optional.
	Attribute Attribute
	Optional  bool
	// NeverNull reports whether nulls were replaced.
	NeverNull bool
	Edits     []*Edit
}

// SourceKind is the kind of a source.
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
	text, _ := connectdata.LengthPrefixed(key[1:])
	return unsafe.String(unsafe.SliceData(text), len(text))
}

// HasTextKey reports whether the field is a struct's, or an entry with a string as its key.
func (f *Field) HasTextKey() bool { return f.Key == nil || f.Key[0] == connectdata.TagString }

// Schema returns the schema of the field.
func (f *Field) Schema() *wit.SchemaNode { return &f.Nodes[f.Node] }

// Subtree returns the schema of the field as a schema of its own.
func (f *Field) Subtree() []wit.SchemaNode { return schemas.AppendNode(nil, f.Nodes, f.Node) }

// NullValue is the value of an entry that does not exist.
var NullValue = Field{Bytes: []byte{connectdata.TagNull}, Source: Source{Kind: FromConstant}}

// Set replaces the value, and keeps name and key.
func (f *Field) Set(value Field) {
	value.Name, value.Key, value.KeyIndex = f.Name, f.Key, f.KeyIndex
	*f = value
}
