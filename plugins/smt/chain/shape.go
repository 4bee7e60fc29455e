package chain

import (
	"math/bits"
	"slices"
	"unsafe"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// shape is what a plan made of the last map that it saw: the names in their order, and the parts of the result. Steps
// look at no more of values than their tags, by which a part chooses, so another map of the same names, in a row that
// has the same attributes, comes to the same parts.
type shape struct {
	program
	// head is the tag and the count; keys are the keys.
	head    []byte
	keys    []shapeKey
	choices []choice
	has     attributes
	size    int
}

// shapeKey is a key with its tag, and its first words under their masks. Room behind it is for reading words.
type shapeKey struct {
	bytes       []byte
	words, mask [2]uint64
}

func newShapeKey(key []byte) shapeKey {
	k := shapeKey{bytes: append(make([]byte, 0, len(key)+8), key...)}
	for i, b := range key[:min(len(key), 16)] {
		k.words[i/8] |= uint64(b) << (i % 8 * 8)
		k.mask[i/8] |= 0xff << (i % 8 * 8)
	}
	return k
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
	s := &shape{has: attributesOf(row), choices: slices.Clone(m.choices)}
	var original entries
	original.read(before)
	for _, e := range original.list {
		s.keys = append(s.keys, newShapeKey(e.key))
	}
	s.head = datum.AppendNumber([]byte{datum.TagMap}, int64(len(original.list)))
	s.same = !m.changed
	s.join(part{from: constant, bytes: datum.AppendNumber([]byte{datum.TagMap}, int64(len(m.list)))})
	for i := range m.list {
		e := &m.list[i]
		if e.keyAt >= 0 && e.keyAt == e.valueAt && e.choice == nil {
			s.join(part{from: input, first: 2 * e.keyAt, last: 2*e.keyAt + 1})
			continue
		}
		s.join(part{from: constant, bytes: e.key})
		switch {
		case e.choice != nil:
			s.join(part{from: chosen, first: 2*e.valueAt + 1, choice: e.choice})
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
		for k := range s.keys {
			*(*uint32)(unsafe.Add(ends, k*8)) = uint32(i)
			key := &s.keys[k]
			size := uint64(len(key.bytes))
			if i+size+8 > uint64(len(data)) || (*(*uint64)(unsafe.Add(base, i))^key.words[0])&key.mask[0] != 0 {
				break loop
			}
			if size > 8 && ((*(*uint64)(unsafe.Add(base, i+8))^key.words[1])&key.mask[1] != 0 ||
				size > 16 && !sameKey(unsafe.Add(base, i+16), key.bytes[16:])) {
				break loop
			}
			i += size
			*(*uint32)(unsafe.Add(ends, k*8+4)) = uint32(i)
			if i >= end {
				break loop
			}
			// what is skipped here may run past the end: that is told by the next key, or behind the last
			tag := *(*byte)(unsafe.Add(base, i))
			switch tag {
			case datum.TagNull, datum.TagFalse, datum.TagTrue:
				i++
				continue
			case datum.TagText, datum.TagBytes:
				if i+3 > end {
					break
				}
				n, head := uint64(*(*byte)(unsafe.Add(base, i+1))), uint64(2)
				if n >= 0x80 {
					next := uint64(*(*byte)(unsafe.Add(base, i+2)))
					if next >= 0x80 {
						break // 8 KiB and more
					}
					n, head = n&0x7f|next<<7, 3
				}
				if n&1 == 0 {
					i += head + n>>1
					continue
				}
			case datum.TagInt8, datum.TagInt16, datum.TagInt32, datum.TagInt64:
				if i+9 > uint64(len(data)) {
					break
				}
				stop := ^*(*uint64)(unsafe.Add(base, i+1)) & 0x8080808080808080
				// this many bytes always fit; no stop counts as 9
				if n := bits.TrailingZeros64(stop)/8 + 1; n <= 1<<(tag-datum.TagInt8) {
					i += 1 + uint64(n)
					continue
				}
			case datum.TagFloat64:
				i += 9
				continue
			}
			other, err := datum.SkipDynamic(data[i:end])
			if err != nil {
				break loop
			}
			i += uint64(other)
		}
		if i != end {
			break
		}
		*(*uint32)(unsafe.Add(ends, len(s.keys)*8)) = uint32(i)
		for k := range s.choices {
			c := &s.choices[k]
			if c.by[data[e.ends[2*c.valueAt+1]]] == nil {
				break loop
			}
		}
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
