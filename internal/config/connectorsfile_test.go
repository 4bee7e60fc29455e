package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// openTestFile opens the file of connectors that REST created in a folder.
func openTestFile(t *testing.T, dir string) *ConnectorsFile {
	t.Helper()
	f, err := OpenConnectorsFile(filepath.Join(dir, "connectors.json"))
	require.NoError(t, err)
	return f
}

// storeSetting stores the connector a with a setting x, replacing a version; "" means any version.
func storeSetting(t *testing.T, s *FolderStore, x, over string) error {
	t.Helper()
	stored := Stored{Connector: settings(t, "request", "name=a\nx="+x)}
	if over != "" {
		stored.IfMatch = func(version string) bool { return version == over }
	}
	return s.Put(t.Context(), "a", stored)
}

// version returns the version of connector a in the store.
func version(s *FolderStore) string {
	snapshot, _ := s.Snapshot()
	return snapshot.Connectors[0].Version
}

// A connector created by REST exists after a restart, with any characters and with its version. A deleted connector
// does not.
func TestRESTConnectorsSurviveRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	odd := map[string]string{"name": "../b/c", "x": " # \\ \t = : é\n!\x00", "a b=c:#d": "#1"}
	store := openFolderStore(t, Locations{REST: openTestFile(t, dir)})
	connector := &Connector{Name: "../b/c"}
	for key, value := range odd {
		connector.Entries = append(connector.Entries, NewEntry(key, value, "", 0))
	}
	require.NoError(t, store.Put(t.Context(), connector.Name, Stored{Connector: connector}))
	require.NoError(t, storeSetting(t, store, "1", ""))
	require.NoError(t, store.Put(t.Context(), "a", Stored{Target: TargetPaused}))
	assert.Equal(t, TargetPaused, store.locations.TargetStates.Get(&Connector{Name: "a"}))
	store = openFolderStore(t, Locations{REST: openTestFile(t, dir)})
	snapshot, _ := store.Snapshot()
	assert.Equal(t, 2, len(snapshot.Connectors))
	assert.Equal(t, odd, snapshot.Connectors[0].Raw())
	assert.Equal(t, "2", snapshot.Connectors[1].Version)
	require.NoError(t, store.Delete(t.Context(), "a"))
	assert.Error(t, store.Delete(t.Context(), "a"), "expected connector a to be one that was created by REST")
	store = openFolderStore(t, Locations{REST: openTestFile(t, dir)})
	require.NoError(t, storeSetting(t, store, "1", ""))
	snapshot, _ = store.Snapshot()
	assert.Equal(t, "3", snapshot.Connectors[1].Version) // not a version of an earlier connector of its name
	write(t, filepath.Join(dir, "connectors.json"), "{")
	_, err := OpenConnectorsFile(filepath.Join(dir, "connectors.json"))
	assert.True(t, err != nil, "expected an error for a truncated file")
}

// The second of two changes to one version is rejected and writes nothing.
func TestConcurrentChangeIsRejected(t *testing.T) {
	t.Parallel()
	store := openFolderStore(t, Locations{REST: openTestFile(t, t.TempDir())})
	assert.Error(t, storeSetting(t, store, "1", "1"), "has changed in the meantime")
	require.NoError(t, storeSetting(t, store, "1", ""))
	first := version(store)
	require.NoError(t, storeSetting(t, store, "1", first)) // unchanged
	assert.Equal(t, first, version(store))
	require.NoError(t, storeSetting(t, store, "2", first))
	var changed *ChangedError
	assert.Equal(t, true, errors.As(storeSetting(t, store, "3", first), &changed))
	assert.Equal(t, "a=2", describeStore(t, store))
	require.NoError(t, store.Delete(t.Context(), "a"))
	assert.Error(t, storeSetting(t, store, "3", "2"), "has changed in the meantime")
}

// If the file cannot be written, the connector, its state and its version do not change.
func TestFailedWriteChangesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "gone")
	require.NoError(t, os.Mkdir(dir, 0o700))
	s := openFolderStore(t, Locations{REST: openTestFile(t, dir)})
	require.NoError(t, storeSetting(t, s, "1", ""))
	require.NoError(t, os.RemoveAll(dir))
	err := s.Put(t.Context(), "a", Stored{Connector: settings(t, "request", "name=a\nx=2"), Target: TargetStopped})
	assert.Error(t, err, "no such file or directory")
	assert.Equal(t, "a=1", describeStore(t, s))
	assert.Equal(t, map[string]string{}, s.locations.TargetStates.All())
	assert.Error(t, s.Put(t.Context(), "b", Stored{Connector: settings(t, "request",
		"name=b\nx="+strings.Repeat("x", maxFileBytes))}), "expected at most 1048576 bytes in a configuration")
}

// Connector files of an earlier version are imported once, with their target states.
func TestImport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder := filepath.Join(dir, "connectors")
	require.NoError(t, os.Mkdir(folder, 0o700))
	write(t, filepath.Join(folder, "a.json"), `{"name":"a","x":"${file:/f:k}"}`)
	write(t, filepath.Join(folder, "b.properties"), "x=1")
	write(t, filepath.Join(folder, "c.json"), `{"name":"c","config":{"x":"1"},"initial_state":"STOPPED"}`)
	write(t, filepath.Join(folder, "bad.json"), `{`)
	targets := openTargetStates(t, filepath.Join(dir, "states.json"))
	made := openTestFile(t, dir)
	imported, problems, err := made.Import(folder, targets)
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b", "c"}, imported)
	assert.Error(t, problems.Err(), "bad.json:1: invalid JSON")
	assert.Equal(t, map[string]string{"c": TargetStopped}, targets.All())
	assert.Equal(t, map[string]string{"name": "a", "x": "${file:/f:k}"},
		openTestFile(t, dir).connector("a", &Providers{}).Raw())
	write(t, filepath.Join(folder, "again.json"), `{"name":"a","x":"${file:/f:k}"}`) // after a crash
	write(t, filepath.Join(folder, "bad.json"), `{"name":"b","x":"2"}`)
	imported, problems, err = made.Import(folder, targets)
	require.NoError(t, err)
	assert.Equal(t, 0, len(imported))
	assert.Error(t, problems.Err(), "contains a connector of the same name, b")
	require.NoError(t, os.Remove(filepath.Join(folder, "bad.json")))
	_, _, err = made.Import(folder, targets)
	require.NoError(t, err)
	_, err = os.Stat(folder)
	assert.True(t, err != nil, "expected the empty folder to be removed")
}

// A connector that has a file must be changed there, also while it runs with an earlier version of the file.
func TestCheckWritable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.properties")
	write(t, path, "name=a\nx=1\n")
	s := openFolderStore(t, Locations{Folder: dir, Files: []*Connector{{Name: "n", File: "n.properties"}}})
	message := "Connector a is kept in " + path + ", in the folder of connectors (--config): change it there"
	for _, err := range []error{s.CheckWritable("a", path), s.CheckWritable("a", ""), storeSetting(t, s, "2", ""),
		s.Delete(t.Context(), "a")} {
		assert.Error(t, err, message)
	}
	assert.Error(t, s.CheckWritable("old", path), "Connector old is kept in "+path)
	require.NoError(t, s.CheckWritable("b", ""))
	assert.Error(t, s.CheckWritable("n", "n.properties"),
		"is kept in n.properties, which was named when the worker was started")
}

// A file that is too large is rejected, and nothing changes in memory.
func TestConnectorsFileIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "connectors.json")
	write(t, path, "{}")
	require.NoError(t, os.Truncate(path, maxConnectorsFile+1))
	_, err := OpenConnectorsFile(path)
	assert.True(t, err != nil, "expected an error for a file that is too large")
}
