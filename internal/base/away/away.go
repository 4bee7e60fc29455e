// Package away logs once when a service or broker becomes unreachable and once when it responds again.
package away

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Partner is a service or broker; the zero value is reachable. Safe for concurrent use.
type Partner struct {
	mu     sync.Mutex
	since  time.Time // zero means reachable
	ended  time.Time // the last recovery
	warned bool      // the outage was logged as a warning
	reason string    // of the last failed attempt, without digits
}

// quietPeriod prevents alternating messages.
const quietPeriod = 2 * time.Second

// Lost records a failed attempt: WARN for the first, or for a new reason apart from digits, else DEBUG.
func (p *Partner) Lost(log *slog.Logger, began time.Time, reason, text string, args ...any) (warned bool) {
	level := slog.LevelDebug
	if warned = p.lost(began, reason); warned {
		level = slog.LevelWarn
	}
	log.Log(context.Background(), level, text, args...)
	return warned
}

// lost records a failed attempt and reports whether to log a warning. It ignores attempts before the last recovery.
func (p *Partner) lost(began time.Time, reason string) (isNew bool) {
	reason = strings.Map(func(r rune) rune {
		if (r >= '0' && r <= '9') || r == '.' { // durations
			return -1
		}
		return r
	}, reason)
	p.mu.Lock()
	defer p.mu.Unlock()
	if began.Before(p.ended) {
		return false
	}
	if p.since.IsZero() {
		p.since = time.Now()
	}
	isNew = (!p.warned || reason != p.reason) && !began.Before(p.ended.Add(quietPeriod))
	p.warned = p.warned || isNew
	p.reason = reason
	return isNew
}

// Back records a successful attempt and logs a recovery that a warning preceded.
func (p *Partner) Back(log *slog.Logger, began time.Time, text string, args ...any) {
	if outage, isLogged := p.back(began); isLogged {
		log.Info(text, append(args, "after", outage.Round(time.Second))...)
	}
}

// back ends an outage. isLogged reports whether a warning preceded. It ignores attempts from before the outage.
func (p *Partner) back(began time.Time) (outage time.Duration, isLogged bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() || !began.After(p.since) {
		return 0, false
	}
	outage = time.Since(p.since)
	isLogged = p.warned
	p.since = time.Time{}
	p.ended = time.Now()
	p.warned = false
	return outage, isLogged
}

// Since returns since when the partner has been unreachable. Zero means that it is reachable.
func (p *Partner) Since() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.since
}
