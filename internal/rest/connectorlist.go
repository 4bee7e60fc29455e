package rest

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/shown"
)

// ConnectorList is a page of GET /culvert/connectors: the most urgent states first, then by name.
type ConnectorList struct {
	// Counts has the number of connectors that match the search, by state; Total is their sum.
	Counts     map[string]int     `json:"counts"`
	Total      int                `json:"total"`
	Connectors []ConnectorSummary `json:"connectors"`
	// Next is for ?after= of the next page, "" on the last page. It is a position in the order, STATE/NAME: a connector
	// that keeps its state is on exactly one page, even if others change or the one of the position is gone.
	Next   string   `json:"next,omitempty"`
	Silent []string `json:"silent,omitempty"` // workers that did not respond, with the reason
}

// ConnectorSummary is the state of a connector with all of its tasks.
type ConnectorSummary struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Class string `json:"class"`
	// State is the first that applies: failed (connector or a task), paused, stopped, waiting-for-service (also failed
	// with an automatic restart), waiting-for-kafka (the same, because of brokers), maintenance, throttled, running,
	// idle.
	State string     `json:"state"`
	Since *time.Time `json:"since,omitempty"` // nil if unknown
	// Cause is the first line of the reason for the state, Advice what to do.
	Cause  string  `json:"cause,omitempty"`
	Advice string  `json:"advice,omitempty"`
	Rows   float64 `json:"rows_per_second"` // the mean of delivered rows per second in the last minute
	// Refused counts tolerated errors since the start. DeadLetters is nil if unknown or without a topic.
	Refused     int64  `json:"refused"`
	DeadLetters *int64 `json:"dead_letters,omitempty"`
	Tasks       int    `json:"tasks"`
	Failed      int    `json:"failed_tasks"`
}

const (
	defaultListLimit = 50
	maxListLimit     = 1000
)

type listQuery struct {
	state, search string
	limit         int
	// severity and name are the last position of the previous page; severity is -1 for the first page.
	severity int
	name     string
}

func (req *request) parseListQuery() (query listQuery, err error) {
	limit, err := req.queryNumber("limit", defaultListLimit, 1, maxListLimit)
	if err != nil {
		return query, err
	}
	after := req.queryValue("after")
	query = listQuery{req.queryValue("state"), strings.ToLower(req.queryValue("search")), int(limit), -1, ""}
	known := func(word string) bool { return slices.Contains(connect.Conditions, word) }
	if query.state != "" && !known(query.state) {
		return query, &Refusal{http.StatusBadRequest, fmt.Sprintf("state: expected one of %s, found %q",
			strings.Join(connect.Conditions, ", "), shown.LineUpTo(query.state, 100))}
	}
	if after != "" {
		state, name, is := strings.Cut(after, "/")
		if !is || !known(state) {
			return query, &Refusal{http.StatusBadRequest,
				fmt.Sprintf("after: expected STATE/NAME, the next of the previous page, found %q",
					shown.LineUpTo(after, 100))}
		}
		query.severity, query.name = connect.Severity(state), name
	}
	return query, nil
}

func (req *request) listConnectors() {
	query, err := req.parseListQuery()
	var answers []workerAnswer
	if err == nil {
		answers, err = req.queryWorkers("", http.StatusOK)
	}
	if err != nil {
		req.failErr(err)
		return
	}
	byWorker := map[string]map[string]ConnectorSummary{} // by worker and connector
	silent := mergeAnswers(answers, func(worker string, l ConnectorList) {
		byWorker[worker] = map[string]ConnectorSummary{}
		for _, summary := range l.Connectors {
			byWorker[worker][summary.Name] = summary
		}
	})
	ownOnly, all := req.queryBool("own"), []ConnectorSummary{}
	for _, c := range req.herder().Summaries() {
		if summary, included := req.summary(&c, byWorker, ownOnly); included {
			all = append(all, summary)
		}
	}
	page := ConnectorList{Connectors: all}
	var deadLetters map[string]int64
	if !ownOnly { // the leader sorts and cuts
		page, deadLetters = query.page(all), req.herder().DeadLetterCounts(req.r.Context())
	}
	for i := range page.Connectors {
		l := &page.Connectors[i]
		if n, known := deadLetters[l.Name]; known {
			l.DeadLetters = &n
		}
	}
	page.Silent = silent
	req.answerWithETag(page)
}

// summary merges the state of a connector from this worker's view and the reports of other workers about their own
// tasks. With ownOnly it includes only components of this worker; included is false if there are none.
func (req *request) summary(c *connect.Summary, byWorker map[string]map[string]ConnectorSummary,
	ownOnly bool) (summary ConnectorSummary, included bool) {
	summary = ConnectorSummary{Name: c.Name, Type: c.Type, Class: c.Class}
	for i := range c.Components {
		component := &c.Components[i]
		if ownOnly && !component.Local {
			continue
		}
		included = true
		if component.Task >= 0 {
			summary.Tasks++
			if component.State == connect.Failed {
				summary.Failed++
			}
		}
		if _, better := byWorker[component.WorkerID][c.Name]; better && !component.Local {
			continue
		}
		line := ConnectorSummary{State: component.Condition, Cause: component.Cause, Advice: advice(c.Name, component),
			Rows:    component.RowsPerSecond,
			Refused: component.Rejected}
		if !component.Since.IsZero() {
			since := component.Since.UTC().Truncate(time.Second)
			line.Since = &since
		}
		summary.merge(line)
	}
	for _, worker := range slices.Sorted(maps.Keys(byWorker)) { // in one order, for the ETag
		if other, exists := byWorker[worker][c.Name]; exists {
			summary.merge(other)
		}
	}
	if summary.Tasks == 0 && summary.State == "idle" && !ownOnly {
		summary.State = "running" // it is being started
	}
	summary.Rows = math.Round(10*summary.Rows) / 10
	return summary, included
}

// merge adds another part of the connector: the more urgent state wins. Of equal states the earlier one counts, but the
// later one if idle, since all parts must be idle. A cause is kept if the winning part has none.
func (l *ConnectorSummary) merge(other ConnectorSummary) {
	order := cmp.Compare(connect.Severity(other.State), connect.Severity(l.State))
	if order == 0 && other.Since != nil &&
		(l.Since == nil || other.Since.Before(*l.Since) != (l.State == "idle")) {
		order = -1
	}
	if order < 0 {
		l.State, l.Since = other.State, other.Since
	}
	if other.Cause != "" && (order < 0 || l.Cause == "") {
		l.Cause, l.Advice = other.Cause, other.Advice
	}
	l.Rows += other.Rows
	l.Refused += other.Refused
}

// adviceByKind has the advice by kind of failure. NAME is replaced by the connector.
var adviceByKind = map[string]string{
	"config":       "Correct the setting that the cause names; the connector then restarts automatically.",
	"unauthorized": "Change the secret of the connector; if it is correct, run culvert connectors lockouts resume.",
	"forbidden": "Grant the user the authorization in the service, then run culvert connectors restart NAME " +
		"--failed.",
	"not-found": "Check that the service has what the settings name, then run culvert connectors restart NAME " +
		"--failed.",
	"gone": "The service no longer knows the position from which changes continue: see query.change, or stop the " +
		"connector and run culvert offsets reset NAME.",
	"data": "Correct the data, or set errors.tolerance=all with a dead letter topic, then run culvert connectors " +
		"restart NAME --failed.",
	"transient": "Run culvert connectors restart NAME --failed when the service is reachable again; " +
		"task.auto.restart=true does this automatically.",
	"kafka": "Correct the Kafka client settings, or the broker's ACLs, that the cause names.",
	"":      "See the worker's log, or run culvert doctor with the connector's file.",
}

func advice(name string, p *connect.ComponentStatus) string {
	switch {
	case !p.RestartsAt.IsZero():
		return "It restarts automatically at " + p.RestartsAt.UTC().Format(time.RFC3339) + "."
	case p.Condition == "throttled":
		return "Nothing, or raise the connector's limits: GET /culvert/origins shows which connectors use them."
	case p.Condition == "waiting-for-service" && p.State == connect.Running:
		return "It continues automatically when the service responds."
	case p.Condition == "failed" || p.Kind != "":
		return strings.ReplaceAll(cmp.Or(adviceByKind[p.Kind], adviceByKind[""]), "NAME", shown.Line(shown.ShellWord(name)))
	}
	return ""
}

func (query *listQuery) page(all []ConnectorSummary) ConnectorList {
	page := ConnectorList{Counts: map[string]int{}, Connectors: []ConnectorSummary{}}
	has := func(text string) bool { return strings.Contains(strings.ToLower(text), query.search) }
	for _, l := range all {
		if query.search != "" && !has(l.Name) && !has(l.Class) && !has(l.Cause) {
			continue
		}
		page.Counts[l.State]++
		page.Total++
		at := cmp.Or(cmp.Compare(connect.Severity(l.State), query.severity), cmp.Compare(l.Name, query.name))
		if at > 0 && (query.state == "" || query.state == l.State) {
			page.Connectors = append(page.Connectors, l)
		}
	}
	slices.SortFunc(page.Connectors, func(a, b ConnectorSummary) int {
		return cmp.Or(cmp.Compare(connect.Severity(a.State), connect.Severity(b.State)), cmp.Compare(a.Name, b.Name))
	})
	if len(page.Connectors) > query.limit {
		page.Connectors = page.Connectors[:query.limit]
		last := page.Connectors[query.limit-1]
		page.Next = last.State + "/" + last.Name
	}
	return page
}
