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

	"github.com/culvert-project/culvert/internal/deadletters"
	"github.com/culvert-project/culvert/internal/events"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/resolved"
)

// controller runs one connector on this worker: it starts, stops and restarts the connector's tasks until its status
// matches its spec (configuration, target state, assignment). Only its loop (run) changes the state, by the table of
// transitions; other goroutines enqueue events. At most one run is active; a new run starts after the previous one has
// ended and stored its offsets.
type controller struct {
	connectorIdentity
	log *slog.Logger
	// predecessor is closed when a deleted connector of the same name has ended. Nil means that there was none.
	predecessor <-chan struct{}
	done        chan struct{} // the loop has ended
	queueBell   guard.Bell    // rings when the queue has events
	endpoint    *notificationEndpoint
	topics      sync.Map // topics that tasks of this worker have used, across runs

	mu     guard.Mutex
	spec   spec
	status status
	queue  []event
	idleCh chan struct{} // closed when the loop has handled the queue; nil if nobody waits

	keyLocks deadletters.KeyLocks // keys of a sink that a replay writes; has its own lock

	// The following fields belong to the loop.
	activity  *activity   // nil while nothing runs
	stopTimer *time.Timer // fires if the activity does not stop in time
	whenIdle  []func()    // called when the activity has ended
}

// connectorIdentity distinguishes a connector from one that is created later with the same name.
type connectorIdentity struct {
	name      string
	createdAt time.Time
}

func newController(options *Options, connector *resolved.Connector) *controller {
	ctl := &controller{
		connectorIdentity: connectorIdentity{name: connector.Name, createdAt: time.Now()},
		log:               options.Logger.With("connector", connector.Name),
		done:              make(chan struct{}),
		queueBell:         guard.NewBell(),
		spec: spec{options: options, config: connector, target: Running,
			assignment: options.initialAssignment()},
		status: status{state: Unassigned, stateSince: time.Now(), clocks: stateClocks{}},
	}
	ctl.endpoint = &notificationEndpoint{handle: ctl.handleNotification}
	ctl.newRun()
	if ctl.status.err = ctl.status.currentRun.accepted.Problems.Err(); ctl.status.err != nil {
		ctl.status.state = Failed
	}
	return ctl
}

// newRun replaces the current run by one with the current spec. ctl.mu is held, except in newController.
func (ctl *controller) newRun() {
	ctl.status.currentRun = newConnectorRun(ctl, ctl.spec.options, ctl.spec.config)
	ctl.status.currentRun.taskSet.assignment = ctl.spec.assignment
}

func (ctl *controller) desiredSpec() spec {
	ctl.mu.Lock()
	defer ctl.mu.Unlock()
	return ctl.spec
}

func (ctl *controller) currentRun() *connectorRun {
	ctl.mu.Lock()
	defer ctl.mu.Unlock()
	return ctl.status.currentRun
}

// newDetachedRun returns a run for a query, see connectorRun. It never starts.
func (ctl *controller) newDetachedRun() *connectorRun {
	desired := ctl.desiredSpec()
	return newConnectorRun(ctl, desired.options, desired.config)
}

// update calls do while ctl.mu is held.
func (ctl *controller) update(do func(*spec, *status)) {
	ctl.mu.Lock()
	defer ctl.mu.Unlock()
	do(&ctl.spec, &ctl.status)
}

func (ctl *controller) enqueue(e event) {
	ctl.mu.Lock()
	ctl.queue = append(ctl.queue, e)
	ctl.mu.Unlock()
	ctl.queueBell.Ring()
}

// waitIdle waits until the loop has handled the queue or has ended, and reports whether it has. It is false if ctx ends
// first. It does not wait for a loop that waits for its predecessor.
func (ctl *controller) waitIdle(ctx context.Context) bool {
	if ctl.predecessor != nil {
		select {
		case <-ctl.predecessor:
		default:
			return true
		}
	}
	ctl.mu.Lock()
	isQueued := ctl.idleCh != nil
	if !isQueued {
		ctl.idleCh = make(chan struct{})
	}
	idleCh := ctl.idleCh
	ctl.mu.Unlock()
	if !isQueued {
		ctl.enqueue(event{handled: idleCh, apply: func(context.Context) {
			ctl.update(func(*spec, *status) { ctl.idleCh = nil })
		}})
	}
	select {
	case <-idleCh:
		return true
	case <-ctl.done:
		return true
	case <-ctx.Done():
		return false
	}
}

// report enqueues an event of a run and waits until the loop has handled it or has ended. The loop must not call it.
func (ctl *controller) report(run *connectorRun, kind eventKind, err error) {
	handled := make(chan struct{})
	ctl.enqueue(event{kind: kind, err: err, run: run, handled: handled})
	select {
	case <-handled:
	case <-ctl.done:
	}
}

// replaceConfig sets a new configuration and restarts the connector with it.
func (ctl *controller) replaceConfig(options *Options, connector *resolved.Connector) {
	ctl.update(func(desired *spec, observed *status) {
		if !maps.Equal(desired.config.Raw(), connector.Raw()) { // else only the values of its references differ
			desired.setAssignment(options.initialAssignment(), true)
		}
		desired.options = options
		desired.config = connector
		observed.rejected = nil
	})
	ctl.enqueue(event{kind: evRestart})
}

// updateInPlace sets a configuration with other values of settings that a running service client can change.
func (ctl *controller) updateInPlace(connector *resolved.Connector) {
	ctl.replaceEquivalent(connector)
	ctl.enqueue(event{apply: func(context.Context) {
		ctl.mu.Lock()
		current := ctl.status.currentRun
		state := ctl.status.state
		ctl.mu.Unlock()
		if ctl.isActive() && state == Running { // else the next run gets the configuration
			current.clients.service.UpdateInPlace(current.clients.client, connector)
		}
	}})
}

func (ctl *controller) replaceEquivalent(connector *resolved.Connector) {
	ctl.update(func(desired *spec, observed *status) {
		desired.config = connector
		observed.rejected = nil
	})
}

func (ctl *controller) isActive() bool { return ctl.activity != nil && !ctl.activity.isStopping }

// restartTask restarts one task, or the connector if the task cannot be restarted alone.
func (ctl *controller) restartTask(number int) {
	ctl.enqueue(event{apply: func(context.Context) {
		if ctl.isActive() && ctl.currentRun().restartTask(number) {
			return
		}
		ctl.enqueue(event{kind: evRestart})
	}})
}

// assign changes the worker's assignment. Tasks in both assignments continue if the run can apply it.
func (ctl *controller) assign(assignment Assignment) {
	ctl.update(func(desired *spec, _ *status) { desired.pending = append(desired.pending, assignment) })
	ctl.enqueue(event{apply: func(context.Context) {
		ctl.mu.Lock()
		if gained := assignment.since(ctl.spec.assignment); gained != "" {
			ctl.status.currentRun.recordEvent(events.Event{Kind: "assigned", Text: gained})
		}
		ctl.spec.setAssignment(assignment, assignment.TaskConfigs != nil) // only a member of the group has task configs
		ctl.spec.pending = ctl.spec.pending[1:]
		current := ctl.status.currentRun
		ctl.mu.Unlock()
		defer ctl.reportStatus()
		isRunActive := ctl.isActive() && !ctl.activity.isExclusive
		if !current.assign(assignment) || !isRunActive || assignment.empty() { // else the active run has applied it
			ctl.enqueue(event{kind: evReassigned})
		}
	}})
}

// markDeleting requests the end of the loop. Until it has ended, the connector keeps its claims. It does not wait.
func (ctl *controller) markDeleting() {
	ctl.update(func(desired *spec, _ *status) { desired.deleting = true })
	desired := ctl.desiredSpec()
	claimErr := desired.options.claims.acquire(ctl.name, desired.assignment.claims())
	ctl.enqueue(event{kind: evShutdown, apply: func(context.Context) {
		var ownersLost func(context.Context) bool
		if claimErr == nil { // else another connector of this worker has the claims, and cleanup could end what it uses
			ownersLost = desired.options.Group.OwnersLost(ctl.name)
		}
		ctl.update(func(desired *spec, _ *status) { desired.markDeleted(ownersLost) })
	}})
}

// run is the loop. It returns when ctx has ended or the connector was deleted, or with spec.once when the tasks have
// ended, and nothing of the connector runs anymore.
func (ctl *controller) run(ctx context.Context) {
	defer close(ctl.done)
	if ctl.predecessor != nil {
		<-ctl.predecessor // it was deleted, or ctx has ended for both
	}
	once := ctl.desiredSpec().once
	ctl.stopTimer = time.NewTimer(0)
	ctl.stopTimer.Stop()
	defer ctl.stopTimer.Stop()
	ctl.handle(ctx, event{kind: ctl.idleEvent(ctx)})
	ctl.planPausedTasks(ctx)
	ctl.updateEndpoint()
	stopping := ctx.Done()
	for ctl.activity != nil || (ctx.Err() == nil && !once && !ctl.desiredSpec().deleted) {
		select {
		case <-ctl.queueBell:
			for _, e := range ctl.dequeueAll() {
				ctl.handle(ctx, e)
			}
			ctl.planPausedTasks(ctx)
			ctl.updateEndpoint()
		case <-stopping:
			stopping = nil
			ctl.handle(ctx, event{kind: evShutdown})
		case <-ctl.stopTimer.C:
			if ctl.activity.isExclusive {
				ctl.log.Info("the connector waits for an action that requires it to be stopped, such as a " +
					"change of its offsets")
				break
			}
			ctl.log.Warn("tasks did not stop in time; the connector waits for them, so that none runs twice", stopLimit,
				ctl.stopLimit().Milliseconds())
		}
	}
	ctl.closeEndpoint()
	final := ctl.desiredSpec()
	if final.deleted && ctx.Err() == nil {
		ctl.retire(ctx)
	}
	final.options.claims.release(ctl.name)
	for _, e := range ctl.dequeueAll() { // releases callers of report
		if e.handled != nil {
			close(e.handled)
		}
	}
}

func (ctl *controller) dequeueAll() []event {
	ctl.mu.Lock()
	defer ctl.mu.Unlock()
	queue := ctl.queue
	ctl.queue = nil
	return queue
}

func (ctl *controller) stopLimit() time.Duration {
	return ctl.desiredSpec().options.Worker.Duration(stopLimit)
}

func (ctl *controller) idleEvent(ctx context.Context) eventKind {
	switch desired := ctl.desiredSpec(); {
	case ctx.Err() != nil || desired.deleted:
		return evTerminated
	case desired.assignment.empty():
		return evUnassigned
	case desired.target == Paused:
		return evPaused
	case desired.target == Stopped:
		return evStopped
	}
	return evRunnable
}

func (ctl *controller) handle(ctx context.Context, e event) {
	if e.handled != nil {
		defer close(e.handled)
	}
	if e.apply != nil {
		e.apply(ctx)
	}
	if e.kind == "" || (e.run != nil && e.run != ctl.currentRun()) { // the second: a report of an earlier run
		return
	}
	if e.kind == evTasksEnded && (ctl.endActivity() || ctx.Err() != nil) {
		e.kind = ctl.idleEvent(ctx) // it ended on request: the spec decides what follows
	}
	// The order matters: a start needs an idle controller, and a stop of an idle one only updates its state.
	switch next := ctl.applyTransition(e); {
	case next == doStart && ctl.activity == nil && !ctl.desiredSpec().assignment.empty():
		ctl.startRun(ctx)
	case next == doNothing: // the state is updated already
	case ctl.activity == nil:
		ctl.handle(ctx, event{kind: ctl.idleEvent(ctx)})
	case !ctl.activity.isStopping:
		ctl.activity.isStopping = true
		ctl.activity.cancel()
		ctl.stopTimer.Reset(ctl.stopLimit() + stopSlack)
	}
}

// endActivity removes the ended activity and calls whenIdle. It reports whether the activity was being stopped.
func (ctl *controller) endActivity() (wasStopping bool) {
	wasStopping = ctl.activity.isStopping
	ctl.activity.cancel()
	ctl.activity = nil
	ctl.stopTimer.Stop()
	callbacks := ctl.whenIdle
	ctl.whenIdle = nil
	for _, call := range callbacks {
		call()
	}
	return wasStopping
}

// applyTransition updates the observed state for an event, and returns what the loop must do.
func (ctl *controller) applyTransition(e event) action {
	defer ctl.reportStatus()
	ctl.mu.Lock()
	defer ctl.mu.Unlock()
	observed := &ctl.status
	change, ok := transitions[observed.state][e.kind]
	if !ok {
		ctl.log.Error("an internal error of culvert: no transition for an event of a connector; its state does not "+
			"change", "state", observed.state, "event", string(e.kind))
		return doNothing
	}
	if e.kind == evFailed {
		observed.err = e.err
	} else if change.next != Failed {
		observed.err = nil
		observed.restartsAt = time.Time{}
	}
	if observed.state == Paused && change.next == Unassigned && len(observed.currentRun.taskSet.tasks) > 0 {
		observed.previousRun = observed.currentRun // after a resume, they are shown until the new tasks are known
	}
	if change.next != observed.state {
		observed.stateSince = time.Now()
		ctl.log.Debug("connector changes its state", "from", string(observed.state), "to", string(change.next),
			"event", string(e.kind))
	}
	if observed.state == Paused && change.next != Paused {
		observed.setIdleTasks(Unassigned)
	}
	switch observed.state = change.next; change.next {
	case Paused:
		observed.setIdleTasks(Paused)
	case Restarting:
		observed.previousRun = observed.currentRun
	case Running:
		observed.previousRun = nil
	case Stopped:
		clear(observed.clocks)
		observed.previousRun = nil
	}
	return change.action
}

func (ctl *controller) startRun(ctx context.Context) {
	ctl.mu.Lock()
	run := ctl.status.currentRun
	if run.clients.hasTasks || run.accepted != ctl.spec.config ||
		run.taskSet.assignment.version() != ctl.spec.assignment.version() {
		ctl.newRun() // also if the tasks were planned again before the run started
		run = ctl.status.currentRun
	}
	run.clients.hasTasks = true
	ctl.spec.pausedAtStart = false
	if ctl.status.state == Restarting { // new tasks; after a pause they are the same
		clear(ctl.status.clocks)
	}
	once := ctl.spec.once
	ctl.mu.Unlock()
	runCtx, cancel := context.WithCancel(ctx)
	ctl.activity = &activity{cancel: cancel}
	go func() {
		defer func() {
			if !ctl.desiredSpec().deleting { // else they are released after the cleanup
				run.options.claims.release(ctl.name)
			}
			ctl.enqueue(event{kind: evTasksEnded, run: run})
		}()
		defer run.markClosed()
		defer guard.Recover(ctl.log, "connector "+ctl.name, nil,
			func(p *guard.PanicError) { run.reportFailure(runCtx, p) })
		run.runUntilStopped(runCtx, once)
	}()
}

// planPausedTasks plans the tasks of a connector that was paused before the worker started, which are shown as PAUSED.
// A connector that was created in that state has no tasks before it runs (KIP-980).
func (ctl *controller) planPausedTasks(ctx context.Context) {
	ctl.mu.Lock()
	isPaused := ctl.status.state == Paused && ctl.spec.target == Paused && ctl.activity == nil
	isDue := isPaused && ctl.spec.pausedAtStart && !ctl.spec.once
	if isDue && ctl.status.currentRun.accepted != ctl.spec.config {
		ctl.newRun()
	}
	run := ctl.status.currentRun
	isDue = isDue && !run.clients.hasTasks && run.configError() == nil
	run.clients.hasTasks = run.clients.hasTasks || isDue
	ctl.mu.Unlock()
	if !isDue {
		return
	}
	ctl.runExclusive(ctx, planTimeout, cancelOnStart, func(ctx context.Context) {
		if err := run.planShownTasks(ctx); err != nil && ctx.Err() == nil {
			ctl.log.Warn("the tasks of the paused connector could not be planned", "error", err)
		}
	})
}

const planTimeout = time.Minute

// startPolicy decides what a start does to an exclusive action that still runs.
type startPolicy uint8

const (
	waitForAction startPolicy = iota // the start waits for its end
	cancelOnStart                    // the start cancels it
)

// runExclusive calls do in place of a run, so that no run starts until do returns. Only the loop calls it.
func (ctl *controller) runExclusive(ctx context.Context, timeout time.Duration, onStart startPolicy,
	do func(context.Context)) {
	actionCtx, cancel := context.WithTimeout(ctx, timeout)
	ctl.activity = &activity{cancel: func() {}, isExclusive: true}
	if onStart == cancelOnStart {
		ctl.activity.cancel = cancel
	}
	current := ctl.currentRun()
	go func() {
		defer cancel()
		defer func() { ctl.enqueue(event{kind: evTasksEnded, run: current}) }()
		defer guard.Recover(ctl.log, "connector "+ctl.name, nil)
		do(actionCtx)
	}()
}

// isStopped reports whether a stop was requested and no task of this worker runs anymore.
func (ctl *controller) isStopped() bool {
	ctl.mu.Lock()
	defer ctl.mu.Unlock()
	state := ctl.status.state
	return ctl.spec.target == Stopped && (state == Stopped || (state == Unassigned && ctl.spec.assignment.empty()))
}

// reportStatus notifies the group of a change of the status. ctl.mu must not be held: the group queries the status.
func (ctl *controller) reportStatus() {
	ctl.desiredSpec().options.Group.StatusChanged(ctl.name)
}

type connectorError struct {
	Connector string
	Task      int // -1 for the connector itself
	Cause     error
}

func (e *connectorError) Error() string {
	reason, _, _ := strings.Cut(e.Cause.Error(), "\n")
	if e.Task < 0 {
		return fmt.Sprintf("connector %s: failed: %s", e.Connector, reason)
	}
	return fmt.Sprintf("connector %s, task %d: failed: %s", e.Connector, e.Task, reason)
}

func (e *connectorError) Unwrap() error { return e.Cause }

// ErrUnknownConnector means that the connector does not exist.
var ErrUnknownConnector = errors.New("there is no such connector")
