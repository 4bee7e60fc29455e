package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"github.com/twmb/franz-go/pkg/sasl"
)

// Dial connects to a broker as the administrator does: by the proxy if there is one, with TLS if that is asked for.
// Logging on is the caller's, with [Config.SASL]. What fails is in the error alone: who dials for others, as a tunnel
// does, says it as often as it thinks fit.
func (c Config) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return c.Admin.withDefaults(c.ClientConfig).access.Dial(ctx, c.Logger, network, address)
}

// SASL is how the administrator logs on; nil: it does not.
func (c Config) SASL() sasl.Mechanism { return c.Admin.withDefaults(c.ClientConfig).access.SASL() }

// Reach tells whether any of the brokers to start from can be connected to. The error is a [*security.Denied] where it
// is of no use to try again.
func (c Config) Reach(ctx context.Context) error {
	var all []error
	for _, address := range c.Admin.withDefaults(c.ClientConfig).Bootstrap {
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
	return c.Admin.withDefaults(c.ClientConfig).access.TLS()
}
