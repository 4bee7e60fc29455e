package rest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/connect"
	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// runner runs one of the four tasks of connector c. Its number is the task's and the feed's.
type runner struct {
	standIn
	number   int
	stored   connect.State // the state of the connector in the status topic
	restarts string        // when task 2 restarts
}

func (r *runner) worker() Worker {
	r.parts.Lockouts = lockouts.New()
	r.parts.ID = r.id()
	return r.with(r)
}

func (r *runner) Names() []string {
	return []string{"c"}
}

func (r *runner) id() string { return fmt.Sprint("w", r.number) }

func (r *runner) Info(name string) (connect.Info, error) {
	if name != "c" {
		return connect.Info{}, connect.ErrUnknownConnector
	}
	info := connect.Info{Name: name}
	for n := range 4 {
		info.Tasks = append(info.Tasks, connect.TaskID{Connector: name, Task: n})
	}
	return info, nil
}

func (r *runner) Status(string) (connect.Status, error) {
	s := connect.Status{Connector: connect.ConnectorStatus{State: connect.Running}}
	for n := range 3 {
		s.Tasks = append(s.Tasks, connect.TaskStatus{ID: n, State: connect.Running, WorkerID: fmt.Sprint("w", n)})
	}
	return s, nil
}

func (r *runner) ConnectorMetrics(name string) (connect.Metrics, error) {
	if _, err := r.Info(name); err != nil {
		return connect.Metrics{}, err
	}
	f := connect.Metrics{Name: name, State: connect.ConditionIdle, Type: "source", Tasks: []connect.TaskMetrics{}}
	addTask := func(n int, state connect.Condition) {
		f.Tasks = append(f.Tasks, connect.TaskMetrics{Task: n, State: state, WorkerID: r.id(),
			Progress: &connect.Progress{Rows: int64(10 + r.number),
				InternalProgress: connect.InternalProgress{Flow: r.flow(state)}}})
	}
	addTask(r.number, connect.ConditionRunning)
	if r.number == 1 { // it is about to end a task that worker 2 has already started
		addTask(2, connect.ConditionIdle)
	}
	return f, nil
}

// flow returns the measurements of its own task: it spends half of the time fetching.
func (r *runner) flow(state connect.Condition) (f core.Flow) {
	if state == connect.ConditionRunning {
		f = core.Flow{Period: time.Minute, Rows: float64(10 + r.number), Stages: []core.Stage{{Name: "fetch",
			Busy: 30 * time.Second}}}
	}
	return f
}

func (r *runner) Snapshot(_, feed, _ string) error {
	switch feed {
	case fmt.Sprint("feed", r.number):
		return nil
	case "full":
		if r.number == 2 {
			return connect.ErrTooManySnapshots
		}
	}
	return fmt.Errorf("%w: %q", connect.ErrNoFeed, feed)
}

// startRunners starts three workers. The second one leads. intercept is explained at startGroup.
func startRunners(t *testing.T,
	intercept func(w http.ResponseWriter, r *http.Request, n int) bool) (urls []string, seats []*seat) {
	t.Helper()
	var workers []Worker
	for n := range 3 {
		workers = append(workers, (&runner{number: n, restarts: "1970-01-01T00:00:00Z"}).worker())
	}
	return startGroup(t, workers, 0, intercept)
}

const partsOfAll = `{"name":"c","state":"unassigned","type":"source","tasks":[` +
	`{"id":0,"state":"running","worker_id":"w0","caught_up":false,"rows":10,"refused":0},` +
	`{"id":1,"state":"running","worker_id":"w1","caught_up":false,"rows":11,"refused":0},` +
	`{"id":2,"state":"running","worker_id":"w2","caught_up":false,"rows":12,"refused":0},` +
	`{"id":3,"state":"unassigned","worker_id":"","error":"no worker runs the task at the moment"}]}`

// Metrics of a connector contain all workers that run its tasks, whichever worker gets the request, with the rights of
// the user.
func TestGroupMetricsOfAllWorkers(t *testing.T) {
	t.Parallel()
	urls, seats := startRunners(t, func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if _, secret, _ := r.BasicAuth(); secret != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return false
	})
	for _, url := range urls {
		for _, query := range []string{"", "?own=false", "?own=false&own=true"} {
			status, body := get(t, "GET", url+"/culvert/connectors/c"+query)
			assert.Equal(t, "200 "+partsOfAll, fmt.Sprint(status, " ", body), query)
		}
		status, body := get(t, "GET", url+"/connectors?expand=motion")
		assert.Equal(t, `200 {"c":{"motion":`+partsOfAll+`}}`, fmt.Sprint(status, " ", body))
	}
	status, body := get(t, "GET", urls[2]+"/culvert/connectors/c?own=true")
	assert.Equal(t, `200 {"name":"c","state":"idle","type":"source","tasks":[{"id":2,"state":"running",`+
		`"worker_id":"w2","caught_up":false,"rows":12,"refused":0}]}`, fmt.Sprint(status, " ", body))
	status, _ = get(t, "GET", urls[0]+"/culvert/connectors/none")
	assert.Equal(t, 404, status)
	status, body = get(t, "GET", urls[0]+"/connectors?expand=other")
	assert.Equal(t, `200 {"c":{}}`, fmt.Sprint(status, " ", body))

	seats[1].set(func(s *seat) { s.members = s.members[1:] }) // worker 0 has left
	_, body = get(t, "GET", urls[1]+"/culvert/connectors/c")
	assert.Contains(t, body, `{"id":0,"state":"unassigned","worker_id":"w0",`)

	seats[1].set(func(s *seat) { s.leader = "" }) // it stops leading during the request
	for _, target := range []string{"/culvert/connectors/c", "/connectors?expand=motion"} {
		status, body = get(t, "GET", urls[0]+target)
		assert.Equal(t, 200, status, body)
		assert.Contains(t, body, `"rows":11`,
			`"state":"unknown","worker_id":"w0","error":"Cannot complete request momentarily due to no known`)
	}
}

// The worker that runs a connector knows best whether it has failed or waits for the next start.
func TestStateOfConnectorOnOtherWorker(t *testing.T) {
	t.Parallel()
	isSilent := false
	var workers []Worker
	for n := range 3 {
		workers = append(workers, (&runner{number: n, stored: connect.Failed}).worker())
	}
	urls, seats := startGroup(t, workers, 0, func(w http.ResponseWriter, _ *http.Request, n int) bool {
		if isSilent && n == 1 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return isSilent && n == 1
	})
	for _, s := range seats {
		s.set(func(s *seat) { s.leader = urls[0] })
	}
	for _, want := range []string{"unassigned", "failed"} { // task 3 is unassigned
		status, body := get(t, "GET", urls[0]+"/culvert/connectors/c")
		assert.Equal(t, 200, status)
		assert.Contains(t, body, `{"name":"c","state":"`+want+`",`)
		isSilent = true
	}
}

// If a worker does not respond in time, responds without JSON or rejects the request, its tasks are listed with the
// reason.
func TestGroupMetricsOfUnresponsiveWorker(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		respond func(w http.ResponseWriter, r *http.Request)
		want    string
	}{
		"silent": {
			respond: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			want:    `worker w2: it does not answer within 3s"`,
		},
		"refuses": {
			respond: func(w http.ResponseWriter, _ *http.Request) { writeError(w, 403, "not you") },
			want:    `found 403 {\"error_code\":403,\"message\":\"not you\"}`,
		},
		"no JSON": {
			respond: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
			want:    "expected status 200 with JSON, found 200 <html>",
		},
		"large": {
			respond: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxBufferedBytes)) },
			want:    "the bodies of other requests use all memory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			urls, _ := startRunners(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
				isSilent := n == 2 && r.URL.Query().Get("own") == "true"
				if isSilent {
					c.respond(w, r)
				}
				return isSilent
			})
			began := time.Now()
			status, body := get(t, "GET", urls[0]+"/culvert/connectors/c")
			if elapsed := time.Since(began); elapsed > queryTimeout+time.Second {
				t.Errorf("expected a response within %v, found one after %v", queryTimeout, elapsed)
			}
			own, others, _ := strings.Cut(body, `{"id":2,`)
			assert.True(t, status == 200 && strings.Contains(own, `"rows":10,`) &&
				strings.Contains(own, `"rows":11,`) &&
				strings.HasPrefix(others, `"state":"unknown","worker_id":"w2","error":"worker w2: `) &&
				strings.Contains(others, c.want) && !strings.Contains(others, `"rows"`), "found %d %s", status, body)
			status, body = get(t, "POST", urls[0]+"/culvert/connectors/c/feeds/feed7/snapshot")
			assert.True(t, status == 500 && strings.Contains(body, "worker w2"),
				"expected an error for a snapshot without a worker, found %d %s", status, body)
		})
	}
}

// Responses of other workers count as request bodies do, until the user's request has its response.
func TestGroupMetricsAreBounded(t *testing.T) {
	t.Parallel()
	pad := strings.Repeat(" ", maxBufferedBytes*3/8) // two of them exceed the bound
	var mu sync.Mutex
	large := map[int]bool{0: true, 2: true}
	urls, _ := startRunners(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
		mu.Lock()
		defer mu.Unlock()
		isPadded := large[n] && r.URL.Query().Get("own") == "true"
		if isPadded {
			_, _ = io.WriteString(w, "{}"+pad)
		}
		return isPadded
	})
	const full = "the bodies of other requests use all memory"
	_, body := get(t, "GET", urls[1]+"/culvert/connectors/c")
	assert.True(t, strings.Contains(body, full), "expected space for one response only, found %s", body)
	mu.Lock()
	large = map[int]bool{2: true}
	mu.Unlock()
	_, body = get(t, "GET", urls[1]+"/culvert/connectors/c")
	assert.True(t, !strings.Contains(body, full) && strings.Contains(body, `"rows":10`),
		"expected space for the response again, found %s", body)
}

// A snapshot reaches the worker that runs the task of its feed.
func TestSnapshotReachesOwner(t *testing.T) {
	t.Parallel()
	urls, _ := startRunners(t, func(http.ResponseWriter, *http.Request, int) bool { return false })
	for feed, want := range map[string]int{"feed0": 202, "feed1": 202, "feed2": 202, "feed3": 404, "full": 409} {
		for _, url := range urls {
			status, body := get(t, "POST", url+"/culvert/connectors/c/feeds/"+feed+"/snapshot")
			assert.Equal(t, want, status, feed, body)
		}
	}
}
