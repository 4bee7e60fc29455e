package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/config"
)

// Calls between workers, as method and path: task configs and logons to the leader, owned resources of any member.
const (
	TasksCall    = "POST /connectors/{name}/tasks"
	LockoutsCall = "POST /culvert/internal/lockouts"
	OwnedCall    = "POST /culvert/internal/holds"
)

const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 5 * time.Second
)

// CallLeader sends a call about a connector (may be empty) to the leader and decodes the response into answer unless
// that is nil. It returns [ErrNotLeader] if no leader is known.
func (w *Worker) CallLeader(ctx context.Context, call, connector string, body, answer any) error {
	url, isSelf, hasLeader := w.Leader()
	switch {
	case !hasLeader:
		return ErrNotLeader
	case isSelf:
		url = "" // the worker handles the call itself
	}
	return w.options.Call(ctx, url, call, connector, body, answer)
}

// RetryWithLeader repeats a call while the group has no leader or a new one, until ctx ends, and returns any other
// error.
func (w *Worker) RetryWithLeader(ctx context.Context, call func() error) error {
	backoff := pause.Backoff{First: firstBackoff, Longest: lastBackoff}
	warned := false
	for {
		err := call()
		if err == nil || ctx.Err() != nil || !w.isRetriable(err) {
			return err
		}
		wait := backoff.Next()
		if wait == lastBackoff && !warned { // short interruptions are not worth a log line
			warned = true
			w.options.Logger.Warn("a call to the group's leader has not succeeded yet; retrying", "error", err)
		}
		if paused := pause.For(ctx, wait); paused != nil {
			return fmt.Errorf("%w, and before that %w", paused, err)
		}
	}
}

func (w *Worker) isRetriable(err error) bool {
	return errors.Is(err, ErrNotLeader) || errors.As(err, new(*WriteError)) || w.options.IsRetriable(err)
}

// PutTaskConfigs sends a connector's task configs to the leader and returns when it has written them. A plan of other
// settings than the config topic's current ones waits until ctx ends, because another plan follows.
func (w *Worker) PutTaskConfigs(ctx context.Context, name string, p config.TaskPlan) error {
	return w.RetryWithLeader(ctx, func() error {
		var isCurrent bool
		if p.Offset, isCurrent = w.options.Store.ConfigOffsetFor(name, p.Config); !isCurrent {
			return &WriteError{fmt.Errorf(
				"connector %s: expected task configs of its current settings in the config topic, found those of "+
					"other settings", name)}
		}
		return w.CallLeader(ctx, TasksCall, name, p, nil)
	})
}

// Leader returns the URL of the leader; isSelf reports whether it is this worker. hasLeader is false without one.
func (w *Worker) Leader() (url string, isSelf, hasLeader bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.assignment.LeaderURL, w.leading, w.assigned && (w.leading || w.assignment.LeaderURL != "")
}

// Owner returns the worker that runs a task; task -1 means the connector itself. Other workers than the leader know
// only what they run themselves, and return the leader for the rest.
func (w *Worker) Owner(connector string, task int) (url string, isSelf, isKnown bool) {
	key := KeyOf(connector)
	w.mu.Lock()
	target := w.assignment.Target
	w.mu.Unlock()
	for _, t := range target {
		if t.Connector == key && t.Resources.Has(task+1) {
			return w.options.URL, true, true
		}
	}
	if url, isSelf, isKnown = w.Leader(); isSelf {
		return w.leader.owner(connector, task)
	}
	return url, isSelf, isKnown
}
