package connect

import (
	"errors"
	"fmt"

	"github.com/culvert-project/culvert/host/internal/run/source"
)

// ErrNoFeed is the error of a feed that no task of a connector is reading, ErrSnapshots of one for which too many
// snapshots wait.
var (
	ErrNoFeed    = source.ErrNoFeed
	ErrSnapshots = source.ErrSnapshots
)

// Snapshot has a feed of a source that runs read as it is now, beside going on from its offset. It returns when that is
// noted.
func (h *Herder) Snapshot(name, feed, ident string) error {
	k, err := h.find(name)
	if err != nil {
		return err
	}
	c := k.life()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.tasks {
		if t.snapshot == nil {
			continue
		}
		if err := t.snapshot(feed, ident); !errors.Is(err, ErrNoFeed) {
			return err
		}
	}
	return fmt.Errorf("%w: %q of connector %s, which has to run", ErrNoFeed, feed, name)
}
