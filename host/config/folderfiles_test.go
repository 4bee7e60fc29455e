package config

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
)

// written is a folder with one file, a store that has looked at it, and how the file is written and read.
type written struct {
	*FolderStore
	t    *testing.T
	path string
}

func newWritten(t *testing.T, name, text string) *written {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	write(t, path, text)
	s := NewFolderStore(Places{Folder: filepath.Dir(path)}, plainWorker(t, ""), slog.New(slog.DiscardHandler))
	s.look()
	return &written{s, t, path}
}

// with stores the connector a with a setting x, over a version; "" for any.
func (w *written) with(x, over string, text []byte) error {
	c := &Connector{Name: "a", Entries: []Entry{NewEntry("x", x, "request", 0), NewEntry("y", "2", "request", 0)}}
	stored := Stored{Connector: c, Text: text}
	if over != "" {
		stored.Over = func(version string) bool { return version == over }
	}
	return w.Put(w.t.Context(), "a", stored)
}

func (w *written) text() string {
	w.t.Helper()
	data, err := os.ReadFile(w.path)
	require.NoError(w.t, err)
	return string(data)
}

// version is that of the connector as the store knows it.
func (w *written) version() string {
	now, _ := w.Snapshot()
	return now.Connectors[0].Version
}

// What is written keeps what its form can keep: of properties all, of JSON the order.
func TestFilesKeepTheirText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, before, text, want string }{
		{"a.properties", "# why\ny : 2\n\nx = 1 \nname=a\n", "", "# why\ny : 2\n\nx = 3\nname=a\n"},
		{"a.properties", "y=2\nx=1\n", "", "y=2\nx=3\nname=a\n"},
		{"A.PROPERTIES", "# why\nname=a\nx=1\n", "", "# why\nname=a\nx=3\ny=2\n"},
		{"a.properties", `{"name":"a","x":"1"}`, "", "name=a\nx=3\ny=2\n"},
		{"a.properties", "name=a\n# \xf6\nx=1\n", "# ö\nx=[hidden]\ny=2\nname=a", "# \xf6\nx=3\ny=2\nname=a"},
		{"a.properties", "name=a\n# \xf6\nx=1\n", "# €\nx=1\ny=2\nname=a", "# €\nx=3\ny=2\nname=a"},
		{"a.json", `{"z":"1","y":"2","name":"a","x":"1"}`, "", "{\n  \"y\": \"2\",\n  \"name\": \"a\",\n  \"x\": \"3\"\n}"},
		{"a.json", `{"name":"a","config":{"x":"1"},"initial_state":"PAUSED"}`, "# lost\nx=3",
			"{\n  \"name\": \"a\",\n  \"x\": \"3\",\n  \"y\": \"2\"\n}"},
		{"a.yaml", "name: a\n# lost\nx: 1\n", "", "{\n  \"name\": \"a\",\n  \"x\": \"3\",\n  \"y\": \"2\"\n}"},
	} {
		w, text := newWritten(t, c.file, c.before), []byte(nil)
		if c.text != "" {
			text = []byte(c.text)
		}
		require.NoError(t, w.with("3", "", text))
		assert.Equal(t, c.want, w.text(), c.before)
	}
	// A new one of a text has a file of that text.
	w := newWritten(t, "b.properties", "x=1\n")
	require.NoError(t, w.with("3", "", []byte("# why\nx=3\ny=2\n")))
	w.path = filepath.Join(filepath.Dir(w.path), "a.properties")
	assert.Equal(t, "# why\nx=3\ny=2\nname=a\n", w.text())
}

// Of two who change one version the second is told of the other change, and writes nothing.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWritten(t, "a.properties", "name=a\nx=1\ny=2\n")
	first := w.version()
	require.NoError(t, w.with("2", first, nil))
	second := w.version()
	var changed *ErrChanged
	err := w.with("3", first, nil)
	assert.Equal(t, true, errors.As(err, &changed))
	assert.Error(t, err, "Connector a was changed meanwhile, by REST or in its file, and nothing was written")
	assert.Equal(t, "name=a\nx=2\ny=2\n", w.text())
	// A file counts as it is, also before anybody has looked at it.
	write(t, w.path, "name=a\nx=2\n# mine\ny=2\n")
	assert.Error(t, w.with("3", second, nil), "was changed meanwhile")
	assert.Equal(t, "name=a\nx=2\n# mine\ny=2\n", w.text())
	require.NoError(t, os.Remove(w.path))
	assert.Error(t, w.with("3", second, nil), "was changed meanwhile")
	_, err = os.Stat(w.path)
	assert.Equal(t, true, errors.Is(err, fs.ErrNotExist))
	write(t, w.path, "name=a\nx=1\ny=2\n") // as at first
	require.NoError(t, w.with("4", first, nil))
	for _, version := range []string{first, second, w.version()} {
		if len(version) != 32 || strings.Trim(version, "0123456789abcdef") != "" {
			t.Errorf("found %q", version)
		}
	}
}

// A full disk leaves the file as it was, and nothing beside it.
func TestFullDisk(t *testing.T) {
	w := newWritten(t, "a.properties", "name=a\nx=1\ny=2\n")
	before := w.version()
	rewrite = func(path string, _ []byte) error {
		return &fs.PathError{Op: "write", Path: path, Err: syscall.ENOSPC}
	}
	defer func() { rewrite = rewritten }()
	err := w.with("2", before, nil)
	assert.Error(t, err, "connector a: write "+w.path+": no space left on device")
	assert.Equal(t, true, !errors.As(err, new(*ErrKept)))
	assert.Equal(t, "name=a\nx=1\ny=2\n", w.text())
	rewrite = rewritten
	require.NoError(t, w.with("2", before, nil)) // the version still counts
}

var rewritten = rewrite

// What can be told before is told as Put says it.
func TestTakes(t *testing.T) {
	t.Parallel()
	w := newWritten(t, "a.properties", "name=a\nx=1\ny=2\n")
	require.NoError(t, w.Takes("a"))
	require.NoError(t, w.Takes("b"))
	named := kept(t, Places{Named: []*Connector{{Name: "a", File: "a.properties"}}})
	assert.Error(t, named.Takes("a"), "is kept in a.properties, which was named when the worker was started")
	assert.Error(t, named.Takes("b"), "there is no folder to keep it in")
	if found, err := filepath.Glob(filepath.Join(filepath.Dir(w.path), ".*")); err != nil || len(found) > 0 {
		t.Errorf("found %v %v", found, err)
	}
}

// In a topic the version is the record's offset, and stays where nothing is written.
func TestVersionsOfATopic(t *testing.T) {
	t.Parallel()
	l := topicStore(plainWorker(t, ""), discard, nil, `connector-a {"properties":{"name":"a","x":"1"}}`)
	l.CaughtUp()
	put := func(x, over string) error {
		return l.Put(t.Context(), "a", Stored{Connector: settings(t, "request", "name=a\nx="+x),
			Over: func(version string) bool { return version == over }})
	}
	version := func() string { now, _ := l.Snapshot(); return now.Connectors[0].Version }
	assert.Equal(t, "0", version())
	require.NoError(t, put("1", "0"))
	assert.Equal(t, "0", version())
	require.NoError(t, put("2", "0"))
	assert.Equal(t, "1", version())
	assert.Error(t, put("3", "0"), "was changed meanwhile, by REST")
	assert.Equal(t, 2, len(l.all))
}
