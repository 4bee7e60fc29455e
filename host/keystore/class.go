package keystore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
)

// Class is what kind of failure of TLS an error is, by whatever configuration the connection was made.
type Class uint8

const (
	// NoFailure: the error is none of TLS, or says nothing about certificates and settings.
	NoFailure Class = iota
	// NotTLS: the other side speaks something else.
	NotTLS
	// UnknownAuthority, OtherHost and InvalidCertificate are why the server's certificate is not taken, Unverified any
	// other reason.
	UnknownAuthority
	OtherHost
	InvalidCertificate
	unverified
	// Alert: the other side said by TLS that it does not like something.
	Alert
)

// ClassOf finds the class of an error of a handshake, of a connection, or of a request.
func ClassOf(err error) Class {
	var record tls.RecordHeaderError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	var alert tls.AlertError
	var op *net.OpError
	switch {
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return NotTLS
	case errors.As(err, &authority):
		return UnknownAuthority
	case errors.As(err, &host):
		return OtherHost
	case errors.As(err, &invalid):
		return InvalidCertificate
	case errors.As(err, &verification):
		return unverified
	case errors.As(err, &alert), errors.As(err, &op) && op.Op == "remote error":
		return Alert
	}
	return NoFailure
}
