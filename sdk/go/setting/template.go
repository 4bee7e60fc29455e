package setting

import (
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// anyName is the placeholder for any text within a line.
const anyName = "{name}"

// IsTemplate reports whether a name contains placeholders.
func IsTemplate(name string) bool {
	_, _, ok := cutPlaceholder(name)
	return ok
}

// cutPlaceholder splits a template around its first placeholder. Other braces are text.
func cutPlaceholder(template string) (prefix, placeholder string, ok bool) {
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

const (
	maxDigits       = 3 // the largest number of digits of a placeholder
	maxPlaceholders = 2 // the largest number of placeholders of a template
	// maxTemplateName is the length in bytes up to which templates match a name, and names are similar: with two
	// placeholders the time grows with the square of the length. A header's name, the longest one, has some hundred.
	maxTemplateName = 1_000
)

// matches reports whether a template matches a name. Templates have at most [maxPlaceholders], which the host checks
// when it loads a plugin. The first placeholder is greedy.
func matches(template, name string) bool { return compareNames(template, name, false, nil) }

// hasTemplatePrefix reports whether a template matches the beginning of a name.
func hasTemplatePrefix(template, name string) bool { return compareNames(template, name, true, nil) }

// compareNames reports whether a template matches a name, or if open, the beginning of one. Then values, unless it is
// nil, gets each placeholder and the text that it matches, in order.
func compareNames(template, name string, open bool, values *[]string) bool {
	prefix, placeholder, hasPlaceholder := cutPlaceholder(template)
	remaining, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return false
	}
	if !hasPlaceholder {
		return open || remaining == ""
	}
	template = template[len(prefix)+len(placeholder):]
	for n := maxMatch(placeholder, remaining); n > 0; n-- {
		if compareNames(template, remaining[n:], open, values) {
			if values != nil {
				// The placeholders after this one were added first.
				*values = append([]string{placeholder, remaining[:n]}, *values...)
			}
			return true
		}
	}
	return false
}

// maxMatch returns how many bytes at the start of a text a placeholder may match.
func maxMatch(placeholder, text string) int {
	if placeholder != anyName {
		return min(leadingDigits(text), maxDigits)
	}
	if end := strings.IndexByte(text, '\n'); end >= 0 {
		return end
	}
	return len(text)
}

// leadingDigits counts the digits at the start of a text. It stops at one more than a placeholder can match, which is
// enough to see that a number is too long.
func leadingDigits(s string) int {
	n := 0
	for n < len(s) && n <= maxDigits && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// instantiate returns the declaration for a name: it replaces placeholders in name, role, group, display name and
// dependents. template is the declared name or an alias, and matches the name.
func instantiate(key wit.ConfigKey, template, name string) wit.ConfigKey {
	var values []string
	compareNames(template, name, false, &values)
	replace := func(s string) string {
		return expand(s, func(placeholder string) string {
			for i := 0; i < len(values); i += 2 {
				if values[i] == placeholder {
					return values[i+1] // a repeated placeholder gets the first text
				}
			}
			return placeholder
		})
	}
	key.Name = replace(key.Name)
	rules := make([]wit.Rule, len(key.Rules))
	for i, r := range key.Rules {
		for _, field := range []**string{&r.Role, &r.Group, &r.DisplayName} {
			if *field != nil && strings.Contains(**field, "{") {
				*field = Default(replace(**field))
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
	key.Rules = rules
	return key
}

// expand replaces the placeholders of a template.
func expand(template string, values func(placeholder string) string) string {
	var b strings.Builder
	for {
		prefix, placeholder, ok := cutPlaceholder(template)
		b.WriteString(prefix)
		if !ok {
			return b.String()
		}
		template = template[len(prefix)+len(placeholder):]
		b.WriteString(values(placeholder))
	}
}

// fillTemplate replaces the placeholders of a template by numbers, 00 if there are too few, and {name} by last.
func fillTemplate(template string, numbers []string, last string) string {
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

// numbersIn returns the first numbers in a name that placeholders could match; longer ones are split.
func numbersIn(name string) (numbers []string) {
	for name != "" && len(numbers) < maxPlaceholders {
		n := min(leadingDigits(name), maxDigits)
		if n > 0 {
			numbers = append(numbers, name[:n])
		}
		name = name[max(n, 1):]
	}
	return numbers
}
