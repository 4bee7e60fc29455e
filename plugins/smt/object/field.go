package object

import (
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Field of an object: a member of a structure, or an entry of a map.
type Field struct {
	Name string
	// Key has the bytes of an entry's key, tag included; keyAt is the entry of the input that has them, -1 if none has.
	Key      []byte
	KeyIndex int
	// Nodes and node are the schema; nil in a map.
	Nodes []wit.SchemaNode
	Node  uint32
	// Bytes are the value: with its branch, or its tag.
	Bytes []byte
	Source
}

// Source is where a value comes from.
type Source struct {
	Kind SourceKind
	// Index is the member or entry of the input; after is the size of the entry's key, tag its value's first byte.
	Index, KeySize int
	Tag            byte
	// Attribute the row says, with a branch where it is optional.
	Attribute Attribute
	Optional  bool
	// NeverNull: the value is never null.
	NeverNull bool
	// Edits are what a traced object's value went through.
	Edits []*Edit
}

// SourceKind is the kind of an origin.
type SourceKind uint8

const (
	FromInput SourceKind = iota
	FromConstant
	FromAttribute
)

// TextOf is the text of a key, without a copy; "" for others.
func TextOf(key []byte) string {
	if key[0] != connectdata.TagText {
		return ""
	}
	text, _ := connectdata.LengthPrefixed(key[1:])
	return unsafe.String(unsafe.SliceData(text), len(text))
}

// HasTextKey reports whether an entry's key is a text, or the field a structure's.
func (f *Field) HasTextKey() bool { return f.Key == nil || f.Key[0] == connectdata.TagText }

// Schema returns the schema of a field.
func (f *Field) Schema() *wit.SchemaNode { return &f.Nodes[f.Node] }

// Subtree is a field's schema with its own numbering.
func (f *Field) Subtree() []wit.SchemaNode { return schemas.AppendNode(nil, f.Nodes, f.Node) }

// NullValue is the value of an entry that is not there.
var NullValue = Field{Bytes: []byte{connectdata.TagNull}, Source: Source{Kind: FromConstant}}

// Set takes the value of another field.
func (f *Field) Set(value Field) {
	value.Name, value.Key, value.KeyIndex = f.Name, f.Key, f.KeyIndex
	*f = value
}
