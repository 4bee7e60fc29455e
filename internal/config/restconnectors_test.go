package config

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// openFolderStore returns a store of these locations after its first scan.
func openFolderStore(t *testing.T, locations Locations) *FolderStore {
	t.Helper()
	s := NewFolderStore(locations, plainWorker(t, ""), slog.New(slog.DiscardHandler))
	s.scan()
	return s
}

func settings(t *testing.T, file, text string) *Connector {
	t.Helper()
	entries, problems := Read(file, []byte(text))
	require.NoError(t, problems.Err())
	connector, problems := NewConnector(file, entries, nil)
	connector.Problems = problems
	require.NoError(t, problems.Err())
	return connector
}

// describeStore returns the connectors of a store as NAME=x, followed by the warnings.
func describeStore(t *testing.T, s *FolderStore) string {
	t.Helper()
	snapshot, isScanned := s.Snapshot()
	require.True(t, isScanned, "expected the first scan to be done")
	var texts []string
	for _, connector := range snapshot.Connectors {
		texts = append(texts, connector.Name+"="+connector.Text("x"))
	}
	for _, p := range snapshot.Problems {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, " ")
}

// memoryStore is a [Store] of connectors that REST created.
type memoryStore struct {
	Store
	connectors []*Connector
	revision   int
}

func (m *memoryStore) Snapshot() (Snapshot, bool) {
	return Snapshot{Connectors: m.connectors, Revision: m.revision}, true
}

func (m *memoryStore) IsStale(s Snapshot) bool { return s.Revision != m.revision }

func (m *memoryStore) Put(_ context.Context, name string, stored Stored) error {
	m.connectors = append(m.connectors, &Connector{Name: name, File: "log: " + name, Version: "1",
		Entries: stored.Connector.Entries})
	m.revision++
	return nil
}

func (m *memoryStore) Delete(_ context.Context, name string) error {
	m.connectors = slices.DeleteFunc(m.connectors, func(c *Connector) bool { return c.Name == name })
	m.revision++
	return nil
}

// A file overrides a connector created by REST, which is back when the file is deleted.
func TestFileOverridesRESTConnector(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a.properties")
	stored := &memoryStore{}
	store := openFolderStore(t, Locations{Folder: folder, Stored: stored})
	for _, name := range []string{"a", "b"} {
		require.NoError(t, store.Put(t.Context(), name, Stored{Connector: settings(t, "request", "x=rest")}))
	}
	write(t, path, "name=a\nx=folder")
	for range 2 {
		store.scan()
	}
	description := describeStore(t, store)
	assert.True(t, strings.HasPrefix(description, "a=folder b=rest ") &&
		strings.Contains(description, "warning: has no effect: "+path+" contains a connector of the same name, a"),
		"expected the file's connector a, b and a warning, found %s", description)
	in, problems, err := Load(Files{Connectors: []string{path}}, nil, nil)
	require.NoError(t, errors.Join(err, problems.Err()))
	in.AddStored(stored.connectors)
	assert.True(t, len(in.Connectors) == 2 && in.Connectors[0].Text("x") == "folder" && len(in.Shadowed) == 1,
		"expected the file's connector and one that it overrides, found %+v", in)
	require.NoError(t, os.Remove(path))
	for range 3 {
		store.scan()
	}
	assert.Equal(t, "a=rest b=rest", describeStore(t, store))
}

// A connector that has a file must be changed there, also while it runs with an earlier version of the file.
func TestCheckWritable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.properties")
	write(t, path, "name=a\nx=1\n")
	s := openFolderStore(t, Locations{Folder: dir, Files: []*Connector{{Name: "n", File: "n.properties"}},
		Stored: &memoryStore{}})
	message := "Connector a is kept in " + path + ", in the folder of connectors (--config): change it there"
	put := func(name string) error {
		return s.Put(t.Context(), name, Stored{Connector: settings(t, "request", "x=2")})
	}
	for _, err := range []error{s.CheckWritable("a", path), s.CheckWritable("a", ""), put("a"),
		s.Delete(t.Context(), "a")} {
		assert.Error(t, err, message)
	}
	assert.Error(t, s.CheckWritable("old", path), "Connector old is kept in "+path)
	require.NoError(t, s.CheckWritable("b", ""))
	assert.Error(t, s.CheckWritable("n", "n.properties"),
		"is kept in n.properties, which was named when the worker was started")
	assert.Error(t, s.Delete(t.Context(), "b"), "expected connector b to be one that was created by REST")
	require.NoError(t, put("b"))
	require.NoError(t, s.CheckWritable("b", "log: b"))
	assert.Error(t, s.CheckWritable("b", path), "is kept in "+path)
	require.NoError(t, s.Delete(t.Context(), "b"))
}

// A snapshot is stale after a change of either store.
func TestSnapshotOfTwoStoresIsStale(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stored := &memoryStore{}
	s := openFolderStore(t, Locations{Folder: dir, Stored: stored})
	current := func() Snapshot {
		snapshot, _ := s.Snapshot()
		assert.Equal(t, false, s.IsStale(snapshot))
		return snapshot
	}
	before := current()
	require.NoError(t, s.Put(t.Context(), "b", Stored{Connector: settings(t, "request", "x=2")}))
	assert.Equal(t, true, s.IsStale(before))
	before = current()
	s.consumeRequest(true) // a scan has found a change
	assert.Equal(t, true, s.IsStale(before))
	current()
}
