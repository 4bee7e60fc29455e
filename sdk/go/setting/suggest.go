package setting

import (
	"math"
	"strings"
)

// maxComparisons limits the comparisons of [Table.Validate] for suggestions, in pairs of letters: a hundred times what
// the built-in plugins need. The host validates the settings of any plugin.
const maxComparisons = 100_000_000

// Suggester suggests declared names for unknown ones.
type Suggester struct {
	Table *Table
	// Number replaces placeholders if a name has no number; "" means 00.
	Number string
	// Budget limits further comparisons, in pairs of letters: a plugin may have many declarations.
	Budget int
}

// Nearest is [Suggester.Nearest] with the default budget.
func (t *Table) Nearest(name string) string {
	g := Suggester{Table: t, Budget: math.MaxInt}
	return g.Nearest(name)
}

// Nearest returns the declared name that is most similar to name, with or without its prefix, or "". Placeholders are
// replaced by the numbers of name, and {name} by its last word.
func (s *Suggester) Nearest(name string) string {
	if len(name) > maxTemplateName {
		return "" // no misspelt name
	}
	t := s.Table
	numbers := numbersIn(name)
	if len(numbers) == 0 && s.Number != "" {
		numbers = []string{s.Number}
	}
	unprefixed := strings.TrimPrefix(name, t.Prefix(name)) // the prefix is not misspelt
	best := ""
	bestBound := len(unprefixed)/4 + 2 // candidates must differ in fewer letters
	consider := func(name, candidate, compared string, bound int) {
		bound = min(bound, bestBound)
		if !s.spend(100 + len(name)*len(compared)) { // a comparison of short names costs something, too
			return
		}
		if n := distanceWithin(name, compared, bound); n < bound {
			best = candidate
			bestBound = n
		}
	}
	word := name[strings.LastIndexByte(name, '.')+1:]
	for i := range t.specs {
		if !s.spend(1000 * len(t.Prefixes)) { // withoutPrefix looks for the prefix
			break
		}
		for _, declared := range t.specs[i].Names() {
			if strings.HasSuffix(declared, anyName) {
				if candidate := fillTemplate(declared, numbers, word); word != "" && candidate != name {
					consider(name, candidate, candidate, 3)
				}
				continue
			}
			candidate := fillTemplate(declared, numbers, "")
			consider(name, candidate, candidate, bestBound)
			for _, short := range t.withoutPrefix(candidate, unprefixed != name) {
				consider(unprefixed, candidate, short, len(unprefixed)/6+1)
			}
		}
	}
	return best
}

// spend takes n comparisons from the budget and reports whether it had as many.
func (s *Suggester) spend(n int) bool {
	s.Budget -= n
	return s.Budget >= 0
}

// withoutPrefix returns a name without prefix, without prefix and number and, if cutsWords, without its first words.
func (t *Table) withoutPrefix(name string, cutsWords bool) []string {
	prefix := t.Prefix(name)
	short, ok := strings.CutPrefix(name, prefix)
	if prefix == "" || !ok {
		return nil
	}
	names := []string{short}
	if number, suffix, ok := strings.Cut(short, "."); ok && strings.HasSuffix(prefix, "#") {
		short = suffix
		names = append(names, "#"+number+"."+suffix, suffix)
	}
	for cutsWords && strings.Contains(short, ".") {
		_, short, _ = strings.Cut(short, ".")
		names = append(names, short)
	}
	return names
}

// distanceWithin returns [Distance] if it is below bound, else any number that is not below bound.
func distanceWithin(a, b string, bound int) int {
	if longer := max(len(a)-len(b), len(b)-len(a)); longer >= bound {
		return longer
	}
	return Distance(a, b)
}

// Distance returns the number of bytes to add, drop, replace or swap with their neighbour to change a into b.
func Distance(a, b string) int {
	// Rows of the matrix of distances between the beginnings of a and b: the current one, and two before it.
	beforeLast := make([]int, len(b)+1)
	last := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], beforeLast[j-2]+1)
			}
		}
		beforeLast, last, row = last, row, beforeLast
	}
	return last[len(b)]
}

// Unknown returns the message for an undeclared name. near is the suggestion, or "".
func Unknown(near string) string {
	if near == "" {
		return "unknown setting"
	}
	return "unknown setting; the nearest known one is " + near
}
