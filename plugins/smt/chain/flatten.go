package chain

import (
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
	"github.com/culvert-project/culvert/wit/java"
)

var flattenSpecs = []wit.SettingSpec{
	spec("delimiter", wit.KindText, wit.Ptr("."),
		"Delimiter to insert between field names from the input record when generating field "+
			"names for the output record"),
}

// flatten is Flatten: the fields of structures, or maps, inside others come up to the top, under all names on the way.
type flatten struct {
	onColumn[*flattening]
	delimiter string
	// flat is the map at work.
	flat flatMap
}

const flattenPurpose = "flattening"

// maxFlatNames is how many bytes of names one key or value may come to: a long name goes in front of each that is
// below.
const maxFlatNames = 16 << 20

func newFlatten(at side, s settings) (operation, *wit.Fault) {
	o := &flatten{delimiter: *flattenSpecs[0].DefaultValue}
	o.onColumn = onColumn[*flattening]{side: at, compile: o.flattening, structured: o.rise, dynamic: o.riseInMap}
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

// flattening is what the transform does for one schema.
type flattening struct {
	failure *failure
	top     *flatStruct
	out     uint32
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
	from, to *wit.Node
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
func (o *flatten) flattening(w *work, l *layout, stage int) *flattening {
	x, root := &flattening{}, &l.nodes[0]
	if !l.isStruct() {
		x.failure = onlyStruct(stage, flattenPurpose, javaClass(root))
		return x
	}
	f := &flattener{o: o, stage: stage, taken: map[string]bool{}, result: object{root: basics(root)}}
	if x.top, x.failure = f.structure(l, "", root.Optional, root.DefaultValue); x.failure == nil {
		x.out, x.failure = w.schemas.declareMade(f.result.nodes(), stage)
	}
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
			if null, size, _ := datum.IsNull(n, b); !null {
				b = b[size:]
				inherited = &b
			}
		}
		member := flatMember{from: n}
		switch n.Kind {
		case wit.Mapping:
			return nil, &failure{f.stage, dataException,
				"Flatten transformation does not support MAP for record with schemas (for field " + name + ")."}
		case wit.Structure:
			var wrong *failure
			inside := newLayout(0, of.subtree())
			if member.inside, wrong = f.structure(inside, name, optional, inherited); wrong != nil {
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
			isNull, size, _ = datum.IsNull(m.from, b)
			value = b[size:]
		}
		switch {
		case m.inside != nil:
			dst = m.inside.write(dst, value, isNull)
		case !null && isNull && m.from.DefaultValue != nil:
			dst = append(datum.AppendBranch(dst, m.to, false), *m.from.DefaultValue...)
		case isNull:
			dst = datum.AppendBranch(dst, m.to, true)
		default:
			dst = append(datum.AppendBranch(dst, m.to, false), value...)
		}
	}
	return dst
}

// rise does a column with a schema.
func (o *flatten) rise(w *work, c *column, l *layout, x *flattening, stage int) *failure {
	done, f := w.opened(c, l, x.failure, stage)
	if !done {
		w.put(c, wit.Structured, x.out, func(dst []byte) []byte {
			return x.top.writeMembers(dst, w.object.in, w.ends, false)
		})
	}
	return f
}

// flatMap is a map that is made of nested maps.
type flatMap struct {
	o     *flatten
	stage int
	out   object
	// places are the indices of the names where they are many.
	places map[string]int
	size   int
	// collided: two values have one name. The one that Kafka comes to last counts; javaOrder takes them in its order.
	collided, javaOrder bool
}

// riseInMap does a column without schema.
func (o *flatten) riseInMap(w *work, c *column, stage int) *failure {
	if f := w.object.openMap(w, c.bytes, stage, flattenPurpose); f != nil {
		return f
	}
	m := &o.flat
	m.o, m.stage, m.size, m.collided, m.places = o, stage, 0, false, nil
	m.out = object{isMap: true, fields: m.out.fields[:0]}
	if f := m.take(&w.object, ""); f != nil {
		return f
	}
	if m.collided {
		again := &flatMap{o: o, stage: stage, javaOrder: true}
		if f := again.take(&w.object, ""); f != nil {
			return f
		}
		for i := range m.out.fields {
			f := &m.out.fields[i]
			f.bytes = again.out.fields[again.find(f.name)].bytes
		}
	}
	w.put(c, wit.Dynamic, 0, m.out.write)
	c.class = "java.util.LinkedHashMap"
	return nil
}

// take takes the entries of a map, those of nested maps under prefix + delimiter + key.
func (m *flatMap) take(x *object, prefix string) *failure {
	list := x.fields
	if m.javaOrder {
		list = java.InHashMap(list, func(f field) string { return f.name })
	}
	for i := range list {
		if f := m.add(&list[i], prefix); f != nil {
			return f
		}
	}
	return nil
}

func (m *flatMap) add(f *field, prefix string) *failure {
	if !f.isText() {
		return &failure{m.stage, classCastException, "a map whose keys are not all of class java.lang.String"}
	}
	name, value := m.o.name(prefix, f.name), f.bytes
	if m.size += len(name); m.size > maxFlatNames {
		return longNames(m.stage)
	}
	class := dynamicClasses[value[0]]
	switch value[0] {
	case datum.TagMap:
		inside := &object{}
		inside.readMap(nil, value) // which was checked
		return m.take(inside, name)
	case datum.TagInstant:
		return &failure{m.stage, dataException, "Flatten transformation was passed a value of type class " + class +
			" which is not supported by Connect's data API"}
	case datum.TagStruct:
		return &failure{m.stage, dataException, "Flatten transformation does not support class " + class +
			" for record without schemas (for field " + name + ")."}
	}
	if at := m.find(name); at >= 0 {
		m.out.fields[at].bytes, m.collided = value, true
		return nil
	}
	if m.places != nil {
		m.places[name] = len(m.out.fields)
	}
	if prefix == "" {
		m.out.fields = append(m.out.fields, *f)
	} else {
		m.out.add(name, field{bytes: value})
	}
	return nil
}

// manyFlat is the number of names from which on they are looked up in a map.
const manyFlat = 32

// find returns the index of a name, -1 if it is new.
func (m *flatMap) find(name string) int {
	if len(m.out.fields) < manyFlat {
		for i := range m.out.fields {
			if m.out.fields[i].name == name {
				return i
			}
		}
		return -1
	}
	if m.places == nil {
		m.places = map[string]int{}
		for i := range m.out.fields {
			m.places[m.out.fields[i].name] = i
		}
	}
	if at, ok := m.places[name]; ok {
		return at
	}
	return -1
}
