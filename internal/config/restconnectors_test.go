package config

import (
	"log/slog"
	"os"
	"path/filepath"
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

// A file overrides a connector created by REST, which is back when the file is deleted.
func TestFileOverridesRESTConnector(t *testing.T) {
	dir := t.TempDir()
	folder := t.TempDir()
	fromREST := openTestFile(t, dir)
	for _, name := range []string{"a", "b"} {
		require.NoError(t, fromREST.put(name, map[string]string{"name": name, "x": "rest"}, nil))
	}
	path := filepath.Join(folder, "a.properties")
	write(t, path, "name=a\nx=folder")
	store := openFolderStore(t, Locations{Folder: folder, REST: fromREST})
	description := describeStore(t, store)
	assert.True(t, strings.HasPrefix(description, "a=folder b=rest ") &&
		strings.Contains(description, "warning: has no effect: "+path+" contains a connector of the same name, a"),
		"expected the file's connector a, b and a warning, found %s", description)
	in, problems, err := Load(Files{Connectors: []string{path}, REST: fromREST}, nil, nil)
	assert.True(t, err == nil && problems.Err() == nil && len(in.Connectors) == 2 &&
		in.Connectors[0].Text("x") == "folder" && len(in.Shadowed) == 1,
		"expected the file's connector and one that it overrides, found %+v %v %v", in, problems, err)
	require.NoError(t, os.Remove(path))
	for range 3 {
		store.scan()
	}
	assert.Equal(t, "a=rest b=rest", describeStore(t, store))
}

// Stored target states exist after a restart and precede initial states until they are forgotten.
func TestTargetStatesSurviveRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "states.json")
	first, err := OpenTargetStates(path)
	require.NoError(t, err)
	for name, target := range map[string]string{"a": TargetPaused, "b": TargetStopped, "c": TargetStarted} {
		require.NoError(t, first.Set(name, target))
	}
	second, err := OpenTargetStates(path)
	require.NoError(t, err)
	for name, target := range map[string]string{"a": TargetPaused, "b": TargetStopped, "c": TargetStarted,
		"d": TargetStarted} {
		assert.Equal(t, target, second.Get(&Connector{Name: name}), name)
	}
	require.NoError(t, second.Set("a", TargetStarted))
	withInitialState := func(name, state string) *Connector {
		return &Connector{Name: name, InitialState: &Entry{Raw: state}}
	}
	third, err := OpenTargetStates(path)
	assert.True(t, err == nil && third.Get(withInitialState("a", "PAUSED")) == TargetStarted &&
		third.Get(&Connector{Name: "b"}) == TargetStopped && third.Get(withInitialState("d", "paused")) == TargetPaused,
		"expected stored states to precede initial ones, found %+v %v", third, err)
	err = second.Forget("b")
	if target := second.Get(withInitialState("b", "PAUSED")); err != nil || target != TargetPaused {
		t.Errorf("expected the initial state of b after Forget, found %s, %v", target, err)
	}
	// An unreadable file of states must not start stopped connectors.
	for _, text := range []string{"", "[]", `{"a": "GONE"}`, `{"a": 1}`} {
		write(t, path, text)
		_, err := OpenTargetStates(path)
		assert.Error(t, err, "without the file all connectors run", text, "with the consequence")
	}
}
