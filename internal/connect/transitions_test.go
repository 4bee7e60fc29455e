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

func atRestEvent(e eventKind) bool {
	return slices.Contains([]eventKind{evRunnable, evPaused, evStopped, evTerminated, evUnassigned}, e)
}

// Every state has a transition for every event, and each state can be reached.
func TestTransitions(t *testing.T) {
	for _, state := range allStates {
		for _, e := range allEvents {
			switch to, ok := transitions[state][e]; {
			case !ok:
				t.Errorf("%s: expected a transition for %s, found none", state, e)
			case !slices.Contains(allStates, to.next):
				t.Errorf("%s, %s: expected a state, found %q", state, e, to.next)
			case !atRestEvent(e) && to.action == doStart && to.next == Running:
				t.Errorf("%s, %s: expected nothing to run before the start", state, e)
			case e == evPaused && to != (transition{Paused, doNothing}), e == evStopped &&
				to != (transition{Stopped, doNothing}):
				t.Errorf("%s, %s: expected the target state, found %v", state, e, to)
			case e == evRunnable && to.action != doStart:
				t.Errorf("%s, %s: expected its tasks to begin, found %v", state, e, to)
			case e == evShutdown && to.action != doStop:
				t.Errorf("%s, %s: expected its tasks to stop, found %v", state, e, to)
			}
		}
	}
	reached := map[State]bool{Unassigned: true}
	for range allStates {
		for _, state := range allStates {
			for _, e := range allEvents {
				if reached[state] {
					reached[transitions[state][e].next] = true
				}
			}
		}
	}
	assert.Equal(t, slices.Sorted(slices.Values(allStates)), slices.Sorted(maps.Keys(reached)), "reached")
	for state, row := range transitions {
		if !slices.Contains(allStates, state) || len(row) != len(allEvents) {
			t.Errorf("%s: expected a known state with %d events, found %d", state, len(allEvents), len(row))
		}
	}
}
