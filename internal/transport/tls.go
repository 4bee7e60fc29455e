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

// readTLS reads what TLS goes by from roles. Stores are opened, so that what is wrong with them shows at once.
func readTLS(c *Config, roles Roles, s Environment) error {
	r := roleReader{roles: roles}
	own := keystore.Options{Key: storeLocation(roles, role.TLSKeyStore), Trust: storeLocation(roles, role.TLSTrustStore),
		Protocol:    roles.Text(role.TLSProtocol),
		AllowLegacy: r.flag(role.TLSAllowLegacy), AllowRSAKeyExchange: r.flag(role.TLSAllowRSAKeyExchange),
		AllowRenegotiation: r.flag(role.TLSAllowRenegotiation), AllowCommonName: r.flag(role.TLSAllowCommonName),
		HasRisks: true, Logger: s.Logger,
		Name: func(field string) string { return tlsSetting(roles, field) }}
	if r.err != nil {
		return r.err
	}
	o := own
	c.explain = func(err error) error { return keystore.Explain(err, o) }
	o.Key, o.Trust = cmp.Or(o.Key, deliveredStore(s.Key)), cmp.Or(o.Trust, deliveredStore(s.Trust))
	var err error
	if c.settingsTLS, err = newTLS(s.Context, own); err != nil {
		return err
	}
	if c.TLS = c.settingsTLS; o.Key != own.Key || o.Trust != own.Trust {
		if c.TLS, err = newTLS(s.Context, o); err != nil {
			return err
		}
	}
	if c.TrustAll = s.TrustAll && o.Trust == nil; c.TrustAll {
		s.Logger.Warn("the destination says TrustAll: the server's certificate is not looked at")
	}
	if o.Key != nil {
		if c.Identity, err = certificateIdentity(c.TLS); err != nil {
			return storeError(err)
		}
	}
	return nil
}

// tlsSetting is the name of the setting of one of package keystore's fields. Nothing switches the check of the host
// off, so what mends a wrong host is the setting that names it.
func tlsSetting(roles Roles, field string) string {
	switch {
	case field != keystore.FieldHostCheck:
		return roles.Setting(role.TLS + field)
	case roles.IsSet(role.Destination) && !roles.IsSet(role.Address):
		return roles.Setting(role.Destination)
	}
	return roles.Setting(role.Address)
}

// newTLS is nil where nothing is said.
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

// ServerTLS is how connections to the server at Address are secured, nil for the system's roots. It alone heeds
// TrustAll.
func (c *Config) ServerTLS() *tls.Config {
	if !c.TrustAll {
		return c.TLS
	}
	config := c.TLS.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	config.InsecureSkipVerify, config.VerifyConnection, config.VerifyPeerCertificate = true, nil, nil
	return config
}

func storeLocation(roles Roles, prefix string) *keystore.Location {
	l := &keystore.Location{Path: roles.Text(prefix + "location"), Type: roles.Text(prefix + "type"),
		Password:    roles.Text(prefix + "password"),
		KeyPassword: roles.Text(prefix + "key-password"), Alias: roles.Text(prefix + "alias")}
	if l.Path+l.Type+l.Password+l.KeyPassword+l.Alias == "" {
		return nil
	}
	return l
}

// deliveredStore is where package keystore finds a store of a destination, nil where there is none.
func deliveredStore(s *btp.Store) *keystore.Location {
	if s == nil {
		return nil
	}
	return &keystore.Location{Type: strings.ToLower(s.Type), Password: s.Password, Content: s.Content}
}

func storeError(err error) *wit.Error {
	f := errorf(wit.ErrorConfig, "%v", err)
	if e, ok := errors.AsType[*keystore.Error](err); ok {
		f.Message, f.Setting = e.Text, &e.Setting
	}
	return f
}

// certificateIdentity is who the certificate is of that TLS shows.
func certificateIdentity(config *tls.Config) (Identity, error) {
	if config.GetClientCertificate == nil {
		return Identity{}, nil
	}
	shown, err := config.GetClientCertificate(&tls.CertificateRequestInfo{Version: tls.VersionTLS12,
		SignatureSchemes: allSchemes})
	if err != nil || len(shown.Certificate) == 0 {
		return Identity{}, err
	}
	sum := sha256.Sum256(shown.Certificate[0])
	return Identity{Secret: hex.EncodeToString(sum[:])}, nil
}

// allSchemes lets a key of any kind fit.
var allSchemes = []tls.SignatureScheme{tls.PKCS1WithSHA256, tls.PSSWithSHA256, tls.ECDSAWithP256AndSHA256,
	tls.ECDSAWithP384AndSHA384,
	tls.ECDSAWithP521AndSHA512, tls.Ed25519}
