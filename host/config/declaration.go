package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// Declarations are the settings that may be given, of one component or of Kafka Connect itself. Names may be templates: {n} and
// {m} stand for one to three digits, which are kept as written; {name} stands for any text, up to the end.
type Declarations struct {
	specs     []wit.SettingSpec
	exact     map[string]int // by name and alias
	templates []template
	// prefixes: keys that begin so and are not declared are errors.
	prefixes []string
	// patterns are those of prefixes with placeholders, nil for others.
	patterns []*pattern
	// number is what placeholders take where a key has none, "" for 00.
	number string
	// guesses is how much [Declarations.Nearest] may still compare, nil: any amount.
	guesses *int
}

// mostGuesses bounds what is compared for the nearest names of all unknown settings of a connector, in pairs of letters: some hundred
// times what the built-in plugins need.
const mostGuesses = 100_000_000

type template struct {
	spec    int
	pattern *pattern
}

// Declare makes Declarations of settings in their order.
func Declare(specs ...wit.SettingSpec) *Declarations {
	d := &Declarations{exact: map[string]int{}}
	d.Add(specs...)
	return d
}

// DeclareComponent is [Declare] for a plugin's component, with its prefixes.
func DeclareComponent(c wit.Component) *Declarations {
	d := Declare(c.Settings...)
	d.prefixes = c.Prefixes
	for _, p := range c.Prefixes {
		var stands *pattern
		if strings.Contains(p, "{") {
			stands = patternOf(p)
		}
		d.patterns = append(d.patterns, stands)
	}
	return d
}

// Add declares more settings. A name that is declared already stays as it was.
func (d *Declarations) Add(specs ...wit.SettingSpec) {
	for _, s := range specs {
		d.specs = append(d.specs, s)
		for _, name := range append([]string{s.Name}, aliases(&s)...) {
			if strings.Contains(name, "{") {
				d.templates = append(d.templates, template{len(d.specs) - 1, patternOf(name)})
			} else if _, ok := d.exact[name]; !ok {
				d.exact[name] = len(d.specs) - 1
			}
		}
	}
}

// Specs are the declarations in their order, templates included.
func (d *Declarations) Specs() []wit.SettingSpec { return d.specs }

func aliases(s *wit.SettingSpec) []string { return s.Names()[1:] }

// Find returns the declaration of a key, its name instantiated and never an alias: `shop#{n}.table` is found by
// `shop#00.table` under just that name.
func (d *Declarations) Find(key string) (wit.SettingSpec, bool) {
	if i, ok := d.exact[key]; ok {
		return d.specs[i], true
	}
	for _, t := range d.templates {
		match := t.pattern.match(key)
		if match == nil {
			continue
		}
		spec := d.specs[t.spec]
		for i, placeholder := range t.pattern.placeholders {
			spec.Name = strings.ReplaceAll(spec.Name, placeholder, match[i])
			spec.Rules = inRole(spec.Rules, placeholder, match[i])
		}
		return spec, true
	}
	return wit.SettingSpec{}, false
}

// inRole puts what a placeholder stands for into the role.
func inRole(rules []wit.Rule, placeholder, text string) []wit.Rule {
	rules = slices.Clone(rules)
	for i := range rules {
		if role := rules[i].Role; role != nil {
			rules[i].Role = wit.Ptr(strings.ReplaceAll(*role, placeholder, text))
		}
	}
	return rules
}

// OwnPrefix is the prefix of the component's own that the key begins with, "" if none.
func (d *Declarations) OwnPrefix(key string) string {
	for i, p := range d.prefixes {
		if pattern := d.patterns[i]; pattern != nil && pattern.begins(key) || pattern == nil && strings.HasPrefix(key, p) {
			return p
		}
	}
	return ""
}

var digits = regexp.MustCompile(`[0-9]{1,3}`)

// numberIn is the number of the first setting with one under the prefixes, "" if there is none.
func (d *Declarations) numberIn(entries []Entry) string {
	for _, e := range entries {
		if p := d.OwnPrefix(e.Key); p != "" {
			if number := digits.FindString(strings.TrimPrefix(e.Key, p)); number != "" && strings.HasPrefix(e.Key, p+number) {
				return number
			}
		}
	}
	return ""
}

// Nearest is the declared name that looks most like the key, with its prefix or without, "" if none is near. Placeholders take the
// key's own digits, and what stands for any name the key's own last word: a template that takes anything is near only where what
// stands before the word is.
func (d *Declarations) Nearest(key string) string {
	numbers := digits.FindAllString(key, -1)
	if len(numbers) == 0 && d.number != "" {
		numbers = []string{d.number}
	}
	own := strings.TrimPrefix(key, d.OwnPrefix(key)) // what is misspelt is not the prefix
	best, bestDistance := "", len(own)/4+2
	consider := func(key, candidate, compared string, bound int) {
		bound = min(bound, bestDistance)
		if d.guesses != nil {
			if *d.guesses -= 100 + len(key)*len(compared); *d.guesses < 0 {
				return
			}
		}
		if n := distanceWithin(key, compared, bound); n < bound {
			best, bestDistance = candidate, n
		}
	}
	for i := range d.specs {
		if d.guesses != nil {
			if *d.guesses -= 1000 * len(d.prefixes); *d.guesses < 0 {
				break
			}
		}
		for _, name := range append([]string{d.specs[i].Name}, aliases(&d.specs[i])...) {
			if before, ok := strings.CutSuffix(name, anyName); ok {
				word := key[strings.LastIndexByte(key, '.')+1:]
				if candidate := instantiate(before, numbers) + word; word != "" && candidate != key {
					consider(key, candidate, candidate, 3)
				}
				continue
			}
			candidate := instantiate(name, numbers)
			consider(key, candidate, candidate, bestDistance)
			for _, short := range d.withoutPrefix(candidate, own != key) {
				consider(own, candidate, short, len(own)/6+1)
			}
		}
	}
	return best
}

// withoutPrefix is a name as one writes it who forgets its prefix, or the prefix and its number; shorter: or what follows these.
func (d *Declarations) withoutPrefix(name string, shorter bool) []string {
	prefix := d.OwnPrefix(name)
	rest, ok := strings.CutPrefix(name, prefix)
	if prefix == "" || !ok {
		return nil
	}
	names := []string{rest}
	if number, below, ok := strings.Cut(rest, "."); ok && strings.HasSuffix(prefix, "#") {
		rest = below
		names = append(names, "#"+number+"."+below, below)
	}
	for shorter && strings.Contains(rest, ".") {
		_, rest, _ = strings.Cut(rest, ".")
		names = append(names, rest)
	}
	return names
}

func instantiate(name string, numbers []string) string {
	if !strings.Contains(name, "{") {
		return name
	}
	i := 0
	return anyPlaceholder.ReplaceAllStringFunc(name, func(string) string {
		i++
		if i <= len(numbers) {
			return numbers[i-1]
		}
		return "00"
	})
}

// distanceWithin is [distance] where it is below bound; else it may be anything that is not.
func distanceWithin(a, b string, bound int) int {
	if longer := max(len(a)-len(b), len(b)-len(a)); longer >= bound {
		return longer
	}
	return distance(a, b)
}

// distance is the number of letters to add, drop, replace or swap with their neighbour to get from a to b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
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
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// unknown is the text for a key that nobody declared.
func unknown(near string) string {
	if near != "" {
		return "unknown setting; the nearest known one is " + near
	}
	return "unknown setting"
}
