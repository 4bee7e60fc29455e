package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/watch"
	"github.com/culvert-project/culvert/host/internal/run/offset"
	"github.com/culvert-project/culvert/host/internal/run/sink"
	core "github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/internal/service"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// connector is one life of a connector, with one configuration: found by its class when it is made; planned, which
// shares its work out among tasks; its tasks run, each for itself; closed when the last of them has ended. Its state is
// its [controller]'s.
type connector struct {
	o       *Options
	given   *config.Connector // as it was given: what others see of it, who must not see config change
	config  *config.Connector // as it was read last, before a start
	log     *slog.Logger
	class   class
	refused error         // its configuration, which has problems
	rereads time.Duration // see startable
	owner   *owner

	// Of a run: set by start, before there are tasks.
	to     *partners
	sinks  *sinkGroup
	source *sourceShare

	mu    guard.Mutex
	tasks []*task // those that it runs, by their numbers
	crew  *crew
	said  map[string]bool // see tell
}

// class is what a connector's class came to: a plugin's component, or an error.
type class struct {
	component wit.Component
	plugin    plugin.Info
	unknown   error
	// planned binds the instance that has planned until a task has bound it, too: to make one takes as long as some
	// requests.
	planned *atomic.Pointer[plugin.Binding]
}

// owner is what a life has of its controller, which outlives it. report returns when the state says what was reported.
type owner struct {
	report      func(event, error)
	topics      *topics
	times       *times
	front       *front // of a group's worker
	lastFailure string // that was logged
}

// partners are what a life talks to: its service, Kafka, the store of a source's offsets, and schema registries. Its
// start opens the service; the first task that needs the others opens them, see openForTasks. All of them are closed
// when the last task has ended.
type partners struct {
	service *service.Service
	client  *transport.Client
	kafka   kafka.Config
	opened  *once
	admin   *kafka.Admin  // of a source: makes its topics
	offsets *offset.Store // of a source
	// transactional is how many transactional producers each task of a source has.
	transactional int
	// registries are those that its converters ask. dry: they register nothing.
	registries registries
	dry        bool
}

// sinkGroup is what the tasks of a sink share, which are members of one group of consumers.
type sinkGroup struct {
	uncertain sink.Uncertain
	settled   sink.Settled
	reached   *sink.Reach
	marking   sync.Mutex // see ends.mark
	fed       bool       // with RunOnce: sources ran before it, which make topics only for rows
}

// sourceShare is what the tasks of a source share.
type sourceShare struct {
	listens listens // for notifications
	idling  idling  // its tasks that rest
}

// task is one of a connector's tasks.
type task struct {
	connector *connector
	number    int
	settings  []wit.Setting
	// tally is what is counted of what it does now; of the goroutine that does it.
	tally *core.Tally

	// under the connector's lock
	state State
	fault error
	// next is when a task that has failed goes on by itself; zero: it does not.
	next time.Time
	// stop ends what the task does now, be it to wait; nil before it begins and when it has ended.
	stop context.CancelCauseFunc
	// leave ends the task; nil before it begins and when it has ended. leaving: it was taken away.
	leave   context.CancelFunc
	leaving bool
	rest    bool // it waits for somebody who has it made again
	// began: what it does now has come as far as to work.
	began bool
	// tells is how to ask about it.
	tells telling
	// snapshot has a feed of a source read as it is now; nil before it has run.
	snapshot func(feed, ident string) error
}

// telling is how to ask a task about itself. Both are nil until it works for the first time, and are set together each
// time that it begins to, see [task.running]: so they tell of what it did last where it does nothing now.
type telling struct {
	// progress tells how far it is, plugins which versions of plugins it works with.
	progress func(*Progress)
	plugins  func(*TaskStatus)
}

// now is how far the task is; the connector's lock is held.
func (t *task) now() (p Progress) {
	if t.tells.progress != nil {
		t.tells.progress(&p)
	}
	return p
}

func newConnector(o *Options, c *config.Connector) *connector {
	k := &connector{o: o, given: c, config: c, rereads: time.Minute, refused: c.Problems.Err(),
		log: o.Logger.With("connector", c.Name), owner: &owner{topics: &topics{}, times: &times{}},
		to: &partners{opened: newOnce()}, sinks: &sinkGroup{}, source: &sourceShare{},
		crew: &crew{share: Share{Whole: true}}}
	k.class.planned = new(atomic.Pointer[plugin.Binding])
	k.to.registries.log = k.log
	k.class.plugin, k.class.component, k.class.unknown = check.Find(o.Plugins, c.Text("connector.class"),
		c.Text("connector.plugin.version"), wit.ComponentSource, wit.ComponentSink)
	return k
}

func (c *connector) isSink() bool {
	return c.class.unknown == nil && c.class.component.Kind == wit.ComponentSink
}

// run starts the connector and its tasks and returns when all of them have ended. What stands in the way of the start
// is waited for: a service that does not answer, a setting that somebody has to mend.
func (c *connector) run(ctx context.Context, once bool) {
	stamp := watch.Stamp(c.paths()...)
	close, err := c.start(ctx)
	for err != nil {
		if ctx.Err() == nil { // else it was stopped meanwhile
			c.o.started.connectors.ended(false)
		}
		c.failed(ctx, err)
		if once || !c.startable(ctx, err, stamp) {
			return
		}
		stamp = watch.Stamp(c.paths()...)
		close, err = c.start(ctx)
	}
	defer close()
	c.runTasks(ctx, once)
}

// startAgain is after how long a connector is started again that could not ask what its service is.
const startAgain = 30 * time.Second

// startsAt notes when the connector is started again.
func (c *connector) startsAt(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.crew.startsAt = at
}

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
	if text := err.Error(); text != c.owner.lastFailure {
		c.owner.lastFailure = text
		c.log.Error("connector FAILED", "error", err)
	}
	c.owner.report(onFailed, err)
}

// start opens the destination, has the plugin plan, and makes the tasks.
func (c *connector) start(ctx context.Context) (close func(), err error) {
	if c.refused != nil {
		return nil, c.refused
	}
	if c.class.unknown != nil {
		return nil, c.class.unknown
	}
	c.to.service, c.to.client = nil, nil
	c.to.registries.ctx = ctx
	if c.to.kafka, err = overridden(ctx, c.o.Kafka, c.config, c.o.Worker.Providers); err != nil {
		return nil, err
	}
	if err = c.open(ctx); err != nil {
		return nil, err
	}
	if c.isSink() {
		c.sinks.reached = c.reach()
	}
	layout, err := c.tasksOf(ctx)
	if err != nil {
		c.o.claims.release(c.config.Name)
		c.unplan()
		c.to.client.Close()
		return nil, err
	}
	c.owner.lastFailure = ""
	c.lay(layout, Unassigned)
	c.o.started.connectors.ended(true)
	c.owner.report(onStarted, nil)
	c.log.Info("connector started", "class", c.class.component.Name, "plugin", c.class.plugin.Name, "version", c.class.plugin.Version,
		"file", c.class.plugin.Path, "tasks", len(layout))
	unwatch := c.to.service.Watch(c.to.client)
	return func() {
		c.source.listens.closeAll()
		unwatch()
		c.unplan()
		c.closeOffsets()
		c.to.client.Close()
		if c.to.admin != nil {
			c.to.admin.Close()
		}
	}, nil
}

// open opens the client of its service.
func (c *connector) open(ctx context.Context) (err error) {
	c.to.service, err = service.New(c.class.component, c.config, c.o.Worker.Providers, c.o.Lockouts, c.log)
	if err == nil {
		c.to.service.Meet(c.o.Destinations)
		c.to.client, err = c.to.service.Open(ctx)
	}
	return err
}

// layOut makes the tasks of a connector that does not run, to be shown. Nothing is asked of its service.
func (c *connector) layOut(ctx context.Context) error {
	p, err := c.plan(ctx, false)
	if err != nil {
		return err
	}
	for _, t := range c.lay(p.Tasks, Paused) {
		c.enters(t.number, Paused)
	}
	return nil
}

// overridden is the connector's own configuration of clients. Its secrets are read again for each logon.
func overridden(ctx context.Context, k kafka.Config, c *config.Connector, providers *config.Providers) (kafka.Config,
	error) {
	settings := map[string]string{}
	for _, e := range c.Entries {
		settings[e.Key] = e.Value.Reveal()
	}
	k, _, err := k.Override(ctx, settings)
	var last atomic.Pointer[config.Connector] // what providers gave is hidden as long as somebody has it
	k.Follow(func(name string) (string, bool) {
		if e, given := c.Entry(name); !given || !e.Value.Secret() {
			return "", false
		}
		again, err := c.Again(providers)
		if err != nil {
			return "", false // what it was is as good as any
		}
		last.Store(again)
		return again.Get(name)
	})
	return k, err
}

func (t *task) name() string {
	return fmt.Sprintf("connector %s, task %d", t.connector.given.Name, t.number)
}

// ended notes what became of the task; level is that of the line about its fault. A cancellation that is not ctx's is a
// fault as any other: with --once it would pass for done.
func (t *task) ended(ctx context.Context, err error, level slog.Level) {
	t.connector.mu.Lock()
	defer t.connector.mu.Unlock()
	began := t.began
	t.began = false
	switch {
	case err != nil && (ctx.Err() == nil || !errors.Is(err, context.Canceled)):
		if !began {
			t.connector.o.started.tasks.ended(false)
		}
		t.state, t.fault = Failed, err
		t.connector.enters(t.number, Failed)
		t.connector.log.Log(ctx, level, "task FAILED", "task", t.number, "error", err)
	case ctx.Err() != nil:
		t.state = Unassigned
		t.connector.enters(t.number, Unassigned)
	}
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
func (t *task) running(tells telling) {
	t.connector.mu.Lock()
	defer t.connector.mu.Unlock()
	t.state, t.fault, t.next, t.tells = Running, nil, time.Time{}, tells
	t.began = true
	t.connector.o.started.tasks.ended(true)
	t.connector.enters(t.number, Running)
}

func (c *connector) failures() []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var failures []error
	for _, t := range c.tasks {
		if t.fault != nil {
			failures = append(failures, &failure{c.given.Name, t.number, t.fault})
		}
	}
	return failures
}

func (c *connector) kind() string {
	if c.class.unknown != nil {
		return "unknown"
	}
	return c.class.component.Kind.String()
}

func (c *connector) taskStatuses() []TaskStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []TaskStatus
	for _, t := range c.tasks {
		task := TaskStatus{ID: t.number, State: t.state, WorkerID: c.o.WorkerID, Version: c.class.plugin.Version}
		if t.tells.plugins != nil {
			t.tells.plugins(&task)
		}
		if t.state == Running && c.to.client != nil {
			task.Trace = c.o.Worker.Strike(c.to.client.Waiting())
		}
		if t.fault != nil {
			task.Trace = c.o.Worker.Strike(trace(t.fault, fmt.Sprintf("task %s-%d (%s %s)", c.given.Name, t.number,
				c.class.plugin.Name, task.Version)))
			task.Restarts = restarts(t.next)
		}
		all = append(all, task)
	}
	return all
}

// works fills in which versions of plugins the task works with; version is that of its own.
func (t *task) works(s *TaskStatus, version string, binding *plugin.Binding, transforms *chains) {
	s.Version, s.Plugin = cmp.Or(version, s.Version), fileOf(binding.Current().Module())
	s.Plugins = append(transforms.notes(binding), t.connector.to.registries.notes()...)
}

// fileOf is where a version of a plugin came from, and the hash by which it is accepted.
func fileOf(info plugin.Info) string {
	if info.Path == "" {
		return ""
	}
	return info.Path + " sha256:" + info.Hash
}

// taskInfos show the settings of tasks as given has them, see asWritten.
func (c *connector) taskInfos(given *config.Connector) []TaskInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	var infos []TaskInfo
	for _, t := range c.tasks {
		infos = append(infos, TaskInfo{TaskID{c.given.Name, t.number}, c.taskWritten(given, t.settings)})
	}
	return infos
}

func (c *connector) progress() Progress {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := Progress{Connector: c.given.Name, Type: c.kind(), CaughtUp: len(c.tasks) > 0}
	for _, t := range c.tasks {
		one := t.now()
		p.Rows += one.Rows
		p.Read += one.Read
		p.Pages += one.Pages
		p.Bytes += one.Bytes
		p.Lag += one.Lag
		p.Failed += one.Failed
		p.Warnings += one.Warnings
		p.CaughtUp = p.CaughtUp && one.CaughtUp
		if t.state == Failed {
			p.State = Failed
		}
	}
	return p
}
