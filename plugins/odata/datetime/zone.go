package datetime

import (
	"errors"
	"math"
	"time"
)

// Zone is a time zone. It caches the last offset, so only one goroutine may use it at a time.
type Zone struct {
	name     string // IANA name
	location *time.Location
	offset   int64 // the last offset from UTC in milliseconds, see start and end
	start    int64 // time in milliseconds since 1970 from which offset is valid and unambiguous
	end      int64 // time at which offset ends
}

// LoadZone finds a zone by its IANA name. Programs without zone files import time/tzdata.
func LoadZone(name string) (*Zone, error) {
	if name == "" || name == "Local" {
		return nil, errors.New("expected the name of a time zone")
	}
	location, err := time.LoadLocation(name)
	if err != nil {
		return nil, errors.New("there is no such time zone")
	}
	return &Zone{name: name, location: location}, nil
}

// Name returns the name of the zone, "" for nil.
func (z *Zone) Name() string {
	if z == nil {
		return ""
	}
	return z.name
}

const (
	neverMs   = FirstMs + MsPerDay    // 0001-01-02: the day before means never in any zone
	foreverMs = LastMs + 1 - MsPerDay // 9999-12-31, which means forever in any zone
	maxOffset = 16 * 3_600_000        // above all offsets from UTC
	margin    = 32 * 3_600_000        // time after a change of the offset when local times may be ambiguous
)

// UTC converts a local time to UTC, both in milliseconds since 1970. Of an ambiguous time it returns the first one. For
// a time that the clock skips, it uses the offset before the change: 02:30 becomes 03:30. It returns times before
// 0001-01-02 or after 9999-12-30 unchanged.
func (z *Zone) UTC(clock int64) int64 {
	if clock < neverMs || clock >= foreverMs {
		return clock
	}
	if utc := clock - z.offset; z.start <= utc && utc < z.end {
		return utc
	}
	// Try one offset after another, from before the local time on.
	previousOffset := int64(0)
	for instant := clock - maxOffset; ; {
		start, end, offset := z.offsetAt(instant)
		switch utc := clock - offset; {
		case utc < start:
			return clock - previousOffset
		case utc < end:
			z.start = start
			z.end = end
			z.offset = offset
			if start > math.MinInt64 {
				z.start += margin
			}
			return utc
		}
		previousOffset = offset
		instant = end
	}
}

// offsetAt returns the offset from UTC of a point in time, and the time from start to end when it is valid.
func (z *Zone) offsetAt(utc int64) (start, end, offset int64) {
	instant := time.UnixMilli(utc).In(z.location)
	_, seconds := instant.Zone()
	start = math.MinInt64
	end = math.MaxInt64
	first, last := instant.ZoneBounds()
	if !first.IsZero() {
		start = first.UnixMilli()
	}
	if !last.IsZero() {
		end = last.UnixMilli()
	}
	return start, end, int64(seconds) * 1000
}

const atomTime = "2006-01-02T15:04:05.999999999"

// Clock returns the local time of a point in time, in Atom's form. skipped is the time that the clock skips for which
// [Zone.UTC] returns the same point, else the local time.
func (z *Zone) Clock(utc string) (local, skipped string) {
	instant, err := time.Parse(atomTime, utc)
	if ms := instant.UnixMilli(); err != nil || ms < neverMs || ms >= foreverMs {
		return utc, utc
	}
	clock := instant.In(z.location)
	local = clock.Format(atomTime)
	start, _ := clock.ZoneBounds()
	if start.IsZero() {
		return local, local
	}
	_, offset := clock.Zone()
	_, previousOffset := start.Add(-time.Nanosecond).Zone()
	if instant.Sub(start) < time.Duration(offset-previousOffset)*time.Second {
		return local, instant.Add(time.Duration(previousOffset) * time.Second).Format(atomTime)
	}
	return local, local
}
