package cron

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/require"
)

// calendar is a random expression with its meaning, which does not come from its text.
type calendar struct {
	expression string
	values     [7]map[int]bool // of the fields; nil means that isDay decides
	isDay      func(t time.Time) bool
}

func (c *calendar) hasDay(t time.Time) bool {
	return c.values[4][int(t.Month())] && c.values[6][t.Year()] && c.isDay(t)
}

func (c *calendar) hasClock(t time.Time) bool {
	return c.values[0][t.Second()] && c.values[1][t.Minute()] && c.values[2][t.Hour()]
}

// isRepeated reports whether the clocks of a time's zone will show it again.
func isRepeated(t time.Time) bool {
	const clock = "2006-01-02 15:04:05"
	return t.Add(30*time.Minute).Format(clock) == t.Format(clock) || t.Add(time.Hour).Format(clock) == t.Format(clock)
}

// randomCalendar returns an expression that Quartz reads as documented: names have no steps, and W is alone in its
// field and has one time of day.
func randomCalendar(r *rand.Rand) *calendar {
	c := &calendar{}
	texts := make([]string, 7)
	for i := range texts {
		c.values[i] = map[int]bool{}
		var items []string
		for range 1 + max(r.IntN(5)-2, 0) {
			item, values := randomItem(r, fields[i].first, fields[i].last, fields[i].names)
			items = append(items, item)
			for _, v := range values {
				c.values[i][v] = true
			}
		}
		texts[i] = strings.Join(items, ",")
	}
	c.isDay = func(t time.Time) bool { return c.values[3][t.Day()] }
	switch r.IntN(4) {
	case 0:
		text, isDay := randomMonthDay(r)
		texts[3] = text
		c.isDay = isDay
		if strings.HasSuffix(text, "W") {
			for i, v := range []int{r.IntN(60), r.IntN(60), r.IntN(24)} {
				texts[i] = fmt.Sprint(v)
				c.values[i] = map[int]bool{v: true}
			}
		} else if r.IntN(2) == 0 {
			other, values := randomItem(r, 1, 31, nil)
			texts[3] += "," + other
			c.isDay = func(t time.Time) bool { return isDay(t) || slices.Contains(values, t.Day()) }
		}
		texts[5] = "?"
	case 1:
		texts[3] = "?"
		texts[5], c.isDay = randomWeekday(r)
	case 2:
		texts[3] = "?"
		c.isDay = func(t time.Time) bool { return c.values[5][int(t.Weekday())+1] }
	default:
		texts[5] = "?"
	}
	if r.IntN(4) > 0 {
		texts[4] = "*"
		c.values[4] = all(1, 12)
	}
	if r.IntN(4) > 0 {
		texts = texts[:6]
		c.values[6] = all(1970, 2099)
	}
	c.expression = strings.Join(texts, " ")
	return c
}

func all(first, last int) map[int]bool {
	values := map[int]bool{}
	for v := first; v <= last; v++ {
		values[v] = true
	}
	return values
}

// randomItem returns an item of a list and its values. Quartz ignores a step after a name.
func randomItem(r *rand.Rand, first, last int, names []string) (string, []int) {
	from := first + r.IntN(last-first+1)
	to := first + r.IntN(last-first+1)
	if last > 100 { // years
		from = 2020 + r.IntN(20)
		to = from + r.IntN(20)
	}
	step := 1 + r.IntN(min(last-first, 40))
	hasNames := names != nil && r.IntN(2) == 0
	name := func(value int) string {
		if hasNames {
			return names[value-first]
		}
		return fmt.Sprint(value)
	}
	switch r.IntN(7) {
	case 0:
		return "*", span(first, last, first, last, 1)
	case 1, 2:
		return name(from), []int{from}
	case 3:
		return fmt.Sprintf("%s/%d", []string{"", "*"}[r.IntN(2)], step), span(first, last, first, last, step)
	case 4:
		return fmt.Sprintf("%d/%d", from, step), span(first, last, from, last, step)
	case 5:
		return name(from) + "-" + name(to), span(first, last, from, to, 1)
	default:
		return fmt.Sprintf("%d-%d/%d", from, to, step), span(first, last, from, to, step)
	}
}

// span walks from a value to another one, from the last value to the first one if necessary.
func span(first, last, from, to, step int) (values []int) {
	v := from
	for n := 0; ; n++ {
		if n%step == 0 {
			values = append(values, v)
		}
		if v == to {
			return values
		}
		v++
		if v > last {
			v = first
		}
	}
}

func randomMonthDay(r *rand.Rand) (text string, isDay func(time.Time) bool) {
	fixed := 1 + r.IntN(31)
	fromEnd := r.IntN(31)
	switch r.IntN(6) {
	case 0, 1:
		text = fmt.Sprintf("%dW", fixed)
	case 2:
		fromEnd = 0
		text = "LW"
	case 3:
		fromEnd = r.IntN(5)
		text = fmt.Sprintf("L-%dW", fromEnd)
	case 4:
		fromEnd = 0
		text = "L"
	default:
		text = fmt.Sprintf("L-%d", fromEnd)
	}
	return text, func(t time.Time) bool {
		day := fixed
		if text[0] == 'L' {
			day = monthLength(t) - fromEnd
		}
		if strings.HasSuffix(text, "W") {
			day = nearestWorkday(t, day)
		}
		return t.Day() == day
	}
}

// monthLength counts the days of a time's month.
func monthLength(t time.Time) int {
	days := 28
	for inMonth(t, days+1).Month() == t.Month() {
		days++
	}
	return days
}

func inMonth(t time.Time, day int) time.Time {
	return time.Date(t.Year(), t.Month(), day, 12, 0, 0, 0, time.UTC)
}

// nearestWorkday returns the day from Monday to Friday that is nearest to a day, in the same month.
func nearestWorkday(t time.Time, day int) int {
	for distance := range 3 {
		for _, d := range []int{day - distance, day + distance} {
			candidate := inMonth(t, d)
			if day <= monthLength(t) && candidate.Month() == t.Month() && candidate.Weekday()%6 != 0 {
				return d
			}
		}
	}
	return 0
}

func randomWeekday(r *rand.Rand) (text string, isDay func(time.Time) bool) {
	weekday := r.IntN(7)
	text = fmt.Sprint(weekday + 1)
	if r.IntN(2) == 0 {
		text = fields[weekdayField].names[weekday]
	}
	week := 1 + r.IntN(6)
	if week == 6 {
		return text + "L", func(t time.Time) bool {
			return int(t.Weekday()) == weekday && t.AddDate(0, 0, 7).Month() != t.Month()
		}
	}
	return fmt.Sprintf("%s#%d", text, week), func(t time.Time) bool {
		return int(t.Weekday()) == weekday && t.AddDate(0, 0, -7*(week-1)).Month() == t.Month() &&
			t.AddDate(0, 0, -7*week).Month() != t.Month()
	}
}

// The first start of each day agrees with a calendar of ten years.
func TestDaysOfTenYears(t *testing.T) {
	r := rand.New(rand.NewPCG(68, 14))
	start := time.Date(2023, 11, 29, 0, 0, 0, 0, time.UTC)
	for range 200 {
		c := randomCalendar(r)
		s, err := Parse(c.expression)
		if err != nil {
			assertNoDay(t, c, err)
			continue
		}
		clock := firstClock(c)
		after := start.Add(-time.Second)
		for day := start; day.Before(start.AddDate(10, 0, 0)); day = day.AddDate(0, 0, 1) {
			if !c.hasDay(day) {
				continue
			}
			if next, ok := s.Next(after); !ok || !next.Equal(day.Add(clock)) {
				t.Fatalf("%s after %v: expected %v, found %v", c.expression, after, day.Add(clock), next)
			}
			after = day.AddDate(0, 0, 1).Add(-time.Second)
		}
		if next, ok := s.Next(after); ok && next.Before(start.AddDate(10, 0, 0)) {
			t.Fatalf("%s after %v: expected no start, found %v", c.expression, after, next)
		}
	}
}

// assertNoDay checks that an expression without any start has no day in all years.
func assertNoDay(t *testing.T, c *calendar, err error) {
	t.Helper()
	for day := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() < 2100; day = day.AddDate(0, 0, 1) {
		require.True(t, !c.hasDay(day), "%s: expected %v, found %v", c.expression, day, err)
	}
}

func firstClock(c *calendar) (clock time.Duration) {
	for i, unit := range []time.Duration{time.Second, time.Minute, time.Hour} {
		values := slices.Sorted(maps.Keys(c.values[i]))
		clock += time.Duration(values[0]) * unit
	}
	return clock
}

// The starts of each minute around the changes of clocks of ten years agree with a calendar.
func TestMinutesAroundChangesOfClocks(t *testing.T) {
	r := rand.New(rand.NewPCG(68, 15))
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata",
		"America/Santiago"} { // Santiago's clocks change at midnight
		zone, err := time.LoadLocation(name)
		require.NoError(t, err)
		for range 12 {
			c := randomCalendar(r)
			c.values[0] = map[int]bool{0: true}
			c.expression = "0 " + strings.SplitN(c.expression, " ", 2)[1] + " " + name
			s, err := Parse(c.expression)
			if err != nil {
				continue
			}
			change := time.Date(2023, 11, 29, 0, 0, 0, 0, zone)
			for range 20 {
				compareMinutes(t, s, c, change.Add(-20*time.Hour), 40*60)
				if _, next := change.Add(time.Minute).ZoneBounds(); !next.IsZero() {
					change = next
				} else {
					change = change.AddDate(0, 5, 0)
				}
			}
		}
	}
}

// compareMinutes compares the starts in a number of minutes after a time.
func compareMinutes(t *testing.T, s *Schedule, c *calendar, from time.Time, minutes int) {
	t.Helper()
	isEveryHour := len(c.values[2]) == 24
	after := from.Add(-time.Second)
	end := from.Add(time.Duration(minutes) * time.Minute)
	for instant := from; instant.Before(end); instant = instant.Add(time.Minute) {
		if !c.hasClock(instant) || !c.hasDay(instant) || (!isEveryHour && isRepeated(instant)) {
			continue
		}
		next, ok := s.Next(after)
		require.True(t, ok && next.Equal(instant),
			"%s after %v: expected %v, found %v", c.expression, after, instant, next)
		after = instant
	}
	if next, ok := s.Next(after); ok && next.Before(end) {
		t.Fatalf("%s after %v: expected no start, found %v", c.expression, after, next)
	}
}
