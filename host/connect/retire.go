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
	if !h.loops() {
		return "", ErrNotStopped
	}
	ended := make(chan string, 1) // by the goroutine that does it, for whom nobody may wait any more
	err = k.whileStopped(ctx, retireWithin, true, func(ctx context.Context) error {
		c := k.another()
		if err := c.invalid(); err != nil {
			return err
		}
		if c.isSink() {
			return ErrNotSource
		}
		what, err := c.retire(ctx)
		ended <- what
		return err
	})
	if err != nil {
		return "", err
	}
	return <-ended, nil
}

// ErrNotSource is the error of what only a source has.
var ErrNotSource = errors.New("a sink has opened nothing at its service")

// retireWithin bounds how long the end of what a deleted connector has at its service may take.
const retireWithin = time.Minute

// partedLately is for how long a worker ends what a connector has opened that is deleted after it was taken away: who
// was given it may not have begun.
const partedLately = 30 * time.Second

// retire ends what a deleted connector has opened at its service, where its settings say so. Its tasks have ended. In
// a group each worker that had a share of it does so, since none knows when the tasks of others end; or else the
// leader, where those that had one are lost. Who is no member any more leaves it to others. What fails is logged, with
// what is left to do by hand: the connector is gone all the same.
func (k *controller) retire(ctx context.Context) {
	c := k.another()
	s := k.desired()
	switch {
	case s.lastShare.none() || c.invalid() != nil || c.isSink(),
		!strings.EqualFold(c.config.Text(onDelete), terminate), s.orphaned != nil && !s.orphaned(ctx):
		return
	}
	ctx, cancel := context.WithTimeout(ctx, retireWithin)
	defer cancel()
	err := c.o.claims.take(k.name, s.lastShare.claims())
	if err == nil && c.o.Group != nil {
		err = c.o.Group.CheckLease(ctx)
	}
	done := ""
	if err == nil {
		done, err = c.retire(ctx)
	}
	if err != nil {
		c.log.Error("what the connector has opened at its service was not ended; culvert retire -p FILE does it",
			"error", err)
		return
	}
	c.log.Info("ended what the connector had opened at its service", "ended", done)
}

func (c *connector) retire(ctx context.Context) (done string, err error) {
	if _, err := c.reread(); err != nil {
		return "", err
	}
	if err := c.open(ctx); err != nil {
		return "", err
	}
	defer c.run.client.Close()
	binding, err := c.bind()
	if err != nil {
		return "", err
	}
	defer binding.Close()
	guest := check.Guest(c.o.Plugins, binding.Current().Module(), c.class.component)
	settings, addresses := guest.Settings(c.config), []string{addressOf(c.config.Name, "")}
	err = transport.Ask(ctx, c.run.client, func(state []byte, answers []wit.Response) (need *wit.RequestBatch,
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
