package setting

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// BoolValues contains the values of booleans, for settings of kind string.
var BoolValues = []string{"0", "1", "true", "false"}

// Define returns a declaration. value is the default; nil means that there is none.
func Define(name string, kind wit.SettingKind, importance wit.Importance, value *string, documentation string,
	rules ...wit.Rule) wit.ConfigKey {
	return wit.ConfigKey{Name: name, Kind: kind, DefaultValue: value, Importance: importance,
		Documentation: documentation, Rules: rules}
}

// Default returns a default value for [Define].
func Default(value string) *string { return &value }

// Required returns the rule that the setting must be present and not empty.
func Required() wit.Rule { return wit.Rule{Required: wit.Set} }

// Role returns the rule that the host uses the setting for this role, see package role.
func Role(role string) wit.Rule { return wit.Rule{Role: &role} }

// Allowed returns the rule that only these values are valid, in any case. For a list it applies to each item.
func Allowed(words ...string) wit.Rule { return wit.Rule{Allowed: &words} }

// Pattern returns the rule that a regular expression matches the whole value, unless it is empty.
func Pattern(expression string) wit.Rule { return wit.Rule{Pattern: &expression} }

// Topic returns Kafka's rule for names of topics.
func Topic() wit.Rule { return Pattern("[a-zA-Z0-9._-]{1,249}") }

// AtLeast returns the rule for the smallest valid number.
func AtLeast(n int64) wit.Rule { return wit.Rule{AtLeast: &n} }

// AtMost returns the rule for the largest valid number.
func AtMost(n int64) wit.Rule { return wit.Rule{AtMost: &n} }

// Alias returns the rule that adds another name of the setting.
func Alias(name string) wit.Rule { return wit.Rule{Alias: &name} }

// Dependents returns the rule that the valid values of other settings, or of templates, depend on this one.
func Dependents(names ...string) wit.Rule { return wit.Rule{Dependents: &names} }

// InGroup returns the rule for the heading under which tools show the setting.
func InGroup(group string) wit.Rule { return wit.Rule{Group: &group} }

// Display returns the rule for the name of the setting in tools.
func Display(name string) wit.Rule { return wit.Rule{DisplayName: &name} }

// IsRequired reports whether a declaration has the rule [Required].
func IsRequired(key *wit.ConfigKey) bool {
	return slices.ContainsFunc(key.Rules, func(r wit.Rule) bool { return r.Required != nil })
}

// GroupOf returns the heading under which tools show a setting, or "".
func GroupOf(key *wit.ConfigKey) string {
	for _, r := range key.Rules {
		if r.Group != nil {
			return *r.Group
		}
	}
	return ""
}
