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

// dialCall is one call of DialContext: attempts at each location, repeated with pauses during an outage.
type dialCall struct {
	*Dialer
	endpoint
	refused string // the token that the proxy rejected in the last attempt, or ""
}

// Pauses between rounds over the locations.
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
			conn, err := d.attemptWithFreshToken(ctx, location)
			attempts++
			if err == nil {
				if _, was := d.unreachable.LoadAndDelete(d.address); was || attempts > 1 {
					d.log(ctx, slog.LevelInfo, "tunnel opened", "location", location, "attempts", attempts, "after",
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
		remaining := d.Outage - time.Since(began)
		if remaining <= 0 && attempts == 1 {
			return nil, fmt.Errorf("no tunnel to %s: %w", d.address, last)
		}
		if remaining <= 0 {
			return nil, fmt.Errorf("no tunnel to %s after %d attempts in %v: %w", d.address, attempts,
				time.Since(began).Round(time.Millisecond), last)
		}
		level := slog.LevelWarn
		if _, isKnown := d.unreachable.LoadOrStore(d.address, true); isKnown {
			level = slog.LevelDebug
		}
		d.log(ctx, level, "tunnel could not be opened; retrying", "attempts", attempts, "left",
			remaining.Round(time.Millisecond), "error", last)
		if pause.For(ctx, min(remaining, jitter(backoff.Next()))) != nil {
			return nil, d.contextError(ctx, last, contextCause(ctx))
		}
	}
}

// attemptWithFreshToken makes a second attempt with a fresh token if the first one's token was rejected.
func (d *dialCall) attemptWithFreshToken(ctx context.Context, location string) (net.Conn, error) {
	conn, err := d.attempt(ctx, location)
	var refused *Refused
	if errors.As(err, &refused) && refused.Authentication() {
		d.log(ctx, slog.LevelDebug, "the proxy rejected the token; fetching a new one", "step", string(refused.Step),
			"code", refused.Code)
		conn, err = d.attempt(ctx, location)
		var token *tokenError
		if errors.As(err, &token) {
			err = fmt.Errorf("%w; it was requested because the previous token was rejected: %w", err, refused)
		}
	}
	return conn, err
}

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

func (d *dialCall) contextError(ctx context.Context, previous, err error) error {
	if !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w: %w", contextCause(ctx), err)
	}
	if previous == nil {
		return fmt.Errorf("no tunnel to %s: %w", d.address, err)
	}
	return fmt.Errorf("no tunnel to %s: %w; before that: %w", d.address, err, previous)
}

// contextCause returns the cause of ctx together with ctx.Err.
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

// jitter spreads reconnects of tunnels that broke together.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }
