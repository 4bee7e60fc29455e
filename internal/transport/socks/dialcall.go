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
	refusedToken string // the token that the proxy rejected in the last attempt, or ""
}

// Pauses between rounds over the locations.
const (
	firstPause = 250 * time.Millisecond
	longPause  = 10 * time.Second
)

// run makes rounds over the locations until a tunnel is open, an error is permanent, or Outage or ctx ends.
func (d *dialCall) run(ctx context.Context) (net.Conn, error) {
	locations := d.Locations
	if len(locations) == 0 {
		locations = []string{""}
	}
	began := time.Now()
	backoff := pause.Backoff{First: firstPause, Longest: longPause}
	var lastErr error
	for attempts := 0; ; {
		for _, location := range locations {
			// A second attempt has a fresh token if the first one's token was rejected.
			conn, err := d.try(ctx, location)
			var refused *Refused
			if errors.As(err, &refused) && refused.Authentication() {
				d.log(ctx, slog.LevelDebug, "the proxy rejected the token; fetching a new one", "step",
					string(refused.Step), "code", refused.Code)
				conn, err = d.try(ctx, location)
				var tokenErr *tokenError
				if errors.As(err, &tokenErr) {
					err = fmt.Errorf("%w; it was requested because the previous token was rejected: %w", err, refused)
				}
			}
			attempts++
			if err == nil {
				if _, wasUnreachable := d.unreachable.LoadAndDelete(d.address); wasUnreachable || attempts > 1 {
					d.log(ctx, slog.LevelInfo, "tunnel opened", "location", location, "attempts", attempts, "after",
						time.Since(began))
				}
				return conn, nil
			}
			if ctx.Err() != nil {
				return nil, d.contextError(ctx, lastErr, err)
			}
			if !isTransient(err) {
				return nil, fmt.Errorf("no tunnel to %s: %w", d.address, err)
			}
			lastErr = err
		}
		remaining := d.Outage - time.Since(began)
		if remaining <= 0 && attempts == 1 {
			return nil, fmt.Errorf("no tunnel to %s: %w", d.address, lastErr)
		}
		if remaining <= 0 {
			return nil, fmt.Errorf("no tunnel to %s after %d attempts in %v: %w", d.address, attempts,
				time.Since(began).Round(time.Millisecond), lastErr)
		}
		level := slog.LevelWarn
		if _, isKnown := d.unreachable.LoadOrStore(d.address, true); isKnown {
			level = slog.LevelDebug
		}
		d.log(ctx, level, "tunnel could not be opened; retrying", "attempts", attempts, "left",
			remaining.Round(time.Millisecond), "error", lastErr)
		next := backoff.Next() // with jitter, for tunnels that broke together
		if pause.For(ctx, min(remaining, next/2+rand.N(next))) != nil {
			return nil, d.contextError(ctx, lastErr, contextCause(ctx))
		}
	}
}

// isTransient reports whether a retry may help: also for an unknown error, but not for a host name that is unknown.
func isTransient(err error) bool {
	var tokenErr *tokenError
	if errors.As(err, &tokenErr) {
		var temporary interface{ Temporary() bool }
		return errors.As(tokenErr.error, &temporary) && temporary.Temporary()
	}
	var permanent interface{ Permanent() bool }
	if errors.As(err, &permanent) {
		return !permanent.Permanent()
	}
	var dnsErr *net.DNSError
	return !errors.As(err, &dnsErr) || !dnsErr.IsNotFound
}

// contextError returns the error of a call that ctx ended, with the error of its previous attempt, if any.
func (d *dialCall) contextError(ctx context.Context, previous, err error) error {
	if !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w: %w", contextCause(ctx), err)
	}
	if previous == nil {
		return fmt.Errorf("no tunnel to %s: %w", d.address, err)
	}
	return fmt.Errorf("no tunnel to %s: %w; before that: %w", d.address, err, previous)
}

// contextCause returns the cause of ctx, wrapped with ctx.Err.
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
