package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
)

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
		k := &task{connector: &connector{o: &Options{started: &startups{}}, owner: &owner{times: &times{}},
			log: slog.New(slog.DiscardHandler)}, state: Running}
		if k.ended(c.ctx, c.err, slog.LevelError); k.state != c.state || (k.fault != nil) != (c.state == Failed) {
			t.Errorf("%v, stopped %t: expected %s, found %s (%v)", c.err, c.ctx.Err() != nil, c.state, k.state, k.fault)
		}
	}
}
