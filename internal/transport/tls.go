package transport

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// readTLS reads the TLS settings and opens the stores, so that errors are found early.
func readTLS(c *Config, roles Roles, environment Environment) error {
	r := roleReader{roles: roles}
	settingsOptions := keystore.Options{
		Key:                 storeLocation(roles, role.TLSKeyStore),
		Trust:               storeLocation(roles, role.TLSTrustStore),
		Protocol:            roles.Text(role.TLSProtocol),
		AllowLegacy:         r.flag(role.TLSAllowLegacy),
		AllowRSAKeyExchange: r.flag(role.TLSAllowRSAKeyExchange),
		AllowRenegotiation:  r.flag(role.TLSAllowRenegotiation),
		AllowCommonName:     r.flag(role.TLSAllowCommonName),
		HasRisks:            true,
		Logger:              environment.Logger,
		Name:                func(field string) string { return tlsSetting(roles, field) },
	}
	if r.err != nil {
		return r.err
	}
	options := settingsOptions
	c.explain = func(err error) error { return keystore.Explain(err, options) }
	options.Key = cmp.Or(options.Key, destinationStore(environment.Key))
	options.Trust = cmp.Or(options.Trust, destinationStore(environment.Trust))
	var err error
	if c.settingsTLS, err = newTLS(environment.Context, settingsOptions); err != nil {
		return err
	}
	c.TLS = c.settingsTLS
	if options.Key != settingsOptions.Key || options.Trust != settingsOptions.Trust {
		if c.TLS, err = newTLS(environment.Context, options); err != nil {
			return err
		}
	}
	c.TrustAll = environment.TrustAll && options.Trust == nil
	if c.TrustAll {
		environment.Logger.Warn("the destination has TrustAll: the server's certificate is not verified")
	}
	// The client's certificate identifies the logon.
	if options.Key != nil && c.TLS.GetClientCertificate != nil {
		certificate, err := c.TLS.GetClientCertificate(&tls.CertificateRequestInfo{Version: tls.VersionTLS12,
			SignatureSchemes: allSchemes})
		if err != nil {
			return storeError(err)
		}
		if len(certificate.Certificate) > 0 {
			digest := sha256.Sum256(certificate.Certificate[0])
			c.Identity = Identity{Secret: hex.EncodeToString(digest[:])}
		}
	}
	return nil
}

// tlsSetting returns the setting of a field of package keystore: the address for the host check, which is always on.
func tlsSetting(roles Roles, field string) string {
	switch {
	case field != keystore.FieldHostCheck:
		return roles.Setting(role.TLS + field)
	case roles.IsSet(role.Destination) && !roles.IsSet(role.Address):
		return roles.Setting(role.Destination)
	}
	return roles.Setting(role.Address)
}

// newTLS returns nil if the options have only default values.
func newTLS(ctx context.Context, o keystore.Options) (*tls.Config, error) {
	if o.Key == nil && o.Trust == nil && o.Protocol == "" && !o.AllowLegacy && !o.AllowRSAKeyExchange &&
		!o.AllowRenegotiation && !o.AllowCommonName {
		return nil, nil
	}
	o.Context = ctx
	config, err := keystore.ClientTLS(o)
	if err != nil {
		return nil, storeError(err)
	}
	return config, nil
}

// ServerTLS returns the TLS configuration for the service with TrustAll applied. Nil means the system's roots.
func (c *Config) ServerTLS() *tls.Config {
	if !c.TrustAll {
		return c.TLS
	}
	config := c.TLS.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	config.InsecureSkipVerify = true
	config.VerifyConnection = nil
	config.VerifyPeerCertificate = nil
	return config
}

func storeLocation(roles Roles, prefix string) *keystore.Location {
	l := &keystore.Location{Path: roles.Text(prefix + "location"), Type: roles.Text(prefix + "type"),
		Password: roles.Text(prefix + "password"), KeyPassword: roles.Text(prefix + "key-password"),
		Alias: roles.Text(prefix + "alias")}
	if l.Path+l.Type+l.Password+l.KeyPassword+l.Alias == "" {
		return nil
	}
	return l
}

// destinationStore returns the location of a store of a BTP destination, nil for no store.
func destinationStore(s *btp.Store) *keystore.Location {
	if s == nil {
		return nil
	}
	return &keystore.Location{Type: strings.ToLower(s.Type), Password: s.Password, Content: s.Content}
}

func storeError(err error) *wit.Error {
	f := errorf(wit.ErrorConfig, "%v", err)
	if e, ok := errors.AsType[*keystore.Error](err); ok {
		f.Message = e.Text
		f.Setting = &e.Setting
	}
	return f
}

var allSchemes = []tls.SignatureScheme{tls.PKCS1WithSHA256, tls.PSSWithSHA256, tls.ECDSAWithP256AndSHA256,
	tls.ECDSAWithP384AndSHA384, tls.ECDSAWithP521AndSHA512, tls.Ed25519}
