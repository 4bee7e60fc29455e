package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/internal/base/require"
)

// plainWorker returns the configuration of a worker without settings.
func plainWorker(t *testing.T) *config.Worker {
	t.Helper()
	worker, problems := config.NewWorker("", nil, nil, nil)
	require.NoError(t, problems.Err())
	return worker
}

// bareConnector is a connector without a configuration.
func bareConnector(o *Options, log *slog.Logger) *connector {
	k := &controller{log: log, spec: spec{o: o}, status: status{state: Running, times: times{}}}
	return &connector{controller: k, o: o, log: log, set: taskSet{share: Assignment{Standalone: true}}}
}

// TestHowATaskEnds: what is no stop is a fault, whatever its error wraps.
func TestHowATaskEnds(t *testing.T) {
	stopped, stop := context.WithCancel(t.Context())
	stop()
	canceled := fmt.Errorf("read offsets: %w", context.Canceled)
	for _, c := range []struct {
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
		o := &Options{common: common{started: &startups{}}}
		k := &task{connector: bareConnector(o, slog.New(slog.DiscardHandler))}
		k.state = Running
		if k.ended(c.ctx, c.err, slog.LevelError); k.state != c.state || (k.fault != nil) != (c.state == Failed) {
			t.Errorf("%v, stopped %t: expected %s, found %s (%v)", c.err, c.ctx.Err() != nil, c.state, k.state, k.fault)
		}
	}
}
