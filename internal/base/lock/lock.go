// Package lock excludes other processes by an operating system lock on a file, which ends with the process.
package lock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// ErrLocked is the error of [Acquire] if another process has the lock.
var ErrLocked = errors.New("another process has it")

// Lock excludes other processes until Release or the end of the process.
type Lock struct{ file *os.File }

// Acquire locks a file without waiting. The file is created if needed, never removed, and contains the process id.
func Acquire(name string) (*Lock, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	isLocked, err := tryLock(file)
	switch {
	case err != nil:
		err = fmt.Errorf("lock %s: %w", name, err)
	case isLocked:
		err = fmt.Errorf("lock %s: %w", name, ErrLocked)
		if pid := holder(file); pid > 0 {
			err = fmt.Errorf("%w (process %d)", err, pid)
		}
	default:
		// The process id is optional: the disk may be full.
		if file.Truncate(0) == nil {
			_, _ = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		}
		return &Lock{file}, nil
	}
	file.Close()
	return nil, err
}

// holder returns the process ID in the file of a lock, or 0.
func holder(file *os.File) int {
	content, err := io.ReadAll(io.NewSectionReader(file, 0, 20))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0
	}
	return pid
}

// Release unlocks and closes the file, which stays. A nil lock does nothing.
func (l *Lock) Release() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}
