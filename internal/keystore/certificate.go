package keystore

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Certificate returns the key and the certificate chain to authenticate with: the entry of the alias, or the only one
// whose key can be had, goes with its certificate, and is valid now. Of several that fit, those for other uses than TLS
// clients do not count.
func (s *Store) Certificate() (tls.Certificate, error) {
	candidates, err := s.candidates()
	if err != nil {
		return tls.Certificate{}, err
	}
	var fit []tls.Certificate
	var aliases []string
	var faults []error
	for _, e := range candidates {
		c, err := s.pair(e)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		fit, aliases = append(fit, c), append(aliases, e.alias)
	}
	if len(fit) == 0 {
		return tls.Certificate{}, s.noUsableKey(faults)
	}
	if len(fit) == 1 {
		return fit[0], nil
	}
	clients := slices.DeleteFunc(slices.Clone(fit), func(c tls.Certificate) bool { return !isForClients(c.Leaf) })
	if len(clients) == 1 {
		return clients[0], nil
	}
	return tls.Certificate{}, s.names.errorf(FieldAlias, nil, "is not set, and several keys of %s fit: %s", s.description,
		quoted(aliases))
}

// candidates are the entries that may be meant.
func (s *Store) candidates() ([]entry, error) {
	if alias := s.location.Alias; alias != "" {
		e, err := s.find(alias)
		if err != nil {
			return nil, err
		}
		return []entry{e}, nil
	}
	var keys []entry
	for _, e := range s.entries {
		if e.kind == keyEntry {
			keys = append(keys, e)
		}
	}
	if len(keys) == 0 {
		return nil, s.names.errorf(FieldLocation, nil, "%s holds no private key with a certificate; it holds %s", s.description,
			s.contents())
	}
	return keys, nil
}

// find returns the entry for a private key with an alias. Java's stores hold aliases in small letters and look them up
// so.
func (s *Store) find(alias string) (entry, error) {
	i := slices.IndexFunc(s.entries, func(e entry) bool { return e.alias == alias })
	if i < 0 {
		i = slices.IndexFunc(s.entries, func(e entry) bool { return strings.EqualFold(e.alias, alias) })
	}
	if i < 0 {
		i = s.findInner(alias)
	}
	switch {
	case i < 0:
		return entry{}, s.names.errorf(FieldAlias, nil, "%s has no entry %q; it holds %s", s.description, alias, s.contents())
	case s.entries[i].kind != keyEntry:
		return entry{}, s.names.errorf(FieldAlias, nil,
			"entry %q of %s is a %s, expected a private key with a certificate", alias, s.description, s.entries[i].kind)
	}
	return s.entries[i], nil
}

// findInner finds an entry of a domain without the name of its store in front, as Java does, if there is only one.
func (s *Store) findInner(alias string) int {
	found := -1
	for i, e := range s.entries {
		if e.inner != "" && strings.EqualFold(e.inner, alias) {
			if found >= 0 {
				return -1
			}
			found = i
		}
	}
	return found
}

// aliasOf names the entry of a key by its certificate.
func (s *Store) aliasOf(leaf *x509.Certificate) string {
	for _, e := range s.entries {
		if e.kind == keyEntry && len(e.chain) > 0 && e.chain[0].Equal(leaf) {
			return e.alias
		}
	}
	return ""
}

// noUsableKey is the error for keys of which none can be used. A single one says it as it is.
func (s *Store) noUsableKey(faults []error) error {
	if len(faults) == 1 {
		return faults[0]
	}
	var texts []string
	for _, err := range faults {
		if f, ok := errors.AsType[*Error](err); ok {
			texts = append(texts, f.Text)
		}
	}
	return s.names.errorf(FieldLocation, errors.Join(faults...), "no key of %s can be used: %s", s.description,
		strings.Join(texts, "; "))
}

// pair decrypts an entry's key and holds it against its certificate.
func (s *Store) pair(e entry) (tls.Certificate, error) {
	if e.certErr != nil {
		return tls.Certificate{}, s.names.errorf(FieldLocation, e.certErr,
			"a certificate of entry %q of %s cannot be read: %v", e.alias, s.description, e.certErr)
	}
	key, err := e.recover()
	if err != nil {
		if errors.Is(err, errPassword) {
			return tls.Certificate{}, s.wrongKeyPassword(e.alias, err)
		}
		return tls.Certificate{}, s.names.errorf(FieldLocation, err, "the key of entry %q of %s cannot be read: %v",
			e.alias, s.description, err)
	}
	if len(e.chain) == 0 {
		return tls.Certificate{}, s.names.errorf(FieldLocation, nil,
			"entry %q of %s is a private key without a certificate", e.alias, s.description)
	}
	leaf := e.chain[0]
	if !matches(key, leaf) {
		return tls.Certificate{}, s.names.errorf(FieldLocation, nil,
			"the key of entry %q of %s does not go with its certificate %s", e.alias, s.description, leaf.Subject)
	}
	if err := s.validNow(e.alias, leaf); err != nil {
		return tls.Certificate{}, err
	}
	c := tls.Certificate{PrivateKey: key, Leaf: leaf}
	for _, link := range e.chain {
		c.Certificate = append(c.Certificate, link.Raw)
	}
	return c, nil
}

func (s *Store) wrongKeyPassword(alias string, err error) error {
	if s.location.KeyPassword == "" {
		return s.names.errorf(FieldKeyPassword, err,
			"is not set, and %s is not the password of the key of entry %q of %s", s.names.setting(FieldPassword), alias,
			s.description)
	}
	return s.names.errorf(FieldKeyPassword, err, "wrong password for the key of entry %q of %s", alias, s.description)
}

func (s *Store) validNow(alias string, leaf *x509.Certificate) error {
	now := time.Now()
	switch {
	case now.After(leaf.NotAfter):
		return s.names.errorf(FieldLocation, nil,
			"the certificate %s (entry %q of %s) has expired on %s: put a new one there", leaf.Subject, alias, s.description,
			formatTime(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		return s.names.errorf(FieldLocation, nil,
			"the certificate %s (entry %q of %s) is not valid before %s; is this machine's clock right?", leaf.Subject,
			alias, s.description, formatTime(leaf.NotBefore))
	}
	return nil
}

func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// matches tells whether a private key is that of a certificate.
func matches(key crypto.PrivateKey, leaf *x509.Certificate) bool {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return false
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(leaf.PublicKey)
}

// isForClients tells whether a certificate may be used by a TLS client: it says nothing of its use, or that.
func isForClients(c *x509.Certificate) bool {
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) || slices.Contains(c.ExtKeyUsage,
		x509.ExtKeyUsageAny)
}

// parseKey reads an unencrypted PKCS#8 key.
func parseKey(der []byte) (crypto.PrivateKey, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("it is not a key that TLS can use: %w", err)
	}
	if _, ok := key.(crypto.Signer); !ok {
		return nil, fmt.Errorf("a %T cannot sign, which TLS needs", key)
	}
	return key, nil
}

// parseDecrypted reads a key that was decrypted by a cipher that does not notice a wrong password: bytes that are no
// PKCS#8 mean one.
func parseDecrypted(der []byte) (crypto.PrivateKey, error) {
	var outer struct {
		Version    int
		Algorithm  pkix.AlgorithmIdentifier
		Key        []byte
		Attributes asn1.RawValue `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return nil, errPassword
	}
	return parseKey(der)
}
