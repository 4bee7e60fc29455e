package config

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

func TestDestinationByRole(t *testing.T) {
	table := &setting.Table{}
	Declare(table)
	seen := map[string]bool{}
	for _, key := range table.Keys() {
		use := key.Role()
		_, known := role.Find(use)
		assert.True(t, known || use == "", "%s: the host does not know the role %s", key.Name, use)
		assert.True(t, use == "" || !seen[use], "%s: the role %s is repeated", key.Name, use)
		seen[use] = true
		assert.True(t, key.Kind != wit.KindPassword || use != "",
			"%s: a password that only the host may see needs a role", key.Name)
		assert.True(t, key.Documentation != "", "%s: the documentation is missing", key.Name)
	}
	for _, r := range []string{"http.scheme", "http.address", "http.port", "http.user", "http.password",
		"http.connect-timeout-ms", "http.read-timeout-ms",
		"retry.codes", "retry.max", "retry.min-backoff-ms", "retry.max-backoff-ms", "http.header.sap-client",
		"http.header.sap-language"} {
		assert.True(t, seen[r], "no setting has role %s", r)
	}
}
