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

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/rest"
)

// Followed is a worker that watches a folder.
type Followed struct {
	*Place
	*Command
	Url string
}

// Follows starts a worker on a folder with more lines in its own file.
func (p *Place) Follows(folder string, lines ...string) *Followed {
	p.T.Helper()
	return p.FollowsWith(Plugins(p.T), folder, lines...)
}

// FollowsWith is Follows with a folder of plugins.
func (p *Place) FollowsWith(plugins, folder string, lines ...string) *Followed {
	p.T.Helper()
	address := porttest.Address(p.T)
	p.File(folder+"/worker.properties", append([]string{"bootstrap.servers=embedded", "listeners=http://" + address,
		"task.shutdown.graceful.timeout.ms=60000"}, lines...)...)
	return p.Serves(address, "--plugins", plugins, "--data", p.Data, "--config", folder)
}

// Starts starts a worker whose REST API listens at an address, and does not wait for it.
func (p *Place) Starts(address string, args ...string) *Followed {
	p.T.Helper()
	c := p.StartFor(10*time.Minute, append([]string{"run"}, args...)...)
	return &Followed{Place: p, Command: c, Url: "http://" + address}
}

// Serves starts a worker whose REST API listens at an address, and waits for it.
func (p *Place) Serves(address string, args ...string) *Followed {
	p.T.Helper()
	f := p.Starts(address, args...)
	f.Eventually("REST", func() bool {
		r, err := http.Get(f.Url + "/health")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == 200
	})
	return f
}

// Replaced writes a file under another name and renames it.
func (f *Followed) Replaced(name string, lines ...string) {
	f.Place.T.Helper()
	path := f.File(filepath.Join(filepath.Dir(name), "."+filepath.Base(name)), lines...)
	NoError(f.Place.T, os.Rename(path, filepath.Join(f.Dir, name)))
}

// AwaitDeleted deletes a file of the folder. It does not wait for the worker.
func (f *Followed) AwaitDeleted(name string) {
	f.Place.T.Helper()
	NoError(f.Place.T, os.Remove(filepath.Join(f.Dir, name)))
}

// Names returns the names of the worker's connectors.
func (f *Followed) Names() (names []string) {
	f.Place.T.Helper()
	Get(f.Place.T, f.Url+"/connectors", &names)
	return names
}

// Await waits for a status of a connector.
func (f *Followed) Await(name, what string, is func(connect.Status) bool) {
	f.Place.T.Helper()
	f.Eventually(name+" "+what, func() bool {
		var s connect.Status
		return Get(f.Place.T, f.Url+"/connectors/"+name+"/status", &s) == 200 && is(s)
	})
}

// AwaitStarts waits until a connector has been started n times.
func (f *Followed) AwaitStarts(name string, n int) {
	f.Place.T.Helper()
	f.Eventually(fmt.Sprintf("%d lives of %s", n, name), func() bool { return f.Started(name) == n })
}

// Started returns how often a connector has been started.
func (f *Followed) Started(name string) int {
	return strings.Count(f.Stderr.String(), `msg="connector started" connector=`+name+" ")
}

// Runs reports whether a connector and at least one task run, without a rejected configuration.
func Runs(s connect.Status) bool {
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

// Reload returns REST's report on reloads.
func (f *Followed) Reload() (r rest.Reload) {
	f.Place.T.Helper()
	Get(f.Place.T, f.Url+"/culvert/reload", &r)
	return r
}

// Metrics returns all metrics as text.
func (f *Followed) Metrics() string {
	f.Place.T.Helper()
	r, err := http.Get(f.Url + "/metrics")
	NoError(f.Place.T, err)
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	return string(body)
}

// Call sends a request to REST, with a JSON body unless it is empty.
func (f *Followed) Call(method, path, body string) (status int, answer string) {
	f.Place.T.Helper()
	r, err := http.NewRequest(method, f.Url+path, strings.NewReader(body))
	NoError(f.Place.T, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	a, err := http.DefaultClient.Do(r)
	NoError(f.Place.T, err)
	defer a.Body.Close()
	content, err := io.ReadAll(a.Body)
	NoError(f.Place.T, err)
	return a.StatusCode, string(content)
}

// Must is Call with checks of the status and of texts in the response.
func (f *Followed) Must(want int, method, path, body string, texts ...string) string {
	f.Place.T.Helper()
	status, answer := f.Call(method, path, body)
	if status != want {
		f.Place.T.Fatalf("%s %s: expected %d, found %d %s", method, path, want, status, answer)
	}
	Contains(f.Place.T, method+" "+path, answer, texts...)
	return answer
}

// Answers is Must with a check of the whole response.
func (f *Followed) Answers(want int, method, path, body, response string) {
	f.Place.T.Helper()
	if answer := f.Must(want, method, path, body); answer != response {
		f.Place.T.Errorf("%s %s: expected %s, found %s", method, path, response, answer)
	}
}

// Until repeats a request until the response has a status and contains texts.
func (f *Followed) Until(want int, method, path, body string, texts ...string) {
	f.Place.T.Helper()
	f.Eventually(fmt.Sprintf("%d %q of %s %s", want, texts, method, path), func() bool {
		status, answer := f.Call(method, path, body)
		isMissing := func(text string) bool { return !strings.Contains(answer, text) }
		return status == want && !slices.ContainsFunc(texts, isMissing)
	})
}

// Makes creates a connector from lines by REST.
func (f *Followed) Makes(lines ...string) {
	f.Place.T.Helper()
	settings := Configuration(lines)
	f.Must(201, "POST", "/connectors", AsJSON(f.Place.T, map[string]any{"name": settings["name"], "config": settings}))
}

// Changes waits until REST accepts changes, which the worker rejects while it starts.
func (f *Followed) Changes() {
	f.Place.T.Helper()
	f.Until(404, "DELETE", "/connectors/none", "")
}

// Steer pauses, resumes or stops a connector, and waits for it and its tasks.
func (f *Followed) Steer(name, to string) {
	f.Place.T.Helper()
	status := 202
	is := Runs
	switch to {
	case "pause":
		is = func(s connect.Status) bool { return Is(connect.Paused, len(s.Tasks))(s) }
	case "stop":
		status = 204
		is = Is(connect.Stopped, 0)
	}
	f.Must(status, "PUT", "/connectors/"+name+"/"+to, "")
	f.Await(name, "after "+to, is)
}

// Shown returns a connector's configuration from REST.
func (f *Followed) Shown(name string) (settings map[string]string) {
	f.Place.T.Helper()
	Get(f.Place.T, f.Url+"/connectors/"+name+"/config", &settings)
	return settings
}

// Is returns a condition for [Followed.Await]: connector and exactly so many tasks have a state.
func Is(state connect.State, tasks int) func(connect.Status) bool {
	return func(s connect.Status) bool {
		for _, t := range s.Tasks {
			if t.State != state {
				return false
			}
		}
		return s.Connector.State == state && len(s.Tasks) == tasks
	}
}

// Configuration returns lines as REST expects them.
func Configuration(lines []string) map[string]string {
	settings := map[string]string{}
	for _, line := range lines {
		key, value, _ := strings.Cut(line, "=")
		settings[key] = value
	}
	return settings
}

// As decodes a response.
func As[T any](t *testing.T, answer string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(answer), &v); err != nil {
		t.Fatalf("%v in %s", err, answer)
	}
	return v
}

// Checked validates a configuration by REST.
func (f *Followed) Checked(settings map[string]string) (check.Validation, map[string]check.Validated) {
	f.Place.T.Helper()
	return f.CheckedBy("", settings)
}

// CheckedBy is Checked with a query.
func (f *Followed) CheckedBy(query string, settings map[string]string) (check.Validation, map[string]check.Validated) {
	f.Place.T.Helper()
	body, err := json.Marshal(settings)
	NoError(f.Place.T, err)
	var v check.Validation
	class := "ODataSource"
	if settings["connector.class"] == "ODataSink" {
		class = "ODataSink"
	}
	answer := f.Must(200, "PUT", "/connector-plugins/"+class+"/config/validate"+query, string(body))
	NoError(f.Place.T, json.Unmarshal([]byte(answer), &v))
	by := map[string]check.Validated{}
	for _, c := range v.Configs {
		by[c.Value.Name] = c
	}
	return v, by
}

// CheckedInTime is Checked, repeated until the service has answered all queries within [check.OnlineTimeout], which a
// busy machine may miss.
func (f *Followed) CheckedInTime(settings map[string]string,
	answered func(map[string]check.Validated) bool) (check.Validation, map[string]check.Validated) {
	f.Place.T.Helper()
	var v check.Validation
	var by map[string]check.Validated
	f.Eventually("answers of the service", func() bool {
		v, by = f.Checked(settings)
		return answered(by)
	})
	return v, by
}

// Ready waits until the worker accepts validations, which it rejects while it starts.
func (f *Followed) Ready() {
	f.Place.T.Helper()
	f.Eventually("REST", func() bool {
		status, _ := f.Call("PUT", "/connector-plugins/ODataSource/config/validate",
			`{"connector.class": "ODataSource"}`)
		return status == 200
	})
}

// Rows returns the rows of a source that Kafka has acknowledged.
func (f *Followed) Rows(connector string) int {
	for line := range strings.Lines(f.Metrics()) {
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
	NoError(p.T, os.MkdirAll(path, 0o700))
	return path
}

// AsJSON returns a value as indented JSON.
func AsJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.MarshalIndent(v, "", "  ")
	NoError(t, err)
	return string(data)
}
