package object

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/smt/javaclass"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// NotTraceable is the failure of a row that cannot be traced. No row fails by it.
var NotTraceable = rowerror.Data(0, "the kernel cannot do this")

// Object is a structure or a map without schema, taken apart for transforms on fields. Values are bytes all the way: an
// operation moves them, or has an [edit] make others. Beside its bytes each value has its origin, which the kernel's
// program is made of.
type Object struct {
	Scratch *Scratch
	IsMap   bool
	// Layout is the schema of the input, root the result's without its members; stays: the result has the input's.
	Layout      *Layout
	Root        wit.SchemaNode
	KeepsSchema bool
	Fields      []Field
	// Input are the bytes of the input, which begin at start after its branch.
	Input []byte
	start int
	// loaded: values have their bytes. Those of a structure get them when they are needed first.
	loaded bool
	// Changed: a value is another one, or an entry of a map is.
	Changed bool
	// IsNull: the value is null, so that nothing but the schema counts.
	IsNull bool
	// Pending is the first failure of the values.
	Pending *rowerror.Failure
	// Key is the key that an operation made of fields; whole: the object became its only field.
	Key   *Object
	Whole bool
	// Class is that of the column: on the way in of one as a whole, and of what becomes of it.
	Class string
	// Headers are those that operations add.
	Headers []AddedHeader
	// Trace is the record of what is done, nil on the plain way.
	Trace *Trace
}

// Trace is what else of the way of an object counts for the kernel's program.
type Trace struct {
	// Edited are all values that were edited, each after the edit: an edit may fail the row even where nothing is left
	// of its result.
	Edited []Source
	// Required are what rows must have.
	Required []Attribute
	// Allowed are the tags that values of entries may have.
	Allowed []AllowedTags
}

// AllowedTags is the tags, a bit each, that the value of an entry may have.
type AllowedTags struct {
	Source
	Tags uint64
}

// Allow keeps the program from handling rows in which an entry has another tag. It returns false for values that are
// edited.
func (x *Object) Allow(f *Field, tags uint64) bool {
	if f.Kind == FromInput {
		x.Trace.Allowed = append(x.Trace.Allowed, AllowedTags{f.Source, tags})
	}
	return len(f.Edits) == 0
}

// Open takes the structure of a column apart.
func (x *Object) Open(w *Scratch, l *Layout, in []byte, start int) {
	root := l.Nodes[0]
	root.Fields = nil
	*x = Object{Scratch: w, Layout: l, Root: root, KeepsSchema: true, Fields: append(x.Fields[:0], l.Fields...), Input: in,
		start: start, Headers: x.Headers[:0]}
}

// OpenWhole opens a column as the only field; l is nil if the column has no schema.
func (x *Object) OpenWhole(w *Scratch, l *Layout, in []byte, class string) {
	*x = Object{Scratch: w, IsMap: l == nil, Layout: l, Whole: true, Class: class, loaded: true,
		Fields: append(x.Fields[:0], Field{Bytes: in}), Headers: x.Headers[:0]}
	if l != nil {
		x.Root, x.Fields[0].Nodes = l.Nodes[0], l.Nodes
	}
}

// OpenMap takes a map apart.
func (x *Object) OpenMap(w *Scratch, in []byte, stage int, purpose string) *rowerror.Failure {
	class, invalid := x.ReadMap(w, in)
	if invalid {
		return rowerror.BadSchemaless(stage)
	}
	if class != "" {
		return rowerror.OnlyMap(stage, purpose, class)
	}
	return nil
}

// ReadMap takes a value without schema apart. class is the value's class in Java if it is no map.
func (x *Object) ReadMap(w *Scratch, in []byte) (class string, invalid bool) {
	*x = Object{Scratch: w, IsMap: true, loaded: true, Fields: x.Fields[:0], Input: in, Headers: x.Headers[:0]}
	if len(in) == 0 || in[0] > connectdata.TagStruct {
		return "", true
	}
	if in[0] != connectdata.TagMap {
		return javaclass.OfTag[in[0]], false
	}
	count, i := connectdata.Number(in[1:])
	if i <= 0 || count < 0 || count > int64(len(in)) {
		return "", true
	}
	x.Fields = slices.Grow(x.Fields, int(min(count, 32)))
	for i++; count > 0; count-- {
		key := skipValue(in[i:])
		if key <= 0 {
			return "", true
		}
		value := skipValue(in[i+key:])
		if value <= 0 {
			return "", true
		}
		at := len(x.Fields)
		x.Fields = append(x.Fields, Field{Name: TextOf(in[i : i+key]), Key: in[i : i+key], KeyIndex: at,
			Bytes: in[i+key : i+key+value], Source: Source{Index: at, KeySize: key, Tag: in[i+key]}})
		i += key + value
	}
	return "", i != len(in)
}

// skipValue is datum.SkipDynamic; -1 for bad bytes.
func skipValue(in []byte) int {
	size, err := connectdata.SkipSchemaless(in)
	if err != nil {
		return -1
	}
	return size
}

// Fail notes a failure of the values.
func (x *Object) Fail(f *rowerror.Failure) {
	if x.Pending == nil {
		x.Pending = f
	}
}

// Load gives values their bytes; it is false if these are bad.
func (x *Object) Load(stage int) bool {
	if x.loaded || x.IsNull {
		return true
	}
	x.loaded = true
	n := len(x.Layout.Fields)
	x.Scratch.GrowEnds(n + 1)
	ends := x.Scratch.Ends[:n+1]
	if invalid := x.Layout.Offsets(x.Input, x.start, ends); invalid >= 0 {
		x.loaded = false
		x.Fail(rowerror.BadValue(stage, invalid))
		return false
	}
	for i := range x.Fields {
		if f := &x.Fields[i]; f.Kind == FromInput {
			f.Bytes = x.Input[ends[f.Index]:ends[f.Index+1]]
		}
	}
	return true
}

// Find returns the field of a name, or nil.
func (x *Object) Find(name string) *Field {
	for i := range x.Fields {
		if f := &x.Fields[i]; f.Name == name && f.HasTextKey() {
			return f
		}
	}
	return nil
}

// Put sets the value of a name in a map: in the place of the entry that has the name, else at the end.
func (x *Object) Put(name string, value Field) {
	x.Changed = true
	if f := x.Find(name); f != nil {
		f.Set(value)
		return
	}
	x.AddEntry(name, value)
}

// AddEntry appends an entry to a map.
func (x *Object) AddEntry(name string, value Field) {
	value.Name, value.Key, value.KeyIndex = name, connectdata.AppendString([]byte{connectdata.TagText}, name), -1
	x.Fields = append(x.Fields, value)
}

// AddField adds a field to a structure, as SchemaBuilder does.
func (x *Object) AddField(f Field, stage int) *rowerror.Failure {
	if f.Name == "" {
		return rowerror.New(stage, rowerror.SchemaBuilderException, "fieldName cannot be null.")
	}
	for i := range x.Fields {
		if x.Fields[i].Name == f.Name {
			return rowerror.New(stage, rowerror.SchemaBuilderException, "Cannot create field because of field name duplication "+
				f.Name)
		}
	}
	x.Fields = append(x.Fields, f)
	return nil
}

// NewStruct makes the result another structure, without a branch or a default.
func (x *Object) NewStruct() { x.Root, x.KeepsSchema = schemas.CopyMetadata(&x.Root), false }

// Edit has a field's value edited.
func (x *Object) Edit(f *Field, edit Edit, stage int) {
	if x.IsNull || !x.Load(stage) {
		return
	}
	w := x.Scratch
	from := len(w.Buf)
	b, failure := edit.Apply(w.Buf, f.Bytes)
	if failure != nil {
		x.Fail(failure)
		return
	}
	w.Buf, x.Changed = b, true
	f.Bytes = b[from:len(b):len(b)]
	if x.Trace != nil && f.Kind != FromConstant {
		f.Edits = append(slices.Clip(f.Edits), &edit)
		x.Trace.Edited = append(x.Trace.Edited, f.Source)
	}
}

// EditEntries edits the entries of a map in the order of Kafka's loop; those that are not there become nulls, in the
// order of the settings.
func (x *Object) EditEntries(order, names []string, edit func(n int) Edit, stage int) *rowerror.Failure {
	for i, name := range order {
		if f := x.Find(name); f != nil {
			x.Edit(f, edit(i), stage)
		}
	}
	for _, name := range names {
		if x.Find(name) == nil {
			x.Put(name, NullValue)
		}
	}
	return nil
}

// ChangeType gives a field of a structure another schema, and edits its value.
func (x *Object) ChangeType(f *Field, to wit.SchemaNode, edit Edit, stage int) {
	from := f.Schema()
	f.Nodes, f.Node = []wit.SchemaNode{to}, 0
	if edit.Apply != nil {
		x.Edit(f, OfField(from, f.Schema(), edit), stage)
	}
}

// ReplaceNulls puts defaults in the place of nulls in all fields of a structure.
func (x *Object) ReplaceNulls(stage int) {
	for i := range x.Fields {
		f := &x.Fields[i]
		n := f.Schema()
		if f.Kind != FromInput || f.NeverNull || !n.Optional || n.DefaultValue == nil || !x.Load(stage) {
			continue
		}
		if edit := OrDefault(n); x.Trace != nil || !x.IsNull && f.Bytes[0] == edit.NullByte {
			x.Edit(f, edit, stage)
		}
		f.NeverNull = true
	}
}

// NewKey returns an empty key of fields of the object.
func (x *Object) NewKey() *Object {
	return &Object{Scratch: x.Scratch, IsMap: x.IsMap, Root: wit.SchemaNode{Kind: wit.Struct}, loaded: true, Changed: true,
		Trace: x.Trace}
}
