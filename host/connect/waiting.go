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

// waitRetryable waits until it is worth while to start the connector again, which err kept from it. stamp is what its files
// were like before it was started. false: ctx has ended, or only another configuration helps.
func (c *connectorRun) waitRetryable(ctx context.Context, err error, stamp string) bool {
	var claimed *claimedError
	var released <-chan struct{}
	var tick <-chan time.Time
	signal, watchesFiles := guard.NewBell(), false
	switch {
	case c.configError() != nil:
		return false
	case errors.As(err, &claimed):
		released = claimed.released
	case isRetriable(err):
		setRestart := func(at time.Time) { c.controller.update(func(_ *spec, s *status) { s.restartsAt = at }) }
		setRestart(time.Now().Add(startRetryDelay))
		defer setRestart(time.Time{})
		tick = time.After(startRetryDelay)
	default:
		if c.retriesLookup(err) {
			tick = time.After(c.options.refreshInterval)
		}
		files := append(c.options.Worker.Providers.Files(c.config), c.storeFiles()...)
		watchesFiles = c.unresolved || !strings.EqualFold(c.config.Text("config.action.reload"), "none")
		if watchesFiles && len(files) > 0 {
			defer watch.Files(files, c.log, signal.Ring)()
		} else if tick == nil {
			return false
		}
	}
	// Once at first: something may have changed before the files were watched, or that is in no file.
	for !watchesFiles || !c.settingsChanged() && watch.Stamp(c.storeFiles()...) == stamp {
		select {
		case <-signal:
			continue
		case <-released:
		case <-tick:
		case <-ctx.Done():
			return false
		}
		return true
	}
	c.log.Info("settings of the connector have changed, or can be read again: starting again")
	return ctx.Err() == nil
}

// retriesLookup tells whether what only others can tell may let the connector start: its destination of BTP, or an operator
// who has a refused secret tried once more. Nothing that was refused is shown again by that: the client knows what was.
// Where the destination service itself was refused, by us or by whom it asks for tokens, each question would show the
// same secret once more.
func (c *connectorRun) retriesLookup(err error) bool {
	if !service.Fixable(err) || c.clients.service == nil {
		return false
	}
	return c.clients.service.HasDestination() && !service.Refused(err) || c.clients.client != nil &&
		c.clients.client.Refusal() != ""
}

// settingsChanged reports whether references lead to other values by now, or can be read where the start could not. If one
// cannot be read, it reports false.
func (c *connectorRun) settingsChanged() bool {
	changed, err := c.reloadSecrets()
	if err != nil && !c.unresolved { // otherwise the failed start has logged it
		c.log.Warn("settings can't be read again, those before are kept", "error", err)
	}
	return changed
}

// reloadSecrets resolves references again. It reports whether a value differs from the one before, or whether the last start
// could not read one. Each start begins with it: this worker may have resolved them long ago, while the connector was
// stopped or ran elsewhere, and a service would count an old password as a failed logon. After an error the settings
// are as they were.
func (c *connectorRun) reloadSecrets() (changed bool, err error) {
	resolved, err := c.config.Resolve(c.options.Worker.Providers)
	if err != nil {
		return false, err
	}
	changed = c.unresolved || len(c.config.ChangedSince(resolved)) > 0
	c.config = resolved
	return changed, nil
}

// storeFiles are the files that settings name without a reference: stores, of the service and of Kafka's clients.
func (c *connectorRun) storeFiles() []string {
	if c.class.err != nil {
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
