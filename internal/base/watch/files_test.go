package watch

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// Files may be written, replaced by renaming, or replaced by a link to another folder, as in Kubernetes.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	write(filepath.Join(dir, "token"), "uno")
	kubernetes := t.TempDir()
	for i, text := range []string{"one", "two"} {
		versioned := filepath.Join(kubernetes, []string{"..1", "..2"}[i])
		require.NoError(t, os.Mkdir(versioned, 0o700))
		write(filepath.Join(versioned, "password"), text)
	}
	link := func(to, from string) {
		t.Helper()
		require.NoError(t, os.Symlink(to, from))
	}
	link("..1", filepath.Join(kubernetes, "..data"))
	link(filepath.Join("..data", "password"), filepath.Join(kubernetes, "password"))

	changes := make(chan struct{}, 10)
	files := []string{filepath.Join(dir, "token"), filepath.Join(kubernetes, "password")}
	defer watchEvery(time.Hour, files, slog.New(slog.DiscardHandler), func() { changes <- struct{}{} })()
	expect := func(name string, change func()) {
		t.Helper()
		change()
		select {
		case <-changes:
		case <-time.After(2 * time.Minute):
			t.Fatalf("expected %s to be reported", name)
		}
	}
	expect("a file that was written", func() { write(filepath.Join(dir, "token"), "due") })
	expect("a file that was replaced", func() {
		write(filepath.Join(dir, "new"), "tre")
		require.NoError(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "token")))
	})
	expect("a link that was switched", func() {
		link("..2", filepath.Join(kubernetes, "..data_tmp"))
		require.NoError(t, os.Rename(filepath.Join(kubernetes, "..data_tmp"), filepath.Join(kubernetes, "..data")))
	})
	text, _ := os.ReadFile(filepath.Join(kubernetes, "password"))
	assert.True(t, string(text) == "two", "expected the content two through the link, found %q", text)
}

// A stamp depends on contents, not on times.
func TestStamp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	modified := time.Unix(1e9, 0)
	stamp := func(text string) string {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.NoError(t, os.Chtimes(path, modified, modified))
		return Stamp(path)
	}
	absent := Stamp(path)
	first := stamp("one")
	assert.Equal(t, first, stamp("one"), "the same content")
	assert.Equal(t, false, first == stamp("two") || first == absent, "the stamps of different contents are equal")

	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, f.Truncate(maxStamped+2))
	large := Stamp(path)
	_, err = f.WriteAt([]byte{1}, maxStamped)
	require.NoError(t, err)
	assert.Equal(t, large, Stamp(path), "content beyond the bound")
	_, err = f.WriteAt([]byte{1}, maxStamped-1)
	require.NoError(t, err)
	assert.Equal(t, false, large == Stamp(path), "the stamps of different contents within the bound are equal")
}
