package connect

import (
	"context"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/transport"
)

// spec is the desired state of a connector, as set by users and, on a worker in a group, by its leader.
type spec struct {
	options    *Options            // for new runs
	config     *resolved.Connector // the last accepted configuration
	target     TargetState
	assignment Assignment
	pending    []Assignment // received, but not handled by the loop yet
	// once ends the run when its work is done. sourcesRan means that sources ran before in the same --once run.
	once          bool
	sourcesRan    bool
	pausedAtStart bool      // the connector was paused before the worker started
	revokedAt     time.Time // when the last assignment was revoked
	// deleting is true from the request until the connector has ended; it keeps its claims until then. deleted is true
	// after the loop has handled the request.
	deleting bool
	deleted  bool
	// lastAssignment is the assignment at the time of deletion, which determines the cleanup. ownersLost, if not nil,
	// reports whether this worker must clean up for lost workers.
	lastAssignment Assignment
	ownersLost     func(context.Context) bool
}

func (s *spec) setAssignment(assignment Assignment, isMember bool) {
	if assignment.empty() && isMember && !s.assignment.empty() {
		s.revokedAt = time.Now()
	}
	s.assignment = assignment
}

// markDeleted records the deletion. ownersLost is nil if this worker does not clean up for lost workers.
func (s *spec) markDeleted(ownersLost func(context.Context) bool) {
	s.deleted = true
	s.lastAssignment = s.assignment
	s.assignment = Assignment{}
	if !s.lastAssignment.empty() || !strings.EqualFold(s.config.Text(onDelete), terminate) {
		return
	}
	if time.Since(s.revokedAt) >= revocationGrace { // else it cleans up as if the part were not revoked
		s.ownersLost = ownersLost
		if ownersLost == nil {
			return
		}
	}
	s.lastAssignment.Tasks = []int{0} // keeps the connector's claims until the cleanup
}

// status is the observed state of a connector. Only the loop changes state, stateSince, err, currentRun and
// previousRun. The run changes restartsAt, a new configuration changes rejected, and tasks change clocks.
type status struct {
	state       State
	stateSince  time.Time
	err         error
	restartsAt  time.Time
	rejected    config.Problems
	currentRun  *connectorRun
	previousRun *connectorRun // its tasks are shown until the new ones are known, as in Kafka Connect
	clocks      stateClocks   // by task
}

func (s *status) setIdleTasks(state State) {
	for _, t := range s.shownRun().taskSet.tasks {
		if t.cancel == nil && t.state != Failed {
			t.setState(state)
		}
	}
}

// taskClient returns the client of the current tasks, nil without them. controller.mu is held.
func (s *status) taskClient() *transport.Client {
	if len(s.currentRun.taskSet.tasks) == 0 {
		return nil
	}
	return s.currentRun.clients.client
}

// shownRun returns the run whose tasks are shown. controller.mu is held.
func (s *status) shownRun() *connectorRun {
	if s.previousRun != nil && len(s.currentRun.taskSet.tasks) == 0 {
		return s.previousRun
	}
	return s.currentRun
}

// activity is an active run, or an exclusive action in place of one.
type activity struct {
	cancel      context.CancelFunc
	isStopping  bool // cancel was called
	isExclusive bool // it is an exclusive action
}

// event is an entry of a controller's queue.
type event struct {
	kind    eventKind             // "" means that only apply is called
	err     error                 // of evFailed
	run     *connectorRun         // the run that reports it; nil for a request
	apply   func(context.Context) // called before the transition; may be nil
	handled chan struct{}         // closed when the event is handled; may be nil
}
