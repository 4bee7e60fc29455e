package plugin_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/wit"
)

// pinnedTo returns a manager with version 1.0.0 of a plugin, pinned, and two bindings; pin moves the pin to an earlier
// version and returns the versions that the manager offers.
func pinnedTo(t *testing.T) (folder string, m *plugin.Manager, a, binding *plugin.Binding, pin func(hash string)) {
	t.Helper()
	folder = t.TempDir()
	put(t, folder, "all.wasm", variant(t, "1.0.0", 0))
	m = manager(t, plugin.Options{}, folder)
	hashes := map[string]string{}
	before := ""
	pin = func(version string) {
		t.Helper()
		for _, o := range m.Versions() {
			hashes[o.Version] = o.Hash[:12]
		}
		m.Pin(map[string]plugin.PinnedVersion{"all": {Hash: hashes[version], Previous: hashes[before]}})
		before = version
	}
	pin("1.0.0")
	return folder, m, boundTo(t, m, "orders", wit.ComponentSource, "AllSource"),
		boundTo(t, m, "lines", wit.ComponentSource, "AllSource"), pin
}

// offered returns the versions that a manager offers, with their state.
func offered(m *plugin.Manager) (all []string) {
	active := map[string]string{}
	for _, i := range m.Modules() {
		active[i.Version] = i.State()
	}
	for _, o := range m.Versions() {
		all = append(all, fmt.Sprintf("%s %s %t", o.Version, active[o.Version], o.Rejected))
	}
	return all
}

// A newer file waits until the group runs it, also for new connectors. The pinned version stays although its file was
// replaced twice, or deleted.
func TestPinnedVersionStays(t *testing.T) {
	folder, m, a, binding, pin := pinnedTo(t)
	for _, version := range []string{"1.1.0", "1.2.0"} {
		put(t, folder, "all.wasm", variant(t, version, 0))
		require.NoError(t, m.Reload(t.Context()))
		if a.Candidate() != nil || binding.Candidate() != nil {
			t.Fatal("a candidate that the group does not run")
		}
	}
	assert.Equal(t, []string{"1.2.0 kept false", "1.0.0 active false"}, offered(m))
	c := boundTo(t, m, "late", wit.ComponentSource, "AllSource")
	works(t, c.Current(), "1.0.0")
	named, err := m.Bind("named", wit.ComponentSource, "AllSource", "1.2.0")
	require.NoError(t, err)
	defer named.Close()
	works(t, named.Current(), "1.2.0")

	require.NoError(t, os.Remove(filepath.Join(folder, "all.wasm")))
	put(t, folder, "all-1.3.0.wasm", variant(t, "1.3.0", 0))
	require.NoError(t, m.Reload(t.Context()))
	works(t, boundTo(t, m, "later", wit.ComponentSource, "AllSource").Current(), "1.0.0")

	pin("1.3.0")
	for _, each := range []*plugin.Binding{a, binding, c} {
		pool := each.Candidate()
		each.Promote(pool)
		works(t, each.Current(), "1.3.0")
	}
	require.NoError(t, m.Reload(t.Context()))
	assert.Equal(t, []string{"1.3.0 active false"}, offered(m))

	m.Pin(map[string]plugin.PinnedVersion{"all": {Hash: "0123456789ab"}})
	_, err = m.Bind("none", wit.ComponentSource, "AllSource", "")
	assert.Error(t, err, "no plugin has the source AllSource; refused: version 1.3.0 waits, because this "+
		"worker's group runs the one whose file hash begins with 0123456789ab, which is missing here")
	if a.Candidate() != nil {
		t.Error("the running version before the worker's assignment is empty")
	}
}

// A version that traps is replaced by the previous one at once, without waiting for the group.
func TestTrappingPinnedVersionIsReplaced(t *testing.T) {
	m, binding, _, folder := fickles(t, "1.0.0", true)
	first := m.Versions()[0]
	m.Pin(map[string]plugin.PinnedVersion{first.Name: {Hash: first.Hash[:12]}})
	put(t, folder, "fickle.wasm", fickle(t, "1.1.0", false))
	require.NoError(t, m.Reload(t.Context()))
	second := m.Versions()[0]
	m.Pin(map[string]plugin.PinnedVersion{first.Name: {Hash: second.Hash[:12], Previous: first.Hash[:12]}})
	binding.Promote(binding.Candidate())
	assert.Equal(t, 3, callsUntilSuccess(t, binding), "3 broken calls")
	assert.Equal(t, []string{"1.1.0 refused true", "1.0.0 active false"}, offered(m))
	if status := binding.Status(); status.Version != "1.0.0" || !strings.Contains(status.Rejected, "was rolled back") {
		t.Errorf("found %+v", status)
	}
}
