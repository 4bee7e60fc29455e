package rest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/internal/offset"
	"github.com/culvert-project/culvert/host/logging"
)

// call is a line of a recorded sequence.
type call struct {
	N       int               `json:"n"`
	Seq     string            `json:"seq"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Sent    map[string]any    `json:"request_headers"`
	Body    any               `json:"request_body"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Answer  any               `json:"body"`
	// Until and Contains: the state that the real worker came to.
	Until    string         `json:"until"`
	Contains map[string]any `json:"contains"`
	Protocol string         `json:"protocol"`
}

// notYet are resources of Kafka Connect's that this worker does not have.
var notYet = regexp.MustCompile(`/fence/?(\?|$)`)

// steered are writes that are sent, too.
var steered = regexp.MustCompile(`/(pause|resume|stop|restart)/?(\?|$)`)

// configured are the paths of writes of configurations.
var configured = regexp.MustCompile(`^/connectors/?$|^/connectors/[^/]+(/config)?/?$`)

// difference is calls that are wanted to be answered otherwise than a real worker does: with another text, or not sent
// at all.
type difference struct {
	Seq   string `json:"seq"`
	Calls []int  `json:"calls"`
	Kind  string `json:"kind"`
	Why   string `json:"why"`
}

// Kinds of differences.
const (
	leftOut   = "left out"
	otherText = "text"
)

// wanted are the differences by SEQUENCE NUMBER.
func wanted(t *testing.T) map[string]string {
	data, err := os.ReadFile("../../testdata/connect-rest/differences.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []difference
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	by := map[string]string{}
	for _, d := range all {
		for _, n := range d.Calls {
			at := fmt.Sprintf("%s %d", d.Seq, n)
			if by[at] != "" || d.Why == "" || d.Kind != leftOut && d.Kind != otherText {
				t.Errorf("%s: expected one difference with a reason, found %+v", at, d)
			}
			by[at] = d.Kind
		}
	}
	return by
}

func TestRecordedCalls(t *testing.T) {
	files, err := filepath.Glob("../../testdata/connect-rest/*.jsonl")
	if err != nil || len(files) != 16 {
		t.Fatalf("expected the 16 recorded sequences, found %v %v", files, err)
	}
	differs := wanted(t)
	calls := 0
	defer func() {
		for at := range differs {
			t.Errorf("%s: is listed as a difference, and there is none", at)
		}
		if calls != 431 {
			t.Errorf("expected 431 calls, found %d", calls)
		}
	}()
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".jsonl"), func(t *testing.T) {
			levels, _ := logging.Of(slog.New(slog.NewTextHandler(io.Discard, nil)))
			stand := &standIn{connectors: map[string]*standInConnector{}, levels: levels}
			server := httptest.NewServer(Handler(stand))
			defer server.Close()
			compared := 0
			for _, c := range readCalls(t, file) {
				at := fmt.Sprintf("%s %d", c.Seq, c.N)
				if c.Method != "" {
					calls++
				}
				if eaten := stand.change(c); eaten || differs[at] == leftOut {
					if c.Method != "" && differs[at] != leftOut || !eaten && c.Seq != "03-create-bad" {
						t.Errorf("%s: sent %t, listed as %q", at, !eaten, differs[at])
					}
					delete(differs, at)
					continue
				}
				if other := compare(t, server.Listener.Addr().String(), c, differs[at] == otherText); other {
					delete(differs, at)
				}
				compared++
			}
			if compared < 2 {
				t.Errorf("expected to compare answers, compared %d", compared)
			}
		})
	}
}

func readCalls(t *testing.T, file string) []call {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var calls []call
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		var c call
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		calls = append(calls, c)
	}
	return calls
}

// compare sends the call over a plain connection, so that its path and method arrive as recorded.
// other tells whether the answer has another text than the recorded one, where that is wanted.
func compare(t *testing.T, address string, c call, wanted bool) (other bool) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", c.Method, c.Path)
	for name, value := range c.Sent {
		fmt.Fprintf(conn, "%s: %v\r\n", name, value)
	}
	if sent, ok := c.Body.(string); ok {
		fmt.Fprintf(conn, "Content-Length: %d\r\n\r\n%s", len(sent), sent)
	} else {
		io.WriteString(conn, "\r\n")
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: c.Method})
	if err != nil {
		t.Fatalf("%d %s %s: %v", c.N, c.Method, c.Path, err)
	}
	body, _ := io.ReadAll(r.Body)
	where := fmt.Sprintf("%d %s %.80s", c.N, c.Method, c.Path)
	if r.StatusCode != c.Status {
		t.Errorf("%s: expected %d, found %d %s", where, c.Status, r.StatusCode, body)
		return false
	}
	if c.Status == http.StatusInternalServerError {
		return false // Java's own text
	}
	location := strings.Replace(c.Headers["location"], "${worker}", "x", 1)
	// names are not escaped there, so that what is found at the location is something else
	if c.Seq == "16-stuck-names" {
		location, _ = url.PathUnescape(location)
		r.Header.Set("Location", must(url.PathUnescape(r.Header.Get("Location"))))
	}
	if diff := cmp.Diff(location, r.Header.Get("Location")); diff != "" {
		t.Errorf("%s: location (-recorded +found)\n%s", where, diff)
	}
	if c.Seq == "16-stuck-names" && c.Status == 400 {
		return false // an own text will do in the place of Jetty's
	}
	if html := strings.HasPrefix(c.Headers["content-type"], "text/html"); html {
		return false // an own text will do
	}
	if diff := cmp.Diff(c.Headers["content-type"], r.Header.Get("Content-Type")); diff != "" {
		t.Errorf("%s: content type (-recorded +found)\n%s", where, diff)
	}
	if diff := cmp.Diff(sorted(c.Headers["allow"]), sorted(r.Header.Get("Allow"))); diff != "" {
		t.Errorf("%s: allow (-recorded +found)\n%s", where, diff)
	}
	var found any = string(body)
	if _, text := c.Answer.(string); !text && len(body) > 0 {
		if err := json.Unmarshal(body, &found); err != nil {
			t.Errorf("%s: %v in %s", where, err, body)
		}
	} else if len(body) == 0 {
		found = nil
	}
	withoutOrder(found)
	diff := cmp.Diff(c.Answer, found, cmp.FilterValues(func(a, b any) bool { return a == "${millis}" || b == "${millis}" },
		cmp.Comparer(sameMillis)))
	if diff != "" && !wanted {
		t.Errorf("%s: (-recorded +found)\n%s", where, diff)
	}
	return diff != ""
}

// withoutOrder takes out `order`, which definitions have beside `order_in_group`: Kafka Connect had it before 4.2, and
// there are tools that know it alone.
func withoutOrder(found any) {
	switch v := found.(type) {
	case []any:
		for _, one := range v {
			withoutOrder(one)
		}
	case map[string]any:
		if order, there := v["order"]; there && order == v["order_in_group"] {
			delete(v, "order")
		}
		for _, one := range v {
			withoutOrder(one)
		}
	}
}

func must(s string, err error) string {
	if err != nil {
		panic(err)
	}
	return s
}

// sameMillis tells whether a time stands where one was recorded.
func sameMillis(a, b any) bool {
	_, first := a.(float64)
	_, second := b.(float64)
	return first != second
}

func sorted(list string) []string {
	items := strings.Split(list, ",")
	sort.Strings(items)
	return items
}

// standIn has the state that the recorded writes would have led to.
type standIn struct {
	connectors map[string]*standInConnector
	levels     *logging.Levels
}

type standInConnector struct {
	config map[string]string
	state  connect.State
	tasks  []connect.TaskStatus
	plugin connect.Plugin
	// offsets by the texts of their partitions
	offsets map[string]offset.Entry
	topics  []string
}

// change takes in what is no read, or is one of something that is not built, and tells whether it was such.
func (s *standIn) change(c call) bool {
	path, _, _ := strings.Cut(c.Path, "?")
	switch {
	case c.Until != "":
		s.until(c)
	case c.Method == "", c.Protocol != "", notYet.MatchString(c.Path):
	case strings.HasSuffix(path, "/config/validate"):
		var settings map[string]string
		body, _ := c.Body.(string) // a stand-in knows no plugins
		return c.Method == "PUT" && json.Unmarshal([]byte(body), &settings) == nil && settings != nil || c.Status == 200
	case path == "/connector-plugins/org.apache.kafka.connect.transforms.InsertField/config":
	case hasNull(c.Sent):
	case strings.HasSuffix(path, "/offsets"), strings.Contains(path, "/topics"), strings.HasPrefix(path, "/admin"):
		return false
	case steered.MatchString(c.Path):
		return false
	case configured.MatchString(path) && c.Method != "GET" && c.Method != "HEAD" && c.Method != "OPTIONS":
		_, text := c.Body.(string)
		return c.Status == 400 || c.Body != nil && !text // a stand-in knows no plugins
	case c.Status >= 400 && c.Status != 405 && c.Method != "GET" && c.Method != "HEAD":
	case c.Status >= 500, strings.Contains(c.Path, "nnnnnnnnnn"), hasLong(c.Sent):
	case c.Method == "POST" && c.Status < 300, c.Method == "PUT" && c.Status < 300:
	default:
		return false
	}
	return true
}

func hasNull(headers map[string]any) bool {
	for _, v := range headers {
		if v == nil {
			return true
		}
	}
	return false
}

// hasLong: limits of Jetty's header buffer are not ours.
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

func (s *standIn) Create(_ context.Context, name string, settings map[string]string,
	target connect.TargetState) (connect.Info, error) {
	if s.connectors[name] != nil {
		return connect.Info{}, &Refusal{http.StatusConflict, "Connector " + name + " already exists"}
	}
	info, _, err := s.Put(context.Background(), name, settings)
	s.connectors[name].state = target
	return info, err
}

func (s *standIn) Put(_ context.Context, name string, settings map[string]string) (connect.Info, bool, error) {
	before := s.connectors[name]
	if settings["name"] == "" {
		settings["name"] = name
	}
	k := &standInConnector{config: settings, state: connect.Running, plugin: connect.Plugin{Type: "source"}}
	if strings.Contains(settings["connector.class"], "Sink") {
		k.plugin.Type = "sink"
	}
	if before != nil {
		k.state, k.tasks = before.state, before.tasks
	}
	s.connectors[name] = k
	info, _ := s.Info(name)
	return info, before == nil, nil
}

func (s *standIn) Patch(ctx context.Context, name string, set map[string]string, out []string) (connect.Info, error) {
	if s.connectors[name] == nil {
		return connect.Info{}, connect.ErrUnknownConnector
	}
	settings := maps.Clone(s.connectors[name].config)
	maps.Copy(settings, set)
	for _, key := range out {
		delete(settings, key)
	}
	info, _, err := s.Put(ctx, name, settings)
	return info, err
}

func (s *standIn) Delete(_ context.Context, name string) error {
	err := s.Restart(name)
	delete(s.connectors, name)
	return err
}

// until takes in the state that the recorder waited for.
func (s *standIn) until(c call) {
	k := s.connectors[nameIn(c.Until)]
	if k == nil || c.Contains == nil {
		return
	}
	if topics, ok := c.Contains[nameIn(c.Until)].(map[string]any); ok {
		k.topics = nil
		for _, topic := range topics["topics"].([]any) {
			k.topics = append(k.topics, topic.(string))
		}
		return
	}
	if strings.HasSuffix(c.Until, "/offsets") {
		k.committed(c.Contains)
		return
	}
	if connector, ok := c.Contains["connector"].(map[string]any); ok {
		k.state = connect.State(connector["state"].(string))
	}
	tasks, ok := c.Contains["tasks"].([]any)
	if !ok {
		return
	}
	k.tasks = nil
	for i, task := range tasks {
		status := connect.TaskStatus{ID: i, State: connect.State(task.(map[string]any)["state"].(string)),
			WorkerID: "${worker}", Version: "${version}"}
		if status.State == connect.Failed {
			status.Trace = "org.apache.kafka.connect.errors.ConnectException: Couldn't find or create file " +
				"'${dir}/no/such/dir/out.txt' for FileStreamSinkTask\n${stack}\nCaused by: " +
				"java.nio.file.NoSuchFileException: ${dir}/no/such/dir/out.txt\n${stack}\n"
		}
		k.tasks = append(k.tasks, status)
	}
}

func (s *standIn) Loggers() *logging.Levels { return s.levels }

func (s *standIn) Topics(name string) ([]string, error) {
	if s.connectors[name] == nil {
		return nil, connect.ErrUnknownConnector
	}
	return s.connectors[name].topics, nil
}

func (s *standIn) ResetTopics(name string) error { return s.Restart(name) }

func (s *standIn) Root() Root                  { return Root{"${version}", "${commit}", "${cluster}"} }
func (s *standIn) Ready(context.Context) error { return nil }

func (s *standIn) Validate(_ context.Context, class string, settings map[string]string) (*check.Validation, error) {
	return &check.Validation{Name: class, Errors: len(settings)}, nil
}

func (s *standIn) Pause(name string) error  { return s.Restart(name) }
func (s *standIn) Resume(name string) error { return s.Restart(name) }
func (s *standIn) Stop(name string) error   { return s.Restart(name) }
func (s *standIn) RestartTask(name string, _ int) error {
	return s.Restart(name)
}
func (s *standIn) Restart(name string) error {
	if s.connectors[name] == nil {
		return connect.ErrUnknownConnector
	}
	return nil // what comes of it is recorded
}

func (s *standIn) Names() []string {
	var names []string
	for name := range s.connectors {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (s *standIn) Info(name string) (connect.Info, bool) {
	k, ok := s.connectors[name]
	if !ok {
		return connect.Info{}, false
	}
	info := connect.Info{Name: name, Config: k.config, Tasks: []connect.TaskID{}, Type: k.plugin.Type}
	for _, task := range k.tasks {
		info.Tasks = append(info.Tasks, connect.TaskID{Connector: name, Task: task.ID})
	}
	return info, true
}

func (s *standIn) Status(name string) (connect.Status, bool) {
	k, ok := s.connectors[name]
	if !ok {
		return connect.Status{}, false
	}
	return connect.Status{Name: name, Type: k.plugin.Type, Tasks: append([]connect.TaskStatus{}, k.tasks...),
		Connector: connect.ConnectorStatus{State: k.state, WorkerID: "${worker}", Version: "${version}"}}, true
}

func (s *standIn) Tasks(name string) ([]connect.TaskInfo, bool) {
	k, ok := s.connectors[name]
	if !ok {
		return nil, false
	}
	var tasks []connect.TaskInfo
	for _, task := range k.tasks {
		class := "org.apache.kafka.connect.file." + strings.TrimPrefix(k.config["connector.class"],
			"org.apache.kafka.connect.file.")
		config := map[string]string{"task.class": strings.TrimSuffix(class, "Connector") + "Task"}
		for key, v := range k.config {
			config[key] = v
		}
		tasks = append(tasks, connect.TaskInfo{ID: connect.TaskID{Connector: name, Task: task.ID}, Config: config})
	}
	return tasks, true
}

// Plugins are those of the real worker, as it listed them.
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

// Definitions are those of the real worker, by class or alias.
func (s *standIn) Definitions(_ context.Context, class string, version *string) ([]check.Definition, error) {
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
			return nil, &check.ErrVersion{Class: c.Class, Version: *version, Available: []string{"4.3.1"}}
		}
		for i := range c.Config {
			c.Config[i].Order = c.Config[i].InGroup
		}
		return c.Config, nil
	}
	return nil, check.ErrUnknownPlugin
}

func TestHealthWhileStarting(t *testing.T) {
	w := httptest.NewRecorder()
	Handler(&notReady{}).ServeHTTP(w, httptest.NewRequest("GET", "/health", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), `"status":"starting"`) {
		t.Errorf("found %d %s", w.Code, w.Body)
	}
}

type notReady struct{ standIn }

func (*notReady) Ready(context.Context) error { return errors.New("opening plugins") }

func TestListeners(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	first, err := Listen(Options{Listeners: []string{"http://127.0.0.1:0"}}, log)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	for listener, want := range map[string]string{
		"http://" + first.Addresses()[0]: "listeners: REST cannot listen on http://" + first.Addresses()[0],
		"https://:8443":                  "listeners.https.ssl.keystore.location: expected a store",
		"localhost:8083": "listeners: Invalid value localhost:8083 for configuration listeners: " +
			"expected http://HOST:PORT or https://HOST:PORT",
		"http://localhost": "listeners: Invalid value http://localhost for configuration listeners: " +
			"expected http://HOST:PORT or https://HOST:PORT",
	} {
		if _, err := Listen(Options{Listeners: []string{listener}}, log); err == nil || !strings.Contains(err.Error(),
			want) {
			t.Errorf("%s: expected %q, found %v", listener, want, err)
		}
	}
	first.Serve(&standIn{})
	r, err := http.Get("http://" + first.Addresses()[0] + "/connectors")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if body, _ := io.ReadAll(r.Body); string(body) != "[]" {
		t.Errorf("expected [], found %s", body)
	}
}

type mistaken struct{ standIn }

func (*mistaken) Names() []string { panic("a mistake in what answers") }

// A mistake in a handler is that request's fault, and the next one is answered.
func TestPanicsAreTheRequests(t *testing.T) {
	h := Handler(&mistaken{})
	for range 2 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/connectors", nil))
		if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), `"error_code":500`) ||
			!strings.Contains(w.Body.String(), "a mistake in culvert") {
			t.Errorf("found %d %s", w.Code, w.Body)
		}
	}
}
