package rest

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// sampleWorker has one sample, and returns the parameters of its requests.
type sampleWorker struct {
	standIn
	show string // the view of the sample: full or shape
}

func (s *sampleWorker) worker() Worker {
	w := s.with(s)
	w.StartSample = func(_ string, request SampleRequest) (Sample, error) {
		return Sample{ID: "1", Show: request.Show, Wanted: request.Rows}, nil
	}
	w.ListSamples = func(string) []Sample { return []Sample{{ID: "1", Show: s.show}} }
	w.ReadSample = func(_ context.Context, _, id string, settings map[string]string) (Sample, error) {
		if id != "1" {
			return Sample{}, &Refusal{http.StatusNotFound, "no such sample"}
		}
		return Sample{ID: "1", Show: s.show, Problem: settings["transforms"]}, nil
	}
	w.SampleTestFile = func(_ context.Context, _, _ string, settings map[string]string) ([]byte, error) {
		return []byte("tests: " + settings["transforms"] + "\n"), nil
	}
	w.Tools = func(context.Context, string) ([]Tool, error) { return []Tool{{Name: "peek"}}, nil }
	w.Peek = func(_ context.Context, settings map[string]string, request ToolRequest) (ToolAnswer, error) {
		return ToolAnswer{Document: json.RawMessage(`"` + settings["a"] + request.Options["n"] + `"`)}, nil
	}
	w.RunTool = func(_ context.Context, _, command string, request ToolRequest) (ToolAnswer, error) {
		return ToolAnswer{Document: json.RawMessage(`"` + command + request.Options["n"] + `"`)}, nil
	}
	return w
}

const everyAddress = "http://:0"

// A samplesCase is a request for a sample, its response, and the statuses of further requests of the same user.
type samplesCase struct {
	options  Options
	show     string // the view in the request
	host     string // replaces the Host of requests
	header   string // is set to true in requests
	status   int
	wantShow string // the view in the response
	message  string // a part of the response
	full     int    // status of requests for a sample of values
	shape    int    // status of requests for a sample of shapes
}

// Values of records are shown to users on this machine and to users who have logged on. Others see the shape, or
// nothing.
func TestRecordsAreShownByRights(t *testing.T) {
	users := usersFile(t)
	for name, c := range map[string]samplesCase{
		"this machine":        {status: 202, wantShow: "full", full: 200, shape: 200},
		"this machine, full":  {show: "full", status: 202, wantShow: "full", full: 200, shape: 200},
		"this machine, shape": {show: "shape", status: 202, wantShow: "shape", full: 200, shape: 200},
		"an unknown view": {
			show:   "all",
			status: 400, message: `expected full or shape, found \"all\"`, full: 200, shape: 200,
		},
		"anybody": {
			options: Options{Listeners: []string{everyAddress}},
			status:  202, wantShow: "shape", full: 403, shape: 200,
		},
		"anybody, full": {
			options: Options{Listeners: []string{everyAddress}}, show: "full",
			status: 403, message: "this listener requires no logon", full: 403, shape: 200,
		},
		"a user": {
			options: Options{Listeners: []string{everyAddress}, Users: users},
			status:  202, wantShow: "full", full: 200, shape: 200,
		},
		"a user, masked": {
			options: Options{Listeners: []string{everyAddress}, Users: users, Masked: true}, show: "full",
			status: 403, message: "rest.config.masked", full: 403, shape: 200,
		},
		"read only":    {options: Options{ReadOnly: true}, status: 202, wantShow: "full", full: 200, shape: 200},
		"shapes alone": {options: Options{Records: "shape"}, status: 202, wantShow: "shape", full: 403, shape: 200},
		"shapes alone, full": {
			options: Options{Records: "shape"}, show: "full",
			status: 403, message: "console.records=shape", full: 403, shape: 200,
		},
		"off": {
			options: Options{Records: "off"}, show: "shape",
			status: 403, message: "console.records=off", full: 403, shape: 403,
		},
		"a page's name": {
			options: Options{Listeners: []string{everyAddress}}, host: "evil.example.com",
			status: 403, message: "could be that of a web page", full: 403, shape: 403,
		},
		"forwarded, masked": {header: maskedHeader, status: 202, wantShow: "shape", full: 403, shape: 200},
		"forwarded, shapes only": {
			header: shapeOnlyHeader, show: "full",
			status: 403, message: "the worker that received the request", full: 403, shape: 200,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newSampleAsker(t, c)
			status, answer := a.ask(t, "POST", "/samples", `{"rows":7,"show":"`+c.show+`"}`)
			isStarted := strings.Contains(answer, `"wanted":7,"show":"`+c.wantShow+`"`)
			assert.True(t, status == c.status && strings.Contains(answer, c.message) && (status != 202 || isStarted),
				"found %d %s", status, answer)
			checkSamples(t, a)
			checkTestFiles(t, a)
			checkTools(t, a)
		})
	}
}

// A sampleAsker sends the requests of a case to a server.
type sampleAsker struct {
	samplesCase
	worker *sampleWorker
	port   string
}

func newSampleAsker(t *testing.T, c samplesCase) *sampleAsker {
	t.Helper()
	worker := &sampleWorker{}
	s := startServerFor(t, c.options, slog.New(slog.DiscardHandler), worker)
	_, port, _ := net.SplitHostPort(s.Addresses()[0])
	return &sampleAsker{samplesCase: c, worker: worker, port: port}
}

func (a *sampleAsker) ask(t *testing.T, method, path, body string) (status int, answer string) {
	t.Helper()
	if path != "/culvert/peek" {
		path = "/culvert/connectors/a" + path
	}
	r := newRequest(t, method, "http://127.0.0.1:"+a.port+path, body, "Content-Type", "application/json",
		"Authorization", "Basic YW5uYTpnZWhlaW0=")
	if a.header != "" {
		r.Header.Set(a.header, "true")
	}
	if a.host != "" {
		r.Host = a.host
	}
	response, answer := exchange(t, http.DefaultClient, r)
	return response.StatusCode, answer
}

// checkSamples checks which samples are listed, shown and sent through a chain.
func checkSamples(t *testing.T, a *sampleAsker) {
	t.Helper()
	for show, want := range map[string]int{"full": a.full, "shape": a.shape} {
		a.worker.show = show
		status, answer := a.ask(t, "GET", "/samples", "")
		isWrong := a.shape == 403 && status != 403
		assert.True(t, !isWrong && strings.Contains(answer, `"id":"1"`) == (want == 200),
			"samples of %s: found %d %s", show, status, answer)
		for _, call := range []struct{ method, path, body string }{
			{method: "GET", path: "/samples/1"},
			{method: "POST", path: "/samples/1/chain", body: `{"config":{"transforms":"a"}}`},
		} {
			status, answer := a.ask(t, call.method, call.path, call.body)
			assert.Equal(t, want, status, call.path, "of a sample of", show, answer)
		}
	}
}

// checkTestFiles checks that a test file, which has values, is returned only to those who may see values.
func checkTestFiles(t *testing.T, a *sampleAsker) {
	t.Helper()
	for chain, call := range map[string]struct{ method, path, body string }{
		"":  {method: "GET", path: "/samples/1?as=test"},
		"a": {method: "POST", path: "/samples/1/chain?as=test", body: `{"config":{"transforms":"a"}}`},
	} {
		status, answer := a.ask(t, call.method, call.path, call.body)
		assert.True(t, status == a.full && (status != 200 || answer == "tests: "+chain+"\n"),
			"a test file of %s: expected %d, found %d %s", call.path, a.full, status, answer)
	}
}

// checkTools checks that a command that returns rows is for those who may see values. Other commands return none.
func checkTools(t *testing.T, a *sampleAsker) {
	t.Helper()
	want := a.full
	wantPing := 200
	if a.host != "" || a.options.ReadOnly {
		want = 403
		wantPing = 403
	}
	status, answer := a.ask(t, "POST", "/tools/peek", `{"options":{"n":"5"}}`)
	assert.True(t, status == want && (want != 200 || strings.Contains(answer, "peek5")),
		"peek: found %d %s", status, answer)
	status, answer = a.ask(t, "POST", "/culvert/peek", `{"config":{"a":"b"},"options":{"n":"5"}}`)
	assert.True(t, status == want && (want != 200 || strings.Contains(answer, "b5")),
		"peek with a configuration: found %d %s", status, answer)
	status, answer = a.ask(t, "POST", "/tools/ping", "")
	assert.True(t, status == wantPing, "ping: found %d %s", status, answer)
}

// An invalid request is rejected with the reason.
func TestInvalidSampleRequests(t *testing.T) {
	worker := &sampleWorker{show: "full"}
	for _, c := range []struct {
		method  string
		path    string
		body    string
		status  int
		message string
	}{
		{method: "GET", path: "/samples/2", status: 404, message: "no such sample"},
		{method: "GET", path: "/samples/1?as=csv", status: 400, message: "expected test"},
		{method: "GET", path: "/samples/1", status: 403, message: "Only the shape of records"}, // without a logon
		{method: "POST", path: "/samples/1/chain", body: `{}`, status: 400, message: "expected a configuration"},
		{
			method:  "POST",
			path:    "/samples/1/chain",
			body:    `{"config":{"transforms":null}}`,
			status:  400,
			message: NullValue,
		},
		{method: "POST", path: "/samples", body: `{"rows":"x"}`, status: 400, message: "expected a JSON object"},
		{method: "POST", path: "/samples", body: `{"row":5}`, status: 400, message: `unknown field \"row\"`},
		{method: "POST", path: "/samples", body: "{\"show\":\"\xff\"}", status: 400, message: "UTF-8"},
		{method: "POST", path: "/samples", body: `[`, status: 400, message: "expected a JSON object"},
		{
			method:  "POST",
			path:    "/deadletters/replay",
			body:    `{"letter":["0@17"]}`,
			status:  400,
			message: `unknown field \"letter\"`,
		},
		{
			method:  "POST",
			path:    "/deadletters/replay",
			body:    `{"dry-run":true}`,
			status:  400,
			message: `unknown field \"dry-run\"`,
		},
		{method: "POST", path: "/samples", status: 202, message: `"show":"shape"`},
		{method: "POST", path: "/tools/ping", body: `{"chain":true}`, status: 400, message: `unknown field \"chain\"`},
		{method: "GET", path: "/tools", status: 200, message: `[{"name":"peek"`},
		{method: "DELETE", path: "/samples/1", status: 405},
	} {
		w := serveRequest(worker, c.method, "/culvert/connectors/a"+c.path, c.body, "Content-Type", "application/json")
		assert.True(t, w.Code == c.status && strings.Contains(w.Body.String(), c.message),
			"%+v: found %d %s", c, w.Code, w.Body)
	}
	// A test file is YAML, and clients that accept YAML do not get 406.
	for accept, status := range map[string]int{"text/yaml": 403, "text/html": 403, "application/json": 403} {
		assert.Equal(t, status, serveRequest(worker, "GET", "/culvert/connectors/a/samples/1?as=test", "", "Accept",
			accept).Code)
		assert.Equal(t, map[bool]int{true: 403, false: 406}[accept == "application/json"],
			serveRequest(worker, "GET", "/culvert/connectors/a/samples/1", "", "Accept", accept).Code)
	}
	// a route without test files
	assert.Equal(t, 406, serveRequest(worker, "GET", "/connectors?as=test", "", "Accept", "text/yaml").Code)
}

// A request that changes nothing is accepted by a read-only REST API, whatever its method, but nothing else on its
// path.
func TestReadOnlyRequests(t *testing.T) {
	for call, want := range map[string]bool{
		"PUT /connector-plugins/A/config/validate":           false,
		"PUT /connector-plugins/A/config/validate/":          false,
		"PUT /connector-plugins/A/config/%76alidate":         false,
		"PUT /connector-plugins/../connectors/a/pause":       true,
		"HEAD /connectors":                                   false,
		"OPTIONS /connectors":                                false,
		"POST /culvert/diff":                                 false,
		"POST /culvert/diff/":                                false,
		"POST /culvert/reload":                               true,
		"POST /connector-plugins/A/config/validate":          true,
		"PUT /connector-plugins/A/config":                    true,
		"POST /culvert/connectors/a/samples":                 false,
		"POST /culvert/connectors/a%20b;x=1/samples":         false,
		"POST /culvert/connectors/a/samples/1/chain":         false,
		"PUT /culvert/connectors/a/samples/1/chain":          true,
		"DELETE /culvert/connectors/a/samples":               true,
		"POST /culvert/connectors/a/tools/peek":              true, // some end subscriptions
		"POST /culvert/peek":                                 true, // it sends secrets to the address in the request
		"POST /culvert/connectors/a/deadletters/replay":      true,
		"POST /culvert/connectors/samples":                   true,
		"POST /culvert/connectors/a/samples/1/chain/further": true,
		"POST /":                          true,
		"PUT /connectors/config/validate": true,
		"DELETE /connector-plugins/A/config/validate": true,
	} {
		method, path, _ := strings.Cut(call, " ")
		r, err := http.NewRequest(method, "http://localhost"+path, nil)
		require.NoError(t, err)
		assert.Equal(t, want, isChange(r), call)
	}
}

// The worker that forwards a request marks it if it would show no values itself.
func TestForwardingHidesRecords(t *testing.T) {
	for _, listener := range []string{"http://127.0.0.1:0", "http://:0"} {
		var shapeOnly string
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			shapeOnly = r.Header.Get(shapeOnlyHeader)
			w.Header().Set("Content-Length", "2")
			w.Write([]byte("{}"))
		}))
		s := startServerFor(t, Options{Listeners: []string{listener}, Cluster: &seat{url: "http://a:1",
			owners: map[string]string{"a/0": other.URL}}}, slog.New(slog.DiscardHandler), &sampleWorker{})
		_, port, _ := net.SplitHostPort(s.Addresses()[0])
		a := fetch(t, http.DefaultClient, "POST", "http://127.0.0.1:"+port+"/culvert/connectors/a/samples", "")
		other.Close()
		assert.Equal(t, 200, a.StatusCode)
		assert.Equal(t, map[bool]string{true: "", false: withheldInAll}[listener != "http://:0"], shapeOnly, listener)
	}
}
