package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/connect"
)

// Refusal is an error of a [Worker] that is answered with a status and a text of its own.
type Refusal struct {
	Status  int
	Message string
}

func (r *Refusal) Error() string { return r.Message }

// failed answers an error of a change. unknown is the text where the connector is not there.
func (x *exchange) failed(err error, unknown string) {
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		x.fail(refusal.Status, refusal.Message)
	case errors.Is(err, connect.ErrUnknownConnector):
		x.fail(http.StatusNotFound, unknown)
	case errors.Is(err, context.DeadlineExceeded): // as Kafka Connect says it
		x.fail(http.StatusInternalServerError, "Request timed out")
	default:
		x.fail(http.StatusInternalServerError, err.Error())
	}
}

// done answers what was done and has nothing to show.
func (x *exchange) done(status int) { x.w.WriteHeader(status) }

func (x *exchange) pause()  { x.steer(x.worker.Pause, x.name(), http.StatusAccepted) }
func (x *exchange) resume() { x.steer(x.worker.Resume, x.name(), http.StatusAccepted) }
func (x *exchange) stop()   { x.steer(x.worker.Stop, x.name(), http.StatusNoContent) }

func (x *exchange) steer(do func(string) error, name string, status int) {
	if err := do(name); err != nil {
		x.failed(err, "Unknown connector "+name)
		return
	}
	x.done(status)
}

// restart restarts a connector, or what of it has failed. Where the connector itself is restarted its tasks are made
// anew with it, whatever includeTasks says: a task belongs to the life of its connector. With a parameter that is true
// the answer is its status, in which what is restarted by Kafka Connect's rules is RESTARTING; with onlyFailed nothing
// happens where none of that has failed, and tasks that run are left alone.
func (x *exchange) restart() {
	name := x.name()
	includeTasks, onlyFailed := x.flag("includeTasks"), x.flag("onlyFailed")
	status, ok := x.worker.Status(name)
	whole, tasks := true, []int(nil)
	if ok && (includeTasks || onlyFailed) {
		status, whole, tasks = restarting(status, includeTasks, onlyFailed)
	}
	var err error
	if whole {
		err = x.worker.Restart(name)
	} else {
		for _, n := range tasks {
			err = errors.Join(err, x.worker.RestartTask(name, n))
		}
	}
	switch {
	case err != nil:
		x.failed(err, "Unknown connector: "+name)
	case includeTasks || onlyFailed:
		x.answer(http.StatusAccepted, status)
	default:
		x.done(http.StatusNoContent)
	}
}

// restarting is a status with what is to be restarted as RESTARTING: the whole connector, or some of its tasks.
func restarting(s connect.Status, includeTasks, onlyFailed bool) (shown connect.Status, whole bool, tasks []int) {
	if !onlyFailed || s.Connector.State == connect.Failed {
		s.Connector.State, whole = connect.Restarting, true
	}
	s.Tasks = append([]connect.TaskStatus{}, s.Tasks...)
	for i := range s.Tasks {
		if t := &s.Tasks[i]; includeTasks && (!onlyFailed || t.State == connect.Failed) {
			t.State, tasks = connect.Restarting, append(tasks, t.ID)
		}
	}
	return s, whole, tasks
}

// restartTask restarts one task.
func (x *exchange) restartTask() {
	name := x.name()
	n, known := x.task()
	if !known {
		return
	}
	status, ok := x.worker.Status(name)
	if ok && !slices.ContainsFunc(status.Tasks, func(t connect.TaskStatus) bool { return t.ID == n }) {
		x.fail(http.StatusNotFound, fmt.Sprintf("Unknown task: %s-%d", name, n)) // one that is STOPPED has none
		return
	}
	if err := x.worker.RestartTask(name, n); err != nil {
		x.failed(err, "Unknown connector: "+name)
		return
	}
	x.done(http.StatusNoContent)
}

// flag is a parameter that is true or not: whatever else it says counts as false, as in Java.
func (x *exchange) flag(name string) bool {
	return strings.EqualFold(x.first(name), "true")
}
