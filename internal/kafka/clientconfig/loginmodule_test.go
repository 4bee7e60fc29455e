package clientconfig

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// The expected results are those of Kafka 4.3.1's JaasConfig.
func TestParseLoginModule(t *testing.T) {
	const class = "org.apache.kafka.common.security.plain.PlainLoginModule"
	cases := []struct {
		name    string
		text    string
		options map[string]string
	}{
		{
			name:    "usual",
			text:    class + ` required username="alice" password="alice-secret";`,
			options: map[string]string{"username": "alice", "password": "alice-secret"},
		},
		{name: "no options", text: class + ` required;`, options: map[string]string{}},
		{
			name:    "lines",
			text:    class + " required\n\tusername=\"a\"\r\n  password=\"b\" ;\n",
			options: map[string]string{"username": "a", "password": "b"},
		},
		{
			name:    "bare values",
			text:    class + ` REQUIRED username=alice-1 tokenauth=true;`,
			options: map[string]string{"username": "alice-1", "tokenauth": "true"},
		},
		{
			name:    "single quotes",
			text:    class + ` optional password='a"b';`,
			options: map[string]string{"password": `a"b`},
		},
		{
			name:    "escapes",
			text:    class + ` requisite password="a\"b\\c\'d\;e\tf\101\0601\7x\400";`,
			options: map[string]string{"password": "a\"b\\c'd;e\tfA01\ax 0"},
		},
		{
			name:    "blanks around =",
			text:    class + ` sufficient username = "a" ;`,
			options: map[string]string{"username": "a"},
		},
		{name: "quoted name", text: class + ` required "user name"="a";`, options: map[string]string{"user name": "a"}},
		{
			name:    "comments",
			text:    "/* who */ " + class + " required // why\nusername=\"a//b/*c\" / rest of the line\n;",
			options: map[string]string{"username": "a//b/*c"},
		},
		{
			name:    "semicolon and equals in quotes",
			text:    class + ` required password="a;b=c;";`,
			options: map[string]string{"password": "a;b=c;"},
		},
		{
			name:    "letters beyond ASCII",
			text:    class + ` required username=Jörg password="pässwörd€";`,
			options: map[string]string{"username": "Jörg", "password": "pässwörd€"},
		},
		{
			name:    "twice: the last counts",
			text:    class + ` required username="a" username="b";`,
			options: map[string]string{"username": "b"},
		},
		{name: "empty value", text: class + ` required password="";`, options: map[string]string{"password": ""}},
		{name: "dollar and digits", text: class + ` required a$_1.b="x";`, options: map[string]string{"a$_1.b": "x"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m, err := ParseLoginModule(c.text)
			require.NoError(t, err)
			diff := cmp.Diff(c.options, m.Options)
			assert.True(t, diff == "" && m.Class == class, "%s: options (-want +got):\n%s", m.Class, diff)
		})
	}
}

func TestParseLoginModuleRejects(t *testing.T) {
	const class = "org.apache.kafka.common.security.plain.PlainLoginModule"
	cases := []struct{ text, expect string }{
		{expect: "class of a login module at character 1"},
		{text: "   // nothing", expect: "class of a login module"},
		{text: class, expect: "control flag"},
		{text: class + ` username="hush"`, expect: "control flag"},
		{text: class + ` requires password="hush";`, expect: "control flag"},
		{text: class + ` required username="a" password="hush"`, expect: "semicolon at the end"},
		{text: class + ` required password=;`, expect: "a value of password in quotes"},
		{text: class + ` required password`, expect: "no ="},
		{text: class + ` required password "hush";`, expect: "no ="},
		{text: class + ` required password=1234;`, expect: "a value of password in quotes"},
		{text: class + ` required password=hush#1;`, expect: "special characters"},
		{text: class + ` required password="hush;`, expect: "end of the quotes"},
		{text: class + " required password=\"hu\nsh\";", expect: "end of the quotes"},
		{
			text:   class + ` required password="hush"; ` + class + ` required password="hush";`,
			expect: "one login module",
		},
		{text: class + ` required; hush`, expect: "one login module"},
		{text: class + ` required /* hush`, expect: "end of the comment"},
		{text: `"" "hush" ;`, expect: "control flag"},
	}
	for _, c := range cases {
		t.Run(c.text, func(t *testing.T) {
			m, err := ParseLoginModule(c.text)
			require.Error(t, err, c.expect)
			text := err.Error() + fmt.Sprintf("%v %+v %#v", m, m, m)
			assert.True(t, !strings.Contains(text, "hush"), "expected no password, found one in %s", text)
		})
	}
}

// Any input causes no panic and no endless loop, and all results are part of the text.
func FuzzParseLoginModule(f *testing.F) {
	f.Add(`a.b.C required user="x" pass='y\061';`)
	f.Add(`C optional -1=2; /* * / */ // x`)
	f.Add("C required a=\"\\")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseLoginModule(text)
		assert.True(t, err != nil || m.Class != "" || strings.Contains(text, `""`) || strings.Contains(text, `''`),
			"%q: expected a class", text)
	})
}
