package convert

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// A writer turns the structured value of one node into JSON. It is compiled once for each schema; running it allocates nothing
// beyond dst.
type writer struct {
	shape shape
	// lead is the text before a member of a structure: the comma and its name.
	lead []byte
	// optional values begin with a branch number; full is the one that a value follows.
	optional bool
	full     byte
	// null is the JSON of a null: `null`, or the default that replaces it.
	null         []byte
	members      []writer
	key, element *writer
	scale        int
}

// shape is how a node's value is written.
type shape uint8

const (
	int8Shape shape = iota
	int16Shape
	int32Shape
	int64Shape
	float32Shape
	float64Shape
	booleanShape
	textShape
	bytesShape
	arrayShape
	objectShape // mapping with keys of text
	pairsShape  // mapping with other keys
	structureShape
	decimalText
	decimalNumber
)

// form holds the settings that decide how values look in JSON.
type form struct {
	numericDecimals bool
	// replaceNull: a default stands in for a null.
	replaceNull bool
}

// newWriter compiles a node.
func newWriter(nodes []wit.Node, node uint32, f form) (*writer, error) {
	n := &nodes[node]
	w := &writer{optional: n.Optional, full: 2, null: []byte("null")}
	var err error
	if w.shape, w.scale, err = shapeOf(n, f); err != nil {
		return nil, err
	}
	switch n.Kind {
	case wit.Array:
		w.element, err = newWriter(nodes, n.Element, f)
	case wit.Mapping:
		if nodes[n.Key].Kind == wit.Text {
			w.shape = objectShape
		}
		if w.key, err = newWriter(nodes, n.Key, f); err == nil {
			w.element, err = newWriter(nodes, n.Element, f)
		}
	case wit.Structure:
		w.members = make([]writer, len(n.Members))
		for i, m := range n.Members {
			one, err := newWriter(nodes, m.Node, f)
			if err != nil {
				return nil, err
			}
			if i > 0 {
				one.lead = append(one.lead, ',')
			}
			var ok bool
			if one.lead, ok = appendText(one.lead, []byte(m.Name)); !ok {
				return nil, dataError("field %q: the name is not UTF-8", m.Name)
			}
			one.lead = append(one.lead, ':')
			w.members[i] = *one
		}
	}
	if err != nil || n.DefaultValue == nil {
		return w, err
	}
	w.full = 0
	if f.replaceNull {
		w.null, err = w.defaultText(*n.DefaultValue)
	}
	return w, err
}

// defaultText is a node's default as JSON. It is written without the node's own branch number.
func (w *writer) defaultText(b []byte) ([]byte, error) {
	bare := *w
	bare.optional = false
	return bare.whole(nil, b)
}

func shapeOf(n *wit.Node, f form) (s shape, scale int, err error) {
	s = shape(n.Kind)
	if n.Kind == wit.Mapping {
		s = pairsShape
	} else if n.Kind == wit.Structure {
		s = structureShape
	}
	if n.Name == nil {
		return s, 0, nil
	}
	expected := n.Kind
	switch *n.Name {
	case wit.NameDecimal:
		expected = wit.Bytes
		s = decimalText
		if f.numericDecimals {
			s = decimalNumber
		}
		if scale, err = scaleOf(n); err != nil {
			return 0, 0, err
		}
	case wit.NameDate, wit.NameTime:
		expected = wit.Int32
	case wit.NameTimestamp:
		expected = wit.Int64
	}
	if n.Kind != expected {
		return 0, 0, dataError("schema %s: expected the type %s, found %s", *n.Name, typeName(expected), typeName(n.Kind))
	}
	return s, scale, nil
}

func scaleOf(n *wit.Node) (int, error) {
	for _, p := range n.Parameters {
		if p.Name == wit.ParameterScale {
			scale, err := strconv.ParseInt(p.Value, 10, 32)
			if err != nil {
				return 0, dataError("Invalid scale parameter found in Decimal schema: %q", p.Value)
			}
			return int(scale), nil
		}
	}
	return 0, dataError("Invalid Decimal schema: scale parameter not found.")
}

// whole writes exactly one value.
func (w *writer) whole(dst, in []byte) ([]byte, error) {
	out, i, err := w.write(dst, in, 0)
	if err == nil && i != len(in) {
		err = broken(i, "bytes left over")
	}
	if err != nil {
		return dst, err
	}
	return out, nil
}

func broken(at int, what string) *Error {
	return &Error{DataException, "byte " + strconv.Itoa(at) + " of the structured value: " + what}
}

// write writes the value at in[i:] and tells where it ends.
func (w *writer) write(dst, in []byte, i int) ([]byte, int, *Error) {
	if w.optional {
		if i >= len(in) || in[i]&^2 != 0 {
			return dst, i, broken(i, "expected the branch 00 or 02 of an optional value")
		}
		if in[i] != w.full {
			return append(dst, w.null...), i + 1, nil
		}
		i++
	}
	switch w.shape {
	case int8Shape, int16Shape, int32Shape, int64Shape:
		if i < len(in) && in[i] < 0x80 {
			return appendSmall(dst, int(in[i]>>1)^-int(in[i]&1)), i + 1, nil
		}
		return w.writeInteger(dst, in, i)
	case textShape:
		n, size := length(in, i)
		if size <= 0 {
			return dst, i, broken(i, "ends inside a text")
		}
		i += size
		dst, ok := appendText(dst, in[i:i+n])
		if !ok {
			return dst, i, broken(i, "text that is not UTF-8")
		}
		return dst, i + n, nil
	case booleanShape:
		if i >= len(in) || in[i] > 1 {
			return dst, i, broken(i, "expected a boolean, 00 or 01")
		}
		if in[i] == 1 {
			return append(dst, "true"...), i + 1, nil
		}
		return append(dst, "false"...), i + 1, nil
	case float32Shape:
		if i+4 > len(in) {
			return dst, i, broken(i, "ends inside a float")
		}
		v := float64(math.Float32frombits(binary.LittleEndian.Uint32(in[i:])))
		return appendReal(dst, v, 32), i + 4, nil
	case float64Shape:
		if i+8 > len(in) {
			return dst, i, broken(i, "ends inside a double")
		}
		return appendReal(dst, math.Float64frombits(binary.LittleEndian.Uint64(in[i:])), 64), i + 8, nil
	case bytesShape, decimalText, decimalNumber:
		return w.writeBytes(dst, in, i)
	case structureShape:
		return w.writeStructure(dst, in, i)
	}
	return w.writeItems(dst, in, i)
}

// length reads the length of a text or bytes of which all is there; size is that of the length itself, 0 when it is bad.
func length(in []byte, i int) (n, size int) {
	if i < len(in) && in[i] < 0x80 && in[i]&1 == 0 {
		if n = int(in[i] >> 1); n < len(in)-i {
			return n, 1
		}
		return 0, 0
	}
	if i >= len(in) {
		return 0, 0
	}
	v, size := datum.Number(in[i:])
	if size <= 0 || v < 0 || v > int64(len(in)-i-size) {
		return 0, 0
	}
	return int(v), size
}

func (w *writer) writeInteger(dst, in []byte, i int) ([]byte, int, *Error) {
	if i >= len(in) {
		return dst, i, broken(i, "ends before a number")
	}
	v, size := datum.Number(in[i:])
	if size <= 0 {
		return dst, i, broken(i, "expected a number")
	}
	if bits := 8 << w.shape; v>>(bits-1) != 0 && v>>(bits-1) != -1 {
		return dst, i, broken(i, "a number that does not fit "+strconv.Itoa(bits)+" bits: "+strconv.FormatInt(v, 10))
	}
	return strconv.AppendInt(dst, v, 10), i + size, nil
}

// appendSmall writes a number from -64 to 63.
func appendSmall(dst []byte, n int) []byte {
	if n < 0 {
		dst = append(dst, '-')
		n = -n
	}
	if n >= 10 {
		return append(dst, byte('0'+n/10), byte('0'+n%10))
	}
	return append(dst, byte('0'+n))
}

// appendReal writes a float as Jackson does: infinities and NaN as strings.
func appendReal(dst []byte, v float64, size int) []byte {
	switch {
	case v != v:
		return append(dst, `"NaN"`...)
	case v > math.MaxFloat64:
		return append(dst, `"Infinity"`...)
	case v < -math.MaxFloat64:
		return append(dst, `"-Infinity"`...)
	}
	return appendFloat(dst, v, size)
}

func (w *writer) writeBytes(dst, in []byte, i int) ([]byte, int, *Error) {
	n, size := length(in, i)
	if size <= 0 {
		return dst, i, broken(i, "ends inside bytes")
	}
	i += size
	b := in[i : i+n]
	if w.shape != bytesShape && n == 0 {
		return dst, i, broken(i, "a decimal of no bytes")
	}
	if w.shape == decimalNumber {
		return appendDecimal(dst, b, w.scale), i + n, nil
	}
	if w.shape == decimalText {
		b = shortest(b)
	}
	dst = base64.StdEncoding.AppendEncode(append(dst, '"'), b)
	return append(dst, '"'), i + n, nil
}

func (w *writer) writeStructure(dst, in []byte, i int) ([]byte, int, *Error) {
	dst = append(dst, '{')
	var err *Error
	for m := range w.members {
		member := &w.members[m]
		dst = append(dst, member.lead...)
		if dst, i, err = member.write(dst, in, i); err != nil {
			return dst, i, member.blame(err)
		}
	}
	return append(dst, '}'), i, nil
}

// blame puts the member's name in front of an error.
func (w *writer) blame(err *Error) *Error {
	name := w.lead[:len(w.lead)-1]
	if name[0] == ',' {
		name = name[1:]
	}
	return &Error{err.Class, "field " + string(name) + ": " + err.Text}
}

func (w *writer) writeItems(dst, in []byte, i int) ([]byte, int, *Error) {
	opening, closing := byte('['), byte(']')
	if w.shape == objectShape {
		opening, closing = '{', '}'
	}
	dst = append(dst, opening)
	// written bounds what items of no bytes (empty structures) can make of a short text
	first, written := true, 0
	for {
		count, next, err := blockHead(in, i)
		if err != nil {
			return dst, i, err
		}
		if i = next; count == 0 {
			return append(dst, closing), i, nil
		}
		for ; count > 0; count-- {
			if written++; written > 64*len(in) {
				return dst, i, broken(i, "more items than bytes")
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			if dst, i, err = w.writeItem(dst, in, i); err != nil {
				return dst, i, err
			}
		}
	}
}

// blockHead reads the head of a block of an array or mapping: how many items follow, and where.
func blockHead(in []byte, i int) (count int64, next int, err *Error) {
	if i >= len(in) {
		return 0, i, broken(i, "ends before the count of a block")
	}
	count, size := datum.Number(in[i:])
	if size <= 0 || count == math.MinInt64 {
		return 0, i, broken(i, "expected the count of a block")
	}
	i += size
	if count < 0 {
		n, size := datum.Number(in[i:])
		if size <= 0 || n < 0 {
			return 0, i, broken(i, "expected the size of a block")
		}
		return -count, i + size, nil
	}
	return count, i, nil
}

func (w *writer) writeItem(dst, in []byte, i int) ([]byte, int, *Error) {
	var err *Error
	switch w.shape {
	case arrayShape:
		return w.element.write(dst, in, i)
	case pairsShape:
		dst = append(dst, '[')
		if dst, i, err = w.key.write(dst, in, i); err != nil {
			return dst, i, err
		}
		if dst, i, err = w.element.write(append(dst, ','), in, i); err != nil {
			return dst, i, err
		}
		return append(dst, ']'), i, nil
	}
	if w.key.optional && i < len(in) && in[i] != w.key.full {
		return dst, i, broken(i, "a null as the key of a map, which a JSON object cannot hold")
	}
	if dst, i, err = w.key.write(dst, in, i); err != nil {
		return dst, i, err
	}
	return w.element.write(append(dst, ':'), in, i)
}

// writeDynamic writes the dynamic value at in[i:] and tells where it ends.
func writeDynamic(dst, in []byte, i, depth int) ([]byte, int, *Error) {
	if i >= len(in) || depth > datum.MaxDepth {
		return dst, i, broken(i, "expected a tag, nested at most 1000 deep")
	}
	tag := in[i]
	i++
	switch tag {
	case datum.TagNull:
		return append(dst, "null"...), i, nil
	case datum.TagInt8, datum.TagInt16, datum.TagInt32, datum.TagInt64:
		return dynamicWriters[tag].writeInteger(dst, in, i)
	case datum.TagFalse:
		return append(dst, "false"...), i, nil
	case datum.TagTrue:
		return append(dst, "true"...), i, nil
	case datum.TagText:
		n, size := length(in, i)
		if size <= 0 {
			return dst, i, broken(i, "ends inside a text")
		}
		i += size
		out, ok := appendText(dst, in[i:i+n])
		if !ok {
			return dst, i, broken(i, "text that is not UTF-8")
		}
		return out, i + n, nil
	case datum.TagFloat32, datum.TagFloat64, datum.TagBytes:
		return dynamicWriters[tag].write(dst, in, i)
	case datum.TagArray:
		return writeDynamicItems(dst, in, i, depth, arrayShape)
	case datum.TagMap:
		return writeDynamicItems(dst, in, i, depth, mapShape(in, i, depth))
	case datum.TagDecimal:
		return dst, i, &Error{DataException, "Java class class java.math.BigDecimal does not have corresponding schema type."}
	case datum.TagInstant:
		return dst, i, &Error{DataException, "Java class class java.util.Date does not have corresponding schema type."}
	case datum.TagStruct:
		return dst, i, &Error{DataException, "Mismatching schema."}
	}
	return dst, i, broken(i-1, "unknown tag")
}

var dynamicWriters = [...]writer{
	datum.TagInt8: {shape: int8Shape}, datum.TagInt16: {shape: int16Shape}, datum.TagInt32: {shape: int32Shape},
	datum.TagInt64: {shape: int64Shape}, datum.TagFloat32: {shape: float32Shape}, datum.TagFloat64: {shape: float64Shape},
	datum.TagBytes: {shape: bytesShape},
}

// mapShape looks at the keys of a map: all texts make an object, anything else pairs.
func mapShape(in []byte, i, depth int) shape {
	count, size := datum.Number(in[i:])
	if size <= 0 {
		return objectShape
	}
	for i += size; count > 0 && i < len(in); count-- {
		if in[i] != datum.TagText {
			return pairsShape
		}
		for range 2 {
			if i = dynamicEnd(in, i); i < 0 {
				return objectShape // the writing finds what is wrong
			}
		}
	}
	return objectShape
}

// dynamicEnd is where the dynamic value at in[i:] ends, -1 where it is bad. Scalars, which maps mostly hold, go the short way.
func dynamicEnd(in []byte, i int) int {
	if i >= len(in) {
		return -1
	}
	switch in[i] {
	case datum.TagNull, datum.TagFalse, datum.TagTrue:
		return i + 1
	case datum.TagText:
		if n, size := length(in, i+1); size > 0 {
			return i + 1 + size + n
		}
		return -1
	case datum.TagFloat64:
		if i+9 <= len(in) {
			return i + 9
		}
		return -1
	}
	n, err := datum.SkipDynamic(in[i:])
	if err != nil {
		return -1
	}
	return i + n
}

func writeDynamicItems(dst, in []byte, i, depth int, s shape) ([]byte, int, *Error) {
	count, size := datum.Number(in[i:])
	if size <= 0 || count < 0 || count > int64(len(in)-i) {
		return dst, i, broken(i, "expected a count")
	}
	i += size
	open, closing := byte('['), byte(']')
	if s == objectShape {
		open, closing = '{', '}'
	}
	dst = append(dst, open)
	var err *Error
	for n := range count {
		if n > 0 {
			dst = append(dst, ',')
		}
		if s == pairsShape {
			dst = append(dst, '[')
		}
		if s != arrayShape {
			if dst, i, err = writeDynamic(dst, in, i, depth+1); err != nil {
				return dst, i, err
			}
			if s == objectShape {
				dst = append(dst, ':')
			} else {
				dst = append(dst, ',')
			}
		}
		if dst, i, err = writeDynamic(dst, in, i, depth+1); err != nil {
			return dst, i, err
		}
		if s == pairsShape {
			dst = append(dst, ']')
		}
	}
	return append(dst, closing), i, nil
}
