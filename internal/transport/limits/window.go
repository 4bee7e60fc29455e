package limits

import (
	"fmt"
	"strings"
	"time"

	schedules "github.com/culvert-project/culvert/internal/base/cron"
)

// Window is a recurring maintenance window, in which no request starts.
type Window struct {
	start    *schedules.Schedule
	duration time.Duration
	text     string
}

// maxWindow excludes durations that are mistakes.
const maxWindow = 7 * 24 * time.Hour

// ParseWindows reads windows separated by semicolons: `0 0 22 ? * SAT/4h Europe/Berlin` is Saturday 22:00 to 2:00.
func ParseWindows(text string) ([]Window, error) {
	var windows []Window
	for _, window := range strings.Split(text, ";") {
		if strings.TrimSpace(window) == "" {
			continue
		}
		fields := strings.Fields(window)
		w := Window{text: strings.Join(fields, " ")}
		last := len(fields) - 1
		cron, duration, ok := cutDuration(fields[last])
		if !ok && last > 0 { // a time zone follows
			last--
			cron, duration, ok = cutDuration(fields[last])
		}
		if !ok {
			return nil, fmt.Errorf("expected START/DURATION ZONE, such as 0 0 22 ? * SAT/4h Europe/Berlin, found %q",
				w.text)
		}
		if duration <= 0 || duration > maxWindow {
			return nil, fmt.Errorf("expected a duration from 1s to %v, found %v in %q", maxWindow, duration, w.text)
		}
		fields[last] = cron
		var err error
		if w.start, err = schedules.Parse(strings.Join(fields, " ")); err != nil {
			return nil, fmt.Errorf("expected a Quartz cron expression as the start: %w", err)
		}
		w.duration = duration
		windows = append(windows, w)
	}
	return windows, nil
}

// cutDuration splits the duration from the last field of an expression, which may contain a slash itself.
func cutDuration(field string) (cron string, duration time.Duration, ok bool) {
	i := strings.LastIndexByte(field, '/')
	if i <= 0 {
		return "", 0, false
	}
	duration, err := time.ParseDuration(field[i+1:])
	return field[:i], duration, err == nil
}

func (w Window) String() string { return w.text }

// openUntil returns the end of the window that is open at a time, or zero.
func (w Window) openUntil(now time.Time) time.Time {
	began := now.Add(-w.duration)
	start, ok := w.next(began)
	if !ok || start.After(now) {
		return time.Time{}
	}
	// Windows may overlap: find the last start up to now by bisection.
	low := began
	high := now
	for high.Sub(low) > time.Second {
		middle := low.Add(high.Sub(low) / 2)
		if next, ok := w.next(middle); ok && !next.After(now) {
			low = middle
			start = next
		} else {
			high = middle
		}
	}
	return start.Add(w.duration)
}

func (w Window) next(from time.Time) (start time.Time, ok bool) { return w.start.Next(from) }

// openUntil returns the latest end of the windows that are open at a time, or zero.
func openUntil(windows []Window, now time.Time) (until time.Time) {
	for _, w := range windows {
		if end := w.openUntil(now); end.After(until) {
			until = end
		}
	}
	return until
}
