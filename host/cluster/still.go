package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/internal/base/pause"
)

const (
	// stillWithin is how long the leader waits until no worker has tasks of a connector that was stopped: longer than a
	// worker takes by default to end its tasks, and longer than the group waits for one that has vanished.
	stillWithin = 30 * time.Second
	// stillEvery is the pause between two looks, askedWithin how long a member may take to answer.
	stillEvery  = 200 * time.Millisecond
	askedWithin = 2 * time.Second
)

// WhenStopped does something about a connector that is stopped once no other worker has tasks of it, as the leader:
// until that is done none are given to anybody. Whether this worker has some do finds out. Errors are [ErrNotLeader],
// [connect.ErrNotStopped], [config.OtherGroupError], one that names a worker which has tasks still or does not say, and
// those of do.
func (w *Worker) WhenStopped(ctx context.Context, name string, do func() error) error {
	l := w.leader
	count := func(n int) (leads bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.still[name] += n; l.still[name] == 0 {
			delete(l.still, name)
		}
		return l.of != 0
	}
	defer count(-1)
	if !count(1) {
		return ErrNotLeader
	}
	waiting, cancel := context.WithTimeout(ctx, stillWithin)
	defer cancel()
	for {
		if err := w.o.Store.CheckGroup(); err != nil {
			return err
		}
		if s, _ := w.o.Store.Snapshot(); s.Targets[name] != config.TargetStopped {
			return connect.ErrNotStopped
		}
		busy := l.busy(waiting, name)
		if busy == nil {
			return do()
		}
		if pause.For(waiting, stillEvery) != nil {
			return fmt.Errorf("connector %s is stopped, and %w; this can be tried again", name, busy)
		}
	}
}

// busy names a member that has tasks of a connector, or has not said that it has none.
func (l *leader) busy(ctx context.Context, name string) error {
	l.mu.Lock()
	members := l.members
	l.mu.Unlock()
	if twice := sharedURL(members); twice != "" {
		return fmt.Errorf("it is not known whether its tasks have ended: two workers of the group advertise %s", twice)
	}
	for _, m := range members {
		if m.URL == l.w.o.URL {
			continue
		}
		held, err := l.holdings(ctx, m.URL)
		if err != nil { // in the answer may be an error that is none of this call
			return fmt.Errorf("it is not known whether its tasks have ended on worker %s: %v", workerID(m.URL), err)
		}
		for _, h := range held {
			if h.Connector == name && len(h.Tasks) > 0 {
				return fmt.Errorf("its tasks %v have not ended on worker %s", h.Tasks, workerID(m.URL))
			}
		}
	}
	return nil
}

// holdings asks a member what it owns.
func (l *leader) holdings(ctx context.Context, url string) (held []connect.Ownership, err error) {
	ctx, cancel := context.WithTimeout(ctx, askedWithin)
	defer cancel()
	err = l.w.o.Call(ctx, url, OwnedCall, "", nil, &held)
	return held, err
}
