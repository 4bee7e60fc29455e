package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/wit"
)

// lister has connectors in the given states.
type lister struct {
	standIn
	conditions []connect.Summary
}

func (l *lister) worker() Worker {
	w := l.with(l)
	w.Redact = func(text string) string { return strings.ReplaceAll(text, "geheim", "[hidden]") }
	return w
}

func (l *lister) Summaries() []connect.Summary { return l.conditions }
func (l *lister) DeadLetterCounts(context.Context) map[string]int64 {
	return map[string]int64{"b": 7}
}

// conditionOf returns a connector with tasks, one for each condition.
func conditionOf(name string, words ...string) connect.Summary {
	c := connect.Summary{Name: name, Type: "source", Class: "a.Class",
		Components: []connect.ComponentStatus{{Task: -1, Local: true,
			State: connect.Running, Condition: "idle"}}}
	for n, word := range words {
		p := connect.ComponentStatus{Task: n, Local: true, State: connect.Running, Condition: word,
			RowsPerSecond: 1.26, Rejected: 2,
			Since: time.Unix(int64(100+n), 0)}
		if word == "failed" {
			p.State, p.Kind, p.Cause = connect.Failed, "unauthorized", name+": no!"
		}
		c.Components = append(c.Components, p)
	}
	return c
}

// listed returns a page of the list.
func listed(t *testing.T, h http.Handler, query string) (page ConnectorList) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/culvert/connectors"+query, nil))
	if w.Code != 200 {
		t.Fatalf("%s: found %d %s", query, w.Code, w.Body)
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &page))
	return page
}

// summary returns a page as one line: the names with their states, then the next page's start.
func (l ConnectorList) summary() string {
	var all []string
	for _, c := range l.Connectors {
		all = append(all, c.Name+"="+c.State)
	}
	return strings.Join(append(all, "next:"+l.Next), " ")
}

func TestConnectorList(t *testing.T) {
	t.Parallel()
	paused := conditionOf("p", "running")
	paused.Components[0].Condition = "paused"
	l := &lister{conditions: []connect.Summary{conditionOf("Orders", "running", "idle"), conditionOf("b", "failed",
		"running"), conditionOf("c", "idle"), conditionOf("d", "throttled", "running"), paused, conditionOf("new")}}
	h := Handler(l.worker())
	for query, want := range map[string]string{
		"":                            "b=failed p=paused d=throttled Orders=running new=running c=idle next:",
		"?limit=2":                    "b=failed p=paused next:paused/p",
		"?limit=2&after=paused/p":     "d=throttled Orders=running next:running/Orders",
		"?limit=2&after=running/gone": "new=running c=idle next:",
		"?state=running":              "Orders=running new=running next:",
		"?search=ORD":                 "Orders=running next:",
		"?search=no!":                 "b=failed next:",
		"?search=A.CLASS&limit=1":     "b=failed next:failed/b",
		"?search=none":                "next:",
	} {
		assert.Equal(t, want, listed(t, h, query).summary(), query)
	}
	page := listed(t, h, "?state=failed")
	since := time.Unix(100, 0).UTC()
	assert.Equal(t, ConnectorList{Counts: map[string]int{"failed": 1, "paused": 1, "throttled": 1, "running": 2,
		"idle": 1},
		Total: 6, Connectors: []ConnectorSummary{{Name: "b", Type: "source", Class: "a.Class", State: "failed",
			Since: &since,
			Cause: "b: no!", Rows: 2.5, Refused: 4, DeadLetters: wit.Ptr(int64(7)), Tasks: 2,
			Failed: 1,
			Advice: "Change the secret of the connector; if it is correct, run culvert connectors lockouts resume."}}},
		page)
	for query, want := range map[string]string{"?state=good": "state: expected one of failed, paused,",
		"?limit=0": "limit: expected a number from 1 to 1000", "?limit=1001": "1001",
		"?after=b":      "after: expected STATE/NAME",
		"?after=good/b": "good/b"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/culvert/connectors"+query, nil))
		if w.Code != 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: expected 400 with %s, found %d %s", query, want, w.Code, w.Body)
		}
	}
}

// A client that reads all pages gets each connector whose state does not change once, whatever the others do.
func TestConnectorListWhileStatesChange(t *testing.T) {
	t.Parallel()
	l := &lister{}
	for n := range 100 {
		l.conditions = append(l.conditions, conditionOf(fmt.Sprintf("c%02d", n), []string{"idle", "running"}[n%2]))
	}
	seen := map[string]int{}
	for after, n := "", 0; n == 0 || after != ""; n++ {
		page := listed(t, Handler(l.worker()), "?limit=7&after="+after)
		for _, c := range page.Connectors {
			seen[c.Name]++
		}
		after = page.Next
		changed := &l.conditions[(n*13)%10] // among the first ten, including the start of the next page
		changed.Components[1].Condition = []string{"failed", "idle", "throttled", "running"}[n%4]
	}
	for n := 10; n < 100; n++ {
		if name := fmt.Sprintf("c%02d", n); seen[name] != 1 {
			t.Errorf("expected %s once, found it %d times", name, seen[name])
		}
	}
}

func TestConnectorListNotModified(t *testing.T) {
	t.Parallel()
	l := &lister{conditions: []connect.Summary{conditionOf("a", "idle")}}
	ask := func(match string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/culvert/connectors", nil)
		r.Header.Set("If-None-Match", match)
		w := httptest.NewRecorder()
		Handler(l.worker()).ServeHTTP(w, r)
		return w
	}
	tag := ask("").Header().Get("Etag")
	for _, match := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
		w := ask(match)
		assert.Equal(t, 304, w.Code, match)
		assert.Equal(t, 0, w.Body.Len())
		assert.Equal(t, tag, w.Header().Get("Etag"))
	}
	assert.Equal(t, 200, ask(`"other"`).Code)
	l.conditions[0].Components[1].Condition = "running"
	w := ask(tag)
	assert.Equal(t, 200, w.Code, "after a change")
	assert.Equal(t, false, w.Header().Get("Etag") == tag)
}

// Several components report the most urgent state of all. The time of idle ones is the latest, since all must be idle.
func TestMergedConnectorSummaries(t *testing.T) {
	t.Parallel()
	at := func(seconds int64) *time.Time { at := time.Unix(seconds, 0); return &at }
	for _, c := range []struct{ one, other, want ConnectorSummary }{
		{ConnectorSummary{}, ConnectorSummary{State: "idle", Rows: 1}, ConnectorSummary{State: "idle", Rows: 1}},
		{ConnectorSummary{State: "running", Since: at(1), Rows: 1},
			ConnectorSummary{State: "idle", Since: at(2), Rows: 2},
			ConnectorSummary{State: "running", Since: at(1), Rows: 3}},
		{ConnectorSummary{State: "idle", Since: at(1)}, ConnectorSummary{State: "idle", Since: at(2)},
			ConnectorSummary{State: "idle", Since: at(2)}},
		{ConnectorSummary{State: "idle", Since: at(2)}, ConnectorSummary{State: "idle", Since: at(1)},
			ConnectorSummary{State: "idle", Since: at(2)}},
		{ConnectorSummary{State: "idle"}, ConnectorSummary{State: "idle", Since: at(1)},
			ConnectorSummary{State: "idle", Since: at(1)}},
		{ConnectorSummary{State: "failed", Since: at(2), Cause: "b"},
			ConnectorSummary{State: "failed", Since: at(1), Cause: "a"},
			ConnectorSummary{State: "failed", Since: at(1), Cause: "a"}},
		{ConnectorSummary{State: "idle", Cause: "bad file", Advice: "mend"}, ConnectorSummary{State: "running"},
			ConnectorSummary{State: "running", Cause: "bad file", Advice: "mend"}},
		{ConnectorSummary{State: "running"}, ConnectorSummary{State: "idle", Cause: "why", Advice: "do"},
			ConnectorSummary{State: "running", Cause: "why", Advice: "do"}},
	} {
		l := c.one
		l.merge(c.other)
		assert.Equal(t, c.want, l, fmt.Sprint(c.one, c.other))
	}
}

func TestAdvice(t *testing.T) {
	t.Parallel()
	next := time.Unix(1_000_000, 0)
	for want, p := range map[string]connect.ComponentStatus{
		"": {Condition: "running"},
		"It restarts automatically at 1970-01-12T13:46:40Z.": {Condition: "waiting-for-service", Kind: "transient",
			RestartsAt: next,
			State:      connect.Failed},
		"It continues automatically when the service responds.": {Condition: "waiting-for-service",
			State: connect.Running,
			Kind:  "transient"},
		"See the worker's log, or run culvert doctor with the connector's file.": {Condition: "failed",
			Kind: "strange"},
		"Check that the service has what the settings name, then run culvert connectors restart orders --failed.": {
			Condition: "failed", Kind: "not-found"},
		"Correct the setting that the cause names; the connector then restarts automatically.": {Condition: "idle",
			Kind: "config"},
	} {
		assert.Equal(t, want, advice("orders", &p))
	}
	for kind, text := range adviceByKind { // which people copy into a shell
		odd := advice("a b; c'd", &connect.ComponentStatus{Condition: "failed", Kind: kind})
		if strings.Contains(odd, `'a b; c'\''d'`) != strings.Contains(text, "NAME") {
			t.Errorf("%s: found %s", kind, odd)
		}
	}
}

func (r *runner) DeadLetterCounts(context.Context) map[string]int64 { return nil }

// Summaries returns the current state of the worker's own task of c, and the status topic's state of the other tasks.
func (r *runner) Summaries() []connect.Summary {
	c := connect.Summary{Name: "c", Type: "source",
		Components: []connect.ComponentStatus{{Task: -1, WorkerID: "w1", Local: r.number == 1,
			State: connect.Running, Condition: "idle"}}}
	for n := range 3 {
		p := connect.RemoteStatus(n, connect.Running, fmt.Sprint("w", n), "")
		if n == 2 {
			p = connect.RemoteStatus(n, connect.Failed, "w2", "class: refused\n\tat x")
		}
		if n == r.number {
			p.Local, p.RowsPerSecond, p.Rejected = true, 1, 2
		}
		if n == 2 && r.number == 2 { // known only to the worker that runs it
			p.Condition, p.RestartsAt, p.Kind = "waiting-for-service", time.Unix(0, 0), "transient"
		}
		c.Components = append(c.Components, p)
	}
	return []connect.Summary{c}
}

// The worker that runs a task knows its state best. If that worker does not respond, the list has the state of the
// status topic.
func TestConnectorListOfGroup(t *testing.T) {
	t.Parallel()
	silent := false
	urls, _ := runners(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
		if silent && n == 2 && r.URL.Query().Get("own") == "true" {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}
		return false
	})
	read := func(url, match string) (l ConnectorList, status int, tag string) {
		answer, text := exchanged(t, http.DefaultClient, requestOf(t, "GET", url+"/culvert/connectors?state=&limit=5",
			"",
			"If-None-Match", match))
		if answer.StatusCode == 200 {
			require.NoError(t, json.Unmarshal([]byte(text), &l))
		}
		return l, answer.StatusCode, answer.Header.Get("Etag")
	}
	want := ConnectorSummary{Name: "c", Type: "source", State: "waiting-for-service", Cause: "class: refused",
		Advice: "It restarts automatically at 1970-01-01T00:00:00Z.", Rows: 3, Refused: 6, Tasks: 3, Failed: 1}
	for _, url := range urls {
		l, _, tag := read(url, "")
		assert.Equal(t, []ConnectorSummary{want}, l.Connectors, url)
		assert.Equal(t, 0, len(l.Silent))
		_, status, _ := read(url, tag)
		assert.Equal(t, 304, status, "also if the leader responds")
	}
	silent = true
	l, _, _ := read(urls[0], "")
	want.State, want.Rows, want.Refused, want.Advice = "failed", 2, 4, adviceByKind[""]
	assert.Equal(t, []ConnectorSummary{want}, l.Connectors)
	assert.Equal(t, true, len(l.Silent) == 1 && strings.HasPrefix(l.Silent[0], "worker w2: "), "named")
}
