package chain

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// entries is a map without schema on its way through the steps. Of values no more is looked at than their tags.
type entries struct {
	list, spare []entry
	// placed are the places of the entries that the present step has put.
	placed []int
	// kept holds what was inserted into this map.
	kept    []byte
	changed bool
	// choices are those that were made by the input's tags, even where nothing is left of them: they may fail the row.
	choices []choice
}

// choice is what becomes of the value of an entry of the input by its tag, nil being the failure of the row.
type choice struct {
	valueAt int
	by      [][]byte
}

// entry of a map: key and value with their tags; name is the text of a key that is one, else nil.
type entry struct {
	key, name, value []byte
	// keyAt and valueAt are the input's entries that they are of, -1: none.
	keyAt, valueAt int
	// choice is what becomes of the input's value, by its tag; nil: it stays.
	choice [][]byte
	// attribute: the value is what the row has to say about `what`.
	attribute bool
	what      what
}

// set takes another entry's value.
func (e *entry) set(o entry) {
	e.value, e.valueAt, e.choice, e.attribute, e.what = o.value, o.valueAt, o.choice, o.attribute, o.what
}

// read takes a dynamic value apart. class is the value's class in Java when it is no map, and bad is set when its bytes
// are bad.
func (m *entries) read(in []byte) (class string, bad bool) {
	m.list, m.kept, m.changed, m.choices = m.list[:0], m.kept[:0], false, m.choices[:0]
	if len(in) == 0 || in[0] > datum.TagStruct {
		return "", true
	}
	if in[0] != datum.TagMap {
		return dynamicClasses[in[0]], false
	}
	count, size := datum.Number(in[1:])
	if size <= 0 || count < 0 || count > int64(len(in)) {
		return "", true
	}
	i := 1 + size
	for ; count > 0; count-- {
		key, err := datum.SkipDynamic(in[i:])
		if err != nil {
			return "", true
		}
		value, err := datum.SkipDynamic(in[i+key:])
		if err != nil {
			return "", true
		}
		at := len(m.list)
		e := entry{key: in[i : i+key], value: in[i+key : i+key+value], keyAt: at, valueAt: at}
		if e.key[0] == datum.TagText {
			e.name, _ = datum.Block(e.key[1:])
		}
		m.list = append(m.list, e)
		i += key + value
	}
	return "", i != len(in)
}

var dynamicClasses = [...]string{"null", "java.lang.Boolean", "java.lang.Boolean", "java.lang.Byte", "java.lang.Short", "java.lang.Integer",
	"java.lang.Long", "java.lang.Float", "java.lang.Double", "java.lang.String", "[B", "java.util.ArrayList", "java.util.HashMap",
	"java.math.BigDecimal", "java.util.Date", "org.apache.kafka.connect.data.Struct"}

// room and keep: a value is appended to what room returns and handed to keep.
func (m *entries) room() []byte { return m.kept }

func (m *entries) keep(b []byte) []byte {
	value := b[len(m.kept):len(b):len(b)]
	m.kept = b
	return value
}

// put sets the value of a name, which is that of e: in the place of the entry that has the name, else at the end.
func (m *entries) put(name string, e entry) {
	m.changed = true
	for i := range m.list {
		if m.list[i].name != nil && string(m.list[i].name) == name {
			m.list[i].set(e)
			m.placed = append(m.placed, i)
			return
		}
	}
	e.key, e.keyAt = m.keep(datum.AppendText(append(m.room(), datum.TagText), name)), -1
	e.name, _ = datum.Block(e.key[1:])
	m.placed = append(m.placed, len(m.list))
	m.list = append(m.list, e)
}

// add appends an entry, or sets the value of the one that was put under its name.
func (m *entries) add(e entry) {
	for _, i := range m.placed {
		if string(m.list[i].key) == string(e.key) {
			m.list[i].set(e)
			return
		}
	}
	m.list = append(m.list, e)
}

// swap empties the map and returns the entries that it had.
func (m *entries) swap() []entry {
	m.list, m.spare, m.placed = m.spare[:0], m.list, m.placed[:0]
	return m.spare
}

// write appends the map.
func (m *entries) write(dst []byte) []byte {
	dst = datum.AppendNumber(append(dst, datum.TagMap), int64(len(m.list)))
	for i := range m.list {
		dst = append(append(dst, m.list[i].key...), m.list[i].value...)
	}
	return dst
}

// runDynamic does the steps on a value without schema.
func (p *plan) runDynamic(m *entries, dst []byte, c *column, row *wit.Row) ([]byte, *failure) {
	first := p.steps[0]
	if f := m.take(c.bytes, first.stage, first.operation.purpose()); f != nil {
		return dst, f
	}
	for _, s := range p.steps {
		if f := s.operation.schemaless(m, s, row); f != nil {
			return dst, f
		}
	}
	p.learn(m, c.bytes, row)
	if !m.changed {
		return dst, nil
	}
	from := len(dst)
	dst = m.write(dst)
	c.set(wit.Dynamic, 0, dst[from:], -1)
	return dst, nil
}

// study learns what becomes of a map in a joined chain.
func (p *plan) study(m *entries, in []byte, row *wit.Row) {
	if p.misses >= maxMisses {
		return
	}
	if m.take(in, 0, "") != nil {
		return
	}
	for _, s := range p.steps {
		if s.operation.schemaless(m, s, row) != nil {
			p.misses++
			return
		}
	}
	p.learn(m, in, row)
}

// take reads a value that has to be a map.
func (m *entries) take(in []byte, stage int, purpose string) *failure {
	class, bad := m.read(in)
	if bad {
		return &failure{stage, dataException, "bytes that are no dynamic value"}
	}
	if class != "" {
		return onlyMap(stage, purpose, class)
	}
	return nil
}

// find returns the entry of a name, nil: there is none.
func (m *entries) find(name string) *entry {
	for i := range m.list {
		if m.list[i].name != nil && string(m.list[i].name) == name {
			return &m.list[i]
		}
	}
	return nil
}
