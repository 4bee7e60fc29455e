package uri

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/edm"
)

const sampleGUID = "0a1b2c3d-0000-1111-2222-333344445555"

// A literal of v4 is written in its form. It is read with the same text, and with its type unless bare digits may have
// several.
func TestLiteralsOfV4(t *testing.T) {
	for _, test := range []struct {
		literal Literal
		text    string
		read    edm.Primitive // if another type is read
	}{
		{Literal{Type: edm.String, Text: "O'Neil"}, "'O''Neil'", 0},
		{Literal{Type: edm.String, Text: ""}, "''", 0},
		{Literal{Type: edm.Boolean, Text: "false"}, "false", 0},
		{Literal{Type: edm.Byte, Text: "5"}, "5", edm.Int32},
		{Literal{Type: edm.Int64, Text: "9007199254740995"}, "9007199254740995", 0},
		{Literal{Type: edm.Decimal, Text: "2.345"}, "2.345", 0},
		{Literal{Type: edm.Decimal, Text: "1234567890123456789012345678901234567890"},
			"1234567890123456789012345678901234567890", 0},
		{Literal{Type: edm.Decimal, Text: "9223372036854775808"}, "9223372036854775808", 0},
		{Literal{Type: edm.Decimal, Text: "-99999999999999999999"}, "-99999999999999999999", 0},
		{Literal{Type: edm.Double, Text: "1.5"}, "1.5", edm.Decimal},
		{Literal{Type: edm.Double, Text: "1E+10"}, "1E+10", 0},
		{Literal{Type: edm.Double, Text: "INF"}, "INF", 0},
		{Literal{Type: edm.Double, Text: "NaN"}, "NaN", 0},
		{Literal{Type: edm.Single, Text: "-INF"}, "-INF", edm.Double},
		{Literal{Type: edm.Guid, Text: sampleGUID}, sampleGUID, 0},
		{Literal{Type: edm.Guid, Text: "1 or true"}, "'1 or true'", edm.String}, // a service rejects it
		{Literal{Type: edm.Date, Text: "2024-01-31"}, "2024-01-31", 0},
		{Literal{Type: edm.TimeOfDay, Text: "12:30:00.123"}, "12:30:00.123", 0},
		{Literal{Type: edm.DateTimeOffset, Text: "2024-01-31T12:30:00.1234567Z"}, "2024-01-31T12:30:00.1234567Z", 0},
		{Literal{Type: edm.DateTimeOffset, Text: "2024-01-31T12:30:00.123456789012+01:00"},
			"2024-01-31T12:30:00.123456789012+01:00", 0},
		{Literal{Type: edm.Duration, Text: "PT1H"}, "duration'PT1H'", 0},
		{Literal{Type: edm.Binary, Text: "+/8="}, "binary'-_8='", 0},
		{Literal{Type: edm.Binary, Text: ""}, "binary''", 0},
		{Literal{Type: edm.Enum, TypeName: "N.S.Color", Text: "Red,Blue"}, "N.S.Color'Red,Blue'", 0},
	} {
		assert.Equal(t, test.text, string(AppendLiteral(nil, edm.V4, test.literal)), test.literal)
		want := test.literal
		if test.read != 0 {
			want.Type = test.read
		}
		parsed, err := ParseLiteral(edm.V4, test.text)
		assert.True(t, err == nil && parsed == want, "%s: expected %v, found %v (%v)", test.text, want, parsed, err)
	}
	for _, text := range []string{"", "'a", "'a'b", "guid'" + sampleGUID + "'", "datetime'2024-01-31T00:00:00'",
		"X'23AB'", "binary'%'", "1-2", "--5", "5L", "1.5M", "null", "2024-02-30", "24:00:00", "0a1b2c3d-0000"} {
		parsed, err := ParseLiteral(edm.V4, text)
		assert.True(t, err != nil, "%q: expected an error, found %v", text, parsed)
	}
	parsed, err := ParseLiteral(edm.V4, "Binary'-_8'")
	assert.True(t, err == nil && parsed.Text == "+/8=", "without padding: found %v, %v", parsed, err)
	for _, text := range []string{sampleGUID, "2024-01-31", "12:30:00", "duration'PT1H'", "N.Color'Red'"} {
		parsed, err := ParseLiteral(edm.V2, text)
		assert.True(t, err != nil, "%q is no literal of v2, found %v", text, parsed)
	}
}

// Key predicates of v4 are read as they were written, and as services write them.
func TestPredicatesOfV4(t *testing.T) {
	for _, test := range []struct {
		text string
		keys []Key
	}{
		{"(" + sampleGUID + ")", []Key{{"", Literal{Type: edm.Guid, Text: sampleGUID}}}},
		{"(ID=" + sampleGUID + ",IsActiveEntity=true)", []Key{{"ID", Literal{Type: edm.Guid, Text: sampleGUID}},
			{"IsActiveEntity", Literal{Type: edm.Boolean, Text: "true"}}}},
		{"(D=2024-01-31,T=12%3A30%3A00)", []Key{{"D", Literal{Type: edm.Date, Text: "2024-01-31"}},
			{"T", Literal{Type: edm.TimeOfDay, Text: "12:30:00"}}}},
		{"(C=N.Color'A%2CB',N='a%2Fb''%25%28%29%2C')", []Key{
			{"C", Literal{Type: edm.Enum, TypeName: "N.Color", Text: "A,B"}},
			{"N", Literal{Type: edm.String, Text: "a/b'%(),"}}}},
		{"(2024-01-31T12%3A30%3A00%2B01%3A00)",
			[]Key{{"", Literal{Type: edm.DateTimeOffset, Text: "2024-01-31T12:30:00+01:00"}}}},
		{"(B=binary'-_8%3D',N=1)", []Key{{"B", Literal{Type: edm.Binary, Text: "+/8="}},
			{"N", Literal{Type: edm.Int32, Text: "1"}}}},
	} {
		assert.Equal(t, test.text, string(AppendPredicate(nil, edm.V4, test.keys)))
		for _, root := range []string{"", "/s/", "https://h:1/s(1)/", "Orders(7)/"} {
			set, keys, err := ParsePredicate(edm.V4, root+"Items"+test.text)
			assert.True(t, err == nil && set == "Items" && cmp.Equal(keys, test.keys),
				"%s: expected %v, found %s %v (%v)", root+test.text, test.keys, set, keys, err)
		}
	}
	for _, address := range []string{"Set(N.Color'A)", "Set(ID=" + sampleGUID, "Set(guid'" + sampleGUID + "')",
		"Set(A=.='')"} {
		_, keys, err := ParsePredicate(edm.V4, address)
		assert.True(t, err != nil, "%q: expected an error, found %v", address, keys)
	}
}

// Texts of all kinds of characters survive in keys of either version.
func TestPredicatesKeepTexts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	characters := []rune("ab1'%/()=,;:?#&+ \"\\@$üß€😀\x00\x7f")
	for range 3000 {
		text := make([]rune, random.IntN(12))
		for i := range text {
			text[i] = characters[random.IntN(len(characters))]
		}
		for _, dialect := range []*edm.Dialect{edm.V2, edm.V4} {
			want := []Key{{"A", Literal{Type: edm.String, Text: string(text)}}, {"B", Literal{Type: edm.Int32, Text: "1"}}}
			address := string(AppendPredicate([]byte("/s/Set('x')/Items"), dialect, want))
			set, keys, err := ParsePredicate(dialect, address)
			require.True(t, err == nil && set == "Items" && cmp.Equal(keys, want),
				"%s, %s: expected %v, found %s %v (%v)", dialect.Name(), address, want, set, keys, err)
		}
	}
}

// FuzzPredicate4 writes and reads key predicates of v4 again: the texts stay the same.
func FuzzPredicate4(f *testing.F) {
	for _, text := range []string{"/s/Set('O''Neil')", "/s/Set(A='x,y',B=2015-01-01T00%3A00%3A00Z)", "Set(1)",
		"Set(" + sampleGUID + ")", "Set(A=N.E'x',B=binary'-_')", "Set(duration'PT1H')", "Set(12:30)"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, address string) {
		set, keys, err := ParsePredicate(edm.V4, address)
		if err != nil || strings.ContainsAny(set, "()'/") {
			return // no name of a set
		}
		for i := range keys {
			keys[i].Name = string(rune('A' + i%26))
		}
		encoded := string(AppendPredicate(AppendEscaped(nil, set), edm.V4, keys))
		decodedSet, decoded, err := ParsePredicate(edm.V4, encoded)
		require.True(t, err == nil && decodedSet == set && len(decoded) == len(keys),
			"%q: %s: %q %v, %v", address, encoded, decodedSet, decoded, err)
		for i := range keys {
			assert.Equal(t, keys[i].Literal, decoded[i].Literal, address, encoded)
		}
	})
}
