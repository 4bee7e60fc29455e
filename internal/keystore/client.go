package keystore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"log/slog"
	"net"
	"strings"
)

// Options of a TLS client.
type Options struct {
	Key   *Location // key and certificate to authenticate with; nil = none
	Trust *Location // certificates to trust; nil = the operating system's
	// as Java's SSLContext: SSL, TLS, TLSv1.3 = TLS 1.2 to 1.3, TLSv1.2 = 1.2; "" = TLS
	Protocol    string
	AllowLegacy bool // lets Protocol be TLSv1 or TLSv1.1, with the cipher suites of that time
	// What a server may do that is a risk: have no forward secrecy with TLS 1.2, negotiate again on a connection, have
	// a certificate with a common name in place of the names that RFC 9525 asks for.
	AllowRSAKeyExchange, AllowRenegotiation, AllowCommonName bool
	// HasRisks: the user has settings for these three, so that messages name them.
	HasRisks bool
	// the certificate need not be for the host that was asked for (Kafka: ssl.endpoint.identification.algorithm empty)
	SkipHostCheck bool
	// what the user calls a field, see FieldLocation and the others; nil = the field itself
	Name    func(field string) string
	Logger  *slog.Logger    // nil = slog.Default
	Context context.Context // ends the first reading of the stores; nil = nothing does
}

func (o *Options) keyNames() settingNames   { return settingNames{store: "keystore", name: o.Name} }
func (o *Options) trustNames() settingNames { return settingNames{store: "truststore", name: o.Name} }
func (o *Options) tlsNames() settingNames   { return settingNames{name: o.Name} }

func (o *Options) logger() *slog.Logger {
	if o.Logger != nil {
		return o.Logger
	}
	return slog.Default()
}

// ClientTLS makes a configuration for clients. Stores are read now, and again on a handshake after their files have
// changed; a new file that cannot be used leaves the old content in force and is logged once. The configuration may be
// cloned; give it a host with [ForHost]. Errors are of type [*Error].
//
// With a trust store InsecureSkipVerify is set and VerifyConnection does what crypto/tls would: that alone can follow a
// file. Whoever replaces VerifyConnection switches verification off.
func ClientTLS(o Options) (*tls.Config, error) {
	config := &tls.Config{}
	if err := o.versions(config); err != nil {
		return nil, err
	}
	if o.Key != nil {
		w, err := openWatched(o.Context, *o.Key, o.keyNames(), o.logger(), (*Store).Certificate)
		if err != nil {
			return nil, err
		}
		config.GetClientCertificate = (&identity{watched: w, log: o.logger()}).choose
	}
	var trust *watched[trustAnchors]
	if o.Trust != nil {
		var err error
		if trust, err = openWatched(o.Context, *o.Trust, o.trustNames(), o.logger(), readAnchors); err != nil {
			return nil, err
		}
	}
	if o.AllowRSAKeyExchange && config.CipherSuites == nil {
		config.CipherSuites = append(secureSuites(), tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA)
	}
	if o.AllowRenegotiation {
		config.Renegotiation = tls.RenegotiateFreelyAsClient
	}
	if trust != nil || o.SkipHostCheck || o.AllowCommonName {
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(state tls.ConnectionState) error { return o.verify(state, trust) }
	}
	return config, nil
}

// versions sets the range of protocols that Java's name of one stands for (P29).
func (o *Options) versions(config *tls.Config) error {
	fault := func(format string, args ...any) error {
		return o.tlsNames().errorf(FieldProtocol, nil, format, args...)
	}
	legacy := map[string]uint16{"TLSv1": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11}
	switch o.Protocol {
	case "", "SSL", "TLS", "TLSv1.3":
		config.MinVersion, config.MaxVersion = tls.VersionTLS12, tls.VersionTLS13
	case "TLSv1.2":
		config.MinVersion, config.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	case "TLSv1", "TLSv1.1":
		if !o.AllowLegacy {
			return fault("%s is broken (RFC 8996) and only taken with %s = true; write TLS if the server can do better",
				o.Protocol, o.tlsNames().setting(FieldAllowLegacy))
		}
		config.MinVersion, config.MaxVersion = legacy[o.Protocol], legacy[o.Protocol]
		config.CipherSuites = legacySuites()
	case "SSLv2":
		return fault("SSLv2 is forbidden (RFC 6176): anybody on the way can break it; write TLS")
	case "SSLv3":
		return fault("SSLv3 is forbidden (RFC 7568): anybody on the way can break it; write TLS")
	default:
		return fault("unknown protocol %q, expected SSL, TLS, TLSv1.3, TLSv1.2, TLSv1.1 or TLSv1 "+
			"(names are case-sensitive)", o.Protocol)
	}
	return nil
}

// legacySuites are those that servers of TLS 1.0 and 1.1 know: without forward secrecy, CBC only; RC4 stays out.
func legacySuites() []uint16 {
	return append(secureSuites(), tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA,
		tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA)
}

func secureSuites() (ids []uint16) {
	for _, suite := range tls.CipherSuites() {
		ids = append(ids, suite.ID)
	}
	return ids
}

// trustAnchors is what a trust store is read for.
type trustAnchors struct {
	pool        *x509.CertPool
	count       int
	description string
}

func readAnchors(s *Store) (trustAnchors, error) {
	trusted, err := s.trusted()
	if err != nil {
		return trustAnchors{}, err
	}
	pool, err := s.Roots()
	return trustAnchors{pool: pool, count: len(trusted), description: s.description}, err
}

// verify is crypto/tls's own check of a server, with the roots of this moment.
func (o *Options) verify(state tls.ConnectionState, trust *watched[trustAnchors]) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("tls: the server sent no certificate")
	}
	options := x509.VerifyOptions{Intermediates: x509.NewCertPool()}
	for _, c := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	var a trustAnchors
	if trust != nil {
		a = trust.get()
		options.Roots = a.pool
	}
	if !o.SkipHostCheck {
		if options.DNSName = state.ServerName; options.DNSName == "" {
			return errors.New("tls: no host to hold the server's certificate against; the configuration has to be " +
				"made with keystore.ForHost")
		}
		if o.AllowCommonName && isCommonName(state.PeerCertificates[0], state.ServerName) {
			options.DNSName = "" // the chain is verified all the same
		}
	}
	_, err := state.PeerCertificates[0].Verify(options)
	if err == nil {
		return nil
	}
	return o.unverified(&tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}, a)
}

// isCommonName reports whether a certificate without a subject alternative name has a host as its common name, which
// may begin with *. in place of one label. An IP address is no common name.
func isCommonName(c *x509.Certificate, host string) bool {
	for _, extension := range c.Extensions {
		if extension.Id.Equal(subjectAlternativeName) {
			return false
		}
	}
	name, host := strings.ToLower(c.Subject.CommonName), strings.ToLower(strings.TrimSuffix(host, "."))
	if parent, wild := strings.CutPrefix(name, "*."); wild {
		_, above, _ := strings.Cut(host, ".")
		return above == parent && strings.Contains(parent, ".") && net.ParseIP(host) == nil
	}
	return name == host && net.ParseIP(host) == nil
}

var subjectAlternativeName = asn1.ObjectIdentifier{2, 5, 29, 17}

// ForHost returns a copy of config for connections to host, a name or an IP address without a port. It does what
// setting ServerName does, and is needed for IP addresses: crypto/tls does not tell its callbacks about those, and
// without a host ClientTLS's configuration refuses the server.
func ForHost(config *tls.Config, host string) *tls.Config {
	config = config.Clone()
	config.ServerName = host
	verify := config.VerifyConnection
	if verify == nil {
		return config
	}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if state.ServerName == "" {
			state.ServerName = host
		}
		return verify(state)
	}
	return config
}
