package setup

import (
	"cmp"
	"context"
	"os"
	"path/filepath"

	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// OpenLockouts opens a command's store of rejected logons, in the user's cache folder. Commands also read the worker's,
// because SAP locks a user after a few rejected logons of all together (RATIONALE.md P10).
func OpenLockouts(data string) (*lockouts.Store, error) {
	folder := cmp.Or(userLogonsFolder(), data)
	return lockouts.Open(folder, folder, data)
}

// OpenLockouts opens the store of a worker.
func (c *Config) OpenLockouts() (*lockouts.Store, error) {
	user := cmp.Or(userLogonsFolder(), c.Data)
	store, err := lockouts.Open(user, c.Data, user)
	if err != nil {
		return nil, err
	}
	if err := store.Writable(); err != nil {
		c.Logger.Error("rejected logons cannot be stored: after a restart a rejected secret is sent once more, "+
			"which may lock the user", "error", err)
	}
	if c.Once {
		store.ResumeByRun()
	}
	if !c.ResumeLogons {
		return store, nil
	}
	n, err := store.Resume(context.Background())
	c.Logger.Info("rejected logons are tried once more", "refusals", n)
	return store, err
}

// userLogonsFolder returns a writable folder in the user's cache folder, or "".
func userLogonsFolder() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	folder := filepath.Join(cache, "culvert")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return ""
	}
	probe, err := os.CreateTemp(folder, "logons-*")
	if err != nil {
		return ""
	}
	probe.Close()
	os.Remove(probe.Name())
	return folder
}
