package socks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
)

// dialCall is one call of DialContext: attempts until one of them says enough.
type dialCall struct {
	*Dialer
	endpoint
	refused string // the token that the proxy did not take in the attempt before, or ""
}

// Between two rounds over the locations.
const (
	firstPause = 250 * time.Millisecond
	longPause  = 10 * time.Second
)

func (d *dialCall) run(ctx context.Context) (net.Conn, error) {
	locations := d.Locations
	if len(locations) == 0 {
		locations = []string{""}
	}
	began := time.Now()
	backoff := pause.Backoff{First: firstPause, Longest: longPause}
	var last error
	for attempts := 0; ; {
		for _, location := range locations {
			conn, err := d.attemptTwice(ctx, location)
			attempts++
			if err == nil {
				if _, was := d.unreachable.LoadAndDelete(d.address); was || attempts > 1 {
					d.log(ctx, slog.LevelInfo, "tunnel made", "location", location, "attempts", attempts, "after",
						time.Since(began))
				}
				return conn, nil
			}
			if ctx.Err() != nil {
				return nil, d.contextError(ctx, last, err)
			}
			if !isTransient(err) {
				return nil, fmt.Errorf("no tunnel to %s: %w", d.address, err)
			}
			last = err
		}
		left := d.Outage - time.Since(began)
		if left <= 0 && attempts == 1 {
			return nil, fmt.Errorf("no tunnel to %s: %w", d.address, last)
		}
		if left <= 0 {
			return nil, fmt.Errorf("no tunnel to %s after %d attempts in %v: %w", d.address, attempts,
				time.Since(began).Round(time.Millisecond), last)
		}
		level := slog.LevelWarn
		if _, known := d.unreachable.LoadOrStore(d.address, true); known {
			level = slog.LevelDebug
		}
		d.log(ctx, level, "no tunnel yet", "attempts", attempts, "left", left.Round(time.Millisecond), "error", last)
		if pause.For(ctx, min(left, jitter(backoff.Next()))) != nil {
			return nil, d.contextError(ctx, last, contextCause(ctx))
		}
	}
}

// attemptTwice makes an attempt, and another one with a fresh token where it was the token that was refused.
func (d *dialCall) attemptTwice(ctx context.Context, location string) (net.Conn, error) {
	conn, err := d.attempt(ctx, location)
	var refused *Refused
	if errors.As(err, &refused) && refused.Authentication() {
		d.log(ctx, slog.LevelInfo, "token refused, fetching another one", "step", string(refused.Step), "code",
			refused.Code)
		conn, err = d.attempt(ctx, location)
		var token *tokenError
		if errors.As(err, &token) {
			err = fmt.Errorf("%w; it was asked for because the one before was refused: %w", err, refused)
		}
	}
	return conn, err
}

// isTransient says whether an error may be gone the next time.
func isTransient(err error) bool {
	var token *tokenError
	if errors.As(err, &token) {
		var known interface{ Temporary() bool }
		return errors.As(token.error, &known) && known.Temporary()
	}
	var known interface{ Permanent() bool }
	if errors.As(err, &known) {
		return !known.Permanent()
	}
	var name *net.DNSError
	return !errors.As(err, &name) || !name.IsNotFound
}

// contextError is what is said when ctx is done: in the middle of what, and what stood in the way before that.
func (d *dialCall) contextError(ctx context.Context, before, now error) error {
	if !errors.Is(now, ctx.Err()) {
		now = fmt.Errorf("%w: %w", contextCause(ctx), now)
	}
	if before == nil {
		return fmt.Errorf("no tunnel to %s: %w", d.address, now)
	}
	return fmt.Errorf("no tunnel to %s: %w; before that: %w", d.address, now, before)
}

// contextCause is why ctx ended, as its owner put it, and as everybody knows it.
func contextCause(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != ctx.Err() {
		return fmt.Errorf("%w (%w)", cause, ctx.Err())
	}
	return ctx.Err()
}

func (d *dialCall) log(ctx context.Context, level slog.Level, message string, args ...any) {
	if d.Logger != nil {
		d.Logger.Log(ctx, level, message, append([]any{"proxy", d.Address, "target", d.address}, args...)...)
	}
}

// jitter spreads the tunnels of a worker that all broke at once.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }
