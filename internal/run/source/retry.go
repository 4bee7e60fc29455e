package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

// attempts counts the attempts to read the current page.
type attempts struct {
	retry         retryPolicy
	count         int
	reopened      bool
	bisection     bisection
	trialFailures int // counts the failures of a version on trial
}

// retryPolicy is the client's, a [transport.Retry].
type retryPolicy interface {
	Times() int
	Names(code string) bool
	Wait(ctx context.Context, atLeast time.Duration) error
}

func (a *attempts) reset() { *a = attempts{retry: a.retry} }

// errMismatch means that a repeated page differs from the interrupted one, so it is delivered again from its start.
var errMismatch = errors.New("the page answers differently now")

// prepareRetry decides about a failed page, and waits before the next attempt: nil means that the page is requested
// again. The order matters: errors of other pages or versions do not count as attempts.
func (f *feed) prepareRetry(ctx context.Context, attempts *attempts, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, errVersionReplaced) {
		f.onPageRestart()
		return nil
	}
	if errors.Is(err, errMismatch) {
		if f.task.o.ExactlyOnceRequired {
			return fmt.Errorf("%w: rows up to row %d of it were delivered before, and would be delivered twice, which "+
				"exactly.once.support=required forbids", err, f.position.row)
		}
		f.task.count.repeated.Add(1)
		f.log.Warn("the service returns other rows than those that were delivered: the page is delivered again",
			"row", f.position.row, "page", describeOffset(f.position.fields))
		f.position.midPage = false
		return nil
	}
	if pageLost := new(plugin.PageLostError); errors.As(err, &pageLost) {
		f.onPageRestart()
		f.log.Info("the page is requested again", "reason", pageLost)
		return nil
	}
	f.task.count.errors.Add()
	if f.task.plugin.ShouldRetry(err) {
		f.onPageRestart()
		// The version is rolled back soon or proves itself.
		attempts.trialFailures++
		f.log.Warn("a new version of the plugin failed: the page is requested again",
			"version", f.opened.code.Version(), "error", err)
		switch {
		case attempts.trialFailures <= immediateRetries:
			return context.Cause(ctx)
		case attempts.trialFailures-immediateRetries > attempts.retry.Times():
			return fmt.Errorf("tried %d times: %w", attempts.trialFailures, err)
		}
		return attempts.retry.Wait(ctx, 0)
	}
	if trap := new(trapError); errors.As(err, &trap) && attempts.bisection.narrow(trap) {
		f.onPageRestart()
		f.log.Warn("the plugin failed on a row: requesting the page again to find it", "try", attempts.bisection.tries,
			"found", len(attempts.bisection.rows), "from_byte", trap.from, "to_byte", trap.to, "error", trap)
		if attempts.bisection.sinceFound > immediateRetries {
			return attempts.retry.Wait(ctx, 0)
		}
		return context.Cause(ctx)
	}
	return f.retryError(ctx, attempts, err)
}

// retryError is prepareRetry for the usual errors: it decides by their kind.
func (f *feed) retryError(ctx context.Context, attempts *attempts, err error) error {
	var pluginErr *wit.Error
	var permanent *permanentError
	var trap *plugin.Trap
	if errors.As(err, &trap) && trap.Limit != "" {
		pluginErr = &wit.Error{Kind: wit.ErrorTransient} // a busy machine also exceeds limits
	} else if !errors.As(err, &pluginErr) || errors.As(err, &permanent) {
		return err
	}
	switch {
	case pluginErr.Kind == wit.ErrorStale && !attempts.reopened:
		attempts.reopened = true
		f.onPageRestart()
		f.log.Info("the plugin's context is stale: opening the plugin again", "reason", pluginErr.Message)
		return f.reopen(ctx, err)
	case pluginErr.Kind == wit.ErrorStale:
		return fmt.Errorf("opening the plugin again did not help: %w", err)
	case pluginErr.Kind == wit.ErrorTransient || (pluginErr.Code != nil && attempts.retry.Names(*pluginErr.Code)):
		if attempts.retry.Times() == 0 {
			return err
		}
		if attempts.count >= attempts.retry.Times() {
			return fmt.Errorf("tried %d times: %w", attempts.count+1, err)
		}
		attempts.count++
		f.task.o.Metrics.Retries.Add(1)
		f.onPageRestart()
		task.LogRetry(f.log, f.task.o.Client, "the page is requested again", "retry", attempts.count, "error", err)
		return attempts.retry.Wait(ctx, 0)
	}
	return err
}

// onPageRestart logs, once, that an interrupted page is delivered again from its start, if it is.
func (f *feed) onPageRestart() {
	if log := f.pipeline.logRestart; log != nil {
		f.pipeline.logRestart = nil
		log()
	}
}

const immediateRetries = 3 // retries without a wait

// permanentError is an error that is not retried here, because the transport has done so.
type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// progressBackoff adds pauses between requests without new data, whatever interval the plugin requests. The zero value
// is ready to use.
type progressBackoff struct{ backoff pause.Backoff }

const (
	minPause = 100 * time.Millisecond
	maxPause = time.Second
)

// after returns the minimum pause after an attempt, which doubles until an attempt has progressed.
func (p *progressBackoff) after(progressed bool) time.Duration {
	p.backoff.First = minPause
	p.backoff.Longest = maxPause
	if progressed {
		p.backoff.Reset()
		return minPause
	}
	return p.backoff.Next()
}
