package check

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// With several secret headers, an error about the logon belongs to the first one by name; SAP's own headers are no
// secrets.
func TestErrorOfSecretHeadersBelongsToTheFirst(t *testing.T) {
	component := wit.Component{Kind: wit.ComponentSource}
	var text strings.Builder
	for _, name := range []string{role.Auth, role.User, role.Header + "sap-client", role.Header + "x-a",
		role.Header + "x-b", role.Header + "x-c", role.Query + "a"} {
		component.Settings = append(component.Settings, wit.ConfigKey{Name: "set." + name, Kind: wit.KindString,
			Rules: []wit.Rule{{Role: &name}}})
		text.WriteString("set." + name + "=header\n")
	}
	entries, problems := config.Read("c.properties", []byte(text.String()))
	require.NoError(t, problems.Err())
	connector, problems := config.NewConnector("c.properties", entries, nil)
	require.NoError(t, problems.Err())
	roles := config.NewRoles(setting.NewComponentTable(&component), connector)
	for range 100 {
		assert.Equal(t, "set."+role.Header+"x-a", secretSetting(roles, ""))
	}
}
