package transport

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/base/away"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/internal/transport/session"
	"github.com/culvert-project/culvert/sdk/go/role"
)

// OriginRegistry holds the limits, sessions and reachability that clients of an origin share. Safe for concurrent use.
type OriginRegistry struct {
	mu      guard.Mutex
	origins map[string]*originState             // by destination.address
	divide  func(origin string) limits.Division // see Divide
}

type originState struct {
	limiter  *limits.Limiter
	sessions *session.Store
	partner  *away.Partner
}

var (
	processOrigins  = NewOriginRegistry()
	processLockouts = lockouts.New()

	defaultConcurrent = defaultNumber(role.MaxConcurrent)
)

// NewOriginRegistry returns an empty registry, which divides no limits.
func NewOriginRegistry() *OriginRegistry { return &OriginRegistry{origins: map[string]*originState{}} }

// join sets the state that a destination shares with other clients of its origin.
func (r *OriginRegistry) join(d *destination) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.origins[d.address()]
	if s == nil {
		s = &originState{limiter: limits.New(d.address()), sessions: session.New(), partner: &away.Partner{}}
		if r.divide != nil {
			s.limiter.Divide(r.divide(d.address()))
		}
		r.origins[d.address()] = s
	}
	d.sessions = s.sessions.Join(fmt.Sprintf("%q %q", d.auth.identity, d.config.Headers)) // maps print in order of keys
	d.partner = s.partner
	// The limiter of the origin counts the connections of the transport from now on.
	client := s.limiter.Join(d.config.Limits, d.config.Logger, d.closeIdle, d.trim)
	d.limits = client
	dial := d.transport.DialContext
	d.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialCounted := client.Dial
		if hasParent(ctx) { // the connection for which Dial would wait may be the parent's own
			dialCounted = client.DialExtra
		}
		return dialCounted(ctx, func(ctx context.Context) (net.Conn, error) { return dial(ctx, network, address) })
	}
}

// Divide divides limits among the workers of a group (RATIONALE.md P16), now and for origins that join later. divide
// returns the division of an origin, with zero workers if this worker has no tasks there. It must not block or call the
// registry.
func (r *OriginRegistry) Divide(divide func(origin string) limits.Division) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.divide = divide
	for origin, s := range r.origins {
		s.limiter.Divide(divide(origin))
	}
}

// leave ends what join began. The last client of an origin removes its state.
func (r *OriginRegistry) leave(d *destination) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if isLast := d.limits.Leave(); isLast {
		delete(r.origins, d.address())
	}
}

// Limits returns what the workers of a group divide (see [OriginRegistry.Divide]): the configured concurrent requests
// and requests per second, zero for no limit. origin is the key of the division. To further origins, which are not
// divided, each worker sends one request at a time.
func (c *Client) Limits() (origin string, requests int, perSecond float64) {
	d := c.target.Load()
	requests = d.config.Limits.Concurrent
	if connections := d.config.Limits.Connections; connections > 0 {
		requests = min(requests, connections)
	}
	return d.address(), requests, d.config.Limits.PerSecond
}

// Waiting returns why requests wait for limits; "" if no request has waited for long.
func (c *Client) Waiting() string { return c.target.Load().limits.Waiting() }

// Waits returns why requests wait, see [limits.Client.Waits].
func (c *Client) Waits() limits.Wait { return c.target.Load().limits.Waits() }

// AllWaits is [Client.Waits] with waits that have just begun.
func (c *Client) AllWaits() limits.Wait { return c.target.Load().limits.AllWaits() }

// Window returns when the open maintenance window ends. Zero means that no window is open.
func (c *Client) Window() time.Time { return c.target.Load().limits.Window() }

// Usage returns how all clients use the origin of the service and each further origin. That takes time for each client,
// so only the name is returned of an origin for which isKnown, if not nil, returns true.
func (c *Client) Usage(isKnown func(origin string) bool) (usages []limits.Usage) {
	service := c.target.Load()
	for _, d := range append([]*destination{service}, slices.Collect(maps.Values(service.furtherOrigins))...) {
		u := limits.Usage{Origin: d.address()}
		if isKnown == nil || !isKnown(u.Origin) {
			u = d.limits.Usage()
			u.Sessions.Used = d.sessions.MaxInUse()
		}
		usages = append(usages, u)
	}
	return usages
}

// ErrNoRoom is the error of a request that would have to wait, see [WithoutWaiting].
var ErrNoRoom = limits.ErrNoRoom
