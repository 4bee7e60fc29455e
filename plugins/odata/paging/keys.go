package paging

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Keys converts and compares the keys of an entity set's rows: as encoded by a decoder, as texts of literals, in
// $filter, in URLs of entities and in offsets. Services sort by bytes or case-insensitively, so comparisons return both
// orders.
type Keys struct {
	dialect    *edm.Dialect // nil means [edm.V2]
	entityType *edm.StructuredType
	schema     *decode.RowSchema
	nodes      []wit.SchemaNode // the key's schema, without extra fields
	// constant is the name of a key property that all rows have with the same value, or "". It takes part in no order.
	constant string
	// partKinds has one item for each part, or is nil if services do not compare such keys as they are written.
	partKinds []partKind
}

// NewKeys returns the keys of an entity type, nil for a type without key. nodes is the schema of the key, constant a
// property with the same value in all rows, or "".
func NewKeys(dialect *edm.Dialect, typ *edm.StructuredType, layout *decode.RowSchema, nodes []wit.SchemaNode,
	constant string) *Keys {
	if nodes == nil {
		return nil
	}
	k := &Keys{dialect: dialect, entityType: typ, schema: layout, nodes: nodes, constant: constant}
	k.partKinds = k.findPartKinds()
	return k
}

// isSortable reports whether services compare keys exactly as they are written.
func (k *Keys) isSortable() bool { return k != nil && k.partKinds != nil }

// isInteger reports whether a key is a single integer, encoded as a signed varint.
func (k *Keys) isInteger() bool { return len(k.partKinds) == 1 && k.partKinds[0] == integerPart }

// hasTexts reports whether a part of the key is a text, which services may sort and compare by different collations.
func (k *Keys) hasTexts() bool { return k != nil && slices.Contains(k.partKinds, textPart) }

// names returns the key properties by which rows are sorted.
func (k *Keys) names() []string {
	return slices.DeleteFunc(slices.Clone(k.entityType.Key), func(name string) bool { return name == k.constant })
}

type partKind uint8

const (
	boolPart partKind = iota
	integerPart
	textPart
	guidPart
	decimalPart
)

// findPartKinds returns the kinds of the parts, or nil if services do not compare such keys as they are written.
func (k *Keys) findPartKinds() []partKind {
	if len(k.nodes) == 0 || len(k.schema.Keys) != len(k.nodes[0].Fields) {
		return nil
	}
	var parts []partKind
	for i, m := range k.nodes[0].Fields {
		n := &k.nodes[m.Node]
		column := &k.schema.Columns[k.schema.Keys[i]]
		isConverted := column.Mapping == decode.Float64Mapping ||
			(column.Mapping == decode.DateMapping && column.Type == edm.DateTime)
		switch {
		case n.Optional, isConverted, !isComparable(k.property(i)):
			return nil
		case n.Kind == wit.Boolean:
			parts = append(parts, boolPart)
		case n.Kind == wit.Int8, n.Kind == wit.Int16, n.Kind == wit.Int32, n.Kind == wit.Int64:
			parts = append(parts, integerPart)
		case n.Kind == wit.Bytes:
			parts = append(parts, decimalPart)
		case n.Kind == wit.String && column.Type == edm.Guid:
			parts = append(parts, guidPart)
		case n.Kind == wit.String:
			parts = append(parts, textPart)
		default:
			return nil
		}
	}
	return parts
}

// compare orders two encoded keys part by part, texts by bytes and case-insensitively. ok is false if they cannot be
// read up to the difference, or services do not compare such keys as they are written. GUIDs have no case.
func (k *Keys) compare(a, b []byte) (plain, folded int, ok bool) {
	for _, part := range k.partKinds {
		var byBytes, byFold int
		switch part {
		case boolPart:
			if len(a) == 0 || len(b) == 0 {
				return 0, 0, false
			}
			byBytes = cmp.Compare(a[0], b[0])
			byFold = byBytes
			a = a[1:]
			b = b[1:]
		case integerPart:
			x, sizeA := binary.Varint(a)
			y, sizeB := binary.Varint(b)
			if sizeA <= 0 || sizeB <= 0 {
				return 0, 0, false
			}
			byBytes = cmp.Compare(x, y)
			byFold = byBytes
			a = a[sizeA:]
			b = b[sizeB:]
		default:
			x, restA, okA := lengthPrefixed(a)
			y, restB, okB := lengthPrefixed(b)
			if !okA || !okB {
				return 0, 0, false
			}
			a = restA
			b = restB
			if part == decimalPart {
				byBytes = compareTwosComplement(x, y)
				byFold = byBytes
			} else {
				byBytes = bytes.Compare(x, y)
				byFold = compareFolded(x, y)
				if part == guidPart {
					byBytes = byFold
				}
			}
		}
		if plain == 0 && folded == 0 && byBytes != 0 && byFold != 0 {
			return byBytes, byFold, true // the usual case
		}
		plain = cmp.Or(plain, byBytes)
		folded = cmp.Or(folded, byFold)
	}
	return plain, folded, k.partKinds != nil
}

func lengthPrefixed(b []byte) (content, remaining []byte, ok bool) {
	n, size := binary.Varint(b)
	if size <= 0 || n < 0 || n > int64(len(b)-size) {
		return nil, nil, false
	}
	return b[size : size+int(n)], b[size+int(n):], true
}

// compareFolded orders texts case-insensitively.
func compareFolded(a, b []byte) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		x := a[i]
		y := b[i]
		if x >= utf8.RuneSelf || y >= utf8.RuneSelf {
			return strings.Compare(strings.ToLower(string(a)), strings.ToLower(string(b)))
		}
		if x != y {
			if c := cmp.Compare(unicode.ToLower(rune(x)), unicode.ToLower(rune(y))); c != 0 {
				return c
			}
		}
	}
	return cmp.Compare(len(a), len(b))
}

// compareTwosComplement orders integers in the shortest big-endian two's complement, such as unscaled decimals.
func compareTwosComplement(a, b []byte) int {
	isNegativeA := len(a) > 0 && a[0] >= 0x80
	isNegativeB := len(b) > 0 && b[0] >= 0x80
	switch {
	case isNegativeA && !isNegativeB:
		return -1
	case isNegativeB && !isNegativeA:
		return 1
	case len(a) != len(b):
		if (len(a) < len(b)) != isNegativeA {
			return -1
		}
		return 1
	}
	return bytes.Compare(a, b)
}

func (k *Keys) property(i int) *edm.Property {
	return k.entityType.Property(k.schema.Columns[k.schema.Keys[i]].Name)
}

// eachPart calls visit for each part of an encoded key. text is the text of a literal.
func (k *Keys) eachPart(key []byte, visit func(p *edm.Property, text string)) error {
	for i := range k.schema.Keys {
		property := k.property(i)
		partText, size, err := value.Text(property.Type.Primitive, k.nodes, k.nodes[0].Fields[i].Node, key)
		if err != nil {
			return err
		}
		visit(property, partText)
		key = key[size:]
	}
	return nil
}

// literalTexts returns the parts of an encoded key, but for the constant one, as texts of literals, or nil if it cannot
// be read.
func (k *Keys) literalTexts(key []byte) (texts []string) {
	if k == nil || len(key) == 0 || len(k.schema.Keys) != len(k.nodes[0].Fields) ||
		k.eachPart(key, func(p *edm.Property, text string) {
			if p.Name != k.constant {
				texts = append(texts, text)
			}
		}) != nil {
		return nil
	}
	return texts
}

// EncodedParts splits an encoded key. It returns nil if the key cannot be read.
func (k *Keys) EncodedParts(key []byte) (encoded [][]byte) {
	if k == nil {
		return nil
	}
	for i := range k.schema.Keys {
		size, err := connectdata.Skip(k.nodes, k.nodes[0].Fields[i].Node, key)
		if err != nil {
			return nil
		}
		encoded = append(encoded, slices.Clone(key[:size]))
		key = key[size:]
	}
	return encoded
}

// Predicate returns the key predicate of an entity, from the encoded parts of its key.
func (k *Keys) Predicate(encoded [][]byte) (string, error) {
	var keys []uri.Key
	err := k.eachPart(slices.Concat(encoded...), func(p *edm.Property, text string) {
		keys = append(keys, uri.Key{Name: p.Name, Literal: value.LiteralOf(p, text)})
	})
	return string(uri.AppendPredicate(nil, k.dialect, keys)), err
}

// FilterEqual returns the condition that selects an entity by the encoded parts of its key.
func (k *Keys) FilterEqual(encoded [][]byte) string {
	var parts []string
	_ = k.eachPart(slices.Concat(encoded...), func(p *edm.Property, text string) {
		parts = append(parts, p.Name+" eq "+k.literal(p, text))
	})
	return strings.Join(parts, " and ")
}

// ParseAddress returns the encoded parts of the key in an entity's URL.
func (k *Keys) ParseAddress(address string) ([][]byte, error) {
	_, keys, err := uri.ParsePredicate(k.dialect, address)
	if err != nil {
		return nil, err
	}
	return k.Encode(keys)
}

// Encode returns the encoded parts of a key.
func (k *Keys) Encode(keys []uri.Key) (_ [][]byte, err error) {
	encoded := make([][]byte, len(k.schema.Keys))
	for n, column := range k.schema.Keys {
		required := k.schema.Columns[column]
		required.Optional = false
		i := slices.IndexFunc(keys, func(key uri.Key) bool { return key.Name == required.Name })
		if i < 0 && len(keys) == 1 && keys[0].Name == "" && len(encoded) == 1 { // Products(1)
			i = 0
		}
		if i < 0 {
			return nil, errors.New("expected the key " + required.Name + ", found none")
		}
		if encoded[n], err = decode.AppendText(nil, k.schema, &required, []byte(keys[i].Literal.Text)); err != nil {
			return nil, err
		}
	}
	return encoded, nil
}

func (k *Keys) literal(p *edm.Property, text string) string {
	return string(uri.AppendLiteral(nil, k.dialect, value.LiteralOf(p, text)))
}

// isComparable reports whether a service compares values of a property exactly as they are written. It compares members
// of enumerations by their numbers, and durations by their lengths.
func isComparable(p *edm.Property) bool {
	if p == nil || !p.Filterable {
		return false
	}
	switch p.Type.Primitive {
	case edm.Binary, edm.Single, edm.Double, edm.Duration, edm.Enum, edm.Geo, edm.NotPrimitive:
		return false
	}
	return true
}

// filterAfter returns the condition for rows after an encoded key: A gt 1 or A eq 1 and B gt 2.
func (k *Keys) filterAfter(key []byte) string { return k.comparison(key, "gt", "gt") }

// filterFrom returns the condition for an encoded key and the rows after it: A gt 1 or A eq 1 and B ge 2.
func (k *Keys) filterFrom(key []byte) string { return k.comparison(key, "gt", "ge") }

// filterBefore returns the condition for rows before an encoded key: A lt 1 or A eq 1 and B lt 2.
func (k *Keys) filterBefore(key []byte) string { return k.comparison(key, "lt", "lt") }

// comparison returns the condition that compares a key. lastOperator is the operator for equal first parts.
func (k *Keys) comparison(key []byte, operator, lastOperator string) string {
	var names, literals []string
	_ = k.eachPart(key, func(p *edm.Property, text string) {
		if p.Name == k.constant {
			return
		}
		names = append(names, p.Name)
		literals = append(literals, k.literal(p, text))
	})
	var out strings.Builder
	for i := range names {
		if i > 0 {
			out.WriteString(" or ")
		}
		if len(names) > 1 {
			out.WriteByte('(')
		}
		for j := 0; j < i; j++ {
			out.WriteString(names[j] + " eq " + literals[j] + " and ")
		}
		if i == len(names)-1 {
			operator = lastOperator
		}
		out.WriteString(names[i] + " " + operator + " " + literals[i])
		if len(names) > 1 {
			out.WriteByte(')')
		}
	}
	return out.String()
}

// pack converts an encoded key to a key predicate, for an offset. It returns "" if the key cannot be read.
func (k *Keys) pack(key []byte) string {
	predicate, err := k.Predicate([][]byte{key})
	if err != nil {
		return ""
	}
	return predicate
}

// unpack returns the encoded key in the result of [Keys.pack]. It returns nil for other texts.
func (k *Keys) unpack(predicate string) []byte {
	if k == nil {
		return nil
	}
	encoded, err := k.ParseAddress(predicate)
	if err != nil {
		return nil
	}
	return slices.Concat(encoded...)
}
