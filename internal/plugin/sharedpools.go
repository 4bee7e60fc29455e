package plugin

import "github.com/culvert-project/culvert/internal/guard"

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
	module     *module
	connector  string
	transforms bool
}

// acquire returns the pool of a module for a connector or its transforms, shared by its tasks. The caller calls
// release.
func (s *sharedPools) acquire(mod *module, connector string, transforms bool) *Pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := poolKey{mod, connector, transforms}
	p := s.pools[key]
	if p == nil {
		p = &sharedPool{pool: newPool(mod, connector, transforms)}
		s.pools[key] = p
	}
	p.users++
	return p.pool
}

func (s *sharedPools) release(pool *Pool) {
	s.mu.Lock()
	key := poolKey{pool.module, pool.connector, pool.budget == &pool.module.host.memory.transforms}
	s.pools[key].users--
	last := s.pools[key].users == 0
	if last {
		delete(s.pools, key)
	}
	s.mu.Unlock()
	if last {
		pool.close()
	}
}
