package cron

import (
	"strings"
	"testing"
	"time"

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
		if next != c.next {
			t.Errorf("%s: expected %s, found %s", c.text, c.next, next)
		}
	}
	for text, want := range map[string]string{
		"":                           "expected six fields",
		"0 0 22 * *":                 "expected six fields",
		"0 0 25 * * ?":               "hour: expected 0 to 23, found \"25\"",
		"0 0 22 * * ? Europe/Berlim": "expected the name of a time zone",
		"0 0 22 1 * MON":             "expected ? as day of the month",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: expected %s, found %v", text, want, err)
		}
	}
}

// When clocks go back, hourly expressions start in both hours, others in the second. When they go forward, no start
// is skipped.
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
		{text: "0 30 2 * * ? Europe/Berlin", after: autumn, want: "01:30 01:30"},
		{text: "0 */30 2 * * ? Europe/Berlin", after: autumn, want: "01:00 01:30 01:00 01:30"},
		{text: "0 0 */2 * * ? Europe/Berlin", after: autumn, want: "01:00 03:00 05:00"},
		{text: "0 0 * * * ? Europe/Berlin", after: spring, want: "00:00 01:00 02:00"},
		{text: "0 30 * * * ? Europe/Berlin", after: spring, want: "00:30 01:30 02:30"},
	} {
		s, err := Parse(c.text)
		require.NoError(t, err)
		var starts []string
		instant := c.after
		for range strings.Fields(c.want) {
			next, ok := s.Next(instant)
			if !ok || !next.After(instant) {
				t.Fatalf("%s: expected a start after %v, found %v", c.text, instant, next)
			}
			instant = next
			starts = append(starts, instant.UTC().Format("15:04"))
		}
		if got := strings.Join(starts, " "); got != c.want {
			t.Errorf("%s: expected %s, found %s", c.text, c.want, got)
		}
	}
	// in the repeated hour
	for _, text := range []string{"0 */30 2 * * ? Europe/Berlin", "0 */10 * * * ? Europe/Berlin"} {
		s, _ := Parse(text)
		instant := time.Date(2024, 10, 27, 1, 15, 0, 0, time.UTC)
		if next, ok := s.Next(instant); !ok || !next.After(instant) {
			t.Errorf("%s: %v is not after %v", text, next, instant)
		}
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
		if next, ok := s.Next(after); ok && !next.After(after) {
			t.Errorf("%q: %v is not after %v", text, next, after)
		}
	})
}

// An expression starts in every hour if its list of hours has each of them, however often one is repeated.
func TestStartsEveryHour(t *testing.T) {
	for hours, want := range map[string]bool{"*": true, "0/1": true, "0-23": true, "0-23,5": true, "22-21": true,
		"0-22": false, "0-22,5": false, "0/2": false} {
		plain, err := normalize(strings.Fields("0 0 " + hours + " * * ?"))
		require.NoError(t, err)
		if got := startsEveryHour(plain); got != want {
			t.Errorf("hours %s: expected %t, found %t", hours, want, got)
		}
	}
}
