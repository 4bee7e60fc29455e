package sdk

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// Examine checks settings one by one against their declarations: required ones, kinds, allowed values, ranges. Patterns are left
// to the host: regular expressions are a tenth of a plugin's size. Names with {n} are not instantiated: a plugin that has such
// settings examines them itself.
func Examine(specs []wit.SettingSpec, settings []wit.Setting) []wit.Examined {
	out := make([]wit.Examined, 0, len(specs))
	for _, spec := range specs {
		e := wit.Examined{Spec: spec, Value: spec.DefaultValue, Visible: true}
		given := false
		for _, s := range settings {
			if s.Name == spec.Name || isAlias(&spec, s.Name) {
				e.Value, given = wit.Ptr(s.Value), true
			}
		}
		if e.Value != nil {
			e.Errors = Violations(&spec, *e.Value)
		} else if !given && slices.ContainsFunc(spec.Rules, func(r wit.Rule) bool { return r.Required != nil }) {
			e.Errors = []string{"Missing required configuration \"" + spec.Name + "\" which has no default value."}
		}
		out = append(out, e)
	}
	return out
}

func isAlias(spec *wit.SettingSpec, name string) bool {
	return slices.ContainsFunc(spec.Rules, func(r wit.Rule) bool { return r.Alias != nil && *r.Alias == name })
}

// Violations says what is wrong with a value by a setting's declaration, in Kafka Connect's manner. The value of a password
// setting is never repeated.
func Violations(spec *wit.SettingSpec, value string) []string {
	shown := value
	if spec.Kind == wit.KindPassword {
		shown = "[hidden]"
	}
	invalid := func(why string) string {
		return "Invalid value " + shown + " for configuration " + spec.Name + ": " + why
	}
	number, why := parse(spec.Kind, value)
	if why != "" {
		return []string{invalid(why)}
	}
	var errs []string
	for _, r := range spec.Rules {
		switch {
		case r.Required != nil && strings.TrimSpace(value) == "":
			errs = append(errs, invalid("String must be non-empty"))
		case r.Allowed != nil && !slices.ContainsFunc(*r.Allowed, func(a string) bool { return strings.EqualFold(a, strings.TrimSpace(value)) }):
			errs = append(errs, invalid("String must be one of: "+strings.Join(*r.Allowed, ", ")))
		case r.AtLeast != nil && number < float64(*r.AtLeast):
			errs = append(errs, invalid("Value must be at least "+strconv.FormatInt(*r.AtLeast, 10)))
		case r.AtMost != nil && number > float64(*r.AtMost):
			errs = append(errs, invalid("Value must be no more than "+strconv.FormatInt(*r.AtMost, 10)))
		}
	}
	return errs
}

// parse checks that a value is of a kind; why is empty when it is.
func parse(kind wit.SettingKind, value string) (number float64, why string) {
	value = strings.TrimSpace(value)
	bits := 0
	switch kind {
	case wit.KindShort:
		bits = 16
	case wit.KindInt:
		bits = 32
	case wit.KindLong:
		bits = 64
	case wit.KindDouble:
		f, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, "Not a number of type DOUBLE"
		}
		return f, ""
	case wit.KindBoolean:
		if !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false") {
			return 0, "Expected value to be either true or false"
		}
		return 0, ""
	default:
		return 0, ""
	}
	n, err := strconv.ParseInt(value, 10, bits)
	if err != nil {
		return 0, "Not a number of type " + map[int]string{16: "SHORT", 32: "INT", 64: "LONG"}[bits]
	}
	return float64(n), ""
}
