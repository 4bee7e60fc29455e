package connectdata

import (
	"encoding/hex"
	"math"
	"math/big"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

// withSchemaCases contains the schema and the value of each example of encoding.md, by the text of the example.
var withSchemaCases = map[string]struct {
	nodes []wit.SchemaNode
	value any
}{
	"int32 150":                {nodes: []wit.SchemaNode{{Kind: wit.Int32}}, value: int32(150)},
	"int8 -128":                {nodes: []wit.SchemaNode{{Kind: wit.Int8}}, value: int8(-128)},
	"optional string, null":    {nodes: []wit.SchemaNode{{Kind: wit.String, Optional: true}}, value: nil},
	"optional string, `Größe`": {nodes: []wit.SchemaNode{{Kind: wit.String, Optional: true}}, value: "Größe"},
	"optional int32 with default 7, value 8": {
		nodes: []wit.SchemaNode{{Kind: wit.Int32, Optional: true, DefaultValue: &[]byte{14}}},
		value: int32(8),
	},
	"optional int32 with default 7, null": {
		nodes: []wit.SchemaNode{{Kind: wit.Int32, Optional: true, DefaultValue: &[]byte{14}}},
		value: nil,
	},
	"Decimal, scale 2, -1.29": {nodes: decimalNode("2"), value: big.NewInt(-129)},
	"Decimal, scale 0, 128":   {nodes: decimalNode("0"), value: big.NewInt(128)},
	"Timestamp 2024-02-29T05:28:16.789Z": {nodes: []wit.SchemaNode{{Kind: wit.Int64, Name: wit.Ptr(wit.NameTimestamp)}},
		value: int64(1709184496789)},
	"Date 1969-12-31": {nodes: []wit.SchemaNode{{Kind: wit.Int32, Name: wit.Ptr(wit.NameDate)}}, value: int32(-1)},
	"array of int32, [1, -1]": {nodes: []wit.SchemaNode{{Kind: wit.Array, Element: 1}, {Kind: wit.Int32}},
		value: List{int32(1), int32(-1)}},
	"array, empty": {nodes: []wit.SchemaNode{{Kind: wit.Array, Element: 1}, {Kind: wit.Int32}}, value: List{}},
	"map string → boolean, {a: true}": {
		nodes: []wit.SchemaNode{{Kind: wit.Map, Key: 1, Element: 2}, {Kind: wit.String}, {Kind: wit.Boolean}},
		value: Map{{"a", true}},
	},
	"map int32 → string, {5: x}": {
		nodes: []wit.SchemaNode{{Kind: wit.Map, Key: 1, Element: 2}, {Kind: wit.Int32}, {Kind: wit.String}},
		value: Map{{int32(5), "x"}},
	},
	"struct {Id int32 1, Name optional string null, Price float64 0.5}": {nodes: []wit.SchemaNode{
		{Kind: wit.Struct, Fields: []wit.Field{{Name: "Id", Node: 1}, {Name: "Name", Node: 2},
			{Name: "Price", Node: 3}}},
		{Kind: wit.Int32},
		{Kind: wit.String, Optional: true},
		{Kind: wit.Float64},
	},
		value: Struct{int32(1), nil, 0.5}},
}

// schemalessCases contains the value of each schemaless example.
var schemalessCases = map[string]any{
	"null":                        nil,
	"true":                        true,
	"int8 5":                      int8(5),
	"int64 5":                     int64(5),
	"float32 NaN":                 math.Float32frombits(0x7fc00000),
	"string `ü`":                  "ü",
	"bytes 00 ff":                 []byte{0, 0xff},
	"array [1 (int64), `a`]":      List{int64(1), "a"},
	"map {`k`: null}":             Map{{"k", nil}},
	"BigDecimal 12.50":            Decimal{2, big.NewInt(1250)},
	"java.util.Date 0":            Instant(0),
	"struct of schema 3, 2 bytes": Nested{3, []byte{2, 4}},
}

// decimalNode returns the schema of a decimal.
func decimalNode(scale string) []wit.SchemaNode {
	return []wit.SchemaNode{{Kind: wit.Bytes, Name: wit.Ptr(wit.NameDecimal),
		Parameters: []wit.Setting{{Name: wit.ParameterScale, Value: scale}}}}
}

// examples returns the rows of the tables of examples in a section of encoding.md.
func examples(t *testing.T, section string) map[string][]byte {
	t.Helper()
	_, text, ok := strings.Cut(page(t), "\n## "+section)
	require.True(t, ok, "encoding.md has no section %q", section)
	text, _, _ = strings.Cut(text, "\n## ")
	_, text, _ = strings.Cut(text, "| example | bytes |")
	rows := map[string][]byte{}
	for _, m := range regexp.MustCompile("(?m)^\\| (.+) \\| `([0-9a-f ]+)` \\|$").FindAllStringSubmatch(text, -1) {
		rows[m[1]] = unhex(t, m[2])
	}
	require.True(t, len(rows) != 0, "section %q has no examples", section)
	return rows
}

// unhex returns the bytes of hexadecimal digits with blanks.
func unhex(t *testing.T, s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err)
	return b
}

// equal compares big integers by value and floats by bits: NaN equals itself.
var equal = cmp.Options{
	cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 }),
	cmp.Comparer(func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }),
}

// The examples of encoding.md with a schema are written, read and skipped as the page shows.
func TestExamplesWithSchema(t *testing.T) {
	rows := examples(t, "with-schema")
	for name, want := range rows {
		c, ok := withSchemaCases[name]
		if !ok {
			t.Errorf("%s: the page has an example without a case here", name)
			continue
		}
		got, err := Append(nil, c.nodes, 0, c.value)
		assert.True(t, err == nil && cmp.Equal(got, want), "%s: found % x, %v, expected % x as on the page", name, got,
			err, want)

		// A decimal is read as its bytes.
		value := c.value
		if n, ok := value.(*big.Int); ok {
			value = twosComplement(n)
			if Unscaled(value.([]byte)).Cmp(n) != 0 {
				t.Errorf("%s: % x is read as %v", name, value, Unscaled(value.([]byte)))
			}
		}
		read, size, err := Read(c.nodes, 0, want)
		assert.True(t, err == nil && size == len(want) && cmp.Equal(read, value, equal),
			"%s: expected %v in %d bytes, found %v in %d, %v", name, value, len(want), read, size, err)

		if n, err := Skip(c.nodes, 0, append(want, 9, 9)); err != nil || n != len(want) {
			t.Errorf("%s: expected to skip %d bytes, found %d, %v", name, len(want), n, err)
		}
		for cut := range want {
			if _, err := Skip(c.nodes, 0, want[:cut]); err == nil {
				t.Errorf("%s: expected an error when skipping %d bytes of it", name, cut)
			}
			if _, _, err := Read(c.nodes, 0, want[:cut]); err == nil {
				t.Errorf("%s: expected an error when reading %d bytes of it", name, cut)
			}
		}
	}
	assert.True(t, len(rows) == len(withSchemaCases), "found %d examples on the page, and %d cases", len(rows),
		len(withSchemaCases))
}

// The schemaless examples of encoding.md are written, read and skipped as the page shows.
func TestExamplesWithoutSchema(t *testing.T) {
	rows := examples(t, "schemaless")
	for name, want := range rows {
		value, ok := schemalessCases[name]
		if !ok {
			t.Errorf("%s: the page has an example without a case here", name)
			continue
		}
		got, err := AppendSchemaless(nil, value)
		assert.True(t, err == nil && cmp.Equal(got, want), "%s: found % x, %v, expected % x as on the page", name, got,
			err, want)
		read, size, err := ReadSchemaless(want)
		assert.True(t, err == nil && size == len(want) && cmp.Equal(read, value, equal),
			"%s: expected %#v in %d bytes, found %#v in %d, %v", name, value, len(want), read, size, err)
		if n, err := SkipSchemaless(append(want, 9)); err != nil || n != len(want) {
			t.Errorf("%s: expected to skip %d bytes, found %d, %v", name, len(want), n, err)
		}
		for cut := range want {
			_, err := SkipSchemaless(want[:cut])
			assert.True(t, err != nil, "%s: expected an error when skipping %d bytes of it", name, cut)
		}
	}
	assert.True(t, len(rows) == len(schemalessCases), "found %d examples on the page, and %d cases", len(rows),
		len(schemalessCases))
}

// The example of headers in encoding.md is written and read as the page shows.
func TestHeaderExample(t *testing.T) {
	text := strings.Join(strings.Fields(page(t)), " ")
	m := regexp.MustCompile("schemaless null: `([0-9a-f ]+)`").FindStringSubmatch(text)
	require.True(t, m != nil, "the page has no example for headers")
	want := unhex(t, m[1])
	headers := []Header{
		{Name: "src", Encoding: wit.WithSchema, Schema: 4, Value: AppendString(nil, "sap")},
		{Name: "n", Encoding: wit.Schemaless, Value: []byte{TagNull}},
	}
	if got := AppendHeaders(nil, headers); !cmp.Equal(got, want) {
		t.Errorf("found % x, expected % x as on the page", got, want)
	}
	got, err := Headers(nil, want)
	assert.True(t, err == nil && cmp.Equal(got, headers), "expected %v, found %v, %v", headers, got, err)
	for cut := range want {
		_, err := Headers(nil, want[:cut])
		assert.True(t, err != nil, "expected an error when reading %d bytes of it", cut)
	}
}

// page returns the text of encoding.md.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../encoding.md")
	require.NoError(t, err)
	return string(text)
}
