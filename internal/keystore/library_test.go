package keystore

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	mathrand "math/rand/v2"
	"path/filepath"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/certtest"
	"github.com/culvert-project/culvert/internal/base/require"
)

// Files of go-pkcs12 can be read, for all encoders and many password lengths.
func TestAgainstPKCS12Library(t *testing.T) {
	ca := certtest.Issue(t, "ca", nil, nil)
	a := certtest.Issue(t, "a", ca, nil)
	random := mathrand.New(mathrand.NewPCG(1, 2))
	encoders := map[string]*pkcs12.Encoder{
		"RC2":  pkcs12.LegacyRC2,
		"DES":  pkcs12.LegacyDES,
		"2023": pkcs12.Modern2023,
		"2026": pkcs12.Modern2026,
	}
	for name, encoder := range encoders {
		for range 20 {
			letters := []rune("abcXYZ019 \u00e4\u00f6\u03ba\u043f\u20ac\u4e2d")
			password := make([]rune, 1+random.IntN(100))
			for i := range password {
				password[i] = letters[random.IntN(len(letters))]
			}
			der, err := encoder.WithIterations(1+random.IntN(100)).Encode(a.Key, a.Cert, []*x509.Certificate{ca.Cert},
				string(password))
			require.NoError(t, err)
			path := filepath.Join(t.TempDir(), "a.p12")
			replaceFile(t, path, der)
			c, err := mustOpen(t, Location{Path: path, Password: string(password)}).Certificate()
			assert.True(t, err == nil && isKeyOf(c.PrivateKey, a.Cert) && len(c.Certificate) == 2,
				"%s, password %q: expected the key with a chain of 2, found a chain of %d, %v", name, string(password),
				len(c.Certificate), err)
			_, err = Open(Location{Path: path, Password: string(password) + "x"})
			expectFault(t, err, "password", "wrong password")
		}
		der, err := encoder.EncodeTrustStore([]*x509.Certificate{ca.Cert, a.Cert}, "changeit")
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "trust.p12")
		replaceFile(t, path, der)
		trusted, err := mustOpen(t, Location{Path: path, Password: "changeit"}).trustedCertificates()
		assert.True(t, err == nil && len(trusted) == 2,
			"%s: expected 2 trusted certificates, found %d, %v", name, len(trusted), err)
	}
}

// The vectors of RFC 2268, section 5, with full-length keys.
func TestRC2(t *testing.T) {
	for _, v := range []struct{ key, plain, sealed string }{
		{key: "ffffffffffffffff", plain: "ffffffffffffffff", sealed: "278b27e42e2f0d49"},
		{key: "3000000000000000", plain: "1000000000000001", sealed: "30649edf9be7d2c2"},
		{key: "88bca90e90875a7f0f79c384627bafb2", plain: "0000000000000000", sealed: "2269552ab0f85ca6"},
	} {
		key, _ := hex.DecodeString(v.key)
		plain, _ := hex.DecodeString(v.plain)
		sealed := make([]byte, 8)
		c, err := newRC2(key)
		require.NoError(t, err)
		c.Encrypt(sealed, plain)
		assert.True(t, hex.EncodeToString(sealed) == v.sealed,
			"%s encrypts %s to %x, expected %s", v.key, v.plain, sealed, v.sealed)
		c.Decrypt(sealed, sealed)
		assert.True(t, bytes.Equal(sealed, plain),
			"%s decrypts %s to %x, expected %s", v.key, v.sealed, sealed, v.plain)
	}
	key := make([]byte, 5)
	plain := make([]byte, 8)
	back := make([]byte, 8)
	for range 1000 {
		rand.Read(key)
		rand.Read(plain)
		c, err := newRC2(key)
		require.NoError(t, err)
		c.Encrypt(back, plain)
		c.Decrypt(back, back)
		require.True(t, bytes.Equal(back, plain), "expected %x after encryption and decryption with %x", plain, key)
	}
}
