package transport

import (
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/transport/limits"
)

// Destinations is what clients of the same origin share: limits, sessions, and what is known of its route. Safe for use
// by several goroutines.
type Destinations struct {
	mu      guard.Mutex
	origins map[string]*shared // by destination.address
}

// shared is there until the last client has left.
type shared struct {
	limiter  *limits.Limiter
	sessions *sessionStore
	outage   *outage
}

// processDestinations is what clients use that were given none.
var processDestinations = NewDestinations()

// NewDestinations returns a place for clients to meet.
func NewDestinations() *Destinations { return &Destinations{origins: map[string]*shared{}} }

// join adds a destination of a client.
func (all *Destinations) join(d *destination) {
	all.mu.Lock()
	defer all.mu.Unlock()
	s := all.origins[d.address()]
	if s == nil {
		s = &shared{limits.New(d.address()), newSessionStore(), &outage{}}
		all.origins[d.address()] = s
	}
	d.sessions, d.outage = s.sessions.of(d), s.outage
	d.limitedBy(s.limiter)
}

func (all *Destinations) leave(d *destination) {
	all.mu.Lock()
	defer all.mu.Unlock()
	last := d.limits.Leave()
	if s := all.origins[d.address()]; last && s != nil && s.sessions == d.sessions.store {
		delete(all.origins, d.address())
	}
}
