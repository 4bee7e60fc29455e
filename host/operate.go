package host

import (
	"context"
	"net/http"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/rest"
)

// Lockouts are refused logons, for REST.
func (w worker) Lockouts() (shown rest.Lockouts, err error) {
	if w.herder() == nil {
		return shown, starting
	}
	list, others, err := w.host.lockouts.List()
	for _, l := range list {
		shown.Logons = append(shown.Logons, rest.Lockout{Origin: w.Strike(l.Origin), Client: w.Strike(l.Client),
			User: w.Strike(l.User), State: l.State, Since: l.Since.UTC(), Message: w.Strike(l.Text)})
	}
	shown.Others = others
	return shown, err
}

// ResumeLogons has refused logons tried once more.
func (w worker) ResumeLogons() (n int, err error) {
	err = w.steer("", func(*connect.Herder, string) error {
		n, err = w.host.lockouts.Resume()
		w.host.log.Info("refused logons are tried once more, as REST was asked", "refusals", n)
		return err
	})
	return n, err
}

// Rollback is [plugin.Manager.Rollback].
func (w worker) Rollback(name string) error {
	return w.choose(func(m *plugin.Manager) error {
		if err := m.Rollback(name); err != nil {
			return &rest.Refusal{Status: http.StatusConflict, Message: err.Error()}
		}
		return nil
	})
}

// Swap is [plugin.Manager.Swap].
func (w worker) Swap(ctx context.Context, name, hash string) error {
	return w.choose(func(m *plugin.Manager) error { return m.Swap(ctx, name, hash) })
}

func (w worker) choose(do func(*plugin.Manager) error) error {
	return w.steer("", func(*connect.Herder, string) error {
		w.host.mu.Lock()
		plugins := w.host.plugins
		w.host.mu.Unlock()
		return do(plugins)
	})
}

// Retire is [connect.Herder.Retire].
func (w worker) Retire(ctx context.Context, name string) (done string, err error) {
	err = w.steer(name, func(h *connect.Herder, name string) error {
		done, err = h.Retire(ctx, name)
		return err
	})
	return done, err
}

// Snapshot is [connect.Herder.Snapshot].
func (w worker) Snapshot(name, feed, ident string) error {
	return w.steer(name, func(h *connect.Herder, name string) error { return h.Snapshot(name, feed, ident) })
}

// Letters is [connect.Herder.LettersOf].
func (w worker) Letters(ctx context.Context, name string, last int64,
	chosen connect.LetterFilter) (found rest.Letters, err error) {
	h := w.herder()
	if h == nil {
		return found, starting
	}
	found.Topic, err = h.LettersOf(ctx, name, last, func(l *connect.DeadLetter) error {
		if chosen.Takes(l) {
			found.Letters = append(found.Letters, rest.LetterOf(l))
		}
		return nil
	})
	return found, err
}

// Replay is [connect.Herder.ReplayOf].
func (w worker) Replay(ctx context.Context, name string, r connect.Replay) (done connect.Replayed, err error) {
	err = w.steer(name, func(h *connect.Herder, name string) error {
		done, err = h.ReplayOf(ctx, name, r)
		return err
	})
	return done, err
}
