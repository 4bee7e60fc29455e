package limits

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
)

// recordWait registers a waiting request until end is called.
func (c *Client) recordWait(w *waiter) (end func()) {
	c.limiter.mu.Lock()
	defer c.limiter.mu.Unlock()
	w.recordedAt = time.Now()
	c.waits[w] = struct{}{}
	if w.byRate {
		c.delayedAt = w.recordedAt
	}
	return func() {
		c.limiter.mu.Lock()
		defer c.limiter.mu.Unlock()
		delete(c.waits, w)
		if w.byRate {
			c.delayedAt = time.Now()
		}
	}
}

// RecordLogonWait registers a request that waits for another one's logon, until end is called.
func (c *Client) RecordLogonWait() (end func()) {
	return c.recordWait(&waiter{client: c, reason: "waiting for another logon to " + c.limiter.origin,
		since: time.Now()})
}

// RecordRetryAfter registers a request that waits because of Retry-After, until end is called.
func (c *Client) RecordRetryAfter() (end func()) {
	return c.recordWait(&waiter{client: c, reason: c.limiter.origin + " requested a pause (Retry-After)",
		byService: true})
}

const longWait = 5 * time.Second

// Wait describes why requests of a client wait: Reasons are sorted, Since is the start of the longest wait.
type Wait struct {
	Reasons   []string
	Since     time.Time
	ByService bool // the service requested the pause
	ByRate    bool // the limit of requests per second is the only reason
	// PerSecond is the limit of requests per second that has delayed a request in the last 10 seconds; 0 means none.
	PerSecond float64
}

// rateNoteTime is how long a wait for the rate is reported: with 3 requests per second each wait is short.
const rateNoteTime = 10 * time.Second

// Waits describes waits of the client of more than 5 seconds, and those that a service or a setting causes.
func (c *Client) Waits() Wait {
	c.limiter.mu.Lock()
	defer c.limiter.mu.Unlock()
	return c.waitsNow(longWait)
}

// AllWaits is [Client.Waits] with waits that have just begun.
func (c *Client) AllWaits() Wait {
	c.limiter.mu.Lock()
	defer c.limiter.mu.Unlock()
	return c.waitsNow(0)
}

// waitsNow describes waits that are longer than a time or reported at once. The caller holds the limiter's mu.
func (c *Client) waitsNow(longerThan time.Duration) (wait Wait) {
	wait.ByRate = true
	if time.Since(c.delayedAt) < rateNoteTime {
		wait.PerSecond = c.limiter.limits.PerSecond
	}
	for w := range c.waits {
		if time.Since(w.since) < longerThan {
			continue
		}
		wait.ByRate = wait.ByRate && w.byRate
		wait.Reasons = append(wait.Reasons, w.reason)
		wait.ByService = wait.ByService || w.byService
		if wait.Since.IsZero() || w.recordedAt.Before(wait.Since) {
			wait.Since = w.recordedAt
		}
	}
	wait.ByRate = wait.ByRate && len(wait.Reasons) > 0
	slices.Sort(wait.Reasons)
	wait.Reasons = slices.Compact(wait.Reasons)
	return wait
}

// Waiting returns the reasons of [Client.Waits] as a text, "" for none.
func (c *Client) Waiting() string { return strings.Join(c.Waits().Reasons, "; ") }

// logEvery is the minimum interval between a client's messages about long waits.
const logEvery = 5 * time.Minute

// waitFor waits for d; hasElapsed is false if interrupt was closed first.
func (c *Client) waitFor(ctx context.Context, d time.Duration, w *waiter,
	interrupt <-chan struct{}) (hasElapsed bool, err error) {
	defer c.recordWait(w)()
	defer pause.MarkLimitWait(ctx)()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true, nil
	case <-interrupt:
		return false, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}
