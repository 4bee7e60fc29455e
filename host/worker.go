package host

import (
	"context"
	"errors"
	"net/http"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/rest"
)

// worker is what REST shows of a host, while it starts and after.
type worker struct{ host *Host }

// Strike is a text without what config providers gave.
func (w worker) Strike(text string) string { return w.host.in.Worker.Strike(text) }

func (w worker) herder() *connect.Herder { return w.host.now().herder }

func (w worker) Root() rest.Root {
	_, commit := Version()
	return rest.Root{Version: restVersion(), Commit: commit, Cluster: w.host.now().cluster}
}

// ID is host:port of this worker.
func (w worker) ID() string { return w.host.workerID() }

// Started implements [rest.Worker]. Without the connectors, changes would be made as if there were none.
func (w worker) Started() error {
	now, c := w.host.now(), w.host.clustered
	switch r := now.reloads; {
	case now.plugins == nil:
		return errors.New("Plugins are being loaded.")
	case now.herder == nil:
		return errors.New("Kafka is being reached and offsets are being read.")
	case w.host.config.Once, w.host.config.offline:
	case r == nil:
		return errors.New("Plugins that no connector needs are being loaded, and connectors cannot be changed yet.")
	case c != nil && !c.Joined():
		return errors.New("The worker is joining its group.")
	case !r.store.Begun(), c != nil && !r.applied.Load():
		return errors.New("Connectors are being looked at for the first time, and cannot be changed yet.")
	}
	return nil
}

// Ready implements [rest.Worker].
func (w worker) Ready(ctx context.Context) error {
	if err := w.Started(); err != nil {
		return err
	}
	return w.herder().Barrier(ctx)
}

func (w worker) Passwords() func(setting string) bool {
	return check.Passwords(w.host.now().plugins)
}

// Herder implements [rest.Worker].
func (w worker) Herder() rest.Herder {
	h := w.herder()
	if w.host.clustered == nil {
		return h
	}
	return herding{h, w.host.clustered}
}

// Parts are those of now.
func (w worker) Parts() rest.Parts {
	return rest.Parts{Plugins: w.host.now().plugins, Lockouts: w.host.lockouts, Levels: w.host.levels, Log: w.host.log,
		Recent: w.host.recent}
}

// Steered refuses what is done to connectors in a run that ends by itself: it would end with success, and what it was
// to move would lie there.
func (w worker) Steered() error {
	if w.host.config.Once {
		return &rest.Refusal{Status: http.StatusMethodNotAllowed,
			Message: "Nothing is paused, stopped or restarted by REST in a run with --once"}
	}
	return nil
}

// Aim keeps the target state before it is answered: it outlives the worker.
func (w worker) Aim(name string, target connect.TargetState) error {
	if err := w.Steered(); err != nil {
		return err
	}
	h := w.herder()
	w.host.steering.Lock()
	defer w.host.steering.Unlock()
	if _, err := h.NowOf(name); err != nil {
		return err
	}
	if c := w.host.clustered; c != nil {
		return c.aimAt(context.Background(), name, target)
	}
	if err := w.host.targets.Set(name, targetName(target)); err != nil {
		return err
	}
	return steer(h, name, target)
}

// steer has a connector go to a target state.
func steer(h *connect.Herder, name string, target connect.TargetState) error {
	switch target {
	case connect.Paused:
		return h.Pause(name)
	case connect.Stopped:
		return h.Stop(name)
	}
	return h.Resume(name)
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

// TracksTopics is what topic.tracking.enable and topic.tracking.allow.reset say.
func (w worker) TracksTopics() (tracks, resets bool) {
	settings := w.host.in.Worker
	return settings.Boolean("topic.tracking.enable"), settings.Boolean("topic.tracking.allow.reset")
}

// LookAgain has the folder of connectors read again.
func (w worker) LookAgain() { w.host.Reload() }
