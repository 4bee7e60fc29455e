package keystore

import (
	"crypto/x509"
	"path/filepath"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

const greek = "\u03ba\u03c9\u03b4\u03b9\u03ba\u03cc\u03c2"

// generatedStore is a store of make-stores.sh: a key with a chain of two if it has an owner, else a trust store.
type generatedStore struct {
	file  string
	owner string
	Location
}

// locationIn returns the location of the store in a folder.
func (g generatedStore) locationIn(folder string) *Location {
	l := g.Location
	l.Path = filepath.Join(folder, g.file)
	if l.Password == "" {
		l.Password = "changeit"
	}
	return &l
}

var generatedStores = []generatedStore{
	{file: "chain.jks", owner: "first"},
	{file: "chain.jceks", owner: "first"},
	{file: "chain.p12", owner: "first"},
	{file: "ed25519.p12", owner: "edward"},
	{file: "several.jks", owner: "first", Location: Location{Alias: "first"}},
	{file: "several.jceks", owner: "second", Location: Location{Alias: "second"}},
	{file: "several.p12", owner: "second", Location: Location{Alias: "SECOND"}},
	{file: "several.jks", owner: "first"}, // the other key is for servers
	{file: "several.jceks", owner: "first"},
	{file: "several.p12", owner: "first"},
	{file: "keypass.jks", owner: "first", Location: Location{KeyPassword: "changeit2"}},
	{file: "keypass.jceks", owner: "first", Location: Location{KeyPassword: "changeit2"}},
	{file: "latin.jks", owner: "first", Location: Location{Password: "p\u00e4ssw\u00f6rd"}},
	{file: "greek.jks", owner: "first", Location: Location{Password: greek}},
	{file: "greek-store.jceks", owner: "first", Location: Location{Password: greek, KeyPassword: "changeit"}},
	{file: "java-legacy.p12", owner: "first"},
	{file: "java-nomac.p12", owner: "first"},
	{file: "openssl.p12", owner: "first", Location: Location{Alias: "first"}},
	{file: "openssl-unnamed.p12", owner: "first", Location: Location{Alias: "1"}},
	{file: "openssl-legacy.p12", owner: "first"},
	{file: "openssl-rc2-128.p12", owner: "first"},
	{file: "openssl-aes128.p12", owner: "first"},
	{file: "openssl-des3.p12", owner: "first"},
	{file: "openssl-clear.p12", owner: "first"},
	{file: "openssl-greek.p12", owner: "first", Location: Location{Password: greek}},
	{file: "openssl-legacy-greek.p12", owner: "first", Location: Location{Password: greek}},
	{file: "client.pem", owner: "first"},
	{file: "client-key-last.pem", owner: "first"},
	{file: "client-pkcs1.pem", owner: "first"},
	{file: "sealed-aes256.pem", owner: "first"},
	{file: "sealed-aes128-sha512.pem", owner: "first"},
	{file: "sealed-des3.pem", owner: "first"},
	{file: "sealed-scrypt.pem", owner: "first"},
	{file: "sealed-pkcs12-3des.pem", owner: "first"},
	{file: "sealed-pkcs12-rc2.pem", owner: "first"},
	{file: "sealed-proc-type.pem", owner: "first"},
	{file: "trust.jks"},
	{file: "trust.jceks"},
	{file: "trust.pkcs12"},
	{file: "trust-greek.jceks", Location: Location{Password: greek}},
	{file: "trust-openssl.p12"},
	{file: "trust-openssl-legacy.p12"},
	{file: "trust-openssl-nomac.p12"},
	{file: "trust-openssl-clear.p12"},
	{file: "trust-openssl.pem"},
	{file: "several.jks"}, // with the CA as a trusted entry
	{file: "several.jceks"},
	{file: "several.p12"},
}

func TestGeneratedStores(t *testing.T) { openGeneratedStores(t, filepath.Join(samples, "more")) }

// openGeneratedStores opens all stores of make-stores.sh in a folder.
func openGeneratedStores(t *testing.T, folder string) {
	server := mustOpen(t, Location{Path: filepath.Join(folder, "several.p12"), Password: "changeit", Alias: "second"})
	second, err := server.Certificate()
	require.NoError(t, err)
	for _, m := range generatedStores {
		t.Run(m.file+" "+m.Alias, func(t *testing.T) {
			s := mustOpen(t, *m.locationIn(folder))
			if m.owner == "" {
				expectTrust(t, s, second.Leaf)
				return
			}
			c, err := s.Certificate()
			require.NoError(t, err)
			assert.True(t, c.Leaf.Subject.CommonName == m.owner && isKeyOf(c.PrivateKey, c.Leaf) &&
				len(c.Certificate) == 2, "expected the certificate CN=%s with a chain of 2, found %s with %d", m.owner,
				c.Leaf.Subject, len(c.Certificate))
		})
	}
}

// expectTrust checks that a store trusts the issuer of a server's certificate.
func expectTrust(t *testing.T, s *Store, leaf *x509.Certificate) {
	t.Helper()
	roots, err := s.Roots()
	require.NoError(t, err)
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "localhost"})
	assert.NoError(t, err)
}

// As in Java, a key's own certificate is trusted, but not its chain.
func TestTrustOfKeys(t *testing.T) {
	folder := filepath.Join(samples, "more")
	first, err := mustOpen(t, Location{Path: filepath.Join(folder, "chain.p12"), Password: "changeit"}).Certificate()
	require.NoError(t, err)
	ca, err := x509.ParseCertificate(first.Certificate[1])
	require.NoError(t, err)
	for _, file := range []string{"chain.p12", "chain.jks", "chain.jceks", "openssl.p12"} {
		roots, err := mustOpen(t, Location{Path: filepath.Join(folder, file), Password: "changeit"}).Roots()
		require.NoError(t, err)
		usage := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		_, err = first.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: usage})
		assert.NoError(t, err, file, "its own certificate to be trusted")
		_, err = ca.Verify(x509.VerifyOptions{Roots: roots})
		assert.True(t, err != nil, "%s: expected its CA not to be trusted", file)
	}
}
