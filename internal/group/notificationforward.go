package group

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/wit"
)

// notificationCall is needed because a service notifies any worker (RATIONALE.md P9).
const notificationCall = "POST /culvert/internal/notifications"

// forwardedNotification is a notification from another worker. NoFurtherHops prevents forwarding it in circles.
type forwardedNotification struct {
	Connector     string           `json:"connector"`
	NoFurtherHops bool             `json:"last,omitempty"`
	Notification  wit.Notification `json:"notification"`
}

// Forward forwards a notification to the worker whose task has its feed.
func (w *Worker) Forward(ctx context.Context, connector string, n wit.Notification) connect.ForwardResult {
	return w.findOwner(ctx, forwardedNotification{Connector: connector, Notification: n})
}

// handleNotification handles notificationCall. It forwards a notification whose feed no task here has, but only once.
func (w *Worker) handleNotification(ctx context.Context, _ string, body []byte) (any, error) {
	var forwarded forwardedNotification
	if err := json.Unmarshal(body, &forwarded); err != nil {
		return nil, err
	}
	herder := w.Parts.Get().Herder
	if herder == nil {
		return nil, rest.ErrStarting
	}
	result := herder.HandleNotification(ctx, forwarded.Connector, forwarded.Notification)
	if !result.Found && !forwarded.NoFurtherHops {
		forwarded.NoFurtherHops = true
		result = w.findOwner(ctx, forwarded)
	}
	return result, nil
}

// findOwner calls the other workers with tasks of a connector until one has the feed. The zero result means no worker.
func (w *Worker) findOwner(ctx context.Context, forwarded forwardedNotification) connect.ForwardResult {
	set := w.store.TaskConfigs(forwarded.Connector)
	if set == nil {
		return connect.ForwardResult{}
	}
	var called []string
	for task := range set.Settings {
		owner, isLocal, ok := w.Owner(forwarded.Connector, task)
		if isLocal || !ok || slices.Contains(called, owner) {
			continue
		}
		called = append(called, owner)
		var result connect.ForwardResult
		switch err := w.callWorker(ctx, owner, notificationCall, "", forwarded, &result); {
		case err != nil:
			w.Log.Debug("a notification could not be forwarded", "connector", forwarded.Connector, "error", err)
		case result.Found:
			return result
		}
	}
	return connect.ForwardResult{}
}
