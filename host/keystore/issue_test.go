package keystore

import (
	"bytes"
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
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/require"
)

// issued is a certificate that a test made, with its key.
type issued struct {
	cert *x509.Certificate
	key  crypto.Signer
	ca   *issued
}

// issue makes a certificate for localhost and 127.0.0.1, valid for an hour around now; change may make it another one.
// Without ca it is one itself.
func issue(t testing.TB, name string, ca *issued, change func(*x509.Certificate)) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	require.NoError(t, err)
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	i := &issued{key: key, ca: ca}
	parent, signer := c, crypto.Signer(key)
	if ca != nil {
		parent, signer = ca.cert, ca.key
	} else {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
	}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	require.NoError(t, err)
	if i.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return i
}

// pem is the certificate, and those that issued it.
func (i *issued) pem() []byte {
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw})
	if i.ca != nil {
		text = append(text, i.ca.pem()...)
	}
	return text
}

// keyPEM is the key with the certificates.
func (i *issued) keyPEM(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	require.NoError(t, err)
	return append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), i.pem()...)
}

func (i *issued) tls() tls.Certificate {
	c := tls.Certificate{PrivateKey: i.key, Leaf: i.cert}
	for ; i != nil; i = i.ca {
		c.Certificate = append(c.Certificate, i.cert.Raw)
	}
	return c
}

func (i *issued) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(i.cert)
	return pool
}

// put writes a file as those do who change one in service: a new one under another name, moved over the old.
func put(t testing.TB, path string, parts ...[]byte) {
	t.Helper()
	next := filepath.Join(filepath.Dir(path), "next")
	require.NoError(t, os.WriteFile(next, bytes.Join(parts, nil), 0o600))
	require.NoError(t, os.Rename(next, path))
}
