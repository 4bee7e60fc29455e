package rest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/configtopic"
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

// control calls do, which changes what runs. A run with --once rejects that: it would succeed without having moved all
// data.
func (req *request) control(do func(Herder) error) error {
	parts := req.worker.Now()
	if parts.Once {
		return &Refusal{http.StatusMethodNotAllowed,
			"A run with --once does not allow REST to pause, stop or restart connectors"}
	}
	return do(parts.Herder)
}

func (req *request) herder() Herder { return req.worker.Now().Herder }

// restart restarts a connector with its tasks, or with onlyFailed only failed parts. With a parameter that is true the
// response is the status, with RESTARTING for the parts that Kafka Connect would restart.
func (req *request) restart() {
	name := req.name()
	includeTasks := req.queryBool("includeTasks")
	onlyFailed := req.queryBool("onlyFailed")
	status, err := req.herder().Status(name)
	restartsConnector := true
	var tasks []int
	if err == nil && (includeTasks || onlyFailed) {
		status, restartsConnector, tasks = withRestarting(status, includeTasks, onlyFailed)
	}
	if !req.cluster.Membership().IsStandalone && (includeTasks || onlyFailed) {
		if err == nil {
			err = req.cluster.Publish(req.r.Context(),
				configtopic.RestartRecord(configtopic.RestartRequest{Connector: name,
					IncludeTasks: includeTasks, OnlyFailed: onlyFailed}))
		}
	} else if restartsConnector {
		err = req.control(func(herder Herder) error { return herder.Restart(name) })
	} else if len(tasks) > 0 { // an empty list would restart all tasks
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

// withRestarting returns a status in which the connector and the tasks to restart are RESTARTING, whether the connector
// itself restarts, and the numbers of these tasks.
func withRestarting(s connect.Status, includeTasks,
	onlyFailed bool) (status connect.Status, restartsConnector bool, tasks []int) {
	if !onlyFailed || s.Connector.State == connect.Failed {
		s.Connector.State = connect.Restarting
		restartsConnector = true
	}
	s.Tasks = append([]connect.TaskStatus{}, s.Tasks...)
	for i := range s.Tasks {
		if t := &s.Tasks[i]; includeTasks && (!onlyFailed || t.State == connect.Failed) {
			t.State = connect.Restarting
			tasks = append(tasks, t.ID)
		}
	}
	return s, restartsConnector, tasks
}

func (req *request) restartTask() {
	name := req.name()
	n, ok := req.task()
	if !ok {
		return
	}
	status, err := req.herder().Status(name)
	if err == nil && !slices.ContainsFunc(status.Tasks, func(t connect.TaskStatus) bool { return t.ID == n }) {
		req.fail(http.StatusNotFound, fmt.Sprintf("Unknown task: %s-%d", name, n))
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
	parts := req.worker.Now()
	if !parts.TracksTopics {
		req.fail(http.StatusForbidden, "Topic tracking is disabled.")
		return
	}
	names, _ := parts.Herder.Topics(req.name())
	req.answer(http.StatusOK, map[string]map[string][]string{req.name(): {"topics": append([]string{}, names...)}})
}

func (req *request) resetTopics() {
	parts := req.worker.Now()
	switch {
	case !parts.TracksTopics:
		req.fail(http.StatusForbidden, "Topic tracking is disabled.")
		return
	case !parts.ResetsTopics:
		req.fail(http.StatusForbidden, "Topic tracking reset is disabled.")
		return
	}
	err := parts.Herder.ResetTopics(req.name())
	if errors.Is(err, connect.ErrUnknownConnector) { // see topics
		err = nil
	}
	req.finish(http.StatusAccepted, err)
}
