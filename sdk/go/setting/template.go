package setting

import (
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// anyName is the placeholder that stands for any text, and ends a name.
const anyName = "{name}"

// IsTemplate tells whether a name stands for many.
func IsTemplate(name string) bool {
	_, _, ok := cutPlaceholder(name)
	return ok
}

// cutPlaceholder cuts a template before its first placeholder and behind it. Of braces that are no placeholder nothing is made.
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
		if placeholder = template[i : end+1]; placeholder == anyName && end+1 < len(template) {
			continue // it is one at the end alone
		}
		return template[:i], placeholder, true
	}
	return template, "", false
}

// maxDigits bounds the numbers that placeholders stand for.
const maxDigits = 3

// matches tells whether a template stands for a name. hear gets what each placeholder stands for, in their order, also where what
// follows does not match; nil: nobody wants to know. A number is all the digits that stand there.
func matches(template, name string, hear func(placeholder, text string)) bool {
	rest, ok := matchesPrefix(template, name, hear)
	return ok && rest == ""
}

// matchesPrefix is matches for the beginning of a name; rest is what stands behind it.
func matchesPrefix(template, name string, hear func(placeholder, text string)) (rest string, ok bool) {
	for {
		before, placeholder, found := cutPlaceholder(template)
		name, ok = strings.CutPrefix(name, before)
		if !ok || !found {
			return name, ok
		}
		template = template[len(before)+len(placeholder):]
		n := leadingDigits(name)
		if placeholder == anyName {
			n = len(name)
			if strings.ContainsAny(name, "\r\n") {
				return "", false
			}
		} else if n > maxDigits {
			return "", false
		}
		if n == 0 {
			return "", false
		}
		if hear != nil {
			hear(placeholder, name[:n])
		}
		name = name[n:]
	}
}

func leadingDigits(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }

// instantiate is the declaration that a template has for a name: placeholders in its name, role, heading and displayed name become what
// they stand for. template is the spec's name or an alias of it, and matches the name.
func instantiate(spec wit.SettingSpec, template, name string) wit.SettingSpec {
	var stand []string // placeholders, each with what it stands for
	matches(template, name, func(placeholder, text string) { stand = append(stand, placeholder, text) })
	replace := func(s string) string { return replaced(s, stand) }
	spec.Name = replace(spec.Name)
	rules := make([]wit.Rule, len(spec.Rules))
	for i, r := range spec.Rules {
		for _, text := range []**string{&r.Role, &r.Group, &r.DisplayName} {
			if *text != nil && strings.Contains(**text, "{") {
				*text = Is(replace(**text))
			}
		}
		rules[i] = r
	}
	spec.Rules = rules
	return spec
}

// replaced puts into a text what placeholders stand for.
func replaced(template string, stand []string) string {
	var b strings.Builder
	for {
		before, placeholder, ok := cutPlaceholder(template)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		template = template[len(before)+len(placeholder):]
		for i := 0; i < len(stand); i += 2 {
			if stand[i] == placeholder {
				placeholder = stand[i+1]
				break
			}
		}
		b.WriteString(placeholder)
	}
}

// filled is a template with numbers for its placeholders, 00 where there are too few, and last for one that stands for any text.
func filled(template string, numbers []string, last string) string {
	var b strings.Builder
	for {
		before, placeholder, ok := cutPlaceholder(template)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		template = template[len(before)+len(placeholder):]
		switch {
		case placeholder == anyName:
			b.WriteString(last)
		case len(numbers) > 0:
			b.WriteString(numbers[0])
			numbers = numbers[1:]
		default:
			b.WriteString("00")
		}
	}
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
