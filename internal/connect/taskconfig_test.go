package connect

import (
	"fmt"
	"log/slog"
	"maps"
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
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/wit"
)

// REST shows configurations and task configs with references or masked, never with resolved secrets.
func TestConfigurationsAreShownWithoutSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.properties")
	require.NoError(t, os.WriteFile(file, []byte("pwd=hunter2\nuser=reader\n"), 0o600))
	pwd := "${file:" + file + ":pwd}"
	user := "${file:" + file + ":user}"
	b := newBench(t, checktest.WithSpy(t))
	written := map[string]string{
		"name":                               "c",
		"connector.class":                    "test.SpySource",
		"spy.scheme":                         "http",
		"spy.address":                        "127.0.0.1",
		"spy.port":                           "1",
		"spy.user":                           user,
		"spy.password":                       pwd,
		"spy#00.token":                       "cl3ar",
		"spy.pasword":                        "x",
		"unknown.settings":                   "warn",
		"something.password":                 "cl3ar",
		"producer.override.sasl.jaas.config": "cl3ar",
		"transforms.x.password":              "cl3ar",
		"config.action.reload":               "none",
	}
	secretSettings := []string{"spy.password", "spy#00.token", "something.password",
		"producer.override.sasl.jaas.config", "transforms.x.password"}
	var lines []string
	for key, value := range written {
		lines = append(lines, key+"="+value)
	}
	connector := b.Connector(t, lines...)
	passwords := resolved.Passwords(b.options.Plugins)
	for _, isMasked := range []bool{false, true} {
		asShown := func(settings map[string]string) map[string]string { return settings }
		if isMasked {
			asShown = func(settings map[string]string) map[string]string {
				return config.MaskPasswords(settings, passwords)
			}
		}
		h := New(b.options, []*resolved.Connector{connector})
		run := h.controllers["c"].currentRun()
		pluginView := connector.View(connector.Class.Module)
		settings := pluginView.Settings()
		run.taskSet.tasks = append(run.taskSet.tasks, &task{run: run, settings: settings})
		want := maps.Clone(written)
		if isMasked {
			for _, key := range secretSettings {
				want[key] = config.Mask
			}
		}
		info, _ := h.Info("c")
		assert.Equal(t, want, asShown(info.Config), "masked", isMasked)
		tasks, _ := h.Tasks("c")
		require.Len(t, 1, tasks, "task")
		taskConfig := asShown(tasks[0].Config)
		assert.Equal(t, "test.SpySourceTask", taskConfig["task.class"])
		for _, key := range []string{"connector.class", "spy.address", "spy.user", "spy.password", "spy#00.token"} {
			assert.Equal(t, want[key], taskConfig[key], fmt.Sprintf("task, %s, masked: %t", key, isMasked))
		}
	}
}

// Task configs without secrets can be resolved again, whether the plugin forwards, omits, empties or computes settings.
func TestTaskConfigRoundTrip(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.properties")
	require.NoError(t, os.WriteFile(file, []byte("pwd=hunter2\nuser= reader \n"), 0o600))
	b := newBench(t, checktest.WithSpy(t))
	connector := b.Connector(t,
		"name=c",
		"connector.class=test.SpySource",
		"spy.scheme=http",
		"spy.address=  127.0.0.1",
		"spy.port=1",
		"spy.user=${file:"+file+":user}",
		"spy.password=${file:"+file+":pwd}",
		"spy#00.token=cl3ar",
		"spy.claim=x-${file:"+file+":user}",
		"topics=a, b",
		"spy.pasword=x",
		"errors.tolerance=all")
	run := New(b.options, []*resolved.Connector{connector}).controllers["c"].currentRun()
	module := connector.Class.Module
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 26))
		module.BuiltIn = seed%2 == 0 // otherwise the plugin does not see values of files
		pluginView := connector.View(module)
		visible := pluginView.Settings()
		want := []wit.Setting{}
		for _, setting := range visible {
			entry, _ := connector.Entry(setting.Name)
			switch choice := random.IntN(6); {
			case choice == 0:
				continue
			case choice == 1:
				setting.Value = ""
			case choice == 2 && !entry.Value.IsSecret() && setting.Value != config.Mask:
				setting.Value = fmt.Sprint(setting.Value, random.IntN(3))
			}
			want = append(want, setting)
		}
		for n := range random.IntN(3) {
			want = append(want, wit.Setting{Name: fmt.Sprint("feed.", n), Value: "1:Orders"})
		}
		written := run.unresolvedTaskConfig(connector, want)
		written[taskClassKey] = "test.SpySourceTask"
		for name, value := range written {
			require.True(t, !strings.Contains(value, "hunter2") && !strings.Contains(value, "reader"),
				"seed %d: %s: expected a reference, found %s", seed, name, value)
		}
		slices.SortFunc(want, func(a, b wit.Setting) int { return strings.Compare(a.Name, b.Name) })
		restored := resolveTaskConfig(connector, visible, written)
		assert.Equal(t, want, append([]wit.Setting{}, restored...), seed)
		require.True(t, !t.Failed(), "written %v", written)
	}

	// The reference has another value after the plan.
	module.BuiltIn = true
	pluginView := connector.View(module)
	written := run.unresolvedTaskConfig(connector, pluginView.Settings())
	require.NoError(t, os.WriteFile(file, []byte("pwd=hunter3\nuser=writer\n"), 0o600))
	changed, err := connector.Resolve(b.options.Worker.Providers)
	require.NoError(t, err)
	reread := connector.Reread(changed)
	pluginView = reread.View(module)
	restored := resolveTaskConfig(reread, pluginView.Settings(), written)
	assert.Contains(t, fmt.Sprint(restored), "{spy.user writer}", "{spy.claim x-writer}")
}

// A version from a folder does not see values from files, even if they were planned before.
func TestFolderVersionSeesNoFileValues(t *testing.T) {
	b := newBench(t, checktest.New(t, nil))
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "spy.wasm"), checktest.Spy(t, "main.version=2.0.0"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "user"), []byte("kept"), 0o600))
	connector := b.Connector(t, "name=c", "connector.class=test.SpySource", "spy.address=localhost",
		"spy.user=${dir:"+folder+":user}", "spy.password=hunter2")
	for reveal, wantUser := range map[string]string{"": config.Mask, "spy.user": "kept"} {
		plugins, err := plugin.New(t.Context(), plugin.Options{
			Folders:  []string{folder},
			Registry: record.NewRegistry(),
			Logger:   slog.New(slog.DiscardHandler),
			Embedded: fstest.MapFS{"spy.wasm": {Data: checktest.Spy(t)}},
			Settings: map[string]string{"plugin.spy.reveal": reveal},
			CacheDir: guesttest.Code(t),
		})
		require.NoError(t, err)
		defer plugins.Close()
		b.options.Plugins = plugins
		resolver := resolved.Resolver{Worker: b.options.Worker, Plugins: plugins}
		b.options.Group = standalone{}
		run := newController(&b.options, resolver.Resolve(connector.Connector)).currentRun()
		for _, version := range []string{"1.0.0", "2.0.0"} {
			info, err := plugins.Find(wit.ComponentSource, "test.SpySource", version)
			require.NoError(t, err)
			planned := []wit.Setting{
				{Name: "name", Value: "c"},
				{Name: "spy.address", Value: "localhost"},
				{Name: "spy.user", Value: "kept"},
				{Name: "spy.password", Value: config.Mask},
			}
			task := &task{run: run, settings: planned}
			want := slices.Clone(planned)
			if !info.BuiltIn {
				want[2].Value = wantUser
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
		return guesttest.Static(wit.Description{
			Name:    "spy",
			Version: version,
			Components: []wit.Component{{
				Name: "test.SpySource",
				Kind: wit.ComponentSource,
				Settings: []wit.ConfigKey{
					{Name: "spy.address"},
					{Name: "spy.user"},
					{Name: "spy.password", Kind: kind},
				},
			}},
		}, "", wit.InterfaceSource)
	}
	want := []wit.Setting{
		{Name: "name", Value: "c"},
		{Name: "spy.address", Value: "localhost"},
		{Name: "spy.user", Value: "me"},
		{Name: "spy.password", Value: config.Mask},
	}
	for _, v := range []struct {
		version string
		kind    wit.SettingKind // of the password
	}{
		{version: "1.0.0", kind: wit.KindPassword},
		{version: "2.0.0", kind: wit.KindString},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, "spy.wasm"), spy(v.version, v.kind), 0o600))
		plugins, err := plugin.New(t.Context(), plugin.Options{
			Folders:  []string{folder},
			Registry: record.NewRegistry(),
			Logger:   slog.New(slog.DiscardHandler),
			History:  history,
		})
		require.NoError(t, err)
		binding, err := plugins.Bind("c", wit.ComponentSource, "test.SpySource", v.version)
		require.NoError(t, err)
		binding.Close()
		b.options.Plugins = plugins
		resolver := resolved.Resolver{Worker: b.options.Worker, Plugins: plugins}
		b.options.Group = standalone{}
		run := newController(&b.options, resolver.Resolve(connector.Connector)).currentRun()
		task := &task{run: run, settings: slices.Clone(want)}
		task.settings[3].Value = "hunter2"
		info, err := plugins.Find(wit.ComponentSource, "test.SpySource", v.version)
		require.NoError(t, err)
		assert.Equal(t, want, task.visibleSettings(info), v.version)
		assert.Equal(t, true, resolved.Passwords(plugins)("spy.password"), v.version, "is a password")
		plugins.Close()
	}
}
