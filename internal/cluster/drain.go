package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
)

// drainState changes from active to the others, and from draining back if no other worker takes over, but not after
// Leave.
type drainState uint8

const (
	active    drainState = iota
	draining             // a member without resources, until it leaves the group forever
	suspended            // a static member that has stopped its resources and will return with the same assignment
)

// setDrainState changes the state to next if it is previous, and reports whether it has.
func (w *Worker) setDrainState(next, previous drainState) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.drainState != previous || (w.leaveCalled && next == active) {
		return false
	}
	w.drainState = next
	return true
}

// ErrLastMember is the error of [Worker.Drain] without other workers.
var ErrLastMember = errors.New("expected another worker of the group to take over the connectors and tasks of this " +
	"one, found none: it keeps them")

// Drain returns when other workers have taken over all resources; the worker gets none until it ends. The error is
// [ErrLastMember] if no other worker stays in the group; stopped tasks are started again then.
func (w *Worker) Drain(ctx context.Context) error {
	if _, _, isAlone := w.lastGeneration(); isAlone {
		return ErrLastMember
	}
	if w.setDrainState(draining, active) {
		w.Rejoin("this worker leaves")
	}
	for len(w.owned()) > 0 {
		if err := pause.For(ctx, ownedPollInterval); err != nil {
			return err
		}
	}
	previous, _, _ := w.lastGeneration()
	w.Rejoin("this worker has released its resources")
	for {
		switch generation, joinedWithResources, isAlone := w.lastGeneration(); {
		case generation <= previous, joinedWithResources: // a join in progress has not passed its resources to others
		case isAlone && w.setDrainState(active, draining):
			w.Rejoin("this worker stays, since no other does")
			return ErrLastMember
		default:
			return nil
		}
		if err := pause.For(ctx, ownedPollInterval); err != nil {
			return err
		}
	}
}

const ownedPollInterval = 10 * time.Millisecond

// lastGeneration returns the last generation. isAlone means that no other member stays in the group.
func (w *Worker) lastGeneration() (generation int32, joinedWithResources, isAlone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.generation, len(w.joinedWith) > 0, w.assignment.LastMember
}

// Leave ends the membership when tasks have ended, or ctx has. Other workers take over at once, unless the worker is a
// static member that was not drained: its assignment waits for it for a session.
func (w *Worker) Leave(ctx context.Context) error {
	w.mu.Lock()
	w.leaveCalled = true
	w.mu.Unlock()
	isReturning := w.options.Group.InstanceID != "" && w.setDrainState(suspended, active)
	switch {
	case isReturning:
		w.notify.Ring()
	case w.setDrainState(draining, active):
		w.Rejoin("this worker leaves")
	}
	for len(w.options.Herder.Owned()) > 0 && pause.For(ctx, ownedPollInterval) == nil {
	}
	return w.group.Load().Leave(context.WithoutCancel(ctx), !isReturning)
}
