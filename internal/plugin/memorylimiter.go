package plugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// contendedLifetime is how long an instance is kept while other pools wait for memory; then it is closed as soon as
	// it is unused.
	contendedLifetime = time.Second
	contendedIdle     = 250 * time.Millisecond // of unused instances at most, while other pools wait
	warnInterval      = time.Minute
	// admittedPerProcessor is how many instances of a budget are created for each processor while calls wait for one.
	// Each occupies 5 MB and more, and further ones would only slow the others down.
	admittedPerProcessor = 4
	// freeTime is how long a processor must have been free in all checks before further instances are created: then
	// calls wait for services. If no processor is free, one more is created after contendedLifetime at the latest.
	freeTime = 100 * time.Millisecond
)

// MemorySetting is the worker's setting for [Options.MemoryBytes].
const MemorySetting = "plugins.memory.bytes"

// memoryLimiter bounds the instances of all connectors by the memory that each may grow to, and serves waiters in
// order. While calls wait for a processor, few instances are created for each (see [admittedPerProcessor]). Transforms
// have a separate budget, or there could be a deadlock: a source's page keeps its instance while its rows wait for one
// of a transform.
type memoryLimiter struct {
	sources    memoryBudget
	transforms memoryBudget
	used       atomic.Int64 // the present memory of all instances, in bytes
}

// memoryBudget bounds the instances of a group of pools.
type memoryBudget struct {
	bytes      int64
	permits    *semaphore.Weighted // in bytes
	turn       *semaphore.Weighted // held by the waiter that is admitted next
	waiting    atomic.Int64        // calls
	reserved   atomic.Int64        // instances
	lastBusy   atomic.Int64        // when a check saw that all processors were in use, in nanoseconds since 1970
	processors *processors
	logger     *slog.Logger

	mu         sync.Mutex
	pools      map[*Pool]struct{}
	lastWarned time.Time
}

func newMemoryLimiter(bytes int64, slots *processors, logger *slog.Logger) *memoryLimiter {
	if bytes <= 0 {
		bytes = math.MaxInt64 // no limit
	}
	limiter := &memoryLimiter{}
	for _, b := range []*memoryBudget{&limiter.sources, &limiter.transforms} {
		b.bytes = bytes
		b.permits = semaphore.NewWeighted(bytes)
		b.logger = logger
		b.pools = map[*Pool]struct{}{}
		b.turn = semaphore.NewWeighted(1)
		b.processors = slots
	}
	return limiter
}

// instanceBytes is at most the whole budget, so that one instance always fits.
func (b *memoryBudget) instanceBytes(mod *module) int64 { return min(mod.limits.MemoryBytes, b.bytes) }

// tryReserve reserves memory for an instance if that is possible at once and nobody waits. It returns whether it did.
func (b *memoryBudget) tryReserve(mod *module) bool {
	return b.waiting.Load() == 0 && b.admits() && b.tryPermit(mod)
}

func (b *memoryBudget) tryPermit(mod *module) bool {
	isReserved := b.permits.TryAcquire(b.instanceBytes(mod))
	if isReserved {
		b.reserved.Add(1)
	}
	return isReserved
}

// admits reports whether the processors have time for another instance.
func (b *memoryBudget) admits() bool {
	if b.reserved.Load() < int64(admittedPerProcessor*b.processors.count()) {
		return true
	}
	checked := time.Now().UnixNano()
	if !b.processors.hasFree() {
		b.lastBusy.Store(checked)
	}
	return checked-b.lastBusy.Load() >= int64(freeTime)
}

// awaitProcessors waits until another instance is admitted, at most contendedLifetime. It returns an error if ctx ends.
func (b *memoryBudget) awaitProcessors(ctx context.Context) error {
	recheck := time.NewTicker(contentionTime)
	defer recheck.Stop()
	for start := time.Now(); !b.admits() && time.Since(start) < contendedLifetime; {
		select {
		case <-recheck.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// reserve waits for memory for an instance, in the order of the calls. The caller releases it.
func (b *memoryBudget) reserve(ctx context.Context, pool *Pool) error {
	if b.tryReserve(pool.module) {
		return nil
	}
	b.waiting.Add(1)
	defer b.waiting.Add(-1)
	waitCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(pool.ctx, func() { cancel(pool.closedError()) })()
	// Instances of other pools that have been idle for too long are closed.
	b.mu.Lock()
	others := slices.Collect(maps.Keys(b.pools))
	b.mu.Unlock()
	for _, other := range others {
		if other != pool {
			other.trim()
		}
	}
	// One call at a time waits for processors, then for memory; the others wait for their turn.
	err := b.turn.Acquire(waitCtx, 1)
	if err == nil {
		defer b.turn.Release(1)
		err = b.awaitProcessors(waitCtx)
	}
	if err == nil && !b.tryPermit(pool.module) {
		b.warn(pool)
		if err = b.permits.Acquire(waitCtx, b.instanceBytes(pool.module)); err == nil {
			b.reserved.Add(1)
		}
	}
	if err == nil {
		return nil
	}
	if cause := context.Cause(waitCtx); errors.Is(cause, ErrClosed) {
		return cause
	}
	return fmt.Errorf("waiting for memory for an instance of plugin %s (%s is %d): %w", pool.module.info.Name,
		MemorySetting, b.bytes, err)
}

func (b *memoryBudget) warn(pool *Pool) {
	b.mu.Lock()
	due := time.Since(b.lastWarned) > warnInterval
	if due {
		b.lastWarned = time.Now()
	}
	b.mu.Unlock()
	if due {
		b.logger.Warn("the memory for plugins is used up: connectors wait for each other", "setting", MemorySetting,
			"bound", b.bytes, "connector", pool.connector)
	}
}

func (b *memoryBudget) release(mod *module) {
	b.reserved.Add(-1)
	b.permits.Release(b.instanceBytes(mod))
}

func (b *memoryBudget) add(pool *Pool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pools[pool] = struct{}{}
}

func (b *memoryBudget) remove(pool *Pool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pools, pool)
}

func (m *memoryLimiter) closeIdle(connector string) {
	for _, b := range []*memoryBudget{&m.sources, &m.transforms} {
		b.mu.Lock()
		pools := slices.Collect(maps.Keys(b.pools))
		b.mu.Unlock()
		for _, pool := range pools {
			if pool.connector == connector {
				pool.closeIdle(func(*Instance) time.Duration { return 0 })
			}
		}
	}
}
