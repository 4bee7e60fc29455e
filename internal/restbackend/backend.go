package restbackend

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/culvert-project/culvert/internal/buildinfo"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/group"
	"github.com/culvert-project/culvert/internal/metrics"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/reload"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/sampling"
	"github.com/culvert-project/culvert/internal/setup"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// Options configures a [Backend].
type Options struct {
	*setup.Installation
	Offline  bool // a command uses REST's handler; no connectors run
	Lockouts *lockouts.Store
	Samples  *sampling.Sampler
	Group    group.Member
	Parts    *setup.Parts
	WorkerID func() string // returns HOST:PORT of this worker
}

// Backend implements REST's view of a worker, while it starts and after.
type Backend struct {
	Options
	metrics metrics.Metrics
	started time.Time
}

// New returns a backend.
func New(o Options) *Backend { return &Backend{Options: o, started: time.Now()} }

// REST returns the functions by which package rest reads and changes the worker.
func (b *Backend) REST() rest.Worker {
	return rest.Worker{Now: b.snapshot, Redact: b.Worker.Redact, Metrics: b.gatherer, Ready: b.ready,
		Passwords: b.passwords, SetTargetState: b.setTargetState, Reload: b.reload, CatchUp: b.catchUp,
		Configs: rest.Configs{Validate: b.validate, Definitions: b.definitions, Write: b.writeConnector,
			Compare: b.compareConfig, Delete: b.deleteConnector, Source: b.source},
		Samples: rest.Samples{StartSample: b.startSample, ListSamples: b.Samples.List, ReadSample: b.readSample,
			SampleTestFile: b.sampleTest, Tools: b.commands, RunTool: b.runCommand, Peek: b.peek}}
}

// catchUp implements [rest.Worker.CatchUp].
func (b *Backend) catchUp(ctx context.Context, connector string) {
	reloader := b.Parts.Get().Reloader
	if reloader == nil {
		return
	}
	err := b.Group.CatchUp(ctx, reloader, connector)
	if err != nil && !errors.Is(err, context.Canceled) {
		b.Log.Warn("a change was answered before this worker's own answers contain it", "connector", connector,
			"error", err)
	}
}

func (b *Backend) herder() *connect.Herder { return b.Parts.Get().Herder }

func (b *Backend) changes() reload.ChangeChecker {
	parts := b.Parts.Get()
	return b.ChangeChecker(parts.Plugins, parts.Herder)
}

// ChangeChecker returns a checker of changes to the connectors of a herder.
func (b *Backend) ChangeChecker(plugins *plugin.Manager, herder *connect.Herder) reload.ChangeChecker {
	return reload.ChangeChecker{Plugins: plugins, Herder: herder,
		Status: func(name string) (connect.Status, error) { return b.view(herder).Status(name) }}
}

func (b *Backend) snapshot() rest.Parts {
	parts := b.Parts.Get()
	_, commit := buildinfo.Version()
	shown := rest.Parts{Starting: b.starting(parts), ID: b.WorkerID(), Started: b.started, Once: b.Config.Once,
		Herder: b.view(parts.Herder), Plugins: parts.Plugins, Lockouts: b.Lockouts, Levels: b.Levels, Log: b.Log,
		Recent:       b.Recent,
		Root:         rest.Root{Version: buildinfo.REST(), Commit: commit, Cluster: parts.Cluster},
		TracksTopics: b.Worker.Boolean("topic.tracking.enable"),
		ResetsTopics: b.Worker.Boolean("topic.tracking.allow.reset")}
	if parts.Herder != nil {
		shown.Events = parts.Herder.Events()
	}
	return shown
}

// starting returns what the worker's start waits for, nil once it can handle requests. REST shows the texts verbatim,
// so they are sentences. A change before the connectors are known would treat them as new.
func (b *Backend) starting(parts setup.Opened) error {
	progress := b.Progress()
	switch r := parts.Reloader; {
	case parts.Herder == nil && progress != "":
		return errors.New(progress)
	case parts.Plugins == nil:
		return errors.New("Plugins are being loaded.")
	case parts.Herder == nil:
		return errors.New("Kafka is being contacted and offsets are being read.")
	case b.Config.Once, b.Offline: // connectors are not changed by REST, so nothing else must be awaited
	case r == nil:
		return errors.New("Plugins that no connector needs are being loaded, and connectors cannot be changed yet.")
	case !b.Group.HasJoined():
		return errors.New("The worker is joining its group.")
	case !r.Store().Ready() && progress != "":
		return errors.New(progress + " Connectors cannot be changed yet.")
	case !r.Store().Ready(), !r.Reconciled():
		return errors.New("Connectors are being checked for the first time, and cannot be changed yet.")
	}
	return nil
}

func (b *Backend) ready(ctx context.Context) error {
	parts := b.Parts.Get()
	if err := b.starting(parts); err != nil {
		return err
	}
	return parts.Herder.WaitIdle(ctx)
}

func (b *Backend) gatherer() prometheus.Gatherer {
	parts := b.Parts.Get()
	return b.metrics.Gatherer(metrics.Sources{Plugins: parts.Plugins, Tracer: parts.Tracer, Herder: parts.Herder,
		Reloads: parts.Files, Rebalances: b.Group.Rebalances, Clients: b.Kafka.Metrics, Redact: b.Worker.Redact})
}

// reload implements [rest.Worker.Reload]. rescan requests a new scan of the folder, without waiting for it. ok
// is false while the worker starts, and without a connector folder.
func (b *Backend) reload(rescan bool) (report rest.Reload, ok bool) {
	parts := b.Parts.Get()
	if parts.Files == nil || parts.Herder == nil || b.Config.Files.Folder == "" {
		return rest.Reload{}, false
	}
	if rescan {
		parts.Rescan()
	}
	return parts.Files.Report(b.Group.FolderConnectors()), true
}

func (b *Backend) passwords() func(setting string) bool {
	return resolved.Passwords(b.Parts.Get().Plugins)
}

// view returns nil while the worker starts, not an interface that holds nil.
func (b *Backend) view(herder *connect.Herder) rest.Herder {
	if herder == nil {
		return nil
	}
	return b.Group.Herder(herder)
}

// setTargetState stores the target state before it returns, also if the sender disconnects, as in Kafka Connect.
func (b *Backend) setTargetState(name string, state connect.TargetState) error {
	if _, err := b.herder().RunningConfig(name); err != nil {
		return err
	}
	return b.Group.SetTargetState(context.Background(), name, state)
}
