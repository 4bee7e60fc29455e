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
	// contentionTime is how long calls must wait within a second, while a processor is free, before another instance is
	// created.
	contentionTime = 20 * time.Millisecond
	// isolationTime is how long pages do not share instances after a trap, within the pool's limit.
	isolationTime = time.Minute
)

// Pool holds the instances of one plugin version for one connector: one, and more only while calls wait. They are
// created when needed, replaced when used up or broken, and closed when idle. No instance ever serves two connectors.
// It is safe for concurrent use.
//
// One goroutine uses an instance at a time: from [Pool.Acquire] to [Pool.Release], or for one call of a [Reader].
// Several readers may share one.
type Pool struct {
	module    *module
	connector string
	lines     *bucket // limits the log of all instances
	breaker   *breaker
	budget    *memoryBudget

	mu         guard.Mutex
	instances  []*Instance
	creating   int
	detached   int // instances that are in use, but no longer in instances
	waiters    []*waiter
	timer      *time.Timer // closes idle instances
	contention contention
	canary     *canary
	shutdown
}

// shutdown ends a pool. ctx ends when the pool is closed; the module is released with the last instance.
type shutdown struct {
	ctx            context.Context
	cancel         context.CancelFunc
	closed         bool
	moduleReleased bool
}

// request describes the instance that a caller needs.
type request struct {
	reader   bool // for a [Reader], which shares the instance
	reserved bool // memory for a new instance is reserved already
}

// contention decides whether a page gets an instance of its own; guarded by the pool's lock.
type contention struct {
	waited       time.Duration // the time that calls have waited since the time since
	since        time.Time
	isolateUntil time.Time // until then pages do not share instances
}

// waiter waits for an instance. When ready is closed, it has received one, an error, or else the right to create one.
type waiter struct {
	request
	ready    chan struct{}
	instance *Instance
	err      error
}

// Module describes the pool's module.
func (p *Pool) Module() Info { return p.module.snapshot() }

// Acquire returns an instance and waits while all are in use. The caller calls [Pool.Release].
func (p *Pool) Acquire(ctx context.Context) (*Instance, error) { return p.acquire(ctx, false) }

// AcquireFresh is [Pool.Acquire] for an instance without earlier calls, so that their memory cannot cause a failure.
func (p *Pool) AcquireFresh(ctx context.Context) (*Instance, error) { return p.acquire(ctx, true) }

func (p *Pool) acquire(ctx context.Context, fresh bool) (*Instance, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, p.closedError()
	}
	var instance *Instance // the one with the fewest readers of those that are not in use
	for _, other := range p.instances {
		if !other.use.inUse && (instance == nil || other.use.readers < instance.use.readers) {
			instance = other
		}
	}
	switch {
	case instance != nil && !fresh:
		p.setInUse(instance)
		p.mu.Unlock()
		return instance, nil
	case instance != nil && instance.use.readers == 0: // replaced, since an additional one could exceed the limit
		return p.replace(ctx, instance)
	case p.count() == 0: // there is nothing to wait for, except memory
		return p.create(ctx, request{})
	case fresh && p.tryReserve():
		return p.create(ctx, request{reserved: true})
	}
	instance, err := p.wait(ctx, request{})
	if err != nil || !fresh || instance.calls == 0 || instance.use.readers > 0 { // one with pages is not replaced
		return instance, err
	}
	p.mu.Lock()
	return p.replace(ctx, instance)
}

// replace creates an instance in place of an unused one. p.mu must be locked; replace unlocks it.
func (p *Pool) replace(ctx context.Context, instance *Instance) (*Instance, error) {
	instance.hasReservation = false // the new instance uses it
	p.detach(instance)
	instance.use.inUse = false
	p.closeInstance(instance)
	return p.create(ctx, request{reserved: true})
}

// Do calls f with an instance.
func (p *Pool) Do(ctx context.Context, f func(*Instance) error) error {
	instance, err := p.Acquire(ctx)
	if err != nil {
		return err
	}
	defer p.Release(instance)
	return f(instance)
}

func (p *Pool) limit() int { return int(p.module.limits.Instances) }
func (p *Pool) count() int { return len(p.instances) + p.creating }

func (p *Pool) tryReserve() bool { return p.count() < p.limit() && p.budget.tryReserve(p.module) }

func (p *Pool) closedError() error {
	return fmt.Errorf("plugin %s %s for connector %s: %w", p.module.info.Name, p.module.info.Version, p.connector,
		ErrClosed)
}

func (p *Pool) setInUse(instance *Instance) {
	instance.use.inUse = true
	instance.use.idleSince = time.Time{}
}

func (p *Pool) addReader(instance *Instance) {
	instance.use.readers++
	instance.use.idleSince = time.Time{}
}

// detach removes an instance from the pool; the caller closes it when it is unused. p.mu must be locked.
func (p *Pool) detach(instance *Instance) {
	if i := slices.Index(p.instances, instance); i >= 0 {
		p.instances = slices.Delete(p.instances, i, i+1)
		p.detached++
		instance.use.detached = true
	}
}

// closeInstance closes a detached instance. p.mu must be locked, but is unlocked while closing.
func (p *Pool) closeInstance(instance *Instance) {
	if instance.use.closed {
		return
	}
	instance.use.closed = true
	p.detached--
	p.mu.Unlock()
	instance.close()
	p.mu.Lock()
}

// create creates an instance for the caller. p.mu must be locked; create unlocks it.
func (p *Pool) create(ctx context.Context, wanted request) (instance *Instance, err error) {
	p.creating++
	p.mu.Unlock()
	if !wanted.reserved {
		err = p.budget.reserve(ctx, p)
	}
	if err == nil {
		if instance, err = p.module.newInstance(ctx, p.lines, p); err != nil {
			p.budget.release(p.module)
		}
	}
	p.mu.Lock()
	p.creating--
	if err != nil {
		p.grantNext()
		p.unlock()
		return nil, err
	}
	instance.hasReservation = true
	instance.createdAt = time.Now()
	p.instances = append(p.instances, instance)
	if p.closed { // since the call began; the caller's release closes the instance
		p.detach(instance)
	}
	if wanted.reader {
		p.addReader(instance)
	} else {
		p.setInUse(instance)
	}
	for _, next := range slices.Clone(p.waiters) {
		if next.reader { // readers share the instance
			p.addReader(instance)
			p.grant(next, instance)
		}
	}
	p.mu.Unlock()
	return instance, nil
}

// grant gives a waiter an instance, or with nil the right to create one. p.mu must be locked.
func (p *Pool) grant(next *waiter, instance *Instance) {
	p.waiters = slices.DeleteFunc(p.waiters, func(other *waiter) bool { return other == next })
	next.instance = instance
	close(next.ready)
}

// grantNext lets the first waiter create an instance, if the limits permit that. p.mu must be locked.
func (p *Pool) grantNext() {
	if len(p.waiters) == 0 {
		return
	}
	next := p.waiters[0]
	if next.reserved = p.tryReserve(); next.reserved || p.count() == 0 { // with no instance, create waits for memory
		p.creating++
		p.grant(next, nil)
	}
}

// wait blocks until an instance is free, or ctx ends. p.mu must be locked; wait unlocks it.
func (p *Pool) wait(ctx context.Context, wanted request) (*Instance, error) {
	entry := &waiter{request: wanted, ready: make(chan struct{})}
	p.waiters = append(p.waiters, entry)
	start := time.Now()
	p.mu.Unlock()
	recheck := time.NewTimer(contentionTime)
	defer recheck.Stop()
	for {
		select {
		case <-entry.ready:
			return p.acceptGrant(ctx, entry, start)
		case <-recheck.C:
			// A caller that holds an instance without calling it uses no processor: another instance helps then. After
			// one second of waiting, free processors are not required. Readers wait only for the instance that is being
			// created.
			p.mu.Lock()
			waited := time.Since(start)
			if !wanted.reader && (waited > time.Second || p.module.host.processors.hasFree()) {
				p.grantNext()
			}
			p.mu.Unlock()
			recheck.Reset(contentionTime)
		case <-ctx.Done():
			p.mu.Lock()
			select {
			case <-entry.ready: // granted at the same moment
				p.mu.Unlock()
				instance, err := p.acceptGrant(ctx, entry, start)
				if err == nil && wanted.reader {
					p.removeReader(instance)
				} else if err == nil {
					p.Release(instance)
				}
			default:
				p.waiters = slices.DeleteFunc(p.waiters, func(other *waiter) bool { return other == entry })
				p.mu.Unlock()
			}
			return nil, fmt.Errorf("waiting for an instance of plugin %s (all %d are in use): %w", p.module.info.Name,
				p.limit(), ctx.Err())
		}
	}
}

// acceptGrant returns the instance that a waiter was granted, or creates it.
func (p *Pool) acceptGrant(ctx context.Context, next *waiter, start time.Time) (*Instance, error) {
	p.mu.Lock()
	if next.err != nil || next.instance != nil {
		p.recordWait(start)
		p.mu.Unlock()
		return next.instance, next.err
	}
	p.creating-- // create counts it
	if p.closed {
		if next.reserved {
			p.budget.release(p.module)
		}
		p.unlock()
		return nil, p.closedError()
	}
	return p.create(ctx, next.request)
}

// recordWait records a wait; p.mu must be locked. Another instance helps only if there is a processor for it; the free
// processor may be the one of the call that just ended.
func (p *Pool) recordWait(start time.Time) {
	now := time.Now()
	if now.Sub(p.contention.since) > time.Second {
		p.contention.waited = 0
		p.contention.since = now
	}
	if p.count() < p.module.host.processors.count() && p.module.host.processors.hasFree() {
		p.contention.waited += min(now.Sub(start), contentionTime/4) // what one call may count for
	}
	if p.contention.waited >= contentionTime && len(p.waiters) > 0 {
		p.contention.waited = 0
		p.grantNext()
	}
}

// Release returns an instance to the pool, which closes broken and used up ones.
func (p *Pool) Release(instance *Instance) {
	instance.abortRunning()
	isUsedUp := instance.broken == nil && (instance.calls >= instance.module.limits.Calls ||
		int64(instance.guest.MemoryBytes()) > instance.recycleBytes || instance.schemas.NeedsRecycling())
	p.mu.Lock()
	instance.use.inUse = false
	switch {
	case instance.broken != nil:
		p.contention.isolateUntil = time.Now().Add(isolationTime)
		p.detach(instance)
		for _, ready := range instance.use.queue {
			close(ready) // its reader finds the instance broken
		}
		instance.use.queue = nil
		p.closeInstance(instance)
		p.grantNext()
	case isUsedUp && !instance.use.detached: // dispatch closes it
		p.module.counters.recycled.Add(1)
		p.detach(instance)
		p.grantNext()
	}
	p.dispatch(instance)
}

// isExpired reports whether an instance should make room because other calls wait for memory.
func (p *Pool) isExpired(instance *Instance) bool {
	return p.budget.waiting.Load() > 0 && time.Since(instance.createdAt) >= contendedLifetime
}

// dispatch gives an unused instance to the next caller: readers on it first, then waiters. p.mu must be locked;
// dispatch unlocks it.
func (p *Pool) dispatch(instance *Instance) {
	if !instance.use.detached && p.isExpired(instance) {
		p.detach(instance)
		p.grantNext()
	}
	switch {
	case instance.use.closed || instance.use.inUse: // Release dispatches it after the running call
	case len(instance.use.queue) > 0:
		ready := instance.use.queue[0]
		instance.use.queue = instance.use.queue[1:]
		p.setInUse(instance)
		close(ready)
	case instance.use.detached:
		if instance.use.readers == 0 {
			p.closeInstance(instance)
		}
	case len(p.waiters) > 0:
		next := p.waiters[0]
		if next.reader {
			p.addReader(instance)
		} else {
			p.setInUse(instance)
		}
		p.grant(next, instance)
	case instance.use.readers == 0:
		instance.use.idleSince = time.Now()
		switch remaining := p.idleFor(instance); {
		case remaining <= 0:
			p.detach(instance)
			p.closeInstance(instance)
		case p.timer == nil:
			p.timer = time.AfterFunc(remaining, p.trim)
		case remaining < p.module.host.idle: // other calls wait for memory
			p.timer.Reset(remaining)
		}
	}
	p.unlock()
}

func (p *Pool) idleFor(instance *Instance) time.Duration {
	switch usual := p.module.host.idle; {
	case p.isExpired(instance):
		return 0
	case p.budget.waiting.Load() > 0:
		return min(usual, contendedIdle)
	default:
		return usual
	}
}

// unlock unlocks p.mu, and releases the module with the last instance of a closed pool.
func (p *Pool) unlock() {
	last := p.closed && len(p.instances) == 0 && p.creating == 0 && p.detached == 0 && !p.moduleReleased
	p.moduleReleased = p.moduleReleased || last
	p.mu.Unlock()
	if last {
		p.budget.remove(p)
		p.module.release()
	}
}

// CloseIdle closes the connector's unused instances. Call it if the plugin will not be called for longer than
// [Options.Idle].
func (p *Pool) CloseIdle() { p.module.host.memory.closeIdle(p.connector) }

func (p *Pool) trim() { p.closeIdle(p.idleFor) }

// closeIdle closes instances that were unused for longer than idleFor, and sets the timer for the others.
func (p *Pool) closeIdle(idleFor func(*Instance) time.Duration) {
	p.mu.Lock()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	now := time.Now()
	for _, instance := range slices.Clone(p.instances) {
		if instance.use.idleSince.IsZero() {
			continue
		}
		remaining := idleFor(instance) - now.Sub(instance.use.idleSince)
		switch {
		case remaining <= 0:
			p.detach(instance)
			p.closeInstance(instance)
		case p.timer == nil && !p.closed:
			p.timer = time.AfterFunc(remaining, p.trim)
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
	for _, next := range slices.Clone(p.waiters) {
		next.err = p.closedError()
		p.grant(next, nil)
	}
	for _, i := range slices.Clone(p.instances) {
		p.detach(i)
		if !i.use.inUse && i.use.readers == 0 {
			p.closeInstance(i)
		}
	}
	p.unlock()
}

// canary observes a version that was activated recently.
type canary struct {
	until  time.Time
	traps  int
	reject func(reason string) // called once if too many calls break
}

func (p *Pool) isCanary() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.canary != nil && time.Now().Before(p.canary.until)
}

func (p *Pool) removeReader(instance *Instance) {
	p.mu.Lock()
	instance.use.readers--
	p.dispatch(instance)
}

// recordTrap counts a trap of a canary, and rejects its version after canaryTraps.
func (p *Pool) recordTrap(t *Trap) {
	p.mu.Lock()
	observed := p.canary
	isRejected := false
	if observed != nil {
		observed.traps++
		isOver := time.Now().After(observed.until)
		isRejected = !isOver && observed.traps >= canaryTraps
		if isOver || isRejected {
			p.canary = nil
		}
	}
	p.mu.Unlock()
	if isRejected {
		observed.reject(fmt.Sprintf("%d calls broke soon after it was activated for connector %s, last %s by %s",
			canaryTraps, p.connector, t.Function, t.Cause()))
	}
}
