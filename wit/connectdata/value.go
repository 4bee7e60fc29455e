package connectdata

import (
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"strconv"
	"unicode/utf8"

	"github.com/culvert-project/culvert/wit"
)

// List is an array.
//
// A value tree consists of nil, bool, int8 to int64, float32, float64, string, []byte, [List] and [Map]. With a schema
// it also has [Struct], without one [Decimal], [Instant] and [Nested].
type List []any

// Entry is an entry of a [Map].
type Entry struct{ Key, Value any }

// Map is a map with the order of its entries.
type Map []Entry

// Struct contains the fields of a struct in the order of its schema.
type Struct []any

// Decimal is a schemaless java.math.BigDecimal.
type Decimal struct {
	Scale    int32
	Unscaled *big.Int
}

// Equal reports whether both have the same digits and the same scale, as java.math.BigDecimal's equals does.
func (d Decimal) Equal(other Decimal) bool {
	if d.Unscaled == nil || other.Unscaled == nil {
		return d == other
	}
	return d.Scale == other.Scale && d.Unscaled.Cmp(other.Unscaled) == 0
}

// Instant is a schemaless java.util.Date, in milliseconds since 1970-01-01T00:00:00Z.
type Instant int64

// Nested is a struct with a schema in a schemaless value.
type Nested struct {
	Schema uint32
	Bytes  []byte
}

// Read returns the value of a node at the start of b and its size in bytes. Byte slices alias b.
func Read(nodes []wit.SchemaNode, node uint32, b []byte) (any, int, error) {
	r := reader{b: b}
	v, err := r.valueWithSchema(nodes, node, 0)
	if err != nil {
		return nil, 0, err
	}
	return v, r.i, nil
}

// ReadSchemaless returns the schemaless value at the start of b and its size in bytes. Byte slices alias b.
func ReadSchemaless(b []byte) (any, int, error) {
	r := reader{b: b}
	v, err := r.schemalessValue(0)
	if err != nil {
		return nil, 0, err
	}
	return v, r.i, nil
}

// reader reads values from b, from index i on.
type reader struct {
	b      []byte
	i      int
	values int // the number of values in the tree
	skipState
}

// countValue returns an error after [MaxTreeValues] values.
func (r *reader) countValue() *Error {
	r.values++
	if r.values > MaxTreeValues {
		return newError(r.i, "more than 1000000 values")
	}
	return nil
}

func (r *reader) number() (int64, *Error) {
	v, k := Number(r.b[r.i:])
	if k <= 0 {
		return 0, sizeError(r.i, k, "a number")
	}
	r.i += k
	return v, nil
}

func (r *reader) lengthPrefixed() ([]byte, *Error) {
	v, k := LengthPrefixed(r.b[r.i:])
	if k <= 0 {
		return nil, sizeError(r.i, k, "a text or bytes")
	}
	r.i += k
	return v, nil
}

func (r *reader) float(size int) (uint64, *Error) {
	end, err := skipFloat(r.b, r.i, size)
	if err != nil {
		return 0, err
	}
	encoded := r.b[r.i:end]
	r.i = end
	if size == 4 {
		return uint64(binary.LittleEndian.Uint32(encoded)), nil
	}
	return binary.LittleEndian.Uint64(encoded), nil
}

func (r *reader) text() (string, *Error) {
	start := r.i
	b, err := r.lengthPrefixed()
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", newError(start, "text that is not UTF-8")
	}
	return string(b), nil
}

func (r *reader) integer(bits uint) (any, *Error) {
	start := r.i
	v, err := r.number()
	if err != nil {
		return nil, err
	}
	if !fits(v, bits) {
		return nil, newError(start, "a number that does not fit "+strconv.Itoa(int(bits))+" bits: "+strconv.FormatInt(v,
			10))
	}
	switch bits {
	case 8:
		return int8(v), nil
	case 16:
		return int16(v), nil
	case 32:
		return int32(v), nil
	}
	return v, nil
}

func (r *reader) valueWithSchema(nodes []wit.SchemaNode, node uint32, depth int) (any, *Error) {
	if depth > MaxDepth {
		return nil, newError(r.i, "nests deeper than 1000")
	}
	if err := r.countValue(); err != nil {
		return nil, err
	}
	schemaNode := &nodes[node]
	isNull, size, ok := IsNull(schemaNode, r.b[r.i:])
	if !ok {
		return nil, newError(r.i, "expected the branch 00 or 02 of an optional value")
	}
	r.i += size
	if isNull {
		return nil, nil
	}
	switch schemaNode.Kind {
	case wit.Boolean:
		end, err := skipValue(nodes, schemaNode, r.b, r.i, depth, &r.skipState)
		if err != nil {
			return nil, err
		}
		v := r.b[r.i] == 1
		r.i = end
		return v, nil
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		return r.integer([...]uint{8, 16, 32, 64}[schemaNode.Kind-wit.Int8])
	case wit.Float32:
		v, err := r.float(4)
		return math.Float32frombits(uint32(v)), err
	case wit.Float64:
		v, err := r.float(8)
		return math.Float64frombits(v), err
	case wit.String:
		return r.text()
	case wit.Bytes:
		start := r.i
		b, err := r.lengthPrefixed()
		if err == nil && isLongDecimal(schemaNode, b) {
			return nil, longDecimal(start)
		}
		return b, err
	case wit.Struct:
		fields := make(Struct, len(schemaNode.Fields))
		start := r.i
		for i, m := range schemaNode.Fields {
			v, err := r.valueWithSchema(nodes, m.Node, depth+1)
			if err != nil {
				return nil, err
			}
			fields[i] = v
		}
		if r.i == start {
			r.emptyStructs++
			if r.emptyStructs > MaxEmptyStructs {
				return nil, tooManyEmpty(start)
			}
		}
		return fields, nil
	case wit.Map:
		m := Map{}
		err := r.items(func() *Error {
			k, err := r.valueWithSchema(nodes, schemaNode.Key, depth+1)
			if err != nil {
				return err
			}
			v, err := r.valueWithSchema(nodes, schemaNode.Element, depth+1)
			m = append(m, Entry{Key: k, Value: v})
			return err
		})
		return m, err
	}
	l := List{}
	err := r.items(func() *Error {
		v, err := r.valueWithSchema(nodes, schemaNode.Element, depth+1)
		l = append(l, v)
		return err
	})
	return l, err
}

// items calls readItem for the items of an array or map. readItem must advance r past the item.
func (r *reader) items(readItem func() *Error) *Error {
	blocks := blockReader{b: r.b, i: r.i}
	for blocks.next() {
		r.i = blocks.i
		if err := readItem(); err != nil {
			return err
		}
		blocks.i = r.i
	}
	r.i = blocks.i
	return blocks.err
}

func (r *reader) schemalessValue(depth int) (any, *Error) {
	start := r.i
	if depth > MaxDepth {
		return nil, newError(start, "nests deeper than 1000")
	}
	if err := r.countValue(); err != nil {
		return nil, err
	}
	if r.i >= len(r.b) {
		return nil, newError(start, "expected a tag, found the end")
	}
	tag := r.b[r.i]
	r.i++
	switch tag {
	case TagNull:
		return nil, nil
	case TagFalse, TagTrue:
		return tag == TagTrue, nil
	case TagInt8, TagInt16, TagInt32, TagInt64:
		return r.integer([...]uint{8, 16, 32, 64}[tag-TagInt8])
	case TagFloat32:
		v, err := r.float(4)
		return math.Float32frombits(uint32(v)), err
	case TagFloat64:
		v, err := r.float(8)
		return math.Float64frombits(v), err
	case TagString:
		return r.text()
	case TagBytes:
		b, err := r.lengthPrefixed()
		return b, err
	case TagInstant:
		v, err := r.number()
		return Instant(v), err
	case TagDecimal:
		scale, err := r.integer(32)
		if err != nil {
			return nil, err
		}
		if scale := scale.(int32); scale > MaxScale || scale < -MaxScale {
			return nil, badScale(start + 1)
		}
		contentStart := r.i
		b, err := r.lengthPrefixed()
		if len(b) > MaxDecimalBytes {
			return nil, longDecimal(contentStart)
		}
		return Decimal{Scale: scale.(int32), Unscaled: Unscaled(b)}, err
	case TagStruct:
		id, err := r.number()
		if err != nil {
			return nil, err
		}
		if id < 0 || id > math.MaxUint32 {
			return nil, newError(start, "a schema id out of range")
		}
		b, err := r.lengthPrefixed()
		return Nested{Schema: uint32(id), Bytes: b}, err
	case TagArray, TagMap:
		return r.schemalessItems(tag, depth)
	}
	return nil, newError(start, "unknown tag "+strconv.Itoa(int(tag)))
}

func (r *reader) schemalessItems(tag byte, depth int) (any, *Error) {
	start := r.i
	n, err := r.number()
	if err != nil {
		return nil, err
	}
	if n < 0 || n > int64(len(r.b)-r.i) {
		return nil, newError(start, "a count that runs past the datum")
	}
	if tag == TagArray {
		l := List{}
		for ; n > 0; n-- {
			v, err := r.schemalessValue(depth + 1)
			if err != nil {
				return nil, err
			}
			l = append(l, v)
		}
		return l, nil
	}
	m := Map{}
	for ; n > 0; n-- {
		k, err := r.schemalessValue(depth + 1)
		if err != nil {
			return nil, err
		}
		v, err := r.schemalessValue(depth + 1)
		if err != nil {
			return nil, err
		}
		m = append(m, Entry{Key: k, Value: v})
	}
	return m, nil
}

// Append appends v as a node's value. It returns an error if the type does not match, or v is nil and not optional.
func Append(dst []byte, nodes []wit.SchemaNode, node uint32, v any) ([]byte, error) {
	schemaNode := &nodes[node]
	if v == nil && !schemaNode.Optional {
		return dst, typeError("null", schemaNode)
	}
	dst = AppendBranch(dst, schemaNode, v == nil)
	if v == nil {
		return dst, nil
	}
	return appendValue(dst, nodes, node, v)
}

// AppendDefault appends v as a default-value, which has no branch for the node itself.
func AppendDefault(dst []byte, nodes []wit.SchemaNode, node uint32, v any) ([]byte, error) {
	return appendValue(dst, nodes, node, v)
}

func appendValue(dst []byte, nodes []wit.SchemaNode, node uint32, v any) ([]byte, error) {
	schemaNode := &nodes[node]
	switch x := v.(type) {
	case bool:
		if schemaNode.Kind == wit.Boolean {
			return AppendBoolean(dst, x), nil
		}
	case int8:
		if schemaNode.Kind == wit.Int8 {
			return AppendNumber(dst, int64(x)), nil
		}
	case int16:
		if schemaNode.Kind == wit.Int16 {
			return AppendNumber(dst, int64(x)), nil
		}
	case int32:
		if schemaNode.Kind == wit.Int32 {
			return AppendNumber(dst, int64(x)), nil
		}
	case int64:
		if schemaNode.Kind == wit.Int64 {
			return AppendNumber(dst, x), nil
		}
	case float32:
		if schemaNode.Kind == wit.Float32 {
			return AppendFloat32(dst, x), nil
		}
	case float64:
		if schemaNode.Kind == wit.Float64 {
			return AppendFloat64(dst, x), nil
		}
	case string:
		if schemaNode.Kind == wit.String {
			return AppendString(dst, x), nil
		}
	case []byte:
		if schemaNode.Kind == wit.Bytes {
			return AppendBytes(dst, x), nil
		}
	case *big.Int:
		if schemaNode.Kind == wit.Bytes {
			return appendDecimal(dst, x)
		}
	case Struct:
		return appendStruct(dst, nodes, schemaNode, x)
	case List, Map:
		return appendItems(dst, nodes, schemaNode, x)
	}
	return dst, typeError(typeName(v), schemaNode)
}

// appendDecimal is [AppendDecimal] with the limit of the size.
func appendDecimal(dst []byte, unscaled *big.Int) ([]byte, error) {
	if unscaled.BitLen() >= 8*MaxDecimalBytes {
		return dst, errors.New("connectdata: expected a decimal of at most 4096 bytes, found " +
			strconv.Itoa(unscaled.BitLen()/8+1))
	}
	return AppendDecimal(dst, unscaled), nil
}

func appendStruct(dst []byte, nodes []wit.SchemaNode, schemaNode *wit.SchemaNode, x Struct) ([]byte, error) {
	if schemaNode.Kind != wit.Struct || len(x) != len(schemaNode.Fields) {
		return dst, typeError("a record of "+strconv.Itoa(len(x))+" members", schemaNode)
	}
	var err error
	for i, m := range schemaNode.Fields {
		if dst, err = Append(dst, nodes, m.Node, x[i]); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// appendItems appends a list or map as one block, which 0 ends.
func appendItems(dst []byte, nodes []wit.SchemaNode, schemaNode *wit.SchemaNode, v any) ([]byte, error) {
	var err error
	switch x := v.(type) {
	case List:
		if schemaNode.Kind != wit.Array {
			break
		}
		if len(x) > 0 {
			dst = AppendNumber(dst, int64(len(x)))
		}
		for _, item := range x {
			if dst, err = Append(dst, nodes, schemaNode.Element, item); err != nil {
				return dst, err
			}
		}
		return append(dst, 0), nil
	case Map:
		if schemaNode.Kind != wit.Map {
			break
		}
		if len(x) > 0 {
			dst = AppendNumber(dst, int64(len(x)))
		}
		for _, e := range x {
			if dst, err = Append(dst, nodes, schemaNode.Key, e.Key); err != nil {
				return dst, err
			}
			if dst, err = Append(dst, nodes, schemaNode.Element, e.Value); err != nil {
				return dst, err
			}
		}
		return append(dst, 0), nil
	}
	return dst, typeError(typeName(v), schemaNode)
}

// AppendSchemaless appends v as a schemaless value. It returns an error for types that a value tree cannot have.
func AppendSchemaless(dst []byte, v any) ([]byte, error) {
	var err error
	switch x := v.(type) {
	case nil:
		return append(dst, TagNull), nil
	case bool:
		if x {
			return append(dst, TagTrue), nil
		}
		return append(dst, TagFalse), nil
	case int8:
		return AppendNumber(append(dst, TagInt8), int64(x)), nil
	case int16:
		return AppendNumber(append(dst, TagInt16), int64(x)), nil
	case int32:
		return AppendNumber(append(dst, TagInt32), int64(x)), nil
	case int64:
		return AppendNumber(append(dst, TagInt64), x), nil
	case float32:
		return AppendFloat32(append(dst, TagFloat32), x), nil
	case float64:
		return AppendFloat64(append(dst, TagFloat64), x), nil
	case string:
		return AppendString(append(dst, TagString), x), nil
	case []byte:
		return AppendBytes(append(dst, TagBytes), x), nil
	case Decimal:
		if x.Scale > MaxScale || x.Scale < -MaxScale {
			return dst, errors.New("connectdata: expected the scale of a decimal from -1000 to 1000, found " +
				strconv.Itoa(int(x.Scale)))
		}
		return appendDecimal(AppendNumber(append(dst, TagDecimal), int64(x.Scale)), x.Unscaled)
	case Instant:
		return AppendNumber(append(dst, TagInstant), int64(x)), nil
	case Nested:
		return AppendBytes(AppendNumber(append(dst, TagStruct), int64(x.Schema)), x.Bytes), nil
	case List:
		dst = AppendNumber(append(dst, TagArray), int64(len(x)))
		for _, item := range x {
			if dst, err = AppendSchemaless(dst, item); err != nil {
				return dst, err
			}
		}
		return dst, nil
	case Map:
		dst = AppendNumber(append(dst, TagMap), int64(len(x)))
		for _, e := range x {
			if dst, err = AppendSchemaless(dst, e.Key); err != nil {
				return dst, err
			}
			if dst, err = AppendSchemaless(dst, e.Value); err != nil {
				return dst, err
			}
		}
		return dst, nil
	}
	return dst, errors.New("connectdata: " + typeName(v) + " is no value")
}

// kindNames are the names of the kinds in wit/encoding.md.
var kindNames = [...]string{"int8", "int16", "int32", "int64", "float32", "float64", "boolean", "string", "bytes",
	"array", "map", "struct"}

func typeError(found string, schemaNode *wit.SchemaNode) error {
	expected := kindNames[schemaNode.Kind]
	if schemaNode.Kind == wit.Struct {
		expected += " of " + strconv.Itoa(len(schemaNode.Fields)) + " fields"
	}
	return errors.New("connectdata: expected " + expected + ", found " + found)
}

func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case int8, int16, int32, int64:
		return "an integer of another size"
	case float32, float64:
		return "a float of another size"
	case string:
		return "text"
	case []byte, *big.Int:
		return "bytes"
	case List:
		return "array"
	case Map:
		return "mapping"
	case Struct:
		return "structure"
	}
	return "a Go value that is none of a value tree's"
}
