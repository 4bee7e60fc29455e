package decode

import (
	"bytes"
	"math/bits"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/decode/fast"
)

// fastJSON reads rows of verbose JSON that are like those before them.
type fastJSON struct {
	fastRows
	d      *JSON
	reader jsonReader
}

func newFastJSON(d *JSON) *fastJSON {
	return &fastJSON{fastRows: newFastRows(d.s.layout), d: d}
}

// rows reads as many rows as it can, from the row at p on. It returns where it stopped: in front of a row, or behind the array's
// end; progress is false if it could not read the row at p.
func (f *fastJSON) rows(p int, out *Output) (next int, closed, progress bool) {
	f.buf, f.out = f.d.s.buf, out
	in := unsafe.Pointer(unsafe.SliceData(f.buf))
	for {
		f.room(out, len(f.buf)-p)
		start := len(out.Data)
		arena := unsafe.Pointer(unsafe.SliceData(out.Data))
		q, o, mixed := f.read(in, p, arena, start)
		if q < 0 {
			return p, false, progress
		}
		if mixed {
			if need := o - start + len(f.spans) + 2*fast.Room; cap(out.Data)-o < need {
				f.grow(out, o, need)
			}
			if o = f.sort(unsafe.Pointer(unsafe.SliceData(out.Data)), start, o); o < 0 {
				return p, false, progress
			}
		}
		// What is behind the row must be right, as the plain parser has it, before the row counts.
		if fast.Byte(in, q) == ',' && fast.Byte(in, q+1) == '{' {
			next = q + 1
		} else {
			var err *syntax
			if next, closed, err = jsonNext(f.buf, q, ']'); err != nil {
				return p, false, progress
			}
		}
		out.Data = out.Data[:o]
		if m := finishRow(out, f.l, f.d.s.page.Rows, start, f.spans); m != nil {
			out.Data = out.Data[:start]
			return p, false, progress
		}
		f.d.s.page.Rows++
		progress = true
		if closed || next >= len(f.buf) || f.buf[next] != '{' {
			return next, closed, true
		}
		p = next
	}
}

// grow makes room for n more bytes behind o in the output.
func (f *fastRows) grow(out *Output, o, n int) {
	size := len(out.Data)
	grown := make([]byte, o, (o+n)*5/4)
	copy(grown, out.Data[:o])
	out.Data = grown[:size]
}

// read reads the row at p and writes its columns at o. q is behind the row, -1 if the plain parser must read it; mixed: the
// columns came in another order.
func (f *fastJSON) read(in unsafe.Pointer, p int, arena unsafe.Pointer, o int) (q, end int, mixed bool) {
	f.row++
	prev, e := &f.head, f.head.next
	// of the separator in front of the first member, { stands for the comma
	first := ^uint64(0xff)
	expected := 0
	for {
		if (fast.Load(in, p)^e.words[0])&e.masks[0]&first|(fast.Load(in, p+8)^e.words[1])&e.masks[1]|
			(fast.Load(in, p+16)^e.words[2])&e.masks[2]|e.bias != 0 {
			if e, p = f.find(in, p, prev, first != ^uint64(0)); p < 0 {
				return -1, 0, false
			}
		} else {
			p += e.size
		}
		if e.kind >= fastSkip {
			if e.kind == fastEnd {
				if !mixed && expected < len(f.spans) {
					if o = f.nulls(arena, o, expected, len(f.spans)); o < 0 {
						return -1, 0, false
					}
				}
				return p, o, mixed
			}
			if p = f.pass(in, p, e); p < 0 {
				return -1, 0, false
			}
			prev, e, first = e, e.next, ^uint64(0)
			continue
		}
		c := e.column
		if c != expected {
			if c < expected && f.stamps[c] == f.row {
				return -1, 0, false
			}
			behind := -1
			if c > expected && !mixed && c-expected <= 3 {
				behind = f.nulls(arena, o, expected, c)
			}
			if behind < 0 {
				mixed = true
			} else {
				o = behind
			}
		}
		start := o
		switch v := fast.Byte(in, p); {
		case v == '"' && e.kind == fastText:
			p++
			fast.Put(arena, o, 2)
			o += e.optional
			text := o + e.width
			s := text
			var ascii uint64
			for {
				x := fast.Load(in, p)
				fast.Store(arena, s, x)
				m := (((x ^ fast.Ones*0x02) - fast.Ones*0x21) | ((x ^ fast.Ones*'\\') - fast.Ones)) &^ x & fast.Highs
				if m == 0 {
					ascii |= x
					p, s = p+8, s+8
					if s-text < 48 {
						continue
					}
					n, high := fast.Copy(unsafe.Add(arena, s), unsafe.Add(in, p), &fast.JSONText)
					ascii |= high
					p, s = p+n, s+n
				} else {
					k := bits.TrailingZeros64(m) & 56
					ascii |= x & (1<<k - 1)
					p, s = p+k>>3, s+k>>3
				}
				if fast.Byte(in, p) == '"' {
					p++
					break
				}
				if p, s = f.escape(in, p, arena, s); p < 0 {
					return -1, 0, false
				}
			}
			if o = f.sealText(arena, o, text, s-text, e, ascii); o < 0 {
				return -1, 0, false
			}
		case v == 'n':
			if uint32(fast.Load(in, p)) != 'n'|'u'<<8|'l'<<16|'l'<<24 || e.optional == 0 {
				return -1, 0, false
			}
			fast.Put(arena, o, 0)
			p, o = p+4, o+1
		default:
			if p, o = f.value(in, p, e, arena, o); p < 0 {
				return -1, 0, false
			}
			arena = unsafe.Pointer(unsafe.SliceData(f.out.Data))
		}
		f.spans[c] = span{start, o}
		f.stamps[c] = f.row
		if c >= expected {
			expected = c + 1
		}
		prev, e, first = e, e.next, ^uint64(0)
	}
}

// sealText writes the length in front of a text of n bytes, which may have to move for it, and returns the place behind it.
func (f *fastRows) sealText(arena unsafe.Pointer, o, text, n int, e *fastEntry, ascii uint64) int {
	if ascii&fast.Highs != 0 && !validUTF8(unsafe.Slice((*byte)(unsafe.Add(arena, text)), n)) {
		return -1
	}
	if n < 64 && e.width == 1 {
		fast.Put(arena, o, byte(n<<1))
		return o + 1 + n
	}
	if n >= 64 && n < 8192 && e.width == 2 {
		fast.Put(arena, o, byte(n<<1)|0x80)
		fast.Put(arena, o+1, byte(n>>6))
		return o + 2 + n
	}
	var length [10]byte
	width := fast.PutNumber(unsafe.Pointer(&length), 0, int64(n))
	if width != e.width {
		copy(unsafe.Slice((*byte)(unsafe.Add(arena, o+width)), n), unsafe.Slice((*byte)(unsafe.Add(arena, text)), n))
		e.width = width
	}
	copy(unsafe.Slice((*byte)(unsafe.Add(arena, o)), width), length[:])
	return o + width + n
}

// escape resolves the escape at p.
func (f *fastJSON) escape(in unsafe.Pointer, p int, arena unsafe.Pointer, s int) (int, int) {
	if fast.Byte(in, p) != '\\' {
		return -1, 0
	}
	c := fast.Byte(in, p+1)
	if c == 'u' {
		rest := f.buf[p:]
		r, size := escapedRune(rest)
		if size == 0 {
			return -1, 0
		}
		return p + size, s + putRune(arena, s, r)
	}
	plain := unescaped(c)
	if plain == 0 {
		return -1, 0
	}
	fast.Put(arena, s, plain)
	return p + 2, s + 1
}

// value reads a value that is no plain text; p is at it.
func (f *fastJSON) value(in unsafe.Pointer, p int, e *fastEntry, arena unsafe.Pointer, o int) (int, int) {
	q, end := -1, 0
	quote := 0
	if fast.Byte(in, p) == '"' {
		quote = 1
	} else if e.kind >= fastInteger && e.kind <= fastDouble && leadingZero(in, p) {
		return f.slow(in, p, e, o)
	}
	switch e.kind {
	case fastInteger:
		q, end = putInteger(in, p+quote, e, arena, o)
	case fastDecimal:
		q, end = putDecimal(in, p+quote, e, arena, o)
	case fastDouble:
		q, end = putDouble(in, p+quote, e, arena, o)
	case fastBoolean:
		q, end = putBoolean(in, p+quote, e, arena, o)
	case fastGUID:
		if quote == 1 {
			q, end = putGUID(in, p+1, e, arena, o)
		}
	case fastMoment:
		return f.moment(in, p, e, arena, o)
	}
	if q > 0 && quote == 1 {
		if fast.Byte(in, q) != '"' {
			return f.slow(in, p, e, o)
		}
		return q + 1, end
	}
	if q < 0 {
		return f.slow(in, p, e, o)
	}
	// a number that goes on is not what was read
	if c := fast.Byte(in, q); c != ',' && c != '}' && !isXMLSpace(c) {
		return f.slow(in, p, e, o)
	}
	return q, end
}

// leadingZero: JSON has no numbers that begin with 0 and another digit.
func leadingZero(in unsafe.Pointer, p int) bool {
	if fast.Byte(in, p) == '-' {
		p++
	}
	return fast.Byte(in, p) == '0' && fast.Byte(in, p+1)-'0' <= 9
}

// moment reads "\/Date(…)\/", with or without backslashes, and ISO 8601.
func (f *fastJSON) moment(in unsafe.Pointer, p int, e *fastEntry, arena unsafe.Pointer, o int) (int, int) {
	const (
		escaped = '"' | '\\'<<8 | '/'<<16 | 'D'<<24 | 'a'<<32 | 't'<<40 | 'e'<<48 | '('<<56
		plain   = '"' | '/'<<8 | 'D'<<16 | 'a'<<24 | 't'<<32 | 'e'<<40 | '('<<48
		close4  = ')' | '\\'<<8 | '/'<<16 | '"'<<24
		close3  = ')' | '/'<<8 | '"'<<16
	)
	w := fast.Load(in, p)
	q, end := -1, 0
	switch {
	case w == escaped:
		q, end = putTicks(in, p+8, e, arena, o)
		if q > 0 && uint32(fast.Load(in, q)) == close4 {
			return q + 4, end
		}
	case w&0xffffffffffffff == plain:
		q, end = putTicks(in, p+7, e, arena, o)
		if q > 0 && fast.Load(in, q)&0xffffff == close3 {
			return q + 3, end
		}
	case byte(w) == '"':
		q, end = putISO(in, p+1, e, arena, o)
		if q > 0 && fast.Byte(in, q) == '"' {
			return q + 1, end
		}
	}
	return f.slow(in, p, e, o)
}

// slow lets the plain parser read one value.
func (f *fastJSON) slow(in unsafe.Pointer, p int, e *fastEntry, o int) (int, int) {
	end, err := jsonValue(f.buf, p, f.d.s.limits.Depth-1)
	if err != nil {
		return -1, 0
	}
	r := &f.reader
	r.d, r.row, r.hole, r.deleted = f.d, f.buf, hole{}, false
	if len(f.d.s.levels) == 0 {
		f.d.s.level(0, f.l)
	}
	f.d.s.levels[0].path = ""
	known := len(f.d.s.page.Unknown)
	dst, m := r.column(f.out.Data[:o], f.l, e.column, span{p, end}, 0)
	if reported := f.d.s.page.Unknown[known:]; len(reported) > 0 {
		// the plain parser is to say so
		for _, path := range reported {
			delete(f.d.s.unknown, path)
		}
		f.d.s.page.Unknown = f.d.s.page.Unknown[:known]
		return -1, 0
	}
	if m != nil || r.hole.found {
		return -1, 0
	}
	o = len(dst)
	size := len(f.out.Data)
	f.out.Data = dst[:size]
	if need := len(f.buf) - end + 48*len(f.spans) + 2*fast.Room; cap(dst)-o < need {
		f.grow(f.out, o, need)
	}
	return end, o
}

// pass passes the value of a member that is no column.
func (f *fastJSON) pass(in unsafe.Pointer, p int, e *fastEntry) int {
	if e.skip.Learned() {
		if n := e.skip.Match(unsafe.Add(in, p)); n > 0 {
			return p + n
		}
	}
	end, err := jsonValue(f.buf, p, f.d.s.limits.Depth-1)
	if err != nil {
		return -1
	}
	value := f.buf[p:end]
	if !e.free && !deferredValue(value) {
		return -1
	}
	if c := value[0]; e.lessons > 0 && (c == '{' || c == '[' || c == '"') && len(value) < 4096 {
		e.lessons--
		jsonTemplate(&e.skip, value)
	}
	return end
}

func deferredValue(value []byte) bool {
	return value[0] == '{' && bytes.HasPrefix(value[jsonSpace(value, 1):], []byte(`"__deferred"`))
}

// jsonTemplate makes a template of a value: what its strings hold are holes, all else is to be there again.
func jsonTemplate(t *fast.Template, value []byte) {
	t.Reset()
	for i := 0; i < len(value); {
		if value[i] != '"' {
			t.Text(value[i])
			i++
			continue
		}
		end, _ := jsonString(value, i)
		after := jsonSpace(value, end)
		name := after < len(value) && value[after] == ':'
		if name || bytes.IndexByte(value[i:end], '\\') >= 0 {
			t.Text(value[i:end]...)
		} else {
			t.Text('"')
			t.Hole(&fast.JSONText)
			t.Text('"')
		}
		i = end
	}
	t.Done()
}

// find looks for what stands at p, where the entry behind prev was expected: one of the next few, or any other by its name. It
// returns the place of its value; p -1: the plain parser must look.
func (f *fastJSON) find(in unsafe.Pointer, p int, prev *fastEntry, first bool) (*fastEntry, int) {
	const ahead = 4
	if !first {
		e := prev.next
		for i := 0; i < ahead && e != nil; i++ {
			if e.size > 0 && startsWith(in, p, e.text) {
				return e, p + e.size
			}
			e = e.next
		}
	}
	return f.findName(in, p, prev, first)
}

func (f *fastJSON) findName(in unsafe.Pointer, p int, prev *fastEntry, first bool) (*fastEntry, int) {
	b := f.buf
	from := p
	if first {
		if p >= len(b) || b[p] != '{' {
			return nil, -1
		}
		p++
	} else if p = jsonSpace(b, p); p >= len(b) {
		return nil, -1
	} else if b[p] == ',' {
		p++
	}
	comma := p > from && b[p-1] == ','
	if p = jsonSpace(b, p); p >= len(b) {
		return nil, -1
	}
	if b[p] == '}' {
		if comma {
			return nil, -1
		}
		prev.follows(&f.end)
		if !first && !bytes.Equal(f.end.text, b[from:p+1]) {
			f.end.learn(b[from : p+1])
		}
		return &f.end, p + 1
	}
	if b[p] != '"' || !first && !comma {
		return nil, -1
	}
	size := fast.Scan(unsafe.Add(in, p+1), &fast.JSONText)
	if p+1+size >= len(b) || b[p+1+size] != '"' {
		return nil, -1
	}
	name := b[p+1 : p+1+size]
	_, value, err := jsonName(b, p)
	if err != nil {
		return nil, -1
	}
	e := f.lookup(in, p+1, size)
	if e == nil {
		if e = f.unknown(name, value); e == nil {
			return nil, -1
		}
	}
	prev.follows(e)
	if !bytes.Equal(b[from+1:value], e.text[min(1, len(e.text)):]) {
		text := append(e.text[:0:0], b[from:value]...)
		if first {
			text[0] = ','
		}
		if text[0] == ',' {
			e.learn(text)
		}
	}
	return e, value
}

// unknown makes an entry for a member that is no column, if it may be passed without a word.
func (f *fastJSON) unknown(name []byte, value int) *fastEntry {
	switch {
	case bytes.IndexByte(name, '@') >= 0:
		// a deleted entry, perhaps
		return nil
	case isControl(name) || f.l.known[string(name)]:
		return f.newSkip(name, true)
	case f.d.s.unknown[string(name)]:
		f.reported = true
		return f.newSkip(name, true)
	case f.buf[value] == '{':
		return f.newSkip(name, false)
	}
	return nil
}
