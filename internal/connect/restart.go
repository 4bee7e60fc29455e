package connect

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/internal/service"
	"github.com/culvert-project/culvert/wit"
)

var errRestart = errors.New("the task is restarted")

const (
	firstRestartDelay = 10 * time.Second
	finalRestartDelay = 10 * time.Minute
)

// restartBackoff counts consecutive transient failures. The delays grow, and only the first failure is logged.
type restartBackoff struct {
	failures int
	delay    time.Duration
}

// recordFailure resets the backoff if the attempt moved rows for twice the next delay, or lasted longer than the
// retries of a request.
func (o *restartBackoff) recordFailure(err error, worked time.Duration, moved bool) {
	switch {
	case !isRetriable(err):
		*o = restartBackoff{}
	case o.failures == 0 || moved && worked > 4*o.delay || worked > 2*finalRestartDelay:
		*o = restartBackoff{1, firstRestartDelay}
	default:
		o.failures++
		o.delay = min(2*o.delay, finalRestartDelay)
	}
}

func (o *restartBackoff) logLevel(first slog.Level) slog.Level {
	if o.failures > 1 {
		return slog.LevelDebug
	}
	return first
}

func isRestart(ctx context.Context) bool { return context.Cause(ctx) == errRestart }

func (t *task) waitForRestart(ctx context.Context, err error, version int64, backoff *restartBackoff) bool {
	c := t.run
	waiting, stop := t.startWork(ctx)
	defer stop(nil)
	switch {
	case service.IsConfigError(err):
		if !c.clients.service.WaitForConfigChange(waiting, c.clients.client, version) {
			break
		}
		if err := c.clients.client.Refresh(ctx); err != nil { // the client may have changed
			c.log.Warn("the settings of the service cannot be read", "error", err)
		}
		c.log.Info("the service's settings have changed, or a rejected login is tried again: the task continues",
			"task", t.number)
		return true
	case c.autoRestart() && isRetriable(err):
		c.controller.update(func(*spec, *status) { t.restartsAt = time.Now().Add(backoff.delay) })
		c.log.Log(ctx, backoff.logLevel(slog.LevelInfo), "the task restarts by itself (task.auto.restart)", "task",
			t.number, "in", backoff.delay)
		if pause.For(waiting, backoff.delay) == nil {
			return ctx.Err() == nil
		}
	default:
		c.controller.update(func(*spec, *status) {
			if !isRestart(waiting) { // a restart has reset it
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

func (c *connectorRun) autoRestart() bool { return c.boolean(config.AutoRestart) }

// isRetriable reports whether an error may be transient. Rejections, configuration and data errors are not, nor is a
// record in doubt that cannot be checked.
func isRetriable(err error) bool {
	var fault *wit.Error
	return errors.As(err, &fault) && fault.Kind == wit.ErrorTransient ||
		security.IsTransient(err) || errors.Is(err, kgo.ErrRecordTimeout) || errors.Is(err, kgo.ErrRecordRetries)
}
