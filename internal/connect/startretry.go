package connect

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/base/watch"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/service"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// waitRetryable waits until a retry of a failed start can help. stamp describes the connector's files before the start.
// It reports false if ctx has ended or only another configuration can help.
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
	// Check before waiting: something may have changed before the files were watched, or outside files.
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
	c.log.Info("settings of the connector have changed or can be read again: starting again")
	return ctx.Err() == nil
}

// retriesLookup reports whether the start may succeed after a change elsewhere: of a BTP destination, or if a user
// allows rejected credentials to be tried again. It reports false if the destination service itself was rejected,
// because each lookup would send the same credentials again.
func (c *connectorRun) retriesLookup(err error) bool {
	if !service.IsConfigError(err) || c.clients.service == nil {
		return false
	}
	return c.clients.service.HasDestination() && !service.IsUnauthorized(err) || c.clients.client != nil &&
		c.clients.client.Refusal() != ""
}

// settingsChanged reports whether references have other values now, or can be resolved again.
func (c *connectorRun) settingsChanged() bool {
	changed, err := c.reloadSecrets()
	if err != nil && !c.unresolved { // otherwise the failed start has logged it
		c.log.Warn("settings cannot be read again; the previous ones are kept", "error", err)
	}
	return changed
}

// reloadSecrets resolves references again and reports whether a value has changed or was unresolved. Each start begins
// with it, because an old password would count as a failed login. After an error the settings remain.
func (c *connectorRun) reloadSecrets() (changed bool, err error) {
	resolved, err := c.config.Resolve(c.options.Worker.Providers)
	if err != nil {
		return false, err
	}
	changed = c.unresolved || len(c.config.ChangedSince(resolved)) > 0
	c.config = resolved
	return changed, nil
}

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
