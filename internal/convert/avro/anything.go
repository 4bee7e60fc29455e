package avro

import "github.com/culvert-project/culvert/wit/connectdata"

// anythingSchema is AvroData's schema of values without a schema: a record of nine optional fields, one of them set.
const anythingSchema = `{"type":"record","name":"Anything","namespace":"io.confluent.connect.avro","fields":[` +
	`{"name":"boolean","type":["null","boolean"],"default":null},{"name":"bytes","type":["null","bytes"],"default":null},` +
	`{"name":"double","type":["null","double"],"default":null},{"name":"float","type":["null","float"],"default":null},` +
	`{"name":"int","type":["null","int"],"default":null},{"name":"long","type":["null","long"],"default":null},` +
	`{"name":"string","type":["null","string"],"default":null},` +
	`{"name":"array","type":["null",{"type":"array","items":"Anything"}],"default":null},` +
	`{"name":"map","type":["null",{"type":"array","items":{"type":"record","name":"MapEntry","fields":[` +
	`{"name":"key","type":"Anything"},{"name":"value","type":"Anything"}]}}],"default":null}]}`

// Indexes of the fields of anythingSchema.
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
	anyFields // the number of fields
)

// javaClasses are for Kafka Connect's message about schemaless values that Avro cannot have.
var javaClasses = map[byte]string{
	connectdata.TagDecimal: "java.math.BigDecimal",
	connectdata.TagInstant: "java.util.Date",
	connectdata.TagStruct:  "org.apache.kafka.connect.data.Struct",
}

// fieldOfTag has the fields by tag of a schemaless value; anyFields for null, which sets none.
var fieldOfTag = [...]int{
	connectdata.TagNull:    anyFields,
	connectdata.TagFalse:   anyBoolean,
	connectdata.TagTrue:    anyBoolean,
	connectdata.TagInt8:    anyInt,
	connectdata.TagInt16:   anyInt,
	connectdata.TagInt32:   anyInt,
	connectdata.TagInt64:   anyLong,
	connectdata.TagFloat32: anyFloat,
	connectdata.TagFloat64: anyDouble,
	connectdata.TagString:  anyString,
	connectdata.TagBytes:   anyBytes,
	connectdata.TagArray:   anyArray,
	connectdata.TagMap:     anyMap,
}

// writeAnything converts a schemaless value.
func writeAnything(w *rewrite, dst []byte) []byte {
	tag := w.readBytes(1)
	if w.err != nil {
		return dst
	}
	if int(tag[0]) >= len(fieldOfTag) {
		w.fail("Unknown Java type for schemaless data: class " + javaClasses[tag[0]])
		return dst
	}
	field := fieldOfTag[tag[0]]
	dst = append(dst, make([]byte, field)...) // branch 0, null, of each field before this one
	if field == anyFields {
		return dst
	}
	dst = append(dst, 2) // branch 1 as a zigzag number
	switch field {
	case anyBoolean:
		dst = append(dst, tag[0]-connectdata.TagFalse)
	case anyFloat:
		dst = append(dst, w.readBytes(4)...)
	case anyDouble:
		dst = append(dst, w.readBytes(8)...)
	case anyInt, anyLong:
		dst = connectdata.AppendNumber(dst, w.readNumber())
	case anyString, anyBytes:
		dst = connectdata.AppendBytes(dst, w.readLengthPrefixed())
	default:
		dst = writeAnythingItems(w, dst, field == anyMap)
	}
	return append(dst, make([]byte, anyFields-1-field)...) // the fields after it are null
}

// writeAnythingItems writes a list or map as one block, which 0 ends.
func writeAnythingItems(w *rewrite, dst []byte, isMap bool) []byte {
	if !w.enter() {
		return dst
	}
	count := w.readNumber()
	if count < 0 || count > int64(len(w.input)) {
		w.failHere("expected a count")
	}
	if count > 0 {
		dst = connectdata.AppendNumber(dst, count)
	}
	for ; count > 0 && w.err == nil; count-- {
		from := w.pos
		dst = writeAnything(w, dst)
		if isMap {
			dst = writeAnything(w, dst)
		}
		w.checkItem(from, dst)
	}
	w.leave()
	return append(dst, 0)
}

// readAnything converts a record of anythingSchema to a schemaless value. The first field that is set counts.
func readAnything(w *rewrite, dst []byte) []byte {
	start := len(dst)
	hasField := false
	for field := range anyFields {
		branch := w.readNumber()
		if branch != 0 && branch != 1 {
			w.failHere("expected a branch of an optional field")
		}
		if w.err != nil {
			return dst
		}
		if branch == 0 {
			continue
		}
		end := len(dst)
		dst = readAnythingField(w, dst, field)
		if hasField {
			dst = dst[:end] // read only to find the next field
		}
		hasField = true
	}
	if !hasField {
		return append(dst[:start], connectdata.TagNull)
	}
	return dst
}

// anyScalars are the tags and steps of the fields of scalars other than booleans.
var anyScalars = [...]struct {
	tag  byte
	step step
}{
	anyBytes:  {connectdata.TagBytes, step{op: bytesStep}},
	anyString: {connectdata.TagString, step{op: textStep}},
	anyDouble: {connectdata.TagFloat64, step{op: floatStep, size: 8}},
	anyFloat:  {connectdata.TagFloat32, step{op: floatStep, size: 4}},
	anyInt:    {connectdata.TagInt32, step{op: numberStep, size: 32}},
	anyLong:   {connectdata.TagInt64, step{op: numberStep, size: 64}},
}

// readAnythingField reads a field that is set, and writes it with the tag of its type.
func readAnythingField(w *rewrite, dst []byte, field int) []byte {
	switch field {
	case anyBoolean:
		return append(dst, connectdata.TagFalse+w.readBoolean())
	case anyArray, anyMap:
		isMap := field == anyMap
		if !w.enter() {
			return dst
		}
		s := step{op: arrayStep, element: &step{op: anythingStep}}
		tag := byte(connectdata.TagArray)
		if isMap {
			s = step{op: mapStep, key: s.element, element: s.element}
			tag = connectdata.TagMap
		}
		dst = append(dst, tag)
		start := len(dst)
		dst = s.runBlocks(w, dst)
		w.leave()
		// A schemaless value has one count and no end marker. An empty one is only the count.
		if len(dst)-start > 1 {
			dst = dst[:len(dst)-1]
		}
		return dst
	}
	scalar := &anyScalars[field]
	return scalar.step.run(w, append(dst, scalar.tag))
}
