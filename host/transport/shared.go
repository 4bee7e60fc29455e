package transport

import (
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/transport/limits"
	"github.com/culvert-project/culvert/host/transport/lockouts"
	"github.com/culvert-project/culvert/host/transport/session"
	"github.com/culvert-project/culvert/sdk/go/role"
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
	sessions *session.Store
	outage   *outage
}

// What clients use that were given none.
var (
	processDestinations = NewDestinations()
	processLockouts     = lockouts.New()
)

// NewDestinations returns a place for clients to meet.
func NewDestinations() *Destinations { return &Destinations{origins: map[string]*shared{}} }

// join adds a destination of a client.
func (all *Destinations) join(d *destination) {
	all.mu.Lock()
	defer all.mu.Unlock()
	s := all.origins[d.address()]
	if s == nil {
		s = &shared{limits.New(d.address()), session.New(), &outage{}}
		all.origins[d.address()] = s
	}
	d.sessions, d.outage = s.sessions.Join(d.who()), s.outage
	d.limitedBy(s.limiter)
}

func (all *Destinations) leave(d *destination) {
	all.mu.Lock()
	defer all.mu.Unlock()
	last := d.limits.Leave()
	if s := all.origins[d.address()]; last && s != nil && s.outage == d.outage {
		delete(all.origins, d.address())
	}
}

var defaultConcurrent = ownNumber(role.MaxConcurrent)

// Waiting says why requests of the client wait at present because of the limits of its destination; "" if none has
// waited for long.
func (c *Client) Waiting() string { return c.at.Load().limits.Waiting() }

// ErrNoRoom is the error of a request that would have to wait for others, and was not to.
var ErrNoRoom = limits.ErrNoRoom
