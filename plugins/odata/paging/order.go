package paging

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
)

// order watches whether rows come in the order of their keys: many services of SAP take $orderby and don't heed it, and
// going on behind the last key would then lose rows. Texts may ascend by bytes or without regard to case; another
// collation counts as none.
type order struct {
	// watching: nothing has come yet that isn't in order, or can't be compared.
	watching bool
	rows     int
	last     []byte
	// bytes, folds: all rows so far ascend, texts by bytes, without regard to case.
	bytes, folds bool
}

// ascends tells whether the rows came in order, if any came.
func (o *order) ascends() bool { return o.watching && (o.bytes || o.folds) }

// next watches the keys of rows that came one after another, up to the first that isn't in order.
func (o *order) next(f *Set, rows []wit.Row, data []byte) {
	if len(rows) == 0 {
		return
	}
	last := o.last
	for i := range rows {
		d := rows[i].Key
		key := data[d.Start : d.Start+d.Size]
		if o.rows > 0 {
			o.follows(f.compareKeys(last, key))
		}
		o.rows++
		if last = key; !o.watching {
			break
		}
	}
	o.last = append(o.last[:0], last...)
}

// seen notes rows that are in order.
func (o *order) seen(rows int, last []byte) {
	o.rows, o.last = o.rows+rows, append(o.last[:0], last...)
}

// follows notes how the key before compares with the one behind it, by bytes and without regard to case.
func (o *order) follows(plain, folded int, known bool) {
	o.bytes, o.folds = o.bytes && plain < 0, o.folds && folded < 0
	o.watching = o.watching && known && (o.bytes || o.folds)
}

// keyPart is how a part of a key is compared.
type keyPart uint8

const (
	truthPart keyPart = iota
	wholePart
	textPart
	guidPart
	decimalPart
)

// keyParts are those of the feed's keys, nil where a service doesn't compare such keys as they are written.
func (f *Set) keyParts() []keyPart {
	nodes := f.Key
	if len(nodes) == 0 || len(f.Layout.Keys) != len(nodes[0].Members) {
		return nil
	}
	var parts []keyPart
	for i, m := range nodes[0].Members {
		n := &nodes[m.Node]
		switch {
		case n.Optional:
			return nil
		case n.Kind == wit.Boolean:
			parts = append(parts, truthPart)
		case n.Kind == wit.Int8, n.Kind == wit.Int16, n.Kind == wit.Int32, n.Kind == wit.Int64:
			parts = append(parts, wholePart)
		case n.Kind == wit.Bytes:
			parts = append(parts, decimalPart)
		case n.Kind == wit.Text && f.Layout.Columns[f.Layout.Keys[i]].Type == edm.Guid:
			parts = append(parts, guidPart)
		case n.Kind == wit.Text:
			parts = append(parts, textPart)
		default:
			return nil
		}
	}
	return parts
}

// compareKeys orders two encoded keys part by part, texts by bytes and without regard to case. known: they could be
// read, up to where they differ, and a service compares such keys as they are written. Guids have no case.
func (f *Set) compareKeys(a, b []byte) (plain, folded int, known bool) {
	for _, part := range f.parts {
		var p, c int
		switch part {
		case truthPart:
			if len(a) == 0 || len(b) == 0 {
				return 0, 0, false
			}
			p = cmp.Compare(a[0], b[0])
			c, a, b = p, a[1:], b[1:]
		case wholePart:
			x, sizeA := binary.Varint(a)
			y, sizeB := binary.Varint(b)
			if sizeA <= 0 || sizeB <= 0 {
				return 0, 0, false
			}
			p = cmp.Compare(x, y)
			c, a, b = p, a[sizeA:], b[sizeB:]
		default:
			x, restA, okA := sized(a)
			y, restB, okB := sized(b)
			if !okA || !okB {
				return 0, 0, false
			}
			a, b = restA, restB
			if part == decimalPart {
				p = compareWhole(x, y)
				c = p
			} else if p, c = compareText(x, y); part == guidPart {
				p = c
			}
		}
		if plain, folded = cmp.Or(plain, p), cmp.Or(folded, c); plain != 0 && folded != 0 {
			break // as most do in their first part that isn't the same
		}
	}
	return plain, folded, f.parts != nil
}

// compareText orders texts by bytes and without regard to case.
func compareText(a, b []byte) (plain, folded int) {
	i, n := 0, min(len(a), len(b))
	for i < n && a[i] == b[i] {
		i++
	}
	if i == n {
		plain = cmp.Compare(len(a), len(b))
		return plain, plain
	}
	x, y := a[i], b[i]
	plain = cmp.Compare(x, y)
	if x < utf8.RuneSelf && y < utf8.RuneSelf {
		if folded = cmp.Compare(lower(x), lower(y)); folded != 0 {
			return plain, folded
		}
	}
	return plain, compareFolded(a, b)
}

// sized reads a length and so many bytes.
func sized(b []byte) (value, rest []byte, ok bool) {
	n, size := binary.Varint(b)
	if size <= 0 || n < 0 || n > int64(len(b)-size) {
		return nil, nil, false
	}
	return b[size : size+int(n)], b[size+int(n):], true
}

// compareFolded orders texts without regard to case.
func compareFolded(a, b []byte) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		x, y := a[i], b[i]
		if x >= utf8.RuneSelf || y >= utf8.RuneSelf {
			return strings.Compare(strings.ToLower(string(a)), strings.ToLower(string(b)))
		}
		if x != y {
			if c := cmp.Compare(lower(x), lower(y)); c != 0 {
				return c
			}
		}
	}
	return cmp.Compare(len(a), len(b))
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// compareWhole orders whole numbers in two's complement, most significant byte first, in as few bytes as they need: the
// unscaled values of decimals of one scale.
func compareWhole(a, b []byte) int {
	negativeA, negativeB := len(a) > 0 && a[0] >= 0x80, len(b) > 0 && b[0] >= 0x80
	switch {
	case negativeA && !negativeB:
		return -1
	case negativeB && !negativeA:
		return 1
	case len(a) != len(b):
		if (len(a) < len(b)) != negativeA {
			return -1
		}
		return 1
	}
	return bytes.Compare(a, b)
}

// keyTexts are the parts of a row's key as literals' texts; nil where they can't be compared as a service would.
func (f *Set) keyTexts(key []byte) []string {
	if len(key) == 0 || len(f.Layout.Keys) != len(f.Type.Key) {
		return nil
	}
	texts := make([]string, 0, len(f.Layout.Keys))
	for i, at := range f.Layout.Keys {
		column := &f.Layout.Columns[at]
		p := f.Type.Property(column.Name)
		if column.As == decode.AsFloat64 || column.As == decode.AsDate || !comparable(p) {
			return nil
		}
		text, size, err := value.Text(p.Type.Primitive, f.Key, f.Key[0].Members[i].Node, key)
		if err != nil {
			return nil
		}
		key = key[size:]
		texts = append(texts, text)
	}
	return texts
}

// comparable tells whether a service compares values of a property exactly as they are written.
func comparable(p *edm.Property) bool {
	if p == nil || !p.Filterable {
		return false
	}
	switch p.Type.Primitive {
	case edm.Binary, edm.Single, edm.Double, edm.NotPrimitive:
		return false
	}
	return true
}

// keyLiterals are the parts of a key as a filter holds them.
func (f *Set) keyLiterals(texts []string) (names, literals []string) {
	for i, at := range f.Layout.Keys {
		p := f.Type.Property(f.Layout.Columns[at].Name)
		names = append(names, p.Name)
		literals = append(literals, string(uri.AppendLiteral(nil, uri.Literal{Type: p.Type.Primitive, Text: texts[i]})))
	}
	return names, literals
}

// behind is the filter for the rows behind a key in the order of its parts: A gt 1 or A eq 1 and B gt 2.
func behind(names, literals []string) string { return compared(names, literals, "gt", "gt") }

// upTo is the filter for all others: A lt 1 or A eq 1 and B le 2.
func upTo(names, literals []string) string { return compared(names, literals, "lt", "le") }

// compared is a filter that compares a key part by part, the last part by an operator of its own.
func compared(names, literals []string, operator, last string) string {
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
			operator = last
		}
		out.WriteString(names[i] + " " + operator + " " + literals[i])
		if len(names) > 1 {
			out.WriteByte(')')
		}
	}
	return out.String()
}

// packKey writes a key into an offset: its literals, as a key predicate has them.
func (f *Set) packKey(texts []string) string {
	var keys []uri.Key
	for i, at := range f.Layout.Keys {
		p := f.Type.Property(f.Layout.Columns[at].Name)
		keys = append(keys, uri.Key{Name: p.Name, Literal: uri.Literal{Type: p.Type.Primitive, Text: texts[i]}})
	}
	return string(uri.AppendPredicate(nil, keys))
}

// unpackKey reads what packKey wrote, nil if it is something else.
func (f *Set) unpackKey(s string) []string {
	_, keys, err := uri.ParsePredicate(s)
	if err != nil || len(keys) != len(f.Layout.Keys) {
		return nil
	}
	var texts []string
	for _, k := range keys {
		texts = append(texts, k.Literal.Text)
	}
	return texts
}

// compareTexts orders two keys that are given as literals' texts.
func (f *Set) compareTexts(a, b []string) (plain, folded int, known bool) {
	if len(a) != len(f.Layout.Keys) || len(b) != len(f.Layout.Keys) {
		return 0, 0, false
	}
	for i, at := range f.Layout.Keys {
		p := f.Type.Property(f.Layout.Columns[at].Name)
		plain = cmp.Or(plain, compareLiterals(p.Type.Primitive, a[i], b[i], false))
		folded = cmp.Or(folded, compareLiterals(p.Type.Primitive, a[i], b[i], true))
	}
	return plain, folded, true
}

func compareLiterals(t edm.Primitive, a, b string, fold bool) int {
	switch t {
	case edm.Byte, edm.SByte, edm.Int16, edm.Int32, edm.Int64:
		x, _ := strconv.ParseInt(a, 10, 64)
		y, _ := strconv.ParseInt(b, 10, 64)
		return cmp.Compare(x, y)
	case edm.Decimal:
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		if x == nil || y == nil {
			return 0
		}
		return x.Cmp(y)
	case edm.DateTimeOffset:
		a, b = strings.TrimSuffix(a, "Z"), strings.TrimSuffix(b, "Z")
	case edm.Time:
		a, b = strings.TrimSuffix(a, "S"), strings.TrimSuffix(b, "S")
	case edm.Guid:
		fold = true
	}
	if fold {
		return compareFolded([]byte(a), []byte(b))
	}
	return strings.Compare(a, b)
}
