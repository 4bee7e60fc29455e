package config

import (
	"regexp"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Declarations are the settings that may be given, of one component or of Kafka Connect itself.
type Declarations = setting.Table

// maxGuesses bounds what is compared for the nearest names of all unknown settings of a connector, in pairs of
// letters: some hundred times what the built-in plugins need.
const maxGuesses = 100_000_000

// Declare makes Declarations of settings in their order.
func Declare(specs ...wit.ConfigKey) *Declarations { return setting.NewTable(specs...) }

// DeclareComponent is [Declare] for a plugin's component, with its prefixes.
func DeclareComponent(c wit.Component) *Declarations { return setting.NewComponentTable(&c) }

// List cuts a value at its commas, see [setting.List].
func List(value string) []string { return setting.List(value) }

// Boolean reads true, false, 1 and 0 in any case.
func Boolean(value string) (b, ok bool) { return setting.Flag(value) }

// CheckValue says what is wrong with the value of a setting by its declaration, in Kafka Connect's words, "" if
// nothing. A password is never shown; shown tells whether other values may be. Unlike plugins it goes by patterns, too.
func CheckValue(spec *wit.ConfigKey, value string, shown bool) string {
	return setting.Check{Secret: !shown, Matches: matchesWhole}.Value(spec, value)
}

// matchesWhole tells whether a text matches an expression from end to end. An expression that is none was reported when
// the plugin was loaded.
func matchesWhole(pattern, text string) bool {
	re, err := regexp.Compile("^(?:" + pattern + ")$")
	return err != nil || re.MatchString(text)
}
