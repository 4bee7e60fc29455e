//go:build real

package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/wit"
)

// harmfulText is a text that would run a script, change the text direction of its surroundings, or control a terminal.
const harmfulText = `"><img src=x onerror="window.alerted=1"><script>window.alerted=1;alert(1)</script>'` +
	"</textarea></pre>\u202e\u2066\u200b\x1b[31m\u0007"

// Names, messages of a service and texts of a plugin run no script and break the layout of no page, whatever characters
// they have and however long they are.
func TestRealOddTexts(t *testing.T) {
	t.Parallel()
	long := harmfulText + strings.Repeat("wide", 2500)
	p := e2etest.NewPlace(t)
	dir := e2etest.CopyPlugins(t)
	s := odatatest.New(odatatest.Options{Rows: 3})
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/Customers") {
			s.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": harmfulText,
			"message": map[string]string{"lang": "en", "value": long}}})
	}))
	typed := harmfulText
	group := "Group " + harmfulText
	e2etest.WriteFile(t, dir, "odd.wasm", guesttest.Static(wit.Description{Name: "odd", Version: "1.0.0",
		Components: []wit.Component{{Name: "org.example.Odd", Kind: wit.ComponentSource, Documentation: long,
			Settings: []wit.ConfigKey{{Name: "odd.one", Documentation: long, DefaultValue: &typed,
				Rules: []wit.Rule{{Group: &group}}}}}}}, "",
		wit.InterfaceSource))
	e2etest.WriteFile(t, dir, "worse.wasm", guesttest.Static(wit.Description{Name: harmfulText, Version: long,
		Components: []wit.Component{{Name: long, Kind: wit.ComponentSource}}}, "", wit.InterfaceSource))
	worker := p.StartWorkerWith(dir, "conf")
	worker.AwaitChangeable()
	// Names have no control characters, and one with a slash has no page, like in Kafka Connect.
	name := strings.NewReplacer("\x1b", "", "\u0007", "", "/", "").Replace(harmfulText) + "<u>"
	wide := strings.Repeat("wide", 2500)
	for connector, set := range map[string]string{name: "Orders", wide: "Customers"} {
		worker.MustCall(201, "POST", "/connectors", e2etest.AsJSON(t, map[string]any{"name": connector,
			"config": e2etest.SettingsOf(e2etest.Source(connector, address, set))}))
	}
	tab := NewBrowser(t).Open(nil)
	tab.Resize(320, 800)
	query := url.Values{"name": {name}}.Encode()
	failed := url.Values{"name": {wide}}.Encode()
	tab.Load(worker.URL + "/console/?state=failed")
	tab.AwaitText("failed", "wide")
	for _, page := range []string{"", "?state=failed", "?search=" + url.QueryEscape(long), "connector?" + query,
		"connector?" + failed, "connector?name=" + url.QueryEscape(long), "form?" + query, "form?" + failed,
		"form?class=org.example.Odd", "form", "records?" + query, "letters?" + query, "letters",
		"offsets?" + query, "plugins", "workers", "origins", "log"} {
		tab.Load(worker.URL + "/console/" + page)
		what := page[:min(len(page), 40)]
		tab.Await(what, `document.querySelector("main h1")?.innerText.length > 0`)
		tab.CheckAccessible(what)
		checkNoOverflow(t, tab, what)
		if Eval[bool](tab,
			`window.alerted !== undefined || Boolean(document.querySelector("main img, main script, main u"))`) {
			t.Errorf("%s: expected no elements of others in the page", what)
		}
		if shown := tab.Text(); strings.ContainsAny(shown, "\u202e\u2066\x1b\u0007") {
			t.Errorf("%s: expected no control characters in the page, found %q", what, shown)
		}
		size := len(Eval[string](tab, "document.documentElement.outerHTML"))
		assert.True(t, size <= 500<<10, "%s: expected at most 500 KiB, found %d bytes", what, size)
	}
	if tab.RemoveMessages("responded with a status of 400") != 1 { // of a name that no connector can have
		t.Errorf("expected one response with status 400, found %q", tab.Console())
	}
	tab.CheckQuiet(hostPort(worker))
}

// Records of 20 MB, of 1,000 levels, and binary ones are shown as far as they fit a page, which loads quickly. A
// hundred rows of a sample fit one page, too.
func TestRealLargeRecords(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 1})
	servers := p.StartBroker()
	client := e2etest.NewClient(t, servers, kgo.ProducerBatchMaxBytes(32<<20), kgo.BrokerMaxWriteBytes(64<<20))
	_, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, map[string]*string{
		"max.message.bytes": kadm.StringPtr("33554432")}, "large")
	require.NoError(t, err)
	for name, converter := range map[string]string{
		"json": "org.apache.kafka.connect.json.JsonConverter",
		"text": "org.apache.kafka.connect.storage.StringConverter",
	} {
		p.File("conf/"+name+".properties", append(e2etest.Sink(name, address, "large", "OrderCopies"),
			"value.converter="+converter, "value.converter.schemas.enable=false", "errors.tolerance=all",
			"consumer.override.max.partition.fetch.bytes=33554432", "consumer.override.fetch.max.bytes=67108864")...)
	}
	worker := p.StartWorkerWith(e2etest.Plugins(t, "odata-sink"), "conf")
	worker.AwaitChangeable()
	tab := NewBrowser(t).Open(nil)
	ids := map[string]string{}
	for _, name := range []string{"json", "text"} {
		worker.Await(name, "runs", e2etest.IsRunning)
		ids[name] = e2etest.Decode[struct{ ID string }](t, worker.MustCall(202, "POST",
			"/culvert/connectors/"+name+"/samples", `{"rows":100}`)).ID
	}
	values := []string{`{"big":"` + strings.Repeat("B<&'", 5<<20) + `"}`,
		strings.Repeat(`{"d":`, 1000) + "1" + strings.Repeat("}", 1000), "\xff\xfe{\"no\": \"text\"}\x80"}
	line := strings.Repeat(`"`+strings.Repeat("<", 1900)+`",`, 40)
	for n := range 97 {
		values = append(values, fmt.Sprintf(`{"n":%d,"many":[%s"<"]}`, n, line))
	}
	for _, value := range values {
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "large",
			Value: []byte(value)}).FirstErr())
	}
	for name, rows := range map[string]int{"json": 98, "text": 100} {
		worker.Eventually("rows", func() bool {
			return strings.Count(worker.MustCall(200, "GET", "/culvert/connectors/"+name+"/samples/"+ids[name], ""),
				`"came"`) >= rows
		})
		began := time.Now()
		tab.Load(worker.URL + "/console/records?name=" + name + "&sample=" + ids[name])
		tab.Await("rows", "document.querySelectorAll('section.row').length >= "+fmt.Sprint(rows))
		elapsed := time.Since(began)
		_, html := get(t, worker.URL+"/console/records?name="+name+"&sample="+ids[name], nil)
		t.Logf("%s: %d bytes, %v", name, len(html), elapsed)
		assert.True(t, len(html) <= 2<<20 && elapsed <= 10*time.Second,
			"%s: expected 2 MiB within 10 s, found %d bytes after %v", name, len(html), elapsed)
		if name == "text" {
			tab.CheckAccessible("large records")
		}
	}
	tab.CheckQuiet(hostPort(worker))
}
