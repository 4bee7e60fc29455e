// Package keystoretest reads key stores for tests of other packages.
package keystoretest

import (
	"crypto/tls"
	"testing"

	"github.com/culvert-project/culvert/internal/keystore"
)

// Certificate returns the certificate of a store, with its key.
func Certificate(t testing.TB, l keystore.Location) tls.Certificate {
	t.Helper()
	config, err := keystore.ServerTLS(keystore.Options{Context: t.Context(), Key: &l}, tls.NoClientCert)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := config.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return *certificate
}
