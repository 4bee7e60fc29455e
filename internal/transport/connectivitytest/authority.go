package connectivitytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// authority issues the certificates of TLSURL and of clients.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	server      tls.Certificate
}

func newAuthority() *authority {
	a := &authority{}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "connectivitytest authority"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, key := a.sign(template)
	a.certificate = must(x509.ParseCertificate(der))
	a.key = key
	der, key = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	a.server = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return a
}

// sign issues a certificate; the first one is self-signed.
func (a *authority) sign(template *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template.SerialNumber = must(rand.Int(rand.Reader, big.NewInt(1<<62)))
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(24 * time.Hour)
	parent := a.certificate
	signer := a.key
	if parent == nil {
		parent = template
		signer = key
	}
	return must(x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)), key
}

func (a *authority) listener(l net.Listener) net.Listener {
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{a.server}, ClientAuth: tls.RequestClientCert,
		NextProtos: []string{"http/1.1"}})
}

// client issues a certificate for a client of the token service.
func (a *authority) client(id string) (certificate, key string) {
	der, private := a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: id},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return encode("CERTIFICATE", der) + encode("CERTIFICATE", a.certificate.Raw), encode("PRIVATE KEY",
		must(x509.MarshalPKCS8PrivateKey(private)))
}

// Roots verify TLSURL.
func (s *Server) Roots() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(s.authority.certificate)
	return roots
}

// RootsPEM returns Roots as PEM, for example for SSL_CERT_FILE.
func (s *Server) RootsPEM() string { return encode("CERTIFICATE", s.authority.certificate.Raw) }

// Certificate issues a client certificate and its key for TLSURL, as PEM.
func (s *Server) Certificate(c Client) (certificate, key string) { return s.authority.client(c.ID) }

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic("connectivitytest: " + err.Error())
	}
	return v
}
