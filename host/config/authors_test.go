package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
)

// Who wanted a connector to be as it is counts for that alone, outlives the worker, and tells nothing of settings.
func TestAuthors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "authors.json")
	a, err := OpenAuthors(path)
	require.NoError(t, err)
	one, other := connector(t, "name=c\nx.password=geheim"), connector(t, "name=c\nx.password=other")
	assert.Equal(t, "", a.Of(one, TargetPaused))
	require.NoError(t, a.Set(one, TargetPaused, "user anna"))
	a, err = OpenAuthors(path)
	require.NoError(t, err)
	assert.Equal(t, "user anna", a.Of(one, TargetPaused))
	assert.Equal(t, "", a.Of(one, TargetStarted), "another target state")
	assert.Equal(t, "", a.Of(other, TargetPaused), "another configuration")
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), "geheim") {
		t.Errorf("found %s, %v", text, err)
	}
	require.NoError(t, a.Forget("c"))
	assert.Equal(t, "", a.Of(one, TargetPaused))
	require.NoError(t, os.WriteFile(path, []byte("["), 0o600))
	if _, err := OpenAuthors(path); err == nil {
		t.Error("expected an error of a file that holds something else")
	}
}
