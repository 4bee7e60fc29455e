package group

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/wit"
)

// notificationCall forwards a notification between workers (P9).
const notificationCall = "POST /culvert/internal/notifications"

// forwardedNotification comes from another worker. NoFurtherHops ends its way after the leader or the worker with its
// feed's task.
type forwardedNotification struct {
	Connector     string           `json:"connector"`
	NoFurtherHops bool             `json:"last,omitempty"`
	Notification  wit.Notification `json:"notification"`
}

// Forward forwards a notification to another worker, and returns the result.
func (c *Worker) Forward(ctx context.Context, connector string, n wit.Notification) connect.ForwardResult {
	return c.findOwner(ctx, forwardedNotification{Connector: connector, Notification: n})
}

func (c *Worker) handleNotification(ctx context.Context, _ string, body []byte) (any, error) {
	var forwarded forwardedNotification
	if err := json.Unmarshal(body, &forwarded); err != nil {
		return nil, err
	}
	herder := c.Parts.Herder()
	if herder == nil {
		return nil, rest.ErrStarting
	}
	result := herder.HandleNotification(ctx, forwarded.Connector, forwarded.Notification)
	if !result.Found && !forwarded.NoFurtherHops {
		forwarded.NoFurtherHops = true
		result = c.findOwner(ctx, forwarded)
	}
	return result, nil
}

// findOwner asks the workers with tasks of a connector one by one, or the leader if they are unknown: each knows itself
// whether its task has the feed.
func (c *Worker) findOwner(ctx context.Context, forwarded forwardedNotification) connect.ForwardResult {
	set := c.store.TaskConfigs(forwarded.Connector)
	if set == nil {
		return connect.ForwardResult{}
	}
	var tried []string
	for task := range set.Settings {
		to, me, known := c.Owner(forwarded.Connector, task)
		if me || !known || slices.Contains(tried, to) {
			continue
		}
		tried = append(tried, to)
		var found connect.ForwardResult
		switch err := c.callWorker(ctx, to, notificationCall, "", forwarded, &found); {
		case err != nil:
			c.Log.Debug("a notification was not handed on", "connector", forwarded.Connector, "error", err)
		case found.Found:
			return found
		}
	}
	return connect.ForwardResult{}
}
