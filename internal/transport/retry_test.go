package transport

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// Without declared codes the host's apply; an empty list means none.
func TestUndeclaredRetryCodes(t *testing.T) {
	for name, k := range map[string]struct {
		roles   roleMap
		retried bool
	}{
		"undeclared": {roles: roleMap{}, retried: true},
		"empty":      {roles: roleMap{"retry.codes": ""}},
		"others":     {roles: roleMap{"retry.codes": "500"}},
	} {
		k.roles["http.address"] = "sap.example"
		c, err := ConfigOf(k.roles, Environment{})
		require.NoError(t, err)
		assert.Equal(t, k.retried, c.Retry.Names("503"), name)
	}
}
