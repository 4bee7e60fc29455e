package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"github.com/twmb/franz-go/pkg/sasl"
)

// Dial connects to a broker as the administrator does, with proxy and TLS but without SASL. It logs nothing.
func (c Config) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return c.Admin.withDefaults(c.ClientConfig).access.Dial(ctx, c.Logger, network, address)
}

func (c Config) SASL() sasl.Mechanism { return c.Admin.withDefaults(c.ClientConfig).access.SASL() }

// CheckReachable returns nil if a bootstrap broker accepts connections, a [*security.Denied] if retrying is useless.
func (c Config) CheckReachable(ctx context.Context) error {
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

// TLS returns the administrator's TLS configuration, nil for none. explain adds the setting that fixes a failed
// handshake.
func (c Config) TLS() (config *tls.Config, explain func(error) error) {
	return c.Admin.withDefaults(c.ClientConfig).access.TLS()
}
