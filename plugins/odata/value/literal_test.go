package value

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/uri"
)

func property(primitive edm.Primitive) *edm.Property {
	return &edm.Property{Name: "P", Type: edm.Type{Primitive: primitive, Name: primitive.String()}, Precision: -1,
		Scale: -1}
}

// literalCases are texts of settings and their literals, "" if the text is rejected.
var literalCases = []struct {
	typ  edm.Primitive
	text string
	want string
}{
	{edm.String, "O'Neil", "'O''Neil'"},
	{edm.String, "'O''Neil'", "'O''Neil'"},
	{edm.String, "", "''"},
	{edm.String, "''", "''"},
	{edm.String, "'", "''''"},
	{edm.String, "null", "'null'"},
	{edm.String, "datetime'2024-01-01T00:00:00'", "'datetime''2024-01-01T00:00:00'''"},
	{edm.String, "0042 ", "'0042 '"},
	{edm.String, "Größe/100%", "'Größe/100%'"},
	{edm.Int32, "5", "5"},
	{edm.Int32, " -5 ", "-5"},
	{edm.Int32, "+5", "5"},
	{edm.Int32, "2147483648", ""},
	{edm.Int32, "5.0", ""},
	{edm.Int32, "5L", ""},
	{edm.Int32, "", ""},
	{edm.Int32, "'5'", ""},
	{edm.Byte, "255", "255"},
	{edm.Byte, "-1", ""},
	{edm.SByte, "-128", "-128"},
	{edm.SByte, "128", ""},
	{edm.Int16, "32768", ""},
	{edm.Int64, "9223372036854775807", "9223372036854775807L"},
	{edm.Int64, "5L", "5L"},
	{edm.Int64, "5l", "5L"},
	{edm.Int64, "L", ""},
	{edm.Decimal, "2.345", "2.345M"},
	{edm.Decimal, "2.345M", "2.345M"},
	{edm.Decimal, ".5", "0.5M"},
	{edm.Decimal, "5.", "5M"},
	{edm.Decimal, "-12345678901234567890.5", "-12345678901234567890.5M"},
	{edm.Decimal, "1e5", ""},
	{edm.Decimal, "1,5", ""},
	{edm.Decimal, "M", ""},
	{edm.Decimal, ".", ""},
	{edm.Double, "1.5", "1.5D"},
	{edm.Double, "1E+10", "1E+10D"},
	{edm.Double, "1.5d", "1.5D"},
	{edm.Double, "-INF", "-INF"},
	{edm.Double, "NaN", "NaN"},
	{edm.Double, "0x10", ""},
	{edm.Single, "1.5f", "1.5F"},
	{edm.Boolean, "TRUE", "true"},
	{edm.Boolean, "0", "false"},
	{edm.Boolean, "yes", ""},
	{edm.Guid, "0a1b2c3d-0000-1111-2222-333344445555", "guid'0a1b2c3d-0000-1111-2222-333344445555'"},
	{edm.Guid, "guid'0a1b2c3d-0000-1111-2222-333344445555'", "guid'0a1b2c3d-0000-1111-2222-333344445555'"},
	{edm.Guid, "0a1b2c3d", ""},
	{edm.Guid, "datetime'2024-01-01'", ""},
	{edm.DateTime, "2024-01-31", "datetime'2024-01-31T00:00:00'"},
	{edm.DateTime, "2024-01-31T12:30", "datetime'2024-01-31T12:30:00'"},
	{edm.DateTime, "2024-01-31T12:30:15.1234567", "datetime'2024-01-31T12:30:15.1234567'"},
	{edm.DateTime, "2024-01-31T01:00:00+02:00", "datetime'2024-01-30T23:00:00'"},
	{edm.DateTime, "datetime'2024-01-31T12:30:00'", "datetime'2024-01-31T12:30:00'"},
	{edm.DateTime, "/Date(0)/", "datetime'1970-01-01T00:00:00'"},
	{edm.DateTime, "2024-02-30", ""},
	{edm.DateTime, "31.01.2024", ""},
	{edm.DateTime, "2024-01-31T12:30:15.12345678", ""},
	{edm.DateTimeOffset, "2024-01-31T12:30:00+01:00", "datetimeoffset'2024-01-31T11:30:00Z'"},
	{edm.DateTimeOffset, "2024-01-31", "datetimeoffset'2024-01-31T00:00:00Z'"},
	{edm.Time, "12:30", "time'PT12H30M00S'"},
	{edm.Time, "12:30:15.5", "time'PT12H30M15.5S'"},
	{edm.Time, "PT1H", "time'PT1H'"},
	{edm.Time, "PT1.1234567S", "time'PT1.1234567S'"},
	{edm.Time, "PT1,5S", ""},
	{edm.Time, "PT1.00000000S", ""},
	{edm.DateTime, "/Date(0+60)/", ""},
	{edm.Time, "PT24H", ""},
	{edm.Time, "PT", ""},
	{edm.Time, "P1D", ""},
	{edm.Time, "PT1H1H", ""},
	{edm.Binary, "X'23ab'", "X'23AB'"},
	{edm.Binary, "I6s=", "X'23AB'"},
	{edm.Binary, "X'2'", ""},
	{edm.NotPrimitive, "x", ""},
}

// Texts of settings become literals as in MS-ODATA 2.2.2.
func TestLiteral(t *testing.T) {
	for _, test := range literalCases {

		literal, err := Literal(edm.V2, property(test.typ), test.text)
		found := ""
		if err == nil {
			found = string(uri.AppendLiteral(nil, edm.V2, literal))
		}
		assert.Equal(t, test.want, found, test.typ, test.text, err)
	}
}

func TestCompare(t *testing.T) {
	for _, test := range []struct {
		typ  edm.Primitive
		a    string
		b    string
		want int
	}{
		{edm.Int32, "9", "10", -1},
		{edm.Decimal, "1.50", "1.5", 0},
		{edm.Decimal, "-2", "1", -1},
		{edm.String, "9", "10", 1},
		{edm.Double, "1e1", "10", 0},
		{edm.DateTime, "2024-01-31T00:00:00", "2024-01-31T00:00:00.0000001", -1},
		{edm.DateTimeOffset, "2024-01-31T01:00:00+01:00", "2024-01-31T00:00:00Z", 0},
		{edm.Time, "PT60M", "PT1H", 0},
		{edm.Guid, "AB", "ab", 0},
		{edm.Binary, "I6s=", "JA==", -1},
	} {
		if found, ok := Compare(test.typ, test.a, test.b); found != test.want || !ok {
			t.Errorf("%v: %s, %s: expected %d, found %d, %v", test.typ, test.a, test.b, test.want, found, ok)
		}
	}
}

// FuzzLiteral writes accepted texts as literals into a URL and reads them back: the value and its type stay the same,
// also in a key predicate.
func FuzzLiteral(f *testing.F) {
	for _, text := range []string{"O'Neil", "'a''b'", "5", "5L", "2.345M", "-INF", "2024-01-31",
		"datetime'2024-01-31T00:00'", "PT12H34M56.7S", "X'23AB'", "guid'0a1b2c3d-0000-1111-2222-333344445555'",
		"a,b)(c/d%2F", "\xff"} {
		for typ := edm.Binary; typ <= edm.Time; typ++ {
			f.Add(uint8(typ), text)
		}
	}
	f.Fuzz(func(t *testing.T, typ uint8, text string) {
		primitive := edm.Primitive(typ)
		if primitive > edm.Time {
			return
		}
		literal, err := Literal(edm.V2, property(primitive), text)
		if err != nil {
			assert.True(t, primitive == edm.NotPrimitive || strings.Contains(err.Error(),
				AcceptedForms(&property(primitive).Type)),
				"%v %q: %v", primitive, text, err)
			return
		}
		encoded := string(uri.AppendLiteral(nil, edm.V2, literal))
		decoded, err := uri.ParseLiteral(edm.V2, encoded)
		require.NoError(t, err, primitive, text, encoded)
		isSame := decoded.Text == literal.Text
		if order, ok := Compare(primitive, literal.Text, decoded.Text); ok {
			isSame = order == 0
		}
		assert.True(t, isSame,
			"%v %q: %s is parsed as %q, was %q", primitive, text, encoded, decoded.Text, literal.Text)
		predicate := string(uri.AppendPredicate([]byte("/s/Set"), edm.V2, []uri.Key{{Name: "A", Literal: literal},
			{Name: "B", Literal: uri.Literal{Type: edm.Int32, Text: "1"}}}))
		set, keys, err := uri.ParsePredicate(edm.V2, predicate)
		assert.True(t, err == nil && set == "Set" && len(keys) == 2 && keys[0].Name == "A" &&
			keys[0].Literal.Text == decoded.Text, "%v %q: %s: %s %v, %v", primitive, text, predicate, set, keys, err)
	})
}
