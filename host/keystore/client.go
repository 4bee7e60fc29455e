package keystore

import (
	"crypto/tls"
	"errors"
	"log/slog"
)

// Options of a TLS client.
type Options struct {
	Key           *Location                 // key and certificate to authenticate with; nil = none
	Trust         *Location                 // certificates to trust; nil = the operating system's
	Protocol      string                    // as Java's SSLContext: SSL, TLS, TLSv1.3 = TLS 1.2 to 1.3, TLSv1.2 = 1.2; "" = TLS
	AllowLegacy   bool                      // lets Protocol be TLSv1 or TLSv1.1
	SkipHostCheck bool                      // the certificate need not be for the host that was asked for (Kafka: ssl.endpoint.identification.algorithm empty)
	Name          func(field string) string // what the user calls a field, see FieldLocation and the others; nil = the field itself
	Logger        *slog.Logger              // nil = slog.Default
}

// ClientTLS makes a configuration for clients. It may be cloned; give it a host with [ForHost].
func ClientTLS(o Options) (*tls.Config, error) { return nil, errors.New("keystore: not built yet") }

// ForHost returns a copy of config for connections to host, a name or an IP address without a port. It does what setting ServerName does, and
// is needed for IP addresses: crypto/tls does not tell its callbacks about those, and without a host ClientTLS's configuration refuses the server.
func ForHost(config *tls.Config, host string) *tls.Config {
	config = config.Clone()
	config.ServerName = host
	verify := config.VerifyConnection
	if verify == nil {
		return config
	}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if state.ServerName == "" {
			state.ServerName = host
		}
		return verify(state)
	}
	return config
}

// Explain returns err, the failure of a handshake or of a request, with what to mend and the setting's name in front where that can be told.
func Explain(err error, o Options) error { return err }
