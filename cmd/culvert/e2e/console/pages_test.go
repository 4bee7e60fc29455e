// Package console tests the pages for browsers: as they are served, and in a browser with the build tag real.
package console

import (
	"encoding/json"
	"html"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/console/pagetest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/rest"
)

// Secrets in settings, in files of config providers, and in messages of a service.
const (
	secretInSetting = "canary-in-a-setting-7f3a"
	secretInFile    = "canary-in-a-file-91bc"
)

// startWorld starts a worker with a running source, a failed one, a rejected one, and a sink with dead letters, and
// waits until it shows all of this.
func startWorld(t *testing.T) *e2etest.Worker {
	t.Helper()
	p := e2etest.NewPlace(t)
	servers := p.StartBroker()
	s := odatatest.New(odatatest.Options{Rows: 30, PageSize: 10})
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/Customers") { // it repeats what it was sent, as some gateways do
			user, password, _ := r.BasicAuth()
			w.Header().Set("DataServiceVersion", "2.0") // without it a router might have answered
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, "no such set for "+user+" with "+password+" <script>alert(1)</script>")
			return
		}
		s.ServeHTTP(w, r)
	}))
	secret := p.File("secrets.properties", "pw="+secretInFile)
	settings := func(name, set, password string) []string {
		return e2etest.WithSettings(e2etest.Source(name, address, set), "sap.odata.user.name=me",
			"sap.odata.user.pwd="+password)
	}
	p.File("conf/orders.properties", append([]string{"# what the company sells"},
		append(settings("orders", "Orders", "${file:"+secret+":pw}"), "transforms=mask",
			"transforms.mask.type=org.apache.kafka.connect.transforms.MaskField$Value",
			"transforms.mask.fields=CustomerID")...)...)
	p.File("conf/bad.properties", settings("bad", "Customers", secretInSetting)...)
	p.File("conf/refused.properties", append(settings("refused", "Orders", secretInSetting), "sap.odata.no.such=1")...)
	p.File("conf/back.properties", append(e2etest.Sink("back", address, "letters", "OrderCopies"),
		"sap.odata.user.name=me", "sap.odata.user.pwd="+secretInSetting, "errors.tolerance=all",
		"errors.deadletterqueue.topic.name=dead", "errors.deadletterqueue.topic.replication.factor=1",
		"errors.deadletterqueue.context.headers.enable=true")...)
	worker := p.StartWorkerWith(e2etest.Plugins(t, "odata-sink", "smt"), "conf")
	worker.AwaitStderr("extraction finished: 30 rows")
	e2etest.CreateTopics(t, e2etest.NewClient(t, servers), "letters")
	e2etest.Produce(t, servers, &kgo.Record{Topic: "letters", Value: []byte(`{"not": "an order"}`)})
	worker.Await("bad", "has failed", func(s connect.Status) bool {
		return len(s.Tasks) == 1 && s.Tasks[0].State == connect.Failed
	})
	worker.Await("back", "runs", e2etest.IsRunning)
	worker.AwaitChangeable()
	return worker
}

// pages are all addresses of the console for the connectors of world.
var pages = []string{"", "?state=failed", "?search=ord", "connector?name=orders", "connector?name=bad",
	"connector?name=refused", "connector?name=back", "records?name=orders", "form?name=orders", "form?name=bad",
	"form?name=back", "form", "form?class=OData2SourceConnector", "letters?name=back", "letters?name=orders", "letters",
	"offsets?name=orders", "plugins", "workers", "origins", "log", "log?connector=bad&level=WARN"}

// get returns the response that a browser receives.
func get(t *testing.T, url string, header http.Header) (*http.Response, string) {
	t.Helper()
	return send(t, "GET", url, "", header)
}

// post sends a form of the console, as a browser does.
func post(t *testing.T, at string, form url.Values, header http.Header) (*http.Response, string) {
	t.Helper()
	return send(t, "POST", at, form.Encode(), header)
}

func send(t *testing.T, method, at, form string, header http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, at, strings.NewReader(form))
	require.NoError(t, err)
	maps.Copy(r.Header, header)
	r.Host = header.Get("Host")
	if method == "POST" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(body)
}

func TestConsoleOfAWorker(t *testing.T) {
	t.Parallel()
	worker := startWorld(t)
	checkPages(t, worker)
	checkPluginUsers(t, worker)
	checkButtons(t, worker)
}

// checkPluginUsers checks that a plugin names the connectors that use it, also if only for transforms.
func checkPluginUsers(t *testing.T, worker *e2etest.Worker) {
	t.Helper()
	var modules []rest.Module
	e2etest.Get(t, worker.URL+"/culvert/plugins", &modules)
	users := map[string][]string{}
	for _, m := range modules {
		users[m.Plugin] = m.Connectors
	}
	assert.Equal(t, map[string][]string{"odata-source": {"bad", "orders", "refused"},
		"odata-sink": {"back"}, "smt": {"orders"}}, users, "connectors by plugin")
}

// checkPages checks that every page is well-formed, as a page and as fragments, and shows no secret, and that a
// browser is redirected from / to the console.
func checkPages(t *testing.T, worker *e2etest.Worker) {
	a, _ := get(t, worker.URL+"/", http.Header{"Accept": {"text/html,application/xhtml+xml,*/*;q=0.8"}})
	assert.True(t, a.StatusCode == 303 && a.Header.Get("Location") == "./console/",
		"expected / to redirect to the console, found %d %v", a.StatusCode, a.Header)
	for _, page := range pages {
		address := worker.URL + "/console/" + page
		a, html := get(t, address, nil)
		if a.StatusCode != 200 {
			t.Errorf("%s: expected status 200, found %d\n%s", page, a.StatusCode, html)
			continue
		}
		for _, wrong := range pagetest.Examine(html) {
			t.Errorf("%s: %s", page, wrong)
		}
		join := "?"
		if strings.Contains(page, "?") {
			join = "&"
		}
		_, fragments := get(t, address+join+"fragments=", nil)
		var parts map[string]struct{ Version, HTML string }
		if err := json.Unmarshal([]byte(fragments), &parts); err != nil || len(parts) == 0 {
			t.Errorf("%s: expected fragments, found %s, error %v", page, fragments, err)
		}
		for _, secret := range []string{secretInSetting, secretInFile, "<script>alert"} {
			assert.True(t, !strings.Contains(html+fragments, secret), "%s: expected no %s, found it", page, secret)
		}
		assert.True(t, len(html) <= 150<<10, "%s: expected at most 150 KiB, found %d bytes", page, len(html))
	}
	for page, texts := range map[string][]string{
		"":                      {"failed", "orders", "refused", "404"},
		"connector?name=orders": {"Orders", "fetch", "Snapshot", "Restart"},
		"connector?name=bad":    {"404", "with"},
		"form?name=orders":      {"# what the company sells", "${file:", "transforms.mask.fields=CustomerID"},
		"form?name=bad":         {"sap.odata.user.pwd=[hidden]"},
		"plugins":               {"odata-source", "active"},
		"origins":               {"127.0.0.1"},
		"log?connector=bad":     {"404"},
	} {
		_, html := get(t, worker.URL+"/console/"+page, nil)
		for _, want := range texts {
			assert.True(t, strings.Contains(html, want), "%s: expected %q in\n%s", page, want, html)
		}
	}
}

// console.enable=false switches the console off.
func TestWithoutConsole(t *testing.T) {
	t.Parallel()
	worker := e2etest.NewPlace(t).StartWorker("conf", "console.enable=false")
	a, html := get(t, worker.URL+"/console/", nil)
	assert.Equal(t, 404, a.StatusCode, html)
}

// checkButtons checks that buttons do the same as REST: the same log line, the same rejection.
func checkButtons(t *testing.T, worker *e2etest.Worker) {
	act := worker.URL + "/console/act"
	a, html := post(t, act, url.Values{"do": {"pause"}, "name": {"orders", "none"}, "back": {"./"}}, nil)
	assert.True(t, a.StatusCode == 200 && strings.Contains(html, "1 of 2 failed") &&
		strings.Contains(html, "Unknown connector none"),
		"pause: expected one connector of two to fail, found %d\n%s", a.StatusCode, html)
	worker.Await("orders", "is paused", func(s connect.Status) bool { return s.Connector.State == connect.Paused })
	worker.AwaitStderr(`msg="changed by REST" request="PUT /connectors/orders/pause" by=127.0.0.1 status=202`)
	assert.NotContains(t, worker.Stderr.String(), "/console/", "the request of REST alone in the log")
	post(t, act, url.Values{"do": {"resume"}, "name": {"orders"}}, nil)
	worker.Await("orders", "runs", e2etest.IsRunning)
	// The configuration of a file is offered for download; one from REST keeps a password that was never sent.
	_, review := reviewTopic(t, worker, "bad", "elsewhere")
	assert.Contains(t, review, "The tasks stop and are created again", "conf/bad.properties",
		"You can download the edited text")
	settings := worker.Config("bad")
	settings["name"] = "edited"
	settings["sap.odata#00.topic"] = "edited"
	worker.MustCall(201, "POST", "/connectors", e2etest.AsJSON(t, map[string]any{"name": "edited", "config": settings}))
	for name, canDelete := range map[string]bool{"edited": true, "bad": false} {
		_, page := get(t, worker.URL+"/console/connector?name="+name, nil)
		assert.True(t, strings.Contains(page, "dialog-delete") == canDelete,
			"connector %s: expected a button that deletes it: %t", name, canDelete)
	}
	typed, review := reviewTopic(t, worker, "edited", "elsewhere")
	assert.Contains(t, review, "The tasks stop and are created again", "elsewhere")
	a, html = post(t, worker.URL+"/console/form", typed, nil)
	require.Equal(t, 303, a.StatusCode, "apply: status", html)
	got := worker.Config("edited")
	assert.True(t, got["sap.odata#00.topic"] == "elsewhere" && got["sap.odata.user.pwd"] == secretInSetting,
		"expected the typed topic and the stored password, found %v", got)
	if a, html = post(t, worker.URL+"/console/form", typed, nil); a.StatusCode != 200 ||
		!strings.Contains(html, "Nothing was stored") || worker.Config("edited")["sap.odata#00.topic"] != "elsewhere" {
		t.Errorf("apply to the previous version: expected that nothing was stored, found %d\n%s", a.StatusCode, html)
	}
}

// A half-typed password, with pauses and other fields in between, is not sent to the service; the field says how to try
// it, and the button for that does.
func TestFormSendsNoHalfTypedPassword(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{User: "me", Password: "geheim",
		Switches: odatatest.Switches{LockAfter: 3}})
	worker := p.StartWorker("conf")
	worker.AwaitReady()
	host, port, _ := net.SplitHostPort(address)
	text := "name=new\nconnector.class=ODataSource\nsap.odata.host.protocol=http\nsap.odata.host.address=" + host +
		"\nsap.odata.host.port=" + port + "\nsap.odata.user.name=me\nsap.odata.user.pwd=[hidden]\n"
	typed := url.Values{"new": {"yes"}, "base": {text}, "text": {text}, "s.sap.odata.user.pwd": {"yes"},
		"f.sap.odata#00.service": {strings.TrimSuffix(odatatest.SAPPath, "/")}}
	step := func(name, password string) string {
		t.Helper()
		typed.Set("step", name)
		typed.Set("f.sap.odata.user.pwd", password)
		a, page := post(t, worker.URL+"/console/form", typed, nil)
		require.Equal(t, 200, a.StatusCode, name, "status", page)
		return html.UnescapeString(page)
	}
	for _, set := range []string{"", "Orders", "Customers"} {
		typed.Set("f.sap.odata#00.entityset", set)
		for _, name := range []string{"update", "review"} {
			if page := step(name, "hal"); name == "update" && !strings.Contains(page, "Logon not tried: ") {
				t.Errorf("expected the field to say that the logon was not tried, found\n%s", page)
			}
		}
	}
	if l := s.Ledger(); l.FailedLogons != 0 || l.Total != 0 {
		t.Errorf("expected no logon, found %d refused ones in %d requests", l.FailedLogons, l.Total)
	}
	step("check", "geheim")
	assert.True(t, s.Ledger().Total != 0, "expected Check logon to ask the service")
	worker.Stop()
}

// reviewTopic returns the form that changes a connector's topic, after the review.
func reviewTopic(t *testing.T, worker *e2etest.Worker, name, topic string) (typed url.Values, review string) {
	t.Helper()
	_, form := get(t, worker.URL+"/console/form?name="+name, nil)
	base := textBetween(form, `name="base" id="base" value="`, `"`)
	typed = url.Values{"name": {name}, "version": {textBetween(form, `name="version" id="version" value="`, `"`)},
		"base": {base}, "text": {base}, "f.sap.odata#00.topic": {topic}, "step": {"review"}}
	_, review = post(t, worker.URL+"/console/form", typed, nil)
	typed.Set("reviewed", textBetween(review, `name="reviewed" value="`, `"`))
	typed.Set("step", "apply")
	return typed, review
}

// textBetween returns the text between two others, with HTML unescaped.
func textBetween(text, from, to string) string {
	_, text, _ = strings.Cut(text, from)
	text, _, _ = strings.Cut(text, to)
	return html.UnescapeString(text)
}
