package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// transport supports HTTP/1.1 only: HTTP/2 does not tell whether a request may have arrived.
func (c *Config) transport(origin endpoint, routeGate *lockouts.Gate) (*http.Transport, http.RoundTripper) {
	observe := func(err error) error {
		if c.Route.statusOfError(err) == http.StatusUnauthorized {
			routeGate.ObserveRefusal()
		}
		return err
	}
	secure := c.ServerTLS()
	if secure != nil {
		secure = keystore.ForHost(secure, origin.host)
	}
	transport := &http.Transport{
		DialContext: c.Dial, TLSClientConfig: secure, TLSHandshakeTimeout: c.ConnectTimeout,
		// Bodies are decoded in body.go, which detects truncation.
		DisableCompression: true,
		// Close idle connections before the server does, which could lose a POST.
		IdleConnTimeout: 2 * time.Second, MaxIdleConnsPerHost: 16,
		// Per connection; large bodies of requests bypass the write buffer.
		ReadBufferSize: 64 << 10, WriteBufferSize: 4 << 10,
		ExpectContinueTimeout: time.Second, MaxResponseHeaderBytes: 1 << 20,
		TLSNextProto: nil, ForceAttemptHTTP2: false, Protocols: http1(),
		OnProxyConnectResponse: func(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
			return observe(c.checkConnect(proxy, answer))
		},
	}
	var route http.RoundTripper = transport
	if c.Route.RoundTripper != nil {
		route = c.Route.RoundTripper(transport)
	}
	dial := c.withDialTimeout(transport.DialContext)
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return conn, observe(err)
	}
	if c.usesTLSProxy(transport, origin) {
		transport.DialTLSContext = c.dialTLSProxy(transport)
	}
	return transport, route
}

func (c *Config) usesTLSProxy(transport *http.Transport, o endpoint) bool {
	if transport.Proxy == nil {
		return false
	}
	proxy, err := transport.Proxy(&http.Request{URL: &url.URL{Scheme: o.scheme, Host: o.authority()}})
	return err == nil && proxy != nil && proxy.Scheme == "https"
}

// dialTLSProxy dials a proxy with TLS. net/http would use the server's TLS configuration for it, but TrustAll and the
// client's key apply to the server only.
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

func (c *Config) withDialTimeout(dial dial) dial {
	limit := c.ConnectTimeout + c.Route.Outage
	waits := c.Route.Outage > 0
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

// outageError is not retried: the route has waited for a Cloud Connector.
type outageError struct{ cause error }

func (o *outageError) Error() string { return o.cause.Error() }

func (o *outageError) Unwrap() error { return o.cause }

// proxyError is the error of a proxy that answered CONNECT with another status than 200.
type proxyError struct {
	proxy  string
	status int
	text   string
	hint   string
}

func (p *proxyError) Error() string {
	message := fmt.Sprintf("the proxy %s answered %s", p.proxy, p.text)
	if p.refused() {
		message += ": it requires a user and a password, or rejected them" + p.hint
	}
	return message
}

// Permanent reports whether a retry cannot help.
func (p *proxyError) Permanent() bool {
	return p.refused() || p.status == http.StatusForbidden || p.status == http.StatusMethodNotAllowed
}

// refused accepts 401 too: only the proxy answers CONNECT, and Tinyproxy sends 401 for a wrong password.
func (p *proxyError) refused() bool {
	return p.status == http.StatusProxyAuthRequired || p.status == http.StatusUnauthorized
}

func (c *Config) checkConnect(proxy *url.URL, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyError{proxy.Host, answer.StatusCode, answer.Status, c.Route.credentialsHint()}
}

func isPermanent(err error) bool {
	var known interface{ Permanent() bool }
	return errors.As(err, &known) && known.Permanent()
}
