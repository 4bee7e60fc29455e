package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// variant returns a small plugin in the given version; different marks result in different bytes.
func variant(t testing.TB, version string, mark byte) []byte {
	t.Helper()
	return namedPlugin("all", version, mark)
}

func namedPlugin(name, version string, mark byte) []byte {
	return guesttest.Static(wit.Description{Name: name, Version: version, Documentation: string('a' + rune(mark)),
		Components: []wit.Component{
			{Name: "org.example.AllSource", Kind: wit.ComponentSource, Aliases: []string{"AllSource"}},
			{Name: "org.example.AllSink", Kind: wit.ComponentSink}}}, "", wit.InterfaceSource, wit.InterfaceSink)
}

// waitFor waits for a condition.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Until(t, condition, func() string { return what })
}

// watchedManager returns a folder with version 1.0.0 of a plugin, a manager that watches it, and a binding.
func watchedManager(t *testing.T) (folder string, m *plugin.Manager, binding *plugin.Binding) {
	t.Helper()
	folder = t.TempDir()
	put(t, folder, "all.wasm", variant(t, "1.0.0", 0))
	m = manager(t, plugin.Options{Watch: true, Debounce: 20 * time.Millisecond}, folder)
	binding = boundTo(t, m, "orders", wit.ComponentSource, "AllSource")
	return folder, m, binding
}

func assertWorks(t *testing.T, pool *plugin.Pool, version string) {
	t.Helper()
	err := pool.Do(t.Context(), func(i *plugin.Instance) error {
		description, err := i.Describe(t.Context())
		assert.True(t, err != nil || description.Version == version,
			"expected version %s, found %s", version, description.Version)
		return err
	})
	assert.NoError(t, err)
}

func TestSwapByPromotion(t *testing.T) {
	folder, m, binding := watchedManager(t)
	require.True(t, binding.Candidate() == nil, "a candidate before anything changed")
	// An instance is in use while the file changes: its page continues with the old code.
	old := binding.Current()
	instance, err := old.Acquire(t.Context())
	require.NoError(t, err)
	put(t, folder, "all.wasm", variant(t, "1.1.0", 0))
	waitFor(t, "a candidate", func() bool { return binding.Candidate() != nil })
	candidate := binding.Candidate()
	assert.True(t, candidate == binding.Candidate() && binding.Current() == old,
		"a second call returns another version")
	if status := binding.Status(); status.Version != "1.0.0" || status.Candidate != "1.1.0" || !status.Removed {
		t.Errorf("with a candidate: expected 1.0.0, whose file is gone, and candidate 1.1.0, found %+v", status)
	}
	infos := m.Modules()
	assert.True(t, len(infos) == 2 && infos[0].Active && infos[0].Version == "1.1.0" && !infos[1].Active &&
		infos[1].Version == "1.0.0", "with a candidate: expected 1.1.0 active and 1.0.0 not, found %+v", infos)
	assertWorks(t, candidate, "1.1.0")
	assertWorks(t, old, "1.0.0")
	users := map[string][]string{old.Module().Hash: {"orders"}}
	assert.Equal(t, users, m.Users())
	binding.Promote(candidate)
	users = map[string][]string{candidate.Module().Hash: {"orders"}}
	assert.Equal(t, users, m.Users())
	assert.True(t, binding.Current() == candidate && binding.Candidate() == nil, "the promoted version is not current")
	if description, err := instance.Describe(t.Context()); err != nil || description.Version != "1.0.0" {
		t.Errorf("the page of the old version: %v %v", description.Version, err)
	}
	old.Release(instance)
	_, err = old.Acquire(t.Context())
	assert.ErrorIs(t, err, plugin.ErrClosed, "the old pool")
	assertWorks(t, binding.Current(), "1.1.0")
	if got := binding.Status(); got.Version != "1.1.0" || got.Candidate != "" || got.Removed {
		t.Errorf("after the promotion: expected 1.1.0 and no candidate, found %+v", got)
	}
}

func TestSwapByRejection(t *testing.T) {
	folder, _, binding := watchedManager(t)
	put(t, folder, "new.wasm", variant(t, "1.1.0", 0))
	waitFor(t, "a candidate", func() bool { return binding.Candidate() != nil })
	binding.Reject(binding.Candidate(), "feeds differ")
	assert.True(t, binding.Candidate() == nil, "a rejected version is offered again")
	status := binding.Status()
	assert.True(t, status.Version == "1.0.0" && status.Rejected == "1.1.0: feeds differ" && status.Candidate == "" &&
		!status.Removed, "after the rejection: expected 1.0.0 and the reason, found %+v", status)
	assertWorks(t, binding.Current(), "1.0.0")
	// A third file is checked again.
	put(t, folder, "new.wasm", variant(t, "1.2.0", 0))
	waitFor(t, "another candidate", func() bool { return binding.Candidate() != nil })
	binding.Promote(binding.Candidate())
	if status := binding.Status(); status.Version != "1.2.0" || status.Rejected != "" {
		t.Errorf("after another file: expected 1.2.0 without a rejection, found %+v", status)
	}
}

func TestBadFileKeepsRunningVersion(t *testing.T) {
	folder, m, binding := watchedManager(t)
	complete := variant(t, "1.1.0", 0)
	put(t, folder, "all.wasm", complete[:len(complete)/2])
	waitFor(t, "the refusal", func() bool { return binding.Status().FileError != "" })
	status := binding.Status()
	assert.True(t, status.Version == "1.0.0" && !status.Removed && strings.Contains(status.FileError, "truncated"),
		"half a file: expected 1.0.0 and that the file is truncated, found %+v", status)
	assert.True(t, binding.Candidate() == nil, "a rejected file is a candidate")
	assertWorks(t, binding.Current(), "1.0.0")
	module, err := m.Find(wit.ComponentSource, "AllSource", "")
	assert.True(t, err == nil && module.Version == "1.0.0", "new connectors do not get the old version %v", err)
	infos := m.Modules()
	assert.True(t, len(infos) == 2 && infos[0].Err != nil && infos[1].Err == nil,
		"half a file: expected it with its error and the running version without, found %+v", infos)
	// If the file is replaced by the running version, nothing is swapped.
	put(t, folder, "all.wasm", variant(t, "1.0.0", 0))
	waitFor(t, "the return", func() bool { return binding.Status().FileError == "" })
	if status := binding.Status(); status.Removed || status.Candidate != "" || binding.Candidate() != nil {
		t.Errorf("the running version again: expected no candidate, found %+v", status)
	}
	// The rest of the copy arrives.
	put(t, folder, "all.wasm", complete)
	waitFor(t, "the whole file", func() bool { return binding.Candidate() != nil })
	if status := binding.Status(); status.FileError != "" || status.Candidate != "1.1.0" {
		t.Errorf("the whole file: expected candidate 1.1.0 and no error, found %+v", status)
	}
}

func TestRemovedFile(t *testing.T) {
	folder, m, binding := watchedManager(t)
	require.NoError(t, os.Remove(filepath.Join(folder, "all.wasm")))
	waitFor(t, "the removal", func() bool { return binding.Status().Removed })
	assertWorks(t, binding.Current(), "1.0.0")
	_, err := m.Bind("new", wit.ComponentSource, "AllSource", "")
	assert.Error(t, err, "no plugin has the source AllSource")
	infos := m.Modules()
	assert.True(t, len(infos) == 1 && !infos[0].Active, "expected one version that is not active, found %+v", infos)
	put(t, folder, "all.wasm", variant(t, "1.0.0", 1))
	waitFor(t, "its return", func() bool { return binding.Candidate() != nil })
}

// An operator's choice takes precedence over newer versions, of the same file and of others, until another file is
// found.
func TestSwap(t *testing.T) {
	folder := folderWith(t, "all.wasm", variant(t, "1.0.0", 0))
	put(t, folder, "other.wasm", variant(t, "1.5.0", 0))
	m := manager(t, plugin.Options{}, folder)
	binding, err := m.Bind("c", wit.ComponentSink, "org.example.AllSink", "")
	require.NoError(t, err)
	hash := func(version string) string {
		for _, i := range m.Modules() {
			if i.Version == version {
				return i.Hash
			}
		}
		t.Fatalf("there is no version %s", version)
		return ""
	}
	// promote promotes the candidate, which must have the version.
	promote := func(version string) {
		t.Helper()
		pool := binding.Candidate()
		require.True(t, pool != nil && pool.Module().Version == version,
			"expected candidate %s, found %v", version, pool)
		binding.Promote(pool)
		assertWorks(t, binding.Current(), version)
		assert.True(t, binding.Candidate() == nil, "another version is offered next to %s", version)
		module, err := m.Find(wit.ComponentSink, "org.example.AllSink", "")
		assert.True(t, err == nil && module.Version == version,
			"new connectors: expected %s, found %s: %v", version, module.Version, err)
	}
	assertWorks(t, binding.Current(), "1.5.0")
	require.NoError(t, m.Swap(t.Context(), "all", hash("1.0.0")))
	promote("1.0.0")
	require.NoError(t, m.Swap(t.Context(), "all", hash("1.5.0")))
	promote("1.5.0")
	for _, unknown := range []struct{ name, hash string }{
		{name: "all", hash: "1234"},
		{name: "none", hash: hash("1.0.0")},
	} {
		if err := m.Swap(t.Context(), unknown.name, unknown.hash); !errors.Is(err, plugin.ErrUnknownVersion) {
			t.Errorf("%+v: expected %v, found %v", unknown, plugin.ErrUnknownVersion, err)
		}
	}
	// A new file takes precedence over the earlier choice.
	put(t, folder, "all.wasm", variant(t, "2.0.0", 0))
	require.NoError(t, m.Reload(t.Context()))
	promote("2.0.0")
	// The previous version of the file can be selected, and the newer one again.
	require.NoError(t, m.Swap(t.Context(), "all", hash("1.0.0")))
	promote("1.0.0")
	require.NoError(t, m.Swap(t.Context(), "all", hash("2.0.0")))
	promote("2.0.0")
}

func TestNewestVersionOfSeveralFiles(t *testing.T) {
	folder := folderWith(t, "old.wasm", variant(t, "1.9.0", 0))
	put(t, folder, "new.wasm", variant(t, "1.10.0", 0))
	m := manager(t, plugin.Options{}, folder)
	for version, want := range map[string]string{"": "1.10.0", "latest": "1.10.0", "1.9.0": "1.9.0", "v1.9": "1.9.0",
		"1.10.0": "1.10.0", "[1.9.0]": "1.9.0", "[1.0,1.10)": "1.9.0", "[1.0,2.0)": "1.10.0"} {
		binding, err := m.Bind("c", wit.ComponentSink, "org.example.AllSink", version)
		require.NoError(t, err)
		assertWorks(t, binding.Current(), want)
		assert.True(t, binding.Candidate() == nil, "a connector that chose its version is offered another")
		if component := binding.Component(); component == nil || component.Name != "org.example.AllSink" {
			t.Errorf("version %q: expected its sink, found %+v", version, component)
		}
	}
	for version, want := range map[string]string{
		"[2.0,)": "sink org.example.AllSink: expected version [2.0,), found 1.9.0, 1.10.0",
		"[2.0":   "sink org.example.AllSink: version: Unbounded range: [2.0"} {
		_, err := m.Find(wit.ComponentSink, "org.example.AllSink", version)
		assert.Equal(t, want, fmt.Sprint(err))
		_, err = m.Bind("c", wit.ComponentSink, "org.example.AllSink", version)
		assert.Equal(t, want, fmt.Sprint(err))
	}
	// Of equal versions with different bytes, the one that was loaded later is newer.
	put(t, folder, "z.wasm", variant(t, "1.10.0", 1))
	require.NoError(t, m.Reload(t.Context()))
	module, err := m.Find(wit.ComponentSink, "org.example.AllSink", "")
	assert.True(t, err == nil && filepath.Base(module.Path) == "z.wasm",
		"expected the version of z.wasm, found that of %s: %v", module.Path, err)
}

func TestOneClassInTwoPlugins(t *testing.T) {
	folder := folderWith(t, "a.wasm", variant(t, "1.0.0", 0))
	put(t, folder, "b.wasm", namedPlugin("other", "1.0.0", 0))
	m := manager(t, plugin.Options{}, folder)
	_, err := m.Bind("c", wit.ComponentSink, "org.example.AllSink", "")
	assert.Error(t, err, "expected one plugin that has it, found all, other")
}

// Instances number schemas independently; equal schemas have one ID outside.
func TestSchemasOfTwoInstances(t *testing.T) {
	reg := record.NewRegistry()
	_, first := guest(t, plugin.Options{Registry: reg}, allGuest)
	ids := map[uint32]bool{}
	pass := func(i *plugin.Instance, context string, b *record.Batch) {
		t.Helper()
		prepared, err := i.Prepare(t.Context(), []wit.Stage{{Component: context}})
		require.NoError(t, err)
		_, err = i.Apply(t.Context(), prepared, b)
		require.NoError(t, err)
	}
	useInstance(t, first, func(ctx context.Context, instance *plugin.Instance) {
		useInstance(t, first, func(ctx context.Context, other *plugin.Instance) {
			for _, i := range []*plugin.Instance{instance, other, instance} {
				b := batch(t, reg, 2, 6)
				pass(i, "declare", b)
				for _, r := range b.Rows {
					ids[r.Value.Schema] = true
				}
				// The other instance receives the declared schema as a schema of the host.
				pass(other, "pass", b)
				pass(instance, "unchanged", b)
				for _, r := range b.Rows {
					ids[r.Value.Schema] = true
				}
			}
		})
	})
	assert.Equal(t, 1, len(ids), "schemas", ids)
	for id := range ids {
		s := reg.Get(id)
		assert.True(t, s != nil && *s.Root().Name == "mine", "schema %d: expected the name mine, found %+v", id, s)
	}
}

// Code that no connector uses is freed, and loaded again when needed.
func TestUnusedCodeIsFreed(t *testing.T) {
	folder := folderWith(t, "fickle.wasm", fickle(t, "1.0.0", prepareWorks))
	embedded := fstest.MapFS{"all.wasm": {Data: variant(t, "1.0.0", 0)}}
	m := manager(t, plugin.Options{Embedded: embedded, CodeIdle: 20 * time.Millisecond}, folder)
	waitFor(t, "no loaded module after the start", func() bool { return plugin.LoadedModules(m) == 0 })
	for class, kind := range map[string]wit.ComponentKind{
		"AllSource": wit.ComponentSource,
		"Fickle":    wit.ComponentTransformation,
	} {
		binding, err := m.Bind("c", kind, class, "")
		require.NoError(t, err)
		err = binding.Current().Do(t.Context(), func(i *plugin.Instance) error {
			description, err := i.Describe(t.Context())
			if err == nil && plugin.LoadedModules(m) != 1 {
				t.Errorf("%s: expected 1 loaded module, found %d", description.Name, plugin.LoadedModules(m))
			}
			return err
		})
		assert.NoError(t, err)
		binding.Close()
		waitFor(t, "no loaded module after the connector", func() bool { return plugin.LoadedModules(m) == 0 })
	}
	if infos := m.Modules(); len(infos) != 2 || infos[0].Err != nil || len(infos[1].Components) != 1 {
		t.Errorf("expected the descriptions of both modules, found %+v", infos)
	}
}

// Code without instances is also freed while a connector uses the plugin, and loaded again with the next call.
func TestCodeWithoutInstancesIsFreed(t *testing.T) {
	m := manager(t, plugin.Options{Embedded: fstest.MapFS{"all.wasm": {Data: variant(t, "1.0.0", 0)}},
		Idle: 20 * time.Millisecond, CodeIdle: 20 * time.Millisecond}, t.TempDir())
	binding := boundTo(t, m, "c", wit.ComponentSource, "AllSource")
	for range 3 {
		var tasks sync.WaitGroup
		for range 4 {
			tasks.Go(func() {
				err := binding.Current().Do(t.Context(), func(i *plugin.Instance) error {
					plugin.FreeIdleCode(m) // must not free code with an instance
					assert.Equal(t, 1, plugin.LoadedModules(m), "the code of an instance was freed")
					_, err := i.Describe(t.Context())
					return err
				})
				assert.NoError(t, err)
			})
		}
		tasks.Wait()
		waitFor(t, "no loaded module between calls", func() bool { return plugin.LoadedModules(m) == 0 })
	}
}

// A new version is found while other files in the folder change all the time.
func TestBusyFolderIsScanned(t *testing.T) {
	for _, name := range []string{"build.log", "copy.wasm"} {
		t.Run(name, func(t *testing.T) {
			folder, _, binding := watchedManager(t)
			busy, err := os.Create(filepath.Join(folder, name))
			require.NoError(t, err)
			var writing sync.WaitGroup
			stop := make(chan struct{})
			defer func() { close(stop); writing.Wait(); busy.Close() }()
			writing.Go(func() {
				tick := time.NewTicker(time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-tick.C:
						busy.WriteAt([]byte{0, 'a', 's', 'm'}, 0)
					case <-stop:
						return
					}
				}
			})
			put(t, folder, "all.wasm", variant(t, "1.1.0", 0))
			waitFor(t, "a candidate", func() bool { return binding.Candidate() != nil })
		})
	}
}
