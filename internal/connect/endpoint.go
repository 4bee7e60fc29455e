package connect

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"

	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/run/notify"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// ForwardResult is the outcome of a notification that one worker of a group received and forwarded to another.
type ForwardResult struct {
	// Found means that a task of the worker has the feed. The other fields are unused if it is false. The names in
	// JSON are part of the protocol between workers.
	Found bool       `json:"here,omitempty"`
	Retry bool       `json:"again,omitempty"` // the sender must send the notification again
	Error *wit.Error `json:"fault,omitempty"`
}

// asError returns the error for the sender of the notification, [notify.ErrBusy] if it must send it again.
func (r ForwardResult) asError() error {
	switch {
	case !r.Found || r.Retry: // not found: the task may be moving to another worker
		return notify.ErrBusy
	case r.Error != nil:
		return r.Error
	}
	return nil
}

// HandleNotification delivers a notification that another worker received to a task of this one.
func (h *Herder) HandleNotification(ctx context.Context, connector string, n wit.Notification) ForwardResult {
	ctl, err := h.find(connector)
	if err != nil {
		return ForwardResult{}
	}
	result, _, err := ctl.deliver(ctx, n)
	ctl.logDeliveryError(err)
	return result
}

// deliver calls the handler of the notification's feed. isKnown means that the worker has or had the feed.
func (ctl *controller) deliver(ctx context.Context,
	n wit.Notification) (result ForwardResult, isKnown bool, err error) {
	target, err := url.ParseRequestURI(n.Target)
	if err != nil {
		return result, false, nil
	}
	handle, isKnown := ctl.currentRun().taskSet.handlers.find(target.Path)
	if handle == nil {
		return result, isKnown, nil
	}
	result.Found = true
	err = handle(ctx, n)
	result.Retry = err != nil && !errors.As(err, &result.Error) // errors.As sets result.Error
	return result, true, err
}

// logDeliveryError logs errors that neither the sender nor the service can have caused.
func (ctl *controller) logDeliveryError(err error) {
	if err == nil || errors.As(err, new(*wit.Error)) || errors.Is(err, notify.ErrBusy) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return
	}
	ctl.log.Warn("a notification could not be handled; its sender must send it again", "error", err)
}

// notificationEndpoint accepts notifications for a connector. In a group every worker has one, so that the service can
// use one address for all workers. Senders authenticate to the worker that receives the notification. A task that
// listens opens it; in a group the loop opens and closes it, otherwise it is closed at the end of the run.
type notificationEndpoint struct {
	handle notify.Handler

	appliedConfig *resolved.Connector // the last one for which the loop opened it; nil after a failure or closeEndpoint
	lastProblem   string              // the error of the last attempt of the loop, "" if it succeeded

	mu         sync.Mutex // guards key and unregister
	key        string     // identifies the settings
	unregister func()     // closes the endpoint; nil while it is closed
}

func (e *notificationEndpoint) ensureOpen(run *connectorRun) error {
	roles := run.config.Roles()
	settings, err := run.listenerSettings(roles)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	key := fmt.Sprintf("%v %q %q %q %q", settings.Ports, settings.Address, settings.Identity, settings.User,
		settings.Password)
	if e.unregister != nil && e.key == key {
		return nil
	}
	e.closeLocked()
	_, unregister, err := run.options.hub.Register(notificationPath(run.config.Name, ""), settings, e.handle)
	if err != nil {
		ports := roles.Setting(role.ListenerPorts)
		return &wit.Error{Kind: wit.ErrorConfig, Message: ports + ": " + err.Error(), Setting: &ports}
	}
	e.unregister = unregister
	e.key = key
	if settings.AllowsAnonymous() {
		run.log.Warn("the listener accepts notifications from anyone: require a password, or a "+
			"certificate over TLS", "user", roles.Setting(role.ListenerUser),
			"password", roles.Setting(role.ListenerPassword),
			"certificates", roles.Setting(role.ListenerTLS+"truststore.location"))
	}
	return nil
}

func (e *notificationEndpoint) closeLocked() {
	if e.unregister != nil {
		e.unregister()
	}
	e.unregister = nil
}

func (e *notificationEndpoint) shutDown() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closeLocked()
}

// updateEndpoint opens or closes the endpoint of a worker in a group. If it cannot be opened, other workers still
// accept notifications, and the next event tries again. Only the loop calls it.
func (ctl *controller) updateEndpoint() {
	desired := ctl.desiredSpec()
	e := ctl.endpoint
	switch {
	case !desired.options.Group.InGroup():
		return
	case desired.deleted || desired.target != Running:
		ctl.closeEndpoint()
		return
	case e.appliedConfig == desired.config:
		return
	}
	e.appliedConfig = desired.config
	run := newConnectorRun(ctl, desired.options, desired.config)
	if run.configError() != nil || run.config.Roles().Text(role.ListenerPorts) == "" {
		e.shutDown()
		return
	}
	err := e.ensureOpen(run)
	problem := ""
	if err != nil {
		problem = err.Error()
		e.appliedConfig = nil
		if problem != e.lastProblem {
			ctl.log.Warn("this worker cannot accept notifications for the connector; only the other workers of its "+
				"group can", "error", err)
		}
	}
	e.lastProblem = problem
}

// closeEndpoint closes the endpoint until the next configuration.
func (ctl *controller) closeEndpoint() {
	ctl.endpoint.appliedConfig = nil
	ctl.endpoint.shutDown()
}

// handleNotification delivers a notification or forwards it to the worker with the feed. Without a group the listener
// logs and counts the task's error.
func (ctl *controller) handleNotification(ctx context.Context, n wit.Notification) error {
	result, isKnown, err := ctl.deliver(ctx, n)
	group := ctl.desiredSpec().options.Group
	isStandalone := !group.InGroup()
	switch {
	case result.Found && isStandalone:
		return err
	case result.Found:
		ctl.logDeliveryError(err)
	case isStandalone && !isKnown:
		return &wit.Error{Kind: wit.ErrorNotFound, Message: "no subscription has this path"}
	default: // alone: the feed has ended or is not open yet, and Forward finds no other
		result = group.Forward(ctx, ctl.name, n)
	}
	return result.asError()
}
