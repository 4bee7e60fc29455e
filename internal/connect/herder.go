package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/deadletters"
	"github.com/culvert-project/culvert/internal/events"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/history"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/run/notify"
	"github.com/culvert-project/culvert/internal/run/source"
)

// Herder runs the connectors of a worker, as Kafka Connect's herder does. It owns their tasks and goroutines while Run
// or RunOnce runs, and is safe for concurrent use.
type Herder struct {
	shared Options

	mu          guard.Mutex
	controllers map[string]*controller
	deleting    map[string]*controller // deleted connectors whose loops have not ended yet
	runCtx      context.Context        // of Run; nil before Run is called
	hasEnded    bool                   // Run accepts no more connectors
	loops       sync.WaitGroup         // goroutines of Run
	letters     *deadletters.Queues
	history     history.Recorder
}

// New creates a herder of checked connectors. Nothing runs before [Herder.Run].
func New(o Options, connectors []*resolved.Connector) *Herder {
	o.sharedResources = sharedResources{claims: &claimRegistry{}, buffers: source.NewBuffers(o.Memory.Chunks()),
		hub: &notify.Hub{Logger: o.Logger}, starts: &startCounters{},
		events:          events.New(o.WorkerID, o.Worker.Redact),
		refreshInterval: cmp.Or(o.refreshInterval, time.Minute)}
	if o.Group == nil {
		o.Group = standalone{o.Worker, o.Kafka, o.Logger}
	}
	h := &Herder{shared: o, controllers: map[string]*controller{}, deleting: map[string]*controller{}}
	h.letters = deadletters.NewQueues(deadletters.Options{Worker: o.Worker, Kafka: o.Kafka, Offsets: o.Offsets,
		Logger: o.Logger}, letterConnectors{h})
	if o.Plugins != nil {
		o.Plugins.OnSwap(func(connector, plugin, from, to string) {
			o.events.Record(context.Background(), events.Event{Connector: connector, Kind: "swapped",
				Text: fmt.Sprintf("plugin %s %s to %s", plugin, from, to)})
		})
	}
	options := h.options(connectors)
	for _, connector := range connectors {
		ctl := newController(options, connector)
		ctl.spec.target = h.target(connector)
		// Not if it was created as PAUSED, see planPausedTasks.
		ctl.spec.pausedAtStart = ctl.spec.target == Paused && connector.InitialTarget() != config.TargetPaused
		h.controllers[connector.Name] = ctl
	}
	return h
}

func (h *Herder) target(connector *resolved.Connector) TargetState {
	if h.shared.Target == nil {
		return Running
	}
	return h.shared.Target(connector.Connector)
}

func (h *Herder) options(connectors []*resolved.Connector) *Options {
	o := h.shared
	o.reserved = resolved.Reserved(o.Worker, connectors)
	return &o
}

// Events returns the recorder of what happens to connectors on this worker.
func (h *Herder) Events() *events.Recorder { return h.shared.events }

// Run starts all connectors. When ctx ends it stops them within task.shutdown.graceful.timeout.ms, acknowledges pending
// records and stores offsets. A failed connector or task does not affect the others.
func (h *Herder) Run(ctx context.Context) {
	h.mu.Lock()
	h.runCtx = ctx
	for _, ctl := range h.controllers {
		h.launch(ctl)
	}
	h.loops.Go(func() {
		defer guard.Recover(h.shared.Logger, "counting dead letters", nil)
		h.letters.Run(ctx)
	})
	h.mu.Unlock()
	h.loops.Go(func() {
		defer guard.Recover(h.shared.Logger, "the history of connectors", nil)
		h.recordHistory(ctx)
	})
	<-ctx.Done() // also without connectors: REST may add some
	h.mu.Lock()
	h.hasEnded = true
	h.mu.Unlock()
	h.waitStopped(ctx, &h.loops)
}

func (h *Herder) isRunning() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.runCtx != nil && !h.hasEnded
}

// launch starts the loop of a connector while Run runs. h.mu is held.
func (h *Herder) launch(ctl *controller) {
	if h.runCtx == nil || h.hasEnded {
		return
	}
	h.loops.Go(func() {
		defer guard.Vital("the loop of connector " + ctl.name)
		ctl.run(h.runCtx)
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.deleting[ctl.name] == ctl {
			delete(h.deleting, ctl.name)
		}
	})
}

// Put adds a checked connector or replaces the configuration of an existing one, which keeps its target state. others
// are all other connectors of the installation.
func (h *Herder) Put(connector *resolved.Connector, others []*resolved.Connector) {
	h.mu.Lock()
	defer h.mu.Unlock()
	options := h.options(append([]*resolved.Connector{connector}, others...))
	if ctl := h.controllers[connector.Name]; ctl != nil {
		ctl.replaceConfig(options, connector)
		return
	}
	ctl := newController(options, connector)
	ctl.spec.target = h.target(connector)
	if predecessor := h.deleting[connector.Name]; predecessor != nil {
		ctl.predecessor = predecessor.done
	}
	h.controllers[connector.Name] = ctl
	h.launch(ctl)
}

// Assign changes the worker's assignment of a connector. Tasks in both assignments continue.
func (h *Herder) Assign(name string, assignment Assignment) error {
	return h.withController(name, func(ctl *controller) { ctl.assign(assignment) })
}

// Owned returns what the worker owns: assignments, and tasks that have not ended yet.
func (h *Herder) Owned() (ownerships []Ownership) {
	h.mu.Lock()
	controllers := slices.Collect(maps.Values(h.controllers))
	controllers = slices.AppendSeq(controllers, maps.Values(h.deleting))
	h.mu.Unlock()
	for _, ctl := range controllers {
		ownerships = append(ownerships, ctl.owned()...)
	}
	return ownerships
}

// UpdateInPlace applies a configuration to running tasks, see [resolved.UpdateInPlace].
func (h *Herder) UpdateInPlace(connector *resolved.Connector) error {
	return h.withController(connector.Name, func(ctl *controller) { ctl.updateInPlace(connector) })
}

// ReplaceEquivalent replaces the configuration by one with the same settings, for example from another file.
func (h *Herder) ReplaceEquivalent(connector *resolved.Connector) error {
	return h.withController(connector.Name, func(ctl *controller) { ctl.replaceEquivalent(connector) })
}

// RunningConfigs returns the connectors for [resolved.Diff].
func (h *Herder) RunningConfigs() []resolved.RunningConnector {
	var running []resolved.RunningConnector
	for _, ctl := range h.allControllers() {
		running = append(running, ctl.observe().runningConnector())
	}
	return running
}

// RunningTasks returns the number of tasks that run on this worker.
func (h *Herder) RunningTasks() (n int) {
	for _, ctl := range h.allControllers() {
		for _, task := range ctl.observe().tasks {
			if task.state == Running && task.err == nil {
				n++
			}
		}
	}
	return n
}

// RunningConfig returns one connector of [Herder.RunningConfigs].
func (h *Herder) RunningConfig(name string) (resolved.RunningConnector, error) {
	return fromView(h, name, (*view).runningConnector)
}

// RejectConfig records why a newer configuration is rejected. No problems means that none was rejected.
func (h *Herder) RejectConfig(name string, problems config.Problems) error {
	return h.withController(name, func(ctl *controller) {
		ctl.update(func(_ *spec, observed *status) { observed.rejected = problems })
	})
}

// Remove stops a connector and deletes it. Its offsets remain.
func (h *Herder) Remove(name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	ctl := h.controllers[name]
	if ctl == nil {
		return fmt.Errorf("%s: %w", name, ErrUnknownConnector)
	}
	delete(h.controllers, name)
	if h.runCtx == nil || h.runCtx.Err() != nil {
		return nil // its loop does not run, or is about to end
	}
	h.deleting[name] = ctl
	ctl.markDeleting()
	return nil
}

// WaitIdle waits until the loops have handled all events; tasks and services do not delay it. The error names a loop
// that does not respond before ctx ends, or reports that the worker is still starting.
func (h *Herder) WaitIdle(ctx context.Context) error {
	h.mu.Lock()
	hasStarted := h.runCtx != nil
	h.mu.Unlock()
	if !hasStarted {
		return errors.New("Connectors are being started.")
	}
	for _, ctl := range h.allControllers() {
		if !ctl.waitIdle(ctx) {
			return fmt.Errorf("The loop of connector %s does not respond: %w", ctl.name, ctx.Err())
		}
	}
	return nil
}

// SetTarget moves a connector to a target state: a stopped connector has no tasks.
func (h *Herder) SetTarget(name string, target TargetState) error {
	kinds := map[TargetState]eventKind{Running: evResume, Paused: evPause, Stopped: evStop}
	return h.withController(name, func(ctl *controller) {
		ctl.enqueue(event{kind: kinds[target], apply: func(context.Context) {
			ctl.update(func(desired *spec, _ *status) { desired.target = target })
		}})
	})
}

// Restart restarts a connector, or only the given tasks. A paused or stopped connector remains so. If none of its tasks
// can be restarted alone, the connector is restarted.
func (h *Herder) Restart(name string, tasks ...int) error {
	return h.withController(name, func(ctl *controller) {
		if len(tasks) == 0 {
			ctl.enqueue(event{kind: evRestart})
		}
		for _, n := range tasks {
			ctl.restartTask(n)
		}
	})
}

func (h *Herder) withController(name string, do func(*controller)) error {
	ctl, err := h.find(name)
	if err == nil {
		do(ctl)
	}
	return err
}

// RunOnce runs sources until they have caught up, then sinks up to the ends of their topics. It joins all errors.
func (h *Herder) RunOnce(ctx context.Context) error {
	var sources, sinks []*controller
	for _, ctl := range h.allControllers() {
		if ctl.currentRun().isSink() {
			sinks = append(sinks, ctl)
		} else {
			sources = append(sources, ctl)
		}
	}
	h.runLoopsOnce(ctx, sources)
	if ctx.Err() == nil {
		for _, ctl := range sinks {
			ctl.update(func(desired *spec, _ *status) { desired.sourcesRan = len(sources) > 0 })
		}
		h.runLoopsOnce(ctx, sinks)
	}
	var failures []error
	for _, ctl := range h.allControllers() {
		failures = append(failures, ctl.observe().failures()...)
	}
	return errors.Join(failures...)
}

func (h *Herder) runLoopsOnce(ctx context.Context, controllers []*controller) {
	var loops sync.WaitGroup
	for _, ctl := range controllers {
		loops.Go(func() {
			defer guard.Vital("the loop of connector " + ctl.name)
			ctl.update(func(desired *spec, _ *status) { desired.once = true })
			ctl.run(ctx)
		})
	}
	h.waitStopped(ctx, &loops)
}

const (
	stopLimit = "task.shutdown.graceful.timeout.ms" // the setting of the time that tasks have to stop
	stopSlack = 2 * time.Second                     // the additional time before tasks count as late
)

// waitStopped waits until loops have ended. After the end of ctx it waits only as long as tasks may take to stop.
func (h *Herder) waitStopped(ctx context.Context, loops *sync.WaitGroup) {
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
		h.shared.Logger.Warn("tasks did not stop in time and are abandoned", stopLimit, limit.Milliseconds())
	}
}

func (h *Herder) find(name string) (*controller, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctl := h.controllers[name]; ctl != nil {
		return ctl, nil
	}
	return nil, fmt.Errorf("%s: %w", name, ErrUnknownConnector)
}

func fromView[T any](h *Herder, name string, field func(*view) T) (value T, err error) {
	ctl, err := h.find(name)
	if err == nil {
		value = field(ctl.observe())
	}
	return value, err
}

func (h *Herder) allControllers() []*controller {
	h.mu.Lock()
	defer h.mu.Unlock()
	var controllers []*controller
	for _, name := range slices.Sorted(maps.Keys(h.controllers)) {
		controllers = append(controllers, h.controllers[name])
	}
	return controllers
}

// Names returns the names of all connectors, sorted.
func (h *Herder) Names() []string {
	var names []string
	for _, ctl := range h.allControllers() {
		names = append(names, ctl.name)
	}
	return names
}

// Info returns the configuration and tasks of a connector.
func (h *Herder) Info(name string) (Info, error) { return fromView(h, name, (*view).info) }

// Status returns the state of a connector.
func (h *Herder) Status(name string) (Status, error) { return fromView(h, name, (*view).restStatus) }

// Tasks returns the task configs of a connector.
func (h *Herder) Tasks(name string) ([]TaskInfo, error) { return fromView(h, name, (*view).taskInfos) }
