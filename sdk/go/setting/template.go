package setting

import (
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// anyName is the placeholder that is no number: it stands for any text within a line.
const anyName = "{name}"

// IsTemplate tells whether a name stands for many.
func IsTemplate(name string) bool {
	_, _, ok := cutPlaceholder(name)
	return ok
}

// cutPlaceholder cuts a template before its first placeholder and after it. Of braces that are no placeholder nothing
// is made.
func cutPlaceholder(template string) (before, placeholder string, ok bool) {
	for i := 0; i < len(template); i++ {
		if template[i] != '{' {
			continue
		}
		end := i + 1
		for end < len(template) && template[end] >= 'a' && template[end] <= 'z' {
			end++
		}
		if end == len(template) || template[end] != '}' || end == i+1 {
			continue
		}
		return template[:i], template[i : end+1], true
	}
	return template, "", false
}

// maxDigits bounds the numbers that placeholders stand for.
const maxDigits = 3

// matches tells whether a template stands for a name. Templates have two placeholders at most, which the host checks
// when it loads a plugin. Of several ways the first placeholder takes as much as it can.
func matches(template, name string) bool { return compareNames(template, name, false, nil) }

// begins tells whether a name begins as a template says.
func begins(template, name string) bool { return compareNames(template, name, true, nil) }

// compareNames compares what is left of a template and of a name; open: more may follow. stand gets the placeholders,
// each with what it stands for, in their order.
func compareNames(template, name string, open bool, stand *[]string) bool {
	before, placeholder, found := cutPlaceholder(template)
	rest, ok := strings.CutPrefix(name, before)
	if !ok {
		return false
	}
	if !found {
		return open || rest == ""
	}
	template = template[len(before)+len(placeholder):]
	for n := longest(placeholder, rest); n > 0; n-- {
		if compareNames(template, rest[n:], open, stand) {
			if stand != nil {
				*stand = append([]string{placeholder, rest[:n]}, *stand...)
			}
			return true
		}
	}
	return false
}

// longest is how many bytes at the start of a text a placeholder may stand for.
func longest(placeholder, text string) int {
	if placeholder != anyName {
		return min(leadingDigits(text), maxDigits)
	}
	if end := strings.IndexByte(text, '\n'); end >= 0 {
		return end
	}
	return len(text)
}

func leadingDigits(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }

// instantiate is the declaration that a template has for a name: placeholders in its name, role, heading, displayed
// name and dependents become what they stand for. template is the spec's name or an alias of it, and matches the name.
func instantiate(spec wit.ConfigKey, template, name string) wit.ConfigKey {
	var stand []string
	compareNames(template, name, false, &stand)
	replace := func(s string) string { return replaced(s, stand) }
	spec.Name = replace(spec.Name)
	rules := make([]wit.Rule, len(spec.Rules))
	for i, r := range spec.Rules {
		for _, text := range []**string{&r.Role, &r.Group, &r.DisplayName} {
			if *text != nil && strings.Contains(**text, "{") {
				*text = Default(replace(**text))
			}
		}
		if r.Dependents != nil {
			dependents := make([]string, len(*r.Dependents))
			for j, name := range *r.Dependents {
				dependents[j] = replace(name)
			}
			r.Dependents = &dependents
		}
		rules[i] = r
	}
	spec.Rules = rules
	return spec
}

// expand puts into a template what its placeholders stand for.
func expand(template string, stand func(placeholder string) string) string {
	var b strings.Builder
	for {
		before, placeholder, ok := cutPlaceholder(template)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		template = template[len(before)+len(placeholder):]
		b.WriteString(stand(placeholder))
	}
}

// replaced puts into a text what placeholders stand for: stand has them by twos, each followed by its text. One that is
// not there stays.
func replaced(template string, stand []string) string {
	return expand(template, func(placeholder string) string {
		for i := 0; i < len(stand); i += 2 {
			if stand[i] == placeholder {
				return stand[i+1]
			}
		}
		return placeholder
	})
}

// filled is a template with numbers for its placeholders, 00 where there are too few, and last for one that stands for
// any text.
func filled(template string, numbers []string, last string) string {
	return expand(template, func(placeholder string) string {
		if placeholder == anyName {
			return last
		}
		if len(numbers) == 0 {
			return "00"
		}
		number := numbers[0]
		numbers = numbers[1:]
		return number
	})
}

// numbersIn are the numbers in a name that a placeholder could stand for; of longer ones pieces.
func numbersIn(name string) (numbers []string) {
	for name != "" {
		n := min(leadingDigits(name), maxDigits)
		if n > 0 {
			numbers = append(numbers, name[:n])
		}
		name = name[max(n, 1):]
	}
	return numbers
}
