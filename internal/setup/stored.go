package setup

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/base/lock"
	"github.com/culvert-project/culvert/internal/base/wholefile"
	"github.com/culvert-project/culvert/internal/config"
)

// StatesFile and ConnectorsFile are files of the data folder: target states, and connectors that REST created.
const (
	StatesFile     = "connectors.states.json"
	ConnectorsFile = "connectors.json"
)

// OpenStored opens the connectors that REST created on a worker without a group, which it sets in c.Files, and the
// target states of all connectors. It imports connectors of an earlier version from DATA/connectors, unless the user
// named files in that folder. The problems describe files that cannot be imported.
func (c *Config) OpenStored() (targets *config.TargetStates, problems config.Problems, err error) {
	if targets, err = config.OpenTargetStates(filepath.Join(c.Data, StatesFile)); err != nil {
		return nil, nil, err
	}
	if c.Files.REST, err = config.OpenConnectorsFile(filepath.Join(c.Data, ConnectorsFile)); err != nil {
		return nil, nil, err
	}
	folder := filepath.Join(c.Data, "connectors")
	if c.Files.UsesFolder(folder) {
		if c.Files.Folder == "" {
			c.Logger.Warn(
				"named files are in the folder where an earlier version stored connectors created by REST: "+
					"nothing in it is imported, and the connectors created by REST in it do not run",
				"folder", folder)
		}
		return targets, nil, nil
	}
	imported, problems, err := c.Files.REST.Import(folder, targets)
	if len(imported) > 0 {
		c.Logger.Info("connectors that REST created in an earlier version are now stored in one file",
			"folder", folder, "file", filepath.Join(c.Data, ConnectorsFile), "connectors", imported)
	}
	return targets, problems, err
}

// RejectStored returns an error if a worker in a group has connectors or target states in its data folder, from the
// time before it joined: the group would silently ignore the connectors, or run stopped ones.
func RejectStored(stored Config) error {
	stored.Logger = slog.New(slog.DiscardHandler)
	targets, problems, err := stored.OpenStored()
	if err != nil {
		return fmt.Errorf("connectors from before the worker formed a group: %w", err)
	}
	leftovers := stored.Files.REST.Names()
	for _, p := range problems {
		leftovers = append(leftovers, p.File)
	}
	for name, target := range targets.All() {
		if target != config.TargetStarted {
			leftovers = append(leftovers, target+" "+name)
		}
	}
	if len(leftovers) == 0 {
		return nil
	}
	slices.Sort(leftovers)
	leftovers = slices.Compact(leftovers)
	return fmt.Errorf("expected no connectors in %s, as this worker forms a group (group.id, config.storage.topic and "+
		"status.storage.topic are set) whose connectors are in config.storage.topic, found %s: `culvert cluster "+
		"adopt --data %s WORKER-FILE` imports them, or remove status.storage.topic so that the worker "+
		"continues alone", stored.Data, strings.Join(leftovers, ", "), stored.Data)
}

// LockData prevents a second worker on a data folder; the embedded broker has its own lock. If the file system has no
// locks or is read-only, the worker runs without. Temporary files of killed processes are removed.
func LockData(dir string, log *slog.Logger) (*lock.Lock, error) {
	l, err := lock.Acquire(filepath.Join(dir, "worker.lock"))
	switch {
	case errors.Is(err, lock.ErrLocked):
		return nil, fmt.Errorf("data folder %s: expected no other worker, found another worker at work in it: %w. "+
			"Stop that worker, or use another folder for this one (--data)", dir, err)
	case err != nil:
		log.Warn("the data folder cannot be locked: no second worker may be started on it", "data", dir, "error", err)
	}
	wholefile.Clean(dir)
	return l, nil
}
