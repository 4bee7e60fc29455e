package kafka

import (
	"crypto/tls"

	"github.com/culvert-project/culvert/host/keystore"
)

// TLS is that of the administrator's connections, nil for none. explain says of a failed handshake which setting mends
// it, where one does. It is for those who go the way to a broker step by step; others use [Config.Dial].
func (c Config) TLS() (config *tls.Config, explain func(error) error) {
	a := c.Admin.over(c.ClientConfig).access
	if a == nil || a.tls == nil {
		return nil, func(err error) error { return err }
	}
	return a.tls, func(err error) error { return keystore.Explain(err, a.stores) }
}
