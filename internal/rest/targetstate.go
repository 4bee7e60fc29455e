package rest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/cluster/configtopic"
	"github.com/culvert-project/culvert/internal/connect"
)

func (req *request) pause() { req.setTargetState(connect.Paused, http.StatusAccepted) }

func (req *request) resume() { req.setTargetState(connect.Running, http.StatusAccepted) }

func (req *request) stop() { req.setTargetState(connect.Stopped, http.StatusNoContent) }

func (req *request) setTargetState(target connect.TargetState, status int) {
	if err := req.control(func(Herder) error { return req.worker.SetTargetState(req.name(), target) }); err != nil {
		req.failUnknown(err, "Unknown connector "+req.name())
		return
	}
	req.finish(status, nil)
}

// control runs a change of what runs, which --once rejects: the run would succeed without having moved all data.
func (req *request) control(do func(Herder) error) error {
	now := req.worker.Now()
	if now.Once {
		return &Refusal{http.StatusMethodNotAllowed,
			"A run with --once does not allow REST to pause, stop or restart connectors"}
	}
	return do(now.Herder)
}

func (req *request) herder() Herder { return req.worker.Now().Herder }

// restart restarts a connector with its tasks, or with onlyFailed only failed parts. With a parameter that is true the
// response is the status, with RESTARTING for the parts that Kafka Connect would restart.
func (req *request) restart() {
	name := req.name()
	includeTasks := req.queryBool("includeTasks")
	onlyFailed := req.queryBool("onlyFailed")
	status, err := req.herder().Status(name)
	whole := true
	tasks := []int(nil)
	if err == nil && (includeTasks || onlyFailed) {
		status, whole, tasks = withRestarting(status, includeTasks, onlyFailed)
	}
	if req.cluster != nil && (includeTasks || onlyFailed) {
		if err == nil {
			err = req.cluster.Publish(req.r.Context(),
				configtopic.RestartRecord(configtopic.RestartRequest{Connector: name,
					IncludeTasks: includeTasks, OnlyFailed: onlyFailed}))
		}
	} else if whole {
		err = req.control(func(herder Herder) error { return herder.Restart(name) })
	} else if len(tasks) > 0 { // without any all would be restarted
		err = req.control(func(herder Herder) error { return herder.Restart(name, tasks...) })
	}
	switch {
	case err != nil:
		req.failUnknown(err, "Unknown connector: "+name)
	case includeTasks || onlyFailed:
		req.answer(http.StatusAccepted, status)
	default:
		req.finish(http.StatusNoContent, nil)
	}
}

// withRestarting marks the connector (whole) and its tasks to restart as RESTARTING.
func withRestarting(s connect.Status, includeTasks, onlyFailed bool) (shown connect.Status, whole bool, tasks []int) {
	if !onlyFailed || s.Connector.State == connect.Failed {
		s.Connector.State = connect.Restarting
		whole = true
	}
	s.Tasks = append([]connect.TaskStatus{}, s.Tasks...)
	for i := range s.Tasks {
		if t := &s.Tasks[i]; includeTasks && (!onlyFailed || t.State == connect.Failed) {
			t.State = connect.Restarting
			tasks = append(tasks, t.ID)
		}
	}
	return s, whole, tasks
}

func (req *request) restartTask() {
	name := req.name()
	n, known := req.task()
	if !known {
		return
	}
	status, err := req.herder().Status(name)
	if err == nil && !slices.ContainsFunc(status.Tasks, func(t connect.TaskStatus) bool { return t.ID == n }) {
		req.fail(http.StatusNotFound, fmt.Sprintf("Unknown task: %s-%d", name, n)) // one that is STOPPED has none
		return
	}
	if err := req.control(func(h Herder) error { return h.Restart(name, n) }); err != nil {
		req.failUnknown(err, "Unknown connector: "+name)
		return
	}
	req.finish(http.StatusNoContent, nil)
}

// queryBool returns a boolean parameter. Any value but true is false, as in Java.
func (req *request) queryBool(name string) bool {
	return strings.EqualFold(req.queryValue(name), "true")
}

// topics answers with an empty list for a connector that does not exist, as Kafka Connect does.
func (req *request) topics() {
	now := req.worker.Now()
	if !now.TracksTopics {
		req.fail(http.StatusForbidden, "Topic tracking is disabled.")
		return
	}
	names, _ := now.Herder.Topics(req.name())
	req.answer(http.StatusOK, map[string]map[string][]string{req.name(): {"topics": append([]string{}, names...)}})
}

func (req *request) resetTopics() {
	now := req.worker.Now()
	switch {
	case !now.TracksTopics:
		req.fail(http.StatusForbidden, "Topic tracking is disabled.")
		return
	case !now.ResetsTopics:
		req.fail(http.StatusForbidden, "Topic tracking reset is disabled.")
		return
	}
	err := now.Herder.ResetTopics(req.name())
	if errors.Is(err, connect.ErrUnknownConnector) {
		err = nil
	}
	req.finish(http.StatusAccepted, err)
}
