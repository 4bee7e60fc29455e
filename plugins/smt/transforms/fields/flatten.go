package fields

import (
	"slices"

	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/plugins/smt/javaclass"
	"github.com/culvert-project/culvert/plugins/smt/object"
	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/plugins/smt/settings"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

var flattenKeys = []wit.ConfigKey{
	settings.Key("delimiter", wit.KindString, wit.Ptr("."),
		"Delimiter to insert between field names from the input record when generating field "+
			"names for the output record"),
}

// flatten moves nested fields to the top level. Their names are joined by a delimiter.
type flatten struct {
	operation.FieldOptions
	delimiter string
	structs   schemas.Cache[*flattenPlan]
}

// maxFlatNames limits the total size of the names in bytes: a long name is repeated for each field below it.
const maxFlatNames = 16 << 20

func newFlatten(at record.Target, s settings.Values) (operation.Operation, *wit.Error) {
	o := &flatten{FieldOptions: operation.FieldOptions{Target: at, Purpose: "flattening"},
		delimiter: *flattenKeys[0].DefaultValue}
	if text, isSet := s.Find("delimiter"); isSet {
		o.delimiter = setting.Trim(text)
	}
	return o, nil
}

func (o *flatten) name(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + o.delimiter + name
}

func longNames(stage int) *rowerror.Failure {
	return rowerror.Data(stage, "the names of the flattened fields exceed 16 MiB")
}

func (o *flatten) Apply(x *object.Object, s operation.Step) *rowerror.Failure {
	switch {
	case x.IsMap:
		return o.applyToMap(x, s.Stage)
	case isFlat(x):
		x.NewStruct()
		return nil
	case x.Trace != nil:
		return object.NotTraceable
	}
	p, _ := o.structs.Get(&x.Scratch.Schemas, x.Layout.ID, func([]wit.SchemaNode) *flattenPlan {
		return o.compile(x.Layout, s.Stage)
	})
	switch {
	case p.failure != nil:
		return p.failure
	case !x.Load(s.Stage):
		return x.Pending
	}
	from := len(x.Scratch.Buf)
	x.Scratch.Buf = p.top.writeMembers(x.Scratch.Buf, x.Input, x.Scratch.Ends, false)
	x.Fields = append(x.Fields[:0], object.Field{Nodes: p.nodes, Bytes: x.Scratch.Buf[from:]})
	x.Whole, x.KeepsSchema = true, false
	return nil
}

// isFlat reports whether Flatten keeps all fields of a struct as they are.
func isFlat(x *object.Object) bool {
	for i := range x.Fields {
		f := &x.Fields[i]
		if n := f.Schema(); n.Kind >= wit.Map || n.Optional && n.DefaultValue != nil || f.Name == "" {
			return false
		}
	}
	return !x.Root.Optional && x.Root.DefaultValue == nil
}

type flattenPlan struct {
	failure *rowerror.Failure
	top     *flatStruct
	nodes   []wit.SchemaNode
}

type flatStruct struct {
	layout  *object.Layout
	ends    []uint64
	members []flatMember
}

// flatMember is a field, its schema in the result, or the nested struct. same values keep their bytes.
type flatMember struct {
	from, to *wit.SchemaNode
	nested   *flatStruct
	same     bool
}

type flattenCompiler struct {
	o      *flatten
	stage  int
	result object.Object
	names  map[string]bool
	size   int
}

func (o *flatten) compile(l *object.Layout, stage int) *flattenPlan {
	x, root := &flattenPlan{}, &l.Nodes[0]
	f := &flattenCompiler{o: o, stage: stage, names: map[string]bool{},
		result: object.Object{Root: schemas.CopyMetadata(root)}}
	x.top, x.failure = f.addStruct(l, "", root.Optional, root.DefaultValue)
	x.nodes = f.result.Nodes()
	return x
}

// addStruct adds the fields of a struct. optional reports whether it, or a struct around it, is optional.
func (f *flattenCompiler) addStruct(l *object.Layout, prefix string, optional bool, defaultValue *[]byte) (*flatStruct,
	*rowerror.Failure) {
	s := &flatStruct{layout: l, ends: make([]uint64, len(l.Fields)+1)}
	if defaultValue != nil {
		if invalid := l.Offsets(*defaultValue, 0, s.ends); invalid >= 0 {
			return nil, rowerror.BadValue(f.stage, invalid)
		}
	}
	for i := range l.Fields {
		source := &l.Fields[i]
		n, name := source.Schema(), f.o.name(prefix, source.Name)
		if f.size += len(name); f.size > maxFlatNames {
			return nil, longNames(f.stage)
		}
		optional, inherited := optional || n.Optional, n.DefaultValue
		if inherited == nil && defaultValue != nil {
			b := (*defaultValue)[s.ends[i]:s.ends[i+1]]
			if null, size, _ := connectdata.IsNull(n, b); !null {
				b = b[size:]
				inherited = &b
			}
		}
		member := flatMember{from: n}
		switch n.Kind {
		case wit.Map:
			return nil, rowerror.Data(f.stage,
				"Flatten transformation does not support MAP for record with schemas (for field "+name+").")
		case wit.Struct:
			var failure *rowerror.Failure
			if member.nested, failure = f.addStruct(l.FieldLayout(i), name, optional, inherited); failure != nil {
				return nil, failure
			}
		default:
			result := source.Subtree()
			result[0].Optional, result[0].DefaultValue = optional, inherited
			member.to = &result[0]
			member.same = n.Optional == optional && (!optional || n.DefaultValue == nil && inherited == nil)
			to := object.Field{Name: name, Nodes: result}
			if name == "" || f.names[name] {
				return nil, f.result.AddField(to, f.stage)
			}
			f.names[name] = true
			f.result.Fields = append(f.result.Fields, to)
		}
		s.members = append(s.members, member)
	}
	return s, nil
}

func (s *flatStruct) write(dst, in []byte, null bool) []byte {
	if !null {
		s.layout.Offsets(in, 0, s.ends) // already checked
	}
	return s.writeMembers(dst, in, s.ends, null)
}

func (s *flatStruct) writeMembers(dst, in []byte, ends []uint64, null bool) []byte {
	for i := range s.members {
		m := &s.members[i]
		if m.same && !null {
			dst = append(dst, in[ends[i]:ends[i+1]]...)
			continue
		}
		var value []byte
		isNull := null
		if !null {
			b := in[ends[i]:ends[i+1]]
			size := 0
			isNull, size, _ = connectdata.IsNull(m.from, b)
			value = b[size:]
		}
		switch {
		case m.nested != nil:
			dst = m.nested.write(dst, value, isNull)
		case !null && isNull && m.from.DefaultValue != nil:
			dst = append(connectdata.AppendBranch(dst, m.to, false), *m.from.DefaultValue...)
		case isNull:
			dst = connectdata.AppendBranch(dst, m.to, true)
		default:
			dst = append(connectdata.AppendBranch(dst, m.to, false), value...)
		}
	}
	return dst
}

func (o *flatten) applyToMap(x *object.Object, stage int) *rowerror.Failure {
	flat := flatMap{o: o, stage: stage, top: x}
	if f := flat.addEntries(x, ""); f != nil {
		return f
	}
	if x.Class = "java.util.LinkedHashMap"; !flat.nested {
		return nil
	}
	places := make(map[string]int, len(flat.fields))
	x.Fields, x.Changed = x.Fields[:0], true
	for _, f := range flat.fields {
		if _, exists := places[f.Name]; !exists {
			places[f.Name] = len(x.Fields)
			x.Fields = append(x.Fields, f)
		}
	}
	if len(places) < len(flat.fields) { // of equal names, the last one in Kafka's order counts
		top := &object.Object{}
		top.ReadMap(x.Scratch, x.Input)
		flat = flatMap{o: o, stage: stage, top: top, javaOrder: true}
		flat.addEntries(top, "")
		for _, f := range flat.fields {
			x.Fields[places[f.Name]].Bytes = f.Bytes
		}
	}
	return nil
}

// flatMap collects the entries of nested maps.
type flatMap struct {
	o         *flatten
	stage     int
	top       *object.Object
	fields    []object.Field
	size      int
	nested    bool
	javaOrder bool
}

func (m *flatMap) addEntries(x *object.Object, prefix string) *rowerror.Failure {
	list := x.Fields
	if m.javaOrder {
		list = java.HashMapOrder(list, func(f object.Field) string { return f.Name })
	}
	m.fields = slices.Grow(m.fields, len(list))
	for i := range list {
		if f := m.add(x, list[i], prefix); f != nil {
			return f
		}
	}
	return nil
}

func (m *flatMap) add(x *object.Object, f object.Field, prefix string) *rowerror.Failure {
	if !f.HasTextKey() {
		return rowerror.New(m.stage, rowerror.ClassCastException,
			"a map whose keys are not all of class java.lang.String")
	}
	f.Name = m.o.name(prefix, f.Name)
	if m.size += len(f.Name); m.size > maxFlatNames {
		return longNames(m.stage)
	}
	tag := f.Bytes[0]
	switch class := javaclass.OfTag[tag]; {
	case tag == connectdata.TagMap && m.top.Trace != nil:
		return object.NotTraceable
	case tag == connectdata.TagMap:
		nested := &object.Object{}
		nested.ReadMap(nil, f.Bytes) // already checked
		m.nested = true
		return m.addEntries(nested, f.Name)
	case tag == connectdata.TagInstant:
		return rowerror.Data(m.stage, "Flatten transformation was passed a value of type class "+class+
			" which is not supported by Connect's data API")
	case tag == connectdata.TagStruct:
		return rowerror.Data(m.stage, "Flatten transformation does not support class "+class+
			" for record without schemas (for field "+f.Name+").")
	case m.top.Trace != nil && !x.Allow(&f,
		^uint64(1<<connectdata.TagMap|1<<connectdata.TagInstant|1<<connectdata.TagStruct)):
		return object.NotTraceable
	}
	if x != m.top {
		f.Key, f.KeyIndex = connectdata.AppendString([]byte{connectdata.TagString}, f.Name), -1
	}
	m.fields = append(m.fields, f)
	return nil
}
