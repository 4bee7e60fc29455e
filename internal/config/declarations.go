package config

import (
	"regexp"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Declarations are the settings of a component or of Kafka Connect itself.
type Declarations = setting.Table

// Declare returns the Declarations of settings in order.
func Declare(specs ...wit.ConfigKey) *Declarations { return setting.NewTable(specs...) }

// declared declares a setting. value is its default; "" means that it has none.
func declared(name string, kind wit.SettingKind, value, doc string, rules ...wit.Rule) wit.ConfigKey {
	s := wit.ConfigKey{Name: name, Kind: kind, Importance: wit.Low, Documentation: doc, Rules: rules}
	if value != "" {
		s.DefaultValue = &value
	}
	return s
}

func atLeast(n int64) wit.Rule { return wit.Rule{AtLeast: &n} }

func allowed(values ...string) wit.Rule { return wit.Rule{Allowed: &values} }

// List splits a value at commas, see [setting.ParseList].
func List(value string) []string { return setting.ParseList(value) }

// Boolean parses true, false, 1 and 0 in any case.
func Boolean(value string) (b, ok bool) { return setting.ParseBool(value) }

// CheckValue returns the problem of a value in Kafka Connect's words, or "". It quotes the value only if shown is true
// and the setting is no password.
func CheckValue(spec *wit.ConfigKey, value string, shown bool) string {
	return setting.Check{Secret: !shown, Matches: matchesWhole}.Value(spec, value)
}

// matchesWhole reports whether an expression matches a whole text. It is compiled by Go, because rules of declarations
// have the syntax of RE2 ([wit.Rule]). An invalid one is the plugin's mistake, so it accepts every value of the user.
func matchesWhole(expression, text string) bool {
	re, err := regexp.Compile("^(?:" + expression + ")$")
	return err != nil || re.MatchString(text)
}
