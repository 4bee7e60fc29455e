package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/deadletters"
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
func (l *lister) Hour(string) connect.Activity { return connect.Activity{} }
func (l *lister) DeadLetterSummary(name string) (s deadletters.Summary) {
	if name == "b" {
		s = deadletters.Summary{Open: wit.Ptr(int64(7)), More: true, Causes: []deadletters.CauseCount{{ID: "0a",
			Text: "no geheim", Count: 7}, {}, {}, {}}}
	}
	return s
}

// conditionOf returns a connector with tasks, one for each condition.
func conditionOf(name string, conditions ...connect.Condition) connect.Summary {
	c := connect.Summary{Name: name, Type: "source", Class: "a.Class",
		Components: []connect.ComponentStatus{{Task: -1, Local: true, State: connect.Running, Condition: "idle"}}}
	for n, condition := range conditions {
		p := connect.ComponentStatus{Task: n, Local: true, State: connect.Running, Condition: condition,
			Activity: connect.Activity{Rows: wit.Ptr(1.26), Refused: wit.Ptr(int64(2))},
			Since:    time.Unix(int64(100+n), 0)}
		if condition == "failed" {
			p.State = connect.Failed
			p.Kind = "unauthorized"
			p.Cause = name + ": no!"
		}
		c.Components = append(c.Components, p)
	}
	return c
}

// listPage returns a page of the list.
func listPage(t *testing.T, h http.Handler, query string) (page ConnectorList) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/culvert/connectors"+query, nil))
	require.Equal(t, 200, w.Code, query, w.Body)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &page))
	return page
}

// summary returns a page as one line: the names with their states, then the next page's start.
func (l ConnectorList) summary() string {
	var parts []string
	for _, c := range l.Connectors {
		parts = append(parts, c.Name+"="+string(c.State))
	}
	return strings.Join(append(parts, "next:"+l.Next), " ")
}

func TestConnectorList(t *testing.T) {
	t.Parallel()
	paused := conditionOf("p", "running")
	paused.Components[0].Condition = "paused"
	l := &lister{conditions: []connect.Summary{
		conditionOf("Orders", "running", "idle"),
		conditionOf("b", "failed", "running"),
		conditionOf("c", "idle"),
		conditionOf("d", "waiting", "running"),
		paused,
		conditionOf("new", "starting"),
	}}
	l.conditions[0].Components[1].Activity.Sets = []string{"Invoices"}
	l.conditions[0].Components[1].Activity.Lag = wit.Ptr(int64(9))
	l.conditions[0].Components[1].Activity.LastActive = wit.Ptr(time.Unix(5, 0))
	l.conditions[2].Components[1].Activity.Rows = wit.Ptr(70.0)
	l.conditions[2].Components[1].Activity.LastActive = wit.Ptr(time.Unix(9, 0))
	shared := common{worker: l.worker(), requiresLogon: true, cluster: standalone{}}
	h := shared.handler(func(string) bool { return true })
	for query, want := range map[string]string{
		"":                        "b=failed new=starting d=waiting Orders=running c=idle p=paused next:",
		"?limit=2":                "b=failed new=starting next:5/new",
		"?limit=2&after=5/new":    "d=waiting Orders=running next:9/Orders",
		"?limit=1&after=9/a":      "c=idle next:9/c", // the position is gone
		"?name=b":                 "b=failed next:",
		"?name=B":                 "next:",
		"?name=b&state=running":   "next:",
		"?name=b&own=true":        "b=failed next:",
		"?state=running":          "Orders=running next:",
		"?search=ORD":             "Orders=running next:",
		"?search=invoice":         "Orders=running next:",
		"?search=no!":             "b=failed next:",
		"?search=A.CLASS&limit=1": "b=failed next:0/b",
		"?search=none":            "next:",
		"?sort=name&limit=3":      "Orders=running b=failed c=idle next:0/c",
		"?sort=name&after=0/c":    "d=waiting new=starting p=paused next:",
		"?sort=rows&limit=2":      "c=idle Orders=running next:-2.5/Orders",
		"?sort=rows&after=-2.5/b": "d=waiting new=starting p=paused next:",
		"?sort=lag&limit=2":       "Orders=running b=failed next:1000000000000000/b",
		"?sort=lag&limit=2&after=1000000000000000/b": "c=idle d=waiting next:1000000000000000/d",
		"?sort=letters&limit=1":                      "b=failed next:-7/b",
		"?sort=activity&limit=2":                     "c=idle Orders=running next:-5/Orders",
	} {
		assert.Equal(t, want, listPage(t, h, query).summary(), query)
	}
	page := listPage(t, h, "?state=failed")
	since := time.Unix(100, 0).UTC()
	for query, open := range map[string]int64{"?state=paused&limit=1": 7, "?search=orders": 0, "?own=true": 7} {
		assert.Equal(t, open, listPage(t, h, query).LettersOpen, query)
	}
	assert.Equal(t, map[connect.Condition]int{"failed": 1, "paused": 1, "waiting": 1, "running": 1, "starting": 1,
		"idle": 1}, page.Counts)
	assert.Equal(t, []ConnectorSummary{{ConnectorState: ConnectorState{Name: "b", Type: "source", Class: "a.Class",
		State: "failed", Since: &since, Note: "1 of 2 tasks", Cause: "b: no!", Tasks: 2, Failed: 1, Workers: []string{},
		Advice: "Change the secret of the connector; if it is correct, run culvert connectors lockouts resume."},
		Activity: connect.Activity{Rows: wit.Ptr(2.5), Refused: wit.Ptr(int64(4))},
		ConnectorLetters: ConnectorLetters{LettersOpen: wit.Ptr(int64(7)), LettersMore: true,
			Causes: page.Connectors[0].Causes}}}, page.Connectors)
	for query, want := range map[string]string{
		"?state=good":   "state: expected one of failed, unknown,",
		"?limit=0":      "limit: expected a number from 1 to 1000",
		"?limit=1001":   "1001",
		"?after=b":      "after: expected VALUE/NAME",
		"?after=good/b": "good/b",
		"?after=NaN/b":  "NaN/b",
		"?sort=size":    "sort: expected one of activity, lag, letters, name, rows, urgency, found",
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/culvert/connectors"+query, nil))
		assert.True(t, w.Code == 400 && strings.Contains(w.Body.String(), want),
			"%s: expected 400 with %s, found %d %s", query, want, w.Code, w.Body)
	}
}

// formerWorker has had tasks of its connectors in the last hour.
type formerWorker struct{ lister }

func (f *formerWorker) Hour(string) connect.Activity {
	return connect.Activity{Minutes: []*int64{wit.Ptr(int64(5))}, RefusedHour: wit.Ptr(int64(1))}
}

// A worker reports the hour of a connector that others run now, and nothing else.
func TestHourOfFormerWorker(t *testing.T) {
	t.Parallel()
	moved := connect.Summary{Name: "c", Components: []connect.ComponentStatus{
		connect.RemoteStatus(0, connect.Running, "w2", "", "")}}
	f := &formerWorker{lister{conditions: []connect.Summary{moved}}}
	reported := listPage(t, Handler(f.with(f)), "?own=true").Connectors
	assert.Equal(t, 1, len(reported))
	assert.Equal(t, connect.Condition(""), reported[0].State)
	group := &listAnswers{byWorker: map[string]map[string]ConnectorSummary{"w2": {"c": reported[0]}}}
	summary, _ := summarize(&moved, group, false, "")
	assert.Equal(t, connect.ConditionRunning, summary.State)
	assert.Equal(t, true, summary.Rows == nil && summary.Refused == nil, "nobody knows")
	assert.Equal(t, int64(1), *summary.RefusedHour)
}

// The components of a worker that has left the group are unassigned, unless only a user can restart them.
func TestTasksOfWorkersThatLeft(t *testing.T) {
	t.Parallel()
	group := &listAnswers{members: map[string]bool{"w1": true}}
	for _, test := range []struct {
		state    connect.State
		worker   string
		restarts string
		want     connect.Condition
	}{
		{state: connect.Running, worker: "w1", want: "idle"},
		{state: connect.Running, worker: "w2", want: "unassigned"},
		{state: connect.Failed, worker: "w1", restarts: "2026-11-28T10:00:00Z", want: "away"},
		{state: connect.Failed, worker: "w2", restarts: "2026-11-28T10:00:00Z", want: "unassigned"},
		{state: connect.Failed, worker: "w2", want: "failed"},
	} {
		refined := group.refine(connect.RemoteStatus(-1, test.state, test.worker, "broken", test.restarts))
		assert.Equal(t, test.want, refined.Condition, fmt.Sprint(test))
	}
}

// The cause of components that wait for a lost worker is what is known of the worker.
func TestTasksOfLostWorkers(t *testing.T) {
	t.Parallel()
	now := time.Now()
	members := &seat{url: "http://w1", leader: "http://w1", members: []groupview.Member{{WorkerID: "w1"}}, former: []groupview.FormerWorker{
		{WorkerID: "w2", Since: now, Moves: new(now.Add(time.Minute)), Text: "lost 3 s ago"},
		{WorkerID: "w3", Since: now, Moves: new(now.Add(-time.Minute)), Text: "lost 6 min ago"},
	}}
	group := &listAnswers{}
	group.addMembers(members)
	for worker, want := range map[string]string{
		"w1": "no worker runs this task at the moment",
		"w2": "worker w2: lost 3 s ago",
		"w3": "no worker runs this task at the moment",
	} {
		refined := group.refine(connect.RemoteStatus(0, connect.Unassigned, worker, "", ""))
		assert.Equal(t, connect.ConditionUnassigned, refined.Condition, worker)
		assert.Equal(t, want, refined.Cause, worker)
		assert.Equal(t, worker == "w2", refined.Since.Equal(now), worker)
	}
}

// A list of all connectors has causes up to 270 characters, which end before the remedy; the answer for one connector
// has all of it. The action of a connector in a file has the place, which is part of the advice.
func TestCausesOfListsEndBeforeTheRemedy(t *testing.T) {
	t.Parallel()
	failed := conditionOf("a", "failed")
	task := &failed.Components[1]
	task.Action = &connect.Action{Do: "logon", Setting: "sap.odata.user.pwd", File: "conf/a.properties", Line: 7}
	l := &lister{conditions: []connect.Summary{failed}}
	shared := common{worker: l.worker(), requiresLogon: true, cluster: standalone{}}
	h := shared.handler(func(string) bool { return true })
	read := func(query string) ConnectorSummary { return listPage(t, h, query).Connectors[0] }
	reason := "the password was " + strings.Repeat("x", 200)
	for remedy, isFixed := range map[string]bool{strings.Repeat("y", 51): true, strings.Repeat("y", 52): false} {
		task.Cause = reason + ": " + remedy
		want := reason + " (...)"
		if isFixed {
			want = task.Cause
		}
		for _, query := range []string{"", "?own=true"} {
			assert.Equal(t, want, read(query).Cause, query)
		}
		assert.Equal(t, task.Cause, read("?name=a").Cause)
	}
	assert.Equal(t, task.Action, read("").Action)
	assert.Equal(t, "Change sap.odata.user.pwd in conf/a.properties:7; if it is correct, run culvert connectors "+
		"lockouts resume.", read("").Advice)
}

// A list by urgency has loads above idle connectors, and one that begins or ends a short read in its place.
func TestUrgencyOfStates(t *testing.T) {
	t.Parallel()
	last := -1.0
	for _, state := range connect.Conditions {
		place := urgency(state)
		if isShortRead := state == connect.ConditionIdle; (place == last) != isShortRead || place < last {
			t.Errorf("%s: expected a place after %v, found %v", state, last, place)
		}
		last = place
	}
	assert.Equal(t, true, urgency(connect.ConditionLoading) < urgency(connect.ConditionIdle))
}

// A client that reads all pages gets each connector whose state does not change once, whatever the others do.
func TestConnectorListWhileStatesChange(t *testing.T) {
	t.Parallel()
	l := &lister{}
	for n := range 100 {
		l.conditions = append(l.conditions, conditionOf(fmt.Sprintf("c%02d", n),
			[]connect.Condition{"idle", "running"}[n%2]))
	}
	seen := map[string]int{}
	for after, n := "", 0; n == 0 || after != ""; n++ {
		page := listPage(t, Handler(l.worker()), "?limit=7&after="+after)
		for _, c := range page.Connectors {
			seen[c.Name]++
		}
		after = page.Next
		changed := &l.conditions[(n*13)%10] // among the first ten, including the start of the next page
		changed.Components[1].Condition = []connect.Condition{"failed", "idle", "loading", "running"}[n%4]
	}
	for n := 10; n < 100; n++ {
		name := fmt.Sprintf("c%02d", n)
		assert.True(t, seen[name] == 1, "expected %s once, found it %d times", name, seen[name])
	}
}

func TestConnectorListNotModified(t *testing.T) {
	t.Parallel()
	l := &lister{conditions: []connect.Summary{conditionOf("a", "idle")}}
	send := func(match string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/culvert/connectors", nil)
		r.Header.Set("If-None-Match", match)
		w := httptest.NewRecorder()
		Handler(l.worker()).ServeHTTP(w, r)
		return w
	}
	tag := send("").Header().Get("Etag")
	for _, match := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
		w := send(match)
		assert.Equal(t, 304, w.Code, match)
		assert.Equal(t, 0, w.Body.Len())
		assert.Equal(t, tag, w.Header().Get("Etag"))
	}
	assert.Equal(t, 200, send(`"other"`).Code)
	l.conditions[0].Components[1].Condition = "running"
	w := send(tag)
	assert.Equal(t, 200, w.Code, "after a change")
	assert.Equal(t, false, w.Header().Get("Etag") == tag)
}

// Several components report the most urgent state of all. The time of idle ones is the latest, since all must be idle.
func TestMergedConnectorSummaries(t *testing.T) {
	t.Parallel()
	timeAt := func(seconds int64) *time.Time { t := time.Unix(seconds, 0); return &t }
	part := func(state connect.Condition, since *time.Time, rows float64, cause, advice string) ConnectorSummary {
		return ConnectorSummary{ConnectorState: ConnectorState{
			State: state, Since: since, Cause: cause, Advice: advice},
			Activity: connect.Activity{Rows: &rows}}
	}
	for _, c := range []struct{ first, second, want ConnectorSummary }{
		{first: ConnectorSummary{}, second: part("idle", nil, 1, "", ""), want: part("idle", nil, 1, "", "")},
		{
			first:  part("running", timeAt(1), 1, "", ""),
			second: part("idle", timeAt(2), 2, "", ""),
			want:   part("running", timeAt(1), 3, "", ""),
		},
		{
			first:  part("paused", timeAt(1), 0, "", ""),
			second: part("refusing", timeAt(2), 0, "", ""),
			want:   part("paused", timeAt(1), 0, "", ""),
		},
		{
			first:  part("paused", timeAt(1), 0, "", ""),
			second: part("failed", timeAt(2), 0, "b", ""),
			want:   part("failed", timeAt(2), 0, "b", ""),
		},
		{
			first:  part("running", timeAt(1), 0, "", ""),
			second: part("unknown", nil, 0, "w", ""),
			want:   part("unknown", nil, 0, "w", ""),
		},
		{
			first:  part("idle", timeAt(1), 0, "", ""),
			second: part("idle", timeAt(2), 0, "", ""),
			want:   part("idle", timeAt(2), 0, "", ""),
		},
		{
			first:  part("idle", timeAt(2), 0, "", ""),
			second: part("idle", timeAt(1), 0, "", ""),
			want:   part("idle", timeAt(2), 0, "", ""),
		},
		{
			first:  part("idle", nil, 0, "", ""),
			second: part("idle", timeAt(1), 0, "", ""),
			want:   part("idle", timeAt(1), 0, "", ""),
		},
		{
			first:  part("failed", timeAt(2), 0, "b", ""),
			second: part("failed", timeAt(1), 0, "a", ""),
			want:   part("failed", timeAt(1), 0, "a", ""),
		},
		{
			first:  part("idle", nil, 0, "bad file", "mend"),
			second: part("running", nil, 0, "", ""),
			want: part("running", nil, 0, "bad file",
				"mend"),
		},
		{
			first:  part("running", nil, 0, "", ""),
			second: part("idle", nil, 0, "why", "do"),
			want:   part("running", nil, 0, "why", "do"),
		},
	} {
		l := c.first
		l.merge(c.second)
		assert.Equal(t, c.want, l, fmt.Sprint(c.first, c.second))
	}
}

func TestAdvice(t *testing.T) {
	t.Parallel()
	next := time.Unix(1_000_000, 0)
	for want, p := range map[string]connect.ComponentStatus{
		"": {Condition: "running"},
		"It restarts automatically at 1970-01-12T13:46:40Z.": {Condition: "away", Kind: "transient",
			RestartsAt: next,
			State:      connect.Failed},
		"It continues automatically when the service or Kafka responds.": {Condition: "away",
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
		quoted := advice("a b; c'd", &connect.ComponentStatus{Condition: "failed", Kind: kind})
		assert.True(t, strings.Contains(quoted, `'a b; c'\''d'`) == strings.Contains(text, "NAME"),
			"%s: expected a quoted name in place of NAME, found %s", kind, quoted)
	}
}

func (r *runner) DeadLetterSummary(string) (s deadletters.Summary) {
	if r.number == 1 { // it owns the connector
		s.Open = wit.Ptr(int64(4))
	}
	return s
}

func (r *runner) RunningTasks() int { return r.number }

func (r *runner) Hour(string) connect.Activity {
	return connect.Activity{Minutes: []*int64{nil, wit.Ptr(int64(10 + r.number))}, RefusedHour: wit.Ptr(int64(2))}
}

// Summaries returns the current state of the worker's own task of c, and the status topic's state of the other tasks.
func (r *runner) Summaries() []connect.Summary {
	c := connect.Summary{Name: "c", Type: "source",
		Components: []connect.ComponentStatus{{Task: -1, WorkerID: "w1", Local: r.number == 1,
			State: connect.Running, Condition: "idle"}}}
	if r.stored != "" && r.number != 1 {
		c.Components[0] = connect.RemoteStatus(-1, r.stored, "w1", "", "")
	}
	for n := range 3 {
		p := connect.RemoteStatus(n, connect.Running, fmt.Sprint("w", n), "", "")
		if n == 2 {
			p = connect.RemoteStatus(n, connect.Failed, "w2", "class: refused\n\tat x", r.restarts)
		}
		if n == r.number {
			p.Local = true
			p.Activity = connect.Activity{Rows: wit.Ptr(1.0), Refused: wit.Ptr(int64(2))}
		}
		if n == 2 && r.number == 2 { // known only to the worker that runs it
			p.Condition = "away"
			p.RestartsAt = time.Unix(0, 0)
			p.Kind = "transient"
		}
		c.Components = append(c.Components, p)
	}
	return []connect.Summary{c}
}

// The worker that runs a task knows its state best. If that worker does not respond, the list has the state of the
// status topic.
func TestConnectorListOfGroup(t *testing.T) {
	t.Parallel()
	isSilent := false
	urls, _ := startRunners(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
		if isSilent && n == 2 && r.URL.RawQuery == "own=true&name=c" {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}
		return false
	})
	read := func(url, match string) (l ConnectorList, status int, tag string) {
		answer, text := exchange(t, http.DefaultClient, newRequest(t, "GET", url+"/culvert/connectors?name=c&limit=5",
			"", "If-None-Match", match))
		if answer.StatusCode == 200 {
			require.NoError(t, json.Unmarshal([]byte(text), &l))
		}
		return l, answer.StatusCode, answer.Header.Get("Etag")
	}
	want := ConnectorSummary{ConnectorState: ConnectorState{Name: "c", Type: "source", State: "away",
		Cause: "class: refused", Advice: "It restarts automatically at 1970-01-01T00:00:00Z.", Tasks: 3, Failed: 1,
		Workers: []string{"w0", "w1", "w2"}, Action: &connect.Action{Do: "restart"}},
		Activity: connect.Activity{Rows: wit.Ptr(3.0), Refused: wit.Ptr(int64(6)), RefusedHour: wit.Ptr(int64(6)),
			Minutes: []*int64{nil, wit.Ptr(int64(33))}},
		ConnectorLetters: ConnectorLetters{LettersOpen: wit.Ptr(int64(4))}}
	for _, url := range urls {
		l, _, tag := read(url, "")
		assert.Equal(t, []ConnectorSummary{want}, l.Connectors, url)
		assert.Equal(t, 0, len(l.Silent))
		_, status, _ := read(url, tag)
		assert.Equal(t, 304, status, "also if the leader responds")
	}
	isSilent = true
	l, _, _ := read(urls[0], "")
	want.State = "unknown"
	want.Action = nil
	want.Rows = wit.Ptr(2.0)
	want.Refused = wit.Ptr(int64(4))
	want.RefusedHour = wit.Ptr(int64(4))
	want.Minutes[1] = wit.Ptr(int64(21))
	want.Cause = ""
	want.Advice = "If the worker does not return, its tasks move to another worker of the group: culvert status, GET " +
		"/culvert/cluster and the page Workers of the console show when."
	assert.Equal(t, true, strings.HasPrefix(l.Connectors[0].Cause, "worker w2: "), l.Connectors[0].Cause)
	l.Connectors[0].Cause = ""
	assert.Equal(t, []ConnectorSummary{want}, l.Connectors)
	assert.Equal(t, true, len(l.Silent) == 1 && strings.HasPrefix(l.Silent[0], "worker w2: "), "silent workers",
		l.Silent)
}
