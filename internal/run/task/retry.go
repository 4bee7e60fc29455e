package task

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// RetryPolicy is how long a failed operation is retried. The zero value never retries.
type RetryPolicy struct {
	// Timeout counts from the start of the operation (errors.retry.timeout). Negative means no limit.
	Timeout time.Duration
	// MaxDelay is the longest delay between attempts (errors.retry.delay.max.ms). Default: a minute.
	MaxDelay time.Duration
}

// LogRetry logs an error that is retried: as a warning, or at debug level while the client has logged that the service
// does not respond.
func LogRetry(log *slog.Logger, client interface{ Away() bool }, text string, args ...any) {
	level := slog.LevelWarn
	if client.Away() {
		level = slog.LevelDebug
	}
	log.Log(context.Background(), level, text, args...)
}

const firstDelay = 300 * time.Millisecond

// Allows reports whether an operation may be retried after a time.
func (r RetryPolicy) Allows(since time.Duration) bool { return r.Timeout < 0 || since < r.Timeout }

// Start starts an operation. The result is for one goroutine.
func (r RetryPolicy) Start() *Retrier {
	longest := r.MaxDelay
	if longest <= 0 {
		longest = time.Minute
	}
	return &Retrier{policy: r, start: time.Now(), backoff: pause.Backoff{First: firstDelay, Longest: longest + 1}}
}

// Transform sends rows through a chain. If some fail with a transient error, it retries all of them, because transforms
// have no state and the order must not change. again is called before each retry.
func (r RetryPolicy) Transform(ctx context.Context, apply func(context.Context, *record.Batch) ([]wit.RowError, error),
	rows *record.Batch, onRetry func(failure error)) ([]wit.RowError, error) {
	if !r.Allows(0) {
		return apply(ctx, rows)
	}
	before := *rows
	before.Rows = slices.Clone(rows.Rows)
	for retrier := r.Start(); ; {
		rowErrs, err := apply(ctx, rows)
		failure := err
		for i := range rowErrs {
			if rowErrs[i].Error.Kind == wit.ErrorTransient {
				failure = &rowErrs[i].Error
				break
			}
		}
		if f, ok := errors.AsType[*wit.Error](failure); !ok || f.Kind != wit.ErrorTransient {
			return rowErrs, err
		}
		allowed, stopped := retrier.Wait(ctx)
		if stopped != nil {
			return nil, stopped
		}
		if !allowed {
			return rowErrs, err
		}
		onRetry(failure)
		*rows = before
		rows.Rows = slices.Clone(before.Rows)
	}
}

// Retrier is the state of one operation.
type Retrier struct {
	policy  RetryPolicy
	start   time.Time
	backoff pause.Backoff
}

// Wait waits before the next attempt. It reports false if the time is up, and returns the cause of the context's end.
func (r *Retrier) Wait(ctx context.Context) (again bool, err error) {
	since := time.Since(r.start)
	if !r.policy.Allows(since) {
		return false, nil
	}
	delay := r.backoff.Next()
	if delay == r.backoff.Longest { // as in Kafka Connect, delays become random at the maximum
		delay = rand.N(r.backoff.Longest - 1)
	}
	if r.policy.Timeout >= 0 {
		delay = min(delay, r.policy.Timeout-since)
	}
	return true, pause.For(ctx, delay)
}
