package connect

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/internal/service"
	"github.com/culvert-project/culvert/host/kafka/security"
	"github.com/culvert-project/culvert/wit"
)

// errRestart ends what a task does, so that it is made again.
var errRestart = errors.New("the task is restarted")

// Pauses before a failed task goes on by itself (task.auto.restart, P16): the first, and the longest, to which they
// double.
const (
	minRestartDelay = 10 * time.Second
	maxRestartDelay = 10 * time.Minute
)

// loop runs the task until ctx ends, or with once until its work is done. A task that has failed goes on when its
// settings are others (another secret, store or destination), by itself where that may help and is wanted, and when
// somebody restarts it while another task of the connector works.
func (t *task) loop(ctx context.Context, once bool) {
	defer t.markEnded()
	c := t.run
	var backoff restartBackoff
	for {
		version, began := c.clients.service.Version(), time.Now()
		working, stop := t.startWork(ctx)
		err := service.Explained(c.clients.client, guard.Do(c.log, t.name(), func() error { return t.work(working, once) }))
		restarted := t.endWork(working)
		stop(nil)
		if restarted && ctx.Err() == nil {
			t.resetForRestart()
			c.log.Info("the task is restarted, as was asked for", "task", t.number)
			continue
		}
		backoff.recordFailure(err, time.Since(began), t.hasProgress())
		t.recordEnd(ctx, err, backoff.logLevel(slog.LevelError))
		if once || err == nil || ctx.Err() != nil || !t.waitForRestart(ctx, err, version, &backoff) {
			return
		}
	}
}

// outage is a row of failures of a task that may pass, with no work between them that counts. Of one that began with
// failure 1 the pauses grow, and the log names that failure alone.
type restartBackoff struct {
	failures int
	delay    time.Duration // before the next try
}

// recordFailure notes a failure of a task that has worked for so long, and whether rows have moved. One that moved some, and
// worked for twice as long as the next pause would be, has recovered meanwhile; so has one that had nothing to move for
// longer than the tries of a request take.
func (o *restartBackoff) recordFailure(err error, worked time.Duration, moved bool) {
	switch {
	case !isRetriable(err):
		*o = restartBackoff{}
	case o.failures == 0 || moved && worked > 4*o.delay || worked > 2*maxRestartDelay:
		*o = restartBackoff{1, minRestartDelay}
	default:
		o.failures++
		o.delay = min(2*o.delay, maxRestartDelay)
	}
}

// logLevel is that of a line about the failure.
func (o *restartBackoff) logLevel(first slog.Level) slog.Level {
	if o.failures > 1 {
		return slog.LevelDebug
	}
	return first
}

// hasProgress tells whether what the task did last has come to anything.
func (t *task) hasProgress() bool {
	k := t.run.controller
	k.mu.Lock()
	now := t.taskStatus
	k.mu.Unlock()
	p := now.currentProgress()
	return p.Rows > 0 || p.Pages > 0
}

// resetForRestart notes that the task begins again: its times, and whether it has come as far as to work.
func (t *task) resetForRestart() {
	t.run.controller.update(func(_ *spec, s *status) {
		t.started = false
		delete(s.clocks, t.number)
		t.setState(t.state)
	})
}

// asked tells whether a context was ended to have the task made again.
func isRestart(ctx context.Context) bool { return context.Cause(ctx) == errRestart }

// startWork is the context of what the task does next, which a restart ends.
func (t *task) startWork(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	work, stop := context.WithCancelCause(ctx)
	t.run.controller.update(func(*spec, *status) { t.cancelWork = stop })
	return work, stop
}

// endWork reports whether what the task did, which has ended, was to be made again. From now on a restart finds that
// the task does nothing.
func (t *task) endWork(work context.Context) (restarted bool) {
	t.run.controller.update(func(*spec, *status) {
		t.cancelWork = nil
		restarted = isRestart(work)
	})
	return restarted
}

// markEnded notes that the task has ended for good.
func (t *task) markEnded() {
	t.run.controller.update(func(*spec, *status) {
		t.cancelWork = nil
		t.setIdle()
	})
}

// setIdle notes that the task does not work any more; the controller's lock is held.
func (t *task) setIdle() {
	t.idle = true
	w := &t.run.set
	works := func(t *task) bool { return t.cancel != nil && !t.idle }
	if w.assignment.Standalone && !slices.ContainsFunc(w.tasks, works) {
		w.endRestarts()
	}
}

// goesOn waits until a task that has failed can go on; false: it cannot.
func (t *task) waitForRestart(ctx context.Context, err error, version int64, backoff *restartBackoff) bool {
	c := t.run
	waiting, stop := t.startWork(ctx)
	defer stop(nil)
	switch {
	case service.Fixable(err):
		if !c.clients.service.AwaitFix(waiting, c.clients.client, version) {
			break
		}
		if err := c.clients.client.Refresh(ctx); err != nil { // it is another one now
			c.log.Warn("settings of the service", "error", err)
		}
		c.log.Info("settings of the service are others, or a refused logon is tried once more: the task goes on",
			"task", t.number)
		return true
	case c.autoRestart() && isRetriable(err):
		c.controller.update(func(*spec, *status) { t.restartsAt = time.Now().Add(backoff.delay) })
		c.log.Log(ctx, backoff.logLevel(slog.LevelInfo), "the task goes on by itself (task.auto.restart)", "task",
			t.number, "in", backoff.delay)
		if pause.For(waiting, backoff.delay) == nil {
			return ctx.Err() == nil
		}
	default:
		c.controller.update(func(*spec, *status) {
			if !isRestart(waiting) { // else it was restarted meanwhile, and works on
				t.setIdle()
			}
		})
		select {
		case <-waiting.Done():
		case <-c.set.restartable.Done():
		}
	}
	return isRestart(waiting) && ctx.Err() == nil
}

// restartTask has a task made again. false: it does not run, nor wait for that.
func (c *connectorRun) restartTask(number int) bool {
	defer c.controller.statusChanged()
	c.controller.mu.Lock()
	defer c.controller.mu.Unlock()
	if c.set.restartable == nil || c.set.restartable.Err() != nil {
		return false
	}
	for _, t := range c.set.tasks {
		if t.number != number || t.cancelWork == nil {
			continue
		}
		t.idle, t.restartsAt = false, time.Time{}
		t.setState(Restarting)
		t.cancelWork(errRestart)
		return true
	}
	return false
}

// autoRestart is what the connector says of task.auto.restart, else the worker.
func (c *connectorRun) autoRestart() bool { return c.boolean(config.AutoRestart) }

// isRetriable tells whether what a connector or task failed by may be over later. What the service refuses, configurations
// and data stay as they are, and so does a record of which nobody can find out whether it was written.
func isRetriable(err error) bool {
	var fault *wit.Error
	return errors.As(err, &fault) && fault.Kind == wit.ErrorTransient ||
		security.Passes(err) || errors.Is(err, kgo.ErrRecordTimeout) || errors.Is(err, kgo.ErrRecordRetries)
}
