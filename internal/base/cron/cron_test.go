package cron

import (
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// The next start of an expression, and the error of an invalid one.
func TestNext(t *testing.T) {
	after := time.Date(2024, 3, 30, 12, 0, 0, 0, time.UTC) // the night before Berlin's clocks go forward
	for _, c := range []struct {
		text string
		next string // "" means never
	}{
		{text: "0 0 22 * * ?", next: "2024-03-30T22:00:00Z"},
		{text: "0 0 22 * * ? Europe/Berlin", next: "2024-03-30T21:00:00Z"},
		{text: "0 30 3 ? * SUN Europe/Berlin", next: "2024-03-31T01:30:00Z"},
		{text: "*/10 * * * * ? UTC", next: "2024-03-30T12:00:10Z"},
		{text: "0 0 0 1 1 ? 2030", next: "2030-01-01T00:00:00Z"},
		{text: "@daily", next: "2024-03-31T00:00:00Z"},
		{text: "0 0 0 1 1 ? 2020"},
	} {
		s, err := Parse(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		next := ""
		if start, ok := s.Next(after); ok {
			next = start.UTC().Format(time.RFC3339)
		}
		assert.Equal(t, c.next, next, c.text)
	}
	for text, want := range map[string]string{
		"":                           "expected six fields",
		"0 0 22 * *":                 "expected six fields",
		"0 0 25 * * ?":               "hour: expected 0 to 23, found \"25\"",
		"0 0 22 * * ? Europe/Berlim": "expected the name of a time zone",
		"0 0 22 * * ? Local":         "expected the name of a time zone",
		"0 0 22 1 * MON":             "expected ? as day of the month",
		"0 0 22 L-31 * ?":            `day of the month: expected 0 to 30 after L-, found "31"`,
		"0 0 22 32W * ?":             `expected 1 to 31, L, L-1 to L-30, or W after one of these, found "32"`,
		"0 0 22 1-5W * ?":            `day of the month: expected 1 to 31, L`,
		"0 0 22 ? * 2-4#3":           `weekday: expected 1 (Sunday) to 7 or SUN to SAT, found "2-4"`,
		"0 0 22 ? * 6L#3":            `weekday: expected 1 (Sunday) to 7 or SUN to SAT, found "6L"`,
		"0 0 22 ? * * 2100":          `year: expected 1970 to 2099, found "2100"`,
		"0 0 22 +5 * ?":              `found "+5"`,
		"0 0 22 1,,2 * ?":            `found ""`,
		"0 0 0 31 2 ?":               "expected a time that exists from 1970 to 2099, found none",
		"0 0 0 29 2 ? 2025-2027":     "found none in \"0 0 0 29 2 ? 2025-2027\"",
		"0 0 0 ? 2 1#5 2027":         "found none",
	} {
		_, err := Parse(text)
		assert.Error(t, err, want, text)
	}
}

// Days that a month does not have are left out, and days may depend on the month.
func TestDaysOfTheMonth(t *testing.T) {
	after := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"0 0 22 31 * ?":        "2026-12-31T22 2027-01-31T22 2027-03-31T22 2027-05-31T22",
		"0 0 0 29 2 ?":         "2028-02-29T00 2032-02-29T00",
		"0 0 0 30 * ?":         "2026-11-30T00 2026-12-30T00 2027-01-30T00 2027-03-30T00",
		"0 0 0 L * ?":          "2026-11-30T00 2026-12-31T00 2027-01-31T00 2027-02-28T00",
		"0 0 0 L-3,15 * ?":     "2026-12-15T00 2026-12-28T00 2027-01-15T00",
		"0 0 0 LW * ?":         "2026-11-30T00 2026-12-31T00 2027-01-29T00 2027-02-26T00",
		"0 0 0 31W * ?":        "2026-12-31T00 2027-01-29T00 2027-03-31T00", // not in February
		"0 0 0,12 1W * ?":      "2026-12-01T00 2026-12-01T12 2027-01-01T00 2027-01-01T12 2027-02-01T00",
		"0 0 0 1W 5 ?":         "2027-05-03T00", // the 1st is a Saturday
		"0 0 0 15W 8 ?":        "2027-08-16T00",
		"0 0 0 ? * 6L":         "2026-12-25T00 2027-01-29T00",
		"0 0 0 ? * thu#5":      "2026-12-31T00 2027-04-29T00",
		"0 0 0 ? * 2,6#3":      "2026-11-30T00 2026-12-07T00 2026-12-14T00 2026-12-18T00",
		"0 0 0 28-2 12,2 ?":    "2026-12-01T00 2026-12-02T00 2026-12-28T00 2026-12-29T00",
		"0 0 0 1 1 ? 2030/20":  "2030-01-01T00 2050-01-01T00 2070-01-01T00 2090-01-01T00",
		"0 0 0 31 12 ? 2099":   "2099-12-31T00",
		"0 0 0 ? 2 SUN#5 2028": "", // its first is a Tuesday
	} {
		s, err := Parse(text)
		if want == "" {
			assert.Error(t, err, "found none", text)
			continue
		}
		require.NoError(t, err)
		instant := after
		var starts []string
		for range strings.Fields(want) {
			instant, _ = s.Next(instant)
			starts = append(starts, instant.UTC().Format("2006-01-02T15"))
		}
		assert.Equal(t, want, strings.Join(starts, " "), text)
	}
}

// When clocks go back, expressions with starts in all hours start in both hours, others in the second. When clocks go
// forward, the hour that is left out has no start.
func TestDaylightSavingChanges(t *testing.T) {
	autumn := time.Date(2024, 10, 26, 22, 59, 0, 0, time.UTC) // 0:59 in Berlin, 3 becomes 2 at 01:00Z
	spring := time.Date(2024, 3, 30, 23, 59, 0, 0, time.UTC)  // 0:59, 2 becomes 3 at 01:00Z
	for _, c := range []struct {
		text  string
		after time.Time
		want  string
	}{
		{text: "0 0 * * * ? Europe/Berlin", after: autumn, want: "23:00 00:00 01:00 02:00 03:00"},
		{text: "0 0 0-23 * * ? Europe/Berlin", after: autumn, want: "23:00 00:00 01:00 02:00 03:00"},
		{text: "0 0 */1 ? * SUN Europe/Berlin", after: autumn, want: "23:00 00:00 01:00 02:00 03:00"},
		{text: "0 */30 * * * ? Europe/Berlin", after: autumn, want: "23:00 23:30 00:00 00:30 01:00 01:30 02:00 02:30"},
		{text: "0 15 * * * ? Australia/Lord_Howe", after: time.Date(2024, 4, 6, 12, 50, 0, 0, time.UTC),
			want: "13:15 14:15 15:45 16:45"}, // half an hour, at 15:00Z from 2:00 to 1:30
		{text: "0 0 */2,1,3,5,7,9,11,13,15,17,19,21,23 * * ? Europe/Berlin", after: autumn,
			want: "23:00 00:00 01:00 02:00 03:00"}, // every hour
		{text: "0 30 2 * * ? Europe/Berlin", after: autumn, want: "01:30 01:30"},
		{text: "0 */30 2 * * ? Europe/Berlin", after: autumn, want: "01:00 01:30 01:00 01:30"},
		{text: "0 0 */2 * * ? Europe/Berlin", after: autumn, want: "01:00 03:00 05:00"},
		{text: "0 0 * * * ? Europe/Berlin", after: spring, want: "00:00 01:00 02:00"},
		{text: "0 30 * * * ? Europe/Berlin", after: spring, want: "00:30 01:30 02:30"},
		{text: "0 30 2 * * ? Europe/Berlin", after: spring.AddDate(0, 0, -1),
			want: "01:30 00:30 00:30"}, // not on the 31st
	} {
		s, err := Parse(c.text)
		require.NoError(t, err)
		var starts []string
		instant := c.after
		for range strings.Fields(c.want) {
			next, ok := s.Next(instant)
			require.True(t, ok && next.After(instant), "%s: expected a start after %v, found %v", c.text, instant, next)
			instant = next
			starts = append(starts, instant.UTC().Format("15:04"))
		}
		assert.Equal(t, c.want, strings.Join(starts, " "), c.text)
	}
	// in the repeated hour
	for _, text := range []string{"0 */30 2 * * ? Europe/Berlin", "0 */10 * * * ? Europe/Berlin"} {
		s, _ := Parse(text)
		instant := time.Date(2024, 10, 27, 1, 15, 0, 0, time.UTC)
		next, ok := s.Next(instant)
		assert.True(t, ok && next.After(instant), "%s: %v is not after %v", text, next, instant)
	}
}

// The next start of any expression is after the time that was passed.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"0 0 22 * * ?", "*/5 * * * * ? Europe/Berlin", "0 0 0 L * ?", "0 0 0 ? * MON#2",
		"@hourly", "0 0 0 1-5/2 JAN-MAR ? 2024-2030"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		after := time.Date(2024, 3, 30, 12, 0, 0, 0, time.UTC)
		next, ok := s.Next(after)
		assert.True(t, !ok || next.After(after), "%q: %v is not after %v", text, next, after)
	})
}
