package connect

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/service"
)

// errRestart ends what a task does, so that it is made anew.
var errRestart = errors.New("the task is restarted")

// Pauses before a failed task goes on by itself (task.auto.restart): the first, and the longest, to which they double.
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
	var pause time.Duration
	for {
		version, began := c.service.Version(), time.Now()
		working, stop := t.does(ctx)
		err := service.Explained(c.client, guard.Do(c.log, t.name(), func() error { return t.work(working, once) }))
		if again := asked(working); again && ctx.Err() == nil {
			stop(nil)
			t.restarted()
			c.log.Info("the task is restarted, as was asked for", "task", t.number)
			continue
		}
		stop(nil)
		t.ended(ctx, err)
		if once || err == nil || ctx.Err() != nil {
			return
		}
		pause = c.nextRestart(pause, time.Since(began))
		if !t.goesOn(ctx, err, version, pause) {
			return
		}
	}
}

// restarted notes that the task begins anew: its times, and whether it has come as far as to work.
func (t *task) restarted() {
	c := t.connector
	c.mu.Lock()
	defer c.mu.Unlock()
	t.began = false
	c.times.renew(t.number, t.state)
}

// nextRestart is the pause behind one of a task that has worked since then, and failed again.
func (c *connector) nextRestart(pause, worked time.Duration) time.Duration {
	if pause *= 2; worked > 2*pause {
		pause = c.restarts // it has worked for long enough to count as mended
	}
	return min(max(pause, c.restarts), lastRestart)
}

// asked tells whether a context was ended to have the task made anew.
func asked(ctx context.Context) bool { return context.Cause(ctx) == errRestart }

// does is the context of what the task does next, which a restart ends.
func (t *task) does(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	doing, stop := context.WithCancelCause(ctx)
	t.connector.mu.Lock()
	defer t.connector.mu.Unlock()
	t.stop = stop
	return doing, stop
}

// leaves notes that the task has ended for good.
func (t *task) leaves() {
	c := t.connector
	c.mu.Lock()
	defer c.mu.Unlock()
	t.stop = nil
	t.rests(true)
}

// rests notes that the task waits for somebody, or no longer; the connector's lock is held.
func (t *task) rests(now bool) {
	switch c := t.connector; {
	case now == t.rest:
	case now:
		t.rest = true
		if c.working--; c.working == 0 && c.over != nil {
			c.over()
		}
	default:
		t.rest = false
		c.working++
	}
}

// goesOn waits until a task that has failed can go on; false: it cannot.
func (t *task) goesOn(ctx context.Context, err error, version int64, pause time.Duration) bool {
	c := t.connector
	switch {
	case service.Fixable(err):
		waiting, stop := t.does(ctx)
		defer stop(nil)
		if !c.service.AwaitFix(waiting, c.client, version) {
			return asked(waiting) && ctx.Err() == nil
		}
		if err := c.client.Refresh(ctx); err != nil { // it is another one now
			c.log.Warn("settings of the service", "error", err)
		}
		c.log.Info("settings of the service are others, or a refused logon is tried once more: the task goes on",
			"task", t.number)
		return true
	case c.autoRestart() && mayPass(err):
		waiting, stop := t.does(ctx)
		defer stop(nil)
		c.mu.Lock()
		t.next = time.Now().Add(pause)
		c.mu.Unlock()
		c.log.Info("the task goes on by itself (task.auto.restart)", "task", t.number, "in", pause)
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
			return ctx.Err() == nil
		case <-waiting.Done():
			return asked(waiting) && ctx.Err() == nil
		}
	}
	waiting, stop := t.does(c.resting)
	defer stop(nil)
	c.mu.Lock()
	t.rests(true)
	c.mu.Unlock()
	<-waiting.Done()
	return asked(waiting) && ctx.Err() == nil
}

// restartTask has a task made anew. false: it does not run, nor wait for that.
func (c *connector) restartTask(number int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resting == nil || c.resting.Err() != nil {
		return false
	}
	for _, t := range c.tasks {
		if t.number != number || t.stop == nil {
			continue
		}
		t.rests(false)
		t.state, t.next = Restarting, time.Time{}
		c.times.enter(number, Restarting)
		t.stop(errRestart)
		return true
	}
	return false
}

// autoRestart is what the connector says of task.auto.restart, else the worker.
func (c *connector) autoRestart() bool {
	if on, ok := config.Boolean(c.config.Setting(config.AutoRestart, c.o.Worker)); ok {
		return on
	}
	return c.o.Worker.File == "" // with a file, as Kafka Connect does
}

// mayPass tells whether what a task failed by may be over later. What the service refuses, configurations and data stay
// as they are.
func mayPass(err error) bool {
	return passing(err) || kerr.IsRetriable(err) || kgo.IsRetryableBrokerErr(err) ||
		errors.Is(err, kgo.ErrRecordTimeout) || errors.Is(err, kgo.ErrRecordRetries)
}
