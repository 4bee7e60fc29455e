package connect

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

const (
	onDelete  = "on.delete" // whether subscriptions of a deleted connector are kept (default) or terminated
	terminate = "terminate" // a value of onDelete
)

// Retire ends subscriptions of a stopped source at its service and returns their description. A resume cancels it.
// Errors are [ErrUnknownConnector], [ErrNotStopped], [ErrNotSource], and errors of the service.
func (h *Herder) Retire(ctx context.Context, name string) (description string, err error) {
	ctl, err := h.find(name)
	if err != nil {
		return "", err
	}
	if !h.isRunning() {
		return "", ErrNotStopped
	}
	result := make(chan string, 1) // buffered: the caller may have returned
	err = ctl.runWhenStopped(ctx, retireTimeout, cancelOnStart, func(ctx context.Context) error {
		run := ctl.newDetachedRun()
		if err := run.configError(); err != nil {
			return err
		}
		if run.isSink() {
			return ErrNotSource
		}
		description, err := run.callRetire(ctx)
		result <- description
		return err
	})
	if err != nil {
		return "", err
	}
	return <-result, nil
}

// ErrNotSource means that the operation requires a source.
var ErrNotSource = errors.New("a sink has no subscriptions at its service")

const (
	retireTimeout = time.Minute
	// revocationGrace is how long after a revocation a worker still cleans up a connector that is deleted.
	revocationGrace = 30 * time.Second
)

// retire ends the subscriptions of a deleted source at its service, with on.delete=terminate. In a group each worker
// that ran a part of the connector does so, because it does not know when the tasks on other workers end; the leader
// does it for lost workers. Errors are logged; the connector is deleted anyway.
func (ctl *controller) retire(ctx context.Context) {
	run := ctl.newDetachedRun()
	desired := ctl.desiredSpec()
	switch {
	case desired.lastAssignment.empty() || run.configError() != nil || run.isSink(),
		!strings.EqualFold(run.config.Text(onDelete), terminate), desired.ownersLost != nil && !desired.ownersLost(ctx):
		return
	}
	ctx, cancel := context.WithTimeout(ctx, retireTimeout)
	defer cancel()
	err := run.options.claims.acquire(ctl.name, desired.lastAssignment.claims())
	if err == nil {
		err = run.options.Group.CheckLease(ctx)
	}
	description := ""
	if err == nil {
		description, err = run.callRetire(ctx)
	}
	if err != nil {
		run.log.Error("the deleted connector's subscriptions at its service could not be ended: run culvert retire -p "+
			"FILE", "error", err)
		return
	}
	run.log.Info("ended the deleted connector's subscriptions at its service", "ended", description)
}

func (run *connectorRun) callRetire(ctx context.Context) (description string, err error) {
	if _, err := run.reloadSecrets(); err != nil {
		return "", err
	}
	if err := run.openService(ctx); err != nil {
		return "", err
	}
	defer run.clients.client.Close()
	binding, err := run.bind()
	if err != nil {
		return "", err
	}
	defer binding.Close()
	pluginView := run.config.View(binding.Current().Module())
	settings := pluginView.Settings()
	addresses := []string{notificationPath(run.config.Name, "")}
	call := func(state []byte, responses []wit.Response) (requests *wit.RequestBatch, err error) {
		err = binding.Current().Do(ctx, func(i *plugin.Instance) error {
			result, err := i.Retire(ctx, run.component().Name, settings, addresses, state, responses)
			requests = result.Pending
			if result.Done != nil {
				description = *result.Done
			}
			return err
		})
		return requests, err
	}
	err = transport.CallWithFetch(ctx, run.clients.client, call)
	if err == nil && description == "" {
		return "nothing", nil
	}
	return description, err
}
