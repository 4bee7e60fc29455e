// Package cron computes times from Quartz cron expressions, for maintenance windows and polling.
package cron

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // systems may have no time zones
	"unicode"
)

// Schedule is a cron expression in a time zone. It is immutable.
//
// Besides the values of a field, values has days that depend on the month. Day 0 is the last day of the month, -3 is
// three days before it, and workday+d is the working day nearest to day d. Weekday 36 is the third Friday (number 6) of
// the month, 66 the last Friday.
type Schedule struct {
	values [len(fields)]map[int]bool
	zone   *time.Location
}

const workday, nthWeek, lastWeek = 100, 10, 60

const secondField, minuteField, hourField, dayField, monthField, weekdayField, yearField = 0, 1, 2, 3, 4, 5, 6

// fields describes the fields of an expression: their values, and the names of values from the first one on, if any.
var fields = [...]struct {
	name     string
	first    int
	last     int
	expected string
	names    []string
}{
	{name: "second", last: 59, expected: "0 to 59"},
	{name: "minute", last: 59, expected: "0 to 59"},
	{name: "hour", last: 23, expected: "0 to 23"},
	{name: "day of the month", first: 1, last: 31, expected: "1 to 31, L, L-1 to L-30, or W after one of these"},
	{name: "month", first: 1, last: 12, expected: "1 to 12 or JAN to DEC",
		names: strings.Fields("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC")},
	{name: "weekday", first: 1, last: 7, expected: "1 (Sunday) to 7 or SUN to SAT",
		names: strings.Fields("SUN MON TUE WED THU FRI SAT")},
	{name: "year", first: 1970, last: 2099, expected: "1970 to 2099"},
}

// endOfYears is later than all starts in all time zones.
var endOfYears = time.Date(2101, 1, 1, 0, 0, 0, 0, time.UTC)

// macros are short forms that Quartz does not have.
var macros = strings.NewReplacer("@yearly", "0 0 0 1 1 ?", "@monthly", "0 0 0 1 * ?", "@weekly", "0 0 0 ? * SUN",
	"@daily", "0 0 0 * * ?", "@hourly", "0 0 * * * ?")

// Parse reads an expression: second, minute, hour, day of month, month, weekday, optionally a year, and optionally a
// time zone (default UTC). An expression without any start is an error.
func Parse(expression string) (*Schedule, error) {
	s := &Schedule{zone: time.UTC}
	texts := strings.Fields(macros.Replace(expression))
	if last := len(texts) - 1; last >= yearField && strings.ContainsFunc(texts[last], unicode.IsLetter) {
		zone, err := time.LoadLocation(texts[last])
		if err != nil || texts[last] == "Local" {
			return nil, fmt.Errorf("expected the name of a time zone such as Europe/Berlin, found %q in %q",
				texts[last], expression)
		}
		s.zone = zone
		texts = texts[:last]
	}
	if len(texts) < yearField || len(texts) > len(fields) {
		return nil, fmt.Errorf("expected six fields (second minute hour day-of-month month weekday) or seven with a "+
			"year, found %d in %q", len(texts), expression)
	}
	for i, list := range append(texts, "*")[:len(fields)] { // without a year, all years
		s.values[i] = map[int]bool{}
		for item := range strings.SplitSeq(strings.ToUpper(list), ",") {
			if err := s.add(i, item); err != nil {
				return nil, fmt.Errorf("%s: %w in %q", fields[i].name, err, expression)
			}
		}
	}
	if len(s.values[dayField]) < 31 && len(s.values[weekdayField]) < 7 {
		return nil, fmt.Errorf("expected ? as day of the month or as weekday, since only one of them may be set, "+
			"found %s and %s in %q", texts[dayField], texts[weekdayField], expression)
	}
	if _, ok := s.Next(time.Unix(0, 0).AddDate(0, 0, -2)); !ok { // before 1970 in all time zones
		return nil, fmt.Errorf("expected a time that exists from 1970 to 2099, found none in %q", expression)
	}
	return s, nil
}

// add adds the values of an item of the list in the field with the index place.
func (s *Schedule) add(place int, item string) (err error) {
	f := &fields[place]
	values := s.values[place]
	number := func(text string, first, last int, expected string) int {
		n, invalid := strconv.ParseUint(text, 10, 16)
		if err == nil && (invalid != nil || int(n) < first || int(n) > last) {
			err = fmt.Errorf("expected %s, found %q", expected, text)
		}
		return int(n)
	}
	value := func(text string) int {
		if i := slices.Index(f.names, text); i >= 0 {
			return f.first + i
		}
		return number(text, f.first, f.last, f.expected)
	}
	// L, W and # select days by the month, except L alone as the weekday.
	switch {
	case place == dayField && strings.ContainsAny(item, "LW"):
		target, ok := strings.CutSuffix(item, "W")
		day := 0
		if ok {
			day = workday
		}
		if offset, ok := strings.CutPrefix(target, "L-"); ok {
			day -= number(offset, 0, 30, "0 to 30 after L-")
		} else if target != "L" {
			day += value(target)
		}
		values[day] = true
		return err
	case place == weekdayField && item == "L": // Saturday
		item = "7"
	case place == weekdayField && strings.HasSuffix(item, "L"):
		values[lastWeek+value(strings.TrimSuffix(item, "L"))] = true
		return err
	case place == weekdayField && strings.Contains(item, "#"):
		day, week, _ := strings.Cut(item, "#")
		values[value(day)+number(week, 1, 5, "1 to 5 after #")*nthWeek] = true
		return err
	}
	// All other items are a value or a range, with or without a step.
	span, step, hasStep := strings.Cut(item, "/")
	from, to, isRange := strings.Cut(span, "-")
	first := f.first
	last := f.last
	if span != "*" && span != "?" && (span != "" || !hasStep) {
		first = value(from)
		if isRange {
			last = value(to)
		} else if !hasStep {
			last = first
		}
	}
	increment := 1
	if hasStep {
		increment = number(step, 1, f.last, fmt.Sprint("a step of 1 to ", f.last))
	}
	count := f.last - f.first + 1
	if last < first && place != yearField {
		last += count // the range wraps
	}
	for v := first; v <= last && err == nil; v += increment {
		values[f.first+(v-f.first)%count] = true
	}
	return err
}

// Next returns the first start after a time, if any. Local times that clocks skip have no start. Of local times that
// clocks repeat, only the second has one, unless the expression has starts in all hours.
func (s *Schedule) Next(after time.Time) (start time.Time, ok bool) {
	for from := after.Truncate(time.Second).Add(time.Second); from.Before(endOfYears); { // up to a change of clocks
		name, offset := from.In(s.zone).Zone()
		_, end := from.In(s.zone).ZoneBounds()
		if end.IsZero() {
			end = endOfYears
		} else if !end.After(from) { // package time gives each year 365 days here
			end = from.Add(24 * time.Hour)
		}
		limit := end
		if _, nextOffset := end.In(s.zone).Zone(); nextOffset < offset && len(s.values[hourField]) < 24 {
			limit = end.Add(time.Duration(nextOffset-offset) * time.Second)
		}
		if start = s.find(from.In(time.FixedZone(name, offset)), limit); start.Before(limit) {
			return start, true
		}
		from = end
	}
	return time.Time{}, false
}

// find returns the first start from t on, in the location of t, or a time that is not before the limit.
func (s *Schedule) find(t, limit time.Time) time.Time {
	for t.Before(limit) {
		year, month, day := t.Date()
		switch {
		case !s.values[yearField][year]:
			t = time.Date(year+1, 1, 1, 0, 0, 0, 0, t.Location())
		case !s.values[monthField][int(month)]:
			t = time.Date(year, month+1, 1, 0, 0, 0, 0, t.Location())
		case !s.hasDay(t):
			t = time.Date(year, month, day+1, 0, 0, 0, 0, t.Location())
		case !s.values[hourField][t.Hour()]:
			t = time.Date(year, month, day, t.Hour()+1, 0, 0, 0, t.Location())
		case !s.values[minuteField][t.Minute()]:
			t = time.Date(year, month, day, t.Hour(), t.Minute()+1, 0, 0, t.Location())
		case !s.values[secondField][t.Second()]:
			t = t.Add(time.Second)
		default:
			return t
		}
	}
	return t
}

// hasDay reports whether the day of t is one of the expression's days.
func (s *Schedule) hasDay(t time.Time) bool {
	day := t.Day()
	last := t.AddDate(0, 1, -day).Day()
	weekday := int(t.Weekday()) + 1
	week := (day + 6) / 7 // how often the weekday has occurred in the month
	isInLastWeek := day+7 > last
	weekdays := s.values[weekdayField]
	if !weekdays[weekday] && !weekdays[weekday+week*nthWeek] && !(weekdays[weekday+lastWeek] && isInLastWeek) {
		return false
	}
	// has reports whether a day of a kind, 0 or workday, is in the expression: from the start or the end of the month.
	has := func(kind, day int) bool { return s.values[dayField][kind+day] || s.values[dayField][kind+day-last] }
	switch t.Weekday() {
	case time.Saturday, time.Sunday:
		return has(0, day)
	case time.Friday: // is the nearest to a Saturday, and to a Sunday at the end of the month
		return has(0, day) || has(workday, day) || (day < last && has(workday, day+1)) ||
			(day+2 == last && has(workday, last))
	case time.Monday: // is the nearest to a Sunday, and to a Saturday at the beginning of the month
		return has(0, day) || has(workday, day) || (day > 1 && has(workday, day-1)) || (day == 3 && has(workday, 1))
	}
	return has(0, day) || has(workday, day)
}
