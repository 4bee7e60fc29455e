package transport

import (
	"encoding/base64"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

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
	// Other requests wait for the first answer to the route's secret: to CONNECT longer than net/http's minute.
	maxLogonWait := 10 * time.Second
	if d.config.Route.checksOnConnect() {
		maxLogonWait = 75 * time.Second
	}
	d.routeGate = d.config.Lockouts.RouteGate(d.config.Route.identity(d.origin), maxLogonWait)
	d.transport, d.roundTripper = d.config.transport(d.origin, d.routeGate)
	d.config.Destinations.join(d)
	for _, o := range d.config.Origins {
		other, err := newDestination(d.config.forOrigin(o))
		if err != nil {
			d.deregister()
			return nil, err
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
	return d, nil
}

// prepareDestination validates a configuration without registering or sending anything.
func prepareDestination(c Config) (*destination, error) {
	origin, err := c.origin()
	if err != nil {
		return nil, err
	}
	headers := make(map[string]string, len(c.Headers)) // in lower case
	for name, value := range c.Headers {
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
	c.Headers = headers
	// Defaults.
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
	d := &destination{config: c, origin: origin}
	auth := &d.auth
	switch c.Auth {
	case "", AuthBasic:
		if c.User != "" {
			auth.fixed = "Basic " + base64.StdEncoding.EncodeToString([]byte(c.User+":"+c.Password))
			auth.identity = Identity{User: c.User, Secret: c.Password}
		} else {
			auth.identity = headerIdentity(c.Headers)
		}
	case AuthOAuth2:
		if c.Authorizer == nil {
			return nil, errorf(wit.ErrorConfig, "authentication by oauth2: expected a token service, found none")
		}
		auth.tokens = c.Authorizer
		auth.identity = c.Identity
	case AuthHeader, AuthNone:
		auth.identity = headerIdentity(c.Headers)
	case AuthCertificate:
		auth.identity = c.Identity
	default:
		return nil, errorf(wit.ErrorConfig,
			"authentication: expected basic, oauth2, header, certificate or none, found %q", c.Auth)
	}
	if id := headerIdentity(c.Headers); id != auth.identity { // else the headers are the logon
		auth.headers = id
	}
	for _, name := range slices.Sorted(maps.Keys(c.SecretQuery)) {
		auth.identity.Secret += "?" + name + "=" + c.SecretQuery[name] + "\n"
	}
	d.sapClient, err = c.configuredClient()
	return d, err
}

var (
	defaultConnectTimeout = defaultMilliseconds(role.ConnectTimeoutMS)
	defaultReadTimeout    = defaultMilliseconds(role.ReadTimeoutMS)
)

// deregister leaves the clients of the origin. It blocks while it logs off sessions that no other client uses.
func (d *destination) deregister() {
	unused := d.sessions.Leave()
	d.logoff(unused)
	d.sessions.Ended(len(unused))
	d.config.Destinations.leave(d)
	for _, other := range d.furtherOrigins {
		other.deregister()
		other.closeIdle()
	}
}
