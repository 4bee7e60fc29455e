//go:build unix

package lockouts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// A file of another user, who could remove lockouts, is read but not written.
func TestLockoutFileOfAnotherUser(t *testing.T) {
	folder := t.TempDir()
	l := open(t, folder)
	if os.Geteuid() != 0 {
		t.Skip("nobody else can give a file away")
	}
	bob := alice
	bob.User = "BOB"
	try(t, l, bob, 401)
	require.NoError(t, os.Chown(filepath.Join(folder, fileName), 65534, 65534))
	for _, l := range []*Store{l, open(t, folder)} {
		try(t, l, alice, 401)
		content, err := os.ReadFile(filepath.Join(folder, fileName))
		require.NoError(t, err)
		n := strings.Count(string(content), "\n")
		assert.True(t, n == 1+2, "expected nothing to be added to it, found %d lines", n)
		_, err = try(t, l, alice, 200)
		wantRefusal(t, err)
		_, err = try(t, l, bob, 200)
		wantRefusal(t, err)
		assert.Error(t, l.Writable(), "found one of user 65534", "about the owner")
	}
}
