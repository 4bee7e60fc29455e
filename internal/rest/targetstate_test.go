package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/connect"
)

// restartCounter counts the restarts of its connector.
type restartCounter struct {
	standIn
	restarts []string
}

func (r *restartCounter) worker() Worker { return r.as(r) }

// as returns the worker with another herder.
func (r *restartCounter) as(h Herder) Worker {
	w := r.with(h)
	w.SetTargetState = func(_ string, target connect.TargetState) error {
		if target != connect.Paused {
			return nil
		}
		return &Refusal{http.StatusConflict, "not now"}
	}
	return w
}

func (r *restartCounter) Restart(_ string, tasks ...int) error {
	r.restarts = append(r.restarts, fmt.Sprint("restart ", tasks))
	return nil
}

// newRestartCounter returns a worker with a connector a in a state, a running task 0, and a task 1 in another state.
func newRestartCounter(state, task connect.State) *restartCounter {
	return &restartCounter{standIn: standIn{connectors: map[string]*standInConnector{"a": {state: state,
		tasks: []connect.TaskStatus{{ID: 0, State: connect.Running}, {ID: 1, State: task}}}}}}
}

// statusWriter records when a status is written.
type statusWriter struct {
	*httptest.ResponseRecorder
	record func(event string)
}

func (w statusWriter) WriteHeader(status int) {
	w.record(fmt.Sprint(status))
	w.ResponseRecorder.WriteHeader(status)
}

// Answers to successful changes of connectors wait for the worker's view of its group before their status; no other
// assertStatus do.
func TestAnswersToChangesWaitForTheView(t *testing.T) {
	for call, want := range map[string]string{
		"PUT /connectors/a/resume":                     "[view of a 202]",
		"PUT /connectors/a/stop":                       "[view of a 204]",
		"PUT /connectors/a/pause":                      "[409]",
		"POST /connectors/a/restart":                   "[view of a 204]",
		"POST /connectors/a/restart?includeTasks=true": "[view of a 202]",
		"POST /connectors/a/tasks/0/restart":           "[view of a 204]",
		"POST /connectors/a/tasks/7/restart":           "[404]",
		"GET /connectors/a/status":                     "[200]",
	} {
		var events []string
		record := func(event string) { events = append(events, event) }
		worker := newRestartCounter(connect.Running, connect.Running).worker()
		worker.CatchUp = func(_ context.Context, connector string) { record("view of " + connector) }
		method, target, _ := strings.Cut(call, " ")
		writer := statusWriter{ResponseRecorder: httptest.NewRecorder(), record: record}
		Handler(worker).ServeHTTP(writer, httptest.NewRequest(method, target, nil))
		assert.Equal(t, want, fmt.Sprint(events), call)
	}
}

// restartCases are the states of a connector and its task 1 (task 0 runs), and the effects of a restart request.
var restartCases = []struct {
	query     string
	connector connect.State
	task      connect.State
	status    int
	states    string // of the connector and its tasks, in the response
	restarts  int
}{
	{connector: connect.Running, task: connect.Failed, status: 204, restarts: 1},
	{query: "?includeTasks=maybe", connector: connect.Running, task: connect.Running, status: 204, restarts: 1},
	{
		query:     "?includeTasks=true",
		connector: connect.Running,
		task:      connect.Running,
		status:    202,
		states:    "RESTARTING RESTARTING RESTARTING",
		restarts:  1,
	},
	{
		query:     "?includeTasks=TRUE&onlyFailed=true",
		connector: connect.Running,
		task:      connect.Failed,
		status:    202,
		states:    "RUNNING RUNNING RESTARTING",
		restarts:  1,
	},
	{
		query:     "?includeTasks=true&onlyFailed=true",
		connector: connect.Running,
		task:      connect.Running,
		status:    202,
		states:    "RUNNING RUNNING RUNNING",
	},
	{
		query:     "?onlyFailed=true",
		connector: connect.Running,
		task:      connect.Failed,
		status:    202,
		states:    "RUNNING RUNNING FAILED",
	},
	{
		query:     "?onlyFailed=true",
		connector: connect.Failed,
		task:      connect.Running,
		status:    202,
		states:    "RESTARTING RUNNING RUNNING",
		restarts:  1,
	},
	{
		query:     "?includeTasks=false&onlyFailed=false",
		connector: connect.Failed,
		task:      connect.Running,
		status:    204,
		restarts:  1,
	},
	{
		query:     "?includeTasks=true",
		connector: connect.Failed,
		task:      connect.Running,
		status:    202,
		states:    "RESTARTING RESTARTING RESTARTING",
		restarts:  1,
	},
	{
		query:     "?includeTasks=true",
		connector: connect.Running,
		task:      connect.Failed,
		status:    202,
		states:    "RESTARTING RESTARTING RESTARTING",
		restarts:  1,
	},
	{
		query:     "?includeTasks=true&onlyFailed=true",
		connector: connect.Failed,
		task:      connect.Running,
		status:    202,
		states:    "RESTARTING RUNNING RUNNING",
		restarts:  1,
	},
}

// With onlyFailed only failed instances are restarted.
func TestRestartMatrix(t *testing.T) {
	for _, c := range restartCases {
		worker := newRestartCounter(c.connector, c.task)
		w := serveRequest(worker, "POST", "/connectors/a/restart"+c.query, "")
		var states []string
		for _, part := range strings.Split(w.Body.String(), `"state":"`)[1:] {
			state, _, _ := strings.Cut(part, `"`)
			states = append(states, state)
		}
		assert.True(t, w.Code == c.status && strings.Join(states, " ") == c.states &&
			len(worker.restarts) == c.restarts, "%+v: found %d %v, restarted %v", c, w.Code, states, worker.restarts)
	}
}

// serveRequest returns the response of a worker's handler to a request; headers are name, value, name, value, …
func serveRequest(worker testWorker, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	Handler(worker.worker()).ServeHTTP(w, r)
	return w
}

// changeCases are requests for a change and the responses to them.
var changeCases = []struct {
	method  string
	path    string
	body    string
	media   string
	status  int
	message string // part of the response
}{
	{method: "PUT", path: "/connectors/a/resume", status: 202},
	{method: "PUT", path: "/connectors/a/resume", media: "application/json; charset=utf-8", status: 202},
	{
		method:  "PUT",
		path:    "/connectors/a/resume",
		media:   "text/plain",
		status:  415,
		message: "HTTP 415 Unsupported Media Type",
	},
	{method: "PUT", path: "/connectors/a/resume", body: "x", status: 202}, // the body is not read
	{
		method:  "PUT",
		path:    "/connectors/a/config",
		body:    "{}",
		status:  415,
		message: "HTTP 415 Unsupported Media Type",
	},
	{method: "PUT", path: "/connectors/a/pause", status: 409, message: "not now"},
	{
		method:  "PUT",
		path:    "/connector-plugins/A/config/validate",
		body:    `{"a": 1, "b": true, "c": "x"}`,
		media:   "application/json",
		status:  200,
		message: `"error_count":3`,
	},
	{
		method:  "PUT",
		path:    "/connector-plugins/A/config/validate",
		body:    `{"a": null}`,
		media:   "application/json",
		status:  200,
		message: `"errors":["Null value can not be supplied as the configuration value."]`,
	},
	{
		method:  "PUT",
		path:    "/connector-plugins/A/config/validate",
		body:    `{"a": []}`,
		media:   "application/json",
		status:  500,
		message: "a: expected text",
	},
	{
		method:  "PUT",
		path:    "/connector-plugins/A/config/validate",
		body:    `{`,
		media:   "application/json",
		status:  500,
		message: "expected a JSON object",
	},
	{
		method:  "PUT",
		path:    "/connector-plugins/A/config/validate",
		body:    `{"a": ZWZ}`,
		media:   "application/json",
		status:  500,
		message: "expected a JSON object: unexpected character at byte 7",
	},
	{
		method:  "PUT",
		path:    "/connector-plugins/A/config/validate",
		body:    `{"a": "\ZWZ"}`,
		media:   "application/json",
		status:  500,
		message: "expected a JSON object: unexpected character at byte 9",
	},
	{
		method:  "PUT",
		path:    "/connector-plugins/A/config/validate",
		body:    `null`,
		media:   "application/json",
		status:  500,
		message: "expected a configuration",
	},
	{
		method:  "PUT",
		path:    "/connector-plugins/A/config/validate",
		media:   "application/json",
		status:  500,
		message: "found nothing",
	},
	{
		method:  "PUT",
		path:    "/connector-plugins/A/config/validate",
		body:    `{"a": "` + strings.Repeat("x", maxBodyBytes) + `"}`,
		media:   "application/json",
		status:  413,
		message: "at most 1048576 bytes",
	},
	{
		method:  "PUT",
		path:    "/connector-plugins/A/config/validate",
		body:    `{}`,
		media:   "text/plain",
		status:  415,
		message: "HTTP 415",
	},
	{method: "GET", path: "/connector-plugins/A/config/validate", status: 405, message: "HTTP 405"},
	{method: "POST", path: "/connectors/a/pause", status: 405, message: "HTTP 405 Method Not Allowed"},
	{method: "POST", path: "/connectors/a/tasks/2/restart", status: 404, message: "Unknown task: a-2"},
	{method: "POST", path: "/connectors/a/tasks/99999999999/restart", status: 404, message: "HTTP 404 Not Found"},
}

// Changes are checked for their media type, method and content.
func TestRejectedChanges(t *testing.T) {
	for _, c := range changeCases {
		w := serveRequest(newRestartCounter(connect.Running, connect.Running), c.method, c.path, c.body,
			"Content-Type", c.media)
		assert.True(t, w.Code == c.status && strings.Contains(w.Body.String(), c.message),
			"%+v: found %d %s", c, w.Code, w.Body)
		assert.True(t, !strings.Contains(w.Body.String(), "Z"),
			"%+v: expected no value of the body, found %s", c, w.Body)
	}
}

// A cross-origin request that a browser sends without a preflight changes nothing, although its Host is right.
func TestCrossOriginRequestsChangeNothing(t *testing.T) {
	s := startServerOn(t, "http://127.0.0.1:0")
	for _, c := range []struct {
		line   string
		header string
		status int
	}{
		{line: "POST /connectors/a/restart", header: "Origin: http://page.example", status: 403},
		{line: "POST /connectors/a/restart", header: "Sec-Fetch-Site: cross-site", status: 403},
		{line: "POST /connectors/a/restart", header: "Origin: http://localhost", status: 404},
		{line: "POST /connectors/a/restart", header: "Sec-Fetch-Site: same-origin", status: 404},
		{line: "POST /connectors/a/restart", header: "Accept: */*", status: 404},
		{line: "GET /connectors", header: "Origin: http://page.example", status: 200},
	} {
		status, body := askWithHost(t, s, c.line, "localhost", c.header)
		assert.True(t, status == c.status, "%+v: found %d %s", c, status, body)
	}
	status, _ := askWithHost(t, s, "POST /connectors/a/restart", "page.example")
	assert.Equal(t, 403, status, "Host to be checked for changes")
}

// vanishingWorker is a worker with a connector that is deleted while it is listed.
type vanishingWorker struct{ *restartCounter }

func (v vanishingWorker) worker() Worker { return v.as(v) }

func (v vanishingWorker) Names() []string { return append(v.restartCounter.Names(), "gone") }

// A list leaves out a connector that is deleted in the meantime, as Kafka Connect does: tools expect each entry to have
// what they requested.
func TestListOmitsDeletedConnectors(t *testing.T) {
	worker := vanishingWorker{newRestartCounter(connect.Running, connect.Running)}
	for _, query := range []string{"?expand=info", "?expand=status", "?expand=info&expand=status"} {
		answer := serveRequest(worker, "GET", "/connectors"+query, "").Body.String()
		assert.True(t, !strings.Contains(answer, "gone") && strings.Contains(answer, `"a":{`),
			"%s: expected the connector a only, found %s", query, answer)
	}
}

// slowWorker is a worker whose changes time out.
type slowWorker struct{ standIn }

func (s *slowWorker) worker() Worker {
	w := s.with(s)
	w.SetTargetState = func(string, connect.TargetState) error {
		return fmt.Errorf("pausing: %w", context.DeadlineExceeded)
	}
	w.Delete = func(context.Context, string) error { return fmt.Errorf("deleting: %w", context.DeadlineExceeded) }
	return w
}

// A request that takes too long gets Kafka Connect's message.
func TestRequestTimeoutMessage(t *testing.T) {
	for _, line := range []string{"PUT /connectors/a/pause", "DELETE /connectors/a"} {
		method, path, _ := strings.Cut(line, " ")
		w := serveRequest(&slowWorker{}, method, path, "")
		want := `{"error_code":500,"message":"Request timed out"}`
		assert.True(t, w.Code == 500 && strings.TrimSpace(w.Body.String()) == want,
			"%s: expected %s, found %d %s", line, want, w.Code, w.Body)
	}
}
