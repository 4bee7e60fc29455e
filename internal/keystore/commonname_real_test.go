//go:build real

package keystore

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// openssl accepts the same common names within the name constraints of authorities.
func TestRealNameConstraints(t *testing.T) {
	for name, c := range constrainedChains {
		t.Run(name, func(t *testing.T) {
			root, leaf := c.issue(t)
			folder := t.TempDir()
			roots := filepath.Join(folder, "root.pem")
			chain := filepath.Join(folder, "chain.pem")
			require.NoError(t, os.WriteFile(roots, root.PEM(), 0o600))
			require.NoError(t, os.WriteFile(chain, leaf.PEM(), 0o600))
			output, err := exec.CommandContext(t.Context(), "openssl", "verify", "-x509_strict", "-purpose", "sslserver",
				"-verify_hostname", c.host, "-CAfile", roots, "-untrusted", chain, chain).CombinedOutput()
			isConstrained := strings.Contains(string(output), "subtree violation")
			assert.True(t, (err == nil) == c.isAccepted && isConstrained != c.isAccepted,
				"openssl verify: expected %t, found %v: %s", c.isAccepted, err, output)
		})
	}
}
