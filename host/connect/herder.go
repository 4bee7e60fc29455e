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

// Options are the dependencies of a [Herder].
type Options struct {
	Worker   *config.Worker
	Plugins  *plugin.Manager
	Registry *record.Registry
	Kafka    kafka.Config
	Offsets  *offset.Store
	// Lockouts remembers rejected credentials. Default: one for the process.
	Lockouts *lockouts.Store
	// Destinations shares limits between clients of the same origin. Default: one for the process.
	Destinations *transport.Destinations
	// WorkerID is host:port of this worker. Version is reported as the version of converters.
	WorkerID, Version string
	// Target returns the initial target state of a connector. Default: Running.
	Target func(*config.Connector) TargetState
	// Group is the worker's group. Nil means standalone: the worker runs all connectors.
	Group Group
	// Tracer may be nil.
	Tracer *tracing.Tracer
	// Observer returns the row observer of a connector. May be nil.
	Observer func(connector string) *core.Observer
	Logger   *slog.Logger

	reserved kafka.Reserved // topics that connectors must not write to
	sharedResources
}

type sharedResources struct {
	claims  *claimRegistry
	buffers *source.Buffers
	hub     *notify.Hub
	starts  *startups
	// refreshInterval is how often a failed start checks again for settings that change elsewhere.
	refreshInterval time.Duration
}

// Group is what a herder requires of the worker's group. No lock is held during a call, except connectorRun's openLock
// during Fence.
type Group interface {
	// PutTaskConfigs stores the task configs of a connector, which come back by [Herder.Assign].
	PutTaskConfigs(ctx context.Context, connector string, p config.TaskPlan) error
	// CheckLease returns nil while the worker is a member of its group. If the context has ended, it answers from what
	// is already known.
	CheckLease(ctx context.Context) error
	// Fence fences the producers of a connector's tasks of earlier versions and stores the new counts. Version 0 is for
	// a change of offsets.
	Fence(ctx context.Context, connector string, version int64, now config.FencingCounts) error
	// Forward sends a notification to the worker that runs the task with its feed.
	Forward(ctx context.Context, connector string, n wit.Notification) ForwardResult
	// OwnersLost returns nil if this worker does not lead. The function waits until the owners of the deleted connector
	// are known to be lost or not, and reports whether this worker must clean up for them.
	OwnersLost(connector string) func(context.Context) bool
	// StatusChanged is called after a change of the status or of what this worker owns. It must not block.
	StatusChanged(connector string)
	// RecordTopic is called with each topic of each batch of a task. It must not block.
	RecordTopic(connector, topic string, task int)
}

// Herder owns connectors, their tasks and their goroutines while Run or RunOnce runs. It is safe for concurrent use.
type Herder struct {
	shared Options

	mu          guard.Mutex
	controllers map[string]*controller
	deleting    map[string]*controller
	// runCtx is the context of Run, nil before. ended means that Run accepts no more connectors.
	runCtx           context.Context
	ended            bool
	running          sync.WaitGroup
	replayLock       sync.Mutex
	deadLetterCounts dlqCounts
}

// New creates a herder of checked connectors. Nothing runs before [Herder.Run].
func New(o Options, connectors []*config.Connector) *Herder {
	o.sharedResources = sharedResources{claims: &claimRegistry{}, buffers: source.NewBuffers(), hub: &notify.Hub{Logger: o.Logger},
		starts: &startups{}, refreshInterval: cmp.Or(o.refreshInterval, time.Minute)}
	h := &Herder{shared: o, controllers: map[string]*controller{}, deleting: map[string]*controller{}}
	options := h.options(connectors)
	for _, c := range connectors {
		k := newController(options, c)
		k.spec.target = h.target(c)
		k.spec.pausedAtStart = k.spec.target == Paused && c.InitialTarget() != config.TargetPaused
		h.controllers[c.Name] = k
	}
	return h
}

func (o *Options) initialAssignment() Assignment { return Assignment{Standalone: o.Group == nil} }

func (h *Herder) target(c *config.Connector) TargetState {
	if h.shared.Target == nil {
		return Running
	}
	return h.shared.Target(c)
}

func (h *Herder) options(connectors []*config.Connector) *Options {
	o := h.shared
	o.reserved = check.Reserved(o.Worker, connectors)
	return &o
}

// Run starts all connectors. When ctx ends it stops them within task.shutdown.graceful.timeout.ms, acknowledges pending
// records and stores offsets. A failed connector or task does not affect the others.
func (h *Herder) Run(ctx context.Context) {
	h.mu.Lock()
	h.runCtx = ctx
	for _, k := range h.controllers {
		h.launch(k)
	}
	h.mu.Unlock()
	<-ctx.Done() // also without connectors: REST may add some
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	h.wait(ctx, &h.running)
}

func (h *Herder) isRunning() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.runCtx != nil && !h.ended
}

// launch starts the loop of a connector if Run runs. h.mu is held.
func (h *Herder) launch(k *controller) {
	if h.runCtx == nil || h.ended {
		return
	}
	h.running.Go(func() {
		defer guard.Vital("the loop of connector " + k.name)
		k.run(h.runCtx, false)
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.deleting[k.name] == k {
			delete(h.deleting, k.name)
		}
	})
}

// Put adds a checked connector or replaces the configuration of an existing one, which keeps its target state. others
// are all other connectors of the installation.
func (h *Herder) Put(c *config.Connector, others []*config.Connector) {
	h.mu.Lock()
	defer h.mu.Unlock()
	options := h.options(append([]*config.Connector{c}, others...))
	if k := h.controllers[c.Name]; k != nil {
		k.replaceConfig(options, c)
		return
	}
	k := newController(options, c)
	k.spec.target = h.target(c)
	if before := h.deleting[c.Name]; before != nil {
		k.predecessor = before.done
	}
	h.controllers[c.Name] = k
	h.launch(k)
}

// Assign changes the worker's assignment of a connector. Tasks in both assignments continue.
func (h *Herder) Assign(name string, assignment Assignment) error {
	return h.withController(name, func(k *controller) { k.assign(assignment) })
}

// Owned returns what the worker owns: assignments, and tasks that have not ended yet.
func (h *Herder) Owned() (all []Ownership) {
	h.mu.Lock()
	controllers := slices.Collect(maps.Values(h.controllers))
	controllers = slices.AppendSeq(controllers, maps.Values(h.deleting))
	h.mu.Unlock()
	for _, k := range controllers {
		all = append(all, k.owned()...)
	}
	return all
}

// UpdateInPlace applies a configuration to running tasks, see [config.InPlace].
func (h *Herder) UpdateInPlace(c *config.Connector) error {
	return h.withController(c.Name, func(k *controller) { k.updateInPlace(c) })
}

// ReplaceEquivalent replaces the configuration by one with the same settings, for example from another file.
func (h *Herder) ReplaceEquivalent(c *config.Connector) error {
	return h.withController(c.Name, func(k *controller) { k.replaceEquivalent(c) })
}

// RunningConnectors returns the connectors for [config.Plan].
func (h *Herder) RunningConfigs() []config.RunningConnector {
	var now []config.RunningConnector
	for _, k := range h.all() {
		now = append(now, k.observe().runningConnector())
	}
	return now
}

// RunningConnector returns one connector.
func (h *Herder) RunningConfig(name string) (config.RunningConnector, error) {
	return fromView(h, name, (*view).runningConnector)
}

// RejectConfig records why a newer configuration is rejected. No problems means that none is.
func (h *Herder) RejectConfig(name string, problems config.Problems) error {
	return h.withController(name, func(k *controller) { k.rejectConfig(problems) })
}

// Remove stops a connector and deletes it. Its offsets remain.
func (h *Herder) Remove(name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := h.controllers[name]
	if k == nil {
		return fmt.Errorf("%s: %w", name, ErrUnknownConnector)
	}
	delete(h.controllers, name)
	if h.runCtx == nil || h.runCtx.Err() != nil {
		return nil // its loop does not run, or is about to end
	}
	h.deleting[name] = k
	k.markDeleting()
	return nil
}

// WaitIdle waits until the loops have handled all events; tasks and services do not delay it. The error names a loop
// that does not respond before ctx ends, or reports that the worker is still starting.
func (h *Herder) WaitIdle(ctx context.Context) error {
	h.mu.Lock()
	runs := h.runCtx != nil
	h.mu.Unlock()
	if !runs {
		return errors.New("Connectors are being started.")
	}
	for _, k := range h.all() {
		if !k.waitIdle(ctx) {
			return fmt.Errorf("The loop of connector %s does not move: %w", k.name, ctx.Err())
		}
	}
	return nil
}

// Pause stops the tasks of a connector until Resume.
func (h *Herder) Pause(name string) error {
	return h.withController(name, func(k *controller) { k.setTarget(Paused, evPause) })
}

// Stop removes the tasks of a connector until Resume.
func (h *Herder) Stop(name string) error {
	return h.withController(name, func(k *controller) { k.setTarget(Stopped, evStop) })
}

// Resume runs a paused or stopped connector.
func (h *Herder) Resume(name string) error {
	return h.withController(name, func(k *controller) { k.setTarget(Running, evResume) })
}

// Restart restarts a connector, or only the given tasks. A paused or stopped connector remains so. If none of its tasks
// can be restarted alone, the connector is restarted.
func (h *Herder) Restart(name string, tasks ...int) error {
	return h.withController(name, func(k *controller) {
		if len(tasks) == 0 {
			k.enqueue(event{kind: evRestart})
		}
		for _, n := range tasks {
			k.restartTask(n)
		}
	})
}

func (h *Herder) withController(name string, do func(*controller)) error {
	k, err := h.find(name)
	if err == nil {
		do(k)
	}
	return err
}

// RunOnce runs every source until it has caught up, then every sink up to the current end of its topics. It returns the
// errors of all failed tasks.
func (h *Herder) RunOnce(ctx context.Context) error {
	var sources, sinks []*controller
	for _, k := range h.all() {
		if k.currentRun().isSink() {
			sinks = append(sinks, k)
		} else {
			sources = append(sources, k)
		}
	}
	h.once(ctx, sources)
	if ctx.Err() == nil {
		for _, k := range sinks {
			k.update(func(s *spec, _ *status) { s.sourcesRan = len(sources) > 0 })
		}
		h.once(ctx, sinks)
	}
	var failures []error
	for _, k := range h.all() {
		failures = append(failures, k.observe().failures()...)
	}
	return errors.Join(failures...)
}

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

const stopSlack = 2 * time.Second

const stopLimit = "task.shutdown.graceful.timeout.ms"

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
	limit := h.shared.Worker.Duration(stopLimit)
	select {
	case <-done:
	case <-time.After(limit + stopSlack):
		h.shared.Logger.Warn("tasks did not stop in time and are given up", stopLimit, limit.Milliseconds())
	}
}

func (h *Herder) find(name string) (*controller, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k := h.controllers[name]; k != nil {
		return k, nil
	}
	return nil, fmt.Errorf("%s: %w", name, ErrUnknownConnector)
}

func fromView[T any](h *Herder, name string, field func(*view) T) (value T, err error) {
	k, err := h.find(name)
	if err == nil {
		value = field(k.observe())
	}
	return value, err
}

func (h *Herder) all() []*controller {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*controller
	for _, name := range slices.Sorted(maps.Keys(h.controllers)) {
		all = append(all, h.controllers[name])
	}
	return all
}

// Names returns the names of all connectors, sorted.
func (h *Herder) Names() []string {
	var names []string
	for _, k := range h.all() {
		names = append(names, k.name)
	}
	return names
}

// Info returns the configuration and tasks of a connector.
func (h *Herder) Info(name string) (Info, error) { return fromView(h, name, (*view).info) }

// Status returns the state of a connector.
func (h *Herder) Status(name string) (Status, error) { return fromView(h, name, (*view).restStatus) }

// Tasks returns the task configs of a connector.
func (h *Herder) Tasks(name string) ([]TaskInfo, error) { return fromView(h, name, (*view).taskInfos) }

// FeedProgress is the progress of a source's feed.
type FeedProgress = source.FeedProgress

// Progress counts since the start of a connector or a task. REST shows the fields with a JSON name.
type Progress struct {
	Connector string `json:"-"`
	Type      string `json:"-"`
	State     State  `json:"-"`
	CaughtUp  bool   `json:"caught_up"`
	Rows      int64  `json:"rows"`
	// Failed rows were rejected and tolerated.
	Failed int64          `json:"refused"`
	Pages  int64          `json:"pages,omitempty"`
	Bytes  int64          `json:"bytes,omitempty"`
	Feeds  []FeedProgress `json:"feeds,omitempty"`
	// Lag is the number of records that a sink has not committed. InDoubt records may or may not have been written.
	Lag       int64 `json:"lag,omitempty"`
	Uncertain int64 `json:"uncertain,omitempty"`
	// Read counts rows of a source's pages, again if a page is read again, or records that a sink consumed.
	Read                                   int64 `json:"-"`
	Warnings, Batches, Requests, Reencoded int64 `json:"-"`
	// LastCaughtUp is the earliest of the feeds' times. Zero means never.
	LastCaughtUp time.Time `json:"-"`
	// LastNotified is when the last notification or subscription was received, the earliest of the feeds. Zero means
	// that no feed subscribes.
	LastNotified time.Time            `json:"-"`
	Counters     core.MetricsSnapshot `json:"-"`
	Errors       int64                `json:"-"`
	LastError    time.Time            `json:"-"`
	Partitions   int64                `json:"-"`
	// Flow has no stages before the task has run.
	Flow core.Flow `json:"-"`
}

// Notifications counts notifications by outcome.
func (h *Herder) Notifications() map[string]int64 { return h.shared.hub.Counts() }

// Progress returns the progress of each connector, sorted by name.
func (h *Herder) Progress() []Progress {
	var list []Progress
	for _, k := range h.all() {
		list = append(list, k.observe().progress())
	}
	return list
}
