package host

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/culvert-project/culvert/host/transport/lockouts"
)

// OpenLockouts opens the store of refused logons (P10). There is one for a user of this machine, whatever the command
// and the data folder, because users are locked by all of them together. Where it can't be kept among the user's files,
// it is in the data folder, with a warning: commands with another data folder do not know then.
func OpenLockouts(data string, log *slog.Logger) (*lockouts.Store, error) {
	user, err := os.UserCacheDir()
	if err == nil {
		var store *lockouts.Store
		if store, err = lockouts.Open(filepath.Join(user, "culvert", "logons")); err == nil {
			return store, nil
		}
	}
	folder := filepath.Join(data, "logons")
	store, second := lockouts.Open(folder)
	if second != nil {
		return nil, fmt.Errorf("%w; and in the user's folder: %w", second, err)
	}
	log.Warn("refused logons are kept in the data folder: what is refused here is sent again by commands and workers "+
		"with another one (give them the same --data, or a HOME that can be written)", "folder", folder, "error", err)
	return store, nil
}

// openLockouts is the worker's.
func openLockouts(c *Config) (*lockouts.Store, error) {
	store, err := OpenLockouts(c.Data, c.Logger)
	if err != nil || !c.ResumeLogons {
		return store, err
	}
	n, err := store.Resume(context.Background())
	c.Logger.Info("refused logons are tried once more", "refusals", n)
	return store, err
}
