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

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/guard"
)

// partWithin is how long another worker may take to answer for what it runs.
const partWithin = 2 * time.Second

// part is what another worker has answered for what it runs itself, or an error that names it.
type part struct {
	worker  string // its id
	status  int
	body    []byte
	release func() // gives the room of the body back; nil without one
	err     error
}

// gathers tells whether the request is for the leader, who asks all workers of the group for their parts: ?own=true
// is what it asks each of them, which answers by itself.
func (x *exchange) gathers() bool {
	return !x.flag("own") && (x.route.path != "/connectors" || slices.Contains(x.asked("expand"), "motion"))
}

// parts has all other workers of the group answer the request, each for what it runs itself, with one of some statuses;
// none for a worker that is alone, or was asked for its own. They see it as this worker's user has sent it, with
// another query: it needs no rights that the user has not.
func (x *exchange) parts(query string, expected ...int) ([]part, error) {
	if x.cluster == nil || x.flag("own") {
		return nil, nil
	}
	group, leads := x.cluster.Overview()
	if !leads {
		return []part{{err: errNoLeader}}, nil
	}
	others := slices.DeleteFunc(group.Members, func(m GroupMember) bool { return m.WorkerID == group.Leader })
	all := make([]part, len(others))
	ctx, cancel := context.WithTimeout(x.r.Context(), partWithin)
	defer cancel()
	var asking sync.WaitGroup
	for i, m := range others {
		asking.Go(func() {
			err := guard.Do(nil, "asking worker "+m.WorkerID, func() error {
				return x.part(ctx, m.URL, query, &all[i], expected)
			})
			if all[i].worker = m.WorkerID; err != nil {
				all[i].err = errors.New("worker " + m.WorkerID + ": " + x.worker.Strike(err.Error()))
			}
		})
	}
	asking.Wait()
	for _, p := range all {
		if p.release != nil {
			x.releases = append(x.releases, p.release)
		}
	}
	return all, nil
}

func (x *exchange) part(ctx context.Context, to, query string, p *part, expected []int) error {
	to, err := workerURL(to)
	if err != nil {
		return err
	}
	r, err := x.handed(ctx, to, "own=true&"+query, nil)
	if err != nil {
		return err
	}
	answer, err := x.peers.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	p.status = answer.StatusCode
	p.body, p.release, err = x.bodies.Read(answer.Body, maxBodies)
	switch {
	case err != nil:
		return err
	case !slices.Contains(expected, p.status) || !json.Valid(p.body):
		return fmt.Errorf("expected status %d with JSON, found %d %.300s", expected[0], p.status, p.body)
	}
	return nil
}

// motions are figures of tasks that other workers run.
type motions struct {
	tasks map[connect.TaskID][]connect.TaskMetrics
	// silent says of workers that have not answered why, by their ids; missing why figures of a task may not be there.
	silent  map[string]string
	missing string
}

// motions asks for them; nil for a worker that is to answer for its own tasks alone.
func (x *exchange) motions() (*motions, error) {
	parts, err := x.parts("expand=motion", http.StatusOK) // what else is asked for this worker knows itself
	if parts == nil || err != nil {
		return nil, err
	}
	m := &motions{tasks: map[connect.TaskID][]connect.TaskMetrics{}, silent: map[string]string{}}
	for _, p := range parts {
		if p.err != nil {
			m.silent[p.worker] = p.err.Error()
			continue
		}
		found := map[string]struct{ Motion connect.Metrics }{}
		if name := x.name(); name == "" {
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
	m.missing = cmp.Or(strings.Join(slices.Sorted(maps.Values(m.silent)), "; "), "no worker has the task at the moment")
	return m, nil
}

// of are the figures of a connector with those tasks of it that other workers run. Tasks of which there are none have
// the reason: they are never left out.
func (m *motions) of(h Herder, name string) (connect.Metrics, error) {
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
		one.Error = cmp.Or(why, m.missing)
		for _, t := range slices.Concat(own, m.tasks[id]) { // two have it while it moves
			if t.Task == id.Task && (t.WorkerID == owner || one.Error != "" && !silent) {
				one = t
			}
		}
		f.Tasks = append(f.Tasks, one)
	}
	return f, errors.Join(err, unknown)
}

// motion answers how far a connector is, since its tasks were made.
func (x *exchange) motion() {
	others, err := x.motions()
	if err != nil {
		x.failed(err)
		return
	}
	x.reply(others.of(x.herder(), x.name()))
}

// snapshotElsewhere has the worker note a snapshot that runs the feed's task, where this one does not; unknown says so.
func (x *exchange) snapshotElsewhere(unknown error) {
	parts, err := x.parts("", http.StatusAccepted, http.StatusConflict, http.StatusNotFound)
	if parts == nil && err != nil {
		x.failed(err)
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
			x.answer(p.status, json.RawMessage(p.body))
			return
		}
	}
	x.fail(status, body)
}
