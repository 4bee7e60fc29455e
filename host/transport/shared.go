package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

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

// who is who logs on and how: clients of which this is the same share sessions.
func (d *destination) who() string {
	return fmt.Sprintf("%q %q", d.auth.identity, d.config.Headers) // maps print in order of keys
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

// limitBy reads limits and the way to log off from roles.
func limitBy(c *Config, roles Roles, _ Surroundings) (err error) {
	r := roleReader{roles: roles}
	c.Limits = limits.Limits{Concurrent: r.number(role.MaxConcurrent), Connections: r.number(role.MaxConnections)}
	c.Limits.PerSecond = r.decimal(role.RequestsPerSecond)
	c.ClientInQuery = r.is(role.ClientIn, "query")
	if r.err != nil {
		return r.err
	}
	if c.Limits.Windows, err = limits.ParseWindows(roles.Text(role.MaintenanceWindows)); err != nil {
		return invalid(roles, role.MaintenanceWindows, roles.Text(role.MaintenanceWindows), err)
	}
	if c.LogoffPath = strings.TrimSpace(roles.Text(role.LogoffPath)); c.LogoffPath == "" {
		return nil
	}
	if !strings.HasPrefix(c.LogoffPath, "/") || strings.ContainsAny(c.LogoffPath, "\r\n\x00# ") {
		return invalid(roles, role.LogoffPath, c.LogoffPath, errors.New("expected a path that begins with /"))
	}
	return nil
}

// limitedBy has a destination's requests and connections count among those of all clients of its origin.
func (d *destination) limitedBy(l *limits.Limiter) {
	own := d.config.Limits
	if own.Concurrent <= 0 {
		own.Concurrent = defaultConcurrent
	}
	client := l.Join(own, d.config.Logger, d.endIdle)
	d.limits = client
	dial := d.transport.DialContext
	d.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return client.Dial(ctx, isWithin(ctx), func(ctx context.Context) (net.Conn, error) {
			return dial(ctx, network, address)
		})
	}
}

// Waiting says why requests of the client wait at present because of the limits of its destination; "" if none has
// waited for long.
func (c *Client) Waiting() string { return c.at.Load().limits.Waiting() }

// ErrNoRoom is the error of a request that would have to wait for others, and was not to.
var ErrNoRoom = limits.ErrNoRoom
