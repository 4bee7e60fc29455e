package config

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// hiddenText is the password that no parser may quote. No message contains one of its letters.
const hiddenText = "ZWZ"

// The error of a file that cannot be parsed has its line and no part of a value, not even a letter: the value may be a
// password without quotation marks.
func TestParserErrorsQuoteNoValue(t *testing.T) {
	for _, test := range []struct{ file, text, want string }{
		{file: "c.yaml", text: "a: 1\npwd: *" + hiddenText,
			want: "c.yaml:2: invalid YAML: a value begins with *, which means an alias in YAML, and there is no " +
				"anchor for it: put quotation marks around values that begin with * or &"},
		{file: "c.yaml", text: "a: \"*" + hiddenText + "\"\nb: x*" + hiddenText + "\npwd: *" + hiddenText,
			want: "c.yaml:3: invalid YAML: a value begins with *"},
		{file: "c.yaml", text: "pwd: [*" + hiddenText + "]", want: "c.yaml:1: invalid YAML: a value begins with *"},
		{file: "c.yaml", text: "pwd: !" + hiddenText + "!%% x", want: "c.yaml:1: invalid YAML: "},
		{file: "c.yaml", text: "pwd: \"" + hiddenText, want: "c.yaml:1: invalid YAML: "},
		{file: "c.yaml", text: "pwd: %" + hiddenText, want: "c.yaml:1: invalid YAML: "},
		{file: "c.yaml", text: "pwd: @" + hiddenText, want: "c.yaml:1: invalid YAML: "},
		{file: "c.json", text: "{\n\"pwd\": " + hiddenText + "}", want: "c.json:2: invalid JSON: unexpected character"},
		{file: "c.json", text: `{"pwd": n` + hiddenText + "}", want: "c.json:1: invalid JSON: unexpected character"},
		{file: "c.json", text: `{"pwd": "\` + hiddenText + `"}`, want: "c.json:1: invalid JSON: unexpected character"},
		{file: "c.json", text: `{"pwd": "a"` + hiddenText + "}", want: "c.json:1: invalid JSON: unexpected character"},
		{file: "c.json", text: `"` + hiddenText + `"`,
			want: "c.json:1: invalid JSON: expected an object, found a string"},
		{file: "c.json", text: "4711", want: "c.json:1: invalid JSON: expected an object, found a number"},
		{file: "c.json", text: "[]", want: "c.json:1: invalid JSON: expected an object, found a list"},
		{file: "c.json", text: "{} " + hiddenText,
			want: "c.json:1: invalid JSON: expected the end of the file after the object"},
		{file: "c.properties", text: "pwd=\\u" + hiddenText,
			want: `c.properties:1: pwd: expected four hexadecimal digits after \u`},
		{file: "c.properties", text: "pwd=a\n" + hiddenText + "\\u1",
			want: `c.properties:2: expected four hexadecimal digits after \u`},
	} {
		_, problems := Read(test.file, []byte(test.text))
		message := problems.Error()
		assert.True(t, strings.HasPrefix(message, test.want) && !strings.ContainsAny(message, hiddenText),
			"%s: expected %q, found %q", test.text, test.want, message)
	}
}

// FuzzParserErrors puts a password anywhere in a file.
func FuzzParserErrors(f *testing.F) {
	const password = "Geheim4711"
	for _, ending := range []string{".yaml", ".json", ".properties"} {
		f.Add(ending, "pwd: *", "")
		f.Add(ending, "{\"pwd\": ", "}")
		f.Add(ending, "a: !<", "> b")
		f.Add(ending, "%TAG !", "! x\n--- a")
		f.Add(ending, "pwd=\\u", "")
		f.Add(ending, "", "\\u")
	}
	f.Fuzz(func(t *testing.T, ending, head, tail string) {
		_, problems := Read("c"+ending, []byte(head+password+tail))
		for _, p := range problems {
			isPublic := p.Setting == "name" || p.Setting == "initial_state"
			assert.True(t, !strings.Contains(p.Text, password) || isPublic, "%q: %s", head+password+tail, p)
		}
	})
}
