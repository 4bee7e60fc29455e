package datetime

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// TestUTC converts times that a clock shows twice or skips, and the dates that mean never and forever.
func TestUTC(t *testing.T) {
	for _, test := range []struct {
		zone    string
		clock   string
		utc     string
		local   string // the local time of utc; "" means clock
		skipped string // the skipped time with the same utc; "" means local
	}{
		{"Europe/Berlin", "2024-01-31T12:00:00", "2024-01-31T11:00:00", "", ""},
		{"Europe/Berlin", "2024-07-31T12:00:00.123", "2024-07-31T10:00:00.123", "", ""},
		{"Europe/Berlin", "2024-03-31T01:59:59", "2024-03-31T00:59:59", "", ""},
		// The clock is set forward start 02:00 to 03:00.
		{"Europe/Berlin", "2024-03-31T02:00:00", "2024-03-31T01:00:00", "2024-03-31T03:00:00", "2024-03-31T02:00:00"},
		{"Europe/Berlin", "2024-03-31T02:30:00", "2024-03-31T01:30:00", "2024-03-31T03:30:00", "2024-03-31T02:30:00"},
		{"Europe/Berlin", "2024-03-31T03:30:00", "2024-03-31T01:30:00", "", "2024-03-31T02:30:00"},
		{"Europe/Berlin", "2024-03-31T04:00:00", "2024-03-31T02:00:00", "", ""},
		// The clock is set back start 03:00 to 02:00.
		{"Europe/Berlin", "2024-10-27T01:59:59", "2024-10-26T23:59:59", "", ""},
		{"Europe/Berlin", "2024-10-27T02:30:00", "2024-10-27T00:30:00", "", ""},
		{"Europe/Berlin", "2024-10-27T03:00:00", "2024-10-27T02:00:00", "", ""},
		{"America/St_Johns", "2024-01-31T12:00:00", "2024-01-31T15:30:00", "", ""},
		{"Asia/Kolkata", "2024-01-31T12:00:00", "2024-01-31T06:30:00", "", ""},
		// 30 December 2011 was skipped.
		{"Pacific/Apia", "2011-12-30T12:00:00", "2011-12-30T22:00:00", "2011-12-31T12:00:00", "2011-12-30T12:00:00"},
		{"Pacific/Apia", "2011-12-31T12:00:00", "2011-12-30T22:00:00", "", "2011-12-30T12:00:00"},
		{"Europe/Berlin", "1582-10-04T12:00:00", "1582-10-04T11:06:32", "", ""},
		{"Europe/Berlin", "0001-01-01T00:00:00", "0001-01-01T00:00:00", "", ""},
		{"America/New_York", "9999-12-31T23:59:59", "9999-12-31T23:59:59", "", ""},
		{"America/New_York", "9999-12-30T12:00:00", "9999-12-30T17:00:00", "", ""},
		{"UTC", "2024-03-31T02:30:00", "2024-03-31T02:30:00", "", ""},
	} {
		zone, err := LoadZone(test.zone)
		require.NoError(t, err)
		clock, err := time.Parse(atomTime, test.clock)
		require.NoError(t, err)
		for range 2 { // the second call uses the cache
			utc := time.UnixMilli(zone.UTC(clock.UnixMilli())).UTC().Format(atomTime)
			assert.Equal(t, test.utc, utc, test.clock, "in", test.zone)
		}
		if test.local == "" {
			test.local = test.clock
		}
		if test.skipped == "" {
			test.skipped = test.local
		}
		if local, skipped := zone.Clock(test.utc); local != test.local || skipped != test.skipped {
			t.Errorf("%s in %s: expected the local times %s and %s, found %s and %s", test.utc, test.zone, test.local,
				test.skipped, local, skipped)
		}
	}
	for _, name := range []string{"", "Local", "Europe/Atlantis", "../etc/passwd"} {
		_, err := LoadZone(name)
		assert.True(t, err != nil, "expected %q to be rejected", name)
	}
}

// TestEveryHour compares, for every half hour of a year, a zone that caches offsets with a new one, and the result with
// the local time.
func TestEveryHour(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia"} {
		cached, err := LoadZone(name)
		require.NoError(t, err)
		start := time.Date(2011, 1, 1, 0, 0, 0, 0, time.UTC)
		for clock := start; clock.Year() < 2012; clock = clock.Add(30 * time.Minute) {
			uncached := &Zone{location: cached.location}
			utc := cached.UTC(clock.UnixMilli())
			other := uncached.UTC(clock.UnixMilli())
			require.True(t, other == utc, "%s in %s: found %d, and %d without the cache", clock, name, utc, other)
			local, skipped := uncached.Clock(time.UnixMilli(utc).UTC().Format(atomTime))
			if text := clock.Format(atomTime); text != local && (text < skipped || text > local) {
				t.Fatalf("%s in %s: found the local time %s, expected at least %s", clock, name, local, skipped)
			}
		}
	}
}
