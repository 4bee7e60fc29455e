package chain

import (
	"slices"
	"unsafe"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// object is a structure or a map without schema, taken apart for transforms on fields. Values are bytes all the way: an
// operation moves them, or has an [edit] make others. Beside its bytes each value has its origin, which the kernel's
// program is made of.
type object struct {
	w     *work
	isMap bool
	// layout is the schema of the input, root the result's without its members; stays: the result has the input's.
	layout *layout
	root   wit.SchemaNode
	stays  bool
	fields []field
	// in are the bytes of the input, which begin at start after its branch.
	in    []byte
	start int
	// loaded: values have their bytes. Those of a structure get them when they are needed first.
	loaded bool
	// changed: a value is another one, or an entry of a map is.
	changed bool
	// null: the value is null, so that nothing but the schema counts.
	null bool
	// pending is the first failure of the values.
	pending *failure
	// key is the key that an operation made of fields; whole: the object became its only field.
	key   *object
	whole bool
	// class is that of the column: on the way in of one as a whole, and of what becomes of it.
	class string
	// headers are those that operations add.
	headers []header
	// trace is the record of what is done, nil on the plain way.
	trace *trace
}

// field of an object: a member of a structure, or an entry of a map.
type field struct {
	name string
	// key has the bytes of an entry's key, tag included; keyAt is the entry of the input that has them, -1 if none has.
	key   []byte
	keyAt int
	// nodes and node are the schema; nil in a map.
	nodes []wit.SchemaNode
	node  uint32
	// bytes are the value: with its branch, or its tag.
	bytes []byte
	origin
}

// origin is where a value comes from.
type origin struct {
	from fieldSource
	// index is the member or entry of the input; after is the size of the entry's key, tag its value's first byte.
	index, after int
	tag          byte
	// what the row says, with a branch where it is optional.
	what     what
	optional bool
	// full: the value is never null.
	full bool
	// edits are what a traced object's value went through.
	edits []*edit
}

// fieldSource is the kind of an origin.
type fieldSource uint8

const (
	input fieldSource = iota
	constant
	attribute
)

// what an inserted field holds, in the order in which InsertField adds them.
type what uint8

const (
	theTopic what = iota
	thePartition
	theOffset
	theTimestamp
	theStatic
)

// header is one that is added: a field under a name, or all bytes of it.
type header struct {
	name  string
	field field
	bytes []byte
}

// trace is what else of the way of an object counts for the kernel's program.
type trace struct {
	// edited are all values that were edited, each after the edit: an edit may fail the row even where nothing is left
	// of its result.
	edited []origin
	// required are what rows must have.
	required []what
	// allowed are the tags that values of entries may have.
	allowed []allowance
}

// allowance is the tags, a bit each, that the value of an entry may have.
type allowance struct {
	origin
	tags uint64
}

// allow keeps the program from handling rows in which an entry has another tag. It returns false for values that are
// edited.
func (x *object) allow(f *field, tags uint64) bool {
	if f.from == input {
		x.trace.allowed = append(x.trace.allowed, allowance{f.origin, tags})
	}
	return len(f.edits) == 0
}

// open takes the structure of a column apart.
func (x *object) open(w *work, l *layout, in []byte, start int) {
	root := l.nodes[0]
	root.Fields = nil
	*x = object{w: w, layout: l, root: root, stays: true, fields: append(x.fields[:0], l.fields...), in: in,
		start: start, headers: x.headers[:0]}
}

// openWhole opens a column as the only field; l is nil if the column has no schema.
func (x *object) openWhole(w *work, l *layout, c *column) {
	*x = object{w: w, isMap: l == nil, layout: l, whole: true, class: c.class, loaded: true,
		fields: append(x.fields[:0], field{bytes: c.bytes}), headers: x.headers[:0]}
	if l != nil {
		x.root, x.fields[0].nodes = l.nodes[0], l.nodes
	}
}

// openDynamic opens a column without schema for an operation.
func (x *object) openDynamic(w *work, c *column, stage int, about *target) *failure {
	if !about.whole {
		return x.openMap(w, c.bytes, stage, about.purpose)
	}
	if err := connectdata.CheckSchemaless(c.bytes); err != nil {
		return brokenDynamic(stage)
	}
	x.openWhole(w, nil, c)
	return nil
}

// openMap takes a map apart.
func (x *object) openMap(w *work, in []byte, stage int, purpose string) *failure {
	class, bad := x.readMap(w, in)
	if bad {
		return brokenDynamic(stage)
	}
	if class != "" {
		return onlyMap(stage, purpose, class)
	}
	return nil
}

// readMap takes a value without schema apart. class is the value's class in Java if it is no map.
func (x *object) readMap(w *work, in []byte) (class string, bad bool) {
	*x = object{w: w, isMap: true, loaded: true, fields: x.fields[:0], in: in, headers: x.headers[:0]}
	if len(in) == 0 || in[0] > connectdata.TagStruct {
		return "", true
	}
	if in[0] != connectdata.TagMap {
		return dynamicClasses[in[0]], false
	}
	count, i := connectdata.Number(in[1:])
	if i <= 0 || count < 0 || count > int64(len(in)) {
		return "", true
	}
	x.fields = slices.Grow(x.fields, int(min(count, 32)))
	for i++; count > 0; count-- {
		key := skipValue(in[i:])
		if key <= 0 {
			return "", true
		}
		value := skipValue(in[i+key:])
		if value <= 0 {
			return "", true
		}
		at := len(x.fields)
		x.fields = append(x.fields, field{name: textOf(in[i : i+key]), key: in[i : i+key], keyAt: at,
			bytes: in[i+key : i+key+value], origin: origin{index: at, after: key, tag: in[i+key]}})
		i += key + value
	}
	return "", i != len(in)
}

// skipValue is connectdata.SkipDynamic; -1 for bad bytes.
func skipValue(in []byte) int {
	size, err := connectdata.SkipSchemaless(in)
	if err != nil {
		return -1
	}
	return size
}

// textOf is the text of a key, without a copy; "" for others.
func textOf(key []byte) string {
	if key[0] != connectdata.TagText {
		return ""
	}
	text, _ := connectdata.LengthPrefixed(key[1:])
	return unsafe.String(unsafe.SliceData(text), len(text))
}

// isText reports whether an entry's key is a text, or the field a structure's.
func (f *field) isText() bool { return f.key == nil || f.key[0] == connectdata.TagText }

// fail notes a failure of the values.
func (x *object) fail(f *failure) {
	if x.pending == nil {
		x.pending = f
	}
}

// load gives values their bytes; it is false if these are bad.
func (x *object) load(stage int) bool {
	if x.loaded || x.null {
		return true
	}
	x.loaded = true
	n := len(x.layout.skips)
	x.w.room(n + 1)
	ends := x.w.ends[:n+1]
	if bad := x.layout.offsets(x.in, x.start, ends); bad >= 0 {
		x.loaded = false
		x.fail(broken(stage, bad))
		return false
	}
	for i := range x.fields {
		if f := &x.fields[i]; f.from == input {
			f.bytes = x.in[ends[f.index]:ends[f.index+1]]
		}
	}
	return true
}

// find returns the field of a name, or nil.
func (x *object) find(name string) *field {
	for i := range x.fields {
		if f := &x.fields[i]; f.name == name && f.isText() {
			return f
		}
	}
	return nil
}

// schema returns the schema of a field.
func (f *field) schema() *wit.SchemaNode { return &f.nodes[f.node] }

// subtree is a field's schema with its own numbering.
func (f *field) subtree() []wit.SchemaNode { return graft(nil, f.nodes, f.node) }

// constantValue makes a field of a map of a value that is the same in all rows.
func constantValue(b []byte) field { return field{bytes: b, origin: origin{from: constant}} }

// nullValue is the value of an entry that is not there.
var nullValue = constantValue([]byte{connectdata.TagNull})

// put sets the value of a name in a map: in the place of the entry that has the name, else at the end.
func (x *object) put(name string, value field) {
	x.changed = true
	if f := x.find(name); f != nil {
		f.set(value)
		return
	}
	x.add(name, value)
}

// set takes the value of another field.
func (f *field) set(value field) {
	value.name, value.key, value.keyAt = f.name, f.key, f.keyAt
	*f = value
}

// add appends an entry to a map.
func (x *object) add(name string, value field) {
	value.name, value.key, value.keyAt = name, connectdata.AppendString([]byte{connectdata.TagText}, name), -1
	x.fields = append(x.fields, value)
}

// addMember adds a field to a structure, as SchemaBuilder does.
func (x *object) addMember(f field, stage int) *failure {
	if f.name == "" {
		return &failure{stage, schemaBuilderException, "fieldName cannot be null."}
	}
	for i := range x.fields {
		if x.fields[i].name == f.name {
			return &failure{stage, schemaBuilderException, "Cannot create field because of field name duplication " +
				f.name}
		}
	}
	x.fields = append(x.fields, f)
	return nil
}

// renew makes the result another structure, without a branch or a default.
func (x *object) renew() { x.root, x.stays = basics(&x.root), false }

// edit has a field's value edited.
func (x *object) edit(f *field, by edit, stage int) {
	if x.null || !x.load(stage) {
		return
	}
	w := x.w
	from := len(w.scratch)
	b, wrong := by.make(w.scratch, f.bytes)
	if wrong != nil {
		x.fail(wrong)
		return
	}
	w.scratch, x.changed = b, true
	f.bytes = b[from:len(b):len(b)]
	if x.trace != nil && f.from != constant {
		f.edits = append(slices.Clip(f.edits), &by)
		x.trace.edited = append(x.trace.edited, f.origin)
	}
}

// retype gives a field of a structure another schema, and edits its value.
func (x *object) retype(f *field, to wit.SchemaNode, by edit, stage int) {
	from := f.schema()
	f.nodes, f.node = []wit.SchemaNode{to}, 0
	if by.make != nil {
		x.edit(f, member(from, f.schema(), by), stage)
	}
}

// replaceNulls puts defaults in the place of nulls in all fields of a structure.
func (x *object) replaceNulls(stage int) {
	for i := range x.fields {
		f := &x.fields[i]
		n := f.schema()
		if f.from != input || f.full || !n.Optional || n.DefaultValue == nil || !x.load(stage) {
			continue
		}
		if by := orDefault(n); x.trace != nil || !x.null && f.bytes[0] == by.null {
			x.edit(f, by, stage)
		}
		f.full = true
	}
}

// untouched reports whether all members of the input are the first ones of the result, as they were.
func (x *object) untouched() bool {
	members := x.layout.fields
	if len(x.fields) < len(members) || x.changed || x.whole {
		return false
	}
	for i := range members {
		if f := &x.fields[i]; f.from != input || f.index != i {
			return false
		}
	}
	return true
}

// same reports whether the result has the bytes of the input.
func (x *object) same() bool {
	if x.whole {
		b := x.fields[0].bytes
		return len(b) == len(x.in) && unsafe.SliceData(b) == unsafe.SliceData(x.in)
	}
	if x.isMap {
		return !x.changed
	}
	return x.untouched() && len(x.fields) == len(x.layout.fields) &&
		string(branchOf(&x.root)) == string(branchOf(&x.layout.nodes[0]))
}

// write appends the result.
func (x *object) write(dst []byte) []byte {
	switch {
	case x.whole:
		return append(dst, x.fields[0].bytes...)
	case x.isMap:
		dst = connectdata.AppendNumber(append(dst, connectdata.TagMap), int64(len(x.fields)))
		for i := range x.fields {
			dst = append(append(dst, x.fields[i].key...), x.fields[i].bytes...)
		}
		return dst
	}
	dst, rest := append(dst, branchOf(&x.root)...), x.fields
	if x.layout != nil && x.untouched() {
		dst, rest = append(dst, x.in[x.start:]...), rest[len(x.layout.fields):]
	}
	for i := range rest {
		dst = append(dst, rest[i].bytes...)
	}
	return dst
}

// nodes makes the schema of the result.
func (x *object) nodes() []wit.SchemaNode {
	if x.whole {
		return x.fields[0].subtree()
	}
	made := []wit.SchemaNode{x.root}
	members := make([]wit.Field, len(x.fields))
	for i := range x.fields {
		f := &x.fields[i]
		members[i] = wit.Field{Name: f.name, Node: uint32(len(made))}
		made = graft(made, f.nodes, f.node)
	}
	made[0].Fields = members
	return made
}

// results are the schemas of what comes of structures of one schema: that of the value, the key's and the headers'.
type results struct {
	value, key uint32
	headers    []uint32
	failure    *failure
}

// results makes the schemas of an object's results. again applies the operations to another object, for a default.
func (x *object) results(s *schemas, stage int, again func(x *object) *failure) *results {
	r := &results{value: 0}
	for i := range x.headers {
		if h := &x.headers[i]; h.bytes == nil {
			r.headers = append(r.headers, s.declare(h.field.subtree()))
		}
	}
	if x.key != nil && r.failure == nil {
		r.key, r.failure = s.declareMade(x.key.nodes(), stage)
	}
	if x.stays || r.failure != nil {
		r.value = x.layout.id
		return r
	}
	made := x.nodes()
	if again != nil && x.root.DefaultValue != nil {
		in := *x.root.DefaultValue
		y := &object{}
		y.open(x.w, x.layout, in, 0)
		if r.failure = again(y); r.failure != nil {
			return r
		}
		b := y.write(nil)[len(branchOf(&y.root)):]
		made[0].DefaultValue = &b
	}
	r.value, r.failure = s.declareMade(made, stage)
	return r
}

// appendHeaders appends the headers that operations added.
func (x *object) appendHeaders(dst []byte, r *results) []byte {
	schemas := r.headers
	for i := range x.headers {
		h := &x.headers[i]
		switch {
		case h.bytes != nil:
			dst = append(dst, h.bytes...)
			continue
		case x.isMap:
			dst = append(connectdata.AppendString(dst, h.name), byte(wit.Schemaless), 0)
		default:
			dst = append(connectdata.AppendString(dst, h.name), byte(wit.WithSchema))
			dst, schemas = connectdata.AppendNumber(dst, int64(schemas[0])), schemas[1:]
		}
		dst = connectdata.AppendBytes(dst, h.field.bytes)
	}
	return dst
}
