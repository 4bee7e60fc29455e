package rest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/events"
	"github.com/culvert-project/culvert/internal/logging"
	"github.com/culvert-project/culvert/internal/rest/replaytest"
	"github.com/culvert-project/culvert/internal/run/offset"
)

// missingResources matches resources of Kafka Connect that this worker does not have.
var missingResources = regexp.MustCompile(`/fence/?(\?|$)`)

// stateChanges matches writes that are sent, too.
var stateChanges = regexp.MustCompile(`/(pause|resume|stop|restart)/?(\?|$)`)

// configPaths matches the paths of writes of configurations.
var configPaths = regexp.MustCompile(`^/connectors/?$|^/connectors/[^/]+(/config)?/?$`)

const recordings = "../../testdata/connect-rest"

func TestRecordedCalls(t *testing.T) {
	files, err := replaytest.Sequences(recordings)
	require.NoError(t, err)
	differs, err := replaytest.Differences(recordings)
	require.NoError(t, err)
	calls := 0
	kindsFound := map[string]replaytest.Kind{}
	defer func() {
		for at, kinds := range differs {
			for _, kind := range kinds {
				assert.True(t, (kind != replaytest.LeftOut && kind != replaytest.Text) || kindsFound[at] == kind,
					"%s: expected a difference of kind %q, found none", at, kind)
			}
		}
		assert.Equal(t, 709, calls, "calls")
	}()
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".jsonl"), func(t *testing.T) {
			levels, _ := logging.LevelsOf(slog.New(slog.NewTextHandler(io.Discard, nil)))
			worker := &standIn{connectors: map[string]*standInConnector{},
				parts: Parts{Levels: levels, Log: slog.New(slog.DiscardHandler)}}
			server := httptest.NewServer(Handler(worker.worker()))
			defer server.Close()
			target := &replaytest.Worker{Address: server.Listener.Addr().String()}
			steps, err := replaytest.Read(file)
			require.NoError(t, err)
			compared := 0
			for _, s := range steps {
				isLeftOut := slices.Contains(differs[s.At()], replaytest.LeftOut)
				if s.Method != "" {
					calls++
				}
				if isApplied := worker.change(s); isApplied || isLeftOut {
					isOther := s.Seq == "03-create-bad" || slices.Contains(differs[s.At()], replaytest.Other)
					if (s.Method != "" && !isLeftOut) || (!isApplied && !isOther) {
						t.Errorf("%s: sent %t, left out %t", s.At(), !isApplied, isLeftOut)
					}
					kindsFound[s.At()] = replaytest.LeftOut
					continue
				}
				answer, err := target.Send(s)
				require.NoError(t, err)
				status, body := replaytest.Compare(s, s.Recorded(), answer)
				if body != "" && slices.Contains(differs[s.At()], replaytest.Text) {
					kindsFound[s.At()] = replaytest.Text
					body = ""
				}
				if status+body != "" {
					t.Errorf("%s %s %.80s:\n%s%s", s.At(), s.Method, s.Path, status, body)
				}
				compared++
			}
			assert.AtLeast(t, 2, compared, "compared responses")
		})
	}
}

// standIn is a worker and its herder, with the state that results from the recorded writes.
type standIn struct {
	Herder     // nil: its other methods are not called
	connectors map[string]*standInConnector
	parts      Parts
}

// testWorker is a worker for tests.
type testWorker interface{ worker() Worker }

func (s *standIn) worker() Worker { return s.with(s) }

// with returns the stand-in with another herder.
func (s *standIn) with(h Herder) Worker {
	parts := s.parts
	parts.Herder = h
	parts.Events = cmp.Or(parts.Events, events.New("w", strings.Clone))
	parts.TracksTopics = true
	parts.ResetsTopics = true
	parts.Root = Root{Version: "${version}", Commit: "${commit}", Cluster: "${cluster}"}
	return Worker{
		Now:     func() Parts { return parts },
		Redact:  func(text string) string { return text },
		Metrics: func() prometheus.Gatherer { return prometheus.NewRegistry() },
		Ready:   func(context.Context) error { return parts.Starting },
		Passwords: func() func(string) bool {
			return func(setting string) bool { return strings.HasSuffix(setting, ".pwd") }
		},
		SetTargetState: func(name string, _ connect.TargetState) error { return h.Restart(name) },
		Configs: Configs{
			Validate:    validationOf,
			Definitions: definitions,
			Write:       s.write,
			Delete:      s.delete,
			Source:      func(string, bool) ([]byte, string, error) { return nil, "", nil },
		},
		Reload: func(bool) (r Reload, _ bool) { return r, false },
	}
}

type standInConnector struct {
	config  map[string]string
	state   connect.State
	tasks   []connect.TaskStatus
	plugin  connect.Plugin
	offsets map[string]offset.Entry // by the partition as text
	topics  []string
}

// change applies a step that is a write, or that uses a resource that is not built, and reports whether it was one.
func (s *standIn) change(c *replaytest.Step) bool {
	path, _, _ := strings.Cut(c.Path, "?")
	switch {
	case c.Until != "":
		s.applyUntil(c)
	case c.Method == "", missingResources.MatchString(c.Path): // the answer is compared
	case strings.HasSuffix(path, "/config/validate"):
		var settings map[string]string
		body, _ := c.Body.(string) // a stand-in knows no plugins
		return c.Method == "PUT" && c.Status != 415 &&
			((json.Unmarshal([]byte(body), &settings) == nil && settings != nil) || c.Status == 200)
	case path == "/connector-plugins/org.apache.kafka.connect.transforms.InsertField/config":
		// a stand-in knows its settings
	case strings.HasSuffix(path, "/offsets"), strings.Contains(path, "/topics"), strings.HasPrefix(path, "/admin"):
		return false
	case stateChanges.MatchString(c.Path):
		return false
	case configPaths.MatchString(path) && c.Method != "GET" && c.Method != "HEAD" && c.Method != "OPTIONS":
		return c.Status == 400 // a stand-in knows no plugins
	case c.Method == "OPTIONS", c.Status == 406, c.Status == 415:
		return false
	case c.Status >= 400 && c.Status != 405 && c.Method != "GET" && c.Method != "HEAD": // the answer is compared
	case c.Status >= 500, strings.Contains(c.Path, "nnnnnnnnnn"), hasLong(c.Sent): // the answer is compared
	case c.Method == "POST" && c.Status < 300, c.Method == "PUT" && c.Status < 300: // the answer is compared
	default:
		return false
	}
	return true
}

// validationOf is the validation of a stand-in, which knows no plugins.
func validationOf(_ context.Context, class string, settings map[string]string, _ bool) (*check.Validation, error) {
	return &check.Validation{Name: class, ErrorCount: len(settings)}, nil
}

// hasLong reports whether a header exceeds Jetty's buffer. The worker does not have its limits.
func hasLong(headers map[string]any) bool {
	for _, v := range headers {
		if text, ok := v.(string); ok && len(text) > 4096 {
			return true
		}
	}
	return false
}

func nameIn(path string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(path, "/connectors/"), "/")
	name, _ = url.PathUnescape(name)
	return name
}

func (s *standIn) write(_ context.Context, name string, request ConfigRequest) (result WriteResult, err error) {
	previous := s.connectors[name]
	settings := maps.Clone(request.Settings)
	switch {
	case request.New != nil && previous != nil:
		return result, &Refusal{http.StatusConflict, "Connector " + name + " already exists"}
	case request.Patch && previous == nil:
		return result, connect.ErrUnknownConnector
	case request.Patch:
		settings = maps.Clone(previous.config)
		maps.Copy(settings, request.Settings)
		for _, key := range request.Null {
			delete(settings, key)
		}
	case len(request.Null) > 0:
		messages := slices.Repeat([]string{NullValue}, len(request.Null))
		return result, &Refusal{http.StatusBadRequest, Invalid(messages...)}
	}
	if settings["name"] == "" {
		settings["name"] = name
	}
	connector := &standInConnector{config: settings, state: connect.Running, plugin: connect.Plugin{Type: "source"}}
	if strings.Contains(settings["connector.class"], "Sink") {
		connector.plugin.Type = "sink"
	}
	if previous != nil {
		connector.state = previous.state
		connector.tasks = previous.tasks
		connector.offsets = previous.offsets
		connector.topics = previous.topics
	} else if request.New != nil {
		connector.state = *request.New
	}
	s.connectors[name] = connector
	result.Created = previous == nil
	result.Info, err = s.Info(name)
	return result, err
}

func (s *standIn) delete(_ context.Context, name string) error {
	err := s.Restart(name)
	delete(s.connectors, name)
	return err
}

// applyUntil applies the state for which the recorder waited.
func (s *standIn) applyUntil(c *replaytest.Step) {
	connector := s.connectors[nameIn(c.Until)]
	if connector == nil || c.Contains == nil {
		return
	}
	if topics, ok := c.Contains[nameIn(c.Until)].(map[string]any); ok {
		connector.topics = nil
		for _, topic := range topics["topics"].([]any) {
			connector.topics = append(connector.topics, topic.(string))
		}
		return
	}
	if strings.HasSuffix(c.Until, "/offsets") {
		connector.setOffsets(c.Contains)
		return
	}
	if status, ok := c.Contains["connector"].(map[string]any); ok {
		connector.state = connect.State(status["state"].(string))
	}
	tasks, ok := c.Contains["tasks"].([]any)
	if !ok {
		return
	}
	connector.tasks = nil
	for i, task := range tasks {
		status := connect.TaskStatus{ID: i, State: connect.State(task.(map[string]any)["state"].(string)),
			WorkerID: "${worker}", Version: "${version}"}
		if status.State == connect.Failed {
			status.Trace = "org.apache.kafka.connect.errors.ConnectException: Couldn't find or create file " +
				"'${dir}/no/such/dir/out.txt' for FileStreamSinkTask\n${stack}\nCaused by: " +
				"java.nio.file.NoSuchFileException: ${dir}/no/such/dir/out.txt\n${stack}\n"
		}
		connector.tasks = append(connector.tasks, status)
	}
}

func (s *standIn) Topics(name string) ([]string, error) {
	if err := s.Restart(name); err != nil {
		return nil, err
	}
	return s.connectors[name].topics, nil
}

func (s *standIn) ResetTopics(name string) error { return s.Restart(name) }

func (s *standIn) Restart(name string, _ ...int) error {
	if s.connectors[name] == nil {
		return connect.ErrUnknownConnector
	}
	return nil // the result is recorded
}

func (s *standIn) Summaries() []connect.Summary { return nil }

func (s *standIn) Names() []string {
	return slices.Sorted(maps.Keys(s.connectors))
}

func (s *standIn) Info(name string) (connect.Info, error) {
	k, ok := s.connectors[name]
	if !ok {
		return connect.Info{}, connect.ErrUnknownConnector
	}
	info := connect.Info{Name: name, Config: k.config, Tasks: []connect.TaskID{}, Type: k.plugin.Type}
	for _, task := range k.tasks {
		info.Tasks = append(info.Tasks, connect.TaskID{Connector: name, Task: task.ID})
	}
	return info, nil
}

func (s *standIn) Status(name string) (connect.Status, error) {
	k, ok := s.connectors[name]
	if !ok {
		return connect.Status{}, connect.ErrUnknownConnector
	}
	return connect.Status{Name: name, Type: k.plugin.Type, Tasks: append([]connect.TaskStatus{}, k.tasks...),
		Connector: connect.ConnectorStatus{State: k.state, WorkerID: "${worker}", Version: "${version}"}}, nil
}

func (s *standIn) Tasks(name string) ([]connect.TaskInfo, error) {
	k, ok := s.connectors[name]
	if !ok {
		return nil, connect.ErrUnknownConnector
	}
	var tasks []connect.TaskInfo
	for _, task := range k.tasks {
		class := "org.apache.kafka.connect.file." + strings.TrimPrefix(k.config["connector.class"],
			"org.apache.kafka.connect.file.")
		config := map[string]string{"task.class": strings.TrimSuffix(class, "Connector") + "Task"}
		maps.Copy(config, k.config)
		tasks = append(tasks, connect.TaskInfo{ID: connect.TaskID{Connector: name, Task: task.ID}, Config: config})
	}
	return tasks, nil
}

// Plugins returns the real worker's plugins, as it listed them.
func (s *standIn) Plugins(connectorsOnly bool) []connect.Plugin {
	data, err := os.ReadFile("../../testdata/connect-rest/12-plugins.jsonl")
	if err != nil {
		return nil
	}
	for _, line := range strings.Split(string(data), "\n") {
		var c struct {
			Path string           `json:"path"`
			Body []connect.Plugin `json:"body"`
		}
		if json.Unmarshal([]byte(line), &c) == nil && c.Path == fmt.Sprintf("/connector-plugins?connectorsOnly=%t",
			connectorsOnly) {
			return c.Body
		}
	}
	return nil
}

// definitions returns the real worker's definitions by class or alias.
func definitions(_ context.Context, class string, version *string) ([]check.Definition, error) {
	data, err := os.ReadFile("../../testdata/connect-rest/classes/configs.jsonl")
	if err != nil {
		return nil, err
	}
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		var c struct {
			Class  string             `json:"class"`
			Config []check.Definition `json:"config"`
		}
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			return nil, err
		}
		if simple := c.Class[strings.LastIndexByte(c.Class, '.')+1:]; class != c.Class && class != simple &&
			class+"Connector" != simple {
			continue
		}
		if version != nil && *version != "4.3.1" {
			return nil, &check.ErrVersion{Class: c.Class, Range: "[" + *version + "," + *version + "]",
				Available: []string{"4.3.1"}}
		}
		for i := range c.Config {
			c.Config[i].Order = c.Config[i].OrderInGroup
		}
		return c.Config, nil
	}
	return nil, check.ErrUnknownPlugin
}

// Only the name in the body of POST is trimmed, as in Kafka Connect: a path names the same connector for all methods.
func TestNamesInPathsAreNotTrimmed(t *testing.T) {
	worker := new(standIn).worker()
	var names []string
	worker.Write = func(_ context.Context, name string, _ ConfigRequest) (WriteResult, error) {
		names = append(names, name)
		return WriteResult{}, nil
	}
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/connectors", `{"name": " orders ", "config": {}}`},
		{"PUT", "/connectors/orders%20/config", `{}`},
		{"PATCH", "/connectors/orders%20/config", `{}`},
	} {
		request := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
		request.Header.Set("Content-Type", "application/json")
		Handler(worker).ServeHTTP(httptest.NewRecorder(), request)
	}
	assert.Equal(t, []string{"orders", "orders ", "orders "}, names)
	for name, want := range map[string]string{
		"orders":    "",
		"my orders": "",
		"orders ":   "Invalid value orders  for configuration name: expected a name without spaces at its ends",
		"":          "Invalid value  for configuration name: String may not be empty",
		"a\t": "Invalid value a\t for configuration name: String may not contain control sequences but had the " +
			"following ASCII chars: 9",
	} {
		assert.Equal(t, want, CheckName(name))
	}
}

func TestHealthAndVersionWhileStarting(t *testing.T) {
	worker := &standIn{parts: Parts{Starting: errors.New("opening plugins")}}
	if w := serveRequest(worker, "GET", "/", ""); w.Code != http.StatusOK ||
		!strings.Contains(w.Body.String(), `"version":`) {
		t.Errorf("found %d %s", w.Code, w.Body)
	}
	w := serveRequest(worker, "GET", "/health", "")
	assert.True(t, w.Code == http.StatusServiceUnavailable && strings.Contains(w.Body.String(), `"status":"starting"`),
		"found %d %s", w.Code, w.Body)
}

// Until the worker has started, all requests but those for health and version wait, as in Kafka Connect's workers, and
// get 503 after a timeout.
func TestRequestsWaitForTheStart(t *testing.T) {
	t.Parallel()
	for _, isStarting := range []bool{true, false} { // whether it starts before the timeout
		synctest.Test(t, func(t *testing.T) {
			var isStarted atomic.Bool
			w := new(standIn).worker()
			now := w.Now
			w.Now = func() Parts {
				parts := now()
				if !isStarted.Load() {
					parts.Starting = errors.New("Kafka is being reached.")
				}
				return parts
			}
			var requests sync.WaitGroup
			var responses []*httptest.ResponseRecorder
			for _, r := range routes {
				if r.serve == nil || r.duringStart {
					continue
				}
				answer := httptest.NewRecorder()
				responses = append(responses, answer)
				request := httptest.NewRequest(r.method, strings.NewReplacer("{", "", "}", "").Replace(r.path),
					strings.NewReader("{}"))
				request.Header.Set("Content-Type", "application/json")
				requests.Go(func() { Handler(w).ServeHTTP(answer, request) })
			}
			time.Sleep(changeTimeout - time.Second)
			for _, answer := range responses {
				assert.True(t, answer.Body.Len() <= 0,
					"expected no response yet, found %d %s", answer.Code, answer.Body)
			}
			isStarted.Store(isStarting)
			requests.Wait()
			for _, answer := range responses {
				const why = "still starting up. Kafka is being reached."
				isLate := answer.Code == 503 && strings.Contains(answer.Body.String(), why)
				assert.True(t, isLate != isStarting, "it starts: %t: found %d %s", isStarting, answer.Code, answer.Body)
			}
		})
	}
}

func TestListeners(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	first, err := Listen(Options{Listeners: []string{"http://127.0.0.1:0"}}, log)
	require.NoError(t, err)
	defer first.Close()
	for listener, want := range map[string]string{
		"http://" + first.Addresses()[0]: "listeners: REST cannot listen on http://" + first.Addresses()[0],
		"https://:8443":                  "listeners.https.ssl.keystore.location: expected a store",
		"localhost:8083": "listeners: Invalid value localhost:8083 for configuration listeners: " +
			"expected http://HOST:PORT or https://HOST:PORT",
		"http://localhost": "listeners: Invalid value http://localhost for configuration listeners: " +
			"expected http://HOST:PORT or https://HOST:PORT",
	} {
		_, err := Listen(Options{Listeners: []string{listener}}, log)
		assert.Error(t, err, want, listener)
	}
	first.Serve(new(standIn).worker())
	_, body := get(t, "GET", "http://"+first.Addresses()[0]+"/connectors")
	assert.Equal(t, "[]", body)
}

type panickingWorker struct{ standIn }

func (p *panickingWorker) worker() Worker { return p.with(p) }

func (*panickingWorker) Names() []string { panic("a mistake in what answers") }

// A panic in a handler fails its request only.
func TestPanicFailsItsRequestOnly(t *testing.T) {
	h := Handler(new(panickingWorker).worker())
	for range 2 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/connectors", nil))
		assert.True(t, w.Code == http.StatusInternalServerError &&
			strings.Contains(w.Body.String(), `"error_code":500`) &&
			strings.Contains(w.Body.String(), "an internal error of culvert"), "found %d %s", w.Code, w.Body)
	}
}
