package transport

import (
	"time"

	"github.com/culvert-project/culvert/host/guard"
)

// Destinations is what clients of the same origin share: limits, sessions, and what is known of its route. Safe for use
// by several goroutines.
type Destinations struct {
	mu      guard.Mutex
	origins map[string]*shared // by destination.address
}

// shared is there until the last client has left.
type shared struct {
	limiter  *originLimiter
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
		s = &shared{newLimiter(d.address()), newSessionStore(), &outage{}}
		all.origins[d.address()] = s
	}
	d.limiter, d.sessions, d.outage = s.limiter, s.sessions.of(d), s.outage
	s.limiter.join(d)
}

func (all *Destinations) leave(d *destination) {
	all.mu.Lock()
	defer all.mu.Unlock()
	last := d.limiter.leave(d)
	if s := all.origins[d.address()]; last && s != nil && s.limiter == d.limiter {
		delete(all.origins, d.address())
	}
}

// outage is what was said of a route on which nobody answers: once for all clients, and once that it is over.
type outage struct {
	mu    guard.Mutex
	since time.Time // zero: there is none
	ended time.Time // the one before
}

// begins tells whether the outage that a request met is a new one. One that was sent while the one before lasted is
// late.
func (o *outage) begins(sent time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.since.IsZero() || !sent.After(o.ended) {
		return false
	}
	o.since = time.Now()
	return true
}

// ends is how long there was an outage, which is over; 0: there was none.
func (o *outage) ends() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		return 0
	}
	lasted := time.Since(o.since)
	o.since, o.ended = time.Time{}, time.Now()
	return max(lasted, 1)
}
