//go:build unix

package code

import (
	"io/fs"
	"syscall"
)

// ownerOf returns the user that owns a file or folder.
func ownerOf(info fs.FileInfo) (user int, ok bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(s.Uid), true
}
