// Package keystore opens the stores of keys and certificates that Java programs are configured with (JKS, JCEKS, PKCS12, DKS, PKCS11) and PEM files,
// and makes TLS configurations of them that follow the files when they change.
//
// Every file is taken as hostile: a length is compared with what is left before anything of that size is allocated, and the work of a
// password based cipher is bounded. That, entries for secret keys, passwords beyond Latin-1, aliases and stores with several keys are why the
// containers are walked here; see jks.go and pkcs12.go for what a library does and what it would refuse.
package keystore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// Location says where a store is and how to open it.
type Location struct {
	Path        string // file; "file#domain" for dks, the module or SunPKCS11's configuration file for pkcs11
	PEM         []byte // PEM text instead of a file
	Type        string // jks, jceks, pkcs12, dks, pem, pkcs11, or the same in capital letters; "" = by content
	Password    string // must be given, except for PEM
	KeyPassword string // "" = Password
	Alias       string // the entry to use; needed only when several keys fit
}

// Store is a store that was read.
type Store struct{}

// Open reads a store.
func Open(l Location) (*Store, error) { return nil, errors.New("keystore: not built yet") }

// Certificate returns the key and the certificate chain to authenticate with.
func (s *Store) Certificate() (tls.Certificate, error) {
	return tls.Certificate{}, errors.New("keystore: not built yet")
}

// Roots returns the certificates that the store trusts.
func (s *Store) Roots() (*x509.CertPool, error) { return nil, errors.New("keystore: not built yet") }
