package paging

import (
	"cmp"
	"math/rand/v2"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Unscaled decimals are ordered like the numbers.
func TestCompareWhole(t *testing.T) {
	for x := int64(-70_000); x < 70_000; x += 77 {
		for _, y := range []int64{-65536, -257, -256, -129, -128, -1, 0, 1, 127, 128, 255, 256, 65536} {
			want := cmp.Compare(x, y)
			require.Equal(t, want, compareTwosComplement(twosComplement(x), twosComplement(y)), x, "and", y)
		}
	}
}

// twosComplement returns a number as decimals contain it, in as few bytes as possible.
func twosComplement(n int64) []byte {
	b := []byte{byte(n)}
	for n>>7 != 0 && n>>7 != -1 {
		n >>= 8
		b = append([]byte{byte(n)}, b...)
	}
	return b
}

// TestCompareKeysPartByPart compares keys of a number, a text and a GUID, and expects the result of comparing their
// parts.
func TestCompareKeysPartByPart(t *testing.T) {
	filterable := func(name string) edm.Property {
		return edm.Property{Name: name, Type: edm.Type{Primitive: edm.String}, Filterable: true}
	}
	k := &Keys{entityType: &edm.StructuredType{Properties: []edm.Property{filterable("ID"), filterable("Name"),
		filterable("GUID")}}, schema: &decode.RowSchema{Keys: []int{0, 1, 2}, Columns: []decode.Column{
		{Name: "ID", Type: edm.Int64},
		{Name: "Name", Type: edm.String},
		{Name: "GUID", Type: edm.Guid},
	}}}
	k.nodes = []wit.SchemaNode{
		{Kind: wit.Struct, Fields: []wit.Field{
			{Name: "ID", Node: 1},
			{Name: "Name", Node: 2},
			{Name: "GUID", Node: 2},
		}},
		{Kind: wit.Int64},
		{Kind: wit.String},
	}
	k.partKinds = k.findPartKinds()
	random := rand.New(rand.NewPCG(7, 8))
	letters := []string{"a", "A", "b", "B", "0", "Ä", "ä", "ß", "_"}
	text := func() (s string) {
		for range random.IntN(4) {
			s += letters[random.IntN(len(letters))]
		}
		return s
	}
	type key struct {
		id   int64
		name string
		guid string
	}
	encoded := func(a key) []byte {
		return connectdata.AppendString(connectdata.AppendString(connectdata.AppendNumber(nil, a.id), a.name), a.guid)
	}
	sign := func(n int) int { return cmp.Compare(n, 0) }
	for range 100_000 {
		a := key{random.Int64N(3) - 1, text(), text()}
		b := key{random.Int64N(3) - 1, text(), text()}
		guid := compareFolded([]byte(a.guid), []byte(b.guid))
		folded := cmp.Or(cmp.Compare(a.id, b.id), compareFolded([]byte(a.name), []byte(b.name)), guid)
		plain := cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.name, b.name), guid)
		gotPlain, gotFolded, ok := k.compare(encoded(a), encoded(b))
		require.True(t, sign(gotPlain) == sign(plain) && sign(gotFolded) == sign(folded) && ok,
			"%+v, %+v: expected %d and %d, found %d and %d, %v", a, b, plain, folded, gotPlain, gotFolded, ok)
	}
	k.nodes[2].Optional = true
	k.partKinds = k.findPartKinds()
	assert.True(t, k.partKinds == nil, "expected keys that may be null not to be compared")
	_, _, ok := k.compare(encoded(key{}), encoded(key{id: 1}))
	assert.True(t, !ok, "expected keys without known kinds of parts not to be compared")
}

// Keys are paged through by comparisons only if services order their values as they are written.
func TestComparableKeysOfV4(t *testing.T) {
	color := edm.Type{Primitive: edm.Enum, Name: "N.Color", Enum: &edm.EnumType{Members: []string{"Red"}}}
	for _, test := range []struct {
		typ        edm.Type
		kind       wit.Kind
		isSortable bool
		key        []byte
		filter     string
	}{
		{edm.Type{Primitive: edm.Date}, wit.Int32, true, []byte{2}, "K eq 1970-01-02"},
		{edm.Type{Primitive: edm.TimeOfDay}, wit.Int32, true, []byte{2}, "K eq 00:00:00.001"},
		{edm.Type{Primitive: edm.Guid}, wit.String, true, []byte("\x02a"), "K eq a"},
		{color, wit.String, false, []byte("\x06Red"), "K eq N.Color'Red'"},
		{edm.Type{Primitive: edm.Duration}, wit.String, false, []byte("\x08PT1S"), "K eq duration'PT1S'"},
	} {
		node := wit.SchemaNode{Kind: test.kind}
		switch test.typ.Primitive {
		case edm.Date:
			node.Name = wit.Ptr(wit.NameDate)
		case edm.TimeOfDay:
			node.Name = wit.Ptr(wit.NameTime)
		}
		keys := NewKeys(edm.V4, &edm.StructuredType{Key: []string{"K"}, Properties: []edm.Property{{Name: "K",
			Filterable: true, Sortable: true, Type: test.typ}}},
			&decode.RowSchema{Columns: []decode.Column{{Name: "K", Type: test.typ.Primitive}}, Keys: []int{0}},
			[]wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: "K", Node: 1}}}, node}, "")
		assert.Equal(t, test.isSortable, keys.isSortable(), test.typ)
		assert.Equal(t, test.filter, keys.FilterEqual([][]byte{test.key}), test.typ)
	}
}
