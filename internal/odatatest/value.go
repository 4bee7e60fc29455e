package odatatest

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"math"
	"strconv"
	"time"
)

// kind is the primitive type of a property, or complexKind.
type kind uint8

const (
	stringKind kind = iota
	booleanKind
	byteKind
	sbyteKind
	int16Kind
	int32Kind
	int64Kind
	decimalKind
	singleKind
	doubleKind
	guidKind
	timeKind
	dateTimeKind
	dateTimeOffsetKind
	binaryKind
	complexKind
)

var kindNames = [...]string{
	stringKind:         "Edm.String",
	booleanKind:        "Edm.Boolean",
	byteKind:           "Edm.Byte",
	sbyteKind:          "Edm.SByte",
	int16Kind:          "Edm.Int16",
	int32Kind:          "Edm.Int32",
	int64Kind:          "Edm.Int64",
	decimalKind:        "Edm.Decimal",
	singleKind:         "Edm.Single",
	doubleKind:         "Edm.Double",
	guidKind:           "Edm.Guid",
	timeKind:           "Edm.Time",
	dateTimeKind:       "Edm.DateTime",
	dateTimeOffsetKind: "Edm.DateTimeOffset",
	binaryKind:         "Edm.Binary",
	complexKind:        "(complex)",
}

func (k kind) String() string { return kindNames[k] }

func (k kind) isInteger() bool { return k >= byteKind && k <= int64Kind }
func (k kind) isNumeric() bool { return k >= byteKind && k <= doubleKind }
func (k kind) isMoment() bool  { return k == dateTimeKind || k == dateTimeOffsetKind }

// ticksPerSecond is the unit of dates and times: 100 ns, as in .NET and Edm (Precision 7).
const ticksPerSecond = 10_000_000

// value is one typed value of a row.
type value struct {
	kind kind
	null bool
	zone int16 // minutes east of UTC, DateTimeOffset only
	// num holds integers; Boolean as 0 or 1; Single and Double as IEEE 754 bits of the double; dates as ticks since
	// 1970 UTC; Time as ticks.
	num    int64
	text   []byte  // String, Decimal and Guid as written; Binary as its bytes
	fields []value // complex
}

func (v *value) float() float64 { return math.Float64frombits(uint64(v.num)) }

func (v *value) clone() value {
	c := *v
	c.text = bytes.Clone(v.text)
	c.fields = cloneValues(v.fields)
	return c
}

func cloneValues(values []value) []value {
	if values == nil {
		return nil
	}
	c := make([]value, len(values))
	for i := range values {
		c[i] = values[i].clone()
	}
	return c
}

// compare orders two values that are not null; ok is false if their types have no common order.
func compare(a, b *value) (order int, ok bool) {
	switch {
	case a.kind.isInteger() && b.kind.isInteger():
		return cmp.Compare(a.num, b.num), true
	case a.kind.isNumeric() && b.kind.isNumeric():
		return cmp.Compare(a.asFloat(), b.asFloat()), true
	case a.kind.isMoment() && b.kind.isMoment():
		return cmp.Compare(a.num, b.num), true
	case a.kind != b.kind:
		return 0, false
	case a.kind == guidKind:
		return bytes.Compare(bytes.ToLower(a.text), bytes.ToLower(b.text)), true
	case a.kind == stringKind || a.kind == binaryKind:
		return bytes.Compare(a.text, b.text), true
	case a.kind == complexKind:
		return 0, false
	}
	return cmp.Compare(a.num, b.num), true
}

func (v *value) asFloat() float64 {
	switch {
	case v.kind.isInteger():
		return float64(v.num)
	case v.kind == decimalKind:
		f, _ := strconv.ParseFloat(string(v.text), 64)
		return f
	}
	return v.float()
}

// compareKeys orders two keys property by property.
func compareKeys(a, b []value) int {
	for i := range a {
		if c, _ := compare(&a[i], &b[i]); c != 0 {
			return c
		}
	}
	return 0
}

// appendPlain writes a value in the form of Atom text and /$value, before XML escaping.
func appendPlain(b []byte, v *value) []byte {
	switch v.kind {
	case booleanKind:
		return strconv.AppendBool(b, v.num != 0)
	case singleKind:
		return strconv.AppendFloat(b, v.float(), 'G', -1, 32)
	case doubleKind:
		return strconv.AppendFloat(b, v.float(), 'G', -1, 64)
	case timeKind:
		return appendDuration(b, v.num)
	case dateTimeKind:
		return appendISO(b, v.num)
	case dateTimeOffsetKind:
		b = appendISO(b, v.num+int64(v.zone)*60*ticksPerSecond)
		return time.Time{}.In(time.FixedZone("", int(v.zone)*60)).AppendFormat(b, "Z07:00")
	case binaryKind:
		return base64.StdEncoding.AppendEncode(b, v.text)
	case stringKind, decimalKind, guidKind:
		return append(b, v.text...)
	}
	return strconv.AppendInt(b, v.num, 10)
}

// appendISO writes ticks since 1970 as a date and a time without zone; the fraction only if there is one.
func appendISO(b []byte, ticks int64) []byte {
	seconds, fraction := floorDiv(ticks, ticksPerSecond)
	return appendFraction(time.Unix(seconds, 0).UTC().AppendFormat(b, "2006-01-02T15:04:05"), fraction)
}

func appendFraction(b []byte, ticks int64) []byte {
	if ticks == 0 {
		return b
	}
	b = append(b, '.')
	b = appendDigits(b, ticks, 7)
	return bytes.TrimRight(b, "0")
}

// appendDuration writes a time of day like SAP and Olingo: PT12H34M56S.
func appendDuration(b []byte, ticks int64) []byte {
	seconds, fraction := floorDiv(ticks, ticksPerSecond)
	b = append(b, "PT"...)
	b = appendDigits(b, seconds/3600, 2)
	b = append(b, 'H')
	b = appendDigits(b, seconds/60%60, 2)
	b = append(b, 'M')
	b = appendDigits(b, seconds%60, 2)
	b = appendFraction(b, fraction)
	return append(b, 'S')
}

// appendDigits writes a non-negative n with at least width digits.
func appendDigits(b []byte, n int64, width int) []byte {
	var d [20]byte
	i := len(d)
	for n > 0 || width > 0 {
		i--
		d[i] = byte('0' + n%10)
		n /= 10
		width--
	}
	return append(b, d[i:]...)
}

// appendScaled writes unscaled / 10^scale as Edm.Decimal text with all of its decimals.
func appendScaled(b []byte, unscaled int64, scale int) []byte {
	if unscaled < 0 {
		b = append(b, '-')
		unscaled = -unscaled
	}
	unit := int64(1)
	for range scale {
		unit *= 10
	}
	b = strconv.AppendInt(b, unscaled/unit, 10)
	if scale == 0 {
		return b
	}
	b = append(b, '.')
	return appendDigits(b, unscaled%unit, scale)
}

func floorDiv(a, b int64) (quotient, remainder int64) {
	quotient = a / b
	remainder = a % b
	if remainder < 0 {
		quotient--
		remainder += b
	}
	return quotient, remainder
}
