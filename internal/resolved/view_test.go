package resolved

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
	"github.com/culvert-project/culvert/wit"
)

// Plugins receive no passwords, under whatever name, and no undeclared settings.
func TestGuestSettings(t *testing.T) {
	written := resolvedtest.Connector(t,
		"name=n\nconnector.class=x\nshop.address=h\nshop.pwd=secret\nshop.password=secret\nshop.passwort=secret\nshop#00.table=t\n"+
			"value.converter.basic.auth.user.info=secret\nproducer.override.sasl.jaas.config=secret\ntopics=a")
	connector := Resolver{}.ResolveAs(written, resolvedtest.Shop(
		resolvedtest.Declare("value.converter.basic.auth.user.info", wit.KindString, ""),
		resolvedtest.Declare("producer.override.sasl.jaas.config", wit.KindString, "")))
	view := connector.View(plugin.Info{})
	want := []wit.Setting{
		{Name: "name", Value: "n"},
		{Name: "connector.class", Value: "x"},
		{Name: "shop.address", Value: "h"},
		{Name: "shop.password", Value: config.Mask},
		{Name: "shop.password", Value: config.Mask},
		{Name: "shop#00.table", Value: "t"},
		{Name: "topics", Value: "a"},
	}
	assert.Equal(t, want, view.Settings())
}

// Plugins see values from files only if they are built in or if the user exposes them. Secrets are never exposed.
func TestValuesFromFiles(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "value"), []byte("kept"), 0o600))
	t.Setenv("CONFIG_GUEST_TEST", "open")
	withheld := "${dir:" + dir + ":value}"
	connector := resolvedtest.Connector(t, "shop.address="+withheld+"\nshop.user=${env:CONFIG_GUEST_TEST}\nshop.password="+withheld+
		"\nshop#01.table="+withheld+"\nshop#02.table=pre-"+withheld)
	settings := func(values ...string) (list []wit.Setting) {
		for i, name := range []string{"shop.address", "shop.user", "shop.password", "shop#01.table", "shop#02.table"} {
			list = append(list, wit.Setting{Name: name, Value: values[i]})
		}
		return list
	}
	for name, test := range map[string]struct {
		view View
		want []wit.Setting
	}{
		"built in":    {view: View{isBuiltIn: true}, want: settings("kept", "open", config.Mask, "kept", "pre-kept")},
		"of a folder": {view: View{}, want: settings(config.Mask, "open", config.Mask, config.Mask, config.Mask)},
		"revealed": {view: View{exposed: []string{"shop.address", "shop#01.table"}},
			want: settings("kept", "open", config.Mask,
				"kept", config.Mask)},
		"revealed as one": {view: View{exposed: []string{"shop#{n}.table"}},
			want: settings(config.Mask, "open", config.Mask, "kept",
				"pre-kept")},
		"revealed, a secret": {view: View{exposed: []string{"shop.password"}},
			want: settings(config.Mask, "open", config.Mask, config.Mask, config.Mask)},
		"of a transform": {
			view: View{
				prefix:  "transforms.x.",
				exposed: []string{"shop.address", "transforms.x.shop#01.table"},
			},
			want: settings(config.Mask, "open", config.Mask, "kept", config.Mask),
		},
	} {
		test.view.config = connector
		test.view.component = resolvedtest.Shop().Table()
		assert.Equal(t, test.want, test.view.Settings(), name)
		// A plan of a built-in plugin is passed to another version, which sees no more than it would have seen
		// otherwise.
		assert.Equal(t, test.want, test.view.PlannedSettings(settings("kept", "open", config.Mask, "kept",
			"pre-kept")), name, "planned")
	}
}

// Java's trim removes characters up to U+0020 and no others: a delimiter may be a no-break space.
func TestTextsAreTrimmedAsJavaDoes(t *testing.T) {
	component := plugin.NewComponent(&wit.Component{Name: "x", Kind: wit.ComponentSource, Settings: []wit.ConfigKey{
		resolvedtest.Declare("delimiter", wit.KindString, "")}})
	for _, test := range []struct{ text, want string }{
		{text: "\u00a0", want: "\u00a0"},
		{text: " \u2003a\u0085\t", want: "\u2003a\u0085"},
		{text: "\x00\x1fa b\x1c ", want: "a b"},
		{text: "\ufeff", want: "\ufeff"},
	} {
		connector := Resolver{}.ResolveAs(&config.Connector{
			Entries: []config.Entry{config.NewEntry("delimiter", test.text, "", 0)}}, component)
		view := connector.View(plugin.Info{})
		want := []wit.Setting{{Name: "delimiter", Value: test.want}}
		diff := cmp.Diff(want, view.Settings())
		assert.True(t, diff == "" && connector.Text("delimiter") == test.want, "%q: (-want +got)\n%s", test.text, diff)
	}
}
