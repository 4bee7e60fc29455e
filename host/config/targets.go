package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"sync"

	"github.com/culvert-project/culvert/host/internal/wholefile"
)

// Target states by Kafka Connect's names in the config topic. A connector without one is to run.
const (
	TargetStarted = "STARTED"
	TargetPaused  = "PAUSED"
	TargetStopped = "STOPPED"
)

// Targets are the states that users want their connectors to have, kept in a file, so that what was paused stays so
// when the worker is started again. Connectors of which nothing was ever wanted are not in it. All methods may be
// called at any time.
type Targets struct {
	path string

	mu      sync.Mutex
	targets map[string]string
}

// OpenTargets reads the file, which need not be there; "" keeps all in memory. A file that cannot be read, or holds
// something else, is an error: a connector that was stopped on purpose must not run by mistake.
func OpenTargets(path string) (*Targets, error) {
	t := &Targets{path: path, targets: map[string]string{}}
	if path == "" {
		return t, nil
	}
	data, _, err := readBounded(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return t, nil
	case err != nil:
		return nil, fmt.Errorf("states of connectors: %w", err)
	}
	if err := json.Unmarshal(data, &t.targets); err != nil {
		return nil, fmt.Errorf("states of connectors: %s: expected names with %s or %s: %w (without the file all run)",
			path, TargetPaused, TargetStopped, err)
	}
	for name, target := range t.targets {
		if target != TargetPaused && target != TargetStopped && target != TargetStarted {
			return nil, fmt.Errorf("states of connectors: %s: %q: expected %s, %s or %s, found %q "+
				"(without the file all run)",
				path, name, TargetPaused, TargetStopped, TargetStarted, target)
		}
	}
	return t, nil
}

// Get is the state that a connector is to have: the one that was set, else its own.
func (t *Targets) Get(c *Connector) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if target, ok := t.targets[c.Name]; ok {
		return target
	}
	return c.Target()
}

// Set notes the state that a connector is to have. It returns when the file says so for good.
func (t *Targets) Set(name, target string) error {
	return t.change(func(next map[string]string) { next[name] = target })
}

// try is Set with what undoes it, unless another state was set since.
func (t *Targets) try(name, target string) (undo func() error, err error) {
	t.mu.Lock()
	before, had := t.targets[name]
	t.mu.Unlock()
	undo = func() error {
		return t.change(func(next map[string]string) {
			switch {
			case next[name] != target:
			case had:
				next[name] = before
			default:
				delete(next, name)
			}
		})
	}
	return undo, t.Set(name, target)
}

// Forget takes out what was set: a connector of that name is a new one.
func (t *Targets) Forget(name string) error {
	return t.change(func(next map[string]string) { delete(next, name) })
}

func (t *Targets) change(do func(map[string]string)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := maps.Clone(t.targets)
	do(next)
	if maps.Equal(next, t.targets) {
		return nil
	}
	if t.path != "" {
		data, err := json.MarshalIndent(next, "", "  ")
		if err != nil {
			return err
		}
		if len(data) > MaxFileBytes {
			return fmt.Errorf("states of connectors: expected at most %d bytes in %s, found %d", MaxFileBytes, t.path,
				len(data))
		}
		if err := wholefile.ReplaceSynced(t.path, data); err != nil {
			return fmt.Errorf("states of connectors: %w", err)
		}
	}
	t.targets = next
	return nil
}

// all are those that were set.
func (t *Targets) all() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.targets)
}
