package connect

import (
	"maps"
	"slices"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
)

var (
	allStates = []State{Unassigned, Running, Paused, Stopped, Failed, Restarting}
	allEvents = []eventKind{evStarted, evFailed, evTasksEnded, evResume, evPause, evStop, evRestart, evShutdown,
		evRunnable, evPaused, evStopped, evTerminated, evReassigned, evUnassigned}
)

// isIdleEvent reports whether an event means that nothing of the connector runs.
func isIdleEvent(e eventKind) bool {
	return slices.Contains([]eventKind{evRunnable, evPaused, evStopped, evTerminated, evUnassigned}, e)
}

// Every state has a transition for every event, and each state can be reached.
func TestTransitionsAreComplete(t *testing.T) {
	for _, state := range allStates {
		for _, e := range allEvents {
			switch change, ok := transitions[state][e]; {
			case !ok:
				t.Errorf("%s: expected a transition for %s, found none", state, e)
			case !slices.Contains(allStates, change.next):
				t.Errorf("%s, %s: expected a state, found %q", state, e, change.next)
			case !isIdleEvent(e) && change.action == doStart && change.next == Running:
				t.Errorf("%s, %s: expected nothing to run before the start", state, e)
			case e == evPaused && change != (transition{next: Paused, action: doNothing}),
				e == evStopped && change != (transition{next: Stopped, action: doNothing}):
				t.Errorf("%s, %s: expected the target state, found %v", state, e, change)
			case e == evRunnable && change.action != doStart:
				t.Errorf("%s, %s: expected the tasks to start, found %v", state, e, change)
			case e == evShutdown && change.action != doStop:
				t.Errorf("%s, %s: expected the tasks to stop, found %v", state, e, change)
			}
		}
	}
	isReached := map[State]bool{Unassigned: true}
	for range allStates {
		for _, state := range allStates {
			for _, e := range allEvents {
				if isReached[state] {
					isReached[transitions[state][e].next] = true
				}
			}
		}
	}
	want := slices.Sorted(slices.Values(allStates))
	assert.Equal(t, want, slices.Sorted(maps.Keys(isReached)), "states that can be reached")
	for state, row := range transitions {
		assert.True(t, slices.Contains(allStates, state) && len(row) == len(allEvents),
			"%s: expected a known state with %d events, found %d", state, len(allEvents), len(row))
	}
}
