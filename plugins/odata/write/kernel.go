package write

import (
	"runtime"
	"slices"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/encode"
)

// bodyMemory is memory for bodies of requests, a piece of which is used once; longest is how long the longest one was.
// object and places are of the row at work.
type bodyMemory struct {
	chunk   []byte
	longest int
	object  encode.Object
	places  []encode.Place
}

// bodiesChunk is the least memory that bodies are written to, several to a piece, and maxChunk the most: a row that
// is large has one for itself, and those after it none of its size.
const bodiesChunk, maxChunk = 64 << 10, 1 << 20

// reused: memory of what a call has made is used by the next one, when the host has copied it. Outside of a host, tests
// go on looking at it.
const reused = runtime.GOARCH == "wasm"

// write writes a row, from its first field on. [encode.Room] bytes of memory are after it.
func (m *bodyMemory) write(w *walk, updates bool) (body []byte, ok bool) {
	want := min(2*m.longest, maxChunk/2)
	chunk := max(bodiesChunk, 2*want, min(2*cap(m.chunk), maxChunk))
	if size := len(w.b); size > bodiesChunk {
		want = size + size/8 + bodiesChunk
		chunk = want
	}
	if free := cap(m.chunk) - len(m.chunk); free < want || free == 0 {
		m.chunk = make([]byte, 0, chunk)
	}
	start := len(m.chunk)
	dst, ok := m.members(w, updates, append(m.chunk, w.f.opening...))
	switch {
	case !ok:
		return nil, false
	case w.f.opening != nil:
		dst = append(dst, w.f.ending...)
	case len(dst) == start:
		dst = append(dst, "{}"...)
	default:
		dst[start] = '{' // the first member has a comma before it, as all have
		dst = append(dst, '}')
	}
	if cap(dst)-len(dst) < encode.Room {
		dst = slices.Grow(dst, encode.Room)
	}
	m.chunk = dst
	m.longest = max(m.longest, len(dst)-start)
	return dst[start:len(dst):len(dst)], true
}

// program is that of the row's fields, nil where they are not known beforehand.
func (w *walk) program(updates bool) program {
	switch {
	case w.count == 0:
		return nil
	case w.k != nil:
		return w.k.programs.of(updates, w.count, func(i int) encode.Field { return w.k.members[i].field(updates) })
	case len(w.f.expected) == w.count:
		return w.f.programs.of(updates, w.count, func(i int) encode.Field { return w.f.expected[i].field(updates) })
	}
	return nil
}

// members appends the fields of a row as members of a JSON object, each with a comma before it, or as elements. ok is
// false where the row must go the long way. Afterwards places says where keys stand, if they are integers or
// texts.
func (m *bodyMemory) members(w *walk, updates bool, dst []byte) (_ []byte, ok bool) {
	end := w.base + len(w.b)
	fields := w.program(updates)
	if end+encode.Room > len(w.data) || len(fields) == 0 {
		fields = nil
	}
	m.places = append(m.places[:0], make([]encode.Place, w.f.keys+1)...) // one more, so that there is one
	s := &m.object
	for !w.done() {
		if fields != nil && cap(dst)-len(dst) > encode.Room {
			*s = encode.Object{In: unsafe.Pointer(unsafe.SliceData(w.data)), At: w.base + w.at, End: end,
				Out: unsafe.Pointer(unsafe.SliceData(dst)), O: len(dst), Limit: cap(dst) - encode.Room,
				Fields: unsafe.Pointer(unsafe.SliceData(fields)), Next: w.next, Count: w.count,
				Keys: &m.places[0]}
			if w.k == nil {
				s.Named = 1
			}
			if w.f.opening != nil {
				s.XML = 1
			}
			stopped := encode.Members(s)
			dst, w.at, w.next = dst[:s.O], s.At-w.base, s.Next
			if stopped == encode.Done {
				break
			}
		}
		if !w.field() {
			return nil, false
		}
		if w.changed {
			fields = nil
		}
		c := w.slot
		if c.keyed() && (w.kind == kindNumber && c.bounded && !w.timed() ||
			w.kind == kindText && c.property.Type.Primitive == edm.String) {
			from := w.from
			if w.k == nil || w.member.node.Optional { // after the tag or the branch
				from++
			}
			m.places[c.key] = encode.Place{From: w.base + from, To: w.base + w.at}
		}
		switch {
		case c == nil, updates && !c.updated, !updates && !c.inserted, w.kind == kindNull && !c.null:
			continue
		}
		if w.kind == kindNull {
			dst = append(dst, c.none...)
			continue
		}
		if dst, ok = w.append(append(dst, c.before...)); !ok {
			if w.misfit == nil {
				_, w.misfit = w.converted()
			}
			if w.misfit == errUnread {
				w.misfit = nil
			}
			return nil, false
		}
		dst = append(dst, c.after...)
	}
	return dst, w.at == len(w.b)
}
