// Package resolvedtest has the declaration of a plugin, and reads workers and connectors, for tests of resolved
// configurations and of their checks. A test combines them with ResolveAs of package resolved, without any Wasm. This
// package does not import that one, whose own tests use it.
package resolvedtest

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Shop returns a source with settings of many kinds and roles, and these in addition.
func Shop(added ...wit.ConfigKey) *plugin.Component {
	shop := wit.Component{Name: "org.example.ShopSource", Kind: wit.ComponentSource, Prefixes: []string{"shop.", "shop#"}}
	shop.Settings = append([]wit.ConfigKey{
		Declare("shop.address", wit.KindString, "", setting.Role(role.Address), setting.Required()),
		Declare("shop.port", wit.KindInt, "443", setting.Role(role.Port), setting.AtLeast(1), setting.AtMost(65535)),
		Declare("shop.protocol", wit.KindString, "https", setting.Role(role.Scheme), setting.Allowed("http", "https")),
		Declare("shop.user", wit.KindString, "", setting.Role(role.User)),
		Declare("shop.password", wit.KindPassword, "", setting.Role(role.Password), setting.Alias("shop.pwd")),
		Declare("shop.codes", wit.KindList, "408,429", setting.Role(role.RetryCodes)),
		Declare("shop.wait.ms", wit.KindInt, "60000", setting.Role(role.ReadTimeoutMS)),
		Declare("shop.store.type", wit.KindString, "", setting.Role(role.TLSTrustStoreType), setting.Allowed("jks", "pem")),
		Declare("shop.client", wit.KindString, "", setting.Role(role.Header+"sap-client")),
		Declare("shop.header.{name}", wit.KindPassword, "", setting.Role(role.Header+"{name}")),
		Declare("shop#{n}.table", wit.KindString, ""),
		Declare("shop#{n}.filter#{m}.low", wit.KindString, ""),
	}, added...)
	return plugin.NewComponent(&shop)
}

// OfRoles returns a source with a setting for each of these roles, named like the role.
func OfRoles(roles ...string) *plugin.Component {
	source := wit.Component{Kind: wit.ComponentSource}
	for _, name := range roles {
		source.Settings = append(source.Settings, Declare(name, wit.KindString, "", setting.Role(name)))
	}
	return plugin.NewComponent(&source)
}

// Declare returns the declaration of a setting. The empty value means that it has no default.
func Declare(name string, kind wit.SettingKind, value string, rules ...wit.Rule) wit.ConfigKey {
	if value == "" {
		return setting.Define(name, kind, wit.Low, nil, "", rules...)
	}
	return setting.Define(name, kind, wit.Low, &value, "", rules...)
}

// Worker returns a worker with the settings of a properties file, which have no problems.
func Worker(t testing.TB, text string) *config.Worker {
	t.Helper()
	entries, problems := config.Read("w.properties", []byte(text))
	w, workerProblems := config.NewWorker("", entries, nil, nil)
	require.Equal(t, "", Lines(append(problems, workerProblems...)), "problems of the worker")
	return w
}

// Connector returns the connector of a properties file c.properties, which has no problems. Its references are those of
// a worker without settings.
func Connector(t testing.TB, text string) *config.Connector {
	t.Helper()
	entries, problems := config.Read("c.properties", []byte(text))
	c, connectorProblems := config.NewConnector("c.properties", entries, Worker(t, "").Providers)
	require.Equal(t, "", Lines(append(problems, connectorProblems...)), "problems of the connector")
	return c
}

// ExpectLines expects these problems, one per line.
func ExpectLines(t testing.TB, about, want string, problems config.Problems) {
	t.Helper()
	assert.Equal(t, want, Lines(problems), about)
}

// Lines returns the problems, warnings too, one per line.
func Lines(problems config.Problems) string {
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}
