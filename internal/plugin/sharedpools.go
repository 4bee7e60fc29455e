package plugin

import (
	"context"

	"github.com/culvert-project/culvert/internal/guard"
)

// sharedPools are the pools of all bindings.
type sharedPools struct {
	mu    guard.Mutex
	pools map[poolKey]*sharedPool
}

type sharedPool struct {
	pool  *Pool
	users int
}

type poolKey struct {
	module      *module
	connector   string
	isTransform bool
}

// acquire returns the pool of a module for a connector or its transforms, shared by its tasks. The caller calls
// release.
func (s *sharedPools) acquire(mod *module, connector string, isTransform bool) *Pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := poolKey{module: mod, connector: connector, isTransform: isTransform}
	shared := s.pools[key]
	if shared == nil {
		mod.retain()
		pool := &Pool{module: mod, connector: connector, lines: newBucket(mod.limits.LogLinesPerSecond),
			breaker: mod.breaker(connector), budget: &mod.host.memory.sources}
		if isTransform {
			pool.budget = &mod.host.memory.transforms
		}
		pool.ctx, pool.cancel = context.WithCancel(context.Background())
		pool.budget.add(pool)
		shared = &sharedPool{pool: pool}
		s.pools[key] = shared
	}
	shared.users++
	return shared.pool
}

// release closes the pool if no other user has it.
func (s *sharedPools) release(pool *Pool) {
	s.mu.Lock()
	key := poolKey{module: pool.module, connector: pool.connector,
		isTransform: pool.budget == &pool.module.host.memory.transforms}
	s.pools[key].users--
	isUnused := s.pools[key].users == 0
	if isUnused {
		delete(s.pools, key)
	}
	s.mu.Unlock()
	if isUnused {
		pool.close()
	}
}
