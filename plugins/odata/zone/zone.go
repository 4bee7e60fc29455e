// Package zone converts between local times of a time zone and UTC. Programs without zone files import time/tzdata.
package zone

import (
	"errors"
	"math"
	"time"
)

// Zone is a time zone. It caches the last offset, so only one goroutine may use it at a time.
type Zone struct {
	name     string
	location *time.Location
	offset   int64 // the last offset from UTC in milliseconds, see from and until
	from     int64 // when offset starts to be valid and unambiguous, in milliseconds since 1970
	until    int64 // when offset ends
}

// Load finds a zone by its IANA name.
func Load(name string) (*Zone, error) {
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
	msPerDay  = 86_400_000
	firstMs   = -62_135_596_800_000 + msPerDay // 0001-01-01, which means never in any zone, is before
	lastMs    = 253_402_300_800_000 - msPerDay // 9999-12-31, which means forever in any zone, is after
	maxOffset = 16 * 3_600_000
	margin    = 32 * 3_600_000 // after a change of the offset, when local times may be ambiguous
)

// UTC converts a local time to UTC, both in milliseconds since 1970. Of an ambiguous time it returns the first one. For
// a time that the clock skips, it uses the offset before: 02:30 becomes 03:30.
func (z *Zone) UTC(clock int64) int64 {
	if clock < firstMs || clock >= lastMs {
		return clock
	}
	if utc := clock - z.offset; z.from <= utc && utc < z.until {
		return utc
	}
	previousOffset := int64(0)
	for instant := clock - maxOffset; ; {
		from, until, offset := z.offsetAt(instant)
		switch utc := clock - offset; {
		case utc < from:
			return clock - previousOffset
		case utc < until:
			z.from = from
			z.until = until
			z.offset = offset
			if from > math.MinInt64 {
				z.from += margin
			}
			return utc
		}
		previousOffset = offset
		instant = until
	}
}

// offsetAt returns the offset from UTC of a point in time, and when it is valid.
func (z *Zone) offsetAt(utc int64) (from, until, offset int64) {
	instant := time.UnixMilli(utc).In(z.location)
	_, seconds := instant.Zone()
	from = math.MinInt64
	until = math.MaxInt64
	start, end := instant.ZoneBounds()
	if !start.IsZero() {
		from = start.UnixMilli()
	}
	if !end.IsZero() {
		until = end.UnixMilli()
	}
	return from, until, int64(seconds) * 1000
}

const atomTime = "2006-01-02T15:04:05.999999999"

// Clock returns the local time of a point in time, in Atom's form. skipped is the time that the clock skips for which
// [Zone.UTC] returns the same point, else the local time.
func (z *Zone) Clock(utc string) (local, skipped string) {
	instant, err := time.Parse(atomTime, utc)
	if ms := instant.UnixMilli(); err != nil || ms < firstMs || ms >= lastMs {
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
