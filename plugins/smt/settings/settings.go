package settings

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Values are the settings of a transform or predicate, read as Kafka's ConfigDef does.
type Values []wit.Setting

// Find returns the value of a setting. If it is set twice, the last value counts.
func (v Values) Find(name string) (string, bool) { return noDefaults.Values(v).Lookup(name) }

// Required returns the value of a setting without default.
func (v Values) Required(name string) (string, *wit.Error) {
	value, ok := v.Find(name)
	if !ok {
		return "", Error(name, setting.Missing(name))
	}
	return value, nil
}

// Bool reads true or false. Unlike Culvert's own settings, Kafka's reject 1 and 0.
func (v Values) Bool(name string, defaultValue bool) (bool, *wit.Error) {
	value, ok := v.Find(name)
	if !ok {
		return defaultValue, nil
	}
	switch {
	case strings.EqualFold(value, "true"):
		return true, nil
	case strings.EqualFold(value, "false"):
		return false, nil
	}
	return false, Invalid(name, v.Raw(name), "Expected value to be either true or false")
}

// Raw returns a setting with surrounding blanks, as Kafka quotes it in messages.
func (v Values) Raw(name string) string {
	for _, s := range slices.Backward(v) {
		if s.Name == name {
			return s.Value
		}
	}
	return ""
}

// List reads a list, which may have empty items.
func (v Values) List(name string) []string {
	value, _ := v.Find(name)
	return setting.ParseList(value)
}

// RequiredList reads a list with at least one item, like OptionalList.
func (v Values) RequiredList(name string) ([]string, *wit.Error) {
	if _, err := v.Required(name); err != nil {
		return nil, err
	}
	list, err := v.OptionalList(name)
	if err == nil && len(list) == 0 {
		return nil, Error(name, "Configuration '"+name+"' must not be empty. Valid values include: any non-empty value")
	}
	return list, err
}

// OptionalList reads a list without empty and duplicate items.
func (v Values) OptionalList(name string) ([]string, *wit.Error) {
	list := v.List(name)
	if err := v.NoDuplicates(name); err != nil {
		return nil, err
	}
	if slices.Contains(list, "") {
		return nil, Error(name, "Configuration '"+name+"' values must not be empty.")
	}
	return list, nil
}

// NoDuplicates rejects lists that contain an item twice.
func (v Values) NoDuplicates(names ...string) *wit.Error {
	for _, name := range names {
		list := v.List(name)
		if len(slices.Compact(slices.Sorted(slices.Values(list)))) < len(list) {
			return Error(name, "Configuration '"+name+"' values must not be duplicated.")
		}
	}
	return nil
}

// Pattern compiles the regular expression of a setting.
func Pattern(setting, text string) (pattern.Pattern, *wit.Error) {
	p, err := pattern.Compile(text)
	if err != nil {
		return p, Invalid(setting, text, "Invalid regex: "+err.Error())
	}
	return p, nil
}

// Key declares an optional setting.
func Key(name string, kind wit.SettingKind, value *string, doc string) wit.ConfigKey {
	return setting.Define(name, kind, wit.Medium, value, doc)
}

// RequiredKey declares a required setting of type string.
func RequiredKey(name string, importance wit.Importance, doc string) wit.ConfigKey {
	return setting.Define(name, wit.KindString, importance, nil, doc, setting.Required())
}

// RequiredListKey declares a required setting of type list.
func RequiredListKey(name, doc string) wit.ConfigKey {
	s := RequiredKey(name, wit.High, doc)
	s.Kind = wit.KindList
	return s
}

// ReplaceNull is a setting that most transforms share.
var ReplaceNull = Key("replace.null.with.default", wit.KindBoolean, wit.Ptr("true"),
	"Whether to replace fields that have a default value and that are null to the default value. When set to true, "+
		"the default value is used, otherwise null is used.")

// Error returns a configuration error of a setting, of no single one if setting is "".
func Error(setting, message string) *wit.Error {
	failure := &wit.Error{Kind: wit.ErrorConfig, Message: message}
	if setting != "" {
		failure.Setting = &setting
	}
	return failure
}

// Invalid returns the error of an invalid value, with Kafka's message.
func Invalid(name, value, reason string) *wit.Error {
	return Error(name, setting.Invalid(name, value, reason))
}

var noDefaults setting.Table
