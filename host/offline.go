package host

import (
	"context"
	"errors"
	"maps"
	"net/http"

	"github.com/culvert-project/culvert/internal/group"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/takeover"
)

// Offline calls do with the REST API of a worker that runs no connectors. The data folder is locked until do returns.
func Offline(ctx context.Context, c Config, do func(http.Handler) error) error {
	return offline(ctx, c, mode{}, func(h *Host) error { return do(rest.Handler(h.backend.REST())) })
}

// Replay replays dead letters without running connectors.
func Replay(ctx context.Context, c Config, r ReplayRequest) (result ReplayResult, err error) {
	err = offline(ctx, c, mode{}, func(h *Host) error {
		result, err = h.parts.Get().Herder.Replay(ctx, r)
		return err
	})
	return result, err
}

// Import writes the connectors of a data folder to the config topic of a group, see [takeover.ImportIntoGroup].
func Import(ctx context.Context, c Config, startOver bool) (names []string, err error) {
	err = offline(ctx, c, mode{importing: true}, func(h *Host) error {
		worker, ok := h.group.(*group.Worker)
		if !ok {
			return &SetupError{Cause: errors.New("expected the file of a worker that forms a group: with group.id, " +
				"config.storage.topic and status.storage.topic, and brokers other than the embedded one")}
		}
		stored, _ := h.stored.Snapshot()
		names, err = takeover.ImportIntoGroup(ctx, takeover.Source{Installation: h.installation, Stored: stored,
			Herder: h.parts.Get().Herder, Group: worker}, startOver)
		return err
	})
	return names, err
}

// offline calls do with a host that has opened Kafka and the herder but runs no connectors and no listeners.
func offline(ctx context.Context, c Config, m mode, do func(*Host) error) error {
	c.Settings = maps.Clone(c.Settings)
	if c.Settings == nil {
		c.Settings = map[string]string{}
	}
	c.Settings["listeners"] = ""
	m.offline = true
	m.standalone = m.standalone || len(c.Files.Connectors) > 0 // the command concerns the connectors of these files
	h, err := newHost(ctx, c, m)
	if err != nil {
		return err
	}
	defer h.Close()
	cleanup, err := h.start(ctx)
	defer cleanup.Run()
	if err != nil {
		return err
	}
	return do(h)
}
