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
	wake        guard.Bell    // there is something in posted
	front       *front
	topics      sync.Map // names of topics that tasks have used, kept across runs, if the worker is alone

	// mu guards the spec, the status with the states of tasks, and the queue of events.
	mu     guard.Mutex
	spec   spec
	status status
	posted []occurrence
	// round is closed when the loop has handled the queue. Nil means that nobody waits for that.
	round chan struct{}

	// heldKeys holds the keys of the letters that a replay of the connector is sending.
	heldKeys heldKeys

	// Only the loop uses these: what the connector does now, nil while it does nothing; a timer that fires if that
	// takes too long to stop; functions that are called when it has ended.
	activity *activity
	late     *time.Timer
	atEnd    []func()
}

// spec is the desired state of a connector, as set by its user and by the group.
type spec struct {
	o      *Options          // for new runs
	given  *config.Connector // the newest configuration that was accepted
	target TargetState
	share  Assignment
	// pending holds shares that were assigned and not applied yet.
	pending []Assignment
	// once: the connector runs until its work is done. fed: sources ran before it then, and they create topics only for
	// rows.
	once, fed bool
	// wasPaused: the connector was paused by a call before the worker started, and has not run since.
	wasPaused bool
	parted    time.Time // when the share was last revoked
	// removing: the connector is being deleted, and keeps what it claims until it has retired. removed: the loop has
	// recorded the deletion.
	removing, removed bool
	// lastShare is the share at the time of deletion, or what this worker ends because its owners are lost. orphaned,
	// if not nil, reports whether this worker has to.
	lastShare Assignment
	orphaned  func(context.Context) bool
}

// setShare changes the share. member: the worker is a member of its group; if it is not, others have already opened
// again what this worker would end.
func (s *spec) setShare(share Assignment, member bool) {
	if share.none() && member && !s.share.none() {
		s.parted = time.Now()
	}
	s.share = share
}

// remove records that the connector is deleted. orphaned is nil if this worker does not end what lost workers opened.
func (s *spec) remove(orphaned func(context.Context) bool) {
	s.removed, s.lastShare, s.share = true, s.share, Assignment{}
	switch {
	case !s.lastShare.none() || !strings.EqualFold(s.given.Text(onDelete), terminate):
		return
	case time.Since(s.parted) >= partedLately:
		if s.orphaned = orphaned; orphaned == nil {
			return
		}
	}
	s.lastShare.Tasks = []int{0} // keeps the claims of the connector until then
}

// status is the observed state of a connector. Only the loop changes state, entered, fault, current and before. The run
// changes startsAt, a new configuration changes refused, and tasks change times when they report their states.
type status struct {
	state   State
	entered time.Time // when the state was entered
	fault   error
	// startsAt is when a connector that could not be started is started again. Zero means that something else must
	// happen first.
	startsAt time.Time
	// refused are the problems of a newer configuration that was rejected; the one in the spec stays in use.
	refused config.Problems
	// current is the run that there is, or the last one, or the one to come.
	current *connector
	// before is the previous run. Its tasks are shown until the new ones are known, as in Kafka Connect.
	before *connector
	times  times // of tasks
}

// activity is a run of the connector, or, with job, an action that is done instead of a run.
type activity struct {
	end     context.CancelFunc
	halting bool // it must end
	job     bool
}

// occurrence is an event on its way to the loop.
type occurrence struct {
	event event
	err   error
	of    *connector            // the run that reports it; nil: a request
	prior func(context.Context) // called before the event is handled, which may be empty
	taken chan struct{}
}

func newController(o *Options, c *config.Connector) *controller {
	k := &controller{name: c.Name, log: o.Logger.With("connector", c.Name), done: make(chan struct{}),
		wake: guard.NewBell(), spec: spec{o: o, given: c, target: Running, share: o.share()},
		status: status{state: Unassigned, entered: time.Now(), times: times{}}}
	k.front = &front{handle: k.notified}
	k.newRun()
	if k.status.fault = k.status.current.refused; k.status.fault != nil {
		k.status.state = Failed
	}
	return k
}

// newRun creates a run of the newest configuration and makes it the current one, without starting it; k.mu is held.
func (k *controller) newRun() {
	k.status.current = newConnector(k, k.spec.o, k.spec.given)
	k.status.current.set.share = k.spec.share
}

// desired returns a copy of the spec.
func (k *controller) desired() spec {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.spec
}

// current is the run that there is, or the last one, or the one to come.
func (k *controller) current() *connector {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status.current
}

// another creates a connector with the newest configuration, without tasks.
func (k *controller) another() *connector {
	s := k.desired()
	return newConnector(k, s.o, s.given)
}

// change changes the spec and the status.
func (k *controller) change(do func(*spec, *status)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	do(&k.spec, &k.status)
}

// post adds an event to the queue of the loop. It never waits.
func (k *controller) post(o occurrence) {
	k.mu.Lock()
	k.posted = append(k.posted, o)
	k.mu.Unlock()
	k.wake.Ring()
}

// barrier waits until the loop has handled the queue, or has ended, and returns false if it does neither. It does not
// wait for a loop that waits for a deleted connector of the same name.
func (k *controller) barrier(ctx context.Context) bool {
	if k.predecessor != nil {
		select {
		case <-k.predecessor:
		default:
			return true
		}
	}
	k.mu.Lock()
	round, asked := k.round, k.round != nil
	if !asked {
		round = make(chan struct{})
		k.round = round
	}
	k.mu.Unlock()
	if !asked {
		k.post(occurrence{taken: round, prior: func(context.Context) {
			k.change(func(*spec, *status) { k.round = nil })
		}})
	}
	select {
	case <-round:
		return true
	case <-k.done:
		return true
	case <-ctx.Done():
		return false
	}
}

// report posts an event of a run, and returns when the loop has handled it.
func (k *controller) report(of *connector, e event, err error) {
	taken := make(chan struct{})
	k.post(occurrence{event: e, err: err, of: of, taken: taken})
	select {
	case <-taken:
	case <-k.done:
	}
}

// aimAt sets the target state.
func (k *controller) aimAt(target TargetState, e event) {
	k.post(occurrence{event: e, prior: func(context.Context) {
		k.change(func(s *spec, _ *status) { s.target = target })
	}})
}

// replace has the connector go on with another configuration, and its tasks made again; options are those of new tasks.
func (k *controller) replace(o *Options, c *config.Connector) {
	k.change(func(s *spec, now *status) {
		if !maps.Equal(s.given.Raw(), c.Raw()) { // else its references alone lead elsewhere
			s.setShare(o.share(), true)
		}
		s.o, s.given, now.refused = o, c, nil // it is shown from now on
	})
	k.post(occurrence{event: onRestart})
}

// adopt replaces the configuration by another one that running tasks can apply.
func (k *controller) adopt(c *config.Connector) {
	k.keep(c)
	k.post(occurrence{prior: func(context.Context) {
		k.mu.Lock()
		current, state := k.status.current, k.status.state
		k.mu.Unlock()
		if k.works() && state == Running { // else it is for those that are made next
			current.run.service.Adopt(current.run.client, c)
		}
	}})
}

// keep replaces the configuration by an equal one, which may come from another file.
func (k *controller) keep(c *config.Connector) {
	k.change(func(s *spec, now *status) { s.given, now.refused = c, nil })
}

// refuse records why a newer configuration is rejected. No problems mean that none is.
func (k *controller) refuse(problems config.Problems) {
	k.change(func(_ *spec, now *status) { now.refused = problems })
}

// works reports whether a run, or a job, is active and not ending. Only the loop calls it.
func (k *controller) works() bool { return k.activity != nil && !k.activity.halting }

// restartTask has one task made again, or all where it has ended for good.
func (k *controller) restartTask(number int) {
	k.post(occurrence{prior: func(context.Context) {
		if k.works() && k.current().restartTask(number) {
			return
		}
		k.post(occurrence{event: onRestart})
	}})
}

// assign gives the worker another share of the connector. If the run can apply it, the tasks that are in both shares
// run on.
func (k *controller) assign(share Assignment) {
	k.change(func(s *spec, _ *status) { s.pending = append(s.pending, share) })
	k.post(occurrence{prior: func(context.Context) {
		k.mu.Lock()
		k.spec.setShare(share, share.TaskConfigs != nil) // only a member of the group knows them
		k.spec.pending = k.spec.pending[1:]
		current := k.status.current
		k.mu.Unlock()
		defer k.changed() // what the worker owns has changed
		if !current.assign(share) || !k.works() || k.activity.job || share.none() {
			k.post(occurrence{event: onShared})
		}
	}})
}

// remove ends the connector for good. It keeps its claims until it has retired.
func (k *controller) remove() {
	k.change(func(s *spec, _ *status) { s.removing = true })
	s := k.desired()
	taken := s.o.claims.take(k.name, s.share.claims())
	k.post(occurrence{event: onShutdown, prior: func(context.Context) {
		var orphaned func(context.Context) bool
		if s.o.Group != nil && taken == nil {
			orphaned = s.o.Group.OwnersLost(k.name)
		}
		k.change(func(s *spec, _ *status) { s.remove(orphaned) })
	}})
}

// run is the loop. It returns when ctx has ended, or the connector was deleted, and no part of it runs any more; with
// once it returns when its tasks have ended.
func (k *controller) run(ctx context.Context, once bool) {
	defer close(k.done)
	if k.predecessor != nil {
		<-k.predecessor // it ends: it was removed, or ctx has ended for both
	}
	k.change(func(s *spec, _ *status) { s.once = once })
	k.late = time.NewTimer(0)
	k.late.Stop()
	defer k.late.Stop()
	k.handle(ctx, occurrence{event: k.atRest(ctx)})
	k.layOut(ctx)
	k.listen(false)
	stopping := ctx.Done()
	for k.activity != nil || ctx.Err() == nil && !once && !k.desired().removed {
		select {
		case <-k.wake:
			for _, o := range k.taken() {
				k.handle(ctx, o)
			}
			k.layOut(ctx)
			k.listen(false)
		case <-stopping:
			stopping = nil
			k.handle(ctx, occurrence{event: onShutdown})
		case <-k.late.C:
			if k.activity.job {
				k.log.Info("the connector waits for the end of what is done about it while no task runs, such as a " +
					"change of its offsets")
				break
			}
			k.log.Warn("tasks did not stop in time; the connector waits for them, so that none runs twice", stopLimit,
				k.stopLimit().Milliseconds())
		}
	}
	k.listen(true)
	s := k.desired()
	if s.removed && ctx.Err() == nil {
		k.retire(ctx)
	}
	s.o.claims.release(k.name)
	for _, o := range k.taken() { // nobody waits for an answer for ever
		if o.taken != nil {
			close(o.taken)
		}
	}
}

func (k *controller) taken() []occurrence {
	k.mu.Lock()
	defer k.mu.Unlock()
	posted := k.posted
	k.posted = nil
	return posted
}

// stopLimit is how long tasks may take to stop.
func (k *controller) stopLimit() time.Duration { return k.desired().o.Worker.Duration(stopLimit) }

// atRest returns the event that follows when no part of the connector runs.
func (k *controller) atRest(ctx context.Context) event {
	switch s := k.desired(); {
	case ctx.Err() != nil || s.removed:
		return onGone
	case s.share.none():
		return onAway
	case s.target == Paused:
		return onPaused
	case s.target == Stopped:
		return onStopped
	}
	return onFree
}

// handle does what the table of transitions specifies for an event.
func (k *controller) handle(ctx context.Context, o occurrence) {
	if o.taken != nil {
		defer close(o.taken)
	}
	if o.prior != nil {
		o.prior(ctx)
	}
	if o.event == "" || o.of != nil && o.of != k.current() {
		return
	}
	if o.event == onOver {
		k.activity.end()
		if k.activity.halting || ctx.Err() != nil {
			o.event = k.atRest(ctx)
		}
		k.activity = nil
		k.late.Stop()
		for _, next := range k.atEnd {
			next()
		}
		k.atEnd = nil
	}
	switch do := k.enter(o); {
	case do == begin && k.activity == nil && !k.desired().share.none():
		k.begin(ctx)
	case do == nothing:
	case k.activity == nil:
		k.handle(ctx, occurrence{event: k.atRest(ctx)})
	case !k.activity.halting:
		k.activity.halting = true
		k.activity.end()
		k.late.Reset(k.stopLimit() + stopSlack)
	}
}

// enter changes the state by an event, and returns the action that follows.
func (k *controller) enter(o occurrence) action {
	defer k.changed()
	k.mu.Lock()
	defer k.mu.Unlock()
	s := &k.status
	t, ok := transitions[s.state][o.event]
	if !ok {
		k.log.Error("a mistake in culvert: no transition for what happened to a connector; its state stays", "state",
			s.state, "event", string(o.event))
		return nothing
	}
	if o.event == onFailed {
		s.fault = o.err
	} else if t.next != Failed {
		s.fault = nil
	}
	if s.state == Paused && t.next == Unassigned && len(s.current.set.tasks) > 0 {
		s.before = s.current
	}
	if t.next != s.state {
		s.entered = time.Now()
		k.log.Debug("connector changes its state", "from", string(s.state), "to", string(t.next), "event",
			string(o.event))
	}
	if s.state == Paused && t.next != Paused {
		s.idle(Unassigned)
	}
	switch s.state = t.next; t.next {
	case Paused:
		s.idle(Paused)
	case Restarting:
		s.before = s.current
	case Running:
		s.before = nil
	case Stopped:
		clear(s.times)
		s.before = nil
	}
	return t.do
}

// idle sets the state of all shown tasks that do not run and have not failed; the controller's lock is held.
func (s *status) idle(state State) {
	for _, t := range s.shown().set.tasks {
		if t.leave == nil && t.state != Failed {
			t.enters(state)
		}
	}
}

// begin begins a run, of the newest configuration.
func (k *controller) begin(ctx context.Context) {
	k.mu.Lock()
	now := k.status.current
	if now.run.begun || now.given != k.spec.given || now.set.share.version() != k.spec.share.version() {
		k.newRun() // also for tasks that were planned once more before the worker has run any of them
		now = k.status.current
	}
	now.run.begun, k.spec.wasPaused = true, false
	if k.status.state == Restarting { // its tasks are others; after a pause they are the same
		clear(k.status.times)
	}
	once := k.spec.once
	k.mu.Unlock()
	running, end := context.WithCancel(ctx)
	k.activity = &activity{end: end}
	go func() {
		defer func() {
			if !k.desired().removing { // else its retirement comes first
				now.o.claims.release(k.name)
			}
			k.post(occurrence{event: onOver, of: now})
		}()
		defer now.over()
		defer guard.Recover(k.log, "connector "+k.name, nil, func(p *guard.Panic) { now.failed(running, p) })
		now.execute(running, once)
	}()
}

// layOut finds which tasks a connector would have that was paused before the worker began: they are shown as PAUSED, as
// Kafka Connect does. One that was made in that state has none before it runs, there as here (KIP-980). It is called by
// the loop, and asks the plugin in the place of a run.
func (k *controller) layOut(ctx context.Context) {
	k.mu.Lock()
	due := k.spec.wasPaused && k.status.state == Paused && k.spec.target == Paused && k.activity == nil && !k.spec.once
	if due && k.status.current.given != k.spec.given {
		k.newRun()
	}
	now := k.status.current
	due = due && !now.run.begun && now.invalid() == nil
	now.run.begun = now.run.begun || due
	k.mu.Unlock()
	if !due {
		return
	}
	k.instead(ctx, layOutWithin, true, func(ctx context.Context) {
		if err := now.layOut(ctx); err != nil && ctx.Err() == nil {
			k.log.Warn("which tasks the connector has is not known while it is paused", "error", err)
		}
	})
}

// layOutWithin bounds how long the plugin is asked for the tasks of a connector that is paused.
const layOutWithin = time.Minute

// instead runs do instead of a run, while the connector is stopped. A run that should begin waits until do has ended;
// with yields it ends do. Only the loop calls it.
func (k *controller) instead(ctx context.Context, within time.Duration, yields bool, do func(context.Context)) {
	doing, end := context.WithTimeout(ctx, within)
	k.activity = &activity{end: func() {}, job: true}
	if yields {
		k.activity.end = end
	}
	current := k.current()
	go func() {
		defer end()
		defer func() { k.post(occurrence{event: onOver, of: current}) }()
		defer guard.Recover(k.log, "connector "+k.name, nil)
		do(doing)
	}()
}

// stopped reports whether the connector is stopped and stays so, or would be if the worker had a share of it.
func (k *controller) stopped() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.status.state
	return k.spec.target == Stopped && (s == Stopped || s == Unassigned && k.spec.share.none())
}

// changed tells the group that the status of the connector has changed. k.mu is not held.
func (k *controller) changed() {
	if g := k.desired().o.Group; g != nil {
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
