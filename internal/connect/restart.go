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
	since    time.Time // of the first failure
}

// recordFailure counts the failure of an attempt. The backoff begins again if the attempt moved rows for twice the next
// delay, or lasted longer than the retries of a request.
func (b *restartBackoff) recordFailure(err error, duration time.Duration, movedRows bool) {
	nextDelay := 2 * b.delay
	switch {
	case !isRetriable(err):
		*b = restartBackoff{}
	case b.failures == 0 || (movedRows && duration > 2*nextDelay) || duration > 2*finalRestartDelay:
		*b = restartBackoff{failures: 1, delay: firstRestartDelay, since: time.Now()}
	default:
		b.failures++
		b.delay = min(nextDelay, finalRestartDelay)
	}
}

func (b *restartBackoff) logLevel(first slog.Level) slog.Level {
	if b.failures > 1 {
		return slog.LevelDebug
	}
	return first
}

func isRestart(ctx context.Context) bool { return context.Cause(ctx) == errRestart }

// waitForRestart waits after a failure until a restart can help, and reports whether the task makes another attempt. A
// restartsAt of zero means that only a change of the settings or a restart on request can help. A restart on request
// cancels waitCtx, which is a child of ctx. version is the version of the service's settings before the attempt.
func (t *task) waitForRestart(ctx, waitCtx context.Context, err error, version int64, restartsAt time.Time) bool {
	run := t.run
	switch {
	case service.IsConfigError(err):
		if !run.clients.service.WaitForConfigChange(waitCtx, run.clients.client, version) {
			break
		}
		if err := run.clients.client.Refresh(ctx); err != nil { // the client may have changed
			run.log.Warn("the settings of the service cannot be read", "error", err)
		}
		run.log.Info("the service's settings have changed, or a rejected login is tried again: the task continues",
			"task", t.number)
		return true
	case !restartsAt.IsZero():
		if pause.For(waitCtx, time.Until(restartsAt)) == nil {
			return ctx.Err() == nil
		}
	default:
		run.controller.update(func(*spec, *status) {
			if !t.isRestartRequested() { // else the request has ended the idleness already
				t.setIdle()
			}
		})
		select {
		case <-waitCtx.Done():
		case <-run.taskSet.restartable.Done():
		}
	}
	return isRestart(waitCtx) && ctx.Err() == nil
}

// restartTask requests the restart of one task. It reports false if the connector must restart.
func (run *connectorRun) restartTask(number int) bool {
	defer run.controller.reportStatus()
	run.controller.mu.Lock()
	defer run.controller.mu.Unlock()
	if run.taskSet.restartable == nil || run.taskSet.restartable.Err() != nil {
		return false
	}
	for _, t := range run.taskSet.tasks {
		if t.number != number || t.cancelWork == nil {
			continue
		}
		t.isIdle = false
		t.restartsAt = time.Time{}
		t.setState(Restarting)
		t.cancelWork(errRestart)
		return true
	}
	return false
}

func (run *connectorRun) autoRestart() bool { return run.boolean(config.AutoRestart) }

// isRetriable reports whether an error may be transient. Rejections, configuration and data errors are not, nor is a
// record in doubt that cannot be checked.
func isRetriable(err error) bool {
	var witError *wit.Error
	return (errors.As(err, &witError) && witError.Kind == wit.ErrorTransient) ||
		security.IsTransient(err) || errors.Is(err, kgo.ErrRecordTimeout) || errors.Is(err, kgo.ErrRecordRetries)
}
