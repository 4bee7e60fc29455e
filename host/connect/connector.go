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
type connector struct {
	controller *controller
	o          *Options
	given      *config.Connector // as it was accepted, and as it is shown: it does not change
	config     *config.Connector // as it was last resolved; written by its run alone, and not while its tasks run
	unread     bool              // references could not be resolved at the last start
	log        *slog.Logger
	class      class
	refused    error // its configuration, which has problems
	run        connectorRun
	set        taskSet         // under the controller's lock
	warned     map[string]bool // see warnWithheld; under the controller's lock
}

// class is the result of looking up a connector's class: a component of a plugin, or an error.
type class struct {
	component wit.Component
	declared  *config.Declarations // of the component's settings
	plugin    plugin.Info
	unknown   error
	// planned binds the instance that has planned until a task has bound it, too: to make one takes as long as some
	// requests.
	planned atomic.Pointer[plugin.Binding]
}

// connectorRun holds the clients of a run: its service, Kafka, the store of a source's offsets, and schema registries.
// The start opens the service; the first task that needs the others opens them, see openForTasks. All are closed when
// the last task has ended.
type connectorRun struct {
	begun       bool   // under the controller's lock: the run has begun, or its tasks were planned to be shown
	lastFailure string // that was logged
	service     *service.Service
	client      *transport.Client
	kafka       kafka.Config
	opening     guard.Turn    // held by openForTasks
	opened      bool          // under that turn
	admin       *kafka.Admin  // of a source: creates its topics
	offsets     *offset.Store // of a source
	// transactional is how many transactional producers each task of a source has.
	transactional int
	// registries are those that its converters ask. dry: they register nothing.
	registries registries
	dry        bool
}

// task is one of a connector's tasks.
type task struct {
	connector *connector
	number    int
	settings  []wit.Setting
	// tally counts the current work of the task. Only the goroutine that works uses it.
	tally *core.Metrics

	// Under the controller's lock.
	taskStatus
	// stop cancels what the task does now, also a wait. It is nil before the task begins and when it has ended.
	stop context.CancelCauseFunc
	// leave ends the task. It is nil before the task begins and when it has ended. leaving: the task was revoked.
	leave   context.CancelFunc
	leaving bool
	rest    bool // it waits until a user restarts it
	// began: the current attempt got as far as its work.
	began bool
	// snapshot starts a snapshot of a feed of a source. It is nil before the task has run.
	snapshot func(feed, ident string) error
}

// taskStatus is the observed state of a task.
type taskStatus struct {
	state State
	fault error
	// next is when a failed task restarts by itself. Zero means that it does not.
	next time.Time
	// progress fills in how far the task is, plugins which versions of plugins it uses. Both are nil until it works for
	// the first time, and are set together each time that it begins to. While it does nothing they report its last
	// work. They are not called under the lock.
	progress func(*Progress)
	plugins  func(*TaskStatus)
}

// now returns how far the task is.
func (t *taskStatus) now() (p Progress) {
	if t.progress != nil {
		t.progress(&p)
	}
	return p
}

// newConnector creates a connector of a controller, without tasks; the controller's lock may be held.
func newConnector(k *controller, o *Options, c *config.Connector) *connector {
	n := &connector{controller: k, o: o, given: c, config: c, refused: c.Problems.Err(), log: k.log,
		run: connectorRun{opening: guard.NewTurn()}, set: taskSet{share: Assignment{Standalone: true}}}
	n.run.registries.log = n.log
	n.class.plugin, n.class.component, n.class.unknown = check.Find(o.Plugins, c.Text("connector.class"),
		c.Text("connector.plugin.version"), wit.ComponentSource, wit.ComponentSink)
	n.class.declared = config.DeclareComponent(n.class.component)
	return n
}

// roles returns the settings of the connector by the roles that its class declares.
func (c *connector) roles() config.Roles { return config.NewRoles(c.class.declared, c.config) }

// invalid returns why the connector cannot run with its configuration or without its plugin.
func (c *connector) invalid() error { return cmp.Or(c.refused, c.class.unknown) }

func (c *connector) isSink() bool {
	return c.class.unknown == nil && c.class.component.Kind == wit.ComponentSink
}

// execute starts the connector and its tasks and returns when all of them have ended. If the start fails it waits until
// it can be retried: for a service that does not answer, or for a setting that a user has to correct.
func (c *connector) execute(ctx context.Context, once bool) {
	for {
		stamp := watch.Stamp(c.paths()...)
		close, err := c.start(ctx)
		if err == nil {
			defer close()
			c.runTasks(ctx)
			return
		}
		if ctx.Err() == nil { // else it was stopped meanwhile
			c.o.started.connectors.ended(false)
		}
		c.failed(ctx, err)
		if once || !c.startable(ctx, err, stamp) {
			return
		}
	}
}

// startAgain is after how long a connector is started again that could not ask what its service is.
const startAgain = 30 * time.Second

// restarts is a time at which a connector or task that has failed goes on by itself, as status has it.
func restarts(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

func (c *connector) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if text := err.Error(); text != c.run.lastFailure {
		c.run.lastFailure = text
		c.log.Error("connector FAILED", "error", err)
	}
	c.controller.report(c, onFailed, err)
}

// start opens the destination, has the plugin plan, and makes the tasks.
func (c *connector) start(ctx context.Context) (close func(), err error) {
	if err := c.invalid(); err != nil {
		return nil, err
	}
	c.run.service, c.run.client = nil, nil
	c.run.registries.ctx = ctx
	_, err = c.reread()
	c.unread = err != nil
	if err == nil {
		err = c.override(ctx)
	}
	if err == nil {
		err = c.open(ctx)
	}
	if err != nil {
		return nil, err
	}
	if c.isSink() {
		c.set.reached = c.reach()
	}
	layout, err := c.tasksOf(ctx)
	if err != nil {
		c.o.claims.release(c.config.Name)
		c.unplan()
		c.run.client.Close()
		return nil, err
	}
	c.run.lastFailure = ""
	c.lay(layout)
	c.o.started.connectors.ended(true)
	c.controller.report(c, onStarted, nil)
	c.log.Info("connector started", "class", c.class.component.Name, "plugin", c.class.plugin.Name, "version",
		c.class.plugin.Version,
		"file", c.class.plugin.Path, "tasks", len(layout))
	unwatch := c.run.service.Watch(c.run.client)
	return func() {
		if c.o.Group == nil {
			c.controller.front.leave()
		}
		unwatch()
		c.unplan()
		c.closeOffsets()
		c.run.client.Close()
		if c.run.admin != nil {
			c.run.admin.Close()
		}
	}, nil
}

// open opens the client of its service.
func (c *connector) open(ctx context.Context) (err error) {
	c.run.service, err = service.New(c.class.component, c.config, c.o.Worker.Providers, c.o.Lockouts, c.log)
	if err == nil {
		c.run.service.Meet(c.o.Destinations)
		c.run.client, err = c.run.service.Open(ctx)
	}
	return err
}

// layOut makes the tasks of a connector that does not run, to be shown. Nothing is asked of its service.
func (c *connector) layOut(ctx context.Context) error {
	p, err := c.plan(ctx, false)
	if err != nil {
		return err
	}
	c.lay(p.Tasks)
	c.controller.changed()
	return nil
}

// override creates the connector's own configuration of clients. Its secrets are read again for each logon.
func (c *connector) override(ctx context.Context) (err error) {
	settings := map[string]string{}
	for _, e := range c.config.Entries {
		settings[e.Key] = e.Value.Reveal()
	}
	c.run.kafka, _, err = c.o.Kafka.Override(ctx, settings)
	given := c.config
	var last atomic.Pointer[config.Connector] // what providers gave is hidden as long as somebody has it
	c.run.kafka.Follow(func(name string) (string, bool) {
		if e, some := given.Entry(name); !some || !e.Value.Secret() {
			return "", false
		}
		again, err := given.Resolve(c.o.Worker.Providers)
		if err != nil {
			return "", false // what it was is as good as any
		}
		last.Store(again)
		return again.Get(name)
	})
	return err
}

func (t *task) name() string {
	return fmt.Sprintf("connector %s, task %d", t.connector.given.Name, t.number)
}

// ended notes what became of the task; level is that of the line about its fault. A cancellation that is not ctx's is a
// fault as any other: with --once it would pass for done.
func (t *task) ended(ctx context.Context, err error, level slog.Level) {
	k := t.connector.controller
	defer k.changed()
	k.mu.Lock()
	defer k.mu.Unlock()
	began := t.began
	t.began = false
	switch {
	case err != nil && (ctx.Err() == nil || !errors.Is(err, context.Canceled)):
		if !began {
			t.connector.o.started.tasks.ended(false)
		}
		t.fault = err
		t.enters(Failed)
		t.connector.log.Log(ctx, level, "task FAILED", "task", t.number, "error", err)
	case ctx.Err() != nil:
		t.enters(Unassigned)
	}
}

// enters sets the state of the task; the controller's lock is held.
func (t *task) enters(state State) {
	t.state = state
	t.connector.controller.status.times.enter(t.number, state)
}

// work makes the task's parts and runs it.
func (t *task) work(ctx context.Context, once bool) error {
	binding, err := t.connector.bind()
	if err != nil {
		return err
	}
	defer binding.Close()
	t.connector.unplan()
	if err := t.connector.openForTasks(ctx); err != nil {
		return err
	}
	if t.connector.isSink() {
		return t.sink(ctx, binding, once)
	}
	return t.source(ctx, binding, once)
}

// running notes that the task works, and how to ask about it.
func (t *task) running(progress func(*Progress), plugins func(*TaskStatus)) {
	k := t.connector.controller
	defer k.changed()
	k.mu.Lock()
	defer k.mu.Unlock()
	t.taskStatus = taskStatus{progress: progress, plugins: plugins}
	t.enters(Running)
	t.began = true
	t.connector.o.started.tasks.ended(true)
}

func (c *connector) kind() string {
	if c.class.unknown != nil {
		return "unknown"
	}
	return c.class.component.Kind.String()
}

// works fills in which versions of plugins the task works with; version is that of its own.
func (t *task) works(s *TaskStatus, version string, binding *plugin.Binding, transforms *chains) {
	s.Version, s.Plugin = cmp.Or(version, s.Version), fileOf(binding.Current().Module())
	s.Plugins = append(transforms.notes(binding), t.connector.run.registries.notes()...)
}

// fileOf is where a version of a plugin came from, and the hash by which it is accepted.
func fileOf(info plugin.Info) string {
	if info.Path == "" {
		return ""
	}
	return info.Path + " sha256:" + info.Hash
}
