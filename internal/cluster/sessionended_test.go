package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// sessionCounts are the requests to a service whose sessions have expired.
type sessionCounts struct {
	mu       sync.Mutex
	expired  int // requests in expired sessions
	accepted int // requests without a session that the service has accepted
	refused  int // likewise rejected
	locked   int // requests that were not sent
}

// sendInSession sends a request in a session that has expired, and again without a session.
func (l *logonWorker) sendInSession(ctx context.Context, secret string, n *sessionCounts) error {
	gate := l.store.Gate(alice(secret))
	done, err := gate.Acquire(ctx, func() bool { return false })
	if err != nil {
		return n.count(0, err)
	}
	time.Sleep(responseDelay)
	n.mu.Lock()
	n.expired++
	n.mu.Unlock()
	recheck := gate.BeginRecheck()
	done(0)
	logOn, err := recheck.Acquire(ctx)
	if err != nil {
		return n.count(0, err)
	}
	time.Sleep(responseDelay)
	status := 200
	l.mu.Lock()
	if l.password != secret {
		status = 401
	}
	l.mu.Unlock()
	logOn(status)
	logOn(lockouts.Unsent) // has no effect
	return n.count(status, nil)
}

func (s *sessionCounts) count(status int, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, isLocked := errors.AsType[*lockouts.LockedOut](err)
	switch {
	case isLocked:
		s.locked++
	case err != nil:
		return err
	case status == 200:
		s.accepted++
	default:
		s.refused++
	}
	return nil
}

// If all sessions of ten workers expire at once, all of them log on again. If the password was changed in the meantime,
// it is sent once more in the whole group, and no other request is repeated.
func TestSessionsOfAllWorkersExpireAtOnce(t *testing.T) {
	for _, isRight := range []bool{true, false} {
		t.Run(fmt.Sprintf("right %t", isRight), func(t *testing.T) {
			inLogonCluster(t, 10, "right", func(t *testing.T, o *logonCluster, workers []*logonWorker) {
				accepted, _, _, _ := logOnAll(t.Context(), workers, 1, "right")
				assert.Equal(t, 10, accepted)
				if !isRight {
					o.setPassword("new")
				}
				var n sessionCounts
				var wg sync.WaitGroup
				for i, d := range workers {
					for lane := range 3 {
						wg.Go(func() {
							time.Sleep(time.Duration(i+lane) * time.Millisecond)
							require.NoError(t, d.sendInSession(t.Context(), "right", &n))
						})
					}
				}
				wg.Wait()
				if isRight {
					assert.Equal(t, []int{30, 30, 0, 0}, []int{n.expired, n.accepted, n.refused, n.locked})
				} else {
					assert.Equal(t, []int{0, 1}, []int{n.accepted, n.refused}, "requests without a session")
					assert.Equal(t, 30, n.locked+n.refused)
				}
				time.Sleep(2 * time.Second) // outcomes are reported
				accepted, _, locked, _ := logOnAll(t.Context(), workers, 2, "right")
				assert.Equal(t, map[bool][]int{true: {20, 0}, false: {0, 20}}[isRight], []int{accepted, locked})
			})
		})
	}
}

// Workers that have used a secret recently wait for a worker whose session has ended, once they have read of its turn,
// but not longer than openingWait.
func TestWorkersWaitForTheTurnOfAnEndedSession(t *testing.T) {
	for name, k := range map[string]struct {
		after     time.Duration // until the response to the other worker
		status    int           // of that response
		wait      time.Duration // at least; at most two seconds more
		isRefused bool
	}{
		"right":                 {after: 5 * time.Second, status: 200, wait: 5 * time.Second},
		"wrong":                 {after: 5 * time.Second, status: 401, wait: 5 * time.Second, isRefused: true},
		"no response for hours": {after: time.Hour, status: 200, wait: 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inLogonCluster(t, 3, "right", func(t *testing.T, _ *logonCluster, workers []*logonWorker) {
				logOnAll(t.Context(), workers, 1, "right")
				gate := workers[1].store.Gate(alice("right"))
				done, err := gate.Acquire(t.Context(), func() bool { return false })
				require.NoError(t, err)
				recheck := gate.BeginRecheck()
				done(0)
				logOn, err := recheck.Acquire(t.Context())
				require.NoError(t, err)
				timer := time.AfterFunc(k.after, func() { logOn(k.status) })
				start := time.Now()
				time.Sleep(2 * annotationsTTL)
				var wg sync.WaitGroup
				for _, d := range workers {
					wg.Go(func() {
						_, err := d.logOn(t.Context(), "right")
						_, isLocked := errors.AsType[*lockouts.LockedOut](err)
						assert.Equal(t, k.isRefused, isLocked)
						if waited := time.Since(start); waited < k.wait || waited > k.wait+2*time.Second {
							t.Errorf("worker %d: expected to wait for %v, found %v", d.number, k.wait, waited)
						}
					})
				}
				wg.Wait()
				if timer.Stop() {
					logOn(k.status)
				}
				synctest.Wait()
				time.Sleep(5 * time.Second)
			})
		})
	}
}
