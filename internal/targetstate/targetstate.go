// Package targetstate keeps and applies the states that users want connectors to have: running, paused or stopped.
package targetstate

import (
	"cmp"
	"context"
	"sync"

	"github.com/culvert-project/culvert/internal/cluster/configtopic"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
)

// Parse returns the target state of a name in the config topic or in the data folder. Other names mean running.
func Parse(name string) connect.TargetState {
	if name == config.TargetPaused || name == config.TargetStopped {
		return connect.TargetState(name)
	}
	return connect.Running
}

// Name returns the name under which a target state is stored.
func Name(state connect.TargetState) string {
	if state == connect.Paused || state == connect.Stopped {
		return string(state)
	}
	return config.TargetStarted
}

// Apply moves a connector to a target state.
func Apply(herder *connect.Herder, name string, state connect.TargetState) error {
	switch state {
	case connect.Paused:
		return herder.Pause(name)
	case connect.Stopped:
		return herder.Stop(name)
	}
	return herder.Resume(name)
}

// Store keeps the target states of a worker without a group. A lock covers a state and its connector.
type Store struct {
	mu     sync.Mutex
	stored *configtopic.Store
}

// NewStore returns a store for a worker. Nil means that all connectors run and their states cannot be changed.
func NewStore(stored *configtopic.Store) *Store { return &Store{stored: stored} }

// Get returns the target state of a connector.
func (s *Store) Get(c *config.Connector) connect.TargetState {
	if s.stored == nil {
		return connect.Running
	}
	return Parse(cmp.Or(s.stored.Target(c.Name), c.InitialTarget()))
}

// Set stores the target state of a connector that exists, then applies it.
func (s *Store) Set(ctx context.Context, herder *connect.Herder, name string, state connect.TargetState) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := herder.RunningConfig(name); err != nil {
		return err
	}
	if err := s.stored.Put(ctx, name, config.Stored{Target: Name(state)}); err != nil {
		return err
	}
	return Apply(herder, name, state)
}
