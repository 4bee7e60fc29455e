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

// pinFunc moves a pin to a version.
type pinFunc func(version string)

// managerWithPin returns a manager with version 1.0.0 of a plugin, to which it is pinned, and the bindings of two
// connectors; pin moves the pin to another version.
func managerWithPin(t *testing.T) (folder string, m *plugin.Manager, orders, lines *plugin.Binding, pin pinFunc) {
	t.Helper()
	folder = t.TempDir()
	put(t, folder, "all.wasm", variant(t, "1.0.0", 0))
	m = manager(t, plugin.Options{}, folder)
	hashes := map[string]string{}
	pinned := ""
	pin = func(version string) {
		t.Helper()
		for _, o := range m.Versions() {
			hashes[o.Version] = o.Hash[:12]
		}
		m.Pin(map[string]plugin.PinnedVersion{"all": {Version: version, Hash: hashes[version],
			Previous: hashes[pinned]}})
		pinned = version
	}
	pin("1.0.0")
	return folder, m, boundTo(t, m, "orders", wit.ComponentSource, "AllSource"),
		boundTo(t, m, "lines", wit.ComponentSource, "AllSource"), pin
}

// offeredVersions returns `VERSION STATE REJECTED` for each version that a manager offers.
func offeredVersions(m *plugin.Manager) (versions []string) {
	states := map[string]string{}
	for _, info := range m.Modules() {
		states[info.Version] = info.State()
	}
	for _, offer := range m.Versions() {
		versions = append(versions, fmt.Sprintf("%s %s %t", offer.Version, states[offer.Version], offer.Rejected))
	}
	return versions
}

// A newer file waits until the group runs it, also for new connectors. The pinned version stays although its file was
// replaced twice, or deleted.
func TestPinnedVersionStays(t *testing.T) {
	folder, m, orders, lines, pin := managerWithPin(t)
	for _, version := range []string{"1.1.0", "1.2.0"} {
		put(t, folder, "all.wasm", variant(t, version, 0))
		require.NoError(t, m.Reload(t.Context()))
		if orders.Candidate() != nil || lines.Candidate() != nil {
			t.Fatalf("expected no candidate while the group runs 1.0.0, found %v and %v", orders.Candidate(),
				lines.Candidate())
		}
	}
	assert.Equal(t, []string{"1.2.0 kept false", "1.0.0 active false"}, offeredVersions(m))
	late := boundTo(t, m, "late", wit.ComponentSource, "AllSource")
	assertWorks(t, late.Current(), "1.0.0")
	specified, err := m.Bind("named", wit.ComponentSource, "AllSource", "1.2.0")
	require.NoError(t, err)
	defer specified.Close()
	assertWorks(t, specified.Current(), "1.2.0")
	for versions, want := range map[string]string{"[1.0,)": "1.0.0", "[1.1,)": "1.2.0"} {
		binding, err := m.Bind("ranges", wit.ComponentSource, "AllSource", versions)
		require.NoError(t, err)
		assertWorks(t, binding.Current(), want)
		binding.Close()
	}

	require.NoError(t, os.Remove(filepath.Join(folder, "all.wasm")))
	put(t, folder, "all-1.3.0.wasm", variant(t, "1.3.0", 0))
	require.NoError(t, m.Reload(t.Context()))
	assertWorks(t, boundTo(t, m, "later", wit.ComponentSource, "AllSource").Current(), "1.0.0")

	pin("1.3.0")
	for _, binding := range []*plugin.Binding{orders, lines, late} {
		pool := binding.Candidate()
		binding.Promote(pool)
		assertWorks(t, binding.Current(), "1.3.0")
	}
	require.NoError(t, m.Reload(t.Context()))
	assert.Equal(t, []string{"1.3.0 active false"}, offeredVersions(m))

	m.Pin(map[string]plugin.PinnedVersion{"all": {Hash: "0123456789ab"}})
	_, err = m.Bind("none", wit.ComponentSource, "AllSource", "")
	assert.Error(t, err, "no plugin has the source AllSource; refused: version 1.3.0 waits, because this "+
		"worker's group runs the one whose file hash begins with 0123456789ab, which is missing here")
	if orders.Candidate() != nil {
		t.Errorf("expected no candidate for a pin to an unknown version, found %v", orders.Candidate())
	}
}

// A version that traps is replaced by the previous one at once, without waiting for the group.
func TestTrappingPinnedVersionIsReplaced(t *testing.T) {
	m, binding, _, folder := bindFickle(t, "1.0.0", prepareWorks)
	first := m.Versions()[0]
	m.Pin(map[string]plugin.PinnedVersion{first.Name: {Hash: first.Hash[:12]}})
	put(t, folder, "fickle.wasm", fickle(t, "1.1.0", prepareLoops))
	require.NoError(t, m.Reload(t.Context()))
	second := m.Versions()[0]
	m.Pin(map[string]plugin.PinnedVersion{first.Name: {Hash: second.Hash[:12], Previous: first.Hash[:12]}})
	binding.Promote(binding.Candidate())
	assert.Equal(t, 3, callsUntilSuccess(t, binding), "broken calls before the rollback")
	assert.Equal(t, []string{"1.1.0 refused true", "1.0.0 active false"}, offeredVersions(m))
	if status := binding.Status(); status.Version != "1.0.0" || !strings.Contains(status.Rejected, "was rolled back") {
		t.Errorf("expected 1.0.0 and a rolled back version, found %+v", status)
	}
}
