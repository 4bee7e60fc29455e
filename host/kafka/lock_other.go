//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package kafka

import (
	"errors"
	"os"
)

// tryLock refuses: without a lock two brokers could write the same folder.
func tryLock(*os.File) (taken bool, err error) {
	return false, errors.New("this operating system has no file locks that we know of: use Apache Kafka")
}
