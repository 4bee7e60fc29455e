// Package cron computes times from Quartz cron expressions, for maintenance windows and polling.
package cron

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // systems may have no time zones

	"github.com/reugn/go-quartz/quartz"
)

// Schedule is a cron expression in a time zone.
type Schedule struct {
	trigger *quartz.CronTrigger
	zone    *time.Location
	hourly  string // the expression if it has a start in every hour, else ""
}

// New parses an expression's fields: second, minute, hour, day of month, month, weekday and optionally year.
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

// Parse reads an expression with an optional time zone at the end. Default UTC.
func Parse(text string) (*Schedule, error) {
	fields := strings.Fields(text)
	zone := time.UTC
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

// isZone distinguishes a time zone from a field of the expression.
func isZone(field string) bool {
	if field == "UTC" || field == "GMT" {
		return true
	}
	area, place, ok := strings.Cut(field, "/")
	return ok && area != "" && place != "" && strings.Trim(strings.ToLower(area),
		"abcdefghijklmnopqrstuvwxyz_") == "" && strings.Trim(place, "0123456789") != ""
}

// Next returns the first start after a time, if any. In an hour that clocks repeat only hourly expressions start twice.
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

// nextOfEveryHour computes between changes of the zone's clocks with a fixed offset, since package quartz finds only
// one of the two repeated hours. The loop ends: expressions end with the year 2199.
func (s *Schedule) nextOfEveryHour(after time.Time) (time.Time, bool) {
	for instant := after; ; {
		name, offset := instant.In(s.zone).Zone()
		trigger, err := quartz.NewCronTriggerWithLoc(s.hourly, time.FixedZone(name, offset))
		if err != nil {
			return time.Time{}, false // impossible: New has parsed it
		}
		_, change := instant.In(s.zone).ZoneBounds()
		fireTime, ok := next(trigger, after)
		if !ok || change.IsZero() || fireTime.Before(change) {
			return fireTime, ok
		}
		after = change.Add(-time.Second)
		instant = change
	}
}
