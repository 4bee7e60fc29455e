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

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
)

// controller brings a connector to its spec and keeps it there. Its goroutine, the loop, alone changes the state, by
// the table of transitions; all others post events. While the loop runs, there is at most one run of the connector: its
// tasks with one configuration, from their start until the last of them has ended. A new run begins only when the
// previous one has ended, with its offsets stored.
type controller struct {
	name string
	log  *slog.Logger
	// predecessor is closed when a removed connector of the same name has ended; nil: there was none.
	predecessor <-chan struct{}
	done        chan struct{} // the loop has ended
	queued      guard.Bell    // there is something in posted
	endpoint    *notificationEndpoint
	topics      sync.Map // names of topics that tasks have used, kept across runs, if the worker is alone

	// mu guards the spec, the status with the states of tasks, and the queue of events.
	mu     guard.Mutex
	spec   spec
	status status
	queue  []event
	// idleCh is closed when the loop has handled the queue. Nil means that nobody waits for that.
	idleCh chan struct{}

	// keyLocks holds the keys of the letters that a replay of the connector is sending.
	keyLocks keyLocks

	// Only the loop uses these: what the connector does now, nil while it does nothing; a timer that fires if that
	// takes too long to stop; functions that are called when it has ended.
	activity  *activity
	stopTimer *time.Timer
	whenIdle  []func()
}

// spec is the desired state of a connector, as set by its user and by the group.
type spec struct {
	options    *Options          // for new runs
	config     *config.Connector // the newest configuration that was accepted
	target     TargetState
	assignment Assignment
	// pending holds shares that were assigned and not applied yet.
	pending []Assignment
	// once: the connector runs until its work is done. fed: sources ran before it then, and they create topics only for
	// rows.
	once, sourcesRan bool
	// pausedAtStart: the connector was paused by a call before the worker started, and has not run since.
	pausedAtStart bool
	revokedAt     time.Time // when the share was last revoked
	// removing: the connector is being deleted, and keeps what it claims until it has retired. removed: the loop has
	// recorded the deletion.
	deleting, deleted bool
	// lastAssignment is the share at the time of deletion, or what this worker ends because its owners are lost. orphaned,
	// if not nil, reports whether this worker has to.
	lastAssignment Assignment
	ownersLost     func(context.Context) bool
}

// setAssignment changes the share. member: the worker is a member of its group; if it is not, others have already opened
// again what this worker would end.
func (s *spec) setAssignment(assignment Assignment, isMember bool) {
	if assignment.empty() && isMember && !s.assignment.empty() {
		s.revokedAt = time.Now()
	}
	s.assignment = assignment
}

// remove records that the connector is deleted. orphaned is nil if this worker does not end what lost workers opened.
func (s *spec) markDeleted(ownersLost func(context.Context) bool) {
	s.deleted, s.lastAssignment, s.assignment = true, s.assignment, Assignment{}
	switch {
	case !s.lastAssignment.empty() || !strings.EqualFold(s.config.Text(onDelete), terminate):
		return
	case time.Since(s.revokedAt) >= revocationGrace:
		if s.ownersLost = ownersLost; ownersLost == nil {
			return
		}
	}
	s.lastAssignment.Tasks = []int{0} // keeps the claims of the connector until then
}

// status is the observed state of a connector. Only the loop changes state, entered, fault, current and before. The run
// changes startsAt, a new configuration changes refused, and tasks change times when they report their states.
type status struct {
	state      State
	stateSince time.Time // when the state was entered
	err        error
	// restartsAt is when a connector that could not be started is started again. Zero means that something else must
	// happen first.
	restartsAt time.Time
	// rejected are the problems of a newer configuration that was rejected; the one in the spec stays in use.
	rejected config.Problems
	// currentRun is the run that there is, or the last one, or the one to come.
	currentRun *connectorRun
	// previousRun is the previous run. Its tasks are shown until the new ones are known, as in Kafka Connect.
	previousRun *connectorRun
	clocks      stateClocks // of tasks
}

// activity is a run of the connector, or, with job, an action that is done instead of a run.
type activity struct {
	cancel    context.CancelFunc
	stopping  bool // it must end
	exclusive bool
}

// event is an event on its way to the loop.
type event struct {
	kind    eventKind
	err     error
	run     *connectorRun         // the run that reports it; nil: a request
	apply   func(context.Context) // called before the event is handled, which may be empty
	handled chan struct{}
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

// newRun creates a run of the newest configuration and makes it the current one, without starting it; k.mu is held.
func (k *controller) newRun() {
	k.status.currentRun = newConnectorRun(k, k.spec.options, k.spec.config)
	k.status.currentRun.set.assignment = k.spec.assignment
}

// desired returns a copy of the spec.
func (k *controller) desired() spec {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.spec
}

// currentRun is the run that there is, or the last one, or the one to come.
func (k *controller) currentRun() *connectorRun {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status.currentRun
}

// newDetachedRun creates a connector with the newest configuration, without tasks.
func (k *controller) newDetachedRun() *connectorRun {
	s := k.desired()
	return newConnectorRun(k, s.options, s.config)
}

// update changes the spec and the status.
func (k *controller) update(do func(*spec, *status)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	do(&k.spec, &k.status)
}

// enqueue adds an event to the queue of the loop. It never waits.
func (k *controller) enqueue(e event) {
	k.mu.Lock()
	k.queue = append(k.queue, e)
	k.mu.Unlock()
	k.queued.Ring()
}

// waitIdle waits until the loop has handled the queue, or has ended, and returns false if it does neither. It does not
// wait for a loop that waits for a deleted connector of the same name.
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

// report posts an event of a run, and returns when the loop has handled it.
func (k *controller) report(run *connectorRun, kind eventKind, err error) {
	handled := make(chan struct{})
	k.enqueue(event{kind: kind, err: err, run: run, handled: handled})
	select {
	case <-handled:
	case <-k.done:
	}
}

// setTarget sets the target state.
func (k *controller) setTarget(target TargetState, kind eventKind) {
	k.enqueue(event{kind: kind, apply: func(context.Context) {
		k.update(func(s *spec, _ *status) { s.target = target })
	}})
}

// replaceConfig has the connector go on with another configuration, and its tasks made again; options are those of new tasks.
func (k *controller) replaceConfig(o *Options, c *config.Connector) {
	k.update(func(s *spec, st *status) {
		if !maps.Equal(s.config.Raw(), c.Raw()) { // else its references alone lead elsewhere
			s.setAssignment(o.initialAssignment(), true)
		}
		s.options, s.config, st.rejected = o, c, nil // it is shown from now on
	})
	k.enqueue(event{kind: evRestart})
}

// updateInPlace replaces the configuration by another one that running tasks can apply.
func (k *controller) updateInPlace(c *config.Connector) {
	k.replaceEquivalent(c)
	k.enqueue(event{apply: func(context.Context) {
		k.mu.Lock()
		current, state := k.status.currentRun, k.status.state
		k.mu.Unlock()
		if k.isActive() && state == Running { // else it is for those that are made next
			current.clients.service.Adopt(current.clients.client, c)
		}
	}})
}

// replaceEquivalent replaces the configuration by an equal one, which may come from another file.
func (k *controller) replaceEquivalent(c *config.Connector) {
	k.update(func(s *spec, st *status) { s.config, st.rejected = c, nil })
}

// rejectConfig records why a newer configuration is rejected. No problems mean that none is.
func (k *controller) rejectConfig(problems config.Problems) {
	k.update(func(_ *spec, st *status) { st.rejected = problems })
}

// works reports whether a run, or a job, is active and not ending. Only the loop calls it.
func (k *controller) isActive() bool { return k.activity != nil && !k.activity.stopping }

// restartTask has one task made again, or all where it has ended for good.
func (k *controller) restartTask(number int) {
	k.enqueue(event{apply: func(context.Context) {
		if k.isActive() && k.currentRun().restartTask(number) {
			return
		}
		k.enqueue(event{kind: evRestart})
	}})
}

// assign gives the worker another share of the connector. If the run can apply it, the tasks that are in both shares
// run on.
func (k *controller) assign(assignment Assignment) {
	k.update(func(s *spec, _ *status) { s.pending = append(s.pending, assignment) })
	k.enqueue(event{apply: func(context.Context) {
		k.mu.Lock()
		k.spec.setAssignment(assignment, assignment.TaskConfigs != nil) // only a member of the group knows them
		k.spec.pending = k.spec.pending[1:]
		current := k.status.currentRun
		k.mu.Unlock()
		defer k.statusChanged() // what the worker owns has changed
		if !current.assign(assignment) || !k.isActive() || k.activity.exclusive || assignment.empty() {
			k.enqueue(event{kind: evReassigned})
		}
	}})
}

// markDeleting ends the connector for good. It keeps its claims until it has retired.
func (k *controller) markDeleting() {
	k.update(func(s *spec, _ *status) { s.deleting = true })
	s := k.desired()
	claimErr := s.options.claims.acquire(k.name, s.assignment.claims())
	k.enqueue(event{kind: evShutdown, apply: func(context.Context) {
		var ownersLost func(context.Context) bool
		if s.options.Group != nil && claimErr == nil {
			ownersLost = s.options.Group.OwnersLost(k.name)
		}
		k.update(func(s *spec, _ *status) { s.markDeleted(ownersLost) })
	}})
}

// run is the loop. It returns when ctx has ended, or the connector was deleted, and no part of it runs any more; with
// once it returns when its tasks have ended.
func (k *controller) run(ctx context.Context, once bool) {
	defer close(k.done)
	if k.predecessor != nil {
		<-k.predecessor // it ends: it was removed, or ctx has ended for both
	}
	k.update(func(s *spec, _ *status) { s.once = once })
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
				k.log.Info("the connector waits for the end of what is done about it while no task runs, such as a " +
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
	for _, e := range k.dequeueAll() { // nobody waits for an answer for ever
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

// stopLimit is how long tasks may take to stop.
func (k *controller) stopLimit() time.Duration { return k.desired().options.Worker.Duration(stopLimit) }

// idleEvent returns the event that follows when no part of the connector runs.
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

// handle does what the table of transitions specifies for an event.
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

// applyTransition changes the state by an event, and returns the action that follows.
func (k *controller) applyTransition(e event) action {
	defer k.statusChanged()
	k.mu.Lock()
	defer k.mu.Unlock()
	s := &k.status
	t, ok := transitions[s.state][e.kind]
	if !ok {
		k.log.Error("a mistake in culvert: no transition for what happened to a connector; its state stays", "state",
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

// setIdleTasks sets the state of all shown tasks that do not run and have not failed; the controller's lock is held.
func (s *status) setIdleTasks(state State) {
	for _, t := range s.shownRun().set.tasks {
		if t.cancel == nil && t.state != Failed {
			t.setState(state)
		}
	}
}

// begin begins a run, of the newest configuration.
func (k *controller) startRun(ctx context.Context) {
	k.mu.Lock()
	run := k.status.currentRun
	if run.clients.started || run.accepted != k.spec.config || run.set.assignment.version() != k.spec.assignment.version() {
		k.newRun() // also for tasks that were planned once more before the worker has run any of them
		run = k.status.currentRun
	}
	run.clients.started, k.spec.pausedAtStart = true, false
	if k.status.state == Restarting { // its tasks are others; after a pause they are the same
		clear(k.status.clocks)
	}
	once := k.spec.once
	k.mu.Unlock()
	runCtx, end := context.WithCancel(ctx)
	k.activity = &activity{cancel: end}
	go func() {
		defer func() {
			if !k.desired().deleting { // else its retirement comes first
				run.options.claims.release(k.name)
			}
			k.enqueue(event{kind: evTasksEnded, run: run})
		}()
		defer run.markClosed()
		defer guard.Recover(k.log, "connector "+k.name, nil, func(p *guard.Panic) { run.reportFailure(runCtx, p) })
		run.runUntilStopped(runCtx, once)
	}()
}

// layOut finds which tasks a connector would have that was paused before the worker began: they are shown as PAUSED, as
// Kafka Connect does. One that was made in that state has none before it runs, there as here (KIP-980). It is called by
// the loop, and asks the plugin in the place of a run.
func (k *controller) planPausedTasks(ctx context.Context) {
	k.mu.Lock()
	due := k.spec.pausedAtStart && k.status.state == Paused && k.spec.target == Paused && k.activity == nil && !k.spec.once
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
			k.log.Warn("which tasks the connector has is not known while it is paused", "error", err)
		}
	})
}

// planTimeout bounds how long the plugin is asked for the tasks of a connector that is paused.
const planTimeout = time.Minute

// runExclusive runs do instead of a run, while the connector is stopped. A run that should begin waits until do has ended;
// with yields it ends do. Only the loop calls it.
func (k *controller) runExclusive(ctx context.Context, timeout time.Duration, cancelable bool, do func(context.Context)) {
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

// isStopped reports whether the connector is stopped and stays so, or would be if the worker had a share of it.
func (k *controller) isStopped() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.status.state
	return k.spec.target == Stopped && (s == Stopped || s == Unassigned && k.spec.assignment.empty())
}

// statusChanged tells the group that the status of the connector has changed. k.mu is not held.
func (k *controller) statusChanged() {
	if g := k.desired().options.Group; g != nil {
		g.StatusChanged(k.name)
	}
}

// failure is the fault of a connector or of one of its tasks.
type failure struct {
	Connector string
	// Task is -1 for the connector itself.
	Task  int
	Cause error
}

// Error is one line.
func (f *failure) Error() string {
	text, _, _ := strings.Cut(f.Cause.Error(), "\n")
	if f.Task < 0 {
		return fmt.Sprintf("connector %s: FAILED: %s", f.Connector, text)
	}
	return fmt.Sprintf("connector %s, task %d: FAILED: %s", f.Connector, f.Task, text)
}

func (f *failure) Unwrap() error { return f.Cause }

// ErrUnknownConnector is the error of what is asked of a connector that is not there.
var ErrUnknownConnector = errors.New("there is no such connector")
