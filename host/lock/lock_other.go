//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package lock

import (
	"errors"
	"os"
)

// tryLock refuses: nothing would keep another process out.
func tryLock(*os.File) (taken bool, err error) {
	return false, errors.New("this operating system has no file locks that we know of")
}
