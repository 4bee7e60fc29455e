package connect

import (
	"maps"
	"slices"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/assert"
)

var (
	allStates = []State{Unassigned, Running, Paused, Stopped, Failed, Restarting}
	allEvents = []event{onStarted, onFailed, onOver, onResume, onPause, onStop, onRestart, onShutdown, onFree, onPaused,
		onStopped, onGone, onShared, onAway}
)

func atRestEvent(e event) bool {
	return slices.Contains([]event{onFree, onPaused, onStopped, onGone, onAway}, e)
}

// Every state has a transition for every event, and each state can be reached.
func TestTransitions(t *testing.T) {
	for _, s := range allStates {
		for _, e := range allEvents {
			switch to, ok := transitions[s][e]; {
			case !ok:
				t.Errorf("%s: expected a transition for %s, found none", s, e)
			case !slices.Contains(allStates, to.next):
				t.Errorf("%s, %s: expected a state, found %q", s, e, to.next)
			case !atRestEvent(e) && to.do == begin && to.next == Running:
				t.Errorf("%s, %s: nothing runs before it has started", s, e)
			case e == onPaused && to != (transition{Paused, nothing}), e == onStopped &&
				to != (transition{Stopped, nothing}):
				t.Errorf("%s, %s: expected the target state, found %v", s, e, to)
			case e == onFree && to.do != begin:
				t.Errorf("%s, %s: expected its tasks to begin, found %v", s, e, to)
			case e == onShutdown && to.do != halt:
				t.Errorf("%s, %s: expected its tasks to stop, found %v", s, e, to)
			}
		}
	}
	reached := map[State]bool{Unassigned: true}
	for range allStates {
		for _, s := range allStates {
			for _, e := range allEvents {
				if reached[s] {
					reached[transitions[s][e].next] = true
				}
			}
		}
	}
	assert.Equal(t, slices.Sorted(slices.Values(allStates)), slices.Sorted(maps.Keys(reached)), "reached")
	for s, row := range transitions {
		if !slices.Contains(allStates, s) || len(row) != len(allEvents) {
			t.Errorf("%s: expected a known state with %d events, found %d", s, len(allEvents), len(row))
		}
	}
}
