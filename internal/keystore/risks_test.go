package keystore

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/certtest"
	"github.com/culvert-project/culvert/internal/base/require"
)

// rsaServer is a certificate with an RSA key.
func rsaServer(t *testing.T, ca *certtest.Issued) *certtest.Issued {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	template := certtest.Issue(t, "localhost", ca, nil).Cert
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Cert, key.Public(), ca.Key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &certtest.Issued{Cert: cert, Key: key, CA: ca}
}

// RSA key exchange requires a setting, which the error names.
func TestRSAKeyExchange(t *testing.T) {
	ca := certtest.Issue(t, "CA", nil, nil)
	s := server(t, &tls.Config{Certificates: []tls.Certificate{rsaServer(t, ca).TLS()}, MaxVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}})
	o := Options{Trust: fromPEM(ca.PEM()), HasRisks: true}
	_, err := ask(t, s, client(t, o), "localhost")
	expectFault(t, Explain(err, o), "keystore.location", "allow-rsa-key-exchange=1")
	o.AllowRSAKeyExchange = true
	_, err = ask(t, s, client(t, o), "localhost")
	assert.NoError(t, err)
	_, err = ask(t, issuedServer(t, ca, &tls.Config{}), client(t, o), "localhost") // others are unaffected
	assert.NoError(t, err)
}

// A certificate with the host as the common name only requires a setting.
func TestCommonName(t *testing.T) {
	ca, stranger := certtest.Issue(t, "CA", nil, nil), certtest.Issue(t, "CA", nil, nil)
	unnamed := func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }
	named := func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"other.example"}, nil }
	for what, c := range map[string]struct {
		name   string
		change func(*x509.Certificate)
		trust  *certtest.Issued
		host   string
		wants  string // the setting in the error, "" if the certificate is accepted
	}{
		"its host":             {"localhost", unnamed, ca, "localhost", ""},
		"in capitals":          {"LocalHost", unnamed, ca, "localhost", ""},
		"a label for any":      {"*.sap.example", unnamed, ca, "a.sap.example", ""},
		"another host":         {"localhost", unnamed, ca, "a.sap.example", "host-check"},
		"two labels for one":   {"*.sap.example", unnamed, ca, "a.b.sap.example", "host-check"},
		"no label for one":     {"*.sap.example", unnamed, ca, "sap.example", "host-check"},
		"all of a top domain":  {"*.example", unnamed, ca, "a.example", "host-check"},
		"an address":           {"127.0.0.1", unnamed, ca, "127.0.0.1", "host-check"},
		"other names beside":   {"localhost", named, ca, "localhost", "host-check"},
		"an unknown authority": {"localhost", unnamed, stranger, "localhost", "truststore.location"},
	} {
		t.Run(what, func(t *testing.T) {
			s := server(t, &tls.Config{Certificates: []tls.Certificate{certtest.Issue(t, c.name, ca, c.change).TLS()}})
			o := Options{Trust: fromPEM(c.trust.PEM()), HasRisks: true}
			_, err := ask(t, s, client(t, o), c.host)
			if c.wants != "host-check" { // the host is checked first
				expectFault(t, Explain(err, o), "allow-common-name", "common name only")
			} else {
				expectFault(t, Explain(err, o), c.wants)
			}
			o.AllowCommonName = true
			_, err = ask(t, s, client(t, o), c.host)
			if c.wants == "" {
				assert.NoError(t, err)
			} else {
				expectFault(t, Explain(err, o), c.wants)
			}
		})
	}
}
