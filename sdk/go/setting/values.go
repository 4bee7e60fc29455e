package setting

import (
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/wit"
)

// Values reads validated settings, with the defaults of a table. A method returns zero for a value of another kind.
type Values struct {
	table    *Table
	settings []wit.Setting
	last     map[string]int // the index of the last setting of each name; nil if there are few settings
}

// fewSettings is the number up to which a linear search is fast enough; large connectors have a thousand.
const fewSettings = 16

// Values returns a reader of settings. If a name occurs twice, the last counts.
func (t *Table) Values(settings []wit.Setting) Values {
	v := Values{table: t, settings: settings}
	if len(settings) > fewSettings {
		v.last = make(map[string]int, len(settings))
		for i := range settings {
			v.last[settings[i].Name] = i
		}
	}
	return v
}

// Lookup returns the value of exactly this name, trimmed.
func (v Values) Lookup(name string) (value string, ok bool) {
	if v.last != nil {
		i, ok := v.last[name]
		if !ok {
			return "", false
		}
		return Trim(v.settings[i].Value), true
	}
	for i := len(v.settings) - 1; i >= 0; i-- {
		if v.settings[i].Name == name {
			return Trim(v.settings[i].Value), true
		}
	}
	return "", false
}

// String returns the value of a name or its alias, else the default, else "".
func (v Values) String(name string) string {
	if value, ok := v.Lookup(name); ok {
		return value
	}
	i, _, ok := v.table.locate(name)
	if !ok {
		return ""
	}
	key := &v.table.specs[i]
	if value, ok := v.byAlias(key); ok {
		return value
	}
	if key.DefaultValue != nil {
		return *key.DefaultValue
	}
	return ""
}

// byAlias returns the value under an alias that is no template: the host passes such values under their declared names.
func (v Values) byAlias(key *wit.ConfigKey) (value string, ok bool) {
	for _, r := range key.Rules {
		if r.Alias != nil {
			if value, ok := v.Lookup(*r.Alias); ok {
				return value, true
			}
		}
	}
	return "", false
}

// Lower returns [Values.String] in lower case, for enumerations, which are case-insensitive.
func (v Values) Lower(name string) string { return strings.ToLower(v.String(name)) }

// Bool reports whether the value is 1 or true, in any case.
func (v Values) Bool(name string) bool {
	on, _ := ParseBool(v.String(name))
	return on
}

// Int returns the value as an integer, 0 if it is none.
func (v Values) Int(name string) int {
	n, _ := ParseInt(wit.KindLong, v.String(name))
	return int(n)
}

// Duration returns the value, which is in milliseconds, as a duration.
func (v Values) Duration(name string) time.Duration { return Milliseconds(int64(v.Int(name))) }

// Milliseconds returns a duration of n milliseconds, at most a hundred years so that the sum of two does not overflow.
func Milliseconds(n int64) time.Duration {
	const century = int64(100 * 365 * 24 * time.Hour / time.Millisecond)
	return time.Duration(max(-century, min(n, century))) * time.Millisecond
}

// List returns the value split at commas, without empty items.
func (v Values) List(name string) []string {
	return slices.DeleteFunc(ParseList(v.String(name)), func(item string) bool { return item == "" })
}

// WithPrefix returns the settings whose names begin with a prefix, by their names without it.
func (v Values) WithPrefix(prefix string) map[string]string {
	values := map[string]string{}
	for _, s := range v.settings {
		if name, ok := strings.CutPrefix(s.Name, prefix); ok && name != "" {
			values[name] = s.Value
		}
	}
	return values
}

// Groups returns the numbered groups that occur in the settings, sorted by their numbers as strings. group is the
// prefix of their settings, such as `shop#{n}.`; shared is the prefix of the settings that apply to all groups without
// a value of their own, or "".
func (v Values) Groups(group, shared string) []Group {
	prefix, _, _ := cutPlaceholder(group)
	var groups []Group
	seen := map[string]bool{}
	for i := range v.settings {
		suffix, ok := strings.CutPrefix(v.settings[i].Name, prefix)
		if !ok {
			continue
		}
		number := suffix[:leadingDigits(suffix)] // hasTemplatePrefix rejects one that is missing or too long
		if seen[number] || len(suffix) > maxTemplateName || !hasTemplatePrefix(group, v.settings[i].Name) {
			continue
		}
		seen[number] = true
		pos := 0
		for pos < len(groups) && groups[pos].Digits < number {
			pos++
		}
		groups = slices.Insert(groups, pos,
			Group{Digits: number, values: v, prefix: fillTemplate(group, []string{number}, ""), shared: shared})
	}
	return groups
}

// Group is a numbered group of settings.
type Group struct {
	Digits string // the number as it is written: 1 and 01 are two groups
	values Values
	prefix string // the prefix of the group's settings
	shared string // the prefix of the settings that apply to all groups, or ""
}

// Name returns the full name of a setting of the group.
func (g Group) Name(name string) string { return g.prefix + name }

// Source returns the full name of the setting that provides the value: the group's setting, or the shared one.
func (g Group) Source(name string) string {
	if _, isSet := g.values.Lookup(g.Name(name)); !isSet && g.shared != "" {
		if _, _, ok := g.values.table.locate(g.shared + name); ok {
			return g.shared + name
		}
	}
	return g.Name(name)
}

// String returns the group's value, else the shared one, else the default.
func (g Group) String(name string) string { return g.values.String(g.Source(name)) }

// Lower returns the value in lower case.
func (g Group) Lower(name string) string { return g.values.Lower(g.Source(name)) }

// Int returns the value as an integer.
func (g Group) Int(name string) int { return g.values.Int(g.Source(name)) }
