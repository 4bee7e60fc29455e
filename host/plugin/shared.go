package plugin

import "github.com/culvert-project/culvert/host/guard"

// sharedPools are the pools that bindings share, under a lock within Manager.mu and the bindings' locks.
type sharedPools struct {
	mu    guard.Mutex
	pools map[poolKey]*sharedPool
}

// sharedPool is a pool, and how many bindings share it.
type sharedPool struct {
	pool  *Pool
	users int
}

// poolKey is what a pool is of.
type poolKey struct {
	module     *module
	connector  string
	transforms bool
}

// acquire is the pool of a module for a connector, or for its transforms: its tasks share one. Let go of it by drop.
func (s *sharedPools) acquire(x *module, connector string, transforms bool) *Pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := poolKey{x, connector, transforms}
	p := s.pools[key]
	if p == nil {
		p = &sharedPool{pool: newPool(x, connector, transforms)}
		s.pools[key] = p
	}
	p.users++
	return p.pool
}

// release lets go of a pool; the last one closes it.
func (s *sharedPools) release(p *Pool) {
	s.mu.Lock()
	key := poolKey{p.module, p.connector, p.budget == &p.module.host.memory.transforms}
	s.pools[key].users--
	last := s.pools[key].users == 0
	if last {
		delete(s.pools, key)
	}
	s.mu.Unlock()
	if last {
		p.close()
	}
}
