package group

import (
	"cmp"
	"context"
	"sync"

	"github.com/culvert-project/culvert/internal/cluster"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/reload"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/setup"
	"github.com/culvert-project/culvert/internal/transport"
)

// Standalone is the [Member] of a worker without a group. It runs the connectors of its files and those that REST
// created; the files are never copied.
type Standalone struct {
	Installation *setup.Installation
	Stored       *configtopic.Store // the connectors that REST created, and all target states; nil with --once
	Parts        *setup.Parts

	mu sync.Mutex // held while a target state is stored and applied
}

var _ Member = (*Standalone)(nil)

// InGroup implements [reload.Group].
func (*Standalone) InGroup() bool { return false }

// Membership implements [reload.Group].
func (*Standalone) Membership() rest.Membership {
	return rest.Membership{IsStandalone: true, IsLeader: true, LeaderKnown: true}
}

// Applied implements [reload.Group]: target states are applied when they are set.
func (*Standalone) Applied(config.Snapshot) {}

// ConfigureREST implements [Opener].
func (*Standalone) ConfigureREST(*rest.Options) {}

// Destinations implements [Opener].
func (*Standalone) Destinations() *transport.OriginRegistry { return nil }

// NewHerder implements [Opener].
func (s *Standalone) NewHerder(_ context.Context, o connect.Options, connectors []*resolved.Connector,
	_ *setup.Cleanup) (*connect.Herder, error) {
	if len(connectors) == 0 {
		folder := s.Installation.Config.Files.Folder
		o.Logger.Warn("there are no connectors to run: no connector file found", "config", folder)
	}
	o.Target = func(c *config.Connector) connect.TargetState {
		if s.Stored == nil {
			return connect.Running
		}
		return connect.ParseTarget(cmp.Or(s.Stored.Target(c.Name), c.InitialTarget()))
	}
	return connect.New(o, connectors), nil
}

// Follow implements [Opener].
func (s *Standalone) Follow(o reload.Options) (connectors, files *reload.Reloader, watch func(context.Context)) {
	r := reload.New(o, reload.FolderStore(s.Installation.Config.Files, s.Installation.Connectors, s.Stored,
		s.Installation.Worker, s.Installation.Log))
	return r, r, func(ctx context.Context) { r.Watch(ctx, r.Reload) }
}

// Run implements [Opener].
func (*Standalone) Run(ctx context.Context, herder *connect.Herder, _ func(context.Context) (int, error)) error {
	herder.Run(ctx)
	return nil
}

// SetTargetState implements [Member].
func (s *Standalone) SetTargetState(ctx context.Context, name string, target connect.TargetState) error {
	herder := s.Parts.Get().Herder
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := herder.RunningConfig(name); err != nil {
		return err
	}
	if err := s.Stored.Put(ctx, name, config.Stored{Target: target.StoredName()}); err != nil {
		return err
	}
	return herder.SetTarget(name, target)
}

// HasJoined implements [View].
func (*Standalone) HasJoined() bool { return true }

// Herder implements [View].
func (*Standalone) Herder(herder *connect.Herder) rest.Herder { return herder }

// CheckOwnership implements [View]: the store rejects changes of connectors with files.
func (*Standalone) CheckOwnership(string) error { return nil }

// FolderConnectors implements [View].
func (s *Standalone) FolderConnectors() (connectors []resolved.RunningConnector, problems []string) {
	return s.Parts.Get().Herder.RunningConfigs(), []string{}
}

// Rebalances implements [View] as for a worker before its first rebalance.
func (*Standalone) Rebalances() cluster.Rebalances { return (*cluster.Worker)(nil).Rebalances() }

// Refresh implements [View].
func (*Standalone) Refresh(context.Context) error { return nil }

// CatchUp implements [View]: changes are applied before they are answered.
func (*Standalone) CatchUp(context.Context, *reload.Reloader, string) error { return nil }
