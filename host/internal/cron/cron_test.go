package cron

import (
	"strings"
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	after := time.Date(2024, 3, 30, 12, 0, 0, 0, time.UTC) // the night before Berlin's clocks go forward
	for _, c := range []struct{ text, next string }{
		{"0 0 22 * * ?", "2024-03-30T22:00:00Z"},
		{"0 0 22 * * ? Europe/Berlin", "2024-03-30T21:00:00Z"},
		{"0 30 3 ? * SUN Europe/Berlin", "2024-03-31T01:30:00Z"},
		{"*/10 * * * * ? UTC", "2024-03-30T12:00:10Z"},
		{"0 0 0 1 1 ? 2030", "2030-01-01T00:00:00Z"},
		{"@daily", "2024-03-31T00:00:00Z"},
		{"0 0 0 1 1 ? 2020", ""},
	} {
		s, err := Parse(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		next := ""
		if at, ok := s.Next(after); ok {
			next = at.UTC().Format(time.RFC3339)
		}
		if next != c.next {
			t.Errorf("%s: expected %s, found %s", c.text, c.next, next)
		}
	}
	for text, says := range map[string]string{
		"": "expected six fields", "0 0 22 * *": "expected six fields",
		"0 0 25 * * ?":               "hour: expected 0 to 23, found \"25\"",
		"0 0 22 * * ? Europe/Berlim": "expected the name of a time zone",
		"0 0 22 1 * MON":             "expected ? as day of the month",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: expected %s, found %v", text, says, err)
		}
	}
}

// FuzzParse: whatever is given, the next time is behind the one that is asked for.
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
			t.Errorf("%q: %v is not behind %v", text, next, after)
		}
	})
}
