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

// waitRetryable waits until a retry of a failed start can help. err is the failure, which reportFailure has reported;
// stamp describes the connector's key store files before the start. It reports false if ctx has ended or only another
// configuration can help.
func (run *connectorRun) waitRetryable(ctx context.Context, err error, stamp string) bool {
	var claimed *claimedError
	var released <-chan struct{}
	var tick <-chan time.Time
	fileBell := guard.NewBell()
	isWatching := false
	switch {
	case run.configError() != nil:
		return false
	case errors.As(err, &claimed):
		released = claimed.released
	case isRetriable(err):
		tick = time.After(startRetryDelay)
	default:
		if run.canRetryLookup(err) {
			tick = time.After(run.options.refreshInterval)
		}
		files := append(run.options.Worker.Providers.Files(run.config.Connector), run.keyStoreFiles()...)
		isWatching = run.hasSecretError || !strings.EqualFold(run.config.Text("config.action.reload"), "none")
		if isWatching && len(files) > 0 {
			defer watch.Files(files, run.log, fileBell.Ring)()
		} else if tick == nil {
			return false
		}
	}
	// With watched settings, check before waiting: one may have changed before its file was watched, or outside files.
	for !isWatching || (!run.haveSettingsChanged() && watch.Stamp(run.keyStoreFiles()...) == stamp) {
		select {
		case <-fileBell:
			continue
		case <-released:
		case <-tick:
		case <-ctx.Done():
			run.setRestart(time.Time{})
			return false
		}
		return true
	}
	run.log.Info("settings of the connector have changed or can be read again: starting again")
	return ctx.Err() == nil
}

func (run *connectorRun) setRestart(restartsAt time.Time) {
	run.controller.update(func(_ *spec, observed *status) { observed.restartsAt = restartsAt })
}

// canRetryLookup reports whether the start may succeed after a change elsewhere: of a BTP destination, or if a user
// allows rejected credentials to be tried again. It reports false if the destination service itself was rejected,
// because each lookup would send the same credentials again.
func (run *connectorRun) canRetryLookup(err error) bool {
	if !service.IsConfigError(err) || run.clients.service == nil {
		return false
	}
	return (run.clients.service.HasDestination() && !service.IsUnauthorized(err)) ||
		(run.clients.client != nil && run.clients.client.Refusal() != "")
}

// haveSettingsChanged resolves references again, and reports whether they have other values or had no values.
func (run *connectorRun) haveSettingsChanged() bool {
	hasChanged, err := run.reloadSecrets()
	if err != nil && !run.hasSecretError { // otherwise the failed start has logged it
		run.log.Warn("settings cannot be read again; the previous ones are kept", "error", err)
	}
	return hasChanged
}

// reloadSecrets resolves references again and reports whether a value has changed or was unresolved. Each start begins
// with it, because an old password would count as a failed login. After an error the settings remain.
func (run *connectorRun) reloadSecrets() (hasChanged bool, err error) {
	values, err := run.config.Connector.Resolve(run.options.Worker.Providers)
	if err != nil {
		return false, err
	}
	hasChanged = run.hasSecretError || len(run.config.ChangedSince(values)) > 0
	run.config = run.config.Reread(values)
	return hasChanged, nil
}

func (run *connectorRun) keyStoreFiles() []string {
	if run.config.Class.RunError() != nil {
		return nil
	}
	paths := service.Paths(run.config)
	for _, e := range run.config.Entries {
		path := setting.Trim(e.Value.Reveal())
		if strings.Contains(e.Key, ".override.") && strings.HasSuffix(e.Key, ".location") && path != "" &&
			!slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths
}
