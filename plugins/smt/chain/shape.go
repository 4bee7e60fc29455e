package chain

import (
	"unsafe"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// shape is what a plan made of the last map that it saw: the names in their order, and the parts of the result. Steps
// never look into values, so another map of the same names, in a row that has the same attributes, comes to the same
// parts.
type shape struct {
	program
	// head is the tag and the count; keys are the keys with their tags, each with room behind it for reading words.
	head []byte
	keys [][]byte
	has  attributes
	size int
}

// attributes tells which of them a row has.
type attributes uint8

func attributesOf(row *wit.Row) (a attributes) {
	if row.Partition >= 0 {
		a |= 1
	}
	if row.Offset >= 0 {
		a |= 2
	}
	if row.Timestamp >= 0 {
		a |= 4
	}
	return a
}

// maxMisses is how many more shapes a plan learns than come again: records that all differ are not worth the learning.
const maxMisses = 50

// learn remembers what became of a map. before is the map's bytes, m what the steps made of it.
func (p *plan) learn(m *entries, before []byte, row *wit.Row) {
	if p.misses >= maxMisses || !littleEndian {
		return
	}
	p.misses++
	s := &shape{has: attributesOf(row)}
	var original entries
	original.read(before)
	for _, e := range original.list {
		s.keys = append(s.keys, append(make([]byte, 0, len(e.key)+8), e.key...))
	}
	s.head = datum.AppendNumber([]byte{datum.TagMap}, int64(len(original.list)))
	s.same = !m.changed
	s.join(part{from: constant, bytes: datum.AppendNumber([]byte{datum.TagMap}, int64(len(m.list)))})
	for i := range m.list {
		e := &m.list[i]
		if e.keyAt >= 0 && e.keyAt == e.valueAt {
			s.join(part{from: input, first: 2 * e.keyAt, last: 2*e.keyAt + 1})
			continue
		}
		s.join(part{from: constant, bytes: e.key})
		switch {
		case e.attribute:
			s.join(part{from: constant, bytes: e.value[:1]})
			s.join(part{from: attribute, what: e.what})
		case e.valueAt >= 0:
			s.join(part{from: input, first: 2*e.valueAt + 1, last: 2*e.valueAt + 1})
		default:
			s.join(part{from: constant, bytes: e.value})
		}
	}
	s.size = s.extra()
	p.shape = s
}

// maps handles rows of one route whose values are maps of the shape that came last, for a route with steps on values
// only. It returns the first row that it did not do. Positions in ends: where each entry begins, and where its value
// does.
func (e *Engine) maps(p *plan, topic, to uint32, rows []wit.Row, n int, data []byte) int {
	s := p.shape
	if need := 2*len(s.keys) + 1; len(e.ends) < need {
		e.ends = make([]uint32, need)
	}
	at, out := len(e.rows), e.rows[:cap(e.rows)]
	dst := e.data
	base := unsafe.Pointer(unsafe.SliceData(data))
	ends := unsafe.Pointer(unsafe.SliceData(e.ends))
	start := n
loop:
	for ; n < len(rows) && at < len(out) && len(dst) < maxData; n++ {
		in := &rows[n]
		i, end := uint64(in.Value.Start), uint64(in.Value.Start)+uint64(in.Value.Size)
		if in.Topic != topic || in.Value.Form != wit.Dynamic || end > uint64(len(data)) || attributesOf(in) != s.has ||
			i+uint64(len(s.head)) > end {
			break
		}
		for _, b := range s.head {
			if *(*byte)(unsafe.Add(base, i)) != b {
				break loop
			}
			i++
		}
		for k, key := range s.keys {
			*(*uint32)(unsafe.Add(ends, k*8)) = uint32(i)
			if i+uint64(len(key))+8 > uint64(len(data)) {
				break loop
			}
			if !sameKey(unsafe.Add(base, i), key) {
				break loop
			}
			i += uint64(len(key))
			*(*uint32)(unsafe.Add(ends, k*8+4)) = uint32(i)
			if i >= end {
				break loop
			}
			size := skipScalar(data[i:end])
			if size == 0 {
				other, err := datum.SkipDynamic(data[i:end])
				if err != nil {
					break loop
				}
				size = other
			}
			i += uint64(size)
		}
		if i != end {
			break
		}
		*(*uint32)(unsafe.Add(ends, len(s.keys)*8)) = uint32(i)
		from := len(dst)
		if !s.same {
			if need := int(in.Value.Size) + s.size + slack; cap(dst)-from < need {
				dst = grow(dst, need)
			}
			dst = e.emit(&s.program, dst, base, in)
		}
		o := &out[at]
		at++
		o.Origin, o.Topic, o.Partition, o.Offset, o.Timestamp = uint32(n), to, in.Partition, in.Offset, in.Timestamp
		o.Key.Form, o.Key.Schema, o.Key.Start, o.Key.Size = wit.Unchanged, in.Key.Schema, 0, 0
		o.Value.Form, o.Value.Schema, o.Value.Start, o.Value.Size = wit.Dynamic, 0, uint32(from), uint32(len(dst)-from)
		if s.same {
			o.Value.Form, o.Value.Start, o.Value.Size = wit.Unchanged, 0, 0
		}
		o.Headers.Form, o.Headers.Schema, o.Headers.Start, o.Headers.Size = wit.Unchanged, 0, 0, 0
	}
	e.rows, e.data = out[:at], dst
	p.misses = max(0, p.misses-(n-start))
	return n
}

// sameKey compares by words. There are 8 bytes to read behind either.
func sameKey(at unsafe.Pointer, key []byte) bool {
	to := unsafe.Pointer(unsafe.SliceData(key))
	n := len(key)
	for ; n >= 8; n -= 8 {
		if *(*uint64)(at) != *(*uint64)(to) {
			return false
		}
		at, to = unsafe.Add(at, 8), unsafe.Add(to, 8)
	}
	// shifting by 64 gives 0: nothing is left to compare
	return (*(*uint64)(at)^*(*uint64)(to))<<(64-8*n) == 0
}

// skipScalar is the size of the dynamic value at the start of b, 0 where it is no plain one or its bytes are bad.
func skipScalar(b []byte) int {
	switch b[0] {
	case datum.TagNull, datum.TagFalse, datum.TagTrue:
		return 1
	case datum.TagInt64:
		for i := 1; i < len(b) && i < 10; i++ {
			if b[i] < 0x80 {
				return i + 1
			}
		}
	case datum.TagFloat64:
		if len(b) >= 9 {
			return 9
		}
	case datum.TagText:
		if len(b) < 3 {
			return 0
		}
		n, head := int(b[1]), 2
		if n >= 0x80 {
			if b[2] >= 0x80 {
				return 0
			}
			n, head = n&0x7f|int(b[2])<<7, 3
		}
		if n&1 == 0 && n>>1 <= len(b)-head {
			return head + n>>1
		}
	}
	return 0
}
