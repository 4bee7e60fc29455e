package check

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// With several secret headers, an error about the logon belongs to the first one by name; SAP's own headers are no
// secrets.
func TestErrorOfSecretHeadersBelongsToTheFirst(t *testing.T) {
	var settings []wit.ConfigKey
	var text strings.Builder
	for _, name := range []string{role.Auth, role.User, role.Header + "sap-client", role.Header + "x-a",
		role.Header + "x-b", role.Header + "x-c", role.Query + "a"} {
		settings = append(settings, resolvedtest.Declare("set."+name, wit.KindString, "", setting.Role(name)))
		text.WriteString("set." + name + "=header\n")
	}
	roles := resolve(t, plugin.NewComponent(&wit.Component{Settings: settings}), text.String()).Roles()
	for range 100 {
		assert.Equal(t, "set."+role.Header+"x-a", secretSetting(roles, ""))
	}
}
