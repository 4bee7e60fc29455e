package settings

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/java/pattern"
)

// Error makes a fault of kind config.
func Error(setting, message string) *wit.Error {
	f := &wit.Error{Kind: wit.ErrorConfig, Message: message}
	if setting != "" {
		f.Setting = &setting
	}
	return f
}

func Invalid(name, value, reason string) *wit.Error {
	return Error(name, setting.Invalid(name, value, reason))
}

// Values reads values as Kafka's ConfigDef does.
type Values []wit.Setting

// Find returns a setting; of one that is there twice the last counts.
func (s Values) Find(name string) (string, bool) { return noDefaults.Values(s).Lookup(name) }

// noDefaults declares nothing: the components know their defaults.
var noDefaults setting.Table

// Required returns a setting without a default.
func (s Values) Required(name string) (string, *wit.Error) {
	text, ok := s.Find(name)
	if !ok {
		return "", Error(name, setting.Missing(name))
	}
	return text, nil
}

// Bool reads a flag. Of 1 and 0, which our own settings take, Kafka's classes take none.
func (s Values) Bool(name string, defaultValue bool) (bool, *wit.Error) {
	text, ok := s.Find(name)
	if !ok {
		return defaultValue, nil
	}
	switch {
	case strings.EqualFold(text, "true"):
		return true, nil
	case strings.EqualFold(text, "false"):
		return false, nil
	}
	return false, Invalid(name, s.Raw(name), "Expected value to be either true or false")
}

// Raw is a setting with the blanks around it, which Kafka repeats where it is of another type than expected.
func (s Values) Raw(name string) string {
	for _, one := range slices.Backward(s) {
		if one.Name == name {
			return one.Value
		}
	}
	return ""
}

// List reads texts between commas, without the blanks around them.
func (s Values) List(name string) []string {
	text, _ := s.Find(name)
	return setting.List(text)
}

// Key declares a setting with a default, or of type text without a value.
func Key(name string, kind wit.SettingKind, value *string, doc string) wit.ConfigKey {
	return setting.Define(name, kind, wit.Medium, value, doc)
}

// RequiredKey declares a setting of type text without a default.
func RequiredKey(name string, importance wit.Importance, doc string) wit.ConfigKey {
	return setting.Define(name, wit.KindString, importance, nil, doc, setting.Required())
}

// RequiredListKey declares a setting of type list without a default.
func RequiredListKey(name, doc string) wit.ConfigKey {
	s := RequiredKey(name, wit.High, doc)
	s.Kind = wit.KindList
	return s
}

var ReplaceNull = Key("replace.null.with.default", wit.KindBoolean, wit.Ptr("true"),
	"Whether to replace fields that have a default value and that are null to the default value. When set to true, "+
		"the default value is used, otherwise null is used.")

// RequiredList reads a list that has to have items, none of them empty.
func (s Values) RequiredList(name string) ([]string, *wit.Error) {
	if _, err := s.Required(name); err != nil {
		return nil, err
	}
	list, err := s.OptionalList(name)
	if err == nil && len(list) == 0 {
		return nil, Error(name, "Configuration '"+name+"' must not be empty. Valid values include: any non-empty value")
	}
	return list, err
}

// OptionalList reads a list that may have none, none of them empty and none twice, as Kafka's validation of a connector does.
func (s Values) OptionalList(name string) ([]string, *wit.Error) {
	list := s.List(name)
	if err := s.NoDuplicates(name); err != nil {
		return nil, err
	}
	if slices.Contains(list, "") {
		return nil, Error(name, "Configuration '"+name+"' values must not be empty.")
	}
	return list, nil
}

// NoDuplicates refuses lists that have an item twice.
func (s Values) NoDuplicates(names ...string) *wit.Error {
	for _, name := range names {
		list := s.List(name)
		if len(slices.Compact(slices.Sorted(slices.Values(list)))) < len(list) {
			return Error(name, "Configuration '"+name+"' values must not be duplicated.")
		}
	}
	return nil
}

// Pattern reads the regular expression of a setting.
func Pattern(setting, text string) (pattern.Pattern, *wit.Error) {
	p, err := pattern.Compile(text)
	if err != nil {
		return p, Invalid(setting, text, "Invalid regex: "+err.Error())
	}
	return p, nil
}
