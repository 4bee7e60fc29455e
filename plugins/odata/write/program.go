package write

import (
	"math"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// roomy is a text with room after it, as the assembly wants it.
func roomy(text []byte) (at unsafe.Pointer, size int) {
	return unsafe.Pointer(unsafe.SliceData(append(make([]byte, 0, len(text)+encode.Room), text...))), len(text)
}

// field is what is known of a field that is written, or left out, whatever its value is like.
func (c *slot) field(updates bool) (f encode.Field, writes bool) {
	if c == nil {
		return f, false
	}
	f.Key = c.key + 1
	writes = updates && c.updated || !updates && c.inserted
	if writes {
		f.Before, f.Size = roomy(c.before)
		f.Behind, f.BehindSize = roomy(c.after)
		f.None, f.NoneSize = roomy(c.none)
		if c.null {
			f.Writes = 1
		}
	}
	f.Least, f.Most = math.MinInt64, math.MaxInt64
	return f, writes
}

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
func (m *flatMember) field(updates bool) encode.Field {
	f, writes := m.slot.field(updates)
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
		case !writes && m.slot.keyed() && (!m.slot.bounded || m.timed):
		case !writes:
			f.Kind = encode.SkipNumber
		case m.slot.bounded && !m.timed:
			f.Kind = m.slot.integer(&f)
		default:
			f.Kind = m.slot.moment(&f, m.unit)
		}
	case wit.Boolean:
		switch {
		case !writes && m.slot.keyed():
		case !writes:
			f.Kind = encode.SkipNumber
		case m.slot.property.Type.Primitive == edm.Boolean:
			f.Kind = encode.Boolean
		}
	case wit.Text:
		switch {
		case writes:
			f.Kind = m.slot.text(&f)
		case !m.slot.keyed() || m.slot.property.Type.Primitive == edm.String:
			f.Kind, f.Unit = encode.SkipBlock, 1
		}
	case wit.Bytes:
		switch {
		case writes:
			f.Kind = m.slot.decimal(&f, m.scale)
		case !m.slot.keyed():
			f.Kind = encode.SkipBlock
		}
	}
	return f
}

// field is that of a field of a schemaless row.
func (e *expectedField) field(updates bool) encode.Field {
	f, writes := e.slot.field(updates)
	f.Raw, f.RawSize = roomy(datum.AppendText([]byte{datum.TagText}, e.name))
	f.RawMask = 1<<(8*uint(f.RawSize-(f.RawSize-1)/8*8)) - 1
	set := func(tag byte, kind uint64) { f.Kinds |= kind << (4 * tag) }
	set(datum.TagNull, encode.Null)
	integers := []byte{datum.TagInt8, datum.TagInt16, datum.TagInt32, datum.TagInt64}
	if !writes {
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
