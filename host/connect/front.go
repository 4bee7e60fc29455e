package connect

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/internal/run/notify"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// ForwardResult is what has become of a notification at a worker of a group (P9).
type ForwardResult struct {
	// Here: a task of the worker has the feed. Without it the other fields say nothing.
	Found bool `json:"here,omitempty"`
	// Retry: the sender is to send it once more.
	Retry bool `json:"again,omitempty"`
	// Fault is why it is refused; nil: it is not.
	Error *wit.Error `json:"fault,omitempty"`
}

// err is what the listener answers by. A feed that nobody has is on its way to a worker.
func (h ForwardResult) err() error {
	switch {
	case !h.Found || h.Retry:
		return notify.ErrBusy
	case h.Error != nil:
		return h.Error
	}
	return nil
}

// HandleNotification has a task of this worker take a notification for a connector that came to another one.
func (h *Herder) HandleNotification(ctx context.Context, connector string, n wit.Notification) ForwardResult {
	k, err := h.find(connector)
	if err != nil {
		return ForwardResult{}
	}
	taken, _, err := k.take(ctx, n)
	k.failedToTake(err)
	return taken
}

// take forwards a notification to the task of this worker that has its feed. known reports whether a task has, or had,
// the feed; err is that task's answer.
func (k *controller) take(ctx context.Context, n wit.Notification) (h ForwardResult, known bool, err error) {
	at, err := url.ParseRequestURI(n.Target)
	if err != nil {
		return h, false, nil
	}
	take, known := k.current().set.listens.taker(at.Path)
	if take == nil {
		return h, known, nil
	}
	h.Found = true
	err = take(ctx, n)
	h.Retry = err != nil && !errors.As(err, &h.Error)
	return h, true, err
}

// failedToTake logs why a task did not accept a notification in a group, unless the sender is told why, or will send it
// again anyway: a trap of the plugin, for example, which repeats with each attempt.
func (k *controller) failedToTake(err error) {
	if err == nil || errors.As(err, new(*wit.Error)) || errors.Is(err, notify.ErrBusy) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return
	}
	k.log.Error("a notification could not be handled; its sender is asked to send it again", "error", err)
}

// front is the endpoint for notifications of a connector at one worker. In a group every worker has one, whichever runs
// the tasks: the service knows one address for all workers, which stays the same when tasks move. Senders log on by the
// connector's settings, as this worker resolves them, before a notification is forwarded.
//
// A task that listens opens it, or fails. In a group the controller's loop opens it before that, and closes it,
// depending on whether the connector should run; without a group the end of the run closes it.
type front struct {
	handle notify.Handler

	// Only the loop uses these: the configuration that it last opened the front for, and the error that it last logged.
	looked *config.Connector
	logged string

	mu    sync.Mutex // held while the front is opened
	key   string     // identifies the settings that it is open with
	close func()     // nil: it is not open
}

// open opens the front with the settings of a run, unless it is open with the same settings.
func (f *front) open(c *connector) error {
	roles := c.roles()
	s, err := c.listener(roles)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key := fmt.Sprintf("%v %q %q %q %q", s.Ports, s.Address, s.Identity, s.User, s.Password)
	if f.close != nil && f.key == key {
		return nil
	}
	f.shut()
	_, close, err := c.o.hub.Register(addressOf(c.config.Name, ""), s, f.handle)
	if err != nil {
		ports := roles.Setting(role.ListenerPorts)
		return &wit.Error{Kind: wit.ErrorConfig, Message: ports + ": " + err.Error(), Setting: &ports}
	}
	f.close, f.key = close, key
	if s.AllowsAnonymous() {
		c.log.Warn("whoever reaches the listener may send notifications: have senders log on, or show a "+
			"certificate over TLS", "user", roles.Setting(role.ListenerUser),
			"password", roles.Setting(role.ListenerPassword),
			"certificates", roles.Setting(role.ListenerTLS+"truststore.location"))
	}
	return nil
}

// shut closes the front; f.mu is held.
func (f *front) shut() {
	if f.close != nil {
		f.close()
	}
	f.close = nil
}

// leave closes the front.
func (f *front) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shut()
}

// listen opens the front of a connector that should run in a group and whose settings name ports, and closes others.
// The loop calls it. If the front cannot be opened, the other workers' fronts serve, and the next event tries again.
func (k *controller) listen(ends bool) {
	s, f := k.desired(), k.front
	switch {
	case s.o.Group == nil:
		return
	case ends || s.removed || s.target != Running:
		f.looked = nil
		f.leave()
		return
	case f.looked == s.given:
		return
	}
	f.looked = s.given
	c := newConnector(k, s.o, s.given)
	if c.invalid() != nil || c.roles().Text(role.ListenerPorts) == "" {
		f.leave()
		return
	}
	err, text := f.open(c), ""
	if err != nil {
		if f.looked, text = nil, err.Error(); text != f.logged {
			k.log.Warn("this worker takes no notifications for the connector, and leaves that to the others of its "+
				"group", "error", err)
		}
	}
	f.logged = text
}

// notified answers a notification that came in at this worker: the answer is that of the worker with the feed's task.
// Where the worker is alone, the listener gets the task's error as it is, and logs and counts it.
func (k *controller) notified(ctx context.Context, n wit.Notification) error {
	h, known, err := k.take(ctx, n)
	switch g := k.desired().o.Group; {
	case h.Found && g == nil:
		return err
	case h.Found:
		k.failedToTake(err)
	case g != nil:
		h = g.Forward(ctx, k.name, n)
	case !known:
		return &wit.Error{Kind: wit.ErrorNotFound, Message: "nobody has subscribed under this path"}
	}
	return h.err()
}
