package value

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
)

// date returns the text of an Edm.Date. ok is false for a value with a time of day other than midnight, and for a text
// with an offset from UTC: its day there may be another one than in UTC.
func date(value any, node *wit.SchemaNode) (text string, ok bool) {
	millis, ticks, ok := instant(value, node)
	if written, isText := value.(string); isText {
		var local datetime.DateTime
		ok = ok && local.Parse([]byte(written)) && local.Offset == 0
	}
	if !ok || ticks != 0 || millis%datetime.MsPerDay != 0 {
		return "", false
	}
	text, ok = formatISO(millis, 0, false)
	return strings.TrimSuffix(text, "T00:00:00"), ok
}

// clock returns a duration such as PT12H30M as an Edm.TimeOfDay. ok is false for a duration that is not valid.
func clock(duration string, isValid bool) (text string, ok bool) {
	ticks, isTime := durationTicks(duration)
	if !isValid || !isTime {
		return "", false
	}
	iso := appendISO(nil, ticks/datetime.TicksPerMilli, ticks%datetime.TicksPerMilli, false)
	return string(iso[len(clockDate):]), true
}

var toBase64URL = strings.NewReplacer("+", "-", "/", "_")

// base64URL returns base64 in the alphabet of URLs without padding, as in the examples of OData JSON Format 4.0.
func base64URL(text string) string { return strings.TrimRight(toBase64URL.Replace(text), "=") }

// decodeBinary decodes base64 of either alphabet, whose padding may be missing.
func decodeBinary(text string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(base64URL(text))
}

// duration is the length of an Edm.Duration.
type duration struct {
	sign     int    // -1, 0 or 1
	seconds  int64  // without the sign
	fraction string // digits of a second, without zeros at the end
}

// compare orders durations by their length.
func (d duration) compare(other duration) int {
	if order := cmp.Compare(d.sign, other.sign); order != 0 {
		return order
	}
	return d.sign * cmp.Or(cmp.Compare(d.seconds, other.seconds), strings.Compare(d.fraction, other.fraction))
}

// parseDuration reads days, hours, minutes and seconds, as in -P1DT12H30M0.5S.
func parseDuration(text string) (d duration, isValid bool) {
	unsigned, ok := strings.CutPrefix(strings.TrimPrefix(text, "-"), "P")
	days, clock, hasClock := strings.Cut(unsigned, "T")
	if !ok || (days == "" && !hasClock) || (hasClock && clock == "") {
		return d, false
	}
	for _, unit := range []struct {
		name    string
		seconds int64
		text    *string // a part of the duration; the number and the unit are cut off
	}{{"D", 86_400, &days}, {"H", 3600, &clock}, {"M", 60, &clock}, {"S", 1, &clock}} {
		number, remaining, hasUnit := strings.Cut(*unit.text, unit.name)
		if !hasUnit {
			continue
		}
		*unit.text = remaining
		if unit.name == "S" {
			var hasFraction bool
			number, d.fraction, hasFraction = strings.Cut(number, ".")
			if hasFraction && (d.fraction == "" || strings.Trim(d.fraction, "0123456789") != "") {
				return d, false
			}
			d.fraction = strings.TrimRight(d.fraction, "0")
		}
		n, err := strconv.ParseUint(number, 10, 40) // 35,000 years in seconds
		if err != nil {
			return d, false
		}
		d.seconds += int64(n) * unit.seconds
	}
	if d.seconds > 0 || d.fraction != "" {
		d.sign = 1
		if text[0] == '-' {
			d.sign = -1
		}
	}
	return d, days == "" && clock == ""
}

// enumMembers returns the members in a text, with commas between them. ok is false for unknown members, and for several
// unless the type has flags. Nil means that the members are not known, so all are accepted.
func enumMembers(enum *edm.EnumType, text string) (members string, ok bool) {
	if enum == nil {
		return text, text != ""
	}
	names := memberNames(text)
	isUnknown := func(name string) bool { return !slices.Contains(enum.Members, name) }
	if len(names) > len(enum.Members) || (len(names) > 1 && !enum.Flags) || slices.ContainsFunc(names, isUnknown) {
		return "", false
	}
	return strings.Join(names, ","), true
}

// memberNames returns the members in a text without the blanks around them.
func memberNames(text string) []string {
	names := strings.Split(text, ",")
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	return names
}

// compareMembers orders texts by their sorted members: services write flags in any order.
func compareMembers(left, right string) int {
	members := memberNames(left)
	others := memberNames(right)
	slices.Sort(members)
	slices.Sort(others)
	return slices.Compare(members, others)
}

// enumForms describes the texts that [Literal] accepts for an enumeration.
func enumForms(typ *edm.Type) string {
	if typ.Enum == nil {
		return "a member of " + typ.Name
	}
	const shownMembers = 20
	names := strings.Join(typ.Enum.Members[:min(len(typ.Enum.Members), shownMembers)], ", ")
	if len(typ.Enum.Members) > shownMembers {
		names += " and others"
	}
	if typ.Enum.Flags {
		return "members of " + typ.Name + " with commas between them: " + names
	}
	return "a member of " + typ.Name + ": " + names
}
