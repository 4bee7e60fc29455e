package connect

import (
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/base/watch"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/events"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/run/sink"
	"github.com/culvert-project/culvert/internal/service"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// connectorRun is one run of a connector with one configuration, from the start of its tasks until the last of them has
// ended. The controller decides when runs start and stop. A detached run is created for a query, such as of offsets,
// and never starts.
type connectorRun struct {
	controller     *controller
	options        *Options
	accepted       *resolved.Connector // never changes
	config         *resolved.Connector // accepted with the secrets of the last start; constant while tasks run
	hasSecretError bool                // the last start could not resolve the references
	log            *slog.Logger
	planBinding    atomic.Pointer[plugin.Binding] // of the plan, until releasePlan
	clients        runClients
	taskSet        taskSet         // guarded by controller.mu
	warnedSettings map[string]bool // logged by warnWithheld; guarded by controller.mu
}

// runClients are opened by start (the service) and openForTasks (others), and closed after the last task.
type runClients struct {
	hasTasks         bool   // guarded by controller.mu: tasks exist or are being created, perhaps for display only
	lastError        string // error of the last failed start, which is not logged again
	service          *service.Service
	client           *transport.Client
	kafka            kafka.Config
	openLock         guard.CtxMutex // held by openForTasks
	isOpen           bool           // openForTasks has succeeded; guarded by openLock
	admin            *kafka.Admin   // of a source: creates its topics
	offsets          *offset.Store  // of a source
	producersPerTask int            // transactional ones, see producersFor
	registries       registries
	dryRun           bool // converters register no schemas
}

func newConnectorRun(ctl *controller, options *Options, connector *resolved.Connector) *connectorRun {
	run := &connectorRun{
		controller: ctl, options: options, accepted: connector, config: connector.Current(), log: ctl.log,
		clients: runClients{openLock: guard.NewCtxMutex()}, taskSet: taskSet{isFixed: !options.Group.InGroup()},
	}
	run.clients.registries.log = run.log
	return run
}

func (run *connectorRun) component() *plugin.Component { return run.config.Class.Component }

// configError returns the problems of the configuration, or why its class was not found.
func (run *connectorRun) configError() error {
	return cmp.Or(run.accepted.Problems.Err(), run.config.Class.RunError())
}

func (run *connectorRun) isSink() bool {
	return run.config.Class.RunError() == nil && run.component().Kind == wit.ComponentSink
}

// runUntilStopped starts the connector and its tasks and returns when all of them have ended. If the start fails, it
// waits until a retry can help, and starts again, except with once.
func (run *connectorRun) runUntilStopped(ctx context.Context, once bool) {
	for {
		stamp := watch.Stamp(run.keyStoreFiles()...) // first: files that change during the start permit a retry
		closeAll, err := run.start(ctx)
		if err == nil {
			defer closeAll()
			run.runTasks(ctx)
			return
		}
		if ctx.Err() == nil {
			run.options.starts.connectors.addFailure()
		}
		run.reportFailure(ctx, err)
		if once || !run.waitRetryable(ctx, err, stamp) {
			return
		}
	}
}

const startRetryDelay = 30 * time.Second

func formatRestart(restartsAt time.Time) string {
	if restartsAt.IsZero() {
		return ""
	}
	return restartsAt.UTC().Format(time.RFC3339)
}

// reportFailure logs a failed start and waits until the loop has handled it, unless ctx has ended.
func (run *connectorRun) reportFailure(ctx context.Context, err error) {
	level := slog.LevelError
	if ctx.Err() == nil && isRetriable(err) && !run.controller.desiredSpec().once {
		level = slog.LevelWarn
		run.setRestart(time.Now().Add(startRetryDelay)) // until the retry has failed or succeeded
	} else {
		run.setRestart(time.Time{})
	}
	if ctx.Err() != nil {
		return
	}
	if message := err.Error(); message != run.clients.lastError {
		run.clients.lastError = message
		run.log.Log(ctx, level, "connector failed", "error", err)
		run.recordEvent(events.Event{Kind: "failed", Reason: reasonOf(message)})
	}
	run.controller.report(run, evFailed, err)
}

// start opens the service, plans the tasks and creates them. closeAll closes what start and the tasks have opened.
func (run *connectorRun) start(ctx context.Context) (closeAll func(), err error) {
	if err := run.configError(); err != nil {
		return nil, err
	}
	run.clients.service = nil // of the last attempt, which has closed the client
	run.clients.client = nil
	run.clients.registries.ctx = ctx
	_, err = run.reloadSecrets()
	run.hasSecretError = err != nil
	if err == nil {
		err = run.configureKafka(ctx)
	}
	if err == nil {
		err = run.openService(ctx)
	}
	if err != nil {
		return nil, err
	}
	if run.isSink() { // its tasks compare topics with these, to warn of a wrong name
		unmatched := &sink.UnmatchedTopics{Settings: map[string]string{}}
		for _, e := range run.config.SinkTopics() {
			unmatched.Settings[setting.Trim(e.Value.Reveal())] = e.Key
		}
		if run.config.Effect().ByTopic {
			unmatched.InputTopics = config.List(run.config.Text("topics"))
		}
		run.taskSet.unmatched = unmatched
	}
	configs, err := run.planTasks(ctx)
	if err != nil {
		run.options.claims.release(run.config.Name)
		run.releasePlan()
		run.clients.client.Close()
		return nil, err
	}
	if run.clients.lastError != "" {
		run.recordEvent(events.Event{Kind: "restarted", Text: "automatically"})
	}
	run.clients.lastError = ""
	run.createTasks(configs)
	run.options.starts.connectors.addSuccess()
	run.controller.report(run, evStarted, nil)
	module := &run.config.Class.Module
	run.log.Info("connector started", "class", run.component().Name, "plugin", module.Name,
		"version", module.Version, "file", module.Path, "tasks", len(configs))
	unwatch := run.clients.service.Watch(run.clients.client)
	return func() {
		if !run.options.Group.InGroup() { // else the endpoint stays, to forward notifications to the owner
			run.controller.endpoint.shutDown()
		}
		unwatch()
		run.releasePlan()
		run.closeOffsets()
		run.clients.client.Close()
		if run.clients.admin != nil {
			run.clients.admin.Close()
		}
	}, nil
}

// recordEvent records an event that no request has caused.
func (run *connectorRun) recordEvent(e events.Event) {
	e.Connector = run.controller.name
	run.options.events.Record(context.Background(), e)
}

// openService creates the service and its client, which the caller closes.
func (run *connectorRun) openService(ctx context.Context) (err error) {
	run.clients.service, err = service.New(run.config, run.options.Lockouts, run.log)
	if err == nil {
		run.clients.service.UseLimits(run.options.Destinations)
		run.clients.client, err = run.clients.service.Open(ctx)
	}
	return err
}

// planShownTasks creates the tasks of a connector that does not run, so that REST can list them.
func (run *connectorRun) planShownTasks(ctx context.Context) error {
	plan, err := run.plan(ctx, planToShow)
	if err != nil {
		return err
	}
	run.createTasks(plan.Tasks)
	run.controller.reportStatus()
	return nil
}

// configureKafka sets the configuration of the connector's Kafka clients. These resolve secrets again for each
// authentication, because a password may change while the connector runs.
func (run *connectorRun) configureKafka(ctx context.Context) (err error) {
	run.clients.kafka, _, err = run.options.Kafka.Override(ctx, run.config.ResolvedSettings())
	startConfig := run.config.Connector
	// Logs redact a secret as long as its configuration is reachable: the pointer only keeps it reachable.
	var inUse atomic.Pointer[config.Connector]
	run.clients.kafka.SetCurrentValues(func(name string) (string, bool) {
		if e, ok := startConfig.Entry(name); !ok || !e.Value.IsSecret() {
			return "", false
		}
		current, err := startConfig.Resolve(run.options.Worker.Providers)
		if err != nil {
			return "", false // the previous value may still work
		}
		inUse.Store(current)
		return current.Get(name)
	})
	return err
}

// kind returns source, sink or, if the class was not found, unknown.
func (run *connectorRun) kind() string {
	if run.config.Class.RunError() != nil {
		return "unknown"
	}
	return run.component().Kind.String()
}
