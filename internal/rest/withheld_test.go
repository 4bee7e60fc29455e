package rest

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/deadletters"
	"github.com/culvert-project/culvert/internal/history"
	"github.com/culvert-project/culvert/internal/logging"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/run/source"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// rowValue is a value of a row that all errors of a quotingWorker quote.
const rowValue = "Miller-4711"

var errQuoting = errors.New("Orders(1)/Name: expected Edm.Int32, found " + rowValue)

// quotingWorker is a worker all of whose errors quote a row. Functions without another result than an error fail.
type quotingWorker struct{ deadLetterWorker }

func (q *quotingWorker) worker() Worker {
	w := q.as(q)
	for _, functions := range []reflect.Value{reflect.ValueOf(&w.Configs).Elem(), reflect.ValueOf(&w.Samples).Elem()} {
		for _, function := range functions.Fields() {
			kind := function.Type()
			if kind.Out(kind.NumOut()-1) == reflect.TypeFor[error]() {
				function.Set(reflect.MakeFunc(kind, func([]reflect.Value) (results []reflect.Value) {
					for result := range kind.Outs() {
						results = append(results, reflect.Zero(result))
					}
					results[len(results)-1] = reflect.ValueOf(&errQuoting).Elem()
					return results
				}))
			}
		}
	}
	w.ListSamples = func(string) []Sample { return nil }
	return w
}

func (q *quotingWorker) Names() []string { return []string{"a"} }

func (q *quotingWorker) Info(string) (connect.Info, error) {
	return connect.Info{Name: "a", Tasks: []connect.TaskID{{Connector: "a"}}}, nil
}

func (q *quotingWorker) Status(string) (connect.Status, error) {
	trace := errQuoting.Error()
	return connect.Status{Name: "a", Connector: connect.ConnectorStatus{State: connect.Failed, Trace: trace},
		Tasks: []connect.TaskStatus{{State: connect.Failed, Trace: trace}}}, nil
}

func (q *quotingWorker) Tasks(string) ([]connect.TaskInfo, error) { return nil, errQuoting }

func (q *quotingWorker) Plugins(bool) []connect.Plugin { return nil }

func (q *quotingWorker) ConnectorMetrics(string) (connect.Metrics, error) {
	feed := source.FeedProgress{LastError: &source.FeedError{Message: errQuoting.Error()},
		LastRequest: &source.FeedRequest{Request: "GET /Orders?$skiptoken=" + rowValue}}
	return connect.Metrics{Name: "a", Tasks: []connect.TaskMetrics{{Progress: &connect.Progress{
		Feeds: []source.FeedProgress{feed}}}}}, nil
}

func (q *quotingWorker) Origins() []connect.OriginUse { return nil }

func (q *quotingWorker) Summaries() []connect.Summary {
	return []connect.Summary{{Name: "a", Components: []connect.ComponentStatus{{Task: -1, Local: true,
		State: connect.Failed, Condition: connect.ConditionFailed, Cause: errQuoting.Error(), Kind: "data"}}}}
}

func (q *quotingWorker) RunningTasks() int { return 1 }

func (q *quotingWorker) History(string, string) (h history.History, err error) { return h, errQuoting }

func (q *quotingWorker) Hour(string) (a connect.Activity) { return a }

func (q *quotingWorker) Offsets(context.Context, string) ([]offset.Entry, error) {
	return nil, errQuoting
}

func (q *quotingWorker) AlterOffsets(context.Context, string, []offset.Entry) error {
	return errQuoting
}

func (q *quotingWorker) ResetOffsets(context.Context, string) error { return errQuoting }

func (q *quotingWorker) Topics(string) ([]string, error) { return nil, errQuoting }

func (q *quotingWorker) ResetTopics(string) error { return errQuoting }

func (q *quotingWorker) DeadLetterSummary(string) deadletters.Summary {
	return deadletters.Summary{Causes: []deadletters.CauseCount{{ID: "1", Text: errQuoting.Error(), Count: 1}}}
}

func (q *quotingWorker) ReplayConnector(_ context.Context, _ string,
	r deadletters.Request) (deadletters.Result, error) {
	if r.DryRun {
		return deadletters.Result{Rejections: []deadletters.Rejection{{Reason: errQuoting.Error()}}}, nil
	}
	return deadletters.Result{}, errQuoting
}

func (q *quotingWorker) DiscardDeadLetters(context.Context, string,
	deadletters.Filter) (r deadletters.Result, err error) {
	return r, errQuoting
}

func (q *quotingWorker) Restart(string, ...int) error { return errQuoting }

func (q *quotingWorker) Retire(context.Context, string) (string, error) { return "", errQuoting }

func (q *quotingWorker) Snapshot(string, string, string) error { return errQuoting }

// newQuotingWorker returns a worker whose log quotes the row, too.
func newQuotingWorker() *quotingWorker {
	worker, log := newLogger("a:1")
	worker.parts.Lockouts = lockouts.New()
	worker.parts.Levels, log = logging.LevelsOf(log)
	worker.parts.Log = log
	worker.parts.Plugins = &plugin.Manager{}
	log.Error("row skipped", "error", errQuoting)
	return &quotingWorker{deadLetterWorker{logger: *worker, more: rowValue}}
}

// quotingBodies are the bodies of requests, by path, that need another body than {}.
var quotingBodies = map[string]string{
	"/culvert/diff": `{"name":"a","config":{}}`,
	"/culvert/peek": `{"config":{}}`,
	"/culvert/connectors/{name}/samples/{id}/chain":  `{"config":{}}`,
	"/culvert/connectors/{name}/deadletters/discard": `{"letters":["0@1"]}`,
	"/connectors/{name}/offsets":                     `{"offsets":[]}`,
	"/admin/loggers/{name}":                          `{"level":"INFO"}`,
}

// No route shows a row to a web page of another origin, and no route of Culvert, or page's request to another route,
// shows it to users who may not see values.
func TestNoRouteQuotesRows(t *testing.T) {
	for name, c := range map[string]struct {
		options Options
		host    string
		isPage  bool
		isShown func(r *route) bool
	}{
		"this machine": {isShown: func(*route) bool { return true }},
		"a page of another origin": {
			options: Options{Listeners: []string{everyAddress}},
			host:    "evil.example.com",
			isShown: func(*route) bool { return false },
		},
		"anybody": {
			options: Options{Listeners: []string{everyAddress}},
			isShown: func(r *route) bool { return !r.isCulvertRoute() },
		},
		"the console of anybody": {
			options: Options{Listeners: []string{everyAddress}}, isPage: true,
			isShown: func(*route) bool { return false },
		},
		"shapes alone": {
			options: Options{Records: RecordsShape},
			isShown: func(r *route) bool { return !r.isCulvertRoute() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			ask := newRouteAsker(t, c.options, c.host, c.isPage)
			var showing []string
			for i := range routes {
				r := &routes[i]
				for _, query := range quotingQueries(r) {
					if status, answer := ask(r, query); strings.Contains(answer, rowValue) {
						showing = append(showing, r.method+" "+r.path+query)
						assert.True(t, c.isShown(r),
							"%s %s%s: expected no value of a row, found %d %s", r.method, r.path, query, status, answer)
					}
				}
			}
			if wantAny := c.isShown(&route{path: "/"}); wantAny != (len(showing) > 0) {
				t.Errorf("expected routes of Kafka Connect to show errors: %t, found %q", wantAny, showing)
			}
			assert.True(t, name != "this machine" || len(showing) >= 25,
				"expected at least 25 requests that show errors, found %d: %q", len(showing), showing)
		})
	}
}

// quotingQueries returns the queries with which a route may show an error.
func quotingQueries(r *route) []string {
	switch {
	case r.serve == nil:
		return nil
	case slices.Contains(r.query, "expand"):
		return []string{"", "?expand=status", "?expand=info", "?expand=motion"}
	}
	return []string{""}
}

// newRouteAsker starts a server for a worker whose errors quote rows, and returns a function that sends requests to it.
func newRouteAsker(t *testing.T, o Options, host string, isPage bool) func(r *route, query string) (int, string) {
	t.Helper()
	if isPage {
		o.Console = func(p Pages) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.URL.Path = strings.TrimPrefix(r.URL.Path, strings.TrimSuffix(consolePath, "/"))
				p.API.ServeHTTP(w, r)
			})
		}
	}
	s := startServerFor(t, o, slog.New(slog.DiscardHandler), newQuotingWorker())
	_, port, _ := net.SplitHostPort(s.Addresses()[0])
	return func(r *route, query string) (status int, answer string) {
		t.Helper()
		path := strings.NewReplacer("{name}", "a", "{task}", "0", "{feed}", "f", "{id}", "1", "{command}", "ping",
			"{letter}", "0@1").Replace(r.path) + query
		if isPage {
			path = strings.TrimSuffix(consolePath, "/") + path
		}
		body := quotingBodies[r.path]
		if body == "" && r.method != http.MethodGet {
			body = "{}"
		}
		request := newRequest(t, r.method, "http://127.0.0.1:"+port+path, body, "Content-Type", "application/json")
		if host != "" {
			request.Host = host
		}
		response, answer := exchange(t, http.DefaultClient, request)
		return response.StatusCode, answer
	}
}

// A worker that forwards a request of a page of another origin, or of the console, receives no text that quotes a row.
func TestForwardedRequestsQuoteNoRows(t *testing.T) {
	leader := startServerFor(t, Options{}, slog.New(slog.DiscardHandler), newQuotingWorker())
	seat := &seat{url: "http://a:1", leader: "http://" + leader.Addresses()[0]}
	for name, c := range map[string]struct {
		host   string
		isPage bool
		want   bool
	}{
		"a page of another origin": {host: "evil.example.com"},
		"the console":              {isPage: true},
		"Kafka Connect's users":    {want: true},
	} {
		ask := newRouteAsker(t, Options{Listeners: []string{everyAddress}, Cluster: seat}, c.host, c.isPage)
		status, answer := ask(&route{method: "GET", path: "/connectors"}, "?expand=status&expand=motion")
		assert.Equal(t, http.StatusOK, status, name)
		assert.Equal(t, c.want, strings.Contains(answer, rowValue), name, answer)
	}
}

// A search does not reveal what is withheld, and what is withheld says why.
func TestWithheldCauses(t *testing.T) {
	for listener, isShown := range map[string]bool{"http://127.0.0.1:0": true, everyAddress: false} {
		options := Options{Listeners: []string{listener}}
		s := startServerFor(t, options, slog.New(slog.DiscardHandler), newQuotingWorker())
		_, port, _ := net.SplitHostPort(s.Addresses()[0])
		base := "http://127.0.0.1:" + port
		_, found := get(t, "GET", base+"/culvert/connectors?search="+rowValue)
		assert.Equal(t, isShown, strings.Contains(found, `"name":"a"`), found)
		_, list := get(t, "GET", base+"/culvert/connectors")
		_, page, _ := pageOf(t, base+"/culvert/log")
		assert.Equal(t, 1, len(page.Lines))
		if isShown {
			assert.Equal(t, "", page.Withheld)
			continue
		}
		const why = "not shown, because it may quote values of records, which users see after a logon or on a " +
			"loopback listener: this listener requires no logon"
		assert.True(t, strings.Contains(list, `"cause":"`+why) && strings.Contains(list, `"advice":"Correct the data`),
			"expected the reason and an advice, found %s", list)
		assert.Equal(t, "row skipped", page.Lines[0].Text)
		assert.Equal(t, true, strings.HasPrefix(page.Withheld, why), page.Withheld)
	}
}

// Users who may not see why records were refused see that they were.
func TestReasonOfRefusalIsWithheld(t *testing.T) {
	refusing := connect.Summary{Name: "a", Components: []connect.ComponentStatus{{Local: true, State: connect.Running,
		Condition: connect.ConditionRefusing, Cause: rowValue}}}
	for withheld, want := range map[string]string{"": rowValue, "not shown": connect.RefusedCause} {
		summary, _ := summarize(&refusing, newListAnswers(nil), true, withheld)
		assert.Equal(t, want, summary.Cause)
	}
}

// errorTexts are names of fields with texts of errors.
var errorTexts = []string{"trace", "cause", "causes", "error", "message", "reason", "why", "problem", "problems", "note",
	"request", "text", "advice", "silent", "waits", "unplaced"}

// rowlessTexts are fields with such names that never quote a row, or that users who may not see values do not get.
var rowlessTexts = map[string]bool{
	"connect.TaskMetrics.error":    true, // a worker that does not respond
	"events.Event.request":         true, // an id
	"events.Event.text":            true, // names and numbers
	"history.History.silent":       true,
	"logging.Line.message":         true, // without attributes
	"logging.Line.text":            true, // without its attributes
	"rest.Change.problems":         true, // of settings and files
	"rest.ConnectorEvents.silent":  true,
	"rest.ConnectorList.silent":    true,
	"rest.ConnectorState.advice":   true, // constant
	"rest.ConnectorState.cause":    true, // see summarize
	"rest.ConnectorState.note":     true, // limits and numbers of tasks
	"rest.DeadLetter.cause":        true, // absent
	"rest.DeadLetterCause.text":    true, // absent
	"rest.Flow.silent":             true,
	"groupview.FormerWorker.text":  true,
	"groupview.Group.problems":     true,
	"groupview.Group.unplaced":     true,
	"groupview.Group.waits":        true,
	"rest.Lockout.message":         true,
	"rest.Module.error":            true, // of a plugin's file
	"rest.Module.waits":            true,
	"rest.Origins.silent":          true,
	"rest.Reload.problems":         true,
	"rest.ReloadedConnector.error": true,
	"rest.Sample.problem":          true,
	"rest.SampledRow.problem":      true, // of its size
	"rest.SampledStep.error":       true, // the class in a sample of shapes
	"rest.WorkerInfo.error":        true,
	"rest.health.message":          true,
	"rest.messageBody.message":     true, // constant
}

// Each text of an error that a route returns is withheld, or known to quote no row.
func TestErrorTextsOfRoutesAreWithheld(t *testing.T) {
	unused := maps.Clone(rowlessTexts)
	seen := map[reflect.Type]bool{}
	var visit func(kind reflect.Type)
	visit = func(kind reflect.Type) {
		switch kind.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			visit(kind.Elem())
		case reflect.Struct:
			if seen[kind] {
				return
			}
			seen[kind] = true
			for field := range kind.Fields() {
				name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
				_, isWithheld := field.Tag.Lookup(quotesTag)
				key := kind.String() + "." + name
				isText := slices.Contains(errorTexts, name) && hasText(field.Type) && !isWithheld
				delete(unused, key)
				assert.True(t, !isText || rowlessTexts[key],
					"%s: expected the tag quotes:\"records\", or an entry in rowlessTexts", key)
				if name != "-" {
					visit(field.Type)
				}
			}
		}
	}
	for i := range routes {
		if routes[i].responseBody != nil {
			visit(reflect.TypeOf(routes[i].responseBody))
		}
	}
	assert.Equal(t, 0, len(unused), unused)
}

// hasText reports whether a type is text, or a list or map of texts.
func hasText(kind reflect.Type) bool {
	for slices.Contains([]reflect.Kind{reflect.Pointer, reflect.Slice, reflect.Map}, kind.Kind()) {
		kind = kind.Elem()
	}
	return kind.Kind() == reflect.String
}
