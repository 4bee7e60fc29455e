package restbackend

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/culvert-project/culvert/internal/buildinfo"
	"github.com/culvert-project/culvert/internal/cluster"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/group"
	"github.com/culvert-project/culvert/internal/metrics"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/reload"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/run/tracing"
	"github.com/culvert-project/culvert/internal/sampling"
	"github.com/culvert-project/culvert/internal/setup"
	"github.com/culvert-project/culvert/internal/targetstate"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// Options configures a [Backend].
type Options struct {
	*setup.Installation
	Offline  bool // a command uses REST's handler; no connectors run
	Lockouts *lockouts.Store
	Targets  *targetstate.Store
	Samples  *sampling.Sampler
	Group    *group.Worker // nil for a worker without a group
	Parts    func() Parts
	WorkerID func() string // returns HOST:PORT of this worker
}

// Parts contains the parts of a worker that are open at one moment.
type Parts struct {
	Plugins  *plugin.Manager  // nil while they are loaded
	Herder   *connect.Herder  // nil while the worker starts
	Tracer   *tracing.Tracer  // nil without traces
	Cluster  string           // the ID of the Kafka cluster, "" while the worker starts
	Reloader *reload.Reloader // nil while the worker starts, and in a run that ends by itself
	Folder   *group.Folder    // the connector folder in a group, nil without one
}

// files returns the reloader of the connector files, nil if there is none.
func (p Parts) files() *reload.Reloader {
	if p.Folder != nil {
		return p.Folder.Files()
	}
	return p.Reloader
}

// Rescan reads the stored configurations again, whether or not they seem to have changed.
func (p Parts) Rescan() {
	if p.Reloader != nil {
		p.Reloader.Store().Refresh()
	}
	if p.Folder != nil {
		p.Folder.Files().Store().Refresh()
	}
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
	w := rest.Worker{Now: b.snapshot, Redact: b.Worker.Redact, Metrics: b.gatherer, Ready: b.ready,
		Passwords: b.passwords, SetTargetState: b.setTargetState, Reload: b.reload,
		Configs: rest.Configs{Validate: b.validate, Definitions: b.definitions, Write: b.writeConnector,
			Compare: b.compareConfig, Delete: b.deleteConnector, Source: b.source},
		Samples: rest.Samples{StartSample: b.startSample, ListSamples: b.Samples.List, ReadSample: b.readSample,
			SampleTestFile: b.sampleTest, Tools: b.commands, RunTool: b.runCommand, Peek: b.peek}}
	if b.Group != nil {
		w.CatchUp = b.catchUp
	}
	return w
}

// catchUp implements [rest.Worker.CatchUp]. It waits for what this worker reads from the group's topics: the
// connectors, and its own records of statuses and topics.
func (b *Backend) catchUp(ctx context.Context, connector string) {
	reloader := b.Parts().Reloader
	if reloader == nil {
		return
	}
	err := b.Group.Refresh(ctx)
	if err == nil {
		err = reloader.CatchUp(ctx)
	}
	if err == nil && connector != "" {
		err = b.Group.AwaitStatuses(ctx, connector)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		b.Log.Warn("a change was answered before this worker's own answers contain it", "connector", connector,
			"error", err)
	}
}

func (b *Backend) herder() *connect.Herder { return b.Parts().Herder }

func (b *Backend) changes() reload.ChangeChecker {
	parts := b.Parts()
	return b.ChangeChecker(parts.Plugins, parts.Herder)
}

// ChangeChecker returns a checker of changes to the connectors of a herder.
func (b *Backend) ChangeChecker(plugins *plugin.Manager, herder *connect.Herder) reload.ChangeChecker {
	return reload.ChangeChecker{Plugins: plugins, Herder: herder,
		Status: func(name string) (connect.Status, error) { return b.view(herder).Status(name) }}
}

func (b *Backend) snapshot() rest.Parts {
	parts := b.Parts()
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
func (b *Backend) starting(parts Parts) error {
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
	case b.Group != nil && !b.Group.HasJoined():
		return errors.New("The worker is joining its group.")
	case !r.Store().Ready() && progress != "":
		return errors.New(progress + " Connectors cannot be changed yet.")
	case !r.Store().Ready(), b.Group != nil && !r.Reconciled():
		return errors.New("Connectors are being checked for the first time, and cannot be changed yet.")
	}
	return nil
}

func (b *Backend) ready(ctx context.Context) error {
	parts := b.Parts()
	if err := b.starting(parts); err != nil {
		return err
	}
	return parts.Herder.WaitIdle(ctx)
}

func (b *Backend) gatherer() prometheus.Gatherer {
	parts := b.Parts()
	s := metrics.Sources{Plugins: parts.Plugins, Tracer: parts.Tracer, Herder: parts.Herder, Rebalances: b.rebalances,
		Clients: b.Kafka.Metrics, Redact: b.Worker.Redact}
	if files := parts.files(); files != nil {
		s.Reloads = files
	}
	return b.metrics.Gatherer(s)
}

func (b *Backend) rebalances() cluster.Rebalances {
	if b.Group == nil {
		return (*cluster.Worker)(nil).Rebalances() // of a worker that has seen no rebalance: SinceLast is +Inf
	}
	return b.Group.Rebalances()
}

// reload implements [rest.Worker.Reload]. rescan requests a new scan of the folder, without waiting for it. ok
// is false while the worker starts, and without a connector folder.
func (b *Backend) reload(rescan bool) (report rest.Reload, ok bool) {
	parts := b.Parts()
	files := parts.files()
	if files == nil || parts.Herder == nil || b.Config.Files.Folder == "" {
		return rest.Reload{}, false
	}
	if rescan {
		parts.Rescan()
	}
	connectors := parts.Herder.RunningConfigs()
	problems := []string{}
	if parts.Folder != nil {
		connectors, problems = parts.Folder.Connectors()
	}
	return files.Report(connectors, problems), true
}

func (b *Backend) passwords() func(setting string) bool {
	return resolved.Passwords(b.Parts().Plugins)
}

// view returns nil while the worker starts, not an interface that holds nil.
func (b *Backend) view(herder *connect.Herder) rest.Herder {
	switch {
	case herder == nil:
		return nil
	case b.Group == nil:
		return herder
	}
	return b.Group.Herder(herder)
}

// setTargetState stores the target state before it returns, also if the sender disconnects, as in Kafka Connect.
func (b *Backend) setTargetState(name string, state connect.TargetState) error {
	herder := b.herder()
	if b.Group == nil {
		return b.Targets.Set(context.Background(), herder, name, state)
	}
	if _, err := herder.RunningConfig(name); err != nil {
		return err
	}
	return b.Group.SetTargetState(context.Background(), name, state)
}
