package convert

import (
	"strconv"

	"github.com/culvert-project/culvert/wit/datum"
)

// anythingSchema is what AvroData writes for values without a schema: a record of nine optional fields, of which one is
// set.
const anythingSchema = `{"type":"record","name":"Anything","namespace":"io.confluent.connect.avro","fields":[` +
	`{"name":"boolean","type":["null","boolean"],"default":null},{"name":"bytes","type":["null","bytes"],"default":null},` +
	`{"name":"double","type":["null","double"],"default":null},{"name":"float","type":["null","float"],"default":null},` +
	`{"name":"int","type":["null","int"],"default":null},{"name":"long","type":["null","long"],"default":null},` +
	`{"name":"string","type":["null","string"],"default":null},` +
	`{"name":"array","type":["null",{"type":"array","items":"Anything"}],"default":null},` +
	`{"name":"map","type":["null",{"type":"array","items":{"type":"record","name":"MapEntry","fields":[` +
	`{"name":"key","type":"Anything"},{"name":"value","type":"Anything"}]}}],"default":null}]}`

// Fields of anythingSchema, in its order.
const (
	anyBoolean = iota
	anyBytes
	anyDouble
	anyFloat
	anyInt
	anyLong
	anyString
	anyArray
	anyMap
	anyFields
)

// javaClasses are what Kafka Connect's message says of values that Avro cannot have without a schema.
var javaClasses = map[byte]string{
	datum.TagDecimal: "java.math.BigDecimal", datum.TagInstant: "java.util.Date",
	datum.TagStruct: "org.apache.kafka.connect.data.Struct",
}

// writeAnything appends the dynamic value at the walk's position.
func writeAnything(w *walk, dst []byte) ([]byte, *Error) {
	tag, err := w.take(1)
	if err != nil {
		return dst, err
	}
	field := anyFields
	switch tag[0] {
	case datum.TagNull:
	case datum.TagFalse, datum.TagTrue:
		field = anyBoolean
	case datum.TagInt8, datum.TagInt16, datum.TagInt32:
		field = anyInt
	case datum.TagInt64:
		field = anyLong
	case datum.TagFloat32:
		field = anyFloat
	case datum.TagFloat64:
		field = anyDouble
	case datum.TagText:
		field = anyString
	case datum.TagBytes:
		field = anyBytes
	case datum.TagArray:
		field = anyArray
	case datum.TagMap:
		field = anyMap
	default:
		return dst, &Error{dataException, "Unknown Java type for schemaless data: class " + javaClasses[tag[0]]}
	}
	for range field {
		dst = append(dst, 0)
	}
	if field == anyFields {
		return dst, nil
	}
	dst = append(dst, 2)
	switch field {
	case anyBoolean:
		dst = append(dst, tag[0]-datum.TagFalse)
	case anyFloat, anyDouble:
		var b []byte
		b, err = w.take(map[bool]int{true: 4, false: 8}[field == anyFloat])
		dst = append(dst, b...)
	case anyInt, anyLong:
		var n int64
		n, err = w.number()
		dst = datum.AppendNumber(dst, n)
	case anyString, anyBytes:
		var b []byte
		b, err = w.block()
		dst = datum.AppendBytes(dst, b)
	default:
		dst, err = writeAnythings(w, dst, field == anyMap)
	}
	if err != nil {
		return dst, err
	}
	for range anyFields - 1 - field {
		dst = append(dst, 0)
	}
	return dst, nil
}

// writeAnythings writes the items of an array, or keys and values of a map.
func writeAnythings(w *walk, dst []byte, pairs bool) ([]byte, *Error) {
	if w.depth++; w.depth > datum.MaxDepth {
		return dst, w.bad("more than " + strconv.Itoa(datum.MaxDepth) + " values in each other")
	}
	count, err := w.number()
	if err == nil && (count < 0 || count > int64(len(w.in))) {
		err = w.bad("expected a count")
	}
	if err != nil || count == 0 {
		return append(dst, 0), err
	}
	dst = datum.AppendNumber(dst, count)
	for range count {
		from := w.i
		if dst, err = writeAnything(w, dst); err == nil && pairs {
			dst, err = writeAnything(w, dst)
		}
		if err == nil {
			err = w.look(from, dst)
		}
		if err != nil {
			return dst, err
		}
	}
	w.depth--
	return append(dst, 0), nil
}

// readAnything appends the dynamic value that a record of anythingSchema is. Of several fields that are set the first
// counts.
func readAnything(w *walk, dst []byte) ([]byte, *Error) {
	start, set := len(dst), false
	for field := range anyFields {
		branch, err := w.number()
		if err == nil && branch&^1 != 0 {
			err = w.bad("expected a branch of an optional field")
		}
		if err != nil {
			return dst, err
		}
		if branch == 0 {
			continue
		}
		end := len(dst)
		if dst, err = readAnythingField(w, dst, field); err != nil {
			return dst, err
		}
		if set {
			dst = dst[:end]
		}
		set = true
	}
	if !set {
		return append(dst[:start], datum.TagNull), nil
	}
	return dst, nil
}

func readAnythingField(w *walk, dst []byte, field int) ([]byte, *Error) {
	switch field {
	case anyBoolean:
		b, err := w.take(1)
		if err == nil && b[0] > 1 {
			err = w.bad("expected a boolean")
		}
		if err != nil {
			return dst, err
		}
		return append(dst, datum.TagFalse+b[0]), nil
	case anyArray, anyMap:
		return readAnythings(w, dst, field == anyMap)
	}
	s := map[int]step{anyBytes: {op: bytesStep}, anyDouble: {op: floatStep, size: 8}, anyFloat: {op: floatStep,
		size: 4},
		anyInt: {op: numberStep, size: 32}, anyLong: {op: numberStep, size: 64}, anyString: {op: textStep}}[field]
	tag := map[int]byte{anyBytes: datum.TagBytes, anyDouble: datum.TagFloat64, anyFloat: datum.TagFloat32,
		anyInt: datum.TagInt32, anyLong: datum.TagInt64, anyString: datum.TagText}[field]
	return s.run(w, append(dst, tag))
}

func readAnythings(w *walk, dst []byte, pairs bool) ([]byte, *Error) {
	if w.depth++; w.depth > datum.MaxDepth {
		return dst, w.bad("more than " + strconv.Itoa(datum.MaxDepth) + " values in each other")
	}
	s := step{op: arrayStep, element: &step{op: anythingStep}}
	tag := byte(datum.TagArray)
	if pairs {
		s, tag = step{op: mapStep, key: s.element, element: s.element}, datum.TagMap
	}
	dst = append(dst, tag)
	start := len(dst)
	dst, err := s.blocks(w, dst)
	if err != nil {
		return dst, err
	}
	w.depth--
	// A dynamic value has one count and no end; an empty one is the count alone.
	if len(dst)-start > 1 {
		dst = dst[:len(dst)-1]
	}
	return dst, nil
}
