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
	if !isScanned {
		t.Fatal("expected the first scan to be done")
	}
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
	if description := describeStore(t, store); !strings.HasPrefix(description,
		"a=folder b=rest ") || !strings.Contains(description,
		"warning: has no effect: "+path+" contains a connector of the same name, a") {
		t.Errorf("expected the file's connector a, b and a warning, found %s", description)
	}
	in, problems, err := Load(Files{Connectors: []string{path}, REST: fromREST}, nil, nil)
	if err != nil || problems.Err() != nil || len(in.Connectors) != 2 || in.Connectors[0].Text("x") != "folder" ||
		len(in.Shadowed) != 1 {
		t.Errorf("expected the file's connector and one that it overrides, found %+v %v %v", in, problems, err)
	}
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
		if current := second.Get(&Connector{Name: name}); current != target {
			t.Errorf("%s: expected %s, found %s", name, target, current)
		}
	}
	require.NoError(t, second.Set("a", TargetStarted))
	withInitialState := func(name, state string) *Connector {
		return &Connector{Name: name, InitialState: &Entry{Raw: state}}
	}
	third, err := OpenTargetStates(path)
	if err != nil || third.Get(withInitialState("a", "PAUSED")) != TargetStarted ||
		third.Get(&Connector{Name: "b"}) != TargetStopped ||
		third.Get(withInitialState("d", "paused")) != TargetPaused {
		t.Errorf("expected stored states to precede initial ones, found %+v %v", third, err)
	}
	err = second.Forget("b")
	if target := second.Get(withInitialState("b", "PAUSED")); err != nil || target != TargetPaused {
		t.Errorf("expected the initial state of b after Forget, found %s, %v", target, err)
	}
	// An unreadable file of states must not start stopped connectors.
	for _, text := range []string{"", "[]", `{"a": "GONE"}`, `{"a": 1}`} {
		write(t, path, text)
		if _, err := OpenTargetStates(path); err == nil || !strings.Contains(err.Error(),
			"without the file all connectors run") {
			t.Errorf("%s: expected an error with the consequence, found %v", text, err)
		}
	}
}
