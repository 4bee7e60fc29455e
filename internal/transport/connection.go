package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// transport returns the transport and the route's round tripper. It uses no HTTP/2, which hides whether a request may
// have arrived.
func (c *Config) transport(origin endpoint, routeGate *lockouts.Gate) (*http.Transport, http.RoundTripper) {
	// observe returns err, and records it if the route refused its secret.
	observe := func(err error) error {
		if c.Route.statusOfError(err) == http.StatusUnauthorized {
			routeGate.ObserveRefusal()
		}
		return err
	}
	tlsConfig := c.ServerTLS()
	if tlsConfig != nil {
		tlsConfig = keystore.ForHost(tlsConfig, origin.host)
	}
	http1 := new(http.Protocols)
	http1.SetHTTP1(true)
	transport := &http.Transport{
		DialContext:         c.Dial,
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: c.ConnectTimeout,
		// Bodies are decoded in body.go, which detects truncation.
		DisableCompression: true,
		// Close idle connections before the server does, which could lose a POST.
		IdleConnTimeout:     2 * time.Second,
		MaxIdleConnsPerHost: 16,
		// Per connection; large bodies of requests bypass the write buffer.
		ReadBufferSize:         64 << 10,
		WriteBufferSize:        4 << 10,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		Protocols:              http1,
		OnProxyConnectResponse: func(_ context.Context, proxy *url.URL, _ *http.Request, r *http.Response) error {
			if r.StatusCode == http.StatusOK {
				return nil
			}
			return observe(&proxyError{proxy: proxy.Host, status: r.StatusCode, text: r.Status,
				hint: c.Route.credentialsHint()})
		},
	}
	var route http.RoundTripper = transport
	if c.Route.RoundTripper != nil {
		route = c.Route.RoundTripper(transport)
	}
	// Dialing is bounded, and an outage that the route has waited for is marked.
	limit := c.ConnectTimeout + c.Route.Outage
	awaitsConnector := c.Route.Outage > 0
	dialUnlimited := transport.DialContext
	dialBounded := func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no connection after %v", limit))
		defer cancel()
		began := time.Now()
		conn, err := dialUnlimited(ctx, network, address)
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil && awaitsConnector && time.Since(began) >= c.Route.Outage {
			err = &outageError{cause: err}
		}
		return conn, err
	}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialBounded(ctx, network, address)
		return conn, observe(err)
	}
	if transport.Proxy != nil { // set by the route
		proxy, err := transport.Proxy(&http.Request{URL: &url.URL{Scheme: origin.scheme, Host: origin.authority()}})
		if err == nil && proxy != nil && proxy.Scheme == "https" {
			transport.DialTLSContext = c.dialTLSProxy(transport)
		}
	}
	return transport, route
}

// dialTLSProxy dials a proxy with TLS, unlike net/http without the server's TrustAll and the client's key.
func (c *Config) dialTLSProxy(transport *http.Transport) dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := transport.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			conn.Close()
			return nil, err
		}
		config := c.settingsTLS.Clone()
		if config == nil {
			config = &tls.Config{}
		}
		config.Certificates = nil
		config.GetClientCertificate = nil
		ctx, cancel := context.WithTimeoutCause(ctx, c.ConnectTimeout, fmt.Errorf("no TLS with the proxy %s after %v",
			address, c.ConnectTimeout))
		defer cancel()
		tlsConn := tls.Client(conn, keystore.ForHost(config, host))
		if err := tlsConn.HandshakeContext(ctx); err != nil {
			conn.Close()
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return nil, fmt.Errorf("TLS with the proxy %s: %w", address, err)
		}
		return tlsConn, nil
	}
}

type dial = func(ctx context.Context, network, address string) (net.Conn, error)

// outageError is not retried: the route has waited for a Cloud Connector.
type outageError struct{ cause error }

func (o *outageError) Error() string { return o.cause.Error() }

func (o *outageError) Unwrap() error { return o.cause }

// proxyError is the error of a proxy that answered CONNECT with another status than 200.
type proxyError struct {
	proxy  string
	status int
	text   string // the status and its reason
	hint   string // which settings have the credentials
}

func (p *proxyError) Error() string {
	message := fmt.Sprintf("the proxy %s answered %s", p.proxy, p.text)
	if p.isLogonRefused() {
		message += ": it requires a user and a password, or rejected them" + p.hint
	}
	return message
}

// Permanent reports whether a retry cannot help.
func (p *proxyError) Permanent() bool {
	return p.isLogonRefused() || p.status == http.StatusForbidden || p.status == http.StatusMethodNotAllowed
}

// isLogonRefused includes 401: only the proxy answers CONNECT, and Tinyproxy sends 401 for a wrong password.
func (p *proxyError) isLogonRefused() bool {
	return p.status == http.StatusProxyAuthRequired || p.status == http.StatusUnauthorized
}
