package connect

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/wit"
)

// Tasks of a paused connector are PAUSED, also those that have not run, except failed ones.
func TestUnstartedTasksArePaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		worker := plainWorker(t)
		run := emptyConnector(&Options{Worker: worker}, slog.New(slog.DiscardHandler))
		ctl := run.controller
		ctl.spec.config = &config.Connector{Name: "c"}
		run.accepted = &config.Connector{Name: "c"}
		ctl.status.state = Unassigned
		ctl.status.currentRun = run
		run.taskSet.configs = make([][]wit.Setting, 2)
		ctl.update(func(*spec, *status) { run.matchTasks() })
		run.taskSet.tasks[1].setState(Failed)
		states := func() (found []State) {
			snapshot := ctl.observe()
			for i, shownTask := range snapshot.restStatus().Tasks {
				assert.Equal(t, shownTask.State, snapshot.tasks[i].state)
				found = append(found, shownTask.State)
			}
			return found
		}
		ctl.applyTransition(event{kind: evPaused})
		assert.Equal(t, []State{Paused, Failed}, states())
		time.Sleep(3 * time.Second)
		ctl.applyTransition(event{kind: evResume})
		assert.Equal(t, []State{Unassigned, Failed}, states())
		time.Sleep(time.Second)
		for i, want := range []float64{0.75, 0} {
			if _, paused := ctl.observe().tasks[i].clock.ratios(); paused != want {
				t.Errorf("task %d: expected %v paused, found %v", i, want, paused)
			}
		}
	})
}

func TestStateClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := stateClocks{}
		want := func(number int, running, paused float64) {
			t.Helper()
			var s stateClock
			if all[number] != nil {
				s = *all[number]
			}
			if r, p := s.ratios(); r != running || p != paused {
				t.Errorf("task %d: expected %v running and %v paused, found %v and %v", number, running, paused, r, p)
			}
		}
		want(0, 0, 0)
		all.setState(0, Running)
		all.setState(1, Failed)
		want(0, 0, 0) // no time passes
		time.Sleep(6 * time.Second)
		want(0, 1, 0)
		all.setState(0, Unassigned)
		time.Sleep(time.Second)
		all.setState(0, Paused)
		time.Sleep(3 * time.Second)
		want(0, 0.6, 0.3)
		want(1, 0, 0)
		delete(all, 0) // it was restarted
		all.setState(0, Running)
		time.Sleep(time.Second)
		want(0, 1, 0)
		want(1, 0, 0)
	})
}
