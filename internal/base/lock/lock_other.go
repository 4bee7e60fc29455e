//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package lock

import (
	"errors"
	"fmt"
	"os"
)

func tryLock(*os.File) (isLocked bool, err error) {
	return false, fmt.Errorf("file locks are not supported on this operating system: %w", errors.ErrUnsupported)
}
