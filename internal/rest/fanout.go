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
	"time"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/guard"
)

// askTimeout bounds the response of another worker about what it runs.
const askTimeout = 2 * time.Second

// workerAnswer is the response of another worker about what it runs, or an error that names the worker.
type workerAnswer struct {
	worker  string // its id
	status  int
	body    []byte
	release func() // gives the room of the body back; nil without one
	err     error
}

// fansOut reports whether the leader has to ask all workers of the group. It asks each of them with ?own=true, which
// they answer alone.
func (req *request) fansOut() bool {
	return !req.queryBool("own") && (req.route.path != "/connectors" ||
		slices.Contains(req.queryValues("expand"), "motion"))
}

// askWorkers has all other workers of the group answer the request, each for what it runs itself, with one of some
// statuses; none for a worker that is alone, or was asked for its own. They see it as this worker's user has sent it,
// with another query: it needs no rights that the user has not.
func (req *request) askWorkers(query string, expected ...int) ([]workerAnswer, error) {
	if req.cluster == nil || req.queryBool("own") {
		return nil, nil
	}
	group, leads := req.cluster.Overview()
	if !leads {
		return []workerAnswer{{err: errNoLeader}}, nil
	}
	others := slices.DeleteFunc(group.Members, func(m GroupMember) bool { return m.WorkerID == group.Leader })
	all := make([]workerAnswer, len(others))
	ctx, cancel := context.WithTimeout(req.r.Context(), askTimeout)
	defer cancel()
	var asking sync.WaitGroup
	for i, m := range others {
		asking.Go(func() {
			err := guard.Do(nil, "asking worker "+m.WorkerID, func() error {
				return req.askWorker(ctx, m.URL, query, &all[i], expected)
			})
			if all[i].worker = m.WorkerID; err != nil {
				all[i].err = errors.New("worker " + m.WorkerID + ": " + req.worker.Redact(err.Error()))
			}
		})
	}
	asking.Wait()
	for _, p := range all {
		if p.release != nil {
			req.releases = append(req.releases, p.release)
		}
	}
	return all, nil
}

func (req *request) askWorker(ctx context.Context, to, query string, p *workerAnswer, expected []int) error {
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
	p.status = answer.StatusCode
	p.body, p.release, err = req.bodies.Read(answer.Body, maxBodies)
	switch {
	case err != nil:
		return err
	case !slices.Contains(expected, p.status) || !json.Valid(p.body):
		return fmt.Errorf("expected status %d with JSON, found %d %.300s", expected[0], p.status, p.body)
	}
	return nil
}

type groupMetrics struct {
	tasks map[connect.TaskID][]connect.TaskMetrics
	// silent has the reasons of workers that have not responded, by ID; missingReason says why metrics of a task are
	// absent.
	silent        map[string]string
	missingReason string
}

// groupMetrics asks the other workers; nil means that only the tasks of this worker are requested.
func (req *request) groupMetrics() (*groupMetrics, error) {
	parts, err := req.askWorkers("expand=motion", http.StatusOK) // what else is asked for this worker knows itself
	if parts == nil || err != nil {
		return nil, err
	}
	m := &groupMetrics{tasks: map[connect.TaskID][]connect.TaskMetrics{}, silent: map[string]string{}}
	for _, p := range parts {
		if p.err != nil {
			m.silent[p.worker] = p.err.Error()
			continue
		}
		found := map[string]struct{ Motion connect.Metrics }{}
		if name := req.name(); name == "" {
			_ = json.Unmarshal(p.body, &found) // figures of another type are none
		} else {
			one := found[name]
			_ = json.Unmarshal(p.body, &one.Motion)
			found[name] = one
		}
		for name, one := range found {
			for _, t := range one.Motion.Tasks {
				id := connect.TaskID{Connector: name, Task: t.Task}
				m.tasks[id] = append(m.tasks[id], t)
			}
		}
	}
	m.missingReason = cmp.Or(strings.Join(slices.Sorted(maps.Values(m.silent)), "; "),
		"no worker has the task at the moment")
	return m, nil
}

// connectorMetrics returns the metrics of a connector including tasks of other workers. A task without metrics has the
// reason instead.
func (m *groupMetrics) connectorMetrics(h Herder, name string) (connect.Metrics, error) {
	f, err := h.ConnectorMetrics(name)
	if m == nil || err != nil {
		return f, err
	}
	info, err := h.Info(name)
	s, unknown := h.Status(name)
	own := f.Tasks
	f.State, f.Tasks = s.Connector.State, []connect.TaskMetrics{}
	for _, id := range info.Tasks {
		one := connect.TaskMetrics{Task: id.Task, State: connect.Unassigned}
		if at := slices.IndexFunc(s.Tasks, func(t connect.TaskStatus) bool { return t.ID == id.Task }); at >= 0 {
			one.State, one.WorkerID = s.Tasks[at].State, s.Tasks[at].WorkerID
		}
		owner := one.WorkerID
		why, silent := m.silent[owner]
		one.Error = cmp.Or(why, m.missingReason)
		for _, t := range slices.Concat(own, m.tasks[id]) { // two have it while it moves
			if t.Task == id.Task && (t.WorkerID == owner || one.Error != "" && !silent) {
				one = t
			}
		}
		f.Tasks = append(f.Tasks, one)
	}
	return f, errors.Join(err, unknown)
}

func (req *request) motion() {
	others, err := req.groupMetrics()
	if err != nil {
		req.failErr(err)
		return
	}
	req.reply(others.connectorMetrics(req.herder(), req.name()))
}

// snapshotElsewhere has the worker note a snapshot that runs the feed's task, where this one does not; unknown says so.
func (req *request) snapshotElsewhere(unknown error) {
	parts, err := req.askWorkers("", http.StatusAccepted, http.StatusConflict, http.StatusNotFound)
	if parts == nil && err != nil {
		req.failErr(err)
		return
	}
	status, body := http.StatusNotFound, unknown.Error()
	for _, p := range parts {
		if p.err != nil {
			status, body = http.StatusInternalServerError, "no worker has said that it notes a snapshot: "+p.err.Error()
		}
	}
	for _, p := range parts {
		if p.err == nil && p.status != http.StatusNotFound {
			req.answer(p.status, json.RawMessage(p.body))
			return
		}
	}
	req.fail(status, body)
}
