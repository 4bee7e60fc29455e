package source

import (
	"errors"
	"fmt"
)

const maxSnapshots = 16

// Errors of [Task.Snapshot].
var (
	ErrNoFeed           = errors.New("the task has no such feed")
	ErrTooManySnapshots = errors.New("snapshots wait already")
)

// Snapshot requests the current rows of a feed in addition to its changes: at its next page boundary or, if the plugin
// prefers that, after all changes were read. A snapshot that has not started when the task ends is dropped.
func (t *Task) Snapshot(feed, ident string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.feeds {
		if f.name != feed {
			continue
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.notifications.snapshots) >= maxSnapshots {
			return fmt.Errorf("feed %s: %d %w", feed, len(f.notifications.snapshots), ErrTooManySnapshots)
		}
		f.notifications.snapshots = append(f.notifications.snapshots, ident)
		f.notifications.signal.Ring()
		return nil
	}
	return fmt.Errorf("%w: %q", ErrNoFeed, feed)
}

func (f *feed) nextSnapshot() (ident string, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.notifications.snapshots) == 0 {
		return "", false
	}
	return f.notifications.snapshots[0], true
}
