package console

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
)

// group is settings that stand together in a form.
type group struct {
	Name   string
	Fields []field
	// More are those that few need.
	More []field
}

// field is a setting in a form.
type field struct {
	check.Validated
	// Value is what the text says; "" where it does not say anything, or a secret that is not sent back.
	Value string
	// Given: the text has it. Secret: it is a password and no reference.
	Given, Secret bool
}

// Kind is how the setting is asked for.
func (f field) Kind() string {
	d := f.Definition
	switch {
	case f.Secret || d.Type == "PASSWORD" && !reference(f.Value):
		return "password"
	case d.Type == "BOOLEAN":
		return "boolean"
	case len(f.Validated.Value.Recommended) > 0 && len(f.Validated.Value.Recommended) <= maxChoices && d.Type != "LIST":
		return "list"
	}
	return "text"
}

// Errors are what is wrong with it.
func (f field) Errors() []string { return f.Validated.Value.Errors }

// SeveralLines tells whether its value has ends of lines, which no field of a browser takes.
func (f field) SeveralLines() bool { return oneLine(f.Value) != f.Value }

// OtherThanBoolean tells whether a value is none of those that the list has.
func (f field) OtherThanBoolean() bool {
	return f.Value != "" && f.Value != "true" && f.Value != "false"
}

// Default is what holds without a value.
func (f field) Default() string {
	if f.Definition.Default == nil {
		return ""
	}
	return *f.Definition.Default
}

// Recommended are as many values as a list of a browser is good for; More says how many are left out.
func (f field) Recommended() []string {
	all := f.Validated.Value.Recommended
	return all[:min(len(all), maxChoices)]
}

// maxChoices is how many values are proposed for a field: those of 10,000 services are narrowed by what is typed.
const maxChoices = 200

// narrowed are the values that have what was typed in them, where all of them are too many to propose.
func narrowed(all []string, typed string) []string {
	if len(all) <= maxChoices || typed == "" {
		return all
	}
	typed = strings.ToLower(typed)
	var some []string
	for _, one := range all {
		if strings.Contains(strings.ToLower(one), typed) {
			some = append(some, one)
		}
	}
	if len(some) == 0 {
		return all
	}
	return some
}

// groupsOf are the groups of a form as far as they are to be filled: those whose groups before are. Others are named.
func groupsOf(v check.Validation, settings map[string]string) (groups []group, later []string) {
	byName := map[string]*group{}
	order := slices.Clone(v.Groups)
	for _, one := range v.Configs {
		if !one.Value.Visible {
			if _, given := settings[one.Definition.Name]; !given {
				continue
			}
		}
		name := "Other settings"
		if one.Definition.Group != nil && *one.Definition.Group != "" {
			name = *one.Definition.Group
		}
		g := byName[name]
		if g == nil {
			g = &group{Name: name}
			byName[name] = g
			if !slices.Contains(order, name) {
				order = append(order, name)
			}
		}
		f := field{Validated: one}
		f.Value, f.Given = settings[one.Definition.Name]
		if one.Definition.Type == "PASSWORD" && !reference(f.Value) || f.Value == config.Mask {
			f.Secret, f.Value = true, ""
		}
		f.Validated.Value.Recommended = narrowed(one.Value.Recommended, f.Value)
		if one.Definition.Importance == "LOW" && !f.Given && len(one.Value.Errors) == 0 {
			g.More = append(g.More, f)
		} else {
			g.Fields = append(g.Fields, f)
		}
	}
	complete := true
	for _, name := range order {
		g := byName[name]
		switch {
		case g == nil:
		case !complete && !g.given():
			later = append(later, name)
		default:
			groups = append(groups, *g)
			complete = complete && g.complete()
		}
	}
	return groups, later
}

// reference tells whether a value is a reference to a config provider, which is no secret.
func reference(value string) bool { return config.IsReference(value) }

// complete tells whether nothing is missing in the group, so that the next one can be filled.
func (g *group) complete() bool {
	return !slices.ContainsFunc(g.Fields, func(f field) bool { return !f.Given && len(f.Errors()) > 0 })
}

func (g *group) given() bool {
	return slices.ContainsFunc(g.Fields, func(f field) bool { return f.Given })
}
