package config

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// List cuts a value at its commas, as Kafka does: blanks around items go, an empty value is an empty list.
func List(value string) []string {
	value = strings.TrimSpace(value)
	if value == "" {
		return nil
	}
	items := strings.Split(value, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}

// Boolean reads true, false, 1 and 0 in any case.
func Boolean(value string) (b, ok bool) {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "true", "1":
		return true, true
	case "false", "0":
		return false, true
	}
	return false, false
}

// CheckValue says what is wrong with the value of a setting by its declaration, "" if nothing. A password is never shown; shown
// tells whether other values may be.
func CheckValue(spec *wit.SettingSpec, value string, shown bool) string {
	value = strings.TrimSpace(value)
	found := fmt.Sprintf("found %q", value)
	if !shown || spec.Kind == wit.KindPassword {
		found = "found something else (not shown)"
	}
	if text := checkKind(spec.Kind, value); text != "" {
		return fmt.Sprintf("expected %s%s, %s", text, bounds(spec), found)
	}
	for _, r := range spec.Rules {
		if text := checkRule(r, spec, value); text != "" {
			return fmt.Sprintf("expected %s, %s", text, found)
		}
	}
	return ""
}

func checkKind(kind wit.SettingKind, value string) string {
	var err error
	switch kind {
	case wit.KindShort:
		_, err = strconv.ParseInt(value, 10, 16)
	case wit.KindInt:
		_, err = strconv.ParseInt(value, 10, 32)
	case wit.KindLong:
		_, err = strconv.ParseInt(value, 10, 64)
	case wit.KindDouble:
		_, err = strconv.ParseFloat(value, 64)
	case wit.KindBoolean:
		if _, ok := Boolean(value); !ok {
			return "true or false"
		}
	}
	if err == nil {
		return ""
	}
	return [...]string{wit.KindShort: "a whole number of 16 bits", wit.KindInt: "a whole number of 32 bits",
		wit.KindLong: "a whole number of 64 bits", wit.KindDouble: "a number"}[kind]
}

func checkRule(r wit.Rule, spec *wit.SettingSpec, value string) string {
	n := math.NaN()
	if f, err := strconv.ParseFloat(value, 64); err == nil {
		n = f
	}
	switch {
	case r.Required != nil && value == "":
		return "a value that is not empty"
	case r.Allowed != nil:
		items := []string{value}
		if spec.Kind == wit.KindListOfText {
			items = List(value)
		}
		for _, item := range items {
			if Spelling(spec, item) == "" {
				return "one of " + strings.Join(*r.Allowed, ", ")
			}
		}
	case r.Pattern != nil && value != "":
		re, err := regexp.Compile("^(?:" + *r.Pattern + ")$")
		if err == nil && !re.MatchString(value) {
			return "text that matches " + *r.Pattern
		}
	case r.AtLeast != nil && n < float64(*r.AtLeast), r.AtMost != nil && n > float64(*r.AtMost):
		return "a number" + bounds(spec)
	}
	return ""
}

func bounds(spec *wit.SettingSpec) string {
	var text string
	for _, r := range spec.Rules {
		if r.AtLeast != nil {
			text += fmt.Sprintf(", at least %d", *r.AtLeast)
		}
		if r.AtMost != nil {
			text += fmt.Sprintf(", at most %d", *r.AtMost)
		}
	}
	return text
}

// Spelling is the allowed value that the given one stands for, "" if none; any value stands for itself where there is no list.
// Case does not count, except in what keystores and TLS are told.
func Spelling(spec *wit.SettingSpec, value string) string {
	for _, r := range spec.Rules {
		if r.Allowed == nil {
			continue
		}
		if slices.Contains(*r.Allowed, value) {
			return value
		}
		if strings.HasPrefix(spec.Role(), "tls.") {
			return ""
		}
		for _, a := range *r.Allowed {
			if strings.EqualFold(a, value) {
				return a
			}
		}
		return ""
	}
	return value
}

func required(spec *wit.SettingSpec) bool {
	return slices.ContainsFunc(spec.Rules, func(r wit.Rule) bool { return r.Required != nil })
}
