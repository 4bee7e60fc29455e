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

// ConnectorList is a page of GET /culvert/connectors: connectors in the order of urgency, failed ones first, then by
// name.
type ConnectorList struct {
	// Counts are how many of the connectors that the search leaves are in each state of [ConnectorSummary.State]; Total
	// is their sum.
	Counts map[string]int `json:"counts"`
	Total  int            `json:"total"`
	// Connectors are at most ?limit= of those in ?state= that follow ?after=.
	Connectors []ConnectorSummary `json:"connectors"`
	// Next is what ?after= takes for the page after this one; "" where this is the last one. It is a place in the
	// order, STATE/NAME: a connector that keeps its state comes on exactly one page, whatever others do and also where
	// the one of the place has gone; one that changes its state between two pages comes twice, once, or on none.
	Next string `json:"next,omitempty"`
	// Silent are the workers of the group that have not said how far their tasks are, with the reason.
	Silent []string `json:"silent,omitempty"`
}

// ConnectorSummary is a connector in one line.
type ConnectorSummary struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Class string `json:"class"`
	// State is one word for the connector with all of its tasks, the first of these that holds: failed (it or one of
	// its tasks), paused, stopped, waiting-for-service (also what has failed and goes on by itself), maintenance,
	// throttled, running, idle.
	State string `json:"state"`
	// Since is when it came to that state; nil where that is not known.
	Since *time.Time `json:"since,omitempty"`
	// Cause is the first line of why it is in that state, Advice what is to be done; "" where there is nothing to say.
	Cause  string `json:"cause,omitempty"`
	Advice string `json:"advice,omitempty"`
	// Rows is how many rows were delivered in a second, as the mean of the last minute.
	Rows float64 `json:"rows_per_second"`
	// Refused is how many records were refused and tolerated since its tasks were made; DeadLetters is how many its
	// topic of dead letters holds, nil where it has none, or that is not known.
	Refused     int64  `json:"refused"`
	DeadLetters *int64 `json:"dead_letters,omitempty"`
	// Tasks it has, and how many of them have failed.
	Tasks  int `json:"tasks"`
	Failed int `json:"failed_tasks"`
}

// Of one page there are so many connectors: usually, and at most.
const (
	defaultListLimit = 50
	maxListLimit     = 1000
)

type listQuery struct {
	state, search string
	limit         int
	// severity and name are where the page before ended; -1 for the first page.
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
			strings.Join(connect.Conditions, ", "), shown.Within(query.state, 100))}
	}
	if after != "" {
		state, name, is := strings.Cut(after, "/")
		if !is || !known(state) {
			return query, &Refusal{http.StatusBadRequest, fmt.Sprintf("after: expected STATE/NAME, as the page before "+
				"has it as next, found %q", shown.Within(after, 100))}
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

// summary is a connector in one line; with own, by what this worker runs of it alone, if it runs anything. said is what
// other workers know better, of the tasks that they run.
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

// merge takes another part of the connector: what is more urgent is said of it. Of two that are as urgent the one
// counts that came first to the state; of idle ones the last, since all of them have to be. A cause stays where the
// part that counts has none: a refused configuration is said, whatever the tasks do.
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

// adviceByKind has what to do about a failure, by its kind. NAME is replaced by the connector.
var adviceByKind = map[string]string{
	"config":       "Mend the setting that the cause names; the connector starts again by itself.",
	"unauthorized": "Change the secret of the connector; where it is right, run culvert connectors lockouts resume.",
	"forbidden": "Give the user its authorization at the service, then run culvert connectors restart NAME " +
		"--failed.",
	"not-found": "Look whether the service has what the settings name, then run culvert connectors restart NAME " +
		"--failed.",
	"gone": "The service no longer knows from where on changes are to come: see query.change, or stop the connector " +
		"and run culvert offsets reset NAME.",
	"data": "Mend the data, or set errors.tolerance=all with a dead letter topic, then run culvert connectors " +
		"restart NAME --failed.",
	"transient": "Run culvert connectors restart NAME --failed when the service can be reached; " +
		"task.auto.restart=true does so by itself.",
	"kafka": "Mend the settings of Kafka's clients, or the rights at the broker, which the cause names.",
	"":      "See the worker's log, or run culvert doctor with the connector's file.",
}

func advice(name string, p *connect.ComponentStatus) string {
	switch {
	case !p.RestartsAt.IsZero():
		return "It goes on by itself at " + p.RestartsAt.UTC().Format(time.RFC3339) + "."
	case p.Condition == "throttled":
		return "Nothing, or allow more in the connector's limits: GET /culvert/origins shows who uses them."
	case p.Condition == "waiting-for-service" && p.State == connect.Running:
		return "It goes on by itself when the service answers."
	case p.Condition == "failed" || p.Kind != "":
		return strings.ReplaceAll(cmp.Or(adviceByKind[p.Kind], adviceByKind[""]), "NAME", shown.Line(shown.Word(name)))
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
