package setting

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/java"
)

// Hidden stands for the values of passwords wherever settings are shown, as in Kafka Connect, and for other secrets in
// what the host shows to a plugin or a log.
const Hidden = "[hidden]"

// Check checks values by their declarations. The zero Check leaves patterns out.
type Check struct {
	// Secret: the value must not be shown, whatever its kind.
	Secret bool
	// Matches tells whether a text matches a regular expression from end to end; nil: patterns are not checked.
	Matches func(pattern, text string) bool
	// Empty: what is required may be empty where it is given, as for Kafka's own classes.
	Empty bool
}

// Value says what is wrong with a value, "" if nothing: first its kind, then the first rule that it breaks. The value
// of a password is never repeated.
func (c Check) Value(spec *wit.ConfigKey, value string) string {
	given := value
	value = Trim(value)
	invalid := func(value, why string) string {
		if c.Secret || spec.Kind == wit.KindPassword {
			value = Hidden
		}
		return Invalid(spec.Name, value, why)
	}
	if why := notOfKind(spec.Kind, value); why != "" {
		return invalid(given, why) // Kafka repeats it with its blanks
	}
	for _, r := range spec.Rules {
		switch {
		case r.Required != nil && value == "" && !c.Empty:
			return invalid(value, "String must be non-empty")
		case r.Allowed != nil:
			items := []string{value}
			if spec.Kind == wit.KindList {
				items = List(value)
			}
			for _, item := range items {
				if _, ok := Spelling(spec, item); !ok {
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

// maxQuoted is how many characters a value may have to be shown: in a longer one nobody would find the mistake.
const maxQuoted = 1_000

// Invalid is Kafka Connect's wording for a value that a setting does not take. Values with control characters are
// quoted, since messages go to terminals and logs. A part of a value is never shown: whoever looks for secrets in texts
// would not find it.
func Invalid(name, value, why string) string {
	if n := utf8.RuneCountInString(value); n > maxQuoted {
		value = "of " + strconv.Itoa(n) + " characters"
	} else if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		value = strconv.Quote(value)
	}
	return "Invalid value " + value + " for configuration " + name + ": " + why
}

// Missing is Kafka Connect's wording for a required setting that is not given.
func Missing(name string) string {
	return `Missing required configuration "` + name + `" which has no default value.`
}

// kafkaNames are Kafka's for the kinds of numbers.
var kafkaNames = [...]string{wit.KindShort: "SHORT", wit.KindInt: "INT", wit.KindLong: "LONG", wit.KindDouble: "DOUBLE"}

// notOfKind says why a value is not of a kind, "" if it is.
func notOfKind(kind wit.SettingKind, value string) string {
	ok := true
	switch kind {
	case wit.KindShort, wit.KindInt, wit.KindLong:
		_, ok = Integer(kind, value)
	case wit.KindDouble:
		_, ok = Decimal(value)
	case wit.KindBoolean:
		if _, ok := Flag(value); !ok {
			return "Expected value to be either true or false"
		}
	}
	if ok {
		return ""
	}
	return "Not a number of type " + kafkaNames[kind]
}

// Trim is Java's String.trim, by which Kafka takes values.
func Trim(text string) string { return java.Trim(text) }

// Integer reads a whole number of the size that the kind has, of 64 bits where it has none.
func Integer(kind wit.SettingKind, value string) (n int64, ok bool) {
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

// Decimal reads a value of kind double. Infinities and NaN are none: no bound holds for them.
func Decimal(value string) (f float64, ok bool) {
	f, err := strconv.ParseFloat(Trim(value), 64)
	return f, err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
}

// Flag reads true, false, 1 and 0 in any case.
func Flag(value string) (on, ok bool) {
	switch value = Trim(value); {
	case value == "1", strings.EqualFold(value, "true"):
		return true, true
	case value == "0", strings.EqualFold(value, "false"):
		return false, true
	}
	return false, false
}

// List cuts a value at its commas, as Kafka does: blanks around items go, an empty value is an empty list.
func List(value string) []string {
	value = Trim(value)
	if value == "" {
		return nil
	}
	items := strings.Split(value, ",")
	for i := range items {
		items[i] = strings.Trim(items[i], " \t\n\v\f\r") // what \s is
	}
	return items
}

// compare compares a number with a bound; what is no number breaks none.
func compare(value string, bound int64) int {
	if n, ok := Integer(wit.KindLong, value); ok {
		return cmp.Compare(n, bound)
	}
	if f, ok := Decimal(value); ok {
		return cmp.Compare(f, float64(bound))
	}
	return 0
}

// Spelling is the allowed value that the given one stands for; any value stands for itself where there is no list. Case
// does not count, except in what is for key stores and TLS.
func Spelling(spec *wit.ConfigKey, value string) (string, bool) {
	for _, r := range spec.Rules {
		if r.Allowed == nil {
			continue
		}
		if slices.Contains(*r.Allowed, value) {
			return value, true
		}
		if strings.HasPrefix(spec.Role(), "tls.") {
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
