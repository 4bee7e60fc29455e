package setting

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/wit"
)

// Hidden replaces the values of passwords wherever settings are shown, as in Kafka Connect, and other secrets in what
// the host shows to a plugin or writes to a log.
const Hidden = "[hidden]"

// Check validates values against declarations. The zero Check ignores patterns.
type Check struct {
	Secret bool // whether messages must not show the value, whatever its kind
	// Matches reports whether a regular expression matches the whole text. Nil means that patterns are not checked.
	Matches func(pattern, text string) bool
	// AllowEmpty accepts empty values of required settings, like Kafka's own classes.
	AllowEmpty bool
}

// Value returns the error message for a value, or "". It never contains the value of a password.
func (c Check) Value(key *wit.ConfigKey, value string) string {
	untrimmed := value
	value = Trim(value)
	invalid := func(value, why string) string {
		if c.Secret || key.Kind == wit.KindPassword {
			value = Hidden
		}
		return Invalid(key.Name, value, why)
	}
	if why := kindError(key.Kind, value); why != "" {
		return invalid(untrimmed, why) // Kafka repeats the value untrimmed
	}
	for _, r := range key.Rules {
		switch {
		case r.Required != nil && value == "" && !c.AllowEmpty:
			return invalid(value, "String must be non-empty")
		case r.Allowed != nil:
			items := []string{value}
			if key.Kind == wit.KindList {
				items = ParseList(value)
			}
			for _, item := range items {
				if _, ok := Canonical(key, item); !ok {
					return invalid(item, "String must be one of: "+strings.Join(*r.Allowed, ", "))
				}
			}
		case r.Pattern != nil && value != "" && c.Matches != nil && !c.Matches(*r.Pattern, value):
			return invalid(value, "String must match the regular expression "+*r.Pattern)
		case r.AtLeast != nil && compare(value, *r.AtLeast) < 0:
			return invalid(value, "Value must be at least "+strconv.FormatInt(*r.AtLeast, 10))
		case r.AtMost != nil && compare(value, *r.AtMost) > 0:
			return invalid(value, "Value must be no more than "+strconv.FormatInt(*r.AtMost, 10))
		}
	}
	return ""
}

// maxQuoted is the maximum length in characters of a value in a message.
const maxQuoted = 1_000

// Invalid returns Kafka Connect's message for an invalid value. Values with control characters are quoted, since
// messages go to terminals and logs. A value is shown whole or not at all: the redaction of secrets does not find
// parts.
func Invalid(name, value, why string) string {
	if n := utf8.RuneCountInString(value); n > maxQuoted {
		value = "of " + strconv.Itoa(n) + " characters"
	} else if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		value = strconv.Quote(value)
	}
	return "Invalid value " + value + " for configuration " + name + ": " + why
}

// Missing returns Kafka Connect's message for a missing required setting.
func Missing(name string) string {
	return `Missing required configuration "` + name + `" which has no default value.`
}

// kafkaNames holds Kafka's names of the kinds of numbers.
var kafkaNames = [...]string{wit.KindShort: "SHORT", wit.KindInt: "INT", wit.KindLong: "LONG", wit.KindDouble: "DOUBLE"}

// kindError returns why a value does not have a kind, or "".
func kindError(kind wit.SettingKind, value string) string {
	ok := true
	switch kind {
	case wit.KindShort, wit.KindInt, wit.KindLong:
		_, ok = ParseInt(kind, value)
	case wit.KindDouble:
		_, ok = ParseFloat(value)
	case wit.KindBoolean:
		if _, ok := ParseBool(value); !ok {
			return "Expected value to be either true or false"
		}
	}
	if ok {
		return ""
	}
	return "Not a number of type " + kafkaNames[kind]
}

// Trim is Java's String.trim, which Kafka applies to values.
func Trim(text string) string { return java.Trim(text) }

// ParseInt parses an integer in the range of the kind, of 64 bits for kinds without a range.
func ParseInt(kind wit.SettingKind, value string) (n int64, ok bool) {
	bits := 64
	switch kind {
	case wit.KindShort:
		bits = 16
	case wit.KindInt:
		bits = 32
	}
	n, err := strconv.ParseInt(java.ASCIIDigits(Trim(value)), 10, bits)
	return n, err == nil
}

// ParseFloat parses a value of kind double. It rejects infinities and NaN.
func ParseFloat(value string) (f float64, ok bool) {
	f, err := strconv.ParseFloat(Trim(value), 64)
	return f, err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
}

// ParseBool parses true, false, 1 and 0 in any case.
func ParseBool(value string) (on, ok bool) {
	switch value = Trim(value); {
	case value == "1", strings.EqualFold(value, "true"):
		return true, true
	case value == "0", strings.EqualFold(value, "false"):
		return false, true
	}
	return false, false
}

// ParseList splits a value at its commas like Kafka. Items are trimmed; an empty value is an empty list.
func ParseList(value string) []string {
	value = Trim(value)
	if value == "" {
		return nil
	}
	items := strings.Split(value, ",")
	for i := range items {
		items[i] = strings.Trim(items[i], " \t\n\v\f\r") // the characters of \s
	}
	return items
}

// compare compares a number with a bound. It returns 0 for values that are not numbers.
func compare(value string, bound int64) int {
	if n, ok := ParseInt(wit.KindLong, value); ok {
		return cmp.Compare(n, bound)
	}
	if f, ok := ParseFloat(value); ok {
		return cmp.Compare(f, float64(bound))
	}
	return 0
}

// Canonical returns the allowed value that equals value, ignoring case except for key stores and TLS. ok is false if
// no allowed value equals it. Without a list of allowed values it returns value.
func Canonical(key *wit.ConfigKey, value string) (canonical string, ok bool) {
	for _, r := range key.Rules {
		if r.Allowed == nil {
			continue
		}
		if slices.Contains(*r.Allowed, value) {
			return value, true
		}
		if strings.HasPrefix(key.Role(), "tls.") {
			return "", false
		}
		for _, a := range *r.Allowed {
			if strings.EqualFold(a, value) {
				return a, true
			}
		}
		return "", false
	}
	return value, true
}
