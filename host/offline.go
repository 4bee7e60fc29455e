package host

import (
	"context"
	"maps"
	"net/http"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/rest"
)

// Offline opens an installation without running its connectors, and has do ask REST's handler about it: its offsets can
// be read and changed. The data folder is locked meanwhile, so that no worker runs on it. Errors are as of [New] and
// [Host.Run], or do's.
func Offline(ctx context.Context, c Config, do func(http.Handler) error) error {
	return offline(ctx, c, func(h *Host) error { return do(rest.Handler(worker{h}.rest())) })
}

// Replay sends dead letters once more, see [connect.Herder.Replay], without running connectors, as [Offline] does.
func Replay(ctx context.Context, c Config, r connect.ReplayRequest) (done connect.ReplayResult, err error) {
	err = offline(ctx, c, func(h *Host) error {
		done, err = h.running.herder.Replay(ctx, r)
		return err
	})
	return done, err
}

func offline(ctx context.Context, c Config, do func(*Host) error) error {
	c.Settings = maps.Clone(c.Settings)
	if c.Settings == nil {
		c.Settings = map[string]string{}
	}
	c.Settings["listeners"] = ""
	c.offline = true
	c.alone = c.alone || len(c.Files.Connectors) > 0 // which are looked at in these files
	h, err := New(ctx, c)
	if err != nil {
		return err
	}
	defer h.Close()
	closing, err := h.start(ctx)
	defer closing.close()
	if err != nil {
		return err
	}
	return do(h)
}
