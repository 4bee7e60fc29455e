// Package lock keeps out a second process with an operating system lock on a file. The system releases it however
// the process ends.
package lock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// ErrLocked means that another process holds the lock.
var ErrLocked = errors.New("another process has it")

// Lock is held until Release or the end of the process.
type Lock struct{ file *os.File }

// Acquire locks a file, which is created if needed and never removed; it contains the number of the last process
// that locked it. It does not wait.
func Acquire(name string) (*Lock, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	taken, err := tryLock(file)
	switch {
	case err != nil:
		err = fmt.Errorf("lock %s: %w", name, err)
	case taken:
		err = fmt.Errorf("lock %s: %w", name, ErrLocked)
		if pid := holder(file); pid > 0 {
			err = fmt.Errorf("%w (process %d)", err, pid)
		}
	default:
		// Who it was is written as well as can be: a full disk is no reason to go without the lock.
		if file.Truncate(0) == nil {
			_, _ = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		}
		return &Lock{file}, nil
	}
	file.Close()
	return nil, err
}

// holder returns the process number in a lock file, or 0.
func holder(file *os.File) int {
	text, err := io.ReadAll(io.NewSectionReader(file, 0, 20))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}

// Release unlocks the file. A nil lock is none.
func (l *Lock) Release() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}
