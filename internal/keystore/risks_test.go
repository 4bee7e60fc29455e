package keystore

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"maps"
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

// constrained is a chain of authorities with name constraints, and a certificate without subject alternative names.
type constrained struct {
	root         []string // permitted domains
	intermediate []string // permitted domains; nil means no intermediate authority
	excluded     []string // domains that the root excludes
	name         string   // the common name
	host         string
	accepts      bool
}

var constrainedChains = map[string]constrained{
	"no constraint": {name: "erp.sap.example", host: "erp.sap.example", accepts: true},
	"a permitted domain": {
		root: []string{"sap.example"}, name: "erp.sap.example", host: "erp.sap.example", accepts: true,
	},
	"the permitted name": {
		root: []string{"erp.sap.example"}, name: "erp.sap.example", host: "erp.sap.example", accepts: true,
	},
	"capitals": {
		root: []string{"sap.example"}, name: "ERP.SAP.example", host: "erp.sap.example", accepts: true,
	},
	"another domain":    {root: []string{"sap.example"}, name: "bank.example", host: "bank.example"},
	"an end of a label": {root: []string{"sap.example"}, name: "notsap.example", host: "notsap.example"},
	"an excluded domain": {
		excluded: []string{"bank.example"}, name: "a.bank.example", host: "a.bank.example",
	},
	"next to an excluded domain": {
		excluded: []string{"bank.example"}, name: "a.sap.example", host: "a.sap.example", accepts: true,
	},
	"permitted by an intermediate": {
		intermediate: []string{"sap.example"}, name: "erp.sap.example", host: "erp.sap.example", accepts: true,
	},
	"not by an intermediate": {intermediate: []string{"sap.example"}, name: "bank.example", host: "bank.example"},
	"not by the root": {
		root: []string{"sap.example"}, intermediate: []string{"bank.example"},
		name: "bank.example", host: "bank.example",
	},
	"by both": {
		root: []string{"sap.example"}, intermediate: []string{"erp.sap.example"},
		name: "erp.sap.example", host: "erp.sap.example", accepts: true,
	},
}

// issue returns the root and the certificate of a chain.
func (c *constrained) issue(t *testing.T) (root, leaf *certtest.Issued) {
	t.Helper()
	authority := func(name string, ca *certtest.Issued, permitted, excluded []string) *certtest.Issued {
		return certtest.Issue(t, name, ca, func(a *x509.Certificate) {
			a.DNSNames = nil
			a.IPAddresses = nil
			a.ExtKeyUsage = nil
			a.IsCA = true
			a.BasicConstraintsValid = true
			a.KeyUsage = x509.KeyUsageCertSign
			a.PermittedDNSDomainsCritical = len(permitted)+len(excluded) > 0
			a.PermittedDNSDomains = permitted
			a.ExcludedDNSDomains = excluded
		})
	}
	root = authority("Root", nil, c.root, c.excluded)
	issuer := root
	if c.intermediate != nil {
		issuer = authority("Intermediate", root, c.intermediate, nil)
	}
	return root, certtest.Issue(t, c.name, issuer, func(a *x509.Certificate) {
		a.DNSNames = nil
		a.IPAddresses = nil
	})
}

// A host in the common name obeys the name constraints of all authorities, as one in a subject alternative name does.
func TestCommonNameObeysNameConstraints(t *testing.T) {
	cases := maps.Clone(constrainedChains)
	cases["a wildcard"] = constrained{[]string{"sap.example"}, nil, nil, "*.sap.example", "a.sap.example", true}
	cases["a wildcard elsewhere"] = constrained{[]string{"sap.example"}, nil, nil, "*.bank.example",
		"a.bank.example", false}
	cases["a wildcard, but not this host"] = constrained{nil, nil, []string{"a.sap.example"}, "*.sap.example",
		"a.sap.example", false}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			root, leaf := c.issue(t)
			s := server(t, &tls.Config{Certificates: []tls.Certificate{leaf.TLS()}})
			o := Options{Trust: fromPEM(root.PEM()), HasRisks: true, AllowCommonName: true}
			_, err := ask(t, s, client(t, o), c.host)
			if c.accepts {
				assert.NoError(t, err)
				return
			}
			expectFault(t, Explain(err, o), "truststore.location", "not authorized")
		})
	}
}

// A certificate with the host as the common name only requires a setting.
func TestCommonName(t *testing.T) {
	ca := certtest.Issue(t, "CA", nil, nil)
	stranger := certtest.Issue(t, "CA", nil, nil)
	unnamed := func(c *x509.Certificate) {
		c.DNSNames = nil
		c.IPAddresses = nil
	}
	named := func(c *x509.Certificate) {
		c.DNSNames = []string{"other.example"}
		c.IPAddresses = nil
	}
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
