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

// Alone is the [Member] of a worker without a group: its own leader. Its connectors are those of its files and those
// that REST created; the files are never copied.
type Alone struct {
	Installation *setup.Installation
	Stored       *configtopic.Store // what REST created, and target states; nil in a run with --once
	Parts        *setup.Parts

	mu sync.Mutex // covers a target state and its connector
}

var _ Member = (*Alone)(nil)

// HasOthers implements [reload.Group].
func (*Alone) HasOthers() bool { return false }

// Membership implements [reload.Group].
func (*Alone) Membership() rest.Membership { return rest.Membership{IsLeader: true, LeaderKnown: true} }

// Applied implements [reload.Group]: target states are applied when they are set.
func (*Alone) Applied(config.Snapshot) {}

// ConfigureREST implements [Opener].
func (*Alone) ConfigureREST(*rest.Options) {}

// Destinations implements [Opener].
func (*Alone) Destinations() *transport.OriginRegistry { return nil }

// NewHerder implements [Opener].
func (a *Alone) NewHerder(_ context.Context, o connect.Options, connectors []*resolved.Connector,
	_ *setup.Cleanup) (*connect.Herder, error) {
	if files := a.Installation.Config.Files; len(files.Connectors) == 0 {
		o.Logger.Warn("there are no connectors to run: no connector file found", "config", files.Folder)
	}
	o.Target = func(c *config.Connector) connect.TargetState {
		if a.Stored == nil {
			return connect.Running
		}
		return connect.ParseTarget(cmp.Or(a.Stored.Target(c.Name), c.InitialTarget()))
	}
	return connect.New(o, connectors), nil
}

// Follow implements [Opener].
func (a *Alone) Follow(o reload.Options) (connectors, files *reload.Reloader, watch func(context.Context)) {
	r := reload.New(o, reload.FolderStore(a.Installation.Config.Files, a.Installation.Connectors, a.Stored,
		a.Installation.Worker, a.Installation.Log))
	return r, r, func(ctx context.Context) { r.Watch(ctx, r.Reload) }
}

// Run implements [Opener].
func (*Alone) Run(ctx context.Context, herder *connect.Herder, _ func(context.Context) (int, error)) error {
	herder.Run(ctx)
	return nil
}

// SetTargetState implements [Member].
func (a *Alone) SetTargetState(ctx context.Context, name string, target connect.TargetState) error {
	herder := a.Parts.Get().Herder
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := herder.RunningConfig(name); err != nil {
		return err
	}
	if err := a.Stored.Put(ctx, name, config.Stored{Target: target.StoredName()}); err != nil {
		return err
	}
	return herder.SetTarget(name, target)
}

// HasJoined implements [View].
func (*Alone) HasJoined() bool { return true }

// Herder implements [View].
func (*Alone) Herder(herder *connect.Herder) rest.Herder { return herder }

// CheckOwnership implements [View]: the store rejects changes of connectors with files.
func (*Alone) CheckOwnership(string) error { return nil }

// FolderConnectors implements [View].
func (a *Alone) FolderConnectors() (connectors []resolved.RunningConnector, problems []string) {
	return a.Parts.Get().Herder.RunningConfigs(), []string{}
}

// Rebalances implements [View]. The answer is that of a worker that has seen no rebalance.
func (*Alone) Rebalances() cluster.Rebalances { return (*cluster.Worker)(nil).Rebalances() }

// Refresh implements [View].
func (*Alone) Refresh(context.Context) error { return nil }

// CatchUp implements [View]: changes are applied before they are answered.
func (*Alone) CatchUp(context.Context, *reload.Reloader, string) error { return nil }
