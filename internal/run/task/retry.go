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

// RetryPolicy determines how long a failed operation is repeated: errors.retry.timeout and errors.retry.delay.max.ms,
// as in Kafka Connect. The zero value never repeats.
type RetryPolicy struct {
	// Timeout counts from the start of the operation. Negative means no limit.
	Timeout time.Duration
	// MaxDelay is the longest delay between attempts. Default: a minute.
	MaxDelay time.Duration
}

// LogRetry logs an error before a retry: as a warning, or at debug level while the client has logged that the service
// does not respond.
func LogRetry(log *slog.Logger, client interface{ Away() bool }, message string, args ...any) {
	level := slog.LevelWarn
	if client.Away() {
		level = slog.LevelDebug
	}
	log.Log(context.Background(), level, message, args...)
}

const firstDelay = 300 * time.Millisecond

// Allows reports whether an operation may be repeated that started a time ago.
func (r RetryPolicy) Allows(since time.Duration) bool { return r.Timeout < 0 || since < r.Timeout }

// Start starts the clock of an operation. The Retrier belongs to one goroutine.
func (r RetryPolicy) Start() *Retrier {
	longest := r.MaxDelay
	if longest <= 0 {
		longest = time.Minute
	}
	// One more than the maximum, so that only a delay that would exceed it becomes random, see Wait.
	return &Retrier{policy: r, start: time.Now(), backoff: pause.Backoff{First: firstDelay, Longest: longest + 1}}
}

// Transform applies transforms to rows. After a transient error, of the call or of any row, it repeats all rows,
// because transforms have no state and the order must not change. onRetry is called before each repetition.
func (r RetryPolicy) Transform(ctx context.Context, apply func(context.Context, *record.Batch) ([]wit.RowError, error),
	rows *record.Batch, onRetry func(failure error)) ([]wit.RowError, error) {
	if !r.Allows(0) {
		return apply(ctx, rows)
	}
	original := *rows
	original.Rows = slices.Clone(rows.Rows)
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
		retry, waitErr := retrier.Wait(ctx)
		if waitErr != nil {
			return nil, waitErr
		}
		if !retry {
			return rowErrs, err
		}
		onRetry(failure)
		*rows = original
		rows.Rows = slices.Clone(original.Rows)
	}
}

// Retrier is the state of one operation that may be repeated.
type Retrier struct {
	policy  RetryPolicy
	start   time.Time
	backoff pause.Backoff
}

// Wait waits before the next attempt. retry is false when the time is up; err is the cause of the end of ctx.
func (r *Retrier) Wait(ctx context.Context) (retry bool, err error) {
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
