package host

import (
	"context"
	"errors"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/rest"
)

// worker is what REST shows of a host, while it starts and after.
type worker struct{ host *Host }

// rest is the worker as REST has it.
func (w worker) rest() rest.Worker {
	return rest.Worker{Now: w.Now, Strike: w.host.in.Worker.Redact, Metrics: w.Metrics, Ready: w.Ready,
		Passwords: w.Passwords, Aim: w.Aim, Validate: w.Validate, Definitions: w.Definitions, Write: w.Write,
		Delete: w.Delete, Compare: w.Compare, Source: w.Source, Sample: w.Sample, Sampled: w.Sampled,
		SampledTest: w.SampledTest, Tools: w.Tools, RunTool: w.RunTool, Reload: w.Reload}
}

func (w worker) herder() *connect.Herder { return w.host.now().herder }

// Now implements [rest.Worker].
func (w worker) Now() rest.Parts {
	h, now, settings := w.host, w.host.now(), w.host.in.Worker
	_, commit := Version()
	return rest.Parts{Starting: w.starting(now), ID: h.workerID(), Once: h.config.Once, Herder: w.herderOf(now),
		Root:         rest.Root{Version: restVersion(), Commit: commit, Cluster: now.cluster},
		TracksTopics: settings.Boolean("topic.tracking.enable"),
		ResetsTopics: settings.Boolean("topic.tracking.allow.reset"),
		Plugins:      now.plugins, Lockouts: h.lockouts, Levels: h.levels, Log: h.log, Recent: h.recent}
}

// starting is [rest.Parts]'s Starting. Without the connectors, changes would be made as if there were none.
func (w worker) starting(now running) error {
	c := w.host.clustered
	switch r := now.reloads; {
	case now.plugins == nil:
		return errors.New("Plugins are being loaded.")
	case now.herder == nil:
		return errors.New("Kafka is being reached and offsets are being read.")
	case w.host.config.Once, w.host.config.offline:
	case r == nil:
		return errors.New("Plugins that no connector needs are being loaded, and connectors cannot be changed yet.")
	case c != nil && !c.HasJoined():
		return errors.New("The worker is joining its group.")
	case !r.store.Ready(), c != nil && !r.applied.Load():
		return errors.New("Connectors are being looked at for the first time, and cannot be changed yet.")
	}
	return nil
}

// Ready implements [rest.Worker].
func (w worker) Ready(ctx context.Context) error {
	now := w.host.now()
	if err := w.starting(now); err != nil {
		return err
	}
	return now.herder.WaitIdle(ctx)
}

// Passwords implements [rest.Worker].
func (w worker) Passwords() func(setting string) bool {
	return check.Passwords(w.host.now().plugins)
}

// herderOf returns the herder as REST has it, nil while the worker starts.
func (w worker) herderOf(now running) rest.Herder {
	switch {
	case now.herder == nil:
		return nil
	case w.host.clustered == nil:
		return now.herder
	}
	return herding{now.herder, w.host.clustered}
}

// Aim keeps the target state before it is answered: it outlives the worker.
func (w worker) Aim(name string, target connect.TargetState) error {
	h := w.herder()
	w.host.steering.Lock()
	defer w.host.steering.Unlock()
	if _, err := h.RunningConfig(name); err != nil {
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
	if t == connect.Paused || t == connect.Stopped {
		return string(t)
	}
	return config.TargetStarted
}
