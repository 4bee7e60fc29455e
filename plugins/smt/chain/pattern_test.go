package chain

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf16"
)

// The file is what java.util.regex of OpenJDK 17 makes of regular expressions by chance, but for those that are refused here by name.
func TestPatternsAsJava(t *testing.T) {
	data, err := os.ReadFile("../testdata/patterns.tsv")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(lines) < 1000 {
		t.Errorf("only %d lines", len(lines))
	}
	differ := 0
	for _, line := range lines {
		parts := strings.Split(line, "\t")
		var text string
		var subjects []string
		if err := json.Unmarshal([]byte(parts[0]), &text); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(parts[1]), &subjects); err != nil {
			t.Fatal(err)
		}
		got := ""
		p, fault := compile("regex", text)
		if fault != nil {
			got = "fails"
		} else {
			for _, s := range subjects {
				got += found(p, s)
			}
		}
		if got == parts[2] {
			continue
		}
		if differ++; differ < 20 {
			t.Errorf("%q on %q: expected %s, found %s", text, subjects, parts[2], got)
		}
	}
	t.Logf("%d of %d differ", differ, len(lines))
}

// found is how the file says what an expression finds in a text, in units of UTF-16.
func found(p pattern, text string) string {
	out := "0"
	if p.matches(text) {
		out = "1"
	}
	if m, err := p.find.FindStringMatch(text); err == nil && m != nil {
		units := func(n int) int { return len(utf16.Encode([]rune(text)[:n])) }
		out += fmt.Sprintf("%d-%d", units(m.Index), units(m.Index+m.Length))
	}
	return out + ";"
}

// Whatever an expression is, it is refused with a reason, or compiled and matched.
func FuzzPattern(f *testing.F) {
	for _, s := range []string{`(?x) a # b`, `[a-z&&[^b-d]]+`, `(?<n>a)\k<n>\1`, `\p{IsGreek}(?iu)Σ`, `a{2}{3}++`, `(?U:\w\b)|\Q(\E`, `[[[]`, `(?<=\R?)x`} {
		f.Add(s, "orders")
	}
	f.Fuzz(func(t *testing.T, expression, text string) {
		if len(expression) > 200 || len(text) > 20 {
			return
		}
		translated := translate(expression)
		if translated.why != "" {
			return
		}
		if p, fault := compile("regex", expression); fault == nil && p.groups < 0 {
			t.Fatal(p.groups)
		}
	})
}
