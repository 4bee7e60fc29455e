package plugin_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// slowToCompile returns a plugin whose functions take some seconds each to compile.
func slowToCompile(functions int) []byte {
	m := hostile(2, constantBody([]byte{0x41, 0x08}))
	loop := []byte{0x03, 0x40, 0x41, 0, 0x28, 2, 0, 0x0d, 0, 0x0b}
	for range functions {
		m.Exports = append(m.Exports, guesttest.Function{Name: "toil" + strings.Repeat("!", len(m.Exports)),
			Body: bytes.Repeat(loop, 1900)})
	}
	return m.Bytes()
}

// state reports whether the plugin with a name was loaded. err is why its file was refused; neither means that it has
// not been loaded yet.
func state(m *plugin.Manager, name string) (loaded bool, err error) {
	for _, i := range m.Modules() {
		if i.Name == name {
			return true, nil
		}
		if filepath.Base(i.Path) == name+".wasm" {
			return false, i.Err
		}
	}
	return false, nil
}

// Plugins that no connector needs are loaded in the background.
func TestUnneededPluginsLoadLast(t *testing.T) {
	folder := folderWith(t, "used.wasm", namedPlugin("used", "1.0.0", 0))
	// Its only function takes longer to compile than this test runs.
	put(t, folder, "hostile.wasm", slowToCompile(1))
	load := func(needed ...plugin.Requirement) *plugin.Manager {
		t.Helper()
		return manager(t, plugin.Options{CacheDir: filepath.Join(t.TempDir(), "cache"), Needed: needed}, folder)
	}
	m := load(plugin.Requirement{Class: "org.example.AllSource"})
	isLoaded, _ := state(m, "used")
	assert.True(t, isLoaded, "expected the required plugin")
	isLoaded, err := state(m, "hostile")
	assert.True(t, !isLoaded && err == nil, "expected the other plugin to be compiling, found %v %v", isLoaded, err)
	waitFor(t, "the other one", func() bool { isLoaded, _ := state(m, "hostile"); return isLoaded })
	// A manager that is closed while it loads does not wait for the engine.
	m = load(plugin.Requirement{Class: "org.example.AllSource"})
	start := time.Now()
	_ = m.Close()
	assert.AtMost(t, 50*time.Second, time.Since(start), "Close to return within 50 s")
}

// A short run does not load plugins that its connectors do not need: it would compile them at each start without
// finishing. If a class is missing, all plugins are loaded.
func TestNeededOnlyLoadsNoOtherPlugin(t *testing.T) {
	folder := folderWith(t, "used.wasm", namedPlugin("used", "1.0.0", 0))
	put(t, folder, "other.wasm", guesttest.Static(wit.Description{Name: "other", Version: "1.0.0",
		Components: []wit.Component{{Name: "org.example.Other", Kind: wit.ComponentSource}}}, "", wit.InterfaceSource))
	for class, wantOther := range map[string]bool{"org.example.AllSource": false, "nobody.has.it": true} {
		synctest.Test(t, func(t *testing.T) {
			m, err := plugin.New(t.Context(), plugin.Options{Registry: record.NewRegistry(), Folders: []string{folder},
				Logger: (&logtest.Journal{}).Logger(plugin.LevelTrace),
				Needed: []plugin.Requirement{{Class: class}}, NeededOnly: true})
			require.NoError(t, err)
			defer func() { _ = m.Close() }()
			synctest.Wait() // background loading has ended
			isLoaded, err := state(m, "used")
			assert.True(t, isLoaded, "%s: expected the first plugin, found %v", class, err)
			if isLoaded, err := state(m, "other"); isLoaded != wantOther {
				t.Errorf("%s: the other plugin: expected loaded=%v, found %v %v", class, wantOther, isLoaded, err)
			}
		})
	}
}

// Canceling does not wait for the function that the engine compiles.
func TestCompilingIsCanceled(t *testing.T) {
	folder := folderWith(t, "hostile.wasm", slowToCompile(4))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	reports := make(chan time.Duration, 2)
	compilation := &plugin.Compilation{}
	progress := make(chan string, 2)
	_, err := plugin.New(ctx, plugin.Options{Registry: record.NewRegistry(), Folders: []string{folder},
		CacheDir: filepath.Join(t.TempDir(), "cache"), Logger: (&logtest.Journal{}).Logger(plugin.LevelTrace),
		Compilation: compilation,
		Compiling:   func(elapsed time.Duration) { reports <- elapsed; progress <- compilation.String() }})
	if elapsed := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || elapsed > 50*time.Second ||
		(elapsed > 2*200*time.Millisecond && len(reports) != 2) {
		t.Errorf("expected the context's error within 50 s and two messages, found %v after %v and %d messages", err,
			elapsed, len(reports))
	}
	close(progress)
	if text, ok := <-progress; ok && !strings.Contains(text, "hostile for ") {
		t.Errorf("expected that the progress names the plugin, found %q", text)
	}
	assert.Equal(t, "", compilation.String(), "no progress after the end")
}

// A rejected module is not compiled again at later starts, until its file in the cache is deleted.
func TestRefusalsAreKept(t *testing.T) {
	trapping := guesttest.StaticModule(wit.Description{Name: "hostile", Version: "1.0.0",
		Components: []wit.Component{{Name: "hostile", Kind: wit.ComponentTransformation}}}, "", wit.InterfaceTransform)
	trapping.MemoryPages = 2
	trapping.Exports[trapping.Index(describeExport)].Body = nil
	invalid := hostile(2, constantBody([]byte{0x6a, 0x6a})) // the stack is empty
	for name, c := range map[string]struct {
		module []byte
		want   string
	}{
		"traps":            {module: trapping.Bytes(), want: "wasm error: unreachable"},
		"does not compile": {module: invalid.Bytes(), want: "the module does not compile"},
		"is refused": {
			module: func() []byte { m := manyBranches(); return m.Bytes() }(),
			want:   "effort of compiling function",
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			cache := filepath.Join(t.TempDir(), "cache")
			put(t, folder, "hostile.wasm", c.module)
			// load returns why a new manager rejects the file.
			load := func(file string) error {
				t.Helper()
				m, log := managerWithCache(t, folder, cache)
				defer m.Close()
				_, err := state(m, strings.TrimSuffix(file, ".wasm"))
				require.True(t, err != nil && strings.Contains(err.Error(), c.want),
					"expected %q, found %v\n%s", c.want, err, log)
				return err
			}
			var cached *plugin.RefusedError
			err := load("hostile.wasm")
			assert.True(t, !errors.As(err, &cached), "expected the module to be compiled the first time, found %v", err)
			// Neither a restart nor a touched or copied file compiles it again.
			put(t, folder, "copy.wasm", c.module)
			for _, file := range []string{"hostile.wasm", "copy.wasm"} {
				err := load(file)
				assert.True(t, errors.As(err, &cached), "%s: expected a cached rejection, found %v", file, err)
			}
			if cached == nil {
				return
			}
			assert.Contains(t, cached.Error(), "to try it now delete "+cached.File)
			require.NoError(t, os.Remove(cached.File))
			require.NoError(t, os.Remove(filepath.Join(folder, "copy.wasm")))
			err = load("hostile.wasm")
			assert.True(t, !errors.As(err, &cached), "expected the module to be compiled again, found %v", err)
		})
	}
}

// A custom section may contain nothing but its name, and may be anywhere, also at the end of the module (WebAssembly
// core specification, 5.5.3).
func TestEmptyCustomSections(t *testing.T) {
	static := guesttest.Static(wit.Description{Name: "small", Version: "1"}, "")
	for _, name := range []string{"", "x", "producers", "name", "component-type", ".debug_info"} {
		section := append([]byte{0, byte(1 + len(name)), byte(len(name))}, name...)
		for place, module := range map[string][]byte{
			"first": append(append(append([]byte{}, static[:8]...), section...), static[8:]...),
			"last":  append(append([]byte{}, static...), section...),
		} {
			t.Run(name+"/"+place, func(t *testing.T) {
				folder := folderWith(t, "small.wasm", module)
				m := manager(t, plugin.Options{}, folder)
				if info := m.Modules()[0]; info.Err != nil || info.Name != "small" {
					t.Errorf("expected the module to be loaded, found %v", info.Err)
				}
			})
		}
	}
}

// Limits are set by the name in a plugin's description. If a plugin exceeds a limit before it has returned its
// description, the message names the setting's general form, since a setting with the file's name has no effect.
func TestLimitMessagesBeforeDescription(t *testing.T) {
	m := guesttest.StaticModule(wit.Description{Name: "slow", Version: "1"}, "")
	m.Exports[m.Index(describeExport)].Body = endlessLoop()
	folder := folderWith(t, "file.wasm", m.Bytes())
	info := manager(t, plugin.Options{Limits: plugin.Limits{CallMs: 50}}, folder).Modules()[0]
	assert.True(t, info.Err != nil && strings.Contains(info.Err.Error(), "plugin.NAME.limits.call.ms") &&
		!strings.Contains(info.Err.Error(), "wasm.limits"), "expected plugin.NAME.limits.call.ms, found %v", info.Err)
}
