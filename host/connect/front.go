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

// Handed is what has become of a notification at a worker of a group (P9).
type Handed struct {
	// Here: a task of the worker has the feed. Without it the other fields say nothing.
	Here bool `json:"here,omitempty"`
	// Again: the sender is to send it once more.
	Again bool `json:"again,omitempty"`
	// Fault is why it is refused; nil: it is not.
	Fault *wit.Fault `json:"fault,omitempty"`
}

// err is what the listener answers by. A feed that nobody has is on its way to a worker.
func (h Handed) err() error {
	switch {
	case !h.Here || h.Again:
		return notify.ErrBusy
	case h.Fault != nil:
		return h.Fault
	}
	return nil
}

// Notified has a task of this worker take a notification for a connector that came to another one.
func (h *Herder) Notified(ctx context.Context, connector string, n wit.Notification) Handed {
	k, err := h.find(connector)
	if err != nil {
		return Handed{}
	}
	return k.take(ctx, n)
}

// take has a task of this worker take a notification, if one has its feed.
func (k *controller) take(ctx context.Context, n wit.Notification) (h Handed) {
	at, err := url.ParseRequestURI(n.Target)
	if err != nil {
		return h
	}
	take := k.current().set.listens.taker(at.Path)
	if take == nil {
		return h
	}
	h.Here = true
	if err := take(ctx, n); err != nil && !errors.As(err, &h.Fault) {
		h.Again = true
		k.log.Debug("a notification was not taken", "error", err)
	}
	return h
}

// taker is what takes notifications under a path, nil while no task does.
func (l *listens) taker(path string) notify.Handler {
	l.mu.Lock()
	defer l.mu.Unlock()
	for address, door := range l.doors {
		if own, err := url.PathUnescape(address); err == nil && own == path {
			door.mu.Lock()
			defer door.mu.Unlock()
			return door.take
		}
	}
	return nil
}

// front is where notifications for a connector come in at a worker of a group, whichever worker runs its tasks: the
// service knows one address of all workers, which stays when tasks move. Senders are known by the connector's settings,
// as this worker resolves them, before anything is handed on.
//
// The loop of the controller opens and closes it, as the connector is to run or not; a task that listens has it opened
// before, or fails.
type front struct {
	handle notify.Handler

	mu     sync.Mutex
	looked *config.Connector // the loop has brought it to what this one says
	key    string            // of the settings that it is open with
	close  func()            // nil: it is not open
	said   string            // why it could not be opened, which was logged
}

// open opens it with the settings of a run, unless it is open with the same.
func (f *front) open(c *connector) error {
	s, err := c.listener(c.roles())
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
	f.close, err = c.register(addressOf(c.config.Name, ""), f.handle, true)
	f.key = key
	return err
}

// shut closes it; f.mu is held.
func (f *front) shut() {
	if f.close != nil {
		f.close()
	}
	f.close = nil
}

// listen opens the front of a connector that is to run, and whose settings name ports, and closes others. It is called
// by the loop. Where it cannot be opened, those of the other workers serve.
func (k *controller) listen(ends bool) {
	s := k.desired()
	o, given := s.o, s.given
	if ends || s.removed || s.target != Running {
		given = nil
	}
	f := k.front
	f.mu.Lock()
	same := f.looked == given && (given != nil || f.close == nil)
	f.looked = given
	f.mu.Unlock()
	if o.Group == nil || same {
		return
	}
	if given != nil {
		if c := newConnector(k, o, given); c.invalid() == nil && c.roles().Text(role.ListenerPorts) != "" {
			k.fronts(c)
			return
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shut()
}

// fronts opens the front; where that fails, the next event has it tried again.
func (k *controller) fronts(c *connector) {
	f, said := k.front, ""
	err := f.open(c)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		if f.looked, said = nil, err.Error(); said != f.said {
			k.log.Warn("this worker takes no notifications for the connector, and leaves that to the others of its "+
				"group", "error", err)
		}
	}
	f.said = said
}

// notified answers a notification that came in at this worker: the answer is that of the worker with the feed's task.
func (k *controller) notified(ctx context.Context, n wit.Notification) error {
	h := k.take(ctx, n)
	if !h.Here {
		h = k.desired().o.Group.HandOn(ctx, k.name, n)
	}
	return h.err()
}
