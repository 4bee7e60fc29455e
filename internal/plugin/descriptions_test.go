package plugin_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/plugin/internal/code"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// managerWithCache starts a manager with a cache folder, and returns it with its log.
func managerWithCache(t *testing.T, folder, cache string) (*plugin.Manager, *logtest.Journal) {
	t.Helper()
	log := &logtest.Journal{}
	return manager(t, plugin.Options{CacheDir: cache, Logger: log.Logger(plugin.LevelTrace)}, folder), log
}

// cacheFiles returns Culvert's files in a cache whose names end with kind.
func cacheFiles(t *testing.T, cache, kind string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(cache, "culvert-*."+kind))
	require.NoError(t, err)
	return files
}

// cachedDescriptions checks that the cached descriptions equal those of the running plugins, and returns them.
func cachedDescriptions(t *testing.T, m *plugin.Manager) (descriptions []wit.Description) {
	t.Helper()
	for _, info := range m.Modules() {
		require.NoError(t, info.Err)
		cached := info.Description()
		binding, err := m.BindPlugin("orders", info.Name, "")
		require.NoError(t, err)
		useInstance(t, binding, func(ctx context.Context, i *plugin.Instance) {
			if described, err := i.Describe(ctx); err != nil || !reflect.DeepEqual(described, cached) {
				t.Errorf("%s: expected the cached description %+v, found %+v and %v", info.Name, cached, described, err)
			}
		})
		binding.Close()
		descriptions = append(descriptions, cached)
	}
	return descriptions
}

// A file that was loaded before is not compiled or described until a connector needs it.
func TestKnownFilesAreNotCompiled(t *testing.T) {
	folder := t.TempDir()
	cache := filepath.Join(t.TempDir(), "cache")
	put(t, folder, "a.wasm", namedPlugin("a", "1.0.0", 0))
	put(t, folder, "b.wasm", guesttest.Static(wit.Description{Name: "b", Version: "1.0.0", Components: []wit.Component{
		{Name: "b.Mark", Kind: wit.ComponentTransformation}}}, "", wit.InterfaceTransform))
	first, _ := managerWithCache(t, folder, cache)
	assert.Equal(t, 2, plugin.LoadedModules(first), "plugins started the first time")
	want := cachedDescriptions(t, first)
	second, log := managerWithCache(t, folder, cache)
	assert.Equal(t, 0, plugin.LoadedModules(second), "plugins started the second time")
	got := cachedDescriptions(t, second)
	assert.True(t, reflect.DeepEqual(got, want) && len(got) == 2, "expected %+v, found %+v", want, got)
	assert.True(t, !strings.Contains(log.String(), "WARN"), "%v", log.String())
}

// countingFS counts how often each module is read completely.
type countingFS struct {
	fstest.MapFS
	reads atomic.Int64
}

func (c *countingFS) ReadFile(name string) ([]byte, error) {
	c.reads.Add(1)
	return c.MapFS.ReadFile(name)
}

// A built-in plugin that was loaded before is only hashed: its bytes are not copied.
func TestKnownBuiltInPluginsAreNotCopied(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	files := &countingFS{MapFS: fstest.MapFS{"a.wasm": {Data: namedPlugin("a", "1.0.0", 0)}}}
	for n, want := range []int64{1, 0} {
		files.reads.Store(0)
		m, err := plugin.New(t.Context(), plugin.Options{Registry: record.NewRegistry(), Embedded: files,
			CacheDir: cache, Needed: []plugin.Requirement{{Class: "org.example.AllSource"}}})
		require.NoError(t, err)
		cachedDescriptions(t, m)
		require.NoError(t, m.Close())
		if got := files.reads.Load(); got < want || (want == 0 && got > 0) {
			t.Errorf("start %d: expected %d complete reads, found %d", n, want, got)
		}
	}
}

// Damaged or foreign files in the cache are detected and created again.
func TestDamagedCacheIsRebuilt(t *testing.T) {
	for name, damage := range map[string]func(one, other []byte) []byte{
		"a byte is changed": func(one, _ []byte) []byte { one[len(one)-1] ^= 1; return one },
		"empty":             func(_, _ []byte) []byte { return nil },
		"another plugin's":  func(_, other []byte) []byte { return other },
		"forged without the name": func(one, _ []byte) []byte {
			sum := sha256.Sum256(one[sha256.Size:])
			return append(sum[:], one[sha256.Size:]...)
		},
	} {
		for _, kind := range []string{"json", "metered"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				folder := t.TempDir()
				cache := filepath.Join(t.TempDir(), "cache")
				put(t, folder, "a.wasm", namedPlugin("a", "1.0.0", 0))
				put(t, folder, "b.wasm", namedPlugin("b", "1.0.0", 1))
				m, _ := managerWithCache(t, folder, cache)
				want := cachedDescriptions(t, m)
				files := cacheFiles(t, cache, kind)
				require.Len(t, 2, files, "files")
				var contents [2][]byte
				for n := range contents {
					contents[n], _ = os.ReadFile(files[n])
				}
				for n := range contents {
					require.NoError(t, os.WriteFile(files[n], damage(append([]byte{}, contents[n]...), contents[1-n]),
						0o600))
				}
				m, log := managerWithCache(t, folder, cache)
				assert.Equal(t, want, cachedDescriptions(t, m))
				n := strings.Count(log.String(), "a file of the plugin cache is damaged")
				assert.True(t, n == 2 && !strings.Contains(log.String(), "<nil>"),
					"expected 2 warnings with the reason, found %d: %s", n, log.String())
				for n := range contents {
					if rebuilt, _ := os.ReadFile(files[n]); string(rebuilt) != string(contents[n]) {
						t.Errorf("%s: expected it to be created again", files[n])
					}
				}
			})
		}
	}
}

// Damaged compiled code is detected, and the plugin is compiled again.
func TestDamagedCodeIsRecompiled(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, file string){
		"cut off": func(t *testing.T, file string) { require.NoError(t, os.Truncate(file, 100)) },
		"cut in half": func(t *testing.T, file string) {
			info, err := os.Stat(file)
			require.NoError(t, err)
			require.NoError(t, os.Truncate(file, info.Size()/2))
		},
		"empty": func(t *testing.T, file string) { require.NoError(t, os.Truncate(file, 0)) },
		"no code": func(t *testing.T, file string) {
			require.NoError(t, os.WriteFile(file, []byte("content that wazero has not written"), 0o600))
		},
		"a folder": func(t *testing.T, file string) {
			require.NoError(t, os.Remove(file))
			require.NoError(t, os.Mkdir(file, 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(file, "x"), nil, 0o600))
		},
		"a link": func(t *testing.T, file string) {
			require.NoError(t, os.Remove(file))
			require.NoError(t, os.Symlink("/dev/zero", file))
		},
		"a file for its folder": func(t *testing.T, file string) {
			folder := filepath.Dir(filepath.Dir(file))
			require.NoError(t, os.RemoveAll(folder))
			require.NoError(t, os.WriteFile(folder, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := folderWith(t, "a.wasm", namedPlugin("a", "1.0.0", 0))
			cache := filepath.Join(t.TempDir(), "cache")
			m, _ := managerWithCache(t, folder, cache)
			want := cachedDescriptions(t, m)
			files, err := filepath.Glob(filepath.Join(cache, "culvert-*.code", "*", "*"))
			require.True(t, err == nil && len(files) == 1,
				"expected one file of compiled code, found %v, %v", files, err)
			damage(t, files[0])
			for _, warnings := range []int{1, 0} {
				m, log := managerWithCache(t, folder, cache)
				assert.Equal(t, want, cachedDescriptions(t, m))
				assert.Equal(t, warnings, strings.Count(log.String(), "level=WARN"), log)
				assert.Equal(t, warnings, strings.Count(log.String(), "is damaged"), log)
			}
		})
	}
}

// Warm compiles all plugins into the cache.
func TestWarmCompilesAllPlugins(t *testing.T) {
	folder := folderWith(t, "a.wasm", namedPlugin("a", "1.0.0", 0))
	cache := filepath.Join(t.TempDir(), "cache")
	m, _ := managerWithCache(t, folder, cache)
	for _, kind := range []string{"code", "metered"} {
		require.NoError(t, os.RemoveAll(cacheFiles(t, cache, kind)[0]))
	}
	require.NoError(t, m.Close())
	m, _ = managerWithCache(t, folder, cache) // the facts are cached, so nothing is compiled
	assert.Equal(t, 0, len(cacheFiles(t, cache, "code")))
	require.NoError(t, m.Warm(t.Context()))
	assert.Equal(t, 1, len(cacheFiles(t, cache, "code")))
	m = manager(t, plugin.Options{CacheDir: t.TempDir()}, t.TempDir())
	require.NoError(t, m.Warm(t.Context()))
	m, err := plugin.New(t.Context(), plugin.Options{Registry: record.NewRegistry()})
	require.NoError(t, err)
	defer m.Close()
	assert.Error(t, m.Warm(t.Context()), "no usable cache folder")
}

// Files that were not used for long are deleted from the cache; files in use stay.
func TestUnusedCacheFilesAreDeleted(t *testing.T) {
	folder := folderWith(t, "a.wasm", namedPlugin("a", "1.0.0", 0))
	cache := filepath.Join(t.TempDir(), "cache")
	m, _ := managerWithCache(t, folder, cache)
	cachedDescriptions(t, m)
	var kept []string
	for _, kind := range []string{"json", "metered", "code"} {
		kept = append(kept, cacheFiles(t, cache, kind)...)
	}
	age := func(name string, days int) string {
		t.Helper()
		name = filepath.Join(cache, name)
		if _, err := os.Lstat(name); err != nil {
			require.NoError(t, os.WriteFile(name, []byte("x"), 0o600))
		}
		modified := time.Now().AddDate(0, 0, -days)
		require.NoError(t, os.Chtimes(name, modified, modified))
		return name
	}
	for _, name := range kept {
		age(filepath.Base(name), 40)
	}
	key := strings.Repeat("0a", 32)
	expired := age("culvert-"+key+".code", 40)
	kept = append(kept, age("culvert-"+key+".json", 20), age("mine", 400))
	managerWithCache(t, folder, cache)
	_, err := os.Lstat(expired)
	assert.True(t, err != nil, "%s exists", expired)
	for _, name := range kept {
		_, err := os.Lstat(name)
		assert.NoError(t, err)
	}
}

// Code is not executed from a cache folder that other users can write to. If the cache cannot be written, starts take
// longer but succeed; the test uses a file instead of a folder because root may write to any folder.
func TestUnsafeCacheFolders(t *testing.T) {
	writableByAll := t.TempDir()
	notAFolder := filepath.Join(t.TempDir(), "cache")
	require.NoError(t, os.Chmod(writableByAll, 0o777))
	require.NoError(t, os.WriteFile(notAFolder, nil, 0o600))
	for cache, reason := range map[string]string{writableByAll: "chmod go-w", notAFolder: ""} {
		m, log := managerWithCache(t, folderWith(t, "a.wasm", namedPlugin("a", "1.0.0", 0)), cache)
		cachedDescriptions(t, m)
		assert.Equal(t, 1, strings.Count(log.String(), "the plugin cache is not used"), log)
		assert.Contains(t, log.String(), reason)
	}
	entries, _ := os.ReadDir(writableByAll)
	assert.Len(t, 0, entries, "the folder to stay empty")
}

// Cached results depend on how modules are prepared: a change of the result must increase PreparationVersion.
func TestPreparationVersion(t *testing.T) {
	sum := sha256.New()
	cases := hostileCases()
	for _, name := range []string{"endless recursion", "memory.copy up", "memory.fill", "memory.grow",
		"loop-free recursion", "maze", "nesting"} {
		module := cases[name].module
		prepared, err := code.Prepare(t.Context(), module.Bytes())
		require.True(t, err == nil, "%v %v", name, err)
		sum.Write(prepared.Wasm)
	}
	started := startModule([]byte{0x41, 0x00, 0x1a}, nil)
	prepared, err := code.Prepare(t.Context(), started.Bytes())
	require.NoError(t, err)
	sum.Write(prepared.Wasm)
	const number, want = 6, "4803030993f789c5"
	if got := hex.EncodeToString(sum.Sum(nil))[:16]; got != want || code.PreparationVersion != number {
		t.Errorf("expected %s of preparation %d, found %s of %d: raise code.Preparation and write both here", want,
			number, got, code.PreparationVersion)
	}
}
