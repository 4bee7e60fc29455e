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

const firstDelay = 300 * time.Millisecond

// Allows reports whether an operation that started this long ago may be repeated.
func (r RetryPolicy) Allows(elapsed time.Duration) bool { return r.Timeout < 0 || elapsed < r.Timeout }

// Start starts the clock of an operation. The Retrier is not safe for concurrent use.
func (r RetryPolicy) Start() *Retrier {
	longest := r.MaxDelay
	if longest <= 0 {
		longest = time.Minute
	}
	// Longest, at which Wait makes a delay random, is more than the maximum, so that a delay of the maximum is kept.
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

// Wait waits before the next attempt. retry is false after the timeout; err is the cause of the end of ctx.
func (r *Retrier) Wait(ctx context.Context) (retry bool, err error) {
	elapsed := time.Since(r.start)
	if !r.policy.Allows(elapsed) {
		return false, nil
	}
	delay := r.backoff.Next()
	if delay == r.backoff.Longest { // as in Kafka Connect, delays become random at the maximum
		delay = rand.N(r.backoff.Longest - 1)
	}
	if r.policy.Timeout >= 0 {
		delay = min(delay, r.policy.Timeout-elapsed)
	}
	return true, pause.For(ctx, delay)
}

// LogRetry logs an error before a retry: as a warning, or at debug level while the client's service does not respond,
// which the client has logged itself.
func LogRetry(log *slog.Logger, client interface{ Away() bool }, message string, args ...any) {
	level := slog.LevelWarn
	if client.Away() {
		level = slog.LevelDebug
	}
	log.Log(context.Background(), level, message, args...)
}
