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

// flattening is what the transform comes to for one schema.
type flattening struct {
	*program
	top *flatStruct
	out uint32
}

// flatStruct reads a structure.
type flatStruct struct {
	reader
	ends    []uint64
	members []flatMember
}

// flatMember is a member of a structure.
type flatMember struct {
	// from is its schema, to that of the field that it becomes; a structure has instead what it holds.
	from, to *wit.Node
	inside   *flatStruct
	// run is how many members from this one on stay as they are, bytes and all.
	run int
}

// join finds the members that stay.
func (s *flatStruct) join() {
	run := 0
	for i := len(s.members) - 1; i >= 0; i-- {
		m := &s.members[i]
		if run++; m.inside != nil || m.from.Optional != m.to.Optional ||
			m.from.Optional && (m.from.DefaultValue != nil || m.to.DefaultValue != nil) {
			run = 0
		}
		m.run = run
	}
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

// flattening finds the fields of a schema.
func (o *flatten) flattening(w *work, nodes []wit.Node, stage int) *flattening {
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
	f.layout.root = basics(&nodes[0])
	x.out, p.failure = new(output).write(&w.schemas, &f.layout, stage)
	return x
}

// structure adds the fields of a structure. optional: it or one that it lies in is; byDefault is its default or nil.
func (f *flattener) structure(nodes []wit.Node, at uint32, prefix string, optional bool, byDefault []byte) (*flatStruct,
	*failure) {
	list := nodes[at].Members
	s := &flatStruct{ends: make([]uint64, len(list)+1)}
	for _, m := range list {
		s.skips = append(s.skips, newSkip(nodes, m.Node))
	}
	s.read = len(s.skips)
	if byDefault != nil {
		if bad := s.offsets(byDefault, 0, s.ends); bad >= 0 {
			return nil, broken(f.stage, bad)
		}
	}
	defaults := append([]uint64(nil), s.ends...)
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
	s.join()
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
		s.offsets(in, 0, s.ends) // the whole was checked
	}
	return s.writeMembers(dst, in, s.ends, null)
}

// writeMembers is write, where ends are those of the members.
func (s *flatStruct) writeMembers(dst, in []byte, ends []uint64, null bool) []byte {
	for i := 0; i < len(s.members); i++ {
		m := &s.members[i]
		if m.run > 0 && !null {
			dst = append(dst, in[ends[i]:ends[i+m.run]]...)
			i += m.run - 1
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
func (o *flatten) rise(w *work, c *column, x *flattening, stage int) *failure {
	if done, f := x.opened(w, c, stage); done {
		return f
	}
	from := len(w.scratch)
	w.scratch = x.top.writeMembers(w.scratch, c.bytes, w.ends, false)
	c.set(wit.Structured, x.out, w.scratch[from:])
	return nil
}

// flatMap is a map that comes of maps in each other.
type flatMap struct {
	o     *flatten
	stage int
	// names are the names in the order in which they came first, one after another; list is where they are and what
	// they hold.
	names []byte
	list  []flatEntry
	// places are the indices of the names in list, when they are many.
	places map[string]int
	size   int
	// collided: two values have one name. The one that Kafka comes to last counts; javaOrder takes them in its order.
	collided, javaOrder bool
	// marks has a bit for each name, so that most are known to be new.
	marks uint64
}

// flatEntry is an entry of a flatMap.
type flatEntry struct {
	from, to int
	// key is that of the input, with its tag, where it is the name; nil: the name has others in front.
	key, value []byte
}

// manyFlat is the number of names from which on they are looked up in a map.
const manyFlat = 32

// keptFlat is how many bytes of names are kept room for from record to record.
const keptFlat = 64 << 10

func (m *flatMap) name(at int) []byte { return m.names[m.list[at].from:m.list[at].to] }

// begin empties the map for another record.
func (m *flatMap) begin(stage int, javaOrder bool) {
	if cap(m.names) > keptFlat {
		m.names, m.list = nil, nil
	}
	m.stage, m.names, m.list, m.size = stage, m.names[:0], m.list[:0], 0
	m.collided, m.javaOrder, m.places, m.marks = false, javaOrder, nil, 0
}

// riseInMap does a column without schema.
func (o *flatten) riseInMap(w *work, c *column, stage int) *failure {
	if f := w.entries.take(c.bytes, stage, flattenPurpose); f != nil {
		return f
	}
	m := &o.flat
	m.o = o
	m.begin(stage, false)
	for i := range w.entries.list {
		x := &w.entries.list[i]
		if f := m.add(nil, x.key, x.value); f != nil {
			return f
		}
	}
	if m.collided {
		again := &flatMap{o: o}
		again.begin(stage, true)
		if f := again.take(c.bytes, nil); f != nil {
			return f
		}
		for i := range m.list {
			m.list[i].value = again.list[again.find(m.name(i))].value
		}
	}
	from := len(w.scratch)
	dst := datum.AppendNumber(append(w.scratch, datum.TagMap), int64(len(m.list)))
	var run []byte
	for i := range m.list {
		x := &m.list[i]
		if x.key != nil {
			dst, run = appendRun(dst, run, x.key)
		} else {
			dst = datum.AppendBytes(append(append(dst, run...), datum.TagText), m.name(i))
			run = nil
		}
		dst, run = appendRun(dst, run, x.value)
	}
	dst = append(dst, run...)
	w.scratch = dst
	c.set(wit.Dynamic, 0, dst[from:])
	c.class = "java.util.LinkedHashMap"
	return nil
}

// take takes the entries of a map whose bytes were checked.
func (m *flatMap) take(in, prefix []byte) *failure {
	if m.javaOrder {
		return m.takeInOrder(in, prefix)
	}
	count, size := datum.Number(in[1:])
	for in = in[1+size:]; count > 0; count-- {
		key := skipValue(in)
		value := skipValue(in[key:])
		if f := m.add(prefix, in[:key], in[key:key+value]); f != nil {
			return f
		}
		in = in[key+value:]
	}
	return nil
}

// takeInOrder takes the entries of a map in the order of Kafka's hash table.
func (m *flatMap) takeInOrder(in, prefix []byte) *failure {
	var all entries
	all.read(in)
	for _, e := range java.InHashMap(all.list, func(e entry) string { return string(e.name) }) {
		if f := m.add(prefix, e.key, e.value); f != nil {
			return f
		}
	}
	return nil
}

// add adds a value, or the entries of a nested map, under prefix + delimiter + key.
func (m *flatMap) add(prefix, key, value []byte) *failure {
	if key[0] != datum.TagText {
		return &failure{m.stage, classCastException, "a map whose keys are not all of class java.lang.String"}
	}
	text, _ := datum.Block(key[1:])
	from := len(m.names)
	x := flatEntry{from: from, key: key, value: value}
	if len(prefix) > 0 {
		m.names = append(append(m.names, prefix...), m.o.delimiter...)
		x.key = nil
	}
	m.names = append(m.names, text...)
	x.to = len(m.names)
	name := m.names[x.from:x.to]
	if m.size += len(name); m.size > maxFlatNames {
		return longNames(m.stage)
	}
	class := dynamicClasses[value[0]]
	switch value[0] {
	case datum.TagMap:
		return m.take(value, name)
	case datum.TagInstant:
		return &failure{m.stage, dataException, "Flatten transformation was passed a value of type class " + class +
			" which is not supported by Connect's data API"}
	case datum.TagStruct:
		return &failure{m.stage, dataException, "Flatten transformation does not support class " + class +
			" for record without schemas (for field " + string(name) + ")."}
	}
	mark, at := uint64(1)<<(len(name)&63), -1
	if len(name) > 0 {
		mark = uint64(1) << ((len(name)*7 + int(name[len(name)-1])) & 63)
	}
	if m.marks&mark != 0 {
		at = m.find(name)
	}
	m.marks |= mark
	if at >= 0 {
		m.list[at].value, m.collided, m.names = value, true, m.names[:from]
		return nil
	}
	m.list = append(m.list, x)
	if m.places != nil {
		m.places[string(name)] = len(m.list) - 1
	} else if len(m.list) == manyFlat {
		m.places = map[string]int{}
		for i := range m.list {
			m.places[string(m.name(i))] = i
		}
	}
	return nil
}

// find is where a name is in the list, -1: nowhere.
func (m *flatMap) find(name []byte) int {
	if m.places != nil {
		if at, ok := m.places[string(name)]; ok {
			return at
		}
		return -1
	}
	for i := range m.list {
		x := &m.list[i]
		if x.to-x.from == len(name) && string(m.names[x.from:x.to]) == string(name) {
			return i
		}
	}
	return -1
}
