package record

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Object is a key or value that transforms change: a struct, or a map without schema, split into fields.
type Object struct {
	Scratch *Scratch
	input
	Fields       []Field        // of the result
	Root         wit.SchemaNode // schema of the result, without its fields
	KeepsSchema  bool           // the result has the schema of the input
	Changed      bool           // a value or the set of a map's entries was changed
	Whole        bool           // the result is the value of its only field, not a struct or map
	IsNull       bool           // the value is null, so that only its schema matters
	Pending      *Failure       // of a value, see [Object.Fail]
	Class        string         // Java class of the value if its schema has another, see [Part]
	Key          *Object        // new key of the record, see [Object.NewKey]
	Headers      []AddedHeader
	DropsHeaders bool   // the result has only Headers, no headers of the row
	Trace        *Trace // if not nil, records what a program must check
}

// input is the encoded value for which an object was opened.
type input struct {
	IsMap    bool
	Reader   *ValueReader // of the value, nil for a map
	Input    []byte
	start    int  // of the fields, after the union branch
	isLoaded bool // the fields have their bytes. Fields of a struct get them on first use.
}

// NotTraceable is returned for rows that cannot be traced. It never fails a row.
var NotTraceable = DataFailure(0, "the kernel does not support this")

// Trace records what a program must check of a row, because its result depends on it.
type Trace struct {
	Edited   []Source // of all edited values: an edit may fail the row even if its result is removed
	Required []Attribute
	Allowed  []AllowedTags
}

// AllowedTags is the set of tags, one bit each, that the value of an entry may have.
type AllowedTags struct {
	Source
	Tags uint64
}

// Allow restricts the program to rows in which an entry has one of the tags. It returns false for edited values.
func (o *Object) Allow(field *Field, tags uint64) bool {
	if field.Kind == FromInput {
		o.Trace.Allowed = append(o.Trace.Allowed, AllowedTags{field.Source, tags})
	}
	return len(field.Edits) == 0
}

// Open opens a struct whose fields begin at start.
func (o *Object) Open(scratch *Scratch, reader *ValueReader, encoded []byte, start int) {
	root := reader.Nodes[0]
	root.Fields = nil
	*o = Object{Scratch: scratch, input: input{Reader: reader, Input: encoded, start: start}, Root: root,
		KeepsSchema: true, Fields: append(o.Fields[:0], reader.Fields...), Headers: o.Headers[:0]}
}

// OpenWhole opens a key or value of any type as the only field. reader is nil if there is no schema.
func (o *Object) OpenWhole(scratch *Scratch, reader *ValueReader, encoded []byte, class string) {
	*o = Object{Scratch: scratch, input: input{IsMap: reader == nil, Reader: reader, isLoaded: true}, Whole: true,
		Class: class, Fields: append(o.Fields[:0], Field{Bytes: encoded}), Headers: o.Headers[:0]}
	if reader != nil {
		o.Root = reader.Nodes[0]
		o.Fields[0].Nodes = reader.Nodes
	}
}

// OpenMap opens a map without schema.
func (o *Object) OpenMap(scratch *Scratch, encoded []byte, stage int, purpose string) *Failure {
	class, invalid := o.ReadMap(scratch, encoded)
	if invalid {
		return BadSchemaless(stage)
	}
	if class != "" {
		return OnlyMap(stage, purpose, class)
	}
	return nil
}

// ReadMap opens a value without schema. class is its class in Java if it is not a map, otherwise "".
func (o *Object) ReadMap(scratch *Scratch, encoded []byte) (class string, invalid bool) {
	*o = Object{Scratch: scratch, input: input{IsMap: true, Input: encoded, isLoaded: true}, Fields: o.Fields[:0],
		Headers: o.Headers[:0]}
	if len(encoded) == 0 || encoded[0] > connectdata.TagStruct { // the last tag
		return "", true
	}
	if encoded[0] != connectdata.TagMap {
		return TagJavaClasses[encoded[0]], false
	}
	count, size := connectdata.Number(encoded[1:])
	if size <= 0 || count < 0 || count > int64(len(encoded)) {
		return "", true
	}
	o.Fields = slices.Grow(o.Fields, int(min(count, 32)))
	start := 1 + size
	for ; count > 0; count-- {
		keySize := valueSize(encoded[start:])
		if keySize <= 0 {
			return "", true
		}
		size := valueSize(encoded[start+keySize:])
		if size <= 0 {
			return "", true
		}
		index := len(o.Fields)
		key := encoded[start : start+keySize]
		value := encoded[start+keySize : start+keySize+size]
		o.Fields = append(o.Fields, Field{Name: TextOf(key), Key: key, KeyIndex: index, Bytes: value,
			Source: Source{Index: index, KeySize: keySize, Tag: value[0]}})
		start += keySize + size
	}
	return "", start != len(encoded)
}

// valueSize returns the size of the first value in encoded, -1 if it is invalid.
func valueSize(encoded []byte) int {
	size, err := connectdata.SkipSchemaless(encoded)
	if err != nil {
		return -1
	}
	return size
}

// Fail records a failure of a value. The first one fails the row, unless its schema is invalid.
func (o *Object) Fail(failure *Failure) {
	if o.Pending == nil {
		o.Pending = failure
	}
}

// Load finds the values of all fields unless the object is null. If they are invalid, it fails the row: false.
func (o *Object) Load(stage int) bool {
	if o.isLoaded || o.IsNull {
		return true
	}
	o.isLoaded = true
	count := len(o.Reader.Fields)
	o.Scratch.GrowEnds(count + 1)
	ends := o.Scratch.Ends[:count+1]
	if invalid := o.Reader.Offsets(o.Input, o.start, ends); invalid >= 0 {
		o.isLoaded = false
		o.Fail(BadValue(stage, invalid))
		return false
	}
	for i := range o.Fields {
		if field := &o.Fields[i]; field.Kind == FromInput {
			field.Bytes = o.Input[ends[field.Index]:ends[field.Index+1]]
		}
	}
	return true
}

// ResetRoot makes the result a required struct without default, with the metadata of the input.
func (o *Object) ResetRoot() {
	o.Root = CopyMetadata(&o.Root)
	o.KeepsSchema = false
}

// NewKey returns an empty struct or map for the fields that become the key of the record.
func (o *Object) NewKey() *Object {
	return &Object{Scratch: o.Scratch, input: input{IsMap: o.IsMap, isLoaded: true},
		Root: wit.SchemaNode{Kind: wit.Struct}, Changed: true, Trace: o.Trace}
}
