// Package zone turns the time on a clock somewhere into points in time, and back. Zones are those of IANA: a program
// that has no files of them imports time/tzdata.
package zone

import (
	"errors"
	"math"
	"time"
)

// Zone is where a service's clock is.
type Zone struct {
	name string
	at   *time.Location
	// The offset from UTC, in milliseconds, of points in time that are at least the first one and below the other, and
	// that no other offset leads to: rows mostly have times that are near to each other.
	from, until, offset int64
}

// Load finds a zone by its name, such as Europe/Berlin.
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

// Name of the zone, "" of none.
func (z *Zone) Name() string {
	if z == nil {
		return ""
	}
	return z.name
}

const (
	msPerDay = 86_400_000
	// Times before firstMs and from lastMs on stand for never and for ever: 0001-01-01 and 9999-12-31 are so in every
	// zone, and some would leave the years that services have.
	firstMs = -62_135_596_800_000 + msPerDay
	lastMs  = 253_402_300_800_000 - msPerDay
	// maxOffset is further than any clock is from UTC, margin further than any is set back.
	maxOffset = 16 * 3_600_000
	margin    = 32 * 3_600_000
)

// UTC is the point in time at which the clock shows a time; both are milliseconds since 1970, that of the clock as if
// it were in UTC. A time that the clock shows twice is the first of the two. One that it leaves out is as long behind
// the point at which it is set forward as it is behind the last time before: 02:30 is what is called 03:30.
func (z *Zone) UTC(clock int64) int64 {
	if clock < firstMs || clock >= lastMs {
		return clock
	}
	if utc := clock - z.offset; z.from <= utc && utc < z.until {
		return utc
	}
	before := int64(0)
	for at := clock - maxOffset; ; {
		from, until, offset := z.offsetAt(at)
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
		before, at = offset, until
	}
}

// offsetAt is the offset at a point in time, and from when until when it is that.
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

// layout of points in time, as Atom writes them.
const layout = "2006-01-02T15:04:05.999999999"

// Clock is what the clock shows at a point in time. Where [Zone.UTC] makes the same of a time that the clock leaves
// out, least is that time, else it is the same.
func (z *Zone) Clock(utc string) (shown, least string) {
	t, err := time.Parse(layout, utc)
	if ms := t.UnixMilli(); err != nil || ms < firstMs || ms >= lastMs {
		return utc, utc
	}
	local := t.In(z.at)
	shown, least = local.Format(layout), local.Format(layout)
	start, _ := local.ZoneBounds()
	if start.IsZero() {
		return shown, least
	}
	_, now := local.Zone()
	_, before := start.Add(-time.Nanosecond).Zone()
	if t.Sub(start) < time.Duration(now-before)*time.Second {
		least = t.Add(time.Duration(before) * time.Second).Format(layout)
	}
	return shown, least
}
