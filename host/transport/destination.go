package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/keystore"
	"github.com/culvert-project/culvert/host/transport/limits"
	"github.com/culvert-project/culvert/host/transport/lockouts"
	"github.com/culvert-project/culvert/host/transport/session"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// destination is what a [Config] comes to: where requests go, by which route, and what they show. It never changes; a
// client whose settings change takes another one.
type destination struct {
	config       Config // with defaults
	origin       endpoint
	auth         authentication
	client       string // SAP's, that requests ask: by header, or by the destination's query
	logon        *lockouts.Logon
	transport    *http.Transport
	roundTripper http.RoundTripper // what requests are given to: the transport, or what leads to it

	handovers handovers

	// what it shares with other clients
	limits   *limits.Client
	sessions *session.Pool
	outage   *outage

	mu     guard.Mutex
	others map[string]*lockouts.Logon // by the client that a request named where none is configured

	further map[string]*destination // by origin: those that the user names in addition to the service's
}

func newDestination(c Config) (*destination, error) {
	d, err := prepared(c)
	if err != nil {
		return nil, err
	}
	d.config.Lockouts.LogTo(d.config.Logger)
	d.logon = d.config.Lockouts.Of(d.identity(d.client))
	d.logon.Suspects(d.config.Route.suspect())
	d.transport, d.roundTripper = d.config.transport(d.origin)
	d.config.Destinations.join(d)
	return d, d.addOrigins()
}

// prepared is a destination that no client shares and nobody is known to log on at yet.
func prepared(c Config) (*destination, error) {
	o, err := c.origin()
	if err != nil {
		return nil, err
	}
	if c.Headers, err = lowerHeaders(c.Headers); err != nil {
		return nil, err
	}
	c.defaults()
	if err := c.logsIn(o); err != nil {
		return nil, err
	}
	d := &destination{config: c, origin: o}
	if d.auth, err = authenticationOf(&c); err != nil {
		return nil, err
	}
	d.client, err = c.client()
	return d, err
}

// identity is who logs on at a client of SAP's.
func (d *destination) identity(client string) lockouts.Identity {
	return lockouts.Identity{Origin: d.address(), Client: client, User: d.auth.identity.User,
		Secret: d.auth.identity.Secret}
}

// client is the SAP client that requests ask. A destination's query counts for that as a header does.
func (c *Config) client() (string, error) {
	client := c.Headers[sapClient]
	for name, values := range c.Query {
		for _, value := range values {
			if parameter(name) != sapClient {
				continue
			}
			if client != "" && !sameClient(value, client) {
				return "", faultf(wit.FaultConfig,
					"expected one SAP client, found %s and, in the destination's query, %s=%s", client, name, value)
			}
			client = value
		}
	}
	return client, nil
}

// address is the origin, and the route to it where another route leads to another system of that name. However somebody
// spells a host's name, it is one place: its users are locked after so many refusals in all.
func (d *destination) address() string {
	address := strings.ToLower(d.origin.String())
	if d.config.Route.Place != "" {
		address += " by " + d.config.Route.Place
	}
	return address
}

var (
	defaultConnectTimeout = ownMilliseconds(role.ConnectTimeoutMS)
	defaultReadTimeout    = ownMilliseconds(role.ReadTimeoutMS)
)

func (c *Config) defaults() {
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = defaultConnectTimeout
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = defaultReadTimeout
	}
	c.Retry = c.Retry.withDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Lockouts == nil {
		c.Lockouts = processLockouts
	}
	if c.Destinations == nil {
		c.Destinations = processDestinations
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext
	}
}

func lowerHeaders(given map[string]string) (map[string]string, error) {
	headers := make(map[string]string, len(given))
	for name, value := range given {
		if value == "" {
			continue
		}
		if !token(name) || strings.ContainsAny(value, "\r\n\x00") {
			return nil, faultf(wit.FaultConfig, "header %q: expected a header's name and a value without line breaks",
				name)
		}
		headers[strings.ToLower(name)] = value
	}
	return headers, nil
}

// transport makes connections, with HTTP/1.1 alone: what may have arrived and what not is only as clear as this there.
func (c *Config) transport(o endpoint) (*http.Transport, http.RoundTripper) {
	secure := c.ServerTLS()
	if secure != nil {
		secure = keystore.ForHost(secure, o.host)
	}
	w := &http.Transport{
		DialContext: c.Dial, TLSClientConfig: secure, TLSHandshakeTimeout: c.ConnectTimeout,
		// The host decodes bodies itself, so that it sees where they end.
		DisableCompression: true,
		// A server that closes an idle connection while a POST is under way leaves its fate unknown: ours go first.
		IdleConnTimeout: 2 * time.Second, MaxIdleConnsPerHost: 16,
		// Each connection keeps its own. Bodies of requests go past theirs.
		ReadBufferSize: 64 << 10, WriteBufferSize: 4 << 10,
		ExpectContinueTimeout: time.Second, MaxResponseHeaderBytes: 1 << 20,
		TLSNextProto: nil, ForceAttemptHTTP2: false, Protocols: http1(),
		OnProxyConnectResponse: c.checkConnect,
	}
	var route http.RoundTripper = w
	if c.Route.RoundTripper != nil {
		route = c.Route.RoundTripper(w)
	}
	w.DialContext = c.bounded(w.DialContext)
	if c.byTLSProxy(w, o) {
		w.DialTLSContext = c.proxyTLS(w)
	}
	return w, route
}

// byTLSProxy says whether requests go by a proxy that is spoken to by TLS: those of the environment may be such.
func (c *Config) byTLSProxy(w *http.Transport, o endpoint) bool {
	if w.Proxy == nil {
		return false
	}
	proxy, err := w.Proxy(&http.Request{URL: &url.URL{Scheme: o.scheme, Host: o.authority()}})
	return err == nil && proxy != nil && proxy.Scheme == "https"
}

// proxyTLS makes connections to such a proxy. net/http would secure them as those to the server, by whose name and
// certificate no proxy goes: what a destination says about its server, TrustAll above all, and the client's key are not
// for the proxy.
func (c *Config) proxyTLS(w *http.Transport) dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := w.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			conn.Close()
			return nil, err
		}
		config := c.ownTLS.Clone()
		if config == nil {
			config = &tls.Config{}
		}
		config.Certificates, config.GetClientCertificate = nil, nil
		ctx, cancel := context.WithTimeoutCause(ctx, c.ConnectTimeout, fmt.Errorf("no TLS with the proxy %s after %v",
			address, c.ConnectTimeout))
		defer cancel()
		secure := tls.Client(conn, keystore.ForHost(config, host))
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return nil, fmt.Errorf("TLS with the proxy %s: %w", address, err)
		}
		return secure, nil
	}
}

func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

type dial = func(ctx context.Context, network, address string) (net.Conn, error)

// bounded bounds dialling: by the time-out for connections, longer where the route waits for a Cloud Connector.
func (c *Config) bounded(dial dial) dial {
	limit, waits := c.ConnectTimeout+c.Route.Outage, c.Route.Outage > 0
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no connection after %v", limit))
		defer cancel()
		began := time.Now()
		conn, err := dial(ctx, network, address)
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil && waits && time.Since(began) >= c.Route.Outage {
			err = &outageError{err}
		}
		return conn, err
	}
}

// outageError is the end of a route that has waited for long already: it is not tried again.
type outageError struct{ cause error }

func (o *outageError) Error() string { return o.cause.Error() }
func (o *outageError) Unwrap() error { return o.cause }

// proxyError is an answer of a proxy that made no tunnel.
type proxyError struct {
	proxy  string
	status int
	text   string
	see    string
}

func (p *proxyError) Error() string {
	text := fmt.Sprintf("the proxy %s answered %s", p.proxy, p.text)
	if p.refused() {
		text += ": it wants a user and a password, or others" + p.see
	}
	return text
}

// Permanent: the same user is refused again.
func (p *proxyError) Permanent() bool {
	return p.refused() || p.status == http.StatusForbidden || p.status == http.StatusMethodNotAllowed
}

// refused: CONNECT is answered by nobody but the proxy, and Tinyproxy says 401 to a wrong password.
func (p *proxyError) refused() bool {
	return p.status == http.StatusProxyAuthRequired || p.status == http.StatusUnauthorized
}

func (c *Config) checkConnect(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyError{proxy.Host, answer.StatusCode, answer.Status, c.Route.see()}
}

// permanent says whether a route failed for a reason that stays until somebody mends it.
func permanent(err error) bool {
	var known interface{ Permanent() bool }
	return errors.As(err, &known) && known.Permanent()
}
