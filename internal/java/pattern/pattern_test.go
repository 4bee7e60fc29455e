package pattern

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// Random regular expressions match like in java.util.regex of OpenJDK 17, whose results are in patterns.tsv, or are
// rejected because a construct is not supported.
func TestPatternsMatchLikeJava(t *testing.T) {
	data, err := os.ReadFile("../../../plugins/smt/testdata/patterns.tsv")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	assert.AtLeast(t, 300, len(lines), "lines")
	differences := 0
	for _, line := range lines {
		parts := strings.Split(line, "\t")
		var text string
		var subjects []string
		require.NoError(t, json.Unmarshal([]byte(parts[0]), &text))
		require.NoError(t, json.Unmarshal([]byte(parts[1]), &subjects))
		got := ""
		p, err := Compile(text)
		if err != nil {
			got = "fails"
		} else {
			for _, s := range subjects {
				got += describeMatch(p, s)
			}
		}
		if got == parts[2] || (err != nil && strings.Contains(err.Error(), " is not supported near index ")) {
			continue
		}
		differences++
		if differences < 20 {
			t.Errorf("%q on %q: expected %s, found %s", text, subjects, parts[2], got)
		}
	}
	t.Logf("%d of %d differ", differences, len(lines))
}

// describeMatch returns the result for a text in the form of the file: 1 if the expression matches the whole text, else
// 0, then the range of the first match in UTF-16 units, if any, and a semicolon.
func describeMatch(p Pattern, text string) string {
	out := "0"
	if ok, err := p.Matches(text); ok && err == nil {
		out = "1"
	}
	if m, err := p.Find(text); err == nil && m != nil {
		units := func(n int) int { return len(utf16.Encode([]rune(text)[:n])) }
		out += fmt.Sprintf("%d-%d", units(m.Index), units(m.Index+m.Length))
	}
	return out + ";"
}

// Any expression is rejected or compiled, without a panic.
func FuzzPattern(f *testing.F) {
	for _, s := range []string{`(?x) a # b`, `[a-z&&[^b-d]]+`, `(?<n>a)\k<n>\1`, `\p{IsGreek}(?iu)Σ`, `a{2}{3}++`,
		`(?U:\w\b)|\Q(\E`, `[[[]`, `(?<=\R?)x`, `(?x)[a-#`, `(?iu)[ß-ẞ]\p{IsWord}`} {
		f.Add(s, "orders")
	}
	f.Fuzz(func(t *testing.T, expression, text string) {
		if len(expression) > 200 || len(text) > 20 {
			return
		}
		p, err := Compile(expression)
		require.True(t, err != nil || p.Groups >= len(p.Names),
			"%q: expected at least %d groups, found %d", expression, len(p.Names), p.Groups)
	})
}

// Constructs of Java's regular expressions that the golden cases do not cover. The expected results are those of
// java.util.regex 17.
func TestJavaPatterns(t *testing.T) {
	for _, test := range []struct {
		pattern string
		topic   string
		want    bool
	}{
		{pattern: `a{2,3}+b`, topic: "aaab", want: true},
		{pattern: `a++ab`, topic: "aaab"},
		{pattern: `(?:ab)*+c`, topic: "ababc", want: true},
		{pattern: `[ab]?+b`, topic: "b"},
		{pattern: `\d++x`, topic: "12x", want: true},
		{pattern: `[\d\-x]+`, topic: "1-x", want: true},
		{pattern: `[^\d]`, topic: "5"},
		{pattern: `[\p{Alpha}_]+`, topic: "a_B", want: true},
		{pattern: `\P{Digit}`, topic: "5"},
		{pattern: `\p{L}+`, topic: "aé", want: true},
		{pattern: `\p{IsGreek}`, topic: "α", want: true},
		{pattern: `\Qa*b`, topic: "a*b", want: true},
		{pattern: `[]a]+`, topic: "]a", want: true},
		{pattern: `[\Q^]\E]+`, topic: "]^", want: true},
		{pattern: `\h\H`, topic: "\tx", want: true},
		{pattern: `\x{41}\x42\u0043\0104`, topic: "ABCD", want: true},
		{pattern: `(a)(?<n>b)\k<n>\1`, topic: "abba", want: true},
		{pattern: `a|b`, topic: "ab"},
		{pattern: `ab|a`, topic: "ab", want: true},
		{pattern: `.`, topic: "\n"},
		{pattern: `a$`, topic: "a", want: true},
		{pattern: `ä+`, topic: "ää", want: true},
		{pattern: `ä++`, topic: "ää", want: true},
		{pattern: `\w`, topic: "é"},
		{pattern: `\W`, topic: "é", want: true},
		{pattern: `[\W]`, topic: "a"},
		{pattern: `[\W]`, topic: "-", want: true},
	} {
		p, err := Compile(test.pattern)
		if err != nil {
			t.Errorf("%s: %v", test.pattern, err)
		} else if got, err := p.Matches(test.topic); err != nil || got != test.want {
			t.Errorf("%s on %q: expected %t, found %t (%v)", test.pattern, test.topic, test.want, got, err)
		}
	}

	for _, invalid := range []string{`a&&[`, `\X`, `\p{InKlingon}`, `\N{DIGIT ONE}`, `(?c)a`, `a{,3}`, `a**`,
		`(?<a_b>x)`, `[a&&]`, `(?<=a+)b`, `[`, `a)|(b`, `\`, `a{2`, `\p{Alpha`, `\b{g}`, `\k<x>`, `\xZZ`} {
		_, err := Compile(invalid)
		assert.True(t, err != nil, "expected %s to be rejected", invalid)
	}
}

// An expression that is too long or too deep is rejected before it uses memory or time.
func TestLongPatternsAreRejected(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("é", maxLength):                           "",
		strings.Repeat("é", maxLength+1):                         "expected at most 1000 characters, found 1001",
		strings.Repeat(`\pL`, 60_000):                            "expected at most 1000 characters, found 180000",
		strings.Repeat("(a{1,1000}){1,1000}", 50):                "",
		strings.Repeat("(", 80) + strings.Repeat(")++", 80):      "",
		strings.Repeat("(", 101) + strings.Repeat(")", 101):      "more than 100 nested groups",
		strings.Repeat("(?:", 101) + strings.Repeat(")", 101):    "more than 100 nested groups",
		strings.Repeat("[\\W\\d\\P{Alpha}]", maxLength/16) + "+": "",
	} {
		_, err := Compile(text)
		if (want == "" && err != nil) || (want != "" && (err == nil || !strings.HasPrefix(err.Error(), want))) {
			t.Errorf("%d characters, %.20s: expected %q, found %v", utf8.RuneCountInString(text), text, want, err)
		}
	}
}

// The error for an unsupported construct names it.
func TestUnsupportedPatterns(t *testing.T) {
	for text, construct := range map[string]string{
		`[a-z&&[^b]]`:       "an intersection of classes",
		`[a[b]]`:            "a class in a class",
		`\p{InGreek}`:       `\p{InGreek}`,
		`\p{javaLowerCase}`: `\p{javaLowerCase}`,
		`\P{IsAlphabetic}`:  `\p{IsAlphabetic}`,
		`(?iu)é`:            "the flag (?u)",
		`(?x) a`:            "the flag (?x)",
		`(?U:\w)`:           "the flag (?U)",
		`(?d).`:             "the flag (?d)",
		`(?c)a`:             "the flag (?c)",
		`\R`:                `\R`,
		`\X`:                `\X`,
		`\G`:                `\G`,
		`\b{g}`:             `\b{g}`,
		`\N{DIGIT ONE}`:     `\N, a character by its name,`,
		`(?<=a+)b`:          "a repetition without an upper bound in a look-behind",
		`(?i)\P{Lu}`:        `\P{Lu} under the flag i`,
		`\ud835\udcb3`:      "half a pair of surrogates",
	} {
		want := construct + " is not supported near index "
		_, err := Compile(text)
		assert.True(t, err != nil && strings.HasPrefix(err.Error(), want), "%s: expected %q, found %v", text, want, err)
	}
}
