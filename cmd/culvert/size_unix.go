//go:build unix

package main

import "golang.org/x/sys/unix"

// windowSize is the size of a terminal in columns and rows, zero where nobody knows.
func windowSize(fd uintptr) (width, height int) {
	size, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	return int(size.Col), int(size.Row)
}
