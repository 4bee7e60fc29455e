package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check/checktest"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/wit"
)

// defaultWorker returns a worker without settings.
func defaultWorker(t *testing.T) *config.Worker {
	t.Helper()
	worker, problems := config.NewWorker("", nil, nil, nil)
	require.NoError(t, problems.Err())
	return worker
}

// newEmptyRun returns the run of the standalone connector c, which has no settings and no tasks.
func newEmptyRun(options *Options, log *slog.Logger) *connectorRun {
	ctl := &controller{log: log, spec: spec{options: options}, status: status{state: Running, clocks: stateClocks{}}}
	connector := newConnector(options.Worker, "c")
	options.Group = cmp.Or[Group](options.Group, standalone{})
	return &connectorRun{controller: ctl, options: options, accepted: connector, config: connector, log: log,
		taskSet: taskSet{assignment: Assignment{OwnsConnector: true}, isFixed: true}}
}

// newConnector returns a connector of a class that declares no settings.
func newConnector(worker *config.Worker, name string, entries ...config.Entry) *resolved.Connector {
	written := &config.Connector{Name: name, Entries: entries}
	return resolved.Resolver{Worker: worker}.ResolveAs(written, plugin.NewComponent(&wit.Component{}))
}

// An error that is not caused by the stop is a failure, whatever it wraps.
func TestTaskStateAfterAttempt(t *testing.T) {
	stopped, stop := context.WithCancel(t.Context())
	stop()
	canceledErr := fmt.Errorf("read offsets: %w", context.Canceled)
	for name, test := range map[string]struct {
		ctx  context.Context
		err  error
		want State
	}{
		"ended":                      {ctx: t.Context(), err: nil, want: Running},
		"failed":                     {ctx: t.Context(), err: errors.New("no"), want: Failed},
		"canceled without a stop":    {ctx: t.Context(), err: canceledErr, want: Failed},
		"stopped":                    {ctx: stopped, err: nil, want: Unassigned},
		"stopped and canceled":       {ctx: stopped, err: canceledErr, want: Unassigned},
		"stopped with another error": {ctx: stopped, err: errors.New("no"), want: Failed},
	} {
		options := &Options{Group: standalone{}, sharedResources: sharedResources{starts: &startCounters{}}}
		task := &task{run: newEmptyRun(options, slog.New(slog.DiscardHandler))}
		task.state = Running
		task.restartsAt = time.Now() // of an earlier failure: the attempt has not begun to work
		task.recordEnd(test.ctx, test.err, nil)
		assert.True(t, task.state == test.want && (task.err != nil) == (test.want == Failed),
			"%s: expected %s, found %s (%v)", name, test.want, task.state, task.err)
		assert.Equal(t, test.want == Failed, task.restartsAt.IsZero(), name+": no automatic restart")
	}
}

// All attempts of all tasks of a run share the flag that the service has answered: after one of them has opened the
// plugin, a service that is not found is a transient error. A new run has a new flag.
func TestTasksShareThatServiceHasAnswered(t *testing.T) {
	b := newBench(t, checktest.WithSpy(t))
	answeredOf := func(run *connectorRun, number int) *atomic.Bool {
		task := &task{run: run, number: number}
		return task.sinkOptions(nil, &chainFactory{}).Answered
	}
	h := New(b.options, []*resolved.Connector{b.Connector(t, "name=c", "connector.class=test.SpySource")})
	ctl, _ := h.find("c")
	run := ctl.currentRun()
	first := answeredOf(run, 0)
	ofSource := (&task{run: run}).sourceOptions(delivery{}, nil, &chainFactory{}).Answered
	assert.True(t, first != nil && first == answeredOf(run, 1) && first == ofSource,
		"expected the tasks to share one flag, found several")
	ctl.newRun()
	assert.True(t, answeredOf(ctl.currentRun(), 0) != first, "expected a new flag of a new run, found the same")
}
