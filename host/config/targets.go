package config

import "fmt"

// Target states by Kafka Connect's names in the config topic. A connector without one is to run.
const (
	TargetStarted = "STARTED"
	TargetPaused  = "PAUSED"
	TargetStopped = "STOPPED"
)

// Targets are the states that users want their connectors to have, kept in a file, so that what was paused stays so
// when the worker is started again. Connectors of which nothing was ever wanted are not in it. All methods may be
// called at any time.
type Targets struct{ *noted[string] }

// OpenTargets reads the file, which need not be there; "" keeps all in memory. A file that cannot be read, or holds
// something else, is an error: a connector that was stopped on purpose must not run by mistake.
func OpenTargets(path string) (*Targets, error) {
	k, err := openNoted[string]("states of connectors", path)
	if err != nil {
		return nil, fmt.Errorf("%w (without the file all run)", err)
	}
	for name, target := range k.of {
		if target != TargetPaused && target != TargetStopped && target != TargetStarted {
			return nil, fmt.Errorf("states of connectors: %s: %q: expected %s, %s or %s, found %q "+
				"(without the file all run)",
				path, name, TargetPaused, TargetStopped, TargetStarted, target)
		}
	}
	return &Targets{k}, nil
}

// Get is the state that a connector is to have: the one that was set, else its own.
func (t *Targets) Get(c *Connector) string {
	if target, ok := t.get(c.Name); ok {
		return target
	}
	return c.Target()
}

// All are those that were set, by the names of connectors.
func (t *Targets) All() map[string]string { return t.all() }

// Set notes the state that a connector is to have. It returns when the file says so for good.
func (t *Targets) Set(name, target string) error {
	return t.change(func(next map[string]string) { next[name] = target })
}

// try is Set with what undoes it, unless another state was set since.
func (t *Targets) try(name, target string) (undo func() error, err error) {
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
func (t *Targets) Forget(name string) error { return t.forget(name) }
