package group

import (
	"context"

	"github.com/culvert-project/culvert/internal/cluster"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/reload"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/setup"
	"github.com/culvert-project/culvert/internal/transport"
)

// Member is implemented by [Worker] and [Standalone].
type Member interface {
	reload.Group
	Opener
	View
	// SetTargetState stores the target state of a connector, and applies it at once or with the next snapshot of the
	// store.
	SetTargetState(ctx context.Context, name string, target connect.TargetState) error
}

// Opener opens what a worker needs as a member. Each method is called at most once, in this order.
type Opener interface {
	// ConfigureREST completes the options of REST with what it needs to know of other workers.
	ConfigureREST(*rest.Options)
	// Destinations returns the registry of limits that the worker's clients share, nil for the one of the process.
	Destinations() *transport.OriginRegistry
	// NewHerder returns a herder for these connectors, in a group once the group's topics were read.
	NewHerder(ctx context.Context, o connect.Options, connectors []*resolved.Connector,
		cleanup *setup.Cleanup) (*connect.Herder, error)
	// Follow returns the reloader of the stored connectors and that of the connector files, which are one without a
	// group. watch makes the herder follow the store, and in a group the store follow the files, until ctx ends.
	Follow(o reload.Options) (connectors, files *reload.Reloader, watch func(ctx context.Context))
	// Run runs the herder until ctx ends. In a group it also joins, and resume, if not nil, retries refused logons. An
	// error means that the store cannot be read any more.
	Run(ctx context.Context, herder *connect.Herder, resume func(context.Context) (int, error)) error
}

// View is what REST shows of the worker as a member.
type View interface {
	// HasJoined reports whether the worker is a member.
	HasJoined() bool
	// Herder returns a view of a herder that includes what other workers run.
	Herder(*connect.Herder) rest.Herder
	// CheckOwnership returns an error if a connector belongs to a folder, which would undo a change by REST.
	CheckOwnership(name string) error
	// FolderConnectors returns the connectors of the folder, and why it is not applied.
	FolderConnectors() (connectors []resolved.RunningConnector, problems []string)
	// Rebalances returns the counters of the group's rebalances.
	Rebalances() cluster.Rebalances
	// Refresh waits until what other workers have written was read.
	Refresh(ctx context.Context) error
	// CatchUp waits until this worker shows what was written: the connectors, whose reloader is r, and its own records
	// of a connector's status and topics.
	CatchUp(ctx context.Context, r *reload.Reloader, connector string) error
}
