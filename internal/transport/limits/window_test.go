package limits

import (
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

func TestWindows(t *testing.T) {
	parse := func(text string) time.Time {
		t.Helper()
		instant, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		return instant
	}
	for _, c := range []struct {
		windows string
		now     string
		until   string // the end of the open window; "" means that no window is open
	}{
		// in winter, one hour ahead of UTC
		{windows: "0 0 22 ? * SAT/4h Europe/Berlin", now: "2026-11-21T21:30:00Z", until: "2026-11-22T01:00:00Z"},
		{windows: "0 0 22 ? * SAT/4h Europe/Berlin", now: "2026-11-21T20:59:59Z"},
		{windows: "0 0 22 ? * SAT/4h Europe/Berlin", now: "2026-11-21T21:00:00Z", until: "2026-11-22T01:00:00Z"},
		{windows: "0 0 22 ? * SAT/4h Europe/Berlin", now: "2026-11-22T00:59:59Z", until: "2026-11-22T01:00:00Z"},
		{windows: "0 0 22 ? * SAT/4h Europe/Berlin", now: "2026-11-22T01:00:00Z"},
		// in summer, two hours ahead of UTC
		{windows: "0 0 22 ? * SAT/4h Europe/Berlin", now: "2026-07-18T20:00:00Z", until: "2026-07-19T00:00:00Z"},
		{windows: "0 0 22 ? * SAT/4h", now: "2026-11-21T22:00:00Z", until: "2026-11-22T02:00:00Z"},
		{windows: "0 30 1 1 * ?/90m UTC", now: "2026-12-01T02:59:00Z", until: "2026-12-01T03:00:00Z"},
		{windows: "0 30 1 1 * ?/90m UTC", now: "2026-12-02T02:00:00Z"},
		{windows: "0 0/10 * * * ?/15m UTC", now: "2026-12-02T02:00:00Z", until: "2026-12-02T02:15:00Z"},
		{windows: "* * * * * ?/168h UTC", now: "2026-12-02T02:00:00.5Z", until: "2026-12-09T02:00:00Z"},
		{
			windows: " 0 0 1 * * ?/1h UTC ; 0 0 1 * * ?/2h UTC;",
			now:     "2026-12-02T01:30:00Z",
			until:   "2026-12-02T03:00:00Z",
		},
		{windows: "0 0 1 1 1 ? 2020/1h UTC", now: "2026-12-02T01:30:00Z"}, // closed forever
		// Further syntax of Quartz: wrapping ranges, names in any case, steps without a start.
		{windows: "0 0 22 ? * SAT-SUN/4h UTC", now: "2026-11-21T22:30:00Z", until: "2026-11-22T02:00:00Z"}, // Saturday
		{windows: "0 0 22 ? * SAT-SUN/4h UTC", now: "2026-11-22T22:30:00Z", until: "2026-11-23T02:00:00Z"}, // Sunday
		{windows: "0 0 22 ? * SAT-SUN/4h UTC", now: "2026-11-23T22:30:00Z"},                                // Monday
		{windows: "0 0 22 ? * fri-mon/4h UTC", now: "2026-11-23T22:30:00Z", until: "2026-11-24T02:00:00Z"},
		{windows: "0 0 22 ? * FRI-MON/4h UTC", now: "2026-11-24T22:30:00Z"},
		{windows: "0 0 22 ? * 7-1/4h UTC", now: "2026-11-22T22:30:00Z", until: "2026-11-23T02:00:00Z"},
		{windows: "0 0 22 ? * WED,SAT-SUN/4h UTC", now: "2026-11-25T22:30:00Z", until: "2026-11-26T02:00:00Z"},
		{windows: "0 0 22-2 ? * */30m UTC", now: "2026-11-24T01:10:00Z", until: "2026-11-24T01:30:00Z"},
		{windows: "0 0 22-2 ? * */30m UTC", now: "2026-11-24T03:10:00Z"},
		{windows: "0 0 22-2/2 ? * */30m UTC", now: "2026-11-24T00:10:00Z", until: "2026-11-24T00:30:00Z"},
		{windows: "0 0 22-2/2 ? * */30m UTC", now: "2026-11-24T01:10:00Z"},
		{windows: "0 0 1 1 NOV-FEB ?/1h UTC", now: "2026-01-01T01:10:00Z", until: "2026-01-01T02:00:00Z"},
		{windows: "0 0 1 1 nov-feb ?/1h UTC", now: "2026-03-01T01:10:00Z"},
		{windows: "0 /15 3 ? * */5m UTC", now: "2026-11-24T03:17:00Z", until: "2026-11-24T03:20:00Z"},
		// the last Friday
		{windows: "0 0 22 ? * 6L/4h UTC", now: "2026-11-27T22:30:00Z", until: "2026-11-28T02:00:00Z"},
		{windows: "0 0 22 ? * FRI#3/4h UTC", now: "2026-11-20T22:30:00Z", until: "2026-11-21T02:00:00Z"},
		{windows: "0 0 22 L * ?/4h UTC", now: "2026-11-30T22:30:00Z", until: "2026-12-01T02:00:00Z"},
		{windows: "0 0 22 L-1 * ?/4h UTC", now: "2026-11-29T22:30:00Z", until: "2026-11-30T02:00:00Z"},
		// nearest working days, and days that a month does not have
		{windows: "0 0 22 15W * ?/4h UTC", now: "2026-11-16T22:30:00Z", until: "2026-11-17T02:00:00Z"}, // a Monday
		{windows: "0 0 0 31 * ?/4h", now: "2026-05-01T01:00:00Z"},
		{windows: "0 0 0 31 * ?/4h", now: "2026-05-31T01:00:00Z", until: "2026-05-31T04:00:00Z"},
		{windows: "0 0 22 ? * SAT/4h CET", now: "2026-11-21T21:30:00Z", until: "2026-11-22T01:00:00Z"},
		{windows: "0 0 22 ? * SAT,6L/4h UTC", now: "2026-11-27T22:30:00Z", until: "2026-11-28T02:00:00Z"},
		{windows: "", now: "2026-12-02T01:30:00Z"},
	} {
		windows, err := ParseWindows(c.windows)
		if err != nil {
			t.Errorf("%q: %v", c.windows, err)
			continue
		}
		found := ""
		if until := openUntil(windows, parse(c.now)); !until.IsZero() {
			found = until.UTC().Format(time.RFC3339)
		}
		assert.Equal(t, c.until, found, c.windows, c.now)
	}
}

func TestInvalidWindows(t *testing.T) {
	for text, want := range map[string]string{
		"SAT 22:00-02:00":                   "START/DURATION ZONE",
		"0 0 22 ? * SAT":                    "START/DURATION ZONE",
		"0 0 22 ? * SAT Europe/Berlin":      "START/DURATION ZONE",
		"0 0 22 ? * SAT/4h Europe/Atlantis": "name of a time zone",
		"0 0 22 ? * SAT/4h Local":           "name of a time zone",
		"0 0 25 ? * SAT/4h":                 `hour: expected 0 to 23, found "25" in "0 0 25 ? * SAT"`,
		"0 0 22 ? * SONNTAG/4h":             `weekday: expected 1 (Sunday) to 7 or SUN to SAT, found "SONNTAG" in "0 0 22 ? * SONNTAG"`,
		"0 0 22 ? * MON,9/4h":               `weekday: expected 1 (Sunday) to 7 or SUN to SAT, found "9"`,
		"0 0 22 ? 13 MON/4h":                `month: expected 1 to 12 or JAN to DEC, found "13"`,
		"0 0 22 ? * SAT-/4h":                `weekday: expected 1 (Sunday) to 7 or SUN to SAT, found "" in "0 0 22 ? * SAT-"`,
		"0 0/0 22 ? * SAT/4h":               `minute: expected a step of 1 to 59, found "0"`,
		"0 0 22 ? * SAT#6/4h":               `weekday: expected 1 to 5 after #, found "6"`,
		"0 0 22 1 * SAT/4h": "expected ? as day of the month or as weekday, since only one of " +
			"them may be set, found 1 and SAT",
		"0 0 22 ? * SAT 2027-2026/4h": `expected a time that exists from 1970 to 2099, found none`,
		"0 22 ? * SAT/4h": "expected six fields (second minute hour day-of-month month weekday) or " +
			"seven with a year, found 5",
		"22 SAT/4h":           "found 2 in",
		"0 0 22 31 2 ?/4h":    `expected a time that exists from 1970 to 2099, found none in "0 0 22 31 2 ?"`,
		"0 0 22 ? * SAT/0s":   "duration from 1s",
		"0 0 22 ? * SAT/200h": "duration from 1s to 168h",
		"0 0 22 ? * SAT/4":    "START/DURATION ZONE",
		"/4h":                 "START/DURATION ZONE",
	} {
		_, err := ParseWindows(text)
		assert.Error(t, err, want, text)
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
		if until := openUntil(windows, now); !until.IsZero() && (!until.After(now) || until.Sub(now) > maxWindow) {
			t.Errorf("%q: open until %s", text, until)
		}
	})
}
