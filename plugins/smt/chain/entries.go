package chain

import (
	"slices"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
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
	// lesson is what [newShape] needs besides, nil: it is not asked for.
	lesson *lesson
	// key is the key where a step makes it of the value; whole: it is its only entry, and no map. headers are those
	// that steps add.
	key     *entries
	whole   bool
	headers []headerEntry
	// loop is the kernel's at work, begins are where keys and values begin.
	loop   kernel.Rows
	begins []uint64
}

// lesson is what steps do to values that may fail the row, even where nothing is left of them.
type lesson struct {
	// choices are those that were made by the input's tags.
	choices []choiceByTag
	// edited is what becomes of values that are edited.
	edited []editedEntry
}

// headerEntry is a header that becomes of an entry.
type headerEntry struct {
	name  string
	entry entry
}

// choiceByTag is what becomes of the value of an entry of the input by its tag, nil being the failure of the row.
type choiceByTag struct {
	valueAt int
	by      [][]byte
}

// editedEntry is what becomes of a value of the input, or of the row's, by edits.
type editedEntry struct {
	entry
	edits []edit
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
	// edited is one more than the number of what becomes of it in the map's list, 0: nothing.
	edited int
	// shared: another entry is edited by the same.
	shared bool
}

// set takes another entry's value.
func (e *entry) set(o entry) {
	key, name, keyAt := e.key, e.name, e.keyAt
	*e = o
	e.key, e.name, e.keyAt = key, name, keyAt
}

// read takes a dynamic value apart. class is the value's class in Java when it is no map, and bad is set when its bytes
// are bad.
func (m *entries) read(in []byte) (class string, bad bool) {
	m.list, m.placed, m.kept, m.changed = m.list[:0], m.placed[:0], m.kept[:0], false
	m.lesson, m.key, m.headers = nil, nil, m.headers[:0]
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
	if littleEndian && cap(in)-len(in) >= kernel.Room && count <= maxByKernel {
		return "", !m.readByKernel(in, 1+size, int(count))
	}
	return "", !m.readEntries(in, 1+size, count)
}

// readEntries takes the entries from i on, one by one; it is false where they are bad.
func (m *entries) readEntries(in []byte, i int, count int64) bool {
	for ; count > 0; count-- {
		key := skipValue(in[i:])
		if key <= 0 {
			return false
		}
		value := skipValue(in[i+key:])
		if value <= 0 {
			return false
		}
		m.append(in[i:i+key], in[i+key:i+key+value])
		i += key + value
	}
	return i == len(in)
}

// maxByKernel is the most entries that are read by the kernel.
const maxByKernel = 1000

// readByKernel is readEntries for a map that the kernel may look at.
func (m *entries) readByKernel(in []byte, i, count int) bool {
	if len(m.begins) < 2*count+1 {
		m.begins = make([]uint64, 2*count+1)
	}
	s := &m.loop
	s.Data, s.Limit = unsafe.Pointer(unsafe.SliceData(in)), len(in)
	s.Ends, s.Place, s.Member, s.Count = unsafe.Pointer(unsafe.SliceData(m.begins)), i, 0, 2*count
	for why := kernel.Entries(s); why != kernel.Full; why = kernel.Entries(s) {
		if why == kernel.Done {
			return false
		}
		size := skipValue(in[s.Place:])
		if size <= 0 {
			return false
		}
		s.Place += size
	}
	if s.Place != len(in) {
		return false
	}
	from := m.begins[0]
	for n := 0; n < count; n++ {
		middle, to := m.begins[2*n+1], m.begins[2*n+2]
		m.append(in[from:middle], in[middle:to])
		from = to
	}
	return true
}

// append adds an entry of the input.
func (m *entries) append(key, value []byte) {
	at := len(m.list)
	if at == cap(m.list) {
		m.list = append(m.list, entry{})
	}
	m.list = m.list[:at+1]
	e := &m.list[at]
	e.key, e.value, e.name = key, value, nil
	e.choice, e.attribute, e.edited, e.shared = nil, false, 0, false
	e.keyAt, e.valueAt = at, at
	switch {
	case key[0] != datum.TagText:
	case key[1] < 0x80:
		e.name = key[2:]
	default:
		e.name, _ = datum.Block(key[1:])
	}
}

// skipValue is datum.SkipDynamic; -1 says that the bytes are bad.
func skipValue(in []byte) int {
	size, err := datum.SkipDynamic(in)
	if err != nil {
		return -1
	}
	return size
}

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

// write appends the map. What stands side by side in the input is copied at once.
func (m *entries) write(dst []byte) []byte {
	dst = datum.AppendNumber(append(dst, datum.TagMap), int64(len(m.list)))
	var run []byte
	for i := range m.list {
		x := &m.list[i]
		dst, run = appendRun(dst, run, x.key)
		dst, run = appendRun(dst, run, x.value)
	}
	return append(dst, run...)
}

// appendRun takes bytes that are to follow a run of bytes: it makes the run longer where they stand after it in
// memory, else it appends the run and begins another.
func appendRun(dst, run, b []byte) ([]byte, []byte) {
	if n := len(run) + len(b); len(run) > 0 && n <= cap(run) &&
		unsafe.Pointer(unsafe.SliceData(b)) == unsafe.Add(unsafe.Pointer(unsafe.SliceData(run)), len(run)) {
		return dst, run[:n]
	}
	return append(dst, run...), b
}

// take reads a value that has to be a map.
func (m *entries) take(in []byte, stage int, purpose string) *failure {
	class, bad := m.read(in)
	if bad {
		return brokenDynamic(stage)
	}
	if class != "" {
		return onlyMap(stage, purpose, class)
	}
	return nil
}

// edit makes what becomes of the value of a name by an edit, which is given bytes with a tag; of a name that is not
// there, a null.
func (m *entries) edit(name string, by edit) (made entry, f *failure) {
	made.valueAt = -1
	x := m.find(name)
	if x == nil {
		made.value = m.keep(append(m.room(), datum.TagNull))
		return made, nil
	}
	b, f := by.make(m.room(), x.value)
	if f != nil {
		return made, f
	}
	made.value = m.keep(b)
	switch {
	case m.lesson == nil:
	case x.edited > 0:
		made.edited, made.shared = x.edited, x.shared
		m.goOn(&made, by)
	case x.valueAt >= 0 || x.attribute:
		m.lesson.edited = append(m.lesson.edited, editedEntry{entry: *x, edits: []edit{by}})
		made.edited = len(m.lesson.edited)
	}
	return made, nil
}

// goOn edits further what was edited.
func (m *entries) goOn(e *entry, by edit) {
	x := &m.lesson.edited[e.edited-1]
	if e.shared {
		m.lesson.edited = append(m.lesson.edited, editedEntry{entry: x.entry, edits: slices.Clone(x.edits)})
		e.edited, e.shared = len(m.lesson.edited), false
		x = &m.lesson.edited[e.edited-1]
	}
	x.edits = append(x.edits, by)
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
