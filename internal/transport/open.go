package transport

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

func (d *destination) addOrigins() error {
	for _, o := range d.config.Origins {
		other, err := newDestination(d.config.forOrigin(o))
		if err != nil {
			d.closeFurtherOrigins()
			return err
		}
		if d.furtherOrigins == nil {
			d.furtherOrigins = map[string]*destination{}
		}
		if d.furtherOrigins[other.origin.String()] != nil || d.origin.String() == other.origin.String() {
			other.deregister()
			other.closeIdle()
			continue // duplicate, or the service's own
		}
		d.furtherOrigins[other.origin.String()] = other
	}
	return nil
}

func (d *destination) closeFurtherOrigins() {
	for _, other := range d.furtherOrigins {
		other.deregister()
		other.closeIdle()
	}
}

// newDestination validates a configuration and joins the clients of its origin. The caller must call deregister.
func newDestination(c Config) (*destination, error) {
	d, err := prepareDestination(c)
	if err != nil {
		return nil, err
	}
	d.config.Lockouts.LogTo(d.config.Logger)
	d.gate = d.config.Lockouts.Gate(d.identity(d.sapClient))
	d.gate.SetProxyHint(d.config.Route.proxyHint())
	d.headerGate = d.config.Lockouts.Gate(d.headerIdentity())
	d.routeGate = d.config.Lockouts.RouteGate(d.config.Route.identity(d.origin), d.config.Route.maxLogonWait())
	d.transport, d.roundTripper = d.config.transport(d.origin, d.routeGate)
	d.config.Destinations.join(d)
	return d, d.addOrigins()
}

// prepareDestination validates a configuration without registering or sending anything.
func prepareDestination(c Config) (*destination, error) {
	origin, err := c.origin()
	if err != nil {
		return nil, err
	}
	if c.Headers, err = lowerHeaders(c.Headers); err != nil {
		return nil, err
	}
	c.setDefaults()
	if err := c.addLogin(origin); err != nil {
		return nil, err
	}
	d := &destination{config: c, origin: origin}
	if d.auth, err = authenticationOf(&c); err != nil {
		return nil, err
	}
	d.sapClient, err = c.configuredClient()
	return d, err
}

var (
	defaultConnectTimeout = defaultMilliseconds(role.ConnectTimeoutMS)
	defaultReadTimeout    = defaultMilliseconds(role.ReadTimeoutMS)
)

func (c *Config) setDefaults() {
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = defaultConnectTimeout
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = defaultReadTimeout
	}
	c.Retry = c.Retry.withDefaults()
	if c.Limits.Concurrent <= 0 {
		c.Limits.Concurrent = defaultConcurrent
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Lockouts == nil {
		c.Lockouts = processLockouts
	}
	if c.Destinations == nil {
		c.Destinations = processOrigins
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext
	}
}

func lowerHeaders(configured map[string]string) (map[string]string, error) {
	headers := make(map[string]string, len(configured))
	for name, value := range configured {
		if value == "" {
			continue
		}
		if !isToken(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, errorf(wit.ErrorConfig, "header %q: expected a valid name and a value without line breaks and "+
				"other control characters", name)
		}
		lower := strings.ToLower(name)
		if _, ok := headers[lower]; ok {
			return nil, errorf(wit.ErrorConfig, "header %q: expected one value, found two in different spellings",
				lower)
		}
		headers[lower] = value
	}
	return headers, nil
}

// deregister leaves the clients of the origin. It blocks while it logs off sessions that no other client uses.
func (d *destination) deregister() {
	unused := d.sessions.Leave()
	d.logoff(unused)
	d.sessions.Ended(len(unused))
	d.config.Destinations.leave(d)
	d.closeFurtherOrigins()
}

// useLimiter joins the limiter of the origin, which counts the connections of the transport from now on.
func (d *destination) useLimiter(l *limits.Limiter) {
	client := l.Join(d.config.Limits, d.config.Logger, d.closeIdle, d.trim)
	d.limits = client
	dial := d.transport.DialContext
	d.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialCounted := client.Dial
		if hasParent(ctx) {
			dialCounted = client.DialExtra
		}
		return dialCounted(ctx, func(ctx context.Context) (net.Conn, error) { return dial(ctx, network, address) })
	}
}
