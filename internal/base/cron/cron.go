// Package cron reads Quartz cron expressions: for maintenance windows and for the times at which feeds are polled.
package cron

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // zones are known wherever the binary runs

	"github.com/reugn/go-quartz/quartz"
)

// Schedule is a cron expression with its zone.
type Schedule struct {
	trigger *quartz.CronTrigger
	zone    *time.Location
	// hourly is the expression where it has a start in every hour, else "".
	hourly string
}

// New makes a schedule of an expression's fields (second, minute, hour, day of the month, month, weekday, and a year if
// there is one).
func New(fields []string, zone *time.Location) (*Schedule, error) {
	plain, err := normalize(fields)
	if err != nil {
		return nil, err
	}
	trigger, err := quartz.NewCronTriggerWithLoc(plain, zone)
	if err != nil {
		return nil, fmt.Errorf("expected a Quartz cron expression (second minute hour day month weekday), found %q: %w",
			strings.Join(fields, " "), err)
	}
	s := &Schedule{trigger: trigger, zone: zone}
	if startsEveryHour(plain) {
		s.hourly = plain
	}
	return s, nil
}

// Parse reads an expression, which may end with the name of a time zone; else it is in UTC.
func Parse(text string) (*Schedule, error) {
	fields, zone := strings.Fields(text), time.UTC
	if last := len(fields) - 1; last > 0 && isZone(fields[last]) {
		var err error
		if zone, err = time.LoadLocation(fields[last]); err != nil {
			return nil, fmt.Errorf("expected the name of a time zone such as Europe/Berlin, found %q in %q",
				fields[last], text)
		}
		fields = fields[:last]
	}
	return New(fields, zone)
}

// isZone reports whether a field can be the name of a time zone rather than a field of the expression.
func isZone(field string) bool {
	if field == "UTC" || field == "GMT" {
		return true
	}
	area, place, ok := strings.Cut(field, "/")
	return ok && area != "" && place != "" && strings.Trim(strings.ToLower(area),
		"abcdefghijklmnopqrstuvwxyz_") == "" && strings.Trim(place, "0123456789") != ""
}

// Next is the first time of the schedule after a time; false: there is none. In the hour that comes twice when clocks
// go back, what starts in every hour starts in both, and what starts at hours of its own in the second.
func (s *Schedule) Next(after time.Time) (time.Time, bool) {
	if s.hourly != "" {
		return s.nextOfEveryHour(after)
	}
	return next(s.trigger, after)
}

func next(trigger *quartz.CronTrigger, after time.Time) (time.Time, bool) {
	next, err := trigger.NextFireTime(after.UnixNano())
	if err != nil {
		return time.Time{}, false
	}
	return time.Unix(0, next), true
}

// nextOfEveryHour is Next by a clock that is not set, from one change of the zone's clocks to the next: package quartz
// finds one of the two hours alone. There are two changes a year, and expressions end with the year 2199.
func (s *Schedule) nextOfEveryHour(after time.Time) (time.Time, bool) {
	for at := after; ; {
		name, offset := at.In(s.zone).Zone()
		trigger, err := quartz.NewCronTriggerWithLoc(s.hourly, time.FixedZone(name, offset))
		if err != nil {
			return time.Time{}, false // it was read when the schedule was made
		}
		_, set := at.In(s.zone).ZoneBounds()
		found, ok := next(trigger, after)
		if !ok || set.IsZero() || found.Before(set) {
			return found, ok
		}
		after, at = set.Add(-time.Second), set
	}
}
