package keystore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
)

// Options configure TLS of clients and servers.
type Options struct {
	Key   *Location // key and certificate; nil means none
	Trust *Location // trusted certificates; nil means the system's
	// Protocol is a name of Java's SSLContext: SSL, TLS and TLSv1.3 mean TLS 1.2 to 1.3, TLSv1.2 only 1.2. Default TLS.
	Protocol    string
	AllowLegacy bool // permits TLSv1 and TLSv1.1, with their cipher suites
	// AllowRSAKeyExchange permits TLS 1.2 without forward secrecy.
	AllowRSAKeyExchange bool
	AllowRenegotiation  bool // permits renegotiation, which RFC 9325 calls a risk
	AllowCommonName     bool // permits certificates with a common name only, which RFC 9525 forbids
	// HasRisks reports whether users have settings for these three permissions, so that messages may name them.
	HasRisks bool
	// SkipHostCheck accepts certificates of other hosts (Kafka's empty ssl.endpoint.identification.algorithm).
	SkipHostCheck bool
	// Name maps fields, see FieldLocation and others, to the user's settings. Nil means unchanged.
	Name    func(field string) string
	Logger  *slog.Logger    // nil means slog.Default
	Context context.Context // cancels the first read of the stores; may be nil
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

// ClientTLS returns a client's configuration, to be completed by [ForHost]. Stores are read now and reloaded at a
// handshake after their files have changed; if that fails, the old content stays in use. Errors are of type [*Error].
//
// With a trust store InsecureSkipVerify is set, and VerifyConnection, which can reload a file, must not be replaced.
func ClientTLS(options Options) (*tls.Config, error) {
	config := &tls.Config{}
	if err := options.setVersions(config); err != nil {
		return nil, err
	}
	if options.Key != nil {
		w, err := openWatched(options.Context, *options.Key, options.keyNames(), options.logger(), (*Store).Certificate)
		if err != nil {
			return nil, err
		}
		config.GetClientCertificate = (&identity{watched: w}).choose
	}
	var trust *watched[trustAnchors]
	if options.Trust != nil {
		var err error
		trust, err = openWatched(options.Context, *options.Trust, options.trustNames(), options.logger(), readAnchors)
		if err != nil {
			return nil, err
		}
	}
	if options.AllowRSAKeyExchange && config.CipherSuites == nil {
		config.CipherSuites = append(secureSuites(), tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA)
	}
	if options.AllowRenegotiation {
		config.Renegotiation = tls.RenegotiateFreelyAsClient
	}
	if trust != nil || options.SkipHostCheck || options.AllowCommonName {
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(state tls.ConnectionState) error { return options.verify(state, trust) }
	}
	return config, nil
}

// setVersions sets the range of versions for Java's name of a protocol (RATIONALE.md P29).
func (o *Options) setVersions(config *tls.Config) error {
	fault := func(format string, args ...any) error {
		return o.tlsNames().errorf(FieldProtocol, nil, format, args...)
	}
	legacy := map[string]uint16{"TLSv1": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11}
	switch o.Protocol {
	case "", "SSL", "TLS", "TLSv1.3":
		config.MinVersion = tls.VersionTLS12
		config.MaxVersion = tls.VersionTLS13
	case "TLSv1.2":
		config.MinVersion = tls.VersionTLS12
		config.MaxVersion = tls.VersionTLS12
	case "TLSv1", "TLSv1.1":
		if !o.AllowLegacy {
			return fault("%s is insecure (RFC 8996) and requires %s = true; use TLS if the server supports it",
				o.Protocol, o.tlsNames().setting(FieldAllowLegacy))
		}
		config.MinVersion = legacy[o.Protocol]
		config.MaxVersion = legacy[o.Protocol]
		// Servers of TLS 1.0 and 1.1 support CBC without forward secrecy, but not RC4.
		config.CipherSuites = append(secureSuites(), tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA,
			tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA)
	case "SSLv2":
		return fault("SSLv2 is forbidden (RFC 6176), since it can be broken: use TLS")
	case "SSLv3":
		return fault("SSLv3 is forbidden (RFC 7568), since it can be broken: use TLS")
	default:
		return fault("unknown protocol %q, expected SSL, TLS, TLSv1.3, TLSv1.2, TLSv1.1 or TLSv1 "+
			"(names are case-sensitive)", o.Protocol)
	}
	return nil
}

func secureSuites() (ids []uint16) {
	for _, suite := range tls.CipherSuites() {
		ids = append(ids, suite.ID)
	}
	return ids
}

// trustAnchors are the trusted certificates of a store.
type trustAnchors struct {
	pool        *x509.CertPool
	count       int
	description string
}

func readAnchors(s *Store) (trustAnchors, error) {
	trusted, err := s.trustedCertificates()
	if err != nil {
		return trustAnchors{}, err
	}
	pool, err := s.Roots()
	return trustAnchors{pool: pool, count: len(trusted), description: s.description}, err
}

// verify checks a server as crypto/tls does, with the current roots.
func (o *Options) verify(state tls.ConnectionState, trust *watched[trustAnchors]) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("tls: the server sent no certificate")
	}
	options := x509.VerifyOptions{Intermediates: x509.NewCertPool()}
	for _, c := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	var anchors trustAnchors
	if trust != nil {
		anchors = trust.get()
		options.Roots = anchors.pool
	}
	if !o.SkipHostCheck {
		if options.DNSName = state.ServerName; options.DNSName == "" {
			return errors.New("tls: no host to compare with the server's certificate; the configuration must be " +
				"made with keystore.ForHost")
		}
	}
	leaf := state.PeerCertificates[0]
	byCommonName := !o.SkipHostCheck && o.AllowCommonName && hasCommonName(leaf, state.ServerName)
	if byCommonName {
		options.DNSName = ""
	}
	chains, err := leaf.Verify(options)
	if err == nil && byCommonName {
		err = verifyCommonName(leaf, state.ServerName, chains)
	}
	if err == nil {
		return nil
	}
	failure := &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
	return o.unverifiedError(failure, anchors)
}

// hasCommonName reports whether the host is the common name, or matches its wildcard, of a certificate without SANs.
func hasCommonName(c *x509.Certificate, host string) bool {
	for _, extension := range c.Extensions {
		if extension.Id.Equal(subjectAlternativeName) {
			return false
		}
	}
	name := strings.ToLower(c.Subject.CommonName)
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if parent, ok := strings.CutPrefix(name, "*."); ok {
		_, above, _ := strings.Cut(host, ".")
		isTopLevel := !strings.Contains(parent, ".") // *.com must match nothing
		return above == parent && !isTopLevel && net.ParseIP(host) == nil
	}
	return name == host && net.ParseIP(host) == nil
}

// verifyCommonName checks the common name and the host, which differ for wildcards, by the name constraints of any
// verified chain. Verify checks only SANs, so both become SANs, as in openssl (NAME_CONSTRAINTS_check_CN).
func verifyCommonName(leaf *x509.Certificate, host string, chains [][]*x509.Certificate) (err error) {
	withNames := *leaf
	withNames.DNSNames = []string{strings.ToLower(leaf.Subject.CommonName), strings.TrimSuffix(host, ".")}
	withNames.Extensions = append(slices.Clip(leaf.Extensions), pkix.Extension{Id: subjectAlternativeName})
	for _, chain := range chains {
		last := len(chain) - 1
		options := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
		options.Roots.AddCert(chain[last])
		for _, c := range chain[min(1, last):last] { // without leaf and root, which may be the same
			options.Intermediates.AddCert(c)
		}
		if _, err = withNames.Verify(options); err == nil {
			return nil
		}
	}
	return err
}

var subjectAlternativeName = asn1.ObjectIdentifier{2, 5, 29, 17}

// ForHost returns a copy of config for a host name or, unlike ServerName, also an IP address.
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
