package connect

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/run/notify"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// ForwardResult is the result of a notification on a worker of a group (P9).
type ForwardResult struct {
	// Found means that a task of the worker has the feed. The other fields are unused if it is false.
	Found bool `json:"here,omitempty"`
	// Retry means that the sender must send the notification again.
	Retry bool       `json:"again,omitempty"`
	Error *wit.Error `json:"fault,omitempty"`
}

func (h ForwardResult) result() error {
	switch {
	case !h.Found || h.Retry:
		return notify.ErrBusy
	case h.Error != nil:
		return h.Error
	}
	return nil
}

// HandleNotification delivers a notification that another worker received to a task of this one.
func (h *Herder) HandleNotification(ctx context.Context, connector string, n wit.Notification) ForwardResult {
	k, err := h.find(connector)
	if err != nil {
		return ForwardResult{}
	}
	result, _, err := k.deliver(ctx, n)
	k.logDeliveryError(err)
	return result
}

func (k *controller) deliver(ctx context.Context, n wit.Notification) (h ForwardResult, known bool, err error) {
	at, err := url.ParseRequestURI(n.Target)
	if err != nil {
		return h, false, nil
	}
	handle, known := k.currentRun().set.handlers.find(at.Path)
	if handle == nil {
		return h, known, nil
	}
	h.Found = true
	err = handle(ctx, n)
	h.Retry = err != nil && !errors.As(err, &h.Error)
	return h, true, err
}

func (k *controller) logDeliveryError(err error) {
	if err == nil || errors.As(err, new(*wit.Error)) || errors.Is(err, notify.ErrBusy) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return
	}
	k.log.Error("a notification could not be handled; its sender is asked to send it again", "error", err)
}

// notificationEndpoint accepts notifications for a connector. In a group every worker has one, so that the service can
// use one address for all workers. Senders authenticate to the worker that receives the notification. A task that
// listens opens it; in a group the loop opens and closes it, otherwise it is closed at the end of the run.
type notificationEndpoint struct {
	handle notify.Handler

	openedFor  *config.Connector
	lastLogged string

	mu    sync.Mutex // guards key and close
	key   string     // identifies the settings
	close func()     // nil while closed
}

func (f *notificationEndpoint) ensureOpen(c *connectorRun) error {
	roles := c.roles()
	s, err := c.listenerSettings(roles)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key := fmt.Sprintf("%v %q %q %q %q", s.Ports, s.Address, s.Identity, s.User, s.Password)
	if f.close != nil && f.key == key {
		return nil
	}
	f.closeLocked()
	_, close, err := c.options.hub.Register(notificationPath(c.config.Name, ""), s, f.handle)
	if err != nil {
		ports := roles.Setting(role.ListenerPorts)
		return &wit.Error{Kind: wit.ErrorConfig, Message: ports + ": " + err.Error(), Setting: &ports}
	}
	f.close, f.key = close, key
	if s.AllowsAnonymous() {
		c.log.Warn("the listener accepts notifications from anyone: require a password, or a "+
			"certificate over TLS", "user", roles.Setting(role.ListenerUser),
			"password", roles.Setting(role.ListenerPassword),
			"certificates", roles.Setting(role.ListenerTLS+"truststore.location"))
	}
	return nil
}

func (f *notificationEndpoint) closeLocked() {
	if f.close != nil {
		f.close()
	}
	f.close = nil
}

func (f *notificationEndpoint) shutDown() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closeLocked()
}

// updateEndpoint opens or closes the endpoint in a group. If it cannot be opened, other workers still accept
// notifications, and the next event tries again. Only the loop calls it.
func (k *controller) updateEndpoint(final bool) {
	s, f := k.desired(), k.endpoint
	switch {
	case s.options.Group == nil:
		return
	case final || s.deleted || s.target != Running:
		f.openedFor = nil
		f.shutDown()
		return
	case f.openedFor == s.config:
		return
	}
	f.openedFor = s.config
	c := newConnectorRun(k, s.options, s.config)
	if c.configError() != nil || c.roles().Text(role.ListenerPorts) == "" {
		f.shutDown()
		return
	}
	err, text := f.ensureOpen(c), ""
	if err != nil {
		if f.openedFor, text = nil, err.Error(); text != f.lastLogged {
			k.log.Warn("this worker cannot accept notifications for the connector; only the others can in its "+
				"group", "error", err)
		}
	}
	f.lastLogged = text
}

// handleNotification delivers a notification or forwards it to the worker with the feed. Without a group the listener
// logs and counts the task's error.
func (k *controller) handleNotification(ctx context.Context, n wit.Notification) error {
	h, known, err := k.deliver(ctx, n)
	switch g := k.desired().options.Group; {
	case h.Found && g == nil:
		return err
	case h.Found:
		k.logDeliveryError(err)
	case g != nil:
		h = g.Forward(ctx, k.name, n)
	case !known:
		return &wit.Error{Kind: wit.ErrorNotFound, Message: "no subscription has this path"}
	}
	return h.result()
}
