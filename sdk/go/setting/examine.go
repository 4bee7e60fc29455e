package setting

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// Examine checks settings one by one and says which are missing, unknown, wrong or not built yet. Settings of groups
// are there for each number that any given name has, those of other templates where they are given. What a component
// checks of settings together it adds to the result with [Complain].
func (t *Table) Examine(given []wit.Setting) []wit.Examined {
	v, guess := t.Values(given), Guess{Table: t, Left: maxGuesses}
	var out []wit.Examined
	for i := range t.specs {
		if !IsTemplate(t.specs[i].Name) {
			out = append(out, t.examine(v, t.specs[i], &t.specs[i]))
		}
	}
	for _, group := range t.groups() {
		for _, g := range v.Groups(group, "") {
			for i := range t.specs {
				if declared := t.specs[i].Name; grouped(declared) && strings.HasPrefix(declared, group) {
					name := filled(declared, []string{g.Digits}, "")
					out = append(out, t.examine(v, instantiate(t.specs[i], declared, name), &t.specs[i]))
				}
			}
		}
	}
	for _, s := range given {
		i, by, ok := t.locate(s.Name)
		switch {
		case !ok && t.Prefix(s.Name) != "":
			out = append(out, wit.Examined{Spec: wit.SettingSpec{Name: s.Name, Importance: wit.Low}, Value: &s.Value,
				Visible: true,
				Errors:  []string{Unknown(guess.Nearest(s.Name))}})
		case ok && by != "" && by == t.specs[i].Name && !grouped(by):
			out = append(out, t.examine(v, instantiate(t.specs[i], by, s.Name), &t.specs[i]))
		}
	}
	return out
}

// grouped tells whether a name is a template for a group's setting: its only placeholder is a number.
func grouped(name string) bool {
	before, placeholder, ok := cutPlaceholder(name)
	return ok && placeholder != anyName && !IsTemplate(name[len(before)+len(placeholder):])
}

// groups are the beginnings of the templates for groups, up to and with the separator after the number: `shop#{n}.`.
func (t *Table) groups() (groups []string) {
	for i := range t.specs {
		name := t.specs[i].Name
		if before, placeholder, ok := cutPlaceholder(name); ok && placeholder != anyName {
			end := len(before) + len(placeholder)
			if group := name[:min(end+1, len(name))]; !slices.Contains(groups, group) {
				groups = append(groups, group)
			}
		}
	}
	return groups
}

// examine checks one setting under its full name; declared is its declaration.
func (t *Table) examine(v Values, spec wit.SettingSpec, declared *wit.SettingSpec) wit.Examined {
	e := wit.Examined{Spec: spec, Value: spec.DefaultValue, Visible: true}
	value, given := v.Given(spec.Name)
	if !given {
		value, given = v.byAlias(declared)
	}
	if given {
		e.Value = &value
	}
	why := ""
	switch {
	case e.Value != nil:
		why = t.Check.Value(&spec, *e.Value)
	case IsRequired(&spec):
		why = Missing(spec.Name)
	}
	built, later := t.later[declared.Name]
	if later && !given && spec.DefaultValue == nil {
		e.Visible = false // no form offers what is not built
	}
	if later && given && why == "" && !slices.ContainsFunc(built,
		func(b string) bool { return strings.EqualFold(b, value) }) {
		why = notBuilt(&spec, value, built, t.instead[declared.Name])
	}
	if why != "" {
		e.Errors = []string{why}
	}
	return e
}

func notBuilt(spec *wit.SettingSpec, value string, built []string, instead string) string {
	if spec.Kind == wit.KindPassword {
		value = Hidden
	}
	text := "Value " + value + " for configuration " + spec.Name + " is not built yet"
	if instead != "" {
		text += "; " + instead
	}
	if strings.Join(built, "") != "" { // an empty value is said by leaving the setting out
		return text + "; built: " + strings.Join(built, ", ")
	}
	return text + "; leave the setting out"
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

// Miss adds a setting that is required but missing, such as one of a group that nobody has configured.
func (t *Table) Miss(examined []wit.Examined, name, text string) []wit.Examined {
	for _, e := range t.Examine([]wit.Setting{{Name: name}}) {
		if e.Spec.Name == name {
			e.Value, e.Errors = e.Spec.DefaultValue, []string{text}
			return append(examined, e)
		}
	}
	return examined
}

// First is the first error among examined settings as a fault, nil if there is none.
func First(examined []wit.Examined) *wit.Fault {
	for i := range examined {
		if e := &examined[i]; len(e.Errors) > 0 {
			return &wit.Fault{Kind: wit.FaultConfig, Message: e.Errors[0], Setting: &e.Spec.Name}
		}
	}
	return nil
}
