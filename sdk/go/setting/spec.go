package setting

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// Flags are the spellings of yes and no for settings of kind text.
var Flags = []string{"0", "1", "true", "false"}

// Define makes a declaration; value is the default, nil for none.
func Define(name string, kind wit.SettingKind, importance wit.Importance, value *string, documentation string,
	rules ...wit.Rule) wit.ConfigKey {
	return wit.ConfigKey{Name: name, Kind: kind, DefaultValue: value, Importance: importance,
		Documentation: documentation, Rules: rules}
}

// Default makes a default.
func Default(value string) *string { return &value }

// Required makes a rule: the setting has to be given, and not empty.
func Required() wit.Rule { return wit.Rule{Required: wit.Set} }

// Role makes a rule: the host uses the setting for this.
func Role(role string) wit.Rule { return wit.Rule{Role: &role} }

// Allowed makes a rule: only these values, in any case. Of a list it holds for each item.
func Allowed(words ...string) wit.Rule { return wit.Rule{Allowed: &words} }

// Pattern makes a rule: a value that is not empty matches this regular expression from end to end.
func Pattern(expression string) wit.Rule { return wit.Rule{Pattern: &expression} }

// Topic is Kafka's rule for the names of topics.
func Topic() wit.Rule { return Pattern("[a-zA-Z0-9._-]{1,249}") }

// AtLeast makes a rule for numbers.
func AtLeast(n int64) wit.Rule { return wit.Rule{AtLeast: &n} }

// AtMost makes a rule for numbers.
func AtMost(n int64) wit.Rule { return wit.Rule{AtMost: &n} }

// Alias makes a rule: the setting goes by this name, too.
func Alias(name string) wit.Rule { return wit.Rule{Alias: &name} }

// Dependents makes a rule: what these settings may be depends on this one. Of a template they may be templates, too.
func Dependents(names ...string) wit.Rule { return wit.Rule{Dependents: &names} }

// InGroup makes a rule: the heading under which tools show the setting.
func InGroup(group string) wit.Rule { return wit.Rule{Group: &group} }

// Display makes a rule: what tools call the setting.
func Display(name string) wit.Rule { return wit.Rule{DisplayName: &name} }

// IsRequired tells whether a declaration has the rule [Required].
func IsRequired(spec *wit.ConfigKey) bool {
	return slices.ContainsFunc(spec.Rules, func(r wit.Rule) bool { return r.Required != nil })
}

// GroupOf is the heading under which tools show a setting, "" for none.
func GroupOf(spec *wit.ConfigKey) string {
	for _, r := range spec.Rules {
		if r.Group != nil {
			return *r.Group
		}
	}
	return ""
}
