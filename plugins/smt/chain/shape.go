package chain

import (
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// shape is what a plan made of the last map that it saw: the names in their order, and the parts of the result. Steps
// look at no more of values than their tags, by which a part chooses, so another map of the same names, in a row that
// has the same attributes, comes to the same parts.
type shape struct {
	fast fastProgram
	// same: the result's bytes are the input's.
	same bool
}

// words are those of a text, low byte first, each with the mask of what counts of it behind it.
func words(text []byte) (list []uint64) {
	for at := 0; at < len(text); at += 8 {
		var w, mask uint64
		for i, b := range text[at:min(len(text), at+8)] {
			w |= uint64(b) << (8 * i)
			mask |= 0xff << (8 * i)
		}
		list = append(list, w, mask)
	}
	return list
}

func newKey(text []byte) kernel.Key {
	list := append(words(text), 0, 0, 0, 0)
	return kernel.Key{Size: len(text), First: list[0], Mask: list[1], Second: list[2], Masking: list[3],
		Rest: unsafe.Pointer(unsafe.SliceData(list[4:]))}
}

// lacks tells which attributes a row is without.
func lacks(row *wit.Row) (bits uint64) {
	for i, n := range [...]int64{int64(row.Partition), row.Offset, row.Timestamp} {
		if n < 0 {
			bits |= 1 << i
		}
	}
	return bits
}

// maxMisses is how many more shapes a plan learns than come again: records that all differ are not worth the learning.
const maxMisses = 50

// learn remembers what became of a map. before is the map's bytes, m what the steps made of it.
func (p *plan) learn(m *entries, before []byte, row *wit.Row) {
	if p.misses >= maxMisses || !littleEndian {
		return
	}
	p.misses++
	var original entries
	original.read(before)
	f := fastProgram{ends: len(original.list) + 1}
	keys := make([]kernel.Key, 0, len(original.list)+1)
	for _, e := range original.list {
		keys = append(keys, newKey(e.key))
	}
	f.Keys, f.Members, f.Lacks = unsafe.SliceData(keys[:cap(keys)]), len(keys), lacks(row)
	head := datum.AppendNumber([]byte{datum.TagMap}, int64(len(original.list)))
	list := words(head)
	f.Head, f.HeadMask, f.HeadSize = list[0], list[1], len(head)
	choices := make([]kernel.Choice, len(m.choices), len(m.choices)+1)
	for i, c := range m.choices {
		choices[i].Place, choices[i].Behind = 8*c.valueAt, len(original.list[c.valueAt].key)
		for tag, b := range c.by {
			if b != nil {
				choices[i].Allowed |= 1 << tag
			}
		}
	}
	f.Choices, f.Chosen = unsafe.SliceData(choices), len(choices)
	var s program
	s.join(part{from: constant, bytes: datum.AppendNumber([]byte{datum.TagMap}, int64(len(m.list)))})
	for i := range m.list {
		e := &m.list[i]
		if e.keyAt >= 0 && e.keyAt == e.valueAt && e.choice == nil {
			s.join(part{from: input, first: e.keyAt, last: e.keyAt})
			continue
		}
		s.join(part{from: constant, bytes: e.key})
		switch {
		case e.choice != nil:
			s.join(part{from: chosen, first: e.valueAt, behind: len(original.list[e.valueAt].key),
				choice: e.choice})
		case e.attribute:
			s.join(part{from: constant, bytes: e.value[:1]})
			s.join(part{from: attribute, what: e.what})
		case e.valueAt >= 0:
			s.join(part{from: input, first: e.valueAt, behind: len(original.list[e.valueAt].key),
				last: e.valueAt})
		default:
			s.join(part{from: constant, bytes: e.value})
		}
	}
	f.compileParts(s.parts)
	p.shape = &shape{fast: f, same: !m.changed}
}

// maps handles rows of one route whose values are maps of the shape that came last, for a route with steps on values
// only. It returns the first row that it did not do.
func (e *Engine) maps(p *plan, first int, to uint32, rows []wit.Row, n int, data []byte) int {
	e.settle()
	s := e.beginLoop(first, to, rows, n, data)
	s.Program, s.Ends = &p.shape.fast.Program, e.places(p.shape.fast.ends)
	s.Result = datumWord(wit.Dynamic, 0)
	for why := kernel.Maps(s); why != kernel.Done; why = kernel.Maps(s) {
		in := &rows[s.N].Value
		if why == kernel.Full {
			e.grow(int(in.Size))
			continue
		}
		size, err := datum.SkipDynamic(data[s.Place : in.Start+in.Size])
		if err != nil {
			break
		}
		s.Place += size
	}
	done := e.endLoop()
	p.misses = max(0, p.misses-(done-n))
	return done
}
