package chain

import (
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

var flattenSpecs = []wit.SettingSpec{
	spec("delimiter", wit.KindText, wit.Ptr("."),
		"Delimiter to insert between field names from the input record when generating field names for the output record"),
}

// flatten is Flatten: the fields of structures, or maps, inside others come up to the top, under all names on the way.
type flatten struct {
	at        side
	delimiter string
	programs  programs[*flattening]
}

const flattenPurpose = "flattening"

// maxFlatNames is how many bytes of names one key or value may come to: a long name goes in front of each that is
// below.
const maxFlatNames = 16 << 20

func newFlatten(at side) func(settings) (operation, *wit.Fault) {
	return func(s settings) (operation, *wit.Fault) {
		o := &flatten{at: at, delimiter: *flattenSpecs[0].DefaultValue}
		if text, given := s.find("delimiter"); given {
			o.delimiter = setting.Trim(text)
		}
		return o, nil
	}
}

func (o *flatten) route(*route, int) {}

func (o *flatten) name(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + o.delimiter + name
}

func longNames(stage int) *failure {
	return &failure{stage, dataException, "the names of the flattened fields come to more than 16 MiB"}
}

// flattening is what the transform comes to for one schema.
type flattening struct {
	*program
	top *flatStruct
	out uint32
}

// flatStruct reads a structure.
type flatStruct struct {
	skips   []skip
	ends    []uint32
	members []flatMember
}

// flatMember is a member of a structure.
type flatMember struct {
	// from is its schema, to that of the field that it becomes; a structure has instead what it holds.
	from, to *wit.Node
	inside   *flatStruct
}

// flattener makes the schema.
type flattener struct {
	o      *flatten
	stage  int
	layout structDraft
	// taken are the names; size is how long they are together.
	taken map[string]bool
	size  int
}

func (o *flatten) compile(e *Engine, nodes []wit.Node, stage int) *flattening {
	p, _ := beginProgram(nodes)
	x := &flattening{program: p}
	if nodes[0].Kind != wit.Structure {
		p.failure = onlyStruct(stage, flattenPurpose, javaClass(&nodes[0]))
		return x
	}
	f := &flattener{o: o, stage: stage, taken: map[string]bool{}}
	var byDefault []byte
	if nodes[0].DefaultValue != nil {
		byDefault = *nodes[0].DefaultValue
	}
	if x.top, p.failure = f.structure(nodes, 0, "", nodes[0].Optional, byDefault); p.failure != nil {
		return x
	}
	result := &program{}
	result.finish(&f.layout, basics(&nodes[0]), stage, e.declare)
	x.out, p.failure = result.out, result.failure
	return x
}

// structure adds the fields of a structure. optional: it or one that it lies in is; byDefault is its default or nil.
func (f *flattener) structure(nodes []wit.Node, at uint32, prefix string, optional bool, byDefault []byte) (*flatStruct,
	*failure) {
	list := nodes[at].Members
	s := &flatStruct{ends: make([]uint32, len(list)+1)}
	for _, m := range list {
		s.skips = append(s.skips, newSkip(nodes, m.Node))
	}
	if byDefault != nil {
		if bad := offsets(s.skips, byDefault, 0, s.ends); bad >= 0 {
			return nil, broken(f.stage, bad)
		}
	}
	defaults := append([]uint32(nil), s.ends...)
	for i, m := range list {
		n := &nodes[m.Node]
		name := f.o.name(prefix, m.Name)
		if f.size += len(name); f.size > maxFlatNames {
			return nil, longNames(f.stage)
		}
		optional := optional || n.Optional
		inherited := n.DefaultValue
		if inherited == nil && byDefault != nil {
			b := byDefault[defaults[i]:defaults[i+1]]
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
			var below []byte
			if inherited != nil {
				below = *inherited
			}
			var wrong *failure
			if member.inside, wrong = f.structure(nodes, m.Node, name, optional, below); wrong != nil {
				return nil, wrong
			}
		default:
			made := graft(nil, nodes, m.Node)
			made[0].Optional, made[0].DefaultValue = optional, inherited
			member.to = &made[0]
			if wrong := f.add(field{name: name, nodes: made}); wrong != nil {
				return nil, wrong
			}
		}
		s.members = append(s.members, member)
	}
	return s, nil
}

// add is layout.add for many fields.
func (f *flattener) add(x field) *failure {
	if x.name == "" || f.taken[x.name] {
		return f.layout.add(x, f.stage)
	}
	f.taken[x.name] = true
	f.layout.fields = append(f.layout.fields, x)
	return nil
}

// write appends the fields of a structure, given without its branch; null: it is one, and so are they.
func (s *flatStruct) write(dst, in []byte, null bool) []byte {
	if !null {
		offsets(s.skips, in, 0, s.ends) // the whole was checked
	}
	for i := range s.members {
		m := &s.members[i]
		var value []byte
		isNull := null
		if !null {
			b := in[s.ends[i]:s.ends[i+1]]
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

func (o *flatten) apply(e *Engine, v *view, stage int) (*failure, error) {
	c := &v.columns[o.at]
	switch c.form {
	case wit.Absent:
		return nil, nil
	case wit.Dynamic:
		return o.schemaless(e, c, stage), nil
	}
	x, err := o.programs.of(e, c.schema, func(nodes []wit.Node) *flattening { return o.compile(e, nodes, stage) })
	if err != nil {
		return nil, err
	}
	start, done, f := x.opened(c, stage)
	if done {
		return f, nil
	}
	if bad := offsets(x.top.skips, c.bytes, start, x.top.ends); bad >= 0 {
		return broken(stage, bad), nil
	}
	from := len(e.scratch)
	e.scratch = x.top.write(e.scratch, c.bytes[start:], false)
	c.set(wit.Structured, x.out, e.scratch[from:], -1)
	return nil, nil
}

// flatMap is a map that comes of maps in each other.
type flatMap struct {
	o     *flatten
	stage int
	// keys are the names in the order in which they came first, values what they hold.
	keys   []string
	values [][]byte
	places map[string]int
	size   int
	// collided: two values have one name. The one that Kafka comes to last counts; javaOrder takes them in its order.
	collided, javaOrder bool
}

func (o *flatten) schemaless(e *Engine, c *column, stage int) *failure {
	if f := e.entries.take(c.bytes, stage, flattenPurpose); f != nil {
		return f
	}
	m := &flatMap{o: o, stage: stage, places: map[string]int{}}
	if f := m.take(c.bytes, ""); f != nil {
		return f
	}
	if m.collided {
		again := &flatMap{o: o, stage: stage, places: map[string]int{}, javaOrder: true}
		if f := again.take(c.bytes, ""); f != nil {
			return f
		}
		for i, key := range m.keys {
			m.values[i] = again.values[again.places[key]]
		}
	}
	from := len(e.scratch)
	dst := datum.AppendNumber(append(e.scratch, datum.TagMap), int64(len(m.keys)))
	for i, key := range m.keys {
		dst = append(datum.AppendText(append(dst, datum.TagText), key), m.values[i]...)
	}
	e.scratch = dst
	c.set(wit.Dynamic, 0, dst[from:], -1)
	return nil
}

// take takes the entries of a map whose bytes were checked.
func (m *flatMap) take(in []byte, prefix string) *failure {
	if m.javaOrder {
		return m.takeInOrder(in, prefix)
	}
	count, size := datum.Number(in[1:])
	for in = in[1+size:]; count > 0; count-- {
		key, _ := datum.SkipDynamic(in)
		value, _ := datum.SkipDynamic(in[key:])
		if in[0] != datum.TagText {
			return &failure{m.stage, classCastException, "a map whose keys are not all of class java.lang.String"}
		}
		text, _ := datum.Block(in[1:])
		if f := m.named(prefix, text, in[key:key+value]); f != nil {
			return f
		}
		in = in[key+value:]
	}
	return nil
}

// takeInOrder takes the entries of a map in the order of Kafka's hash table.
func (m *flatMap) takeInOrder(in []byte, prefix string) *failure {
	var all entries
	all.read(in)
	for _, e := range javaOrder(all.list, func(e entry) string { return string(e.name) }) {
		if f := m.named(prefix, e.name, e.value); f != nil {
			return f
		}
	}
	return nil
}

func (m *flatMap) named(prefix string, text, value []byte) *failure {
	name := m.o.name(prefix, string(text))
	if m.size += len(name); m.size > maxFlatNames {
		return longNames(m.stage)
	}
	return m.add(name, value)
}

func (m *flatMap) add(name string, value []byte) *failure {
	class := dynamicClasses[value[0]]
	switch value[0] {
	case datum.TagMap:
		return m.take(value, name)
	case datum.TagDecimal, datum.TagInstant:
		return &failure{m.stage, dataException, "Flatten transformation was passed a value of type class " + class +
			" which is not supported by Connect's data API"}
	case datum.TagStruct:
		return &failure{m.stage, dataException, "Flatten transformation does not support class " + class +
			" for record without schemas (for field " + name + ")."}
	}
	at, known := m.places[name]
	if known {
		m.values[at], m.collided = value, true
		return nil
	}
	m.places[name] = len(m.keys)
	m.keys, m.values = append(m.keys, name), append(m.values, value)
	return nil
}
