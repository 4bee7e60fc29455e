package transforms

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/internal/java/values"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

const msPerDay = 86_400_000

// Values of the parameter isSchemaless: values without schema begin with a tag.
const (
	withSchema = false
	schemaless = true
)

// number is a number or boolean. It is cast without allocation.
type number struct {
	intValue   int64 // 1 for true
	floatValue float64
	floatBits  int // size of floatValue; if it is 0, intValue counts
	isBoolean  bool
}

// readNumber reads a number or boolean. ok is false for other types and invalid bytes.
func readNumber(kind wit.Kind, input []byte) (num number, ok bool) {
	switch kind {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		n, size := connectdata.Number(input)
		unusedBits := 64 - 8<<kind
		return number{intValue: n}, size == len(input) && n<<unusedBits>>unusedBits == n // it fits the type
	case wit.Float32:
		if len(input) == 4 {
			f := math.Float32frombits(binary.LittleEndian.Uint32(input))
			return number{floatValue: float64(f), floatBits: 32}, true
		}
	case wit.Float64:
		if len(input) == 8 {
			return number{floatValue: math.Float64frombits(binary.LittleEndian.Uint64(input)), floatBits: 64}, true
		}
	case wit.Boolean:
		if len(input) == 1 && input[0] <= 1 {
			return number{intValue: int64(input[0]), isBoolean: true}, true
		}
	}
	return num, false
}

// readSchemalessNumber is readNumber for a value without schema.
func readSchemalessNumber(input []byte) (num number, ok bool) {
	switch tag := input[0]; tag {
	case connectdata.TagFalse:
		return number{isBoolean: true}, true
	case connectdata.TagTrue:
		return number{intValue: 1, isBoolean: true}, true
	case connectdata.TagInt8, connectdata.TagInt16, connectdata.TagInt32, connectdata.TagInt64:
		return readNumber(wit.Int8+wit.Kind(tag-connectdata.TagInt8), input[1:])
	case connectdata.TagFloat32:
		return readNumber(wit.Float32, input[1:])
	case connectdata.TagFloat64:
		return readNumber(wit.Float64, input[1:])
	}
	return num, false
}

// castTag returns the tag of the number as another type.
func castTag(targetKind wit.Kind, num *number) byte {
	switch targetKind {
	case wit.Boolean:
		if num.integer(targetKind) != 0 {
			return connectdata.TagTrue
		}
		return connectdata.TagFalse
	case wit.Float32:
		return connectdata.TagFloat32
	case wit.Float64:
		return connectdata.TagFloat64
	case wit.String:
		return connectdata.TagString
	}
	return connectdata.TagInt8 + byte(targetKind-wit.Int8)
}

// integer returns the value as an integer, rounded as Java's cast to the type does.
func (n *number) integer(targetKind wit.Kind) int64 {
	switch {
	case n.floatBits == 0:
		return n.intValue
	case targetKind == wit.Int8, targetKind == wit.Int16, targetKind == wit.Int32:
		return saturate(n.floatValue, math.MinInt32, math.MaxInt32)
	}
	return saturate(n.floatValue, math.MinInt64, math.MaxInt64)
}

func (n *number) append(dst []byte, targetKind wit.Kind) []byte {
	switch targetKind {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		unusedBits := 64 - 8<<targetKind
		return connectdata.AppendNumber(dst, n.integer(targetKind)<<unusedBits>>unusedBits) // the lowest bits
	case wit.Boolean:
		return connectdata.AppendBoolean(dst, n.integer(targetKind) != 0)
	case wit.Float32:
		if n.floatBits == 0 {
			return connectdata.AppendFloat32(dst, float32(n.intValue))
		}
		return connectdata.AppendFloat32(dst, float32(n.floatValue))
	case wit.Float64:
		if n.floatBits == 0 {
			return connectdata.AppendFloat64(dst, float64(n.intValue))
		}
		return connectdata.AppendFloat64(dst, n.floatValue)
	}
	var buf [32]byte // enough for any number
	switch {
	case n.isBoolean:
		return connectdata.AppendBytes(dst, strconv.AppendBool(buf[:0], n.intValue == 1))
	case n.floatBits == 0:
		return connectdata.AppendBytes(dst, strconv.AppendInt(buf[:0], n.intValue, 10))
	}
	return connectdata.AppendBytes(dst, java.AppendFloat(buf[:0], n.floatValue, n.floatBits))
}

// appendCast appends a decoded value as another type.
func appendCast(dst []byte, value any, targetKind wit.Kind, stage int, isSchemaless bool) ([]byte, *record.Failure) {
	if targetKind == wit.String {
		rendered, err := (&values.Writer{}).Append(nil, value)
		if err != nil {
			return dst, record.DataFailure(stage, err.Error())
		}
		if isSchemaless {
			dst = append(dst, connectdata.TagString)
		}
		return connectdata.AppendBytes(dst, rendered), nil
	}
	number, failure := numberFrom(value, targetKind, stage)
	switch {
	case failure != nil:
		return dst, failure
	case isSchemaless && targetKind == wit.Boolean: // only a tag
		return append(dst, castTag(targetKind, &number)), nil
	case isSchemaless:
		dst = append(dst, castTag(targetKind, &number))
	}
	return number.append(dst, targetKind), nil
}

// numberFrom converts a decoded value to a number or boolean for a type.
func numberFrom(value any, targetKind wit.Kind, stage int) (num number, failure *record.Failure) {
	switch v := value.(type) {
	case int8:
		num.intValue = int64(v)
	case int16:
		num.intValue = int64(v)
	case int32:
		num.intValue = int64(v)
	case int64:
		num.intValue = v
	case float32:
		num.floatValue = float64(v)
		num.floatBits = 32
	case float64:
		num.floatValue = v
		num.floatBits = 64
	case bool:
		num.isBoolean = true
		if v {
			num.intValue = 1
		}
	case connectdata.Decimal:
		decimal := values.DecimalOf(v)
		switch targetKind {
		case wit.Float32:
			num.floatValue = decimal.Float(32)
			num.floatBits = 32
		case wit.Float64:
			num.floatValue = decimal.Float(64)
			num.floatBits = 64
		default:
			num.intValue = decimal.Long()
		}
	case string:
		return parseNumber(v, targetKind, stage)
	default:
		failure = record.DataFailure(stage, "Unexpected type in Cast transformation: class [B")
	}
	return num, failure
}

// saturate converts to an integer like Java: the limits for values beyond them, 0 for NaN.
func saturate(number float64, low, high int64) int64 {
	switch {
	case math.IsNaN(number):
		return 0
	case number <= float64(low):
		return low
	case number >= float64(high):
		return high
	}
	return int64(number)
}

func parseNumber(text string, targetKind wit.Kind, stage int) (num number, failure *record.Failure) {
	ok := true
	switch targetKind {
	case wit.Boolean:
		num.isBoolean = true
		if strings.EqualFold(text, "true") {
			num.intValue = 1
		}
	case wit.Float32, wit.Float64:
		num.floatBits = 32 << (targetKind - wit.Float32) // 32 or 64
		num.floatValue, ok = parseJavaFloat(text, num.floatBits)
	default:
		var err error
		num.intValue, err = strconv.ParseInt(java.ASCIIDigits(text), 10, 8<<targetKind)
		ok = err == nil
	}
	if !ok {
		failure = record.DataFailure(stage, "Value ("+text+") was out of range for requested data type")
	}
	return num, failure
}

// parseJavaFloat parses like Java's Double.parseDouble. ok is false for other texts.
func parseJavaFloat(text string, bits int) (_ float64, ok bool) {
	text = setting.Trim(text)
	unsigned := text
	if strings.HasPrefix(text, "+") || strings.HasPrefix(text, "-") {
		unsigned = text[1:]
	}
	switch unsigned {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		if text[0] == '-' {
			return math.Inf(-1), true
		}
		return math.Inf(1), true
	}
	isHex := strings.HasPrefix(unsigned, "0x") || strings.HasPrefix(unsigned, "0X")
	// Java accepts a type's letter at the end. In a hexadecimal number it is a digit, except after an exponent.
	if !isHex || strings.ContainsAny(text, "pP") {
		if n := len(text); n > 1 && strings.ContainsAny(text[n-1:], "fFdD") {
			text = text[:n-1]
		}
	}
	if strings.ContainsAny(text, "_iInN") {
		return 0, false // Go accepts underscores, inf and nan
	}
	f, err := strconv.ParseFloat(text, bits)
	if err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}
