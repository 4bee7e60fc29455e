package limits

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/culvert-project/culvert/internal/base/pause"
)

// WaitToSend blocks during maintenance windows, and until the rate allows one more request. Call it after Acquire.
func (c *Client) WaitToSend(ctx context.Context) error {
	for {
		if err := c.waitForWindow(ctx); err != nil {
			return err
		}
		// During the wait for the rate a window may open.
		if err := c.pace(ctx); err != nil || c.Window().IsZero() {
			return err
		}
	}
}

// pace waits until the rate allows one more request. One request waits for the rate and the others for that request, so
// that a changed rate applies to all.
func (c *Client) pace(ctx context.Context) error {
	l := c.limiter
	if l.rate.Limit() == rate.Inf {
		return nil
	}
	if !l.pacing.TryLock() {
		l.mu.Lock()
		reason := l.rateWait()
		l.mu.Unlock()
		defer c.recordWait(c.rateWaiter(reason))()
		defer pause.MarkLimitWait(ctx)()
		if err := l.pacing.Lock(ctx); err != nil {
			return err
		}
	}
	defer l.pacing.Unlock()
	for {
		l.mu.Lock()
		slot := l.rate.Reserve()
		reason := l.rateWait()
		changed := l.changed
		l.mu.Unlock()
		delay := slot.Delay()
		if delay == 0 {
			return nil
		}
		hasElapsed, err := c.waitFor(ctx, delay, c.rateWaiter(reason), changed)
		if hasElapsed {
			return nil
		}
		slot.Cancel() // the rate has changed, or ctx has ended
		if err != nil {
			return err
		}
	}
}

func (c *Client) rateWaiter(reason string) *waiter {
	return &waiter{client: c, reason: reason, byRate: true}
}

func (l *Limiter) rateWait() string {
	return fmt.Sprintf("waiting for the limit of %v requests per second to %s%s", l.limits.PerSecond, l.origin,
		quotaNote(l.limits.PerSecond != l.strictest.PerSecond))
}

// Window returns when the open maintenance window ends, or zero.
func (c *Client) Window() time.Time {
	l := c.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	return openUntil(l.limits.Windows, time.Now())
}

// waitForWindow waits until no maintenance window is open.
func (c *Client) waitForWindow(ctx context.Context) error {
	for {
		until := c.Window()
		if until.IsZero() {
			return nil
		}
		reason := fmt.Sprintf("maintenance window: no requests to %s until %s", c.limiter.origin,
			until.Format("2006-01-02 15:04:05 MST"))
		c.limiter.mu.Lock()
		isLogged := c.loggedWindow.Equal(until)
		c.loggedWindow = until
		c.limiter.mu.Unlock()
		if !isLogged {
			c.log.Info(reason)
		}
		if _, err := c.waitFor(ctx, time.Until(until), &waiter{client: c, reason: reason}, nil); err != nil {
			return err
		}
	}
}
