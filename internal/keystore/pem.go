package keystore

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// readPEM reads keys and certificates; field is the source for errors. A key's chain begins with the certificate of
// its public key and ends before the next key's. All certificates are trusted.
func (s *Store) readPEM(text []byte, field string) error {
	var keys, certs []entry
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		switch block.Type {
		case "CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE":
			e := entry{alias: strconv.Itoa(len(certs) + 1)}
			e.addCertificate(pemCertificate(block))
			certs = append(certs, e)
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
			key, err := s.pemKey(block)
			if err != nil {
				return err
			}
			keys = append(keys, entry{
				alias:   strconv.Itoa(len(keys) + 1),
				kind:    keyEntry,
				recover: func() (crypto.PrivateKey, error) { return key, nil },
			})
		}
	}
	if len(keys)+len(certs) == 0 {
		return s.names.errorf(field, nil,
			"%s contains no key and no certificate; a PEM block begins with -----BEGIN and "+
				"ends with -----END and the same label", s.description)
	}
	owner := make([]int, len(certs)) // 1 + index of the key; 0 means none
	for i, k := range keys {
		key, _ := k.recover()
		certIndex := slices.IndexFunc(certs, func(c entry) bool { return len(c.chain) > 0 && isKeyOf(key, c.chain[0]) })
		if certIndex >= 0 {
			owner[certIndex] = i + 1
		}
	}
	for certIndex, keyNumber := range owner {
		if keyNumber == 0 {
			continue
		}
		k := &keys[keyNumber-1]
		k.chain = certs[certIndex].chain[:1:1]
		for next := certIndex + 1; next < len(certs) && owner[next] == 0; next++ {
			k.chain = append(k.chain, certs[next].chain...)
			k.certErr = errors.Join(k.certErr, certs[next].certErr)
		}
	}
	s.entries = append(keys, certs...)
	return nil
}

// pemCertificate parses a block; openssl's "TRUSTED CERTIFICATE" has further data after the certificate.
func pemCertificate(block *pem.Block) (*x509.Certificate, error) {
	der := block.Bytes
	if block.Type == "TRUSTED CERTIFICATE" {
		var first asn1.RawValue
		if _, err := asn1.Unmarshal(der, &first); err != nil {
			return nil, err
		}
		der = first.FullBytes
	}
	return x509.ParseCertificate(der)
}

// pemKey reads a key: PKCS#8, PKCS#1 or SEC 1, also encrypted by PKCS#8 or OpenSSL's old encryption.
func (s *Store) pemKey(block *pem.Block) (crypto.PrivateKey, error) {
	password := s.keyPassword()
	der := block.Bytes
	isEncrypted := block.Type == "ENCRYPTED PRIVATE KEY"
	//lint:ignore SA1019 old files of OpenSSL are still in use
	isOpenSSLEncrypted := x509.IsEncryptedPEMBlock(block)
	if (isEncrypted || isOpenSSLEncrypted) && password == "" {
		return nil, s.names.errorf(FieldKeyPassword, nil, "is not set, but the key in %s is encrypted", s.description)
	}
	var key crypto.PrivateKey
	var err error
	switch {
	case isEncrypted:
		key, err = openPKCS8(der, password, s.budget)
	case isOpenSSLEncrypted:
		//lint:ignore SA1019 as above
		if der, err = x509.DecryptPEMBlock(block, []byte(password)); err == nil {
			key, err = plainKey(block.Type, der)
		}
		if err != nil {
			err = fmt.Errorf("%w (%w)", errPassword, err)
		}
	default:
		key, err = plainKey(block.Type, der)
	}
	switch {
	case errors.Is(err, errPassword):
		return nil, s.names.errorf(FieldKeyPassword, err, "wrong password for the key in %s", s.description)
	case err != nil:
		return nil, s.unreadable(fmt.Errorf("its %s: %w", block.Type, err))
	}
	return key, nil
}

// openPKCS8 decrypts and parses a key. A wrong password is errPassword.
func openPKCS8(der []byte, password string, budget *kdfBudget) (crypto.PrivateKey, error) {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	if err := unmarshal(der, &info); err != nil {
		return nil, err
	}
	plain, err := decrypt(info.Algorithm, info.Data, password, budget)
	if err != nil {
		return nil, err
	}
	// Decryption is not authenticated: invalid PKCS#8 means a wrong password.
	var outer struct {
		Version    int
		Algorithm  pkix.AlgorithmIdentifier
		Key        []byte
		Attributes asn1.RawValue `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(plain, &outer); err != nil {
		return nil, errPassword
	}
	return parseKey(plain)
}

func plainKey(name string, der []byte) (crypto.PrivateKey, error) {
	switch name {
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(der)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(der)
	}
	return parseKey(der)
}
