//go:build unix

package code

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
)

// A folder that another user owns is written by that user, whatever its mode says.
func TestFolderOfAnotherUser(t *testing.T) {
	dir, user := t.TempDir(), os.Geteuid()
	if err := private(dir, user); err != nil {
		t.Errorf("a folder of its own: %v", err)
	}
	owner := user
	if user == 0 {
		// Only root can give a folder away, and what is root's is trusted.
		owner = 65534
		require.NoError(t, os.Chown(dir, owner, owner))
	}
	if err := private(dir, owner+1); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("it belongs to user %d",
		owner)) {
		t.Errorf("expected it to be refused, found %v", err)
	}
}
