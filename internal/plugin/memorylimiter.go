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
	contendedIdle     = 50 * time.Millisecond
	warnInterval      = time.Minute
)

// MemorySetting is the worker's setting for [Options.MemoryBytes].
const MemorySetting = "plugins.memory.bytes"

// memoryLimiter bounds the instances of all connectors by the memory that each may grow to, and serves waiters in
// order. Transforms have a separate budget, or there could be a deadlock: a source's page keeps its instance while its
// rows wait for one of a transform.
type memoryLimiter struct {
	sources, transforms memoryBudget
	used                atomic.Int64
}

type memoryBudget struct {
	bytes   int64
	permits *semaphore.Weighted
	waiting atomic.Int64
	logger  *slog.Logger

	mu         sync.Mutex
	pools      map[*Pool]struct{}
	lastWarned time.Time
}

func newMemoryLimiter(bytes int64, logger *slog.Logger) *memoryLimiter {
	if bytes <= 0 {
		bytes = math.MaxInt64
	}
	a := &memoryLimiter{}
	for _, b := range []*memoryBudget{&a.sources, &a.transforms} {
		b.bytes, b.permits, b.logger, b.pools = bytes, semaphore.NewWeighted(bytes), logger, map[*Pool]struct{}{}
	}
	return a
}

// instanceBytes is at most the whole budget, so that one instance always fits.
func (b *memoryBudget) instanceBytes(mod *module) int64 { return min(mod.limits.MemoryBytes, b.bytes) }

func (b *memoryBudget) tryReserve(mod *module) bool {
	return b.permits.TryAcquire(b.instanceBytes(mod))
}

func (b *memoryBudget) reserve(ctx context.Context, pool *Pool) error {
	if b.tryReserve(pool.module) {
		return nil
	}
	b.waiting.Add(1)
	defer b.waiting.Add(-1)
	b.mu.Lock()
	warn := time.Since(b.lastWarned) > warnInterval
	if warn {
		b.lastWarned = time.Now()
	}
	others := slices.Collect(maps.Keys(b.pools))
	b.mu.Unlock()
	if warn {
		b.logger.Warn("the memory for plugins is used up: connectors wait for each other", "setting", MemorySetting,
			"bound",
			b.bytes, "connector", pool.connector)
	}
	for _, other := range others {
		if other != pool {
			other.trim() // closes its idle instances
		}
	}
	waitCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(pool.ctx, func() { cancel(pool.closedError()) })()
	if err := b.permits.Acquire(waitCtx, b.instanceBytes(pool.module)); err != nil {
		if cause := context.Cause(waitCtx); errors.Is(cause, ErrClosed) {
			return cause
		}
		return fmt.Errorf("waiting for memory for an instance of plugin %s (%s is %d): %w", pool.module.info.Name,
			MemorySetting, b.bytes, err)
	}
	return nil
}

func (b *memoryBudget) release(mod *module) { b.permits.Release(b.instanceBytes(mod)) }

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

func (a *memoryLimiter) closeIdle(connector string) {
	for _, b := range []*memoryBudget{&a.sources, &a.transforms} {
		b.mu.Lock()
		all := slices.Collect(maps.Keys(b.pools))
		b.mu.Unlock()
		for _, pool := range all {
			if pool.connector == connector {
				pool.closeIdle(func(*Instance) time.Duration { return 0 })
			}
		}
	}
}
