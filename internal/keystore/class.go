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
	switch op, _ := errors.AsType[*net.OpError](err); {
	case isError[tls.RecordHeaderError](err), errors.Is(err, http.ErrSchemeMismatch):
		return NotTLS
	case isError[x509.UnknownAuthorityError](err):
		return UnknownAuthority
	case isError[x509.HostnameError](err):
		return OtherHost
	case isError[x509.CertificateInvalidError](err):
		return InvalidCertificate
	case isError[*tls.CertificateVerificationError](err):
		return unverified
	case isError[tls.AlertError](err), op != nil && op.Op == "remote error":
		return Alert
	}
	return NoFailure
}

// isError tells whether an error, or one that it wraps, is of a type.
func isError[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
