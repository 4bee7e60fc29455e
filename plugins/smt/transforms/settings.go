package transforms

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Settings are the settings of a transform or predicate, read as Kafka's ConfigDef does.
type Settings []wit.Setting

// Find returns the value of a setting. If it is set twice, the last value counts.
func (s Settings) Find(name string) (string, bool) { return noDefaults.Values(s).Lookup(name) }

// Required returns the value of a setting without default.
func (s Settings) Required(name string) (string, *wit.Error) {
	value, ok := s.Find(name)
	if !ok {
		return "", settingError(name, setting.Missing(name))
	}
	return value, nil
}

// Bool reads true or false. Unlike Culvert's own settings, Kafka's reject 1 and 0.
func (s Settings) Bool(name string, defaultValue bool) (bool, *wit.Error) {
	value, ok := s.Find(name)
	if !ok {
		return defaultValue, nil
	}
	switch {
	case strings.EqualFold(value, "true"):
		return true, nil
	case strings.EqualFold(value, "false"):
		return false, nil
	}
	return false, invalidSetting(name, s.Raw(name), "Expected value to be either true or false")
}

// Raw returns a setting with surrounding blanks, as Kafka quotes it in messages.
func (s Settings) Raw(name string) string {
	for _, item := range slices.Backward(s) {
		if item.Name == name {
			return item.Value
		}
	}
	return ""
}

// List reads a list, which may have empty items.
func (s Settings) List(name string) []string {
	value, _ := s.Find(name)
	return setting.ParseList(value)
}

// RequiredList reads a list with at least one item, like OptionalList.
func (s Settings) RequiredList(name string) ([]string, *wit.Error) {
	if _, err := s.Required(name); err != nil {
		return nil, err
	}
	list, err := s.OptionalList(name)
	if err == nil && len(list) == 0 {
		return nil, settingError(name,
			"Configuration '"+name+"' must not be empty. Valid values include: any non-empty value")
	}
	return list, err
}

// OptionalList reads a list without empty and duplicate items.
func (s Settings) OptionalList(name string) ([]string, *wit.Error) {
	list := s.List(name)
	if err := s.NoDuplicates(name); err != nil {
		return nil, err
	}
	if slices.Contains(list, "") {
		return nil, settingError(name, "Configuration '"+name+"' values must not be empty.")
	}
	return list, nil
}

// NoDuplicates rejects lists that contain an item twice.
func (s Settings) NoDuplicates(names ...string) *wit.Error {
	for _, name := range names {
		list := s.List(name)
		if len(slices.Compact(slices.Sorted(slices.Values(list)))) < len(list) {
			return settingError(name, "Configuration '"+name+"' values must not be duplicated.")
		}
	}
	return nil
}

// compilePattern compiles the regular expression of a setting.
func compilePattern(name, text string) (pattern.Pattern, *wit.Error) {
	p, err := pattern.Compile(text)
	if err != nil {
		return p, invalidSetting(name, text, "Invalid regex: "+err.Error())
	}
	return p, nil
}

// optionalKey declares an optional setting.
func optionalKey(name string, kind wit.SettingKind, value *string, doc string) wit.ConfigKey {
	return setting.Define(name, kind, wit.Medium, value, doc)
}

// requiredKey declares a required setting of type string.
func requiredKey(name string, importance wit.Importance, doc string) wit.ConfigKey {
	return setting.Define(name, wit.KindString, importance, nil, doc, setting.Required())
}

// requiredListKey declares a required setting of type list.
func requiredListKey(name, doc string) wit.ConfigKey {
	s := requiredKey(name, wit.High, doc)
	s.Kind = wit.KindList
	return s
}

// replaceNullKey is a setting that most transforms share.
var replaceNullKey = optionalKey("replace.null.with.default", wit.KindBoolean, wit.Ptr("true"),
	"Whether to replace fields that have a default value and that are null to the default value. When set to true, "+
		"the default value is used, otherwise null is used.")

// settingError returns a configuration error of a setting, of no single one if name is "".
func settingError(name, message string) *wit.Error {
	failure := &wit.Error{Kind: wit.ErrorConfig, Message: message}
	if name != "" {
		failure.Setting = &name
	}
	return failure
}

// invalidSetting returns the error of an invalid value, with Kafka's message.
func invalidSetting(name, value, reason string) *wit.Error {
	return settingError(name, setting.Invalid(name, value, reason))
}

// noDefaults has no declarations, so its values are those that are set.
var noDefaults setting.Table
