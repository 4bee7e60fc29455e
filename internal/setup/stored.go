package setup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/base/lock"
	"github.com/culvert-project/culvert/internal/base/wholefile"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
)

// StoredFile is the file of the data folder with the connectors that REST created on a worker without a group, and
// with the target states of all its connectors.
const StoredFile = "connectors.log"

// OpenStored opens [StoredFile]. Files of an earlier version with connectors or target states are an error.
func (c *Config) OpenStored(w *config.Worker) (*configtopic.Store, error) {
	for _, name := range []string{"connectors.json", "connectors.states.json"} {
		if err := checkEmpty(filepath.Join(c.Data, name)); err != nil {
			return nil, err
		}
	}
	store, err := configtopic.OpenFileStore(filepath.Join(c.Data, StoredFile), w, c.Logger)
	if err != nil {
		return nil, err
	}
	return store, nil
}

const formerEmptySize = 1 << 10 // bytes; a file of an earlier version without connectors is smaller

// checkEmpty returns an error if a file of an earlier version contains anything.
func checkEmpty(path string) error {
	content, err := wholefile.Read(path, formerEmptySize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var members, connectors map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(content, &members)
	}
	if stored, ok := members["connectors"]; ok { // of connectors.json; the other file has a member for each connector
		members = nil
		err = errors.Join(err, json.Unmarshal(stored, &connectors))
	}
	if err == nil && len(members)+len(connectors) == 0 {
		return nil
	}
	return fmt.Errorf("%s: expected no file of an earlier version, which this one does not read: move the file away, "+
		"start the worker, then create the connectors in it by PUT /connectors/NAME/config, and pause or stop those "+
		"in connectors.states.json; they continue from their offsets", path)
}

// RejectStored returns an error if a worker in a group has connectors or target states in its data folder, from the
// time before it joined: the group would silently ignore the connectors, or run stopped ones.
func (c *Config) RejectStored(w *config.Worker) error {
	store, err := c.OpenStored(w)
	if err != nil {
		return fmt.Errorf("connectors from before the worker formed a group: %w", err)
	}
	snapshot, _ := store.Snapshot()
	var leftovers []string
	for _, connector := range snapshot.Connectors {
		leftovers = append(leftovers, connector.Name)
	}
	for name, target := range snapshot.Targets {
		if target != config.TargetStarted {
			leftovers = append(leftovers, target+" "+name)
		}
	}
	if len(leftovers) == 0 {
		return nil
	}
	slices.Sort(leftovers)
	return fmt.Errorf("expected no connectors in %s, as this worker forms a group (group.id, config.storage.topic and "+
		"status.storage.topic are set) whose connectors are in config.storage.topic, found %s: `culvert cluster "+
		"adopt --data %s WORKER-FILE` imports them, or remove status.storage.topic so that the worker "+
		"continues alone", c.Data, strings.Join(leftovers, ", "), c.Data)
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
