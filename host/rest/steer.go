package rest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/cluster/configtopic"
	"github.com/culvert-project/culvert/host/connect"
)

func (x *exchange) pause() { x.aim(connect.Paused, http.StatusAccepted) }

func (x *exchange) resume() { x.aim(connect.Running, http.StatusAccepted) }

func (x *exchange) stop() { x.aim(connect.Stopped, http.StatusNoContent) }

// aim gives the connector a target state.
func (x *exchange) aim(target connect.TargetState, status int) {
	if err := x.steer(func(Herder) error { return x.worker.Aim(x.name(), target) }); err != nil {
		x.failedBy(err, "Unknown connector "+x.name())
		return
	}
	x.done(status, nil)
}

// steer pauses, resumes, stops or restarts connectors. A run with --once rejects that: it would end successfully
// without having moved all data.
func (x *exchange) steer(do func(Herder) error) error {
	now := x.worker.Now()
	if now.Once {
		return &Refusal{http.StatusMethodNotAllowed,
			"Nothing is paused, stopped or restarted by REST in a run with --once"}
	}
	return do(now.Herder)
}

func (x *exchange) herder() Herder { return x.worker.Now().Herder }

// restart restarts a connector, or what of it has failed. Where the connector itself is restarted its tasks are made
// again with it, whatever includeTasks says: a task belongs to the life of its connector. With a parameter that is true
// the answer is its status, in which what is restarted by Kafka Connect's rules is RESTARTING; with onlyFailed nothing
// happens where none of that has failed, and tasks that run are left alone.
func (x *exchange) restart() {
	name := x.name()
	includeTasks, onlyFailed := x.flag("includeTasks"), x.flag("onlyFailed")
	status, err := x.herder().Status(name)
	whole, tasks := true, []int(nil)
	if err == nil && (includeTasks || onlyFailed) {
		status, whole, tasks = restarting(status, includeTasks, onlyFailed)
	}
	if x.cluster != nil && (includeTasks || onlyFailed) {
		if err == nil {
			err = x.cluster.Tell(x.r.Context(), configtopic.RestartRecord(configtopic.RestartRequest{Connector: name,
				IncludeTasks: includeTasks, OnlyFailed: onlyFailed}))
		}
	} else if whole {
		err = x.steer(func(h Herder) error { return h.Restart(name) })
	} else if len(tasks) > 0 { // without any all would be restarted
		err = x.steer(func(h Herder) error { return h.Restart(name, tasks...) })
	}
	switch {
	case err != nil:
		x.failedBy(err, "Unknown connector: "+name)
	case includeTasks || onlyFailed:
		x.answer(http.StatusAccepted, status)
	default:
		x.done(http.StatusNoContent, nil)
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
	status, err := x.herder().Status(name)
	if err == nil && !slices.ContainsFunc(status.Tasks, func(t connect.TaskStatus) bool { return t.ID == n }) {
		x.fail(http.StatusNotFound, fmt.Sprintf("Unknown task: %s-%d", name, n)) // one that is STOPPED has none
		return
	}
	if err := x.steer(func(h Herder) error { return h.Restart(name, n) }); err != nil {
		x.failedBy(err, "Unknown connector: "+name)
		return
	}
	x.done(http.StatusNoContent, nil)
}

// flag is a parameter that is true or not: whatever else it says counts as false, as in Java.
func (x *exchange) flag(name string) bool {
	return strings.EqualFold(x.first(name), "true")
}

// topics answers with an empty list for a connector that does not exist, as Kafka Connect does.
func (x *exchange) topics() {
	now := x.worker.Now()
	if !now.TracksTopics {
		x.fail(http.StatusForbidden, "Topic tracking is disabled.")
		return
	}
	names, _ := now.Herder.Topics(x.name())
	x.answer(http.StatusOK, map[string]map[string][]string{x.name(): {"topics": append([]string{}, names...)}})
}

func (x *exchange) resetTopics() {
	now := x.worker.Now()
	switch {
	case !now.TracksTopics:
		x.fail(http.StatusForbidden, "Topic tracking is disabled.")
		return
	case !now.ResetsTopics:
		x.fail(http.StatusForbidden, "Topic tracking reset is disabled.")
		return
	}
	err := now.Herder.ResetTopics(x.name())
	if errors.Is(err, connect.ErrUnknownConnector) {
		err = nil
	}
	x.done(http.StatusAccepted, err)
}
