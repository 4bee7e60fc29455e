package connect

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/watch"
	"github.com/culvert-project/culvert/host/internal/service"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// startable waits until it is worth while to start the connector again, which err kept from it. stamp is what its files
// were like before it was started. false: ctx has ended, or only another configuration helps.
func (c *connector) startable(ctx context.Context, err error, stamp string) bool {
	var held *heldError
	var freed <-chan struct{}
	var tick <-chan time.Time
	signal, follows := guard.NewBell(), false
	switch {
	case c.invalid() != nil:
		return false
	case errors.As(err, &held):
		freed = held.freed
	case mayPass(err):
		starts := func(at time.Time) { c.controller.change(func(_ *spec, s *status) { s.startsAt = at }) }
		starts(time.Now().Add(startAgain))
		defer starts(time.Time{})
		tick = time.After(startAgain)
	default:
		if c.asksAgain(err) {
			tick = time.After(c.o.rereads)
		}
		files := append(c.o.Worker.Providers.Files(c.config), c.paths()...)
		follows = c.unread || !strings.EqualFold(c.config.Text("config.action.reload"), "none")
		if follows && len(files) > 0 {
			defer watch.Files(files, c.log, signal.Ring)()
		} else if tick == nil {
			return false
		}
	}
	// Once at first: something may have changed before the files were watched, or that is in no file.
	for !follows || !c.differs() && watch.Stamp(c.paths()...) == stamp {
		select {
		case <-signal:
			continue
		case <-freed:
		case <-tick:
		case <-ctx.Done():
			return false
		}
		return true
	}
	c.log.Info("settings of the connector have changed, or can be read again: starting again")
	return ctx.Err() == nil
}

// asksAgain tells whether what only others can tell may let the connector start: its destination of BTP, or an operator
// who has a refused secret tried once more. Nothing that was refused is shown again by that: the client knows what was.
// Where the destination service itself was refused, by us or by whom it asks for tokens, each question would show the
// same secret once more.
func (c *connector) asksAgain(err error) bool {
	if !service.Fixable(err) || c.run.service == nil {
		return false
	}
	return c.run.service.HasDestination() && !service.Refused(err) || c.run.client != nil &&
		c.run.client.Refusal() != ""
}

// differs reports whether references lead to other values by now, or can be read where the start could not. If one
// cannot be read, it reports false.
func (c *connector) differs() bool {
	changed, err := c.reread()
	if err != nil && !c.unread { // otherwise the failed start has logged it
		c.log.Warn("settings can't be read again, those before are kept", "error", err)
	}
	return changed
}

// reread resolves references again. It reports whether a value differs from the one before, or whether the last start
// could not read one. Each start begins with it: this worker may have resolved them long ago, while the connector was
// stopped or ran elsewhere, and a service would count an old password as a failed logon. After an error the settings
// are as they were.
func (c *connector) reread() (changed bool, err error) {
	again, err := c.config.Resolve(c.o.Worker.Providers)
	if err != nil {
		return false, err
	}
	changed = c.unread || len(c.config.ChangedSince(again)) > 0
	c.config = again
	return changed, nil
}

// paths are the files that settings name without a reference: stores, of the service and of Kafka's clients.
func (c *connector) paths() []string {
	if c.class.unknown != nil {
		return nil
	}
	paths := service.Paths(c.class.component, c.config)
	for _, e := range c.config.Entries {
		path := setting.Trim(e.Value.Reveal())
		if strings.Contains(e.Key, ".override.") && strings.HasSuffix(e.Key, ".location") && path != "" &&
			!slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths
}
