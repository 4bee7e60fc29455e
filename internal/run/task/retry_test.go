package task_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/run/task"
)

// Delays double from 300 ms to the maximum, where they become random, and the last one ends with the timeout.
func TestRetryPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		retryTimes := func(r task.RetryPolicy, maxRetries int) (retryTimes []time.Duration) {
			start := time.Now()
			retrier := r.Start()
			for range maxRetries {
				retry, err := retrier.Wait(t.Context())
				require.NoError(t, err)
				if !retry {
					break
				}
				retryTimes = append(retryTimes, time.Since(start))
			}
			return retryTimes
		}
		ms := func(values ...int) (out []time.Duration) {
			for _, n := range values {
				out = append(out, time.Duration(n)*time.Millisecond)
			}
			return out
		}
		for name, c := range map[string]struct {
			times []time.Duration
			want  []time.Duration
		}{
			"no retries": {times: retryTimes(task.RetryPolicy{}, 5)},
			"until timeout": {
				times: retryTimes(task.RetryPolicy{Timeout: 2 * time.Second}, 9),
				want:  ms(300, 900, 2000),
			},
			"no timeout": {
				times: retryTimes(task.RetryPolicy{Timeout: -1}, 7),
				want:  ms(300, 900, 2100, 4500, 9300, 18900, 38100),
			},
		} {
			assert.Equal(t, c.want, c.times, name)
		}
		previous := time.Duration(0)
		for n, retryTime := range retryTimes(task.RetryPolicy{Timeout: -1, MaxDelay: time.Second}, 50) {
			if delay := retryTime - previous; delay > time.Second || (n < 2 && delay != 300*time.Millisecond<<n) {
				t.Errorf("delay %d: expected at most a second, the first two 300 and 600 ms, found %v", n+1, delay)
			}
			previous = retryTime
		}
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		_, err := (task.RetryPolicy{Timeout: -1}).Start().Wait(ctx)
		assert.True(t, err == cause, "expected the cause, found %v", err)
	})
}
