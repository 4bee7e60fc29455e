package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/watch"
	"github.com/culvert-project/culvert/host/internal/run/offset"
	core "github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/internal/service"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// connector is a connector with one configuration. newConnector looks up its class; start has it planned; its tasks
// run; it is closed when the last of them has ended. That is one run; the state is that of its [controller]. Other
// connectors are created for a single question, and never run.
type connectorRun struct {
	controller     *controller
	options        *Options
	accepted       *config.Connector // as it was accepted, and as it is shown: it does not change
	config         *config.Connector // as it was last resolved; written by its run alone, and not while its tasks run
	unresolved     bool              // references could not be resolved at the last start
	log            *slog.Logger
	class          class
	configErr      error // its configuration, which has problems
	clients        runClients
	set            taskSet         // under the controller's lock
	warnedSettings map[string]bool // see warnWithheld; under the controller's lock
}

// class is the result of looking up a connector's class: a component of a plugin, or an error.
type class struct {
	component    wit.Component
	declarations *config.Declarations // of the component's settings
	plugin       plugin.Info
	err          error
	// planned binds the instance that has planned until a task has bound it, too: to make one takes as long as some
	// requests.
	planBinding atomic.Pointer[plugin.Binding]
}

// runClients holds the clients of a run: its service, Kafka, the store of a source's offsets, and schema registries.
// The start opens the service; the first task that needs the others opens them, see openForTasks. All are closed when
// the last task has ended.
type runClients struct {
	started    bool   // under the controller's lock: the run has begun, or its tasks were planned to be shown
	lastLogged string // that was logged
	service    *service.Service
	client     *transport.Client
	kafka      kafka.Config
	openLock   guard.Turn    // held by openForTasks
	opened     bool          // under that turn
	admin      *kafka.Admin  // of a source: creates its topics
	offsets    *offset.Store // of a source
	// transactional is how many transactional producers each task of a source has.
	producersPerTask int
	// registries are those that its converters ask. dry: they register nothing.
	registries registries
	dryRun     bool
}

// task is one of a connector's tasks.
type task struct {
	run      *connectorRun
	number   int
	settings []wit.Setting
	// metrics counts the current work of the task. Only the goroutine that works uses it.
	metrics *core.Metrics

	// Under the controller's lock.
	taskStatus
	// cancelWork cancels what the task does now, also a wait. It is nil before the task begins and when it has ended.
	cancelWork context.CancelCauseFunc
	// leave ends the task. It is nil before the task begins and when it has ended. leaving: the task was revoked.
	cancel  context.CancelFunc
	revoked bool
	idle    bool // it waits until a user restarts it
	// began: the current attempt got as far as its work.
	started bool
	// requestSnapshot starts a snapshot of a feed of a source. It is nil before the task has run.
	requestSnapshot func(feed, ident string) error
}

// taskStatus is the observed state of a task.
type taskStatus struct {
	state State
	err   error
	// restartsAt is when a failed task restarts by itself. Zero means that it does not.
	restartsAt time.Time
	// fillProgress fills in how far the task is, plugins which versions of plugins it uses. Both are nil until it works for
	// the first time, and are set together each time that it begins to. While it does nothing they report its last
	// work. They are not called under the lock.
	fillProgress func(*Progress)
	fillPlugins  func(*TaskStatus)
}

// now returns how far the task is.
func (t *taskStatus) currentProgress() (p Progress) {
	if t.fillProgress != nil {
		t.fillProgress(&p)
	}
	return p
}

// newConnectorRun creates a connector of a controller, without tasks; the controller's lock may be held.
func newConnectorRun(k *controller, o *Options, c *config.Connector) *connectorRun {
	n := &connectorRun{controller: k, options: o, accepted: c, config: c, configErr: c.Problems.Err(), log: k.log,
		clients: runClients{openLock: guard.NewTurn()}, set: taskSet{assignment: Assignment{Standalone: true}}}
	n.clients.registries.log = n.log
	n.class.plugin, n.class.component, n.class.err = check.Find(o.Plugins, c.Text("connector.class"),
		c.Text("connector.plugin.version"), wit.ComponentSource, wit.ComponentSink)
	n.class.declarations = config.DeclareComponent(n.class.component)
	return n
}

// roles returns the settings of the connector by the roles that its class declares.
func (c *connectorRun) roles() config.Roles { return config.NewRoles(c.class.declarations, c.config) }

// configError returns why the connector cannot run with its configuration or without its plugin.
func (c *connectorRun) configError() error { return cmp.Or(c.configErr, c.class.err) }

func (c *connectorRun) isSink() bool {
	return c.class.err == nil && c.class.component.Kind == wit.ComponentSink
}

// runUntilStopped starts the connector and its tasks and returns when all of them have ended. If the start fails it waits until
// it can be retried: for a service that does not answer, or for a setting that a user has to correct.
func (c *connectorRun) runUntilStopped(ctx context.Context, once bool) {
	for {
		stamp := watch.Stamp(c.storeFiles()...)
		close, err := c.start(ctx)
		if err == nil {
			defer close()
			c.runTasks(ctx)
			return
		}
		if ctx.Err() == nil { // else it was stopped meanwhile
			c.options.starts.connectors.add(false)
		}
		c.reportFailure(ctx, err)
		if once || !c.waitRetryable(ctx, err, stamp) {
			return
		}
	}
}

// startRetryDelay is after how long a connector is started again that could not ask what its service is.
const startRetryDelay = 30 * time.Second

// formatRestart is a time at which a connector or task that has failed goes on by itself, as status has it.
func formatRestart(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

func (c *connectorRun) reportFailure(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if text := err.Error(); text != c.clients.lastLogged {
		c.clients.lastLogged = text
		c.log.Error("connector FAILED", "error", err)
	}
	c.controller.report(c, evFailed, err)
}

// start opens the destination, has the plugin plan, and makes the tasks.
func (c *connectorRun) start(ctx context.Context) (close func(), err error) {
	if err := c.configError(); err != nil {
		return nil, err
	}
	c.clients.service, c.clients.client = nil, nil
	c.clients.registries.ctx = ctx
	_, err = c.reloadSecrets()
	c.unresolved = err != nil
	if err == nil {
		err = c.configureKafka(ctx)
	}
	if err == nil {
		err = c.openService(ctx)
	}
	if err != nil {
		return nil, err
	}
	if c.isSink() {
		c.set.unmatched = c.newUnmatchedTopics()
	}
	configs, err := c.planTasks(ctx)
	if err != nil {
		c.options.claims.release(c.config.Name)
		c.releasePlan()
		c.clients.client.Close()
		return nil, err
	}
	c.clients.lastLogged = ""
	c.createTasks(configs)
	c.options.starts.connectors.add(true)
	c.controller.report(c, evStarted, nil)
	c.log.Info("connector started", "class", c.class.component.Name, "plugin", c.class.plugin.Name, "version",
		c.class.plugin.Version,
		"file", c.class.plugin.Path, "tasks", len(configs))
	unwatch := c.clients.service.Watch(c.clients.client)
	return func() {
		if c.options.Group == nil {
			c.controller.endpoint.shutDown()
		}
		unwatch()
		c.releasePlan()
		c.closeOffsets()
		c.clients.client.Close()
		if c.clients.admin != nil {
			c.clients.admin.Close()
		}
	}, nil
}

// openService opens the client of its service.
func (c *connectorRun) openService(ctx context.Context) (err error) {
	c.clients.service, err = service.New(c.class.component, c.config, c.options.Worker.Providers, c.options.Lockouts, c.log)
	if err == nil {
		c.clients.service.Meet(c.options.Destinations)
		c.clients.client, err = c.clients.service.Open(ctx)
	}
	return err
}

// planShownTasks makes the tasks of a connector that does not run, to be shown. Nothing is asked of its service.
func (c *connectorRun) planShownTasks(ctx context.Context) error {
	p, err := c.plan(ctx, false)
	if err != nil {
		return err
	}
	c.createTasks(p.Tasks)
	c.controller.statusChanged()
	return nil
}

// configureKafka creates the connector's own configuration of clients. Its secrets are read again for each logon.
func (c *connectorRun) configureKafka(ctx context.Context) (err error) {
	settings := map[string]string{}
	for _, e := range c.config.Entries {
		settings[e.Key] = e.Value.Reveal()
	}
	c.clients.kafka, _, err = c.options.Kafka.Override(ctx, settings)
	accepted := c.config
	var last atomic.Pointer[config.Connector] // what providers gave is hidden as long as somebody has it
	c.clients.kafka.Follow(func(name string) (string, bool) {
		if e, known := accepted.Entry(name); !known || !e.Value.Secret() {
			return "", false
		}
		resolved, err := accepted.Resolve(c.options.Worker.Providers)
		if err != nil {
			return "", false // what it was is as good as any
		}
		last.Store(resolved)
		return resolved.Get(name)
	})
	return err
}

func (t *task) name() string {
	return fmt.Sprintf("connector %s, task %d", t.run.accepted.Name, t.number)
}

// ended notes what became of the task; level is that of the line about its fault. A cancellation that is not ctx's is a
// fault as any other: with --once it would pass for done.
func (t *task) recordEnd(ctx context.Context, err error, level slog.Level) {
	k := t.run.controller
	defer k.statusChanged()
	k.mu.Lock()
	defer k.mu.Unlock()
	began := t.started
	t.started = false
	switch {
	case err != nil && (ctx.Err() == nil || !errors.Is(err, context.Canceled)):
		if !began {
			t.run.options.starts.tasks.add(false)
		}
		t.err = err
		t.setState(Failed)
		t.run.log.Log(ctx, level, "task FAILED", "task", t.number, "error", err)
	case ctx.Err() != nil:
		t.setState(Unassigned)
	}
}

// setState sets the state of the task; the controller's lock is held.
func (t *task) setState(state State) {
	t.state = state
	t.run.controller.status.clocks.setState(t.number, state)
}

// work makes the task's parts and runs it.
func (t *task) work(ctx context.Context, once bool) error {
	binding, err := t.run.bind()
	if err != nil {
		return err
	}
	defer binding.Close()
	t.run.releasePlan()
	if err := t.run.openForTasks(ctx); err != nil {
		return err
	}
	if t.run.isSink() {
		return t.sink(ctx, binding, once)
	}
	return t.source(ctx, binding, once)
}

// setRunning notes that the task works, and how to ask about it.
func (t *task) setRunning(progress func(*Progress), plugins func(*TaskStatus)) {
	k := t.run.controller
	defer k.statusChanged()
	k.mu.Lock()
	defer k.mu.Unlock()
	t.taskStatus = taskStatus{fillProgress: progress, fillPlugins: plugins}
	t.setState(Running)
	t.started = true
	t.run.options.starts.tasks.add(true)
}

func (c *connectorRun) kind() string {
	if c.class.err != nil {
		return "unknown"
	}
	return c.class.component.Kind.String()
}

// works fills in which versions of plugins the task works with; version is that of its own.
func (t *task) fillVersions(s *TaskStatus, version string, binding *plugin.Binding, transforms *chainFactory) {
	s.Version, s.Plugin = cmp.Or(version, s.Version), pluginFile(binding.Current().Module())
	s.Plugins = append(transforms.versionNotes(binding), t.run.clients.registries.unavailable()...)
}

// pluginFile is where a version of a plugin came from, and the hash by which it is accepted.
func pluginFile(info plugin.Info) string {
	if info.Path == "" {
		return ""
	}
	return info.Path + " sha256:" + info.Hash
}
