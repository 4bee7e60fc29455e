// Package setting declares the settings of the OData connectors and reads them: one declaration of each drives parsing, default,
// validation and documentation. Settings of one entity set stand in groups, `sap.odata#00.service`, numbered with one to three
// digits which are kept as written.
package setting

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// Prefixes of the names that belong to the connectors: keys that begin so and aren't declared are errors.
var Prefixes = []string{"sap.odata.", "sap.odata#"}

const groupPrefix = "sap.odata#"

// Table is what a component declares.
type Table struct {
	Specs []wit.SettingSpec
	// later are settings that are known and not built yet, by name: the values that say what is the case anyway.
	later map[string][]string
	// places: it has a service, which has to be somewhere.
	places bool
}

// Declare adds settings.
func (t *Table) Declare(specs ...wit.SettingSpec) { t.Specs = append(t.Specs, specs...) }

// Later adds a setting that is known and not built yet; harmless are the values that ask for nothing.
func (t *Table) Later(spec wit.SettingSpec, harmless ...string) {
	if t.later == nil {
		t.later = map[string][]string{}
	}
	spec.Documentation += " Not built yet."
	t.later[spec.Name] = harmless
	t.Specs = append(t.Specs, spec)
}

// Restrict marks values of a declared setting as known and not built yet: all but the given ones.
func (t *Table) Restrict(name string, built ...string) {
	if t.later == nil {
		t.later = map[string][]string{}
	}
	t.later[name] = built
}

// Values are the settings as the user wrote them, with the table's defaults behind them.
type Values struct {
	table *Table
	given []wit.Setting
}

// Values reads settings. A name given twice: the last counts.
func (t *Table) Values(settings []wit.Setting) Values { return Values{t, settings} }

// Given returns what the user wrote.
func (v Values) Given(name string) (string, bool) {
	for i := len(v.given) - 1; i >= 0; i-- {
		if v.given[i].Name == name {
			return strings.TrimSpace(v.given[i].Value), true
		}
	}
	return "", false
}

// Text is the value or its default, "" if there is neither.
func (v Values) Text(name string) string {
	if value, ok := v.Given(name); ok {
		return value
	}
	if spec := v.table.find(name); spec != nil && spec.DefaultValue != nil {
		return *spec.DefaultValue
	}
	return ""
}

// Word is the value in lower case: enumerations are read in any case.
func (v Values) Word(name string) string { return strings.ToLower(v.Text(name)) }

// On reads 1 and true, in any case.
func (v Values) On(name string) bool {
	w := v.Word(name)
	return w == "1" || w == "true"
}

// Number is the value as a number, 0 where it is none; [Table.Examine] finds those.
func (v Values) Number(name string) int {
	n, negative := 0, false
	for i, c := range []byte(v.Text(name)) {
		switch {
		case i == 0 && (c == '-' || c == '+'):
			negative = c == '-'
		case c < '0' || c > '9' || n > 1<<40:
			return 0
		default:
			n = n*10 + int(c-'0')
		}
	}
	if negative {
		return -n
	}
	return n
}

// List is the value cut at commas, without empty items.
func (v Values) List(name string) []string {
	var list []string
	for _, item := range strings.Split(v.Text(name), ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

// Groups are the numbers of the groups that have any setting, in order.
func (v Values) Groups() []string {
	var groups []string
	for _, s := range v.given {
		if number, _, ok := group(s.Name); ok && !slices.Contains(groups, number) {
			groups = append(groups, number)
		}
	}
	slices.Sort(groups)
	return groups
}

// InGroup is the full name of a group's setting.
func InGroup(number, name string) string { return groupPrefix + number + "." + name }

// Set is the value of a setting that may stand in the group or, for all groups, without: the group wins, then the value for
// all, then the default.
func (v Values) Set(number, name string) string {
	if value, ok := v.Given(InGroup(number, name)); ok {
		return value
	}
	if v.table.find("sap.odata."+name) != nil {
		return v.Text("sap.odata." + name)
	}
	return v.Text(InGroup(number, name))
}

// SetName is the name under which [Values.Set] found its value.
func (v Values) SetName(number, name string) string {
	if _, ok := v.Given(InGroup(number, name)); !ok && v.table.find("sap.odata."+name) != nil {
		return "sap.odata." + name
	}
	return InGroup(number, name)
}

// group takes a name of a group's setting apart.
func group(name string) (number, rest string, ok bool) {
	tail, ok := strings.CutPrefix(name, groupPrefix)
	if !ok {
		return "", "", false
	}
	number, rest, ok = strings.Cut(tail, ".")
	return number, rest, ok && numbered(number)
}

func numbered(s string) bool {
	return len(s) >= 1 && len(s) <= 3 && strings.Trim(s, "0123456789") == ""
}

// find returns the declaration that a name goes by, templates included; the spec's own name stays a template.
func (t *Table) find(name string) *wit.SettingSpec {
	for i := range t.Specs {
		if matches(t.Specs[i].Name, name) {
			return &t.Specs[i]
		}
		for _, r := range t.Specs[i].Rules {
			if r.Alias != nil && matches(*r.Alias, name) {
				return &t.Specs[i]
			}
		}
	}
	return nil
}

// anyName ends the names of settings that the user has a word in.
const anyName = "{name}"

// matches compares a name with one that may hold {n} and {m}, numbers, and end with {name}, anything.
func matches(template, name string) bool {
	for {
		i := strings.IndexByte(template, '{')
		if i < 0 {
			return template == name
		}
		if !strings.HasPrefix(name, template[:i]) {
			return false
		}
		if template[i:] == anyName {
			return len(name) > i
		}
		end := strings.IndexByte(template, '}')
		name, template = name[i:], template[end+1:]
		digits := len(name) - len(strings.TrimLeft(name, "0123456789"))
		if digits < 1 || digits > 3 {
			return false
		}
		name = name[digits:]
	}
}

// Examine checks settings one by one and says which are missing, unknown, wrong or not built yet. What a component checks of
// settings together it adds to the result with [Complain].
func (t *Table) Examine(settings []wit.Setting) []wit.Examined {
	v := t.Values(settings)
	var out []wit.Examined
	for i := range t.Specs {
		if spec := &t.Specs[i]; !strings.Contains(spec.Name, "{") {
			out = append(out, t.examine(v, spec, spec.Name))
		}
	}
	for _, number := range v.Groups() {
		for i := range t.Specs {
			spec := &t.Specs[i]
			if strings.Count(spec.Name, "{") == 1 && strings.Contains(spec.Name, "{n}") {
				out = append(out, t.examine(v, spec, strings.Replace(spec.Name, "{n}", number, 1)))
			}
		}
	}
	for _, s := range settings {
		switch spec := t.find(s.Name); {
		case spec == nil && own(s.Name):
			e := wit.Examined{Spec: wit.SettingSpec{Name: s.Name, Importance: wit.Low}, Value: wit.Ptr(s.Value), Visible: true}
			e.Errors = []string{t.unknown(s.Name)}
			out = append(out, e)
		case spec != nil && strings.Count(spec.Name, "{") > 1:
			out = append(out, t.examine(v, spec, s.Name))
		}
	}
	t.place(v, out)
	t.client(v, out)
	return out
}

func own(name string) bool {
	return slices.ContainsFunc(Prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// examine checks one setting under its full name.
func (t *Table) examine(v Values, spec *wit.SettingSpec, name string) wit.Examined {
	concrete := *spec
	concrete.Name = name
	if number, _, ok := group(name); ok {
		concrete.Rules = inGroup(spec.Rules, number)
	}
	e := wit.Examined{Spec: concrete, Value: concrete.DefaultValue, Visible: true}
	value, given := v.Given(name)
	for _, r := range spec.Rules {
		if r.Alias != nil && !given {
			value, given = v.Given(*r.Alias)
		}
	}
	if given {
		e.Value = &value
	}
	switch {
	case e.Value != nil:
		e.Errors = sdk.Violations(&concrete, *e.Value)
	case slices.ContainsFunc(spec.Rules, func(r wit.Rule) bool { return r.Required != nil }):
		e.Errors = []string{"Missing required configuration \"" + name + "\" which has no default value."}
	}
	if harmless, later := t.later[spec.Name]; later && given && len(e.Errors) == 0 &&
		!slices.ContainsFunc(harmless, func(h string) bool { return strings.EqualFold(h, value) }) {
		e.Errors = []string{notBuilt(name, value, spec.Kind, harmless)}
	}
	return e
}

// inGroup puts the group's number into what is displayed.
func inGroup(rules []wit.Rule, number string) []wit.Rule {
	rules = slices.Clone(rules)
	for i := range rules {
		if title := rules[i].Group; title != nil {
			rules[i].Group = wit.Ptr(strings.Replace(*title, "{n}", number, 1))
		}
	}
	return rules
}

func notBuilt(name, value string, kind wit.SettingKind, built []string) string {
	if kind == wit.KindPassword {
		value = "[hidden]"
	}
	text := "Value " + value + " for configuration " + name + " is not built yet"
	if len(built) > 0 {
		return text + "; built: " + strings.Join(built, ", ")
	}
	return text + "; leave the setting out"
}

func (t *Table) unknown(name string) string {
	text := "Unknown configuration \"" + name + "\""
	if near := t.nearest(name); near != "" {
		text += "; the nearest known name is \"" + near + "\""
	}
	return text
}

// nearest is the declared name that takes the fewest changes to get to, within a third of the name's length.
func (t *Table) nearest(name string) string {
	number, _, _ := group(name)
	if number == "" {
		number = "00"
	}
	best, least := "", len(name)/3+1
	for i := range t.Specs {
		candidate := strings.NewReplacer("{n}", number, "{m}", "00", anyName, "NAME").Replace(t.Specs[i].Name)
		if d := distance(name, candidate); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// distance is the number of letters to add, drop or change to get from one name to the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(diagonal+cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

// Complain adds an error to the examined setting of that name.
func Complain(examined []wit.Examined, name, text string) {
	for i := range examined {
		if examined[i].Spec.Name == name {
			examined[i].Errors = append(examined[i].Errors, text)
			return
		}
	}
}

// First is the first error among examined settings as a fault, nil if there is none.
func First(examined []wit.Examined) *wit.Fault {
	for i := range examined {
		if e := &examined[i]; len(e.Errors) > 0 {
			return &wit.Fault{Kind: wit.FaultConfig, Message: e.Errors[0], Setting: wit.Ptr(e.Spec.Name)}
		}
	}
	return nil
}
