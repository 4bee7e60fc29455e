package connect

import (
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
)

func plainWorker(t *testing.T) *config.Worker {
	t.Helper()
	worker, problems := config.NewWorker("", nil, nil, nil)
	require.NoError(t, problems.Err())
	return worker
}

func emptyConnector(options *Options, log *slog.Logger) *connectorRun {
	ctl := &controller{log: log, spec: spec{options: options}, status: status{state: Running, clocks: stateClocks{}}}
	return &connectorRun{controller: ctl, options: options, log: log,
		taskSet: taskSet{assignment: Assignment{Standalone: true}}}
}

// An error that is not caused by the stop is a failure, whatever it wraps.
func TestTaskStateAfterAttempt(t *testing.T) {
	stopped, stop := context.WithCancel(t.Context())
	stop()
	canceled := fmt.Errorf("read offsets: %w", context.Canceled)
	for _, test := range []struct {
		ctx   context.Context
		err   error
		state State
	}{
		{t.Context(), nil, Running},
		{t.Context(), errors.New("no"), Failed},
		{t.Context(), canceled, Failed},
		{stopped, nil, Unassigned},
		{stopped, canceled, Unassigned},
		{stopped, errors.New("no"), Failed},
	} {
		options := &Options{sharedResources: sharedResources{starts: &startCounters{}}}
		k := &task{run: emptyConnector(options, slog.New(slog.DiscardHandler))}
		k.state = Running
		k.restartsAt = time.Now() // after an earlier failure, before an attempt that did not begin to work
		k.recordEnd(test.ctx, test.err, nil)
		if k.state != test.state || (k.err != nil) != (test.state == Failed) {
			t.Errorf("%v, stopped %t: expected %s, found %s (%v)", test.err, test.ctx.Err() != nil, test.state,
				k.state, k.err)
		}
		assert.Equal(t, test.state == Failed, k.restartsAt.IsZero())
	}
}

// All attempts of all tasks of a run share what is known of the service: once one of them has opened the plugin, a
// service that is not found is a transient error. A new run starts without that.
func TestTasksShareThatServiceHasAnswered(t *testing.T) {
	b := newBench(t, checktest.WithSpy(t))
	answeredOf := func(run *connectorRun, number int) *atomic.Bool {
		k := &task{run: run, number: number}
		return k.sinkOptions(nil, &chainFactory{}).Answered
	}
	h := New(b.options, []*config.Connector{b.Connector(t, "name=c", "connector.class=test.SpySource")})
	ctl, _ := h.find("c")
	run := ctl.currentRun()
	first := answeredOf(run, 0)
	if first == nil || first != answeredOf(run, 1) || first != (&task{run: run}).sourceOptions(delivery{}, nil,
		&chainFactory{}).Answered {
		t.Error("expected the tasks to share it")
	}
	ctl.newRun()
	if answeredOf(ctl.currentRun(), 0) == first {
		t.Error("expected a new run not to share it")
	}
}
