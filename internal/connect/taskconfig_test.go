package connect

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check/checktest"
	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// REST shows configurations and task configs with references or masked, never with resolved secrets.
func TestConfigurationsAsREST(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.properties")
	require.NoError(t, os.WriteFile(file, []byte("pwd=hunter2\nuser=reader\n"), 0o600))
	pwd := "${file:" + file + ":pwd}"
	user := "${file:" + file + ":user}"
	b := newBench(t, checktest.WithSpy(t))
	written := map[string]string{"name": "c", "connector.class": "test.SpySource", "spy.scheme": "http",
		"spy.address": "127.0.0.1", "spy.port": "1",
		"spy.user": user, "spy.password": pwd, "spy#00.token": "cl3ar", "spy.pasword": "x", "unknown.settings": "warn",
		"something.password":                 "cl3ar",
		"producer.override.sasl.jaas.config": "cl3ar", "transforms.x.password": "cl3ar", "config.action.reload": "none"}
	masked := map[string]string{"spy.password": config.Mask, "spy#00.token": config.Mask,
		"something.password":                 config.Mask,
		"producer.override.sasl.jaas.config": config.Mask, "transforms.x.password": config.Mask}
	var lines []string
	for key, value := range written {
		lines = append(lines, key+"="+value)
	}
	connector := b.Connector(t, lines...)
	passwords := components.Passwords(b.options.Plugins)
	for hidden, hides := range map[bool]map[string]string{false: nil, true: masked} {
		shown := func(settings map[string]string) map[string]string { return settings }
		if hidden {
			shown = func(settings map[string]string) map[string]string {
				return config.MaskPasswords(settings, passwords)
			}
		}
		h := New(b.options, []*config.Connector{connector})
		run := h.controllers["c"].currentRun()
		guest := components.PluginView(b.options.Plugins, run.class.plugin, run.class.component)
		settings := guest.Settings(connector)
		run.taskSet.tasks = append(run.taskSet.tasks, &task{run: run, settings: settings})
		want := map[string]string{}
		for key, value := range written {
			if want[key] = value; hides[key] != "" {
				want[key] = hides[key]
			}
		}
		info, _ := h.Info("c")
		assert.Equal(t, want, shown(info.Config), "masked", hidden)
		tasks, _ := h.Tasks("c")
		if len(tasks) != 1 {
			t.Fatalf("expected a task, found %v", tasks)
		}
		found := shown(tasks[0].Config)
		if class := found["task.class"]; class != "test.SpySourceTask" {
			t.Errorf("expected the task's class, found %s", class)
		}
		for _, key := range []string{"connector.class", "spy.address", "spy.user", "spy.password", "spy#00.token"} {
			if found[key] != want[key] {
				t.Errorf("masked=%t, task: %s: expected %q, found %q", hidden, key, want[key], found[key])
			}
		}
	}
}

// Task configs without secrets can be resolved again, whether the plugin forwards, omits, empties or computes settings.
func TestTaskConfigRoundTrip(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.properties")
	require.NoError(t, os.WriteFile(file, []byte("pwd=hunter2\nuser= reader \n"), 0o600))
	b := newBench(t, checktest.WithSpy(t))
	connector := b.Connector(t, "name=c", "connector.class=test.SpySource", "spy.scheme=http",
		"spy.address=  127.0.0.1",
		"spy.port=1", "spy.user=${file:"+file+":user}", "spy.password=${file:"+file+":pwd}", "spy#00.token=cl3ar",
		"spy.claim=x-${file:"+file+":user}", "topics=a, b", "spy.pasword=x", "errors.tolerance=all")
	run := New(b.options, []*config.Connector{connector}).controllers["c"].currentRun()
	guest := components.PluginView(b.options.Plugins, run.class.plugin, run.class.component)
	declarations := config.DeclareComponent(run.class.component)
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 26))
		guest.BuiltIn = seed%2 == 0 // otherwise it does not see values of files
		shown := guest.Settings(connector)
		want := []wit.Setting{}
		for _, settings := range shown {
			e, _ := connector.Entry(settings.Name)
			switch n := random.IntN(6); {
			case n == 0:
				continue
			case n == 1:
				settings.Value = ""
			case n == 2 && !e.Value.IsSecret() && settings.Value != config.Mask:
				settings.Value = fmt.Sprint(settings.Value, random.IntN(3))
			}
			want = append(want, settings)
		}
		for n := range random.IntN(3) {
			want = append(want, wit.Setting{Name: fmt.Sprint("feed.", n), Value: "1:Orders"})
		}
		written := run.unresolvedTaskConfig(connector, want)
		written[taskClassKey] = "test.SpySourceTask"
		for name, value := range written {
			if strings.Contains(value, "hunter2") || strings.Contains(value, "reader") {
				t.Fatalf("seed %d: %s: expected a reference, found %s", seed, name, value)
			}
		}
		slices.SortFunc(want, func(a, b wit.Setting) int { return strings.Compare(a.Name, b.Name) })
		found := resolveTaskConfig(declarations, connector, shown, written)
		assert.Equal(t, want, append([]wit.Setting{}, found...), seed)
		if t.Failed() {
			t.Fatalf("written %v", written)
		}
	}
	// The reference has another value now.
	guest.BuiltIn = true
	written := run.unresolvedTaskConfig(connector, guest.Settings(connector))
	require.NoError(t, os.WriteFile(file, []byte("pwd=hunter3\nuser=writer\n"), 0o600))
	restored, err := connector.Resolve(b.options.Worker.Providers)
	require.NoError(t, err)
	assert.Contains(t, fmt.Sprint(resolveTaskConfig(declarations, restored, guest.Settings(restored), written)),
		"{spy.user writer}",
		"{spy.claim x-writer}")
}

// A version from a folder does not see values from files, even if they were planned before.
func TestFolderVersionSeesNoFileValues(t *testing.T) {
	b := newBench(t, checktest.New(t, nil))
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "spy.wasm"), checktest.Spy(t, "main.version=2.0.0"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "user"), []byte("kept"), 0o600))
	connector := b.Connector(t, "name=c", "connector.class=test.SpySource", "spy.address=localhost",
		"spy.user=${dir:"+folder+":user}", "spy.password=hunter2")
	for reveal, shown := range map[string]string{"": config.Mask, "spy.user": "kept"} {
		plugins, err := plugin.New(t.Context(), plugin.Options{Folders: []string{folder},
			Registry: record.NewRegistry(),
			Logger:   slog.New(slog.DiscardHandler), Embedded: fstest.MapFS{"spy.wasm": {Data: checktest.Spy(t)}},
			Settings: map[string]string{"plugin.spy.reveal": reveal}, CacheDir: guesttest.Code(t)})
		require.NoError(t, err)
		defer plugins.Close()
		b.options.Plugins = plugins
		k := newController(&b.options, connector).currentRun()
		for _, version := range []string{"1.0.0", "2.0.0"} {
			info, err := plugins.Find(wit.ComponentSource, "test.SpySource", version)
			require.NoError(t, err)
			want := []wit.Setting{{Name: "name", Value: "c"}, {Name: "spy.address", Value: "localhost"},
				{Name: "spy.user", Value: "kept"}, {Name: "spy.password", Value: config.Mask}}
			task := &task{run: k, settings: append([]wit.Setting{}, want...)}
			if !info.BuiltIn {
				want[2].Value = shown
			}
			assert.Equal(t, want, task.visibleSettings(info), version, reveal)
		}
	}
}

// A password of an earlier version stays hidden, also after a restart.
func TestFormerPasswordStaysHidden(t *testing.T) {
	b := newBench(t, checktest.New(t, nil))
	folder := t.TempDir()
	history := filepath.Join(t.TempDir(), "history.json")
	connector := b.Connector(t, "name=c", "connector.class=test.SpySource", "spy.address=localhost", "spy.user=me",
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
		plugins, err := plugin.New(t.Context(), plugin.Options{Folders: []string{folder},
			Registry: record.NewRegistry(),
			Logger:   slog.New(slog.DiscardHandler), History: history})
		require.NoError(t, err)
		bound, err := plugins.Bind("c", wit.ComponentSource, "test.SpySource", v.version)
		require.NoError(t, err)
		bound.Close()
		b.options.Plugins = plugins
		task := &task{run: newController(&b.options, connector).currentRun(),
			settings: append([]wit.Setting{}, want...)}
		task.settings[3].Value = "hunter2"
		info, err := plugins.Find(wit.ComponentSource, "test.SpySource", v.version)
		require.NoError(t, err)
		assert.Equal(t, want, task.visibleSettings(info), v.version)
		assert.Equal(t, true, components.Passwords(plugins)("spy.password"), v.version)
		plugins.Close()
	}
}
