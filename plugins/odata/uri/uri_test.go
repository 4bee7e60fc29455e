package uri

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/google/go-cmp/cmp"
)

func TestLiterals(t *testing.T) {
	for _, test := range []struct {
		literal Literal
		text    string
	}{
		{Literal{edm.String, "O'Neil"}, "'O''Neil'"},
		{Literal{edm.String, ""}, "''"},
		{Literal{edm.Boolean, "true"}, "true"},
		{Literal{edm.Int32, "-5"}, "-5"},
		{Literal{edm.Int64, "123"}, "123L"},
		{Literal{edm.Decimal, "2.345"}, "2.345M"},
		{Literal{edm.Double, "1.5"}, "1.5D"},
		{Literal{edm.Double, "1E+10"}, "1E+10D"},
		{Literal{edm.Double, "-INF"}, "-INF"},
		{Literal{edm.Single, "1.5"}, "1.5F"},
		{Literal{edm.Guid, "00000001-0000-0000-0000-000000000000"}, "guid'00000001-0000-0000-0000-000000000000'"},
		{Literal{edm.DateTime, "2016-07-08T12:34:56"}, "datetime'2016-07-08T12:34:56'"},
		{Literal{edm.DateTimeOffset, "2016-07-08T12:34:56Z"}, "datetimeoffset'2016-07-08T12:34:56Z'"},
		{Literal{edm.Time, "PT12H34M56S"}, "time'PT12H34M56S'"},
		{Literal{edm.Binary, "I6s="}, "X'23AB'"},
	} {
		if found := string(AppendLiteral(nil, test.literal)); found != test.text {
			t.Errorf("%v: expected %s, found %s", test.literal, test.text, found)
		}
		back, err := ParseLiteral(test.text)
		if err != nil || back != test.literal {
			t.Errorf("%s: expected %v, found %v (%v)", test.text, test.literal, back, err)
		}
	}
	for text, expected := range map[string]Literal{
		"binary'23ab'": {edm.Binary, "I6s="}, "12l": {edm.Int64, "12"}, "9000000000": {edm.Int64, "9000000000"},
		"1.5": {edm.Double, "1.5"},
		"1m":  {edm.Decimal, "1"}, "123456789012345678901234567890.5m": {edm.Decimal,
			"123456789012345678901234567890.5"},
	} {
		if found, err := ParseLiteral(text); err != nil || found != expected {
			t.Errorf("%s: expected %v, found %v (%v)", text, expected, found, err)
		}
	}
	for _, text := range []string{"", "'a", "'a'b", "foo'a'", "X'2'", "X'zz'", "1x", "--1", "L", "1.5L", "null"} {
		if found, err := ParseLiteral(text); err == nil {
			t.Errorf("%q: expected an error, found %v", text, found)
		}
	}
}

func TestPredicates(t *testing.T) {
	for _, test := range []struct {
		set  string
		text string
		keys []Key
	}{
		{"Products", "(1)", []Key{{"", Literal{edm.Int32, "1"}}}},
		{"Set", "('a%2Fb''c%28%29%2C')", []Key{{"", Literal{edm.String, "a/b'c(),"}}}},
		{"Set", "('%C3%BC%20%25')", []Key{{"", Literal{edm.String, "ü %"}}}},
		{"Set", "(A='x%3D1',B=datetime'2015-01-01T00%3A00%3A00')", []Key{{"A", Literal{edm.String, "x=1"}},
			{"B", Literal{edm.DateTime, "2015-01-01T00:00:00"}}}},
	} {
		if found := string(AppendPredicate(nil, test.keys)); found != test.text {
			t.Errorf("expected %s, found %s", test.text, found)
		}
		for _, root := range []string{"", "/s/", "https://h:1/s(1)/", "https://h/S('x')/"} {
			set, keys, err := ParsePredicate(root + test.set + test.text)
			if err != nil || set != test.set || !cmp.Equal(keys, test.keys) {
				t.Errorf("%s: expected %s %v, found %s %v (%v)", root+test.set+test.text, test.set, test.keys, set,
					keys, err)
			}
		}
	}
	set, keys, err := ParsePredicate("Set(ID = 'x')")
	if err != nil || set != "Set" || keys[0].Name != "ID" || keys[0].Literal.Text != "x" {
		t.Errorf("a named single key: found %s %v (%v)", set, keys, err)
	}
	for _, address := range []string{"", "Set", "Set()", "Set(1", "Set(1)/Items", "Set('a)", "Set(a b)"} {
		if _, keys, err := ParsePredicate(address); err == nil {
			t.Errorf("%q: expected an error, found %v", address, keys)
		}
	}
}

func TestLinks(t *testing.T) {
	plain := Origin{Scheme: "http", Host: "127.0.0.1", Port: 8080, Aliases: []string{"sap.internal", "gw:8443"}}
	secure := Origin{Scheme: "https", Host: "Sap.Example", Port: 0}
	const requested = "/s/Orders?$orderby=ID&x=a/b"
	for _, test := range []struct {
		origin Origin
		link   string
		base   string
		target string
	}{
		{plain, "http://127.0.0.1:8080/s/Orders?$skiptoken=2", "", "/s/Orders?$skiptoken=2"},
		{plain, "http://localhost:8080/s/Orders?$skiptoken='a%20b'", "", "/s/Orders?$skiptoken='a%20b'"},
		{plain, "http://[::1]:8080/x", "", "/x"},
		{plain, "https://sap.internal:9999/x?y", "", "/x?y"},
		{plain, "https://gw:8443/x", "", "/x"},
		{plain, "//SAP.internal/x", "", "/x"},
		{plain, "/s/Orders?$skiptoken=2", "", "/s/Orders?$skiptoken=2"},
		{plain, "Orders?$skiptoken=a:b", "", "/s/Orders?$skiptoken=a:b"},
		{plain, "Orders(1)/Items?$skiptoken=2", "", "/s/Orders(1)/Items?$skiptoken=2"},
		{plain, "?$skiptoken=2", "", "/s/Orders?$skiptoken=2"},
		{plain, "../t/Orders", "", "/t/Orders"},
		{plain, "./Orders#here", "", "/s/Orders"},
		{plain, "Orders?$skiptoken=2", "http://localhost:8080/other/", "/other/Orders?$skiptoken=2"},
		{plain, "Orders?$skiptoken=2", "/other/x", "/other/Orders?$skiptoken=2"},
		{plain, "Orders?!deltatoken='1 2'&a=ü", "", "/s/Orders?!deltatoken='1%202'&a=%C3%BC"},
		{secure, "https://sap.example/s/Orders", "", "/s/Orders"},
		{secure, "https://SAP.EXAMPLE:443/s/Orders", "", "/s/Orders"},
		{secure, "https://sap.example?x", "", "/?x"},
	} {
		found, err := test.origin.Resolve(test.link, test.base, requested)
		if err != nil || found != test.target {
			t.Errorf("%s on %s: expected %s, found %s (%v)", test.link, test.base, test.target, found, err)
		}
	}
	for _, test := range []struct {
		origin Origin
		link   string
		base   string
	}{
		{plain, "http://127.0.0.1:8081/x", ""},
		{plain, "http://evil.example:8080/x", ""},
		{plain, "https://127.0.0.1:8080/x", ""},
		{plain, "http://gw:8444/x", ""},
		{plain, "Orders", "http://evil.example/s/"},
		{plain, "//evil.example:8080/x", ""},
		{secure, "http://sap.example/s", ""},
		{secure, "https://sap.example.evil.example/s", ""},
		{secure, "https://127.evil.example/s", ""},
	} {
		found, err := test.origin.Resolve(test.link, test.base, requested)
		var foreign *ForeignError
		if !errors.As(err, &foreign) || !strings.Contains(err.Error(), "sap.odata.link.hosts") {
			t.Errorf("%s: expected a foreign host, found %s (%v)", test.link, found, err)
		}
	}
	for _, link := range []string{"", "ftp://127.0.0.1/x", "mailto:x", "http://user@127.0.0.1:8080/x",
		"http://127.0.0.1:x/", "http://:8080/"} {
		if found, err := plain.Resolve(link, "", requested); err == nil {
			t.Errorf("%q: expected an error, found %s", link, found)
		}
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
		if err == nil && strings.ContainsAny(target, " \r\n\t") {
			t.Errorf("%q is not a valid target", target)
		}
		ParsePredicate(link)
	})
}

// FuzzPredicate writes and reads key predicates again: the keys stay the same.
func FuzzPredicate(f *testing.F) {
	for _, text := range []string{"/s/Set('O''Neil')", "/s/Set(A='x,y',B=datetime'2015-01-01T00%3A00%3A00')", "Set(1)",
		"Set(guid'x')", "Set(A=1L,)", "Set()", "Set('(')", "Set(X'00')/Nav(2.5M)"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, address string) {
		set, keys, err := ParsePredicate(address)
		unnamed := func(k Key) bool { return k.Name == "" }
		if err != nil || (len(keys) == 1 && keys[0].Name != "") || (len(keys) > 1 && slices.ContainsFunc(keys, unnamed)) {
			return // a single key is written without its name, several with them
		}
		written := string(AppendPredicate(AppendEscaped(nil, set), keys))
		again, read, err := ParsePredicate(written)
		if err != nil || again != set || len(read) != len(keys) {
			t.Fatalf("%q: %s: %q %v, %v", address, written, again, read, err)
		}
		for i := range keys {
			if keys[i].Name != "" && (read[i].Name != keys[i].Name || read[i].Literal != keys[i].Literal) {
				t.Errorf("%q: %s: expected the same key %d, found %v, was %v", address, written, i, read[i], keys[i])
			}
		}
	})
}
