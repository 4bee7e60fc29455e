package encode

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/scan"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// valueEncoding is how the values of a property are written.
type valueEncoding byte

const (
	encodeConverted   valueEncoding = iota // by [Convert]. The others have the same result without allocations.
	encodeText                             // a string as Edm.String
	encodeInstant                          // milliseconds since 1970 as Edm.DateTime or Edm.DateTimeOffset
	encodeInstantText                      // a date as a string
	encodeInteger
	encodeDecimal
	encodeDecimalText
	encodeBoolean
	encodeFloat32
	encodeFloat64
)

// setEncoding sets how values of a kind are written. node is their schema, nil for values without one.
func (p *propertyWriter) setEncoding(kind wit.Kind, node *wit.SchemaNode) {
	p.encoding = encodeConverted
	if p.property == nil || p.isCollection {
		return
	}
	isUnnamed := node == nil || node.Name == nil
	switch primitive := p.property.Type.Primitive; {
	case kind == wit.String && primitive == edm.String:
		p.encoding = encodeText
	case kind == wit.String && (primitive == edm.DateTime || primitive == edm.DateTimeOffset):
		p.encoding = encodeInstantText
	case kind == wit.String && primitive == edm.Decimal:
		p.encoding = encodeDecimalText
	case kind == wit.Int64 && (primitive == edm.DateTime || primitive == edm.DateTimeOffset) &&
		(isUnnamed || *node.Name == wit.NameTimestamp):
		p.encoding = encodeInstant
	case kind <= wit.Int64 && isUnnamed && p.min < p.max: // an integer in the record and in the property
		p.encoding = encodeInteger
	case kind == wit.Bytes && primitive == edm.Decimal && !p.property.VariableScale:
		if p.scale = value.SmallScale(node); p.scale >= 0 && p.scale <= p.property.Scale {
			p.encoding = encodeDecimal
		}
	case node == nil: // without a schema, the kinds below do not have the same bytes
	case kind == wit.Boolean && primitive == edm.Boolean:
		p.encoding = encodeBoolean
	case kind == wit.Float32 && isUnnamed && (primitive == edm.Single || primitive == edm.Double):
		p.encoding = encodeFloat32
	case kind == wit.Float64 && isUnnamed && primitive == edm.Double:
		p.encoding = encodeFloat64
	}
}

// appendFast writes a value of a frequent kind without allocations. raw starts with its bytes, after the union branch
// or tag. ok is false if [Convert] has to do it.
func (p *propertyWriter) appendFast(dst, raw []byte, form value.Form) (_ []byte, ok bool) {
	switch p.encoding {
	case encodeText:
		content := raw[1:]
		if size := raw[0]; size < 0x80 { // a zigzag varint of one byte
			content = content[:size>>1]
		} else {
			content, _ = connectdata.LengthPrefixed(raw)
		}
		maxLength := p.property.Length
		switch {
		case maxLength > 0 && len(content) > maxLength && utf8.RuneCount(content) > maxLength:
			return dst, false
		case form != value.Atom:
			return jsontext.AppendText(dst, content)
		case isPlainXML(content):
			return append(dst, content...), true
		}
		return appendXML(dst, content), scan.XMLAllows(content)
	case encodeInstant:
		v, _ := connectdata.Number(raw)
		return value.AppendInstant(dst, p.property.Type.Primitive, v, form)
	case encodeInstantText:
		content, _ := connectdata.LengthPrefixed(raw)
		return value.AppendInstantText(dst, p.property.Type.Primitive, content, form)
	case encodeInteger:
		v, _ := connectdata.Number(raw)
		switch {
		case v < p.min || v > p.max:
			return dst, false
		case form != value.Atom && p.property.Type.Primitive == edm.Int64:
			return append(jsontext.AppendInt(append(dst, '"'), v), '"'), true
		}
		return jsontext.AppendInt(dst, v), true
	case encodeDecimal:
		if content, _ := connectdata.LengthPrefixed(raw); len(content) > 0 && len(content) <= 8 {
			return appendDecimal(dst, content, p.scale, p.property, form)
		}
	case encodeDecimalText:
		content, _ := connectdata.LengthPrefixed(raw)
		switch {
		case !isPlainDecimal(content, p.property):
			return dst, false
		case form != value.Atom:
			dst = append(append(dst, '"'), content...)
			return append(dst, '"'), true
		}
		return append(dst, content...), true
	case encodeBoolean:
		return strconv.AppendBool(dst, raw[0] != 0), true
	case encodeFloat32:
		return appendFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))), 32)
	case encodeFloat64:
		return appendFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(raw)), 64)
	}
	return dst, false
}

// appendFloat writes a number. ok is false for infinity and not-a-number.
func appendFloat(dst []byte, number float64, bits int) (_ []byte, ok bool) {
	isFinite := !math.IsInf(number, 0) && !math.IsNaN(number)
	return strconv.AppendFloat(dst, number, 'g', -1, bits), isFinite
}

// appendDecimal writes a decimal whose unscaled value has at most eight bytes. ok is false if it has too many digits.
func appendDecimal(dst, content []byte, scale int, property *edm.Property, form value.Form) (_ []byte, ok bool) {
	unscaled := int64(int8(content[0]))
	for _, c := range content[1:] {
		unscaled = unscaled<<8 | int64(c)
	}
	var buffer [24]byte
	digits := jsontext.AppendInt(buffer[:0], unscaled)
	isNegative := unscaled < 0
	if isNegative {
		digits = digits[1:]
	}
	if property.Precision > 0 && len(digits)-scale > max(property.Precision-property.Scale, 0) && unscaled != 0 {
		return dst, false
	}
	if form != value.Atom {
		dst = append(dst, '"')
	}
	if isNegative {
		dst = append(dst, '-')
	}
	switch integerDigits := len(digits) - scale; {
	case scale == 0:
		dst = append(dst, digits...)
	case integerDigits <= 0:
		dst = append(dst, "0."...)
		for ; integerDigits < 0; integerDigits++ {
			dst = append(dst, '0')
		}
		dst = append(dst, digits...)
	default:
		dst = append(append(append(dst, digits[:integerDigits]...), '.'), digits[integerDigits:]...)
	}
	if form != value.Atom {
		dst = append(dst, '"')
	}
	return dst, true
}

// isPlainDecimal reports whether [Convert] accepts a text and returns it unchanged. It returns false for some texts
// with zeros in front, and for properties without a scale, which [Convert] has to check.
func isPlainDecimal(text []byte, property *edm.Property) bool {
	unsigned := bytes.TrimPrefix(text, []byte("-"))
	integer, fraction, hasPoint := bytes.Cut(unsigned, []byte("."))
	isTooLarge := property.Precision > 0 && len(integer) > property.Precision-property.Scale
	endsInPoint := hasPoint && len(fraction) == 0
	if len(integer) == 0 || endsInPoint || len(fraction) > property.Scale || isTooLarge {
		return false
	}
	for _, c := range unsigned {
		if (c < '0' || c > '9') && c != '.' {
			return false
		}
	}
	return bytes.IndexByte(fraction, '.') < 0
}
