//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package lock

import (
	"errors"
	"fmt"
	"os"
)

// tryLock refuses: nothing would keep another process out.
func tryLock(*os.File) (taken bool, err error) {
	return false, fmt.Errorf("this operating system has no file locks that we know of: %w", errors.ErrUnsupported)
}
