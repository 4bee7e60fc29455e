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
	// crowded is how long calls must have waited for an instance within a second, while a processor was free, before
	// there is another one.
	crowded = 20 * time.Millisecond
	// suspicion is for how long pages do not share instances after one of them has trapped, as far as the pool's limit
	// allows.
	suspicion = time.Minute
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
	bound     *bound
	// life ends when the pool is closed, by end.
	life context.Context
	end  context.CancelFunc
	mu   guard.Mutex
	// instances are those that can be chosen; making is how many more are being made.
	instances []*Instance
	making    int
	// parted is how many more get no new calls, and are closed when the last of their calls ends.
	parted  int
	waiters []*waiter
	closed  bool
	// timer closes idle instances; nil: none is idle.
	timer    *time.Timer
	crowding crowding
	// let: the pool has released its module.
	let bool
	// trial is set while a version that took over can be left, else nil.
	trial *trial
}

// crowding says whether a page should have an instance of its own; it is under the pool's lock.
type crowding struct {
	// waited is how long calls have waited for instances, while a processor was free, since the moment `since`.
	waited time.Duration
	since  time.Time
	// suspicious is until when each page has one, after a trap: the next one costs one page alone.
	suspicious time.Time
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
	admitted bool
}

func newPool(m *module, connector string, transforms bool) *Pool {
	m.hold()
	p := &Pool{module: m, connector: connector, lines: newBucket(m.limits.LogLinesPerSecond),
		breaker: m.breaker(connector), bound: &m.host.admission.sources}
	if transforms {
		p.bound = &m.host.admission.transforms
	}
	p.life, p.end = context.WithCancel(context.Background())
	p.bound.join(p)
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
		return nil, p.errClosed()
	}
	i := p.free()
	switch {
	case i != nil && !fresh:
		p.hold(i)
		p.mu.Unlock()
		return i, nil
	case i != nil && i.use.readers == 0: // a fresh one takes its place, or there would be more than the limit
		return p.replace(ctx, i)
	case p.count() == 0:
		return p.make(ctx, false, false)
	case fresh && p.more():
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
	i.admitted = false // its permit is for the other one
	p.part(i)
	i.use.held = false
	p.shut(i)
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

// more takes a permit for one more instance, if there may be one; p.mu is held.
func (p *Pool) more() bool { return p.count() < p.limit() && p.bound.more(p.module) }

func (p *Pool) errClosed() error {
	return fmt.Errorf("plugin %s %s for connector %s: %w", p.module.info.Name, p.module.info.Version, p.connector,
		ErrClosed)
}

// free is the instance with the fewest readers of those that nobody holds, nil if there is none; p.mu is held.
func (p *Pool) free() (best *Instance) {
	for _, i := range p.instances {
		if !i.use.held && (best == nil || i.use.readers < best.use.readers) {
			best = i
		}
	}
	return best
}

func (p *Pool) hold(i *Instance) { i.use.held, i.use.idle = true, time.Time{} }

// share adds a reader of an instance; p.mu is held.
func (p *Pool) share(i *Instance) {
	i.use.readers++
	i.use.idle = time.Time{}
}

// part takes an instance from those that can be chosen; p.mu is held.
func (p *Pool) part(i *Instance) {
	if at := slices.Index(p.instances, i); at >= 0 {
		p.instances = slices.Delete(p.instances, at, at+1)
		p.parted++
		i.use.parted = true
	}
}

// shut closes an instance that is parted; p.mu is held, but not while it does so.
func (p *Pool) shut(i *Instance) {
	if i.use.gone {
		return
	}
	i.use.gone = true
	p.parted--
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
		err = p.bound.acquire(ctx, p)
	}
	if err == nil {
		if i, err = p.module.instanceFor(ctx, p.lines, p); err != nil {
			p.bound.release(p.module)
		}
	}
	p.mu.Lock()
	p.making--
	if err != nil {
		p.next()
		p.ended()
		return nil, err
	}
	i.admitted, i.made = true, time.Now()
	p.instances = append(p.instances, i)
	if p.closed {
		p.part(i)
	}
	if reader {
		p.share(i)
	} else {
		p.hold(i)
	}
	for _, w := range slices.Clone(p.waiters) {
		if w.reader {
			p.share(i)
			p.serve(w, i)
		}
	}
	p.mu.Unlock()
	return i, nil
}

// serve answers a waiter: with an instance, or, nil, with the right to make one; p.mu is held.
func (p *Pool) serve(w *waiter, i *Instance) {
	p.waiters = slices.DeleteFunc(p.waiters, func(other *waiter) bool { return other == w })
	w.instance = i
	close(w.ready)
}

// next lets the waiter that came first make an instance, where there is room for one; p.mu is held.
func (p *Pool) next() {
	if len(p.waiters) == 0 {
		return
	}
	w := p.waiters[0]
	if w.admitted = p.more(); w.admitted || p.count() == 0 {
		p.making++
		p.serve(w, nil)
	}
}

// wait waits for an instance, by the order of coming; p.mu is held, and free on return.
func (p *Pool) wait(ctx context.Context, reader bool) (*Instance, error) {
	w := &waiter{reader: reader, ready: make(chan struct{})}
	p.waiters = append(p.waiters, w)
	start := time.Now()
	p.mu.Unlock()
	patience := time.NewTimer(crowded)
	defer patience.Stop()
	for {
		select {
		case <-w.ready:
			return p.served(ctx, w, start)
		case <-patience.C:
			// Who holds an instance without calling it takes no processor.
			p.mu.Lock()
			waited := time.Since(start)
			if !reader && (waited > time.Second || p.module.host.processors.free()) {
				p.next()
			}
			p.mu.Unlock()
			patience.Reset(crowded)
		case <-ctx.Done():
			p.mu.Lock()
			select {
			case <-w.ready: // at the same moment
				p.mu.Unlock()
				i, err := p.served(ctx, w, start)
				if err == nil && reader {
					p.leave(i)
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

// served is what a waiter comes to.
func (p *Pool) served(ctx context.Context, w *waiter, start time.Time) (*Instance, error) {
	p.mu.Lock()
	if w.err != nil || w.instance != nil {
		p.waited(start)
		p.mu.Unlock()
		return w.instance, w.err
	}
	p.making-- // make counts it
	if p.closed {
		if w.admitted {
			p.bound.release(p.module)
		}
		p.ended()
		return nil, p.errClosed()
	}
	return p.make(ctx, w.reader, w.admitted)
}

// waited notes that a call waited for an instance; p.mu is held. Another instance helps only where there is a processor
// for it; a processor that is free now may be the one of the call that was waited for.
func (p *Pool) waited(start time.Time) {
	now := time.Now()
	if now.Sub(p.crowding.since) > time.Second {
		p.crowding.waited, p.crowding.since = 0, now
	}
	if p.count() < p.module.host.processors.count() && p.module.host.processors.free() {
		p.crowding.waited += min(now.Sub(start), crowded/4) // what one call may count for
	}
	if p.crowding.waited >= crowded && len(p.waiters) > 0 {
		p.crowding.waited = 0
		p.next()
	}
}

// Release gives an instance back. One that has trapped or is worn is closed.
func (p *Pool) Release(i *Instance) {
	i.unwound()
	worn := i.broken == nil && i.worn() != ""
	p.mu.Lock()
	i.use.held = false
	switch {
	case i.broken != nil:
		p.crowding.suspicious = time.Now().Add(suspicion)
		p.part(i)
		for _, q := range i.use.queue {
			close(q) // they learn that it broke
		}
		i.use.queue = nil
		p.shut(i)
		p.next()
	case worn && !i.use.parted:
		p.module.counters.recycled.Add(1)
		p.part(i)
		p.next()
	}
	p.rest(i)
}

// spent reports whether the turn of an instance is over while others wait for one.
func (p *Pool) spent(i *Instance) bool {
	return p.bound.waiting.Load() > 0 && time.Since(i.made) >= instanceTurn
}

// rest finds something to do for an instance that nobody holds; p.mu is held, and free on return.
func (p *Pool) rest(i *Instance) {
	if !i.use.parted && p.spent(i) {
		p.part(i)
		p.next()
	}
	switch {
	case i.use.gone || i.use.held:
	case len(i.use.queue) > 0:
		q := i.use.queue[0]
		i.use.queue = i.use.queue[1:]
		p.hold(i)
		close(q)
	case i.use.parted:
		if i.use.readers == 0 {
			p.shut(i)
		}
	case len(p.waiters) > 0:
		w := p.waiters[0]
		if w.reader {
			p.share(i)
		} else {
			p.hold(i)
		}
		p.serve(w, i)
	case i.use.readers == 0:
		i.use.idle = time.Now()
		switch left := p.idleFor(i); {
		case left <= 0:
			p.part(i)
			p.shut(i)
		case p.timer == nil:
			p.timer = time.AfterFunc(left, p.trim)
		case left < p.module.host.idle:
			p.timer.Reset(left)
		}
	}
	p.ended()
}

// idleFor is how long an instance may be idle now: less while others wait for one.
func (p *Pool) idleFor(i *Instance) time.Duration {
	switch usual := p.module.host.idle; {
	case p.spent(i):
		return 0
	case p.bound.waiting.Load() > 0:
		return min(usual, briefly)
	default:
		return usual
	}
}

// ended lets go of p.mu, which is held, and of the module when nothing is left of a pool that was closed.
func (p *Pool) ended() {
	last := p.closed && len(p.instances) == 0 && p.making == 0 && p.parted == 0 && !p.let
	p.let = p.let || last
	p.mu.Unlock()
	if last {
		p.bound.leave(p)
		p.module.release()
	}
}

// Rest is called when the connector will call nothing of its plugins for longer than [Options.Idle]: instances that
// nobody uses are closed at once.
func (p *Pool) Rest() { p.module.host.admission.rest(p.connector) }

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
			p.part(i)
			p.shut(i)
		case p.timer == nil && !p.closed:
			p.timer = time.AfterFunc(left, p.trim)
		}
	}
	p.ended()
}

// close closes the instances: idle ones now, those that are in use when they come back.
func (p *Pool) close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	p.end()
	if p.timer != nil {
		p.timer.Stop()
	}
	for _, w := range slices.Clone(p.waiters) {
		w.err = p.errClosed()
		p.serve(w, nil)
	}
	for _, i := range slices.Clone(p.instances) {
		p.part(i)
		if !i.use.held && i.use.readers == 0 {
			p.shut(i)
		}
	}
	p.ended()
}

// trial is the time in which a version that was swapped in can be left for the one before.
type trial struct {
	until  time.Time
	breaks int
	leave  func(reason string)
}

// broke counts a broken call of a version on trial, and ends the trial where it was one too many.
func (p *Pool) broke(t *Trap) {
	p.mu.Lock()
	tried := p.trial
	if tried != nil && time.Now().After(tried.until) {
		p.trial, tried = nil, nil
	}
	if tried != nil {
		if tried.breaks++; tried.breaks < trialBreaks {
			tried = nil
		} else {
			p.trial = nil
		}
	}
	p.mu.Unlock()
	if tried != nil {
		tried.leave(fmt.Sprintf("%d calls broke soon after it took over for connector %s, at last %s by %s",
			trialBreaks, p.connector, t.Function, t.Broke()))
	}
}

// onTrial reports whether the version took over a short while ago and can still be left.
func (p *Pool) onTrial() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trial != nil && time.Now().Before(p.trial.until)
}

// leave ends a reader's share of an instance.
func (p *Pool) leave(i *Instance) {
	p.mu.Lock()
	i.use.readers--
	p.rest(i)
}
