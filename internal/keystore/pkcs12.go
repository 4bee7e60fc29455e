package keystore

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
)

// PKCS12 (RFC 7292). Not used: go-pkcs12, which returns no aliases and rejects several keys, secret keys, trusted
// certificates without Java's attribute, stores without a MAC, SHA-384, and triple DES in PBES2. Tests compare both.

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidEncryptedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}
	oidPBMAC1        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}

	oidKeyBag      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}
	oidShroudedBag = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
	oidCertBag     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 3}
	oidSecretBag   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 5}

	oidX509Certificate = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}
	oidFriendlyName    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 20}
	oidLocalKeyID      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 21}
	oidJavaTrusted     = asn1.ObjectIdentifier{2, 16, 840, 1, 113894, 746875, 1, 1}
)

type pfx struct {
	Version  int
	AuthSafe contentInfo
	Mac      pfxMac `asn1:"optional"`
}

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"tag:0,explicit,optional"`
}

type pfxMac struct {
	Digest struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	Salt       []byte
	Iterations int `asn1:"optional,default:1"`
}

type encryptedSafe struct {
	Version int
	Info    struct {
		Type      asn1.ObjectIdentifier
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte `asn1:"tag:0,optional"`
	}
}

// bag is a SafeBag with the attributes that are used here.
type bag struct {
	oid       asn1.ObjectIdentifier
	value     []byte
	name      string
	keyID     []byte
	isTrusted bool // Java's attribute
}

// readPKCS12 checks the MAC, decrypts the safes and adds their entries.
func (s *Store) readPKCS12(content []byte) error {
	var file pfx
	if _, err := asn1.Unmarshal(content, &file); err != nil {
		return s.notPKCS12(content, err)
	}
	if file.Version != 3 {
		return s.notPKCS12(content, fmt.Errorf("version %d, expected 3", file.Version))
	}
	if file.AuthSafe.Type.Equal(oidSignedData) {
		return s.unreadable(errors.New("it is signed (public-key integrity mode), expected a password"))
	}
	var signed []byte
	if err := unmarshal(file.AuthSafe.Content.Bytes, &signed); err != nil {
		return s.notPKCS12(file.AuthSafe.Content.Bytes, err)
	}
	if err := file.Mac.check(signed, s.location.Password, s.budget); err != nil {
		return s.decryptError(err)
	}
	bags, err := openSafes(signed, s.location.Password, s.budget)
	if err != nil {
		return s.decryptError(err)
	}
	s.addBags(bags)
	return nil
}

// decryptError distinguishes a wrong password from a damaged file.
func (s *Store) decryptError(err error) error {
	if errors.Is(err, errPassword) {
		return s.wrongPassword()
	}
	return s.unreadable(err)
}

// notPKCS12 recognizes other files with a similar content.
func (s *Store) notPKCS12(content []byte, err error) error {
	if strings.Contains(err.Error(), "indefinite length") {
		return s.names.errorf(FieldLocation, err,
			"%s is written in BER with indefinite lengths, expected DER: rewrite it with "+
				"keytool -importkeystore -srckeystore OLD -destkeystore NEW -deststoretype PKCS12", s.description)
	}
	if _, cerr := x509.ParseCertificate(content); cerr == nil {
		return s.names.errorf(FieldLocation, err,
			"%s is a single certificate (DER), expected a key store or PEM: convert it with openssl x509 -inform DER",
			s.description)
	}
	if _, kerr := x509.ParsePKCS8PrivateKey(content); kerr == nil {
		return s.names.errorf(FieldLocation, err,
			"%s is a single key (DER), expected a key store or PEM with key and certificates", s.description)
	}
	return s.unreadable(fmt.Errorf("not PKCS12: %w", err))
}

// check verifies the MAC, which is optional (Java's keystore.pkcs12.macAlgorithm=NONE).
func (m pfxMac) check(signed []byte, password string, budget *kdfBudget) error {
	algorithm := m.Digest.Algorithm
	if len(algorithm.Algorithm) == 0 {
		return nil
	}
	if algorithm.Algorithm.Equal(oidPBMAC1) {
		// RFC 9579, which openssl 3.4 and Java 26 write.
		var p struct{ KDF, MAC pkix.AlgorithmIdentifier }
		if err := unmarshal(m.Digest.Algorithm.Parameters.FullBytes, &p); err != nil {
			return err
		}
		if !p.KDF.Algorithm.Equal(oidPBKDF2) {
			return fmt.Errorf("the key derivation %s of its MAC is not supported", p.KDF.Algorithm)
		}
		h, err := findHash(prfs, p.MAC.Algorithm)
		if err != nil {
			return err
		}
		const sizeOfParameters = 0
		key, err := derivePBKDF2(p.KDF.Parameters.FullBytes, password, sizeOfParameters, budget)
		if err != nil {
			return err
		}
		return compareMAC(h, key, signed, m.Digest.Digest)
	}
	h, err := findHash(digests, algorithm.Algorithm)
	if err != nil {
		return err
	}
	key, err := pkcs12KDF(h, m.Salt, password, m.Iterations, diversifierMAC, h.make().Size(), budget)
	if err != nil {
		return err
	}
	return compareMAC(h, key, signed, m.Digest.Digest)
}

func compareMAC(h hashKind, key, signed, want []byte) error {
	mac := hmac.New(h.make, key)
	mac.Write(signed)
	if !hmac.Equal(mac.Sum(nil), want) {
		return errPassword
	}
	return nil
}

// openSafes decrypts the safes of a file and returns all bags in them.
func openSafes(signed []byte, password string, budget *kdfBudget) ([]bag, error) {
	var safes []contentInfo
	if err := unmarshal(signed, &safes); err != nil {
		return nil, err
	}
	var bags []bag
	for _, safe := range safes {
		plain, err := openSafe(safe, password, budget)
		if err != nil {
			return nil, err
		}
		if bags, err = appendBags(bags, plain); err != nil {
			return nil, err
		}
	}
	return bags, nil
}

func openSafe(safe contentInfo, password string, budget *kdfBudget) ([]byte, error) {
	switch {
	case safe.Type.Equal(oidData):
		var plain []byte
		err := unmarshal(safe.Content.Bytes, &plain)
		return plain, err
	case safe.Type.Equal(oidEncryptedData):
		var e encryptedSafe
		if err := unmarshal(safe.Content.Bytes, &e); err != nil {
			return nil, err
		}
		return decrypt(e.Info.Algorithm, e.Info.Data, password, budget)
	}
	return nil, fmt.Errorf("found a safe of type %s, expected data or password-encrypted data", safe.Type)
}

// appendBags appends the bags of a decrypted safe.
func appendBags(bags []bag, der []byte) ([]bag, error) {
	var raw []struct {
		ID         asn1.ObjectIdentifier
		Value      asn1.RawValue `asn1:"tag:0,explicit"`
		Attributes []struct {
			ID     asn1.ObjectIdentifier
			Values asn1.RawValue
		} `asn1:"set,optional"`
	}
	if err := unmarshal(der, &raw); err != nil {
		return nil, err
	}
	for _, r := range raw {
		b := bag{oid: r.ID, value: r.Value.Bytes}
		for _, a := range r.Attributes {
			switch { // invalid attributes are ignored
			case a.ID.Equal(oidFriendlyName):
				var v asn1.RawValue
				_, err := asn1.Unmarshal(a.Values.Bytes, &v)
				if err == nil && v.Tag == asn1.TagBMPString && len(v.Bytes)%2 == 0 {
					var units []uint16
					for i := 0; i < len(v.Bytes); i += 2 {
						units = append(units, binary.BigEndian.Uint16(v.Bytes[i:]))
					}
					b.name = string(utf16.Decode(units))
				}
			case a.ID.Equal(oidLocalKeyID):
				var keyID []byte
				if _, err := asn1.Unmarshal(a.Values.Bytes, &keyID); err == nil {
					b.keyID = keyID
				}
			case a.ID.Equal(oidJavaTrusted):
				b.isTrusted = true
			}
		}
		bags = append(bags, b)
	}
	return bags, nil
}

func (b *bag) certificate() (*x509.Certificate, error) {
	var c struct {
		ID   asn1.ObjectIdentifier
		Data []byte `asn1:"tag:0,explicit"`
	}
	if err := unmarshal(b.value, &c); err != nil {
		return nil, err
	}
	if !c.ID.Equal(oidX509Certificate) {
		return nil, fmt.Errorf("type %s, expected X.509", c.ID)
	}
	return x509.ParseCertificate(c.Data)
}

// addBags adds keys, secret keys and trusted certificates: with Java's attribute, else all in a file without keys.
func (s *Store) addBags(bags []bag) {
	// Certificates first: keys refer to them.
	var certs []bagCert
	hasKey := false
	for _, b := range bags {
		if b.oid.Equal(oidCertBag) {
			c, err := b.certificate()
			certs = append(certs, bagCert{bag: b, cert: c, err: err})
		}
		hasKey = hasKey || b.oid.Equal(oidKeyBag) || b.oid.Equal(oidShroudedBag)
	}
	hasTrusted := slices.ContainsFunc(certs, func(c bagCert) bool { return c.isTrusted })
	unnamed := 0
	aliasOf := func(b bag) string {
		if b.name != "" {
			return b.name
		}
		unnamed++
		return strconv.Itoa(unnamed) // as Java numbers them
	}
	for _, b := range bags {
		switch {
		case b.oid.Equal(oidSecretBag):
			s.entries = append(s.entries, entry{alias: aliasOf(b), kind: secretEntry})
		case b.oid.Equal(oidKeyBag), b.oid.Equal(oidShroudedBag):
			// A certificate belongs to a key by the local key id as Java and openssl do, else by the public key.
			password := s.keyPassword()
			recoverKey := func() (crypto.PrivateKey, error) { return b.key(password, s.budget) }
			result := entry{kind: keyEntry, recover: sync.OnceValues(recoverKey)}
			certIndex := slices.IndexFunc(certs, func(c bagCert) bool {
				return len(b.keyID) > 0 && bytes.Equal(c.keyID, b.keyID) && !c.isTrusted
			})
			if certIndex < 0 && len(certs) > 0 {
				if key, err := result.recover(); err == nil {
					certIndex = slices.IndexFunc(certs, func(c bagCert) bool {
						return c.cert != nil && isKeyOf(key, c.cert)
					})
				}
			}
			if b.name == "" && certIndex >= 0 {
				b.name = certs[certIndex].name
			}
			result.alias = aliasOf(b)
			if certIndex >= 0 {
				result.addCertificate(certs[certIndex].cert, certs[certIndex].err)
				var parsed []*x509.Certificate
				for _, c := range certs {
					if c.cert != nil {
						parsed = append(parsed, c.cert)
					}
				}
				result.chain = chainOf(result.chain, parsed)
			}
			s.entries = append(s.entries, result)
		}
	}
	for _, c := range certs {
		if c.isTrusted || (!hasTrusted && !hasKey) {
			e := entry{alias: aliasOf(c.bag), kind: trustedEntry}
			e.addCertificate(c.cert, c.err)
			s.entries = append(s.entries, e)
		}
	}
}

type bagCert struct {
	bag
	cert *x509.Certificate
	err  error
}

// chainOf appends the issuers to a chain, up to a root or an unknown issuer.
func chainOf(chain, issuers []*x509.Certificate) []*x509.Certificate {
	const maxChain = 10
	for len(chain) > 0 && len(chain) < maxChain {
		last := chain[len(chain)-1]
		if bytes.Equal(last.RawIssuer, last.RawSubject) {
			break
		}
		i := slices.IndexFunc(issuers, func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, last.RawIssuer) && last.CheckSignatureFrom(c) == nil
		})
		if i < 0 {
			break
		}
		chain = append(chain, issuers[i])
	}
	return chain
}

func (b *bag) key(password string, budget *kdfBudget) (crypto.PrivateKey, error) {
	if b.oid.Equal(oidKeyBag) {
		return parseKey(b.value)
	}
	return openPKCS8(b.value, password, budget)
}
