package keystore

import "crypto/tls"

// ServerTLS makes a configuration for servers: with the key and the certificate of Key, which must be given, read again
// after its files have changed. Nobody's certificate is asked for. Errors are of type [*Error].
func ServerTLS(o Options) (*tls.Config, error) {
	config := &tls.Config{}
	if err := o.versions(config); err != nil {
		return nil, err
	}
	w, err := watch(o.Context, *o.Key, o.key(), o.logger(), (*Store).Certificate)
	if err != nil {
		return nil, err
	}
	config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		c := w.get()
		return &c, nil
	}
	return config, nil
}
