package config

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
)

// kept is a store of these places, after its first look.
func kept(t *testing.T, p Places) *FolderStore {
	t.Helper()
	s := NewFolderStore(p, plainWorker(t, ""), slog.New(slog.DiscardHandler))
	s.look()
	return s
}

func settings(t *testing.T, file, text string) *Connector {
	t.Helper()
	entries, problems := Read(file, []byte(text))
	require.NoError(t, problems.Err())
	c, problems := NewConnector(file, entries, nil)
	c.Problems = problems
	require.NoError(t, problems.Err())
	return c
}

// found are the connectors of a store as NAME=x, with the warnings behind.
func found(t *testing.T, s *FolderStore) string {
	t.Helper()
	now, looked := s.Snapshot()
	if !looked {
		t.Fatal("expected it to have looked")
	}
	var all []string
	for _, c := range now.Connectors {
		all = append(all, c.Name+"="+c.Text("x"))
	}
	for _, p := range now.Problems {
		all = append(all, p.String())
	}
	return strings.Join(all, " ")
}

// Without a folder connectors are kept in the worker's own, beside those that were named, which are nobody's to change.
func TestOwnFolder(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "own")
	named := settings(t, "named.properties", "name=named\nx=1")
	s := kept(t, Places{Named: []*Connector{named}, Own: own})
	ctx := context.Background()
	require.NoError(t, s.Put(ctx, "made", Stored{Connector: settings(t, "request", "x=2")}))
	if all := found(t, s); all != "named=1 made=2" {
		t.Errorf("found %s", all)
	}
	var kept *ErrKept
	if err := s.Put(ctx, "named", Stored{Connector: settings(t, "request", "x=3")}); !errors.As(err, &kept) ||
		!strings.Contains(err.Error(), "named.properties, which was named when the worker was started") {
		t.Errorf("found %v", err)
	}
	if err := s.Delete(ctx, "named"); !errors.As(err, &kept) {
		t.Errorf("found %v", err)
	}
	assert.NoError(t, s.Delete(ctx, "made"))
	if all := found(t, s); all != "named=1" {
		t.Errorf("found %s", all)
	}
}

// A folder goes before the worker's own.
func TestFolderBeatsOwn(t *testing.T) {
	folder, own := t.TempDir(), t.TempDir()
	for path, text := range map[string]string{
		filepath.Join(folder, "a.properties"): "name=a\nx=folder",
		filepath.Join(own, "a.json"):          `{"name": "a", "x": "own"}`,
		filepath.Join(own, "b.json"):          `{"name": "b", "x": "own"}`,
	} {
		write(t, path, text)
	}
	s := kept(t, Places{Folder: folder, Own: own})
	if all := found(t, s); !strings.HasPrefix(all, "a=folder b=own ") || !strings.Contains(all,
		"warning: has no effect: "+filepath.Join(folder, "a.properties")+" holds a connector of the same name, a") {
		t.Errorf("found %s", all)
	}
	in, problems, err := Load(Files{Connectors: []string{filepath.Join(folder, "a.properties")}, Own: own}, nil, nil)
	if err != nil || problems.Err() != nil || len(in.Connectors) != 2 || in.Connectors[0].Text("x") != "folder" ||
		len(in.Hidden) != 1 {
		t.Errorf("found %+v %v %v", in, problems, err)
	}
	// What is written goes where the connector is; what stood behind it does not come back.
	require.NoError(t, s.Put(context.Background(), "b", Stored{Connector: settings(t, "request", "x=2")}))
	if _, err := os.Stat(filepath.Join(own, "b.json")); err != nil {
		t.Error(err)
	}
	require.NoError(t, s.Delete(context.Background(), "a"))
	if all := found(t, s); all != "b=2" {
		t.Errorf("found %s", all)
	}
}

// unwritableFolder is one that takes no files, from no user.
func unwritableFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o500))
	t.Cleanup(func() { os.Chmod(dir, 0o700) })
	if os.Geteuid() != 0 && runtime.GOOS != "windows" {
		return dir
	}
	const kernels = "/sys/kernel"
	if _, err := os.Create(kernels + "/x"); !unwritable(err) {
		t.Fatalf("expected a folder that nobody may write to, found that %s takes a file: %v", kernels, err)
	}
	return kernels
}

// A folder that cannot be written has what REST makes kept beside it, and what is in it as it is.
func TestFolderThatCannotBeWritten(t *testing.T) {
	folder, own := unwritableFolder(t), t.TempDir()
	s := kept(t, Places{Folder: folder, Own: own})
	require.NoError(t, s.Put(context.Background(), "made", Stored{Connector: settings(t, "request", "x=2")}))
	if all := found(t, s); all != "made=2" {
		t.Errorf("found %s", all)
	}
	s.seen.files[filepath.Join(folder, "there.json")] = &watchedFile{loaded: settings(t, "there.properties", "name=there")}
	var kept *ErrKept
	if err := s.Put(context.Background(), "there", Stored{Connector: settings(t, "request", "x=2")}); !errors.As(err,
		&kept) || !strings.Contains(err.Error(), "which cannot be written") {
		t.Errorf("found %v", err)
	}
}

func TestTargets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "states.json")
	first, err := OpenTargets(path)
	require.NoError(t, err)
	for name, target := range map[string]string{"a": TargetPaused, "b": TargetStopped, "c": TargetStarted} {
		require.NoError(t, first.Set(name, target))
	}
	second, err := OpenTargets(path)
	require.NoError(t, err)
	for name, target := range map[string]string{"a": TargetPaused, "b": TargetStopped, "c": TargetStarted,
		"d": TargetStarted} {
		if now := second.Get(&Connector{Name: name}); now != target {
			t.Errorf("%s: expected %s, found %s", name, target, now)
		}
	}
	require.NoError(t, second.Set("a", TargetStarted))
	begins := func(name, state string) *Connector { return &Connector{Name: name, Initial: &Entry{Raw: state}} }
	if third, err := OpenTargets(path); err != nil || third.Get(begins("a", "PAUSED")) != TargetStarted ||
		third.Get(&Connector{Name: "b"}) != TargetStopped || third.Get(begins("d", "paused")) != TargetPaused {
		t.Errorf("found %+v %v", third, err)
	}
	if err := second.Forget("b"); err != nil || second.Get(begins("b", "PAUSED")) != TargetPaused {
		t.Errorf("forgotten: %v", err)
	}
	// What nobody can read must not have run what was stopped.
	for _, text := range []string{"", "[]", `{"a": "GONE"}`, `{"a": 1}`} {
		write(t, path, text)
		if _, err := OpenTargets(path); err == nil || !strings.Contains(err.Error(), "without the file all run") {
			t.Errorf("%s: found %v", text, err)
		}
	}
}
