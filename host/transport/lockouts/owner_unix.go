//go:build unix

package lockouts

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkOwner refuses a folder of another user: who owns it can take refusals away, or put some there.
func checkOwner(info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("expected a folder of this user (id %d), found one of user %d", os.Geteuid(), stat.Uid)
	}
	return nil
}
