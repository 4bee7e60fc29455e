package transport

import (
	"strings"
	"testing"
	"time"
)

func TestWindows(t *testing.T) {
	at := func(text string) time.Time {
		t.Helper()
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for _, c := range []struct{ windows, now, until string }{
		{"0 0 22 ? * SAT/4h Europe/Berlin", "2026-11-21T21:30:00Z", "2026-11-22T01:00:00Z"}, // winter: an hour before UTC
		{"0 0 22 ? * SAT/4h Europe/Berlin", "2026-11-21T20:59:59Z", ""},
		{"0 0 22 ? * SAT/4h Europe/Berlin", "2026-11-21T21:00:00Z", "2026-11-22T01:00:00Z"},
		{"0 0 22 ? * SAT/4h Europe/Berlin", "2026-11-22T00:59:59Z", "2026-11-22T01:00:00Z"},
		{"0 0 22 ? * SAT/4h Europe/Berlin", "2026-11-22T01:00:00Z", ""},
		{"0 0 22 ? * SAT/4h Europe/Berlin", "2026-07-18T20:00:00Z", "2026-07-19T00:00:00Z"}, // summer
		{"0 0 22 ? * SAT/4h", "2026-11-21T22:00:00Z", "2026-11-22T02:00:00Z"},
		{"0 30 1 1 * ?/90m UTC", "2026-12-01T02:59:00Z", "2026-12-01T03:00:00Z"},
		{"0 30 1 1 * ?/90m UTC", "2026-12-02T02:00:00Z", ""},
		{"0 0/10 * * * ?/15m UTC", "2026-12-02T02:00:00Z", "2026-12-02T02:15:00Z"},
		{"* * * * * ?/168h UTC", "2026-12-02T02:00:00.5Z", "2026-12-09T02:00:00Z"},
		{" 0 0 1 * * ?/1h UTC ; 0 0 1 * * ?/2h UTC;", "2026-12-02T01:30:00Z", "2026-12-02T03:00:00Z"},
		{"0 0 1 1 1 ? 2020/1h UTC", "2026-12-02T01:30:00Z", ""}, // for good
		{"", "2026-12-02T01:30:00Z", ""},
	} {
		windows, err := ParseWindows(c.windows)
		if err != nil {
			t.Errorf("%q: %v", c.windows, err)
			continue
		}
		found := ""
		if until := openUntil(windows, at(c.now)); !until.IsZero() {
			found = until.UTC().Format(time.RFC3339)
		}
		if found != c.until {
			t.Errorf("%q at %s: expected it open until %q, found %q", c.windows, c.now, c.until, found)
		}
		if found == "" && len(windows) > 0 {
			if next := nextStart(windows, at(c.now)); !next.After(at(c.now)) || next.Sub(at(c.now)) > farAway {
				t.Errorf("%q at %s: next look at %s", c.windows, c.now, next)
			}
		}
	}
}

func TestWrongWindows(t *testing.T) {
	for text, want := range map[string]string{
		"SAT 22:00-02:00":                   "START/DURATION ZONE",
		"0 0 22 ? * SAT":                    "START/DURATION ZONE",
		"0 0 22 ? * SAT Europe/Berlin":      "START/DURATION ZONE",
		"0 0 22 ? * SAT/4h Europe/Atlantis": "name of a time zone",
		"0 0 22 ? * SAT/4h Local":           "name of a time zone",
		"0 0 25 ? * SAT/4h":                 "Quartz cron expression",
		"22 SAT/4h":                         "Quartz cron expression",
		"0 0 22 ? * SAT/0s":                 "duration from 1s",
		"0 0 22 ? * SAT/200h":               "duration from 1s to 168h",
		"0 0 22 ? * SAT/4":                  "START/DURATION ZONE",
		"/4h":                               "START/DURATION ZONE",
	} {
		if _, err := ParseWindows(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: expected an error with %q, found %v", text, want, err)
		}
	}
}

func FuzzWindows(f *testing.F) {
	f.Add("0 0 22 ? * SAT/4h Europe/Berlin; 0 30 1 1 * ?/90m")
	f.Fuzz(func(t *testing.T, text string) {
		windows, err := ParseWindows(text)
		if err != nil {
			return
		}
		now := time.Unix(1_800_000_000, 0)
		if until := openUntil(windows, now); !until.IsZero() && (!until.After(now) || until.Sub(now) > longestWindow) {
			t.Errorf("%q: open until %s", text, until)
		}
	})
}
