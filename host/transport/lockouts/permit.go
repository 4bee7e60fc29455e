package lockouts

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/lock"
	"github.com/culvert-project/culvert/host/internal/base/pause"
)

// Permit is the leave to send a secret.
type Permit struct {
	// Done must be called with the status of the answer, 0 if none came, [Unsent] if nothing was sent.
	Done func(status int)
	// Doubt is since when the secret is in doubt or on trial: the request is to be made in a session that began later.
	// Zero: it is not.
	Doubt time.Time
}

// Enter waits until the secret may be sent with a request. opening: that will be a logon of its own, since there is no
// session yet. Errors are *[LockedOut], the cause of the context, or of the folder. A nil logon lets everything go.
func (g *Logon) Enter(ctx context.Context, a Request, opening func() bool) (Permit, error) {
	if g == nil {
		return Permit{Done: func(int) {}}, nil
	}
	for {
		p, again, err := g.enterOnce(ctx, a, opening)
		if !again {
			return p, err
		}
	}
}

// enterOnce is Enter; again: it is to be called once more, since the secret came into doubt meanwhile.
func (g *Logon) enterOnce(ctx context.Context, a Request, opening func() bool) (p Permit, again bool, err error) {
	v := g.look()
	if err := g.fault(v); err != nil {
		return p, false, err
	}
	if !v.trial(a) && v.left(a) <= 0 && !opening() && g.joins() {
		return g.permit(a, v, nil), false, nil
	}
	if err := v.pause(ctx, a); err != nil {
		return p, false, err
	}
	leave, asked, err := g.admitted(ctx, a)
	if err != nil {
		return p, false, err
	}
	if err := g.turn.Lock(ctx); err != nil {
		leave()
		return p, false, err
	}
	release := func() { g.turn.Unlock(); leave() }
	v = g.look()
	if err := g.fault(v); err != nil {
		release()
		return p, false, err
	}
	if !v.trial(a) && v.left(a) <= 0 && !opening() && g.joins() { // by now, thanks to whose turn it was
		release()
		return g.permit(a, v, nil), false, nil
	}
	known, fresh := g.known()
	if g.tries(v, a) && !asked && g.cluster != nil {
		release()
		return p, true, nil
	}
	if g.tries(v, a) && g.files.lock != "" {
		unlock, err := lockFile(ctx, g.files.lock)
		if err != nil {
			release()
			return p, false, err
		}
		release = func() { unlock(); g.turn.Unlock(); leave() }
	}
	release = sync.OnceFunc(release)
	before := v
	v = g.look()
	switch err := g.fault(v); {
	case err != nil:
		release()
		return p, false, err
	case v.left(a) > 0 || v.trial(a) && !before.trial(a):
		release()
		return p, true, nil
	case v.trial(a) && (v.state == tried || v.state == retried): // whoever did so has died
		g.condemn()
		release()
		return p, false, g.fault(g.look())
	case v.trial(a):
		g.begin(v)
		return g.goes(v, func(status int) { g.judge(v, a, status); release() }), false, nil
	case !known:
		return g.permit(a, v, release), false, nil
	case fresh && !asked && !opening():
		return g.leads(a, v, release), false, nil
	}
	giveUp := time.AfterFunc(openingTurn, release)
	return g.permit(a, v, func() { giveUp.Stop(); release() }), false, nil
}

// permit lets a request go whose answer is learned from. after may be nil.
func (g *Logon) permit(a Request, v verdict, after func()) Permit {
	sent := time.Now()
	return g.goes(v, func(status int) {
		g.learn(a, sent, status)
		if after != nil {
			after()
		}
	})
}

// goes counts a request as under way until its answer begins.
func (g *Logon) goes(v verdict, after func(status int)) Permit {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.underway++
	return Permit{Doubt: v.at, Done: func(status int) {
		g.mu.Lock()
		g.underway--
		g.mu.Unlock()
		after(status)
	}}
}

// joins says whether a request may go out while others are under way: the secret was right in this moment, or others
// are under way with it anyway.
func (g *Logon) joins() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	ago := time.Since(g.accepted)
	return ago < silent || ago < trusted && g.underway > 0 && !g.leading
}

// leads lets the first request after a silence go ahead of others: where the secret was changed meanwhile, it alone is
// refused.
func (g *Logon) leads(a Request, v verdict, release func()) Permit {
	lead := func(leading bool) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.leading = leading
	}
	lead(true)
	end := sync.OnceFunc(func() { lead(false); release() })
	giveUp := time.AfterFunc(firstTurn, end)
	return g.permit(a, v, func() { giveUp.Stop(); end() })
}

// openingTurn is how long the opening of a session has others wait whose secret is known to be right: an answer may
// take hours.
const openingTurn = 10 * time.Second

// firstTurn is how long the first request after a silence has others wait.
const firstTurn = 500 * time.Millisecond

// lockTries is how often a lock that another process holds is tried again.
const lockTries = 50 * time.Millisecond

// lockFile waits until no other process holds the lock.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	for {
		l, err := lock.Take(path)
		switch {
		case err == nil:
			return func() { l.Release() }, nil
		case errors.Is(err, errors.ErrUnsupported):
			// By this system, or this file system. First logons of several processes may go side by side here; what was
			// refused is known to all of them after that.
			return func() {}, nil
		case !errors.Is(err, lock.ErrTaken):
			return nil, fmt.Errorf("first logons: %w", err)
		}
		if err := pause.For(ctx, lockTries); err != nil {
			return nil, err
		}
	}
}

const (
	// trusted is for how long a secret that was accepted is known to be right. After that it may have been changed, and
	// sessions have ended that nobody used: the next request goes alone again.
	trusted = time.Minute
	// silent is after how long without an answer the next request goes ahead of others.
	silent = 100 * time.Millisecond
)

// known says whether the secret was accepted once, fresh whether that was lately.
func (g *Logon) known() (known, fresh bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.accepted.IsZero(), time.Since(g.accepted) < trusted
}
