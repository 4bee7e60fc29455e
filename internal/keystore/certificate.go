package keystore

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Certificate returns the key and certificate chain of the alias or, without one, the only usable ones: the key can be
// decrypted and belongs to its certificate, which is valid now. Of several, only those for TLS clients count.
func (s *Store) Certificate() (tls.Certificate, error) {
	candidates, err := s.candidates()
	if err != nil {
		return tls.Certificate{}, err
	}
	var usable []tls.Certificate
	var aliases []string
	var failures []error
	for _, e := range candidates {
		c, err := s.pair(e)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		usable = append(usable, c)
		aliases = append(aliases, e.alias)
	}
	if len(usable) == 0 {
		if len(failures) == 1 {
			return tls.Certificate{}, failures[0]
		}
		var texts []string
		for _, err := range failures {
			if f, ok := errors.AsType[*Error](err); ok {
				texts = append(texts, f.Text)
			}
		}
		return tls.Certificate{}, s.names.errorf(FieldLocation, errors.Join(failures...),
			"no key of %s can be used: %s", s.description, strings.Join(texts, "; "))
	}
	if len(usable) == 1 {
		return usable[0], nil
	}
	forClients := slices.DeleteFunc(slices.Clone(usable), func(c tls.Certificate) bool {
		isRestricted := len(c.Leaf.ExtKeyUsage)+len(c.Leaf.UnknownExtKeyUsage) > 0
		return isRestricted && !slices.Contains(c.Leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) &&
			!slices.Contains(c.Leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
	})
	if len(forClients) == 1 {
		return forClients[0], nil
	}
	return tls.Certificate{}, s.names.errorf(FieldAlias, nil, "is not set, but several keys of %s are usable: %s",
		s.description, quoted(aliases))
}

// candidates returns the key entry of the alias or, without one, all key entries.
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
		return nil, s.names.errorf(FieldLocation, nil, "%s contains no private key with a certificate; it contains %s",
			s.description, s.contents())
	}
	return keys, nil
}

// find returns the key entry of an alias, whose case is ignored unless two differ in it.
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
		return entry{}, s.names.errorf(FieldAlias, nil, "%s has no entry %q; it contains %s", s.description, alias,
			s.contents())
	case s.entries[i].kind != keyEntry:
		return entry{}, s.names.errorf(FieldAlias, nil,
			"entry %q of %s is a %s, expected a private key with a certificate", alias, s.description,
			s.entries[i].kind)
	}
	return s.entries[i], nil
}

// findInner returns the index of the only entry with this alias in a store of a DKS domain, as Java does, or -1.
func (s *Store) findInner(alias string) int {
	index := -1
	for i, e := range s.entries {
		if e.inner != "" && strings.EqualFold(e.inner, alias) {
			if index >= 0 {
				return -1
			}
			index = i
		}
	}
	return index
}

// aliasOf returns the alias of the key with a certificate, or "".
func (s *Store) aliasOf(leaf *x509.Certificate) string {
	for _, e := range s.entries {
		if e.kind == keyEntry && len(e.chain) > 0 && e.chain[0].Equal(leaf) {
			return e.alias
		}
	}
	return ""
}

// pair decrypts an entry's key and compares it with its certificate.
func (s *Store) pair(e entry) (tls.Certificate, error) {
	if e.certErr != nil {
		return tls.Certificate{}, s.names.errorf(FieldLocation, e.certErr,
			"a certificate of entry %q of %s cannot be read: %v", e.alias, s.description, e.certErr)
	}
	key, err := e.recover()
	if err != nil {
		if errors.Is(err, errPassword) {
			if s.location.KeyPassword == "" {
				return tls.Certificate{}, s.names.errorf(FieldKeyPassword, err,
					"is not set, but %s is not the password of the key of entry %q of %s",
					s.names.setting(FieldPassword), e.alias, s.description)
			}
			return tls.Certificate{}, s.names.errorf(FieldKeyPassword, err,
				"wrong password for the key of entry %q of %s", e.alias, s.description)
		}
		return tls.Certificate{}, s.names.errorf(FieldLocation, err, "the key of entry %q of %s cannot be read: %v",
			e.alias, s.description, err)
	}
	if len(e.chain) == 0 {
		return tls.Certificate{}, s.names.errorf(FieldLocation, nil,
			"entry %q of %s is a private key without a certificate", e.alias, s.description)
	}
	leaf := e.chain[0]
	if !isKeyOf(key, leaf) {
		return tls.Certificate{}, s.names.errorf(FieldLocation, nil,
			"the key of entry %q of %s does not match its certificate %s", e.alias, s.description, leaf.Subject)
	}
	if err := s.checkValidity(e.alias, leaf); err != nil {
		return tls.Certificate{}, err
	}
	c := tls.Certificate{PrivateKey: key, Leaf: leaf}
	for _, issuer := range e.chain {
		c.Certificate = append(c.Certificate, issuer.Raw)
	}
	return c, nil
}

func (s *Store) checkValidity(alias string, leaf *x509.Certificate) error {
	now := time.Now()
	switch {
	case now.After(leaf.NotAfter):
		return s.names.errorf(FieldLocation, nil, "the certificate %s (entry %q of %s) expired on %s: replace it",
			leaf.Subject, alias, s.description, formatTime(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		return s.names.errorf(FieldLocation, nil,
			"the certificate %s (entry %q of %s) is not valid before %s; is this machine's clock right?", leaf.Subject,
			alias, s.description, formatTime(leaf.NotBefore))
	}
	return nil
}

func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func isKeyOf(key crypto.PrivateKey, leaf *x509.Certificate) bool {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return false
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(leaf.PublicKey)
}

func parseKey(der []byte) (crypto.PrivateKey, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("not a key that TLS can use: %w", err)
	}
	if _, ok := key.(crypto.Signer); !ok {
		return nil, fmt.Errorf("a %T cannot sign, as TLS requires", key)
	}
	return key, nil
}
