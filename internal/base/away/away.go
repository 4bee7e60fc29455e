// Package away logs that a partner does not answer: once when that begins and once when it ends, for all callers
// together.
package away

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Partner is a service or broker that may be unreachable. The zero value is reachable. Safe for concurrent use.
type Partner struct {
	mu     sync.Mutex
	since  time.Time // zero means it answers
	ended  time.Time // when it answered again last
	warned bool      // the log says that it is away
	reason string
}

// quietPeriod suppresses alternating messages about a partner that answers only sometimes.
const quietPeriod = 2 * time.Second

// Lost records a failed attempt. It logs a warning if the partner was reachable, or if the reason differs from the
// last warning's, ignoring digits; otherwise at DEBUG. Attempts that began before the last recovery are ignored.
// warned reports whether it logged a warning.
func (p *Partner) Lost(log *slog.Logger, began time.Time, reason, text string, args ...any) (warned bool) {
	level := slog.LevelDebug
	if warned = p.lost(began, reason); warned {
		level = slog.LevelWarn
	}
	log.Log(context.Background(), level, text, args...)
	return warned
}

func (p *Partner) lost(began time.Time, reason string) (news bool) {
	reason = strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '.' { // it may say how long it took
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
	news = (!p.warned || reason != p.reason) && !began.Before(p.ended.Add(quietPeriod))
	p.warned, p.reason = p.warned || news, reason
	return news
}

// Back records a successful attempt. If a warning was logged before it began, it logs the recovery and the
// duration.
func (p *Partner) Back(log *slog.Logger, began time.Time, text string, args ...any) {
	if lasted, back := p.back(began); back {
		log.Info(text, append(args, "after", lasted.Round(time.Second))...)
	}
}

func (p *Partner) back(began time.Time) (lasted time.Duration, back bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() || !began.After(p.since) {
		return 0, false
	}
	lasted, back = time.Since(p.since), p.warned
	p.since, p.ended, p.warned = time.Time{}, time.Now(), false
	return lasted, back
}

// Since returns when the partner became unreachable. Zero means reachable, as far as known.
func (p *Partner) Since() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.since
}
