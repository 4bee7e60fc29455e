package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/run/sink"
	"github.com/culvert-project/culvert/wit"
)

// Assignment is the part of a connector that a worker runs. The zero assignment means that it runs nothing.
type Assignment struct {
	OwnsConnector bool // the worker runs the connector itself and, if TaskConfigs is nil, plans its tasks
	// TaskConfigs are the configs of all tasks on all workers. Nil means that they are not planned yet. Tasks of two
	// versions never run at the same time.
	TaskConfigs *config.TaskConfigs
	Tasks       []int
}

func (a Assignment) hasTask(task int) bool { return slices.Contains(a.Tasks, task) }

func (a Assignment) empty() bool { return !a.OwnsConnector && len(a.Tasks) == 0 }

// since describes what the assignment has that the previous one does not have, "" for nothing.
func (a Assignment) since(previous Assignment) string {
	var parts []string
	if a.OwnsConnector && !previous.OwnsConnector {
		parts = append(parts, "the connector")
	}
	for _, task := range a.Tasks {
		if !previous.hasTask(task) {
			parts = append(parts, fmt.Sprintf("task %d", task))
		}
	}
	return strings.Join(parts, ", ")
}

func (a Assignment) claims() []string {
	if a.TaskConfigs == nil {
		return nil
	}
	return a.TaskConfigs.Requirements.Claims
}

func (a Assignment) version() int64 {
	if a.TaskConfigs == nil {
		return 0
	}
	return a.TaskConfigs.Version
}

// taskSet holds the tasks of one run. Tasks may be added and removed while it runs. The controller's lock guards it.
//
// Invariants: a revoked task stays in tasks until it has ended. While the set runs (done is not nil and not closed),
// each assigned task runs, or is stopping to be created again. A fixed set ends with its last task; in a group, where
// tasks may be added, it ends with its run.
type taskSet struct {
	tasks      []*task         // of this worker, sorted by number
	configs    [][]wit.Setting // of all tasks on all workers; nil if not planned yet
	assignment Assignment
	isFixed    bool // the set has all tasks of the connector; no group adds or revokes tasks

	ctx context.Context // of the tasks
	// isOpen is true from the start of the set until the run has closed shared resources and logged off. Until then the
	// worker owns all its tasks, also revoked ones (endedTasks): the next owner opens its own sessions, and both
	// together could exceed the service's limit (RATIONALE.md P16).
	isOpen     bool
	endedTasks []int
	done       chan struct{} // closed at the end of the set; nil before it runs
	// restartable is the context of failed tasks that wait for a restart by a user. A fixed set calls endRestarts
	// when no task runs or restarts by itself.
	restartable context.Context
	endRestarts context.CancelFunc

	answered atomic.Bool // a task has opened the plugin: a service that is not found later may be restarting

	// Of a source. These have their own locks.
	handlers feedHandlers
	idle     idleTracker
	// Of a sink, whose tasks are members of one consumer group. These have their own locks.
	inDoubt   sink.InDoubtRecords
	revoked   sink.RevokedPartitions
	unmatched *sink.UnmatchedTopics
	endsLock  sync.Mutex // see lagTracker.snapshotEnds
}

func (set *taskSet) acceptsTasks() bool {
	select {
	case <-set.done: // blocks while nil
		return false
	default:
		return true
	}
}

// closeIfDone ends the set if no task runs, and none may be added.
func (set *taskSet) closeIfDone() {
	isRunning := slices.ContainsFunc(set.tasks, func(t *task) bool { return t.cancel != nil })
	if !isRunning && (set.isFixed || set.ctx.Err() != nil) && set.acceptsTasks() {
		close(set.done)
	}
}

func (run *connectorRun) assignment() Assignment {
	run.controller.mu.Lock()
	defer run.controller.mu.Unlock()
	return run.taskSet.assignment
}

func (run *connectorRun) createTasks(configs [][]wit.Setting) {
	run.controller.update(func(*spec, *status) {
		run.taskSet.configs = configs
		run.taskSet.tasks = nil
		if run.taskSet.isFixed {
			run.taskSet.assignment.Tasks = nil
			for number := range configs {
				run.taskSet.assignment.Tasks = append(run.taskSet.assignment.Tasks, number)
			}
		}
		run.matchTasks()
	})
}

func (run *connectorRun) newTask(number int) *task {
	t := &task{run: run, number: number, settings: run.taskSet.configs[number],
		taskStatus: taskStatus{state: Unassigned}}
	if run.controller.status.state == Paused {
		t.setState(Paused)
	}
	return t
}

// runTasks starts the tasks and returns when all of them have ended. The set of a group ends only with ctx.
func (run *connectorRun) runTasks(ctx context.Context) {
	restartable, endRestarts := context.WithCancel(ctx)
	defer endRestarts()
	set := &run.taskSet
	mu := &run.controller.mu
	mu.Lock()
	set.ctx = ctx
	set.done = make(chan struct{})
	set.isOpen = true
	set.restartable = restartable
	set.endRestarts = endRestarts
	for _, t := range set.tasks {
		t.start()
	}
	mu.Unlock()
	run.reconcileTasks()
	select {
	case <-set.done:
		return
	case <-ctx.Done():
	}
	mu.Lock()
	set.closeIfDone()
	mu.Unlock()
	<-set.done
}

// remove removes a task that has ended. A task that was revoked and assigned again starts again.
func (t *task) remove() {
	set := &t.run.taskSet
	run := t.run
	defer run.controller.reportStatus()
	run.controller.mu.Lock()
	defer run.controller.mu.Unlock()
	t.cancel()
	t.cancel = nil
	switch pos := slices.Index(set.tasks, t); {
	case !set.assignment.hasTask(t.number):
		set.tasks = slices.Delete(slices.Clone(set.tasks), pos, pos+1)
		if set.assignment.empty() { // the run ends, too
			set.endedTasks = append(set.endedTasks, t.number)
		}
	case t.isRevoked && set.ctx.Err() == nil:
		successor := run.newTask(t.number)
		set.tasks[pos] = successor
		successor.start()
	}
	set.closeIfDone()
}

// assign changes the tasks of the run. It reports false if a new run is required: the set has ended, or the tasks were
// planned again. Only the loop calls it.
func (run *connectorRun) assign(assignment Assignment) bool {
	run.controller.mu.Lock()
	set := &run.taskSet
	isReplanned := set.assignment.version() != 0 && assignment.version() != set.assignment.version()
	if !isReplanned {
		set.assignment = assignment
	}
	if !assignment.empty() {
		set.endedTasks = nil
	}
	run.controller.mu.Unlock()
	return !isReplanned && run.reconcileTasks()
}

// reconcileTasks starts and stops tasks to match the assignment. It reports false if the set has ended.
func (run *connectorRun) reconcileTasks() (acceptsTasks bool) {
	set := &run.taskSet
	run.controller.mu.Lock()
	taskConfigs := set.assignment.TaskConfigs
	mustResolve := set.done != nil && set.configs == nil && taskConfigs != nil
	run.controller.mu.Unlock()
	var configs [][]wit.Setting
	if mustResolve { // without the lock, because it looks up plugins
		configs = run.resolveTaskConfigs(taskConfigs)
	}
	run.controller.update(func(*spec, *status) {
		if mustResolve && set.configs == nil {
			set.configs = configs
		}
		acceptsTasks = run.matchTasks()
	})
	return acceptsTasks
}

// matchTasks is reconcileTasks with resolved task configs. controller.mu is held.
func (run *connectorRun) matchTasks() bool {
	set := &run.taskSet
	remaining := make([]*task, 0, len(set.tasks))
	for _, t := range set.tasks {
		if !set.assignment.hasTask(t.number) && t.cancel != nil {
			t.isRevoked = true
			t.cancel()
		}
		if set.assignment.hasTask(t.number) || t.cancel != nil {
			remaining = append(remaining, t)
		}
	}
	set.tasks = remaining
	if !set.acceptsTasks() {
		return false
	}
	for number := range set.configs {
		pos, exists := slices.BinarySearchFunc(set.tasks, number,
			func(t *task, n int) int { return cmp.Compare(t.number, n) })
		if exists || !set.assignment.hasTask(number) {
			continue
		}
		t := run.newTask(number)
		set.tasks = slices.Insert(set.tasks, pos, t)
		if set.done != nil { // else runTasks starts it
			t.start()
		}
	}
	if set.done != nil {
		set.closeIfDone()
	}
	return true
}

// Ownership is the part of a connector that a worker owns: an assignment, or tasks that have not ended yet.
type Ownership struct {
	Connector string
	Plans     bool  // the worker runs the connector itself
	Version   int64 // the version of the task configs; 0 if they are not planned
	Tasks     []int
}

// owned returns assignments, tasks that have not ended, and tasks that end with their run. A deleted connector is owned
// until its cleanup is done, which could otherwise end subscriptions of a successor on another worker.
func (ctl *controller) owned() (ownerships []Ownership) {
	ctl.mu.Lock()
	defer ctl.mu.Unlock()
	assignments := append([]Assignment{ctl.spec.assignment}, ctl.spec.pending...)
	if ctl.spec.deleted {
		assignments[0] = ctl.spec.lastAssignment
	}
	for _, a := range assignments {
		if !a.empty() {
			ownerships = append(ownerships, Ownership{Connector: ctl.name, Version: a.version(), Plans: a.OwnsConnector,
				Tasks: a.Tasks})
		}
	}
	set := &ctl.status.currentRun.taskSet
	active := Ownership{Connector: ctl.name, Version: set.assignment.version(), Tasks: slices.Clone(set.endedTasks)}
	isEnding := set.isOpen && set.ctx.Err() != nil
	for _, t := range set.tasks {
		if t.cancel != nil || isEnding {
			active.Tasks = append(active.Tasks, t.number)
		}
	}
	if len(active.Tasks) > 0 {
		ownerships = append(ownerships, active)
	}
	return ownerships
}

// markClosed records that the run has logged off, so that the worker no longer owns its tasks.
func (run *connectorRun) markClosed() {
	run.controller.update(func(*spec, *status) {
		run.taskSet.isOpen = false
		run.taskSet.endedTasks = nil
	})
}

// openForTasks opens clients that only tasks need and fences earlier tasks. The first task does so for all; if it
// fails, the next one tries. If another connector of this worker has the same claim, it waits for the end of that
// connector.
func (run *connectorRun) openForTasks(ctx context.Context) error {
	if run.isSink() {
		return nil
	}
	if err := run.clients.openLock.Lock(ctx); err != nil {
		return err
	}
	defer run.clients.openLock.Unlock()
	if run.clients.isOpen {
		return nil
	}
	claims := run.assignment().claims()
	for {
		var claimed *claimedError
		if !errors.As(run.options.claims.acquire(run.config.Name, claims), &claimed) {
			break
		}
		run.log.Info("the tasks wait for the end of another connector on this worker", "reason", claimed)
		select {
		case <-claimed.released:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if run.clients.producersPerTask = run.producersFor(claims); run.clients.producersPerTask > 0 {
		if err := run.fence(ctx, len(run.taskSet.configs)); err != nil {
			return err
		}
	}
	if err := run.openOffsets(ctx); err != nil {
		return err
	}
	err := run.openTopicAdmin()
	run.clients.isOpen = err == nil
	return err
}
