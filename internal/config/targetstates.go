package config

import (
	"fmt"
	"maps"
	"sync"
)

// Target states by Kafka Connect's names in the config topic. The default is to run.
const (
	TargetStarted = "STARTED"
	TargetPaused  = "PAUSED"
	TargetStopped = "STOPPED"
)

// TargetStates stores the target states that users have set, in a file. It is safe for concurrent use.
type TargetStates struct {
	path string

	mu     sync.Mutex
	states map[string]string // by connector
}

// OpenTargetStates reads the file, which may be missing; an empty path keeps all in memory. A damaged file is an error:
// a stopped connector must not run by mistake.
func OpenTargetStates(path string) (*TargetStates, error) {
	t := &TargetStates{path: path}
	if err := loadJSON(path, maxFileBytes, &t.states); err != nil {
		return nil, fmt.Errorf("states of connectors: %w (without the file all connectors run)", err)
	}
	if t.states == nil {
		t.states = map[string]string{}
	}
	for name, target := range t.states {
		if target != TargetPaused && target != TargetStopped && target != TargetStarted {
			return nil, fmt.Errorf("states of connectors: %s: %q: expected %s, %s or %s, found %q "+
				"(without the file all connectors run)",
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

// Get returns a connector's target state: the one that was set, else its initial one.
func (t *TargetStates) Get(connector *Connector) string {
	if target, ok := t.get(connector.Name); ok {
		return target
	}
	return connector.InitialTarget()
}

// All returns the states that were set, by connector.
func (t *TargetStates) All() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.states)
}

// Set stores a target state durably.
func (t *TargetStates) Set(name, target string) error {
	return t.update(func(next map[string]string) { next[name] = target })
}

func (t *TargetStates) setWithUndo(name, target string) (undo func() error, err error) {
	previous, wasSet := t.get(name)
	undo = func() error {
		return t.update(func(next map[string]string) {
			switch {
			case next[name] != target: // changed again since
			case wasSet:
				next[name] = previous
			default:
				delete(next, name)
			}
		})
	}
	return undo, t.Set(name, target)
}

// Forget deletes a target state: a later connector of the name is a new one.
func (t *TargetStates) Forget(name string) error {
	return t.update(func(next map[string]string) { delete(next, name) })
}

func (t *TargetStates) update(change func(map[string]string)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := maps.Clone(t.states)
	change(next)
	if maps.Equal(next, t.states) {
		return nil
	}
	if err := saveJSON(t.path, maxFileBytes, next); err != nil {
		return fmt.Errorf("states of connectors: %w", err)
	}
	t.states = next
	return nil
}
