package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/run/notify"
	"github.com/culvert-project/culvert/host/internal/run/offset"
	"github.com/culvert-project/culvert/host/internal/run/source"
	core "github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/internal/run/tracing"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/host/transport/lockouts"
	"github.com/culvert-project/culvert/wit"
)

// Options are what connectors work with.
type Options struct {
	Worker   *config.Worker
	Plugins  *plugin.Manager
	Registry *record.Registry
	Kafka    kafka.Config
	Offsets  *offset.Store
	// Lockouts remembers refused logons. Default: one for the process.
	Lockouts *lockouts.Store
	// Destinations is where clients of the same origin meet, and where a cluster's shares are set. Default: one for the
	// process.
	Destinations *transport.Destinations
	// WorkerID is host:port of this worker, as status shows it. Version is what converters are said to have.
	WorkerID, Version string
	// Target is the state that a connector is to have when it begins. Default: Running.
	Target func(*config.Connector) TargetState
	// Group is the group that the worker is a member of. Nil means that the worker is alone and runs all connectors.
	Group Group
	// Tracer makes spans of what tasks do; nil: there are none.
	Tracer *tracing.Tracer
	// Observer is where rows of a connector's tasks are looked at, by its name; nil: nobody looks.
	Observer func(connector string) *core.Observer
	Logger   *slog.Logger

	reserved kafka.Reserved // what no records go to
	common
}

// common holds what all connectors of a herder share.
type common struct {
	claims  *claims         // of those that run
	buffers *source.Buffers // of the feeds of all connectors
	hub     *notify.Hub     // of their listeners
	started *startups       // of connectors and tasks
	// rereads is the interval for reading settings again that only others can correct.
	rereads time.Duration
}

// Group is what a herder needs of its worker's group. No lock is held during a call, except that a task calls Fence
// while it holds connectorRun.opening.
type Group interface {
	// PutTaskConfigs hands over the plan of a connector's tasks, without an offset, and returns when the group has
	// stored it. The tasks come back by [Herder.Assign].
	PutTaskConfigs(ctx context.Context, connector string, p config.TaskPlan) error
	// CheckLease returns nil while the worker is a member of its group. An error holds back requests that make a
	// service forget what it has sent, and producers that fence others. If the context has ended it answers by what is
	// already known.
	CheckLease(ctx context.Context) error
	// Fence makes the leader fence the producers of a connector's tasks before those of a version, and record how many
	// there are now. Version 0 is for a change of its offsets.
	Fence(ctx context.Context, connector string, version int64, now config.FencingCounts) error
	// Forward forwards a notification to the worker that runs the task with its feed.
	Forward(ctx context.Context, connector string, n wit.Notification) ForwardResult
	// OwnersLost is called when a connector is deleted, and returns nil if this worker does not lead. The returned
	// function waits until it is known whether all workers with a share of the connector are lost, and reports whether
	// this one must end what the connector opened at its service.
	OwnersLost(connector string) func(context.Context) bool
	// StatusChanged is called when the state of a connector or task has changed, when the worker has applied another
	// share of it, and when a revoked task has ended. It must not wait.
	StatusChanged(connector string)
	// RecordTopic is called for each batch of a task, with each topic of it; it must not wait.
	RecordTopic(connector, topic string, task int)
}

// Herder owns connectors and their tasks, and the goroutines of these while Run or RunOnce runs. Connectors come,
// change and go while it runs; all of its methods may be called at any time, by anybody.
type Herder struct {
	o Options

	mu          guard.Mutex
	controllers map[string]*controller
	// leaving are connectors that were removed and have not ended yet.
	leaving map[string]*controller
	// under is Run's context, nil before; ended, when Run takes nobody in any more.
	under   context.Context
	ended   bool
	running sync.WaitGroup
	// replaying is held while dead letters are replayed.
	replaying sync.Mutex
	letters   letterCounts
}

// New makes a herder of connectors that were checked. Nothing runs before [Herder.Run].
func New(o Options, connectors []*config.Connector) *Herder {
	o.common = common{claims: &claims{}, buffers: source.NewBuffers(), hub: &notify.Hub{Logger: o.Logger},
		started: &startups{}, rereads: cmp.Or(o.rereads, time.Minute)}
	h := &Herder{o: o, controllers: map[string]*controller{}, leaving: map[string]*controller{}}
	options := h.options(connectors)
	for _, c := range connectors {
		k := newController(options, c)
		k.spec.target = h.target(c)
		k.spec.wasPaused = k.spec.target == Paused && c.InitialTarget() != config.TargetPaused
		h.controllers[c.Name] = k
	}
	return h
}

// share is that of a connector that nobody has assigned: the whole, where the worker is alone.
func (o *Options) share() Assignment { return Assignment{Standalone: o.Group == nil} }

func (h *Herder) target(c *config.Connector) TargetState {
	if h.o.Target == nil {
		return Running
	}
	return h.o.Target(c)
}

// options are those of new tasks among connectors.
func (h *Herder) options(connectors []*config.Connector) *Options {
	o := h.o
	o.reserved = check.Reserved(o.Worker, connectors)
	return &o
}

// Run starts all connectors and returns when ctx has ended and they have stopped: within
// task.shutdown.graceful.timeout.ms everything under way is acknowledged and offsets are stored. A connector or task
// that fails is logged and shown as FAILED; the others go on.
func (h *Herder) Run(ctx context.Context) {
	h.mu.Lock()
	h.under = ctx
	for _, k := range h.controllers {
		h.launch(k)
	}
	h.mu.Unlock()
	<-ctx.Done() // although all have failed, or there are none: REST still answers, and others may come
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	h.wait(ctx, &h.running)
}

// loops tells whether the loops of connectors run.
func (h *Herder) loops() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.under != nil && !h.ended
}

// launch runs the loop of a connector, where connectors run; h.mu is held.
func (h *Herder) launch(k *controller) {
	if h.under == nil || h.ended {
		return
	}
	h.running.Go(func() {
		defer guard.Vital("the loop of connector " + k.name)
		k.run(h.under, false)
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.leaving[k.name] == k {
			delete(h.leaving, k.name)
		}
	})
}

// Put has a connector that was checked run: a new one, or in the place of the one of its name, whose tasks end before
// and which keeps its target state. others are all connectors of the installation. In a group the worker has no share
// of it before [Herder.Assign].
func (h *Herder) Put(c *config.Connector, others []*config.Connector) {
	h.mu.Lock()
	defer h.mu.Unlock()
	options := h.options(append([]*config.Connector{c}, others...))
	if k := h.controllers[c.Name]; k != nil {
		k.replace(options, c)
		return
	}
	k := newController(options, c)
	k.spec.target = h.target(c)
	if before := h.leaving[c.Name]; before != nil {
		k.predecessor = before.done
	}
	h.controllers[c.Name] = k
	h.launch(k)
}

// Assign gives the worker another share of a connector. Of one that runs, tasks that are in both shares are left
// alone.
func (h *Herder) Assign(name string, share Assignment) error {
	return h.with(name, func(k *controller) { k.assign(share) })
}

// Owned is what the worker has of connectors: what it was assigned, and what of an earlier share has not ended yet,
// also of connectors that were removed.
func (h *Herder) Owned() (all []Ownership) {
	h.mu.Lock()
	controllers := slices.Collect(maps.Values(h.controllers))
	controllers = slices.AppendSeq(controllers, maps.Values(h.leaving))
	h.mu.Unlock()
	for _, k := range controllers {
		all = append(all, k.holds()...)
	}
	return all
}

// UpdateInPlace has a connector go on with a configuration that its tasks take while they run, see [config.InPlace].
func (h *Herder) UpdateInPlace(c *config.Connector) error {
	return h.with(c.Name, func(k *controller) { k.adopt(c) })
}

// ReplaceEquivalent has a connector go on with a configuration that says the same as the one before, in another file
// maybe.
func (h *Herder) ReplaceEquivalent(c *config.Connector) error {
	return h.with(c.Name, func(k *controller) { k.keep(c) })
}

// RunningConfigs is what connectors are there, for a [config.Plan].
func (h *Herder) RunningConfigs() []config.RunningConnector {
	var now []config.RunningConnector
	for _, k := range h.all() {
		now = append(now, k.observe().comparison())
	}
	return now
}

// RunningConfig is one of them.
func (h *Herder) RunningConfig(name string) (config.RunningConnector, error) {
	return of(h, name, (*view).comparison)
}

// RejectConfig notes why a newer configuration of a connector is not taken; it runs on. Without problems there is none
// any more.
func (h *Herder) RejectConfig(name string, problems config.Problems) error {
	return h.with(name, func(k *controller) { k.refuse(problems) })
}

// Remove stops a connector and forgets it; what it was given is no longer shown. Its offsets stay.
func (h *Herder) Remove(name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := h.controllers[name]
	if k == nil {
		return fmt.Errorf("%s: %w", name, ErrUnknownConnector)
	}
	delete(h.controllers, name)
	if h.under == nil || h.under.Err() != nil {
		return nil // its loop does not run, or is about to end
	}
	h.leaving[name] = k
	k.remove()
	return nil
}

// WaitIdle returns nil when the loop of each connector has come round since it was asked, which a task or a service
// that does not answer never keeps it from. The error names one that does not move before ctx ends, or says that the
// worker is starting still. In a run that ends by itself nobody may ask.
func (h *Herder) WaitIdle(ctx context.Context) error {
	h.mu.Lock()
	runs := h.under != nil
	h.mu.Unlock()
	if !runs {
		return errors.New("Connectors are being started.")
	}
	for _, k := range h.all() {
		if !k.barrier(ctx) {
			return fmt.Errorf("The loop of connector %s does not move: %w", k.name, ctx.Err())
		}
	}
	return nil
}

// Pause has a connector stop its tasks and keep them, until Resume.
func (h *Herder) Pause(name string) error {
	return h.with(name, func(k *controller) { k.aimAt(Paused, onPause) })
}

// Stop has a connector end its tasks, until Resume.
func (h *Herder) Stop(name string) error {
	return h.with(name, func(k *controller) { k.aimAt(Stopped, onStop) })
}

// Resume has a connector run that was paused or stopped.
func (h *Herder) Resume(name string) error {
	return h.with(name, func(k *controller) { k.aimAt(Running, onResume) })
}

// Restart has a connector make its tasks again, when those that run have stopped. One that is paused or stopped stays
// so. With numbers of tasks only those are made again, and the others run on; where no task of the connector runs or
// waits, all of them are made again.
func (h *Herder) Restart(name string, tasks ...int) error {
	return h.with(name, func(k *controller) {
		if len(tasks) == 0 {
			k.post(occurrence{event: onRestart})
		}
		for _, n := range tasks {
			k.restartTask(n)
		}
	})
}

func (h *Herder) with(name string, do func(*controller)) error {
	k, err := h.find(name)
	if err == nil {
		do(k)
	}
	return err
}

// RunOnce has every source caught up and acknowledged, then every sink settle what its topics hold at that moment.
// Errors are the faults of the tasks that failed, one for each; the others have finished before it returns.
func (h *Herder) RunOnce(ctx context.Context) error {
	var sources, sinks []*controller
	for _, k := range h.all() {
		if k.current().isSink() {
			sinks = append(sinks, k)
		} else {
			sources = append(sources, k)
		}
	}
	h.once(ctx, sources)
	if ctx.Err() == nil {
		for _, k := range sinks {
			k.change(func(s *spec, _ *status) { s.fed = len(sources) > 0 })
		}
		h.once(ctx, sinks)
	}
	var failures []error
	for _, k := range h.all() {
		failures = append(failures, k.observe().failures()...)
	}
	return errors.Join(failures...)
}

// once runs connectors to the end of their work.
func (h *Herder) once(ctx context.Context, controllers []*controller) {
	var wg sync.WaitGroup
	for _, k := range controllers {
		wg.Go(func() {
			defer guard.Vital("the loop of connector " + k.name)
			k.run(ctx, true)
		})
	}
	h.wait(ctx, &wg)
}

// stopSlack is what tasks get beyond their time before they are given up: they keep to it by themselves.
const stopSlack = 2 * time.Second

// stopLimit is the worker's setting of how long tasks may take to stop.
const stopLimit = "task.shutdown.graceful.timeout.ms"

// wait waits for loops to end; after ctx has ended, as long as tasks may take to stop.
func (h *Herder) wait(ctx context.Context, loops *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		loops.Wait()
		close(done)
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	limit := h.o.Worker.Duration(stopLimit)
	select {
	case <-done:
	case <-time.After(limit + stopSlack):
		h.o.Logger.Warn("tasks did not stop in time and are given up", stopLimit, limit.Milliseconds())
	}
}

// find is the controller of a connector. Errors are [ErrUnknownConnector].
func (h *Herder) find(name string) (*controller, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k := h.controllers[name]; k != nil {
		return k, nil
	}
	return nil, fmt.Errorf("%s: %w", name, ErrUnknownConnector)
}

// of returns a part of a connector's view.
func of[T any](h *Herder, name string, what func(*view) T) (said T, err error) {
	k, err := h.find(name)
	if err == nil {
		said = what(k.observe())
	}
	return said, err
}

// all are the connectors of now, by name.
func (h *Herder) all() []*controller {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*controller
	for _, name := range slices.Sorted(maps.Keys(h.controllers)) {
		all = append(all, h.controllers[name])
	}
	return all
}

// Names of all connectors, sorted.
func (h *Herder) Names() []string {
	var names []string
	for _, k := range h.all() {
		names = append(names, k.name)
	}
	return names
}

// Info is what a connector was asked to be.
func (h *Herder) Info(name string) (Info, error) { return of(h, name, (*view).info) }

// Status is what a connector is doing.
func (h *Herder) Status(name string) (Status, error) { return of(h, name, (*view).answer) }

// Tasks are what a connector's tasks were asked to do.
func (h *Herder) Tasks(name string) ([]TaskInfo, error) { return of(h, name, (*view).taskInfos) }

// FeedProgress is how far a source is with one of its feeds.
type FeedProgress = source.FeedProgress

// Progress of a connector or a task since it started; of what REST shows with its name there.
type Progress struct {
	Connector string `json:"-"`
	// Type is source or sink.
	Type  string `json:"-"`
	State State  `json:"-"`
	// CaughtUp: there is nothing left to do at the moment.
	CaughtUp bool `json:"caught_up"`
	// Rows that were delivered: acknowledged by Kafka, or settled by the service.
	Rows int64 `json:"rows"`
	// Failed rows were refused and tolerated.
	Failed int64 `json:"refused"`
	// Pages that a source read, Bytes of their bodies.
	Pages int64 `json:"pages,omitempty"`
	Bytes int64 `json:"bytes,omitempty"`
	// Feeds of a source: what it reads by itself, such as an entity set.
	Feeds []FeedProgress `json:"feeds,omitempty"`
	// Lag is how many records a sink has before it. Of Uncertain ones nobody knows whether the service has them.
	Lag       int64 `json:"lag,omitempty"`
	Uncertain int64 `json:"uncertain,omitempty"`
	// Read rows of a source came from its pages, delivered or not; those of a page that is read again count again. Of a
	// sink they are records that came from Kafka.
	Read int64 `json:"-"`
	// Warnings of a sink's plugin about answers; encoded batches, requests that it has sent, and rows that it has
	// encoded again.
	Warnings, Batches, Requests, Reencoded int64 `json:"-"`
	// LastCaughtUp is when a source had last read all that there was; of several feeds the earliest time. Zero: not
	// yet.
	LastCaughtUp time.Time `json:"-"`
	// LastNotified is when a notification last came to a source, or when it subscribed; of several feeds the earliest
	// time. Zero where none subscribes.
	LastNotified time.Time `json:"-"`
	// Counters are of a task, as are Faults, those of rows and of what was tried again, with when the LastFault came,
	// and the Partitions that it has of a sink's group.
	Counters   core.MetricsSnapshot `json:"-"`
	Errors     int64                `json:"-"`
	LastError  time.Time            `json:"-"`
	Partitions int64                `json:"-"`
	// Flow is where a task's time went in the last minute; without stages before it has run.
	Flow core.Flow `json:"-"`
}

// Notifications are how many came to the listeners, by what became of them.
func (h *Herder) Notifications() map[string]int64 { return h.o.hub.Counts() }

// Progress is that of each connector, by name. It may be called at any time.
func (h *Herder) Progress() []Progress {
	var list []Progress
	for _, k := range h.all() {
		list = append(list, k.observe().progress())
	}
	return list
}
