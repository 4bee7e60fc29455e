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

func (s Assignment) has(task int) bool { return s.Standalone || slices.Contains(s.Tasks, task) }

// none reports whether the worker runs no part of the connector.
func (s Assignment) none() bool { return !s.Standalone && !s.OwnsConnector && len(s.Tasks) == 0 }

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
	tasks  []*task         // tasks of this worker, by their numbers
	layout [][]wit.Setting // of all tasks, on all workers; nil: not planned yet
	share  Assignment

	living context.Context // of the tasks
	// open is true from when the set begins to run until the run has closed what its tasks shared, and has logged off.
	// Until then the worker owns all tasks of the run, those in tasks and the revoked ones in parted, because their
	// next owner opens sessions of its own (P16).
	open   bool
	parted []int
	gone   chan struct{} // closed when the set is over; nil before it works
	// resting is the context of failed tasks that wait for a restart by a user. In a whole share, over cancels it when
	// no task runs or will restart by itself.
	resting context.Context
	over    context.CancelFunc

	// For a source: its paths of notifications, and its idle tasks. Both have locks of their own.
	listens listens
	idling  idling
	// For a sink: its tasks are members of one consumer group. These fields have locks of their own.
	uncertain sink.InDoubtRecords
	settled   sink.RevokedPartitions
	reached   *sink.UnmatchedTopics // made by the start
	marking   sync.Mutex            // a turn, see ends.mark
}

// takesIn reports whether tasks may be added and removed.
func (w *taskSet) takesIn() bool {
	select {
	case <-w.gone: // never, while it is nil
		return false
	default:
		return true
	}
}

// end notes that the set is over, if it is.
func (w *taskSet) end() {
	lives := slices.ContainsFunc(w.tasks, func(t *task) bool { return t.leave != nil })
	if !lives && (w.share.Standalone || w.living.Err() != nil) && w.takesIn() {
		close(w.gone)
	}
}

// shared returns the current share of the run.
func (c *connector) shared() Assignment {
	c.controller.mu.Lock()
	defer c.controller.mu.Unlock()
	return c.set.share
}

// lay makes those of a connector's tasks that are the worker's.
func (c *connector) lay(layout [][]wit.Setting) {
	c.controller.change(func(*spec, *status) {
		c.set.layout, c.set.tasks = layout, nil
		c.match()
	})
}

// newTask creates a task, which is PAUSED if the connector is paused, see layOut. The controller's lock is held.
func (c *connector) newTask(number int) *task {
	t := &task{connector: c, number: number, settings: c.set.layout[number], taskStatus: taskStatus{state: Unassigned}}
	if c.controller.status.state == Paused {
		t.enters(Paused)
	}
	return t
}

// runTasks runs the tasks and returns when the set is over.
func (c *connector) runTasks(ctx context.Context) {
	resting, over := context.WithCancel(ctx)
	defer over()
	w, mu := &c.set, &c.controller.mu
	mu.Lock()
	w.living, w.gone, w.open, w.resting, w.over = ctx, make(chan struct{}), true, resting, over
	for _, t := range w.tasks {
		t.begin()
	}
	mu.Unlock()
	c.bring()
	select {
	case <-w.gone:
		return
	case <-ctx.Done():
	}
	mu.Lock()
	w.end()
	mu.Unlock()
	<-w.gone
}

// begin starts the task; the controller's lock is held.
func (t *task) begin() {
	c := t.connector
	ctx, leave := context.WithCancel(c.set.living)
	t.leave = leave
	once := c.controller.spec.once
	go func() {
		defer t.gone()
		defer guard.Recover(c.log, t.name(), nil, func(p *guard.Panic) { t.ended(ctx, p, slog.LevelError) })
		t.run(ctx, once)
	}()
}

// gone removes a task that has ended from the set. A task that was revoked and assigned again in the meantime is
// started again.
func (t *task) gone() {
	c, w := t.connector, &t.connector.set
	defer c.controller.changed()
	c.controller.mu.Lock()
	defer c.controller.mu.Unlock()
	t.leave()
	t.leave = nil
	switch at := slices.Index(w.tasks, t); {
	case !w.share.has(t.number):
		w.tasks = slices.Delete(slices.Clone(w.tasks), at, at+1)
		if w.share.none() {
			w.parted = append(w.parted, t.number)
		}
	case t.leaving && w.living.Err() == nil:
		again := c.newTask(t.number)
		w.tasks[at] = again
		again.begin()
	}
	w.end()
}

// assign changes which of the connector's tasks the run has: it starts those that are new in the share and stops those
// that are not in it any more; the others run on. It returns false if another run must begin, because the set is over
// or the tasks were planned again. The loop calls it.
func (c *connector) assign(share Assignment) bool {
	c.controller.mu.Lock()
	w := &c.set
	again := w.share.version() != 0 && share.version() != w.share.version()
	if !again {
		w.share = share
	}
	if !share.none() {
		w.parted = nil
	}
	c.controller.mu.Unlock()
	return !again && c.bring()
}

// bring starts and stops tasks so that they match the share. It returns false if the set is over.
func (c *connector) bring() (takesIn bool) {
	w := &c.set
	c.controller.mu.Lock()
	planned, plan := w.share.TaskConfigs, w.gone != nil && w.layout == nil && w.share.TaskConfigs != nil
	c.controller.mu.Unlock()
	var layout [][]wit.Setting
	if plan { // without the lock: the plugins are looked up for it
		layout = c.settingsOf(planned)
	}
	c.controller.change(func(*spec, *status) {
		if plan && w.layout == nil {
			w.layout = layout
		}
		takesIn = c.match()
	})
	return takesIn
}

// match creates and ends tasks so that they match the share. It returns false if the set is over. The controller's lock
// is held.
func (c *connector) match() bool {
	w := &c.set
	kept := make([]*task, 0, len(w.tasks))
	for _, t := range w.tasks {
		if !w.share.has(t.number) && t.leave != nil {
			t.leaving = true
			t.leave()
		}
		if w.share.has(t.number) || t.leave != nil {
			kept = append(kept, t)
		}
	}
	w.tasks = kept
	if !w.takesIn() {
		return false
	}
	for number := range w.layout {
		at, there := slices.BinarySearchFunc(w.tasks, number,
			func(t *task, n int) int { return cmp.Compare(t.number, n) })
		if there || !w.share.has(number) {
			continue
		}
		t := c.newTask(number)
		w.tasks = slices.Insert(w.tasks, at, t)
		if w.gone != nil {
			t.begin()
		}
	}
	if w.gone != nil {
		w.end()
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

// holds returns what the worker owns of the connector, by the version of the tasks: the assigned ones, those that have
// not ended, and those that end with their run. A deleted connector keeps what it owned until its retirement is over,
// which would otherwise end what another worker opens for its successor.
func (k *controller) holds() (all []Ownership) {
	k.mu.Lock()
	defer k.mu.Unlock()
	shares := append([]Assignment{k.spec.share}, k.spec.pending...)
	if k.spec.removed {
		shares[0] = k.spec.lastShare
	}
	for _, s := range shares {
		if !s.none() {
			all = append(all, Ownership{Connector: k.name, Version: s.version(), Plans: s.OwnsConnector,
				Tasks: s.Tasks})
		}
	}
	w := &k.status.current.set
	running := Ownership{Connector: k.name, Version: w.share.version(), Tasks: slices.Clone(w.parted)}
	ends := w.open && w.living.Err() != nil
	for _, t := range w.tasks {
		if t.leave != nil || ends {
			running.Tasks = append(running.Tasks, t.number)
		}
	}
	if len(running.Tasks) > 0 {
		all = append(all, running)
	}
	return all
}

// over records that the run has closed what its tasks shared.
func (c *connector) over() {
	c.controller.change(func(*spec, *status) { c.set.open, c.set.parted = false, nil })
}

// openForTasks opens what only tasks need, and fences the tasks that ran before them. The first task does so for all of
// them; if that fails, the next one does. In a group the worker may have tasks of two connectors with the same claim,
// the first of which is about to end here: openForTasks waits for that.
func (c *connector) openForTasks(ctx context.Context) error {
	if c.isSink() {
		return nil
	}
	if err := c.run.opening.Lock(ctx); err != nil {
		return err
	}
	defer c.run.opening.Unlock()
	if c.run.opened {
		return nil
	}
	claims := c.shared().claims()
	for held := (*heldError)(nil); errors.As(c.o.claims.take(c.config.Name, claims), &held); {
		c.log.Info("the tasks wait until another connector has ended on this worker", "reason", held)
		select {
		case <-held.freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if c.run.transactional = c.transactional(claims); c.run.transactional > 0 {
		if err := c.fence(ctx, len(c.set.layout)); err != nil {
			return err
		}
	}
	if err := c.openOffsets(ctx); err != nil {
		return err
	}
	err := c.openAdmin()
	c.run.opened = err == nil
	return err
}
