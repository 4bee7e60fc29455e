// Package away logs that a partner does not answer: once when it goes away, and once when it answers again, however
// many callers ask it and however often.
package away

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Partner is a service, broker or other program that may be away. The zero value is one that answers. Safe for use by
// several goroutines.
type Partner struct {
	mu     sync.Mutex
	since  time.Time // zero means it answers
	ended  time.Time // when it answered again last
	warned bool      // the log says that it is away
	reason string
}

// quietPeriod is how long what is logged of a partner holds: one that answers now and again is not reported with each try.
const quietPeriod = 2 * time.Second

// Lost notes that a try which began at a time has failed. It logs a warning if the partner answered before, or if the
// reason is another one than at the last warning, digits aside; else a line of level debug. A try that began before the
// partner answered again is late, and no news. warned reports whether it was a warning.
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

// Back notes that the partner has answered a try that began at a time. If it was away, and has answered a try that
// began since, it logs that, with how long it was away, unless no warning said so.
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

// Since returns when the partner went away. Zero means that it answers, as far as anybody has asked.
func (p *Partner) Since() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.since
}
