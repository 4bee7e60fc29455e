package connectjson

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/internal/java/values"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// A Writer encodes the values of one schema node as JSON. It is compiled once; Write allocates nothing but dst.
type Writer struct {
	Shape      shape
	lead       []byte       // the text before a member of a struct: comma, name and colon
	optional   bool         // values begin with a branch number
	nonNull    byte         // the branch of a value that is not null: 2, or 0 if the node has a default
	null       []byte       // the JSON of a null: null, or the default that replaces it
	Members    []Writer     // of a struct
	Key        *Writer      // of a map
	Element    *Writer      // of an array or a map
	scale      int          // of a decimal
	logicalErr *fault.Error // the error for every value but null of an invalidLogicalShape
}

// shape is the JSON form of a node's values.
type shape uint8

// The shapes up to arrayShape have the numbers of [wit.Kind], see shapeOf.
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
	ObjectShape // map with string keys
	pairsShape  // map with other keys, as an array of pairs
	structureShape
	decimalText
	DecimalNumber
	keyedShape // map, as an array of objects with key and value
	UnionShape // struct that represents a union: the first member that is not null
	// invalidLogicalShape is a type with the name of a logical type that requires another type. Transforms can create
	// it; JsonConverter fails on values but null, and JsonSchemaConverter rejects the schema.
	invalidLogicalShape
)

// Form has the settings that determine the JSON form of values.
type Form struct {
	NumericDecimals bool
	// ReplaceNull writes the default instead of a null.
	ReplaceNull bool
	// JSONSchema is the form of io.confluent.connect.json.JsonSchemaConverter: map entries are objects with key and
	// value unless keys are required strings, and unions are their value.
	JSONSchema bool
}

// mapping returns the form of a map by its key's node.
func (f Form) mapping(key *wit.SchemaNode) shape {
	switch {
	case key.Kind == wit.String && !(f.JSONSchema && key.Optional):
		return ObjectShape
	case f.JSONSchema:
		return keyedShape
	}
	return pairsShape
}

// NewWriter compiles a node with its children. k bounds the text of all defaults together: it shrinks by each.
func NewWriter(k *conversion.Budget, nodes []wit.SchemaNode, node uint32, f Form) (*Writer, error) {
	n := &nodes[node]
	w := &Writer{optional: n.Optional, nonNull: 2, null: []byte("null")}
	var err error
	if expected, isLogical := conversion.LogicalKind(n); isLogical && n.Kind != expected && !f.JSONSchema {
		example := [...]any{int8(0), int16(0), int32(0), int64(0), float32(0), float64(0), false, "", []byte{},
			connectdata.List{}, connectdata.Map{}, nil}[n.Kind]
		name := strings.TrimPrefix(*n.Name, "org.apache.kafka.connect.data.")
		class := "Date"
		if *n.Name == wit.NameDecimal {
			class = "BigDecimal"
		}
		w.logicalErr = fault.New(fault.DataException, "Invalid type for "+name+", expected "+class+" but was class "+
			conversion.JavaClass(example, nil))
		w.Shape = invalidLogicalShape
	} else if w.Shape, w.scale, err = shapeOf(n, f); err != nil {
		return nil, err
	}
	switch n.Kind {
	case wit.Array:
		w.Element, err = NewWriter(k, nodes, n.Element, f)
	case wit.Map:
		if w.logicalErr == nil {
			w.Shape = f.mapping(&nodes[n.Key])
		}
		if w.Key, err = NewWriter(k, nodes, n.Key, f); err == nil {
			w.Element, err = NewWriter(k, nodes, n.Element, f)
		}
	case wit.Struct:
		w.Members = make([]Writer, len(n.Fields))
		for i, field := range n.Fields {
			member, err := NewWriter(k, nodes, field.Node, f)
			if err != nil {
				return nil, err
			}
			if i > 0 && w.Shape != UnionShape {
				member.lead = append(member.lead, ',')
			}
			if w.Shape == UnionShape && !member.optional {
				return nil, fault.Data("the member %s of a union must be optional", fault.Quoted(field.Name))
			}
			var ok bool
			if member.lead, ok = java.AppendJSONText(member.lead, []byte(field.Name)); !ok {
				return nil, fault.Data("field %s: the name is not UTF-8", fault.Quoted(field.Name))
			}
			member.lead = append(member.lead, ':')
			w.Members[i] = *member
		}
	}
	if err != nil || n.DefaultValue == nil {
		return w, err
	}
	w.nonNull = 0
	if f.ReplaceNull {
		if w.null, err = w.DefaultText(k, *n.DefaultValue); err == nil {
			k.MaxLen -= len(w.null)
		}
	}
	return w, err
}

// DefaultText returns a node's default as JSON.
func (w *Writer) DefaultText(k *conversion.Budget, b []byte) ([]byte, error) {
	required := *w
	required.optional = false
	out, i, problem := required.Write(k, nil, b, 0)
	return out, k.CheckEnd(out, b, i, problem)
}

// shapeOf returns the form of a node's values, and the scale of a decimal.
func shapeOf(n *wit.SchemaNode, f Form) (s shape, scale int, err error) {
	s = shape(n.Kind)
	if n.Kind == wit.Map {
		s = pairsShape
	} else if n.Kind == wit.Struct {
		s = structureShape
		_, isSumUnion := conversion.Parameter(n, SumUnionName)
		if f.JSONSchema && (isSumUnion || conversion.NameOf(n) == UnionName) {
			s = UnionShape
		}
	}
	expected, isLogical := conversion.LogicalKind(n)
	if !isLogical {
		return s, 0, nil
	}
	if *n.Name == wit.NameDecimal {
		s = decimalText
		if f.NumericDecimals {
			s = DecimalNumber
		}
		if scale, err = conversion.ScaleOf(n); err != nil {
			return 0, 0, err
		}
	}
	if n.Kind != expected {
		return 0, 0, fault.Data("schema %s: expected the type %s, found %s", *n.Name, conversion.TypeName(expected),
			conversion.TypeName(n.Kind))
	}
	return s, scale, nil
}

// Write encodes the value at in[i:] and returns where it ends.
func (w *Writer) Write(k *conversion.Budget, dst, in []byte, i int) ([]byte, int, *fault.Error) {
	if w.optional {
		if i >= len(in) || in[i]&^2 != 0 {
			return dst, i, fault.Malformed(i, "expected the branch 00 or 02 of an optional value")
		}
		if in[i] != w.nonNull {
			if len(w.null) > 4 { // a default, which may be long
				if err := k.CheckRoom(dst, len(w.null)); err != nil {
					return dst, i, err
				}
			}
			return append(dst, w.null...), i + 1, nil
		}
		i++
	}
	switch w.Shape {
	case int8Shape, int16Shape, int32Shape, int64Shape:
		if i < len(in) && in[i] < 0x80 { // a zigzag number of one byte, from -64 to 63
			n := int(in[i]>>1) ^ -int(in[i]&1)
			if n < 0 {
				dst = append(dst, '-')
				n = -n
			}
			if n >= 10 {
				return append(dst, byte('0'+n/10), byte('0'+n%10)), i + 1, nil
			}
			return append(dst, byte('0'+n)), i + 1, nil
		}
		return w.writeInteger(dst, in, i)
	case textShape:
		n, size := length(in, i)
		if size <= 0 {
			return dst, i, fault.Malformed(i, "ends inside a text")
		}
		i += size
		if n > k.MaxLen-len(dst) {
			return dst, i, k.TooLarge()
		}
		dst, ok := java.AppendJSONText(dst, in[i:i+n])
		if !ok {
			return dst, i, fault.Malformed(i, "text that is not UTF-8")
		}
		return dst, i + n, nil
	case booleanShape:
		if i >= len(in) || in[i] > 1 {
			return dst, i, fault.Malformed(i, "expected a boolean, 00 or 01")
		}
		if in[i] == 1 {
			return append(dst, "true"...), i + 1, nil
		}
		return append(dst, "false"...), i + 1, nil
	case float32Shape:
		if i+4 > len(in) {
			return dst, i, fault.Malformed(i, "ends inside a float")
		}
		v := float64(math.Float32frombits(binary.LittleEndian.Uint32(in[i:])))
		return java.AppendJSONFloat(dst, v, 32), i + 4, nil
	case float64Shape:
		if i+8 > len(in) {
			return dst, i, fault.Malformed(i, "ends inside a double")
		}
		return java.AppendJSONFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(in[i:])), 64), i + 8, nil
	case bytesShape, decimalText, DecimalNumber:
		return w.writeBytes(k, dst, in, i)
	case structureShape:
		return w.writeStructure(k, dst, in, i)
	case UnionShape:
		return w.writeUnion(k, dst, in, i)
	case invalidLogicalShape:
		return dst, i, w.logicalErr
	}
	return w.writeItems(k, dst, in, i)
}

// length reads the length prefix of a string or bytes, whose size is 0 if it is malformed or bytes are missing.
func length(in []byte, i int) (n, size int) {
	if i < len(in) && in[i] < 0x80 && in[i]&1 == 0 { // a zigzag number of one byte that is not negative
		if n = int(in[i] >> 1); n < len(in)-i {
			return n, 1
		}
		return 0, 0
	}
	if i >= len(in) {
		return 0, 0
	}
	v, size := connectdata.Number(in[i:])
	if size <= 0 || v < 0 || v > int64(len(in)-i-size) {
		return 0, 0
	}
	return int(v), size
}

func (w *Writer) writeInteger(dst, in []byte, i int) ([]byte, int, *fault.Error) {
	if i >= len(in) {
		return dst, i, fault.Malformed(i, "ends before a number")
	}
	v, size := wholeNumber(in, i)
	if size <= 0 {
		return dst, i, fault.Malformed(i, "expected a number")
	}
	if bits := 8 << w.Shape; v>>(bits-1) != 0 && v>>(bits-1) != -1 {
		return dst, i, fault.Malformed(i,
			"a number that does not fit "+strconv.Itoa(bits)+" bits: "+strconv.FormatInt(v, 10))
	}
	return strconv.AppendInt(dst, v, 10), i + size, nil
}

func (w *Writer) writeBytes(k *conversion.Budget, dst, in []byte, i int) ([]byte, int, *fault.Error) {
	n, size := length(in, i)
	if size <= 0 {
		return dst, i, fault.Malformed(i, "ends inside bytes")
	}
	i += size
	b := in[i : i+n]
	if w.Shape != bytesShape && n == 0 {
		return dst, i, fault.Malformed(i, "a decimal of no bytes")
	}
	if w.Shape != bytesShape && n > connectdata.MaxDecimalBytes {
		return dst, i, longDecimal(i, n)
	}
	if n > k.MaxLen-len(dst) {
		return dst, i, k.TooLarge()
	}
	if w.Shape == DecimalNumber {
		return values.AppendDecimal(dst, b, w.scale), i + n, nil
	}
	if w.Shape == decimalText {
		b = values.Shortest(b)
	}
	dst = base64.StdEncoding.AppendEncode(append(dst, '"'), b)
	return append(dst, '"'), i + n, nil
}

func longDecimal(pos, n int) *fault.Error {
	return fault.Malformed(pos, "expected a decimal of at most "+strconv.Itoa(connectdata.MaxDecimalBytes)+
		" bytes, found "+strconv.Itoa(n))
}

func (w *Writer) writeStructure(k *conversion.Budget, dst, in []byte, i int) ([]byte, int, *fault.Error) {
	dst = append(dst, '{')
	start := i
	var err *fault.Error
	for m := range w.Members {
		member := &w.Members[m]
		dst = append(dst, member.lead...)
		if dst, i, err = member.Write(k, dst, in, i); err != nil {
			return dst, i, member.inField(err)
		}
	}
	if i == start {
		k.Empty++
		if k.Empty > connectdata.MaxEmptyStructs {
			return dst, i, fault.Malformed(i,
				"more than "+strconv.Itoa(connectdata.MaxEmptyStructs)+" structures without bytes")
		}
	}
	return append(dst, '}'), i, nil
}

// writeUnion writes the first member of a union that has a value, like JsonSchemaData, and skips the others.
func (w *Writer) writeUnion(k *conversion.Budget, dst, in []byte, i int) ([]byte, int, *fault.Error) {
	hasValue := false
	for m := range w.Members {
		member := &w.Members[m]
		if i < len(in) && in[i] == 2-member.nonNull { // null
			i++
			continue
		}
		start := len(dst)
		var err *fault.Error
		if dst, i, err = member.Write(k, dst, in, i); err != nil {
			return dst, i, member.inField(err)
		}
		if hasValue {
			dst = dst[:start]
		}
		hasValue = true
	}
	if !hasValue {
		return dst, i, fault.New(fault.DataException, fault.NoValue)
	}
	return dst, i, nil
}

// inField prefixes an error with the member's name.
func (w *Writer) inField(err *fault.Error) *fault.Error {
	name := w.lead[:len(w.lead)-1] // lead is "name": with or without a comma in front
	if name[0] == ',' {
		name = name[1:]
	}
	return err.InField(string(name[1 : len(name)-1]))
}

func (w *Writer) writeItems(k *conversion.Budget, dst, in []byte, i int) ([]byte, int, *fault.Error) {
	opening := byte('[')
	closing := byte(']')
	if w.Shape == ObjectShape {
		opening = '{'
		closing = '}'
	}
	dst = append(dst, opening)
	first := true
	for {
		count, next, err := blockHead(in, i)
		if err != nil {
			return dst, i, err
		}
		i = next
		if count == 0 {
			return append(dst, closing), i, nil
		}
		for ; count > 0; count-- {
			if err := k.CountItem(dst); err != nil {
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

// blockHead reads the head of a block of an array or map: the number of items, and where they begin.
func blockHead(in []byte, i int) (count int64, next int, err *fault.Error) {
	if i >= len(in) {
		return 0, i, fault.Malformed(i, "ends before the count of a block")
	}
	count, size := connectdata.Number(in[i:])
	if size <= 0 || count == math.MinInt64 {
		return 0, i, fault.Malformed(i, "expected the count of a block")
	}
	i += size
	if count < 0 {
		n, size := connectdata.Number(in[i:])
		if size <= 0 || n < 0 {
			return 0, i, fault.Malformed(i, "expected the size of a block")
		}
		return -count, i + size, nil
	}
	return count, i, nil
}

func (w *Writer) writeItem(k *conversion.Budget, dst, in []byte, i int) ([]byte, int, *fault.Error) {
	var err *fault.Error
	switch w.Shape {
	case arrayShape:
		return w.Element.Write(k, dst, in, i)
	case pairsShape, keyedShape:
		lead := "["
		between := ","
		end := byte(']')
		if w.Shape == keyedShape {
			lead = `{"key":`
			between = `,"value":`
			end = '}'
		}
		if dst, i, err = w.Key.Write(k, append(dst, lead...), in, i); err != nil {
			return dst, i, err
		}
		if dst, i, err = w.Element.Write(k, append(dst, between...), in, i); err != nil {
			return dst, i, err
		}
		return append(dst, end), i, nil
	}
	if w.Key.optional && i < len(in) && in[i] == 2-w.Key.nonNull && string(w.Key.null) == "null" {
		// Jackson's asText of a null
		dst = append(dst, `"null"`...)
		i++
	} else if dst, i, err = w.Key.Write(k, dst, in, i); err != nil {
		return dst, i, err
	}
	return w.Element.Write(k, append(dst, ':'), in, i)
}
