package chain

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
	"github.com/culvert-project/culvert/wit/java"
	"github.com/culvert-project/culvert/wit/java/values"
)

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
		n, size := datum.Number(in)
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
	case datum.TagFalse:
		return scalar{isBoolean: true}, true
	case datum.TagTrue:
		return scalar{whole: 1, isBoolean: true}, true
	case datum.TagInt8, datum.TagInt16, datum.TagInt32, datum.TagInt64:
		return numberOf(wit.Int8+wit.Kind(tag-datum.TagInt8), in[1:])
	case datum.TagFloat32:
		return numberOf(wit.Float32, in[1:])
	case datum.TagFloat64:
		return numberOf(wit.Float64, in[1:])
	}
	return x, false
}

// dynamicTag is the tag of what a value is cast to.
func dynamicTag(to wit.Kind, x *scalar) byte {
	switch to {
	case wit.Boolean:
		if x.integer(to) != 0 {
			return datum.TagTrue
		}
		return datum.TagFalse
	case wit.Float32:
		return datum.TagFloat32
	case wit.Float64:
		return datum.TagFloat64
	case wit.Text:
		return datum.TagText
	}
	return datum.TagInt8 + byte(to-wit.Int8)
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
		return datum.AppendNumber(dst, x.integer(to)<<unused>>unused)
	case wit.Boolean:
		return datum.AppendBoolean(dst, x.integer(to) != 0)
	case wit.Float32:
		if x.bits == 0 {
			return datum.AppendFloat32(dst, float32(x.whole))
		}
		return datum.AppendFloat32(dst, float32(x.real))
	case wit.Float64:
		if x.bits == 0 {
			return datum.AppendFloat64(dst, float64(x.whole))
		}
		return datum.AppendFloat64(dst, x.real)
	}
	var text [32]byte // of no number it is longer
	switch {
	case x.isBoolean:
		return datum.AppendBytes(dst, strconv.AppendBool(text[:0], x.whole == 1))
	case x.bits == 0:
		return datum.AppendBytes(dst, strconv.AppendInt(text[:0], x.whole, 10))
	}
	return datum.AppendBytes(dst, java.AppendReal(text[:0], x.real, x.bits))
}

// castValue is the value of another type.
func castValue(v any, to wit.Kind, stage int) (any, *failure) {
	if to == wit.Text {
		text, err := (&values.Writer{}).Append(nil, v)
		if err != nil {
			return nil, &failure{stage, dataException, err.Error()}
		}
		return string(text), nil
	}
	whole, real, isReal := int64(0), 0.0, false
	switch x := v.(type) {
	case int8:
		whole = int64(x)
	case int16:
		whole = int64(x)
	case int32:
		whole = int64(x)
	case int64:
		whole = x
	case float32:
		real, isReal = float64(x), true
	case float64:
		real, isReal = x, true
	case bool:
		if x {
			whole = 1
		}
	case datum.Decimal:
		d := values.DecimalOf(x)
		if to == wit.Float32 {
			return float32(d.Float(32)), nil
		}
		if whole = d.Long(); to == wit.Float64 {
			return d.Float(64), nil
		}
	case string:
		return castParsed(x, to, stage)
	default:
		return nil, &failure{stage, dataException, "Unexpected type in Cast transformation: class [B"}
	}
	if isReal {
		switch to {
		case wit.Int8, wit.Int16, wit.Int32:
			whole = saturated(real, math.MinInt32, math.MaxInt32)
		default:
			whole = saturated(real, math.MinInt64, math.MaxInt64)
		}
	}
	switch to {
	case wit.Int8:
		return int8(whole), nil
	case wit.Int16:
		return int16(whole), nil
	case wit.Int32:
		return int32(whole), nil
	case wit.Int64:
		return whole, nil
	case wit.Boolean:
		return whole != 0, nil
	case wit.Float32:
		if isReal {
			return float32(real), nil
		}
		return float32(whole), nil
	}
	if isReal {
		return real, nil
	}
	return float64(whole), nil
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

// castParsed is the value that a text says.
func castParsed(text string, to wit.Kind, stage int) (any, *failure) {
	var n int64
	var f float64
	ok := true
	var err error
	switch to {
	case wit.Boolean:
		return strings.EqualFold(text, "true"), nil
	case wit.Float32:
		f, ok = javaReal(text, 32)
	case wit.Float64:
		f, ok = javaReal(text, 64)
	default:
		n, err = strconv.ParseInt(java.ASCIIDigits(text), 10, 8<<to)
	}
	if !ok || err != nil {
		return nil, &failure{stage, dataException, "Value (" + text + ") was out of range for requested data type"}
	}
	switch to {
	case wit.Int8:
		return int8(n), nil
	case wit.Int16:
		return int16(n), nil
	case wit.Int32:
		return int32(n), nil
	case wit.Int64:
		return n, nil
	case wit.Float32:
		return float32(f), nil
	}
	return f, nil
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
