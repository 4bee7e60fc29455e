// Package certtest creates certificates for tests.
package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/require"
)

// Issued is a test certificate with its key. CA is nil if it is self-signed.
type Issued struct {
	Cert *x509.Certificate
	Key  crypto.Signer
	CA   *Issued
}

// Issue creates a certificate for localhost and 127.0.0.1, valid for an hour; change, if not nil, modifies it.
// Without ca it is a certificate authority.
func Issue(t testing.TB, name string, ca *Issued, change func(*x509.Certificate)) *Issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	require.NoError(t, err)
	c := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	parent := c
	signer := crypto.Signer(key)
	if ca != nil {
		parent = ca.Cert
		signer = ca.Key
	} else {
		c.IsCA = true
		c.BasicConstraintsValid = true
		c.KeyUsage = x509.KeyUsageCertSign
		c.ExtKeyUsage = nil
	}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &Issued{Cert: cert, Key: key, CA: ca}
}

// PEM returns the certificate and its issuers.
func (i *Issued) PEM() []byte {
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Cert.Raw})
	if i.CA != nil {
		chain = append(chain, i.CA.PEM()...)
	}
	return chain
}

// KeyPEM returns the key, the certificate and its issuers.
func (i *Issued) KeyPEM(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(i.Key)
	require.NoError(t, err)
	return append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), i.PEM()...)
}

// TLS returns the certificate with key and issuers.
func (i *Issued) TLS() tls.Certificate {
	c := tls.Certificate{PrivateKey: i.Key, Leaf: i.Cert}
	for ; i != nil; i = i.CA {
		c.Certificate = append(c.Certificate, i.Cert.Raw)
	}
	return c
}

// Pool returns a pool of this certificate only.
func (i *Issued) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(i.Cert)
	return pool
}
