package write

import (
	"strconv"
	"unicode/utf8"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
)

// appendCommon writes the value of a primitive property if it is of a usual kind and fits, with the same result as
// [value.Convert], but without allocating. Most values are of one. ok is false if the value has to be converted.
func (m *member) appendCommon(dst []byte, json bool) (_ []byte, ok bool) {
	if m.key != nil {
		return dst, false
	}
	kind := m.value.kind()
	n, p := m.value.schema(), m.property
	switch t := p.Type.Primitive; {
	case kind == wit.Text && t == edm.String:
		text := m.value.block()
		switch {
		case p.Length > 0 && len(text) > p.Length && utf8.RuneCount(text) > p.Length, !utf8.Valid(text):
			return dst, false
		case json:
			return jsontext.AppendText(dst, text), true
		}
		return appendXML(dst, text), storable(text)
	case kind == wit.Int64 && (t == edm.DateTime || t == edm.DateTimeOffset):
		if n != nil && n.Name != nil && *n.Name != wit.NameTimestamp {
			return dst, false
		}
		v := m.value.number()
		return value.AppendInstant(dst, t, v, json)
	case kind <= wit.Int64 && (n == nil || n.Name == nil):
		least, most, bounded := t.Bounds()
		v := m.value.number()
		switch {
		case !bounded || v < least || v > most:
			return dst, false
		case json && t == edm.Int64:
			return append(strconv.AppendInt(append(dst, '"'), v, 10), '"'), true
		}
		return strconv.AppendInt(dst, v, 10), true
	case kind == wit.Bytes && t == edm.Decimal && !p.VariableScale:
		content := m.value.block()
		scale := value.SmallScale(n)
		if scale < 0 || scale > p.Scale || len(content) == 0 || len(content) > 8 {
			return dst, false
		}
		return appendDecimal(dst, content, scale, p, json)
	}
	return dst, false
}

// appendDecimal writes a decimal of up to eight bytes, whose scale is not greater than the property's.
func appendDecimal(dst, content []byte, scale int, p *edm.Property, json bool) (_ []byte, ok bool) {
	unscaled := int64(int8(content[0]))
	for _, c := range content[1:] {
		unscaled = unscaled<<8 | int64(c)
	}
	var memory [24]byte
	digits := strconv.AppendInt(memory[:0], unscaled, 10)
	negative := unscaled < 0
	if negative {
		digits = digits[1:]
	}
	if p.Precision > 0 && len(digits)-scale > max(p.Precision-p.Scale, 0) && unscaled != 0 {
		return dst, false
	}
	if json {
		dst = append(dst, '"')
	}
	if negative {
		dst = append(dst, '-')
	}
	switch before := len(digits) - scale; {
	case scale == 0:
		dst = append(dst, digits...)
	case before <= 0:
		dst = append(dst, "0."...)
		for ; before < 0; before++ {
			dst = append(dst, '0')
		}
		dst = append(dst, digits...)
	default:
		dst = append(append(append(dst, digits[:before]...), '.'), digits[before:]...)
	}
	if json {
		dst = append(dst, '"')
	}
	return dst, true
}
