package transport

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// If a plugin does not declare the role, the host's default codes apply. An empty list means no codes.
func TestUndeclaredRetryCodes(t *testing.T) {
	for name, k := range map[string]struct {
		roles     roleMap
		isRetried bool // status 503
	}{
		"undeclared": {roles: roleMap{}, isRetried: true},
		"empty":      {roles: roleMap{"retry.codes": ""}},
		"other":      {roles: roleMap{"retry.codes": "500"}},
	} {
		k.roles["http.address"] = "sap.example"
		c, err := ConfigOf(k.roles, Environment{})
		require.NoError(t, err)
		assert.Equal(t, k.isRetried, c.Retry.Names("503"), name)
	}
}
