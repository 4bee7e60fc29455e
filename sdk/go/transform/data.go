package transform

import (
	"errors"
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Data is a record's key or value: with a schema, without one, or absent (a tombstone's value). A field is read when it
// is asked for; what is not changed is passed on as bytes.
type Data struct {
	encoding wit.Encoding
	schema   uint32
	nodes    []wit.SchemaNode
	bytes    []byte
	changed  bool
	err      error
	// tree is the whole value, once it was asked for or replaced (whole); then fields and touched are not used.
	tree  any
	whole bool
	// fields are those at the start of the root that were walked over so far; left are entries of a map that were not,
	// -1 before the first.
	fields    []field
	remaining int64
	// touched are the fields that were read, set or added.
	touched []touched
	// added are the fields that were added, nil where none ever was.
	added *added
	// shared is what records have together.
	shared *shared
	// hint is the field that was asked for last: the next row is asked for the same ones.
	hint int
}

// field is where a field of a structure, or an entry of a schemaless map, lies in the bytes of its [Data].
type field struct {
	// name is where the text of an entry's key begins; nameEnd is 0 where the key is no text, and in structures.
	name, nameEnd uint32
	start, end    uint32
}

// added are the fields that were put after those of the bytes.
type added struct {
	// names are theirs: the first has the number own, which is how many fields the bytes have.
	names []string
	base  int
	// before is the schema without them, extended that with them; of a map both are nil.
	before   []wit.SchemaNode
	extended *extendedSchema
}

// any tells whether there are such fields.
func (a *added) any() bool { return a != nil && len(a.names) > 0 }

// reset makes it that there are none.
func (a *added) reset() {
	if a != nil {
		a.names, a.extended = a.names[:0], nil
	}
}

// isAdded tells whether a field is one of those.
func (d *Data) isAdded(field int) bool { return d.added.any() && field >= d.added.base }

// extendedSchema is the schema with the fields that were added, nil where none was added to a structure.
func (d *Data) extended() *extendedSchema {
	if d.added == nil {
		return nil
	}
	return d.added.extended
}

// touched is a field that was read or set: text where isText, else value.
type touched struct {
	field       int
	set, isText bool
	text        string
	value       any
}

func (t *touched) any() any {
	if t.isText {
		return t.text
	}
	return t.value
}

// load points d at a datum of a batch. What was allocated for the datum before is used again.
func (d *Data) load(at wit.ValueSlice, nodes []wit.SchemaNode, data []byte) {
	if d.whole || d.err != nil {
		d.tree, d.whole, d.err = nil, false, nil
	}
	if len(d.touched) > 0 {
		clear(d.touched)
		d.touched = d.touched[:0]
	}
	d.encoding, d.schema, d.nodes, d.bytes = at.Encoding, at.Schema, nodes, data[at.Start:at.Start+at.Size]
	d.changed, d.fields, d.remaining = false, d.fields[:0], -1
	d.added.reset()
}

// detach makes d, a copy of of, independent of it.
func (d *Data) detach(of *Data) {
	d.fields, d.touched = slices.Clone(of.fields), slices.Clone(of.touched)
	if of.added != nil {
		one := *of.added
		one.names = slices.Clone(one.names)
		d.added = &one
	}
	switch tree := d.tree.(type) {
	case connectdata.Struct:
		d.tree = slices.Clone(tree)
	case connectdata.Map:
		d.tree = slices.Clone(tree)
	}
}

// Absent tells whether there is nothing.
func (d *Data) Absent() bool { return d.encoding == wit.Absent }

// Nodes is the schema, nil for data without one. It must not be changed.
func (d *Data) Nodes() []wit.SchemaNode { return d.nodes }

// Tree is the whole value as package connectdata reads it, which takes some microseconds: [Data.Field] and
// [Data.String] read one field. Bytes that cannot be read give nil, and fail the record when the Func returns.
func (d *Data) Tree() any {
	if d.whole || d.encoding == wit.Absent {
		return d.tree
	}
	d.whole = true
	if d.encoding == wit.WithSchema {
		nodes := d.nodes
		if d.extended() != nil {
			nodes = d.added.before
		}
		d.tree, _, d.err = connectdata.Read(nodes, 0, d.bytes)
	} else {
		d.tree, _, d.err = connectdata.ReadSchemaless(d.bytes)
	}
	if d.err != nil {
		return nil
	}
	switch tree := d.tree.(type) {
	case connectdata.Struct:
		d.tree = append(tree, make(connectdata.Struct, len(d.nodes[0].Fields)-len(tree))...)
	case connectdata.Map:
		if d.added.any() {
			for _, name := range d.added.names {
				tree = append(tree, connectdata.Entry{Key: name})
			}
		}
		d.tree = tree
	}
	for i := range d.touched {
		if t := &d.touched[i]; t.set {
			*d.slot(t.field) = t.any()
		}
	}
	return d.tree
}

// slot is where a field stands in the whole value, which is a structure or a map.
func (d *Data) slot(i int) *any {
	if tree, ok := d.tree.(connectdata.Struct); ok {
		return &tree[i]
	}
	return &d.tree.(connectdata.Map)[i].Value
}

// Set replaces schema and value; nodes nil: without a schema. A nil tree without a schema makes it absent.
func (d *Data) Set(nodes []wit.SchemaNode, tree any) {
	d.encoding, d.schema, d.nodes, d.tree, d.whole, d.changed = wit.WithSchema, 0, nodes, tree, true, true
	d.added.reset()
	if nodes == nil {
		d.encoding = wit.Schemaless
		if tree == nil {
			d.encoding = wit.Absent
		}
	}
}

// Field returns a field of a structure or of a schemaless map; ok is false when there is none of that name, or no such
// thing as fields. What it returns must not be changed in place: [Data.SetField] changes a field.
func (d *Data) Field(name string) (value any, ok bool) {
	i := d.find(name)
	if i < 0 {
		return nil, false
	}
	if d.whole {
		return *d.slot(i), true
	}
	if t := d.touchedField(i); t != nil {
		return t.any(), true
	}
	f := d.fields[i]
	if d.encoding == wit.WithSchema {
		value, _, d.err = connectdata.Read(d.nodes, d.nodes[0].Fields[i].Node, d.bytes[f.start:f.end])
	} else {
		value, _, d.err = connectdata.ReadSchemaless(d.bytes[f.start:f.end])
	}
	if d.err != nil {
		return nil, false
	}
	d.touched = append(d.touched, touched{field: i, value: value})
	return value, true
}

// String returns a field that is a text; ok is false when there is none of that name, it is null or no text. It is what
// Field does, with less garbage.
func (d *Data) String(name string) (text string, ok bool) {
	i := d.find(name)
	if i < 0 {
		return "", false
	}
	if d.whole || d.touchedField(i) != nil {
		value, _ := d.Field(name)
		text, ok = value.(string)
		return text, ok
	}
	b, size := d.bytes[d.fields[i].start:d.fields[i].end], 1
	if d.encoding == wit.WithSchema {
		n := &d.nodes[d.nodes[0].Fields[i].Node]
		null := len(b) > 0 && b[0] == 0
		if !n.Optional || n.DefaultValue != nil {
			null, size, _ = connectdata.IsNull(n, b)
		}
		if null || n.Kind != wit.String {
			return "", false
		}
	} else if b[0] != connectdata.TagString {
		return "", false
	}
	if len(b) > size && b[size] < 0x80 { // the length was looked at when the field's end was found
		return d.shared.copyText(b[size+1:]), true
	}
	content, _ := connectdata.LengthPrefixed(b[size:])
	return d.shared.copyText(content), true
}

// touchedField is a field that was read or set before, nil where it was not.
func (d *Data) touchedField(i int) *touched {
	for j := range d.touched {
		if d.touched[j].field == i {
			return &d.touched[j]
		}
	}
	return nil
}

// SetField changes a field that is there. It returns an error when there is none; a value that does not fit the field's
// schema fails the record when the Func returns.
func (d *Data) SetField(name string, value any) error {
	return d.set(name, touched{set: true, value: value})
}

// SetString is SetField for a text, with less garbage.
func (d *Data) SetString(name, text string) error {
	return d.set(name, touched{set: true, isText: true, text: text})
}

// AddField puts a field after those of a structure, or an entry into a schemaless map. nodes is the field's schema,
// its first node the field's own, such as []wit.Node{{Kind: wit.Text, Optional: true}}; a map needs none. It returns an
// error where a field of that name is there, and where there is no structure: nothing, a null, another value. A value
// that does not fit the schema fails the record when the Func returns.
//
// Names that come out of the data belong into a map: each makes a schema, of which an instance declares 10,000, and
// records that would need more fail.
func (d *Data) AddField(name string, nodes []wit.SchemaNode, value any) error {
	if d.find(name) >= 0 {
		return errors.New("there is a field " + strconv.Quote(name) + " already")
	}
	switch {
	case d.err != nil:
		return d.err
	case !d.hasFields():
		return errors.New("there is no structure for a field " + strconv.Quote(name))
	case d.encoding == wit.WithSchema && len(nodes) == 0:
		return errors.New("a field " + strconv.Quote(name) + " needs a schema")
	}
	if d.added == nil {
		d.added = &added{}
	}
	a := d.added
	if len(a.names) == 0 {
		a.base, a.before = len(d.fields), d.nodes
		if d.encoding == wit.WithSchema {
			a.base = len(d.nodes[0].Fields)
		}
	}
	at := a.base + len(a.names)
	a.names, d.changed = append(a.names, name), true
	if d.encoding == wit.WithSchema {
		a.extended = d.shared.extend(extensionKey{d.schema, a.extended, name}, d.nodes, nodes)
		d.schema, d.nodes = 0, a.extended.nodes
	}
	switch tree := d.tree.(type) {
	case nil:
		d.touched = append(d.touched, touched{field: at, set: true, value: value})
	case connectdata.Struct:
		d.tree = append(slices.Clip(tree), value)
	case connectdata.Map:
		d.tree = append(slices.Clip(tree), connectdata.Entry{Key: name, Value: value})
	}
	return nil
}

// hasFields tells whether there is a structure, or a map without a schema.
func (d *Data) hasFields() bool {
	if d.whole {
		switch d.tree.(type) {
		case connectdata.Struct, connectdata.Map:
			return true
		}
		return false
	}
	if d.encoding == wit.Schemaless {
		return len(d.bytes) > 0 && d.bytes[0] == connectdata.TagMap
	}
	if d.encoding != wit.WithSchema || d.nodes[0].Kind != wit.Struct {
		return false
	}
	null, _, ok := connectdata.IsNull(&d.nodes[0], d.bytes)
	return ok && !null
}

func (d *Data) set(name string, t touched) error {
	i := d.find(name)
	if i < 0 {
		return errors.New("no field " + strconv.Quote(name))
	}
	d.changed = true
	if d.whole {
		*d.slot(i) = t.any()
		return nil
	}
	t.field = i
	if before := d.touchedField(i); before != nil {
		*before = t
		return nil
	}
	d.touched = append(d.touched, t)
	return nil
}

// find is the number of a field, -1 where there is none of that name. Unless the value is whole the field is in fields
// afterwards.
func (d *Data) find(name string) int {
	if h := d.hint; h < len(d.fields) && d.encoding == wit.WithSchema && !d.whole && d.err == nil &&
		d.nodes[0].Fields[h].Name == name {
		return h
	}
	i := -1
	switch tree := d.tree.(type) {
	case nil:
		if d.whole {
			return -1
		}
		if i = d.scan(name); d.err != nil {
			return -1
		}
	case connectdata.Struct:
		i = d.fieldIndex(name)
	case connectdata.Map:
		for j := range tree {
			if tree[j].Key == name {
				return j
			}
		}
	}
	return i
}

// fieldIndex is the number of a member of the root structure, -1 where there is none of that name.
func (d *Data) fieldIndex(name string) int {
	members := d.nodes[0].Fields
	if d.hint < len(members) && members[d.hint].Name == name {
		return d.hint
	}
	for i := range members {
		if members[i].Name == name {
			d.hint = i
			return i
		}
	}
	return -1
}

// scan goes over the bytes as far as a field. A null, and data without fields, have none.
func (d *Data) scan(name string) int {
	switch {
	case d.encoding == wit.WithSchema && d.nodes[0].Kind == wit.Struct:
		i := d.fieldIndex(name)
		if i < 0 || d.isAdded(i) {
			return i
		}
		return d.scanStruct(i)
	case d.encoding == wit.Schemaless && len(d.bytes) > 0 && d.bytes[0] == connectdata.TagMap:
		for i := range d.fields {
			if f := &d.fields[i]; f.nameEnd > 0 && string(d.bytes[f.name:f.nameEnd]) == name {
				return i
			}
		}
		i := d.scanMap(name)
		if i < 0 && d.err == nil && d.added.any() {
			if at := slices.Index(d.added.names, name); at >= 0 {
				return d.added.base + at
			}
		}
		return i
	}
	return -1
}

// scanStruct goes over members up to number i.
func (d *Data) scanStruct(i int) int {
	if len(d.fields) > i {
		return i
	}
	b, at := d.bytes, 0
	if n := len(d.fields); n > 0 {
		at = int(d.fields[n-1].end)
	} else {
		null, size, ok := connectdata.IsNull(&d.nodes[0], b)
		if !ok || null {
			d.cut(!ok)
			return -1
		}
		at = size
	}
	members := d.nodes[0].Fields
	for len(d.fields) <= i {
		node := members[len(d.fields)].Node
		end := connectdata.SkipFast(&d.nodes[node], b, at)
		if end == 0 {
			size, err := connectdata.Skip(d.nodes, node, b[at:])
			if err != nil {
				d.err = err
				return -1
			}
			end = at + size
		}
		d.fields = append(d.fields, field{start: uint32(at), end: uint32(end)})
		at = end
	}
	return i
}

// scanMap goes over entries up to the one with that name.
func (d *Data) scanMap(name string) int {
	at := 0
	if d.remaining < 0 {
		count, size := connectdata.Number(d.bytes[1:])
		if size <= 0 || count < 0 || count > int64(len(d.bytes)) {
			d.cut(true)
			return -1
		}
		d.remaining, at = count, 1+size
	} else if n := len(d.fields); n > 0 {
		at = int(d.fields[n-1].end)
	}
	for ; d.remaining > 0; d.remaining-- {
		var f field
		if key := d.bytes[at:]; len(key) > 0 && key[0] == connectdata.TagString {
			text, size := connectdata.LengthPrefixed(key[1:])
			if size <= 0 {
				d.cut(true)
				return -1
			}
			f.nameEnd = uint32(at + 1 + size)
			f.name = f.nameEnd - uint32(len(text))
		}
		size, err := connectdata.SkipSchemaless(d.bytes[at:])
		f.start = uint32(at + size)
		if err == nil {
			size, err = connectdata.SkipSchemaless(d.bytes[f.start:])
		}
		if err != nil {
			d.err = err
			return -1
		}
		f.end = f.start + uint32(size)
		at = int(f.end)
		d.fields = append(d.fields, f)
		if f.nameEnd > 0 && string(d.bytes[f.name:f.nameEnd]) == name {
			d.remaining--
			return len(d.fields) - 1
		}
	}
	return -1
}

// cut keeps the error of bytes that end too early.
func (d *Data) cut(is bool) {
	if is {
		d.err = errors.New("the bytes of a value are cut, or not as wit/encoding.md describes them")
	}
}

// append writes the value: what was not set as the bytes that it had.
func (d *Data) append(dst []byte) ([]byte, error) {
	switch {
	case d.encoding == wit.Absent:
		return dst, nil
	case d.whole && d.encoding == wit.WithSchema:
		return connectdata.Append(dst, d.nodes, 0, d.tree)
	case d.whole:
		return connectdata.AppendSchemaless(dst, d.tree)
	}
	if len(d.touched) > 1 {
		// fields stand in the order of bytes, whatever the order in which they were set
		slices.SortFunc(d.touched, func(a, b touched) int { return a.field - b.field })
	}
	done, err := uint32(0), error(nil)
	if d.added.any() && d.encoding == wit.Schemaless {
		_, size := connectdata.Number(d.bytes[1:])
		dst = connectdata.AppendNumber(append(dst, connectdata.TagMap), int64(d.added.base+len(d.added.names)))
		done = uint32(1 + size)
	}
	for i := range d.touched {
		t := &d.touched[i]
		if !t.set {
			continue
		}
		if d.isAdded(t.field) {
			return d.appendAdded(append(dst, d.bytes[done:]...), d.touched[i:])
		}
		f := &d.fields[t.field]
		dst = append(dst, d.bytes[done:f.start]...)
		if dst, err = d.appendField(dst, t); err != nil {
			return dst, err
		}
		done = f.end
	}
	return append(dst, d.bytes[done:]...), nil
}

// appendAdded writes the fields that were added, all of which were touched.
func (d *Data) appendAdded(dst []byte, added []touched) (_ []byte, err error) {
	for i := range added {
		t := &added[i]
		if d.encoding == wit.Schemaless {
			dst = connectdata.AppendString(append(dst, connectdata.TagString), d.added.names[t.field-d.added.base])
		}
		if dst, err = d.appendField(dst, t); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func (d *Data) appendField(dst []byte, t *touched) ([]byte, error) {
	if d.encoding == wit.Schemaless {
		return connectdata.AppendSchemaless(dst, t.any())
	}
	node := d.nodes[0].Fields[t.field].Node
	if n := &d.nodes[node]; t.isText && n.Kind == wit.String {
		return connectdata.AppendString(connectdata.AppendBranch(dst, n, false), t.text), nil
	}
	return connectdata.Append(dst, d.nodes, node, t.any())
}
