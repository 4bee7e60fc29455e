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

// rsaServer issues a server's certificate with an RSA key.
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
	s := startServer(t, &tls.Config{
		Certificates: []tls.Certificate{rsaServer(t, ca).TLS()},
		MaxVersion:   tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256},
	})
	o := Options{Trust: fromPEM(ca.PEM()), HasRisks: true}
	_, err := ask(t, s, clientConfig(t, o), "localhost")
	expectFault(t, Explain(err, o), "keystore.location", "allow-rsa-key-exchange=1")
	o.AllowRSAKeyExchange = true
	_, err = ask(t, s, clientConfig(t, o), "localhost")
	assert.NoError(t, err)
	_, err = ask(t, startIssuedServer(t, ca, &tls.Config{}), clientConfig(t, o), "localhost") // others are unaffected
	assert.NoError(t, err)
}

// constrainedChain is a chain of authorities with name constraints, and a certificate without subject alternative
// names.
type constrainedChain struct {
	root         []string // permitted domains
	intermediate []string // permitted domains; nil means no intermediate authority
	excluded     []string // domains that the root excludes
	name         string   // the common name
	host         string
	isAccepted   bool
}

var constrainedChains = map[string]constrainedChain{
	"no constraint": {name: "erp.sap.example", host: "erp.sap.example", isAccepted: true},
	"a permitted domain": {
		root: []string{"sap.example"}, name: "erp.sap.example", host: "erp.sap.example", isAccepted: true,
	},
	"the permitted name": {
		root: []string{"erp.sap.example"}, name: "erp.sap.example", host: "erp.sap.example", isAccepted: true,
	},
	"capitals": {
		root: []string{"sap.example"}, name: "ERP.SAP.example", host: "erp.sap.example", isAccepted: true,
	},
	"another domain":    {root: []string{"sap.example"}, name: "bank.example", host: "bank.example"},
	"an end of a label": {root: []string{"sap.example"}, name: "notsap.example", host: "notsap.example"},
	"an excluded domain": {
		excluded: []string{"bank.example"}, name: "a.bank.example", host: "a.bank.example",
	},
	"next to an excluded domain": {
		excluded: []string{"bank.example"}, name: "a.sap.example", host: "a.sap.example", isAccepted: true,
	},
	"permitted by an intermediate": {
		intermediate: []string{"sap.example"}, name: "erp.sap.example", host: "erp.sap.example", isAccepted: true,
	},
	"not by an intermediate": {intermediate: []string{"sap.example"}, name: "bank.example", host: "bank.example"},
	"not by the root": {
		root: []string{"sap.example"}, intermediate: []string{"bank.example"},
		name: "bank.example", host: "bank.example",
	},
	"by both": {
		root: []string{"sap.example"}, intermediate: []string{"erp.sap.example"},
		name: "erp.sap.example", host: "erp.sap.example", isAccepted: true,
	},
}

// issue returns the root and the certificate of a chain.
func (c *constrainedChain) issue(t *testing.T) (root, leaf *certtest.Issued) {
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
	return root, certtest.Issue(t, c.name, issuer, removeHosts)
}

// A host in the common name obeys the name constraints of all authorities, as one in a subject alternative name does.
func TestCommonNameObeysNameConstraints(t *testing.T) {
	cases := maps.Clone(constrainedChains)
	cases["a wildcard"] = constrainedChain{
		root:       []string{"sap.example"},
		name:       "*.sap.example",
		host:       "a.sap.example",
		isAccepted: true,
	}
	cases["a wildcard elsewhere"] = constrainedChain{
		root: []string{"sap.example"},
		name: "*.bank.example",
		host: "a.bank.example",
	}
	cases["a wildcard, but not this host"] = constrainedChain{
		excluded: []string{"a.sap.example"},
		name:     "*.sap.example",
		host:     "a.sap.example",
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			root, leaf := c.issue(t)
			s := startServer(t, &tls.Config{Certificates: []tls.Certificate{leaf.TLS()}})
			o := Options{Trust: fromPEM(root.PEM()), HasRisks: true, AllowCommonName: true}
			_, err := ask(t, s, clientConfig(t, o), c.host)
			if c.isAccepted {
				assert.NoError(t, err)
				return
			}
			expectFault(t, Explain(err, o), "truststore.location", "not authorized")
		})
	}
}

// commonNameCase is a certificate with a host as its common name, and whether a client accepts it for a host.
type commonNameCase struct {
	commonName string
	change     func(*x509.Certificate)
	trust      *certtest.Issued
	host       string
	setting    string // the setting in the error, "" if the certificate is accepted
}

// commonNameCases returns cases of certificates that ca issues. stranger is another authority of the same name.
func commonNameCases(ca, stranger *certtest.Issued) map[string]commonNameCase {
	withOtherHost := func(c *x509.Certificate) {
		c.DNSNames = []string{"other.example"}
		c.IPAddresses = nil
	}
	return map[string]commonNameCase{
		"its host":        {commonName: "localhost", change: removeHosts, trust: ca, host: "localhost"},
		"in capitals":     {commonName: "LocalHost", change: removeHosts, trust: ca, host: "localhost"},
		"a label for any": {commonName: "*.sap.example", change: removeHosts, trust: ca, host: "a.sap.example"},
		"another host": {
			commonName: "localhost",
			change:     removeHosts,
			trust:      ca,
			host:       "a.sap.example",
			setting:    "host-check",
		},
		"two labels for one": {
			commonName: "*.sap.example",
			change:     removeHosts,
			trust:      ca,
			host:       "a.b.sap.example",
			setting:    "host-check",
		},
		"no label for one": {
			commonName: "*.sap.example",
			change:     removeHosts,
			trust:      ca,
			host:       "sap.example",
			setting:    "host-check",
		},
		"all of a top domain": {
			commonName: "*.example",
			change:     removeHosts,
			trust:      ca,
			host:       "a.example",
			setting:    "host-check",
		},
		"an address": {
			commonName: "127.0.0.1",
			change:     removeHosts,
			trust:      ca,
			host:       "127.0.0.1",
			setting:    "host-check",
		},
		"a host name in the certificate": {
			commonName: "localhost",
			change:     withOtherHost,
			trust:      ca,
			host:       "localhost",
			setting:    "host-check",
		},
		"an unknown authority": {
			commonName: "localhost",
			change:     removeHosts,
			trust:      stranger,
			host:       "localhost",
			setting:    "truststore.location",
		},
	}
}

// A certificate with the host as the common name only requires a setting.
func TestCommonName(t *testing.T) {
	ca := certtest.Issue(t, "CA", nil, nil)
	stranger := certtest.Issue(t, "CA", nil, nil)
	for name, c := range commonNameCases(ca, stranger) {
		t.Run(name, func(t *testing.T) {
			certificate := certtest.Issue(t, c.commonName, ca, c.change).TLS()
			s := startServer(t, &tls.Config{Certificates: []tls.Certificate{certificate}})
			o := Options{Trust: fromPEM(c.trust.PEM()), HasRisks: true}
			_, err := ask(t, s, clientConfig(t, o), c.host)
			if c.setting != "host-check" { // the host is checked first
				expectFault(t, Explain(err, o), "allow-common-name", "common name only")
			} else {
				expectFault(t, Explain(err, o), c.setting)
			}
			o.AllowCommonName = true
			_, err = ask(t, s, clientConfig(t, o), c.host)
			if c.setting == "" {
				assert.NoError(t, err)
			} else {
				expectFault(t, Explain(err, o), c.setting)
			}
		})
	}
}
