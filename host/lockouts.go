package host

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/culvert-project/culvert/host/transport"
)

// OpenLockouts opens the memory of refused logons (P10). There is one for a user of this machine, whatever the command
// and the data folder, because users are locked by all of them together. Where it can't be kept among the user's files,
// it is in the data folder, with a warning: commands with another data folder do not know then.
func OpenLockouts(data string, log *slog.Logger) (*transport.Lockouts, error) {
	user, err := os.UserCacheDir()
	if err == nil {
		var lockouts *transport.Lockouts
		if lockouts, err = transport.OpenLockouts(filepath.Join(user, "culvert", "logons")); err == nil {
			return lockouts, nil
		}
	}
	folder := filepath.Join(data, "logons")
	lockouts, second := transport.OpenLockouts(folder)
	if second != nil {
		return nil, fmt.Errorf("%w; and in the user's folder: %w", second, err)
	}
	log.Warn("refused logons are kept in the data folder: what is refused here is sent again by commands and workers "+
		"with another one (give them the same --data, or a HOME that can be written)", "folder", folder, "error", err)
	return lockouts, nil
}

// openLockouts is the worker's.
func openLockouts(c *Config) (*transport.Lockouts, error) {
	lockouts, err := OpenLockouts(c.Data, c.Logger)
	if err != nil || !c.ResumeLogons {
		return lockouts, err
	}
	n, err := lockouts.Resume()
	c.Logger.Info("refused logons are tried once more", "refusals", n)
	return lockouts, err
}
