package chain

import (
	"slices"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
	"github.com/culvert-project/culvert/wit/java"
)

var flattenSpecs = []wit.ConfigKey{
	spec("delimiter", wit.KindString, wit.Ptr("."),
		"Delimiter to insert between field names from the input record when generating field "+
			"names for the output record"),
}

// flatten is Flatten: the fields of structures, or maps, inside others come up to the top, under all names on the way.
type flatten struct {
	target
	delimiter string
	structs   programs[*flattening]
}

// maxFlatNames is how many bytes of names one key or value may come to: a long name goes in front of each that is
// below.
const maxFlatNames = 16 << 20

func newFlatten(at side, s settings) (operation, *wit.Error) {
	o := &flatten{target: target{at: at, purpose: "flattening"}, delimiter: *flattenSpecs[0].DefaultValue}
	if text, given := s.find("delimiter"); given {
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

func longNames(stage int) *failure {
	return &failure{stage, dataException, "the names of the flattened fields come to more than 16 MiB"}
}

func (o *flatten) apply(x *object, s step) *failure {
	switch {
	case x.isMap:
		return o.applyToMap(x, s.stage)
	case x.isFlat():
		x.renew()
		return nil
	case x.trace != nil:
		return unfit
	}
	p, _ := o.structs.of(&x.w.schemas, x.layout.id, func([]wit.SchemaNode) *flattening {
		return o.flattening(x.layout, s.stage)
	})
	switch {
	case p.failure != nil:
		return p.failure
	case !x.load(s.stage):
		return x.pending
	}
	from := len(x.w.scratch)
	x.w.scratch = p.top.writeMembers(x.w.scratch, x.in, x.w.ends, false)
	x.fields = append(x.fields[:0], field{nodes: p.nodes, bytes: x.w.scratch[from:]})
	x.whole, x.stays = true, false
	return nil
}

// isFlat reports whether Flatten keeps all fields of a structure as they are.
func (x *object) isFlat() bool {
	for i := range x.fields {
		f := &x.fields[i]
		if n := f.schema(); n.Kind >= wit.Map || n.Optional && n.DefaultValue != nil || f.name == "" {
			return false
		}
	}
	return !x.root.Optional && x.root.DefaultValue == nil
}

// flattening is what the transform does for one schema.
type flattening struct {
	failure *failure
	top     *flatStruct
	nodes   []wit.SchemaNode
}

// flatStruct reads a structure.
type flatStruct struct {
	layout  *layout
	ends    []uint64
	members []flatMember
}

// flatMember is a member of a structure: its schema, and that of the field that it becomes, or what a structure holds.
// same: values keep their bytes.
type flatMember struct {
	from, to *wit.SchemaNode
	inside   *flatStruct
	same     bool
}

// flattener makes the schema.
type flattener struct {
	o      *flatten
	stage  int
	result object
	// taken are the names; size is how long they are together.
	taken map[string]bool
	size  int
}

// flattening finds the fields of a schema.
func (o *flatten) flattening(l *layout, stage int) *flattening {
	x, root := &flattening{}, &l.nodes[0]
	f := &flattener{o: o, stage: stage, taken: map[string]bool{}, result: object{root: basics(root)}}
	x.top, x.failure = f.structure(l, "", root.Optional, root.DefaultValue)
	x.nodes = f.result.nodes()
	return x
}

// structure adds the fields of a structure. optional: it or one around it is; byDefault is its default or nil.
func (f *flattener) structure(l *layout, prefix string, optional bool, byDefault *[]byte) (*flatStruct, *failure) {
	s := &flatStruct{layout: l, ends: make([]uint64, len(l.skips)+1)}
	if byDefault != nil {
		if bad := l.offsets(*byDefault, 0, s.ends); bad >= 0 {
			return nil, broken(f.stage, bad)
		}
	}
	for i := range l.fields {
		of := &l.fields[i]
		n, name := of.schema(), f.o.name(prefix, of.name)
		if f.size += len(name); f.size > maxFlatNames {
			return nil, longNames(f.stage)
		}
		optional, inherited := optional || n.Optional, n.DefaultValue
		if inherited == nil && byDefault != nil {
			b := (*byDefault)[s.ends[i]:s.ends[i+1]]
			if null, size, _ := connectdata.IsNull(n, b); !null {
				b = b[size:]
				inherited = &b
			}
		}
		member := flatMember{from: n}
		switch n.Kind {
		case wit.Map:
			return nil, &failure{f.stage, dataException,
				"Flatten transformation does not support MAP for record with schemas (for field " + name + ")."}
		case wit.Struct:
			var wrong *failure
			if member.inside, wrong = f.structure(l.inside(i), name, optional, inherited); wrong != nil {
				return nil, wrong
			}
		default:
			made := of.subtree()
			made[0].Optional, made[0].DefaultValue = optional, inherited
			member.to = &made[0]
			member.same = n.Optional == optional && (!optional || n.DefaultValue == nil && inherited == nil)
			to := field{name: name, nodes: made}
			if name == "" || f.taken[name] {
				return nil, f.result.addMember(to, f.stage)
			}
			f.taken[name] = true
			f.result.fields = append(f.result.fields, to)
		}
		s.members = append(s.members, member)
	}
	return s, nil
}

// write appends the fields of a structure, given without its branch; null: it is one, and so are they.
func (s *flatStruct) write(dst, in []byte, null bool) []byte {
	if !null {
		s.layout.offsets(in, 0, s.ends) // the whole was checked
	}
	return s.writeMembers(dst, in, s.ends, null)
}

// writeMembers is write, where ends are those of the members.
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
		case m.inside != nil:
			dst = m.inside.write(dst, value, isNull)
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

// applyToMap flattens a map.
func (o *flatten) applyToMap(x *object, stage int) *failure {
	flat := flatMap{o: o, stage: stage, top: x}
	if f := flat.take(x, ""); f != nil {
		return f
	}
	if x.class = "java.util.LinkedHashMap"; !flat.nested {
		return nil
	}
	places := make(map[string]int, len(flat.fields))
	x.fields, x.changed = x.fields[:0], true
	for _, f := range flat.fields {
		if _, twice := places[f.name]; !twice {
			places[f.name] = len(x.fields)
			x.fields = append(x.fields, f)
		}
	}
	if len(places) < len(flat.fields) { // of values with one name the one counts that Kafka comes to last
		top := &object{}
		top.readMap(x.w, x.in)
		flat = flatMap{o: o, stage: stage, top: top, javaOrder: true}
		flat.take(top, "")
		for _, f := range flat.fields {
			x.fields[places[f.name]].bytes = f.bytes
		}
	}
	return nil
}

// flatMap holds the entries of a map, which is at the top, and of the maps inside it.
type flatMap struct {
	o      *flatten
	stage  int
	top    *object
	fields []field
	// size is the total length of all names; nested reports whether there are maps inside.
	size   int
	nested bool
	// javaOrder takes entries in the order in which Kafka comes to them.
	javaOrder bool
}

// take takes the entries of a map, those of nested maps under prefix + delimiter + key.
func (m *flatMap) take(x *object, prefix string) *failure {
	list := x.fields
	if m.javaOrder {
		list = java.InHashMap(list, func(f field) string { return f.name })
	}
	m.fields = slices.Grow(m.fields, len(list))
	for i := range list {
		if f := m.add(x, list[i], prefix); f != nil {
			return f
		}
	}
	return nil
}

func (m *flatMap) add(x *object, f field, prefix string) *failure {
	if !f.isText() {
		return &failure{m.stage, classCastException, "a map whose keys are not all of class java.lang.String"}
	}
	f.name = m.o.name(prefix, f.name)
	if m.size += len(f.name); m.size > maxFlatNames {
		return longNames(m.stage)
	}
	tag := f.bytes[0]
	switch class := dynamicClasses[tag]; {
	case tag == connectdata.TagMap && m.top.trace != nil:
		return unfit
	case tag == connectdata.TagMap:
		inside := &object{}
		inside.readMap(nil, f.bytes) // which was checked
		m.nested = true
		return m.take(inside, f.name)
	case tag == connectdata.TagInstant:
		return &failure{m.stage, dataException, "Flatten transformation was passed a value of type class " + class +
			" which is not supported by Connect's data API"}
	case tag == connectdata.TagStruct:
		return &failure{m.stage, dataException, "Flatten transformation does not support class " + class +
			" for record without schemas (for field " + f.name + ")."}
	case m.top.trace != nil && !x.allow(&f,
		^uint64(1<<connectdata.TagMap|1<<connectdata.TagInstant|1<<connectdata.TagStruct)):
		return unfit
	}
	if x != m.top {
		f.key, f.keyAt = connectdata.AppendString([]byte{connectdata.TagText}, f.name), -1
	}
	m.fields = append(m.fields, f)
	return nil
}
