package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-project/culvert/host/guard"
)

// ErrClosed is the error of a pool or binding that was closed.
var ErrClosed = errors.New("closed")

const (
	// idleTime is how long an instance is kept that nobody uses.
	idleTime = 5 * time.Second
	// contentionTime is how long calls must have waited for an instance within a second, while a processor was free,
	// before there is another one.
	contentionTime = 20 * time.Millisecond
	// isolationTime is for how long pages do not share instances after one of them has trapped, as far as the pool's
	// limit allows.
	isolationTime = time.Minute
)

// Pool is the instances of one version of a plugin that work for one connector, all of its tasks: one, and more, up to
// its limit, only while calls wait for it. They are made when they are needed, replaced when they are worn or have
// trapped, and closed when they were idle for a while. No instance ever sees two connectors. It is safe for use by
// several goroutines.
//
// An instance is held by one goroutine at a time: from [Pool.Acquire] to [Pool.Release], or for one call of a [Reader].
// Several readers may share one.
type Pool struct {
	module    *module
	connector string
	lines     *bucket
	breaker   *breaker
	budget    *memoryBudget
	// ctx ends when the pool is closed, by end.
	ctx    context.Context
	cancel context.CancelFunc
	mu     guard.Mutex
	// instances are those that can be chosen; making is how many more are being made.
	instances []*Instance
	making    int
	// detached is how many more get no new calls, and are closed when the last of their calls ends.
	detached int
	waiters  []*waiter
	closed   bool
	// timer closes idle instances; nil: none is idle.
	timer      *time.Timer
	contention contention
	// moduleReleased: the pool has released its module.
	moduleReleased bool
	// canary is set while a version that took over can be left, else nil.
	canary *canary
}

// contention says whether a page should have an instance of its own; it is under the pool's lock.
type contention struct {
	// waited is how long calls have waited for instances, while a processor was free, since the moment `since`.
	waited time.Duration
	since  time.Time
	// isolateUntil is until when each page has one, after a trap: the next one costs one page alone.
	isolateUntil time.Time
}

// waiter is a call that waits for any instance of a pool.
type waiter struct {
	// reader: it wants to share one.
	reader bool
	ready  chan struct{}
	// instance is the one that it gets; nil: it makes one itself, or err says why it cannot. admitted: there is a
	// permit for it.
	instance *Instance
	err      error
	reserved bool
}

func newPool(m *module, connector string, transforms bool) *Pool {
	m.retain()
	p := &Pool{module: m, connector: connector, lines: newBucket(m.limits.LogLinesPerSecond),
		breaker: m.breaker(connector), budget: &m.host.memory.sources}
	if transforms {
		p.budget = &m.host.memory.transforms
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.budget.add(p)
	return p
}

// Module is what the pool has instances of.
func (p *Pool) Module() Info { return p.module.snapshot() }

// Acquire returns an instance, waiting while all are held. Give it back by [Pool.Release].
func (p *Pool) Acquire(ctx context.Context) (*Instance, error) { return p.acquire(ctx, false) }

// AcquireFresh is [Pool.Acquire] of an instance that has done nothing yet: what another one has in its memory cannot be
// why a call fails on it.
func (p *Pool) AcquireFresh(ctx context.Context) (*Instance, error) { return p.acquire(ctx, true) }

func (p *Pool) acquire(ctx context.Context, fresh bool) (*Instance, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, p.closedError()
	}
	i := p.leastShared()
	switch {
	case i != nil && !fresh:
		p.hold(i)
		p.mu.Unlock()
		return i, nil
	case i != nil && i.use.readers == 0: // a fresh one takes its place, or there would be more than the limit
		return p.replace(ctx, i)
	case p.count() == 0:
		return p.make(ctx, false, false)
	case fresh && p.tryReserve():
		return p.make(ctx, false, true)
	}
	i, err := p.wait(ctx, false)
	if err != nil || !fresh || i.calls == 0 || i.use.readers > 0 { // whose pages stay
		return i, err
	}
	p.mu.Lock()
	return p.replace(ctx, i)
}

// replace makes an instance in the place of one that nobody else uses; p.mu is held, and free on return.
func (p *Pool) replace(ctx context.Context, i *Instance) (*Instance, error) {
	i.hasReservation = false // its permit is for the other one
	p.detach(i)
	i.use.held = false
	p.closeInstance(i)
	return p.make(ctx, false, true)
}

// Do calls f with an instance.
func (p *Pool) Do(ctx context.Context, f func(*Instance) error) error {
	i, err := p.Acquire(ctx)
	if err != nil {
		return err
	}
	defer p.Release(i)
	return f(i)
}

func (p *Pool) limit() int { return int(p.module.limits.Instances) }
func (p *Pool) count() int { return len(p.instances) + p.making }

// tryReserve takes a permit for one more instance, if there may be one; p.mu is held.
func (p *Pool) tryReserve() bool { return p.count() < p.limit() && p.budget.tryReserve(p.module) }

func (p *Pool) closedError() error {
	return fmt.Errorf("plugin %s %s for connector %s: %w", p.module.info.Name, p.module.info.Version, p.connector,
		ErrClosed)
}

// leastShared is the instance with the fewest readers of those that nobody holds, nil if there is none; p.mu is held.
func (p *Pool) leastShared() (best *Instance) {
	for _, i := range p.instances {
		if !i.use.held && (best == nil || i.use.readers < best.use.readers) {
			best = i
		}
	}
	return best
}

func (p *Pool) hold(i *Instance) { i.use.held, i.use.idle = true, time.Time{} }

// share adds a reader of an instance; p.mu is held.
func (p *Pool) addReader(i *Instance) {
	i.use.readers++
	i.use.idle = time.Time{}
}

// detach takes an instance from those that can be chosen; p.mu is held.
func (p *Pool) detach(i *Instance) {
	if at := slices.Index(p.instances, i); at >= 0 {
		p.instances = slices.Delete(p.instances, at, at+1)
		p.detached++
		i.use.detached = true
	}
}

// closeInstance closes an instance that is parted; p.mu is held, but not while it does so.
func (p *Pool) closeInstance(i *Instance) {
	if i.use.closed {
		return
	}
	i.use.closed = true
	p.detached--
	p.mu.Unlock()
	i.close()
	p.mu.Lock()
}

// make makes an instance that the caller holds, or that it shares; p.mu is held, and free on return. admitted: there is
// a permit for it.
func (p *Pool) make(ctx context.Context, reader, admitted bool) (i *Instance, err error) {
	p.making++
	p.mu.Unlock()
	if !admitted {
		err = p.budget.reserve(ctx, p)
	}
	if err == nil {
		if i, err = p.module.newInstance(ctx, p.lines, p); err != nil {
			p.budget.release(p.module)
		}
	}
	p.mu.Lock()
	p.making--
	if err != nil {
		p.grantNext()
		p.unlock()
		return nil, err
	}
	i.hasReservation, i.createdAt = true, time.Now()
	p.instances = append(p.instances, i)
	if p.closed {
		p.detach(i)
	}
	if reader {
		p.addReader(i)
	} else {
		p.hold(i)
	}
	for _, w := range slices.Clone(p.waiters) {
		if w.reader {
			p.addReader(i)
			p.grant(w, i)
		}
	}
	p.mu.Unlock()
	return i, nil
}

// grant answers a waiter: with an instance, or, nil, with the right to make one; p.mu is held.
func (p *Pool) grant(w *waiter, i *Instance) {
	p.waiters = slices.DeleteFunc(p.waiters, func(other *waiter) bool { return other == w })
	w.instance = i
	close(w.ready)
}

// grantNext lets the waiter that came first make an instance, where there is room for one; p.mu is held.
func (p *Pool) grantNext() {
	if len(p.waiters) == 0 {
		return
	}
	w := p.waiters[0]
	if w.reserved = p.tryReserve(); w.reserved || p.count() == 0 {
		p.making++
		p.grant(w, nil)
	}
}

// wait waits for an instance, by the order of coming; p.mu is held, and free on return.
func (p *Pool) wait(ctx context.Context, reader bool) (*Instance, error) {
	w := &waiter{reader: reader, ready: make(chan struct{})}
	p.waiters = append(p.waiters, w)
	start := time.Now()
	p.mu.Unlock()
	patience := time.NewTimer(contentionTime)
	defer patience.Stop()
	for {
		select {
		case <-w.ready:
			return p.granted(ctx, w, start)
		case <-patience.C:
			// Who holds an instance without calling it takes no processor.
			p.mu.Lock()
			waited := time.Since(start)
			if !reader && (waited > time.Second || p.module.host.processors.free()) {
				p.grantNext()
			}
			p.mu.Unlock()
			patience.Reset(contentionTime)
		case <-ctx.Done():
			p.mu.Lock()
			select {
			case <-w.ready: // at the same moment
				p.mu.Unlock()
				i, err := p.granted(ctx, w, start)
				if err == nil && reader {
					p.removeReader(i)
				} else if err == nil {
					p.Release(i)
				}
			default:
				p.waiters = slices.DeleteFunc(p.waiters, func(other *waiter) bool { return other == w })
				p.mu.Unlock()
			}
			return nil, fmt.Errorf("waiting for an instance of plugin %s (%d are out): %w", p.module.info.Name,
				p.limit(), ctx.Err())
		}
	}
}

// granted is what a waiter comes to.
func (p *Pool) granted(ctx context.Context, w *waiter, start time.Time) (*Instance, error) {
	p.mu.Lock()
	if w.err != nil || w.instance != nil {
		p.recordWait(start)
		p.mu.Unlock()
		return w.instance, w.err
	}
	p.making-- // make counts it
	if p.closed {
		if w.reserved {
			p.budget.release(p.module)
		}
		p.unlock()
		return nil, p.closedError()
	}
	return p.make(ctx, w.reader, w.reserved)
}

// recordWait notes that a call waited for an instance; p.mu is held. Another instance helps only where there is a
// processor for it; a processor that is free now may be the one of the call that was waited for.
func (p *Pool) recordWait(start time.Time) {
	now := time.Now()
	if now.Sub(p.contention.since) > time.Second {
		p.contention.waited, p.contention.since = 0, now
	}
	if p.count() < p.module.host.processors.count() && p.module.host.processors.free() {
		p.contention.waited += min(now.Sub(start), contentionTime/4) // what one call may count for
	}
	if p.contention.waited >= contentionTime && len(p.waiters) > 0 {
		p.contention.waited = 0
		p.grantNext()
	}
}

// Release gives an instance back. One that has trapped or is worn is closed.
func (p *Pool) Release(i *Instance) {
	i.abortRunning()
	worn := i.broken == nil && i.recycleReason() != ""
	p.mu.Lock()
	i.use.held = false
	switch {
	case i.broken != nil:
		p.contention.isolateUntil = time.Now().Add(isolationTime)
		p.detach(i)
		for _, q := range i.use.queue {
			close(q) // they learn that it broke
		}
		i.use.queue = nil
		p.closeInstance(i)
		p.grantNext()
	case worn && !i.use.detached:
		p.module.counters.recycled.Add(1)
		p.detach(i)
		p.grantNext()
	}
	p.dispatch(i)
}

// isExpired reports whether the turn of an instance is over while others wait for one.
func (p *Pool) isExpired(i *Instance) bool {
	return p.budget.waiting.Load() > 0 && time.Since(i.createdAt) >= contendedLifetime
}

// rest finds something to do for an instance that nobody holds; p.mu is held, and free on return.
func (p *Pool) dispatch(i *Instance) {
	if !i.use.detached && p.isExpired(i) {
		p.detach(i)
		p.grantNext()
	}
	switch {
	case i.use.closed || i.use.held:
	case len(i.use.queue) > 0:
		q := i.use.queue[0]
		i.use.queue = i.use.queue[1:]
		p.hold(i)
		close(q)
	case i.use.detached:
		if i.use.readers == 0 {
			p.closeInstance(i)
		}
	case len(p.waiters) > 0:
		w := p.waiters[0]
		if w.reader {
			p.addReader(i)
		} else {
			p.hold(i)
		}
		p.grant(w, i)
	case i.use.readers == 0:
		i.use.idle = time.Now()
		switch left := p.idleFor(i); {
		case left <= 0:
			p.detach(i)
			p.closeInstance(i)
		case p.timer == nil:
			p.timer = time.AfterFunc(left, p.trim)
		case left < p.module.host.idle:
			p.timer.Reset(left)
		}
	}
	p.unlock()
}

// idleFor is how long an instance may be idle now: less while others wait for one.
func (p *Pool) idleFor(i *Instance) time.Duration {
	switch usual := p.module.host.idle; {
	case p.isExpired(i):
		return 0
	case p.budget.waiting.Load() > 0:
		return min(usual, contendedIdle)
	default:
		return usual
	}
}

// unlock lets go of p.mu, which is held, and of the module when nothing is left of a pool that was closed.
func (p *Pool) unlock() {
	last := p.closed && len(p.instances) == 0 && p.making == 0 && p.detached == 0 && !p.moduleReleased
	p.moduleReleased = p.moduleReleased || last
	p.mu.Unlock()
	if last {
		p.budget.remove(p)
		p.module.release()
	}
}

// Rest is called when the connector will call nothing of its plugins for longer than [Options.Idle]: instances that
// nobody uses are closed at once.
func (p *Pool) Rest() { p.module.host.memory.closeIdle(p.connector) }

// trim closes the instances that were idle for long enough.
func (p *Pool) trim() { p.closeIdle(p.idleFor) }

// closeIdle closes the instances that were idle for as long as idleFor says, which is called under p.mu.
func (p *Pool) closeIdle(idleFor func(*Instance) time.Duration) {
	p.mu.Lock()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	now := time.Now()
	for _, i := range slices.Clone(p.instances) {
		if i.use.idle.IsZero() {
			continue
		}
		left := idleFor(i) - now.Sub(i.use.idle)
		switch {
		case left <= 0:
			p.detach(i)
			p.closeInstance(i)
		case p.timer == nil && !p.closed:
			p.timer = time.AfterFunc(left, p.trim)
		}
	}
	p.unlock()
}

// close closes the instances: idle ones now, those that are in use when they come back.
func (p *Pool) close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	p.cancel()
	if p.timer != nil {
		p.timer.Stop()
	}
	for _, w := range slices.Clone(p.waiters) {
		w.err = p.closedError()
		p.grant(w, nil)
	}
	for _, i := range slices.Clone(p.instances) {
		p.detach(i)
		if !i.use.held && i.use.readers == 0 {
			p.closeInstance(i)
		}
	}
	p.unlock()
}

// canary is the time in which a version that was swapped in can be left for the one before.
type canary struct {
	until  time.Time
	breaks int
	reject func(reason string)
}

// broke counts a broken call of a version on trial, and ends the trial where it was one too many.
func (p *Pool) recordTrap(t *Trap) {
	p.mu.Lock()
	c := p.canary
	if c != nil && time.Now().After(c.until) {
		p.canary, c = nil, nil
	}
	if c != nil {
		if c.breaks++; c.breaks < canaryTraps {
			c = nil
		} else {
			p.canary = nil
		}
	}
	p.mu.Unlock()
	if c != nil {
		c.reject(fmt.Sprintf("%d calls broke soon after it took over for connector %s, at last %s by %s",
			canaryTraps, p.connector, t.Function, t.Broke()))
	}
}

// isCanary reports whether the version took over a short while ago and can still be left.
func (p *Pool) isCanary() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.canary != nil && time.Now().Before(p.canary.until)
}

// leave ends a reader's share of an instance.
func (p *Pool) removeReader(i *Instance) {
	p.mu.Lock()
	i.use.readers--
	p.dispatch(i)
}
