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
)

// transport allows HTTP/1.1 alone: only there it is certain whether a request may have arrived.
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
	w.DialContext = c.withDialTimeout(w.DialContext)
	if c.usesTLSProxy(w, o) {
		w.DialTLSContext = c.dialTLSProxy(w)
	}
	return w, route
}

// usesTLSProxy reports whether requests use a proxy with TLS; the environment may name one.
func (c *Config) usesTLSProxy(w *http.Transport, o endpoint) bool {
	if w.Proxy == nil {
		return false
	}
	proxy, err := w.Proxy(&http.Request{URL: &url.URL{Scheme: o.scheme, Host: o.authority()}})
	return err == nil && proxy != nil && proxy.Scheme == "https"
}

// dialTLSProxy dials a proxy with TLS. net/http would use the server's TLS settings for it, although TrustAll and the
// client's key are meant for the server alone.
func (c *Config) dialTLSProxy(w *http.Transport) dial {
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
		config := c.settingsTLS.Clone()
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

// withDialTimeout limits the time for dialing, which includes the wait for a Cloud Connector.
func (c *Config) withDialTimeout(dial dial) dial {
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

// outageError is the error of a route that has waited long already. It is not retried.
type outageError struct{ cause error }

func (o *outageError) Error() string { return o.cause.Error() }

func (o *outageError) Unwrap() error { return o.cause }

// proxyError is a proxy's refusal to open a tunnel.
type proxyError struct {
	proxy  string
	status int
	text   string
	hint   string
}

func (p *proxyError) Error() string {
	text := fmt.Sprintf("the proxy %s answered %s", p.proxy, p.text)
	if p.refused() {
		text += ": it wants a user and a password, or others" + p.hint
	}
	return text
}

func (p *proxyError) Permanent() bool {
	return p.refused() || p.status == http.StatusForbidden || p.status == http.StatusMethodNotAllowed
}

// refused accepts 401 too: only the proxy answers CONNECT, and Tinyproxy sends 401 for a wrong password.
func (p *proxyError) refused() bool {
	return p.status == http.StatusProxyAuthRequired || p.status == http.StatusUnauthorized
}

func (c *Config) checkConnect(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyError{proxy.Host, answer.StatusCode, answer.Status, c.Route.credentialsHint()}
}

// isPermanent reports whether a route fails until a setting is changed.
func isPermanent(err error) bool {
	var known interface{ Permanent() bool }
	return errors.As(err, &known) && known.Permanent()
}
