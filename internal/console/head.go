package console

import (
	"cmp"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/rest"
)

// connectorHead is the head of every page of a connector: what it does now, what can be done, and the other pages.
type connectorHead struct {
	Name            string
	Tab             string
	Summary         rest.ConnectorSummary
	Status          connect.Status
	Tabs            []tab
	IsStored        bool   // REST can change and delete the connector, which is in no file of a user
	config          string // the text of the stored configuration
	version         string // its ETag; "" if it is in a file
	configErr       error  // why config and version are unknown
	ReadOnly        bool   // the viewer may change nothing
	ChangesPassword bool   // the proposed action edits a setting that is declared as a password
}

type tab struct{ Name, Title, Link string }

// head reads the head of a page and sets the title of the request. It returns nil if name is empty.
func (pr *pageRequest) head(name, current string) (*connectorHead, error) {
	if name == "" {
		return nil, nil
	}
	h := &connectorHead{Name: name, Tab: current, ReadOnly: pr.ReadOnlyReason != ""}
	pr.title = name
	if err := pr.get("GET /connectors/{name}/status", &h.Status, name); err != nil {
		return nil, err
	}
	h.Summary = pr.summary(name)
	header, err := pr.call("GET /connectors/{name}/config", nil, nil, &h.config, name)
	h.version = strings.Trim(header.Get("ETag"), `"`)
	h.configErr = err
	h.IsStored = err == nil && h.version != ""
	if action := h.Summary.Action; action != nil && (action.Do == "edit" || action.Do == "logon") {
		var definitions []check.Definition
		_ = pr.get("GET /connector-plugins/{name}/config", &definitions, h.Summary.Class)
		h.ChangesPassword = slices.ContainsFunc(definitions, func(d check.Definition) bool {
			return d.Name == action.Setting && d.Type == "PASSWORD"
		})
	}
	link := func(page string) string { return page + query("name", name) }
	h.Tabs = []tab{
		{"connector", "Overview", link("connector")},
		{"records", "Records", link("records")},
		{"letters", "Dead letters", link("letters")},
		{"form", "Configuration", link("form")},
		{"offsets", "Offsets", link("offsets")},
		{"log", "Log", "log" + query("connector", name, "worker", h.logWorker())},
	}
	return h, nil
}

// summary returns the overview line of a connector, without state if it is not available.
func (pr *pageRequest) summary(name string) rest.ConnectorSummary {
	var list rest.ConnectorList
	_, _ = pr.getOfGroup("GET /culvert/connectors", pairs("name", name), &list)
	i := slices.IndexFunc(list.Connectors, func(c rest.ConnectorSummary) bool { return c.Name == name })
	if i >= 0 {
		return list.Connectors[i]
	}
	return rest.ConnectorSummary{ConnectorState: rest.ConnectorState{Name: name}}
}

// logWorker returns the worker whose log is the most relevant: of the first task, or of the connector without tasks.
func (h *connectorHead) logWorker() string {
	if len(h.Status.Tasks) > 0 {
		return h.Status.Tasks[0].WorkerID
	}
	return h.Status.Connector.WorkerID
}

// State returns the condition or, if it is not available, Kafka Connect's state.
func (h *connectorHead) State() string {
	if h.Summary.State != "" {
		return string(h.Summary.State)
	}
	return cmp.Or(strings.ToLower(string(h.Status.Connector.State)), "unknown")
}

// Address returns the page to link to after an action.
func (h *connectorHead) Address() string { return "connector" + query("name", h.Name) }

// Main returns the action of the button next to the heading.
func (h *connectorHead) Main() string {
	switch state := h.State(); {
	case state == "paused" || state == "stopped":
		return "resume"
	case state == "failed":
		return "restart"
	}
	return "pause"
}

// Menu lists the other actions that can succeed.
func (h *connectorHead) Menu() []string {
	return slices.DeleteFunc(h.Commands(), func(do string) bool { return do == h.Main() })
}

// Commands lists all actions that can succeed.
func (h *connectorHead) Commands() []string {
	commands := rowActions(h.State())
	if h.State() == "stopped" {
		commands = append(commands, "reset-offsets")
		if h.Status.Type == "source" {
			commands = append(commands, "retire")
		}
	}
	if h.IsStored {
		commands = append(commands, "delete")
	}
	return commands
}

// rowActions returns the actions that can succeed in a state and can be undone.
func rowActions(state any) []string {
	switch stateWord(state) {
	case "paused":
		return []string{"resume", "stop"}
	case "stopped":
		return []string{"resume"}
	}
	return []string{"pause", "restart", "stop"}
}

// fix is a link to the page of the action that the worker proposes.
type fix struct{ Link, Label string }

// Fix returns nil if no action is proposed, or a button does it.
func (h *connectorHead) Fix() *fix {
	action := h.Summary.Action
	if action == nil && (h.State() == "unknown" || h.State() == "unassigned") {
		return &fix{"workers", "Show the workers"}
	}
	if action == nil {
		return nil
	}
	form := "form" + query("name", h.Name) + "#" + elementID("field", action.Setting)
	switch {
	case action.Do == "letters":
		return &fix{"letters" + query("name", h.Name), "Show the dead letters"}
	case action.Do == "log":
		return &fix{"log" + query("connector", h.Name, "worker", h.logWorker()), "Show the log"}
	case h.ReadOnly || action.Do == "restart" || action.Do == "resume":
		return nil
	case action.Do == "limit":
		return &fix{form, "Change the limit"}
	case h.ChangesPassword:
		return &fix{form, "Change the password"}
	}
	return &fix{form, "Change " + brief(cmp.Or(action.Setting, "the configuration"))}
}

// Proposes reports whether the worker proposes an action.
func (h *connectorHead) Proposes(do string) bool {
	return h.Summary.Action != nil && h.Summary.Action.Do == do
}

// Trace returns the full error texts of the connector and its tasks, "" if the cause contains all of them. The trace of
// a task that has not failed is what it waits for, which is no error.
func (h *connectorHead) Trace() string {
	texts := []string{h.Status.Connector.ConfigError, h.Status.Connector.Trace}
	for _, t := range h.Status.Tasks {
		if t.State == connect.Failed {
			texts = append(texts, t.Trace)
		}
	}
	var traces []string
	for _, trace := range texts {
		if trace != "" && !slices.Contains(traces, trace) {
			traces = append(traces, trace)
		}
	}
	if len(traces) == 1 && connect.IsAllOf(traces[0], h.Summary.Cause) {
		return ""
	}
	return strings.Join(traces, "\n\n")
}

// navCounts are figures of the navigation, zero if they are unknown.
type navCounts struct{ Letters, Workers int64 }

// readCounts sends the figures of the navigation. The overview of all connectors reads the letters itself.
func (pr *pageRequest) readCounts(counts chan<- navCounts, page string) {
	var result navCounts
	defer func() { counts <- result }()
	defer guard.Recover(nil, "console, navigation", nil)
	if page != home || pr.query.Get("search") != "" {
		var list rest.ConnectorList
		_, _ = pr.getOfGroup("GET /culvert/connectors", pairs("limit", "1"), &list)
		result.Letters = list.LettersOpen
	}
	var workers []rest.WorkerInfo
	_ = pr.get("GET /culvert/workers", &workers)
	result.Workers = int64(len(currentWorkers(workers)))
}

// section returns the page of the navigation that a page belongs to.
func (pr *pageRequest) section(page string) string {
	isOfConnector := pr.query.Get("name") != "" || pr.query.Get("connector") != ""
	if !slices.Contains([]string{"workers", "origins", "plugins", "letters", "log"}, page) ||
		(isOfConnector && (page == "letters" || page == "log")) {
		return home
	}
	return page
}

// flowText returns the known sets and topics of a connector in the direction of its rows.
func flowText(c rest.ConnectorSummary) string {
	ends := []string{several(c.Sets, "sets"), several(c.Topics, "topics")}
	if c.Type == "sink" {
		slices.Reverse(ends)
	}
	ends = slices.DeleteFunc(ends, func(end string) bool { return end == "" })
	return strings.Join(ends, " → ")
}

func several(names []string, unit string) string {
	if len(names) <= 2 {
		return brief(strings.Join(names, ", "))
	}
	return formatCount(len(names)) + " " + unit
}

// loadShare returns the share of a load that is read, from 0 to 1, or -1 if its total is unknown.
func loadShare(read uint64, total *uint64) (share float64) {
	if total == nil || *total == 0 {
		return -1
	}
	return min(float64(read)/float64(*total), 1)
}
