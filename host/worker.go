package host

import (
	"context"
	"errors"
	"net/http"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/rest"
)

// worker is what REST shows of a host, while it starts and after.
type worker struct{ host *Host }

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

func (w worker) Ready(context.Context) error {
	switch {
	case !w.host.loaded():
		return errors.New("Plugins are being loaded.")
	case w.herder() == nil:
		return errors.New("Kafka is being reached and offsets are being read.")
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

func (w worker) Plugins(connectorsOnly bool) []connect.Plugin {
	if h := w.herder(); h != nil {
		return h.Plugins(connectorsOnly)
	}
	return nil
}

func (w worker) Pause(name string) error   { return w.steer(name, (*connect.Herder).Pause) }
func (w worker) Resume(name string) error  { return w.steer(name, (*connect.Herder).Resume) }
func (w worker) Stop(name string) error    { return w.steer(name, (*connect.Herder).Stop) }
func (w worker) Restart(name string) error { return w.steer(name, (*connect.Herder).Restart) }

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
