package lockouts

import (
	"context"
	"sync"
	"time"
)

// Recheck blocks other requests of a secret after a 401 in an open session, until one request has logged on: the
// session or the secret may be old. It ends with that logon, after openingWait, or when no request waits.
type Recheck struct {
	gate  *Gate
	ended chan struct{} // closed at the end

	// Guarded by Gate.mu:
	pending int  // requests that have not logged on yet
	isOver  bool // set at the end
}

// BeginRecheck records a 401 in a session that the service had opened and used, or joins a recheck. The caller then
// calls [Recheck.Acquire], and has not called done yet. A nil gate returns nil.
func (g *Gate) BeginRecheck() *Recheck {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lookups.reject()
	if g.recheck == nil {
		g.recheck = &Recheck{gate: g, ended: make(chan struct{})}
	}
	g.recheck.pending++
	return g.recheck
}

// currentRecheck returns nil if no recheck is in progress.
func (g *Gate) currentRecheck() *Recheck {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.recheck
}

// end ends the recheck. After an inconclusive outcome the next request is sent alone, as after trustPeriod.
func (r *Recheck) end(o Outcome) {
	g := r.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.isOver {
		return
	}
	if o == Inconclusive && !g.acceptedAt.IsZero() {
		g.acceptedAt = time.Now().Add(-trustPeriod)
	}
	r.isOver = true
	g.recheck = nil
	close(r.ended)
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

// Acquire waits for a request's turn to log on without a session. The caller must not hold a lock that others hold
// while they wait for the gate. done must be called with the deciding status or [Unsent]. Nil admits everything.
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

// acquireLogon acquires the gate for [Recheck.Acquire], as an ordinary logon if the recheck has ended.
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
	current := g.currentRecheck()
	end := func(Outcome) {}
	if _, isRecent := g.trustState(); current != nil || !isRecent {
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
	finish := g.begin(func(o Outcome) {
		timer.Stop()
		release(o)
	})
	var finishOnce sync.Once
	return func(status int) { finishOnce.Do(func() { finish(status) }) }, nil
}
