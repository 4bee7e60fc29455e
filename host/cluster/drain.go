package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/pause"
)

// stay is what a worker has in mind with its group. It goes from stays to each of the others, and from leaves back if
// nobody takes over, but not once Leave was called; become alone changes it.
type stay uint8

const (
	// stays: it runs its share.
	stays stay = iota
	// leaves: it is a member that is given nothing, until it leaves the group for good.
	leaves
	// rests: it runs nothing of its share, which waits for it. A static member ends like that, as it is to come back.
	rests
)

// become has the worker go from one of these to another, and reports whether it did.
func (w *Worker) become(to, from stay) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stay != from || w.ends && to == stays {
		return false
	}
	w.stay = to
	return true
}

// ErrLastMember says that nobody takes over what a worker runs.
var ErrLastMember = errors.New("expected another worker of the group that takes over what this one runs, found " +
	"none: it " +
	"hands nothing over, and goes on")

// Drain implements rest.Cluster. It begins to leave: it hands over what the worker runs, and returns when the group
// has formed a generation with that, or with ctx's error. From then on the worker is given nothing, until it ends. The
// error is [ErrLastMember] if no other worker is to stay in the group; if the others drain at the same time it may come
// when tasks have been stopped, and then they go on.
func (w *Worker) Drain(ctx context.Context) error {
	if _, _, alone := w.placed(); alone {
		return ErrLastMember
	}
	if w.become(leaves, stays) {
		w.Rejoin("this worker leaves")
	}
	for len(w.holds()) > 0 {
		if err := pause.For(ctx, lookAtHolds); err != nil {
			return err
		}
	}
	before, _, _ := w.placed()
	w.Rejoin("this worker has let go of what it ran")
	for {
		switch at, held, alone := w.placed(); {
		case at <= before, held: // a join that was under way gives nothing of it to others
		case alone && w.become(stays, leaves):
			w.Rejoin("this worker stays, since no other does")
			return ErrLastMember
		default:
			return nil
		}
		if err := pause.For(ctx, lookAtHolds); err != nil {
			return err
		}
	}
}

// lookAtHolds is how often is looked whether tasks have ended.
const lookAtHolds = 10 * time.Millisecond

// placed is the last generation that the worker was given something in, whether it had something when it joined that,
// and whether nobody else stays in it.
func (w *Worker) placed() (generation int32, held, alone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.generation, len(w.heard) > 0, w.assignment.Alone
}

// Leave ends the worker's membership. It waits for tasks to end for as long as ctx lasts. A static member is to come
// back: it says no goodbye, and within its session nobody else is given what it had. Of any other, and of one that was
// drained, the group takes over at once what it ran.
func (w *Worker) Leave(ctx context.Context) error {
	w.mu.Lock()
	w.ends = true
	w.mu.Unlock()
	back := w.o.Group.InstanceID != "" && w.become(rests, stays)
	switch {
	case back:
		w.work.Ring()
	case w.become(leaves, stays):
		w.Rejoin("this worker leaves")
	}
	for len(w.o.Herder.Owned()) > 0 && pause.For(ctx, lookAtHolds) == nil {
	}
	return w.group.Load().Leave(context.WithoutCancel(ctx), !back)
}
