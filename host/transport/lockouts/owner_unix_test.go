//go:build unix

package lockouts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
)

// A file of another user is not used: its owner could remove refusals, or know the salt.
func TestFileOfRefusalsIsTheUsers(t *testing.T) {
	folder := t.TempDir()
	l := open(t, folder)
	if os.Geteuid() != 0 {
		t.Skip("nobody else can give a file away")
	}
	require.NoError(t, os.Chown(filepath.Join(folder, fileName), 65534, 65534))
	if _, err := Open("", folder); err == nil || !strings.Contains(err.Error(), "found one of user 65534") {
		t.Errorf("expected a file of another user to be refused, found %v", err)
	}
	try(t, l, somebody, 401)
	content, err := os.ReadFile(filepath.Join(folder, fileName))
	require.NoError(t, err)
	if n := strings.Count(string(content), "\n"); n != 1 {
		t.Errorf("expected nothing to be added to it, found %d lines", n)
	}
	_, err = try(t, l, somebody, 200)
	wantRefusal(t, err)
}
