package setup

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/culvert-project/culvert/internal/base/lock"
	"github.com/culvert-project/culvert/internal/base/wholefile"
)

// LockData keeps other workers out of a data folder. The embedded broker has a lock of its own. If the file system has
// no locks or cannot be written, the worker runs without. Temporary files of killed writes are removed.
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
