package connect

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/culvert-project/culvert/host/check/checktest"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/plugin"
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
			Settings: map[string]string{"plugin.spy.reveal": reveal}})
		require.NoError(t, err)
		defer m.Close()
		b.options.Plugins = m
		k := newConnector(&b.options, c)
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
