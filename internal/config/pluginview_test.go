package config

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/wit"
)

// A setting is a secret if any component declares it as one, or, if none declares it, by its name.
func TestSecretsOfAnyDeclaration(t *testing.T) {
	others := Declare(declared("shop.key", wit.KindPassword, "", ""), declared("shop.header.{name}", wit.KindPassword,
		"", "", roleRule("http.header.{name}")))
	pluginSettings := Declare(
		declared("shop.key", wit.KindString, "", ""),                              // a password in another plugin
		declared("shop.token", wit.KindString, "", "", roleRule("http.password")), // its own role is secret
		declared("shop.store", wit.KindString, "", "", roleRule("tls.keystore.key-password")),
		declared("shop.set.password", wit.KindString, "", ""), // declared, but never as a secret
		declared("shop.header.a{name}", wit.KindString, "", ""), declared("shop.free.{name}", wit.KindString, "", ""),
		declared("shop.plain", wit.KindString, "", "", wit.Rule{Alias: wit.Ptr("shop.key")}))
	for key, want := range map[string]bool{
		"shop.key":           true,
		"shop.token":         true,
		"shop.store":         true,
		"shop.set.password":  false,
		"shop.header.apikey": true,
		"shop.plain":         false,
		"shop.free.word":     false,
		"shop.free.db.pwd":   true,
		"shop.unknown":       false,
		"shop.usr.pwd":       true,
		"Password":           true,
		"shop.client.SECRET": true,
		"shop.secrets":       false,
	} {
		got := isSecret(key, pluginSettings, others)
		assert.True(t, got == want, "%s: expected a secret: %t, found %t", key, want, got)
	}
}

// Plugins see values from files only if they are built in or if the user exposes them. Secrets are never exposed.
func TestValuesFromFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "value"), "kept")
	t.Setenv("CONFIG_GUEST_TEST", "open")
	withheld := "${dir:" + dir + ":value}"
	connector := connector(t, "shop.address="+withheld+"\nshop.user=${env:CONFIG_GUEST_TEST}\nshop.password="+withheld+
		"\nshop#01.table="+withheld+"\nshop#02.table=pre-"+withheld)
	settings := func(values ...string) (list []wit.Setting) {
		for i, name := range []string{"shop.address", "shop.user", "shop.password", "shop#01.table", "shop#02.table"} {
			list = append(list, wit.Setting{Name: name, Value: values[i]})
		}
		return list
	}
	for name, test := range map[string]struct {
		guest PluginView
		want  []wit.Setting
	}{
		"built in":    {guest: PluginView{BuiltIn: true}, want: settings("kept", "open", Mask, "kept", "pre-kept")},
		"of a folder": {guest: PluginView{}, want: settings(Mask, "open", Mask, Mask, Mask)},
		"revealed": {guest: PluginView{Exposed: []string{"shop.address", "shop#01.table"}},
			want: settings("kept", "open", Mask,
				"kept", Mask)},
		"revealed as one": {guest: PluginView{Exposed: []string{"shop#{n}.table"}},
			want: settings(Mask, "open", Mask, "kept",
				"pre-kept")},
		"revealed, a secret": {guest: PluginView{Exposed: []string{"shop.password"}},
			want: settings(Mask, "open", Mask, Mask, Mask)},
		"of a transform": {
			guest: PluginView{
				Prefix:  "transforms.x.",
				Exposed: []string{"shop.address", "transforms.x.shop#01.table"},
			},
			want: settings(Mask, "open", Mask, "kept", Mask),
		},
	} {
		test.guest.Component = tableOf(component())
		assert.Equal(t, test.want, test.guest.Settings(connector), name)
		// A plan of a built-in plugin is passed to another version, which sees no more than it would have seen
		// otherwise.
		assert.Equal(t, test.want, test.guest.PlannedSettings(connector, settings("kept", "open", Mask, "kept",
			"pre-kept")), name, "planned")
	}
}

// Only the user specifies where requests are sent and what secures them.
func TestEndpointDefaultsOfPluginsAreIgnored(t *testing.T) {
	declarations := Declare(
		declared("x.address", wit.KindString, "evil.example", "", roleRule("http.address")),
		declared("x.port", wit.KindInt, "8443", "", roleRule("http.port")),
		declared("x.scheme", wit.KindString, "http", "", roleRule("http.scheme")),
		declared("x.proxy", wit.KindString, "http", "", roleRule("http.proxy.type")),
		declared("x.proxy.address", wit.KindString, "evil.example:1", "", roleRule("http.proxy.address")),
		declared("x.tokens", wit.KindString, "https://evil.example", "", roleRule("http.oauth.token-endpoint")),
		declared("x.trust", wit.KindString, "/tmp/evil.pem", "", roleRule("tls.truststore.location")),
		declared("x.old", wit.KindString, "1", "", roleRule("tls.allow-legacy")),
		declared("x.destination", wit.KindString, "EVIL", "", roleRule("http.destination")),
		declared("x.host", wit.KindString, "evil", "", roleRule("http.header.x-forwarded-host")),
		declared("x.user", wit.KindString, "evil", "", roleRule("http.user")),
		declared("x.windows", wit.KindString, "* * * * * ?/24h", "", roleRule("http.maintenance-windows")),
		declared("x.wait", wit.KindInt, "5", "", roleRule("http.read-timeout-ms")), declared("x.unknown",
			wit.KindString,
			"evil", "", roleRule("http.whatever")))
	r := NewRoles(declarations, connector(t, "x.address=good.example"))
	for _, name := range []string{"http.port", "http.scheme", "http.proxy.type", "http.proxy.address",
		"http.oauth.token-endpoint", "tls.truststore.location",
		"tls.allow-legacy", "http.destination", "http.header.x-forwarded-host", "http.user", "http.maintenance-windows",
		"http.whatever"} {
		assert.True(t, !r.Has(name) && !r.IsSet(name), "%s: expected nothing, found %q", name, r.Text(name))
	}
	if len(r.Prefix("http.header.")) > 0 || r.Text("http.address") != "good.example" ||
		r.Text("http.read-timeout-ms") != "5" {
		t.Errorf("expected no headers, the user's address and the plugin's timeout, found %v, %q, %q",
			r.Prefix("http.header."), r.Text("http.address"), r.Text("http.read-timeout-ms"))
	}
	text := ""
	for _, p := range append(checkAddress(connector(t, ""), declarations), ignoredDefaults(t.Context(),
		connector(t, "x.address=a\nx.port=1"),
		declarations)...) {
		text += p.String() + "\n"
	}
	want := `c.properties:1: x.address: Missing required configuration "x.address" which has no default value: the plugin's default "evil.example" is ignored, because only the user may decide where requests go
c.properties:1: x.port: Missing required configuration "x.port" which has no default value: the plugin's default "8443" is ignored, because only the user may decide where requests go
c.properties:1: x.scheme: warning: not set; the plugin's default "http" is ignored, because only the user may set http.scheme
c.properties:1: x.proxy: warning: not set; the plugin's default "http" is ignored, because only the user may set http.proxy.type
`
	assert.True(t, len(text) >= len(want) && text[:len(want)] == want, "expected\n%s\nfound\n%s", want, text)
}

// A secret is rejected in a setting that is shown, and no message contains it.
func TestSecretInAPublicRole(t *testing.T) {
	declarations := wit.Component{Name: "x", Kind: wit.ComponentSource, Settings: []wit.ConfigKey{declared("shop.pwd",
		wit.KindString, "", "", roleRule("http.address")),
		declared("shop.code", wit.KindInt, "", "")}}
	others := Declare(declared("shop.pwd", wit.KindPassword, "", ""), declared("shop.code", wit.KindPassword, "", ""))
	checker := Checker{Worker: plainWorker(t, ""), Secrets: others}
	connector := connector(t, "name=x\nconnector.class=x\nshop.pwd=hunter2\nshop.code=hunter3")
	problems := checkComponent(t.Context(), checker, connector, declarations)
	if diff := cmp.Diff("c.properties:3: shop.pwd: is a secret, but the plugin declares it as http.address, whose "+
		"values are shown: it is not used\n"+
		"c.properties:4: shop.code: Invalid value [hidden] for configuration shop.code: Not a number of type INT",
		problems.Error()); diff != "" {
		t.Error(diff)
	}
}

// Java's trim removes characters up to U+0020 and no others: a delimiter may be a no-break space.
func TestTextsAreTrimmedAsJavaDoes(t *testing.T) {
	declarations := wit.Component{Name: "x", Kind: wit.ComponentTransformation, Settings: []wit.ConfigKey{
		declared("delimiter", wit.KindString, "", "")}}
	for _, test := range []struct{ text, want string }{
		{text: "\u00a0", want: "\u00a0"},
		{text: " \u2003a\u0085\t", want: "\u2003a\u0085"},
		{text: "\x00\x1fa b\x1c ", want: "a b"},
		{text: "\ufeff", want: "\ufeff"},
	} {
		connector := &Connector{Entries: []Entry{NewEntry("delimiter", test.text, "", 0)}}
		guest := PluginView{Component: tableOf(declarations)}
		want := []wit.Setting{{Name: "delimiter", Value: test.want}}
		diff := cmp.Diff(want, guest.Settings(connector))
		assert.True(t, diff == "" && connector.Text("delimiter") == test.want, "%q: (-want +got)\n%s", test.text, diff)
	}
}
