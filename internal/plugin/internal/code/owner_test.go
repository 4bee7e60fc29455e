//go:build unix

package code

import (
	"fmt"
	"os"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// A folder that another user owns is writable by that user, whatever its mode.
func TestFolderOfAnotherUser(t *testing.T) {
	dir := t.TempDir()
	user := os.Geteuid()
	assert.NoError(t, preparePrivateFolder(dir, user), "the test's own folder")
	owner := user
	if user == 0 {
		// Only root can change the owner of a folder, and root's folders are trusted.
		owner = 65534
		require.NoError(t, os.Chown(dir, owner, owner))
	}
	assert.Error(t, preparePrivateFolder(dir, owner+1), fmt.Sprintf("it belongs to user %d", owner))
}
