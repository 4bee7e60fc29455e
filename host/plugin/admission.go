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
	// instanceTurn is how long an instance is kept while others wait for one: then it is closed as soon as nobody uses
	// it, and a page or batch of its connector waits behind them.
	instanceTurn = time.Second
	// briefly is how long one that nobody uses is kept then.
	briefly = 50 * time.Millisecond
	// sayEvery is how often it is said that memory is short.
	sayEvery = time.Minute
)

// MemorySetting is the worker's setting that [Options.MemoryBytes] comes from.
const MemorySetting = "plugins.memory.bytes"

// admission bounds the instances of all connectors together, by the memory that each may grow to: so many as there is
// memory for have a permit, and others wait in the order in which they came. Transforms have a bound of their own: a
// source's page holds an instance while its rows wait for one of a transform's, and a transform waits for nobody.
type admission struct {
	sources, transforms bound
	// used is what the memories of all instances have come to, in bytes.
	used atomic.Int64
}

// bound is a bound of instances, and the pools under it.
type bound struct {
	size    int64
	permits *semaphore.Weighted
	// waiting is how many wait for a permit.
	waiting atomic.Int64
	logger  *slog.Logger

	mu    sync.Mutex
	pools map[*Pool]struct{}
	said  time.Time
}

func newAdmission(bytes int64, logger *slog.Logger) *admission {
	if bytes <= 0 {
		bytes = math.MaxInt64
	}
	a := &admission{}
	for _, b := range []*bound{&a.sources, &a.transforms} {
		b.size, b.permits, b.logger, b.pools = bytes, semaphore.NewWeighted(bytes), logger, map[*Pool]struct{}{}
	}
	return a
}

// need is what an instance of a module counts for: one at least fits.
func (b *bound) need(m *module) int64 { return min(m.limits.MemoryBytes, b.size) }

// more takes a permit for one more instance of a module, if there is one and nobody waits for it.
func (b *bound) more(m *module) bool { return b.permits.TryAcquire(b.need(m)) }

// acquire waits for a permit for a pool's instance.
func (b *bound) acquire(ctx context.Context, p *Pool) error {
	if b.more(p.module) {
		return nil
	}
	b.waiting.Add(1)
	defer b.waiting.Add(-1)
	b.mu.Lock()
	say := time.Since(b.said) > sayEvery
	if say {
		b.said = time.Now()
	}
	others := slices.Collect(maps.Keys(b.pools))
	b.mu.Unlock()
	if say {
		b.logger.Warn("the memory for plugins is used up: connectors take turns", "setting", MemorySetting, "bound",
			b.size, "connector", p.connector)
	}
	for _, other := range others {
		if other != p {
			other.trim() // what is idle there
		}
	}
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.life, func() { cancel(p.errClosed()) })()
	if err := b.permits.Acquire(within, b.need(p.module)); err != nil {
		if cause := context.Cause(within); errors.Is(cause, ErrClosed) {
			return cause
		}
		return fmt.Errorf("waiting for memory for an instance of plugin %s (%s is %d): %w", p.module.info.Name,
			MemorySetting, b.size, err)
	}
	return nil
}

// release gives a permit back.
func (b *bound) release(m *module) { b.permits.Release(b.need(m)) }

// join notes a pool, leave forgets it.
func (b *bound) join(p *Pool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pools[p] = struct{}{}
}

func (b *bound) leave(p *Pool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pools, p)
}

// rest closes the idle instances of a connector.
func (a *admission) rest(connector string) {
	for _, b := range []*bound{&a.sources, &a.transforms} {
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
