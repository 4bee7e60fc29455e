package rest

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/shown"
)

// ConnectorList is a page of GET /culvert/connectors.
type ConnectorList struct {
	// Counts has the number of connectors that match the search, by state; Total is their sum.
	Counts map[connect.Condition]int `json:"counts"`
	Total  int                       `json:"total"`

	LettersOpen int64                     `json:"letters_open"`           // the sum of the known numbers
	WithLetters map[connect.Condition]int `json:"with_letters,omitempty"` // connectors with open dead letters, by state
	Connectors  []ConnectorSummary        `json:"connectors"`
	// Next is for ?after= of the next page, "" on the last page. It is a position in the order, VALUE/NAME: a connector
	// that keeps its value is on exactly one page, even if others change or the one of the position is gone.
	Next   string   `json:"next,omitempty"`
	Silent []string `json:"silent,omitempty"` // workers that did not respond, with the reason
}

// ConnectorSummary is a connector with all of its tasks. Null in JSON means unknown.
type ConnectorSummary struct {
	ConnectorState
	connect.Activity
	ConnectorLetters
}

// ConnectorState is what a connector is doing, why, and what an operator can do.
type ConnectorState struct {
	Name  string            `json:"name"`
	Type  string            `json:"type"`
	Class string            `json:"class"`
	State connect.Condition `json:"state"`
	Since *time.Time        `json:"since,omitempty"`
	// Note adds to the state what needs no action: "1 of 4 tasks", "limited to 3 requests a second".
	Note string `json:"note"`
	// Cause is the first line of the reason for the state, in a list of all connectors without the clauses after
	// causeLength characters. Advice is what to do, and Action a step that can succeed.
	Cause   string          `json:"cause,omitempty"`
	Advice  string          `json:"advice,omitempty"`
	Action  *connect.Action `json:"action"`
	Tasks   int             `json:"tasks"`
	Failed  int             `json:"failed_tasks"`
	Workers []string        `json:"workers"` // that run it or a task of it
}

const (
	defaultListLimit = 100
	maxListLimit     = 1000
	causeLength      = 270 // characters of a cause
)

// listOrders returns the value by which a list is sorted, ascending and then by name, for each ?sort=.
var listOrders = map[string]func(l *ConnectorSummary) float64{
	"urgency":  func(l *ConnectorSummary) float64 { return urgency(l.State) },
	"name":     func(*ConnectorSummary) float64 { return 0 },
	"rows":     func(l *ConnectorSummary) float64 { return mostFirst(l.Rows) },
	"lag":      func(l *ConnectorSummary) float64 { return mostFirst(l.Lag) },
	"letters":  func(l *ConnectorSummary) float64 { return mostFirst(l.LettersOpen) },
	"activity": func(l *ConnectorSummary) float64 { return latestFirst(l.LastActive) },
}

// urgency returns the place of a state in a list. A running connector has the place of an idle one, so that a short
// read does not move it. A longer read, which has a state of its own (loading), does.
func urgency(state connect.Condition) float64 {
	if state == connect.ConditionRunning {
		state = connect.ConditionIdle
	}
	return float64(state.Urgency())
}

// unknownLast is greater than any value of an order.
const unknownLast = 1e15

func mostFirst[N int64 | float64](n *N) float64 {
	if n == nil {
		return unknownLast
	}
	return -float64(*n)
}

func latestFirst(t *time.Time) float64 {
	if t == nil {
		return unknownLast
	}
	return -float64(t.Unix())
}

type listQuery struct {
	connector string // the name of the only connector, "" for all
	state     connect.Condition
	search    string
	limit     int
	order     func(l *ConnectorSummary) float64
	// afterValue and afterName are the last position of the previous page; afterValue is -Inf for the first page.
	afterValue float64
	afterName  string
}

func (req *request) parseListQuery() (query listQuery, err error) {
	limit, err := req.queryNumber("limit", defaultListLimit, 1, maxListLimit)
	if err != nil {
		return query, err
	}
	sort := cmp.Or(req.queryValue("sort"), "urgency")
	query = listQuery{connector: req.queryValue("name"), state: connect.Condition(req.queryValue("state")),
		search: strings.ToLower(req.queryValue("search")), limit: int(limit), order: listOrders[sort],
		afterValue: math.Inf(-1)}
	if query.order == nil {
		return query, oneOf("sort", slices.Sorted(maps.Keys(listOrders)), sort)
	}
	if query.state != "" && !slices.Contains(connect.Conditions, query.state) {
		return query, oneOf("state", connect.Conditions, query.state)
	}
	if after := req.queryValue("after"); after != "" {
		value, name, isPosition := strings.Cut(after, "/")
		query.afterValue, err = strconv.ParseFloat(value, 64)
		if !isPosition || err != nil || math.IsNaN(query.afterValue) {
			return query, &Refusal{http.StatusBadRequest, fmt.Sprintf("after: expected VALUE/NAME, the next of the "+
				"previous page, found %q", shown.LineUpTo(after, 100))}
		}
		query.afterName = name
	}
	return query, nil
}

func oneOf[T ~string](parameter string, expected []T, found T) error {
	var names []string
	for _, name := range expected {
		names = append(names, string(name))
	}
	return &Refusal{http.StatusBadRequest, fmt.Sprintf("%s: expected one of %s, found %q", parameter,
		strings.Join(names, ", "), shown.LineUpTo(string(found), 100))}
}

func (req *request) listConnectors() {
	query, err := req.parseListQuery()
	var answers []workerAnswer
	if err == nil {
		answers, err = req.queryWorkers(url.Values{"name": {query.connector}}.Encode(), http.StatusOK)
	}
	if err != nil {
		req.failErr(err)
		return
	}
	group := newListAnswers(answers)
	ownOnly := req.queryBool("own")
	if !ownOnly {
		group.addMembers(req.cluster)
	}
	herder := req.herder() // once: it looks at the whole worker
	summaries := herder.Summaries()
	connectors := make([]ConnectorSummary, 0, len(summaries))
	for i := range summaries {
		c := &summaries[i]
		if query.connector != "" && query.connector != c.Name {
			continue
		}
		summary, isIncluded := summarize(c, group, ownOnly, req.withheldInBody())
		if ownOnly {
			hour := herder.Hour(c.Name)
			summary.Activity.Add(hour)
			isIncluded = isIncluded || hour.RefusedHour != nil // another worker may run it now
		}
		var letters ConnectorLetters
		s := herder.DeadLetterSummary(c.Name)
		letters.LettersOpen = s.Open
		letters.LettersMore = s.More
		if len(s.Causes) > 0 && req.shapeOnlyReason() == "" {
			letters.Causes = shownCauses(s.Causes[:min(len(s.Causes), listedCauses)], req.worker.Redact)
		}
		letters.mergeLetters(summary.ConnectorLetters)
		summary.ConnectorLetters = letters
		if query.connector == "" {
			summary.Cause = shown.ReasonUpTo(summary.Cause, causeLength)
		}
		if isIncluded {
			connectors = append(connectors, summary)
		}
	}
	page := query.page(connectors)
	if ownOnly { // the leader sorts and cuts
		page.Connectors = connectors
		page.Next = ""
	} else {
		for i := range page.Connectors {
			c := &page.Connectors[i]
			c.Activity.Add(herder.Hour(c.Name)) // of this worker; the reports of others have theirs
		}
	}
	page.Silent = group.silent
	req.answerWithETag(page)
}

// listAnswers holds the reports of other workers about their own tasks.
type listAnswers struct {
	byWorker map[string]map[string]ConnectorSummary // by worker and connector
	silent   []string                               // a line for each worker that did not respond
	unknown  map[string]string                      // the same by worker; "" is the key of all others
	members  map[string]bool                        // the workers of the group, nil without one
	former   []groupview.FormerWorker               // which connectors or tasks wait for
}

func newListAnswers(answers []workerAnswer) *listAnswers {
	group := &listAnswers{byWorker: map[string]map[string]ConnectorSummary{}, unknown: unknownWorkers(answers)}
	group.silent = mergeAnswers(answers, func(worker string, l ConnectorList) {
		group.byWorker[worker] = map[string]ConnectorSummary{}
		for _, summary := range l.Connectors {
			group.byWorker[worker][summary.Name] = summary
		}
	})
	return group
}

// unknownWorkers returns why workers did not respond, by worker.
func unknownWorkers(answers []workerAnswer) map[string]string {
	unknown := map[string]string{}
	for _, answer := range answers {
		if answer.err != nil {
			unknown[answer.worker] = answer.err.Error()
		}
	}
	return unknown
}

// addMembers sets the members, which only the leader knows.
func (l *listAnswers) addMembers(c Cluster) {
	overview, isLeader := c.Overview()
	if !isLeader {
		return
	}
	l.members = map[string]bool{}
	for _, member := range overview.Members {
		l.members[member.WorkerID] = true
	}
	l.former = slices.DeleteFunc(overview.Former, func(f groupview.FormerWorker) bool {
		return !f.IsAwaited(time.Now())
	})
}

// refine corrects the state in the status topic of a component of another worker, which has not reported it.
func (l *listAnswers) refine(component connect.ComponentStatus) connect.ComponentStatus {
	if component.Local {
		return component
	}
	if reason := cmp.Or(l.unknown[component.WorkerID], l.unknown[""]); reason != "" {
		component.SetUnknown(reason)
	} else if l.members != nil && !l.members[component.WorkerID] &&
		(component.State == connect.Running || component.Condition == connect.ConditionAway) {
		component = connect.RemoteStatus(component.Task, connect.Unassigned, component.WorkerID, "", "") // it has left
	}
	for i := range l.former {
		if former := &l.former[i]; former.WorkerID == component.WorkerID &&
			component.Condition == connect.ConditionUnassigned {
			component.Cause = "worker " + former.WorkerID + ": " + former.Text
			component.Since = former.Since
		}
	}
	return component
}

// summarize merges the state of a connector from this worker's view and the reports of other workers about their own
// tasks. With ownOnly it includes only components of this worker; isIncluded is false if there are no components.
// withheld, if not empty, replaces the causes of failures, also in the texts that ?search= searches.
func summarize(c *connect.Summary, group *listAnswers, ownOnly bool,
	withheld string) (summary ConnectorSummary, isIncluded bool) {
	summary.ConnectorState = ConnectorState{Name: c.Name, Type: c.Type, Class: c.Class, Workers: []string{}}
	for i := range c.Components {
		component := c.Components[i]
		if ownOnly && !component.Local {
			continue
		}
		isIncluded = true
		if component.Task >= 0 {
			summary.Tasks++
			if component.State == connect.Failed {
				summary.Failed++
			}
		}
		if component.WorkerID != "" && !slices.Contains(summary.Workers, component.WorkerID) {
			summary.Workers = append(summary.Workers, component.WorkerID)
		}
		if group.byWorker[component.WorkerID][c.Name].State != "" && !component.Local {
			continue // its worker's report is merged below
		}
		if !ownOnly {
			component = group.refine(component)
		}
		if withheld != "" && component.State == connect.Failed {
			component.Cause = withheld
		} else if withheld != "" && component.Condition == connect.ConditionRefusing {
			component.Cause = connect.RefusedCause
		}
		summary.merge(ConnectorSummary{ConnectorState: newConnectorState(c.Name, &component),
			Activity: component.Activity})
	}
	for _, worker := range slices.Sorted(maps.Keys(group.byWorker)) { // in one order, for the ETag
		if other, ok := group.byWorker[worker][c.Name]; ok {
			summary.merge(other)
		}
	}
	slices.Sort(summary.Workers)
	if summary.Rows != nil {
		rounded := math.Round(*summary.Rows*10) / 10
		summary.Rows = &rounded
	}
	if summary.State == connect.ConditionFailed && summary.Failed > 0 && summary.Failed < summary.Tasks {
		summary.Note = fmt.Sprintf("%d of %d tasks", summary.Failed, summary.Tasks)
	}
	return summary, isIncluded
}

func newConnectorState(name string, component *connect.ComponentStatus) ConnectorState {
	state := ConnectorState{State: component.Condition, Note: component.Note, Cause: component.Cause,
		Advice: advice(name, component), Action: component.Action}
	if !component.Since.IsZero() {
		since := component.Since.UTC().Truncate(time.Second)
		state.Since = &since
	}
	return state
}

// merge adds another part of the connector: the state with the least precedence wins. Of equal states the earlier one
// counts, but the later one if idle, since all parts must be idle. A cause is kept if the winning part has no cause.
func (c *ConnectorSummary) merge(other ConnectorSummary) {
	order := -1 // the first part wins over none
	if c.State != "" {
		order = cmp.Compare(other.State.Precedence(), c.State.Precedence())
	}
	if order == 0 && other.Since != nil {
		wantsLater := c.State == connect.ConditionIdle
		if c.Since == nil || other.Since.Before(*c.Since) != wantsLater {
			order = -1
		}
	}
	if order < 0 {
		c.State = other.State
		c.Since = other.Since
	}
	if other.Cause != "" && (order < 0 || c.Cause == "") {
		c.Cause = other.Cause
		c.Advice = other.Advice
		c.Action = other.Action
	}
	c.Action = cmp.Or(c.Action, other.Action)
	c.Note = cmp.Or(c.Note, other.Note)
	c.Activity.Add(other.Activity)
	c.mergeLetters(other.ConnectorLetters)
}

// adviceByKind has the advice by kind of failure. NAME is replaced by the connector, SETTING by what the action edits.
var adviceByKind = map[string]string{
	"config":       "Correct SETTING; the connector then restarts automatically.",
	"unauthorized": "Change SETTING; if it is correct, run culvert connectors lockouts resume.",
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
	switch p.Condition {
	case connect.ConditionPaused, connect.ConditionStopped:
		return ""
	case connect.ConditionUnassigned:
		return "culvert status, GET /culvert/cluster and the page Workers of the console show why."
	case connect.ConditionUnknown:
		return "If the worker does not return, its tasks move to another worker of the group: culvert status, GET " +
			"/culvert/cluster and the page Workers of the console show when."
	case connect.ConditionWaiting:
		if !p.RestartsAt.IsZero() {
			return "It continues automatically at " + p.RestartsAt.UTC().Format(time.RFC3339) + "."
		}
		return "It continues automatically: GET /culvert/origins shows which connectors use the service."
	case connect.ConditionRefusing:
		return "See the connector's dead letters, or the log if it has no dead letter topic."
	}
	switch {
	case !p.RestartsAt.IsZero():
		return "It restarts automatically at " + p.RestartsAt.UTC().Format(time.RFC3339) + "."
	case p.Condition == connect.ConditionAway:
		return "It continues automatically when the service or Kafka responds."
	case p.Condition == connect.ConditionFailed || p.Kind != "":
		replacer := strings.NewReplacer("NAME", shown.Line(shown.ShellWord(name)), "SETTING", changedSetting(p))
		return replacer.Replace(cmp.Or(adviceByKind[p.Kind], adviceByKind[""]))
	}
	return ""
}

// changedSetting returns the setting that the action changes, with its place in the connector's file.
func changedSetting(p *connect.ComponentStatus) string {
	action := *cmp.Or(p.Action, &connect.Action{})
	changed := cmp.Or(shown.Line(action.Setting), "the setting that the cause names")
	if action.Setting == "" && p.Kind == "unauthorized" {
		changed = "the secret of the connector"
	}
	if action.File != "" {
		changed += " in " + shown.Line(action.File)
	}
	if action.Line > 0 {
		changed += ":" + strconv.Itoa(action.Line)
	}
	return changed
}

// listEntry is a connector with the value by which the list is sorted.
type listEntry struct {
	value float64
	*ConnectorSummary
}

func (e listEntry) compare(other listEntry) int {
	return cmp.Or(cmp.Compare(e.value, other.value), cmp.Compare(e.Name, other.Name))
}

func (query *listQuery) page(connectors []ConnectorSummary) ConnectorList {
	page := ConnectorList{Counts: map[connect.Condition]int{}, WithLetters: map[connect.Condition]int{},
		Connectors: []ConnectorSummary{}}
	var entries []listEntry
	after := listEntry{value: query.afterValue,
		ConnectorSummary: &ConnectorSummary{ConnectorState: ConnectorState{Name: query.afterName}}}
	for i := range connectors {
		l := &connectors[i]
		if !query.matches(l) {
			continue
		}
		page.Counts[l.State]++
		page.Total++
		if l.LettersOpen != nil {
			page.LettersOpen += *l.LettersOpen
			if *l.LettersOpen > 0 {
				page.WithLetters[l.State]++
			}
		}
		entry := listEntry{value: query.order(l), ConnectorSummary: l}
		if entry.compare(after) > 0 && (query.state == "" || query.state == l.State) {
			entries = append(entries, entry)
		}
	}
	slices.SortFunc(entries, listEntry.compare)
	if len(entries) > query.limit {
		entries = entries[:query.limit]
		last := entries[query.limit-1]
		page.Next = strconv.FormatFloat(last.value, 'f', -1, 64) + "/" + last.Name
	}
	for _, entry := range entries {
		page.Connectors = append(page.Connectors, *entry.ConnectorSummary)
	}
	return page
}

func (query *listQuery) matches(l *ConnectorSummary) bool {
	has := func(text string) bool { return strings.Contains(strings.ToLower(text), query.search) }
	return query.search == "" || has(l.Name) || has(l.Class) || has(l.Cause) || slices.ContainsFunc(l.Sets, has) ||
		slices.ContainsFunc(l.Topics, has)
}
