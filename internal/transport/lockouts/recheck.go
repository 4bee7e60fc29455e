package lockouts

import (
	"context"
	"sync"
	"time"
)

// Recheck blocks the other requests of a secret after a 401 in an open session, until one request has logged on: the
// session may have ended, or the secret may have changed. It ends with the first logon of a request whose session
// ended, after openingWait, or when all of these requests are cancelled.
type Recheck struct {
	gate *Gate
	over chan struct{} // closed at the end

	// pending counts the requests that have not logged on yet; isOver is set at the end. Gate.mu guards them.
	pending int
	isOver  bool
}

// BeginRecheck records that the answer to a request was 401 in a session that the service had opened and used. The
// caller must call [Recheck.Acquire], and has not called done yet. It joins a recheck that has begun. A nil gate
// returns a nil Recheck.
func (g *Gate) BeginRecheck() *Recheck {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lookups.reject()
	if g.recheck == nil {
		g.recheck = &Recheck{gate: g, over: make(chan struct{})}
	}
	g.recheck.pending++
	return g.recheck
}

func (g *Gate) rechecking() *Recheck {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.recheck
}

func (g *Gate) waitForRecheck(ctx context.Context) error {
	for r := g.rechecking(); r != nil; r = g.rechecking() {
		select {
		case <-r.over:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return g.checkRequest()
}

// end ends the recheck. If the outcome is inconclusive, the secret counts as accepted trustPeriod ago, so that the next
// request is sent alone.
func (r *Recheck) end(o Outcome) {
	g := r.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.isOver {
		return
	}
	if o == Inconclusive && !g.accepted.IsZero() {
		g.accepted = time.Now().Add(-trustPeriod)
	}
	r.isOver = true
	g.recheck = nil
	close(r.over)
}

// leave removes a request that was cancelled before it logged on. The last one ends the recheck.
func (r *Recheck) leave() {
	r.gate.mu.Lock()
	r.pending--
	isLast := r.pending == 0
	r.gate.mu.Unlock()
	if isLast {
		r.end(Inconclusive)
	}
}

// Acquire waits for the turn of a request to log on without a session. The caller must not hold a lock that another
// request holds while it waits for the gate. done must be called with the status of the answer that decides about the
// secret, or [Unsent]; further calls have no effect. A nil Recheck admits everything.
func (r *Recheck) Acquire(ctx context.Context) (done func(status int), err error) {
	if r == nil {
		return func(int) {}, nil
	}
	g := r.gate
	if done, err = g.acquireLogon(ctx); err != nil {
		r.leave()
	}
	return done, err
}

// acquireLogon acquires the gate for [Recheck.Acquire]. If another request has ended the recheck, the logon is an
// ordinary one. If another recheck has begun since then, the logon ends that one.
func (g *Gate) acquireLogon(ctx context.Context) (done func(status int), err error) {
	if err := g.lockedOut(); err != nil {
		return nil, err
	}
	if err := g.exclusive.Lock(ctx); err != nil {
		return nil, err
	}
	if err := g.lockedOut(); err != nil {
		g.exclusive.Unlock()
		return nil, err
	}
	current := g.rechecking()
	end := func(Outcome) {}
	if _, recent := g.trust(); current != nil || !recent {
		if end, err = g.acquireTurn(ctx, current != nil); err != nil {
			g.exclusive.Unlock()
			return nil, err
		}
	}
	var once sync.Once
	release := func(o Outcome) {
		once.Do(func() {
			if current != nil {
				current.end(o)
			}
			end(o)
			g.exclusive.Unlock()
		})
	}
	timer := releaseAfter(openingWait, release)
	answered := g.send(func(o Outcome) {
		timer.Stop()
		release(o)
	})
	var answer sync.Once
	return func(status int) { answer.Do(func() { answered(status) }) }, nil
}
