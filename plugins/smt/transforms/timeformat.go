package transforms

import (
	"bytes"
	"math"

	"github.com/culvert-project/culvert/internal/java/dateformat"
	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// timeType is the representation of a timestamp.
type timeType uint8

const (
	stringTime timeType = iota
	unixTime
	dateTime
	timeOfDay
	timestamp
	noTimeType
)

var timeTypeNames = []string{"string", "unix", "Date", "Time", "Timestamp"}

// timeFormat converts times between their representations, as the settings of a TimestampConverter specify.
type timeFormat struct {
	to        timeType           // of results
	pattern   string             // of SimpleDateFormat
	format    *dateformat.Format // of the pattern, nil if there is none
	parser    dateformat.Parser  // of texts in that format
	precision unixPrecision
}

// unixPrecision is the unit of Unix times: milliseconds are multiplied, then divided.
type unixPrecision struct {
	multiply int64
	divide   int64
}

var milliseconds = unixPrecision{1, 1}

var precisionNames = []string{"nanoseconds", "microseconds", "milliseconds", "seconds"}

var unixPrecisions = map[string]unixPrecision{
	"nanoseconds":  {multiply: 1_000_000, divide: 1},
	"microseconds": {multiply: 1_000, divide: 1},
	"milliseconds": milliseconds,
	"seconds":      {multiply: 1, divide: 1_000},
}

// edit returns the edit for values of a schema that represent a time as typ.
func (t *timeFormat) edit(from *wit.SchemaNode, typ timeType, stage int) record.Edit {
	edit := record.Edit{Apply: func(dst, input []byte) ([]byte, *record.Failure) {
		return t.convert(dst, input, from, typ, stage)
	}}
	if conversion, ok := t.kernelConversion(typ); ok && from.Kind == wit.Int64 {
		edit.Conversion = record.SameConversion(conversion)
	}
	return edit
}

// kernelConversion returns the kernel's conversion of milliseconds to text, if the format allows.
func (t *timeFormat) kernelConversion(typ timeType) (conversion record.Conversion, ok bool) {
	if t.to != stringTime || (typ != timestamp && (typ != unixTime || t.precision != milliseconds)) {
		return conversion, false
	}
	fixedText, numbers := t.format.Fixed()
	conversion.Date = &kernel.Date{Size: len(fixedText)}
	if fixedText == nil || len(fixedText) >= kernel.Room || len(numbers) >= len(conversion.Date.Numbers) {
		return conversion, false
	}
	copy(conversion.Date.Text[:], fixedText)
	for i, n := range numbers {
		// See [kernel.Date].
		conversion.Date.Numbers[i] = uint64(n.Field) | uint64(n.At+n.Digits-1)<<8 | uint64(n.Digits)<<16
	}
	conversion.Kind = kernel.DateText
	return conversion, true
}

// sameBytes reports whether source and target are both milliseconds.
func (t *timeFormat) sameBytes(typ timeType) bool {
	isMillis := func(f timeType) bool {
		return f == timestamp || (f == unixTime && t.precision == milliseconds)
	}
	return isMillis(typ) && isMillis(t.to)
}

// entryEdit returns the edit for the entries of maps.
func (t *timeFormat) entryEdit(stage int) record.Edit {
	return record.Edit{
		Apply: func(dst, input []byte) ([]byte, *record.Failure) {
			var typ timeType
			switch input[0] {
			case connectdata.TagNull:
				return append(dst, connectdata.TagNull), nil
			case connectdata.TagInstant:
				typ = timestamp
			case connectdata.TagInt64:
				typ = unixTime
			case connectdata.TagString:
				typ = stringTime
			default:
				return dst, record.DataFailure(stage, "TimestampConverter does not support class "+
					record.TagJavaClasses[input[0]]+" objects as timestamps")
			}
			if input[0] != connectdata.TagString {
				if n, size := connectdata.Number(input[1:]); size == len(input)-1 {
					millis, _ := t.fromNumber(typ, wit.Int64, n)
					return t.append(dst, millis, schemaless, stage)
				}
			}
			value, _, err := connectdata.ReadSchemaless(input)
			if err != nil {
				return dst, record.BadSchemaless(stage)
			}
			millis, failure := t.millis(typ, value, record.TagJavaClasses[input[0]], stage)
			if failure != nil {
				return dst, failure
			}
			return t.append(dst, millis, schemaless, stage)
		},
		Conversion: func(tag byte) (conversion record.Conversion) {
			typ := unixTime
			if tag == connectdata.TagInstant {
				typ = timestamp
			}
			isMillis := tag == connectdata.TagInt64 || tag == connectdata.TagInstant
			if untagged, ok := t.kernelConversion(typ); ok && isMillis {
				conversion = untagged.WithTag(tag, connectdata.TagString)
			}
			return conversion
		},
	}
}

// resultType returns the schema of the result, without default.
func (t *timeFormat) resultType(optional bool) wit.SchemaNode {
	node := wit.SchemaNode{Optional: optional}
	switch t.to {
	case stringTime:
		node.Kind = wit.String
		return node
	case unixTime:
		node.Kind = wit.Int64
		return node
	case dateTime:
		node.Name = wit.Ptr(wit.NameDate)
		node.Kind = wit.Int32
	case timeOfDay:
		node.Name = wit.Ptr(wit.NameTime)
		node.Kind = wit.Int32
	default:
		node.Name = wit.Ptr(wit.NameTimestamp)
		node.Kind = wit.Int64
	}
	node.Version = wit.Ptr(int32(1))
	return node
}

// timeTypeOf returns how values of a schema represent a time.
func timeTypeOf(node *wit.SchemaNode, stage int) (timeType, *record.Failure) {
	name := ""
	if node.Name != nil {
		name = *node.Name
	}
	switch {
	case name == wit.NameTimestamp:
		return timestamp, nil
	case name == wit.NameDate:
		return dateTime, nil
	case name == wit.NameTime:
		return timeOfDay, nil
	case node.Kind == wit.String:
		return stringTime, nil
	case node.Kind == wit.Int64:
		return unixTime, nil
	}
	typeName := record.KindNames[node.Kind]
	if node.Name != nil {
		typeName = name + ":" + typeName
	}
	return noTimeType, record.NewFailure(stage, record.ConnectException,
		"Schema Schema{"+typeName+"} does not correspond to a known timestamp type format")
}

// millis returns the time of a decoded value, in milliseconds since 1970. class is the Java class of the value.
func (t *timeFormat) millis(typ timeType, value any, class string, stage int) (int64, *record.Failure) {
	mismatch := func(expected string) (int64, *record.Failure) {
		return 0, record.DataFailure(stage, "Expected "+expected+", but found class "+class)
	}
	switch v := value.(type) {
	case string:
		if typ != stringTime {
			break
		}
		if t.format == nil {
			return 0, record.NewFailure(stage, record.NullPointerException,
				`Cannot invoke "java.text.SimpleDateFormat.parse(String)" because "config.format" is null`)
		}
		millis, isAmbiguous, ok := t.parser.Parse(v)
		if losesZone := ok && t.parser.Zoned && t.to == stringTime; !ok || losesZone {
			message := "Could not parse timestamp: value (" + v + ") does not match pattern (" + t.pattern + ")"
			if isAmbiguous {
				message += ": a two-digit year is ambiguous; expected four digits"
			}
			if losesZone {
				message += ": cannot format in the time zone of another text; expected UTC"
			}
			return 0, record.DataFailure(stage, message)
		}
		return millis, nil
	case int32:
		if millis, ok := t.fromNumber(typ, wit.Int32, int64(v)); ok {
			return millis, nil
		}
	case int64:
		if millis, ok := t.fromNumber(typ, wit.Int64, v); ok {
			return millis, nil
		}
	case connectdata.Instant:
		if typ == timestamp {
			return int64(v), nil
		}
	}
	switch typ {
	case stringTime:
		return mismatch("string timestamp to be a String")
	case unixTime:
		return mismatch("Unix timestamp to be a Long")
	}
	return mismatch(timeTypeNames[typ] + " to be a java.util.Date")
}

// saturatingProduct multiplies by a factor of at least 1. It returns the limits of 64 bits for results beyond them.
func saturatingProduct(n, factor int64) int64 {
	switch {
	case factor == 1:
		return n
	case n > math.MaxInt64/factor:
		return math.MaxInt64
	case n < math.MinInt64/factor:
		return math.MinInt64
	}
	return n * factor
}

// fromNumber returns the time of a number. ok is false if the type does not belong to the representation.
func (t *timeFormat) fromNumber(typ timeType, kind wit.Kind, n int64) (millis int64, ok bool) {
	switch {
	case kind == wit.Int32 && typ == dateTime:
		return n * msPerDay, true
	case kind == wit.Int32 && typ == timeOfDay, kind == wit.Int64 && typ == timestamp,
		kind == wit.Int64 && typ == unixTime && t.precision == milliseconds:
		return n, true
	case kind == wit.Int64 && typ == unixTime:
		return saturatingProduct(n, t.precision.divide) / t.precision.multiply, true
	}
	return 0, false
}

// append appends a time as the target type. A Date or Time without schema is a java.util.Date.
func (t *timeFormat) append(dst []byte, millis int64, isSchemaless bool, stage int) ([]byte, *record.Failure) {
	tag := byte(connectdata.TagInstant)
	n := millis
	switch t.to {
	case stringTime:
		if isSchemaless {
			dst = append(dst, connectdata.TagString)
		}
		from := len(dst)
		dst = t.format.Append(append(dst, 0), millis)
		if size := len(dst) - from - 1; size < 64 { // its zigzag number has one byte
			dst[from] = byte(size << 1)
			return dst, nil
		}
		return connectdata.AppendBytes(dst[:from], bytes.Clone(dst[from+1:])), nil
	case unixTime:
		tag = connectdata.TagInt64
		n = saturatingProduct(millis, t.precision.multiply) / t.precision.divide
	case dateTime:
		n = dateformat.FloorDiv(millis, msPerDay)
		switch {
		case isSchemaless:
			n *= msPerDay
		case n < math.MinInt64/msPerDay: // Java would overflow at the first day
			return dst, record.DataFailure(stage,
				"Kafka Connect Date type should not have any time fields set to non-zero values.")
		default:
			n = int64(int32(n)) // overflows like Kafka's Date
		}
	case timeOfDay:
		n = dateformat.FloorMod(millis, msPerDay)
	}
	if isSchemaless {
		dst = append(dst, tag)
	}
	return connectdata.AppendNumber(dst, n), nil
}

// convert appends a value with schema as the target type.
func (t *timeFormat) convert(dst, input []byte, from *wit.SchemaNode, typ timeType,
	stage int) ([]byte, *record.Failure) {
	if n, ok := readNumber(from.Kind, input); ok && from.Kind <= wit.Int64 {
		if millis, ok := t.fromNumber(typ, from.Kind, n.intValue); ok {
			return t.append(dst, millis, withSchema, stage)
		}
	}
	required := *from
	required.Optional = false
	required.DefaultValue = nil
	if required.Kind >= wit.Array {
		_, failure := t.millis(typ, nil, record.JavaClass(&wit.SchemaNode{Kind: required.Kind}), stage)
		return dst, failure
	}
	value, _, err := connectdata.Read([]wit.SchemaNode{required}, 0, input)
	if err != nil {
		return dst, record.BadValue(stage, 0)
	}
	millis, failure := t.millis(typ, value, record.JavaClass(&wit.SchemaNode{Kind: required.Kind}), stage)
	if failure != nil {
		return dst, failure
	}
	return t.append(dst, millis, withSchema, stage)
}
