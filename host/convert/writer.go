package convert

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
	"github.com/culvert-project/culvert/wit/java"
	"github.com/culvert-project/culvert/wit/java/json"
	"github.com/culvert-project/culvert/wit/java/values"
)

// A writer turns the structured value of one node into JSON. It is compiled once for each schema; running it allocates
// nothing but dst.
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
	// wrong is the failure of every value that is not null, of a misnamedShape.
	wrong *Error
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
	keyedShape // mapping of which each entry is an object of key and value
	unionShape // structure that stands for a union: the first member that is not null
	// misnamedShape has the name of a logical type and another type than that: transforms make it, JsonConverter fails
	// at values other than null. JsonSchemaConverter refuses the schema, so that none is registered.
	misnamedShape
)

// form holds the settings that decide how values look in JSON.
type form struct {
	numericDecimals bool
	// replaceNull: a default stands in for a null.
	replaceNull bool
	// ofSchema: as io.confluent.connect.json.JsonSchemaConverter has it, where entries of maps are objects of key and
	// value unless keys are texts that cannot be null, and unions are the value that they hold.
	ofSchema bool
}

// mapping is the shape of a map with keys of a node.
func (f form) mapping(key *wit.Node) shape {
	switch {
	case key.Kind == wit.Text && !(f.ofSchema && key.Optional):
		return objectShape
	case f.ofSchema:
		return keyedShape
	}
	return pairsShape
}

// newWriter compiles a node; k bounds the text of all defaults together.
func newWriter(k *budget, nodes []wit.Node, node uint32, f form) (*writer, error) {
	n := &nodes[node]
	w := &writer{optional: n.Optional, full: 2, null: []byte("null")}
	var err error
	if expected, is := kindOfName(n); is && n.Kind != expected && !f.ofSchema {
		w.shape, w.wrong = misnamedShape, misnamed(n)
	} else if w.shape, w.scale, err = shapeOf(n, f); err != nil {
		return nil, err
	}
	switch n.Kind {
	case wit.Array:
		w.element, err = newWriter(k, nodes, n.Element, f)
	case wit.Mapping:
		if w.wrong == nil {
			w.shape = f.mapping(&nodes[n.Key])
		}
		if w.key, err = newWriter(k, nodes, n.Key, f); err == nil {
			w.element, err = newWriter(k, nodes, n.Element, f)
		}
	case wit.Structure:
		w.members = make([]writer, len(n.Members))
		for i, m := range n.Members {
			one, err := newWriter(k, nodes, m.Node, f)
			if err != nil {
				return nil, err
			}
			if i > 0 && w.shape != unionShape {
				one.lead = append(one.lead, ',')
			}
			if w.shape == unionShape && !one.optional {
				return nil, dataError("the member %s of a union must be optional", quoted(m.Name))
			}
			var ok bool
			if one.lead, ok = json.AppendText(one.lead, []byte(m.Name)); !ok {
				return nil, dataError("field %s: the name is not UTF-8", quoted(m.Name))
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
		if w.null, err = w.defaultText(k, *n.DefaultValue); err == nil {
			k.most -= len(w.null)
		}
	}
	return w, err
}

// defaultText is a node's default as JSON. It is written without the node's own branch number.
func (w *writer) defaultText(k *budget, b []byte) ([]byte, error) {
	bare := *w
	bare.optional = false
	out, i, err := bare.write(k, nil, b, 0)
	if err == nil && i != len(b) {
		err = broken(i, "bytes left over")
	}
	if err == nil {
		err = k.room(out, 0)
	}
	if err != nil {
		return nil, endedBy(k.ctx, err)
	}
	return out, nil
}

func shapeOf(n *wit.Node, f form) (s shape, scale int, err error) {
	s = shape(n.Kind)
	if n.Kind == wit.Mapping {
		s = pairsShape
	} else if n.Kind == wit.Structure {
		if s = structureShape; f.ofSchema && isUnion(n) {
			s = unionShape
		}
	}
	expected, logical := kindOfName(n)
	if !logical {
		return s, 0, nil
	}
	if *n.Name == wit.NameDecimal {
		s = decimalText
		if f.numericDecimals {
			s = decimalNumber
		}
		if scale, err = scaleOf(n); err != nil {
			return 0, 0, err
		}
	}
	if n.Kind != expected {
		return 0, 0, dataError("schema %s: expected the type %s, found %s", *n.Name, typeName(expected),
			typeName(n.Kind))
	}
	return s, scale, nil
}

// kindOfName is the type that a logical type's name goes with.
func kindOfName(n *wit.Node) (kind wit.Kind, logical bool) {
	if n.Name == nil {
		return 0, false
	}
	switch *n.Name {
	case wit.NameDecimal:
		return wit.Bytes, true
	case wit.NameDate, wit.NameTime:
		return wit.Int32, true
	case wit.NameTimestamp:
		return wit.Int64, true
	}
	return 0, false
}

// misnamed is what JsonConverter says of a value under the name of a logical type that its type does not go with.
func misnamed(n *wit.Node) *Error {
	of := [...]any{int8(0), int16(0), int32(0), int64(0), float32(0), float64(0), false, "", []byte{}, datum.List{},
		datum.Map{}, nil}[n.Kind]
	name, class := strings.TrimPrefix(*n.Name, "org.apache.kafka.connect.data."), "Date"
	if *n.Name == wit.NameDecimal {
		class = "BigDecimal"
	}
	return &Error{dataException, "Invalid type for " + name + ", expected " + class + " but was class " +
		javaClass(of, nil)}
}

func scaleOf(n *wit.Node) (int, error) {
	scale, wrong := values.ScaleOf(n)
	if wrong != "" {
		return 0, dataError("%s", wrong)
	}
	return scale, nil
}

func broken(at int, what string) *Error {
	return &Error{dataException, "byte " + strconv.Itoa(at) + " of the structured value: " + what}
}

// write writes the value at in[i:] and tells where it ends.
func (w *writer) write(k *budget, dst, in []byte, i int) ([]byte, int, *Error) {
	if w.optional {
		if i >= len(in) || in[i]&^2 != 0 {
			return dst, i, broken(i, "expected the branch 00 or 02 of an optional value")
		}
		if in[i] != w.full {
			if len(w.null) > 4 {
				if err := k.room(dst, len(w.null)); err != nil {
					return dst, i, err
				}
			}
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
		if n > k.most-len(dst) {
			return dst, i, k.tooLarge()
		}
		dst, ok := json.AppendText(dst, in[i:i+n])
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
		return java.AppendJSONReal(dst, v, 32), i + 4, nil
	case float64Shape:
		if i+8 > len(in) {
			return dst, i, broken(i, "ends inside a double")
		}
		return java.AppendJSONReal(dst, math.Float64frombits(binary.LittleEndian.Uint64(in[i:])), 64), i + 8, nil
	case bytesShape, decimalText, decimalNumber:
		return w.writeBytes(k, dst, in, i)
	case structureShape:
		return w.writeStructure(k, dst, in, i)
	case unionShape:
		return w.writeUnion(k, dst, in, i)
	case misnamedShape:
		return dst, i, w.wrong
	}
	return w.writeItems(k, dst, in, i)
}

// length reads the length of a text or bytes of which all is there; size is that of the length itself, 0 when it is
// bad.
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
	v, size := wholeNumber(in, i)
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

func (w *writer) writeBytes(k *budget, dst, in []byte, i int) ([]byte, int, *Error) {
	n, size := length(in, i)
	if size <= 0 {
		return dst, i, broken(i, "ends inside bytes")
	}
	i += size
	b := in[i : i+n]
	if w.shape != bytesShape && n == 0 {
		return dst, i, broken(i, "a decimal of no bytes")
	}
	if w.shape != bytesShape && n > datum.MaxDecimalBytes {
		return dst, i, longDecimal(i, n)
	}
	if n > k.most-len(dst) {
		return dst, i, k.tooLarge()
	}
	if w.shape == decimalNumber {
		return values.AppendDecimal(dst, b, w.scale), i + n, nil
	}
	if w.shape == decimalText {
		b = values.Shortest(b)
	}
	dst = base64.StdEncoding.AppendEncode(append(dst, '"'), b)
	return append(dst, '"'), i + n, nil
}

func longDecimal(at, n int) *Error {
	return broken(at, "expected a decimal of at most "+strconv.Itoa(datum.MaxDecimalBytes)+" bytes, found "+
		strconv.Itoa(n))
}

func (w *writer) writeStructure(k *budget, dst, in []byte, i int) ([]byte, int, *Error) {
	dst = append(dst, '{')
	start := i
	var err *Error
	for m := range w.members {
		member := &w.members[m]
		dst = append(dst, member.lead...)
		if dst, i, err = member.write(k, dst, in, i); err != nil {
			return dst, i, member.blame(err)
		}
	}
	if i == start {
		if k.empty++; k.empty > datum.MaxEmptyStructures {
			return dst, i, broken(i, "more than "+strconv.Itoa(datum.MaxEmptyStructures)+" structures without bytes")
		}
	}
	return append(dst, '}'), i, nil
}

// writeUnion writes the first member of a union that has a value, as JsonSchemaData does, and passes over the others.
func (w *writer) writeUnion(k *budget, dst, in []byte, i int) ([]byte, int, *Error) {
	found := false
	for m := range w.members {
		member := &w.members[m]
		if i < len(in) && in[i] == 2-member.full {
			i++
			continue
		}
		before := len(dst)
		var err *Error
		if dst, i, err = member.write(k, dst, in, i); err != nil {
			return dst, i, member.blame(err)
		}
		if found {
			dst = dst[:before]
		}
		found = true
	}
	if !found {
		return dst, i, &Error{dataException, noValue}
	}
	return dst, i, nil
}

// blame puts the member's name in front of an error.
func (w *writer) blame(err *Error) *Error {
	name := w.lead[:len(w.lead)-1]
	if name[0] == ',' {
		name = name[1:]
	}
	return err.in(string(name[1 : len(name)-1]))
}

func (w *writer) writeItems(k *budget, dst, in []byte, i int) ([]byte, int, *Error) {
	opening, closing := byte('['), byte(']')
	if w.shape == objectShape {
		opening, closing = '{', '}'
	}
	dst = append(dst, opening)
	first := true
	for {
		count, next, err := blockHead(in, i)
		if err != nil {
			return dst, i, err
		}
		if i = next; count == 0 {
			return append(dst, closing), i, nil
		}
		for ; count > 0; count-- {
			if err := k.item(dst); err != nil {
				return dst, i, err
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			if dst, i, err = w.writeItem(k, dst, in, i); err != nil {
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

func (w *writer) writeItem(k *budget, dst, in []byte, i int) ([]byte, int, *Error) {
	var err *Error
	switch w.shape {
	case arrayShape:
		return w.element.write(k, dst, in, i)
	case pairsShape, keyedShape:
		lead, between, end := "[", ",", byte(']')
		if w.shape == keyedShape {
			lead, between, end = `{"key":`, `,"value":`, '}'
		}
		if dst, i, err = w.key.write(k, append(dst, lead...), in, i); err != nil {
			return dst, i, err
		}
		if dst, i, err = w.element.write(k, append(dst, between...), in, i); err != nil {
			return dst, i, err
		}
		return append(dst, end), i, nil
	}
	if w.key.optional && i < len(in) && in[i] == 2-w.key.full && string(w.key.null) == "null" {
		// The name of a null is its word, as Jackson's asText has it.
		dst, i = append(dst, `"null"`...), i+1
	} else if dst, i, err = w.key.write(k, dst, in, i); err != nil {
		return dst, i, err
	}
	return w.element.write(k, append(dst, ':'), in, i)
}

// writeDynamic writes the dynamic value at in[i:] and tells where it ends.
func writeDynamic(k *budget, dst, in []byte, i, depth int) ([]byte, int, *Error) {
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
		if n > k.most-len(dst) {
			return dst, i, k.tooLarge()
		}
		out, ok := json.AppendText(dst, in[i:i+n])
		if !ok {
			return dst, i, broken(i, "text that is not UTF-8")
		}
		return out, i + n, nil
	case datum.TagFloat32, datum.TagFloat64, datum.TagBytes:
		return dynamicWriters[tag].write(k, dst, in, i)
	case datum.TagArray:
		return writeDynamicItems(k, dst, in, i, depth, arrayShape)
	case datum.TagMap:
		s := objectShape // of a map whose count is bad
		if k.met < len(k.shapes) {
			s = k.shapes[k.met]
		}
		k.met++
		return writeDynamicItems(k, dst, in, i, depth, s)
	case datum.TagDecimal:
		return dst, i, &Error{dataException,
			"Java class class java.math.BigDecimal does not have corresponding schema type."}
	case datum.TagInstant:
		return dst, i, &Error{dataException, "Java class class java.util.Date does not have corresponding schema type."}
	case datum.TagStruct:
		return dst, i, &Error{dataException, "Mismatching schema."}
	}
	return dst, i, broken(i-1, "unknown tag")
}

var dynamicWriters = [...]writer{
	datum.TagInt8: {shape: int8Shape}, datum.TagInt16: {shape: int16Shape}, datum.TagInt32: {shape: int32Shape},
	datum.TagInt64: {shape: int64Shape}, datum.TagFloat32: {shape: float32Shape},
	datum.TagFloat64: {shape: float64Shape},
	datum.TagBytes:   {shape: bytesShape},
}

// errPairs says that a map has a key that is no text, so that the shapes of maps have to be surveyed.
var errPairs = &Error{Text: "a key that is no text"}

// skip is survey that tells where the value ends; scalars, which maps mostly hold, go the short way.
func (k *budget) skip(in []byte, i, depth int) int {
	if i < len(in) && in[i] != datum.TagArray && in[i] != datum.TagMap {
		return dynamicEnd(in, i)
	}
	return k.survey(in, i, depth)
}

// survey notes the shapes of all maps of the dynamic value at in[i:], in the order in which they begin: keys that are
// all texts make an object, anything else pairs. It tells where an array or map ends, -1 where the value is bad, which
// the writing finds again.
func (k *budget) survey(in []byte, i, depth int) int {
	if i >= len(in) || depth > datum.MaxDepth {
		return -1
	}
	tag := in[i]
	if tag != datum.TagArray && tag != datum.TagMap {
		return i
	}
	count, size := datum.Number(in[i+1:])
	if size <= 0 || count < 0 || count > int64(len(in)-i) {
		return -1
	}
	i += 1 + size
	at := len(k.shapes)
	if tag == datum.TagMap {
		k.shapes = append(k.shapes, objectShape)
	}
	for n := range count {
		if n%watchEvery == watchEvery-1 && k.ctx.Err() != nil {
			return -1
		}
		if tag == datum.TagMap {
			if i < len(in) && in[i] == datum.TagText {
				n, size := length(in, i+1)
				if size <= 0 {
					return -1
				}
				i += 1 + size + n
			} else {
				k.shapes[at] = pairsShape
				if i = k.skip(in, i, depth+1); i < 0 {
					return -1
				}
			}
		}
		if i = k.skip(in, i, depth+1); i < 0 {
			return -1
		}
	}
	return i
}

// dynamicEnd is where the dynamic value at in[i:], no array or map, ends, -1 where it is bad. What maps mostly hold
// goes the short way.
func dynamicEnd(in []byte, i int) int {
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

func writeDynamicItems(k *budget, dst, in []byte, i, depth int, s shape) ([]byte, int, *Error) {
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
		if err = k.item(dst); err != nil {
			return dst, i, err
		}
		if s == objectShape {
			dst, i, err = writeName(k, dst, in, i, int(n), depth)
		} else {
			if n > 0 {
				dst = append(dst, ',')
			}
			if s == pairsShape {
				dst, i, err = writeDynamic(k, append(dst, '['), in, i, depth+1)
				dst = append(dst, ',')
			}
		}
		if err != nil {
			return dst, i, err
		}
		if dst, i, err = writeDynamic(k, dst, in, i, depth+1); err != nil {
			return dst, i, err
		}
		if s == pairsShape {
			dst = append(dst, ']')
		}
	}
	return append(dst, closing), i, nil
}

// writeName writes the key of entry n of an object, with the comma in front of it and the colon after it. Mostly it is
// the one that stood there in the value before, of which both is remembered.
func writeName(k *budget, dst, in []byte, i, n, depth int) ([]byte, int, *Error) {
	remembered := depth == 0 && n < fewLeads // those inside of others are not
	if remembered && n < len(k.leads) && bytes.HasPrefix(in[i:], k.leads[n].key) {
		return append(dst, k.leads[n].text...), i + len(k.leads[n].key), nil
	}
	if k.objects && i < len(in) && in[i] != datum.TagText {
		return dst, i, errPairs
	}
	from, start := len(dst), i
	if n > 0 {
		dst = append(dst, ',')
	}
	dst, i, err := writeDynamic(k, dst, in, i, depth+1)
	if err != nil {
		return dst, i, err
	}
	dst = append(dst, ':')
	if remembered && n <= len(k.leads) && in[start] == datum.TagText && i-start <= leadBytes {
		if n == len(k.leads) {
			k.leads = append(k.leads, lead{})
		}
		l := &k.leads[n]
		l.text, l.key = append(l.text[:0], dst[from:]...), append(l.key[:0], in[start:i]...)
	}
	return dst, i, nil
}
