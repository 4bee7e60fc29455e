package keystore

import "crypto/tls"

// ServerTLS returns a server's configuration with options.Key, which is required and reloaded when it changes. Client
// certificates, if requested, must be issued by an authority in options.Trust, or by the system's.
func ServerTLS(options Options, clientAuth tls.ClientAuthType) (*tls.Config, error) {
	config := &tls.Config{ClientAuth: clientAuth}
	if err := options.setVersions(config); err != nil {
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
	if clientAuth == tls.NoClientCert || options.Trust == nil {
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
