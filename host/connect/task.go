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
	firstRestart = 10 * time.Second
	lastRestart  = 10 * time.Minute
)

// run runs the task until ctx ends, or with once until its work is done. A task that has failed goes on when its
// settings are others (another secret, store or destination), by itself where that may help and is wanted, and when
// somebody restarts it while another task of the connector works.
func (t *task) run(ctx context.Context, once bool) {
	defer t.leaves()
	c := t.connector
	var outage outage
	for {
		version, began := c.run.service.Version(), time.Now()
		working, stop := t.does(ctx)
		err := service.Explained(c.run.client, guard.Do(c.log, t.name(), func() error { return t.work(working, once) }))
		again := t.wasAsked(working)
		stop(nil)
		if again && ctx.Err() == nil {
			t.restarted()
			c.log.Info("the task is restarted, as was asked for", "task", t.number)
			continue
		}
		outage.met(err, time.Since(began), t.moved())
		t.ended(ctx, err, outage.level(slog.LevelError))
		if once || err == nil || ctx.Err() != nil || !t.goesOn(ctx, err, version, &outage) {
			return
		}
	}
}

// outage is a row of failures of a task that may pass, with no work between them that counts. Of one that began with
// failure 1 the pauses grow, and the log names that failure alone.
type outage struct {
	failures int
	pause    time.Duration // before the next try
}

// met notes a failure of a task that has worked for so long, and whether rows have moved. One that moved some, and
// worked for twice as long as the next pause would be, has recovered meanwhile; so has one that had nothing to move for
// longer than the tries of a request take.
func (o *outage) met(err error, worked time.Duration, moved bool) {
	switch {
	case !mayPass(err):
		*o = outage{}
	case o.failures == 0 || moved && worked > 4*o.pause || worked > 2*lastRestart:
		*o = outage{1, firstRestart}
	default:
		o.failures++
		o.pause = min(2*o.pause, lastRestart)
	}
}

// level is that of a line about the failure.
func (o *outage) level(first slog.Level) slog.Level {
	if o.failures > 1 {
		return slog.LevelDebug
	}
	return first
}

// moved tells whether what the task did last has come to anything.
func (t *task) moved() bool {
	k := t.connector.controller
	k.mu.Lock()
	now := t.taskStatus
	k.mu.Unlock()
	p := now.now()
	return p.Rows > 0 || p.Pages > 0
}

// restarted notes that the task begins again: its times, and whether it has come as far as to work.
func (t *task) restarted() {
	t.connector.controller.change(func(_ *spec, s *status) {
		t.began = false
		delete(s.times, t.number)
		t.enters(t.state)
	})
}

// asked tells whether a context was ended to have the task made again.
func asked(ctx context.Context) bool { return context.Cause(ctx) == errRestart }

// does is the context of what the task does next, which a restart ends.
func (t *task) does(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	doing, stop := context.WithCancelCause(ctx)
	t.connector.controller.change(func(*spec, *status) { t.stop = stop })
	return doing, stop
}

// wasAsked reports whether what the task did, which has ended, was to be made again. From now on a restart finds that
// the task does nothing.
func (t *task) wasAsked(doing context.Context) (again bool) {
	t.connector.controller.change(func(*spec, *status) {
		t.stop = nil
		again = asked(doing)
	})
	return again
}

// leaves notes that the task has ended for good.
func (t *task) leaves() {
	t.connector.controller.change(func(*spec, *status) {
		t.stop = nil
		t.rests()
	})
}

// rests notes that the task does not work any more; the controller's lock is held.
func (t *task) rests() {
	t.rest = true
	w := &t.connector.set
	works := func(t *task) bool { return t.leave != nil && !t.rest }
	if w.share.Standalone && !slices.ContainsFunc(w.tasks, works) {
		w.over()
	}
}

// goesOn waits until a task that has failed can go on; false: it cannot.
func (t *task) goesOn(ctx context.Context, err error, version int64, outage *outage) bool {
	c := t.connector
	waiting, stop := t.does(ctx)
	defer stop(nil)
	switch {
	case service.Fixable(err):
		if !c.run.service.AwaitFix(waiting, c.run.client, version) {
			break
		}
		if err := c.run.client.Refresh(ctx); err != nil { // it is another one now
			c.log.Warn("settings of the service", "error", err)
		}
		c.log.Info("settings of the service are others, or a refused logon is tried once more: the task goes on",
			"task", t.number)
		return true
	case c.autoRestart() && mayPass(err):
		c.controller.change(func(*spec, *status) { t.next = time.Now().Add(outage.pause) })
		c.log.Log(ctx, outage.level(slog.LevelInfo), "the task goes on by itself (task.auto.restart)", "task",
			t.number, "in", outage.pause)
		if pause.For(waiting, outage.pause) == nil {
			return ctx.Err() == nil
		}
	default:
		c.controller.change(func(*spec, *status) {
			if !asked(waiting) { // else it was restarted meanwhile, and works on
				t.rests()
			}
		})
		select {
		case <-waiting.Done():
		case <-c.set.resting.Done():
		}
	}
	return asked(waiting) && ctx.Err() == nil
}

// restartTask has a task made again. false: it does not run, nor wait for that.
func (c *connector) restartTask(number int) bool {
	defer c.controller.changed()
	c.controller.mu.Lock()
	defer c.controller.mu.Unlock()
	if c.set.resting == nil || c.set.resting.Err() != nil {
		return false
	}
	for _, t := range c.set.tasks {
		if t.number != number || t.stop == nil {
			continue
		}
		t.rest, t.next = false, time.Time{}
		t.enters(Restarting)
		t.stop(errRestart)
		return true
	}
	return false
}

// autoRestart is what the connector says of task.auto.restart, else the worker.
func (c *connector) autoRestart() bool { return c.boolean(config.AutoRestart) }

// mayPass tells whether what a connector or task failed by may be over later. What the service refuses, configurations
// and data stay as they are, and so does a record of which nobody can find out whether it was written.
func mayPass(err error) bool {
	var fault *wit.Error
	return errors.As(err, &fault) && fault.Kind == wit.ErrorTransient ||
		security.Passes(err) || errors.Is(err, kgo.ErrRecordTimeout) || errors.Is(err, kgo.ErrRecordRetries)
}
