package transport

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/culvert-project/culvert/host/keystore"
	"github.com/culvert-project/culvert/wit"
)

// secureBy reads what TLS goes by from roles. Stores are opened, so that what is wrong with them shows at once.
func secureBy(c *Config, roles Roles, s Surroundings) error {
	o := keystore.Options{Key: storeBy(roles, "tls.keystore."), Trust: storeBy(roles, "tls.truststore."), Protocol: roles.Text("tls.protocol"),
		AllowLegacy: on(roles.Text("tls.allow-legacy")), Logger: s.Logger,
		Name: func(field string) string { return roles.Setting("tls." + field) }}
	if o.Key == nil && s.Key != nil {
		o.Key = s.Key.location()
	}
	if o.Trust == nil && s.Trust != nil {
		o.Trust = s.Trust.location()
	}
	if o.Key == nil && o.Trust == nil && o.Protocol == "" && !o.AllowLegacy && !s.TrustAll {
		return nil
	}
	config, err := keystore.ClientTLS(o)
	if err != nil {
		return storeFault(err)
	}
	if s.TrustAll && o.Trust == nil {
		s.Logger.Warn("the destination says TrustAll: the server's certificate is not looked at")
		config = config.Clone()
		config.InsecureSkipVerify, config.VerifyConnection, config.VerifyPeerCertificate = true, nil, nil
	}
	c.TLS = config
	if o.Key != nil {
		if c.Identity, err = certificateIdentity(config); err != nil {
			return storeFault(err)
		}
	}
	return nil
}

func storeBy(roles Roles, prefix string) *keystore.Location {
	l := &keystore.Location{Path: roles.Text(prefix + "location"), Type: roles.Text(prefix + "type"), Password: roles.Text(prefix + "password"),
		KeyPassword: roles.Text(prefix + "key-password"), Alias: roles.Text(prefix + "alias")}
	if l.Path+l.Type+l.Password+l.KeyPassword+l.Alias == "" {
		return nil
	}
	return l
}

// location is where package keystore finds it.
func (s *Store) location() *keystore.Location {
	l := &keystore.Location{Type: strings.ToLower(s.Type), Password: s.Password}
	if l.Type == "pem" {
		l.PEM = s.Content
	}
	return l
}

func on(text string) bool { return text == "1" || strings.EqualFold(text, "true") }

func storeFault(err error) *wit.Fault {
	f := faultf(wit.FaultConfig, "%v", err)
	var e *keystore.Error
	if errors.As(err, &e) {
		f.Message, f.Setting = e.Text, &e.Setting
	}
	return f
}

// certificateIdentity is who the certificate is of that TLS shows.
func certificateIdentity(config *tls.Config) (Identity, error) {
	if config.GetClientCertificate == nil {
		return Identity{}, nil
	}
	shown, err := config.GetClientCertificate(&tls.CertificateRequestInfo{Version: tls.VersionTLS12, SignatureSchemes: allSchemes})
	if err != nil || len(shown.Certificate) == 0 {
		return Identity{}, err
	}
	sum := sha256.Sum256(shown.Certificate[0])
	return Identity{User: "by certificate", Secret: hex.EncodeToString(sum[:])}, nil
}

// allSchemes lets a key of any kind fit.
var allSchemes = []tls.SignatureScheme{tls.PKCS1WithSHA256, tls.PSSWithSHA256, tls.ECDSAWithP256AndSHA256, tls.ECDSAWithP384AndSHA384,
	tls.ECDSAWithP521AndSHA512, tls.Ed25519}

// untrusted is the fault of a server whose certificate is not trusted, nil where that was not the reason.
func (d *destination) untrusted(err error) error {
	var certificate *tls.CertificateVerificationError
	if !errors.As(err, &certificate) {
		return nil
	}
	f := faultf(wit.FaultConfig, "%s: the certificate is not trusted: %v", d.origin, certificate.Err)
	if store := javaStore(); store != "" && d.config.Name != nil {
		f.Message += ". Java would have looked into " + store + ": to trust what is in it, set " + d.config.Name("tls.truststore.location") +
			" to that path and " + d.config.Name("tls.truststore.password") + " to its password (changeit, unless somebody changed it)"
	}
	return f
}

// javaRoots are the places of the roots of the Java that JAVA_HOME names, newer ones first.
var javaRoots = []string{"lib/security/cacerts", "jre/lib/security/cacerts"}

// javaStore is the trust store of JAVA_HOME, "" if there is none.
func javaStore() string {
	home := os.Getenv("JAVA_HOME")
	if home == "" {
		return ""
	}
	for _, place := range javaRoots {
		path := filepath.Join(home, place)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}
