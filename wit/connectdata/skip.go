package connectdata

import (
	"encoding/binary"
	"strconv"
	"unicode/utf8"

	"github.com/culvert-project/culvert/wit"
)

// Error is an encoding error.
type Error struct {
	Offset  int // the index of the invalid byte
	Message string
}

func (e *Error) Error() string {
	return "connectdata: byte " + strconv.Itoa(e.Offset) + ": " + e.Message
}

func newError(offset int, message string) *Error { return &Error{offset, message} }

// sizeError returns the error for a size of 0 or -1 that [Number] or [LengthPrefixed] returned.
func sizeError(offset, size int, label string) *Error {
	if size == 0 {
		return newError(offset, "ends inside "+label)
	}
	return newError(offset, "expected "+label+", found a number out of range")
}

// Tags of schemaless values.
const (
	TagNull byte = iota
	TagFalse
	TagTrue
	TagInt8
	TagInt16
	TagInt32
	TagInt64
	TagFloat32
	TagFloat64
	TagString
	TagBytes
	TagArray
	TagMap
	TagDecimal
	TagInstant
	TagStruct
)

// IsNull reads the branch of an optional node and reports whether the value is null: 00 is null and 02 a value, or the
// other way round if the node has a default. size is the size of the branch in bytes, 0 for nodes that are not
// optional. ok is false if the bytes are invalid.
func IsNull(schemaNode *wit.SchemaNode, b []byte) (isNull bool, size int, ok bool) {
	if !schemaNode.Optional {
		return false, 0, true
	}
	if len(b) == 0 || b[0]&^2 != 0 {
		return false, 0, false
	}
	return (b[0] == 0) == (schemaNode.DefaultValue == nil), 1, true
}

// AppendBranch appends the branch of an optional node. For other nodes it appends nothing.
func AppendBranch(dst []byte, schemaNode *wit.SchemaNode, isNull bool) []byte {
	if !schemaNode.Optional {
		return dst
	}
	if isNull == (schemaNode.DefaultValue == nil) {
		return append(dst, 0)
	}
	return append(dst, 2)
}

// Skip returns the size of a node's value at the start of b. It does not check that strings are UTF-8.
func Skip(nodes []wit.SchemaNode, node uint32, b []byte) (int, error) {
	n, err := skip(nodes, node, b, 0, 0, &skipState{})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// skipState is the state of skipping over one value.
type skipState struct {
	emptyStructs int  // the number of structs without bytes, see [MaxEmptyStructs]
	checksUTF8   bool // whether strings must be UTF-8
}

// SkipFast returns the end of the value of a node at index i of b if it is of a common kind: a null, a number, a
// boolean, or a string or bytes below 8 KiB. It returns 0 for other or invalid values, which need [Skip]. It makes the
// same checks in a fraction of the time.
func SkipFast(schemaNode *wit.SchemaNode, b []byte, i int) (end int) {
	var s skipState
	return s.skipFast(schemaNode, b, i)
}

// skipFast is [SkipFast] with the check of strings.
func (s *skipState) skipFast(schemaNode *wit.SchemaNode, b []byte, i int) (end int) {
	if schemaNode.Optional {
		if schemaNode.DefaultValue != nil || i >= len(b) {
			return 0 // with a default the branches have other numbers
		}
		switch b[i] {
		case 0:
			return i + 1 // null
		case 2:
			i++
		default:
			return 0
		}
	}
	switch schemaNode.Kind {
	case wit.String:
		return s.skipText(b, i)
	case wit.Bytes:
		return (&skipState{}).skipText(b, i) // without the check of strings
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		// Numbers of at most this many bytes fit their kind.
		maxSize := [...]int{wit.Int8: 1, wit.Int16: 2, wit.Int32: 4, wit.Int64: maxNumber - 1}[schemaNode.Kind]
		for end = i; end < len(b) && end-i < maxSize; end++ {
			if b[end] < 0x80 {
				return end + 1
			}
		}
		return 0
	case wit.Boolean:
		if i < len(b) && b[i] <= 1 {
			return i + 1
		}
		return 0
	case wit.Float32:
		end = i + 4
	case wit.Float64:
		end = i + 8
	}
	if end > len(b) {
		return 0
	}
	return end
}

// skipText returns the end of a string below 8 KiB at index i, or 0 if it is longer or invalid.
func (s *skipState) skipText(b []byte, i int) (end int) {
	if len(b)-i < 2 {
		return 0
	}
	// The size is a zigzag number of one or two bytes: its lowest bit is the sign.
	size := int(b[i])
	i++
	if size >= 0x80 {
		if b[i] >= 0x80 {
			return 0
		}
		size = size&0x7f | int(b[i])<<7
		i++
	}
	if end = i + size>>1; size&1 != 0 || end > len(b) || (s.checksUTF8 && !validText(b[i:end])) {
		return 0
	}
	return end
}

// validText is utf8.Valid, faster for ASCII.
func validText(b []byte) bool {
	const highBits = 0x8080808080808080
	if len(b) < 8 {
		for _, c := range b {
			if c >= utf8.RuneSelf {
				return utf8.Valid(b)
			}
		}
		return true
	}
	words := binary.LittleEndian.Uint64(b[len(b)-8:]) // the loops do not read the last bytes
	remaining := b
	for len(remaining) >= 32 {
		p := (*[32]byte)(remaining)
		words |= binary.LittleEndian.Uint64(p[:8]) | binary.LittleEndian.Uint64(p[8:16]) |
			binary.LittleEndian.Uint64(p[16:24]) | binary.LittleEndian.Uint64(p[24:])
		remaining = remaining[32:]
	}
	for len(remaining) >= 8 {
		words |= binary.LittleEndian.Uint64(remaining)
		remaining = remaining[8:]
	}
	return words&highBits == 0 || utf8.Valid(b)
}

// skip is [Skip] from index i on. It returns the end.
func skip(nodes []wit.SchemaNode, node uint32, b []byte, i, depth int, state *skipState) (int, *Error) {
	if depth > MaxDepth {
		return 0, newError(i, "nests deeper than 1000")
	}
	schemaNode := &nodes[node]
	isNull, size, ok := IsNull(schemaNode, b[i:])
	if !ok {
		return 0, newError(i, "expected the branch 00 or 02 of an optional value")
	}
	i += size
	if isNull {
		return i, nil
	}
	return skipValue(nodes, schemaNode, b, i, depth, state)
}

func skipValue(nodes []wit.SchemaNode, schemaNode *wit.SchemaNode, b []byte, i, depth int,
	state *skipState) (int, *Error) {
	switch schemaNode.Kind {
	case wit.Boolean:
		if i >= len(b) || b[i] > 1 {
			return 0, newError(i, "expected a boolean, 00 or 01")
		}
		return i + 1, nil
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		v, size := Number(b[i:])
		if size <= 0 {
			return 0, sizeError(i, size, "a number")
		}
		if bits := [...]uint{8, 16, 32, 64}[schemaNode.Kind-wit.Int8]; !fits(v, bits) {
			return 0, newError(i, "a number that does not fit "+strconv.Itoa(int(bits))+" bits")
		}
		return i + size, nil
	case wit.Float32:
		return skipFloat(b, i, 4)
	case wit.Float64:
		return skipFloat(b, i, 8)
	case wit.String, wit.Bytes:
		content, size := LengthPrefixed(b[i:])
		if size <= 0 {
			return 0, sizeError(i, size, "a text or bytes")
		}
		if isLongDecimal(schemaNode, content) {
			return 0, longDecimal(i)
		}
		if state.checksUTF8 && schemaNode.Kind == wit.String && !validText(content) {
			return 0, newError(i, "text that is not UTF-8")
		}
		return i + size, nil
	case wit.Struct:
		var err *Error
		start := i
		for m := range schemaNode.Fields {
			node := schemaNode.Fields[m].Node
			if end := state.skipFast(&nodes[node], b, i); end > 0 {
				i = end
				continue
			}
			if i, err = skip(nodes, node, b, i, depth+1, state); err != nil {
				return 0, err
			}
		}
		if i == start {
			state.emptyStructs++
			if state.emptyStructs > MaxEmptyStructs {
				return 0, tooManyEmpty(i)
			}
		}
		return i, nil
	}
	return skipItems(nodes, schemaNode, b, i, depth, state)
}

// fits reports whether a signed number of some bits can have the value: all higher bits repeat the sign.
func fits(v int64, bits uint) bool {
	higher := v >> (bits - 1)
	return higher == 0 || higher == -1
}

// isLongDecimal reports whether content is a decimal above the limit.
func isLongDecimal(schemaNode *wit.SchemaNode, content []byte) bool {
	return len(content) > MaxDecimalBytes && schemaNode.Kind == wit.Bytes && schemaNode.Name != nil &&
		*schemaNode.Name == wit.NameDecimal
}

func longDecimal(offset int) *Error { return newError(offset, "a decimal of more than 4096 bytes") }

func badScale(offset int) *Error {
	return newError(offset, "expected the scale of a decimal from -1000 to 1000")
}

// badDecimal returns the error for a decimal whose scale, at scaleOffset, or bytes, at contentOffset, exceed a limit.
func badDecimal(scaleOffset, contentOffset int, scale int64) *Error {
	if scale > MaxScale || scale < -MaxScale {
		return badScale(scaleOffset)
	}
	return longDecimal(contentOffset)
}

func tooManyEmpty(offset int) *Error {
	return newError(offset, "more than 10000 structures without bytes")
}

func skipFloat(b []byte, i, size int) (int, *Error) {
	if len(b)-i < size {
		return 0, newError(i, "ends inside a float")
	}
	return i + size, nil
}

func skipItems(nodes []wit.SchemaNode, schemaNode *wit.SchemaNode, b []byte, i, depth int,
	state *skipState) (int, *Error) {
	items := blockReader{b: b, i: i}
	for items.next() {
		var err *Error
		if schemaNode.Kind == wit.Map {
			if items.i, err = skip(nodes, schemaNode.Key, b, items.i, depth+1, state); err != nil {
				return 0, err
			}
		}
		if items.i, err = skip(nodes, schemaNode.Element, b, items.i, depth+1, state); err != nil {
			return 0, err
		}
	}
	if items.err != nil {
		return 0, items.err
	}
	return items.i, nil
}

// blockReader iterates over the blocks of an array or map.
type blockReader struct {
	b         []byte
	i         int
	remaining int64 // the number of items of the current block that next has not reached
	err       *Error
}

// next moves to the next item, and into the next block. It returns false at the end, or on an error, which sets err.
func (b *blockReader) next() bool {
	if b.remaining > 0 {
		b.remaining--
		return true
	}
	n, k := Number(b.b[b.i:])
	if k <= 0 {
		b.err = sizeError(b.i, k, "the count of a block")
		return false
	}
	b.i += k
	if n < 0 {
		size, k := Number(b.b[b.i:])
		if k <= 0 || size < 0 || n == -1<<63 {
			b.err = sizeError(b.i, min(k, 0), "the size of a block")
			return false
		}
		b.i += k
		n = -n
	}
	if n == 0 {
		return false
	}
	b.remaining = n - 1
	return true
}

// SkipSchemaless returns the size of the schemaless value at the start of b.
func SkipSchemaless(b []byte) (int, error) {
	n, err := skipSchemaless(b, 0, 0)
	if err != nil {
		return 0, err
	}
	return n, nil
}

// skipSchemaless is [SkipSchemaless] from index i on. It returns the end.
func skipSchemaless(b []byte, i, depth int) (int, *Error) {
	if depth > MaxDepth {
		return 0, newError(i, "nests deeper than 1000")
	}
	if i >= len(b) {
		return 0, newError(i, "expected a tag, found the end")
	}
	tag := b[i]
	i++
	number := func() (v int64, err *Error) {
		v, k := Number(b[i:])
		if k <= 0 {
			return 0, sizeError(i, k, "a number")
		}
		i += k
		return v, nil
	}
	switch tag {
	case TagNull, TagFalse, TagTrue:
		return i, nil
	case TagInt8, TagInt16, TagInt32, TagInt64:
		start := i
		v, err := number()
		if err != nil {
			return 0, err
		}
		if bits := [...]uint{8, 16, 32, 64}[tag-TagInt8]; !fits(v, bits) {
			return 0, newError(start, "a number that does not fit "+strconv.Itoa(int(bits))+" bits")
		}
		return i, nil
	case TagInstant:
		_, err := number()
		return i, err
	case TagFloat32:
		return skipFloat(b, i, 4)
	case TagFloat64:
		return skipFloat(b, i, 8)
	case TagString, TagBytes:
		_, k := LengthPrefixed(b[i:])
		if k <= 0 {
			return 0, sizeError(i, k, "a text or bytes")
		}
		return i + k, nil
	case TagDecimal, TagStruct: // a scale or a schema ID, then bytes
		start := i
		scale, err := number()
		if err != nil {
			return 0, err
		}
		content, k := LengthPrefixed(b[i:])
		if k <= 0 {
			return 0, sizeError(i, k, "bytes")
		}
		if tag == TagDecimal && (scale > MaxScale || scale < -MaxScale || len(content) > MaxDecimalBytes) {
			return 0, badDecimal(start, i, scale)
		}
		return i + k, nil
	case TagArray, TagMap:
		n, err := number()
		if err != nil {
			return 0, err
		}
		if n < 0 || n > int64(len(b)-i) {
			return 0, newError(i, "a count that runs past the datum")
		}
		if tag == TagMap {
			n *= 2
		}
		for ; n > 0; n-- {
			if i, err = skipSchemaless(b, i, depth+1); err != nil {
				return 0, err
			}
		}
		return i, nil
	}
	return 0, newError(i-1, "unknown tag "+strconv.Itoa(int(tag)))
}

// Check returns an error unless b is exactly one valid value of node 0. It checks sizes, ranges of numbers and UTF-8.
func Check(nodes []wit.SchemaNode, b []byte) error {
	n, err := skip(nodes, 0, b, 0, 0, &skipState{checksUTF8: true})
	if err == nil && n != len(b) {
		err = newError(n, "bytes left over")
	}
	if err != nil {
		return err
	}
	return nil
}

// CheckSchemaless returns an error unless b is exactly one valid schemaless value other than null.
func CheckSchemaless(b []byte) error {
	_, n, err := ReadSchemaless(b)
	if err == nil && n != len(b) {
		err = newError(n, "bytes left over")
	}
	if err == nil && b[0] == TagNull {
		err = newError(0, "a dynamic null at the top: it must be absent")
	}
	return err
}
