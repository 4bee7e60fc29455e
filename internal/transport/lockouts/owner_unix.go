//go:build unix

package lockouts

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

func checkOwner(info fs.FileInfo) error {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("expected a file of this user (id %d), found one of user %d", os.Geteuid(), stat.Uid)
	}
	return nil
}
