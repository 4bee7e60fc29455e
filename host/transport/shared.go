package transport

import (
	"maps"
	"slices"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/away"
	"github.com/culvert-project/culvert/host/transport/limits"
	"github.com/culvert-project/culvert/host/transport/lockouts"
	"github.com/culvert-project/culvert/host/transport/session"
	"github.com/culvert-project/culvert/sdk/go/role"
)

// OriginRegistry is what clients of the same origin share: limits, sessions, and what is known of its route. Safe for use
// by several goroutines.
type OriginRegistry struct {
	mu      guard.Mutex
	origins map[string]*originState                  // by destination.address
	division func(origin string) limits.Division // see Divide
}

// originState is there until the last client has left.
type originState struct {
	limiter  *limits.Limiter
	sessions *session.Store
	partner  *away.Partner
}

// What clients use that were given none.
var (
	processOrigins = NewOriginRegistry()
	processLockouts     = lockouts.New()
)

// NewOriginRegistry returns a place for clients to meet.
func NewOriginRegistry() *OriginRegistry { return &OriginRegistry{origins: map[string]*originState{}} }

// join adds a destination of a client.
func (all *OriginRegistry) join(d *destination) {
	all.mu.Lock()
	defer all.mu.Unlock()
	s := all.origins[d.address()]
	if s == nil {
		s = &originState{limits.New(d.address()), session.New(), &away.Partner{}}
		if all.division != nil {
			s.limiter.Divide(all.division(d.address()))
		}
		all.origins[d.address()] = s
	}
	d.sessions, d.partner = s.sessions.Join(d.sessionKey()), s.partner
	d.useLimiter(s.limiter)
}

// Divide divides, from now on, the limits of each origin by the workers of a group that have tasks of it (P16).
// divided gets origins as [Client.Limits] names them, and returns zero if this worker has no tasks of one. It is kept
// and called for origins that come later; it must not wait, and must not call Destinations. Without it the worker is
// alone.
func (all *OriginRegistry) Divide(divided func(origin string) limits.Division) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.division = divided
	for origin, s := range all.origins {
		s.limiter.Divide(divided(origin))
	}
}

// Limits is how many requests at a time, and in a second (zero means no limit), all workers of a group together may
// send to the service, as the client's settings have it. The origin names the clients that share them, by scheme, host
// and port in lower case, and the route if that leads to a system of its own. Further origins of the settings are not
// among it: a worker counts as one without tasks there, and sends one request at a time.
func (c *Client) Limits() (origin string, requests int, perSecond float64) {
	d := c.target.Load()
	own := d.config.Limits
	if requests = own.Concurrent; own.Connections > 0 {
		requests = min(requests, own.Connections)
	}
	return d.address(), requests, own.PerSecond
}

func (all *OriginRegistry) leave(d *destination) {
	all.mu.Lock()
	defer all.mu.Unlock()
	last := d.limits.Leave()
	if s := all.origins[d.address()]; last && s != nil && s.partner == d.partner {
		delete(all.origins, d.address())
	}
}

var defaultConcurrent = ownNumber(role.MaxConcurrent)

// Waiting says why requests of the client wait at present because of the limits of its destination; "" if none has
// waited for long.
func (c *Client) Waiting() string { return c.target.Load().limits.Waiting() }

// Waits is why requests of the client wait at present because of the limits of its destination, or because the service
// has asked for that.
func (c *Client) Waits() limits.Wait { return c.target.Load().limits.Waits() }

// Window is when the maintenance window ends that is open at the service now; zero: there is none.
func (c *Client) Window() time.Time { return c.target.Load().limits.Window() }

// Usage are what all clients use of the service, and of the further origins that the client's settings name.
func (c *Client) Usage() (all []limits.Usage) {
	d := c.target.Load()
	for _, to := range append([]*destination{d}, slices.Collect(maps.Values(d.further))...) {
		u := to.limits.Usage()
		u.Sessions.Used = to.sessions.Most()
		all = append(all, u)
	}
	return all
}

// ErrNoRoom is the error of a request that would have to wait for others, and was not to.
var ErrNoRoom = limits.ErrNoRoom
