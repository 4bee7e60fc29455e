//go:build unix

package lockouts

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
)

// owned is a folder of some user.
type owned struct {
	fs.FileInfo
	uid uint32
}

func (o owned) Sys() any { return &syscall.Stat_t{Uid: o.uid} }

// Refusals are kept in a folder of this user's alone: one of somebody else is not used, one that others can look into
// is closed.
func TestFolderOfLogonsIsTheUsers(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "logons")
	require.NoError(t, os.Mkdir(folder, 0o755))
	open(t, folder)
	info, err := os.Stat(folder)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("expected mode 0700, found %v, %v", info.Mode(), err)
	}
	me := uint32(os.Geteuid())
	if err := checkOwner(owned{info, me}); err != nil {
		t.Errorf("own folder: %v", err)
	}
	if err := checkOwner(owned{info, me + 1}); err == nil || !strings.Contains(err.Error(),
		"expected a folder of this user") {
		t.Errorf("expected a folder of another user to be refused, found %v", err)
	}
	if os.Geteuid() != 0 {
		return // nobody else can give a folder away
	}
	require.NoError(t, os.Chown(folder, 65534, 65534))
	if _, err := Open(folder); err == nil || !strings.Contains(err.Error(), "found one of user 65534") {
		t.Errorf("expected a folder of another user to be refused, found %v", err)
	}
}
