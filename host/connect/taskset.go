package connect

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/run/sink"
	"github.com/culvert-project/culvert/wit"
)

// Assignment is the part of a connector that a worker runs.
type Assignment struct {
	// Standalone means the entire connector: the share of a worker that is alone. The other fields are unused then.
	Standalone bool
	// OwnsConnector means that the worker runs the connector itself. If Planned is nil, the worker also plans the
	// tasks.
	OwnsConnector bool
	// Planned are all tasks of the connector, on all workers. Nil means that they were not planned since the
	// configuration changed. Tasks of two versions never run at the same time.
	TaskConfigs *config.TaskConfigs
	// Tasks are the numbers of the tasks that the worker runs.
	Tasks []int
}

func (s Assignment) hasTask(task int) bool { return s.Standalone || slices.Contains(s.Tasks, task) }

// empty reports whether the worker runs no part of the connector.
func (s Assignment) empty() bool { return !s.Standalone && !s.OwnsConnector && len(s.Tasks) == 0 }

// claims returns what the planned tasks claim, on whichever workers they run.
func (s Assignment) claims() []string {
	if s.TaskConfigs == nil {
		return nil
	}
	return s.TaskConfigs.Requirements.Claims
}

// version returns the version of the planned tasks, 0 if they are not planned.
func (s Assignment) version() int64 {
	if s.TaskConfigs == nil {
		return 0
	}
	return s.TaskConfigs.Version
}

// taskSet holds the tasks of one run of a connector, and what they share. Tasks may be added and removed while it runs.
// The controller's lock guards it.
//
// A task stays in tasks until it has ended after it was revoked. While the set runs (gone is not nil and not closed),
// each task of the share runs, or is stopping to be created again. The set of a whole share ends with its last task,
// because no task can be added. The set of a partial share ends only when its run must end, too.
type taskSet struct {
	tasks      []*task         // tasks of this worker, by their numbers
	configs    [][]wit.Setting // of all tasks, on all workers; nil: not planned yet
	assignment Assignment

	ctx context.Context // of the tasks
	// open is true from when the set begins to run until the run has closed what its tasks shared, and has logged off.
	// Until then the worker owns all tasks of the run, those in tasks and the revoked ones in parted, because their
	// next owner opens sessions of its own (P16).
	open       bool
	endedTasks []int
	done       chan struct{} // closed when the set is over; nil before it works
	// resting is the context of failed tasks that wait for a restart by a user. In a whole share, over cancels it when
	// no task runs or will restart by itself.
	restartable context.Context
	endRestarts context.CancelFunc

	// For a source: its paths of notifications, and its idle tasks. Both have locks of their own.
	handlers feedHandlers
	idle     idleTracker
	// For a sink: its tasks are members of one consumer group. These fields have locks of their own.
	inDoubt   sink.InDoubtRecords
	revoked   sink.RevokedPartitions
	unmatched *sink.UnmatchedTopics // made by the start
	endsLock  sync.Mutex            // a turn, see ends.mark
}

// acceptsTasks reports whether tasks may be added and removed.
func (w *taskSet) acceptsTasks() bool {
	select {
	case <-w.done: // never, while it is nil
		return false
	default:
		return true
	}
}

// end notes that the set is over, if it is.
func (w *taskSet) closeIfDone() {
	running := slices.ContainsFunc(w.tasks, func(t *task) bool { return t.cancel != nil })
	if !running && (w.assignment.Standalone || w.ctx.Err() != nil) && w.acceptsTasks() {
		close(w.done)
	}
}

// assignment returns the current share of the run.
func (c *connectorRun) assignment() Assignment {
	c.controller.mu.Lock()
	defer c.controller.mu.Unlock()
	return c.set.assignment
}

// createTasks makes those of a connector's tasks that are the worker's.
func (c *connectorRun) createTasks(configs [][]wit.Setting) {
	c.controller.update(func(*spec, *status) {
		c.set.configs, c.set.tasks = configs, nil
		c.matchTasks()
	})
}

// newTask creates a task, which is PAUSED if the connector is paused, see layOut. The controller's lock is held.
func (c *connectorRun) newTask(number int) *task {
	t := &task{run: c, number: number, settings: c.set.configs[number], taskStatus: taskStatus{state: Unassigned}}
	if c.controller.status.state == Paused {
		t.setState(Paused)
	}
	return t
}

// runTasks runs the tasks and returns when the set is over.
func (c *connectorRun) runTasks(ctx context.Context) {
	resting, over := context.WithCancel(ctx)
	defer over()
	w, mu := &c.set, &c.controller.mu
	mu.Lock()
	w.ctx, w.done, w.open, w.restartable, w.endRestarts = ctx, make(chan struct{}), true, resting, over
	for _, t := range w.tasks {
		t.start()
	}
	mu.Unlock()
	c.reconcileTasks()
	select {
	case <-w.done:
		return
	case <-ctx.Done():
	}
	mu.Lock()
	w.closeIfDone()
	mu.Unlock()
	<-w.done
}

// begin starts the task; the controller's lock is held.
func (t *task) start() {
	c := t.run
	ctx, leave := context.WithCancel(c.set.ctx)
	t.cancel = leave
	once := c.controller.spec.once
	go func() {
		defer t.remove()
		defer guard.Recover(c.log, t.name(), nil, func(p *guard.Panic) { t.recordEnd(ctx, p, slog.LevelError) })
		t.loop(ctx, once)
	}()
}

// gone removes a task that has ended from the set. A task that was revoked and assigned again in the meantime is
// started again.
func (t *task) remove() {
	c, w := t.run, &t.run.set
	defer c.controller.statusChanged()
	c.controller.mu.Lock()
	defer c.controller.mu.Unlock()
	t.cancel()
	t.cancel = nil
	switch at := slices.Index(w.tasks, t); {
	case !w.assignment.hasTask(t.number):
		w.tasks = slices.Delete(slices.Clone(w.tasks), at, at+1)
		if w.assignment.empty() {
			w.endedTasks = append(w.endedTasks, t.number)
		}
	case t.revoked && w.ctx.Err() == nil:
		restarted := c.newTask(t.number)
		w.tasks[at] = restarted
		restarted.start()
	}
	w.closeIfDone()
}

// assign changes which of the connector's tasks the run has: it starts those that are new in the share and stops those
// that are not in it any more; the others run on. It returns false if another run must begin, because the set is over
// or the tasks were planned again. The loop calls it.
func (c *connectorRun) assign(assignment Assignment) bool {
	c.controller.mu.Lock()
	w := &c.set
	replanned := w.assignment.version() != 0 && assignment.version() != w.assignment.version()
	if !replanned {
		w.assignment = assignment
	}
	if !assignment.empty() {
		w.endedTasks = nil
	}
	c.controller.mu.Unlock()
	return !replanned && c.reconcileTasks()
}

// reconcileTasks starts and stops tasks so that they match the share. It returns false if the set is over.
func (c *connectorRun) reconcileTasks() (open bool) {
	w := &c.set
	c.controller.mu.Lock()
	planned, resolve := w.assignment.TaskConfigs, w.done != nil && w.configs == nil && w.assignment.TaskConfigs != nil
	c.controller.mu.Unlock()
	var configs [][]wit.Setting
	if resolve { // without the lock: the plugins are looked up for it
		configs = c.resolveTaskConfigs(planned)
	}
	c.controller.update(func(*spec, *status) {
		if resolve && w.configs == nil {
			w.configs = configs
		}
		open = c.matchTasks()
	})
	return open
}

// matchTasks creates and ends tasks so that they match the share. It returns false if the set is over. The controller's lock
// is held.
func (c *connectorRun) matchTasks() bool {
	w := &c.set
	remaining := make([]*task, 0, len(w.tasks))
	for _, t := range w.tasks {
		if !w.assignment.hasTask(t.number) && t.cancel != nil {
			t.revoked = true
			t.cancel()
		}
		if w.assignment.hasTask(t.number) || t.cancel != nil {
			remaining = append(remaining, t)
		}
	}
	w.tasks = remaining
	if !w.acceptsTasks() {
		return false
	}
	for number := range w.configs {
		at, exists := slices.BinarySearchFunc(w.tasks, number,
			func(t *task, n int) int { return cmp.Compare(t.number, n) })
		if exists || !w.assignment.hasTask(number) {
			continue
		}
		t := c.newTask(number)
		w.tasks = slices.Insert(w.tasks, at, t)
		if w.done != nil {
			t.start()
		}
	}
	if w.done != nil {
		w.closeIfDone()
	}
	return true
}

// Ownership is what a worker owns of a connector: its share, or tasks that have not ended yet. They may be the same.
type Ownership struct {
	Connector string
	Plans     bool
	// Version is the version of the tasks, 0 if they are not planned.
	Version int64
	Tasks   []int
}

// owned returns what the worker owns of the connector, by the version of the tasks: the assigned ones, those that have
// not ended, and those that end with their run. A deleted connector keeps what it owned until its retirement is over,
// which would otherwise end what another worker opens for its successor.
func (k *controller) owned() (all []Ownership) {
	k.mu.Lock()
	defer k.mu.Unlock()
	shares := append([]Assignment{k.spec.assignment}, k.spec.pending...)
	if k.spec.deleted {
		shares[0] = k.spec.lastAssignment
	}
	for _, s := range shares {
		if !s.empty() {
			all = append(all, Ownership{Connector: k.name, Version: s.version(), Plans: s.OwnsConnector,
				Tasks: s.Tasks})
		}
	}
	w := &k.status.currentRun.set
	active := Ownership{Connector: k.name, Version: w.assignment.version(), Tasks: slices.Clone(w.endedTasks)}
	ends := w.open && w.ctx.Err() != nil
	for _, t := range w.tasks {
		if t.cancel != nil || ends {
			active.Tasks = append(active.Tasks, t.number)
		}
	}
	if len(active.Tasks) > 0 {
		all = append(all, active)
	}
	return all
}

// markClosed records that the run has closed what its tasks shared.
func (c *connectorRun) markClosed() {
	c.controller.update(func(*spec, *status) { c.set.open, c.set.endedTasks = false, nil })
}

// openForTasks opens what only tasks need, and fences the tasks that ran before them. The first task does so for all of
// them; if that fails, the next one does. In a group the worker may have tasks of two connectors with the same claim,
// the first of which is about to end here: openForTasks waits for that.
func (c *connectorRun) openForTasks(ctx context.Context) error {
	if c.isSink() {
		return nil
	}
	if err := c.clients.openLock.Lock(ctx); err != nil {
		return err
	}
	defer c.clients.openLock.Unlock()
	if c.clients.opened {
		return nil
	}
	claims := c.assignment().claims()
	for held := (*claimedError)(nil); errors.As(c.options.claims.acquire(c.config.Name, claims), &held); {
		c.log.Info("the tasks wait until another connector has ended on this worker", "reason", held)
		select {
		case <-held.released:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if c.clients.producersPerTask = c.producersFor(claims); c.clients.producersPerTask > 0 {
		if err := c.fence(ctx, len(c.set.configs)); err != nil {
			return err
		}
	}
	if err := c.openOffsets(ctx); err != nil {
		return err
	}
	err := c.openAdmin()
	c.clients.opened = err == nil
	return err
}
