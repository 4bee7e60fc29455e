package config

import (
	"fmt"
	"maps"
	"sync"
)

// Target states by Kafka Connect's names in the config topic. A connector without one is to run.
const (
	TargetStarted = "STARTED"
	TargetPaused  = "PAUSED"
	TargetStopped = "STOPPED"
)

// TargetStates are the states that users want their connectors to have, kept in a file, so that what was paused stays
// so when the worker is started again. Connectors of which nothing was ever wanted are not in it. All methods may be
// called at any time.
type TargetStates struct {
	path string

	mu     sync.Mutex
	states map[string]string // by connector
}

// OpenTargetStates reads the file, which need not be there; "" keeps all in memory. A file that cannot be read, or
// holds something else, is an error: a connector that was stopped on purpose must not run by mistake.
func OpenTargetStates(path string) (*TargetStates, error) {
	t := &TargetStates{path: path}
	if err := loadJSON(path, maxFileBytes, &t.states); err != nil {
		return nil, fmt.Errorf("states of connectors: %w (without the file all run)", err)
	}
	if t.states == nil {
		t.states = map[string]string{}
	}
	for name, target := range t.states {
		if target != TargetPaused && target != TargetStopped && target != TargetStarted {
			return nil, fmt.Errorf("states of connectors: %s: %q: expected %s, %s or %s, found %q "+
				"(without the file all run)",
				path, name, TargetPaused, TargetStopped, TargetStarted, target)
		}
	}
	return t, nil
}

func (t *TargetStates) get(name string) (target string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	target, ok = t.states[name]
	return target, ok
}

// Get is the state that a connector is to have: the one that was set, else its own.
func (t *TargetStates) Get(c *Connector) string {
	if target, ok := t.get(c.Name); ok {
		return target
	}
	return c.InitialTarget()
}

// All are those that were set, by the names of connectors.
func (t *TargetStates) All() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.states)
}

// Set notes the state that a connector is to have. It returns when the file says so for good.
func (t *TargetStates) Set(name, target string) error {
	return t.change(func(next map[string]string) { next[name] = target })
}

// try is Set with what undoes it, unless another state was set since.
func (t *TargetStates) try(name, target string) (undo func() error, err error) {
	before, had := t.get(name)
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
func (t *TargetStates) Forget(name string) error {
	return t.change(func(next map[string]string) { delete(next, name) })
}

// change returns when the file says so for good.
func (t *TargetStates) change(do func(map[string]string)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := maps.Clone(t.states)
	do(next)
	if maps.Equal(next, t.states) {
		return nil
	}
	if err := saveJSON(t.path, maxFileBytes, next); err != nil {
		return fmt.Errorf("states of connectors: %w", err)
	}
	t.states = next
	return nil
}
