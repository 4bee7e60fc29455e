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
type Schedule struct{ trigger *quartz.CronTrigger }

// New makes a schedule of an expression's fields (second, minute, hour, day of the month, month, weekday, and a year if
// there is one).
func New(fields []string, zone *time.Location) (*Schedule, error) {
	plain, err := plainCron(fields)
	if err != nil {
		return nil, err
	}
	trigger, err := quartz.NewCronTriggerWithLoc(plain, zone)
	if err != nil {
		return nil, fmt.Errorf("expected a Quartz cron expression (second minute hour day month weekday), found %q: %w",
			strings.Join(fields, " "), err)
	}
	return &Schedule{trigger}, nil
}

// Parse reads an expression, which may have the name of a time zone behind it; else it is in UTC.
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

// isZone tells whether a field can be the name of a time zone rather than a field of the expression.
func isZone(field string) bool {
	if field == "UTC" || field == "GMT" {
		return true
	}
	area, place, ok := strings.Cut(field, "/")
	return ok && area != "" && place != "" && strings.Trim(strings.ToLower(area),
		"abcdefghijklmnopqrstuvwxyz_") == "" && strings.Trim(place, "0123456789") != ""
}

// Next is the first time of the schedule behind a time; false: there is none.
func (s *Schedule) Next(after time.Time) (time.Time, bool) {
	next, err := s.trigger.NextFireTime(after.UnixNano())
	if err != nil {
		return time.Time{}, false
	}
	return time.Unix(0, next), true
}
