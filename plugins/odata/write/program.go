package write

import (
	"math"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// A program is what [encode.Members] needs to know of a row's fields, one for inserts and one for updates.

// program is made of the slots of fields.
type program []encode.Field

// roomy is a text with room after it, as the assembly wants it.
func roomy(text []byte) (at unsafe.Pointer, size int) {
	return unsafe.Pointer(unsafe.SliceData(append(make([]byte, 0, len(text)+encode.Room), text...))), len(text)
}

// field is what is known of a field that is written, or left out, whatever its value is like.
func (c *slot) field(updates bool) (f encode.Field, written bool) {
	if c == nil {
		return f, false
	}
	f.Key = c.key + 1
	written = updates && c.updated || !updates && c.inserted
	if written {
		f.Before, f.Size = roomy(c.before)
		f.Behind, f.BehindSize = roomy(c.after)
		f.None, f.NoneSize = roomy(c.none)
		if c.null {
			f.Writes = 1
		}
	}
	f.Least, f.Most = math.MinInt64, math.MaxInt64
	return f, written
}

// keyed tells whether it is of a key property: its value is looked at where it stands in the row, so that none of
// another type may be passed over.
func (c *slot) keyed() bool { return c != nil && c.key >= 0 }

// integer is the kind of integers, none of which is a date or time.
func (c *slot) integer(f *encode.Field) uint64 {
	f.Least, f.Most = max(f.Least, int(c.least)), min(f.Most, int(c.most))
	if c.property.Type.Primitive == edm.Int64 && !c.xml {
		return encode.Quoted
	}
	return encode.Number
}

// text is the kind of texts.
func (c *slot) text(f *encode.Field) uint64 {
	p := c.property
	switch p.Type.Primitive {
	case edm.String, edm.Guid:
		if p.Length > 0 {
			f.Most = p.Length
		}
		return encode.Text
	case edm.Decimal:
		if p.VariableScale || p.Scale < 0 {
			return encode.Other
		}
		f.Scale = p.Scale
		if p.Precision > 0 {
			f.Most = max(p.Precision-p.Scale, 0)
		}
		return encode.DecimalText
	case edm.DateTime:
		return encode.Instant
	case edm.DateTimeOffset:
		return encode.InstantOffset
	}
	return encode.Other
}

// moment is the kind of integers that are points in time, units of so many milliseconds.
func (c *slot) moment(f *encode.Field, unit int64) uint64 {
	f.Unit = int(unit)
	switch t := c.property.Type.Primitive; {
	case c.xml: // whose dates have years, months and days
	case unit > 0 && t == edm.DateTime:
		return encode.Date
	case unit > 0 && t == edm.DateTimeOffset:
		return encode.DateOffset
	}
	return encode.Other
}

// decimal is the kind of unscaled numbers of a scale.
func (c *slot) decimal(f *encode.Field, scale int) uint64 {
	p := c.property
	if p.Type.Primitive != edm.Decimal || p.VariableScale || scale < 0 || scale > min(p.Scale, 8) {
		return encode.Other
	}
	power := func(n int) int {
		all := 1
		for range n {
			all *= 10
		}
		return all
	}
	f.Unit, f.Power, f.Bound = scale, power(scale), math.MaxInt64
	if most := max(p.Precision-p.Scale, 0) + scale; p.Precision > 0 && most <= 18 {
		f.Bound = power(most)
	}
	return encode.Decimal
}

// field is that of a member of a structure.
func (m *member) field(updates bool) encode.Field {
	f, written := m.slot.field(updates)
	if m.node.Optional {
		f.Optional = 1
		if m.node.DefaultValue != nil {
			f.Null = 2
		}
	}
	switch n := m.node; n.Kind {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		bits := 8 << (n.Kind - wit.Int8)
		f.Least, f.Most = -1<<(bits-1), 1<<(bits-1)-1
		switch {
		case !written && m.slot.keyed() && (!m.slot.bounded || m.timed):
		case !written:
			f.Kind = encode.SkipNumber
		case m.slot.bounded && !m.timed:
			f.Kind = m.slot.integer(&f)
		default:
			f.Kind = m.slot.moment(&f, m.unit)
		}
	case wit.Boolean:
		switch {
		case !written && m.slot.keyed():
		case !written:
			f.Kind = encode.SkipNumber
		case m.slot.property.Type.Primitive == edm.Boolean:
			f.Kind = encode.Boolean
		}
	case wit.Text:
		switch {
		case written:
			f.Kind = m.slot.text(&f)
		case !m.slot.keyed() || m.slot.property.Type.Primitive == edm.String:
			f.Kind, f.Unit = encode.SkipBlock, 1
		}
	case wit.Bytes:
		switch {
		case written:
			f.Kind = m.slot.decimal(&f, m.scale)
		case !m.slot.keyed():
			f.Kind = encode.SkipBlock
		}
	}
	return f
}

// field is that of a field of a schemaless row.
func (e *expected) field(updates bool) encode.Field {
	f, written := e.slot.field(updates)
	f.Raw, f.RawSize = roomy(datum.AppendText([]byte{datum.TagText}, e.name))
	f.RawMask = 1<<(8*uint(f.RawSize-(f.RawSize-1)/8*8)) - 1
	set := func(tag byte, kind uint64) { f.Kinds |= kind << (4 * tag) }
	set(datum.TagNull, encode.Null)
	integers := []byte{datum.TagInt8, datum.TagInt16, datum.TagInt32, datum.TagInt64}
	if !written {
		f.Unit = 1
		for _, tag := range integers {
			if !e.slot.keyed() || e.slot.bounded {
				set(tag, encode.SkipNumber)
			}
		}
		if !e.slot.keyed() || e.slot.property.Type.Primitive == edm.String {
			set(datum.TagText, encode.SkipBlock)
		}
		return f
	}
	if e.slot.property.Type.Primitive == edm.Boolean {
		set(datum.TagFalse, encode.False)
		set(datum.TagTrue, encode.True)
	}
	if e.slot.bounded {
		kind := e.slot.integer(&f)
		for _, tag := range integers {
			set(tag, kind)
		}
	} else {
		set(datum.TagText, e.slot.text(&f))
		set(datum.TagInt64, e.slot.moment(&f, 1))
	}
	return f
}

// programs are those of a kernel, or of the rows without schema of a set: for inserts and for updates.
type programs [2]program

// of is the program for inserts or updates, made once.
func (p *programs) of(updates bool, fields int, field func(i int) encode.Field) program {
	at := 0
	if updates {
		at = 1
	}
	if len(p[at]) != fields {
		p[at] = make(program, fields)
		for i := range p[at] {
			p[at][i] = field(i)
		}
	}
	return p[at]
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
// false where the row must go the long way. Afterwards e.p.body.places says where keys stand, if they are integers or
// texts.
func (e *encoding) members(w *walk, updates bool, dst []byte) (_ []byte, ok bool) {
	end := int(e.row.Value.Start + e.row.Value.Size)
	fields := w.program(updates)
	if end+encode.Room > len(e.data) || len(fields) == 0 {
		fields = nil
	}
	base := int(e.row.Value.Start)
	e.p.body.places = append(e.p.body.places[:0], make([]encode.Place, w.f.keys+1)...) // one more, so that there is one
	s := &e.p.body.object
	for !w.done() {
		if fields != nil && cap(dst)-len(dst) > encode.Room {
			*s = encode.Object{In: unsafe.Pointer(unsafe.SliceData(e.data)), At: base + w.at, End: end,
				Out: unsafe.Pointer(unsafe.SliceData(dst)), O: len(dst), Limit: cap(dst) - encode.Room,
				Fields: unsafe.Pointer(unsafe.SliceData(fields)), Next: w.next, Count: w.count,
				Keys: &e.p.body.places[0]}
			if w.k == nil {
				s.Named = 1
			}
			if w.f.opening != nil {
				s.XML = 1
			}
			stopped := encode.Members(s)
			dst, w.at, w.next = dst[:s.O], s.At-base, s.Next
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
		if c.keyed() && (w.kind == number && c.bounded && !w.timed() ||
			w.kind == text && c.property.Type.Primitive == edm.String) {
			from := w.from
			if w.k == nil || w.member.node.Optional { // after the tag or the branch
				from++
			}
			e.p.body.places[c.key] = encode.Place{From: base + from, To: base + w.at}
		}
		switch {
		case c == nil, updates && !c.updated, !updates && !c.inserted, w.kind == null && !c.null:
			continue
		}
		if w.kind == null {
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
