package console

import (
	"cmp"
	"maps"
	"net/url"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/rest"
)

// action is the REST call of a button, once for each selected item.
type action struct {
	// route is the call; names in braces are form fields, of which {name} may be repeated for a selection.
	route        string
	success      string // the message if the call succeeds, after the name of the item if it has one
	Label        string // of the button
	Icon         string
	Class        string                    // of the button's style
	Confirm      string                    // the text to confirm first; "" if the action can be undone
	ConfirmsName bool                      // the user types the name of the connector to confirm
	body         func(form url.Values) any // returns the request's body for the form; nil means no body
	response     func() any                // returns what the response is decoded into; nil means it is ignored
	// prepare completes the form before the call; nil means that it is complete.
	prepare func(*pageRequest, url.Values) error
	// handle completes the result with the response, and may send more requests. Nil leaves the result as it is.
	handle func(pr *pageRequest, r *result, response any)
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
		Confirm: "The configuration is deleted; offsets are kept", ConfirmsName: true, Icon: "trash-2",
		Class: "danger"},
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
	"check-logon": {route: "GET /connectors/{name}/config", Label: "Check logon",
		response: func() any { return &map[string]string{} }, handle: (*pageRequest).checkLogon},
	"replay": {route: "POST /culvert/connectors/{name}/deadletters/replay", Label: "Replay", success: ": ",
		body: replayBody, response: func() any { return &rest.ReplayResult{} }},
	"retry": {route: "POST /culvert/connectors/{name}/deadletters/{letter}/retry", Label: "Retry", success: ": ",
		body: retryBody, response: func() any { return &rest.ReplayResult{} }, prepare: (*pageRequest).editLetter},
	"discard": {route: "POST /culvert/connectors/{name}/deadletters/discard", Label: "Discard",
		success: ": ", response: func() any { return &rest.DiscardResult{} },
		body: func(form url.Values) any { return selection(form) }},
}

func replayBody(form url.Values) any {
	return rest.ReplayRequest{DeadLetterSelection: selection(form), DryRun: form.Get("dry") != "",
		IncludeSuperseded: form.Get("older") != ""}
}

// retryBody has the value that [pageRequest.editLetter] has set.
func retryBody(form url.Values) any {
	request := rest.RetryRequest{IncludeSuperseded: form.Get("older") != ""}
	if form.Has("value") {
		request.Value = new(form.Get("value"))
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
	Name   string // for screen readers; "" if the label is enough
	Fields url.Values
}

// Button returns the button of an action. fields are alternating names and values of its form.
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

// outcome is the data of the page after an action.
type outcome struct {
	Back     string // the page to link to
	Results  []result
	Failed   int       // number of results with an error
	Question *question // is asked before the action
}

// question asks whether to replay or discard all letters that match a filter.
type question struct {
	Label    string // of the action
	Matching *int64 // number of letters; nil is unknown
	Form     url.Values
}

// Title returns the title of the worst result.
func (o outcome) Title() string {
	titles := [...]string{done: "Done", partlyDone: "Partly done", notDone: "Not done", refusedAgain: "Refused again",
		failed: "Failed"}
	worst := done
	for _, r := range o.Results {
		worst = max(worst, r.severity())
	}
	return titles[worst]
}

// severity orders results: a larger one is worse.
type severity int

const (
	done severity = iota
	partlyDone
	notDone
	refusedAgain
	failed
)

// result is the result of an action for one selected item.
type result struct {
	Name      string
	Message   string
	Error     string // "" if the call succeeded
	Command   string
	Replayed  *rest.ReplayResult  // of replay and retry
	Discarded *rest.DiscardResult // of discard
}

func (r result) severity() severity {
	byCounts := func(handled int, kept map[string]int) severity {
		switch {
		case handled == 0:
			return notDone
		case len(kept) > 0:
			return partlyDone
		}
		return done
	}
	switch {
	case r.Error != "":
		return failed
	case r.Discarded != nil:
		return byCounts(r.Discarded.Discarded, r.Discarded.Kept)
	case r.Replayed == nil || r.Replayed.DryRun:
		return done
	case r.Replayed.Refused > 0:
		return refusedAgain
	}
	return byCounts(r.Replayed.Delivered, r.Replayed.Kept)
}

// Delivered reports whether all selected items were handled and, of a replay, delivered. It is false for a dry run.
func (r result) Delivered() bool {
	return r.severity() == done && (r.Replayed == nil || !r.Replayed.DryRun)
}

// Passed reports whether a dry run refused nothing. Delivered is false for it, since nothing was sent.
func (r result) Passed() bool {
	return r.Replayed != nil && r.Replayed.DryRun && r.Replayed.Refused == 0
}

func (pr *pageRequest) act() (any, error) {
	if pr.formValues.Get("dry") != "" { // the button of a dry run sends no other name
		pr.formValues.Set("do", "replay")
	}
	for field, names := range pr.formValues { // a button of one connector in a list
		if do, ok := strings.CutPrefix(field, "one."); ok {
			pr.formValues.Set("do", do)
			pr.formValues["name"] = names
		}
	}
	a, ok := actions[pr.formValues.Get("do")]
	if !ok {
		return nil, newRefusal(404, "There is no such action")
	}
	page := outcome{Back: backLink(pr.formValues.Get("back"))}
	names := pr.formValues["name"]
	if !strings.Contains(a.route, "{name}") {
		names = []string{""}
	}
	switch {
	case len(names) == 0:
		return nil, newRefusal(400, "Nothing is selected: select at least one, then press the button")
	case len(names) > maxSelected:
		return nil, newRefusal(400, "expected at most "+strconv.Itoa(maxSelected)+" at a time")
	case a.ConfirmsName && (len(names) > 1 || pr.formValues.Get("sure") != names[0]):
		return nil, newRefusal(400, "This cannot be undone: type the name of the connector, then press the button")
	case a.Confirm != "" && pr.formValues.Get("sure") == "":
		return nil, newRefusal(400, "This cannot be undone: check the box next to the button, then press it")
	}
	if err := pr.mayChange(); err != nil {
		return nil, err
	}
	isTrial := pr.formValues.Get("dry") != ""
	if pr.formValues.Get("matching") != "" && pr.formValues.Get("sure") == "" && !isTrial {
		// Ask before an action for all letters that match. The form of the question repeats the action.
		form := maps.Clone(pr.formValues)
		form.Del("letter")
		selected := selection(form)
		form.Set("since", selected.Since)
		form.Set("until", selected.Until)
		form.Set("sure", "yes")
		var list rest.DeadLetterList
		err := pr.get(lettersRoute+"?"+filterOf(form).Encode(), &list, form.Get("name"))
		pr.title = "All letters that match"
		return outcome{Back: backLink(pr.formValues.Get("back")),
			Question: &question{Label: a.Label, Matching: list.Matching, Form: form}}, err
	}
	for _, name := range names {
		form := maps.Clone(pr.formValues)
		form.Set("name", name)
		r := pr.perform(a, form)
		if r.Error != "" {
			page.Failed++
		}
		page.Results = append(page.Results, r)
	}
	pr.title = page.Title()
	return page, nil
}

func (pr *pageRequest) perform(a action, form url.Values) result {
	if a.prepare != nil {
		if err := a.prepare(pr, form); err != nil {
			return result{Name: form.Get("name"), Error: err.Error()}
		}
	}
	values, body := a.arguments(form)
	r := result{Name: form.Get("name"), Message: a.success, Command: pr.curl(a.route, body, values...)}
	var response any
	if a.response != nil {
		response = a.response()
	}
	if _, err := pr.call(a.route, nil, body, response, values...); err != nil {
		r.Error = err.Error()
		return r
	}
	r.Replayed, _ = response.(*rest.ReplayResult)
	r.Discarded, _ = response.(*rest.DiscardResult)
	if a.handle != nil {
		a.handle(pr, &r, response)
	}
	return r
}

// checkLogon tries the secrets of a configuration. One that was refused is not sent again.
func (pr *pageRequest) checkLogon(r *result, response any) {
	const route = "PUT /connector-plugins/{name}/config/validate?logon=check"
	settings := *response.(*map[string]string)
	class := settings["connector.class"]
	r.Command = pr.curl(route, settings, class)
	var validation check.Validation
	if _, err := pr.call(route, nil, settings, &validation, class); err != nil {
		r.Error = err.Error()
		return
	}
	if validation.Logon == check.LogonAccepted {
		r.Message = ": " + cmp.Or(validation.User, "the logon") + " was accepted"
		return
	}
	var problems []string
	for _, c := range validation.Configs {
		problems = append(problems, c.Value.Errors...)
	}
	r.Error = cmp.Or(strings.Join(problems, "\n"), validation.Logon, "the service was not asked")
}

// backLink returns the page to link to after an action: address if it is a page of the console, else the overview.
func backLink(address string) string {
	name, _, _ := strings.Cut(address, "?")
	switch strings.TrimPrefix(name, "./") {
	case "", "connector", "letters", "plugins", "origins", "workers":
		return address
	}
	return "./"
}
