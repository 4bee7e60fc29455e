package chain

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// fail makes a fault of kind config.
func fail(setting, message string) *wit.Error {
	f := &wit.Error{Kind: wit.ErrorConfig, Message: message}
	if setting != "" {
		f.Setting = &setting
	}
	return f
}

func invalid(name, value, why string) *wit.Error {
	return fail(name, setting.Invalid(name, value, why))
}

// settings reads values as Kafka's ConfigDef does.
type settings struct{ given []wit.Setting }

// find returns a setting; of one that is there twice the last counts.
func (s settings) find(name string) (string, bool) { return noDefaults.Values(s.given).Lookup(name) }

// noDefaults declares nothing: the components know their defaults.
var noDefaults setting.Table

// needed returns a setting without a default.
func (s settings) needed(name string) (string, *wit.Error) {
	text, ok := s.find(name)
	if !ok {
		return "", fail(name, setting.Missing(name))
	}
	return text, nil
}

// boolean reads a flag. Of 1 and 0, which our own settings take, Kafka's classes take none.
func (s settings) boolean(name string, byDefault bool) (bool, *wit.Error) {
	text, ok := s.find(name)
	if !ok {
		return byDefault, nil
	}
	switch {
	case strings.EqualFold(text, "true"):
		return true, nil
	case strings.EqualFold(text, "false"):
		return false, nil
	}
	return false, invalid(name, s.asGiven(name), "Expected value to be either true or false")
}

// asGiven is a setting with the blanks around it, which Kafka repeats where it is of another type than expected.
func (s settings) asGiven(name string) string {
	for _, one := range slices.Backward(s.given) {
		if one.Name == name {
			return one.Value
		}
	}
	return ""
}

// list reads texts between commas, without the blanks around them.
func (s settings) list(name string) []string {
	text, _ := s.find(name)
	return setting.List(text)
}

// spec declares a setting with a default, or of type text without a value.
func spec(name string, kind wit.SettingKind, value *string, doc string) wit.ConfigKey {
	return setting.Define(name, kind, wit.Medium, value, doc)
}

// needs declares a setting of type text without a default.
func needs(name string, importance wit.Importance, doc string) wit.ConfigKey {
	return setting.Define(name, wit.KindString, importance, nil, doc, setting.Required())
}

// needsList declares a setting of type list without a default.
func needsList(name, doc string) wit.ConfigKey {
	s := needs(name, wit.High, doc)
	s.Kind = wit.KindList
	return s
}

var replaceNullSpec = spec("replace.null.with.default", wit.KindBoolean, wit.Ptr("true"),
	"Whether to replace fields that have a default value and that are null to the default value. When set to true, "+
		"the default value is used, otherwise null is used.")

// distinct reads a list that has to have items, none of them empty.
func (s settings) distinct(name string) ([]string, *wit.Error) {
	if _, err := s.needed(name); err != nil {
		return nil, err
	}
	list, err := s.items(name)
	if err == nil && len(list) == 0 {
		return nil, fail(name, "Configuration '"+name+"' must not be empty. Valid values include: any non-empty value")
	}
	return list, err
}

// items reads a list that may have none, none of them empty and none twice, as Kafka's validation of a connector does.
func (s settings) items(name string) ([]string, *wit.Error) {
	list := s.list(name)
	if err := s.once(name); err != nil {
		return nil, err
	}
	if slices.Contains(list, "") {
		return nil, fail(name, "Configuration '"+name+"' values must not be empty.")
	}
	return list, nil
}

// once refuses lists that have an item twice.
func (s settings) once(names ...string) *wit.Error {
	for _, name := range names {
		list := s.list(name)
		if len(slices.Compact(slices.Sorted(slices.Values(list)))) < len(list) {
			return fail(name, "Configuration '"+name+"' values must not be duplicated.")
		}
	}
	return nil
}
