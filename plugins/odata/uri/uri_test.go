package uri

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// A literal is parsed as it was written. Other ways to write it are accepted.
func TestLiterals(t *testing.T) {
	for _, test := range []struct {
		literal Literal
		text    string
	}{
		{Literal{Type: edm.String, Text: "O'Neil"}, "'O''Neil'"},
		{Literal{Type: edm.String, Text: ""}, "''"},
		{Literal{Type: edm.Boolean, Text: "true"}, "true"},
		{Literal{Type: edm.Int32, Text: "-5"}, "-5"},
		{Literal{Type: edm.Int64, Text: "123"}, "123L"},
		{Literal{Type: edm.Decimal, Text: "2.345"}, "2.345M"},
		{Literal{Type: edm.Double, Text: "1.5"}, "1.5D"},
		{Literal{Type: edm.Double, Text: "1E+10"}, "1E+10D"},
		{Literal{Type: edm.Double, Text: "-INF"}, "-INF"},
		{Literal{Type: edm.Single, Text: "1.5"}, "1.5F"},
		{Literal{Type: edm.Guid, Text: "00000001-0000-0000-0000-000000000000"}, "guid'00000001-0000-0000-0000-000000000000'"},
		{Literal{Type: edm.DateTime, Text: "2016-07-08T12:34:56"}, "datetime'2016-07-08T12:34:56'"},
		{Literal{Type: edm.DateTimeOffset, Text: "2016-07-08T12:34:56Z"}, "datetimeoffset'2016-07-08T12:34:56Z'"},
		{Literal{Type: edm.Time, Text: "PT12H34M56S"}, "time'PT12H34M56S'"},
		{Literal{Type: edm.Binary, Text: "I6s="}, "X'23AB'"},
	} {
		assert.Equal(t, test.text, string(AppendLiteral(nil, edm.V2, test.literal)), test.literal)
		parsed, err := ParseLiteral(edm.V2, test.text)
		assert.True(t, err == nil && parsed == test.literal,
			"%s: expected %v, found %v (%v)", test.text, test.literal, parsed, err)
	}
	for text, expected := range map[string]Literal{
		"binary'23ab'":                      {Type: edm.Binary, Text: "I6s="},
		"12l":                               {Type: edm.Int64, Text: "12"},
		"9000000000":                        {Type: edm.Int64, Text: "9000000000"},
		"1.5":                               {Type: edm.Double, Text: "1.5"},
		"1m":                                {Type: edm.Decimal, Text: "1"},
		"123456789012345678901234567890.5m": {Type: edm.Decimal, Text: "123456789012345678901234567890.5"},
	} {
		found, err := ParseLiteral(edm.V2, text)
		assert.True(t, err == nil && found == expected, "%s: expected %v, found %v (%v)", text, expected, found, err)
	}
	for _, text := range []string{"", "'a", "'a'b", "foo'a'", "X'2'", "X'zz'", "1x", "--1", "L", "1.5L", "null"} {
		found, err := ParseLiteral(edm.V2, text)
		assert.True(t, err != nil, "%q: expected an error, found %v", text, found)
	}
}

func TestPredicates(t *testing.T) {
	for _, test := range []struct {
		set  string
		text string
		keys []Key
	}{
		{"Products", "(1)", []Key{{"", Literal{Type: edm.Int32, Text: "1"}}}},
		{"Set", "('a%2Fb''c%28%29%2C')", []Key{{"", Literal{Type: edm.String, Text: "a/b'c(),"}}}},
		{"Set", "('%C3%BC%20%25')", []Key{{"", Literal{Type: edm.String, Text: "ü %"}}}},
		{"Set", "(A='x%3D1',B=datetime'2015-01-01T00%3A00%3A00')", []Key{{"A", Literal{Type: edm.String, Text: "x=1"}},
			{"B", Literal{Type: edm.DateTime, Text: "2015-01-01T00:00:00"}}}},
	} {
		assert.Equal(t, test.text, string(AppendPredicate(nil, edm.V2, test.keys)))
		for _, root := range []string{"", "/s/", "https://h:1/s(1)/", "https://h/S('x')/"} {
			set, keys, err := ParsePredicate(edm.V2, root+test.set+test.text)
			assert.True(t, err == nil && set == test.set && cmp.Equal(keys, test.keys),
				"%s: expected %s %v, found %s %v (%v)", root+test.set+test.text, test.set, test.keys, set, keys, err)
		}
	}
	set, keys, err := ParsePredicate(edm.V2, "Set(ID = 'x')")
	assert.True(t, err == nil && set == "Set" && keys[0].Name == "ID" && keys[0].Literal.Text == "x",
		"a named single key: found %s %v (%v)", set, keys, err)
	for _, address := range []string{"", "Set", "Set()", "Set(1", "Set(1)/Items", "Set('a)", "Set(a b)"} {
		_, keys, err := ParsePredicate(edm.V2, address)
		assert.True(t, err != nil, "%q: expected an error, found %v", address, keys)
	}
}

// Links to the origin, by any of its names, become paths. Links to other hosts are rejected.
func TestLinks(t *testing.T) {
	httpOrigin := Origin{Scheme: "http", Host: "127.0.0.1", Port: 8080, Aliases: []string{"sap.internal", "gw:8443"}}
	httpsOrigin := Origin{Scheme: "https", Host: "Sap.Example", Port: 0}
	const requested = "/s/Orders?$orderby=ID&x=a/b"
	for _, test := range []struct {
		origin Origin
		link   string
		base   string
		target string
	}{
		{httpOrigin, "http://127.0.0.1:8080/s/Orders?$skiptoken=2", "", "/s/Orders?$skiptoken=2"},
		{httpOrigin, "http://localhost:8080/s/Orders?$skiptoken='a%20b'", "", "/s/Orders?$skiptoken='a%20b'"},
		{httpOrigin, "http://[::1]:8080/x", "", "/x"},
		{httpOrigin, "https://sap.internal:9999/x?y", "", "/x?y"},
		{httpOrigin, "https://gw:8443/x", "", "/x"},
		{httpOrigin, "//SAP.internal/x", "", "/x"},
		{httpOrigin, "/s/Orders?$skiptoken=2", "", "/s/Orders?$skiptoken=2"},
		{httpOrigin, "Orders?$skiptoken=a:b", "", "/s/Orders?$skiptoken=a:b"},
		{httpOrigin, "Orders(1)/Items?$skiptoken=2", "", "/s/Orders(1)/Items?$skiptoken=2"},
		{httpOrigin, "?$skiptoken=2", "", "/s/Orders?$skiptoken=2"},
		{httpOrigin, "../t/Orders", "", "/t/Orders"},
		{httpOrigin, "./Orders#here", "", "/s/Orders"},
		{httpOrigin, "Orders?$skiptoken=2", "http://localhost:8080/other/", "/other/Orders?$skiptoken=2"},
		{httpOrigin, "Orders?$skiptoken=2", "/other/x", "/other/Orders?$skiptoken=2"},
		{httpOrigin, "Orders?!deltatoken='1 2'&a=ü", "", "/s/Orders?!deltatoken='1%202'&a=%C3%BC"},
		{httpsOrigin, "https://sap.example/s/Orders", "", "/s/Orders"},
		{httpsOrigin, "https://SAP.EXAMPLE:443/s/Orders", "", "/s/Orders"},
		{httpsOrigin, "https://sap.example?x", "", "/?x"},
	} {
		found, err := test.origin.Resolve(test.link, test.base, requested)
		assert.True(t, err == nil && found == test.target,
			"%s on %s: expected %s, found %s (%v)", test.link, test.base, test.target, found, err)
	}

	// Other hosts, ports and schemes.
	for _, test := range []struct {
		origin Origin
		link   string
		base   string
	}{
		{httpOrigin, "http://127.0.0.1:8081/x", ""},
		{httpOrigin, "http://evil.example:8080/x", ""},
		{httpOrigin, "https://127.0.0.1:8080/x", ""},
		{httpOrigin, "http://gw:8444/x", ""},
		{httpOrigin, "Orders", "http://evil.example/s/"},
		{httpOrigin, "//evil.example:8080/x", ""},
		{httpsOrigin, "http://sap.example/s", ""},
		{httpsOrigin, "https://sap.example.evil.example/s", ""},
		{httpsOrigin, "https://127.evil.example/s", ""},
	} {
		found, err := test.origin.Resolve(test.link, test.base, requested)
		var foreign *ForeignError
		assert.True(t, errors.As(err, &foreign) && strings.Contains(err.Error(), "sap.odata.link.hosts"),
			"%s: expected a foreign host, found %s (%v)", test.link, found, err)
	}

	// Invalid links.
	for _, link := range []string{"", "ftp://127.0.0.1/x", "mailto:x", "http://user@127.0.0.1:8080/x",
		"http://127.0.0.1:x/", "http://:8080/"} {
		found, err := httpOrigin.Resolve(link, "", requested)
		assert.True(t, err != nil, "%q: expected an error, found %s", link, found)
	}
}

func FuzzResolve(f *testing.F) {
	f.Add("http://127.0.0.1:8080/x", "", "/s/Orders")
	origin := Origin{Scheme: "http", Host: "127.0.0.1", Port: 8080}
	f.Fuzz(func(t *testing.T, link, base, request string) {
		if !strings.HasPrefix(request, "/") {
			return
		}
		target, err := origin.Resolve(link, base, request)
		assert.True(t, err != nil || !strings.ContainsAny(target, " \r\n\t"), "%q is not a valid target", target)
		ParsePredicate(edm.V2, link)
	})
}

// FuzzPredicate writes and reads key predicates again: the keys stay the same.
func FuzzPredicate(f *testing.F) {
	for _, text := range []string{"/s/Set('O''Neil')", "/s/Set(A='x,y',B=datetime'2015-01-01T00%3A00%3A00')", "Set(1)",
		"Set(guid'x')", "Set(A=1L,)", "Set()", "Set('(')", "Set(X'00')/Nav(2.5M)"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, address string) {
		set, keys, err := ParsePredicate(edm.V2, address)
		unnamed := func(k Key) bool { return k.Name == "" }
		if err != nil || (len(keys) == 1 && keys[0].Name != "") || (len(keys) > 1 && slices.ContainsFunc(keys, unnamed)) {
			return // a single key is written without its name, several with them
		}
		encoded := string(AppendPredicate(AppendEscaped(nil, set), edm.V2, keys))
		decodedSet, decoded, err := ParsePredicate(edm.V2, encoded)
		require.True(t, err == nil && decodedSet == set && len(decoded) == len(keys),
			"%q: %s: %q %v, %v", address, encoded, decodedSet, decoded, err)
		for i := range keys {
			if keys[i].Name != "" && (decoded[i].Name != keys[i].Name || decoded[i].Literal != keys[i].Literal) {
				t.Errorf("%q: %s: expected the same key %d, found %v, was %v", address, encoded, i, decoded[i], keys[i])
			}
		}
	})
}
