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

// Explain returns err, the failure of a handshake or of a request, as an [*Error] that names the setting to mend where
// that can be known, else unchanged. It is for the errors of connections whose configuration [ClientTLS] made of o.
func Explain(err error, o Options) error {
	if err == nil || isError[*Error](err) {
		return err
	}
	if ClassOf(err) == NotTLS {
		return o.notTLS(err)
	}
	if unverified, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return o.unverified(unverified, trustAnchors{})
	}
	return o.refused(err)
}

// notTLS explains what stands there in the place of TLS.
func (o *Options) notTLS(err error) error {
	if record, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return o.tlsNames().errorf(FieldProtocol, err,
			"the server does not speak TLS on this port, it answered with %q: check the port and whether "+
				"it is for http", record.RecordHeader[:])
	}
	return o.tlsNames().errorf(FieldProtocol, err,
		"the server speaks plain HTTP on this port: check the port, or ask for http")
}

// unverified explains why a server's certificate is not taken.
func (o *Options) unverified(err *tls.CertificateVerificationError, a trustAnchors) error {
	leaf := err.UnverifiedCertificates[0]
	host, _ := errors.AsType[x509.HostnameError](err)
	invalid, _ := errors.AsType[x509.CertificateInvalidError](err)
	switch class := ClassOf(err); {
	case class == OtherHost && o.HasRisks && isCommonName(leaf, host.Host):
		return o.tlsNames().errorf(FieldAllowCommonName, err, "the server's certificate %s has its host as the common name "+
			"alone, which RFC 9525 forbids, since authorities need not look at it: renew the certificate, or set this "+
			"to 1", leaf.Subject)
	case class == OtherHost:
		return o.tlsNames().errorf(FieldHostCheck, err,
			"the server's certificate %s is for %s, not for %s: use one of these names, or renew "+
				"the server's certificate", leaf.Subject, hostsOf(leaf), host.Host)
	case class == InvalidCertificate && invalid.Reason == x509.Expired:
		return o.expired(err, invalid)
	case class == InvalidCertificate:
		return o.trustNames().errorf(FieldLocation, err, "the server's certificate %s cannot be verified: %v", leaf.Subject,
			invalid)
	case class == UnknownAuthority:
		return o.unknownIssuer(err, a)
	}
	return o.trustNames().errorf(FieldLocation, err, "the server's certificate %s cannot be verified: %v", leaf.Subject,
		err.Err)
}

// expired tells whose certificate it is: the server's, or one that stands in the trust store.
func (o *Options) expired(err *tls.CertificateVerificationError, invalid x509.CertificateInvalidError) error {
	c, leaf := invalid.Cert, err.UnverifiedCertificates[0]
	text := "has expired on " + formatTime(c.NotAfter)
	if time.Now().Before(c.NotBefore) {
		text = "is not valid before " + formatTime(c.NotBefore) + " (is this machine's clock right?)"
	}
	for i, sent := range err.UnverifiedCertificates {
		if root := i > 0 && bytes.Equal(c.RawIssuer, c.RawSubject); sent.Equal(c) && !root {
			return o.trustNames().errorf(FieldLocation, err,
				"the server's certificate %s %s: it has to be renewed on the server, no setting mends that", c.Subject,
				text)
		}
	}
	return o.trustNames().errorf(FieldLocation, err,
		"the certificate %s, which the server's %s depends on, %s: put its successor into the trust store", c.Subject,
		leaf.Subject, text)
}

// unknownIssuer names the trust store, or without one of its own, Java's as the one that may be meant.
func (o *Options) unknownIssuer(err *tls.CertificateVerificationError, a trustAnchors) error {
	last := err.UnverifiedCertificates[len(err.UnverifiedCertificates)-1]
	text := fmt.Sprintf("the server's certificate %s is issued by %s, which is ", err.UnverifiedCertificates[0].Subject,
		last.Issuer)
	switch {
	case o.Trust != nil && a.description != "":
		text += fmt.Sprintf("not among the %d trusted ones of %s", a.count, a.description)
	case o.Trust != nil:
		text += "not in the trust store"
	default:
		text += "not trusted by the operating system"
		if cacerts := javaTrustStore(); cacerts != "" {
			text += fmt.Sprintf("; a Java program on this machine would use %s: set %s to it and %s to its password "+
				"(changeit unless somebody changed it)",
				cacerts, o.trustNames().setting(FieldLocation), o.trustNames().setting(FieldPassword))
		} else {
			text += "; set it to a store with that issuer, and " + o.trustNames().setting(FieldPassword) +
				" to the store's password"
		}
	}
	return o.trustNames().errorf(FieldLocation, err, "%s", text)
}

// javaTrustStore is where the Java of JAVA_HOME keeps its certificates; "" without one.
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
	if len(hosts) == 0 {
		return "no host (it has no subject alternative name; that Java takes the common name in its place is not " +
			"followed, since RFC 9525 forbids it)"
	}
	return strings.Join(hosts, ", ")
}

// refusals are what a server says when it does not take a certificate. crypto/tls has no type for them.
var refusals = []struct{ alert, text string }{
	{"certificate required", "the server takes certificates of other issuers only, none was sent; the log names them"},
	{"bad certificate", "the server refused the certificate"},
	{"unknown certificate authority", "the server does not know the certificate's issuer: have it " +
		"added there (at SAP: STRUST)"},
	{"expired certificate", "the server says that the certificate has expired"},
	{"revoked certificate", "the server says that the certificate is revoked"},
	{"unsupported certificate", "the server does not take certificates of this kind"},
	{"unknown certificate", "the server did not accept the certificate"},
	{"access denied", "the server accepted the certificate and refuses its owner"},
}

// refused explains an alert of the server.
func (o *Options) refused(err error) error {
	text := err.Error()
	if o.HasRisks && IsRenegotiation(err) {
		return o.tlsNames().errorf(FieldAllowRenegotiation, err, "the server wants to negotiate TLS again on the "+
			"connection, as for a client's certificate, which is a risk (RFC 9325) and not allowed: "+
			"have the server ask at the beginning, or set this to 1")
	}
	_, alert, remote := strings.Cut(text, "remote error: tls: ")
	for _, r := range refusals {
		if remote && strings.HasPrefix(alert, r.alert) {
			if o.Key == nil {
				return o.keyNames().errorf(FieldLocation, err, "is not set, and the server asks for a certificate (%s)",
					r.alert)
			}
			return o.keyNames().errorf(FieldLocation, err, "%s (%s)", r.text, r.alert)
		}
	}
	if remote && strings.HasPrefix(alert, "protocol version") || strings.Contains(text,
		"tls: server selected unsupported protocol version") {
		return o.tlsNames().errorf(FieldProtocol, err,
			"the server does not speak the versions of TLS that are asked for (%s): %s", cmp.Or(o.Protocol,
				"TLS: 1.2 and 1.3"), tlsPart(text))
	}
	if remote && strings.HasPrefix(alert, "handshake failure") {
		risk := ""
		if o.HasRisks && !o.AllowRSAKeyExchange {
			risk = "; or it knows RSA key exchange alone, which has no forward secrecy: " +
				o.tlsNames().setting(FieldAllowRSAKeyExchange) + "=1 allows it"
		}
		if o.Key == nil {
			return o.keyNames().errorf(FieldLocation, err,
				"is not set, and the server broke the handshake off without a reason: it may ask for a certificate, "+
					"or have no cipher in common (%s)%s", o.tlsNames().setting(FieldProtocol), risk)
		}
		return o.tlsNames().errorf(FieldProtocol, err, "the server broke the handshake off without a reason: no cipher in "+
			"common, or it did not get a certificate that it takes (%s)%s", o.keyNames().setting(FieldLocation), risk)
	}
	return err
}

// IsRenegotiation reports whether a connection ended because the server wanted to negotiate again.
func IsRenegotiation(err error) bool {
	return err != nil && strings.Contains(err.Error(), "local error: tls: no renegotiation")
}

// tlsPart is the end of an error's text, from the part that crypto/tls wrote.
func tlsPart(text string) string {
	if i := strings.LastIndex(text, "tls: "); i >= 0 {
		return text[i:]
	}
	return text
}
