package keystore

import "crypto/tls"

// ServerTLS returns a server's configuration with o.Key, which is required and reloaded when its files change. Client
// certificates, if clients requests them, must be issued by an authority in o.Trust, or by the system's. Errors are
// of type [*Error].
func ServerTLS(options Options, clients tls.ClientAuthType) (*tls.Config, error) {
	config := &tls.Config{ClientAuth: clients}
	if err := options.versions(config); err != nil {
		return nil, err
	}
	w, err := openWatched(options.Context, *options.Key, options.keyNames(), options.logger(), (*Store).Certificate)
	if err != nil {
		return nil, err
	}
	config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		c := w.get()
		return &c, nil
	}
	if clients == tls.NoClientCert || options.Trust == nil {
		return config, nil
	}
	trust, err := openWatched(options.Context, *options.Trust, options.trustNames(), options.logger(), readAnchors)
	if err != nil {
		return nil, err
	}
	base := config.Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		current := base.Clone()
		current.ClientCAs = trust.get().pool
		return current, nil
	}
	return config, nil
}
