package main

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
)

// order watches whether rows come in the order of their keys: many services of SAP take $orderby and don't heed it, and going on
// behind the last key would then lose rows. Texts may ascend by bytes or without regard to case; another collation counts as none.
type order struct {
	rows        int
	last        []string
	byte, folds bool
}

// mostWatched bounds the rows that are watched.
const mostWatched = 1000

func newOrder() order { return order{byte: true, folds: true} }

// ascends tells whether at least two rows came, and all in order.
func (o *order) ascends() bool { return o.rows > 1 && (o.byte || o.folds) }

// next watches one more key.
func (o *order) next(f *feed, key []string) {
	if o.rows > 0 {
		o.byte = o.byte && f.compare(o.last, key, false) < 0
		o.folds = o.folds && f.compare(o.last, key, true) < 0
	}
	o.rows++
	o.last = key
}

// keyTexts are the parts of a row's key as literals' texts; nil where they can't be compared as a service would.
func (f *feed) keyTexts(key []byte) []string {
	if len(key) == 0 || len(f.layout.Keys) != len(f.structure().Key) {
		return nil
	}
	texts := make([]string, 0, len(f.layout.Keys))
	for i, at := range f.layout.Keys {
		column := &f.layout.Columns[at]
		p := f.structure().Property(column.Name)
		if column.As != decode.AsUsual && column.As != decode.AsInt64 || !comparable(p) {
			return nil
		}
		text, size, err := value.Text(p.Type.Primitive, f.key.Nodes, f.key.Nodes[0].Members[i].Node, key)
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

// compare orders two keys part by part; fold leaves case out of texts.
func (f *feed) compare(a, b []string, fold bool) int {
	for i, at := range f.layout.Keys {
		if i >= len(a) || i >= len(b) {
			break
		}
		p := f.structure().Property(f.layout.Columns[at].Name)
		if c := compareTexts(p.Type.Primitive, a[i], b[i], fold); c != 0 {
			return c
		}
	}
	return 0
}

func compareTexts(t edm.Primitive, a, b string, fold bool) int {
	switch t {
	case edm.Byte, edm.SByte, edm.Int16, edm.Int32, edm.Int64:
		x, _ := strconv.ParseInt(a, 10, 64)
		y, _ := strconv.ParseInt(b, 10, 64)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
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
		a, b = strings.ToLower(a), strings.ToLower(b)
	}
	return strings.Compare(a, b)
}

// keyLiterals are the parts of a key as a filter holds them.
func (f *feed) keyLiterals(texts []string) (names, literals []string) {
	for i, at := range f.layout.Keys {
		p := f.structure().Property(f.layout.Columns[at].Name)
		names = append(names, p.Name)
		literals = append(literals, string(uri.AppendLiteral(nil, uri.Literal{Type: p.Type.Primitive, Text: texts[i]})))
	}
	return names, literals
}

// behind is the filter for the rows behind a key in the order of its parts: A gt 1 or A eq 1 and B gt 2.
func behind(names, literals []string) string {
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
		out.WriteString(names[i] + " gt " + literals[i])
		if len(names) > 1 {
			out.WriteByte(')')
		}
	}
	return out.String()
}

// packKey writes a key into an offset: its literals, as a key predicate has them.
func (f *feed) packKey(texts []string) string {
	var keys []uri.Key
	for i, at := range f.layout.Keys {
		p := f.structure().Property(f.layout.Columns[at].Name)
		keys = append(keys, uri.Key{Name: p.Name, Literal: uri.Literal{Type: p.Type.Primitive, Text: texts[i]}})
	}
	return string(uri.AppendPredicate(nil, keys))
}

// unpackKey reads what packKey wrote, nil if it is something else.
func (f *feed) unpackKey(s string) []string {
	_, keys, err := uri.ParsePredicate(s)
	if err != nil || len(keys) != len(f.layout.Keys) {
		return nil
	}
	var texts []string
	for _, k := range keys {
		texts = append(texts, k.Literal.Text)
	}
	return texts
}
