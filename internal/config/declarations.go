package config

import (
	"regexp"
	"runtime"
	"slices"
	"sync"
	"weak"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Declarations are the settings of a component or of Kafka Connect itself.
type Declarations = setting.Table

// Declare returns the Declarations of settings in order.
func Declare(specs ...wit.ConfigKey) *Declarations { return setting.NewTable(specs...) }

// componentTables has the tables of plugins' components, by the first of their settings, until the plugin is freed: the
// check of one connector needs the tables of all components. Keys are weak.Pointer[wit.ConfigKey].
var componentTables sync.Map

// DeclareComponent is [Declare] for a plugin's component, with its prefixes. Callers share the result, so they change
// neither the table nor the settings.
func DeclareComponent(c wit.Component) *Declarations {
	if len(c.Settings) == 0 {
		return setting.NewComponentTable(&c)
	}
	key := weak.Make(&c.Settings[0])
	if cached, ok := componentTables.Load(key); ok {
		table := cached.(*Declarations)
		if len(table.Keys()) == len(c.Settings) && slices.Equal(table.Prefixes, c.Prefixes) {
			return table
		}
	}
	table := setting.NewComponentTable(&c)
	if _, exists := componentTables.Swap(key, table); !exists {
		runtime.AddCleanup(&c.Settings[0], func(key weak.Pointer[wit.ConfigKey]) { componentTables.Delete(key) }, key)
	}
	return table
}

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
