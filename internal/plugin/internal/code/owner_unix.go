//go:build unix

package code

import (
	"io/fs"
	"syscall"
)

// ownerOf is the user that a file or folder belongs to.
func ownerOf(info fs.FileInfo) (user int, known bool) {
	s, known := info.Sys().(*syscall.Stat_t)
	if !known {
		return 0, false
	}
	return int(s.Uid), true
}
