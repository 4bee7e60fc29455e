//go:build unix

package code

import (
	"io/fs"
	"syscall"
)

// ownerOf returns the user that owns a file or folder.
func ownerOf(info fs.FileInfo) (user int, known bool) {
	s, known := info.Sys().(*syscall.Stat_t)
	if !known {
		return 0, false
	}
	return int(s.Uid), true
}
