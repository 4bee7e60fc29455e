package wholefile

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// A file has its new content, and no temporary file remains.
func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	for _, want := range []string{"one", "another"} {
		for _, write := range []func(string, []byte) error{Write, WriteSynced} {
			require.NoError(t, write(path, []byte(want)))
			got, err := os.ReadFile(path)
			assert.True(t, err == nil && string(got) == want, "expected %q, found %q, %v", want, got, err)
		}
	}
	expectOnlyFile(t, path)
	err := Write(filepath.Join(t.TempDir(), "missing", "a"), nil)
	assert.ErrorIs(t, err, os.ErrNotExist, "that there is no such folder")
}

// Of concurrent creations one succeeds, also without links.
func TestNew(t *testing.T) {
	noLink := func(from, to string) error {
		return &os.LinkError{Op: "link", Old: from, New: to, Err: errors.ErrUnsupported}
	}
	for name, linkFunc := range map[string]func(string, string) error{"links": os.Link, "no links": noLink} {
		t.Run(name, func(t *testing.T) {
			link = linkFunc
			defer func() { link = os.Link }()
			path := filepath.Join(t.TempDir(), "a")
			var created atomic.Int64
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					if err := Create(path, []byte("content")); err == nil {
						created.Add(1)
					} else if !errors.Is(err, os.ErrExist) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if got, err := os.ReadFile(path); created.Load() != 1 || err != nil || string(got) != "content" {
				t.Errorf("expected one file, found %d, %q, %v", created.Load(), got, err)
			}
			expectOnlyFile(t, path)
		})
	}
}

// expectOnlyFile checks that the folder of a file contains nothing else.
func expectOnlyFile(t *testing.T, path string) {
	t.Helper()
	files, err := os.ReadDir(filepath.Dir(path))
	assert.True(t, err == nil && len(files) == 1, "expected one file, found %v, %v", files, err)
}

// Old temporary files are removed; new ones and other files are not.
func TestClean(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-2 * time.Hour)
	for name, modified := range map[string]time.Time{
		".culvert-new-1": old,
		".culvert-new-2": time.Now(),
		".new-3":         old,
		"a.properties":   old,
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, modified, modified)))
	}
	Clean(dir)
	Clean(filepath.Join(dir, "missing"))
	var names []string
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	want := []string{".culvert-new-2", ".new-3", "a.properties"}
	assert.True(t, err == nil && slices.Equal(names, want), "expected %q, found %q %v", want, names, err)
}
