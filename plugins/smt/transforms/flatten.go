package transforms

import (
	"slices"

	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

var flattenKeys = []wit.ConfigKey{
	optionalKey("delimiter", wit.KindString, wit.Ptr("."),
		"Delimiter to insert between field names from the input record when generating field "+
			"names for the output record"),
}

// flatten moves nested fields to the top level. Their names are joined by a delimiter.
type flatten struct {
	FieldOptions
	delimiter string
	structs   record.SchemaCache[*flattenPlan]
}

// maxFlatNames limits the total size of the names in bytes: a long name is repeated for each field below it.
const maxFlatNames = 16 << 20

func newFlatten(target record.Target, values Settings) (Operation, *wit.Error) {
	transform := &flatten{FieldOptions: FieldOptions{Target: target, Purpose: "flattening"},
		delimiter: *flattenKeys[0].DefaultValue}
	if delimiter, isSet := values.Find("delimiter"); isSet {
		transform.delimiter = setting.Trim(delimiter)
	}
	return transform, nil
}

// name returns the name of a field below a prefix.
func (f *flatten) name(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + f.delimiter + name
}

func longNames(stage int) *record.Failure {
	return record.DataFailure(stage, "the names of the flattened fields exceed 16 MiB")
}

func (f *flatten) Apply(obj *record.Object, step Step) *record.Failure {
	switch {
	case obj.IsMap:
		return f.applyToMap(obj, step.Stage)
	case isFlat(obj):
		obj.ResetRoot()
		return nil
	case obj.Trace != nil:
		return record.NotTraceable
	}
	plan, _ := f.structs.Get(&obj.Scratch.Schemas, obj.Reader.ID, func([]wit.SchemaNode) *flattenPlan {
		return f.compile(obj.Reader, step.Stage)
	})
	switch {
	case plan.failure != nil:
		return plan.failure
	case !obj.Load(step.Stage):
		return obj.Pending
	}
	const isNull = false // the interpreter does not apply Flatten to nulls
	from := len(obj.Scratch.Buf)
	obj.Scratch.Buf = plan.top.writeMembers(obj.Scratch.Buf, obj.Input, obj.Scratch.Ends, isNull)
	obj.Fields = append(obj.Fields[:0], record.Field{Nodes: plan.nodes, Bytes: obj.Scratch.Buf[from:]})
	obj.Whole = true
	obj.KeepsSchema = false
	return nil
}

// isFlat reports whether Flatten keeps all fields of a struct as they are.
func isFlat(obj *record.Object) bool {
	for i := range obj.Fields {
		field := &obj.Fields[i]
		if node := field.Schema(); node.Kind >= wit.Map || (node.Optional && node.DefaultValue != nil) ||
			field.Name == "" {
			return false
		}
	}
	return !obj.Root.Optional && obj.Root.DefaultValue == nil
}

// flattenPlan is what flatten does with structs of one schema.
type flattenPlan struct {
	failure *record.Failure
	top     *flatStruct
	nodes   []wit.SchemaNode // schema of the result
}

// flatStruct writes the fields of a struct, and of the structs in it.
type flatStruct struct {
	reader  *record.ValueReader
	ends    []uint64
	members []flatMember
}

// flatMember writes a field, or the fields of a nested struct.
type flatMember struct {
	from      *wit.SchemaNode // schema in the input
	to        *wit.SchemaNode // schema in the result, nil if nested is set
	nested    *flatStruct     // writes the fields of a nested struct, nil for other fields
	sameBytes bool            // values keep their bytes
}

type flattenCompiler struct {
	transform *flatten
	stage     int
	result    record.Object
	names     map[string]bool
	size      int // of all names
}

// compile returns the plan for structs of one schema.
func (f *flatten) compile(reader *record.ValueReader, stage int) *flattenPlan {
	plan := &flattenPlan{}
	root := &reader.Nodes[0]
	compiler := &flattenCompiler{transform: f, stage: stage, names: map[string]bool{},
		result: record.Object{Root: record.CopyMetadata(root)}}
	plan.top, plan.failure = compiler.addStruct(reader, "", root.Optional, root.DefaultValue)
	plan.nodes = compiler.result.Nodes()
	return plan
}

// addStruct adds the fields of a struct. optional reports whether it, or a struct around it, is optional.
func (f *flattenCompiler) addStruct(reader *record.ValueReader, prefix string, optional bool,
	defaultValue *[]byte) (*flatStruct, *record.Failure) {
	flat := &flatStruct{reader: reader, ends: make([]uint64, len(reader.Fields)+1)}
	if defaultValue != nil {
		if invalid := reader.Offsets(*defaultValue, 0, flat.ends); invalid >= 0 {
			return nil, record.BadValue(f.stage, invalid)
		}
	}
	for i := range reader.Fields {
		source := &reader.Fields[i]
		node := source.Schema()
		name := f.transform.name(prefix, source.Name)
		if f.size += len(name); f.size > maxFlatNames {
			return nil, longNames(f.stage)
		}
		isOptional := optional || node.Optional
		fieldDefault := node.DefaultValue
		if fieldDefault == nil && defaultValue != nil {
			b := (*defaultValue)[flat.ends[i]:flat.ends[i+1]]
			if isNull, size, _ := connectdata.IsNull(node, b); !isNull {
				b = b[size:]
				fieldDefault = &b
			}
		}
		member := flatMember{from: node}
		switch node.Kind {
		case wit.Map:
			return nil, record.DataFailure(f.stage,
				"Flatten transformation does not support MAP for record with schemas (for field "+name+").")
		case wit.Struct:
			var failure *record.Failure
			member.nested, failure = f.addStruct(reader.FieldReader(i), name, isOptional, fieldDefault)
			if failure != nil {
				return nil, failure
			}
		default:
			result := source.Subtree()
			result[0].Optional = isOptional
			result[0].DefaultValue = fieldDefault
			member.to = &result[0]
			noDefaults := node.DefaultValue == nil && fieldDefault == nil
			member.sameBytes = node.Optional == isOptional && (!isOptional || noDefaults)
			field := record.Field{Name: name, Nodes: result}
			if name == "" || f.names[name] {
				return nil, f.result.AddField(field, f.stage)
			}
			f.names[name] = true
			f.result.Fields = append(f.result.Fields, field)
		}
		flat.members = append(flat.members, member)
	}
	return flat, nil
}

// write writes the fields of an encoded struct, or nulls for all of them.
func (s *flatStruct) write(dst, input []byte, isNull bool) []byte {
	if !isNull {
		s.reader.Offsets(input, 0, s.ends) // already checked
	}
	return s.writeMembers(dst, input, s.ends, isNull)
}

// writeMembers writes the fields whose values are in input between ends, or nulls for all of them.
func (s *flatStruct) writeMembers(dst, input []byte, ends []uint64, isStructNull bool) []byte {
	for i := range s.members {
		member := &s.members[i]
		if member.sameBytes && !isStructNull {
			dst = append(dst, input[ends[i]:ends[i+1]]...)
			continue
		}
		var value []byte
		isNull := isStructNull
		if !isStructNull {
			b := input[ends[i]:ends[i+1]]
			size := 0
			isNull, size, _ = connectdata.IsNull(member.from, b)
			value = b[size:]
		}
		switch {
		case member.nested != nil:
			dst = member.nested.write(dst, value, isNull)
		case !isStructNull && isNull && member.from.DefaultValue != nil:
			dst = append(connectdata.AppendBranch(dst, member.to, false), *member.from.DefaultValue...)
		case isNull:
			dst = connectdata.AppendBranch(dst, member.to, true)
		default:
			dst = append(connectdata.AppendBranch(dst, member.to, false), value...)
		}
	}
	return dst
}

// applyToMap replaces the entries of a map by the entries of the maps in it.
func (f *flatten) applyToMap(obj *record.Object, stage int) *record.Failure {
	flat := flatMap{transform: f, stage: stage, top: obj}
	if failure := flat.addEntries(obj, ""); failure != nil {
		return failure
	}
	obj.Class = "java.util.LinkedHashMap"
	if !flat.hasNested {
		return nil
	}
	indexes := make(map[string]int, len(flat.fields)) // in obj.Fields, by name
	obj.Fields = obj.Fields[:0]
	obj.Changed = true
	for _, field := range flat.fields {
		if _, ok := indexes[field.Name]; !ok {
			indexes[field.Name] = len(obj.Fields)
			obj.Fields = append(obj.Fields, field)
		}
	}
	if len(indexes) < len(flat.fields) { // of equal names, the last one in Kafka's order counts
		top := &record.Object{}
		top.ReadMap(obj.Scratch, obj.Input)
		flat = flatMap{transform: f, stage: stage, top: top, javaOrder: true}
		flat.addEntries(top, "")
		for _, field := range flat.fields {
			obj.Fields[indexes[field.Name]].Bytes = field.Bytes
		}
	}
	return nil
}

// flatMap collects the entries of a map and of the maps in it.
type flatMap struct {
	transform *flatten
	stage     int
	top       *record.Object
	fields    []record.Field
	size      int  // of all names
	hasNested bool // there are nested maps
	javaOrder bool // entries are read in the order of Kafka's loop
}

// addEntries adds the entries of a map. prefix is the name of the entry that contains the map.
func (m *flatMap) addEntries(obj *record.Object, prefix string) *record.Failure {
	list := obj.Fields
	if m.javaOrder {
		list = java.HashMapOrder(list, func(field record.Field) string { return field.Name })
	}
	m.fields = slices.Grow(m.fields, len(list))
	for i := range list {
		if failure := m.add(obj, list[i], prefix); failure != nil {
			return failure
		}
	}
	return nil
}

// add adds an entry, or the entries of the map in it.
func (m *flatMap) add(obj *record.Object, field record.Field, prefix string) *record.Failure {
	if !field.HasTextKey() {
		return record.NewFailure(m.stage, record.ClassCastException,
			"a map whose keys are not all of class java.lang.String")
	}
	field.Name = m.transform.name(prefix, field.Name)
	if m.size += len(field.Name); m.size > maxFlatNames {
		return longNames(m.stage)
	}
	tag := field.Bytes[0]
	switch class := record.TagJavaClasses[tag]; {
	case tag == connectdata.TagMap && m.top.Trace != nil:
		return record.NotTraceable
	case tag == connectdata.TagMap:
		nested := &record.Object{}
		nested.ReadMap(nil, field.Bytes) // already checked
		m.hasNested = true
		return m.addEntries(nested, field.Name)
	case tag == connectdata.TagInstant:
		return record.DataFailure(m.stage, "Flatten transformation was passed a value of type class "+class+
			" which is not supported by Connect's data API")
	case tag == connectdata.TagStruct:
		return record.DataFailure(m.stage, "Flatten transformation does not support class "+class+
			" for record without schemas (for field "+field.Name+").")
	case m.top.Trace != nil && !obj.Allow(&field,
		^uint64(1<<connectdata.TagMap|1<<connectdata.TagInstant|1<<connectdata.TagStruct)):
		return record.NotTraceable
	}
	if obj != m.top {
		field.Key = connectdata.AppendString([]byte{connectdata.TagString}, field.Name)
		field.KeyIndex = -1
	}
	m.fields = append(m.fields, field)
	return nil
}
