package chain

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
	"github.com/culvert-project/culvert/wit/java"
	"github.com/culvert-project/culvert/wit/java/values"
)

const msPerDay = 86_400_000

// scalar is a number or a boolean: the common values, which are cast without an allocation.
type scalar struct {
	whole int64
	real  float64
	// bits are those of real, 0: it is whole that counts. isBoolean: whole is 1 for true.
	bits      int
	isBoolean bool
}

// numberOf reads a number or a boolean of a kind, of which in holds nothing more. Bytes that are none are left to
// others.
func numberOf(kind wit.Kind, in []byte) (x scalar, ok bool) {
	switch kind {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		n, size := connectdata.Number(in)
		unused := 64 - 8<<kind
		return scalar{whole: n}, size == len(in) && n<<unused>>unused == n
	case wit.Float32:
		if len(in) == 4 {
			f := math.Float32frombits(binary.LittleEndian.Uint32(in))
			return scalar{real: float64(f), bits: 32}, true
		}
	case wit.Float64:
		if len(in) == 8 {
			return scalar{real: math.Float64frombits(binary.LittleEndian.Uint64(in)), bits: 64}, true
		}
	case wit.Boolean:
		if len(in) == 1 && in[0] <= 1 {
			return scalar{whole: int64(in[0]), isBoolean: true}, true
		}
	}
	return x, false
}

// dynamicNumber is numberOf for a value without schema.
func dynamicNumber(in []byte) (x scalar, ok bool) {
	switch tag := in[0]; tag {
	case connectdata.TagFalse:
		return scalar{isBoolean: true}, true
	case connectdata.TagTrue:
		return scalar{whole: 1, isBoolean: true}, true
	case connectdata.TagInt8, connectdata.TagInt16, connectdata.TagInt32, connectdata.TagInt64:
		return numberOf(wit.Int8+wit.Kind(tag-connectdata.TagInt8), in[1:])
	case connectdata.TagFloat32:
		return numberOf(wit.Float32, in[1:])
	case connectdata.TagFloat64:
		return numberOf(wit.Float64, in[1:])
	}
	return x, false
}

// dynamicTag is the tag of what a value is cast to.
func dynamicTag(to wit.Kind, x *scalar) byte {
	switch to {
	case wit.Boolean:
		if x.integer(to) != 0 {
			return connectdata.TagTrue
		}
		return connectdata.TagFalse
	case wit.Float32:
		return connectdata.TagFloat32
	case wit.Float64:
		return connectdata.TagFloat64
	case wit.String:
		return connectdata.TagText
	}
	return connectdata.TagInt8 + byte(to-wit.Int8)
}

// integer is the value as a whole number, on its way to a kind.
func (x *scalar) integer(to wit.Kind) int64 {
	switch {
	case x.bits == 0:
		return x.whole
	case to == wit.Int8, to == wit.Int16, to == wit.Int32:
		return saturated(x.real, math.MinInt32, math.MaxInt32)
	}
	return saturated(x.real, math.MinInt64, math.MaxInt64)
}

// append appends the value of another kind, without a tag.
func (x *scalar) append(dst []byte, to wit.Kind) []byte {
	switch to {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		unused := 64 - 8<<to
		return connectdata.AppendNumber(dst, x.integer(to)<<unused>>unused)
	case wit.Boolean:
		return connectdata.AppendBoolean(dst, x.integer(to) != 0)
	case wit.Float32:
		if x.bits == 0 {
			return connectdata.AppendFloat32(dst, float32(x.whole))
		}
		return connectdata.AppendFloat32(dst, float32(x.real))
	case wit.Float64:
		if x.bits == 0 {
			return connectdata.AppendFloat64(dst, float64(x.whole))
		}
		return connectdata.AppendFloat64(dst, x.real)
	}
	var text [32]byte // of no number it is longer
	switch {
	case x.isBoolean:
		return connectdata.AppendBytes(dst, strconv.AppendBool(text[:0], x.whole == 1))
	case x.bits == 0:
		return connectdata.AppendBytes(dst, strconv.AppendInt(text[:0], x.whole, 10))
	}
	return connectdata.AppendBytes(dst, java.AppendReal(text[:0], x.real, x.bits))
}

// appendCast appends a value as package connectdata reads it, of another type: with its tag where it is dynamic.
func appendCast(dst []byte, v any, to wit.Kind, stage int, dynamic bool) ([]byte, *failure) {
	if to == wit.String {
		text, err := (&values.Writer{}).Append(nil, v)
		if err != nil {
			return dst, &failure{stage, dataException, err.Error()}
		}
		if dynamic {
			dst = append(dst, connectdata.TagText)
		}
		return connectdata.AppendBytes(dst, text), nil
	}
	x, f := scalarOf(v, to, stage)
	switch {
	case f != nil:
		return dst, f
	case dynamic && to == wit.Boolean: // of which the tag is all
		return append(dst, dynamicTag(to, &x)), nil
	case dynamic:
		dst = append(dst, dynamicTag(to, &x))
	}
	return x.append(dst, to), nil
}

// scalarOf is the number or boolean that a value is on its way to a type.
func scalarOf(v any, to wit.Kind, stage int) (x scalar, f *failure) {
	switch v := v.(type) {
	case int8:
		x.whole = int64(v)
	case int16:
		x.whole = int64(v)
	case int32:
		x.whole = int64(v)
	case int64:
		x.whole = v
	case float32:
		x.real, x.bits = float64(v), 32
	case float64:
		x.real, x.bits = v, 64
	case bool:
		if x.isBoolean = true; v {
			x.whole = 1
		}
	case connectdata.Decimal:
		d := values.DecimalOf(v)
		switch to {
		case wit.Float32:
			x.real, x.bits = d.Float(32), 32
		case wit.Float64:
			x.real, x.bits = d.Float(64), 64
		default:
			x.whole = d.Long()
		}
	case string:
		return parseScalar(v, to, stage)
	default:
		f = &failure{stage, dataException, "Unexpected type in Cast transformation: class [B"}
	}
	return x, f
}

// saturated is Java's way from a float to an integer.
func saturated(f float64, low, high int64) int64 {
	switch {
	case f != f:
		return 0
	case f <= float64(low):
		return low
	case f >= float64(high):
		return high
	}
	return int64(f)
}

// parseScalar is the value of a type that a text says.
func parseScalar(text string, to wit.Kind, stage int) (x scalar, f *failure) {
	ok := true
	switch to {
	case wit.Boolean:
		if x.isBoolean = true; strings.EqualFold(text, "true") {
			x.whole = 1
		}
	case wit.Float32, wit.Float64:
		x.bits = 32 << (to - wit.Float32)
		x.real, ok = javaReal(text, x.bits)
	default:
		var err error
		x.whole, err = strconv.ParseInt(java.ASCIIDigits(text), 10, 8<<to)
		ok = err == nil
	}
	if !ok {
		f = &failure{stage, dataException, "Value (" + text + ") was out of range for requested data type"}
	}
	return x, f
}

// javaReal reads what Double.parseDouble takes.
func javaReal(text string, bits int) (float64, bool) {
	text = setting.Trim(text)
	bare := strings.TrimLeft(text[:min(1, len(text))], "+-") + text[min(1, len(text)):]
	switch bare {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(map[bool]int{true: -1, false: 1}[text[0] == '-']), true
	}
	hex := strings.HasPrefix(bare, "0x") || strings.HasPrefix(bare, "0X")
	if !hex || strings.ContainsAny(text, "pP") {
		if n := len(text); n > 1 && strings.ContainsAny(text[n-1:], "fFdD") {
			text = text[:n-1]
		}
	}
	if strings.ContainsAny(text, "_iInN") {
		return 0, false
	}
	f, err := strconv.ParseFloat(text, bits)
	if err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}
