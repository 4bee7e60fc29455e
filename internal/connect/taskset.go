package connect

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/run/sink"
	"github.com/culvert-project/culvert/wit"
)

// Assignment is the part of a connector that a worker runs.
type Assignment struct {
	// Standalone means that the worker runs the whole connector without a group. The other fields are unused then.
	Standalone bool
	// OwnsConnector means that the worker runs the connector itself and, if TaskConfigs is nil, plans its tasks.
	OwnsConnector bool
	// TaskConfigs are the configs of all tasks on all workers. Nil means that they are not planned yet. Tasks of two
	// versions never run at the same time.
	TaskConfigs *config.TaskConfigs
	Tasks       []int
}

func (s Assignment) hasTask(task int) bool { return s.Standalone || slices.Contains(s.Tasks, task) }

func (s Assignment) empty() bool { return !s.Standalone && !s.OwnsConnector && len(s.Tasks) == 0 }

func (s Assignment) claims() []string {
	if s.TaskConfigs == nil {
		return nil
	}
	return s.TaskConfigs.Requirements.Claims
}

func (s Assignment) version() int64 {
	if s.TaskConfigs == nil {
		return 0
	}
	return s.TaskConfigs.Version
}

// taskSet holds the tasks of one run. Tasks may be added and removed while it runs. The controller's lock guards it.
//
// Invariants: a revoked task stays in tasks until it has ended. While the set runs (done is not nil and not closed),
// each assigned task runs, or is stopping to be created again. A standalone set ends with its last task; in a group,
// where tasks may be added, it ends with its run.
type taskSet struct {
	tasks      []*task         // of this worker, by number
	configs    [][]wit.Setting // of all tasks on all workers; nil if not planned yet
	assignment Assignment

	ctx context.Context // of the tasks
	// open is true from the start of the set until the run has closed shared resources and logged off. Until then the
	// worker owns all its tasks, also revoked ones (endedTasks), because the next owner opens its own sessions (P16).
	open       bool
	endedTasks []int
	done       chan struct{} // closed at the end of the set; nil before it runs
	// restartable is the context of failed tasks that wait for a restart by a user. A standalone set calls endRestarts
	// when no task runs or restarts by itself.
	restartable context.Context
	endRestarts context.CancelFunc

	// Of a source. These have their own locks.
	handlers feedHandlers
	idle     idleTracker
	// Of a sink, whose tasks are members of one consumer group. These have their own locks.
	inDoubt   sink.InDoubtRecords
	revoked   sink.RevokedPartitions
	unmatched *sink.UnmatchedTopics
	endsLock  sync.Mutex // see lagTracker.snapshotEnds
}

func (w *taskSet) acceptsTasks() bool {
	select {
	case <-w.done: // blocks while nil
		return false
	default:
		return true
	}
}

func (w *taskSet) closeIfDone() {
	running := slices.ContainsFunc(w.tasks, func(t *task) bool { return t.cancel != nil })
	if !running && (w.assignment.Standalone || w.ctx.Err() != nil) && w.acceptsTasks() {
		close(w.done)
	}
}

func (c *connectorRun) assignment() Assignment {
	c.controller.mu.Lock()
	defer c.controller.mu.Unlock()
	return c.set.assignment
}

func (c *connectorRun) createTasks(configs [][]wit.Setting) {
	c.controller.update(func(*spec, *status) {
		c.set.configs, c.set.tasks = configs, nil
		c.matchTasks()
	})
}

func (c *connectorRun) newTask(number int) *task {
	t := &task{run: c, number: number, settings: c.set.configs[number], taskStatus: taskStatus{state: Unassigned}}
	if c.controller.status.state == Paused {
		t.setState(Paused)
	}
	return t
}

func (c *connectorRun) runTasks(ctx context.Context) {
	restartable, endRestarts := context.WithCancel(ctx)
	defer endRestarts()
	w, mu := &c.set, &c.controller.mu
	mu.Lock()
	w.ctx, w.done, w.open = ctx, make(chan struct{}), true
	w.restartable, w.endRestarts = restartable, endRestarts
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

// remove removes a task that has ended. A task that was revoked and assigned again starts again.
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

// assign changes the tasks of the run. It reports false if a new run is required: the set has ended, or the tasks were
// planned again. Only the loop calls it.
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

// reconcileTasks starts and stops tasks to match the assignment. It reports false if the set has ended.
func (c *connectorRun) reconcileTasks() (open bool) {
	w := &c.set
	c.controller.mu.Lock()
	planned, resolve := w.assignment.TaskConfigs, w.done != nil && w.configs == nil && w.assignment.TaskConfigs != nil
	c.controller.mu.Unlock()
	var configs [][]wit.Setting
	if resolve { // without the lock, because it looks up plugins
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

// matchTasks is reconcileTasks with controller.mu held.
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

// Ownership is what a worker owns of a connector: an assignment, or tasks that have not ended yet.
type Ownership struct {
	Connector string
	Plans     bool
	// Version is the version of the task configs, 0 if they are not planned.
	Version int64
	Tasks   []int
}

// owned returns assignments, tasks that have not ended, and tasks that end with their run. A deleted connector keeps
// its ownership until its cleanup is done, which could otherwise end what a successor opens on another worker.
func (k *controller) owned() (all []Ownership) {
	k.mu.Lock()
	defer k.mu.Unlock()
	assignments := append([]Assignment{k.spec.assignment}, k.spec.pending...)
	if k.spec.deleted {
		assignments[0] = k.spec.lastAssignment
	}
	for _, s := range assignments {
		if !s.empty() {
			all = append(all, Ownership{Connector: k.name, Version: s.version(), Plans: s.OwnsConnector,
				Tasks: s.Tasks})
		}
	}
	w := &k.status.currentRun.set
	active := Ownership{Connector: k.name, Version: w.assignment.version(), Tasks: slices.Clone(w.endedTasks)}
	ending := w.open && w.ctx.Err() != nil
	for _, t := range w.tasks {
		if t.cancel != nil || ending {
			active.Tasks = append(active.Tasks, t.number)
		}
	}
	if len(active.Tasks) > 0 {
		all = append(all, active)
	}
	return all
}

func (c *connectorRun) markClosed() {
	c.controller.update(func(*spec, *status) { c.set.open, c.set.endedTasks = false, nil })
}

// openForTasks opens what only tasks need and fences earlier tasks. The first task does so for all; if it fails, the
// next one tries. If another connector of this worker has the same claim, it waits for the end of that connector.
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
		c.log.Info("the tasks wait for the end of another connector on this worker", "reason", held)
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
