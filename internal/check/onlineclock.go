package check

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/limits"
)

// errServiceSlow and [limitError] are the causes of an [onlineClock]'s end: the service was too slow, or the limits of
// its origin delayed the requests for too long.
var errServiceSlow = errors.New("the service did not answer in time")

type limitError struct{ wait limits.Wait }

func (limitError) Error() string { return "the limits of the origin delayed the requests for too long" }

// onlineClock bounds the requests of one validation. Time counts against the service while it has a request, else
// against the limits of its origin while requests wait for them.
type onlineClock struct {
	ctx context.Context
	end context.CancelCauseFunc

	mu      sync.Mutex
	waits   func() limits.Wait // what the requests wait for; nil before there is a client
	service time.Duration      // remaining time for the service
	limits  time.Duration      // remaining time for limits
	sent    int                // requests that do not wait for limits
	waiting int                // requests that wait for limits
	since   time.Time          // the last change of the counts
	timer   *time.Timer
}

func newOnlineClock(ctx context.Context, service, limits time.Duration) *onlineClock {
	c := &onlineClock{service: service, limits: limits}
	c.ctx, c.end = context.WithCancelCause(ctx)
	return c
}

// timed is the context of the clock with a deadline that moves with the clock.
type timed struct {
	context.Context
	clock *onlineClock
}

// Deadline is 100 ms after the clock ends if nothing waits for limits from now on, so that retries return their last
// failure in time, and an end by the clock keeps its cause.
func (t timed) Deadline() (deadline time.Time, ok bool) {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	remaining := t.clock.service
	if t.clock.sent > 0 {
		remaining -= time.Since(t.clock.since)
	}
	return time.Now().Add(remaining + 100*time.Millisecond), true
}

// request counts a request until end is called. Its context ends with the clock.
func (c *onlineClock) request() (ctx context.Context, end func()) {
	c.count(1, 0)
	var mu sync.Mutex
	waits := 0
	ended := false
	ctx = pause.WithLimitObserver(timed{c.ctx, c}, func(by int) {
		mu.Lock()
		defer mu.Unlock()
		previous := waits
		if waits += by; ended || previous > 0 == (waits > 0) {
			return // a wait of a shared connection may outlast the request
		}
		c.count(-by, by)
	})
	return ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		ended = true
		if waits == 0 {
			c.count(-1, 0)
		} else {
			c.count(0, -1)
		}
	}
}

// count changes the numbers of sent and of waiting requests, after it has subtracted the time since the last change.
func (c *onlineClock) count(sent, waiting int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	passed := time.Since(c.since)
	switch {
	case c.sent > 0:
		c.service -= passed
	case c.waiting > 0:
		c.limits -= passed
	}
	c.sent += sent
	c.waiting += waiting
	if c.timer != nil {
		c.timer.Stop()
	}
	c.since = time.Now()
	switch {
	case c.sent > 0:
		c.timer = time.AfterFunc(c.service, func() {
			defer guard.Recover(nil, "validation of a connector", nil)
			c.end(errServiceSlow)
		})
	case c.waiting > 0:
		c.timer = time.AfterFunc(c.limits, c.endByLimits)
	}
}

func (c *onlineClock) endByLimits() {
	defer guard.Recover(nil, "validation of a connector", nil)
	c.mu.Lock()
	waits := c.waits
	c.mu.Unlock()
	var reason limitError
	if waits != nil {
		reason.wait = waits()
	}
	c.end(reason)
}

// observe sets the client that knows what the requests wait for.
func (c *onlineClock) observe(client *transport.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits = client.AllWaits
}
