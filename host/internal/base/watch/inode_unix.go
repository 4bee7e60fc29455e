//go:build unix

package watch

import (
	"fmt"
	"os"
	"syscall"
)

// inode distinguishes a file from another one under the same name.
func inode(info os.FileInfo) string {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprint(s.Dev, s.Ino)
}
