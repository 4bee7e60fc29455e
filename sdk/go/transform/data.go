package transform

import (
	"errors"
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Data is the key or value of a record: with a schema, schemaless, or absent, such as the value of a tombstone. Fields
// are decoded when they are read; unchanged bytes are passed on as they are. The zero Data is absent.
type Data struct {
	encoding  wit.Encoding
	schema    uint32
	nodes     []wit.SchemaNode
	bytes     []byte
	isChanged bool
	err       error
	// tree is the whole value if hasTree is true, after [Data.Tree] or [Data.Set]. fields and values are then unused.
	tree    any
	hasTree bool
	// fields are the first fields of the root, as far as they were scanned. remaining is the number of map entries that
	// were not scanned, -1 before the first scan.
	fields    []field
	remaining int64
	values    []fieldValue // the fields that were read, set or added
	// added contains the fields that were added. Nil means that no field was ever added.
	added  *addedFields
	shared *shared
	// hint is the field that was looked up last. Most records are read in the same order.
	hint int
}

var errEncoding = errors.New("the bytes of a value are truncated or violate wit/encoding.md")

// field is the place of a struct field, or of an entry of a schemaless map, in the bytes of its [Data].
type field struct {
	// name and nameEnd delimit the string key of an entry. nameEnd is 0 for other keys and in structs.
	name    uint32
	nameEnd uint32
	// start and end delimit the value.
	start uint32
	end   uint32
}

// addedFields contains the fields that follow the fields of the bytes.
type addedFields struct {
	// names are the names of the added fields. The first one has the number base, the number of fields in the bytes.
	names    []string
	base     int
	original []wit.SchemaNode // the schema without the added fields, nil for maps
	extended *extendedSchema  // the schema with the added fields, nil for maps
}

// any reports whether there are added fields. a may be nil.
func (a *addedFields) any() bool { return a != nil && len(a.names) > 0 }

func (a *addedFields) reset() {
	if a != nil {
		a.names = a.names[:0]
		a.extended = nil
	}
}

func (d *Data) isAdded(field int) bool { return d.added.any() && field >= d.added.base }

// extended returns the schema with the added fields, or nil if none was added to a struct.
func (d *Data) extended() *extendedSchema {
	if d.added == nil {
		return nil
	}
	return d.added.extended
}

// fieldValue is a field that was read or set.
type fieldValue struct {
	field  int  // the number of the field
	isSet  bool // whether the field was set, not only read
	isText bool // whether the value is text, else it is value
	text   string
	value  any
}

// any returns the value as package connectdata reads it.
func (f *fieldValue) any() any {
	if f.isText {
		return f.text
	}
	return f.value
}

// load selects a value of a batch. It reuses the memory of the previous value.
func (d *Data) load(slice wit.ValueSlice, nodes []wit.SchemaNode, data []byte) {
	if d.hasTree || d.err != nil {
		d.tree = nil
		d.hasTree = false
		d.err = nil
	}
	if len(d.values) > 0 {
		clear(d.values)
		d.values = d.values[:0]
	}
	d.encoding = slice.Encoding
	d.schema = slice.Schema
	d.nodes = nodes
	d.bytes = data[slice.Start : slice.Start+slice.Size]
	d.isChanged = false
	d.fields = d.fields[:0]
	d.remaining = -1
	d.added.reset()
}

// detach makes d, a copy of original, independent of it.
func (d *Data) detach(original *Data) {
	d.fields = slices.Clone(original.fields)
	d.values = slices.Clone(original.values)
	if original.added != nil {
		clone := *original.added
		clone.names = slices.Clone(clone.names)
		d.added = &clone
	}
	switch tree := d.tree.(type) {
	case connectdata.Struct:
		d.tree = slices.Clone(tree)
	case connectdata.Map:
		d.tree = slices.Clone(tree)
	}
}

// Absent reports whether there is no value.
func (d *Data) Absent() bool { return d.encoding == wit.Absent }

// Nodes returns the schema, or nil for schemaless data. The caller must not change it.
func (d *Data) Nodes() []wit.SchemaNode { return d.nodes }

// Tree returns the whole value as package connectdata reads it, which takes some microseconds. [Data.Field] and
// [Data.String] read one field. If the bytes are invalid, it returns nil and the record fails when the Func returns.
func (d *Data) Tree() any {
	if d.hasTree || d.encoding == wit.Absent {
		return d.tree
	}
	d.hasTree = true
	if d.encoding == wit.WithSchema {
		nodes := d.nodes
		if d.extended() != nil {
			nodes = d.added.original
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
		d.tree = append(tree, make(connectdata.Struct, len(d.nodes[0].Fields)-len(tree))...) // added fields, set below
	case connectdata.Map:
		if d.added.any() {
			for _, name := range d.added.names {
				tree = append(tree, connectdata.Entry{Key: name})
			}
		}
		d.tree = tree
	}
	for i := range d.values {
		if t := &d.values[i]; t.isSet {
			*d.slot(t.field) = t.any()
		}
	}
	return d.tree
}

// slot returns the place of a field in the whole value, which must be a struct or map.
func (d *Data) slot(i int) *any {
	if tree, ok := d.tree.(connectdata.Struct); ok {
		return &tree[i]
	}
	return &d.tree.(connectdata.Map)[i].Value
}

// Set replaces schema and value. Nil nodes make it schemaless; if tree is nil too, it becomes absent. A value that does
// not match the schema fails the record when the Func returns.
func (d *Data) Set(nodes []wit.SchemaNode, tree any) {
	d.encoding = wit.WithSchema
	d.schema = 0
	d.nodes = nodes
	d.tree = tree
	d.hasTree = true
	d.isChanged = true
	d.added.reset()
	if nodes == nil {
		d.encoding = wit.Schemaless
		if tree == nil {
			d.encoding = wit.Absent
		}
	}
}

// Field returns a field of a struct or of a schemaless map. ok is false if the field or the struct does not exist. The
// caller must not change the value; use [Data.SetField].
func (d *Data) Field(name string) (value any, ok bool) {
	i := d.find(name)
	if i < 0 {
		return nil, false
	}
	if d.hasTree {
		return *d.slot(i), true
	}
	if t := d.valueOf(i); t != nil {
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
	d.values = append(d.values, fieldValue{field: i, value: value})
	return value, true
}

// String returns a string field. ok is false if it is missing, null or no string. It allocates less than [Data.Field].
func (d *Data) String(name string) (text string, ok bool) {
	i := d.find(name)
	if i < 0 {
		return "", false
	}
	if d.hasTree || d.valueOf(i) != nil {
		value, _ := d.Field(name)
		text, ok = value.(string)
		return text, ok
	}
	b := d.bytes[d.fields[i].start:d.fields[i].end]
	size := 1 // of the tag, or of the branch of an optional field
	if d.encoding == wit.WithSchema {
		node := &d.nodes[d.nodes[0].Fields[i].Node]
		isNull := len(b) > 0 && b[0] == 0 // of the usual field, which is optional and has no default
		if !node.Optional || node.DefaultValue != nil {
			isNull, size, _ = connectdata.IsNull(node, b)
		}
		if isNull || node.Kind != wit.String {
			return "", false
		}
	} else if b[0] != connectdata.TagString {
		return "", false
	}
	if len(b) > size && b[size] < 0x80 { // the length, which the scan has checked, has one byte
		return d.shared.copyText(b[size+1:]), true
	}
	content, _ := connectdata.LengthPrefixed(b[size:])
	return d.shared.copyText(content), true
}

// valueOf returns a field that was read or set, or nil.
func (d *Data) valueOf(i int) *fieldValue {
	for j := range d.values {
		if d.values[j].field == i {
			return &d.values[j]
		}
	}
	return nil
}

// SetField changes an existing field. It returns an error if the field does not exist. A value that does not match the
// field's schema fails the record when the Func returns.
func (d *Data) SetField(name string, value any) error {
	return d.set(name, fieldValue{isSet: true, value: value})
}

// SetString is [Data.SetField] for a string. It allocates less.
func (d *Data) SetString(name, text string) error {
	return d.set(name, fieldValue{isSet: true, isText: true, text: text})
}

// AddField appends a field to a struct or to a schemaless map. nodes is the schema of the field, its own node first,
// such as []wit.SchemaNode{{Kind: wit.String, Optional: true}}; a map needs none. It returns an error if the field
// exists or the data is neither a struct nor such a map. A value that does not match the schema fails the record when
// the Func returns.
//
// Use a map for names that depend on the data: each new name in a struct makes a schema, and records fail once an
// instance has declared 10,000 schemas.
func (d *Data) AddField(name string, nodes []wit.SchemaNode, value any) error {
	if d.find(name) >= 0 {
		return errors.New("the field " + strconv.Quote(name) + " exists already")
	}
	switch {
	case d.err != nil:
		return d.err
	case !d.hasFields():
		return errors.New("expected a struct or a schemaless map to add the field " + strconv.Quote(name) + " to")
	case d.encoding == wit.WithSchema && len(nodes) == 0:
		return errors.New("the field " + strconv.Quote(name) + " needs a schema")
	}
	if d.added == nil {
		d.added = &addedFields{}
	}
	additions := d.added
	if len(additions.names) == 0 {
		additions.base = len(d.fields)
		additions.original = d.nodes
		if d.encoding == wit.WithSchema {
			additions.base = len(d.nodes[0].Fields)
		}
	}
	index := additions.base + len(additions.names)
	additions.names = append(additions.names, name)
	d.isChanged = true
	if d.encoding == wit.WithSchema {
		key := extensionKey{schema: d.schema, base: additions.extended, name: name}
		additions.extended = d.shared.extend(key, d.nodes, nodes)
		d.schema = 0
		d.nodes = additions.extended.nodes
	}
	switch tree := d.tree.(type) {
	case nil: // the value was not read as a whole
		d.values = append(d.values, fieldValue{field: index, isSet: true, value: value})
	case connectdata.Struct:
		d.tree = append(slices.Clip(tree), value)
	case connectdata.Map:
		d.tree = append(slices.Clip(tree), connectdata.Entry{Key: name, Value: value})
	}
	return nil
}

// hasFields reports whether the data is a struct or a schemaless map.
func (d *Data) hasFields() bool {
	if d.hasTree {
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
	isNull, _, ok := connectdata.IsNull(&d.nodes[0], d.bytes)
	return ok && !isNull
}

func (d *Data) set(name string, t fieldValue) error {
	i := d.find(name)
	if i < 0 {
		return errors.New("no field " + strconv.Quote(name))
	}
	d.isChanged = true
	if d.hasTree {
		*d.slot(i) = t.any()
		return nil
	}
	t.field = i
	if existing := d.valueOf(i); existing != nil {
		*existing = t
		return nil
	}
	d.values = append(d.values, t)
	return nil
}

// find returns the number of a field, or -1. Unless the value is a tree, fields contains the field afterwards.
func (d *Data) find(name string) int {
	if h := d.hint; h < len(d.fields) && d.encoding == wit.WithSchema && !d.hasTree && d.err == nil &&
		d.nodes[0].Fields[h].Name == name {
		return h
	}
	i := -1
	switch tree := d.tree.(type) {
	case nil:
		if d.hasTree {
			return -1 // the whole value is null
		}
		i = d.scan(name)
		if d.err != nil {
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

// fieldIndex returns the number of a field of the root struct, or -1.
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

// scan scans the bytes up to a field. It returns -1 for null and for data without fields.
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
			if index := slices.Index(d.added.names, name); index >= 0 {
				return d.added.base + index
			}
		}
		return i
	}
	return -1
}

// scanStruct scans the bytes up to field i.
func (d *Data) scanStruct(i int) int {
	if len(d.fields) > i {
		return i
	}
	b := d.bytes
	pos := 0
	if n := len(d.fields); n > 0 {
		pos = int(d.fields[n-1].end)
	} else {
		isNull, size, ok := connectdata.IsNull(&d.nodes[0], b)
		if !ok {
			d.err = errEncoding
		}
		if !ok || isNull {
			return -1
		}
		pos = size
	}
	members := d.nodes[0].Fields
	for len(d.fields) <= i {
		node := members[len(d.fields)].Node
		end := connectdata.SkipFast(&d.nodes[node], b, pos)
		if end == 0 {
			size, err := connectdata.Skip(d.nodes, node, b[pos:])
			if err != nil {
				d.err = err
				return -1
			}
			end = pos + size
		}
		d.fields = append(d.fields, field{start: uint32(pos), end: uint32(end)})
		pos = end
	}
	return i
}

// scanMap scans the bytes up to the entry with that name.
func (d *Data) scanMap(name string) int {
	pos := 0
	if d.remaining < 0 {
		count, size := connectdata.Number(d.bytes[1:])
		if size <= 0 || count < 0 || count > int64(len(d.bytes)) {
			d.err = errEncoding
			return -1
		}
		d.remaining = count
		pos = 1 + size
	} else if n := len(d.fields); n > 0 {
		pos = int(d.fields[n-1].end)
	}
	for ; d.remaining > 0; d.remaining-- {
		var f field
		if key := d.bytes[pos:]; len(key) > 0 && key[0] == connectdata.TagString {
			entryName, size := connectdata.LengthPrefixed(key[1:])
			if size <= 0 {
				d.err = errEncoding
				return -1
			}
			f.nameEnd = uint32(pos + 1 + size)
			f.name = f.nameEnd - uint32(len(entryName))
		}
		size, err := connectdata.SkipSchemaless(d.bytes[pos:])
		f.start = uint32(pos + size)
		if err == nil {
			size, err = connectdata.SkipSchemaless(d.bytes[f.start:])
		}
		if err != nil {
			d.err = err
			return -1
		}
		f.end = f.start + uint32(size)
		pos = int(f.end)
		d.fields = append(d.fields, f)
		if f.nameEnd > 0 && string(d.bytes[f.name:f.nameEnd]) == name {
			d.remaining--
			return len(d.fields) - 1
		}
	}
	return -1
}

// append encodes the value. Fields that were not set are copied.
func (d *Data) append(dst []byte) ([]byte, error) {
	switch {
	case d.encoding == wit.Absent:
		return dst, nil
	case d.hasTree && d.encoding == wit.WithSchema:
		return connectdata.Append(dst, d.nodes, 0, d.tree)
	case d.hasTree:
		return connectdata.AppendSchemaless(dst, d.tree)
	}
	if len(d.values) > 1 {
		// in the order of the bytes, not in the order of the calls
		slices.SortFunc(d.values, func(a, b fieldValue) int { return a.field - b.field })
	}
	var done uint32 // the number of bytes that were copied or replaced
	var err error
	if d.added.any() && d.encoding == wit.Schemaless {
		_, size := connectdata.Number(d.bytes[1:])
		dst = connectdata.AppendNumber(append(dst, connectdata.TagMap), int64(d.added.base+len(d.added.names)))
		done = uint32(1 + size)
	}
	for i := range d.values {
		t := &d.values[i]
		if !t.isSet {
			continue
		}
		if d.isAdded(t.field) {
			return d.appendAdded(append(dst, d.bytes[done:]...), d.values[i:])
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

func (d *Data) appendAdded(dst []byte, added []fieldValue) (_ []byte, err error) {
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

func (d *Data) appendField(dst []byte, t *fieldValue) ([]byte, error) {
	if d.encoding == wit.Schemaless {
		return connectdata.AppendSchemaless(dst, t.any())
	}
	node := d.nodes[0].Fields[t.field].Node
	if node := &d.nodes[node]; t.isText && node.Kind == wit.String {
		return connectdata.AppendString(connectdata.AppendBranch(dst, node, false), t.text), nil
	}
	return connectdata.Append(dst, d.nodes, node, t.any())
}
