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

// errServiceSlow is the cause of an [onlineClock]'s end if the service was too slow.
var errServiceSlow = errors.New("the service did not answer in time")

// limitError is the cause of an [onlineClock]'s end if limits of the origin delayed the requests for too long.
type limitError struct{ wait limits.Wait }

func (limitError) Error() string { return "the limits of the origin delayed the requests for too long" }

// onlineClock bounds the time of the requests of one validation. The time during which the service has a request counts
// against the service. Otherwise, the time during which requests wait for limits of the origin counts against the
// limits.
type onlineClock struct {
	ctx context.Context // ends with the clock
	end context.CancelCauseFunc

	mu      sync.Mutex
	waits   func() limits.Wait // returns what the requests wait for; nil before there is a client
	service time.Duration      // remaining time for the service
	limits  time.Duration      // remaining time for limits
	sent    int                // requests that do not wait for limits
	waiting int                // requests that wait for limits
	since   time.Time          // the last change of sent and waiting
	timer   *time.Timer        // ends the clock; nil before the first request
}

// clockContext is the context of the clock with a deadline that moves with the clock.
type clockContext struct {
	context.Context
	clock *onlineClock
}

// Deadline is 100 ms after the end of the clock, if nothing waits for limits from now on. Retries do not wait beyond a
// deadline, but return their last failure. The clock ends before it, so that a request that is ended has its cause.
func (c clockContext) Deadline() (deadline time.Time, ok bool) {
	c.clock.mu.Lock()
	defer c.clock.mu.Unlock()
	remaining := c.clock.service
	if c.clock.sent > 0 {
		remaining -= time.Since(c.clock.since)
	}
	return time.Now().Add(remaining + 100*time.Millisecond), true
}

// request counts a request until end is called. Its context ends with the clock.
func (c *onlineClock) request() (ctx context.Context, end func()) {
	c.count(1, 0)
	var mu sync.Mutex
	hasEnded := false // a wait of a shared connection may outlast the request
	waits := 0
	ctx = pause.WithLimitObserver(clockContext{Context: c.ctx, clock: c}, func(change int) { // 1 or -1
		mu.Lock()
		defer mu.Unlock()
		wasWaiting := waits > 0
		waits += change
		if isWaiting := waits > 0; !hasEnded && isWaiting != wasWaiting {
			c.count(-change, change)
		}
	})
	return ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		hasEnded = true
		if waits == 0 {
			c.count(-1, 0)
		} else {
			c.count(0, -1)
		}
	}
}

// count adds to the numbers of sent and of waiting requests, after it has subtracted the time since the last change. It
// restarts the timer.
func (c *onlineClock) count(sent, waiting int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	elapsed := time.Since(c.since)
	switch {
	case c.sent > 0:
		c.service -= elapsed
	case c.waiting > 0:
		c.limits -= elapsed
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
	var cause limitError
	if waits != nil {
		cause.wait = waits() // without c.mu, which a request may need that holds a lock of the client
	}
	c.end(cause)
}

// observe sets the client that knows what the requests wait for.
func (c *onlineClock) observe(client *transport.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits = client.AllWaits
}
