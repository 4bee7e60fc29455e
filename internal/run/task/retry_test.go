package task_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/run/task"
)

// Delays double from 300 ms to the maximum, where they become random, and the last one ends with the timeout.
func TestRetryPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := func(r task.RetryPolicy, most int) (ends []time.Duration) {
			began := time.Now()
			retries := r.Start()
			for range most {
				again, err := retries.Wait(t.Context())
				require.NoError(t, err)
				if !again {
					break
				}
				ends = append(ends, time.Since(began))
			}
			return ends
		}
		ms := func(all ...int) (out []time.Duration) {
			for _, n := range all {
				out = append(out, time.Duration(n)*time.Millisecond)
			}
			return out
		}
		for name, c := range map[string]struct {
			found []time.Duration
			want  []time.Duration
		}{
			"none":           {ends(task.RetryPolicy{}, 5), nil},
			"until the time": {ends(task.RetryPolicy{Timeout: 2 * time.Second}, 9), ms(300, 900, 2000)},
			"for ever":       {ends(task.RetryPolicy{Timeout: -1}, 7), ms(300, 900, 2100, 4500, 9300, 18900, 38100)},
		} {
			if diff := cmp.Diff(c.want, c.found); diff != "" {
				t.Errorf("%s (-expected +found)\n%s", name, diff)
			}
		}
		last := time.Duration(0)
		for n, end := range ends(task.RetryPolicy{Timeout: -1, MaxDelay: time.Second}, 50) {
			if delay := end - last; delay > time.Second || (n < 2 && delay != 300*time.Millisecond<<n) {
				t.Errorf("pause %d was of %v", n+1, delay)
			}
			last = end
		}
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(enough)
		if _, err := (task.RetryPolicy{Timeout: -1}).Start().Wait(ctx); err != enough {
			t.Errorf("expected the cause, found %v", err)
		}
	})
}
