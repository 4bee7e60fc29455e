package keystore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
)

// Class classifies TLS errors.
type Class uint8

const (
	// NoFailure is for other errors.
	NoFailure Class = iota
	// NotTLS means that the server does not use TLS.
	NotTLS
	// These are the reasons why a server's certificate is rejected; unverified means any other one.
	UnknownAuthority
	OtherHost
	InvalidCertificate
	unverified
	// Alert is an error that the other side reported by TLS.
	Alert
)

// ClassOf classifies the error of a handshake, connection or request.
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

func isError[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
