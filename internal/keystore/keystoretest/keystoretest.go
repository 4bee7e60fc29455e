// Package keystoretest reads key stores for tests of other packages.
package keystoretest

import (
	"crypto/tls"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/keystore"
)

// Certificate returns the certificate of a store, with its key.
func Certificate(t testing.TB, l keystore.Location) tls.Certificate {
	t.Helper()
	config, err := keystore.ServerTLS(keystore.Options{Context: t.Context(), Key: &l}, tls.NoClientCert)
	require.NoError(t, err)
	certificate, err := config.GetCertificate(nil)
	require.NoError(t, err)
	return *certificate
}
