package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/buildinfo"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/console/pagetest"
	"github.com/culvert-project/culvert/internal/events"
	"github.com/culvert-project/culvert/internal/history"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/transport/limits"
)

// hostileText has markup, characters that change the text direction or control a terminal, and is long.
var hostileText = `"><script>alert(1)</script>&amp;` + "\u202e\u2066\x1b[31m\x00" + strings.Repeat("long ", 2000)

// fakeAPI is a REST API with a fixed response for each request.
type fakeAPI struct {
	mu        sync.Mutex
	calls     []string       // method, path and query of the requests
	bodies    []string       // of the requests
	responses map[string]any // by method and path, with or without query
	refusals  map[string]int // status codes by method and path
	version   string         // of the configuration
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	call := r.Method + " " + r.URL.EscapedPath()
	f.mu.Lock()
	f.calls = append(f.calls, call+"?"+r.URL.RawQuery)
	f.bodies = append(f.bodies, string(body))
	f.mu.Unlock()
	if strings.HasPrefix(r.Header.Get("Accept"), propertiesType) {
		if f.version != "" {
			w.Header().Set("ETag", `"`+f.version+`"`)
		}
		text, _ := f.responses[call+" text"].(string)
		w.Write([]byte(text))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if status := f.refusals[call]; status != 0 {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"error_code": status, "message": "no: " + hostileText})
		return
	}
	response, ok := f.responses[call+"?"+r.URL.RawQuery]
	if !ok {
		response = f.responses[call]
	}
	_ = json.NewEncoder(w).Encode(response)
}

// log returns the requests so far, one per line.
func (f *fakeAPI) log() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.calls, "\n")
}

// newFakeAPI has a response to each request of the pages, with hostileText wherever a response contains text of other
// systems.
func newFakeAPI() *fakeAPI {
	date := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	name := hostileText
	failed := rest.ConnectorSummary{
		ConnectorState: rest.ConnectorState{
			Name:    name,
			Type:    "source",
			Class:   hostileText,
			State:   "failed",
			Since:   &date,
			Note:    hostileText,
			Cause:   hostileText,
			Advice:  hostileText,
			Tasks:   2,
			Failed:  1,
			Workers: []string{hostileText},
			Action:  &connect.Action{Do: "edit", Setting: hostileText},
		},
		Activity: connect.Activity{
			Rows:    new(12345.678),
			Sets:    []string{hostileText},
			Topics:  []string{hostileText},
			Minutes: []*int64{new(int64(0)), nil, new(int64(600))},
		},
	}
	load := &connect.Load{Read: 218_800, Total: new(uint64(300_000)), SecondsLeft: new(int64(135))}
	loading := rest.ConnectorSummary{
		ConnectorState: rest.ConnectorState{Name: "loading", State: "loading"},
		Activity:       connect.Activity{Load: load},
	}
	plain := rest.ConnectorSummary{ConnectorState: rest.ConnectorState{Name: "plain", State: "running"}}
	record := rest.SampledRecord{
		Topic:       hostileText,
		Key:         hostileText,
		Value:       hostileText,
		Headers:     []rest.SampledHeader{{Name: hostileText, Value: hostileText}},
		KeySchema:   hostileText,
		ValueSchema: hostileText,
		Cut:         true,
	}
	definition := func(name, kind, group string) check.Definition {
		return check.Definition{Name: name, Type: kind, Importance: "HIGH", Documentation: hostileText, Group: &group,
			DefaultValue: new(hostileText)}
	}
	sample := rest.Sample{
		ID:        "s1",
		Connector: name,
		State:     "done",
		Wanted:    3,
		Expires:   date,
		Steps: []rest.SampleStep{
			{Alias: hostileText, Class: hostileText, Predicate: hostileText, Negate: true},
			{Alias: "b", Class: "B"},
		},
		Rows: []rest.SampledRow{
			{
				Feed:    hostileText,
				Input:   record,
				Problem: hostileText,
				Steps:   []rest.SampledStep{{Outcome: "unchanged"}, {Records: []rest.SampledRecord{record}}},
			},
			{Input: record, Steps: []rest.SampledStep{{Outcome: "dropped"}}},
			{Input: record, Steps: []rest.SampledStep{{Outcome: "skipped"}, {Outcome: "failed", Error: hostileText}}},
		},
		Problem: hostileText,
	}
	motion := json.RawMessage(fmt.Sprintf(`{"name":"x","state":"RUNNING","type":"source","tasks":[{"id":0,
		"state":"RUNNING","worker_id":%[1]s,"rows":12,"lag":3,"uncertain":1,"feeds":[{"name":%[1]s,
		"complete":%[1]s,"load":{"read":3,"total":7},"last_request":
		{"request":%[1]s,"at":"2026-11-24T12:00:00Z","status":200,"ms":3},"last_error":{"at":"2026-11-24T12:00:00Z",
		"code":%[1]s,"message":%[1]s}}]},{"id":1,"state":"UNASSIGNED","error":%[1]s}]}`, quotedJSON(hostileText)))
	status := json.RawMessage(fmt.Sprintf(`{"name":"x","type":"source","connector":{"state":"RUNNING","worker_id":%[1]s,
		"trace":%[1]s,"config_error":%[1]s,"file":%[1]s,"restarts":"2026-11-24T12:00:00Z"},"tasks":[{"id":0,
		"state":"FAILED","trace":%[1]s,"plugins":[%[1]s]}]}`, quotedJSON(hostileText)))
	hour := json.RawMessage(`{"step":10,"from":"2026-11-24T12:00:00Z","rows":[1,null,3,4],"p50":[1,2,3,4],
		"p95":[1,2,3,40],"errors":[0,0,0,0],"refused":[0,1,0,0],"lag":[null,null,7,5]}`)
	path := func(route string) string {
		_, target := rest.Target("GET "+route, name, "s1")
		return target
	}
	return &fakeAPI{version: "v1", refusals: map[string]int{}, responses: map[string]any{
		"GET /": map[string]string{"version": hostileText, "kafka_cluster_id": hostileText},
		"GET /culvert/connectors": rest.ConnectorList{
			Counts:     map[connect.Condition]int{"failed": 1, "running": 2},
			Total:      3,
			Connectors: []rest.ConnectorSummary{failed, loading, plain},
			Next:       hostileText,
			Silent:     []string{hostileText},
		},
		"GET " + path("/connectors/{name}/status"): status,
		"GET " + path("/connectors/{name}"): map[string]any{"name": name, "config": map[string]string{
			"connector.class": hostileText}},
		"GET " + path("/culvert/connectors/{name}"): motion,
		"GET " + path("/culvert/connectors/{name}/flow"): rest.Flow{
			Seconds: 60,
			Stages: []rest.StageTime{
				{Stage: "fetch", Share: 0.5, BusySeconds: 30, Calls: 100},
				{Stage: hostileText, Share: 7},
			},
			Silent: []string{hostileText},
		},
		"GET " + path("/culvert/connectors/{name}/events"): rest.ConnectorEvents{
			Since: date,
			Events: slices.Repeat([]events.Event{{Time: date, Kind: "failed", Text: hostileText, Reason: hostileText,
				By: hostileText, Worker: hostileText, Count: 3}}, 12),
			Silent: []string{hostileText},
		},
		"GET " + path("/connectors/{name}/offsets"): map[string]any{"offsets": []any{map[string]any{
			"partition": map[string]any{"feed": hostileText}, "offset": map[string]any{"url": hostileText}}}},
		"GET " + path("/connectors/{name}/config"): map[string]string{
			"transforms":        "a",
			"transforms.a.type": hostileText,
		},
		"GET " + path("/connectors/{name}/config") + " text": "# a comment\nname=x\nconnector.class=C\n" +
			"secret=[hidden]\nby=${file:/x:pw}\nunknown=\\n1\n",
		"GET " + path("/culvert/connectors/{name}/samples/{id}"): sample,
		"GET " + path("/culvert/connectors/{name}/tools"): []rest.Tool{{
			Name:  "peek",
			Usage: hostileText,
			Options: []rest.ToolOption{
				{Name: hostileText, Required: true, Default: new(hostileText), Usage: hostileText},
			},
		}},
		"GET " + path("/culvert/connectors/{name}/deadletters"): json.RawMessage(fmt.Sprintf(`{"topic":%[1]s,"letters":[
			{"partition":0,"offset":17,"failed":"2026-11-24T12:00:00Z","class":%[1]s,"message":%[1]s,"stage":%[1]s,
			"from":{"topic":%[1]s,"partition":-1,"feed":%[1]s},"headers":[{"key":%[1]s,"value":%[1]s}],"record":
			{"key":%[1]s,"value":%[1]s}}],"causes":[{"id":"1","text":%[1]s,
			"count":1}]}`, quotedJSON(hostileText))),
		"GET /culvert/plugins": []rest.Module{
			{
				Plugin:  hostileText,
				Version: hostileText,
				Hash:    hostileText,
				File:    hostileText,
				State:   "active",
				Classes: []string{hostileText}, Connectors: []string{hostileText},
			},
			{Plugin: hostileText, Hash: "2", State: "refused", Error: hostileText},
			{Plugin: "p", Hash: "3", State: "kept"},
		},
		"GET /culvert/cluster": groupview.Group{
			Group:    hostileText,
			Leader:   hostileText,
			Members:  []groupview.Member{{WorkerID: hostileText}},
			Former:   []groupview.FormerWorker{{WorkerID: hostileText, Text: hostileText}},
			Unplaced: map[string]string{hostileText: hostileText},
			Problems: []string{hostileText},
			Waits:    map[string]string{hostileText: hostileText},
		},
		"GET /culvert/origins": rest.Origins{Silent: []string{hostileText}, Origins: []rest.Origin{{
			OriginUse: connect.OriginUse{
				WorkerID:   hostileText,
				Connectors: []string{hostileText},
				Usage: limits.Usage{
					Origin:   hostileText,
					Requests: limits.Count{Used: 1, Limit: 4, Waiting: 2},
					Waiting:  []string{hostileText},
					Windows:  []string{hostileText},
					Until:    date,
				},
			},
			Lockouts: []rest.Lockout{{User: hostileText, Message: hostileText}},
		}}},
		"GET /culvert/log": rest.LogPage{WorkerID: hostileText, Withheld: hostileText, Last: 2, Lines: []rest.LogLine{
			{Number: 1, Level: "WARN", Connector: hostileText, Text: hostileText},
			{Number: 2, Level: "INFO", Text: "plain"},
		}},
		"GET /culvert/workers": json.RawMessage(fmt.Sprintf(`[{"worker":%[1]s,"state":"answers","leader":true,
			"version":%[1]s,"tasks":12,"memory":3000000,"plugins":[%[1]s]},{"worker":"w2","state":"silent",
			"seen":"2026-11-24T12:00:00Z","error":%[1]s},{"worker":"w3","state":"lost","error":%[1]s}]`,
			quotedJSON(hostileText))),
		"GET /culvert/history":                              hour,
		"GET " + path("/culvert/connectors/{name}/history"): hour,
		"GET /connector-plugins":                            []connect.Plugin{{Class: hostileText, Type: "source"}},
		"PUT /connector-plugins/C/config/validate": check.Validation{Groups: []string{"First", hostileText, "Third"},
			Configs: []check.Validated{
				{Definition: definition("name", "STRING", "First"), Value: check.Value{Visible: true}},
				{Definition: definition("secret", "PASSWORD", "First"), Value: check.Value{Visible: true}},
				{Definition: definition("by", "PASSWORD", "First"), Value: check.Value{Visible: true}},
				{Definition: definition("unknown", "STRING", "First"), Value: check.Value{Visible: true}},
				{
					Definition: definition(hostileText, "BOOLEAN", hostileText),
					Value: check.Value{Visible: true, Errors: []string{hostileText},
						RecommendedValues: []string{hostileText}},
				},
				{Definition: definition("later", "STRING", "Third"), Value: check.Value{Visible: true}}}},
		"POST /culvert/diff": json.RawMessage(fmt.Sprintf(`{"connector":"x","effect":"restart","version":"v2",
			"differences":[{"setting":%[1]s,"before":%[1]s,"after":null},{"setting":"secret","before":"[hidden]",
			"after":"[hidden]","secret":true}],"stored":[{"setting":"a","before":null,"after":""}],
			"stored_problem":%[1]s,"feeds":[{"feed":%[1]s,"effect":"fail","differs":[%[1]s]}],"kept":%[1]s}`,
			quotedJSON(hostileText))),
	}}
}

func quotedJSON(text string) string {
	data, _ := json.Marshal(text)
	return string(data)
}

// serve returns the console's response.
func serve(t *testing.T, console http.Handler, method, target string, form url.Values) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	w := httptest.NewRecorder()
	console.ServeHTTP(w, r)
	return w
}

// newConsole returns a console whose users may change everything.
func newConsole(api http.Handler) http.Handler { return newConsoleFor(api, "") }

// newConsoleFor returns a console whose users may change nothing for a reason. "" permits changes.
func newConsoleFor(api http.Handler, readOnlyReason string) http.Handler {
	return Environment{Title: hostileText, Accent: "red"}.New(rest.Pages{API: api,
		Rights: func(*http.Request) rest.Rights { return rest.Rights{ReadOnlyReason: readOnlyReason} }})
}

// addresses returns the addresses of all pages, with a connector whose name is hostileText.
func addresses() []string {
	name := url.Values{"name": {hostileText}}.Encode()
	escaped := url.QueryEscape(hostileText)
	return []string{
		"/console/",
		"/console/?state=failed&search=" + escaped,
		"/console/connector?" + name,
		"/console/records?" + name,
		"/console/records?sample=s1&" + name,
		"/console/form?" + name,
		"/console/form",
		"/console/form?class=C",
		"/console/letters?" + name,
		"/console/letters",
		"/console/letters?letter=0%4017&" + name,
		"/console/offsets?" + name,
		"/console/plugins",
		"/console/origins",
		"/console/workers",
		"/console/log?level=WARN&connector=" + escaped,
	}
}

// Every page is well-formed whatever texts it contains, shows no character that hides text or changes its direction,
// and sends the security headers.
func TestPagesAreWellFormedAndSafe(t *testing.T) {
	console := newConsole(newFakeAPI())
	for _, address := range addresses() {
		w := serve(t, console, "GET", address, nil)
		page := w.Body.String()
		if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%.60s: status %d, %s\n%.2000s", address, w.Code, w.Header(), page)
			continue
		}
		for _, problem := range pagetest.Examine(page) {
			t.Errorf("%.60s: %s", address, problem)
		}
		for _, unwanted := range []string{"<script>alert", "<nil>", "%!", "ZgotmplZ"} {
			assert.True(t, !strings.Contains(page, unwanted), "%.60s: expected no %q, found it", address, unwanted)
		}
		if text := pagetest.Read(page); strings.ContainsAny(text, "\u202e\u2066\x1b\x00") {
			t.Errorf("%.60s: expected no characters that hide text or change its direction, found %.300q", address,
				text[strings.IndexAny(text, "\u202e\u2066\x1b\x00"):])
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": policy,
			"X-Content-Type-Options":  "nosniff",
			"Referrer-Policy":         "same-origin",
			"Cache-Control":           "no-store",
		} {
			got := w.Header().Get(name)
			assert.True(t, got == want, "%.60s: %s: expected %q, found %q", address, name, want, got)
		}
	}
}

// A page names the product's version, and the version of Kafka Connect next to it.
func TestPageNamesBothVersions(t *testing.T) {
	page := pagetest.Read(serve(t, newConsole(newFakeAPI()), "GET", "/console/", nil).Body.String())
	assert.Contains(t, page, "Culvert "+buildinfo.Product())
	assert.Contains(t, page, "Compatible with Kafka Connect "+buildinfo.KafkaConnect)
}

func TestChartsHaveARange(t *testing.T) {
	f := newFakeAPI()
	console := newConsole(f)
	page := serve(t, console, "GET", addresses()[2]+"&range=24h", nil).Body.String()
	assert.Contains(t, f.log(), "/history?range=24h")
	assert.Contains(t, page, `aria-current="true">24h</a>`, `&amp;range=15m">15m</a>`, `<svg class="chart"`)
	for call := range f.responses {
		if strings.HasSuffix(call, "/history") {
			f.responses[call] = history.History{Step: 10, Rows: make([]*int64, 6)}
		}
	}
	page = serve(t, console, "GET", addresses()[2], nil).Body.String()
	assert.True(t, !strings.Contains(page, `<svg class="chart"`), "expected no chart without a sample")
	assert.Contains(t, page, `aria-current="true">1h</a>`, "Nothing ran in this range.")
}

// While a worker is lost, the pages lead to the list of workers. It is not counted, and has no log.
func TestLostWorkersAreShown(t *testing.T) {
	f := newFakeAPI()
	console := newConsole(f)
	f.responses["GET /culvert/connectors"] = rest.ConnectorList{Connectors: []rest.ConnectorSummary{
		{ConnectorState: rest.ConnectorState{Name: hostileText, State: "unassigned", Cause: "worker w3: lost 5 s ago"}},
	}}
	read := func(address string) string { return serve(t, console, "GET", address, nil).Body.String() }
	assert.Contains(t, read(addresses()[2]), "<b>worker w3: lost 5 s ago</b>", `href="workers">Show the workers</a>`)
	assert.Contains(t, read("/console/"), `<a href="workers">Worker `)
	page := read("/console/workers")
	assert.Contains(t, page, "</svg>lost</span>", "</svg>no answer</span>", "</svg>answers</span>",
		`Workers</span><small class="n">2</small>`)
	if log := read("/console/log"); !strings.Contains(log, `value="w2"`) || strings.Contains(log, `value="w3"`) {
		t.Errorf("expected a choice of two workers, found %s", log)
	}
}

func TestEarlierEventsAreFolded(t *testing.T) {
	page := serve(t, newConsole(newFakeAPI()), "GET", addresses()[2], nil).Body.String()
	_, page, _ = strings.Cut(page, "<h2>Events</h2>")
	first, folded, isFolded := strings.Cut(page, "<details><summary>Earlier events</summary>")
	const event = "<b>failed</b>"
	if n := strings.Count(first, event); !isFolded || n != 10 || strings.Count(folded, event) != 2 {
		t.Errorf("expected 10 events and 2 folded ones, found %d and %d", n, strings.Count(folded, event))
	}
	assert.Contains(t, first, " (3 times)")
}

// A service counts once for all workers, and is away if it is away for one worker, whatever else its connectors wait
// for.
func TestServicesAreCountedOnce(t *testing.T) {
	f := newFakeAPI()
	use := func(origin, worker string, awaySince *time.Time) rest.Origin {
		return rest.Origin{
			OriginUse: connect.OriginUse{
				WorkerID:   worker,
				Connectors: []string{"c"},
				AwaySince:  awaySince,
				Usage:      limits.Usage{Origin: origin},
			},
			Lockouts: []rest.Lockout{{Origin: origin, User: "demo", Message: "no from " + origin,
				Connectors: []string{"of-" + worker}}},
		}
	}
	f.responses["GET /culvert/origins"] = rest.Origins{Origins: []rest.Origin{
		use("https://a", "w1", nil),
		use("https://a", "w2", nil),
		use("https://a", "w3", nil),
		use("https://b", "w1", nil),
		use("https://b", "w2", new(time.Now())),
		{OriginUse: connect.OriginUse{Usage: limits.Usage{Origin: "https://c", Asked: true}}},
		{OriginUse: connect.OriginUse{Usage: limits.Usage{Origin: "https://d"}}},
	}}
	page := serve(t, newConsole(f), "GET", "/console/", nil).Body.String()
	assert.Contains(t, page, ">3 of 4 <small>answer</small><", ">1 away<", "2 logons refused")
	page = serve(t, newConsole(f), "GET", "/console/origins", nil).Body.String()
	assert.Equal(t, 1, strings.Count(page, "#cloud-off"), "services that are away")
	assert.Equal(t, 1, strings.Count(page, "not asked yet"), "services that were not asked")
	assert.Equal(t, 1, strings.Count(page, "no from https://a"), "texts of one refused logon")
	assert.Contains(t, page, `>of-w1</a>, <a href="connector?name=of-w2">of-w2</a>, <a href="connector?name=of-w3">of-w3<`)
	assert.Equal(t, false, strings.Contains(f.log(), "state=away"), "reads the connectors that are away")
}

// A page of a connector reads the summary of that connector only.
func TestPageReadsOneSummary(t *testing.T) {
	f := newFakeAPI()
	f.responses["GET /culvert/connectors?name=rare"] = rest.ConnectorList{Connectors: []rest.ConnectorSummary{{
		ConnectorState: rest.ConnectorState{Name: "rare", State: "running", Note: "limited to 3 requests"}}}}
	page := serve(t, newConsole(f), "GET", "/console/records?name=rare", nil).Body.String()
	assert.Contains(t, page, "limited to 3 requests")
}

// Buttons that would be refused are not shown: the previous version of a plugin that has no other version, and changes
// by users who only read.
func TestRefusedButtonsAreNotShown(t *testing.T) {
	f := newFakeAPI()
	f.responses["GET /culvert/plugins"] = []rest.Module{
		{Plugin: "odata", Hash: "1", State: "active"},
		{Plugin: "p", Hash: "2", State: "active"},
		{Plugin: "p", Version: "7", Hash: "3", State: "kept"},
		{Plugin: "p", Version: "8", Hash: "4", State: "refused"},
	}
	page := serve(t, newConsole(f), "GET", "/console/plugins", nil).Body.String()
	assert.Equal(t, 1, strings.Count(page, `value="rollback"`))
	assert.Equal(t, 1, strings.Count(page, `value="swap"`))
	assert.Contains(t, page, `aria-label="Use this version: p 7"`, `aria-label="Previous version of p"`)
	for _, test := range []struct {
		action   string
		setting  string
		readOnly bool
		want     string // the page of the link; "" means no link
	}{
		{action: "edit", setting: "a", want: "form"},
		{action: "edit", want: "form"},
		{action: "edit", readOnly: true},
		{action: "logon", want: "form"},
		{action: "restart"},
		{action: "limit", setting: "a", readOnly: true},
		{action: "log", readOnly: true, want: "log"},
	} {
		head := connectorHead{ReadOnly: test.readOnly}
		head.Summary.Action = &connect.Action{Do: test.action, Setting: test.setting}
		path := ""
		if fix := head.Fix(); fix != nil {
			path, _, _ = strings.Cut(fix.Link, "?")
		}
		assert.Equal(t, test.want, path, test.action)
		head.Summary.State = connect.ConditionFailed
		assert.Equal(t, "restart", head.Main())
	}
}

// pageOf returns the page of a connector with a summary and a status, for users who may change it or not.
func pageOf(t *testing.T, summary rest.ConnectorSummary, status connect.Status, readOnlyReason string) string {
	t.Helper()
	f := newFakeAPI()
	f.responses["GET /connectors/"+summary.Name+"/status"] = status
	f.responses["GET /culvert/connectors/"+summary.Name] = json.RawMessage(`{}`)
	f.responses["GET /culvert/connectors"] = rest.ConnectorList{Connectors: []rest.ConnectorSummary{summary}}
	return serve(t, newConsoleFor(f, readOnlyReason), "GET", "/console/connector?name="+summary.Name, nil).Body.String()
}

// The page of a connector whose logon was refused has all of the cause, and checks and retries the logon.
func TestRefusedLogonIsMendedOnThePage(t *testing.T) {
	cause := strings.Repeat("long ", 300) + "and its end"
	summary := rest.ConnectorSummary{ConnectorState: rest.ConnectorState{Name: "hr", State: "failed", Cause: cause,
		Advice: "Change pwd in hr.properties:7", Action: &connect.Action{Do: "logon", Setting: "pwd",
			File: "hr.properties", Line: 7}}}
	page := pageOf(t, summary, connect.Status{}, "")
	assert.Contains(t, page, cause, "Change pwd in hr.properties:7", ">Change pwd<", `value="check-logon"`,
		`value="resume-logons"`)
	page = pageOf(t, summary, connect.Status{}, "why")
	assert.Contains(t, page, cause, "Change pwd in hr.properties:7")
	assert.Equal(t, false, strings.Contains(page, `value="check-logon"`) || strings.Contains(page, ">Change pwd<"))
	summary.Action.Do = "edit"
	assert.Equal(t, false, strings.Contains(pageOf(t, summary, connect.Status{}, ""), `value="check-logon"`))
}

// The logon of a stored configuration is checked with its class, and the result is shown.
func TestCheckOfALogon(t *testing.T) {
	for want, validation := range map[string]check.Validation{
		"hr: me was accepted": {Logon: check.LogonAccepted, User: "me",
			Configs: []check.Validated{{Value: check.Value{Name: "other", Errors: []string{"no"}}}}},
		"hr: the logon was accepted": {Logon: check.LogonAccepted},
		"hr: refused": {Logon: "unknown",
			Configs: []check.Validated{{Value: check.Value{Errors: []string{"refused"}}}}},
		"hr: no answer":                 {Logon: "no answer"},
		"hr: the service was not asked": {},
	} {
		f := newFakeAPI()
		f.responses["GET /connectors/hr/config"] = map[string]string{"name": "hr", "connector.class": "C"}
		f.responses["PUT /connector-plugins/C/config/validate"] = validation
		w := serve(t, newConsole(f), "POST", "/console/act", url.Values{"do": {"check-logon"}, "name": {"hr"}})
		assert.Contains(t, w.Body.String(), want)
		assert.Equal(t, `{"connector.class":"C","name":"hr"}`, strings.TrimSpace(f.bodies[1]))
	}
}

// A load has one box, with its limit and the place of it. What its tasks wait for is no error.
func TestLoadHasOneBox(t *testing.T) {
	summary := rest.ConnectorSummary{
		ConnectorState: rest.ConnectorState{Name: "big", State: "loading", Note: "limited to 1 request a second",
			Action: &connect.Action{Do: "limit", Setting: "per.second", File: "big.properties", Line: 12}},
		Activity: connect.Activity{Load: &connect.Load{Read: 5, Total: new(uint64(10))}},
	}
	status := connect.Status{Tasks: []connect.TaskStatus{{State: connect.Running, Trace: "waiting for the limit"}}}
	page := pageOf(t, summary, status, "")
	assert.Equal(t, 1, strings.Count(page, `class="notice `)-strings.Count(page, `id="link" class="notice `), "boxes")
	assert.Equal(t, 1, strings.Count(page, "limited to 1 request a second"))
	assert.Contains(t, page, "<code>per.second</code> in big.properties:12", ">Change the limit<")
	summary.Load = nil
	assert.Contains(t, pageOf(t, summary, status, ""), " · limited to 1 request a second")
}

// A connector with open dead letters is not healthy, and its page shows their number.
func TestOpenLettersNeedAttention(t *testing.T) {
	f := newFakeAPI()
	list := rest.ConnectorList{
		Counts:      map[connect.Condition]int{"idle": 3, "refusing": 1},
		Total:       4,
		WithLetters: map[connect.Condition]int{"idle": 1, "refusing": 1},
	}
	f.responses["GET /culvert/connectors"] = list
	page := serve(t, newConsole(f), "GET", "/console/", nil).Body.String()
	assert.Contains(t, page, "0 failed · 2 need attention · 2 healthy")
	for open, want := range map[int64]string{0: "", 1: ">1 open letter<", 1200: ">1,200 open letters<"} {
		inbox := rest.ConnectorSummary{ConnectorState: rest.ConnectorState{Name: "inbox", State: "idle"},
			ConnectorLetters: rest.ConnectorLetters{LettersOpen: &open}}
		list.Connectors = []rest.ConnectorSummary{inbox}
		f.responses["GET /culvert/connectors"] = list
		f.responses["GET /connectors/inbox/status"] = json.RawMessage(`{}`)
		f.responses["GET /culvert/connectors/inbox"] = json.RawMessage(`{}`)
		page := serve(t, newConsole(f), "GET", "/console/connector?name=inbox", nil).Body.String()
		hasLink := strings.Contains(page, `<b><a href="letters?name=inbox">`)
		assert.Equal(t, want != "", hasLink, open, "has a link to the letters")
		assert.Contains(t, page, want)
		if open > 0 {
			assert.Contains(t, serve(t, newConsole(f), "GET", "/console/", nil).Body.String(), strings.Fields(want)[1])
		}
	}
}

// An idle connector says what is next.
func TestIdleConnectorsSayWhatIsNext(t *testing.T) {
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for want, summary := range map[string]rest.ConnectorSummary{
		`next read <time datetime="2026-11-24T12:00:00Z">`: {Activity: connect.Activity{NextRead: &at}},
		"waits for records":          {ConnectorState: rest.ConnectorState{Type: "sink"}},
		"no read is scheduled":       {Activity: connect.Activity{CaughtUp: &at}},
		"limited to 1":               {ConnectorState: rest.ConnectorState{Note: "limited to 1"}},
		`<span class="soft"></span>`: {}, // unknown
	} {
		summary.Name = "a"
		summary.State = connect.ConditionIdle
		f := newFakeAPI()
		f.responses["GET /culvert/connectors"] = rest.ConnectorList{Total: 1,
			Connectors: []rest.ConnectorSummary{summary}}
		assert.Contains(t, serve(t, newConsole(f), "GET", "/console/", nil).Body.String(), want)
	}
}

// The attributes of a line of the log are its fields, also after a message with an equals sign, and if they are cut.
func TestFieldsOfLogLines(t *testing.T) {
	const message = "finished, complete=count"
	for attributes, want := range map[string]string{
		"": "task= []",
		` connector=orders task=3 rows=30 opened in=37ms`: `task=3 [{rows 30} {opened in 37ms}]`,
		` error="no \"a\" = b: c\nd" group.x= task=0 y=z`: "task=0 [{error no \"a\" = b: c\nd} {group.x } {y z}]",
		` rows=30 error="no answ... (12 bytes more)`:      `task= [{rows 30} {error "no answ... (12 bytes more)}]`,
		` rows`: `task= [{rows }]`,
	} {
		line := rest.LogLine{Message: message, Text: message + attributes}
		row := logPage{LogPage: rest.LogPage{Lines: []rest.LogLine{line}}}.Rows()[0]
		assert.Equal(t, want, fmt.Sprintf("task=%s %v", row.Task, row.Fields))
		assert.Equal(t, message, row.Message)
	}
	cut := rest.LogLine{Message: "long... (9 bytes more)", Text: "long... (20 bytes more)"}
	assert.Equal(t, []logLine{{LogLine: rest.LogLine{Message: cut.Text, Text: cut.Text}}},
		logPage{LogPage: rest.LogPage{Lines: []rest.LogLine{cut}}}.Rows())
}

// The label of an edit depends on the declaration of the setting, not on its name.
func TestLabelOfPasswordEditDependsOnDeclaration(t *testing.T) {
	f := newFakeAPI()
	f.responses["GET /connectors/x/status"] = json.RawMessage(`{}`)
	f.responses["GET /culvert/connectors/x"] = json.RawMessage(`{}`)
	f.responses["GET /connector-plugins/C/config"] = []check.Definition{
		{Name: "key", Type: "PASSWORD"},
		{Name: "password.policy", Type: "STRING"},
	}
	for setting, label := range map[string]string{
		"key":             ">Change the password<",
		"password.policy": ">Change password.policy<",
	} {
		summary := rest.ConnectorSummary{ConnectorState: rest.ConnectorState{Name: "x", Class: "C", Cause: "no",
			Action: &connect.Action{Do: "edit", Setting: setting}}}
		f.responses["GET /culvert/connectors"] = rest.ConnectorList{Connectors: []rest.ConnectorSummary{summary}}
		assert.Contains(t, serve(t, newConsole(f), "GET", "/console/connector?name=x", nil).Body.String(), label)
	}
}

// An error of the REST API is shown with its status and its text, and the page sends no further requests.
func TestErrorPagesHaveStatusAndText(t *testing.T) {
	f := newFakeAPI()
	_, target := rest.Target("GET /connectors/{name}/status", hostileText)
	f.refusals["GET "+target] = 404
	w := serve(t, newConsole(f), "GET", "/console/connector?"+url.Values{"name": {hostileText}}.Encode(), nil)
	assert.Equal(t, http.StatusNotFound, w.Code)
	assert.Contains(t, w.Body.String(), "no: ")
	for _, problem := range pagetest.Examine(w.Body.String()) {
		t.Error(problem)
	}
}

func TestUnknownPagesAndMethodsAreRejected(t *testing.T) {
	f := newFakeAPI()
	for target, want := range map[string]int{"/console/none": 404, "/console/assets/none": 404, "/console/../x": 404} {
		assert.Equal(t, want, serve(t, newConsole(f), "GET", target, nil).Code, target)
	}
	assert.Equal(t, 405, serve(t, newConsole(f), "DELETE", "/console/", nil).Code, "DELETE")
	for page, allowed := range map[string]string{"": "GET, HEAD", "form": "GET, HEAD, POST"} {
		w := serve(t, newConsole(f), "PUT", "/console/"+page, url.Values{"a": {"b"}})
		assert.Equal(t, http.StatusMethodNotAllowed, w.Code, page)
		assert.Equal(t, allowed, w.Header().Get("Allow"), page)
	}
	assert.Equal(t, 405, serve(t, newConsole(f), "POST", "/console/", url.Values{"a": {"b"}}).Code, "POST")
}

func TestNumberOfAnySizeIsShownUnchanged(t *testing.T) {
	f := newFakeAPI()
	f.responses["GET /connectors/a/offsets"] = json.RawMessage(`{"offsets":[{"partition":{"n":12345678901234567890},
		"offset":null}]}`)
	f.responses["GET /connectors/a/status"] = json.RawMessage("{}")
	f.responses["GET /connectors/a"] = json.RawMessage("{}")
	w := serve(t, newConsole(f), "GET", "/console/offsets?name=a", nil)
	assert.Contains(t, w.Body.String(), "{&#34;n&#34;:12345678901234567890}")
}

func TestSizesOfResponsesAndFormsAreBounded(t *testing.T) {
	f := newFakeAPI()
	f.responses["GET /culvert/log"] = rest.LogPage{WorkerID: strings.Repeat("x", maxAnswer)}
	w := serve(t, newConsole(f), "GET", "/console/log", nil)
	assert.Equal(t, http.StatusInternalServerError, w.Code)
	assert.Contains(t, w.Body.String(), "expected an answer of at most")
	long := url.Values{"do": {strings.Repeat("x", maxForm)}}
	assert.Equal(t, 413, serve(t, newConsole(f), "POST", "/console/act", long).Code, "a form that is too long")
}

// The script gets the fragments that it does not have. A fragment of equal data has the same version.
func TestScriptGetsChangedFragments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI()
		console := newConsole(f)
		poll := func(known string) (fragments map[string]pageFragment) {
			w := serve(t, console, "GET", "/console/?fragments="+url.QueryEscape(known), nil)
			if err := json.Unmarshal(w.Body.Bytes(), &fragments); err != nil || w.Code != 200 {
				t.Fatalf("expected fragments, found status %d, %v, %s", w.Code, err, w.Body)
			}
			return fragments
		}
		fragments := poll("")
		list := fragments["list"]
		require.True(t, len(fragments) == 3 && list.Version != "" && strings.Contains(string(list.HTML), "plain"),
			"expected three fragments, found %v", fragments)
		page := serve(t, console, "GET", "/console/", nil).Body.String()
		assert.Contains(t, page, `data-version="`+fragments["list"].Version+`"`, `data-poll="?"`)
		others := ",filters." + fragments["filters"].Version + ",figures." + fragments["figures"].Version
		known := "list." + fragments["list"].Version + others
		time.Sleep(time.Minute)
		assert.Len(t, 0, poll(known), "changed fragments")
		changed := poll("list.x" + others + ",none.y,,.")
		assert.True(t, len(changed) == 1 && changed["list"].HTML != "", "expected the list, found %v", changed)

		// Many viewers within a second cause one request.
		time.Sleep(time.Minute)
		const request = "GET /culvert/connectors?limit=100\n"
		before := strings.Count(f.log()+"\n", request)
		for range 10 {
			poll(known)
		}
		assert.Equal(t, 1, strings.Count(f.log()+"\n", request)-before, "request")
		time.Sleep(cacheTTL)
		poll(known)
		assert.True(t, strings.Count(f.log()+"\n", request)-before == 2,
			"expected a new request after the cache has expired")
	})
}

// Users with different rights do not share cached pages.
func TestCachedPagesDependOnRights(t *testing.T) {
	readOnlyReason := ""
	console := Environment{}.New(rest.Pages{API: newFakeAPI(),
		Rights: func(*http.Request) rest.Rights { return rest.Rights{ReadOnlyReason: readOnlyReason} }})
	withButtons := serve(t, console, "GET", "/console/?fragments=", nil).Body.String()
	readOnlyReason = "no right to change"
	readOnly := serve(t, console, "GET", "/console/?fragments=", nil).Body.String()
	assert.True(t, strings.Contains(withButtons, "one.pause") && !strings.Contains(readOnly, "one.pause"),
		"expected buttons on the first page only, found %s\n%s", withButtons, readOnly)
}

// While the worker starts, pages are answered at once with what it waits for, and the browser requests them again. The
// script's requests wait for REST.
func TestPagesWhileStarting(t *testing.T) {
	f := newFakeAPI()
	reason := errors.New("Plugins are being compiled: 1 of 3 done, <odata-sink> for 12 s.")
	console := Environment{Title: "PRD"}.New(rest.Pages{API: f, Starting: func() error { return reason },
		Rights: func(*http.Request) rest.Rights { return rest.Rights{} }})
	for _, address := range addresses() {
		w := serve(t, console, "GET", address, nil)
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Refresh") != "2" ||
			!strings.Contains(w.Body.String(), "1 of 3 done, &lt;odata-sink&gt; for 12 s") {
			t.Errorf("%s: expected 503 and the reason, found %d %v %s", address, w.Code, w.Header(), w.Body)
		}
	}
	log := strings.TrimSpace(f.log())
	assert.True(t, strings.Trim(log, "GET /?\n") == "", "expected requests for the version only, found %s", log)
	if w := serve(t, console, "GET", "/console/?fragments=", nil); w.Code != 200 || w.Header().Get("Refresh") != "" {
		t.Errorf("expected the script's answer from REST, found %d %v", w.Code, w.Header())
	}
	assert.Equal(t, 200, serve(t, console, "GET", "/console/assets/console.css", nil).Code, "an asset")
	reason = nil
	if w := serve(t, console, "GET", "/console/", nil); w.Code != 200 || w.Header().Get("Refresh") != "" {
		t.Errorf("expected the overview after the start, found %d %v", w.Code, w.Header())
	}
}

// Each button sends the REST request of its action, once for each selected item, and shows the command.
func TestActionsSendTheirRequests(t *testing.T) {
	for do, a := range actions {
		f := newFakeAPI()
		form := url.Values{
			"do":     {do},
			"name":   {"a b", "c"},
			"task":   {"3"},
			"feed":   {"Orders"},
			"hash":   {"5fe2"},
			"letter": {"0@17", "1@2"},
			"sure":   {"a b"},
			"back":   {"plugins"},
		}
		if a.ConfirmsName {
			form["name"] = []string{"a b"}
		}
		w := serve(t, newConsole(f), "POST", "/console/act", form)
		assert.True(t, w.Code == 200 && !strings.Contains(w.Body.String(), "✕"),
			"%s: expected success, found status %d\n%s", do, w.Code, w.Body)
		var want []string
		for _, name := range form["name"] {
			values := []string{name}
			switch {
			case strings.Contains(a.route, "{task}"):
				values = append(values, "3")
			case strings.Contains(a.route, "{letter}"):
				values = append(values, "0@17")
			case strings.Contains(a.route, "{feed}"):
				values = append(values, "Orders")
			}
			if !strings.Contains(a.route, "{name}") {
				values = nil
			}
			method, target := rest.Target(a.route, values...)
			if !strings.Contains(target, "?") {
				target += "?"
			}
			want = append(want, method+" "+target)
			if do == "check-logon" {
				want = append(want, "PUT /connector-plugins//config/validate?logon=check")
			}
			if values == nil {
				break
			}
		}
		want = append(want, "GET /?") // for the frame
		assert.Equal(t, strings.Join(want, "\n"), f.log(), do)
		for _, problem := range pagetest.Examine(w.Body.String()) {
			t.Errorf("%s: %s", do, problem)
		}
		assert.Contains(t, w.Body.String(), "curl -X ", `href="plugins"`)
	}
}

// Nothing happens without a selection, a confirmation, or the right to do it.
func TestRejectedActionsSendNothing(t *testing.T) {
	for name, test := range map[string]struct {
		form           url.Values // nil means a GET request
		readOnlyReason string
		want           int
	}{
		"unknown action":   {form: url.Values{"do": {"x"}, "name": {"a"}}, want: 404},
		"nothing selected": {form: url.Values{"do": {"pause"}}, want: 400},
		"not confirmed":    {form: url.Values{"do": {"reset-offsets"}, "name": {"a"}}, want: 400},
		"another name":     {form: url.Values{"do": {"delete"}, "name": {"a"}, "sure": {"b"}}, want: 400},
		"two names":        {form: url.Values{"do": {"delete"}, "name": {"a", "b"}, "sure": {"a"}}, want: 400},
		"read-only user": {
			form:           url.Values{"do": {"pause"}, "name": {"a"}},
			readOnlyReason: "why",
			want:           403,
		},
		"too many":       {form: url.Values{"do": {"pause"}, "name": make([]string, maxSelected+1)}, want: 400},
		"without a form": {want: 405},
	} {
		f := newFakeAPI()
		method := "POST"
		if test.form == nil {
			method = "GET"
		}
		w := serve(t, newConsoleFor(f, test.readOnlyReason), method, "/console/act", test.form)
		assert.Equal(t, test.want, w.Code, name)
		assert.Equal(t, "GET /?", f.log(), name)
	}
}

func TestBackAcceptsConsolePagesOnly(t *testing.T) {
	for address, want := range map[string]string{
		"plugins":               "plugins",
		"./?state=failed":       "./?state=failed",
		"connector?name=a":      "connector?name=a",
		"":                      "",
		"//evil.example":        "./",
		"https://evil.example/": "./",
		"act":                   "./",
		"javascript:alert(1)":   "./",
		"../x":                  "./",
		"/\\evil":               "./",
	} {
		assert.Equal(t, want, backLink(address), address)
	}
}

func TestCommandsForCurl(t *testing.T) {
	v := viewer{Base: "http://127.0.0.1:8083"}
	withLogon := viewer{Base: "https://x", NeedsLogon: true}
	for command, want := range map[string]string{
		v.Command("pause", "name", "orders"):         "curl -X PUT http://127.0.0.1:8083/connectors/orders/pause",
		v.curl("GET /connectors/{name}", nil, "a'b"): `curl http://127.0.0.1:8083/connectors/a%27b`,
		withLogon.Command("swap", "name", "p", "hash", "it's"): `curl --user NAME -X PUT ` +
			`-H 'Content-Type: application/json' -d '{"hash":"it'\''s"}' https://x/culvert/plugins/p/swap`,
		v.Command("replay", "name", "a b", "letter", "0@17"): "curl -X POST -H 'Content-Type: application/json' " +
			`-d '{"letters":["0@17"]}' http://127.0.0.1:8083/culvert/connectors/a%20b/deadletters/replay`,
	} {
		assert.Equal(t, want, command)
	}
}

func TestFormatsOfFigures(t *testing.T) {
	for _, test := range []struct {
		got  string
		want string
	}{
		{got: formatCount(-1234567), want: "-1,234,567"},
		{got: formatCount(12), want: "12"},
		{got: formatRate(0), want: "0"},
		{got: formatRate(0.001), want: "< 0.01"},
		{got: formatRate(1.234), want: "1.23"},
		{got: formatRate(1234.5), want: "1,235"},
		{got: wholePercent(0.1294), want: "12 %"},
		{got: string(formatTime(time.Time{})), want: "–"},
		{got: stateWord("RESTARTING"), want: "starting"},
	} {
		assert.Equal(t, test.want, test.got)
	}
}
