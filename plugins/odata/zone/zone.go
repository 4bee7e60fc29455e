// Package zone converts between local times of a time zone and points in time. A program without zone files has to
// import time/tzdata.
package zone

import (
	"errors"
	"math"
	"time"
)

// Zone is a time zone.
type Zone struct {
	name string
	at   *time.Location
	// The last offset from UTC in milliseconds, cached with the range in which it is unambiguous.
	from, until, offset int64
}

// Load finds a zone by its IANA name.
func Load(name string) (*Zone, error) {
	if name == "" || name == "Local" {
		return nil, errors.New("expected the name of a time zone")
	}
	at, err := time.LoadLocation(name)
	if err != nil {
		return nil, errors.New("there is no such time zone")
	}
	return &Zone{name: name, at: at}, nil
}

// Name returns the name of the zone, or "".
func (z *Zone) Name() string {
	if z == nil {
		return ""
	}
	return z.name
}

const (
	msPerDay = 86_400_000
	// Times outside of these are 0001-01-01 and 9999-12-31, which mean never and forever in any zone.
	firstMs   = -62_135_596_800_000 + msPerDay
	lastMs    = 253_402_300_800_000 - msPerDay
	maxOffset = 16 * 3_600_000
	margin    = 32 * 3_600_000
)

// UTC converts a local time; both are milliseconds since 1970. Of an ambiguous time it returns the first point. A
// skipped time counts from the offset before: 02:30 becomes 03:30.
func (z *Zone) UTC(clock int64) int64 {
	if clock < firstMs || clock >= lastMs {
		return clock
	}
	if utc := clock - z.offset; z.from <= utc && utc < z.until {
		return utc
	}
	before := int64(0)
	for instant := clock - maxOffset; ; {
		from, until, offset := z.offsetAt(instant)
		switch utc := clock - offset; {
		case utc < from:
			return clock - before
		case utc < until:
			z.from, z.until, z.offset = from, until, offset
			if from > math.MinInt64 {
				z.from += margin
			}
			return utc
		}
		before, instant = offset, until
	}
}

func (z *Zone) offsetAt(utc int64) (from, until, offset int64) {
	at := time.UnixMilli(utc).In(z.at)
	_, seconds := at.Zone()
	from, until = math.MinInt64, math.MaxInt64
	start, end := at.ZoneBounds()
	if !start.IsZero() {
		from = start.UnixMilli()
	}
	if !end.IsZero() {
		until = end.UnixMilli()
	}
	return from, until, int64(seconds) * 1000
}

const layout = "2006-01-02T15:04:05.999999999"

// Clock returns the local time of a point in time in Atom's form. least is the skipped time for which [Zone.UTC]
// returns the same, if there is one.
func (z *Zone) Clock(utc string) (shown, least string) {
	instant, err := time.Parse(layout, utc)
	if ms := instant.UnixMilli(); err != nil || ms < firstMs || ms >= lastMs {
		return utc, utc
	}
	local := instant.In(z.at)
	shown, least = local.Format(layout), local.Format(layout)
	start, _ := local.ZoneBounds()
	if start.IsZero() {
		return shown, least
	}
	_, now := local.Zone()
	_, before := start.Add(-time.Nanosecond).Zone()
	if instant.Sub(start) < time.Duration(now-before)*time.Second {
		least = instant.Add(time.Duration(before) * time.Second).Format(layout)
	}
	return shown, least
}
