package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
)

// controller brings a connector to the state that its user wants, and keeps it there. It owns a goroutine, its loop,
// which alone changes the state, as the table of transitions says; everybody else posts events. While the loop runs
// there is at most one life of the connector: its tasks with one configuration, from their start to the end of the last
// of them. A new life begins only when the one before has ended, with its offsets stored.
type controller struct {
	name string
	log  *slog.Logger
	// predecessor is closed when a removed connector of the same name has ended; nil: there was none.
	predecessor <-chan struct{}
	done        chan struct{} // the loop has ended
	wake        guard.Bell    // there is something in posted
	topics      *topics
	times       *times
	front       *front
	loop        *loop

	mu     guard.Mutex
	asked  *wanted
	posted []occurrence
	state  State
	// entered is when it came to the state.
	entered time.Time
	fault   error
	// current is the life that runs, or the last one, or the one to come.
	current *connector
	// round is closed when the loop comes by; nil: nobody waits for that.
	round chan struct{}
	// before is the life before this one: its tasks are shown until the new ones are known, as Kafka Connect does
	// until it has their configurations.
	before *connector
}

// wanted is what its user wants of a connector; the controller's lock guards it. The loop brings the connector there.
type wanted struct {
	o      *Options          // of new lives
	given  *config.Connector // the newest configuration that was accepted
	target TargetState
	share  Share // of the connector
	// coming are shares that it was assigned and has not taken in yet.
	coming []Share
	// refused are the problems of a newer configuration than given; given goes on.
	refused config.Problems
	removed bool
	parted  time.Time // when it was last given none, and had one before
	// going: it is to be removed, and keeps what it claims until it has retired.
	going bool
	// left is what it had when it was removed, or what stands for that where the worker ends what others had; orphaned
	// tells then whether it is to.
	left     Share
	orphaned func(context.Context) bool
}

// shares has it run another share. member: the worker is one of its group, else others have opened by then what it
// would end.
func (w *wanted) shares(s Share, member bool) {
	if s.none() && member && !w.share.none() {
		w.parted = time.Now()
	}
	w.share = s
}

// leaves takes that the connector is removed; orphaned is nil unless the worker sees to what nobody else ends.
func (w *wanted) leaves(orphaned func(context.Context) bool) {
	w.removed, w.left, w.share = true, w.share, Share{}
	switch {
	case !w.left.none() || !strings.EqualFold(w.given.Text(onDelete), terminate):
		return
	case time.Since(w.parted) >= partedLately:
		if w.orphaned = orphaned; orphaned == nil {
			return
		}
	}
	w.left.Tasks = []int{0} // so that nobody else has what the connector claims meanwhile
}

// loop is what the loop of a controller knows alone. alive is nil exactly while nothing runs; halting is set only while
// something does.
type loop struct {
	lived     bool              // current has begun
	laid      *config.Connector // see layOut
	wasPaused bool              // it was paused by a call before the worker began, and not as it was made
	alive     context.CancelFunc
	halting   bool
	job       bool        // alive belongs to a job of instead (offsets, layOut), not to a life
	late      *time.Timer // fires when tasks take longer to stop than limit
	limit     time.Duration
	once      bool
	under     context.Context // of lives
	atEnd     []func()        // called when alive ends
}

// occurrence is an event on its way to the loop.
type occurrence struct {
	event event
	err   error
	of    *connector // whose report it is; nil: it was asked for
	prior func()     // is done before the event is looked up; it may be all
	taken chan struct{}
}

func newController(o *Options, c *config.Connector) *controller {
	k := &controller{name: c.Name, log: o.Logger.With("connector", c.Name), done: make(chan struct{}),
		wake: guard.NewBell(), topics: &topics{}, times: &times{}, state: Unassigned, entered: time.Now(),
		asked: &wanted{o: o, given: c, target: Running, share: o.share()},
		loop:  &loop{limit: o.Worker.Duration(stopLimit)}}
	k.front = &front{handle: k.notified}
	k.newLife()
	if k.fault = k.current.refused; k.fault != nil {
		k.state = Failed
	}
	return k
}

// newLife makes a new current life, of the newest configuration, without beginning it.
func (k *controller) newLife() {
	life := newConnector(k.asked.o, k.asked.given)
	life.owner.report, life.owner.topics, life.owner.times = k.reporting(life), k.topics, k.times
	life.owner.front = k.front
	life.crew.share = k.asked.share
	if k.current != nil {
		life.sinks.fed, life.rereads = k.current.sinks.fed, k.current.rereads
	}
	k.current = life
}

// post puts an event in the line of the loop. It never waits.
func (k *controller) post(o occurrence) {
	k.mu.Lock()
	k.posted = append(k.posted, o)
	k.mu.Unlock()
	k.wake.Ring()
}

// barrier waits until the loop comes round, or has ended; false: it does not. A loop that waits for the one of a
// connector of the same name, which was removed, is not waited for.
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
		k.post(occurrence{taken: round, prior: func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.round = nil
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

// reporting posts what a life has to report, and returns when the state says it.
func (k *controller) reporting(of *connector) func(event, error) {
	return func(e event, err error) {
		taken := make(chan struct{})
		k.post(occurrence{event: e, err: err, of: of, taken: taken})
		select {
		case <-taken:
		case <-k.done:
		}
	}
}

// aimAt sets the target state.
func (k *controller) aimAt(target TargetState, e event) {
	k.post(occurrence{event: e, prior: func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.asked.target = target
	}})
}

// replace has the connector go on with another configuration, and its tasks made again; options are those of new tasks.
func (k *controller) replace(o *Options, c *config.Connector) {
	k.mu.Lock()
	if !maps.Equal(k.asked.given.Raw(), c.Raw()) { // else its references alone lead elsewhere
		k.asked.shares(o.share(), true)
	}
	k.asked.o, k.asked.given, k.asked.refused = o, c, nil // it is shown from now on
	k.mu.Unlock()
	k.post(occurrence{event: onRestart})
}

// adopt has the connector go on with another configuration that its tasks can take while they run.
func (k *controller) adopt(c *config.Connector) {
	k.keep(c)
	k.post(occurrence{prior: func() {
		k.mu.Lock()
		life, state := k.current, k.state
		k.mu.Unlock()
		if k.loop.alive != nil && !k.loop.halting && state == Running { // else it is for those that are made next
			life.to.service.Adopt(life.to.client, c)
		}
	}})
}

// restartTask has one task made again, or all where it has ended for good.
func (k *controller) restartTask(number int) {
	k.post(occurrence{prior: func() {
		if k.loop.alive != nil && !k.loop.halting && k.current.restartTask(number) {
			return
		}
		k.post(occurrence{event: onRestart})
	}})
}

// assign gives the worker another share of the connector. Where the life that runs can take it, only the tasks that
// come or go notice.
func (k *controller) assign(share Share) {
	k.mu.Lock()
	k.asked.coming = append(k.asked.coming, share)
	k.mu.Unlock()
	k.post(occurrence{prior: func() {
		k.mu.Lock()
		k.asked.shares(share, share.Planned != nil) // which who is no member does not know
		k.asked.coming = k.asked.coming[1:]
		life := k.current
		k.mu.Unlock()
		defer life.changed() // what the worker holds is another
		lives := k.loop.alive != nil && !k.loop.halting && !k.loop.job
		if !life.assign(share) || !lives || share.none() {
			k.post(occurrence{event: onShared})
		}
	}})
}

// holds is what the worker has of the connector, by the version of its tasks. One that was removed has what it had
// until its retirement is over: it would end what another worker opens for its successor.
func (k *controller) holds() (all []Holding) {
	k.mu.Lock()
	life, shares := k.current, append([]Share{k.asked.share}, k.asked.coming...)
	if k.asked.removed {
		shares[0] = k.asked.left
	}
	k.mu.Unlock()
	for _, s := range shares {
		if !s.none() {
			all = append(all, Holding{Connector: k.name, Version: s.version(), Plans: s.Plans, Tasks: s.Tasks})
		}
	}
	if running := life.holds(); len(running.Tasks) > 0 {
		all = append(all, running)
	}
	return all
}

// keep takes a configuration that says the same, from another place maybe.
func (k *controller) keep(c *config.Connector) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked.given, k.asked.refused = c, nil
}

// refuse notes why a newer configuration is not taken; none: there is none.
func (k *controller) refuse(problems config.Problems) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked.refused = problems
}

// remove ends the connector for good. What it claims is its own from now on until it has retired.
func (k *controller) remove() {
	k.mu.Lock()
	k.asked.going = true
	o, claims := k.asked.o, k.asked.share.claims()
	k.mu.Unlock()
	taken := o.claims.take(k.name, claims)
	k.post(occurrence{event: onShutdown, prior: func() {
		var orphaned func(context.Context) bool
		if o.Orphaned != nil && taken == nil {
			orphaned = o.Orphaned(k.name)
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.asked.leaves(orphaned)
	}})
}

// run is the loop. It returns when ctx has ended, or the connector was removed, and nothing of it runs any more; with
// once when its tasks have ended.
func (k *controller) run(ctx context.Context, once bool) {
	defer close(k.done)
	if k.predecessor != nil {
		<-k.predecessor // it ends: it was removed, or ctx has ended for both
	}
	k.loop.once, k.loop.under = once, ctx
	k.loop.late = time.NewTimer(0)
	k.loop.late.Stop()
	defer k.loop.late.Stop()
	k.handle(ctx, occurrence{event: k.atRest(ctx)})
	k.layOut(ctx)
	k.listen(false)
	stopping := ctx.Done()
	for k.loop.alive != nil || ctx.Err() == nil && !once && !k.leaves() {
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
		case <-k.loop.late.C:
			if k.loop.job {
				k.log.Info("the connector waits for the end of what is done about it while no task runs, such as a " +
					"change of its offsets")
				break
			}
			k.log.Warn("tasks did not stop in time; the connector waits for them, so that none runs twice", stopLimit,
				k.loop.limit.Milliseconds())
		}
	}
	k.listen(true)
	if k.leaves() && ctx.Err() == nil {
		k.retire(ctx)
	}
	k.life().o.claims.release(k.name)
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

func (k *controller) leaves() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asked.removed
}

func (k *controller) going() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asked.going
}

// has tells whether the worker is to run anything of the connector.
func (k *controller) has() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.asked.share.none()
}

// atRest is the event of a connector of which nothing runs.
func (k *controller) atRest(ctx context.Context) event {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case ctx.Err() != nil || k.asked.removed:
		return onGone
	case k.asked.share.none():
		return onAway
	case k.asked.target == Paused:
		return onPaused
	case k.asked.target == Stopped:
		return onStopped
	}
	return onFree
}

// handle does what the table says about an event.
func (k *controller) handle(ctx context.Context, o occurrence) {
	if o.taken != nil {
		defer close(o.taken)
	}
	if o.prior != nil {
		o.prior()
	}
	if o.event == "" || o.of != nil && o.of != k.current {
		return
	}
	if o.event == onOver {
		k.loop.alive()
		k.loop.alive, k.loop.job = nil, false
		k.loop.late.Stop()
		if k.loop.halting || ctx.Err() != nil {
			o.event = k.atRest(ctx)
		}
		k.loop.halting = false
		for _, next := range k.loop.atEnd {
			next()
		}
		k.loop.atEnd = nil
	}
	t, ok := k.enter(o)
	switch {
	case !ok:
		k.log.Error("a mistake in culvert: no transition for what happened to a connector; its state stays", "state",
			k.status().Connector.State,
			"event", string(o.event))
	case t.do == begin && k.loop.alive == nil && k.has():
		k.begin(ctx)
	case t.do == nothing:
	case k.loop.alive == nil:
		k.handle(ctx, occurrence{event: k.atRest(ctx)})
	case !k.loop.halting:
		k.loop.halting = true
		k.loop.alive()
		k.loop.late.Reset(k.loop.limit + stopSlack)
	}
}

// enter changes the state by an event.
func (k *controller) enter(o occurrence) (t transition, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if t, ok = transitions[k.state][o.event]; !ok {
		return t, false
	}
	if o.event == onFailed {
		k.fault = o.err
	} else if t.next != Failed {
		k.fault = nil
	}
	if k.state == Paused && t.next == Unassigned && k.current.hasTasks() {
		k.before = k.current
	}
	if t.next != k.state {
		k.entered = time.Now()
		k.log.Debug("connector changes its state", "from", string(k.state), "to", string(t.next), "event",
			string(o.event))
	}
	defer k.current.changed()
	switch k.state = t.next; t.next {
	case Paused:
		k.times.pause()
	case Restarting:
		k.before = k.current
	case Running:
		k.before = nil
	case Stopped:
		k.times.forget()
		k.before = nil
	}
	return t, true
}

// begin begins a life, of the newest configuration.
func (k *controller) begin(ctx context.Context) {
	k.mu.Lock()
	if k.loop.lived || k.current.given != k.asked.given || k.current.shared().version() != k.asked.share.version() {
		k.newLife() // also for tasks that were planned once more before the worker has run any of them
	}
	life := k.current
	if k.state == Restarting { // its tasks are others; after a pause they are the same
		k.times.forget()
	}
	k.mu.Unlock()
	k.loop.lived = true
	living, end := context.WithCancel(ctx)
	k.loop.alive = end
	go func() {
		defer func() {
			if !k.going() { // else its retirement comes first
				life.o.claims.release(k.name)
			}
			k.post(occurrence{event: onOver, of: life})
		}()
		defer life.over()
		defer guard.Recover(k.log, "connector "+k.name, nil, func(p *guard.Panic) { life.failed(living, p) })
		life.run(living, k.loop.once)
	}()
}

// layOut finds which tasks a connector would have that was paused before the worker began: they are shown as PAUSED, as
// Kafka Connect does. One that was made in that state has none before it runs, there as here (KIP-980). It is called by
// the loop, and asks the plugin in the place of a life.
func (k *controller) layOut(ctx context.Context) {
	k.mu.Lock()
	due := k.loop.wasPaused && k.state == Paused && k.asked.target == Paused && k.loop.alive == nil &&
		!k.loop.lived && !k.loop.once && k.loop.laid != k.asked.given
	if due {
		k.loop.laid = k.asked.given
		if k.current.given != k.asked.given {
			k.newLife()
		}
	}
	life := k.current
	k.mu.Unlock()
	if !due || life.refused != nil || life.class.unknown != nil {
		return
	}
	k.instead(ctx, layOutWithin, true, func(ctx context.Context) {
		if err := life.layOut(ctx); err != nil && ctx.Err() == nil {
			k.log.Warn("which tasks the connector has is not known while it is paused", "error", err)
		}
	})
}

// layOutWithin bounds how long the plugin is asked for the tasks of a connector that is paused.
const layOutWithin = time.Minute

// instead does something about a connector that is stopped in the place of a life, so that none begins meanwhile: one
// that is to begin waits for its end, and with yields ends it. It is called by the loop.
func (k *controller) instead(ctx context.Context, within time.Duration, yields bool, do func(context.Context)) {
	doing, end := context.WithTimeout(ctx, within)
	k.loop.alive, k.loop.job = end, true
	if !yields {
		k.loop.alive = func() {}
	}
	life := k.life()
	go func() {
		defer end()
		defer func() { k.post(occurrence{event: onOver, of: life}) }()
		defer guard.Recover(k.log, "connector "+k.name, nil)
		do(doing)
	}()
}

// aim is the target state.
func (k *controller) aim() TargetState {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asked.target
}

// stopped tells whether the connector is stopped and is to stay so, or would be if the worker had a share of it.
func (k *controller) stopped() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asked.target == Stopped && (k.state == Stopped || k.state == Unassigned && k.asked.share.none())
}

func (k *controller) life() *connector {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current
}

func (k *controller) failures() []error {
	k.mu.Lock()
	fault, life := k.fault, k.current
	k.mu.Unlock()
	var failures []error
	if fault != nil {
		failures = append(failures, &failure{k.name, -1, fault})
	}
	return append(failures, life.failures()...)
}

func (k *controller) info() Info {
	k.mu.Lock()
	life, given, state, shown := k.current, k.asked.given, k.state, k.shown()
	k.mu.Unlock()
	info := Info{Name: k.name, Config: given.Raw(), Tasks: []TaskID{}, Type: life.kind()}
	if given.Text("connector.class") != life.given.Text("connector.class") { // its next life is another connector's
		info.Type = newConnector(life.o, given).kind()
	}
	if state == Stopped {
		return info
	}
	info.Tasks = append(info.Tasks, shown.taskIDs()...)
	return info
}

// shown is the life whose tasks are shown: the one before the current one until that has tasks; k.mu is held.
func (k *controller) shown() *connector {
	if k.before != nil && !k.current.hasTasks() {
		return k.before
	}
	return k.current
}

func (c *connector) hasTasks() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.tasks) > 0
}

// taskIDs are the tasks that it has so far.
func (c *connector) taskIDs() (ids []TaskID) {
	for _, t := range c.taskStatuses() {
		ids = append(ids, TaskID{c.given.Name, t.ID})
	}
	return ids
}

func (k *controller) status() Status {
	k.mu.Lock()
	life, state, fault, refused, file := k.current, k.state, k.fault, k.asked.refused, k.asked.given.File
	shown := k.shown()
	k.mu.Unlock()
	s := Status{Name: k.name, Type: life.kind(), Tasks: []TaskStatus{}, Connector: ConnectorStatus{State: state,
		WorkerID: life.o.WorkerID,
		Version:  life.class.plugin.Version, Plugin: fileOf(life.class.plugin), File: file}}
	if fault != nil {
		s.Connector.Trace = life.o.Worker.Strike(trace(fault, "connector "+k.name))
		life.mu.Lock()
		s.Connector.Restarts = restarts(life.crew.startsAt)
		life.mu.Unlock()
	}
	if refused.Err() != nil {
		s.Connector.ConfigError = life.o.Worker.Strike(refused.Error())
	}
	if state == Stopped {
		return s
	}
	for _, t := range shown.taskStatuses() {
		if state == Paused && t.State != Failed {
			t.State = Paused
		}
		s.Tasks = append(s.Tasks, t)
	}
	return s
}

// now is what a reload compares with.
func (k *controller) now() config.Now {
	k.mu.Lock()
	given := k.asked.given
	k.mu.Unlock()
	n := config.Now{Name: k.name, File: given.File, Written: given.Raw(), Given: given,
		Refused: given.Problems.Err() != nil}
	s := k.status()
	n.Unsettled = s.Connector.State != Running || slices.ContainsFunc(s.Tasks,
		func(t TaskStatus) bool { return t.State != Running })
	return n
}

func (k *controller) taskInfos() []TaskInfo {
	k.mu.Lock()
	shown, given, state := k.shown(), k.asked.given, k.state
	k.mu.Unlock()
	if state == Stopped {
		return nil
	}
	return shown.taskInfos(given)
}

func (k *controller) progress() Progress {
	k.mu.Lock()
	life, state := k.current, k.state
	k.mu.Unlock()
	p := life.progress()
	if p.State != Failed {
		p.State = state
	}
	return p
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
