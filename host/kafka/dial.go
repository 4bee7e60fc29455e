package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"strings"

	"github.com/culvert-project/culvert/host/keystore"

	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/culvert-project/culvert/host/transport/socks"
)

// dialFunc connects to a broker by the address that it advertises.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// direct is plain TCP, kept alive.
var direct dialFunc = socks.Direct().DialContext

// Denied is why brokers cannot be used until somebody changes a setting, here or at the broker.
type Denied struct {
	// Broker is its host:port, as it advertises itself.
	Broker string
	Cause  error
	text   string
}

// Error names the broker. There is no Unwrap: the client would find something of the network in the cause, and try
// again.
func (d *Denied) Error() string {
	if strings.HasPrefix(d.text, d.Broker+" ") { // with the address that the map has for it
		return "broker " + d.text
	}
	return "broker " + d.Broker + ": " + d.text
}

// Permanent is true.
func (d *Denied) Permanent() bool { return true }

// away is a broker that cannot be reached now, in the words of the client: a dialling that failed. What is inside is
// text alone, or the client would take the end of our own patience for the end of its caller's.
func away(network string, err error, slow bool) error {
	return &net.OpError{Op: "dial", Net: network, Err: &unreached{err.Error(), slow}}
}

type unreached struct {
	text string
	slow bool
}

func (u *unreached) Error() string   { return u.text }
func (u *unreached) Timeout() bool   { return u.slow }
func (u *unreached) Temporary() bool { return u.slow }

// Dial connects to a broker as the administrator does: by the proxy if there is one, with TLS if that is asked for.
// Logging on is the caller's, with [Config.SASL]. What fails is in the error alone: who dials for others, as a tunnel
// does, says it as often as it thinks fit.
func (c Config) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	g := newDialer(c.Admin.over(c.ClientConfig).access, c.Logger)
	g.log = slog.New(slog.DiscardHandler)
	return g.dial(ctx, network, address)
}

// SASL is how the administrator logs on; nil: it does not.
func (c Config) SASL() sasl.Mechanism {
	if a := c.Admin.over(c.ClientConfig).access; a != nil {
		return a.sasl
	}
	return nil
}

// Reach tells whether any of the brokers to start from can be connected to. The error is a [*Denied] where it is of no
// use to try again.
func (c Config) Reach(ctx context.Context) error {
	var all []error
	for _, address := range c.Admin.over(c.ClientConfig).Bootstrap {
		conn, err := c.Dial(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}

// TLS is that of the administrator's connections, nil for none. explain says of a failed handshake which setting mends
// it, where one does. It is for those who go the way to a broker step by step; others use [Config.Dial].
func (c Config) TLS() (config *tls.Config, explain func(error) error) {
	a := c.Admin.over(c.ClientConfig).access
	if a == nil || a.tls == nil {
		return nil, func(err error) error { return err }
	}
	return a.tls, func(err error) error { return keystore.Explain(err, a.stores) }
}
