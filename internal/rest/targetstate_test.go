package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/connect"
)

// counting counts the restarts of its connector.
type counting struct {
	standIn
	done []string
}

func (c *counting) worker() Worker { return c.as(c) }

// as returns the worker with another herder.
func (c *counting) as(h Herder) Worker {
	w := c.with(h)
	w.SetTargetState = func(_ string, target connect.TargetState) error {
		if target != connect.Paused {
			return nil
		}
		return &Refusal{http.StatusConflict, "not now"}
	}
	return w
}

func (c *counting) Restart(_ string, tasks ...int) error {
	c.done = append(c.done, fmt.Sprint("restart ", tasks))
	return nil
}

func counted(state, task connect.State) *counting {
	return &counting{standIn: standIn{connectors: map[string]*standInConnector{"a": {state: state,
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
// answers do.
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
		worker := counted(connect.Running, connect.Running).worker()
		worker.CatchUp = func(_ context.Context, connector string) { record("view of " + connector) }
		method, target, _ := strings.Cut(call, " ")
		Handler(worker).ServeHTTP(statusWriter{httptest.NewRecorder(), record},
			httptest.NewRequest(method, target, nil))
		if got := fmt.Sprint(events); got != want {
			t.Errorf("%s: expected %s, found %s", call, want, got)
		}
	}
}

// With onlyFailed only failed instances are restarted.
func TestRestartMatrix(t *testing.T) {
	for _, c := range []struct {
		query     string
		connector connect.State
		task      connect.State
		status    int
		shown     string
		done      int
	}{
		{"", connect.Running, connect.Failed, 204, "", 1},
		{"?includeTasks=maybe", connect.Running, connect.Running, 204, "", 1},
		{"?includeTasks=true", connect.Running, connect.Running, 202, "RESTARTING RESTARTING RESTARTING", 1},
		{"?includeTasks=TRUE&onlyFailed=true", connect.Running, connect.Failed, 202, "RUNNING RUNNING RESTARTING", 1},
		{"?includeTasks=true&onlyFailed=true", connect.Running, connect.Running, 202, "RUNNING RUNNING RUNNING", 0},
		{"?onlyFailed=true", connect.Running, connect.Failed, 202, "RUNNING RUNNING FAILED", 0},
		{"?onlyFailed=true", connect.Failed, connect.Running, 202, "RESTARTING RUNNING RUNNING", 1},
		{"?includeTasks=false&onlyFailed=false", connect.Failed, connect.Running, 204, "", 1},
		{"?includeTasks=true", connect.Failed, connect.Running, 202, "RESTARTING RESTARTING RESTARTING", 1},
		{"?includeTasks=true", connect.Running, connect.Failed, 202, "RESTARTING RESTARTING RESTARTING", 1},
		{"?includeTasks=true&onlyFailed=true", connect.Failed, connect.Running, 202, "RESTARTING RUNNING RUNNING", 1},
	} {
		worker := counted(c.connector, c.task)
		w := sent(worker, "POST", "/connectors/a/restart"+c.query, "")
		var shown []string
		for _, part := range strings.Split(w.Body.String(), `"state":"`)[1:] {
			state, _, _ := strings.Cut(part, `"`)
			shown = append(shown, state)
		}
		if w.Code != c.status || strings.Join(shown, " ") != c.shown || len(worker.done) != c.done {
			t.Errorf("%+v: found %d %v, restarted %v", c, w.Code, shown, worker.done)
		}
	}
}

func sent(worker double, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	Handler(worker.worker()).ServeHTTP(w, r)
	return w
}

// Changes are checked for their media type, method and content.
func TestRejectedChanges(t *testing.T) {
	for _, c := range []struct {
		method string
		path   string
		body   string
		media  string
		status int
		says   string
	}{
		{"PUT", "/connectors/a/resume", "", "", 202, ""},
		{"PUT", "/connectors/a/resume", "", "application/json; charset=utf-8", 202, ""},
		{"PUT", "/connectors/a/resume", "", "text/plain", 415, "HTTP 415 Unsupported Media Type"},
		{"PUT", "/connectors/a/resume", "x", "", 202, ""}, // the body is not read
		{"PUT", "/connectors/a/config", "{}", "", 415, "HTTP 415 Unsupported Media Type"},
		{"PUT", "/connectors/a/pause", "", "", 409, "not now"},
		{"PUT", "/connector-plugins/A/config/validate", `{"a": 1, "b": true, "c": "x"}`, "application/json", 200,
			`"error_count":3`},
		{"PUT", "/connector-plugins/A/config/validate", `{"a": null}`, "application/json", 200,
			`"errors":["Null value can not be supplied as the configuration value."]`},
		{"PUT", "/connector-plugins/A/config/validate", `{"a": []}`, "application/json", 500, "a: expected text"},
		{"PUT", "/connector-plugins/A/config/validate", `{`, "application/json", 500, "expected a JSON object"},
		{"PUT", "/connector-plugins/A/config/validate", `{"a": ZWZ}`, "application/json", 500,
			"expected a JSON object: unexpected character at byte 7"},
		{"PUT", "/connector-plugins/A/config/validate", `{"a": "\ZWZ"}`, "application/json", 500,
			"expected a JSON object: unexpected character at byte 9"},
		{"PUT", "/connector-plugins/A/config/validate", `null`, "application/json", 500, "expected a configuration"},
		{"PUT", "/connector-plugins/A/config/validate", ``, "application/json", 500, "found nothing"},
		{"PUT", "/connector-plugins/A/config/validate", `{"a": "` + strings.Repeat("x", maxBodyBytes) + `"}`,
			"application/json", 413, "at most 1048576 bytes"},
		{"PUT", "/connector-plugins/A/config/validate", `{}`, "text/plain", 415, "HTTP 415"},
		{"GET", "/connector-plugins/A/config/validate", "", "", 405, "HTTP 405"},
		{"POST", "/connectors/a/pause", "", "", 405, "HTTP 405 Method Not Allowed"},
		{"POST", "/connectors/a/tasks/2/restart", "", "", 404, "Unknown task: a-2"},
		{"POST", "/connectors/a/tasks/99999999999/restart", "", "", 404, "HTTP 404 Not Found"},
	} {
		w := sent(counted(connect.Running, connect.Running), c.method, c.path, c.body, "Content-Type", c.media)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%+v: found %d %s", c, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "Z") {
			t.Errorf("%+v: expected no value of the body, found %s", c, w.Body)
		}
	}
}

// A cross-origin request that a browser sends without a preflight changes nothing, although its Host is right.
func TestCrossOriginRequestsChangeNothing(t *testing.T) {
	s := served(t, "http://127.0.0.1:0")
	for _, c := range []struct {
		line   string
		header string
		status int
	}{
		{"POST /connectors/a/restart", "Origin: http://page.example", 403},
		{"POST /connectors/a/restart", "Sec-Fetch-Site: cross-site", 403},
		{"POST /connectors/a/restart", "Origin: http://localhost", 404},
		{"POST /connectors/a/restart", "Sec-Fetch-Site: same-origin", 404},
		{"POST /connectors/a/restart", "Accept: */*", 404},
		{"GET /connectors", "Origin: http://page.example", 200},
	} {
		if status, body := asked(t, s, c.line, "localhost", c.header); status != c.status {
			t.Errorf("%+v: found %d %s", c, status, body)
		}
	}
	if status, _ := asked(t, s, "POST /connectors/a/restart", "page.example"); status != 403 {
		t.Errorf("expected Host to be checked for changes, found %d", status)
	}
}

// vanishing is a worker with a connector that is deleted while it is listed.
type vanishing struct{ *counting }

func (v vanishing) worker() Worker { return v.as(v) }

func (v vanishing) Names() []string { return append(v.counting.Names(), "gone") }

// A list leaves out a connector that is deleted in the meantime, as Kafka Connect does: tools expect each entry to have
// what they requested.
func TestListOmitsDeletedConnectors(t *testing.T) {
	worker := vanishing{counted(connect.Running, connect.Running)}
	for _, query := range []string{"?expand=info", "?expand=status", "?expand=info&expand=status"} {
		if answer := sent(worker, "GET", "/connectors"+query, "").Body.String(); strings.Contains(answer, "gone") ||
			!strings.Contains(answer, `"a":{`) {
			t.Errorf("%s: found %s", query, answer)
		}
	}
}

// slow is a worker whose changes time out.
type slow struct{ standIn }

func (s *slow) worker() Worker {
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
		w := sent(&slow{}, method, path, "")
		if want := `{"error_code":500,"message":"Request timed out"}`; w.Code != 500 ||
			strings.TrimSpace(w.Body.String()) != want {
			t.Errorf("%s: expected %s, found %d %s", line, want, w.Code, w.Body)
		}
	}
}
