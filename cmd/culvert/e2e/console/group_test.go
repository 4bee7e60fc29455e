package console

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// startPair starts two workers of one group, which wait so many milliseconds for a lost worker.
func startPair(p *e2etest.Place, delay int) (first, second *e2etest.Worker) {
	servers := p.StartBroker()
	workers := []*e2etest.Worker{}
	for n := range 2 {
		address := porttest.Address(p.T)
		file := p.File(fmt.Sprintf("worker%d.properties", n), "bootstrap.servers="+servers, "group.id=workers",
			"config.storage.topic=configs", "status.storage.topic=states", "offset.storage.topic=offsets",
			"config.storage.replication.factor=1", "status.storage.replication.factor=1",
			"offset.storage.replication.factor=1", "scheduled.rebalance.max.delay.ms="+fmt.Sprint(delay),
			"listeners=http://"+address)
		workers = append(workers, p.StartWorkerAt(address, "--plugins", e2etest.Plugins(p.T, "odata-sink"), "--data",
			p.Subfolder(fmt.Sprintf("data%d", n)), file))
	}
	return workers[0], workers[1]
}

// The console of each worker of a group shows and changes all connectors.
func TestConsoleOfAGroup(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 60, PageSize: 10})
	first, second := startPair(p, 1000)
	for _, name := range []string{"one", "two"} {
		config := e2etest.SettingsOf(append(e2etest.Source(name, address, "Orders"), "sap.odata#00.topic="+name,
			"sap.odata#00.query.change=keep", // the topic may change while a load is in progress
			"sap.odata.user.pwd="+secretInSetting, "sap.odata.user.name=me", "sap.odata#00.exec-period=1"))
		first.AwaitChangeable()
		first.MustCall(201, "POST", "/connectors", e2etest.AsJSON(t, map[string]any{"name": name, "config": config}))
	}
	for _, w := range []*e2etest.Worker{first, second} {
		w.Await("one", "runs", e2etest.IsRunning)
		w.Await("two", "runs", e2etest.IsRunning)
		checkPagesShowConnectorsOfTheGroup(t, w, address, strings.TrimPrefix(first.URL, "http://"),
			strings.TrimPrefix(second.URL, "http://"))
	}
	// A sample comes from the worker that runs the task, whichever worker is asked.
	for _, w := range []*e2etest.Worker{first, second} {
		for _, name := range []string{"one", "two"} {
			a, html := post(t, w.URL+"/console/records", url.Values{"step": {"sample"}, "name": {name}, "rows": {"2"}},
				nil)
			require.Equal(t, 303, a.StatusCode, "a sample of", name, "status", html)
			page := w.URL + "/console/" + a.Header.Get("Location")
			w.Eventually("two rows of "+name, func() bool {
				_, html := get(t, page, nil)
				return strings.Contains(html, "Row 1: Orders")
			})
		}
	}
	checkNewerChangeIsNotOverwritten(t, first, second)
	for _, w := range []*e2etest.Worker{first, second} {
		a, html := post(t, w.URL+"/console/act", url.Values{"do": {"pause"}, "name": {"one", "two"}}, nil)
		assert.True(t, a.StatusCode == 200 && !strings.Contains(html, "✕"),
			"pause: expected status 200 without errors, found %d\n%s", a.StatusCode, html)
		for _, name := range []string{"one", "two"} {
			w.Await(name, "is paused", func(s connect.Status) bool { return s.Connector.State == connect.Paused })
		}
		post(t, w.URL+"/console/act", url.Values{"do": {"resume"}, "name": {"one", "two"}}, nil)
		w.Await("one", "runs", e2etest.IsRunning)
		w.Await("two", "runs", e2etest.IsRunning)
	}
}

// checkNewerChangeIsNotOverwritten checks that each worker can change a configuration, but not over a change made on
// the other one.
func checkNewerChangeIsNotOverwritten(t *testing.T, first, second *e2etest.Worker) {
	t.Helper()
	mine, _ := reviewTopic(t, first, "one", "mine")
	yours, _ := reviewTopic(t, second, "one", "yours")
	if v := mine.Get("version"); v == "" || v != yours.Get("version") {
		t.Fatalf("expected equal versions, found %q and %q", v, yours.Get("version"))
	}
	a, html := post(t, second.URL+"/console/form", yours, nil)
	require.Equal(t, 303, a.StatusCode, "the second worker's form: status", html)
	a, html = post(t, first.URL+"/console/form", mine, nil)
	assert.True(t, a.StatusCode == 200 && strings.Contains(html, "Nothing was stored"),
		"the first worker's form: expected that nothing was stored, found %d\n%s", a.StatusCode, html)
	first.Eventually("the change everywhere", func() bool {
		return first.Config("one")["sap.odata#00.topic"] == "yours" &&
			second.Config("one")["sap.odata#00.topic"] == "yours"
	})
}

// checkPagesShowConnectorsOfTheGroup checks the pages of a worker's console, which show the connectors one and two of a
// group of workers at addresses, and no password.
func checkPagesShowConnectorsOfTheGroup(t *testing.T, w *e2etest.Worker, service string, workers ...string) {
	t.Helper()
	for page, texts := range map[string][]string{
		"":                              {`href="connector?name=one"`, `href="connector?name=two"`},
		"connector?name=one":            {"fetch", "Orders", "Snapshot"},
		"connector?name=two":            {"fetch", "Orders", "Snapshot"},
		"form?name=two":                 {"sap.odata.user.pwd=[hidden]"},
		"workers":                       workers,
		"origins":                       {strings.TrimPrefix(service, "http://")},
		"records?name=one":              {"Sample the next rows"},
		"log?connector=one&level=DEBUG": {"The last lines of worker"},
	} {
		w.Eventually("the console's page "+page, func() bool {
			_, html := get(t, w.URL+"/console/"+page, nil)
			for _, want := range texts {
				if !strings.Contains(html, want) {
					return false
				}
			}
			assert.True(t, !strings.Contains(html, secretInSetting), "%s shows the password", page)
			return true
		})
	}
}
