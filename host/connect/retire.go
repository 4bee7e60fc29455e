package connect

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// onDelete is the setting that says what the deletion of a connector leaves at its service: `keep`, the default, or
// `terminate`.
const (
	onDelete  = "on.delete"
	terminate = "terminate"
)

// Retire ends what a source that is stopped has opened at its service, and returns what that was. A connector that is
// resumed meanwhile waits until that has been given up. Errors are [ErrUnknownConnector], [ErrNotStopped],
// [ErrNotSource], and those of the service.
func (h *Herder) Retire(ctx context.Context, name string) (done string, err error) {
	k, err := h.find(name)
	if err != nil {
		return "", err
	}
	if !h.isRunning() {
		return "", ErrNotStopped
	}
	result := make(chan string, 1) // by the goroutine that does it, for whom nobody may wait any more
	err = k.runWhenStopped(ctx, retireTimeout, true, func(ctx context.Context) error {
		c := k.newDetachedRun()
		if err := c.configError(); err != nil {
			return err
		}
		if c.isSink() {
			return ErrNotSource
		}
		retired, err := c.callRetire(ctx)
		result <- retired
		return err
	})
	if err != nil {
		return "", err
	}
	return <-result, nil
}

// ErrNotSource is the error of what only a source has.
var ErrNotSource = errors.New("a sink has opened nothing at its service")

// retireTimeout bounds how long the end of what a deleted connector has at its service may take.
const retireTimeout = time.Minute

// revocationGrace is for how long a worker ends what a connector has opened that is deleted after it was taken away: who
// was given it may not have begun.
const revocationGrace = 30 * time.Second

// retire ends what a deleted connector has opened at its service, where its settings say so. Its tasks have ended. In
// a group each worker that had a share of it does so, since none knows when the tasks of others end; or else the
// leader, where those that had one are lost. Who is no member any more leaves it to others. What fails is logged, with
// what is left to do by hand: the connector is gone all the same.
func (k *controller) retire(ctx context.Context) {
	c := k.newDetachedRun()
	s := k.desired()
	switch {
	case s.lastAssignment.empty() || c.configError() != nil || c.isSink(),
		!strings.EqualFold(c.config.Text(onDelete), terminate), s.ownersLost != nil && !s.ownersLost(ctx):
		return
	}
	ctx, cancel := context.WithTimeout(ctx, retireTimeout)
	defer cancel()
	err := c.options.claims.acquire(k.name, s.lastAssignment.claims())
	if err == nil && c.options.Group != nil {
		err = c.options.Group.CheckLease(ctx)
	}
	done := ""
	if err == nil {
		done, err = c.callRetire(ctx)
	}
	if err != nil {
		c.log.Error("what the connector has opened at its service was not ended; culvert retire -p FILE does it",
			"error", err)
		return
	}
	c.log.Info("ended what the connector had opened at its service", "ended", done)
}

func (c *connectorRun) callRetire(ctx context.Context) (done string, err error) {
	if _, err := c.reloadSecrets(); err != nil {
		return "", err
	}
	if err := c.openService(ctx); err != nil {
		return "", err
	}
	defer c.clients.client.Close()
	binding, err := c.bind()
	if err != nil {
		return "", err
	}
	defer binding.Close()
	guest := check.Guest(c.options.Plugins, binding.Current().Module(), c.class.component)
	settings, addresses := guest.Settings(c.config), []string{notificationPath(c.config.Name, "")}
	err = transport.Ask(ctx, c.clients.client, func(state []byte, answers []wit.Response) (need *wit.RequestBatch,
		err error) {
		err = binding.Current().Do(ctx, func(i *plugin.Instance) error {
			a, err := i.Retire(ctx, c.class.component.Name, settings, addresses, state, answers)
			if need = a.Pending; a.Done != nil {
				done = *a.Done
			}
			return err
		})
		return need, err
	})
	if err == nil && done == "" {
		return "nothing", nil
	}
	return done, err
}
