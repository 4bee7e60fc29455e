package console

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
)

type group struct {
	Name         string
	Fields, More []field
}

type field struct {
	check.Validated
	// Text is the value in the text, "" if absent or a secret, which is not sent back.
	Text string
	// IsSet means that the text has the setting, Secret that its value is not sent back.
	IsSet, Secret bool
}

// SeveralLines reports whether the value has line ends, which an input field cannot hold.
func (f field) SeveralLines() bool { return oneLine(f.Text) != f.Text }

func (f field) OtherThanBoolean() bool { return f.Text != "" && f.Text != "true" && f.Text != "false" }

func (f field) Default() string {
	if f.Definition.Default == nil {
		return ""
	}
	return *f.Definition.Default
}

const maxChoices = 200

// choices returns the proposed values; of very many only those that contain the typed text.
func choices(all []string, typed string) []string {
	if len(all) > maxChoices && typed != "" {
		typed = strings.ToLower(typed)
		some := slices.DeleteFunc(slices.Clone(all), func(one string) bool {
			return !strings.Contains(strings.ToLower(one), typed)
		})
		if len(some) > 0 {
			all = some
		}
	}
	return all[:min(len(all), maxChoices)]
}

// groupsOf returns the groups of a form that can be filled in, and the names of later ones.
func groupsOf(v check.Validation, settings map[string]string) (groups []group, later []string) {
	byName := map[string]*group{}
	order := slices.Clone(v.Groups)
	for _, one := range v.Configs {
		if _, isSet := settings[one.Definition.Name]; !isSet && !one.Value.Visible {
			continue
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
		f.Text, f.IsSet = settings[one.Definition.Name]
		if one.Definition.Type == "PASSWORD" && !config.IsReference(f.Text) || f.Text == config.Mask {
			f.Secret, f.Text = true, ""
		}
		f.Value.Recommended = choices(one.Value.Recommended, f.Text)
		if one.Definition.Importance == "LOW" && !f.IsSet && len(one.Value.Errors) == 0 {
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
		case !complete && !g.hasValues():
			later = append(later, name)
		default:
			groups = append(groups, *g)
			complete = complete && g.complete()
		}
	}
	return groups, later
}

// complete reports whether all required fields of the group are set, so that the next one can be filled in.
func (g *group) complete() bool {
	return !slices.ContainsFunc(g.Fields, func(f field) bool { return !f.IsSet && len(f.Value.Errors) > 0 })
}

func (g *group) hasValues() bool {
	return slices.ContainsFunc(g.Fields, func(f field) bool { return f.IsSet })
}
