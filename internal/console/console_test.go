package console

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/console/pagetest"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/transport/limits"
)

// odd is a harmful text: markup, characters that change the text direction or control a terminal, and much of it.
var odd = `"><script>alert(1)</script>&amp;` + "\u202e\u2066\x1b[31m\x00" + strings.Repeat("long ", 2000)

// fake is a REST API with a fixed response for each request.
type fake struct {
	mu      sync.Mutex
	calls   []string
	bodies  []string
	answers map[string]any
	refuses map[string]int
	version string // of the configuration
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
		text, _ := f.answers[call+" text"].(string)
		w.Write([]byte(text))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if status := f.refuses[call]; status != 0 {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"error_code": status, "message": "no: " + odd})
		return
	}
	answer, ok := f.answers[call+"?"+r.URL.RawQuery]
	if !ok {
		answer = f.answers[call]
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// log returns the requests so far, one per line.
func (f *fake) log() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.calls, "\n")
}

// newFake returns a response for each request of the pages, with odd texts wherever a response contains text of other
// systems.
func newFake() *fake {
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	name := odd
	total := uint64(300_000)
	left := int64(135)
	minutes := []*int64{new(int64(0)), nil, new(int64(600))}
	rate := 12345.678
	one := rest.ConnectorSummary{ConnectorState: rest.ConnectorState{Name: name, Type: "source", Class: odd,
		State: "failed", Since: &at, Note: odd, Cause: odd, Advice: odd, Tasks: 2, Failed: 1, Workers: []string{odd},
		Action: &connect.Action{Do: "edit", Setting: odd}},
		Activity: connect.Activity{Rows: &rate, Sets: []string{odd}, Topics: []string{odd}, Minutes: minutes}}
	loading := rest.ConnectorSummary{ConnectorState: rest.ConnectorState{Name: "loading", State: "loading"},
		Activity: connect.Activity{Load: &connect.Load{Read: 218_800, Total: &total, SecondsLeft: &left}}}
	plain := rest.ConnectorSummary{ConnectorState: rest.ConnectorState{Name: "plain", State: "running"}}
	record := rest.SampledRecord{Topic: odd, Key: odd, Value: odd, Headers: []rest.SampledHeader{{Name: odd,
		Value: odd}}, KeySchema: odd, ValueSchema: odd, Cut: true}
	text := odd
	definition := func(name, kind, group string) check.Definition {
		return check.Definition{Name: name, Type: kind, Importance: "HIGH", Documentation: odd, Group: &group,
			DefaultValue: &text}
	}
	sample := rest.Sample{ID: "s1", Connector: name, State: "done", Wanted: 3, Expires: at,
		Steps: []rest.SampleStep{{Alias: odd, Class: odd, Predicate: odd, Negate: true}, {Alias: "b", Class: "B"}},
		Rows: []rest.SampledRow{{Feed: odd, Input: record, Problem: odd,
			Steps: []rest.SampledStep{{Outcome: "unchanged"}, {Records: []rest.SampledRecord{record}}}},
			{Input: record, Steps: []rest.SampledStep{{Outcome: "dropped"}}},
			{Input: record, Steps: []rest.SampledStep{{Outcome: "skipped"}, {Outcome: "failed", Error: odd}}}},
		Problem: odd}
	motion := json.RawMessage(fmt.Sprintf(`{"name":"x","state":"RUNNING","type":"source","tasks":[{"id":0,
		"state":"RUNNING","worker_id":%[1]s,"rows":12,"lag":3,"uncertain":1,"feeds":[{"name":%[1]s,"complete":%[1]s,"load":{"read":3,"total":7},"last_request":
		{"request":%[1]s,"at":"2026-11-24T12:00:00Z","status":200,"ms":3},"last_error":{"at":"2026-11-24T12:00:00Z",
		"code":%[1]s,"message":%[1]s}}]},{"id":1,"state":"UNASSIGNED","error":%[1]s}]}`, quotedJSON(odd)))
	status := json.RawMessage(fmt.Sprintf(`{"name":"x","type":"source","connector":{"state":"RUNNING","worker_id":%[1]s,
		"trace":%[1]s,"config_error":%[1]s,"file":%[1]s,"restarts":"2026-11-24T12:00:00Z"},"tasks":[{"id":0,
		"state":"FAILED","trace":%[1]s,"plugins":[%[1]s]}]}`, quotedJSON(odd)))
	recorded := json.RawMessage(`{"step":10,"from":"2026-11-24T12:00:00Z","rows":[1,null,3,4],"p50":[1,2,3,4],
		"p95":[1,2,3,40],"errors":[0,0,0,0],"refused":[0,1,0,0],"lag":[null,null,7,5]}`)
	of := func(path string) string {
		_, target := rest.Target("GET "+path, name, "s1")
		return target
	}
	return &fake{version: "v1", refuses: map[string]int{}, answers: map[string]any{
		"GET /": map[string]string{"version": odd, "kafka_cluster_id": odd},
		"GET /culvert/connectors": rest.ConnectorList{Counts: map[connect.Condition]int{"failed": 1, "running": 2},
			Total: 3, Connectors: []rest.ConnectorSummary{one, loading, plain}, Next: odd, Silent: []string{odd}},
		"GET " + of("/connectors/{name}/status"): status,
		"GET " + of("/connectors/{name}"): map[string]any{"name": name, "config": map[string]string{
			"connector.class": odd}},
		"GET " + of("/culvert/connectors/{name}"): motion,
		"GET " + of("/culvert/connectors/{name}/flow"): rest.Flow{Seconds: 60, Stages: []rest.StageTime{{Stage: "fetch",
			Share: 0.5, BusySeconds: 30, Calls: 100}, {Stage: odd, Share: 7}}, Silent: []string{odd}},
		"GET " + of("/connectors/{name}/offsets"): map[string]any{"offsets": []any{map[string]any{
			"partition": map[string]any{"feed": odd}, "offset": map[string]any{"url": odd}}}},
		"GET " + of("/connectors/{name}/config"): map[string]string{"transforms": "a", "transforms.a.type": odd},
		"GET " + of("/connectors/{name}/config") + " text": "# a comment\nname=x\nconnector.class=C\n" +
			"secret=[hidden]\nby=${file:/x:pw}\nunknown=\\n1\n",
		"GET " + of("/culvert/connectors/{name}/samples/{id}"): sample,
		"GET " + of("/culvert/connectors/{name}/tools"): []rest.Tool{{Name: "peek", Usage: odd,
			Options: []rest.ToolOption{{Name: odd, Required: true, Default: &text, Usage: odd}}}},
		"GET " + of("/culvert/connectors/{name}/deadletters"): json.RawMessage(fmt.Sprintf(`{"topic":%[1]s,"letters":[
			{"partition":0,"offset":17,"failed":"2026-11-24T12:00:00Z","class":%[1]s,"message":%[1]s,"stage":%[1]s,
			"from":{"topic":%[1]s,"partition":-1,"feed":%[1]s},"headers":[{"key":%[1]s,"value":%[1]s}],"record":
			{"key":%[1]s,"value":%[1]s}}],"causes":[{"id":"1","text":%[1]s,
			"count":1}]}`, quotedJSON(odd))),
		"GET /culvert/plugins": []rest.Module{{Plugin: odd, Version: odd, Hash: odd, File: odd, State: "active",
			Classes: []string{odd}}, {Plugin: odd, Hash: "2", State: "refused", Error: odd}, {Plugin: "p", Hash: "3",
			State: "kept"}},
		"GET /culvert/cluster": rest.Group{Group: odd, Leader: odd, Members: []rest.GroupMember{{WorkerID: odd}},
			Unplaced: map[string]string{odd: odd}, Problems: []string{odd}, Waits: map[string]string{odd: odd}},
		"GET /culvert/origins": rest.Origins{Silent: []string{odd}, Origins: []rest.Origin{{
			OriginUse: connect.OriginUse{WorkerID: odd, Connectors: []string{odd}, Usage: limits.Usage{Origin: odd,
				Requests: limits.Count{Used: 1, Limit: 4, Waiting: 2}, Waiting: []string{odd}, Windows: []string{odd},
				Until: at}},
			Lockouts: []rest.Lockout{{User: odd, Message: odd}}}}},
		"GET /culvert/log": rest.LogPage{WorkerID: odd, Last: 2, Lines: []rest.LogLine{{Number: 1, Level: "WARN",
			Connector: odd, Text: odd}, {Number: 2, Level: "INFO", Text: "plain"}}},
		"GET /culvert/workers": json.RawMessage(fmt.Sprintf(`[{"worker":%[1]s,"leader":true,"version":%[1]s,
			"tasks":12,"memory":3000000,"plugins":[%[1]s]},{"worker":"w2","seen":"2026-11-24T12:00:00Z",
			"error":%[1]s}]`, quotedJSON(odd))),
		"GET /culvert/history":                            recorded,
		"GET " + of("/culvert/connectors/{name}/history"): recorded,
		"GET /connector-plugins":                          []map[string]string{{"class": odd, "type": "source"}},
		"PUT /connector-plugins/C/config/validate": check.Validation{Groups: []string{"First", odd, "Third"},
			Configs: []check.Validated{
				{Definition: definition("name", "STRING", "First"), Value: check.Value{Visible: true}},
				{Definition: definition("secret", "PASSWORD", "First"), Value: check.Value{Visible: true}},
				{Definition: definition("by", "PASSWORD", "First"), Value: check.Value{Visible: true}},
				{Definition: definition("unknown", "STRING", "First"), Value: check.Value{Visible: true}},
				{Definition: definition(odd, "BOOLEAN", odd), Value: check.Value{Visible: true, Errors: []string{odd},
					RecommendedValues: []string{odd}}},
				{Definition: definition("later", "STRING", "Third"), Value: check.Value{Visible: true}}}},
		"POST /culvert/diff": json.RawMessage(fmt.Sprintf(`{"connector":"x","effect":"restart","version":"v2",
			"differences":[{"setting":%[1]s,"before":%[1]s,"after":null},{"setting":"secret","before":"[hidden]",
			"after":"[hidden]","secret":true}],"stored":[{"setting":"a","before":null,"after":""}],
			"stored_problem":%[1]s,"feeds":[{"feed":%[1]s,"effect":"fail","differs":[%[1]s]}],"kept":%[1]s}`,
			quotedJSON(odd))),
	}}
}

func quotedJSON(text string) string {
	data, _ := json.Marshal(text)
	return string(data)
}

// served returns the console's response.
func served(t *testing.T, c http.Handler, method, target string, form url.Values) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

func over(f http.Handler) http.Handler {
	return Environment{Title: odd, Accent: "red"}.New(rest.Pages{API: f,
		ReadOnlyReason: func(*http.Request) string { return "" }})
}

// addresses returns all pages, with a connector of an odd name.
func addresses() []string {
	q := url.Values{"name": {odd}}.Encode()
	return []string{"/console/", "/console/?state=failed&search=" + url.QueryEscape(odd), "/console/connector?" + q,
		"/console/records?" + q, "/console/records?sample=s1&" + q, "/console/form?" + q, "/console/form",
		"/console/form?class=C", "/console/letters?" + q, "/console/letters", "/console/letters?letter=0%4017&" + q, "/console/offsets?" + q,
		"/console/plugins", "/console/origins", "/console/workers",
		"/console/log?level=WARN&connector=" + url.QueryEscape(odd)}
}

// Every page is well-formed whatever texts it contains, shows no character that hides text or changes its direction,
// and sends the security headers.
func TestPagesAreWellFormedAndSafe(t *testing.T) {
	c := over(newFake())
	for _, at := range addresses() {
		w := served(t, c, "GET", at, nil)
		page := w.Body.String()
		if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%.60s: status %d, %s\n%.2000s", at, w.Code, w.Header(), page)
			continue
		}
		for _, wrong := range pagetest.Examine(page) {
			t.Errorf("%.60s: %s", at, wrong)
		}
		for _, bad := range []string{"<script>alert", "<nil>", "%!", "ZgotmplZ"} {
			if strings.Contains(page, bad) {
				t.Errorf("%.60s: found %q", at, bad)
			}
		}
		if read := pagetest.Read(page); strings.ContainsAny(read, "\u202e\u2066\x1b\x00") {
			t.Errorf("%.60s: expected no characters that hide text or change its direction, found %.300q", at,
				read[strings.IndexAny(read, "\u202e\u2066\x1b\x00"):])
		}
		for name, want := range map[string]string{"Content-Security-Policy": policy,
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store"} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%.60s: %s: expected %q, found %q", at, name, want, got)
			}
		}
	}
}

// A service counts once for all workers, and is away if a worker says so, whatever else its connectors wait for.
func TestServicesAreCountedOnce(t *testing.T) {
	f := newFake()
	use := func(origin, worker string, away *time.Time) rest.Origin {
		return rest.Origin{OriginUse: connect.OriginUse{WorkerID: worker, Connectors: []string{"c"}, AwaySince: away,
			Usage: limits.Usage{Origin: origin}}, Lockouts: []rest.Lockout{{Origin: origin, User: "demo"}}}
	}
	f.answers["GET /culvert/origins"] = rest.Origins{Origins: []rest.Origin{use("https://a", "w1", nil),
		use("https://a", "w2", nil), use("https://a", "w3", nil), use("https://b", "w1", nil),
		use("https://b", "w2", new(time.Now()))}}
	page := served(t, over(f), "GET", "/console/", nil).Body.String()
	for _, want := range []string{">1 of 2<", ">1 away<", "2 logons refused"} {
		assert.Contains(t, page, want)
	}
	page = served(t, over(f), "GET", "/console/origins", nil).Body.String()
	assert.Equal(t, 1, strings.Count(page, "#cloud-off"))
	assert.Equal(t, false, strings.Contains(f.log(), "state=away"))
}

// A page of a connector reads the summary of that connector, of however many there are.
func TestPageReadsOneSummary(t *testing.T) {
	f := newFake()
	f.answers["GET /culvert/connectors?name=rare"] = rest.ConnectorList{Connectors: []rest.ConnectorSummary{{
		ConnectorState: rest.ConnectorState{Name: "rare", State: "running", Note: "limited to 3 requests"}}}}
	assert.Contains(t, served(t, over(f), "GET", "/console/records?name=rare", nil).Body.String(), "limited to 3 requests")
}

// Buttons that would be refused are not shown: the previous version of a plugin that has none, the edit of no setting,
// and changes by users who only read.
func TestOnlyUsefulButtons(t *testing.T) {
	f := newFake()
	modules := []rest.Module{{Plugin: "odata", Hash: "1", State: "active"}, {Plugin: "p", Hash: "2", State: "active"},
		{Plugin: "p", Version: "7", Hash: "3", State: "kept"}, {Plugin: "p", Version: "8", Hash: "4", State: "refused"}}
	f.answers["GET /culvert/plugins"] = modules
	page := served(t, over(f), "GET", "/console/plugins", nil).Body.String()
	assert.Equal(t, 1, strings.Count(page, `value="rollback"`))
	assert.Equal(t, 1, strings.Count(page, `value="swap"`))
	assert.Contains(t, page, `aria-label="Use this version: p 7"`, `aria-label="Previous version of p"`)
	for _, c := range []struct {
		action   string
		setting  string
		readOnly bool
		want     string
	}{
		{action: "edit", setting: "a", want: "form"},
		{action: "edit"},
		{action: "limit", setting: "a", readOnly: true},
		{action: "log", readOnly: true, want: "log"},
	} {
		h := connectorHead{ReadOnly: c.readOnly}
		h.Summary.Action = &connect.Action{Do: c.action, Setting: c.setting}
		path := ""
		if fix := h.Fix(); fix != nil {
			path, _, _ = strings.Cut(fix.Link, "?")
		}
		assert.Equal(t, c.want, path, c.action)
		h.Summary.State = connect.ConditionFailed
		assert.Equal(t, "restart", h.Main())
	}
	h := connectorHead{} // a failed connector that a restart does not mend
	h.Summary.State = connect.ConditionFailed
	assert.Equal(t, "", h.Main())
	assert.Equal(t, []string{"pause", "restart", "stop"}, h.Commands())
}

// A connector with open dead letters is not healthy, and its page says how many there are.
func TestOpenLettersNeedAttention(t *testing.T) {
	f := newFake()
	list := rest.ConnectorList{Counts: map[connect.Condition]int{"idle": 3, "refusing": 1}, Total: 4,
		WithLetters: map[connect.Condition]int{"idle": 1, "refusing": 1}}
	f.answers["GET /culvert/connectors"] = list
	assert.Contains(t, served(t, over(f), "GET", "/console/", nil).Body.String(), "0 failed · 2 need attention · 2 healthy")
	for open, want := range map[int64]string{0: "", 1: ">1 open letter<", 1200: ">1,200 open letters<"} {
		inbox := rest.ConnectorSummary{ConnectorState: rest.ConnectorState{Name: "inbox", State: "idle"},
			ConnectorLetters: rest.ConnectorLetters{LettersOpen: &open}}
		list.Connectors = []rest.ConnectorSummary{inbox}
		f.answers["GET /culvert/connectors"] = list
		f.answers["GET /connectors/inbox/status"] = json.RawMessage(`{}`)
		f.answers["GET /culvert/connectors/inbox"] = json.RawMessage(`{}`)
		page := served(t, over(f), "GET", "/console/connector?name=inbox", nil).Body.String()
		assert.Equal(t, want != "", strings.Contains(page, `<b><a href="letters?name=inbox">`), open)
		assert.Contains(t, page, want)
		if open > 0 {
			assert.Contains(t, served(t, over(f), "GET", "/console/", nil).Body.String(), strings.Fields(want)[1])
		}
	}
}

// The label of an edit depends on the declaration of the setting, not on its name.
func TestPasswordIsKnownByDeclaration(t *testing.T) {
	f := newFake()
	f.answers["GET /connectors/x/status"] = json.RawMessage(`{}`)
	f.answers["GET /culvert/connectors/x"] = json.RawMessage(`{}`)
	f.answers["GET /connector-plugins/C/config"] = []check.Definition{{Name: "key", Type: "PASSWORD"},
		{Name: "password.policy", Type: "STRING"}}
	for setting, label := range map[string]string{"key": ">Change the password<",
		"password.policy": ">Change password.policy<"} {
		summary := rest.ConnectorSummary{ConnectorState: rest.ConnectorState{Name: "x", Class: "C", Cause: "no",
			Action: &connect.Action{Do: "edit", Setting: setting}}}
		f.answers["GET /culvert/connectors"] = rest.ConnectorList{Connectors: []rest.ConnectorSummary{summary}}
		assert.Contains(t, served(t, over(f), "GET", "/console/connector?name=x", nil).Body.String(), label)
	}
}

// An error of the REST API is shown with its status and its text, and the page sends no further requests.
func TestErrorPages(t *testing.T) {
	f := newFake()
	_, target := rest.Target("GET /connectors/{name}/status", odd)
	f.refuses["GET "+target] = 404
	w := served(t, over(f), "GET", "/console/connector?"+url.Values{"name": {odd}}.Encode(), nil)
	if w.Code != 404 || !strings.Contains(w.Body.String(), "no: ") {
		t.Errorf("status %d\n%.2000s", w.Code, w.Body)
	}
	for _, wrong := range pagetest.Examine(w.Body.String()) {
		t.Error(wrong)
	}
	for target, want := range map[string]int{"/console/none": 404, "/console/assets/none": 404, "/console/../x": 404} {
		if w := served(t, over(f), "GET", target, nil); w.Code != want {
			t.Errorf("%s: expected %d, found %d", target, want, w.Code)
		}
	}
	if w := served(t, over(f), "DELETE", "/console/", nil); w.Code != 405 {
		t.Errorf("DELETE: expected 405, found %d", w.Code)
	}
	for page, allowed := range map[string]string{"": "GET, HEAD", "form": "GET, HEAD, POST"} {
		w := served(t, over(f), "PUT", "/console/"+page, url.Values{"a": {"b"}})
		assert.Equal(t, fmt.Sprint(405, allowed), fmt.Sprint(w.Code, w.Header().Get("Allow")))
	}
	if w := served(t, over(f), "POST", "/console/", url.Values{"a": {"b"}}); w.Code != 405 {
		t.Errorf("POST: expected 405, found %d", w.Code)
	}
	// A number of any size is shown unchanged. A response that is too large results in an error.
	f = newFake()
	f.answers["GET /connectors/a/offsets"] = json.RawMessage(`{"offsets":[{"partition":{"n":12345678901234567890},
		"offset":null}]}`)
	f.answers["GET /connectors/a/status"] = json.RawMessage("{}")
	f.answers["GET /connectors/a"] = json.RawMessage("{}")
	w = served(t, over(f), "GET", "/console/offsets?name=a", nil)
	assert.Contains(t, w.Body.String(), "{&#34;n&#34;:12345678901234567890}")
	f.answers["GET /culvert/log"] = rest.LogPage{WorkerID: strings.Repeat("x", maxAnswer)}
	w = served(t, over(f), "GET", "/console/log", nil)
	if w.Code != 500 || !strings.Contains(w.Body.String(), "expected an answer of at most") {
		t.Errorf("status %d\n%.2000s", w.Code, w.Body)
	}
	long := url.Values{"do": {strings.Repeat("x", maxForm)}}
	if w := served(t, over(f), "POST", "/console/act", long); w.Code != 413 {
		t.Errorf("a form that is too long: expected 413, found %d", w.Code)
	}
}

// The script gets the fragments that it does not have. A fragment of equal data has the same version.
func TestFragmentsOfChangedData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c := over(f)
		ask := func(known string) (found map[string]pageFragment) {
			w := served(t, c, "GET", "/console/?fragments="+url.QueryEscape(known), nil)
			if err := json.Unmarshal(w.Body.Bytes(), &found); err != nil || w.Code != 200 {
				t.Fatalf("%d %v %s", w.Code, err, w.Body)
			}
			return found
		}
		all := ask("")
		if len(all) != 3 || all["list"].Version == "" || !strings.Contains(string(all["list"].HTML), "plain") {
			t.Fatalf("found %v", all)
		}
		page := served(t, c, "GET", "/console/", nil).Body.String()
		assert.Contains(t, page, `data-version="`+all["list"].Version+`"`, `data-poll="?"`)
		others := ",filters." + all["filters"].Version + ",figures." + all["figures"].Version
		known := "list." + all["list"].Version + others
		time.Sleep(time.Minute)
		if some := ask(known); len(some) != 0 {
			t.Errorf("expected nothing new, found %v", some)
		}
		some := ask("list.x" + others + ",none.y,,.")
		if len(some) != 1 || some["list"].HTML == "" {
			t.Errorf("expected the list, found %v", some)
		}
		// Many concurrent viewers cause one request.
		time.Sleep(time.Minute)
		const question = "GET /culvert/connectors?limit=100\n"
		before := strings.Count(f.log()+"\n", question)
		for range 10 {
			ask(known)
		}
		if n := strings.Count(f.log()+"\n", question) - before; n != 1 {
			t.Errorf("expected one request, found %d", n)
		}
		time.Sleep(cacheTTL)
		ask(known)
		if strings.Count(f.log()+"\n", question)-before != 2 {
			t.Error("expected a new request after the cache has expired")
		}
	})
}

// Users with different rights do not share cached pages.
func TestCachedPagesDependOnRights(t *testing.T) {
	f := newFake()
	why := ""
	c := Environment{}.New(rest.Pages{API: f, ReadOnlyReason: func(*http.Request) string { return why }})
	first := served(t, c, "GET", "/console/?fragments=", nil).Body.String()
	why = "only so"
	second := served(t, c, "GET", "/console/?fragments=", nil).Body.String()
	if !strings.Contains(first, "one.pause") || strings.Contains(second, "one.pause") {
		t.Errorf("found %s\n%s", first, second)
	}
}

// Each button sends the REST request of its action, once for each selected item, and shows the command.
func TestActionsSendTheirRequests(t *testing.T) {
	for do, a := range actions {
		f := newFake()
		form := url.Values{"do": {do}, "name": {"a b", "c"}, "task": {"3"}, "feed": {"Orders"}, "hash": {"5fe2"},
			"letter": {"0@17", "1@2"}, "sure": {"a b"}, "back": {"plugins"}}
		if a.ConfirmsName {
			form["name"] = []string{"a b"}
		}
		w := served(t, over(f), "POST", "/console/act", form)
		if w.Code != 200 || strings.Contains(w.Body.String(), "✕") {
			t.Errorf("%s: %d\n%s", do, w.Code, w.Body)
		}
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
			if values == nil {
				break
			}
		}
		want = append(want, "GET /?") // for the frame
		assert.Equal(t, strings.Join(want, "\n"), f.log())
		for _, wrong := range pagetest.Examine(w.Body.String()) {
			t.Errorf("%s: %s", do, wrong)
		}
		assert.Contains(t, w.Body.String(), "curl -X ", `href="plugins"`)
	}
}

// Nothing happens without a selection, a confirmation, or the right to do it.
func TestRejectedActions(t *testing.T) {
	for name, one := range map[string]struct {
		form  url.Values
		reads string
		want  int
	}{
		"no such":        {url.Values{"do": {"x"}, "name": {"a"}}, "", 404},
		"nothing":        {url.Values{"do": {"pause"}}, "", 400},
		"not sure":       {url.Values{"do": {"reset-offsets"}, "name": {"a"}}, "", 400},
		"another name":   {url.Values{"do": {"delete"}, "name": {"a"}, "sure": {"b"}}, "", 400},
		"two names":      {url.Values{"do": {"delete"}, "name": {"a", "b"}, "sure": {"a"}}, "", 400},
		"only to read":   {url.Values{"do": {"pause"}, "name": {"a"}}, "why", 403},
		"too many":       {url.Values{"do": {"pause"}, "name": make([]string, maxSelected+1)}, "", 400},
		"of a form only": {nil, "", 405},
	} {
		f := newFake()
		c := Environment{}.New(rest.Pages{API: f, ReadOnlyReason: func(*http.Request) string { return one.reads }})
		method := "POST"
		if one.form == nil {
			method = "GET"
		}
		if w := served(t, c, method, "/console/act", one.form); w.Code != one.want || f.log() != "GET /?" {
			t.Errorf("%s: found status %d, calls %s", name, w.Code, f.log())
		}
	}
}

func TestBackAcceptsConsolePagesOnly(t *testing.T) {
	for to, want := range map[string]string{"plugins": "plugins", "./?state=failed": "./?state=failed",
		"connector?name=a": "connector?name=a", "": "", "//evil.example": "./", "https://evil.example/": "./",
		"act": "./", "javascript:alert(1)": "./",
		"../x": "./", "/\\evil": "./"} {
		if got := back(to); got != want {
			t.Errorf("%q: expected %q, found %q", to, want, got)
		}
	}
}

func TestShownCommandsAndFormats(t *testing.T) {
	v := viewer{Base: "http://127.0.0.1:8083"}
	for _, one := range []struct{ got, want string }{
		{v.Command("pause", "name", "orders"), "curl -X PUT http://127.0.0.1:8083/connectors/orders/pause"},
		{v.curl("GET /connectors/{name}", nil, "a'b"), `curl http://127.0.0.1:8083/connectors/a%27b`},
		{viewer{Base: "https://x", NeedsLogon: true}.Command("swap", "name", "p", "hash", "it's"),
			`curl --user NAME -X PUT -H 'Content-Type: application/json' ` +
				`-d '{"hash":"it'\''s"}' https://x/culvert/plugins/p/swap`},
		{v.Command("replay", "name", "a b", "letter", "0@17"), "curl -X POST -H 'Content-Type: application/json' " +
			`-d '{"letters":["0@17"]}' http://127.0.0.1:8083/culvert/connectors/a%20b/deadletters/replay`},
		{formatCount(-1234567), "-1,234,567"}, {formatCount(12), "12"}, {formatRate(0), "0"},
		{formatRate(0.001), "< 0.01"},
		{formatRate(1.234), "1.23"}, {formatRate(1234.5), "1,235"}, {formatPercent(0.1234), "12.3 %"},
		{string(formatTime(time.Time{})), "–"}, {stateWord("RESTARTING"), "starting"},
	} {
		if one.got != one.want {
			t.Errorf("expected %q, found %q", one.want, one.got)
		}
	}
}
