package keystore

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Explain converts an error of a connection with a [ClientTLS] configuration to an [*Error] that names the setting to
// correct. Other errors are returned unchanged.
func Explain(err error, o Options) error {
	if err == nil || isError[*Error](err) {
		return err
	}
	if ClassOf(err) == NotTLS {
		if record, ok := errors.AsType[tls.RecordHeaderError](err); ok {
			return o.tlsNames().errorf(FieldProtocol, err,
				"the server does not use TLS on this port, it responded with %q: check the port and whether "+
					"it is for http", record.RecordHeader[:])
		}
		return o.tlsNames().errorf(FieldProtocol, err,
			"the server uses plain HTTP on this port: check the port, or use http")
	}
	if verification, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return o.unverifiedError(verification, trustAnchors{})
	}
	// An alert of the server, or a request for renegotiation; other errors stay unchanged.
	message := err.Error()
	if o.HasRisks && IsRenegotiation(err) {
		return o.tlsNames().errorf(FieldAllowRenegotiation, err, "the server requested TLS renegotiation on the "+
			"connection, for example to ask for a client certificate, which is a risk (RFC 9325) and not allowed: "+
			"configure the server to request it in the first handshake, or set this to 1")
	}
	_, alert, isRemote := strings.Cut(message, "remote error: tls: ")
	for _, r := range alertTexts {
		if isRemote && strings.HasPrefix(alert, r.alert) {
			if o.Key == nil {
				return o.keyNames().errorf(FieldLocation, err, "is not set, but the server requires a certificate (%s)",
					r.alert)
			}
			return o.keyNames().errorf(FieldLocation, err, "%s (%s)", r.text, r.alert)
		}
	}
	if (isRemote && strings.HasPrefix(alert, "protocol version")) ||
		strings.Contains(message, "tls: server selected unsupported protocol version") {
		return o.tlsNames().errorf(FieldProtocol, err,
			"the server does not support the configured TLS versions (%s): %s",
			cmp.Or(o.Protocol, "TLS: 1.2 and 1.3"), message[max(0, strings.LastIndex(message, "tls: ")):])
	}
	if isRemote && strings.HasPrefix(alert, "handshake failure") {
		risk := ""
		if o.HasRisks && !o.AllowRSAKeyExchange {
			risk = "; or it only supports RSA key exchange, which has no forward secrecy: " +
				o.tlsNames().setting(FieldAllowRSAKeyExchange) + "=1 allows it"
		}
		if o.Key == nil {
			return o.keyNames().errorf(FieldLocation, err,
				"is not set, and the server ended the handshake without a reason: it may require a certificate, "+
					"or there is no common cipher (%s)%s", o.tlsNames().setting(FieldProtocol), risk)
		}
		return o.tlsNames().errorf(FieldProtocol, err,
			"the server ended the handshake without a reason: there is no common "+
				"cipher, or it did not accept the client certificate (%s)%s", o.keyNames().setting(FieldLocation), risk)
	}
	return err
}

// unverifiedError explains why a server's certificate is rejected. Empty anchors mean that they are unknown.
func (o *Options) unverifiedError(err *tls.CertificateVerificationError, anchors trustAnchors) error {
	leaf := err.UnverifiedCertificates[0]
	host, _ := errors.AsType[x509.HostnameError](err)
	invalid, _ := errors.AsType[x509.CertificateInvalidError](err)
	switch class := ClassOf(err); {
	case class == OtherHost && o.HasRisks && hasCommonName(leaf, host.Host):
		return o.tlsNames().errorf(FieldAllowCommonName, err,
			"the server's certificate %s has its host as the common name only, which RFC 9525 forbids, since "+
				"authorities need not check it: renew the certificate, or set this to 1", leaf.Subject)
	case class == OtherHost && len(leaf.DNSNames)+len(leaf.IPAddresses) == 0:
		return o.tlsNames().errorf(FieldHostCheck, err,
			"the server's certificate %s is for no host (it has no subject alternative name; unlike Java, Culvert "+
				"does not use the common name instead, which RFC 9525 forbids): renew the server's certificate",
			leaf.Subject)
	case class == OtherHost:
		return o.tlsNames().errorf(FieldHostCheck, err,
			"the server's certificate %s is for %s, not for %s: use one of these names, or renew "+
				"the server's certificate", leaf.Subject, hostsOf(leaf), host.Host)
	case class == InvalidCertificate && invalid.Reason == x509.Expired: // also: not yet valid
		return o.expiredError(err, invalid)
	case class == InvalidCertificate:
		return o.trustNames().errorf(FieldLocation, err, "the server's certificate %s cannot be verified: %v",
			leaf.Subject, invalid)
	case class == UnknownAuthority:
		// Name the trust store, or without one Java's as a candidate.
		last := err.UnverifiedCertificates[len(err.UnverifiedCertificates)-1]
		relation := "is issued by"
		if !bytes.Equal(last.RawIssuer, leaf.RawIssuer) { // there are certificates between them
			relation = "depends on"
		}
		message := fmt.Sprintf("the server's certificate %s %s %s, which is ", leaf.Subject, relation, last.Issuer)
		switch {
		case o.Trust != nil && anchors.description != "":
			message += fmt.Sprintf("not among the %d trusted certificates of %s", anchors.count, anchors.description)
		case o.Trust != nil:
			message += "not in the trust store"
		default:
			message += "not trusted by the operating system"
			if cacerts := javaTrustStore(); cacerts != "" {
				message += fmt.Sprintf("; a Java program on this machine would use %s: set %s to it and %s to its "+
					"password (by default changeit)", cacerts, o.trustNames().setting(FieldLocation),
					o.trustNames().setting(FieldPassword))
			} else {
				message += "; set it to a store with that issuer, and " + o.trustNames().setting(FieldPassword) +
					" to the store's password"
			}
		}
		return o.trustNames().errorf(FieldLocation, err, "%s", message)
	}
	return o.trustNames().errorf(FieldLocation, err, "the server's certificate %s cannot be verified: %v", leaf.Subject,
		err.Err)
}

// expiredError distinguishes the server's certificate from one in the trust store.
func (o *Options) expiredError(err *tls.CertificateVerificationError, invalid x509.CertificateInvalidError) error {
	c := invalid.Cert
	leaf := err.UnverifiedCertificates[0]
	state := "has expired on " + formatTime(c.NotAfter)
	if time.Now().Before(c.NotBefore) {
		state = "is not valid before " + formatTime(c.NotBefore) + " (is this machine's clock right?)"
	}
	for i, sent := range err.UnverifiedCertificates {
		// A root counts as the trust store's, although the server may send it, too.
		isRoot := i > 0 && bytes.Equal(c.RawIssuer, c.RawSubject)
		if sent.Equal(c) && !isRoot {
			return o.trustNames().errorf(FieldLocation, err,
				"the server's certificate %s %s: it must be renewed on the server", c.Subject, state)
		}
	}
	return o.trustNames().errorf(FieldLocation, err,
		"the certificate %s, which the server's %s depends on, %s: add its successor to the trust store", c.Subject,
		leaf.Subject, state)
}

// javaTrustStore returns the file of Java's trusted certificates, or "".
func javaTrustStore() string {
	home := os.Getenv("JAVA_HOME")
	if home == "" {
		return ""
	}
	for _, sub := range []string{"lib", "jre/lib"} {
		path := filepath.Join(home, sub, "security", "cacerts")
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

func hostsOf(c *x509.Certificate) string {
	hosts := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return strings.Join(hosts, ", ")
}

// alertTexts explains alerts about a client certificate by their first words; crypto/tls has no types for them. The
// first match counts: longer texts come first.
var alertTexts = []struct{ alert, text string }{
	{
		alert: "certificate required",
		text:  "the server accepts only certificates of other issuers, so none was sent; the log lists them",
	},
	{alert: "bad certificate", text: "the server rejected the certificate"},
	{
		alert: "unknown certificate authority",
		text:  "the server does not trust the certificate's issuer: have it added there (at SAP: STRUST)",
	},
	{alert: "expired certificate", text: "according to the server the certificate has expired"},
	{alert: "revoked certificate", text: "according to the server the certificate is revoked"},
	{alert: "unsupported certificate", text: "the server does not support certificates of this kind"},
	{alert: "unknown certificate", text: "the server did not accept the certificate"},
	{alert: "access denied", text: "the server accepted the certificate but denies access to its owner"},
}

// IsRenegotiation reports whether a connection ended because the server requested renegotiation.
func IsRenegotiation(err error) bool {
	return err != nil && strings.Contains(err.Error(), "local error: tls: no renegotiation")
}
