package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
)

const (
	stopTimeout        = 30 * time.Second
	ownedCheckInterval = 200 * time.Millisecond
	memberCallTimeout  = 2 * time.Second
)

// WhenStopped calls action for a stopped connector, on the leader, once no other worker has tasks of it; action checks
// this worker's. No tasks are assigned until it returns. Errors are [ErrNotLeader], [connect.ErrNotStopped],
// [configtopic.OtherGroupError], an error that names the worker with tasks, and the error of action.
func (w *Worker) WhenStopped(ctx context.Context, name string, action func() error) error {
	l := w.leader
	addStoppedOnly := func(n int) (leads bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.stoppedOnly[name] += n; l.stoppedOnly[name] == 0 {
			delete(l.stoppedOnly, name)
		}
		return l.generation != 0
	}
	defer addStoppedOnly(-1)
	if !addStoppedOnly(1) {
		return ErrNotLeader
	}
	waitCtx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	for {
		if err := w.options.Store.CheckGroup(); err != nil {
			return err
		}
		if s, _ := w.options.Store.Snapshot(); s.Targets[name] != config.TargetStopped {
			return connect.ErrNotStopped
		}
		ownerErr := l.ownerOf(waitCtx, name)
		if ownerErr == nil {
			return action()
		}
		if pause.For(waitCtx, ownedCheckInterval) != nil {
			return fmt.Errorf("connector %s is stopped, but %w; try again later", name, ownerErr)
		}
	}
}

// ownerOf returns an error that names a member that has, or may have, tasks of a connector. Nil means no such member.
func (l *leader) ownerOf(ctx context.Context, name string) error {
	l.mu.Lock()
	members := l.members
	l.mu.Unlock()
	if url := duplicateURL(members); url != "" {
		return fmt.Errorf("it is not known whether its tasks have ended: two workers of the group advertise %s", url)
	}
	for _, member := range members {
		if member.URL == l.worker.options.URL {
			continue
		}
		var owned []connect.Ownership
		callCtx, cancel := context.WithTimeout(ctx, memberCallTimeout)
		err := l.worker.options.Call(callCtx, member.URL, OwnedCall, "", nil, &owned)
		cancel()
		if err != nil { // %v: the error is another worker's
			return fmt.Errorf("it is not known whether its tasks have ended on worker %s: %v", workerID(member.URL),
				err)
		}
		for _, o := range owned {
			if o.Connector == name && len(o.Tasks) > 0 {
				return fmt.Errorf("its tasks %v have not ended on worker %s", o.Tasks, workerID(member.URL))
			}
		}
	}
	return nil
}
