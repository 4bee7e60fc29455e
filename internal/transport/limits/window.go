package limits

import (
	"fmt"
	"strings"
	"time"

	schedules "github.com/culvert-project/culvert/internal/base/cron"
)

// Window is a time that comes again and again, in which nothing is sent: the service is being maintained.
type Window struct {
	start    *schedules.Schedule
	duration time.Duration
	text     string
}

// maxWindow is far more than any maintenance takes, and short enough that two starts hardly overlap by mistake.
const maxWindow = 7 * 24 * time.Hour

// ParseWindows reads windows that are separated by semicolons, each `START/DURATION ZONE`: START is a Quartz cron
// expression (second, minute, hour, day of the month, month, day of the week, and perhaps a year), DURATION such as 4h
// or 1h30m, ZONE a name such as Europe/Berlin, by default UTC. `0 0 22 ? * SAT/4h Europe/Berlin` is from ten on
// Saturday evening to two on Sunday morning.
func ParseWindows(text string) ([]Window, error) {
	var windows []Window
	for _, one := range strings.Split(text, ";") {
		if strings.TrimSpace(one) == "" {
			continue
		}
		w, err := parseWindow(strings.Fields(one))
		if err != nil {
			return nil, err
		}
		windows = append(windows, w)
	}
	return windows, nil
}

func parseWindow(fields []string) (w Window, err error) {
	w.text = strings.Join(fields, " ")
	zone := time.UTC
	cron, lasts, ok := cutDuration(fields[len(fields)-1])
	if !ok && len(fields) > 1 {
		name := fields[len(fields)-1]
		fields = fields[:len(fields)-1]
		if cron, lasts, ok = cutDuration(fields[len(fields)-1]); ok {
			if zone, err = time.LoadLocation(name); err != nil || name == "Local" {
				return w, fmt.Errorf("expected the name of a time zone such as Europe/Berlin, found %q in %q", name,
					w.text)
			}
		}
	}
	if !ok {
		return w, fmt.Errorf("expected START/DURATION ZONE, such as 0 0 22 ? * SAT/4h Europe/Berlin, found %q", w.text)
	}
	if lasts <= 0 || lasts > maxWindow {
		return w, fmt.Errorf("expected a duration from 1s to %v, found %v in %q", maxWindow, lasts, w.text)
	}
	fields = append(fields[:len(fields)-1:len(fields)-1], cron)
	if w.start, err = schedules.New(fields, zone); err != nil {
		return w, fmt.Errorf("expected a Quartz cron expression as the start: %w", err)
	}
	w.duration = lasts
	return w, nil
}

// cutDuration cuts the duration off the last field of an expression, which may hold a slash of its own.
func cutDuration(field string) (cron string, lasts time.Duration, ok bool) {
	i := strings.LastIndexByte(field, '/')
	if i <= 0 {
		return "", 0, false
	}
	lasts, err := time.ParseDuration(field[i+1:])
	return field[:i], lasts, err == nil
}

// String is the window as it was given.
func (w Window) String() string { return w.text }

// openUntil is when the window ends that is open at a time; zero if it is not open.
func (w Window) openUntil(now time.Time) time.Time {
	began := now.Add(-w.duration)
	start, ok := w.next(began)
	if !ok || start.After(now) {
		return time.Time{}
	}
	// Starts may lie so near that one window runs into the next: the last one counts, which is between the two.
	before, after := began, now
	for after.Sub(before) > time.Second {
		middle := before.Add(after.Sub(before) / 2)
		if next, ok := w.next(middle); ok && !next.After(now) {
			before, start = middle, next
		} else {
			after = middle
		}
	}
	return start.Add(w.duration)
}

// next is the first start after a time.
func (w Window) next(from time.Time) (start time.Time, ok bool) { return w.start.Next(from) }

// openUntil is when the last of those windows ends that are open at a time; zero if none is.
func openUntil(windows []Window, now time.Time) (until time.Time) {
	for _, w := range windows {
		if end := w.openUntil(now); end.After(until) {
			until = end
		}
	}
	return until
}
