package keystore

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/certtest"
	"github.com/culvert-project/culvert/internal/base/require"
)

// keySelectionCase is a PEM store, and the key that is selected or the error.
type keySelectionCase struct {
	text    [][]byte // parts of the store
	alias   string
	owner   string   // the common name of the selected key's certificate
	setting string   // in the error; "" means no error
	texts   []string // in the error
}

func keySelectionCases(t *testing.T) map[string]keySelectionCase {
	t.Helper()
	ca := certtest.Issue(t, "ca", nil, nil)
	forServers := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	forAll := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }
	a := certtest.Issue(t, "a", ca, nil)
	b := certtest.Issue(t, "b", ca, forAll)
	expired := certtest.Issue(t, "expired", ca, expire)
	notYet := certtest.Issue(t, "not yet", ca, postpone)
	forServer := certtest.Issue(t, "server", ca, forServers)
	keyOnly := bytes.TrimSuffix(a.KeyPEM(t), a.PEM())
	return map[string]keySelectionCase{
		"one":                       {text: [][]byte{a.KeyPEM(t)}, owner: "a"},
		"one for servers":           {text: [][]byte{forServer.KeyPEM(t)}, owner: "server"},
		"one of two has expired":    {text: [][]byte{expired.KeyPEM(t), a.KeyPEM(t)}, owner: "a"},
		"one of two is for servers": {text: [][]byte{forServer.KeyPEM(t), b.KeyPEM(t)}, owner: "b"},
		"two": {
			text:    [][]byte{a.KeyPEM(t), b.KeyPEM(t)},
			setting: "alias",
			texts:   []string{"several keys", `"1", "2"`},
		},
		"two and an alias": {text: [][]byte{a.KeyPEM(t), b.KeyPEM(t)}, alias: "2", owner: "b"},
		"an alias of an expired one": {
			text:    [][]byte{a.KeyPEM(t), expired.KeyPEM(t)},
			alias:   "2",
			setting: "location",
			texts:   []string{"CN=expired", `entry "2"`, "expired on"},
		},
		"expired": {
			text:    [][]byte{expired.KeyPEM(t)},
			setting: "location",
			texts:   []string{"CN=expired", "expired on " + formatTime(expired.Cert.NotAfter)},
		},
		"not yet valid": {
			text:    [][]byte{notYet.KeyPEM(t)},
			setting: "location",
			texts:   []string{"CN=not yet", "not valid before", "clock"},
		},
		"expired and not yet": {
			text:    [][]byte{expired.KeyPEM(t), notYet.KeyPEM(t)},
			setting: "location",
			texts:   []string{"no key of", "expired on", "not valid before"},
		},
		"key without certificate": {
			text:    [][]byte{keyOnly},
			setting: "location",
			texts:   []string{"without a certificate"},
		},
		"certificate of another key": {
			text:    [][]byte{keyOnly, b.PEM()},
			setting: "location",
			texts:   []string{"without a certificate"},
		},
		"certificates without a key": {
			text:    [][]byte{a.PEM()},
			setting: "location",
			texts:   []string{"no private key", `"1" (trusted certificate)`},
		},
		"certificate before its chain": {text: [][]byte{ca.PEM(), keyOnly, a.PEM()}, owner: "a"},
	}
}

// The key of a store is selected by the settings, or the error says why there is none.
func TestKeySelection(t *testing.T) {
	for name, c := range keySelectionCases(t) {
		t.Run(name, func(t *testing.T) {
			got, err := mustOpen(t, Location{PEM: bytes.Join(c.text, nil), Alias: c.alias}).Certificate()
			switch {
			case c.setting != "":
				expectFault(t, err, c.setting, c.texts...)
			case err != nil:
				t.Error(err)
			case got.Leaf.Subject.CommonName != c.owner || len(got.Certificate) != 2:
				t.Errorf("expected %s with a chain of 2, found %s with %d", c.owner, got.Leaf.Subject,
					len(got.Certificate))
			}
		})
	}
}

// An encrypted key requires its password.
func TestEncryptedPEM(t *testing.T) {
	more := filepath.Join(samples, "more")
	for _, file := range []string{"sealed-aes256.pem", "sealed-pkcs12-rc2.pem", "sealed-proc-type.pem"} {
		_, err := Open(Location{Path: filepath.Join(more, file)})
		expectFault(t, err, "key-password", "is not set", "encrypted")
		_, err = Open(Location{Path: filepath.Join(more, file), Password: "x"})
		expectFault(t, err, "key-password", "wrong password")
		for _, l := range []Location{{Password: "changeit"}, {KeyPassword: "changeit"},
			{Password: "x", KeyPassword: "changeit"}} {
			l.Path = filepath.Join(more, file)
			_, err := mustOpen(t, l).Certificate()
			assert.NoError(t, err, file)
		}
	}
	_, err := mustOpen(t, Location{Path: filepath.Join(more, "client.pem"), Type: "PEM"}).Certificate()
	assert.NoError(t, err)
}

// Other files are recognized.
func TestFilesOfOtherFormats(t *testing.T) {
	a := certtest.Issue(t, "a", nil, nil)
	der, err := x509.MarshalPKCS8PrivateKey(a.Key)
	require.NoError(t, err)
	for want, content := range map[string][]byte{"a single certificate (DER)": a.Cert.Raw, "a single key (DER)": der} {
		path := filepath.Join(t.TempDir(), "store")
		replaceFile(t, path, content)
		_, err := Open(Location{Path: path, Password: "x"})
		expectFault(t, err, "location", want)
	}
}

// Inline content opens like a file, unless it refers to files.
func TestInlineContent(t *testing.T) {
	for _, file := range []string{"client.jks", "client.jceks", "client.p12", "more/client.pem"} {
		content, err := os.ReadFile(sample(file))
		require.NoError(t, err)
		_, err = mustOpen(t, Location{Content: content, Password: "changeit"}).Certificate()
		assert.NoError(t, err, file)
		config, err := ClientTLS(Options{Key: &Location{Content: content, Password: "changeit"}})
		require.NoError(t, err)
		request := &tls.CertificateRequestInfo{Version: tls.VersionTLS13,
			SignatureSchemes: []tls.SignatureScheme{tls.PSSWithSHA256}}
		c, err := config.GetClientCertificate(request)
		assert.True(t, err == nil && c.Leaf != nil, "%s: %v", file, err)
	}
	for _, content := range []string{"domain d { };", "library = /x.so", "\x7fELF"} {
		_, err := Open(Location{Content: []byte(content), Password: "x"})
		expectFault(t, err, "location", "cannot be inline")
	}
}

// A key is decrypted once.
func TestKeyIsDecryptedOnce(t *testing.T) {
	for _, file := range []string{"client.jceks", "client.p12"} {
		s := mustOpen(t, Location{Path: sample(file), Password: "changeit"})
		for range 3000 {
			_, err := s.Certificate()
			require.True(t, err == nil, "%v %v", file, err)
		}
	}
}
