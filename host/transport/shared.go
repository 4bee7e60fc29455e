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

// Destinations is what clients of the same origin share: limits, sessions, and what is known of its route. Safe for use
// by several goroutines.
type Destinations struct {
	mu      guard.Mutex
	origins map[string]*shared // by destination.address
	shares  func(origin string) limits.Share
}

// shared is there until the last client has left.
type shared struct {
	limiter  *limits.Limiter
	sessions *session.Store
	partner  *away.Partner
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
		s = &shared{limits.New(d.address()), session.New(), &away.Partner{}}
		s.limiter.Share(all.shares)
		all.origins[d.address()] = s
	}
	d.sessions, d.partner = s.sessions.Join(d.who()), s.partner
	d.limitedBy(s.limiter)
}

// Share bounds, from now on and while requests are under way, what clients ask by this worker's shares of origins in a
// cluster (P16). `of` gets origins as [Client.Demand] names them, and returns the zero value for one without a share.
// It is kept and asked for origins that come later; it must not wait, and must not call Destinations. nil, as by
// default: the worker is alone, and only the clients' own limits count.
func (all *Destinations) Share(of func(origin string) limits.Share) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.shares = of
	for _, s := range all.origins {
		s.limiter.Share(of)
	}
}

// Taken is what is in use of each origin: requests under way, or the sessions of a user at the service where these are
// more. A share that has become smaller is kept to when this has.
func (all *Destinations) Taken() map[string]int {
	all.mu.Lock()
	defer all.mu.Unlock()
	taken := map[string]int{}
	for origin, s := range all.origins {
		taken[origin] = max(s.limiter.Taken(), s.sessions.Most())
	}
	return taken
}

// Demand is what all workers of a cluster together may ask of the service, as the client's settings have it: requests
// at a time, and in a second, 0: as many as they like. The origin says which clients share that, by scheme, host and
// port in lower case, and the route where that leads to a system of its own. Further origins that the settings name are
// not among it: a worker has no share of them, and asks one request at a time there.
func (c *Client) Demand() (origin string, requests int, perSecond float64) {
	d := c.at.Load()
	own := d.config.Limits
	if requests = own.Concurrent; own.Connections > 0 {
		requests = min(requests, own.Connections)
	}
	return d.address(), requests, own.PerSecond
}

func (all *Destinations) leave(d *destination) {
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
func (c *Client) Waiting() string { return c.at.Load().limits.Waiting() }

// Waits is why requests of the client wait at present because of the limits of its destination, or because the service
// has asked for that.
func (c *Client) Waits() limits.Wait { return c.at.Load().limits.Waits() }

// Window is when the maintenance window ends that is open at the service now; zero: there is none.
func (c *Client) Window() time.Time { return c.at.Load().limits.Window() }

// Uses are what all clients use of the service, and of the further origins that the client's settings name.
func (c *Client) Uses() (all []limits.Use) {
	d := c.at.Load()
	for _, to := range append([]*destination{d}, slices.Collect(maps.Values(d.further))...) {
		u := to.limits.Use()
		u.Sessions.Used = to.sessions.Most()
		all = append(all, u)
	}
	return all
}

// ErrNoRoom is the error of a request that would have to wait for others, and was not to.
var ErrNoRoom = limits.ErrNoRoom
