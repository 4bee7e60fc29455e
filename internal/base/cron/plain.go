package cron

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// cronField describes a field of a Quartz cron expression.
type cronField struct {
	name  string
	first int
	last  int
	// names of the values from first on, if any.
	names    []string
	expected string
}

var cronFields = []cronField{
	{name: "second", first: 0, last: 59, expected: "0 to 59"},
	{name: "minute", first: 0, last: 59, expected: "0 to 59"},
	{name: "hour", first: 0, last: 23, expected: "0 to 23"},
	{name: "day of the month", first: 1, last: 31, expected: "1 to 31, L or L-1 to L-30"},
	{name: "month", first: 1, last: 12, expected: "1 to 12 or JAN to DEC",
		names: []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}},
	{name: "weekday", first: 1, last: 7, expected: "1 (Sunday) to 7 or SUN to SAT", names: []string{"SUN", "MON", "TUE",
		"WED", "THU", "FRI", "SAT"}},
	{name: "year", first: 1970, last: 2199, expected: "1970 to 2199"},
}

const (
	hourField    = 2
	dayField     = 3
	weekdayField = 5
	yearField    = 6
)

// normalize rewrites an expression for package quartz, which misreads some syntax: wrapping ranges (SAT-SUN, 22-2)
// and steps without a start become lists. Errors name the field and what it may contain.
func normalize(fields []string) (string, error) {
	expression := strings.Join(fields, " ")
	if len(fields) == 1 && strings.HasPrefix(expression, "@") {
		return expression, nil // @daily and the like
	}
	if len(fields) < 6 || len(fields) > 7 {
		return "", fmt.Errorf("expected six fields (second minute hour day-of-month month weekday) or seven "+
			"with a year, found %d in %q", len(fields), expression)
	}
	if !isAny(fields[dayField]) && !isAny(fields[weekdayField]) {
		return "", fmt.Errorf("expected ? as day of the month or as weekday, since only one of them may "+
			"be set, found %s and %s in %q", fields[dayField], fields[weekdayField], expression)
	}
	plain := make([]string, len(fields))
	for i, field := range fields {
		items := strings.Split(field, ",")
		for n, item := range items {
			normalized, err := normalizeItem(i, strings.ToUpper(item), len(items) == 1)
			if err != nil {
				return "", fmt.Errorf("%s: %w in %q", cronFields[i].name, err, expression)
			}
			items[n] = normalized
		}
		plain[i] = strings.Join(items, ",")
	}
	return strings.Join(plain, " "), nil
}

// startsEveryHour reports whether a normalized expression has a start in every hour of the days that it selects.
func startsEveryHour(plain string) bool {
	if strings.HasPrefix(plain, "@") {
		return plain == "@hourly"
	}
	field := strings.Fields(plain)[hourField]
	hours := strings.Split(field, ",")
	slices.Sort(hours)
	return field == "*" || field == "*/1" || len(slices.Compact(hours)) == 24
}

func isAny(field string) bool { return field == "?" || field == "*" }

// normalizeItem rewrites an item of the list in a field. isAlone means that the list has no other item.
func normalizeItem(place int, item string, isAlone bool) (string, error) {
	field := &cronFields[place]
	isDay := place == dayField && strings.ContainsAny(item, "LW")
	isWeekday := place == weekdayField && (strings.HasSuffix(item, "L") || strings.Contains(item, "#"))
	switch {
	case (isAny(item) || isDay || isWeekday) && !isAlone:
		return "", fmt.Errorf("expected %q alone", item)
	case isAny(item):
		return item, nil
	case isDay:
		return item, field.checkDay(item)
	case isWeekday:
		return item, field.checkWeekday(item)
	}
	span, step, hasStep := strings.Cut(item, "/")
	increment := 1
	if hasStep {
		n, err := strconv.Atoi(step)
		if maxStep := field.last - field.first; err != nil || n < 1 || n > maxStep {
			return "", fmt.Errorf("expected a step of 1 to %d, found %q", maxStep, step)
		}
		increment = n
	}
	if span == "*" || (span == "" && hasStep) {
		return "*/" + strconv.Itoa(increment), nil
	}
	from, to, isRange := strings.Cut(span, "-")
	first, err := field.value(from)
	if err != nil {
		return "", err
	}
	last := first
	if isRange {
		if last, err = field.value(to); err != nil {
			return "", err
		}
	} else if hasStep {
		last = field.last
	}
	if last < first && place == yearField {
		return "", fmt.Errorf("expected the earlier year first, found %q", item)
	}
	if last < first {
		last += field.last - field.first + 1 // the range wraps
	}
	var values []int
	for v := first; v <= last; v += increment {
		if v > field.last {
			values = append(values, v-(field.last-field.first+1))
		} else {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = strconv.Itoa(v)
	}
	return strings.Join(texts, ","), nil
}

// value parses a number or name in a field.
func (f *cronField) value(text string) (int, error) {
	if i := slices.Index(f.names, text); i >= 0 {
		return f.first + i, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < f.first || n > f.last || text[0] == '+' {
		return 0, fmt.Errorf("expected %s, found %q", f.expected, text)
	}
	return n, nil
}

// checkDay validates L and L-1 to L-30. W is rejected: package quartz misses a start on the day of the call, so that a
// maintenance window would not begin.
func (f *cronField) checkDay(item string) error {
	if strings.Contains(item, "W") {
		return fmt.Errorf("the nearest working day (W) is not supported: expected %s, found %q", f.expected, item)
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(item, "L-")); item != "L" && (err != nil || n < 1 || n > 30) {
		return fmt.Errorf("expected %s, found %q", f.expected, item)
	}
	return nil
}

// checkWeekday validates L, and a weekday with L (the last one of the month) or # and a number from 1 to 5.
func (f *cronField) checkWeekday(item string) error {
	if item == "L" {
		return nil
	}
	day, nth, hasNumber := strings.Cut(item, "#")
	if !hasNumber {
		day = strings.TrimSuffix(item, "L")
	}
	if _, err := f.value(day); err != nil {
		return err
	}
	if n, err := strconv.Atoi(nth); hasNumber && (err != nil || n < 1 || n > 5) {
		return fmt.Errorf("expected 1 to 5 after #, found %q", nth)
	}
	return nil
}
