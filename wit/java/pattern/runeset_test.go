package pattern

import (
	"strings"
	"testing"
	"unicode"

	"github.com/dlclark/regexp2"
)

// A set with many ranges is written by the name of a category, and is the same set: at both ends of each of its ranges.
func TestLargeSetsAreWrittenByCategories(t *testing.T) {
	letters, small := setOfTables(unicode.L), setOfTables(unicode.Ll)
	for name, s := range map[string]runeSet{
		"letters":                    letters,
		"no letters":                 letters.complement(),
		"letters, numbers and more":  letters.union(setOfTables(unicode.N)).union(setOf('_', '_', '-', '-')),
		"letters but some":           letters.without(setOf('b', 'k', 0x10300, 0x1031f)),
		"small letters":              small,
		"all but small letters":      small.complement(),
		"letters that are not small": letters.without(small),
		"marks":                      setOfTables(unicode.M),
	} {
		var b strings.Builder
		s.write(&b)
		if want := name != "marks" && name != "letters but some"; strings.Contains(
			strings.ToLower(b.String()), `\p{`) != want {
			t.Errorf("%s: expected a category %t, found %.60s", name, want, b.String())
		}
		p, err := regexp2.Compile("^"+b.String()+"$", regexp2.None)
		if err != nil {
			t.Fatal(err)
		}
		check := func(r rune, want bool) {
			if r < 0 || r > unicode.MaxRune || r >= 0xd800 && r <= 0xdfff || r == '\n' {
				return
			}
			if got, err := p.MatchRunes([]rune{r}); err != nil || got != want {
				t.Errorf("%s: expected %t of %U, found %t, %v", name, want, r, got, err)
			}
		}
		for _, x := range s {
			check(x.from-1, false)
			check(x.from, true)
			check(x.to, true)
			check(x.to+1, false)
		}
	}
}
