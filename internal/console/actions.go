package console

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/rest"
)

// action is the REST call of a button, once for each selected item.
type action struct {
	// route is the call; names in braces are form fields, of which {name} may be repeated for a selection.
	route string
	// success follows the name of the connector after it worked.
	success string
	// Label, Icon and Class describe the button.
	Label string
	Icon  string
	Class string
	// Confirm is the text to confirm first, "" if the action can be undone.
	Confirm string
	// ConfirmsName means that the user types the name of the connector.
	ConfirmsName bool
	// body returns the request's body for the form. Nil means no body.
	body func(form url.Values) any
}

// actions lists all buttons except on the pages of configurations and samples.
var actions = map[string]action{
	"pause":  {route: "PUT /connectors/{name}/pause", Label: "Pause", success: " is being paused", Icon: "pause"},
	"resume": {route: "PUT /connectors/{name}/resume", Label: "Resume", success: " is being resumed", Icon: "play"},
	"stop":   {route: "PUT /connectors/{name}/stop", Label: "Stop", success: " is being stopped", Icon: "square"},
	"restart": {route: "POST /connectors/{name}/restart?includeTasks=true", Label: "Restart",
		success: " is being restarted, with its tasks", Icon: "rotate-cw"},
	"restart-task": {route: "POST /connectors/{name}/tasks/{task}/restart", Label: "Restart",
		success: ": the task is being restarted", Icon: "rotate-cw"},
	"delete": {route: "DELETE /connectors/{name}", Label: "Delete", success: " was deleted; its offsets are kept",
		Confirm: "The configuration is deleted; offsets are kept", ConfirmsName: true, Icon: "trash-2", Class: "danger"},
	"snapshot": {route: "POST /culvert/connectors/{name}/feeds/{feed}/snapshot", Label: "Snapshot",
		success: ": the set is read in full again"},
	"retire": {route: "PUT /culvert/connectors/{name}/retire", Label: "End its subscriptions and delta queues",
		success: ": its subscriptions and delta queues were ended",
		Confirm: "The connector is stopped; end its subscriptions and delta queues", Class: "danger"},
	"reset-offsets": {route: "DELETE /connectors/{name}/offsets", Label: "Reset its offsets",
		success: ": its offsets were deleted; it will read from the beginning",
		Confirm: "The connector is stopped and will read from the beginning", Class: "danger"},
	"swap": {route: "PUT /culvert/plugins/{name}/swap", Label: "Use this version", success: " will use this version",
		body: func(form url.Values) any { return map[string]string{"hash": form.Get("hash")} }},
	"rollback": {route: "PUT /culvert/plugins/{name}/rollback", Label: "Previous version",
		success: " will use the previous version"},
	"resume-logons": {route: "PUT /culvert/lockouts/resume", Label: "Retry refused logons",
		success: "Refused logons are retried", Confirm: "The secrets are correct now"},
	"replay": {route: "POST /culvert/connectors/{name}/deadletters/replay", Label: "Replay", success: ": ", body: replayBody},
	"retry":  {route: "POST /culvert/connectors/{name}/deadletters/{letter}/retry", Label: "Retry", success: ": ", body: retryBody},
	"discard": {route: "POST /culvert/connectors/{name}/deadletters/discard", Label: "Discard", success: ": ",
		body: func(form url.Values) any { return rest.DiscardRequest{Letters: append([]string{}, form["letter"]...)} }},
}

// replayBody selects exactly the dead letters in the form, also if it has none.
func replayBody(form url.Values) any {
	return rest.ReplayRequest{Positions: append([]string{}, form["letter"]...), DryRun: form.Get("dry") != "",
		IncludeSuperseded: form.Get("older") != ""}
}

// retryBody has the value only if it was edited.
func retryBody(form url.Values) any {
	request := rest.RetryRequest{IncludeSuperseded: form.Get("older") != ""}
	value := strings.ReplaceAll(form.Get("value"), "\r\n", "\n")
	if form.Has("value") && valueID(&value) != form.Get("original") {
		request.Value = &value
	}
	return request
}

func (a action) arguments(form url.Values) (values []string, body any) {
	for segment := range strings.SplitSeq(a.route, "/") {
		if strings.HasPrefix(segment, "{") {
			values = append(values, form.Get(strings.Trim(segment, "{}")))
		}
	}
	if a.body != nil {
		body = a.body(form)
	}
	return values, body
}

type button struct {
	action
	Do     string
	Name   string // for screen readers, "" if the label is enough
	Fields url.Values
}

// Button returns the button of an action; fields are names and values of its form in turn.
func (v viewer) Button(do string, fields ...string) button {
	return button{action: actions[do], Do: do, Fields: pairs(fields...)}
}

// Named returns the button with a name for screen readers.
func (b button) Named(name string) button {
	b.Name = name
	return b
}

// Command returns the action as a curl command.
func (v viewer) Command(do string, fields ...string) string {
	a := actions[do]
	values, body := a.arguments(pairs(fields...))
	return v.curl(a.route, body, values...)
}

const maxSelected = 1000

type outcome struct {
	Back    string
	Results []result
	Failed  int
}

// Title is the worst of the results in a few words.
func (o outcome) Title() string {
	titles := []string{"Done", "Partly done", "Not done", "Refused again", "Failed"}
	worst := 0
	for _, r := range o.Results {
		worst = max(worst, slices.Index(titles, r.title()))
	}
	return titles[worst]
}

type result struct {
	Name      string
	Message   string
	Error     string
	Command   string
	Replayed  *rest.ReplayResult
	Discarded *rest.DiscardResult
}

func (r result) title() string {
	amount := func(done int, kept map[string]int) string {
		switch {
		case done == 0:
			return "Not done"
		case len(kept) > 0:
			return "Partly done"
		}
		return "Done"
	}
	switch {
	case r.Error != "":
		return "Failed"
	case r.Discarded != nil:
		return amount(r.Discarded.Discarded, r.Discarded.Kept)
	case r.Replayed == nil || r.Replayed.DryRun:
		return "Done"
	case r.Replayed.Refused > 0:
		return "Refused again"
	}
	return amount(r.Replayed.Delivered, r.Replayed.Kept)
}

// Delivered reports whether everything that was asked for happened: no record was refused again.
func (r result) Delivered() bool {
	return r.title() == "Done" && (r.Replayed == nil || !r.Replayed.DryRun)
}

// Passed reports whether a trial without sending refused nothing. It has no tick, since nothing was delivered.
func (r result) Passed() bool {
	return r.Replayed != nil && r.Replayed.DryRun && r.Replayed.Refused == 0
}

func (pr *pageRequest) act() (any, error) {
	if pr.posted.Get("dry") != "" { // its button has no other name
		pr.posted.Set("do", "replay")
	}
	for field, names := range pr.posted { // a button of one connector in a list
		if do, ok := strings.CutPrefix(field, "one."); ok {
			pr.posted.Set("do", do)
			pr.posted["name"] = names
		}
	}
	a, ok := actions[pr.posted.Get("do")]
	if !ok {
		return nil, refuse(404, "There is no such action")
	}
	outcome := outcome{Back: back(pr.posted.Get("back"))}
	names := pr.posted["name"]
	if !strings.Contains(a.route, "{name}") {
		names = []string{""}
	}
	switch {
	case len(names) == 0:
		return nil, refuse(400, "Nothing is selected: select at least one, then press the button")
	case len(names) > maxSelected:
		return nil, refuse(400, "expected at most "+strconv.Itoa(maxSelected)+" at a time")
	case a.ConfirmsName && (len(names) > 1 || pr.posted.Get("sure") != names[0]):
		return nil, refuse(400, "This cannot be undone: type the name of the connector, then press the button")
	case a.Confirm != "" && pr.posted.Get("sure") == "":
		return nil, refuse(400, "This cannot be undone: check the box next to the button, then press it")
	}
	if err := pr.mayChange(); err != nil {
		return nil, err
	}
	for _, name := range names {
		form := maps.Clone(pr.posted)
		form.Set("name", name)
		r := pr.perform(a, form)
		if r.Error != "" {
			outcome.Failed++
		}
		outcome.Results = append(outcome.Results, r)
	}
	pr.title = outcome.Title()
	return outcome, nil
}

func (pr *pageRequest) perform(a action, form url.Values) result {
	values, body := a.arguments(form)
	r := result{Name: form.Get("name"), Message: a.success, Command: pr.curl(a.route, body, values...)}
	into := map[string]any{"replay": &rest.ReplayResult{}, "retry": &rest.ReplayResult{},
		"discard": &rest.DiscardResult{}}[form.Get("do")]
	if _, err := pr.call(a.route, nil, body, into, values...); err != nil {
		r.Error = err.Error()
		return r
	}
	r.Replayed, _ = into.(*rest.ReplayResult)
	r.Discarded, _ = into.(*rest.DiscardResult)
	return r
}

// back returns the page to link to after an action: one of the console, nothing else.
func back(to string) string {
	name, _, _ := strings.Cut(to, "?")
	switch strings.TrimPrefix(name, "./") {
	case "", "connector", "letters", "plugins", "origins", "workers":
		return to
	}
	return "./"
}
