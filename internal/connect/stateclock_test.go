package connect

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/wit"
)

// Tasks of a paused connector are PAUSED, also tasks that have not run, except failed ones.
func TestUnstartedTasksArePaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		worker := defaultWorker(t)
		run := newEmptyRun(&Options{Worker: worker}, slog.New(slog.DiscardHandler))
		ctl := run.controller
		ctl.spec.config = run.accepted
		ctl.status.state = Unassigned
		ctl.status.currentRun = run
		run.createTasks(make([][]wit.Setting, 2))
		run.taskSet.tasks[1].setState(Failed)
		taskStates := func() (states []State) {
			snapshot := ctl.observe()
			for i, shownTask := range snapshot.restStatus().Tasks {
				assert.Equal(t, shownTask.State, snapshot.tasks[i].state)
				states = append(states, shownTask.State)
			}
			return states
		}
		ctl.applyTransition(event{kind: evPaused})
		assert.Equal(t, []State{Paused, Failed}, taskStates())
		time.Sleep(3 * time.Second)
		ctl.applyTransition(event{kind: evResume})
		assert.Equal(t, []State{Unassigned, Failed}, taskStates())
		time.Sleep(time.Second)
		for i, want := range []float64{0.75, 0} {
			_, paused := ctl.observe().tasks[i].clock.ratios()
			assert.Equal(t, want, paused, "task", i, "paused")
		}
	})
}

// The ratios are shares of the time since a task was created, which a restart resets.
func TestStateClockRatios(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clocks := stateClocks{}
		expectRatios := func(number int, wantRunning, wantPaused float64) {
			t.Helper()
			var clock stateClock
			if clocks[number] != nil {
				clock = *clocks[number]
			}
			if running, paused := clock.ratios(); running != wantRunning || paused != wantPaused {
				t.Errorf("task %d: expected %v running and %v paused, found %v and %v", number, wantRunning, wantPaused,
					running, paused)
			}
		}
		expectRatios(0, 0, 0)
		clocks.setState(0, Running)
		clocks.setState(1, Failed)
		expectRatios(0, 0, 0) // no time has passed
		time.Sleep(6 * time.Second)
		expectRatios(0, 1, 0)
		clocks.setState(0, Unassigned)
		time.Sleep(time.Second)
		clocks.setState(0, Paused)
		time.Sleep(3 * time.Second)
		expectRatios(0, 0.6, 0.3)
		expectRatios(1, 0, 0)
		delete(clocks, 0) // it was restarted
		clocks.setState(0, Running)
		time.Sleep(time.Second)
		expectRatios(0, 1, 0)
		expectRatios(1, 0, 0)
	})
}
