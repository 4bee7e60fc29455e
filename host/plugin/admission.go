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
	// contendedLifetime is how long an instance is kept while others wait for one: then it is closed as soon as nobody
	// uses it, and a page or batch of its connector waits behind them.
	contendedLifetime = time.Second
	// contendedIdle is how long one that nobody uses is kept then.
	contendedIdle = 50 * time.Millisecond
	// warnInterval is how often it is said that memory is short.
	warnInterval = time.Minute
)

// MemorySetting is the worker's setting that [Options.MemoryBytes] comes from.
const MemorySetting = "plugins.memory.bytes"

// admission bounds the instances of all connectors together, by the memory that each may grow to: so many as there is
// memory for have a permit, and others wait in the order in which they came. Transforms have a bound of their own: a
// source's page holds an instance while its rows wait for one of a transform's, and a transform waits for nobody.
type memoryLimiter struct {
	sources, transforms memoryBudget
	// used is what the memories of all instances have come to, in bytes.
	used atomic.Int64
}

// bound is a bound of instances, and the pools under it.
type memoryBudget struct {
	bytes   int64
	permits *semaphore.Weighted
	// waiting is how many wait for a permit.
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

// instanceBytes is what an instance of a module counts for: one at least fits.
func (b *memoryBudget) instanceBytes(m *module) int64 { return min(m.limits.MemoryBytes, b.bytes) }

// tryReserve takes a permit for one more instance of a module, if there is one and nobody waits for it.
func (b *memoryBudget) tryReserve(m *module) bool { return b.permits.TryAcquire(b.instanceBytes(m)) }

// reserve waits for a permit for a pool's instance.
func (b *memoryBudget) reserve(ctx context.Context, p *Pool) error {
	if b.tryReserve(p.module) {
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
		b.logger.Warn("the memory for plugins is used up: connectors take turns", "setting", MemorySetting, "bound",
			b.bytes, "connector", p.connector)
	}
	for _, other := range others {
		if other != p {
			other.trim() // what is idle there
		}
	}
	waitCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.ctx, func() { cancel(p.closedError()) })()
	if err := b.permits.Acquire(waitCtx, b.instanceBytes(p.module)); err != nil {
		if cause := context.Cause(waitCtx); errors.Is(cause, ErrClosed) {
			return cause
		}
		return fmt.Errorf("waiting for memory for an instance of plugin %s (%s is %d): %w", p.module.info.Name,
			MemorySetting, b.bytes, err)
	}
	return nil
}

// release gives a permit back.
func (b *memoryBudget) release(m *module) { b.permits.Release(b.instanceBytes(m)) }

// join notes a pool, leave forgets it.
func (b *memoryBudget) add(p *Pool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pools[p] = struct{}{}
}

func (b *memoryBudget) remove(p *Pool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pools, p)
}

// rest closes the idle instances of a connector.
func (a *memoryLimiter) closeIdle(connector string) {
	for _, b := range []*memoryBudget{&a.sources, &a.transforms} {
		b.mu.Lock()
		all := slices.Collect(maps.Keys(b.pools))
		b.mu.Unlock()
		for _, p := range all {
			if p.connector == connector {
				p.closeIdle(func(*Instance) time.Duration { return 0 })
			}
		}
	}
}
