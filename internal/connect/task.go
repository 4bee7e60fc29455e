package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/events"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/plugin"
	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/service"
	"github.com/culvert-project/culvert/wit"
)

// task is a task of a connector on this worker, as in Kafka Connect, with the goroutine that runs and restarts it.
type task struct {
	run      *connectorRun
	number   int
	settings []wit.Setting
	metrics  *core.Metrics

	// The following fields are guarded by controller.mu.
	taskStatus
	// workCtx is the context of the current attempt or wait, which cancelWork cancels. A new context replaces it
	// immediately, so that a restart on request reaches the task at any time. cancelWork is nil before the task starts
	// and after it has ended.
	workCtx    context.Context
	cancelWork context.CancelCauseFunc
	cancel     context.CancelFunc // nil before the task starts and after it was removed
	isRevoked  bool
	isIdle     bool // waits for a restart by a user
	isWorking  bool // the current attempt has begun to work
	// requestSnapshot starts a snapshot of a feed of a source. It is nil while the task does not work.
	requestSnapshot func(feed, ident string) error
}

type taskStatus struct {
	state        State
	err          error
	restartsAt   time.Time // when a failed task restarts by itself; zero means that it does not
	failingSince time.Time // the time of the first failure since the last success, zero unless restartsAt is set
	// fillProgress and fillPlugins describe the current or last attempt. Both are nil before the first attempt. They
	// are not called under the lock.
	fillProgress func(*Progress)
	fillPlugins  func(*TaskStatus)
}

// currentProgress returns the progress of the current or last attempt, without estimates unless the task runs.
func (t *taskStatus) currentProgress() (progress Progress) {
	if t.fillProgress != nil {
		t.fillProgress(&progress)
	}
	for i := range progress.Feeds {
		if feed := &progress.Feeds[i]; t.state != Running && feed.Load != nil {
			feed.Load = feed.Load.WithoutEstimate()
		}
	}
	return progress
}

func (t *task) name() string {
	return fmt.Sprintf("connector %s, task %d", t.run.accepted.Name, t.number)
}

// loop runs the task until ctx ends, or with once until its work is done. A failed task restarts after a change of its
// settings, by itself after a transient error if configured, and on request while other tasks of the connector run.
func (t *task) loop(ctx context.Context, once bool) {
	defer t.markEnded()
	run := t.run
	var backoff restartBackoff
	for {
		version := run.clients.service.Version()
		start := time.Now()
		workCtx, _ := t.nextWork(ctx)
		err := service.Explain(run.clients.client, guard.Do(run.log, t.name(), func() error {
			return t.work(workCtx, once)
		}))
		waitCtx, mustRestart := t.nextWork(ctx)
		if mustRestart && ctx.Err() == nil {
			t.run.controller.update(func(_ *spec, observed *status) {
				t.isWorking = false
				delete(observed.clocks, t.number)
				t.setState(t.state) // starts a new clock
			})
			run.log.Info("the task is restarted on request", "task", t.number)
			continue
		}
		backoff.recordFailure(err, time.Since(start), t.hasProgress())
		var restart *restartBackoff
		if !once && run.autoRestart() && isRetriable(err) {
			restart = &backoff
		}
		restartsAt := t.recordEnd(ctx, err, restart)
		if once || err == nil || ctx.Err() != nil || !t.waitForRestart(ctx, waitCtx, err, version, restartsAt) {
			return
		}
	}
}

func (t *task) work(ctx context.Context, once bool) error {
	binding, err := t.run.bind()
	if err != nil {
		return err
	}
	defer binding.Close()
	t.run.releasePlan()
	if err := t.run.openForTasks(ctx); err != nil {
		return err
	}
	if t.run.isSink() {
		return t.runSink(ctx, binding, once)
	}
	return t.runSource(ctx, binding, once)
}

// start starts the goroutine of the task. controller.mu is held.
func (t *task) start() {
	run := t.run
	ctx, cancel := context.WithCancel(run.taskSet.ctx)
	t.cancel = cancel
	t.workCtx, t.cancelWork = context.WithCancelCause(ctx)
	once := run.controller.spec.once
	go func() {
		defer t.remove()
		defer guard.Recover(run.log, t.name(), nil, func(p *guard.PanicError) {
			t.recordEnd(ctx, p, nil)
		})
		t.loop(ctx, once)
	}()
}

// nextWork replaces the context of an attempt or wait. It reports whether a restart was requested before.
func (t *task) nextWork(ctx context.Context) (workCtx context.Context, mustRestart bool) {
	t.run.controller.update(func(*spec, *status) {
		mustRestart = t.isRestartRequested()
		if t.cancelWork != nil {
			t.cancelWork(nil)
		}
		t.workCtx, t.cancelWork = context.WithCancelCause(ctx)
		workCtx = t.workCtx
	})
	return workCtx, mustRestart
}

// isRestartRequested reports whether a restart was requested during the current attempt or wait. controller.mu is held.
func (t *task) isRestartRequested() bool { return t.cancelWork != nil && isRestart(t.workCtx) }

// setRunning records that the attempt has begun to work. The functions replace fillProgress and fillPlugins.
func (t *task) setRunning(progress func(*Progress), plugins func(*TaskStatus)) {
	ctl := t.run.controller
	defer ctl.reportStatus()
	ctl.mu.Lock()
	defer ctl.mu.Unlock()
	if t.err != nil && t.state != Restarting {
		t.run.recordEvent(events.Event{Kind: "restarted", Text: fmt.Sprintf("task %d, automatically", t.number)})
	}
	t.taskStatus = taskStatus{fillProgress: progress, fillPlugins: plugins}
	t.setState(Running)
	t.isWorking = true
	t.run.options.starts.tasks.addSuccess()
}

// recordEnd records the result of an attempt. A failed task restarts automatically at the returned time, unless restart
// is nil. A cancellation that does not come from ctx is a failure: with --once it would pass for success.
func (t *task) recordEnd(ctx context.Context, err error, restart *restartBackoff) (restartsAt time.Time) {
	ctl := t.run.controller
	defer ctl.reportStatus()
	ctl.mu.Lock()
	defer ctl.mu.Unlock()
	hasWorked := t.isWorking
	t.isWorking = false
	switch {
	case err != nil && (ctx.Err() == nil || !errors.Is(err, context.Canceled)):
		if !hasWorked {
			t.run.options.starts.tasks.addFailure()
		}
		t.err = err
		level := slog.LevelError // a user must act
		if restart != nil {
			level = restart.logLevel(slog.LevelWarn)
			restartsAt = time.Now().Add(restart.delay)
		}
		t.run.log.Log(ctx, level, "task failed", "task", t.number, "error", err)
		if restart == nil || restart.failures == 1 {
			t.run.recordEvent(events.Event{Kind: "failed", Text: fmt.Sprintf("task %d", t.number),
				Reason: reasonOf(err.Error())})
		}
		if t.isRestartRequested() { // it is RESTARTING
			break
		}
		t.restartsAt = restartsAt
		t.failingSince = time.Time{}
		t.setState(Failed)
		if restart != nil {
			t.failingSince = restart.since
			t.run.log.Log(ctx, restart.logLevel(slog.LevelInfo), "the task restarts by itself (task.auto.restart)",
				"task", t.number, "in", restart.delay)
		}
	case ctx.Err() != nil:
		t.setState(Unassigned)
	}
	return restartsAt
}

func (t *task) hasProgress() bool {
	ctl := t.run.controller
	ctl.mu.Lock()
	current := t.taskStatus
	ctl.mu.Unlock()
	progress := current.currentProgress()
	return progress.Rows > 0 || progress.Pages > 0
}

// setState is called with controller.mu held.
func (t *task) setState(state State) {
	t.state = state
	t.run.controller.status.clocks.setState(t.number, state)
}

// setIdle marks the task as waiting for a user, and ends a fixed set without active tasks. controller.mu is held.
func (t *task) setIdle() {
	t.isIdle = true
	set := &t.run.taskSet
	isActive := func(t *task) bool { return t.cancel != nil && !t.isIdle }
	if set.isFixed && !slices.ContainsFunc(set.tasks, isActive) {
		set.endRestarts()
	}
}

func (t *task) markEnded() {
	t.run.controller.update(func(*spec, *status) {
		t.cancelWork = nil
		t.setIdle()
	})
}

func (t *task) fillVersions(s *TaskStatus, version string, binding *plugin.Binding, transforms *chainFactory) {
	s.Version = cmp.Or(version, s.Version)
	s.Plugin = pluginFile(binding.Current().Module())
	s.Plugins = append(transforms.versionNotes(binding), t.run.clients.registries.outages()...)
}
