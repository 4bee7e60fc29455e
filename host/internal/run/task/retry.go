package task

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// RetryPolicy is for how long an operation that failed, and may do better the next time, is tried again. The zero value
// tries nothing again.
type RetryPolicy struct {
	// Timeout is since the operation began (`errors.retry.timeout`); negative: for ever.
	Timeout time.Duration
	// MaxDelay is the longest pause between two tries (`errors.retry.delay.max.ms`). Default: a minute.
	MaxDelay time.Duration
}

// LogRetry logs what failed and is tried again: as a warning, and at level debug while the service does not answer,
// of which its client has warned for all that meet it.
func LogRetry(log *slog.Logger, client interface{ Away() bool }, text string, args ...any) {
	level := slog.LevelWarn
	if client.Away() {
		level = slog.LevelDebug
	}
	log.Log(context.Background(), level, text, args...)
}

// firstDelay is the pause before the first repetition; it doubles with each, as Kafka Connect's does.
const firstDelay = 300 * time.Millisecond

// Allows reports whether an operation that began so long ago may be tried again.
func (r RetryPolicy) Allows(since time.Duration) bool { return r.Timeout < 0 || since < r.Timeout }

// Start begins an operation. The value belongs to one goroutine.
func (r RetryPolicy) Start() *Retrier {
	longest := r.MaxDelay
	if longest <= 0 {
		longest = time.Minute
	}
	return &Retrier{of: r, began: time.Now(), backoff: pause.Backoff{First: firstDelay, Longest: longest + 1}}
}

// Transform sends rows through a chain: all of them again, while some fail that may do better, since transforms
// remember nothing and the order of the rows stays. Rows that a failed try has made are dropped. again is called with
// each failure that is followed by another try.
func (r RetryPolicy) Transform(ctx context.Context, apply func(context.Context, *record.Batch) ([]wit.RowError, error),
	rows *record.Batch, again func(failure error)) ([]wit.RowError, error) {
	if !r.Allows(0) {
		return apply(ctx, rows)
	}
	before := *rows
	before.Rows = slices.Clone(rows.Rows)
	for tries := r.Start(); ; {
		faults, err := apply(ctx, rows)
		failure := err
		for i := range faults {
			if faults[i].Error.Kind == wit.ErrorTransient {
				failure = &faults[i].Error
				break
			}
		}
		if f, ok := errors.AsType[*wit.Error](failure); !ok || f.Kind != wit.ErrorTransient {
			return faults, err
		}
		goesOn, stopped := tries.Wait(ctx)
		if stopped != nil {
			return nil, stopped
		}
		if !goesOn {
			return faults, err
		}
		again(failure)
		*rows = before
		rows.Rows = slices.Clone(before.Rows)
	}
}

// Retrier is an operation that is tried again.
type Retrier struct {
	of      RetryPolicy
	began   time.Time
	backoff pause.Backoff
}

// Wait pauses before the next try, at the longest until the time is up. again: there is to be one. It ends early with
// the context's cause.
func (r *Retrier) Wait(ctx context.Context) (again bool, err error) {
	since := time.Since(r.began)
	if !r.of.Allows(since) {
		return false, nil
	}
	delay := r.backoff.Next()
	if delay == r.backoff.Longest { // as Kafka Connect's: the pauses end at random ones
		delay = rand.N(r.backoff.Longest - 1)
	}
	if r.of.Timeout >= 0 {
		delay = min(delay, r.of.Timeout-since)
	}
	return true, pause.For(ctx, delay)
}
