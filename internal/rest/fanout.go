package rest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/guard"
)

// queryTimeout is how long a worker may take to answer; the states of its tasks are unknown then.
const queryTimeout = 3 * time.Second

// workerAnswer is the response of another worker, or an error that names the worker.
type workerAnswer struct {
	worker  string // its id
	status  int
	body    []byte
	release func() // returns the memory budget of the body; nil without a body
	err     error
}

// needsFanOut reports whether the leader has to query all workers of the group. It adds ?own=true to these queries. Of
// GET /connectors only the metrics (?expand=motion) need that: each worker knows the rest.
func (req *request) needsFanOut() bool {
	return !req.queryBool("own") && (req.route.path != "/connectors" ||
		slices.Contains(req.queryValues("expand"), "motion"))
}

// queryWorkers sends the request with another query to all other workers of the group; to none for ?own=true. The
// requests have the user's credentials, so they need no further rights.
func (req *request) queryWorkers(query string, expected ...int) ([]workerAnswer, error) {
	if req.queryBool("own") {
		return nil, nil
	}
	group, isLeader := req.cluster.Overview()
	if !isLeader {
		return []workerAnswer{{err: errNoLeader}}, nil
	}
	others := slices.DeleteFunc(group.Members, func(m groupview.Member) bool { return m.WorkerID == group.Leader })
	answers := make([]workerAnswer, len(others))
	ctx, cancel := context.WithTimeout(req.r.Context(), queryTimeout)
	defer cancel()
	var queries sync.WaitGroup
	for i, member := range others {
		queries.Go(func() {
			err := guard.Do(nil, "asking worker "+member.WorkerID, func() error {
				return req.queryWorker(ctx, member.URL, query, &answers[i], expected)
			})
			answers[i].worker = member.WorkerID
			if err != nil {
				answers[i].err = errors.New("worker " + member.WorkerID + ": " + req.worker.Redact(silentReason(err)))
			}
		})
	}
	queries.Wait()
	for _, answer := range answers {
		if answer.release != nil {
			req.releases = append(req.releases, answer.release)
		}
	}
	return answers, nil
}

// silentReason returns why a worker has not answered, for operators.
func silentReason(err error) string {
	var errno syscall.Errno
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("it does not answer within %v", queryTimeout)
	case errors.As(err, &errno):
		return "it does not answer: " + errno.Error()
	}
	return err.Error()
}

// queryWorker stores the response of a worker in result, with another status than the expected ones as an error.
func (req *request) queryWorker(ctx context.Context, to, query string, result *workerAnswer, expected []int) error {
	to, err := workerURL(to)
	if err != nil {
		return err
	}
	r, err := req.forwardRequest(ctx, to, "own=true&"+query, nil)
	if err != nil {
		return err
	}
	answer, err := req.workerClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	result.status = answer.StatusCode
	result.body, result.release, err = req.bodies.Read(answer.Body, maxBufferedBytes)
	switch {
	case err != nil:
		return err
	case !slices.Contains(expected, result.status) || !json.Valid(result.body):
		return fmt.Errorf("expected status %d with JSON, found %d %.300s", expected[0], result.status, result.body)
	}
	return nil
}

// groupMetrics has what the leader needs to complete the metrics of its own tasks.
type groupMetrics struct {
	tasks map[connect.TaskID][]connect.TaskMetrics // of other workers; two may report a task that moves
	// components has the states of connectors (task -1) and tasks in the list of connectors.
	components map[connect.TaskID]connect.ComponentStatus
	// silent has the errors of workers that did not respond, by ID; missingReason explains missing metrics of a task.
	silent        map[string]string
	missingReason string
}

func (req *request) groupMetrics() (*groupMetrics, error) {
	answers, err := req.queryWorkers("expand=motion", http.StatusOK) // this worker knows the other parts itself
	if answers == nil || err != nil {
		return nil, err
	}
	metrics := &groupMetrics{tasks: map[connect.TaskID][]connect.TaskMetrics{}, silent: unknownWorkers(answers),
		components: map[connect.TaskID]connect.ComponentStatus{}}
	group := &listAnswers{unknown: metrics.silent}
	group.addMembers(req.cluster)
	for _, former := range group.former {
		metrics.silent[former.WorkerID] = "worker " + former.WorkerID + ": " + former.Text
	}
	for _, summary := range req.herder().Summaries() {
		for _, component := range summary.Components {
			id := connect.TaskID{Connector: summary.Name, Task: component.Task}
			metrics.components[id] = group.refine(component)
		}
	}
	for _, answer := range answers {
		if answer.err != nil {
			continue
		}
		byConnector := map[string]struct{ Motion connect.Metrics }{}
		if name := req.name(); name == "" { // GET /connectors
			_ = json.Unmarshal(answer.body, &byConnector) // metrics of another type are ignored
		} else {
			progress := byConnector[name]
			_ = json.Unmarshal(answer.body, &progress.Motion)
			byConnector[name] = progress
		}
		for name, progress := range byConnector {
			id := connect.TaskID{Connector: name, Task: -1}
			if component := metrics.components[id]; component.WorkerID == answer.worker && progress.Motion.State != "" {
				component.Condition = progress.Motion.State // also of tasks there
				metrics.components[id] = component
			}
			for _, t := range progress.Motion.Tasks {
				id := connect.TaskID{Connector: name, Task: t.Task}
				metrics.tasks[id] = append(metrics.tasks[id], t)
			}
		}
	}
	metrics.missingReason = cmp.Or(strings.Join(slices.Sorted(maps.Values(metrics.silent)), "; "),
		"no worker runs the task at the moment")
	return metrics, nil
}

// connectorMetrics returns metrics that include tasks of other workers. A task without metrics has the reason instead.
// m may be nil.
func (m *groupMetrics) connectorMetrics(h Herder, name string) (connect.Metrics, error) {
	metrics, err := h.ConnectorMetrics(name)
	if m == nil || err != nil {
		return metrics, err
	}
	info, err := h.Info(name)
	ownTasks := metrics.Tasks
	metrics.State = m.components[connect.TaskID{Connector: name, Task: -1}].Condition
	metrics.Tasks = []connect.TaskMetrics{}
	for _, id := range info.Tasks {
		task := connect.TaskMetrics{Task: id.Task, State: connect.ConditionUnassigned}
		if component, ok := m.components[id]; ok {
			task.State = component.Condition
			task.WorkerID = component.WorkerID
		}
		owner := task.WorkerID
		why, ok := m.silent[owner]
		task.Error = cmp.Or(why, m.missingReason)
		for _, t := range slices.Concat(ownTasks, m.tasks[id]) {
			// The owner's metrics win. Metrics of another worker are better than no metrics, unless the owner is
			// silent.
			isBetter := t.WorkerID == owner || (task.Error != "" && !ok)
			if t.Task == id.Task && isBetter {
				task = t
			}
		}
		metrics.Tasks = append(metrics.Tasks, task)
	}
	metrics.AddTaskStates()
	return metrics, err
}

func (req *request) connectorProgress() {
	others, err := req.groupMetrics()
	if err != nil {
		req.failErr(err)
		return
	}
	req.reply(others.connectorMetrics(req.herder(), req.name()))
}

// snapshotOnOtherWorker forwards the request to the other workers, since no task of this one has the feed (unknown).
func (req *request) snapshotOnOtherWorker(unknown error) {
	answers, err := req.queryWorkers("", http.StatusAccepted, http.StatusConflict, http.StatusNotFound)
	if answers == nil && err != nil {
		req.failErr(err)
		return
	}
	status := http.StatusNotFound
	body := unknown.Error()
	for _, answer := range answers {
		switch {
		case answer.err != nil:
			status = http.StatusInternalServerError
			body = "no worker has accepted the snapshot: " + answer.err.Error()
		case answer.status != http.StatusNotFound:
			req.answer(answer.status, json.RawMessage(answer.body))
			return
		}
	}
	req.fail(status, body)
}
