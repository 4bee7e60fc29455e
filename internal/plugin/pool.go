package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
)

// ErrClosed is the error of a pool or binding that was closed.
var ErrClosed = errors.New("closed")

const (
	idleTime = 5 * time.Second
	// contentionTime is how long calls must have waited within a second, while a processor was free, before another
	// instance is created.
	contentionTime = 20 * time.Millisecond
	// isolationTime is how long pages do not share instances after a trap, within the pool's limit.
	isolationTime = time.Minute
)

// Pool holds the instances of one plugin version for one connector. There is one, and more only while calls wait.
// They are created when needed, replaced when used up or broken, and closed when idle. No instance ever serves two
// connectors. It is safe for concurrent use.
//
// One goroutine holds an instance at a time: from [Pool.Acquire] to [Pool.Release], or for one call of a [Reader].
// Several readers may share one.
type Pool struct {
	module         *module
	connector      string
	lines          *bucket
	breaker        *breaker
	budget         *memoryBudget
	ctx            context.Context
	cancel         context.CancelFunc
	mu             guard.Mutex
	instances      []*Instance
	making         int
	detached       int
	waiters        []*waiter
	closed         bool
	timer          *time.Timer
	contention     contention
	moduleReleased bool
	canary         *canary
}

// contention decides whether a page gets an instance of its own; guarded by the pool's lock.
type contention struct {
	waited       time.Duration
	since        time.Time
	isolateUntil time.Time
}

type waiter struct {
	reader bool
	ready  chan struct{}
	// instance is nil if the waiter creates one itself, or gets err. reserved: memory for it is reserved.
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

// Module describes the pool's module.
func (p *Pool) Module() Info { return p.module.snapshot() }

// Acquire returns an instance and waits while all are in use. The caller calls [Pool.Release].
func (p *Pool) Acquire(ctx context.Context) (*Instance, error) { return p.acquire(ctx, false) }

// AcquireFresh is [Pool.Acquire] with an instance without earlier calls, whose memory cannot be the cause of a
// failure.
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

// replace creates an instance in place of an unused one; p.mu is held, and free on return.
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

func (p *Pool) tryReserve() bool { return p.count() < p.limit() && p.budget.tryReserve(p.module) }

func (p *Pool) closedError() error {
	return fmt.Errorf("plugin %s %s for connector %s: %w", p.module.info.Name, p.module.info.Version, p.connector,
		ErrClosed)
}

func (p *Pool) leastShared() (best *Instance) {
	for _, i := range p.instances {
		if !i.use.held && (best == nil || i.use.readers < best.use.readers) {
			best = i
		}
	}
	return best
}

func (p *Pool) hold(i *Instance) { i.use.held, i.use.idle = true, time.Time{} }

func (p *Pool) addReader(i *Instance) {
	i.use.readers++
	i.use.idle = time.Time{}
}

func (p *Pool) detach(i *Instance) {
	if at := slices.Index(p.instances, i); at >= 0 {
		p.instances = slices.Delete(p.instances, at, at+1)
		p.detached++
		i.use.detached = true
	}
}

// closeInstance closes a detached instance; p.mu is held, but not while closing.
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

// make creates an instance for the caller; p.mu is held, and free on return. admitted: memory is reserved.
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

// grant gives a waiter an instance, or with nil the right to create one; p.mu is held.
func (p *Pool) grant(w *waiter, i *Instance) {
	p.waiters = slices.DeleteFunc(p.waiters, func(other *waiter) bool { return other == w })
	w.instance = i
	close(w.ready)
}

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
			// A holder that makes no call uses no processor.
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

// recordWait records a wait; p.mu is held. Another instance helps only if there is a processor for it; the one that
// is free now may be that of the call that just ended.
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

// Release returns an instance. Broken and used up ones are closed.
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

func (p *Pool) isExpired(i *Instance) bool {
	return p.budget.waiting.Load() > 0 && time.Since(i.createdAt) >= contendedLifetime
}

// dispatch gives an unused instance to the next waiter; p.mu is held, and free on return.
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

// unlock unlocks p.mu, and releases the module with the last instance of a closed pool.
func (p *Pool) unlock() {
	last := p.closed && len(p.instances) == 0 && p.making == 0 && p.detached == 0 && !p.moduleReleased
	p.moduleReleased = p.moduleReleased || last
	p.mu.Unlock()
	if last {
		p.budget.remove(p)
		p.module.release()
	}
}

// CloseIdle closes the connector's unused instances; call it when the plugin will not be called for longer than
// [Options.Idle].
func (p *Pool) CloseIdle() { p.module.host.memory.closeIdle(p.connector) }

func (p *Pool) trim() { p.closeIdle(p.idleFor) }

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

type canary struct {
	until  time.Time
	breaks int
	reject func(reason string)
}

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
			canaryTraps, p.connector, t.Function, t.Cause()))
	}
}

func (p *Pool) isCanary() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.canary != nil && time.Now().Before(p.canary.until)
}

func (p *Pool) removeReader(i *Instance) {
	p.mu.Lock()
	i.use.readers--
	p.dispatch(i)
}
