package host

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/wit"
)

// notifiedCall is how workers hand on notifications (P9).
const notifiedCall = "POST /culvert/internal/notifications"

// handedOn is a notification that comes from another worker. Last: it is handed on no further, after the leader or the
// worker with its feed's task.
type handedOn struct {
	Connector    string           `json:"connector"`
	Last         bool             `json:"last,omitempty"`
	Notification wit.Notification `json:"notification"`
}

// Forward forwards a notification to another worker, and returns the result.
func (c *clustered) Forward(ctx context.Context, connector string, n wit.Notification) connect.ForwardResult {
	return c.seek(ctx, handedOn{Connector: connector, Notification: n})
}

// notified answers a worker that hands a notification on.
func (c *clustered) notified(ctx context.Context, _ string, body []byte) (any, error) {
	var h handedOn
	if err := json.Unmarshal(body, &h); err != nil {
		return nil, err
	}
	herder := c.host.now().herder
	if herder == nil {
		return nil, rest.Starting
	}
	taken := herder.HandleNotification(ctx, h.Connector, h.Notification)
	if !taken.Found && !h.Last {
		h.Last = true
		taken = c.seek(ctx, h)
	}
	return taken, nil
}

// seek asks the workers with tasks of a connector one after another, the leader in their place where this worker does
// not know them: which task has the feed, they know themselves.
func (c *clustered) seek(ctx context.Context, h handedOn) connect.ForwardResult {
	set := c.store.TaskConfigs(h.Connector)
	if set == nil {
		return connect.ForwardResult{}
	}
	var asked []string
	for task := range set.Settings {
		to, me, known := c.Owner(h.Connector, task)
		if me || !known || slices.Contains(asked, to) {
			continue
		}
		asked = append(asked, to)
		var found connect.ForwardResult
		switch err := c.ask(ctx, to, notifiedCall, "", h, &found); {
		case err != nil:
			c.host.log.Debug("a notification was not handed on", "connector", h.Connector, "error", err)
		case found.Found:
			return found
		}
	}
	return connect.ForwardResult{}
}
