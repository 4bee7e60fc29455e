package setting

import (
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/wit"
)

// Values are settings as the user wrote them, with a table's defaults after them. They were checked before: what is of
// another kind than it is read as is zero.
type Values struct {
	table *Table
	given []wit.Setting
	// at is where the last one of each name stands among many, nil among few.
	at map[string]int
}

// fewSettings are so few that they are looked through for a name. A connector of 200 sets has a thousand.
const fewSettings = 16

// Values reads settings. Of a name that is given twice the last counts.
func (t *Table) Values(given []wit.Setting) Values {
	v := Values{table: t, given: given}
	if len(given) > fewSettings {
		v.at = make(map[string]int, len(given))
		for i := range given {
			v.at[given[i].Name] = i
		}
	}
	return v
}

// Lookup returns what the user wrote under this name, without blanks around it.
func (v Values) Lookup(name string) (value string, ok bool) {
	if v.at != nil {
		i, ok := v.at[name]
		if !ok {
			return "", false
		}
		return Trim(v.given[i].Value), true
	}
	for i := len(v.given) - 1; i >= 0; i-- {
		if v.given[i].Name == name {
			return Trim(v.given[i].Value), true
		}
	}
	return "", false
}

// Text is the value, given under the name or an alias of it, else the default, "" if there is neither.
func (v Values) Text(name string) string {
	if value, ok := v.Lookup(name); ok {
		return value
	}
	i, _, ok := v.table.locate(name)
	if !ok {
		return ""
	}
	spec := &v.table.specs[i]
	if value, ok := v.byAlias(spec); ok {
		return value
	}
	if spec.DefaultValue != nil {
		return *spec.DefaultValue
	}
	return ""
}

// byAlias is what was given under an alias of the setting. Aliases that are templates have no say: the host hands
// values on under their declared names.
func (v Values) byAlias(spec *wit.ConfigKey) (value string, ok bool) {
	for _, r := range spec.Rules {
		if r.Alias != nil {
			if value, ok := v.Lookup(*r.Alias); ok {
				return value, true
			}
		}
	}
	return "", false
}

// Word is the value in lower case: enumerations are read in any case.
func (v Values) Word(name string) string { return strings.ToLower(v.Text(name)) }

// On reads 1 and true, in any case.
func (v Values) On(name string) bool {
	on, _ := Flag(v.Text(name))
	return on
}

// Number is the value as a whole number.
func (v Values) Number(name string) int {
	n, _ := Integer(wit.KindLong, v.Text(name))
	return int(n)
}

// Duration is the value of a setting in milliseconds.
func (v Values) Duration(name string) time.Duration {
	return Milliseconds(int64(v.Number(name)))
}

// Milliseconds is a duration of so many, a hundred years at most: more is what people write for as long as it takes.
// Sums of two are durations still.
func Milliseconds(n int64) time.Duration {
	const century = int64(100 * 365 * 24 * time.Hour / time.Millisecond)
	return time.Duration(max(-century, min(n, century))) * time.Millisecond
}

// List is the value cut at commas, without empty items.
func (v Values) List(name string) []string {
	return slices.DeleteFunc(List(v.Text(name)), func(item string) bool { return item == "" })
}

// WithPrefix are the settings that are given below a prefix, by what follows it.
func (v Values) WithPrefix(prefix string) map[string]string {
	below := map[string]string{}
	for _, s := range v.given {
		if name, ok := strings.CutPrefix(s.Name, prefix); ok && name != "" {
			below[name] = s.Value
		}
	}
	return below
}

// Groups are the numbered groups of which any setting is given, in the order of their numbers as texts. group is the
// prefix of their settings, such as `shop#{n}.`; shared is that of the settings that hold for all groups which don't
// say otherwise, "" for none.
func (v Values) Groups(group, shared string) []Group {
	before, _, _ := cutPlaceholder(group)
	var groups []Group
	seen := map[string]bool{}
	for i := range v.given {
		rest, ok := strings.CutPrefix(v.given[i].Name, before)
		if !ok {
			continue
		}
		number := rest[:leadingDigits(rest)]
		if seen[number] || !begins(group, v.given[i].Name) {
			continue
		}
		seen[number] = true
		at := 0
		for at < len(groups) && groups[at].Digits < number {
			at++
		}
		groups = slices.Insert(groups, at, Group{Digits: number, values: v, prefix: filled(group, []string{number}, ""),
			shared: shared})
	}
	return groups
}

// Group is one of several groups of settings, by its number as it is written.
type Group struct {
	// Digits are the number as it is written: 1 and 01 are two groups.
	Digits         string
	values         Values
	prefix, shared string
}

// Name is the full name of the group's setting.
func (g Group) Name(name string) string { return g.prefix + name }

// Source is the name under which the value of a setting stands: that of the group if it is given or there is none for
// all groups, else that for all.
func (g Group) Source(name string) string {
	if _, given := g.values.Lookup(g.Name(name)); !given && g.shared != "" {
		if _, _, ok := g.values.table.locate(g.shared + name); ok {
			return g.shared + name
		}
	}
	return g.Name(name)
}

// Text is the group's value, else that for all groups, else the default.
func (g Group) Text(name string) string { return g.values.Text(g.Source(name)) }

// Word is the value in lower case.
func (g Group) Word(name string) string { return g.values.Word(g.Source(name)) }

// Number is the value as a whole number.
func (g Group) Number(name string) int { return g.values.Number(g.Source(name)) }
