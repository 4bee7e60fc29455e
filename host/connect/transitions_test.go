package connect

import (
	"fmt"
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

// holes are what is wrong with a table of transitions.
func holes(table map[State]map[event]transition) (found []string) {
	for _, s := range allStates {
		for _, e := range allEvents {
			t, ok := table[s][e]
			switch {
			case !ok:
				found = append(found, fmt.Sprintf("%s: expected a transition for %s, found none", s, e))
			case !slices.Contains(allStates, t.next):
				found = append(found, fmt.Sprintf("%s, %s: expected a state, found %q", s, e, t.next))
			case !atRestEvent(e) && t.do == begin && t.next == Running:
				found = append(found, fmt.Sprintf("%s, %s: nothing runs before it has started", s, e))
			case e == onPaused && t != (transition{Paused, nothing}), e == onStopped &&
				t != (transition{Stopped, nothing}):
				found = append(found, fmt.Sprintf("%s, %s: expected the target state, found %v", s, e, t))
			case e == onFree && t.do != begin:
				found = append(found, fmt.Sprintf("%s, %s: expected its tasks to begin, found %v", s, e, t))
			case e == onShutdown && t.do != halt:
				found = append(found, fmt.Sprintf("%s, %s: expected its tasks to stop, found %v", s, e, t))
			}
		}
	}
	return found
}

func atRestEvent(e event) bool {
	return slices.Contains([]event{onFree, onPaused, onStopped, onGone, onAway}, e)
}

// Every state has a transition for every event, and each state can be reached.
func TestTransitions(t *testing.T) {
	for _, hole := range holes(transitions) {
		t.Error(hole)
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

// The walk finds a transition that is missing, whichever it is.
func TestMissingTransitionIsFound(t *testing.T) {
	for _, s := range allStates {
		for _, e := range allEvents {
			table := map[State]map[event]transition{}
			for state, row := range transitions {
				table[state] = maps.Clone(row)
			}
			delete(table[s], e)
			want := []string{fmt.Sprintf("%s: expected a transition for %s, found none", s, e)}
			assert.Equal(t, want, holes(table), "without", e, "in", s)
		}
	}
}
