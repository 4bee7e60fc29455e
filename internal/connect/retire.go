package connect

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// onDelete is the setting for what happens to subscriptions of a deleted connector: keep (default) or terminate.
const (
	onDelete  = "on.delete"
	terminate = "terminate"
)

// Retire ends subscriptions of a stopped source at its service and describes them. A resume waits until it has ended.
// Errors are [ErrUnknownConnector], [ErrNotStopped], [ErrNotSource], and the service's.
func (h *Herder) Retire(ctx context.Context, name string) (done string, err error) {
	k, err := h.find(name)
	if err != nil {
		return "", err
	}
	if !h.isRunning() {
		return "", ErrNotStopped
	}
	result := make(chan string, 1) // buffered: the caller may have returned
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

// ErrNotSource means that the operation requires a source.
var ErrNotSource = errors.New("a sink has no subscriptions at its service")

const retireTimeout = time.Minute

const revocationGrace = 30 * time.Second

// retire ends what a deleted connector has opened at its service, if its settings require it. In a group each worker
// that had a part of it does so, because it does not know when other workers' tasks end, or the leader for lost
// workers. Errors are logged; the connector is deleted anyway.
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
		c.log.Error("the deleted connector's subscriptions at its service could not be ended: run culvert retire -p "+
			"FILE", "error", err)
		return
	}
	c.log.Info("ended the deleted connector's subscriptions at its service", "ended", done)
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
	guest := components.Guest(c.options.Plugins, binding.Current().Module(), c.class.component)
	settings, addresses := guest.Settings(c.config), []string{notificationPath(c.config.Name, "")}
	err = transport.CallWithFetch(ctx, c.clients.client, func(state []byte,
		answers []wit.Response) (need *wit.RequestBatch,
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
