package setup

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/culvert-project/culvert/internal/base/lock"
	"github.com/culvert-project/culvert/internal/base/wholefile"
)

// LockData prevents a second worker on a data folder; the embedded broker has its own lock. If the file system has no
// locks or is read-only, the worker runs without. Temporary files of killed processes are removed.
func LockData(dir string, log *slog.Logger) (*lock.Lock, error) {
	l, err := lock.Acquire(filepath.Join(dir, "worker.lock"))
	switch {
	case errors.Is(err, lock.ErrLocked):
		return nil, fmt.Errorf("data folder %s: expected no other worker, found another worker at work in it: %w. "+
			"Stop that worker, or "+
			"use another folder for this one (--data)", dir, err)
	case err != nil:
		log.Warn("the data folder cannot be locked: no second worker may be started on it", "data", dir, "error", err)
	}
	wholefile.Clean(dir)
	return l, nil
}
