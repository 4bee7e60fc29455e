package keystore

import "crypto/tls"

// ServerTLS makes a configuration for servers: with the key and the certificate of Key, which must be given, read again
// after its files have changed. clients says whether clients are asked for certificates, which are to be of an
// authority in Trust, without it of one that the operating system trusts. Errors are of type [*Error].
func ServerTLS(o Options, clients tls.ClientAuthType) (*tls.Config, error) {
	config := &tls.Config{ClientAuth: clients}
	if err := o.versions(config); err != nil {
		return nil, err
	}
	w, err := openWatched(o.Context, *o.Key, o.keyNames(), o.logger(), (*Store).Certificate)
	if err != nil {
		return nil, err
	}
	config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		c := w.get()
		return &c, nil
	}
	if clients == tls.NoClientCert || o.Trust == nil {
		return config, nil
	}
	trust, err := openWatched(o.Context, *o.Trust, o.trustNames(), o.logger(), readAnchors)
	if err != nil {
		return nil, err
	}
	asking := config.Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := asking.Clone()
		now.ClientCAs = trust.get().pool
		return now, nil
	}
	return config, nil
}
