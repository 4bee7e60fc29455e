package console

import (
	"maps"
	"net/url"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/rest"
)

// action is the REST call of a button, once for each selected item.
type action struct {
	// route is the call; names in braces are form fields, of which {name} may be repeated for a selection.
	route string
	// label is on the button. After it worked, success follows the name of the connector.
	label   string
	success string
	// confirm is the text to confirm first, "" if the action can be undone.
	confirm string
	// confirmsName means that the user types the name of the connector.
	confirmsName bool
	// body returns the request's body for the form. Nil means no body.
	body func(form url.Values) any
}

// actions lists all buttons except on the pages of configurations and samples.
var actions = map[string]action{
	"pause":  {route: "PUT /connectors/{name}/pause", label: "Pause", success: " is being paused"},
	"resume": {route: "PUT /connectors/{name}/resume", label: "Resume", success: " is being resumed"},
	"stop":   {route: "PUT /connectors/{name}/stop", label: "Stop", success: " is being stopped"},
	"restart": {route: "POST /connectors/{name}/restart?includeTasks=true", label: "Restart",
		success: " is being restarted, with its tasks"},
	"restart-task": {route: "POST /connectors/{name}/tasks/{task}/restart", label: "Restart",
		success: ": the task is being restarted"},
	"delete": {route: "DELETE /connectors/{name}", label: "Delete", success: " was deleted; its offsets are kept",
		confirm: "The configuration is deleted; offsets are kept", confirmsName: true},
	"snapshot": {route: "POST /culvert/connectors/{name}/feeds/{feed}/snapshot", label: "Snapshot",
		success: ": the set is read in full again"},
	"retire": {route: "PUT /culvert/connectors/{name}/retire", label: "End its subscriptions and delta queues",
		success: ": its subscriptions and delta queues were ended",
		confirm: "The connector is stopped; end its subscriptions and delta queues"},
	"reset-offsets": {route: "DELETE /connectors/{name}/offsets", label: "Reset its offsets",
		success: ": its offsets were deleted; it will read from the beginning",
		confirm: "The connector is stopped and will read from the beginning"},
	"swap": {route: "PUT /culvert/plugins/{name}/swap", label: "Use this version", success: " will use this version",
		body: hashBody},
	"rollback": {route: "PUT /culvert/plugins/{name}/rollback", label: "Previous version",
		success: " will use the previous version"},
	"resume-logons": {route: "PUT /culvert/lockouts/resume", label: "Retry refused logons",
		success: "Refused logons are retried", confirm: "The secrets are correct now"},
	"replay": {route: "POST /culvert/connectors/{name}/deadletters/replay", label: "Replay", success: ": ", body: replayBody},
	"retry":  {route: "POST /culvert/connectors/{name}/deadletters/{letter}/retry", label: "Retry", success: ": ", body: retryBody},
	"discard": {route: "POST /culvert/connectors/{name}/deadletters/discard", label: "Discard", success: ": ",
		body: func(form url.Values) any { return rest.DiscardRequest{Letters: append([]string{}, form["letter"]...)} }},
}

func hashBody(form url.Values) any { return map[string]string{"hash": form.Get("hash")} }

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
	Action       string
	Label        string
	Confirm      string
	Command      string
	Name         string
	Class        string
	Icon         string
	Fields       url.Values
	Disabled     bool
	ConfirmsName bool
}

// Button returns the button of an action; fields are names and values of its form in turn.
func (v viewer) Button(do string, fields ...string) button {
	a := actions[do]
	return button{Action: do, Label: a.label, Confirm: a.confirm, Command: v.Command(do, fields...),
		Fields: pairs(fields...), Disabled: v.ReadOnlyReason != "", ConfirmsName: a.confirmsName, Icon: actionIcons[do]}
}

func (b button) Named(name string) button {
	b.Name = name
	return b
}

// As sets the class of the button.
func (b button) As(class string) button {
	b.Class = class
	return b
}

var actionIcons = map[string]string{"pause": "pause", "resume": "play", "stop": "square", "restart": "rotate-cw",
	"restart-task": "rotate-cw", "delete": "trash-2"}

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

type result struct {
	Name      string
	Message   string
	Error     string
	Command   string
	Replayed  *rest.ReplayResult
	Discarded *rest.DiscardResult
}

// Delivered reports whether everything that was asked for happened: no record was refused again.
func (r result) Delivered() bool {
	switch {
	case r.Error != "":
		return false
	case r.Discarded != nil:
		return r.Discarded.Discarded > 0 && len(r.Discarded.Kept) == 0
	case r.Replayed != nil:
		return r.Replayed.Delivered > 0 && r.Replayed.Refused == 0 && len(r.Replayed.Kept) == 0
	}
	return true
}

// Passed reports whether a trial without sending refused nothing. It has no tick, since nothing was delivered.
func (r result) Passed() bool {
	return r.Replayed != nil && r.Replayed.DryRun && r.Replayed.Refused == 0
}

func (v *pageRequest) act() (any, error) {
	if v.posted.Get("dry") != "" { // its button has no other name
		v.posted.Set("do", "replay")
	}
	for field, names := range v.posted { // a button of one connector in a list
		if do, ok := strings.CutPrefix(field, "one."); ok {
			v.posted.Set("do", do)
			v.posted["name"] = names
		}
	}
	a, ok := actions[v.posted.Get("do")]
	if !ok {
		return nil, refuse(404, "There is no such action")
	}
	outcome := outcome{Back: back(v.posted.Get("back"))}
	names := v.posted["name"]
	if !strings.Contains(a.route, "{name}") {
		names = []string{""}
	}
	switch {
	case len(names) == 0:
		return nil, refuse(400, "Nothing is selected: select at least one, then press the button")
	case len(names) > maxSelected:
		return nil, refuse(400, "expected at most "+strconv.Itoa(maxSelected)+" at a time")
	case a.confirmsName && (len(names) > 1 || v.posted.Get("sure") != names[0]):
		return nil, refuse(400, "This cannot be undone: type the name of the connector, then press the button")
	case a.confirm != "" && v.posted.Get("sure") == "":
		return nil, refuse(400, "This cannot be undone: check the box next to the button, then press it")
	}
	if err := v.mayChange(); err != nil {
		return nil, err
	}
	for _, name := range names {
		form := maps.Clone(v.posted)
		form.Set("name", name)
		r := v.perform(a, form)
		if r.Error != "" {
			outcome.Failed++
		}
		outcome.Results = append(outcome.Results, r)
	}
	v.title = "Done"
	if outcome.Failed > 0 {
		v.title = "Failed"
	}
	return outcome, nil
}

func (v *pageRequest) perform(a action, form url.Values) result {
	values, body := a.arguments(form)
	r := result{Name: form.Get("name"), Message: a.success, Command: v.curl(a.route, body, values...)}
	var into any
	switch form.Get("do") {
	case "replay", "retry":
		r.Replayed = &rest.ReplayResult{}
		into = r.Replayed
	case "discard":
		r.Discarded = &rest.DiscardResult{}
		into = r.Discarded
	}
	if _, err := v.call(a.route, nil, body, into, values...); err != nil {
		r.Error = err.Error()
		r.Replayed = nil
		r.Discarded = nil
	}
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
