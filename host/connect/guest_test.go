package connect

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/check/checktest"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// A version from a folder that takes over from the plugin that comes with the program sees less of the same task's
// settings: what files hold is cut out for it, whatever was planned before.
func TestVersionFromAFolderSeesLess(t *testing.T) {
	b := newBench(t, checktest.New(t, nil))
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "spy.wasm"), checktest.Spy(t, "main.version=2.0.0"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "user"), []byte("kept"), 0o600))
	c := b.Connector(t, "name=c", "connector.class=test.SpySource", "spy.address=localhost",
		"spy.user=${dir:"+folder+":user}", "spy.password=hunter2")
	for reveal, shown := range map[string]string{"": config.Mask, "spy.user": "kept"} {
		m, err := plugin.New(t.Context(), plugin.Options{Folders: []string{folder}, Registry: record.NewRegistry(),
			Logger: slog.New(slog.DiscardHandler), Embedded: fstest.MapFS{"spy.wasm": {Data: checktest.Spy(t)}},
			Settings: map[string]string{"plugin.spy.reveal": reveal}, CacheDir: guesttest.Code(t)})
		require.NoError(t, err)
		defer m.Close()
		b.options.Plugins = m
		k := newController(&b.options, c).current()
		for _, version := range []string{"1.0.0", "2.0.0"} {
			info, err := m.Find(wit.ComponentSource, "test.SpySource", version)
			require.NoError(t, err)
			want := []wit.Setting{{Name: "name", Value: "c"}, {Name: "spy.address", Value: "localhost"},
				{Name: "spy.user", Value: "kept"}, {Name: "spy.password", Value: config.Mask}}
			task := &task{connector: k, settings: append([]wit.Setting{}, want...)}
			if !info.BuiltIn {
				want[2].Value = shown
			}
			assert.Equal(t, want, task.planned(info), version, reveal)
		}
	}
}

// What was a password in a version that ran stays hidden from a version that calls it text, also after a restart.
func TestWhatWasAPasswordStaysHidden(t *testing.T) {
	b := newBench(t, checktest.New(t, nil))
	folder, history := t.TempDir(), filepath.Join(t.TempDir(), "history.json")
	c := b.Connector(t, "name=c", "connector.class=test.SpySource", "spy.address=localhost", "spy.user=me",
		"spy.password=hunter2")
	spy := func(version string, kind wit.SettingKind) []byte {
		return guesttest.Static(wit.Description{Name: "spy", Version: version, Components: []wit.Component{{
			Name: "test.SpySource", Kind: wit.ComponentSource, Settings: []wit.ConfigKey{{Name: "spy.address"},
				{Name: "spy.user"}, {Name: "spy.password", Kind: kind}}}}}, "", wit.InterfaceSource)
	}
	want := []wit.Setting{{Name: "name", Value: "c"}, {Name: "spy.address", Value: "localhost"},
		{Name: "spy.user", Value: "me"}, {Name: "spy.password", Value: config.Mask}}
	for _, v := range []struct {
		version string
		kind    wit.SettingKind
	}{{"1.0.0", wit.KindPassword}, {"2.0.0", wit.KindString}} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, "spy.wasm"), spy(v.version, v.kind), 0o600))
		m, err := plugin.New(t.Context(), plugin.Options{Folders: []string{folder}, Registry: record.NewRegistry(),
			Logger: slog.New(slog.DiscardHandler), History: history})
		require.NoError(t, err)
		bound, err := m.Bind("c", wit.ComponentSource, "test.SpySource", v.version)
		require.NoError(t, err)
		bound.Close()
		b.options.Plugins = m
		task := &task{connector: newController(&b.options, c).current(), settings: append([]wit.Setting{}, want...)}
		task.settings[3].Value = "hunter2"
		info, err := m.Find(wit.ComponentSource, "test.SpySource", v.version)
		require.NoError(t, err)
		assert.Equal(t, want, task.planned(info), v.version)
		assert.Equal(t, true, check.Passwords(m)("spy.password"), v.version)
		m.Close()
	}
}
