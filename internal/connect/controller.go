package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/guard"
)

// controller reconciles a connector with its spec. Only its loop changes the state, by the table of transitions; other
// goroutines enqueue events. At most one run is active; a new run starts after the previous one has ended and stored
// its offsets.
type controller struct {
	name string
	log  *slog.Logger
	// predecessor is closed when a deleted connector of the same name has ended. Nil means that there was none.
	predecessor <-chan struct{}
	done        chan struct{} // the loop has ended
	queued      guard.Bell    // the queue has events
	endpoint    *notificationEndpoint
	topics      sync.Map // topics that tasks have used, across runs; unused in a group

	mu     guard.Mutex
	spec   spec
	status status
	queue  []event
	idleCh chan struct{}

	keyLocks keyLocks

	// The following fields belong to the loop: the current activity (nil if there is none), a timer that fires if it
	// does not stop in time, and functions to call when it has ended.
	activity  *activity
	stopTimer *time.Timer
	whenIdle  []func()
}

func newController(o *Options, c *config.Connector) *controller {
	k := &controller{name: c.Name, log: o.Logger.With("connector", c.Name), done: make(chan struct{}),
		queued: guard.NewBell(), spec: spec{options: o, config: c, target: Running, assignment: o.initialAssignment()},
		status: status{state: Unassigned, stateSince: time.Now(), clocks: stateClocks{}}}
	k.endpoint = &notificationEndpoint{handle: k.handleNotification}
	k.newRun()
	if k.status.err = k.status.currentRun.configErr; k.status.err != nil {
		k.status.state = Failed
	}
	return k
}

func (k *controller) newRun() {
	k.status.currentRun = newConnectorRun(k, k.spec.options, k.spec.config)
	k.status.currentRun.set.assignment = k.spec.assignment
}

func (k *controller) desired() spec {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.spec
}

func (k *controller) currentRun() *connectorRun {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status.currentRun
}

func (k *controller) newDetachedRun() *connectorRun {
	s := k.desired()
	return newConnectorRun(k, s.options, s.config)
}

func (k *controller) update(do func(*spec, *status)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	do(&k.spec, &k.status)
}

func (k *controller) enqueue(e event) {
	k.mu.Lock()
	k.queue = append(k.queue, e)
	k.mu.Unlock()
	k.queued.Ring()
}

// waitIdle waits until the loop has handled the queue or has ended. It reports false if ctx ends first. It does not
// wait for a loop that waits for its predecessor.
func (k *controller) waitIdle(ctx context.Context) bool {
	if k.predecessor != nil {
		select {
		case <-k.predecessor:
		default:
			return true
		}
	}
	k.mu.Lock()
	idleCh, waiting := k.idleCh, k.idleCh != nil
	if !waiting {
		idleCh = make(chan struct{})
		k.idleCh = idleCh
	}
	k.mu.Unlock()
	if !waiting {
		k.enqueue(event{handled: idleCh, apply: func(context.Context) {
			k.update(func(*spec, *status) { k.idleCh = nil })
		}})
	}
	select {
	case <-idleCh:
		return true
	case <-k.done:
		return true
	case <-ctx.Done():
		return false
	}
}

func (k *controller) report(run *connectorRun, kind eventKind, err error) {
	handled := make(chan struct{})
	k.enqueue(event{kind: kind, err: err, run: run, handled: handled})
	select {
	case <-handled:
	case <-k.done:
	}
}

func (k *controller) setTarget(target TargetState, kind eventKind) {
	k.enqueue(event{kind: kind, apply: func(context.Context) {
		k.update(func(s *spec, _ *status) { s.target = target })
	}})
}

func (k *controller) replaceConfig(o *Options, c *config.Connector) {
	k.update(func(s *spec, st *status) {
		if !maps.Equal(s.config.Raw(), c.Raw()) { // else only the values of its references differ
			s.setAssignment(o.initialAssignment(), true)
		}
		s.options, s.config, st.rejected = o, c, nil
	})
	k.enqueue(event{kind: evRestart})
}

func (k *controller) updateInPlace(c *config.Connector) {
	k.replaceEquivalent(c)
	k.enqueue(event{apply: func(context.Context) {
		k.mu.Lock()
		current, state := k.status.currentRun, k.status.state
		k.mu.Unlock()
		if k.isActive() && state == Running { // else the next run gets the configuration
			current.clients.service.UpdateInPlace(current.clients.client, c)
		}
	}})
}

func (k *controller) replaceEquivalent(c *config.Connector) {
	k.update(func(s *spec, st *status) { s.config, st.rejected = c, nil })
}

func (k *controller) rejectConfig(problems config.Problems) {
	k.update(func(_ *spec, st *status) { st.rejected = problems })
}

func (k *controller) isActive() bool { return k.activity != nil && !k.activity.stopping }

func (k *controller) restartTask(number int) {
	k.enqueue(event{apply: func(context.Context) {
		if k.isActive() && k.currentRun().restartTask(number) {
			return
		}
		k.enqueue(event{kind: evRestart})
	}})
}

// assign changes the worker's assignment. Tasks in both assignments continue if the run can apply it.
func (k *controller) assign(assignment Assignment) {
	k.update(func(s *spec, _ *status) { s.pending = append(s.pending, assignment) })
	k.enqueue(event{apply: func(context.Context) {
		k.mu.Lock()
		k.spec.setAssignment(assignment, assignment.TaskConfigs != nil) // only a member of the group has task configs
		k.spec.pending = k.spec.pending[1:]
		current := k.status.currentRun
		k.mu.Unlock()
		defer k.statusChanged()
		if !current.assign(assignment) || !k.isActive() || k.activity.exclusive || assignment.empty() {
			k.enqueue(event{kind: evReassigned})
		}
	}})
}

func (k *controller) markDeleting() {
	k.update(func(desired *spec, _ *status) { desired.deleting = true })
	s := k.desired()
	claimErr := s.options.claims.acquire(k.name, s.assignment.claims())
	k.enqueue(event{kind: evShutdown, apply: func(context.Context) {
		var ownersLost func(context.Context) bool
		if s.options.Group != nil && claimErr == nil {
			ownersLost = s.options.Group.OwnersLost(k.name)
		}
		k.update(func(desired *spec, _ *status) { desired.markDeleted(ownersLost) })
	}})
}

// run is the loop. It returns when ctx has ended or the connector was deleted, and nothing of it runs any more. With
// once it returns when the tasks have ended.
func (k *controller) run(ctx context.Context, once bool) {
	defer close(k.done)
	if k.predecessor != nil {
		<-k.predecessor // it was deleted, or ctx has ended for both
	}
	k.update(func(desired *spec, _ *status) { desired.once = once })
	k.stopTimer = time.NewTimer(0)
	k.stopTimer.Stop()
	defer k.stopTimer.Stop()
	k.handle(ctx, event{kind: k.idleEvent(ctx)})
	k.planPausedTasks(ctx)
	k.updateEndpoint(false)
	stopping := ctx.Done()
	for k.activity != nil || ctx.Err() == nil && !once && !k.desired().deleted {
		select {
		case <-k.queued:
			for _, e := range k.dequeueAll() {
				k.handle(ctx, e)
			}
			k.planPausedTasks(ctx)
			k.updateEndpoint(false)
		case <-stopping:
			stopping = nil
			k.handle(ctx, event{kind: evShutdown})
		case <-k.stopTimer.C:
			if k.activity.exclusive {
				k.log.Info("the connector waits for an action that requires it to be stopped, such as a " +
					"change of its offsets")
				break
			}
			k.log.Warn("tasks did not stop in time; the connector waits for them, so that none runs twice", stopLimit,
				k.stopLimit().Milliseconds())
		}
	}
	k.updateEndpoint(true)
	s := k.desired()
	if s.deleted && ctx.Err() == nil {
		k.retire(ctx)
	}
	s.options.claims.release(k.name)
	for _, e := range k.dequeueAll() { // releases callers of report
		if e.handled != nil {
			close(e.handled)
		}
	}
}

func (k *controller) dequeueAll() []event {
	k.mu.Lock()
	defer k.mu.Unlock()
	queue := k.queue
	k.queue = nil
	return queue
}

func (k *controller) stopLimit() time.Duration { return k.desired().options.Worker.Duration(stopLimit) }

func (k *controller) idleEvent(ctx context.Context) eventKind {
	switch s := k.desired(); {
	case ctx.Err() != nil || s.deleted:
		return evTerminated
	case s.assignment.empty():
		return evUnassigned
	case s.target == Paused:
		return evPaused
	case s.target == Stopped:
		return evStopped
	}
	return evRunnable
}

func (k *controller) handle(ctx context.Context, e event) {
	if e.handled != nil {
		defer close(e.handled)
	}
	if e.apply != nil {
		e.apply(ctx)
	}
	if e.kind == "" || e.run != nil && e.run != k.currentRun() {
		return
	}
	if e.kind == evTasksEnded {
		k.activity.cancel()
		if k.activity.stopping || ctx.Err() != nil {
			e.kind = k.idleEvent(ctx)
		}
		k.activity = nil
		k.stopTimer.Stop()
		for _, next := range k.whenIdle {
			next()
		}
		k.whenIdle = nil
	}
	switch do := k.applyTransition(e); {
	case do == doStart && k.activity == nil && !k.desired().assignment.empty():
		k.startRun(ctx)
	case do == doNothing:
	case k.activity == nil:
		k.handle(ctx, event{kind: k.idleEvent(ctx)})
	case !k.activity.stopping:
		k.activity.stopping = true
		k.activity.cancel()
		k.stopTimer.Reset(k.stopLimit() + stopSlack)
	}
}

func (k *controller) applyTransition(e event) action {
	defer k.statusChanged()
	k.mu.Lock()
	defer k.mu.Unlock()
	s := &k.status
	t, ok := transitions[s.state][e.kind]
	if !ok {
		k.log.Error("a mistake in culvert: no transition for an event of a connector; its state does not change",
			"state",
			s.state, "event", string(e.kind))
		return doNothing
	}
	if e.kind == evFailed {
		s.err = e.err
	} else if t.next != Failed {
		s.err = nil
	}
	if s.state == Paused && t.next == Unassigned && len(s.currentRun.set.tasks) > 0 {
		s.previousRun = s.currentRun
	}
	if t.next != s.state {
		s.stateSince = time.Now()
		k.log.Debug("connector changes its state", "from", string(s.state), "to", string(t.next), "event",
			string(e.kind))
	}
	if s.state == Paused && t.next != Paused {
		s.setIdleTasks(Unassigned)
	}
	switch s.state = t.next; t.next {
	case Paused:
		s.setIdleTasks(Paused)
	case Restarting:
		s.previousRun = s.currentRun
	case Running:
		s.previousRun = nil
	case Stopped:
		clear(s.clocks)
		s.previousRun = nil
	}
	return t.action
}

func (k *controller) startRun(ctx context.Context) {
	k.mu.Lock()
	run := k.status.currentRun
	if run.clients.started || run.accepted != k.spec.config ||
		run.set.assignment.version() != k.spec.assignment.version() {
		k.newRun() // also if the tasks were planned again before the run started
		run = k.status.currentRun
	}
	run.clients.started, k.spec.pausedAtStart = true, false
	if k.status.state == Restarting { // new tasks; after a pause they are the same
		clear(k.status.clocks)
	}
	once := k.spec.once
	k.mu.Unlock()
	runCtx, end := context.WithCancel(ctx)
	k.activity = &activity{cancel: end}
	go func() {
		defer func() {
			if !k.desired().deleting { // else they are released after the cleanup
				run.options.claims.release(k.name)
			}
			k.enqueue(event{kind: evTasksEnded, run: run})
		}()
		defer run.markClosed()
		defer guard.Recover(k.log, "connector "+k.name, nil, func(p *guard.Panic) { run.reportFailure(runCtx, p) })
		run.runUntilStopped(runCtx, once)
	}()
}

// planPausedTasks plans the tasks of a connector that was paused before the worker started, which are shown as PAUSED.
// A connector that was created in that state has no tasks before it runs (KIP-980).
func (k *controller) planPausedTasks(ctx context.Context) {
	k.mu.Lock()
	due := k.spec.pausedAtStart && k.status.state == Paused && k.spec.target == Paused && k.activity == nil &&
		!k.spec.once
	if due && k.status.currentRun.accepted != k.spec.config {
		k.newRun()
	}
	run := k.status.currentRun
	due = due && !run.clients.started && run.configError() == nil
	run.clients.started = run.clients.started || due
	k.mu.Unlock()
	if !due {
		return
	}
	k.runExclusive(ctx, planTimeout, true, func(ctx context.Context) {
		if err := run.planShownTasks(ctx); err != nil && ctx.Err() == nil {
			k.log.Warn("the tasks of the paused connector could not be planned", "error", err)
		}
	})
}

const planTimeout = time.Minute

// runExclusive calls do in place of a run. A start waits until do returns; with cancelable it cancels do. Only the loop
// calls it.
func (k *controller) runExclusive(ctx context.Context, timeout time.Duration, cancelable bool,
	do func(context.Context)) {
	doing, end := context.WithTimeout(ctx, timeout)
	k.activity = &activity{cancel: func() {}, exclusive: true}
	if cancelable {
		k.activity.cancel = end
	}
	current := k.currentRun()
	go func() {
		defer end()
		defer func() { k.enqueue(event{kind: evTasksEnded, run: current}) }()
		defer guard.Recover(k.log, "connector "+k.name, nil)
		do(doing)
	}()
}

func (k *controller) isStopped() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.status.state
	return k.spec.target == Stopped && (s == Stopped || s == Unassigned && k.spec.assignment.empty())
}

func (k *controller) statusChanged() {
	if g := k.desired().options.Group; g != nil {
		g.StatusChanged(k.name)
	}
}

type failure struct {
	Connector string
	// Task is -1 for the connector itself.
	Task  int
	Cause error
}

func (f *failure) Error() string {
	text, _, _ := strings.Cut(f.Cause.Error(), "\n")
	if f.Task < 0 {
		return fmt.Sprintf("connector %s: FAILED: %s", f.Connector, text)
	}
	return fmt.Sprintf("connector %s, task %d: FAILED: %s", f.Connector, f.Task, text)
}

func (f *failure) Unwrap() error { return f.Cause }

// ErrUnknownConnector means that the connector does not exist.
var ErrUnknownConnector = errors.New("there is no such connector")
