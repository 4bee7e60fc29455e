package setting

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// Validate checks each setting and returns a value for each declared one, with errors for what is missing, unknown,
// invalid or not supported. It instantiates templates of groups for each number that occurs in a name, other templates
// for the names that occur. A component that checks settings together adds its errors with [AddError].
func (t *Table) Validate(settings []wit.Setting) []wit.ConfigValue {
	v := t.Values(settings)
	suggester := Suggester{Table: t, Budget: maxComparisons}
	out := make([]wit.ConfigValue, 0, len(t.specs)+len(settings))
	for i := range t.specs {
		if !IsTemplate(t.specs[i].Name) {
			out = append(out, t.validateOne(v, t.specs[i], &t.specs[i]))
		}
	}
	for _, group := range t.groups() {
		for _, g := range v.Groups(group, "") {
			for i := range t.specs {
				if declared := t.specs[i].Name; isGroupTemplate(declared) && strings.HasPrefix(declared, group) {
					name := fillTemplate(declared, []string{g.Digits}, "")
					out = append(out, t.validateOne(v, instantiate(t.specs[i], declared, name), &t.specs[i]))
				}
			}
		}
	}
	for _, s := range settings {
		i, templateName, ok := t.locate(s.Name)
		switch {
		case !ok && t.Prefix(s.Name) != "":
			out = append(out, wit.ConfigValue{Key: wit.ConfigKey{Name: s.Name, Importance: wit.Low}, Value: &s.Value,
				Visible: true, Errors: []string{Unknown(suggester.Nearest(s.Name))}})
		case ok && templateName != "" && templateName == t.specs[i].Name && !isGroupTemplate(templateName):
			out = append(out, t.validateOne(v, instantiate(t.specs[i], templateName, s.Name), &t.specs[i]))
		}
	}
	return out
}

// isGroupTemplate reports whether a name is the template of a group's setting: its only placeholder is a number.
func isGroupTemplate(name string) bool {
	prefix, placeholder, ok := cutPlaceholder(name)
	return ok && placeholder != anyName && !IsTemplate(name[len(prefix)+len(placeholder):])
}

// groups returns the prefixes of the templates for groups, including the separator after the number: `shop#{n}.`.
func (t *Table) groups() (groups []string) {
	for i := range t.specs {
		name := t.specs[i].Name
		if prefix, placeholder, ok := cutPlaceholder(name); ok && placeholder != anyName {
			end := len(prefix) + len(placeholder)
			if group := name[:min(end+1, len(name))]; !slices.Contains(groups, group) {
				groups = append(groups, group)
			}
		}
	}
	return groups
}

// validateOne checks one setting under its full name; declared is its declaration.
func (t *Table) validateOne(v Values, key wit.ConfigKey, declared *wit.ConfigKey) wit.ConfigValue {
	e := wit.ConfigValue{Key: key, Value: key.DefaultValue, Visible: true}
	value, isSet := v.Lookup(key.Name)
	if !isSet {
		value, isSet = v.byAlias(declared)
	}
	if isSet {
		e.Value = &value
	}
	why := ""
	switch {
	case e.Value != nil:
		why = t.Check.Value(&key, *e.Value)
	case IsRequired(&key):
		why = Missing(key.Name)
	}
	supported, isRestricted := t.supported[declared.Name]
	if isRestricted && !isSet && key.DefaultValue == nil {
		e.Visible = false // no form offers unsupported settings
	}
	if isRestricted && isSet && why == "" && !slices.ContainsFunc(supported,
		func(s string) bool { return strings.EqualFold(s, value) }) {
		why = unsupportedMessage(&key, value, supported, t.reasons[declared.Name], t.alternatives[declared.Name])
	}
	if why != "" {
		e.Errors = []string{why}
	}
	return e
}

// unsupportedMessage returns the error for a value that is not supported yet, or for a reason never.
func unsupportedMessage(key *wit.ConfigKey, value string, supported []string, reason, instead string) string {
	if key.Kind == wit.KindPassword {
		value = Hidden
	}
	message := "Value " + value + " for configuration " + key.Name + " is not "
	if reason != "" {
		return message + "supported: " + reason + "; leave the setting out"
	}
	message += "built yet"
	if instead != "" {
		message += "; " + instead
	}
	if strings.Join(supported, "") != "" { // an empty value means leaving the setting out
		return message + "; built: " + strings.Join(supported, ", ")
	}
	return message + "; leave the setting out"
}

// AddError adds an error to the setting of that name.
func AddError(values []wit.ConfigValue, name, text string) {
	for i := range values {
		if values[i].Key.Name == name {
			values[i].Errors = append(values[i].Errors, text)
			return
		}
	}
}

// HasError reports whether a setting has an error.
func HasError(values []wit.ConfigValue, name string) bool {
	return slices.ContainsFunc(values, func(v wit.ConfigValue) bool { return v.Key.Name == name && len(v.Errors) > 0 })
}

// AddMissing appends a required setting that is missing, such as one of a group without any.
func (t *Table) AddMissing(values []wit.ConfigValue, name, text string) []wit.ConfigValue {
	for _, e := range t.Validate([]wit.Setting{{Name: name}}) {
		if e.Key.Name == name {
			e.Value = e.Key.DefaultValue
			e.Errors = []string{text}
			return append(values, e)
		}
	}
	return values
}

// FirstError returns the first error as an error of the contract, or nil.
func FirstError(values []wit.ConfigValue) *wit.Error {
	for i := range values {
		if e := &values[i]; len(e.Errors) > 0 {
			return &wit.Error{Kind: wit.ErrorConfig, Message: e.Errors[0], Setting: &e.Key.Name}
		}
	}
	return nil
}
