package host

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/internal/run/offset"
	"github.com/culvert-project/culvert/host/logging"
	"github.com/culvert-project/culvert/host/rest"
)

// worker is what REST shows of a host, while it starts and after.
type worker struct{ host *Host }

// Strike is a text without what config providers gave.
func (w worker) Strike(text string) string { return w.host.in.Worker.Strike(text) }

func (w worker) herder() *connect.Herder {
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	return w.host.herder
}

func (w worker) Root() rest.Root {
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	if w.host.herder == nil {
		_, commit := Version()
		return rest.Root{Version: restVersion(), Commit: commit}
	}
	return w.host.root
}

// Ready tells whether the worker does what REST asks it for: it is not while changes are answered by starting.
func (w worker) Ready(ctx context.Context) error {
	w.host.mu.Lock()
	h, r := w.host.herder, w.host.reloads
	w.host.mu.Unlock()
	switch {
	case !w.host.loaded():
		return errors.New("Plugins are being loaded.")
	case h == nil:
		return errors.New("Kafka is being reached and offsets are being read.")
	case w.host.config.Once:
		return nil
	case r != nil && !r.store.Begun():
		return errors.New("The folders of connectors are being looked at for the first time, " +
			"and connectors cannot be changed yet.")
	case r == nil:
		return errors.New("Plugins that no connector needs are being loaded, and connectors cannot be changed yet.")
	}
	return h.Moves(ctx)
}

// Known returns nil once the herder has all connectors that were read at the start and, where a folder is followed,
// reloads are possible.
func (w worker) Known() error {
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	if w.host.herder == nil || w.host.reloads == nil && !w.host.config.Once {
		return starting
	}
	return nil
}

func (w worker) Names() []string {
	if h := w.herder(); h != nil {
		return h.Names()
	}
	return nil
}

func (w worker) Info(name string) (info connect.Info, ok bool) {
	if h := w.herder(); h != nil {
		return h.Info(name)
	}
	return info, false
}

func (w worker) Status(name string) (status connect.Status, ok bool) {
	if h := w.herder(); h != nil {
		return h.Status(name)
	}
	return status, false
}

func (w worker) Tasks(name string) ([]connect.TaskInfo, bool) {
	if h := w.herder(); h != nil {
		return h.Tasks(name)
	}
	return nil, false
}

func (w worker) Passwords() func(setting string) bool {
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	return check.Passwords(w.host.plugins)
}

func (w worker) Plugins(connectorsOnly bool) []connect.Plugin {
	if h := w.herder(); h != nil {
		return h.Plugins(connectorsOnly)
	}
	return nil
}

func (w worker) Pause(name string) error {
	return w.aim(name, connect.Paused, (*connect.Herder).Pause)
}

func (w worker) Resume(name string) error {
	return w.aim(name, connect.Running, (*connect.Herder).Resume)
}

func (w worker) Stop(name string) error {
	return w.aim(name, connect.Stopped, (*connect.Herder).Stop)
}

func (w worker) Restart(name string) error { return w.steer(name, (*connect.Herder).Restart) }

// RestartTask is [connect.Herder.RestartTask].
func (w worker) RestartTask(name string, task int) error {
	return w.steer(name, func(h *connect.Herder, name string) error { return h.RestartTask(name, task) })
}

// aim gives a connector another target state, which is kept before it is answered: it outlives the worker.
func (w worker) aim(name string, target connect.TargetState, do func(*connect.Herder, string) error) error {
	return w.steer(name, func(h *connect.Herder, name string) error {
		w.host.steering.Lock()
		defer w.host.steering.Unlock()
		if _, there := h.Status(name); !there {
			return fmt.Errorf("%s: %w", name, connect.ErrUnknownConnector)
		}
		if err := w.host.targets.Set(name, targetName(target)); err != nil {
			return err
		}
		return do(h, name)
	})
}

// targetName is the name under which a target state is kept.
func targetName(t connect.TargetState) string {
	switch t {
	case connect.Paused:
		return config.TargetPaused
	case connect.Stopped:
		return config.TargetStopped
	}
	return config.TargetStarted
}

// steer does something about a connector, where connectors run until they are stopped. In a run that ends by itself it
// would end with success, and what it was to move would lie there.
func (w worker) steer(name string, do func(*connect.Herder, string) error) error {
	h := w.herder()
	switch {
	case w.host.config.Once:
		return &rest.Refusal{Status: http.StatusMethodNotAllowed,
			Message: "Nothing is paused, stopped or restarted by REST in a run with --once"}
	case h == nil:
		return starting
	}
	return do(h, name)
}

// Offsets is [connect.Herder.Offsets].
func (w worker) Offsets(ctx context.Context, name string) ([]offset.Entry, error) {
	h := w.herder()
	if h == nil {
		return nil, starting
	}
	return h.Offsets(ctx, name)
}

// AlterOffsets is [connect.Herder.AlterOffsets].
func (w worker) AlterOffsets(ctx context.Context, name string, entries []offset.Entry) error {
	return w.steer(name, func(h *connect.Herder, name string) error { return h.AlterOffsets(ctx, name, entries) })
}

// ResetOffsets is [connect.Herder.ResetOffsets].
func (w worker) ResetOffsets(ctx context.Context, name string) error {
	return w.steer(name, func(h *connect.Herder, name string) error { return h.ResetOffsets(ctx, name) })
}

// Topics is [connect.Herder.Topics], where topic.tracking.enable lets them be told.
func (w worker) Topics(name string) ([]string, error) {
	h := w.herder()
	switch {
	case !w.host.in.Worker.Boolean("topic.tracking.enable"):
		return nil, rest.ErrTopics{Text: "Topic tracking is disabled."}
	case h == nil:
		return nil, starting
	}
	topics, ok := h.Topics(name)
	if !ok {
		return nil, connect.ErrUnknownConnector
	}
	return topics, nil
}

// ResetTopics is [connect.Herder.ResetTopics], where topic.tracking.allow.reset lets them be forgotten.
func (w worker) ResetTopics(name string) error {
	h := w.herder()
	switch {
	case !w.host.in.Worker.Boolean("topic.tracking.enable"):
		return rest.ErrTopics{Text: "Topic tracking is disabled."}
	case !w.host.in.Worker.Boolean("topic.tracking.allow.reset"):
		return rest.ErrTopics{Text: "Topic tracking reset is disabled."}
	case h == nil:
		return starting
	}
	return h.ResetTopics(name)
}

// Loggers are those of the host's lines.
func (w worker) Loggers() *logging.Levels { return w.host.levels }

// NoLines says that a level was set of a logger that no line is of.
func (w worker) NoLines(logger, level string) {
	w.host.log.Warn(noLines, "logger", logger, "level", level, "loggers", logging.Loggers())
}
