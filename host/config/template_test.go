package config

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// expression is the regular expression that says what a name with placeholders stands for.
func expression(name string) *regexp.Regexp {
	text := strings.ReplaceAll(regexp.QuoteMeta(name), regexp.QuoteMeta(anyName), "(.+)")
	return regexp.MustCompile("^" + regexp.MustCompile(`\\\{[a-z]+\\\}`).ReplaceAllString(text, "([0-9]{1,3})"))
}

// TestPatternsStandForWhatExpressionsSay compares what placeholders take with what regular expressions find, for names and keys made of
// the same few pieces.
func TestPatternsStandForWhatExpressionsSay(t *testing.T) {
	pieces := []string{"shop#", "{n}", "{m}", "{name}", ".", "0", "12", "345", "a", "é", "\n", "\xff", "{", "}", "{N}", ""}
	random := rand.New(rand.NewPCG(1, 2))
	made := func(most int) string {
		var text strings.Builder
		for range random.IntN(most + 1) {
			text.WriteString(pieces[random.IntN(len(pieces))])
		}
		return text.String()
	}
	matched := 0
	for range 200_000 {
		name := made(5)
		if placeholders := anyPlaceholder.FindAllString(name, -1); len(placeholders) > 2 || len(placeholders) == 2 && placeholders[0] == placeholders[1] ||
			!strings.Contains(name, "{") || strings.Contains(name, "\xff") {
			continue // no plugin with such a name is loaded
		}
		key := made(6)
		if random.IntN(2) == 0 {
			key = anyPlaceholder.ReplaceAllStringFunc(name, func(string) string { return made(2) })
		}
		begins, whole := expression(name), regexp.MustCompile(expression(name).String()+"$")
		var want []string
		if groups := whole.FindStringSubmatch(key); groups != nil {
			want = groups[1:]
			matched++
		}
		p := patternOf(name)
		if got := p.match(key); !slices.Equal(got, want) || (got == nil) != (want == nil) {
			t.Fatalf("%q stands for %q with %q, expected %q", name, key, got, want)
		}
		if got, want := p.begins(key), begins.MatchString(key); got != want {
			t.Fatalf("%q begins %q: %v, expected %v", name, key, got, want)
		}
	}
	if matched < 1000 {
		t.Fatalf("only %d keys were stood for", matched)
	}
}
