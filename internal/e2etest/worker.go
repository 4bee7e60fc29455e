package e2etest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/rest"
)

// Worker is a running worker with the URL of its REST API.
type Worker struct {
	*Place
	*Command
	URL string
}

// StartWorker starts a worker on a folder with more lines in its own file.
func (p *Place) StartWorker(folder string, lines ...string) *Worker {
	p.T.Helper()
	return p.StartWorkerWith(Plugins(p.T), folder, lines...)
}

// StartWorkerWith is [Place.StartWorker] with a folder of plugins.
func (p *Place) StartWorkerWith(plugins, folder string, lines ...string) *Worker {
	p.T.Helper()
	address := porttest.Address(p.T)
	p.File(folder+"/worker.properties", append([]string{"bootstrap.servers=embedded", "listeners=http://" + address,
		"task.shutdown.graceful.timeout.ms=60000"}, lines...)...)
	return p.StartWorkerAt(address, "--plugins", plugins, "--data", p.Data, "--config", folder)
}

// StartWorkerNoWait starts a worker whose REST API listens at an address, and does not wait for it.
func (p *Place) StartWorkerNoWait(address string, args ...string) *Worker {
	p.T.Helper()
	c := p.StartFor(10*time.Minute, append([]string{"run"}, args...)...)
	return &Worker{Place: p, Command: c, URL: "http://" + address}
}

// StartWorkerAt starts a worker whose REST API listens at an address, and waits for it.
func (p *Place) StartWorkerAt(address string, args ...string) *Worker {
	p.T.Helper()
	w := p.StartWorkerNoWait(address, args...)
	w.Eventually("REST", func() bool {
		r, err := http.Get(w.URL + "/health")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == 200
	})
	return w
}

// ReplaceFile writes a file under another name and renames it.
func (w *Worker) ReplaceFile(name string, lines ...string) {
	w.Place.T.Helper()
	path := w.File(filepath.Join(filepath.Dir(name), "."+filepath.Base(name)), lines...)
	require.NoError(w.Place.T, os.Rename(path, filepath.Join(w.Dir, name)))
}

// DeleteFile deletes a file of the folder. It does not wait for the worker.
func (w *Worker) DeleteFile(name string) {
	w.Place.T.Helper()
	require.NoError(w.Place.T, os.Remove(filepath.Join(w.Dir, name)))
}

// ConnectorNames returns the names of the worker's connectors.
func (w *Worker) ConnectorNames() (names []string) {
	w.Place.T.Helper()
	Get(w.Place.T, w.URL+"/connectors", &names)
	return names
}

// Await waits until the status of a connector satisfies holds. what describes that in the message of a failure.
func (w *Worker) Await(name, what string, holds func(connect.Status) bool) {
	w.Place.T.Helper()
	w.Eventually(name+" "+what, func() bool {
		var s connect.Status
		return Get(w.Place.T, w.URL+"/connectors/"+name+"/status", &s) == 200 && holds(s)
	})
}

// AwaitStarts waits until a connector has been started n times.
func (w *Worker) AwaitStarts(name string, n int) {
	w.Place.T.Helper()
	w.Eventually(fmt.Sprintf("%d lives of %s", n, name), func() bool { return w.StartCount(name) == n })
}

// StartCount returns how often a connector has been started.
func (w *Worker) StartCount(name string) int {
	return strings.Count(w.Stderr.String(), `msg="connector started" connector=`+name+" ")
}

// IsRunning reports whether a connector and at least one task run, without a rejected configuration.
func IsRunning(s connect.Status) bool {
	return s.Connector.State == connect.Running && s.Connector.ConfigError == "" && len(s.Tasks) > 0 &&
		!slices.ContainsFunc(s.Tasks, func(t connect.TaskStatus) bool { return t.State != connect.Running })
}

// TaskOf returns the only task of a connector, as REST at an address reports it; the zero value if it has none.
func TaskOf(t *testing.T, address, connector string) connect.TaskStatus {
	t.Helper()
	var s connect.Status
	if Get(t, "http://"+address+"/connectors/"+connector+"/status", &s) != http.StatusOK || len(s.Tasks) != 1 {
		return connect.TaskStatus{}
	}
	return s.Tasks[0]
}

// Events returns the events of a connector as KIND TEXT REASON BY SENDER, the oldest first.
func (w *Worker) Events(name string) (lines []string) {
	w.Place.T.Helper()
	var list rest.ConnectorEvents
	Get(w.Place.T, w.URL+"/culvert/connectors/"+name+"/events", &list)
	slices.Reverse(list.Events)
	for _, e := range list.Events {
		lines = append(lines, strings.Join(strings.Fields(e.Kind+" "+e.Text+" "+e.Reason+" by "+e.By), " "))
	}
	return lines
}

// ReloadReport returns REST's report on reloads.
func (w *Worker) ReloadReport() (r rest.Reload) {
	w.Place.T.Helper()
	Get(w.Place.T, w.URL+"/culvert/reload", &r)
	return r
}

// Metrics returns all metrics as text.
func (w *Worker) Metrics() string {
	w.Place.T.Helper()
	r, err := http.Get(w.URL + "/metrics")
	require.NoError(w.Place.T, err)
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	return string(body)
}

// Call sends a request to REST, with a JSON body unless it is empty.
func (w *Worker) Call(method, path, body string) (status int, answer string) {
	w.Place.T.Helper()
	r, err := http.NewRequest(method, w.URL+path, strings.NewReader(body))
	require.NoError(w.Place.T, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	a, err := http.DefaultClient.Do(r)
	require.NoError(w.Place.T, err)
	defer a.Body.Close()
	content, err := io.ReadAll(a.Body)
	require.NoError(w.Place.T, err)
	return a.StatusCode, string(content)
}

// MustCall is Call with checks of the status and of texts in the response.
func (w *Worker) MustCall(want int, method, path, body string, texts ...string) string {
	w.Place.T.Helper()
	status, answer := w.Call(method, path, body)
	require.Equal(w.Place.T, want, status, method, path, answer)
	if !assert.Contains(w.Place.T, answer, texts...) {
		w.Place.T.Log(method, path)
	}
	return answer
}

// MustAnswer is [Worker.MustCall] with a check of the whole response.
func (w *Worker) MustAnswer(want int, method, path, body, response string) {
	w.Place.T.Helper()
	assert.Equal(w.Place.T, response, w.MustCall(want, method, path, body), method, path)
}

// AwaitCall repeats a request until the response has a status and contains texts.
func (w *Worker) AwaitCall(want int, method, path, body string, texts ...string) {
	w.Place.T.Helper()
	w.Eventually(fmt.Sprintf("%d %q of %s %s", want, texts, method, path), func() bool {
		status, answer := w.Call(method, path, body)
		isMissing := func(text string) bool { return !strings.Contains(answer, text) }
		return status == want && !slices.ContainsFunc(texts, isMissing)
	})
}

// Create creates a connector from lines by REST.
func (w *Worker) Create(lines ...string) {
	w.Place.T.Helper()
	settings := SettingsOf(lines)
	w.MustCall(201, "POST", "/connectors", AsJSON(w.Place.T, map[string]any{"name": settings["name"],
		"config": settings}))
}

// AwaitChangeable waits until REST accepts changes, which the worker rejects while it starts.
func (w *Worker) AwaitChangeable() {
	w.Place.T.Helper()
	w.AwaitCall(404, "DELETE", "/connectors/none", "")
}

// Steer pauses, resumes or stops a connector, and waits for it and its tasks.
func (w *Worker) Steer(name, to string) {
	w.Place.T.Helper()
	status := 202
	holds := IsRunning
	switch to {
	case "pause":
		holds = func(s connect.Status) bool { return HasState(connect.Paused, len(s.Tasks))(s) }
	case "stop":
		status = 204
		holds = HasState(connect.Stopped, 0)
	}
	w.MustCall(status, "PUT", "/connectors/"+name+"/"+to, "")
	w.Await(name, "after "+to, holds)
}

// Config returns a connector's configuration from REST.
func (w *Worker) Config(name string) (settings map[string]string) {
	w.Place.T.Helper()
	Get(w.Place.T, w.URL+"/connectors/"+name+"/config", &settings)
	return settings
}

// HasState returns a condition for [Worker.Await]: connector and exactly so many tasks have a state.
func HasState(state connect.State, tasks int) func(connect.Status) bool {
	return func(s connect.Status) bool {
		for _, t := range s.Tasks {
			if t.State != state {
				return false
			}
		}
		return s.Connector.State == state && len(s.Tasks) == tasks
	}
}

// SettingsOf returns lines as REST expects them.
func SettingsOf(lines []string) map[string]string {
	settings := map[string]string{}
	for _, line := range lines {
		key, value, _ := strings.Cut(line, "=")
		settings[key] = value
	}
	return settings
}

// Decode decodes a response.
func Decode[T any](t *testing.T, answer string) (v T) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(answer), &v), "in", answer)
	return v
}

// Validate validates a configuration by REST.
func (w *Worker) Validate(settings map[string]string) (check.Validation, map[string]check.Validated) {
	w.Place.T.Helper()
	return w.ValidateWith("", settings)
}

// ValidateWith is [Worker.Validate] with a query.
func (w *Worker) ValidateWith(query string, settings map[string]string) (check.Validation, map[string]check.Validated) {
	w.Place.T.Helper()
	body, err := json.Marshal(settings)
	require.NoError(w.Place.T, err)
	var v check.Validation
	class := "ODataSource"
	if settings["connector.class"] == "ODataSink" {
		class = "ODataSink"
	}
	answer := w.MustCall(200, "PUT", "/connector-plugins/"+class+"/config/validate"+query, string(body))
	require.NoError(w.Place.T, json.Unmarshal([]byte(answer), &v))
	byName := map[string]check.Validated{}
	for _, c := range v.Configs {
		byName[c.Value.Name] = c
	}
	return v, byName
}

// ValidateInTime is [Worker.Validate], repeated until the service has answered all queries within
// [check.OnlineTimeout], which a busy machine may miss.
func (w *Worker) ValidateInTime(settings map[string]string,
	isAnswered func(map[string]check.Validated) bool) (check.Validation, map[string]check.Validated) {
	w.Place.T.Helper()
	var v check.Validation
	var byName map[string]check.Validated
	w.Eventually("answers of the service", func() bool {
		v, byName = w.Validate(settings)
		return isAnswered(byName)
	})
	return v, byName
}

// AwaitReady waits until the worker accepts validations, which it rejects while it starts.
func (w *Worker) AwaitReady() {
	w.Place.T.Helper()
	w.Eventually("REST", func() bool {
		status, _ := w.Call("PUT", "/connector-plugins/ODataSource/config/validate",
			`{"connector.class": "ODataSource"}`)
		return status == 200
	})
}

// Rows returns the rows of a source that Kafka has acknowledged.
func (w *Worker) Rows(connector string) int {
	for line := range strings.Lines(w.Metrics()) {
		if value, ok := strings.CutPrefix(line, fmt.Sprintf("culvert_source_rows_total{connector=%q,task=\"0\"} ",
			connector)); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(value))
			return n
		}
	}
	return 0
}

// Subfolder creates a folder in the place.
func (p *Place) Subfolder(name string) string {
	p.T.Helper()
	path := filepath.Join(p.Dir, name)
	require.NoError(p.T, os.MkdirAll(path, 0o700))
	return path
}

// AsJSON returns a value as indented JSON.
func AsJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.MarshalIndent(v, "", "  ")
	require.NoError(t, err)
	return string(data)
}
