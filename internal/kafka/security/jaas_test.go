package security

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/require"
)

// The expected results are those of Kafka 4.3.1's JaasConfig.
func TestParseJAAS(t *testing.T) {
	const class = "org.apache.kafka.common.security.plain.PlainLoginModule"
	cases := []struct {
		name    string
		text    string
		options map[string]string
	}{
		{"usual", class + ` required username="alice" password="alice-secret";`, map[string]string{"username": "alice",
			"password": "alice-secret"}},
		{"no options", class + ` required;`, map[string]string{}},
		{"lines", class + " required\n\tusername=\"a\"\r\n  password=\"b\" ;\n", map[string]string{"username": "a",
			"password": "b"}},
		{"bare values", class + ` REQUIRED username=alice-1 tokenauth=true;`, map[string]string{"username": "alice-1",
			"tokenauth": "true"}},
		{"single quotes", class + ` optional password='a"b';`, map[string]string{"password": `a"b`}},
		{"escapes", class + ` requisite password="a\"b\\c\'d\;e\tf\101\0601\7x\400";`,
			map[string]string{"password": "a\"b\\c'd;e\tfA01\ax 0"}},
		{"blanks around =", class + ` sufficient username = "a" ;`, map[string]string{"username": "a"}},
		{"quoted name", class + ` required "user name"="a";`, map[string]string{"user name": "a"}},
		{"comments", "/* who */ " + class + " required // why\nusername=\"a//b/*c\" / rest of the line\n;",
			map[string]string{"username": "a//b/*c"}},
		{"semicolon and equals in quotes", class + ` required password="a;b=c;";`,
			map[string]string{"password": "a;b=c;"}},
		{"letters beyond ASCII", class + ` required username=Jörg password="pässwörd€";`,
			map[string]string{"username": "Jörg", "password": "pässwörd€"}},
		{"twice: the last counts", class + ` required username="a" username="b";`, map[string]string{"username": "b"}},
		{"empty value", class + ` required password="";`, map[string]string{"password": ""}},
		{"dollar and digits", class + ` required a$_1.b="x";`, map[string]string{"a$_1.b": "x"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m, err := parseJAAS(c.text)
			require.NoError(t, err)
			if diff := cmp.Diff(c.options, m.options); diff != "" || m.class != class {
				t.Errorf("%s: options (-want +got):\n%s", m.class, diff)
			}
		})
	}
}

func TestParseJAASRejects(t *testing.T) {
	const class = "org.apache.kafka.common.security.plain.PlainLoginModule"
	cases := []struct{ text, expect string }{
		{"", "class of a login module at character 1"},
		{"   // nothing", "class of a login module"},
		{class, "control flag"},
		{class + ` username="hush"`, "control flag"},
		{class + ` requires password="hush";`, "control flag"},
		{class + ` required username="a" password="hush"`, "semicolon at the end"},
		{class + ` required password=;`, "a value of password in quotes"},
		{class + ` required password`, "no ="},
		{class + ` required password "hush";`, "no ="},
		{class + ` required password=1234;`, "a value of password in quotes"},
		{class + ` required password=hush#1;`, "special characters"},
		{class + ` required password="hush;`, "end of the quotes"},
		{class + " required password=\"hu\nsh\";", "end of the quotes"},
		{class + ` required password="hush"; ` + class + ` required password="hush";`, "one login module"},
		{class + ` required; hush`, "one login module"},
		{class + ` required /* hush`, "end of the comment"},
		{`"" "hush" ;`, "control flag"},
	}
	for _, c := range cases {
		t.Run(c.text, func(t *testing.T) {
			m, err := parseJAAS(c.text)
			if err == nil || !strings.Contains(err.Error(), c.expect) {
				t.Fatalf("expected an error that contains %q, found %v", c.expect, err)
			}
			if text := err.Error() + fmt.Sprintf("%v %+v %#v", m, m, m); strings.Contains(text, "hush") {
				t.Errorf("expected no password, found one in %s", text)
			}
		})
	}
}

// Any input causes no panic and no endless loop, and all results are part of the text.
func FuzzParseJAAS(f *testing.F) {
	f.Add(`a.b.C required user="x" pass='y\061';`)
	f.Add(`C optional -1=2; /* * / */ // x`)
	f.Add("C required a=\"\\")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseJAAS(text)
		if err == nil && (m.class == "" && !strings.Contains(text, `""`) && !strings.Contains(text, `''`)) {
			t.Errorf("%q: expected a class", text)
		}
	})
}
