package lockouts

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// sessionEnds returns a recheck of a secret that is in use.
func sessionEnds(t *testing.T, l *Store) *Recheck {
	t.Helper()
	try(t, l, alice, 200)
	done, err := l.Gate(alice).Acquire(t.Context(), never)
	require.NoError(t, err)
	r := l.Gate(alice).BeginRecheck()
	done(0)
	return r
}

// After a session ended, other requests wait for the answer to one logon, at most openingWait, and continue if nobody
// logs on.
func TestOthersWaitForRecheck(t *testing.T) {
	for name, c := range map[string]struct {
		recheck   func(t *testing.T, r *Recheck) // in its own goroutine
		wait      time.Duration
		isRefused bool
	}{
		"accepted":  {recheck: logOnWith(time.Second, 200), wait: time.Second},
		"refused":   {recheck: logOnWith(time.Second, 401), wait: time.Second, isRefused: true},
		"no answer": {recheck: logOnWith(time.Second, 0), wait: time.Second},
		"not sent":  {recheck: logOnWith(time.Second, Unsent), wait: time.Second},
		"slow":      {recheck: logOnWith(time.Hour, 200), wait: openingWait},
		"cancelled": {recheck: func(t *testing.T, r *Recheck) {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(errors.New("enough"))
			require.NoError(t, r.gate.exclusive.Lock(t.Context())) // as during another logon
			defer r.gate.exclusive.Unlock()
			_, err := r.Acquire(ctx)
			assert.True(t, err != nil && err.Error() == "enough", "expected the logon to be cancelled, found %v", err)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := New()
				r := sessionEnds(t, l)
				go c.recheck(t, r)
				synctest.Wait()
				began := time.Now()
				for _, isOpening := range []func() bool{never, always} {
					done, err := l.Gate(alice).Acquire(t.Context(), isOpening)
					assert.Equal(t, c.wait, time.Since(began), "waited")
					if c.isRefused {
						wantRefusal(t, err, "ALICE")
						continue
					}
					require.NoError(t, err)
					done(200)
				}
				time.Sleep(2 * time.Hour)
				if c.isRefused {
					return
				}
				sent, err := try(t, l, alice, 200)
				assert.True(t, sent, "expected no refusal, found %v", err)
			})
		})
	}
}

func logOnWith(delay time.Duration, status int) func(t *testing.T, r *Recheck) {
	return func(t *testing.T, r *Recheck) {
		done, err := r.Acquire(t.Context())
		require.NoError(t, err)
		time.Sleep(delay)
		done(status)
		done(200) // has no effect
	}
}

// Of the requests whose sessions ended together, one logs on for all. If the secret was accepted, the others log on one
// after another; if it was refused, they do not. A late request ends the recheck that has begun by then.
func TestOneLogonEndsRecheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, isRight := range []bool{true, false} {
			l := New()
			first := sessionEnds(t, l)
			var joined []*Recheck
			for range 3 {
				joined = append(joined, l.Gate(alice).BeginRecheck())
				assert.Equal(t, true, joined[0] == first)
			}
			done, err := first.Acquire(t.Context())
			require.NoError(t, err)
			if !isRight {
				done(401)
				for _, r := range joined {
					_, err := r.Acquire(t.Context())
					wantRefusal(t, err, "ALICE")
				}
				assert.Equal(t, true, l.Gate(alice).currentRecheck() == nil)
				continue
			}
			done(200)
			next := l.Gate(alice).BeginRecheck()
			assert.Equal(t, false, next == first)
			lateDone, err := joined[0].Acquire(t.Context()) // ends the next recheck, too
			require.NoError(t, err)
			assert.Equal(t, true, l.Gate(alice).currentRecheck() == next)
			lateDone(200)
			assert.Equal(t, true, l.Gate(alice).currentRecheck() == nil)
			for _, r := range append(joined[1:], next) {
				done, err := r.Acquire(t.Context())
				require.NoError(t, err)
				done(200)
			}
		}
		var none *Gate
		done, err := none.BeginRecheck().Acquire(t.Context())
		require.NoError(t, err)
		done(401)
	})
}
